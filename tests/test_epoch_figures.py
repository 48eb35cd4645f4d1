"""The figures of an epoch are those of all its rows, whatever the batches."""

import functools
import math

import numpy as np
import pytest
from small_problems import blobs, rows

import einkorn
from einkorn import data, nn, ops, optim, training
from einkorn.errors import ArgumentError, IndexRangeError, ShapeError

CLASSES = np.array([0.2, 3.0, 1.0], np.float32)
SIZES = [1, 2, 5, 7, 16, 64]


def frozen(loss, outputs=3, **options):
    """A compiled model that a step does not change."""
    einkorn.manual_seed(1)
    model = nn.Linear(2, outputs)
    model.compile(optim.SGD(model.parameters(), lr=0.0), loss, **options)
    return model


def ignoring(y, seed=3):
    """Targets of which many are ignored: in batches of five, whole batches."""
    y = y.copy()
    y[np.random.default_rng(seed).random(len(y)) < 0.4] = -100
    y[10:20] = -100
    return y


LOSSES = {
    "cross_entropy": lambda: "cross_entropy",
    "weighted": lambda: nn.CrossEntropyLoss(CLASSES),
    "smoothed": lambda: nn.CrossEntropyLoss(CLASSES, label_smoothing=0.2),
    "summed": lambda: nn.CrossEntropyLoss(CLASSES, reduction="sum"),
    "partial": lambda: functools.partial(ops.cross_entropy, weight=CLASSES),
    "zero weight": lambda: nn.CrossEntropyLoss(np.array([0, 0, 1], np.float32)),
    "ignoring class 2": lambda: nn.CrossEntropyLoss(ignore_index=2),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_classes(name, size):
    x, y = blobs(37)
    if name != "ignoring class 2":
        y = ignoring(y)
    loss = LOSSES[name]()
    model = frozen(loss, metrics=["accuracy"])
    scores = model.predict(x)
    function = ops.cross_entropy if isinstance(loss, str) else loss
    wanted = float(function(scores, y))
    counted = (y != -100) & (y != (2 if name == "ignoring class 2" else -100))
    right = float((scores.argmax(1) == y)[counted].mean())
    history = model.fit(x, y, size, validation_data=(x, y), validation_batch_size=size, verbose=0).history
    assert history["loss"] == pytest.approx([wanted], rel=1e-5)
    assert history["val_loss"] == pytest.approx([wanted], rel=1e-5)
    assert history["accuracy"] == history["val_accuracy"] == pytest.approx([right])
    assert model.evaluate(x, y, size) == pytest.approx([wanted, right], rel=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_pixels_and_one_hot_rows(size):
    x, y = rows(11, 2, 3, 4), np.random.default_rng(0).integers(0, 3, (11, 3, 4))
    y[:6] = np.where(rows(6, 3, 4, seed=2) > 0, -100, y[:6])
    y[2] = -100

    class Pixels(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 1)

        def forward(self, x):
            return self.conv(x)

    model = Pixels()
    model.compile(optim.SGD(model.parameters(), lr=0.0), nn.CrossEntropyLoss(CLASSES), metrics=["accuracy"])
    scores = model.predict(x)
    wanted = float(ops.cross_entropy(scores, y, weight=CLASSES))
    right = (scores.argmax(1) == y)[y != -100].mean()
    assert model.evaluate(x, y, size) == pytest.approx([wanted, right], rel=1e-5)
    assert model.evaluate(x, y[:, None], size) == pytest.approx([wanted, right], rel=1e-5)
    model = frozen("categorical_crossentropy")
    x, y = blobs(23)
    for hot in (np.eye(3)[y], np.eye(3, dtype=int)[y], np.eye(3, dtype=bool)[y]):
        assert model.evaluate(x, hot, size) == pytest.approx(float(ops.cross_entropy(model.predict(x), y)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("loss", ["mse", "mae", nn.MSELoss(reduction="sum"), nn.L1Loss()])
def test_losses_of_numbers(loss, size):
    x, y = rows(37, 2), rows(37, 3, seed=1)
    model = frozen(loss, metrics=["mse", "mae"])
    error = model.predict(x) - y
    squared, absolute = (error**2).mean(), abs(error).mean()
    wanted = {"mse": squared, "mae": absolute}.get(loss)
    if wanted is None:
        wanted = (error**2).sum() if isinstance(loss, nn.MSELoss) else absolute
    history = model.fit(x, y, size, verbose=0).history
    assert [history[name][0] for name in ("loss", "mse", "mae")] == pytest.approx(
        [wanted, squared, absolute], rel=1e-5
    )
    assert model.evaluate(x, y, size) == pytest.approx([wanted, squared, absolute], rel=1e-5)


@pytest.mark.parametrize("size", SIZES)
def test_functions_of_the_users(size):
    x, y = rows(37, 2), rows(37, 1, seed=1)

    def rmse(output, target):
        assert len(output) == 37
        return math.sqrt(((output - target) ** 2).mean())

    def each(y_true, y_pred):
        assert (y_true == y).all()
        return abs(y_true - 2 * y_pred).mean(1)

    model = frozen(lambda output, target: ((output - target) ** 2).mean(), 1, metrics=[rmse, each, "mae"])
    output = model.predict(x)
    error = output - y
    wanted = [(error**2).mean(), math.sqrt((error**2).mean()), abs(y - 2 * output).mean(), abs(error).mean()]
    history = model.fit(x, y, size, shuffle=False, verbose=0).history
    assert list(history) == ["loss", "rmse", "each", "mae"]
    assert [values[0] for values in history.values()] == pytest.approx(wanted, rel=1e-5)
    assert model.evaluate(x, y, size) == pytest.approx(wanted, rel=1e-5)


def test_a_loss_function_that_is_named_as_in_keras_gets_the_target_first():
    x, y = rows(20, 2), abs(rows(20, 1, seed=1))

    def loss(y_true, y_pred):
        assert isinstance(y_true, np.ndarray)
        return (y_pred - 3 * y_true) ** 2

    model = frozen(loss, 1)
    assert model.evaluate(x, y) == pytest.approx(float(((model.predict(x) - 3 * y) ** 2).mean()), rel=1e-5)
    model.fit(x, y, verbose=0)


# --- weights of rows ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_sample_weights_are_averaged_as_in_keras(size):
    x, y = blobs(37)
    weight = np.random.default_rng(0).random(37) * 3
    model = frozen("cross_entropy", metrics=["accuracy"], weighted_metrics=["acc"])
    scores = model.predict(x)
    losses = ops.cross_entropy(scores, y, reduction="none")
    right = scores.argmax(1) == y
    wanted = [(losses * weight).mean(), right.mean(), (right * weight).sum() / weight.sum()]
    history = model.fit(
        x, y, size, sample_weight=weight, validation_data=(x, y, weight[:, None]), verbose=0
    ).history
    assert [history[name][0] for name in ("loss", "accuracy", "acc")] == pytest.approx(wanted, rel=1e-5)
    assert [history["val_" + name][0] for name in ("loss", "accuracy", "acc")] == pytest.approx(
        wanted, rel=1e-5
    )
    assert model.evaluate(x, y, size, sample_weight=weight) == pytest.approx(wanted, rel=1e-5)
    loaders = [
        data.DataLoader((x, y, weight), size),
        [((a,), b, w) for a, b, w in data.DataLoader((x, y, weight), size)],
    ]
    for loader in loaders:
        assert model.evaluate(loader) == pytest.approx(wanted, rel=1e-5)
        assert model.predict(loader).shape == (37, 3)


@pytest.mark.parametrize("size", SIZES)
def test_class_weights_are_sample_weights(size):
    x, y = blobs(37)
    weights = {0: 0.5, 2: 4.0}
    rowwise = np.array([weights.get(label, 1.0) for label in y])
    results = []
    for target, options in [
        (y, {"sample_weight": rowwise}),
        (y, {"class_weight": weights}),
        (y[:, None], {"class_weight": weights}),
        (np.eye(3)[y], {"class_weight": weights}),
    ]:
        einkorn.manual_seed(0)
        model = nn.Linear(2, 3)
        model.compile(optim.SGD(model.parameters(), lr=0.1), "categorical_crossentropy")
        history = model.fit(
            x, target, size, 2, shuffle=False, validation_data=(x, target), verbose=0, **options
        ).history
        results.append((history["loss"], history["val_loss"], model.weight.numpy().ravel().tolist()))
    for result in results[1:]:
        for got, wanted in zip(result, results[0], strict=True):
            assert got == pytest.approx(wanted, rel=1e-5)
    loader = data.DataLoader((x, y), size)
    einkorn.manual_seed(0)
    model = nn.Linear(2, 3)
    model.compile(optim.SGD(model.parameters(), lr=0.1), "categorical_crossentropy")
    assert model.fit(loader, epochs=2, class_weight=weights, verbose=0).history["loss"] == pytest.approx(
        results[0][0], rel=1e-5
    )


@pytest.mark.parametrize("loss", ["mse", "mae", "binary_crossentropy", "bce_with_logits"])
def test_weights_of_rows_in_every_loss(loss):
    x, y = rows(20, 2), (rows(20, 1, seed=1) > 0).astype(np.float32)
    weight = np.random.default_rng(0).random(20)
    einkorn.manual_seed(0)
    model = nn.Linear(2, 1, activation="sigmoid" if loss == "binary_crossentropy" else None)
    model.compile(optim.SGD(model.parameters(), lr=0.0), loss)
    function = {
        "mse": ops.mse_loss,
        "mae": ops.l1_loss,
        "binary_crossentropy": ops.binary_cross_entropy,
        "bce_with_logits": ops.binary_cross_entropy_with_logits,
    }[loss]
    losses = function(model.predict(x), y, reduction="none")[:, 0]
    wanted = pytest.approx((losses * weight).mean(), rel=1e-5)
    assert model.evaluate(x, y, 7, sample_weight=weight) == wanted
    assert model.fit(x, y, 7, sample_weight=weight, verbose=0).history["loss"][0] == wanted


def test_rows_of_weight_zero_and_functions_of_losses():
    x, y = rows(20, 2), rows(20, 1, seed=1)
    weight = np.r_[np.zeros(10), np.ones(10)]
    y[:10] = 1e6
    for loss in ("mse", lambda output, target: (output - target) ** 2):
        model = frozen(loss, 1)
        wanted = ((model.predict(x) - y) ** 2)[10:].sum() / 20
        assert model.evaluate(x, y, 8, sample_weight=weight) == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(ArgumentError, match="need one loss per row"):
        frozen(lambda output, target: ((output - target) ** 2).mean(), 1).fit(
            x, y, sample_weight=weight, verbose=0
        )
    assert frozen("mse", 1, loss_weights=3.0).evaluate(x, y) == pytest.approx(
        3 * frozen("mse", 1).evaluate(x, y)
    )
    with pytest.raises(ArgumentError, match="loss_weights is"):
        frozen("mse", 1, loss_weights=["accuracy"])


def test_bad_weights_are_refused():
    x, y = blobs(10)
    model = frozen("cross_entropy")
    for options, message in [
        ({"sample_weight": np.ones(9)}, r"sample_weight has shape \(9,\), expected \(10,\)"),
        ({"sample_weight": -np.ones(10)}, "sample_weight holds -1"),
        ({"sample_weight": np.full(10, np.nan)}, "sample_weight holds nan"),
        ({"class_weight": "balanced"}, "class_weight is 'balanced', expected a dict"),
        ({"class_weight": {0: -1}}, "class_weight is"),
        ({"class_weight": {"a": 1}}, "class_weight is"),
        ({"class_weight": {0: 1}, "sample_weight": np.ones(10)}, "both given"),
    ]:
        with pytest.raises((ArgumentError, ShapeError), match=message):
            model.fit(x, y, verbose=0, **options)
    loader = data.DataLoader((x, y), 4)
    with pytest.raises(ArgumentError, match="let it yield"):
        model.fit(loader, sample_weight=np.ones(10), verbose=0)
    with pytest.raises(ArgumentError, match="the loader yields weights"):
        model.fit(data.DataLoader((x, y, np.ones(10)), 4), class_weight={0: 1}, verbose=0)


# --- batches without anything to learn from --------------------------------------------------------


def test_a_batch_in_which_every_row_is_ignored_changes_nothing():
    x, y = blobs(20)
    y[5:10] = -100
    part = np.r_[0:5, 10:20]
    twins = []
    for rows_ in (np.arange(20), part):
        einkorn.manual_seed(0)
        model = nn.Linear(2, 3)
        model.compile(optim.SGD(model.parameters(), lr=0.5, momentum=0.9), nn.CrossEntropyLoss())
        history = model.fit(x[rows_], y[rows_], 5, 3, shuffle=False, verbose=0).history
        twins.append((history["loss"], model.weight.numpy()))
    assert twins[0][0] == twins[1][0]
    assert np.array_equal(twins[0][1], twins[1][1])


def test_when_every_row_is_ignored_there_is_no_mean():
    x, _ = blobs(20)
    model = frozen("cross_entropy", metrics=["accuracy"])
    assert np.isnan(model.evaluate(x, np.full(20, -100))).all()
    before = model.weight.numpy().copy()
    assert math.isnan(model.fit(x, np.full(20, -100), 5, verbose=0).history["loss"][0])
    assert np.array_equal(model.weight.numpy(), before)
    assert math.isnan(einkorn.training.accuracy(model.predict(x), np.full(20, -100)))


# --- targets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["sparse_categorical_crossentropy", "cross_entropy", nn.CrossEntropyLoss()])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.float32, np.float64])
def test_classes_may_stand_in_a_column_and_be_whole_floats(loss, dtype):
    x, y = blobs(37)
    histories = []
    for target in (y, y.astype(dtype)[:, None]):
        einkorn.manual_seed(0)
        model = nn.Linear(2, 3)
        model.compile("sgd", loss, metrics=["accuracy"])
        histories.append(model.fit(x, target, 8, 2, shuffle=False, verbose=0).history)
    assert histories[0] == histories[1]


def test_targets_that_are_no_classes():
    x, y = blobs(20)
    model = frozen("cross_entropy")
    with pytest.raises(ArgumentError, match=r"y holds numbers such as 0\.5, .* scores of 3 classes"):
        model.fit(x, y + 0.5, verbose=0)
    with pytest.raises(IndexRangeError, match="3 classes"):
        model.fit(x, y + 100, verbose=0)
    with pytest.raises(ShapeError, match="scores of one class"):
        frozen("cross_entropy", 1).fit(x, y, verbose=0)
    words = np.array(["cat", "dog"])[y % 2]
    for labels in (words, words.astype(object), words.tolist()):
        with pytest.raises(ArgumentError, match=r"y holds strings or objects such as '\w+'.*numpy\.unique"):
            model.fit(x, labels, verbose=0)


def test_hits_that_are_counted_later_are_those_of_each_batch():
    x = np.random.default_rng(0).standard_normal((700, 6)).astype(np.float32)
    y = np.random.default_rng(1).integers(0, 3, 700)
    y[5] = -100

    def batches():  # an array that the next batch is written into
        inputs, target = np.empty((10, 6), np.float32), np.empty(10, np.int64)
        for start in range(0, 700, 10):
            inputs[...], target[...] = x[start : start + 10], y[start : start + 10]
            yield inputs, target

    class Loader:
        def __iter__(self):
            return batches()

    class Watch(training.Callback):  # who looks after every batch sees the figures so far
        def on_train_batch_end(self, batch, logs):
            seen.append(logs["accuracy"])

    found = []
    for given, options, callbacks in (
        ((x, y), {"batch_size": 10, "shuffle": False}, []),
        ((x, y), {"batch_size": 10, "shuffle": False}, [Watch()]),
        ((Loader(),), {}, []),
    ):
        seen = []
        einkorn.manual_seed(0)
        model = nn.Linear(6, 3)
        model.compile("sgd", "cross_entropy", metrics=["accuracy"])
        found.append(model.fit(*given, verbose=0, callbacks=callbacks, **options).history)
        assert not callbacks or (len(seen) == 70 and seen[-1] == found[-1]["accuracy"][0])
    assert found[0] == found[1] == found[2]


class Again:
    """What gives a loader's batches and is none."""

    def __init__(self, loader):
        self.loader = loader

    def __iter__(self):
        return iter(self.loader)


@pytest.mark.parametrize("way", ["arrays", "loader", "shuffled", "iterable"])
def test_rows_that_are_left_out_between_epochs_do_not_count(way):
    """Labels that become ignored, with a batch of nothing but these: by each way of plain batches."""
    x = np.random.default_rng(0).normal(size=(24, 5)).astype(np.float32)
    y = np.arange(24) % 3
    model = einkorn.nn.Linear(5, 3)
    model.compile(einkorn.optim.SGD(model.parameters(), lr=0.0), "cross_entropy")
    scores = einkorn.ops.cross_entropy(model(x), y.copy(), reduction="none").numpy()

    class LeaveOut(einkorn.training.Callback):
        def on_epoch_end(self, epoch, logs=None):
            y[4:10] = -100

    loader = einkorn.data.DataLoader((x, y), 4, shuffle=way == "shuffled")
    data = {"arrays": (x, y), "iterable": (Again(loader),)}.get(way, (loader,))
    losses = model.fit(
        *data, batch_size=4, epochs=2, shuffle=False, callbacks=[LeaveOut()], verbose=0
    ).history["loss"]
    assert losses[0] == pytest.approx(scores.mean(), rel=1e-5)
    assert losses[1] == pytest.approx(np.delete(scores, range(4, 10)).mean(), rel=1e-5)
