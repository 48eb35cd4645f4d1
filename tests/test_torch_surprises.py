"""What a user of torch would be surprised by: numbers beyond a type, ties, rows, states of others."""

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, nn, optim, quantization, training
from einkorn.errors import ArgumentError, CheckpointError, EinkornError, IndexRangeError, ShapeError
from einkorn.nn import functional

torch = pytest.importorskip("torch")

BEYOND = {
    "add": lambda x: x + 300,
    "radd": lambda x: 300 + x,
    "sub": lambda x: x - 300,
    "rsub": lambda x: 300 - x,
    "mul": lambda x: x * 300,
    "floor": lambda x: x // 300,
    "remainder": lambda x: x % 300,
    "and": lambda x: x & 300,
    "or": lambda x: x | -1,
    "eq": lambda x: x == 300,
    "ne": lambda x: x != 300,
    "lt": lambda x: x < 300,
    "ge": lambda x: x >= -1,
    "method": lambda x: x.eq(-212),
    "in place": lambda x: x.clone().add_(300),
}


@pytest.mark.parametrize("name", BEYOND)
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_number_beyond_the_type_is_its_low_bits(name, dtype):
    values = [1, 44, 7, 100]
    wanted = BEYOND[name](torch.tensor(values, dtype=getattr(torch, dtype)))
    got = BEYOND[name](einkorn.tensor(values, dtype=dtype))
    assert got.tolist() == wanted.tolist()
    assert str(wanted.dtype).endswith("." + got.dtype.name)


def test_what_torch_refuses_beyond_the_type_is_refused():
    x = einkorn.tensor([1, 2], dtype="uint8")
    for call in (
        lambda: x.clamp(max=300),
        lambda: x.fill_(300),
        lambda: einkorn.full((2,), 300, dtype="uint8"),
        lambda: einkorn.tensor([300], dtype="uint8"),
        lambda: x.masked_fill(x > 1, 300),
        lambda: einkorn.where(x > 1, x, 300),
        lambda: einkorn.tensor([1]) + 2**64,
        lambda: einkorn.tensor([1]) == 2**64,
    ):
        with pytest.raises(EinkornError, match="beyond the numbers of"):
            call()


def test_the_median_of_all_shares_its_gradient_among_equals():
    for data in ([1.0, 2, 2, 2, 3], [[4.0, 4], [4, 1]], [1.0, np.nan, 3, np.nan], 3.0):
        mine, theirs = Tensor(np.array(data), requires_grad=True), torch.tensor(data, requires_grad=True)
        for name in ("median", "nanmedian"):
            mine.grad = theirs.grad = None
            getattr(mine, name)().backward()
            getattr(theirs, name)().backward()
            np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_integers_are_pooled(rank):
    x = np.random.default_rng(0).integers(-9, 9, (2, 3, *(6,) * rank))
    pool, theirs = (getattr(m, f"max_pool{rank}d") for m in (functional, torch.nn.functional))
    got, places = pool(Tensor(x), 3, 2, 1, return_indices=True)
    wanted, at = theirs(torch.from_numpy(x), 3, 2, 1, return_indices=True)
    assert got.tolist() == wanted.tolist()
    assert np.asarray(places).tolist() == at.tolist()
    assert got.dtype == np.int64
    assert pool(x.astype(np.int8), 2).dtype == np.int8
    with pytest.raises(ArgumentError, match="beyond"):
        pool(np.full((1, 1, *(2,) * rank), 1 << 60), 2)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_places_of_maxima_are_tensors_where_x_is_one(rank):
    x = np.random.default_rng(0).random((2, 3, *(6,) * rank), np.float32)
    pools = {
        f"max_pool{rank}d": (2,), f"adaptive_max_pool{rank}d": (3,),
        **({f"fractional_max_pool{rank}d": (2, 3)} if rank > 1 else {}),
    }  # fmt: skip
    for name, options in pools.items():
        pool = getattr(functional, name)
        tensor, places = pool(Tensor(x), *options, return_indices=True)
        assert type(places) is Tensor
        assert places.dtype == np.int64
        assert not places.requires_grad
        assert type(pool(x, *options, return_indices=True)[1]) is np.ndarray
        back = getattr(functional, f"max_unpool{rank}d")(tensor, places, 2)
        own = getattr(torch.nn.functional, f"max_unpool{rank}d")
        numbers = torch.from_numpy(tensor.numpy()), torch.from_numpy(places.numpy())
        np.testing.assert_array_equal(back.numpy(), own(*numbers, 2).numpy())
    places = functional.max_pool1d(Tensor(np.arange(6).reshape(1, 6)), 2, return_indices=True)[1]
    assert type(places) is Tensor
    assert places.tolist() == [[1, 3, 5]]
    places = functional.adaptive_max_pool1d(Tensor(x.reshape(3, 2, -1)), 0, return_indices=True)[1]
    assert type(places) is Tensor
    assert places.shape == (3, 2, 0)


def test_a_window_of_padding_alone_has_no_place():
    x = Tensor(np.full((1, 1, 1), 3.0, np.float32), requires_grad=True)
    y, places = functional.max_pool1d(x, 2, 4, 1, dilation=2, return_indices=True)
    assert y.tolist() == [[[-np.inf]]]
    assert places.tolist() == [[[-1]]]
    with pytest.raises(ShapeError, match="no size of the output follows, expected output_size"):
        functional.max_unpool1d(y, places, 2, 4, 1)
    back = functional.max_unpool1d(y, places, 2, 4, 1, output_size=(1,))
    assert back.tolist() == [[[0.0]]]  # none is put anywhere, and its gradient is none
    back.sum().backward()
    assert x.grad.tolist() == [[[0.0]]]
    with pytest.raises(IndexRangeError, match="indices has the number -2, expected 0 to 0"):
        functional.max_unpool1d(y, places - 1, 2, 4, 1, output_size=(1,))


def _optimizers():
    layer = nn.Linear(2, 3)
    names = (
        "SGD",
        "Adam",
        "RMSprop",
        "Adagrad",
        "Adadelta",
        "Adamax",
        "NAdam",
        "RAdam",
        "Rprop",
        "Adafactor",
        "LBFGS",
    )
    found = {name: getattr(optim, name)(layer.parameters(), lr=0.1) for name in names}
    return found


@pytest.mark.parametrize("name", _optimizers())
def test_the_state_of_another_optimizer_is_refused(name):
    known = _optimizers()
    state = known[name].state_dict()
    for other, optimizer in known.items():
        if other == name:
            optimizer.load_state_dict(state)
        elif not {other, name} <= {"Adamax", "LBFGS", "Adafactor"} and {other, name} != {"Adamax", "RAdam"}:
            with pytest.raises(ArgumentError, match=f"{other}: load_state_dict got the state of another"):
                optimizer.load_state_dict(state)


def test_a_training_by_another_optimizer_is_not_gone_on_with(tmp_path):
    x, y = np.ones((8, 2), np.float32), np.zeros((8, 3), np.float32)

    def fit(optimizer, model=None):
        model = model or nn.Sequential(nn.Linear(2, 3))
        model.compile(optimizer, "mse")
        keep = training.BackupAndRestore(tmp_path, delete_checkpoint=False)
        model.fit(x, y, epochs=2, verbose=0, callbacks=[keep])

    fit("sgd")
    with pytest.raises(
        CheckpointError, match="a training of Sequential by SGD, and this one is of Sequential by Adam"
    ):
        fit("adam")
    with pytest.raises(CheckpointError, match="of Linear by SGD"):
        fit("sgd", nn.Linear(2, 3))
    fit("sgd")


def test_rows_are_tensors_where_torch_has_them():
    from einkorn.utils.data import DataLoader, Subset, TensorDataset, random_split

    x, y = einkorn.randn(6, 2), einkorn.randint(0, 3, (6,))
    rows = TensorDataset(x, y)
    assert all(isinstance(part, Tensor) for part in (*rows[1], *rows[:2], *rows[[0, 2]], *rows.tensors))
    assert rows[1][1].shape == ()
    layer = nn.Linear(2, 3)
    parts = [rows, Subset(rows, [0, 3]), random_split(rows, [4, 2], einkorn.Generator().manual_seed(0))[0]]
    for part in parts:
        for inputs, wanted in DataLoader(part, batch_size=2, shuffle=True):
            assert isinstance(wanted, Tensor)
            functional.cross_entropy(layer(inputs), wanted).backward()
    assert layer.weight.grad is not None
    (batch,) = DataLoader([{"a": 1.5, "name": "x"}, {"a": 2.5, "name": "y"}], batch_size=2)
    assert isinstance(batch["a"], Tensor)
    assert batch["name"] == ["x", "y"]
    assert list(DataLoader([1, 2], batch_size=2, collate_fn=sum)) == [3]
    model = nn.Sequential(nn.Linear(2, 3))
    model.compile("sgd", "cross_entropy")
    model.fit(DataLoader(rows, batch_size=2), epochs=1, verbose=0)


def test_a_quantized_model_is_evaluated_and_kept(tmp_path):
    x, y = np.ones((4, 4), np.float32), np.zeros((4, 2), np.float32)

    def made():
        return quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)))

    model, again = made(), made()
    model.compile("sgd", "mse", metrics=["mae"])
    figures = model.evaluate(x, y, verbose=0)
    assert len(figures) == 2
    einkorn.save_weights(model, tmp_path / "weights.safetensors")
    einkorn.load_weights(again, tmp_path / "weights.safetensors")
    assert np.array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    with pytest.raises(EinkornError, match="fit: the model has no parameters to train"):
        model.fit(x, y, verbose=0)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: nn.Linear(2, 3).load_state_dict(None), "load_state_dict got a NoneType"),
        (lambda: einkorn.save_weights(nn.Linear(2, 3), None), "save_weights: path is None"),
        (lambda: einkorn.load_weights(nn.Linear(2, 3), None), "load_weights: path is None"),
        (lambda: einkorn.save(nn.Linear(2, 3), 3), "save: path is 3"),
        (lambda: einkorn.load(None), "load: path is None"),
        (lambda: nn.Linear(2, 3)(Tensor(np.ones((1, 2), np.int64))), "float32, float64 or bfloat16"),
    ],
)
def test_errors_name_what_came(call, said):
    with pytest.raises(EinkornError, match=said):
        call()


@pytest.mark.parametrize("loss", [lambda a, b: None, lambda a, b: "x"])
def test_a_loss_that_is_no_number_is_refused(loss):
    model = nn.Sequential(nn.Linear(2, 3))
    model.compile("sgd", loss)
    with pytest.raises(ArgumentError, match="the loss function returned"):
        model.fit(np.ones((4, 2), np.float32), np.zeros((4, 3), np.float32), verbose=0)
