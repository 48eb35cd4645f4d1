"""compile, fit, evaluate, predict, history and summary."""

import copy
import math
import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_problems import blobs, classifier, rows

import einkorn
from einkorn import data, nn, ops, optim, training
from einkorn.errors import ArgumentError, EinkornError, ShapeError


def test_fit_learns_and_returns_a_history():
    x, y = blobs()
    model = classifier()
    history = model.fit(x, y, epochs=8, batch_size=32, validation_split=0.25, verbose=0)
    assert history is model.history
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history.epoch == list(range(8))
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    assert history.history["val_accuracy"][-1] > 0.9
    assert model.evaluate(x[150:], y[150:]) == pytest.approx(
        [history.history["val_loss"][-1], history.history["val_accuracy"][-1]]
    )


def test_fit_is_repeatable_from_the_seed():
    x, y = blobs()
    runs = []
    for seed in (3, 3, 4):
        model = classifier(seed)
        model.fit(x, y, epochs=2, verbose=0)
        runs.append(model.state_dict()["0.weight"].copy())
    assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


def test_fit_does_what_the_written_out_loop_does():
    x, y = blobs(70)
    model, twin = classifier(), classifier()
    model.fit(x, y, epochs=2, batch_size=32, shuffle=False, verbose=0)
    optimizer = optim.Adam(twin.parameters(), lr=0.02)
    losses = []
    for _ in range(2):
        losses.append(0.0)
        for start in range(0, 70, 32):
            optimizer.zero_grad()
            xb, yb = x[start : start + 32], y[start : start + 32]
            loss = ops.cross_entropy(twin(xb), yb)
            loss.backward()
            optimizer.step()
            losses[-1] += loss.item() * len(xb) / 70
    for key, value in model.state_dict().items():
        assert_array_equal(value, twin.state_dict()[key])
    assert model.history.history["loss"] == pytest.approx(losses)


def test_validation_split_takes_the_last_rows():
    x, y = blobs(10)
    x[8:] = np.nan  # reaches the validation loss and nothing else
    model = classifier()
    history = model.fit(x, y, validation_split=0.2, verbose=0).history
    assert math.isfinite(history["loss"][0])
    assert math.isnan(history["val_loss"][0])


def test_predict_evaluate_and_modes():
    x, y = blobs(50)
    model = nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    model.compile(loss="cross_entropy")
    model[1].eval()  # a part that the user froze stays so
    out = model.predict(x, batch_size=7)
    assert out.shape == (50, 3)
    assert_allclose(out, model.predict(x), atol=1e-6)
    assert isinstance(model.evaluate(x, y), float)
    assert model.evaluate(x, y, return_dict=True).keys() == {"loss"}
    seen = []
    model.fit(
        x,
        y,
        validation_data=(x, y),
        callbacks=[
            training.LambdaCallback(
                on_batch_end=lambda batch, logs: seen.append((model.training, model[1].training))
            )
        ],
        verbose=0,
    )
    assert set(seen) == {(True, False)}
    assert model.training
    assert not model[1].training
    assert model.predict(x[:0]).shape == (0, 3)
    with pytest.raises(ArgumentError, match="predict: the loader gave no batches, expected at least one"):
        model.predict(data.DataLoader(data.TensorDataset(x[:0]), 4))
    assert model.predict(data.DataLoader(data.ArrayDataset(x, y), 16)).shape == (50, 3)
    assert model.predict(data.DataLoader(data.ArrayDataset(x), 16)).shape == (50, 3)


@pytest.mark.parametrize(
    "loss",
    ["cross_entropy", "sparse_categorical_crossentropy", ops.cross_entropy, nn.CrossEntropyLoss()],
)
def test_losses_of_classes(loss):
    x, y = blobs()
    model = classifier(loss=loss)
    history = model.fit(x, y.astype(np.int32), epochs=3, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert not any(isinstance(child, nn.CrossEntropyLoss) for child in model.modules())


def test_one_hot_targets():
    x, y = blobs()
    model, twin = classifier(loss="categorical_crossentropy"), classifier()
    a = model.fit(x, np.eye(3)[y], epochs=2, shuffle=False, verbose=0).history
    b = twin.fit(x, y, epochs=2, shuffle=False, verbose=0).history
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
    assert a["accuracy"] == pytest.approx(b["accuracy"])


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        ("binary_crossentropy", "sigmoid"),
        ("bce_with_logits", None),
        (nn.BCEWithLogitsLoss(), None),
        (ops.binary_cross_entropy, "sigmoid"),
    ],
)
def test_binary_targets(loss, activation):
    x, y = blobs(classes=2)
    einkorn.manual_seed(0)
    model = nn.Linear(2, 1, activation=activation)
    model.compile(optim.Adam(model.parameters(), lr=0.1), loss, metrics=["accuracy"])
    model.fit(x, y[:, None], epochs=10, verbose=0)
    value, accuracy = model.evaluate(x, y[:, None])
    scores = model.predict(x)[:, 0]
    assert accuracy == np.mean((scores >= (0 if activation is None else 0.5)) == (y == 1))
    assert accuracy > 0.95
    assert value < 0.2


@pytest.mark.parametrize("loss", ["mse", "mean_squared_error", "mae", "mean_absolute_error"])
def test_regression_losses_and_metrics(loss):
    x = rows(100, 3)
    y = x @ np.array([[1.0], [2.0], [-1.0]]) + 0.5  # float64: cast to the model's type
    model = nn.Linear(3, 1)
    model.compile("adam", loss, metrics=["mse", "mae"])
    history = model.fit(x, y, verbose=0).history
    assert list(history) == ["loss", "mse", "mae"]
    value, mse, mae = model.evaluate(x, y)
    error = model.predict(x) - y
    assert mse == pytest.approx((error**2).mean(), rel=1e-4)
    assert mae == pytest.approx(abs(error).mean(), rel=1e-4)
    assert value == pytest.approx(mse if loss in ("mse", "mean_squared_error") else mae)


def test_integer_targets_of_a_regression_are_cast():
    x = rows(20, 2)
    model = nn.Linear(2, 1)
    model.compile("sgd", "mse")
    assert model.optimizer.param_groups[0]["lr"] == 0.01
    assert math.isfinite(model.fit(x, np.arange(20)[:, None], verbose=0).history["loss"][0])


def test_a_column_against_a_vector_is_refused():
    model = nn.Linear(2, 1)
    model.compile("sgd", "mse")
    with pytest.raises(ShapeError):
        model.fit(rows(10, 2), rows(10), verbose=0)


def test_averages_are_weighted_by_batch_size():
    x, y = blobs(65)
    model = classifier()
    optimizer = optim.SGD(model.parameters(), lr=0.0)
    model.compile(optimizer, metrics=["accuracy"])
    history = model.fit(x, y, batch_size=32, verbose=0).history
    scores = model.predict(x)
    assert history["loss"][0] == pytest.approx(float(ops.cross_entropy(scores, y)), rel=1e-5)
    assert history["accuracy"][0] == pytest.approx((scores.argmax(1) == y).mean())


def test_accuracy_needs_no_second_forward():
    x, y = blobs(64)
    model, calls = classifier(), []
    model.register_forward_hook(lambda *args: calls.append(1))
    model.fit(x, y, batch_size=32, epochs=2, verbose=0)
    assert len(calls) == 4


def test_accuracy():
    scores = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    assert training.accuracy(scores, np.array([1, 0, 0, 1])) == 0.75
    assert training.accuracy(scores, np.eye(2)[[1, 0, 0, 1]]) == 0.75
    column = np.array([[0.6], [0.2], [0.7], [-0.1]])
    assert training.accuracy(column, np.array([[1], [0], [0], [1]])) == 0.5
    assert training.accuracy(column, np.array([1, 0, 0, 1])) == 0.5
    assert training.accuracy(column, np.array([1, 1, 1, 0]), threshold=0.0) == 1.0
    maps = np.zeros((2, 3, 4, 5))
    maps[:, 1] = 1
    assert training.accuracy(maps, np.ones((2, 4, 5), int)) == 1.0
    with pytest.raises(ShapeError, match=r"output has shape \(4, 2\).*got shape \(3,\)"):
        training.accuracy(scores, np.zeros(3, int))


def test_optimizers_by_name_class_and_instance():
    x, y = blobs()
    for optimizer, kind in [
        ("sgd", optim.SGD),
        ("adam", optim.Adam),
        ("adamw", optim.AdamW),
        (optim.Adam, optim.Adam),
        (lambda params: optim.SGD(params, lr=0.3), optim.SGD),
    ]:
        model = nn.Linear(2, 3)
        model.compile(optimizer)
        assert type(model.optimizer) is kind
        before = model.weight.numpy().copy()
        model.fit(x, y, verbose=0)
        assert (model.weight.numpy() != before).any()


def test_custom_loss_and_metric():
    x, y = rows(40, 2), rows(40, 1, seed=1)
    model = nn.Linear(2, 1)

    def worst(output, target):
        return abs(output - target).max()

    model.compile("sgd", lambda output, target: ((output - target) ** 2).mean(), metrics=[worst])
    history = model.fit(x, y, epochs=2, verbose=0).history
    assert list(history) == ["loss", "worst"]
    assert model.evaluate(x, y)[0] == pytest.approx(((model.predict(x) - y) ** 2).mean(), rel=1e-4)


def test_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 1)

        def forward(self, a, b):
            return self.linear(a + b)

    a, b, y = rows(30, 2), rows(30, 2, seed=1), rows(30, 1, seed=2)
    model = Two()
    model.compile("sgd", "mse")
    model.fit((a, b), y, verbose=0)
    assert model.predict((a, b)).shape == (30, 1)
    assert_allclose(model.predict((a, b)), model.predict((b, a)), atol=1e-6)
    with pytest.raises(ShapeError, match=r"inputs have \[30, 29\] rows"):
        model.fit((a, b[:29]), y, verbose=0)


def test_loaders_as_data():
    x, y = blobs(100)
    model = classifier()
    train = data.DataLoader(data.ArrayDataset(x, y), 16, shuffle=True, seed=1)
    history = model.fit(train, epochs=3, validation_data=train, verbose=0).history
    assert len(history["val_loss"]) == 3
    pairs = [(x[:50].astype(float), y[:50].tolist()), (x[50:], y[50:])]
    assert math.isfinite(classifier().fit(pairs, verbose=0).history["loss"][0])
    torch = pytest.importorskip("torch")
    foreign = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.from_numpy(x), torch.from_numpy(y)), 25
    )
    model.fit(foreign, verbose=0)
    assert model.evaluate(foreign)[1] == pytest.approx(model.evaluate(x, y)[1])


def test_bad_data_is_refused():
    x, y = blobs(10)
    model = classifier()
    for arguments, options, message in [
        ((x, y[:9]), {}, r"x has 10 rows and y has shape \(9,\)"),
        ((x[:0], y[:0]), {}, "x has no rows"),
        ((x,), {}, "y is missing"),
        ((np.float32(3), y), {}, "no axis of rows"),
        ((x, y), {"epochs": -1}, "epochs is -1"),
        ((x, y), {"epochs": 1.5}, "epochs is 1.5"),
        ((x, y), {"batch_size": 0}, "batch_size is 0"),
        ((x, y), {"verbose": 3}, "verbose is 3"),
        ((x, y), {"validation_split": 1.0}, "validation_split is 1.0"),
        ((x, y), {"validation_split": 0.999}, "leaves 0 for training"),
        ((x, y), {"validation_split": 1e-17}, "0 for validation"),
        ((x, y), {"validation_data": x}, r"must be \(x, y\)"),
        ((x, y), {"validation_data": (x, y[:3])}, "validation_data: x has 10 rows"),
        ((x, y), {"callbacks": [print]}, "a callback is"),
        ((iter([(x, y)]), y), {}, "y must not be given"),
        ((iter([]),), {"epochs": 2}, "gave no rows"),
        ((iter([x]),), {}, "must yield tuples"),
        (([(x, y)],), {"validation_split": 0.5}, "validation_split needs arrays"),
    ]:
        with pytest.raises((ArgumentError, ShapeError), match=message):
            model.fit(*arguments, **{"verbose": 0, **options})
    with pytest.raises(EinkornError, match="call compile"):
        nn.Linear(2, 3).fit(x, y)
    with pytest.raises(EinkornError, match="does not depend on any parameter"):
        model.requires_grad_(False).fit(x, y, verbose=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "adagrat"}, "'adagrat', expected an Optimizer or one of sgd, adam, adamw"),
        ({"optimizer": 3}, "optimizer is 3"),
        ({"loss": "crossentropy"}, "expected a function or one of cross_entropy, sparse_"),
        ({"loss": 3}, "loss is int"),
        ({"metrics": ["precisely"]}, "metric is 'precisely'.*accuracy.*precision"),
        ({"metrics": "accuracy"}, "metrics is 'accuracy', expected a list"),
        ({"metrics": [3]}, "metric is int"),
        ({"metrics": ["mse", "mse"]}, "given twice"),
    ],
)
def test_compile_lists_what_is_valid(options, message):
    with pytest.raises(ArgumentError, match=message):
        nn.Linear(2, 3).compile(**options)


# --- what the user sees ------------------------------------------------------------------------


def test_progress(capsys):
    x, y = blobs(40)
    model = classifier()
    model.fit(x, y, epochs=2, validation_split=0.5, verbose=1)
    text = capsys.readouterr().err
    assert "Epoch 1/2" in text
    assert "Epoch 2/2" in text
    assert "val_accuracy=" in text
    model.fit(x, y, epochs=2, verbose=2)
    assert capsys.readouterr().err.count("accuracy=") == 2
    model.fit(x, y, verbose=0)
    captured = capsys.readouterr()
    assert captured.err == captured.out == ""


def test_history_plot_and_repr(tmp_path):
    pytest.importorskip("matplotlib")
    x, y = blobs(40)
    history = classifier().fit(x, y, epochs=2, validation_split=0.5, verbose=0)
    figure = history.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    assert len(figure.axes[0].lines) == 2
    assert repr(history).startswith("History(2 epochs: loss=")
    with pytest.raises(ArgumentError, match="no epochs"):
        training.History().plot()


def test_history_has_each_figure_for_the_epochs_that_had_it(tmp_path):
    history = training.History()
    history.append(0, {"loss": 1.0})
    history.append(1, {"loss": 0.5, "late": 3.0})
    history.append(2, {"late": 4.0})
    assert history.history == {"loss": [1.0, 0.5], "late": [3.0, 4.0]}
    assert history.rows() == [{"loss": 1.0}, {"loss": 0.5, "late": 3.0}, {"late": 4.0}]
    history.to_csv(tmp_path / "h.csv")
    assert (tmp_path / "h.csv").read_text().splitlines() == [
        "epoch,loss,late",
        "1,1.0,",
        "2,0.5,3.0",
        "3,,4.0",
    ]
    again = training.History.from_csv(tmp_path / "h.csv")
    assert (again.epoch, again.history, again.rows()) == (history.epoch, history.history, history.rows())
    line = history.plot().axes[0].lines[0]
    assert line.get_xdata().tolist() == [1, 2]
    history.history["late"].append(5.0)  # what an interrupted append leaves
    history.align()
    assert history.history["late"] == [3.0, 4.0]


def test_summary():
    model = nn.Sequential(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(864, 10))
    model[0].requires_grad_(False)
    lines = []
    model.summary((1, 28, 28), print_fn=lines.append)
    text = lines[0]
    for part in [
        "0 (Conv2d)",
        "(None, 6, 24, 24)",
        "156",
        "(None, 864)",
        "8,650",
        "Total params: 8,806 (34.40 KB)",
        "Trainable params: 8,650",
        "Non-trainable params: 156",
    ]:
        assert part in text
    assert text.index("Conv2d") < text.index("MaxPool2d") < text.index("Linear")
    assert not any(module._forward_hooks for module in model.modules())
    model.summary(print_fn=lines.append)
    assert "?" in lines[1]
    model.summary(example=np.zeros((3, 1, 28, 28), np.float32), print_fn=lines.append)
    assert lines[2] == text


def test_a_compiled_model_is_copied_and_pickled_whole():
    x, y = blobs(40)
    model = classifier(loss=nn.CrossEntropyLoss(np.array([1, 2, 3], np.float32)))
    model.fit(x, y, verbose=0)
    wanted = model.evaluate(x, y)
    weight = model[0].weight.numpy().copy()
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert twin.evaluate(x, y) == wanted
        assert twin.history.history == model.history.history
        twin.fit(x, y, verbose=0)
        assert (twin[0].weight.numpy() != weight).any()
    assert_array_equal(model[0].weight.numpy(), weight)
