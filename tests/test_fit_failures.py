"""Trainings that go wrong: losses that are not finite, outputs that are no scores, interrupts."""

import math
import re
import warnings

import numpy as np
import pytest
from small_problems import blobs, classifier, rows

import einkorn
from einkorn import nn, ops, optim, training
from einkorn.errors import ArgumentError, NonFiniteError


def state(model):
    return {name: array.copy() for name, array in model.state_dict().items()}


def same(a, b):
    return all(np.array_equal(a[name], b[name]) for name in a)


# --- NaN ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["x", "y"])
def test_a_bad_row_is_named_and_the_weights_before_it_are_kept(where, bad):
    x, y = rows(40, 2), rows(40, 1, seed=1)
    (x if where == "x" else y)[27] = bad
    einkorn.manual_seed(0)
    model, twin = nn.Linear(2, 1), nn.Linear(2, 1)
    twin.load_state_dict(model.state_dict())
    for one in (model, twin):
        one.compile("adam", "mse")
    with pytest.raises(
        NonFiniteError,
        match=rf"loss is \S+ in epoch 1, batch 3, because {where} holds NaN or infinity in 1 of 10 rows of "
        r"the batch, first in row 7",
    ):
        model.fit(x, y, 10, 5, shuffle=False, verbose=0)
    twin.fit(x[:20], y[:20], 10, shuffle=False, verbose=0)
    assert same(state(model), state(twin))
    assert model.history.epoch == []
    assert math.isfinite(model.fit(x[:20], y[:20], 10, verbose=0).history["loss"][0])


@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam])
def test_a_rate_that_is_too_high_leaves_the_last_good_epoch(optimizer):
    x, y = blobs(60)
    model = classifier()
    model.compile(optimizer(model.parameters(), lr=0.01), "mse")
    target = np.eye(3, dtype=np.float32)[y]
    ends = []

    def raise_rate(epoch, rate):
        ends.append(state(model))
        return 1e30 if epoch == 3 else 0.01

    callback = training.LearningRateScheduler(raise_rate)
    closed = training.LambdaCallback(on_train_end=lambda: ends.append("closed"))
    with pytest.raises(NonFiniteError) as error:
        model.fit(x, target, 8, 9, callbacks=[callback, closed], verbose=0)
    text = str(error.value)
    assert re.search(r"in epoch 4, batch \d", text)
    assert "the learning rate, 1e+30, is too high" in text
    assert "on_nan='ignore'" in text
    assert ends.pop() == "closed"
    assert same(state(model), ends[3])
    assert model.history.epoch == [0, 1, 2]
    assert model.training
    model.optimizer.param_groups[0]["lr"] = 0.01
    losses = model.fit(x, target, 8, 3, verbose=0).history["loss"]
    assert losses[-1] < losses[0] < 10


def test_the_last_update_of_all_is_looked_at_too():
    class Root(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(np.zeros(1, np.float32))

        def forward(self, x):
            return ops.sqrt(x * self.w)  # at 0 the value is finite and the slope is not

    model = Root()
    model.compile(optim.SGD(model.parameters(), lr=0.1), "mse")
    with pytest.raises(NonFiniteError, match="w holds NaN or infinity at the end of epoch 1"):
        model.fit(np.ones((2, 1), np.float32), np.ones((2, 1)), verbose=0)
    assert model.w.numpy() == 0


def test_going_on_is_an_option():
    x, y = rows(20, 2), rows(20, 1)
    x[3] = np.nan
    model = nn.Linear(2, 1)
    model.compile("sgd", "mse")
    history = model.fit(x, y, 5, 2, on_nan="ignore", verbose=0)
    assert history.epoch == [0, 1]
    assert np.isnan(history.history["loss"]).all()
    model = nn.Linear(2, 1)
    model.compile("sgd", "mse")
    history = model.fit(x, y, 5, 9, shuffle=False, callbacks=[training.TerminateOnNaN()], verbose=0)
    assert history.epoch == [0]
    assert "x holds NaN" in history.stop_reason
    assert np.isfinite(model.weight.numpy()).all()


# --- probabilities where scores are expected -----------------------------------------------------------


def probabilistic(last, outputs=3, **options):
    einkorn.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16, activation="tanh"), nn.Linear(16, outputs), last)
    model.compile(optim.Adam(model.parameters(), lr=0.02), metrics=["accuracy"], **options)
    return model


@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss(), ops.cross_entropy])
@pytest.mark.parametrize("verb", ["fit", "evaluate"])
def test_a_softmax_before_a_loss_of_scores_is_noticed(loss, verb):
    x, y = blobs(40)
    options = {"verbose": 0}
    with pytest.warns(UserWarning, match=r"ends in a softmax.*from_logits=False"):
        getattr(probabilistic(nn.Softmax(1), loss=loss), verb)(x, y, **options)

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(2, 3)

        def forward(self, x):
            return ops.softmax(self.body(x), 1)

    model = Functional()
    model.compile("sgd", loss)
    with pytest.warns(UserWarning, match="outputs are probabilities.*from_logits=False"):
        getattr(model, verb)(x, y, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(probabilistic(nn.Softmax(1), loss=loss, from_logits=True), verb)(x, y, **options)
        getattr(probabilistic(nn.Identity(), loss=loss), verb)(x, y, **options)
        getattr(probabilistic(nn.LogSoftmax(1), loss=loss), verb)(x, y, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"loss": "cross_entropy", "from_logits": False},
        {"loss": nn.CrossEntropyLoss(), "from_logits": False},
        {"loss": "sparse_categorical_crossentropy"},
        {"loss": "sparse_categorical_crossentropy", "from_logits": False},
        {"loss": "categorical_crossentropy"},
    ],
)
def test_probabilities_train_as_their_scores_do(options):
    x, y = blobs(80)
    target = np.eye(3)[y] if options["loss"] == "categorical_crossentropy" else y
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = probabilistic(nn.Softmax(1), **options)
        history = model.fit(x, target, 16, 6, shuffle=False, validation_data=(x, target), verbose=0).history
        scores = probabilistic(nn.Identity())
        wanted = scores.fit(x, y, 16, 6, shuffle=False, validation_data=(x, y), verbose=0).history
        assert model.evaluate(x, target)[1] > 0.9
    for name, values in wanted.items():
        assert history[name] == pytest.approx(values, rel=2e-3)


def test_keras_names_take_scores_too():
    x, y = blobs(40)
    a, b = classifier(loss="sparse_categorical_crossentropy"), classifier(loss="cross_entropy")
    assert a.fit(x, y, shuffle=False, verbose=0).history == b.fit(x, y, shuffle=False, verbose=0).history


def test_probabilities_that_are_none_and_losses_that_have_no_choice():
    x, y = blobs(40)
    with pytest.raises(ArgumentError, match=r"from_logits=False says .* but there is -"):
        probabilistic(nn.Identity(), loss="cross_entropy", from_logits=False).fit(x, y, verbose=0)
    for loss, flag in [
        ("mse", True),
        ("bce_with_logits", False),
        (nn.BCELoss(), True),
        (lambda a, b: a, True),
    ]:
        with pytest.raises(ArgumentError, match="from_logits is"):
            probabilistic(nn.Identity(), loss=loss, from_logits=flag)
    with pytest.raises(ArgumentError, match="from_logits is 'no'"):
        probabilistic(nn.Identity(), from_logits="no")


def test_two_classes_with_a_single_output():
    x, y = blobs(60, classes=2)
    y = y[:, None]
    with pytest.warns(UserWarning, match="Leave the sigmoid out"):
        probabilistic(nn.Sigmoid(), 1, loss="bce_with_logits").fit(x, y, verbose=0)
    with pytest.warns(UserWarning, match="Leave the sigmoid out"):
        probabilistic(nn.Sigmoid(), 1, loss=nn.BCEWithLogitsLoss()).evaluate(x[:2], y[:2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = probabilistic(nn.Identity(), 1, loss="binary_crossentropy", from_logits=True)
        twin = probabilistic(nn.Identity(), 1, loss="bce_with_logits")
        for one in (model, twin):  # scores that no chance takes for probabilities
            one[1].bias.data[...] = -1.0 - np.abs(one[1].weight.numpy()).sum()
        histories = [one.fit(x, y, shuffle=False, verbose=0).history for one in (model, twin)]
        assert histories[0] == histories[1]


# --- interrupts --------------------------------------------------------------------------------------


def test_an_interrupt_within_a_step_leaves_model_and_history_usable():
    x, y = blobs(40)
    model = classifier()
    model[1].eval()
    calls = []

    class Interrupt(nn.CrossEntropyLoss):
        def forward(self, input, target):
            calls.append(len(target))
            if len(calls) == 6:
                raise KeyboardInterrupt
            return super().forward(input, target)

    model.compile("adam", Interrupt(), metrics=["accuracy"])
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, 10, 9, verbose=0)
    assert model.history.epoch == [0]
    assert {len(values) for values in model.history.history.values()} == {1}
    assert (model.training, model[1].training) == (True, False)
    assert einkorn.autograd.is_grad_enabled()
    assert model.fit(x, y, 10, 2, verbose=0).epoch == [0, 1]
    assert model.predict(x).shape == (40, 3)


def test_an_interrupt_within_the_history_leaves_no_half_line():
    history = training.History()
    history.append(0, {"loss": 1.0, "accuracy": 0.5})
    history.history["loss"].append(2.0)  # where the interrupt came
    history.align()
    assert history.history == {"loss": [1.0], "accuracy": [0.5]}


@pytest.mark.parametrize("event", [name for name in training.callbacks.EVENTS if "predict" not in name])
def test_an_error_in_any_callback_of_fit_comes_through(event):
    def fail(*arguments):
        raise RuntimeError(event)

    x, y = blobs(20)
    model = classifier()
    with pytest.raises(RuntimeError, match=event):
        model.fit(
            x, y, validation_data=(x, y), callbacks=[training.LambdaCallback(**{event: fail})], verbose=0
        )
    assert model.training
    assert model.predict(x).shape == (20, 3)


def test_an_error_while_an_interrupt_is_told_comes_through():
    def interrupt(batch):
        raise KeyboardInterrupt

    def fail():
        raise RuntimeError("at the end")

    x, y = blobs(20)
    callback = training.LambdaCallback(on_train_batch_end=interrupt, on_train_end=fail)
    with pytest.raises(RuntimeError, match="at the end") as error:
        classifier().fit(x, y, callbacks=[callback], verbose=0)
    assert isinstance(error.value.__context__, KeyboardInterrupt)


def test_data_that_run_out_end_the_training_with_a_warning():
    x, y = blobs(16)
    batches = [(x[i : i + 4], y[i : i + 4]) for i in range(0, 16, 4)]
    for options, epochs, words in (
        ({"epochs": 3}, [0], "ran out in epoch 2, before it began"),
        ({"epochs": 3, "steps_per_epoch": 3}, [0, 1], "ran out in epoch 2, after 1 of 3 batches"),
        ({"epochs": 3, "steps_per_epoch": 2}, [0, 1], "ran out in epoch 3, before it began"),
    ):
        seen = []
        model = classifier()
        ends = training.LambdaCallback(on_train_end=lambda logs, seen=seen: seen.append("end"))
        with pytest.warns(UserWarning, match=words):
            history = model.fit(iter(batches), verbose=0, callbacks=[ends], **options)
        assert (history.epoch, seen) == (epochs, ["end"])
        assert all(len(values) == len(epochs) for values in history.history.values())
    with pytest.warns(UserWarning, match="after 4 of 9 batches"):
        figure = model.evaluate(iter(batches), steps=9)
    assert figure == pytest.approx(model.evaluate(x, y), rel=1e-6)
