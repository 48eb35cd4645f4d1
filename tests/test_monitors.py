"""Callbacks that watch a figure: when they stop, what they save, and what they check before the work."""

import math
import os

import numpy as np
import pytest
from small_problems import blobs, classifier

import einkorn
from einkorn import models, nn, optim, training
from einkorn.errors import ArgumentError, CheckpointError, EinkornError


def logged(values, callback, name="val_loss"):
    """Run the callback over epochs whose figure is given; the epoch after which it stopped."""
    model = nn.Linear(1, 1)
    callback.model = model
    callback.on_train_begin()
    for epoch, value in enumerate(values):
        model.weight.data[...] = epoch
        callback.on_epoch_end(epoch, {name: value})
        if model.stop_training:
            break
    callback.on_train_end()
    return epoch, float(model.weight.numpy()[0, 0])


@pytest.mark.parametrize(
    ("options", "values", "stop", "weight"),
    [
        ({"patience": 2}, [3, 2, 2.5, 2.4, 1], 3, 3),
        ({"patience": 2, "restore_best_weights": True}, [3, 2, 2.5, 2.4, 1], 3, 1),
        ({"patience": 0}, [3, 2, 2, 1], 2, 2),
        ({"patience": 2, "min_delta": 0.5}, [3, 2.8, 2.7, 1], 2, 2),
        ({"patience": 5, "restore_best_weights": True}, [3, 1, 2], 2, 1),
        ({"patience": 1}, [3, float("nan"), 1], 1, 1),
        ({"patience": 1, "mode": "max"}, [1, 2, 1.5, 3], 2, 2),
    ],
)
def test_early_stopping(options, values, stop, weight):
    assert logged(values, training.EarlyStopping(**options)) == (stop, weight)


def test_early_stopping_knows_that_accuracy_grows():
    callback = training.EarlyStopping("val_accuracy", patience=1)
    assert logged([0.1, 0.5, 0.4, 0.9], callback, "val_accuracy")[0] == 2
    assert callback.best == 0.5
    assert callback.best_epoch == 1
    assert callback.stopped_epoch == 2


def test_early_stopping_in_fit():
    x, y = blobs(60)
    model = classifier()
    model.compile(optim.SGD(model.parameters(), lr=0.0))
    history = model.fit(
        x, y, epochs=50, validation_split=0.2, callbacks=[training.EarlyStopping()], verbose=0
    )
    assert history.epoch == [0, 1]
    with pytest.raises(ArgumentError, match=r"monitor is 'val_loss'.*got no validation data"):
        model.fit(x, y, callbacks=[training.EarlyStopping()], verbose=0)
    with pytest.raises(ArgumentError, match="mode is 'up'"):
        training.EarlyStopping(mode="up")
    with pytest.raises(ArgumentError, match="patience is -1"):
        training.EarlyStopping(patience=-1)


def test_model_checkpoint(tmp_path):
    x, y = blobs(60)
    model = classifier()
    every = training.ModelCheckpoint(
        tmp_path / "epoch{epoch:02d}-{loss:.1f}.safetensors", save_weights_only=True
    )
    model.fit(x, y, epochs=2, callbacks=[every], verbose=0)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:8] for name in names] == ["epoch01-", "epoch02-"]
    best = training.ModelCheckpoint(
        tmp_path / "best.safetensors", save_best_only=True, save_weights_only=True
    )
    assert logged([3, 1, 2], best)[1] == 2
    twin = nn.Linear(1, 1)
    einkorn.load_weights(twin, tmp_path / "best.safetensors")
    assert twin.weight.numpy() == 1
    with pytest.raises(ArgumentError, match="cannot be filled in; there is epoch, val_loss"):
        logged([1], training.ModelCheckpoint(tmp_path / "{accuracy}"))


# --- which way is better ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("monitor", "way"),
    [
        *((name, "max") for name in ("val_accuracy", "accuracy", "acc", "val_auc", "val_f1", "val_f1_score")),
        *(
            (name, "max")
            for name in ("precision", "val_recall", "top_k_categorical_accuracy", "val_r2_score")
        ),
        *((name, "min") for name in ("loss", "val_loss", "val_mse", "mean_absolute_error", "val_rmse")),
        *((name, "min") for name in ("root_mean_squared_error", "val_binary_crossentropy", "hinge")),
        *((name, None) for name in ("val_score", "my_figure", "val_aucx", "learning_rate", "f1loss")),
    ],
)
def test_which_way_is_better(monitor, way, tmp_path):
    for make in (
        lambda mode="auto": training.EarlyStopping(monitor, patience=9, mode=mode),
        lambda mode="auto": training.ModelCheckpoint(
            tmp_path / "best", monitor, save_best_only=True, mode=mode
        ),
    ):
        values = [2.0, 3.0, 1.0]
        if way is None:
            with pytest.raises(ArgumentError, match="give mode='min' or mode='max'"):
                make().prepare([monitor], False)
        else:
            callback = make()
            logged(values, callback, monitor)
            assert callback.best == (max if way == "max" else min)(values)
        callback = make("min")
        logged(values, callback, monitor)
        assert callback.best == 1


def test_early_stopping_says_why(capsys):
    x, y = blobs(40)
    model = classifier()
    model.compile(optim.SGD(model.parameters(), lr=0.0), metrics=["accuracy"])
    stop = training.EarlyStopping("accuracy", patience=2, restore_best_weights=True)
    history = model.fit(x, y, epochs=9, callbacks=[stop], verbose=2)
    reason = "Epoch 3: stopped early: accuracy has not improved for 2 epochs; the best was "
    assert history.stop_reason.startswith(reason)
    assert reason in capsys.readouterr().err
    model.fit(x, y, epochs=9, callbacks=[stop], verbose=0)
    assert capsys.readouterr().err == ""
    model.fit(x, y, epochs=9, callbacks=[training.EarlyStopping("loss", verbose=1)], verbose=0)
    assert "stopped early: loss" in capsys.readouterr().err
    assert (
        model.fit(
            x, y, epochs=2, callbacks=[training.EarlyStopping("loss", patience=5)], verbose=0
        ).stop_reason
        is None
    )


def test_early_stopping_as_keras_has_it():
    assert logged([5, 4, 3, 2], training.EarlyStopping(patience=2, baseline=1))[0] == 3
    late = training.EarlyStopping(patience=1, start_from_epoch=2)
    assert logged([1, 2, 3, 4, 5], late)[0] == 3
    assert (late.best, late.best_epoch, late.stopped_epoch) == (3, 2, 3)
    never = training.EarlyStopping(patience=3)
    logged([3, 2, 1], never)
    assert (never.stopped_epoch, never.wait) == (0, 0)


# --- checkpoints -------------------------------------------------------------------------------------


def test_the_best_is_remembered_from_one_fit_to_the_next(tmp_path):
    path = tmp_path / "best.safetensors"
    best = training.ModelCheckpoint(path, save_best_only=True)
    logged([1], best)
    kept = path.read_bytes()
    logged([5, 4], best)
    assert path.read_bytes() == kept
    assert best.best == 1
    logged([0.5], best)
    assert best.best == 0.5
    first = training.ModelCheckpoint(path, save_best_only=True, initial_value_threshold=0.1)
    path.unlink()
    logged([0.5], first)
    assert not path.exists()


def test_any_model_can_be_checkpointed(tmp_path):
    x, y = blobs(20)
    model, path = classifier(), tmp_path / "model.safetensors"
    model.fit(x, y, callbacks=[training.ModelCheckpoint(path)], verbose=0)
    twin = classifier(5)
    einkorn.load_weights(twin, path)
    assert np.array_equal(twin.predict(x), model.predict(x))
    registered = models.MLP([2, 3])
    registered.compile()
    registered.fit(x, y, callbacks=[training.ModelCheckpoint(path)], verbose=0)
    assert isinstance(einkorn.load(path), models.MLP)


def test_checkpoints_after_batches_and_in_folders_of_their_own(tmp_path, capsys):
    x, y = blobs(20)
    every = training.ModelCheckpoint(tmp_path / "{epoch}" / "{batch}-{loss:.0f}", save_freq=2, verbose=1)
    classifier().fit(x, y, 5, 2, callbacks=[every], verbose=0)
    assert sorted(str(path.relative_to(tmp_path))[:3] for path in tmp_path.rglob("*-*")) == [
        "1/2",
        "1/4",
        "2/2",
        "2/4",
    ]
    assert capsys.readouterr().err.count("saved") == 4


def figures_before(callbacks, **options):
    """The error of a fit that must not begin, after checking that it did not."""
    x, y = blobs(20)
    model, begun = classifier(), []
    note = training.LambdaCallback(on_train_begin=lambda: begun.append(1))
    before = model[0].weight.numpy().copy()
    with pytest.raises(EinkornError) as error:
        model.fit(x, y, callbacks=[note, *callbacks], verbose=0, **options)
    assert begun == []
    assert np.array_equal(model[0].weight.numpy(), before)
    return str(error.value)


def test_what_cannot_be_written_or_watched_is_found_before_the_first_epoch(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for name, message in [
        ("absent/model", "there is no folder"),
        ("file/model", "there is no folder"),
        ("folder", "cannot be written"),
        ("{val_loss}", "cannot be filled in; there is epoch, loss, accuracy"),
        ("{epoch:q}", "cannot be filled in"),
        ("{epoch", "cannot be filled in"),
        ("{}", "cannot be filled in"),
        ("{loss.real.x}", "cannot be filled in"),
        ("{batch}", "cannot be filled in"),
        ("{epoch.__class__}", "cannot be filled in"),
        ("x" * 300, "File name too long"),
    ]:
        assert message in figures_before([training.ModelCheckpoint(tmp_path / name)])
    for path, message in [(None, "filepath is None"), ("a\0b", "no path holds a null character")]:
        with pytest.raises(ArgumentError, match=message):
            training.ModelCheckpoint(path)
    best = training.ModelCheckpoint(tmp_path / "m", "val_los", save_best_only=True)
    assert "monitor is 'val_los', expected one of loss, accuracy" in figures_before([best])
    x, y = blobs(20)
    for callback in (training.EarlyStopping(), training.ModelCheckpoint(tmp_path / "m", save_best_only=True)):
        assert "got no validation data" in figures_before([callback])
    stop = training.EarlyStopping("val_los")
    assert "val_loss, val_accuracy" in figures_before([stop], validation_data=(x, y))
    assert "give mode" in figures_before(
        [training.LearningRateScheduler(lambda epoch: 0.1), training.EarlyStopping("learning_rate")]
    )
    monkeypatch.setattr(os, "access", lambda *arguments: False)
    assert "cannot be written" in figures_before([training.ModelCheckpoint(tmp_path / "m")])


def test_a_figure_that_another_callback_adds_may_be_watched(tmp_path):
    class Add(training.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logs["val_f1"] = [0.1, 0.5, 0.3][epoch]

    x, y = blobs(20)
    stop = training.EarlyStopping("val_f1", patience=1)
    save = training.ModelCheckpoint(tmp_path / "{val_f1}", "val_f1", save_best_only=True)
    history = classifier().fit(x, y, epochs=3, callbacks=[Add(), stop, save], verbose=0)
    assert history.history["val_f1"] == [0.1, 0.5, 0.3]
    assert stop.stopped_epoch == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.1", "0.5"]
    with pytest.raises(CheckpointError):
        classifier().fit(x, y, callbacks=[training.ModelCheckpoint(tmp_path / "no" / "m")], verbose=0)
    assert math.isfinite(history.history["loss"][0])
