"""Callbacks: when they are called, and what each does."""

import csv

import pytest
from small_problems import blobs, classifier

from einkorn import training
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
    assert model.fit(x, y, epochs=3, callbacks=[halve], verbose=0).history["learning_rate"] == [
        0.02,
        0.01,
        0.005,
    ]
    model = classifier()
    schedule = lr_scheduler.StepLR(model.optimizer, step_size=2)
    callback = training.LearningRateScheduler(schedule)
    rates = model.fit(x, y, epochs=3, callbacks=[callback], verbose=0).history["learning_rate"]
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


# --- what Keras calls ----------------------------------------------------------------------------


class Everything(training.Callback):
    def __init__(self):
        self.calls = []


def _note(name):
    def note(self, *arguments):
        self.calls.append((name.removeprefix("on_"), *(a for a in arguments if not isinstance(a, dict))))
        assert isinstance(arguments[-1], dict)

    return note


for _name in training.callbacks.EVENTS:
    setattr(Everything, _name, _note(_name))


def test_every_method_of_keras_is_called():
    x, y = blobs(10)
    model, seen = classifier(), Everything()
    model.fit(x, y, 5, validation_data=(x, y), validation_batch_size=10, callbacks=[seen], verbose=0)
    assert seen.calls == [
        ("train_begin",),
        ("epoch_begin", 0),
        ("train_batch_begin", 0),
        ("train_batch_end", 0),
        ("train_batch_begin", 1),
        ("train_batch_end", 1),
        ("test_begin",),
        ("test_batch_begin", 0),
        ("test_batch_end", 0),
        ("test_end",),
        ("epoch_end", 0),
        ("train_end",),
    ]
    seen.calls.clear()
    model.evaluate(x, y, 5, callbacks=[seen])
    model.predict(x, 5, callbacks=seen)
    assert [call[0] for call in seen.calls] == [
        *("test_begin", *("test_batch_begin", "test_batch_end") * 2, "test_end"),
        *("predict_begin", *("predict_batch_begin", "predict_batch_end") * 2, "predict_end"),
    ]
    called = {"train_begin", "epoch_begin", "train_batch_begin", "train_batch_end", "epoch_end", "train_end"}
    called |= {call[0] for call in seen.calls}
    every = {name.removeprefix("on_") for name in training.callbacks.EVENTS}
    assert every - called == {"batch_begin", "batch_end"}  # the other names of two of them


def test_what_the_logs_hold():
    x, y = blobs(10)
    seen = {}

    class Note(training.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen["batch"] = set(logs)

        def on_test_end(self, logs=None):
            seen["test"] = set(logs)

        def on_train_end(self, logs=None):
            seen["train"] = set(logs)

        def on_predict_batch_end(self, batch, logs=None):
            seen["outputs"] = logs["outputs"].shape

    model = classifier()
    model.fit(x, y, validation_data=(x, y), callbacks=[Note()], verbose=0)
    model.predict(x, callbacks=[Note()])
    own = {"loss", "accuracy"}
    assert seen == {
        "batch": own,
        "test": own,
        "train": own | {"val_loss", "val_accuracy"},
        "outputs": (10, 3),
    }


@pytest.mark.parametrize(
    "name", ["on_train_step_end", "on_epochs_end", "on_validation_end", "on_fit_end", "on_exception"]
)
def test_a_method_that_would_never_be_called_is_refused(name):
    x, y = blobs(10)
    callback = type("Mine", (training.Callback,), {name: lambda self: None})()
    model = classifier()
    for call in (
        lambda: model.fit(x, y, callbacks=[callback]),
        lambda: model.predict(x, callbacks=[callback]),
    ):
        with pytest.raises(
            ArgumentError, match=f"Mine has {name}, which is never called.*on_train_batch_end"
        ):
            call()
    odd = type("Odd", (training.Callback,), {"on_epoch_end": lambda self: None})()
    with pytest.raises(
        ArgumentError, match=r"Odd\.on_epoch_end cannot be called as on_epoch_end\(epoch, logs=None"
    ):
        model.fit(x, y, callbacks=[odd])


def test_training_ends_within_the_epoch_that_says_so():
    x, y = blobs(20)
    seen = []

    class Stop(training.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(batch)
            if batch == 1:
                self.model.stop_training = True

    history = classifier().fit(x, y, 5, 9, 0, [Stop()], validation_data=(x, y))
    assert seen == [0, 1]
    assert history.epoch == [0]
    assert "val_loss" in history.history


def test_a_log_file_that_cannot_be_written_is_refused_at_once(tmp_path):
    x, y = blobs(20)
    with pytest.raises(ArgumentError, match=r"CSVLogger: filename .* cannot be written"):
        classifier().fit(x, y, callbacks=[training.CSVLogger(tmp_path / "absent" / "log.csv")], verbose=0)
