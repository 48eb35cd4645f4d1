"""Callbacks that change rates, keep few files, or write for TensorBoard."""

import struct

import numpy as np
import pytest
from small_problems import blobs, classifier

from einkorn import training
from einkorn.errors import ArgumentError
from einkorn.optim import lr_scheduler, schedules


class Say(training.Callback):
    """Puts given figures into the logs."""

    def __init__(self, figures):
        self.figures = figures

    def on_epoch_end(self, epoch, logs=None):
        logs["val_loss"] = self.figures[epoch]


def rates(figures, **options):
    x, y = blobs(12)
    model = classifier()
    model.optimizer.learning_rate = 0.1
    callbacks = [Say(figures), training.ReduceLROnPlateau("val_loss", **options)]
    history = model.fit(x, y, 12, len(figures), callbacks=callbacks, verbose=0).history
    return [*history["learning_rate"][1:], model.optimizer.learning_rate]


def test_the_rate_goes_down_on_a_plateau():
    flat = [1.0] * 6
    assert rates(flat, factor=0.5, patience=2) == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])
    assert rates(flat, factor=0.5, patience=1) == pytest.approx([0.1, 0.05, 0.025, 0.0125, 0.00625, 0.003125])
    # in the epochs of a cooldown nothing is counted
    assert rates(flat, factor=0.5, patience=1, cooldown=2) == pytest.approx(
        [0.1, 0.05, 0.05, 0.025, 0.025, 0.0125]
    )
    assert rates(flat, factor=0.5, patience=1, min_lr=0.04) == pytest.approx(
        [0.1, 0.05, 0.04, 0.04, 0.04, 0.04]
    )
    falling = [1.0, 0.9, 0.89, 0.88, 0.5, 0.4]
    assert rates(falling, patience=1, min_delta=0.05) == pytest.approx([0.1, 0.1, 0.01, 0.001, 0.001, 0.001])
    assert rates(falling, patience=1, mode="max")[-1] == pytest.approx(0.1 * 1e-5)
    with pytest.raises(ArgumentError, match="factor is 1"):
        training.ReduceLROnPlateau(factor=1.0)


class Rates(training.Callback):
    """Notes the rate of each batch."""

    def __init__(self, seen):
        self.seen = seen

    def on_train_batch_begin(self, batch, logs=None):
        self.seen.append(self.model.optimizer.learning_rate)


def test_schedules_by_batch():
    x, y = blobs(20)
    for schedule in (lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, 9), None):
        model, seen = classifier(), []
        optimizer = model.optimizer
        note = Rates(seen)
        function = schedule(optimizer) if schedule else schedules.CosineDecay(0.1, 8)
        callback = training.LearningRateScheduler(function, by="batch")
        model.fit(x, y, 5, 2, callbacks=[callback, note], verbose=0)
        if schedule:
            twin_optimizer = classifier().optimizer
            twin, wanted = lr_scheduler.OneCycleLR(twin_optimizer, 0.1, 9), []
            for _ in range(8):
                wanted += twin.get_last_lr()
                twin.step()
        else:
            wanted = [schedules.CosineDecay(0.1, 8)(step) for step in range(8)]
        assert seen == pytest.approx(wanted)
    plateau = lr_scheduler.ReduceLROnPlateau(
        model.optimizer, patience=0, threshold=10.0, threshold_mode="abs"
    )
    model.optimizer.learning_rate = 1e-3
    callback = training.LearningRateScheduler(plateau)
    history = model.fit(x, y, 5, 3, callbacks=[callback], verbose=0).history
    assert history["learning_rate"] == pytest.approx([1e-3, 1e-3, 1e-4])
    with pytest.raises(ArgumentError, match="by is 'step'"):
        training.LearningRateScheduler(plateau, by="step")


def test_few_checkpoints_are_kept(tmp_path):
    x, y = blobs(20)
    model = classifier()
    callback = training.ModelCheckpoint(tmp_path / "{epoch:02d}.safetensors", keep=2)
    model.fit(x, y, epochs=5, callbacks=[callback], verbose=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["04.safetensors", "05.safetensors"]
    again = classifier(seed=9)
    again.load_weights(tmp_path / "05.safetensors")
    assert np.array_equal(again.predict(x), model.predict(x))
    with pytest.raises(ArgumentError, match="keep is 0"):
        training.ModelCheckpoint("x", keep=0)


def test_arguments_of_callbacks_come_in_kerass_order():
    seen = []
    callback = training.LambdaCallback(None, lambda epoch, logs: seen.append(epoch))
    classifier().fit(*blobs(10), epochs=2, callbacks=[callback], verbose=0)
    assert seen == [0, 1]
    stopping = training.EarlyStopping("loss", 0.1, 3, 0, "min", 0.5, True, 2)
    assert (stopping.min_delta, stopping.patience, stopping.baseline) == (0.1, 3, 0.5)
    assert (stopping.restore_best_weights, stopping.start_from_epoch) == (True, 2)
    plateau = training.ReduceLROnPlateau("loss", 0.2, 4, 1, "min", 0.3, 5, 0.01)
    assert (plateau.factor, plateau.patience, plateau.min_delta) == (0.2, 4, 0.3)
    assert (plateau.cooldown, plateau.min_lr) == (5, 0.01)


def events_of(folder):
    """What stands in a run's event file: (step, tag, value)."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    (path,) = folder.glob("events*")
    content, found, place = path.read_bytes(), [], 0
    while place < len(content):
        (size,) = struct.unpack_from("<Q", content, place)
        event = event_pb2.Event.FromString(content[place + 12 : place + 12 + size])
        place += 16 + size
        found += [(event.step, value.tag, value) for value in event.summary.value]
    return found


def test_tensorboard_files_hold_what_happened(tmp_path):
    pytest.importorskip("tensorboardX")
    x, y = blobs(40)
    model = classifier()
    callback = training.TensorBoard(
        tmp_path,
        2,
        True,
        True,
        update_freq=2,
        write_steps_per_second=True,
        hparams={"rate": 0.02, "kind": "mlp"},
    )
    history = model.fit(x, y, 10, 3, validation_data=(x, y), callbacks=[callback], verbose=0).history
    train = events_of(tmp_path / "train")
    scalars = {
        (step, tag): value.simple_value for step, tag, value in train if value.HasField("simple_value")
    }
    for epoch in range(3):
        assert scalars[epoch, "epoch_loss"] == pytest.approx(history["loss"][epoch])
        assert scalars[epoch, "epoch_accuracy"] == pytest.approx(history["accuracy"][epoch])
        assert scalars[epoch, "epoch_learning_rate"] == pytest.approx(0.02)
        assert scalars[epoch, "epoch_steps_per_second"] > 0
    assert [step for step, tag in scalars if tag == "batch_loss"] == [2, 4, 6, 8, 10, 12]
    validation = events_of(tmp_path / "validation")
    found = [value.simple_value for _, tag, value in validation if tag == "epoch_loss"]
    assert found == pytest.approx(history["val_loss"])
    histograms = [(step, tag) for step, tag, value in train if value.HasField("histo")]
    names = list(model.state_dict())
    assert histograms == [(0, name) for name in names] + [(2, name) for name in names]
    assert next(value for _, tag, value in train if tag == names[0]).histo.num == 32
    pictures = [tag for _, tag, value in train if value.HasField("image")]
    assert pictures == ["0.weight", "1.weight"] * 2
    tags = [tag for _, tag, _ in train]
    assert any(tag.startswith("model") for tag in tags)
    assert any("hparams" in tag for tag in tags)


def test_tensorboard_itself_reads_what_was_written(tmp_path):
    pytest.importorskip("tensorboardX")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    x, y = blobs(40)
    model = classifier()
    callback = training.TensorBoard(tmp_path, 1, write_images=True, hparams={"rate": 0.02})
    history = model.fit(x, y, 10, 3, validation_data=(x, y), callbacks=[callback], verbose=0).history
    for folder, prefix in (("train", ""), ("validation", "val_")):
        events = reader.EventAccumulator(str(tmp_path / folder))
        events.Reload()
        scalars = events.Scalars("epoch_loss")
        assert [scalar.step for scalar in scalars] == [0, 1, 2]
        assert [scalar.value for scalar in scalars] == pytest.approx(history[f"{prefix}loss"])
    events = reader.EventAccumulator(str(tmp_path / "train"))
    events.Reload()
    tags = events.Tags()
    names = list(model.state_dict())
    assert set(names) <= set(tags["histograms"])
    assert tags["images"] == ["0.weight", "1.weight"]
    histogram = events.Histograms(names[0])[-1].histogram_value
    assert histogram.num == model.state_dict()[names[0]].size
    assert histogram.sum == pytest.approx(float(model.state_dict()[names[0]].sum()), rel=1e-5)
    assert any(tag.startswith("model") for tag in tags["tensors"])
