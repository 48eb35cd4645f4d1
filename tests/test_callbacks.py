"""Callbacks: when they are called, and what each does."""

import csv

import pytest
from small_problems import blobs, classifier

import einkorn
from einkorn import nn, optim, training
from einkorn.errors import ArgumentError, EinkornError
from einkorn.optim import lr_scheduler


class Recorder(training.Callback):
    def __init__(self):
        self.calls = []

    def on_train_begin(self):
        self.calls.append("train{")

    def on_train_end(self):
        self.calls.append("}train")

    def on_epoch_begin(self, epoch):
        self.calls.append(f"epoch{epoch}{{")

    def on_epoch_end(self, epoch, logs):
        self.calls.append(f"}}epoch{epoch} {'+'.join(logs)}")

    def on_batch_begin(self, batch):
        self.calls.append(f"batch{batch}{{")

    def on_batch_end(self, batch, logs):
        self.calls.append(f"}}batch{batch} {'+'.join(logs)}")


def test_callbacks_are_called_in_order():
    x, y = blobs(10)
    recorder = Recorder()
    model = classifier()
    model.fit(x, y, batch_size=5, validation_data=(x, y), callbacks=[recorder], verbose=0)
    assert recorder.calls == [
        "train{",
        "epoch0{",
        "batch0{",
        "}batch0 loss+accuracy",
        "batch1{",
        "}batch1 loss+accuracy",
        "}epoch0 loss+accuracy+val_loss+val_accuracy",
        "}train",
    ]
    assert recorder.model is model
    assert recorder.params == {"epochs": 1, "steps": 2, "verbose": 0}


def test_lambda_callback_refuses_unknown_events():
    with pytest.raises(ArgumentError, match="got on_epoch, expected some of on_train_begin"):
        training.LambdaCallback(on_epoch=print)
    with pytest.raises(ArgumentError, match="expected a function"):
        training.LambdaCallback(on_epoch_end=3)


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


def test_csv_logger(tmp_path):
    x, y = blobs(40)
    path = tmp_path / "log.csv"
    model = classifier()
    history = model.fit(x, y, epochs=3, callbacks=[training.CSVLogger(path)], verbose=0)
    lines = list(csv.reader(path.open()))
    assert lines[0] == ["epoch", "loss", "accuracy"]
    assert [float(line[1]) for line in lines[1:]] == history.history["loss"]
    model.fit(x, y, callbacks=[training.CSVLogger(path, append=True)], verbose=0)
    assert len(path.read_text().splitlines()) == 5
    assert [line[0] for line in lines[1:]] == ["0", "1", "2"]  # as Keras counts there
    history.to_csv(path)
    numbered = [[str(i), *line[1:]] for i, line in enumerate(lines[1:], 1)]  # as bar and picture count
    assert list(csv.reader(path.open())) == [lines[0], *numbered]


def test_learning_rate_scheduler():
    x, y = blobs(40)
    model = classifier()
    halve = training.LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    assert model.fit(x, y, epochs=3, callbacks=[halve], verbose=0).history["lr"] == [0.02, 0.01, 0.005]
    model = classifier()
    schedule = lr_scheduler.StepLR(model.optimizer, step_size=2)
    callback = training.LearningRateScheduler(schedule)
    rates = model.fit(x, y, epochs=3, callbacks=[callback], verbose=0).history["lr"]
    assert rates == pytest.approx([0.02, 0.02, 0.002])
    with pytest.raises(EinkornError, match="another optimizer"):
        classifier().fit(x, y, callbacks=[callback], verbose=0)
    bad = training.LearningRateScheduler(lambda epoch, rate: -1.0)
    with pytest.raises(ArgumentError, match=r"gave -1\.0"):
        model.fit(x, y, callbacks=[bad], verbose=0)
    with pytest.raises(ArgumentError, match="schedule is float"):
        training.LearningRateScheduler(0.1)


def test_an_interrupt_keeps_model_and_history():
    x, y = blobs(40)
    model, recorder = classifier(), Recorder()

    def interrupt(batch, logs):
        if len(model.history.epoch) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.fit(
            x,
            y,
            epochs=9,
            callbacks=[recorder, training.LambdaCallback(on_batch_end=interrupt)],
            verbose=0,
        )
    assert model.history.epoch == [0, 1]
    assert recorder.calls[-1] == "}train"
    assert len(model.history.history["loss"]) == 2
    assert model.fit(x, y, epochs=2, verbose=0).history["loss"][-1] < 1


def test_an_error_in_a_callback_is_not_swallowed():
    def fail(epoch, logs):
        raise RuntimeError("mine")

    x, y = blobs(40)
    with pytest.raises(RuntimeError, match="mine"):
        classifier().fit(x, y, callbacks=[training.LambdaCallback(on_epoch_end=fail)], verbose=0)
