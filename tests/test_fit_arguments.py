"""The arguments of the five verbs: Keras' names, order and meaning."""

import functools
import inspect
import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from small_problems import blobs, classifier, rows

import einkorn
from einkorn import data, nn, optim, training
from einkorn.errors import ArgumentError, EinkornError, ShapeError

KERAS = {
    "compile": "optimizer loss loss_weights metrics weighted_metrics",
    "fit": "x y batch_size epochs verbose callbacks validation_split validation_data shuffle class_weight "
    "sample_weight initial_epoch steps_per_epoch validation_steps validation_batch_size validation_freq",
    "evaluate": "x y batch_size verbose sample_weight steps callbacks return_dict",
    "predict": "x batch_size verbose steps callbacks",
    "EarlyStopping": "monitor min_delta patience verbose mode baseline restore_best_weights start_from_epoch",
    "ModelCheckpoint": "filepath monitor verbose save_best_only save_weights_only mode save_freq "
    "initial_value_threshold",
    "CSVLogger": "filename separator append",
    "LearningRateScheduler": "schedule verbose",
    "on_epoch_begin": "epoch logs",
    "on_epoch_end": "epoch logs",
    "on_train_begin": "logs",
    "on_train_end": "logs",
    "on_train_batch_begin": "batch logs",
    "on_train_batch_end": "batch logs",
    "on_test_batch_end": "batch logs",
    "on_predict_batch_end": "batch logs",
}


@pytest.mark.parametrize("name", KERAS)
def test_the_order_is_keras(name):
    for owner in (nn.Module, training, training.Callback):
        if hasattr(owner, name):
            parameters = inspect.signature(getattr(owner, name)).parameters.values()
            break
    positional = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    assert positional == KERAS[name].split()


def test_third_and_fourth_are_batch_size_and_epochs():
    x, y = blobs(12)
    seen = []
    count = training.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(batch))
    history = classifier().fit(x, y, 4, 2, 0, [count])
    assert history.epoch == [0, 1]
    assert seen == [0, 1, 2] * 2
    seen.clear()
    classifier().fit(x, y, callbacks=count, verbose=0)
    assert seen == [0]
    assert classifier().fit(x, y, verbose=0, callbacks=None).epoch == [0]


@pytest.mark.parametrize(
    ("n", "share", "held"),
    [
        (10, 0.8, 8),
        (10, 0.2, 2),
        (10, 0.25, 3),
        (100, 0.07, 7),
        (30, 0.1, 3),
        (9, 1 / 3, 3),
        (9, 2 / 3, 6),
        (9, 1 - 1 / 3, 6),
        (1000, np.float32(0.2), 200),
        (7, 0.5, 4),
    ],
)
def test_validation_split_holds_out_its_share(n, share, held):
    x, y = blobs(n)
    x[n - held :] = np.nan
    seen = []
    note = training.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    classifier().fit(x, y, n, validation_split=share, callbacks=[note], verbose=0)
    assert math.isfinite(seen[0]["loss"])
    assert math.isnan(seen[0]["val_loss"])
    x[n - held - 1] = np.nan
    with pytest.raises(einkorn.NonFiniteError, match=rf"in 1 of {n - held} rows"):
        classifier().fit(x, y, n, validation_split=share, verbose=0)


def test_epochs_go_on_from_initial_epoch():
    x, y = blobs(20)
    seen = []
    note = training.LambdaCallback(on_epoch_begin=lambda epoch, logs: seen.append(epoch))
    history = classifier().fit(x, y, epochs=5, initial_epoch=3, callbacks=[note], verbose=0)
    assert history.epoch == seen == [3, 4]
    assert classifier().fit(x, y, epochs=2, initial_epoch=2, verbose=0).epoch == []


def test_steps_of_an_epoch_go_on_in_the_data():
    x = np.arange(10, dtype=np.float32)[:, None]
    seen = []

    class Note(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(1, 1)

        def forward(self, x):
            seen.append(x[:, 0].tolist())
            return self.body(x)

    model = Note()
    model.compile(optim.SGD(model.parameters(), lr=0.0), "mse")
    model.fit(x, x, 4, 3, shuffle=False, steps_per_epoch=2, verbose=0)
    assert [len(batch) for batch in seen] == [4, 4, 2, 4, 4, 2]
    seen.clear()

    def forever():
        while True:
            yield x[:2], x[:2]

    model.fit(forever(), epochs=2, steps_per_epoch=3, verbose=0)
    assert len(seen) == 6
    seen.clear()
    model.fit(x, x, validation_data=(x, x), validation_steps=2, validation_batch_size=3, verbose=0)
    assert seen[1:] == [[0, 1, 2], [3, 4, 5]]
    seen.clear()
    model.evaluate(x, x, 3, steps=2)
    assert model.predict(x, 3, steps=2).shape == (6, 1)
    assert model.predict(data.DataLoader(x, 3), steps=2).shape == (6, 1)
    assert seen == [[0, 1, 2], [3, 4, 5]] * 3


def test_validation_frequency():
    x, y = blobs(20)
    for frequency, wanted in [(2, [1, 3]), ([1, 4], [0, 3]), (9, [])]:
        stop = training.EarlyStopping("val_loss", patience=9)
        history = classifier().fit(
            x, y, epochs=4, validation_data=(x, y), validation_freq=frequency, callbacks=[stop], verbose=0
        )
        assert [i for i, figures in enumerate(history.rows()) if "val_loss" in figures] == wanted
        assert len(history.history.get("val_loss", [])) == len(wanted)  # as Keras has it


def test_bad_arguments_are_refused():
    x, y = blobs(10)
    model = classifier()
    for options, message in [
        ({"initial_epoch": -1}, "initial_epoch is -1"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
        ({"validation_steps": 0}, "validation_steps is 0"),
        ({"validation_batch_size": 0}, "validation_batch_size is 0"),
        ({"validation_freq": 0}, "validation_freq is 0"),
        ({"validation_freq": "all"}, "validation_freq is 'all'"),
        ({"verbose": "loud"}, "verbose is 'loud'"),
        ({"shuffle": "batch"}, "shuffle is 'batch'"),
        ({"on_nan": "stop"}, "on_nan is 'stop'"),
        ({"callbacks": "early"}, "callbacks is 'early'"),
        ({"callbacks": [training.EarlyStopping]}, r"is the class EarlyStopping, expected an instance"),
        ({"epochs": True}, "epochs is True"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            model.fit(x, y, **{"verbose": 0, **options})
    with pytest.raises(ArgumentError, match="steps is 0"):
        model.predict(x, steps=0)
    for call in (lambda: model.fit(verbose=0), model.evaluate):
        with pytest.raises(ArgumentError, match="x is missing"):
            call()


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            nn.CrossEntropyLoss,
            r"loss is the class CrossEntropyLoss, expected an instance, CrossEntropyLoss\(\)",
        ),
        (nn.MSELoss(reduction="none"), "reduction 'none'"),
        (functools.partial(einkorn.ops.mse_loss, reduction="none"), "reduction 'none'"),
        (None, "loss is NoneType"),
    ],
)
def test_losses_that_cannot_be_used(loss, message):
    with pytest.raises(ArgumentError, match=message):
        nn.Linear(2, 3).compile("sgd", loss)
    with pytest.raises(ArgumentError, match="metric is the class MSELoss"):
        nn.Linear(2, 3).compile("sgd", "mse", metrics=[nn.MSELoss])
    torch = pytest.importorskip("torch")
    with pytest.raises(ArgumentError, match=r"loss is torch's MSELoss, expected einkorn\.nn\.MSELoss"):
        nn.Linear(2, 3).compile("sgd", torch.nn.MSELoss())


def test_an_optimizer_of_other_parameters_is_noticed():
    x, y = blobs(10)
    model, other = nn.Sequential(nn.Linear(2, 3)), nn.Linear(2, 3)
    model.compile(optim.SGD(other.parameters(), lr=0.1))
    with pytest.raises(EinkornError, match="none of the model's parameters"):
        model.fit(x, y, verbose=0)
    model.compile("sgd")
    model.append(nn.Linear(3, 3))
    with pytest.raises(EinkornError, match="other parameters than when it was compiled"):
        model.fit(x, y, verbose=0)
    model.compile(optim.SGD(model[1].parameters(), lr=0.1))  # a part of them is meant so
    first = model[0].weight.numpy().copy()
    model.fit(x, y, verbose=0)
    assert_array_equal(model[0].weight.numpy(), first)


# --- data --------------------------------------------------------------------------------------------


class Rows:
    """A dataset of rows by number, which answers for every number, as many do."""

    def __init__(self, x, y):
        self.parts = x, y
        self.asked = []

    def __len__(self):
        return len(self.parts[0])

    def __getitem__(self, number):
        self.asked.append(number)
        return tuple(part[number % len(self)] for part in self.parts)


def test_a_dataset_of_rows_is_one():
    x, y = blobs(23)
    histories, twin = [], classifier()
    for source in (Rows(x, y), data.ArrayDataset(x, y)):
        model = classifier()
        histories.append(model.fit(source, batch_size=8, epochs=2, validation_data=source, verbose=0).history)
        assert model.evaluate(source) == pytest.approx(model.evaluate(x, y))
        assert model.predict(source).shape == (23, 3)
    einkorn.manual_seed(0)
    twin = classifier()
    histories.append(twin.fit(x, y, 8, 2, validation_data=(x, y), verbose=0).history)
    for name, values in histories[0].items():
        assert values == pytest.approx(histories[1][name])
        assert values == pytest.approx(histories[2][name])
    source = Rows(x, y)
    classifier().fit(source, verbose=0)
    assert sorted(source.asked) == list(range(23))
    with pytest.raises(ArgumentError, match="x is a dataset, so y must not be given"):
        model.fit(source, y, verbose=0)
    with pytest.raises(ArgumentError, match="validation_split needs arrays"):
        model.fit(source, validation_split=0.5, verbose=0)
    torch = pytest.importorskip("torch")
    foreign = torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y))
    assert model.evaluate(foreign) == pytest.approx(model.evaluate(x, y))


def test_arrays_that_are_none():
    x, y = blobs(12)
    model = classifier()
    hidden = np.ma.masked_greater(x, 2)
    assert hidden.mask.any()
    for arguments in ((hidden, y), (x, np.ma.masked_equal(y, 0)), (data.DataLoader(Rows(hidden, y), 4),)):
        for verb in (model.fit, model.evaluate):
            with pytest.raises(ArgumentError, match="masked array with"):
                verb(*arguments, verbose=0)
    with pytest.raises(ArgumentError, match="masked array with"):
        model.predict(hidden)
    with pytest.raises(ArgumentError, match="masked array with"):
        data.DataLoader(hidden, 4)
    assert len(model.predict(np.ma.asarray(x))) == 12  # nothing is masked
    for bad, message in [
        (np.array([["a", "b"]] * 12), "x has the type <U1, expected real numbers"),
        (x.astype(object), "x has the type object"),
        (x.astype(complex), "x has the type complex128"),
        ({"a": x}, "x is a dict"),
        (None, "x is"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            model.fit(bad, y, verbose=0)
        with pytest.raises(ArgumentError, match=message):
            model.predict(bad)
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(ArgumentError, match=r"x is csr_\w+, expected an array: call its toarray"):
        model.fit(sparse.csr_array(x), y, verbose=0)


def test_a_list_of_arrays_is_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 1)

        def forward(self, a, b):
            return self.linear(a) + 2 * self.linear(b)

    a, b, y = rows(30, 2), rows(30, 2, seed=1), rows(30, 1, seed=2)
    model = Two()
    model.compile("sgd", "mse")
    model.fit([a, b], y, verbose=0)
    assert model.evaluate([a, b], y) == pytest.approx(model.evaluate((a, b), y))
    assert_array_equal(model.predict([a, b]), model.predict((a, b)))
    one = nn.Linear(2, 1)
    one.compile("sgd", "mse")
    assert one.evaluate(list(a), list(y)) == pytest.approx(one.evaluate(a, y))


# --- memory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [nn.Identity(), nn.Dropout(0.5), nn.Flatten(), nn.Sequential()])
@pytest.mark.parametrize("size", [2, 6, 100])
def test_predictions_have_memory_of_their_own(layer, size):
    x = rows(6, 2, 3)
    for given in (x, data.DataLoader(x, size), data.DataLoader((x, np.zeros(6)), size), [(x,)]):
        kept = x.copy()
        out = layer.predict(given, size)
        assert_array_equal(out.reshape(x.shape), x)
        assert not np.shares_memory(out, x)
        out /= 2
        assert_array_equal(x, kept)

    def reused():
        buffer = np.empty((1, 2, 3), np.float32)
        for row in x:
            buffer[...] = row
            yield (buffer,)

    assert_array_equal(layer.predict(reused()).reshape(x.shape), x)


def test_a_model_cannot_write_into_what_it_is_given():
    class Scale(nn.Module):
        def forward(self, x):
            x /= 255
            return x

    x = rows(6, 2)
    kept = x.copy()
    with pytest.raises(ValueError, match="read-only"):
        Scale().predict(x)
    assert_array_equal(x, kept)


# --- shapes that lack an axis ---------------------------------------------------------------------------


def convolutional():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(72, 3))
    model.compile("sgd")
    return model


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (convolutional, (5, 8, 8), r"x has shape \(5, 8, 8\).*without the axis of channels: x\[:, None\]"),
        (convolutional, (1, 8, 8), r"one image without the axis of rows: x\[None\]"),
        (convolutional, (8, 8), r"one image without the axes of rows and channels"),
        (convolutional, (5, 8, 8, 1), r"x\.transpose\(0, 3, 1, 2\)"),
        (lambda: einkorn.models.LeNet5(), (5, 28, 28), r"expected \(rows, 1, 28, 28\).*x\[:, None\]"),
        (lambda: einkorn.models.LeNet5(), (1, 28, 28), r"expected \(rows, 1, 28, 28\).*x\[None\]"),
        (lambda: einkorn.models.MLP([4, 3]), (4,), r"expected \(rows, 4\): one row without the axis of rows"),
        (lambda: nn.Linear(4, 3), (4,), r"expected|one row without the axis of rows"),
        (lambda: nn.Linear(12, 3), (5, 3, 4), r"x\.reshape\(len\(x\), -1\)"),
    ],
)
def test_a_missing_axis_is_named(make, shape, message):
    model = make()
    x = rows(*shape)
    with pytest.raises(ShapeError, match=message):
        model.predict(x)
    model.compile("sgd")
    with pytest.raises(ShapeError, match=message):
        model.fit(x, np.zeros(len(x), int), verbose=0)
    with pytest.raises(ShapeError, match=message):
        model.evaluate(x, np.zeros(len(x), int))


def test_a_single_row_with_its_axis_is_not_taken_for_one_without():
    model = nn.Sequential(nn.Linear(6, 2), nn.BatchNorm1d(2))
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError, match="more than one value in each channel") as caught:
        model.fit(rows(1, 6), np.zeros((1, 2), np.float32), verbose=0)
    assert "axis of rows" not in str(caught.value)


def test_summary_remembers_the_shape_of_the_rows():
    x, y = blobs(10)
    model, lines = classifier(), []
    model.fit(x, y, verbose=0)
    model.summary(print_fn=lines.append)
    assert "(None, 16)" in lines[0]
    with pytest.raises(ArgumentError, match="input_shape is 100"):
        model.summary(100)
