"""A user's names and the library's: no layer, parameter, buffer or method collides in silence."""

import copy

import numpy as np
import pytest
from small_problems import blobs

from einkorn import nn, training
from einkorn.errors import ArgumentError, EinkornError

PUBLIC = [name for name in dir(nn.Module) if not name.startswith("__")]
VALUES = {
    "layer": lambda: nn.Linear(2, 3),
    "parameter": lambda: nn.Parameter(np.ones(2, np.float32)),
    "list": lambda: [1, 2],
    "flag": lambda: True,
    "text": lambda: "text",
}


def net(name, value):
    """A network that works, with one more attribute."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Linear(2, 3)
            setattr(self, name, value)

        def forward(self, x):
            return self.body(x)

    return Net()


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize(
    "name", [*PUBLIC, "layers", "loss", "metrics", "fit_", "_layers_", "callbacks", "_x"]
)
def test_every_name_is_refused_or_works_and_stays(name, kind):
    value = VALUES[kind]()
    refused = None
    try:
        model = net(name, value)
    except ArgumentError as error:
        refused = str(error)
    if refused is not None:
        assert f"Net.{name}" in refused
        assert hasattr(nn.Module, name)
        return
    if kind == "flag" and name in ("training", "trainable", "stop_training"):
        return  # what these names are for
    x, y = blobs(20)
    model.compile("sgd", "cross_entropy")
    model.fit(x, y, epochs=2, verbose=0, callbacks=[training.EarlyStopping("loss")])
    model.evaluate(x, y)
    assert getattr(model, name) is value
    keys = {"layer": {f"{name}.weight", f"{name}.bias"}, "parameter": {name}}.get(kind, set())
    assert model.state_dict().keys() == {"body.weight", "body.bias"} | keys
    twin = copy.deepcopy(model)
    assert twin.predict(x).shape == (20, 3)
    assert twin.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize(
    "name", [name for name in PUBLIC if callable(getattr(nn.Module, name)) and name[0] != "_"]
)
def test_layers_and_buffers_of_every_kind_of_assignment(name):
    layer = nn.Linear(1, 1)
    for assign in (
        lambda m: setattr(m, name, layer),
        lambda m: m.add_module(name, layer),
        lambda m: m.register_parameter(name, nn.Parameter(np.ones(1, np.float32))),
        lambda m: m.register_buffer(name, np.ones(1, np.float32)),
    ):
        with pytest.raises(ArgumentError, match=rf"{name}"):
            assign(nn.Module())
    for container in (nn.Sequential, nn.ModuleDict):
        with pytest.raises(ArgumentError, match=name):
            container({name: layer})
    module = nn.Linear(1, 1)
    setattr(module, name, lambda *arguments: "mine")  # a function may take a method's place
    assert getattr(module, name)() == "mine"


def test_history_optimizer_and_stop_training_may_be_layers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.history = nn.Linear(2, 4)
            self.optimizer = nn.Linear(4, 4)
            self.stop_training = nn.Linear(4, 3)

        def forward(self, x):
            return self.stop_training(self.optimizer(self.history(x)))

    class Stop(training.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.stop_training = True

    x, y = blobs(20)
    model = Net()
    model.compile("sgd")
    before = model.history.weight.numpy().copy()
    history = model.fit(x, y, epochs=5, callbacks=[Stop()], verbose=0)
    assert history.epoch == [0]
    assert isinstance(model.stop_training, nn.Linear)
    assert (model.history.weight.numpy() != before).any()
    assert len(list(model.parameters())) == 6
    twin = Net()
    twin.load_state_dict(model.state_dict())
    assert np.array_equal(twin(x).numpy(), model(x).numpy())


def test_what_training_keeps_is_read_and_set_under_its_names():
    model = nn.Linear(2, 3)
    assert (model.history, model.optimizer, model.stop_training) == (None, None, False)
    assert "history" not in vars(model)
    model.compile("sgd")
    mine = model.optimizer
    model.compile("adam")
    model.optimizer = mine
    assert model.optimizer is mine
    model.history = "my own"
    model.fit(*blobs(10), verbose=0)
    assert model.history == "my own"
    del model.history
    assert model.history.epoch == [0]


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("train", lambda self, epochs=3: None),
        ("train", lambda self: None),
        ("parameters", lambda self, group: []),
        ("state_dict", lambda self, path: None),
        ("modules", ["a", "b"]),
        ("apply", lambda self, x, y: None),
        ("eval", 3),
        ("predict", "text"),
        ("_training_state", 1),
        ("_buffers", {}),
    ],
)
def test_a_class_that_breaks_what_the_library_calls_is_refused(name, body):
    with pytest.raises(ArgumentError, match=rf"Mine\.{name}"):
        type("Mine", (nn.Module,), {name: body})


def test_methods_may_be_redefined():
    class Mine(nn.Module):
        optimizer = "adam"  # a setting of the user's

        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))
            self.calls = []

        def forward(self, x):
            return self.body(x)

        def train(self, mode=True):
            super().train(mode)
            self.body[1].train(False)
            return self

        def eval(self):
            self.calls.append("eval")
            return {"accuracy": 1.0}

        def history(self):
            return "mine"

        def predict(self, x, threshold):
            return super().predict(x) > threshold

        def summary(self):
            return "short"

    x, y = blobs(20)
    model = Mine()
    model.train()
    assert not model.body[1].training
    nn.Sequential(model).train()
    assert not model.body[1].training
    model.compile(model.optimizer)
    model.fit(x, y, validation_data=(x, y), verbose=0)
    assert model.calls == []
    assert model.history() == "mine"
    assert model.predict(x, 0.5).dtype == bool


def test_a_property_of_a_class_gets_what_is_assigned():
    class Mine(nn.Module):
        @property
        def rate(self):
            return self._rate

        @rate.setter
        def rate(self, value):
            self._rate = 2 * value

    model = Mine()
    model.rate = 3
    assert model.rate == 6


def test_a_layer_is_not_replaced_by_something_else():
    model = net("head", nn.Linear(1, 1))
    with pytest.raises(ArgumentError, match=r"Net\.head is a module, got int"):
        model.head = 3
    model.head = None
    assert "head.weight" not in model.state_dict()
    for name in ("", "a.b", 3):
        with pytest.raises(ArgumentError, match="expected a string without dots"):
            model.add_module(name, nn.Linear(1, 1))
    with pytest.raises(ArgumentError, match=r"register_buffer: mean is list"):
        model.register_buffer("mean", [1.0])


def test_a_slice_of_layers_grows_without_losing_one():
    layers = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3)))
    part = layers[1:]
    part.append(nn.Linear(2, 5))
    assert [layer.out_features for layer in part] == [2, 2, 5]
    assert part[0] is layers[1]
    assert len(nn.Sequential([nn.ReLU(), nn.ReLU()])) == 2


def test_a_layer_with_two_names():
    shared = nn.Linear(2, 2)
    twice = nn.Sequential(shared, nn.ReLU(), shared)
    assert len(list(twice.children())) == 2
    assert [name for name, _ in twice.named_children()] == ["0", "1"]
    assert len(twice) == 3
    assert [name for name, _ in twice.named_modules(remove_duplicate=False)] == ["", "0", "1", "2"]
    assert [name for name, _ in twice.named_modules({shared}, "net")] == ["net", "net.1"]


def test_trainable_freezes_and_thaws():
    x, y = blobs(40)
    model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 3))
    model[0].trainable = False
    assert not model[0].trainable
    assert model.trainable
    model.compile("sgd")
    first, last = model[0].weight.numpy().copy(), model[1].weight.numpy().copy()
    model.fit(x, y, verbose=0)
    assert np.array_equal(model[0].weight.numpy(), first)
    assert not np.array_equal(model[1].weight.numpy(), last)
    model[0].trainable = True
    model.fit(x, y, verbose=0)
    assert not np.array_equal(model[0].weight.numpy(), first)
    model.trainable = False
    assert not any(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(EinkornError, match="any parameter that requires a gradient"):
        model.fit(x, y, verbose=0)
    with pytest.raises(ArgumentError, match="trainable is 'no'"):
        model.trainable = "no"
    assert nn.ReLU().trainable


@pytest.mark.parametrize(
    ("make", "positional"),
    [
        (nn.CrossEntropyLoss, (None, None, 3, None, "sum", 0.1)),
        (nn.MSELoss, (None, None, "sum")),
        (nn.L1Loss, (None, None, "none")),
        (nn.BCELoss, (None, None, None, "sum")),
        (nn.BCEWithLogitsLoss, (None, None, None, "sum")),
    ],
)
def test_losses_take_torchs_arguments_in_torchs_order(make, positional):
    torch = pytest.importorskip("torch")
    ours, theirs = make(*positional), getattr(torch.nn, make.__name__)(*positional)
    for name in ("reduction", "ignore_index", "label_smoothing"):
        if hasattr(theirs, name):
            assert getattr(ours, name) == getattr(theirs, name)
    assert make(size_average=False).reduction == "sum"
    assert make(reduce=False).reduction == "none"
    with pytest.raises(ArgumentError, match=r"expected True, False or None; use reduction="):
        make(*[None] * (make is nn.CrossEntropyLoss or make.__name__.startswith("BCE")), "sum")
