"""Whole models in files: layers, weights, how far the training got; and what such files may not do."""

import json

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from small_problems import rows

import einkorn as ek
from einkorn import checkpoint, keras, models, nn
from einkorn._objects import described, made
from einkorn.errors import ArgumentError, CheckpointError, EinkornError
from einkorn.keras import layers
from einkorn.models import registry


def row_of_layers():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, "relu", kernel_regularizer="l2", kernel_constraint=keras.constraints.MaxNorm(2)),
            layers.BatchNormalization(),
            layers.Dropout(0.2),
            layers.Dense(3, activation="softmax"),
        ]
    )


def unbuilt():
    model = keras.Sequential([layers.Dense(5, "tanh"), layers.Dense(3, "softmax")])
    model(rows(2, 4))
    return model


def graph():
    first = keras.Input((4,), name="first")
    shared = layers.Dense(3)
    one = layers.Dense(3, activation="relu")(first)
    two = shared(first) * 2.0 + keras.ops.relu(one) - first[:, :3]
    three = shared(layers.Concatenate()([one, two])[:, 1:5])
    inner = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    return keras.Model(first, {"a": inner(layers.Add()([two, three])), "b": keras.ops.mean(two, axis=1)})


def steps():
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True), merge_mode="sum")
    cells = layers.RNN([layers.GRUCell(3), layers.SimpleRNNCell(2)])
    return keras.Sequential([keras.Input((2, 2)), both, cells, layers.Dense(3)])


def of_modules():
    return nn.Sequential(
        nn.Linear(4, 8, kernel_regularizer="l2"),
        nn.ReLU(),
        nn.BatchNorm1d(8),
        nn.Dropout(0.1),
        nn.Linear(8, 3),
    )


BUILDERS = [row_of_layers, unbuilt, graph, steps, of_modules, lambda: models.MLP([4, 8, 3])]
NAMES = ["row", "unbuilt", "graph", "steps", "modules", "registered"]


def given_to(model):
    return rows(6, 2, 2) if "RNN" in str(getattr(model, "layers", "")) else rows(6, 4)


def same(one, other):
    if isinstance(one, dict):
        assert list(one) == list(other)
        one, other = one.values(), other.values()
    for left, right in zip(*((v,) if hasattr(v, "shape") else v for v in (one, other)), strict=True):
        assert_array_equal(left, right)


@pytest.mark.parametrize("build", BUILDERS, ids=NAMES)
def test_a_model_comes_back_whole(tmp_path, build):
    model = build()
    model.save(tmp_path / "m.keras")
    x = given_to(model)
    same(ek.load_model(tmp_path / "m.keras").predict(x), model.predict(x))
    same(ek.load(tmp_path / "m.keras").predict(x), model.predict(x))
    other = build()
    other.load_weights(tmp_path / "m.keras")  # the weights of a whole file alone
    same(other.predict(x), model.predict(x))


def trained_on(model):
    x, y = rows(40, 4), np.arange(40) % 3
    return model.fit(x, y, epochs=2, verbose=0).history


@pytest.mark.parametrize(
    "compiled",
    [
        lambda: (row_of_layers(), {"optimizer": keras.optimizers.Adam(0.01, beta_1=0.8)}),
        lambda: (row_of_layers(), {"optimizer": "sgd", "loss": keras.losses.SparseCategoricalCrossentropy()}),
        lambda: (
            row_of_layers(),
            {
                "optimizer": keras.optimizers.SGD(
                    keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), momentum=0.9, clipnorm=1.0
                )
            },
        ),
        lambda: (of_modules(), {"optimizer": "adam", "loss": "cross_entropy", "clipvalue": 0.1}),
        lambda: (lambda m: (m, {"optimizer": ek.optim.RMSprop(m.parameters(), 0.01, momentum=0.5)}))(
            of_modules()
        ),
    ],
    ids=["adam", "loss object", "schedule", "modules", "own optimizer"],
)
def test_the_training_goes_on_bit_for_bit(tmp_path, compiled):
    model, options = compiled()
    loss = "sparse_categorical_crossentropy" if isinstance(model, keras.Model) else "cross_entropy"
    model.compile(**{"loss": loss, "metrics": ["accuracy"], **options})
    trained_on(model)
    model.save(tmp_path / "m.keras")
    again = ek.load_model(tmp_path / "m.keras")
    histories = []
    for one in (model, again):
        ek.manual_seed(5)
        histories.append(trained_on(one))
    assert histories[0] == histories[1]
    for left, right in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        assert_array_equal(left, right)
    assert ek.load_model(tmp_path / "m.keras", compile=False).optimizer is None


def test_without_the_optimizer_the_model_is_not_compiled(tmp_path):
    model = row_of_layers()
    model.compile("adam", "sparse_categorical_crossentropy")
    trained_on(model)
    model.save(tmp_path / "m.keras", include_optimizer=False)
    assert keras.models.load_model(tmp_path / "m.keras").optimizer is None


@pytest.mark.parametrize("build", [row_of_layers, graph, steps], ids=["row", "graph", "steps"])
def test_json_describes_the_layers(build):
    model = build()
    copy = keras.models.model_from_json(model.to_json())
    assert copy.to_json() == model.to_json()
    assert [w.shape for w in copy.get_weights()] == [w.shape for w in model.get_weights()]
    copy.set_weights(model.get_weights())
    same(copy.predict(given_to(model)), model.predict(given_to(model)))


@pytest.mark.parametrize("build", [row_of_layers, graph, steps], ids=["row", "graph", "steps"])
def test_a_clone_has_weights_of_its_own(build):
    model = build()
    before = [w.copy() for w in model.get_weights()]
    copy = keras.models.clone_model(model)
    assert [w.shape for w in copy.get_weights()] == [w.shape for w in before]
    copy.set_weights([w * 0 + 7 for w in copy.get_weights()])
    for left, right in zip(model.get_weights(), before, strict=True):
        assert_array_equal(left, right)


def test_a_clone_takes_other_layers_and_inputs():
    model = row_of_layers()

    def other(layer):
        return (
            layers.Dropout(0.5)
            if isinstance(layer, layers.Dropout)
            else layer.from_config(layer.get_config())
        )

    copy = keras.models.clone_model(model, keras.Input((9,)), other)
    assert copy.layers[2].rate == 0.5
    assert copy.get_weights()[0].shape == (9, 8)


@keras.saving.register_keras_serializable("tests")
class Scaled(layers.Layer):
    def __init__(self, units, factor=1.0, start="ones", **options):
        super().__init__(**options)
        self.units, self.factor, self.start = units, factor, keras.initializers.get(start)

    def build(self, shape):
        self.kernel = self.add_weight((shape[-1], self.units), self.start, name="kernel")

    def call(self, x):
        return keras.ops.matmul(x, self.kernel) * self.factor

    def get_config(self):
        start = keras.initializers.serialize(self.start)
        return {**super().get_config(), "units": self.units, "factor": self.factor, "start": start}


class Plain(layers.Dense):
    """A layer of the library with a habit of its own, and no configuration."""

    def __init__(self, units, times=2, **options):
        super().__init__(units, **options)
        self.times = times

    def call(self, x):
        return super().call(x) * self.times


class Net(nn.Module):
    def __init__(self, width, *sizes, activation=None, names=("a",)):
        super().__init__()
        self.hidden, self.activation = nn.Linear(4, width), activation or nn.ReLU()
        self.heads = nn.ModuleList([nn.Linear(width, size) for size in sizes])

    def forward(self, x):
        return ek.cat([head(self.activation(self.hidden(x))) for head in self.heads], 1)


class Subclassed(keras.Model):
    def __init__(self, units=3, **options):
        super().__init__(**options)
        self.hidden, self.out = layers.Dense(units, "relu"), layers.Dense(3, "softmax")

    def call(self, x):
        return self.out(self.hidden(x))


def test_own_layers_and_models_are_registered_or_handed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_OWN", {})
    path = tmp_path / "m.keras"
    x = rows(5, 4)
    model = keras.Sequential([keras.Input((4,)), Scaled(3, 2.0, "he_normal"), layers.Dense(2)])
    model.save(path)
    same(keras.models.load_model(path).predict(x), model.predict(x))

    model = keras.Sequential([keras.Input((4,)), Plain(3, times=5, activation="tanh", name="mine")])
    model.save(path)
    with pytest.raises(CheckpointError, match=r"m\.keras.*'Plain' is unknown.*custom_objects"):
        keras.models.load_model(path)
    again = keras.models.load_model(path, {"Plain": Plain})
    assert again.layers[0].times == 5
    assert again.layers[0].name == "mine"
    same(again.predict(x), model.predict(x))
    with keras.utils.custom_object_scope({"Plain": Plain}):
        same(keras.models.load_model(path).predict(x), model.predict(x))

    model = Subclassed(7)
    model.predict(x)
    model.save(path)
    same(keras.models.load_model(path, {"Subclassed": Subclassed}).predict(x), model.predict(x))

    assert models.register("a test's net")(Net) is Net
    net = Net(6, 1, 2, activation=nn.Tanh())
    net.save(path)
    again = ek.load(path)
    assert isinstance(again.activation, nn.Tanh)
    assert len(again.heads) == 2
    same(again.predict(x), net.predict(x))
    with pytest.raises(ArgumentError, match="is 'mlp'"):
        models.register("mlp")
    with pytest.raises(ArgumentError, match="expected a class"):
        models.register("other")(3)


def test_adapted_layers_keep_what_they_found(tmp_path):
    scale, words = layers.Normalization(), layers.TextVectorization(output_sequence_length=3)
    scale.adapt(rows(9, 4) * 3 + 1)
    words.adapt(["the cat sat", "the dog"])
    for layer, x in ((scale, rows(2, 4)), (words, np.array(["the dog ran"]))):
        again = made(json.loads(json.dumps(described(layer))))
        assert_array_equal(np.asarray(again(x)), np.asarray(layer(x)))


def test_what_has_no_name_is_refused_and_its_weights_can_be_kept(tmp_path):
    model = keras.Sequential([keras.Input((4,)), layers.Lambda(lambda x: x * 2), layers.Dense(2)])
    with pytest.raises(CheckpointError, match=r"lambda.*save_weights"):
        model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.safetensors")
    model.compile("sgd", "mse")
    kept = keras.callbacks.ModelCheckpoint(tmp_path / "kept.keras")
    model.fit(rows(8, 4), rows(8, 2), verbose=0, callbacks=[kept])
    model.load_weights(tmp_path / "kept.keras")
    with pytest.raises(CheckpointError, match="names no einkorn model"):
        keras.models.load_model(tmp_path / "kept.keras")
    with pytest.raises(CheckpointError, match="HDF5"):
        model.save(tmp_path / "m.h5")
    with pytest.raises(CheckpointError, match="is there already"):
        model.save(tmp_path / "kept.keras", overwrite=False)


def test_every_layer_of_modules_comes_back_or_is_refused_by_name():
    for layer in (
        nn.Conv2d(4, 6, (3, 2), padding="same", groups=2, bias=False),
        nn.ConvTranspose2d(3, 4, 2, 2, output_padding=1),
        nn.Embedding(5, 3, padding_idx=1),
        nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True),
        nn.GroupNorm(2, 4),
        nn.LayerNorm((3, 4), elementwise_affine=False),
        nn.MaxPool2d(3, 2, 1),
        nn.AdaptiveAvgPool2d((1, None)),
        nn.Unflatten(1, (2, 2)),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.PReLU(3),
        nn.Softmax(1),
        nn.ModuleDict({"a": nn.Linear(2, 3, activation="tanh"), "b": nn.Flatten(0)}),
    ):
        again = made(json.loads(json.dumps(described(layer))))
        assert repr(again) == repr(layer)
        assert described(again) == described(layer)
        assert [v.shape for v in again.state_dict().values()] == [
            v.shape for v in layer.state_dict().values()
        ]
    with pytest.raises(ArgumentError, match="cannot be found out"):
        described(nn.MultiheadAttention(4, 2))


# --- files of somebody else's ---------------------------------------------------------------------


def changed(path, change):
    """The same file with another configuration."""
    arrays, metadata = checkpoint._read(path)
    config = json.loads(metadata["config"])
    config = change(config) or config
    checkpoint._write(path, arrays, {**metadata, "config": json.dumps(config)})


def _layer(config, number=1):
    return config["config"]["layers"][number]


HOSTILE = {
    "a module of Python's": (lambda c: _layer(c).update(module="os", class_name="system"), "unknown"),
    "a private name": (lambda c: _layer(c).update(class_name="_numbers"), "unknown"),
    "a function for a class": (lambda c: _layer(c).update(class_name="add"), "no class"),
    "another kind of object": (
        lambda c: _layer(c).update(module="keras.optimizers", class_name="Adam", config={}),
        "got Adam",
    ),
    "an inner module": (lambda c: _layer(c).update(module="keras.src.utils.x", class_name="get"), "unknown"),
    "code": (lambda c: _layer(c).update(class_name="__lambda__", config={"value": "4wAAAA"}), "never run"),
    "a huge layer": (lambda c: _layer(c)["config"].update(units=10**12), "larger model"),
    "a negative size": (lambda c: _layer(c)["config"].update(units=-1), "units is -1"),
    "an argument too many": (lambda c: _layer(c)["config"].update(evil="rm"), "evil"),
    "no layers": (lambda c: c["config"].update(layers=3), "layers is int"),
    "no configuration": (lambda c: _layer(c).update(config=None), "config is None"),
    "no name": (lambda c: _layer(c).update(class_name=["x"]), "expected a text"),
    "an attribute": (lambda c: _layer(c)["config"].update(__class__="x"), "__class__"),
    "nothing": (lambda c: {"x": 1}, "describes dict"),
    "other shapes": (lambda c: _layer(c)["config"].update(units=7), "shape|larger model"),
    "a deep one": (lambda c: _layer(c).update(config=eval("[" * 90 + "]" * 90)), "config is"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_by_name(tmp_path, name):
    change, why = HOSTILE[name]
    path = tmp_path / "m.keras"
    row_of_layers().save(path)
    changed(path, change)
    with pytest.raises(CheckpointError, match=rf"m\.keras: (.|\n)*({why})"):
        keras.models.load_model(path)


def test_a_damaged_graph_is_refused_by_name(tmp_path):
    path = tmp_path / "m.keras"

    def layer(config, name):
        return next(one for one in config["config"]["layers"] if one["name"] == name)

    def circle(config):
        add = next(one for one in config["config"]["layers"] if one["class_name"] == "Add")
        last = config["config"]["output_layers"]["a"]
        add["inbound_nodes"][0]["args"][0][0]["config"]["keras_history"] = last

    for change in (
        circle,
        lambda c: c["config"].update(output_layers=["nobody", 0, 0]),
        lambda c: c["config"].update(input_layers=[["first", 0, 9]]),
        lambda c: layer(c, "multiply").update(config="__import__") if layer(c, "mul") else None,
        lambda c: layer(c, "mul").update(module="os", config="system"),
    ):
        keras.backend.clear_session()
        graph().save(path)
        try:
            changed(path, change)
        except StopIteration:
            continue
        with pytest.raises(CheckpointError, match=r"m\.keras: cannot build"):
            keras.models.load_model(path)


def test_a_damaged_training_is_refused_and_the_model_is_there_without_it(tmp_path):
    path = tmp_path / "m.keras"
    model = row_of_layers()
    model.compile("adam", "sparse_categorical_crossentropy")
    trained_on(model)
    model.save(path)
    arrays, metadata = checkpoint._read(path)
    for change in (
        {"compile": {"optimizer": "evil"}},
        {"state": {"state": 3}},
        {"state": []},
        {"compile": 4},
    ):
        text = json.dumps({**json.loads(metadata["training"]), **change})
        checkpoint._write(path, arrays, {**metadata, "training": text})
        with pytest.raises(CheckpointError, match=r"m\.keras: cannot compile"):
            keras.models.load_model(path)
        same(keras.models.load_model(path, compile=False).predict(rows(3, 4)), model.predict(rows(3, 4)))


def test_every_cut_of_a_file_is_refused(tmp_path):
    path = tmp_path / "m.keras"
    row_of_layers().save(path)
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"m\.keras"):
            keras.models.load_model(path)
    with pytest.raises(CheckpointError, match="no such file"):
        keras.models.load_model(tmp_path / "other.keras")


def test_a_loss_without_a_name_is_left_out_with_a_warning(tmp_path):
    """A method of the model, a lambda: the model is written and read, and compiled again."""

    class Own(keras.Model):
        def __init__(self, **options):
            super().__init__(**options)
            self.dense = layers.Dense(3)

        def call(self, x):
            return self.dense(x)

        def distance(self, y_true, y_pred):
            return ((y_pred - y_true) ** 2).mean()

    x, y = np.ones((8, 4), np.float32), np.ones((8, 3), np.float32)
    model = Own()
    for name, loss in (
        ("distance is a method", model.distance),
        ("a lambda", lambda a, b: ((a - b) ** 2).mean()),
    ):
        model.compile("adam", loss)
        model.fit(x, y, verbose=0)
        with pytest.warns(UserWarning, match=f"without what compile was given, because {name}"):
            model.save(tmp_path / "own.keras")
        again = keras.models.load_model(tmp_path / "own.keras", custom_objects={"Own": Own})
        np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
        with pytest.raises(EinkornError, match="call compile"):
            again.fit(x, y, verbose=0)
        again.compile("adam", again.distance)
        again.fit(x, y, verbose=0)
