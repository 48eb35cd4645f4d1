"""What fit takes and what it does with it: several inputs and outputs, accumulation, clipping, own steps."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from small_problems import blobs, classifier, rows

import einkorn
from einkorn import nn, ops, optim
from einkorn.errors import ArgumentError, CheckpointError, ShapeError


class Twin(nn.Module):
    """Two inputs and two outputs: three classes, and a number."""

    def __init__(self, keyed=False):
        super().__init__()
        self.body = nn.Linear(2, 8, activation="tanh")
        self.classes = nn.Linear(8, 3)
        self.number = nn.Linear(8, 1)
        self.keyed = keyed

    def forward(self, left, right):
        hidden = self.body(left) + self.body(right)
        both = self.classes(hidden), self.number(hidden)
        return {"kind": both[0], "size": both[1]} if self.keyed else both


def twin(keyed, rate=0.0, **options):
    einkorn.manual_seed(3)
    model = Twin(keyed)
    names = ["kind", "size"]
    loss, weights, metrics = ["cross_entropy", "mse"], [1.0, 0.5], [["accuracy"], ["mae"]]
    if keyed:
        loss, weights, metrics = (dict(zip(names, each, strict=True)) for each in (loss, weights, metrics))
    model.compile(optim.SGD(model.parameters(), lr=rate), loss, weights, metrics, **options)
    return model


@pytest.mark.parametrize("keyed", [False, True])
def test_several_outputs_have_a_loss_and_metrics_each(keyed):
    a, b = rows(37, 2), rows(37, 2, seed=1)
    kind = np.arange(37) % 3
    size = rows(37, 1, seed=2)
    y = {"size": size, "kind": kind} if keyed else [kind, size]
    model = twin(keyed)
    out = model.predict({"right": b, "left": a} if keyed else (a, b))
    scores, numbers = (out["kind"], out["size"]) if keyed else out
    weight = np.arange(37, dtype=np.float32)
    first = float(ops.cross_entropy(scores, kind))
    second = float(((numbers - size) ** 2).mean())
    names = ("kind", "size") if keyed else ("output_1", "output_2")
    wanted = {
        "loss": first + 0.5 * second,
        f"{names[0]}_loss": first,
        f"{names[0]}_accuracy": float((scores.argmax(1) == kind).mean()),
        f"{names[1]}_loss": second,
        f"{names[1]}_mae": float(abs(numbers - size).mean()),
    }
    x = {"left": a, "right": b}
    history = model.fit(x, y, 8, validation_data=(x, y), verbose=0).history
    for name, value in wanted.items():
        assert history[name] == pytest.approx([value], rel=1e-5), name
        assert history[f"val_{name}"] == pytest.approx([value], rel=1e-5), name
    losses = ops.cross_entropy(scores, kind, reduction="none")
    heavy = model.evaluate(x, y, 8, sample_weight=weight, return_dict=True)
    assert heavy[f"{names[0]}_loss"] == pytest.approx(float((losses * weight).mean()), rel=1e-5)
    loader = einkorn.data.DataLoader(list(zip(a, b, strict=True)), 8)
    batches = [
        ((p, q), [kind[i * 8 : i * 8 + 8], size[i * 8 : i * 8 + 8]]) for i, (p, q) in enumerate(loader)
    ]
    if not keyed:
        assert model.evaluate(batches, return_dict=True) == pytest.approx(wanted, rel=1e-5)


def test_gradients_reach_every_output():
    a, b, kind, size = rows(20, 2), rows(20, 2, seed=1), np.arange(20) % 3, rows(20, 1, seed=2)
    model, plain = twin(False, rate=0.1), twin(False)
    model.train_on_batch((a, b), [kind, size])
    scores, numbers = plain(a, b)
    loss = ops.cross_entropy(scores, kind) + 0.5 * ops.mse_loss(numbers, size)
    loss.backward()
    for mine, other in zip(model.parameters(), plain.parameters(), strict=True):
        assert_allclose(mine.numpy(), other.numpy() - 0.1 * other.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_outputs_that_do_not_fit_are_refused():
    a, b, y = rows(6, 2), rows(6, 2), np.zeros(6, int)
    model = twin(False)
    with pytest.raises(ArgumentError, match="expected 2 parts, one for each of the losses"):
        model.fit((a, b), [y, y, y], verbose=0)
    with pytest.raises(ArgumentError, match="several outputs, expected one"):
        model.fit((a, b), [y, rows(6, 1)], class_weight={0: 2.0}, verbose=0)
    with pytest.raises(ArgumentError, match="metrics names depth, expected some of kind, size"):
        Twin(True).compile("sgd", {"kind": "cross_entropy", "size": "mse"}, metrics={"depth": ["mae"]})
    single = Twin()
    single.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="for several outputs give compile a list or dict of losses"):
        single.fit((a, b), rows(6, 1), verbose=0)


class Keyed(nn.Module):
    """Takes one dict, as a Keras model does."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 1)

    def forward(self, parts):
        return self.linear(parts["a"]) + 2 * self.linear(parts["b"])


def test_a_dict_goes_to_a_model_that_takes_one():
    a, b, y = rows(30, 2), rows(30, 2, seed=1), rows(30, 1, seed=2)
    model = Keyed()
    model.compile("sgd", "mse")
    history = model.fit({"a": a, "b": b}, y, 8, 2, validation_split=0.2, verbose=0)
    assert set(history.history) == {"loss", "val_loss"}
    out = model.predict({"b": b, "a": a})
    assert model.evaluate({"a": a, "b": b}, y) == pytest.approx(float(((out - y) ** 2).mean()), rel=1e-5)
    batches = [({"a": a[:9], "b": b[:9]}, y[:9]), ({"a": a[9:], "b": b[9:]}, y[9:])]
    assert model.evaluate(batches) == pytest.approx(model.evaluate({"a": a, "b": b}, y), rel=1e-6)


# --- gradients ---------------------------------------------------------------------------------------


def weights_after(loss, batch, targets, x, **options):
    einkorn.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 8, activation="tanh"), nn.Linear(8, 3))
    model.compile(optim.SGD(model.parameters(), lr=0.3), loss, **options)
    model.fit(x, targets, batch, 2, shuffle=False, verbose=0)
    return np.concatenate([w.ravel() for w in model.get_weights()])


@pytest.mark.parametrize("loss", ["cross_entropy", nn.CrossEntropyLoss(reduction="sum")])
def test_accumulated_gradients_are_those_of_the_large_batch(loss):
    x, y = blobs(45)  # the last small batch is smaller, and the last update has fewer batches
    y[3:9] = -100  # and some rows are ignored
    wanted = weights_after(loss, 20, y, x)
    assert_allclose(weights_after(loss, 5, y, x, gradient_accumulation_steps=4), wanted, rtol=2e-5, atol=1e-6)
    assert abs(weights_after(loss, 5, y, x) - wanted).max() > 1e-2


def test_gradients_are_clipped_before_the_update():
    x = rows(16, 2) * 100
    y = rows(16, 3, seed=1)
    for options, norms in [
        ({"clipnorm": 0.5}, [0.5, 0.5]),
        ({"global_clipnorm": 0.5}, None),
        ({"clipvalue": 0.01}, [0.01 * 6**0.5, 0.01 * 3**0.5]),
    ]:
        einkorn.manual_seed(0)
        model = nn.Linear(2, 3)
        model.compile(optim.SGD(model.parameters(), lr=1.0), "mse", **options)
        before = model.get_weights()
        model.train_on_batch(x, y)
        moved = [b - a for a, b in zip(before, model.get_weights(), strict=True)]
        found = [np.linalg.norm(m) for m in moved]
        if norms is None:
            assert np.hypot(*found) == pytest.approx(0.5, rel=1e-4)
        else:
            assert found[0] == pytest.approx(norms[0], rel=1e-4)
            assert found[1] <= norms[1] * (1 + 1e-4)
    with pytest.raises(ArgumentError, match="clipnorm and clipvalue are given, expected one"):
        model.compile("sgd", clipnorm=1.0, clipvalue=1.0)
    with pytest.raises(ArgumentError, match=r"clipnorm is -1, expected a number above 0"):
        model.compile("sgd", clipnorm=-1)
    with pytest.raises(ArgumentError, match="gradient_accumulation_steps is 0"):
        model.compile("sgd", gradient_accumulation_steps=0)


# --- steps of one's own ------------------------------------------------------------------------------


class Own(nn.Module):
    """Doubles the loss and notes what it is given."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)
        self.seen = []

    def forward(self, x):
        return self.linear(x)

    def train_step(self, data):
        x, y = data
        self.optimizer.zero_grad()
        y_pred = self(x)
        loss = self.compute_loss(x=x, y=y, y_pred=y_pred)
        (2 * loss).backward()
        self.optimizer.step()
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=len(x))
            else:
                metric.update_state(y, y_pred)
        self.seen.append(len(x))
        return {metric.name: metric.result() for metric in self.metrics}


def test_a_train_step_of_ones_own_is_used():
    x, y = blobs(25)
    einkorn.manual_seed(0)
    own = Own()
    plain = nn.Linear(2, 3)
    plain.load_state_dict({"weight": own.linear.weight.data, "bias": own.linear.bias.data})
    own.compile(optim.SGD(own.parameters(), lr=0.1), metrics=["accuracy"])
    plain.compile(optim.SGD(plain.parameters(), lr=0.2), metrics=["accuracy"])
    mine = own.fit(x, y, 10, 3, shuffle=False, verbose=0).history
    other = plain.fit(x, y, 10, 3, shuffle=False, verbose=0).history
    assert own.seen == [10, 10, 5] * 3
    assert mine["loss"] == pytest.approx(other["loss"], rel=1e-5)
    assert mine["accuracy"] == pytest.approx(other["accuracy"])
    assert_allclose(own.linear.weight.numpy(), plain.weight.numpy(), rtol=1e-5, atol=1e-6)


class Noisy(nn.Module):
    """Adds to what the library does."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 3)

    def forward(self, x):
        return self.linear(x)

    def train_step(self, data):
        x, y = data[:2]
        return {**super().train_step((x * 2, y)), "rows": len(x)}

    def test_step(self, data):
        return {**super().test_step(data), "seven": 7}

    def predict_step(self, data):
        return self(data) * 0


def test_steps_may_build_on_those_of_the_library():
    x, y = blobs(24)
    model = Noisy()
    model.compile("sgd", metrics=["accuracy"])
    history = model.fit(x, y, 8, 2, validation_data=(x, y), verbose=0).history
    assert set(history) == {"loss", "accuracy", "rows", "val_loss", "val_accuracy", "val_seven"}
    assert history["val_seven"] == [7, 7]
    plain = nn.Linear(2, 3)
    plain.load_state_dict(model.linear.state_dict())
    plain.compile("sgd", metrics=["accuracy"])
    assert model.evaluate(x, y)[:2] == pytest.approx(plain.evaluate(x, y))
    assert not model.predict(x).any()


def test_batches_one_by_one():
    x, y = blobs(20)
    model, twin_model = classifier(), classifier()
    history = twin_model.fit(x, y, 20, 2, shuffle=False, verbose=0).history
    for epoch in range(2):
        loss, accuracy = model.train_on_batch(x, y)
        assert [loss, accuracy] == pytest.approx([history["loss"][epoch], history["accuracy"][epoch]])
    assert_array_equal(model.predict(x), twin_model.predict(x))
    assert model.test_on_batch(x, y, return_dict=True) == model.evaluate(x, y, return_dict=True)
    assert_array_equal(model.predict_on_batch(x[:3]), model.predict(x[:3]))
    assert model.training
    weights = np.arange(20, dtype=np.float32)
    heavy = model.test_on_batch(x, y, weights)[0]
    losses = ops.cross_entropy(model.predict(x), y, reduction="none")
    assert heavy == pytest.approx(float((losses * weights).mean()), rel=1e-5)
    lazy = classifier(gradient_accumulation_steps=2)
    before = lazy.get_weights()
    lazy.train_on_batch(x[:10], y[:10])
    assert_array_equal(lazy.get_weights()[0], before[0])
    lazy.train_on_batch(x[10:], y[10:])
    reference = classifier()
    reference.train_on_batch(x, y)
    assert_allclose(lazy.get_weights()[0], reference.get_weights()[0], rtol=1e-4, atol=1e-6)


def test_weights_of_whole_models(tmp_path):
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert model.count_params() == 9 + 4 * 3
    kept = model.get_weights()
    model.set_weights([w + 1 for w in kept])
    assert_array_equal(model[0].weight.numpy(), kept[0] + 1)
    with pytest.raises(ArgumentError, match="got 1 arrays, expected 7"):
        model.set_weights(kept[:1])
    with pytest.raises(ShapeError, match=r"0.weight has shape \(3, 2\), got \(2, 3\)"):
        model.set_weights([kept[0].T, *kept[1:]])
    path = tmp_path / "model.safetensors"
    model.save(path)
    with pytest.raises(CheckpointError, match="is there already"):
        model.save(path, overwrite=False)
    other = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    other.load_weights(path)
    assert_array_equal(other[0].weight.numpy(), kept[0] + 1)
    wider = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    with pytest.raises(CheckpointError):
        wider.load_weights(path)
    wider.load_weights(path, skip_mismatch=True)
    assert_array_equal(wider[0].bias.numpy(), kept[1] + 1)
    einkorn.models.MLP([2, 3]).save(path)
    assert type(einkorn.load(path)).__name__ == "MLP"


@pytest.mark.parametrize("metrics", [None, ["accuracy"]])
def test_batches_in_one_call_are_those_of_a_loop_by_hand(metrics):
    x, y = blobs(101, 3)
    x = x.astype(np.float32)
    models = [classifier(3), classifier(3)]
    models[1].load_state_dict(models[0].state_dict())
    first, second = (optim.Adam(model.parameters(), lr=0.01) for model in models)
    models[0].compile(first, "cross_entropy", metrics=metrics)
    history = models[0].fit(x, y, batch_size=16, epochs=3, shuffle=False, verbose=0)
    models[1].train()
    for epoch in range(3):
        total = hits = 0.0
        for begin in range(0, len(x), 16):
            second.zero_grad()
            out = models[1](x[begin : begin + 16])
            loss = ops.cross_entropy(out, y[begin : begin + 16])
            loss.backward()
            second.step()
            total += loss.item() * len(out)
            hits += (out.data.argmax(1) == y[begin : begin + 16]).sum()
        assert history.history["loss"][epoch] == pytest.approx(total / len(x), rel=1e-12)
        if metrics:
            assert history.history["accuracy"][epoch] == hits / len(x)
    for name, value in models[0].state_dict().items():
        assert_array_equal(value, models[1].state_dict()[name])


def test_batches_in_one_call_heed_nan_and_weights():
    x, y = blobs(64, 3)
    x = x.astype(np.float32)
    bad = x.copy()
    bad[40, 0] = np.nan
    model = classifier(3)
    model.compile("sgd", "cross_entropy")
    with pytest.raises(einkorn.NonFiniteError, match="batch 3"):
        model.fit(bad, y, batch_size=16, shuffle=False, verbose=0)
    assert all(np.isfinite(value).all() for value in model.state_dict().values())
    before = {name: np.array(value) for name, value in model.state_dict().items()}
    model.fit(bad, y, batch_size=16, shuffle=False, verbose=0, on_nan="ignore")
    assert all(np.isnan(value).any() for value in model.state_dict().values())
    model.load_state_dict(before)
    # Weights that come with some batches alone.
    parts = [(x[:16], y[:16]), (x[16:32], y[16:32]), (x[32:48], y[32:48], np.ones(16)), (x[48:], y[48:])]
    history = model.fit(parts, verbose=0)
    model.load_state_dict(before)
    other = model.fit([part[:2] for part in parts], verbose=0)
    assert history.history["loss"] == pytest.approx(other.history["loss"], rel=1e-6)
