"""New Tensors: torch's names, arguments and types; and the same stream of random numbers as ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import Tensor
from einkorn.errors import ArgumentError, DTypeError, EinkornError, ShapeError

CALLS: dict[str, Callable[[Any], Any]] = {
    "zeros": lambda e: e.zeros(2, 3),
    "zeros tuple": lambda e: e.zeros((2, 3)),
    "zeros scalar": lambda e: e.zeros(()),
    "zeros empty": lambda e: e.zeros(0, 3),
    "ones": lambda e: e.ones(2, dtype=e.ones(1).long().dtype),
    "full": lambda e: e.full((2, 2), 3.5),
    "full int": lambda e: e.full((2,), 3),
    "full bool": lambda e: e.full((2,), True),
    "eye": lambda e: e.eye(3),
    "eye wide": lambda e: e.eye(2, 4),
    "arange": lambda e: e.arange(5),
    "arange from": lambda e: e.arange(2, 11, 3),
    "arange down": lambda e: e.arange(5, 0, -2),
    "arange floats": lambda e: e.arange(0, 1, 0.1),
    "arange half": lambda e: e.arange(0.5, 3),
    "arange nothing": lambda e: e.arange(3, 3),
    "linspace": lambda e: e.linspace(-1, 1, 5),
    "linspace one": lambda e: e.linspace(2, 7, 1),
    "zeros_like": lambda e: e.zeros_like(e.arange(3)),
    "ones_like": lambda e: e.ones_like(e.zeros(2, 1)),
    "full_like": lambda e: e.full_like(e.zeros(2), 7),
    "new_zeros": lambda e: e.arange(3).new_zeros(2, 2),
    "new_ones": lambda e: e.zeros(3).double().new_ones((2,)),
    "new_full": lambda e: e.zeros(3).new_full((2,), 4),
    "cat": lambda e: e.cat([e.zeros(2, 1), e.ones(2, 2)], 1),
    "cat dim": lambda e: e.cat((e.zeros(1), e.ones(2)), dim=0),
    "stack": lambda e: e.stack([e.zeros(2), e.ones(2)], 1),
    "einsum": lambda e: e.einsum("ij,j", e.ones(2, 3), e.arange(3).float()),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_torch(name: str, torch: Any) -> None:
    ours, theirs = CALLS[name](einkorn), CALLS[name](torch)
    assert type(ours) is Tensor
    assert str(theirs.dtype) == f"torch.{ours.dtype}"
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-6)


def test_types_gradients_and_devices() -> None:
    assert einkorn.zeros(2, dtype="float64").dtype == np.float64
    assert einkorn.empty(2, 3, dtype=bool).dtype == np.bool_
    assert einkorn.empty_like(einkorn.arange(3)).shape == (3,)
    assert einkorn.ones(2, device="cpu").device == "cpu"
    w = einkorn.randn(3, requires_grad=True)
    (w * w).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * w.numpy())
    with pytest.raises(DTypeError, match="requires_grad"):
        einkorn.arange(3, requires_grad=True)


def test_memory_is_shared_with_an_array() -> None:
    array = np.zeros(3)
    tensor = einkorn.from_numpy(array)
    array[1] = 5
    assert tensor.tolist() == [0, 5, 0]
    with pytest.raises(DTypeError, match=r"^from_numpy: got a list"):
        einkorn.from_numpy([1.0])
    with pytest.raises(ShapeError, match=r"^from_numpy: .*foreign byte order"):
        einkorn.from_numpy(np.zeros(2, ">f8"))


def test_random_numbers_follow_the_seed() -> None:
    draws: list[Callable[[], Tensor]] = [
        lambda: einkorn.rand(100),
        lambda: einkorn.randn(100, dtype="float64"),
        lambda: einkorn.randint(-3, 4, (500,)),
        lambda: einkorn.randint(5, (500,)),
        lambda: einkorn.randperm(50),
        lambda: einkorn.rand_like(einkorn.zeros(3)),
        lambda: einkorn.randn_like(einkorn.zeros(3)),
    ]
    for draw in draws:
        einkorn.manual_seed(7)
        first, other = draw(), draw()
        einkorn.manual_seed(7)
        np.testing.assert_array_equal(first, draw())
        assert not np.array_equal(first, other)
    assert set(einkorn.randint(-3, 4, (500,)).tolist()) == set(range(-3, 4))
    assert sorted(einkorn.randperm(50).tolist()) == list(range(50))
    assert einkorn.randint(3, (2,)).dtype == np.int64
    u = einkorn.rand(10000).numpy()
    assert 0 <= u.min() < 0.01 < 0.99 < u.max() < 1


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: einkorn.zeros(-1), ArgumentError, "zeros: size is -1"),
        (lambda: einkorn.zeros("2"), EinkornError, "zeros: size"),
        (lambda: einkorn.zeros(2, dtype="float16"), DTypeError, "zeros: dtype is 'float16'"),
        (lambda: einkorn.zeros(*(1,) * 9), ShapeError, "zeros: size makes 9 dimensions"),
        (lambda: einkorn.ones(1 << 40, 1 << 40), ShapeError, "ones: .*larger than any memory"),
        (lambda: einkorn.full((2,), "x"), ArgumentError, "full: fill_value is 'x'"),
        (lambda: einkorn.arange(0, 5, 0), ArgumentError, "arange: .*never arrives"),
        (lambda: einkorn.arange(0, 5, -1), ArgumentError, "arange: .*never arrives"),
        (lambda: einkorn.linspace(0, 1, -1), ArgumentError, "linspace: steps is -1"),
        (lambda: einkorn.randint(3, 3, (2,)), ArgumentError, "randint: low is 3 and high 3"),
        (lambda: einkorn.rand(2, dtype="int32"), DTypeError, "rand: dtype is int32"),
        (lambda: einkorn.zeros_like(3), DTypeError, "zeros_like: input is a int"),
        (lambda: einkorn.randperm(-1), ArgumentError, "randperm: n is -1"),
    ],
)
def test_refused(call: Callable[[], Any], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=f"^{words}"):
        call()


def test_as_tensor_shares_what_it_can() -> None:
    array = np.zeros(3, np.float32)
    shared = einkorn.as_tensor(array)
    array[0] = 2
    assert float(shared[0]) == 2
    assert einkorn.as_tensor(shared) is shared
    kinds = {float: "float32", int: "int64", bool: "bool"}
    for kind, name in kinds.items():
        made = einkorn.as_tensor([[kind(1), kind(0)]])
        assert (made.dtype, made.shape) == (np.dtype(name), (1, 2))
    assert einkorn.as_tensor([1, 2], dtype="float64").dtype == np.float64
    assert einkorn.as_tensor(array, np.int64, "cpu").tolist() == [2, 0, 0]
    assert einkorn.is_tensor(shared)
    assert not einkorn.is_tensor(array)
    with pytest.raises(DTypeError, match="as_tensor: data holds"):
        einkorn.as_tensor(["a"])
    with pytest.raises(DTypeError, match="as_tensor: data is a list"):
        einkorn.as_tensor([[1.0], [1.0, 2.0]])


def test_inference_mode_records_nothing() -> None:
    w = einkorn.ones(2, requires_grad=True)
    with einkorn.inference_mode():
        assert not (w * 2).requires_grad
        with einkorn.inference_mode(False):  # as in torch
            assert (w * 2).requires_grad
    with einkorn.inference_mode(False):
        assert (w * 2).requires_grad

    @einkorn.inference_mode()
    def called(x: Tensor) -> bool:
        return (x * 2).requires_grad

    @einkorn.inference_mode
    def bare(x: Tensor) -> bool:
        return (x * 2).requires_grad

    assert not called(w)
    assert not bare(w)
    assert (w * 2).requires_grad
    with pytest.raises(ArgumentError, match="inference_mode: mode is 'no'"):
        einkorn.inference_mode("no")


def test_tensor_copies() -> None:
    """What it is given is not shared, nor recorded; lists have torch's types."""
    array = np.ones(3)
    made = einkorn.tensor(array)
    again = einkorn.tensor(made)
    array[:], made[0] = 5, 7
    assert made.tolist() == [7, 1, 1]
    assert again.tolist() == [1, 1, 1]
    assert [str(einkorn.tensor(x).dtype) for x in ([1, 2], [1.5], [True], 3, 2.5, [])] == [
        *("int64", "float32", "bool", "int64", "float32", "float32"),
    ]
    leaf = einkorn.tensor([1.0, 2.0], requires_grad=True)
    copied = einkorn.tensor(leaf * 2)
    assert leaf.is_leaf
    assert leaf.requires_grad
    assert not copied.requires_grad
    assert str(einkorn.tensor([1, 2], dtype="float64", device="cpu").dtype) == "float64"
    with pytest.raises(DTypeError, match="float"):
        einkorn.tensor([1, 2], requires_grad=True)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "bfloat16"])
def test_numbers_in_lists_are_rounded_once_to_the_type_that_is_asked_for(dtype):
    torch = pytest.importorskip("torch")
    values = [[0.1, 1e-9], [1e30, -3.7]] if dtype != "int64" else [[2**53 + 1, -3], [0, 7]]
    wanted = torch.tensor(values, dtype=getattr(torch, dtype))
    for got in (einkorn.tensor(values, dtype=dtype), einkorn.as_tensor(values, dtype)):
        assert got.double().tolist() == wanted.double().tolist()
    if dtype == "float64":
        assert einkorn.tensor(0.1, dtype=dtype).item() == 0.1
        assert einkorn.tensor([1e300], dtype=dtype).item() == 1e300
        for data in ([np.float64(0.1)], [0.1], [np.float32(0.1)], [[np.float64(0.1), 0.2]], (1, 0.5)):
            mine, theirs = einkorn.tensor(data), torch.tensor(data)
            assert f"torch.{mine.dtype}" == str(theirs.dtype)
            assert mine.tolist() == theirs.tolist()
