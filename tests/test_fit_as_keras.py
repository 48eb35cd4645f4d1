"""What Keras' users give to ``compile`` and ``fit``, and what is said of mistakes."""

import numpy as np
import pytest
from small_problems import blobs, classifier

import einkorn as ek
from einkorn import metrics, nn, training
from einkorn.errors import ArgumentError
from einkorn.optim import lr_scheduler


class TwoHeads(nn.Module):
    """A scale and a shift, so that losses can be told by hand."""

    def __init__(self, as_tuple=False):
        super().__init__()
        self.left, self.right = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
        self.as_tuple = as_tuple

    def forward(self, x):
        left, right = self.left(x), self.right(x)
        return (left, right) if self.as_tuple else {"left": left, "right": right}


def rows(count=12):
    rng = np.random.default_rng(0)
    return rng.random((count, 2), np.float32), rng.random((count, 1), np.float32), rng.random(count)


def squares(model, x, y):
    left, right = model.predict(x) if model.as_tuple else model.predict(x).values()
    return ((left - y) ** 2).ravel(), ((right - y) ** 2).ravel()


@pytest.mark.parametrize("as_tuple", [False, True])
def test_each_output_may_have_weights_of_its_own(as_tuple):
    x, y, weight = rows()
    model = TwoHeads(as_tuple)
    names = ("output_1", "output_2") if as_tuple else ("left", "right")
    losses, targets = dict.fromkeys(names, "mse"), dict.fromkeys(names, y)
    weights = {names[0]: weight, names[1]: np.zeros(len(x))}
    if as_tuple:
        losses, targets, weights = (list(each.values()) for each in (losses, targets, weights))
    model.compile("sgd", losses, weighted_metrics=[["mae"], []] if as_tuple else {"left": ["mae"]})
    before = model.right.weight.numpy().copy()
    left, _ = squares(model, x, y)
    found = model.evaluate(x, targets, sample_weight=weights, batch_size=5, verbose=0, return_dict=True)
    assert found[f"{names[0]}_loss"] == pytest.approx((weight * left).sum() / len(x), rel=1e-5)
    assert found[f"{names[1]}_loss"] == 0
    assert found[f"{names[0]}_mae"] == pytest.approx((weight * np.sqrt(left)).sum() / weight.sum(), rel=1e-5)
    model.fit(x, targets, batch_size=5, sample_weight=weights, validation_split=0.25, verbose=0)
    np.testing.assert_array_equal(model.right.weight.numpy(), before)  # weights of 0 teach nothing


def test_outputs_without_weights_count_one():
    x, y, weight = rows()
    model = TwoHeads()
    model.compile("sgd", {"left": "mse", "right": "mse"})
    left, right = squares(model, x, y)
    found = model.evaluate(
        x, {"left": y, "right": y}, sample_weight={"left": weight}, verbose=0, return_dict=True
    )
    assert found["left_loss"] == pytest.approx((weight * left).mean(), rel=1e-5)
    assert found["right_loss"] == pytest.approx(right.mean(), rel=1e-5)
    with pytest.raises(ArgumentError, match="sample_weight has middle, expected some of left, right"):
        model.fit(x, {"left": y, "right": y}, sample_weight={"middle": weight}, verbose=0)
    with pytest.raises(ArgumentError, match="sample_weight has 3 parts, expected 2"):
        model.fit(x, {"left": y, "right": y}, sample_weight=[weight] * 3, verbose=0)


def test_loaders_too_may_give_weights_by_output():
    x, y, weight = rows()
    model = TwoHeads()
    model.compile("sgd", {"left": "mse", "right": "mse"})
    left, right = squares(model, x, y)
    batch = ((x,), {"left": y, "right": y}, {"left": weight})
    found = model.evaluate([batch], verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx((weight * left).mean() + right.mean(), rel=1e-5)


@pytest.mark.parametrize("loss", [{"left": "mse", "right": None}, ["mse", None]])
def test_an_output_without_a_loss_learns_nothing(loss):
    x, y, _ = rows()
    model = TwoHeads(isinstance(loss, list))
    model.compile("sgd", loss)
    before = model.right.weight.numpy().copy()
    history = model.fit(x, [y, y] if model.as_tuple else {"left": y}, verbose=0).history
    assert len(history) == 2
    assert history["loss"][0] == pytest.approx(list(history.values())[1][0])
    np.testing.assert_array_equal(model.right.weight.numpy(), before)
    with pytest.raises(ArgumentError, match="loss has no entries"):
        model.compile("sgd", dict.fromkeys(loss) if isinstance(loss, dict) else [None, None])


def test_one_loss_for_several_targets_says_what_is_wanted():
    x, y, _ = rows()
    model = TwoHeads()
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="a dict of left, right, and compile got one loss"):
        model.fit(x, {"left": y, "right": y}, verbose=0)
    with pytest.raises(ArgumentError, match="a tuple of arrays of several shapes, and compile got one loss"):
        model.fit(x, (y, np.ones((len(x), 3))), verbose=0)


def test_dicts_of_inputs_that_do_not_fit_name_what_does():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, left, right, extra=None):
            return self.layer(left) + self.layer(right)

    x, y, _ = rows()
    model = Pair()
    model.compile("sgd", "mse")
    for wrong in ({"left": x}, {"left": x, "right": x, "middle": x}):
        with pytest.raises(ArgumentError, match="expected left, right, as the model's forward takes them"):
            model.fit(wrong, y, verbose=0)
    assert model.fit({"right": x, "left": x}, y, verbose=0).epoch == [0]


def test_names_of_optimizers_and_losses_as_keras_writes_them():
    x, y, _ = rows()
    for optimizer in ("Adam", "SGD", "RMSprop", "adafactor", "RAdam", "Ftrl", "Muon"):
        model = nn.Linear(2, 1)
        model.compile(optimizer, "MSE", metrics=["MAE"])
        assert list(model.fit(x, y, verbose=0).history) == ["loss", "MAE"]
    with pytest.raises(ArgumentError, match="optimizer is 'nonesuch'"):
        nn.Linear(2, 1).compile("nonesuch", "mse")
    with pytest.raises(ArgumentError, match="or another loss of einkorn"):
        nn.Linear(2, 1).compile("sgd", "nonesuch")


def test_further_losses_of_keras_are_known_by_name(tmp_path):
    x, y, weight = rows()
    model = nn.Sequential(nn.Linear(2, 1))
    model.compile("sgd", "huber")
    off = abs(model.predict(x) - y).ravel()
    each = np.where(off < 1, 0.5 * off**2, off - 0.5)
    assert model.evaluate(x, y, batch_size=5, verbose=0) == pytest.approx(each.mean(), rel=1e-5)
    weighted = model.evaluate(x, y, sample_weight=weight, batch_size=5, verbose=0)
    assert weighted == pytest.approx((weight * each).sum() / len(x), rel=1e-5)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.safetensors")
    again = ek.load_model(tmp_path / "model.safetensors")
    assert again.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


def test_a_metric_with_and_without_weights_has_two_names():
    x, y = blobs(12)
    model = classifier()
    model.compile("sgd", "cross_entropy", metrics=["accuracy"], weighted_metrics=["accuracy"])
    weight = np.arange(12.0)
    found = model.evaluate(x, y, sample_weight=weight, verbose=0, return_dict=True)
    right = model.predict(x).argmax(1) == y
    assert found["accuracy"] == pytest.approx(right.mean())
    assert found["weighted_accuracy"] == pytest.approx((right * weight).sum() / weight.sum())


def test_a_metric_that_gives_nothing_is_named():
    x, y = blobs(12)
    model = classifier()

    def nothing(output, target):
        return None

    model.compile("sgd", "cross_entropy", metrics=[nothing])
    with pytest.raises(ArgumentError, match="nothing gave NoneType, expected a number"):
        model.fit(x, y, verbose=0)


def test_data_frames_of_any_numbers():
    pandas = pytest.importorskip("pandas")
    x, y = blobs(12)
    wide = pandas.DataFrame({"a": x[:, 0], "b": np.arange(12) % 2 == 0})
    for frame in (wide, wide.convert_dtypes(), wide.astype({"a": "Float32", "b": "boolean"})):
        array = np.stack([x[:, 0], np.arange(12) % 2 == 0], 1).astype(np.float32)
        model = classifier()
        found = model.evaluate(frame, pandas.Series(y).convert_dtypes(), verbose=0)
        assert found == model.evaluate(array, y, verbose=0)
    with pytest.raises(ArgumentError, match=r"x has columns that hold no numbers: c \("):
        classifier().fit(wide.assign(c="text"), y, verbose=0)
    missing = wide.convert_dtypes()
    missing.loc[3, "a"] = pandas.NA
    assert np.isnan(classifier().predict(missing)[3]).any()


def test_a_generator_function_is_told_from_a_generator():
    def batches():
        yield blobs(4)

    with pytest.raises(ArgumentError, match=r"x is a function: give what it gives, x\(\)"):
        classifier().fit(batches, verbose=0)
    assert classifier().fit(batches(), verbose=0).epoch == [0]


# --- callbacks ----------------------------------------------------------------------------------


def test_csv_lines_go_below_the_names_of_the_file(tmp_path):
    x, y = blobs(12)
    model = classifier()
    path = tmp_path / "log.csv"
    path.write_text("epoch,accuracy,loss\n0,0.25,0.5")  # Keras' order, and no end of the line
    history = model.fit(
        x, y, epochs=2, initial_epoch=1, verbose=0, callbacks=[training.CSVLogger(path, append=True)]
    ).history
    lines = path.read_text().splitlines()
    assert lines[:2] == ["epoch,accuracy,loss", "0,0.25,0.5"]
    assert lines[2] == f"1,{history['accuracy'][0]},{history['loss'][0]}"


def test_csv_files_that_do_not_fit_are_refused_before_training(tmp_path):
    x, y = blobs(12)
    path = tmp_path / "log.csv"
    path.write_text("epoch,loss,accuracy\n0,0.5,0.25\n")
    before = path.read_text()
    for options, message in (
        ({"separator": ";"}, "begins with 'epoch,loss,accuracy'"),
        ({}, "columns for loss, accuracy and none for val_loss, val_accuracy"),
    ):
        model = classifier()
        logger = training.CSVLogger(path, append=True, **options)
        with pytest.raises(ArgumentError, match=message):
            model.fit(x, y, validation_data=(x, y), verbose=0, callbacks=[logger])
        assert path.read_text() == before
    for separator in ("", ",,", None):
        with pytest.raises(ArgumentError, match="expected one character"):
            training.CSVLogger(path, separator)


def test_csv_has_columns_for_a_validation_that_comes_later(tmp_path):
    x, y = blobs(12)
    path = tmp_path / "log.csv"
    classifier().fit(
        x,
        y,
        epochs=2,
        validation_data=(x, y),
        validation_freq=2,
        verbose=0,
        callbacks=[training.CSVLogger(path)],
    )
    lines = [line.split(",") for line in path.read_text().splitlines()]
    assert lines[0] == ["epoch", "loss", "accuracy", "val_loss", "val_accuracy"]
    assert lines[1][3:] == ["", ""]
    assert all(lines[2])


def test_csv_says_which_figures_it_leaves_out(tmp_path):
    class Late(training.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch:
                logs["late"] = 1.0

    x, y = blobs(12)
    with pytest.warns(UserWarning, match="has no columns for late: they are left out"):
        classifier().fit(
            x, y, epochs=3, verbose=0, callbacks=[Late(), training.CSVLogger(tmp_path / "log.csv")]
        )


def test_two_runs_of_one_second_leave_two_event_files(tmp_path):
    pytest.importorskip("tensorboardX")
    x, y = blobs(12)
    for _ in range(3):
        classifier().fit(x, y, verbose=0, callbacks=[training.TensorBoard(tmp_path)])
    assert len(list((tmp_path / "train").iterdir())) == 3


def test_figures_to_begin_with_are_numbers(tmp_path):
    with pytest.raises(ArgumentError, match="baseline is 'x', expected a number or None"):
        training.EarlyStopping(baseline="x")
    with pytest.raises(ArgumentError, match="initial_value_threshold is 'x'"):
        training.ModelCheckpoint(tmp_path / "a.safetensors", initial_value_threshold="x")


# --- metrics and schedules ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [metrics.Precision, metrics.Recall])
def test_ways_to_average_are_no_thresholds(kind):
    with pytest.raises(ArgumentError, match="thresholds is 'micro', expected a number: average= takes"):
        kind("micro")
    with pytest.raises(ArgumentError, match="class_id is -1"):
        kind(class_id=-1)
    far = kind(class_id=3)
    with pytest.raises(ArgumentError, match="class_id is 3, expected 0 to 1"):
        far([0, 1], [0.1, 0.9])
    with pytest.raises(ArgumentError, match="threshold is"):
        metrics.BinaryAccuracy(threshold="x")
    with pytest.raises(ArgumentError, match="threshold is"):
        metrics.F1Score(None, "macro")


@pytest.mark.parametrize(
    "make",
    [
        metrics.AUC,
        lambda: metrics.AUC("PR"),
        metrics.BinaryAccuracy,
        metrics.Precision,
        metrics.F1Score,
        metrics.MeanAbsoluteError,
        metrics.RootMeanSquaredError,
        metrics.R2Score,
        metrics.ExpectedCalibrationError,
    ],
)
def test_batches_without_rows_change_nothing(make):
    y, score, weight = np.array([0.0, 1, 1, 0]), np.array([0.2, 0.7, 0.4, 0.5]), np.array([1.0, 2, 3, 4])
    none = np.zeros(0)
    one, other = make(), make()
    one.update_state(none, none, none)
    first = one.result()  # NaN, or 0 as before the first row
    assert np.isnan(first).all() or not np.any(first)
    for part in (slice(0, 3), slice(3, 3), slice(3, 4)):
        one.update_state(y[part], score[part], weight[part])
    other.update_state(y, score, weight)
    np.testing.assert_allclose(one.result(), other.result(), rtol=1e-12)


def test_states_of_schedules_that_lack_entries():
    optimizer = ek.optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    for schedule in (
        lr_scheduler.StepLR(optimizer, 3),
        lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(optimizer, 3)]),
    ):
        with pytest.raises(ArgumentError, match="load_state_dict got no"):
            schedule.load_state_dict({})
    two = lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(optimizer, 3) for _ in range(2)])
    with pytest.raises(ArgumentError, match="has 1 schedules, expected 2"):
        two.load_state_dict(lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(optimizer, 3)]).state_dict())


def test_tensorboard_reads_the_graph(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.proto.graph_pb2 import GraphDef

    x, y = blobs(12)
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 4), nn.ReLU()), nn.Linear(4, 3))
    model.compile("sgd", "cross_entropy")
    model.fit(x, y, verbose=0, callbacks=[training.TensorBoard(tmp_path)])
    (path,) = (tmp_path / "train").iterdir()
    data, graphs = path.read_bytes(), []
    while data:  # length, its checksum, the event, its checksum
        size = int.from_bytes(data[:8], "little")
        graphs.append(Event.FromString(data[12 : 12 + size]).graph_def)
        data = data[16 + size :]
    (text,) = filter(None, graphs)
    nodes = GraphDef.FromString(text).node
    assert [(node.name, node.op, list(node.input)) for node in nodes] == [
        ("input", "Placeholder", []),
        ("0/0", "Linear", ["input"]),
        ("0/1", "ReLU", ["0/0"]),
        ("1", "Linear", ["0/1"]),
    ]
    assert nodes[1].attr["weight"].s == b"(4, 2) float32"


def test_data_that_were_read_already_say_so():
    x, y = blobs(12)
    with pytest.raises(ArgumentError, match="read to its end already"):
        classifier().fit(x, y, epochs=2, validation_data=iter([(x, y)]), verbose=0)
    used = iter([(x, y)])
    classifier().evaluate(used, verbose=0)
    for call in (
        classifier().evaluate,
        classifier().fit,
        lambda data, **_: training.lr_range_test(classifier(), data),
    ):
        with pytest.raises(ArgumentError, match="read to its end already"):
            call(used, verbose=0)


def test_what_is_no_probability_has_no_entropy():
    from einkorn import bayes

    samples = np.full((2, 3, 4), 0.25)
    np.testing.assert_allclose(bayes.predictive_entropy(samples), np.log(4))
    for entropy in (bayes.predictive_entropy, bayes.mutual_information, bayes.mean_probability):
        with pytest.raises(ArgumentError, match=r"adds up to 0\.5 over"):
            entropy(samples / 2)


@pytest.mark.parametrize("name", ["he_normal", "zeros", "GlorotUniform", "orthogonal"])
def test_initializers_by_name_take_shapes(name):
    from einkorn.keras import initializers

    made = initializers.get(name)
    assert made((3, 5)).shape == (3, 5)
    assert initializers.get(made) is made or type(initializers.get(made)) is type(made)
    assert initializers.get(initializers.HeNormal(seed=3)).seed == 3


def test_what_callbacks_put_into_the_logs_are_numbers(tmp_path):
    class Puts(training.Callback):
        def __init__(self, value):
            self.value = value

        def on_epoch_end(self, epoch, logs=None):
            logs["mine"] = self.value

    x, y = blobs(12)
    for value, message in (
        ("text", "mine is 'text'"),
        (np.arange(3), r"mine has shape \(3,\)"),
        (None, "None"),
    ):
        for more in ([], [training.TensorBoard(tmp_path)]):
            with pytest.raises(ArgumentError, match=message):
                classifier().fit(x, y, epochs=2, verbose=0, callbacks=[Puts(value), *more])
    for value in (2, np.float32(2), np.array([2.0]), ek.tensor(2.0)):
        history = classifier().fit(x, y, verbose=0, callbacks=[Puts(value), training.TensorBoard(tmp_path)])
        assert history.history["mine"] == [2.0]
    assert history.params == {"epochs": 1, "steps": 1, "verbose": 0}


def test_a_hook_that_would_get_the_epoch_as_its_logs_is_refused():
    class Wrong(training.Callback):
        def on_epoch_end(self, logs):
            raise AssertionError("never called")

    x, y = blobs(12)
    with pytest.raises(
        ArgumentError, match=r"on_epoch_end cannot be called as on_epoch_end\(epoch, logs=None"
    ):
        classifier().fit(x, y, verbose=0, callbacks=[Wrong()])
