"""Several types in one operation: types and values of the results are torch's, over all pairs of types."""

import itertools

import numpy as np
import pytest

import einkorn
from einkorn import Tensor, ops
from einkorn.errors import DTypeError

torch = pytest.importorskip("torch")

TYPES = ("bool", "uint8", "int32", "int64", "bfloat16", "float32", "float64")
SIDES = [
    *[lambda library, kind=kind: library.tensor([1, 2, 1], dtype=getattr(library, kind)) for kind in TYPES],
    *[lambda library, kind=kind: library.tensor(1, dtype=getattr(library, kind)) for kind in TYPES],
    lambda library: True,
    lambda library: 2,
    lambda library: 1.5,
]


def method(name, **options):
    return lambda library, a, b: getattr(library, name)(a, b, **options)


def mask(library):
    return library.tensor([True, False, True])


def put(library, a, b):
    a = a.clone()
    a[0 if getattr(b, "ndim", 0) == 0 else slice(None)] = b
    return a


OPERATIONS = {
    **{
        name: method(name)
        for name in (
            *("add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "pow", "maximum", "minimum"),
            *("fmax", "atan2", "hypot", "logaddexp", "logaddexp2", "copysign", "xlogy", "eq", "lt", "ge"),
            *("logical_and", "logical_xor", "bitwise_and", "bitwise_or", "float_power", "ldexp", "rsub"),
            *("outer", "clamp_min", "clamp_max"),
        )
    },
    "div trunc": method("div", rounding_mode="trunc"),
    "a + b": lambda library, a, b: a + b,
    "a - b": lambda library, a, b: a - b,
    "a * b": lambda library, a, b: a * b,
    "a / b": lambda library, a, b: a / b,
    "a // b": lambda library, a, b: a // b,
    "a % b": lambda library, a, b: a % b,
    "a == b": lambda library, a, b: a == b,
    "a < b": lambda library, a, b: a < b,
    "a | b": lambda library, a, b: a | b,
    "where": lambda library, a, b: library.where(mask(library), a, b),
    "clamp": lambda library, a, b: library.clamp(a, b, b),
    "cat": lambda library, a, b: library.cat([a, b]),
    "stack": lambda library, a, b: library.stack([a, b]),
    "hstack": lambda library, a, b: library.hstack([a, b]),
    "addcmul": lambda library, a, b: library.addcmul(a, a, b),
    "addcdiv": lambda library, a, b: library.addcdiv(a, b, b),
    "masked_fill": lambda library, a, b: a.masked_fill(mask(library), b),
    "setitem": put,
    "copy_": lambda library, a, b: a.clone().copy_(b),
    "add_": lambda library, a, b: a.clone().add_(b),
    "mul_": lambda library, a, b: a.clone().mul_(b),
    "div_": lambda library, a, b: a.clone().div_(b),
    "remainder_": lambda library, a, b: a.clone().remainder_(b),
}


NUMBERS_FIRST = ("where", "a + b", "a - b", "a * b", "a / b", "pow", "xlogy")
TRUE_IS_NO_NUMBER = ("pow", "clamp", "clamp_min", "clamp_max")


def outcome(operation, library, a, b):
    try:
        return operation(library, a(library), b(library))
    # What torch raises for pairs it does not take; einkorn's own errors are among the built-in ones.
    except (RuntimeError, TypeError, ValueError, NotImplementedError, IndexError):
        return None


@pytest.mark.parametrize("name", OPERATIONS)
def test_all_pairs_of_types_give_torchs(name):
    operation = OPERATIONS[name]
    compared = 0
    for a, b in itertools.product(SIDES, SIDES):
        number = [isinstance(x(torch), (bool, int, float)) for x in (a, b)]
        if all(number) or (number[0] and name not in NUMBERS_FIRST):
            continue
        wanted = outcome(operation, torch, a, b)
        if wanted is None:
            continue  # what torch refuses may have an answer here
        if b(torch) is True and name in TRUE_IS_NO_NUMBER:
            continue
        got = outcome(operation, einkorn, a, b)
        pair = f"{name} of {a(torch)!r} and {b(torch)!r}"
        assert got is not None, f"{pair} is refused, torch gives {wanted.dtype}"
        assert str(wanted.dtype) == f"torch.{got.dtype}", pair
        np.testing.assert_allclose(
            got.double().numpy(),
            wanted.double().numpy(),
            0.01 if "bfloat16" in str(got.dtype) else 1e-6,
            1e-6,
            pair,
        )
        compared += 1
    assert compared > 40


def test_gradients_go_back_in_the_types_that_came():
    values = [1.5, -2.0, 3.0]
    for operation in (
        lambda library, a, b: a * b,
        lambda library, a, b: library.where(a > b, a * a, b),
        lambda library, a, b: library.cat([a, b]) * 2,
        lambda library, a, b: library.stack([a, b]) ** 2,
        lambda library, a, b: library.maximum(a, b),
        lambda library, a, b: library.clamp(a * 3, b, b + 1),
        lambda library, a, b: library.nn.functional.mse_loss(a, b),
        lambda library, a, b: library.hypot(a, b),
    ):
        found = []
        for library in (einkorn, torch):
            a = library.tensor(values, dtype=library.float32, requires_grad=True)
            b = library.tensor(values[::-1], dtype=library.float64, requires_grad=True)
            operation(library, a, b).sum().backward()
            found.append((a.grad, b.grad))
        for mine, theirs in zip(*found, strict=True):
            assert str(theirs.dtype) == f"torch.{mine.dtype}"
            np.testing.assert_allclose(mine.numpy(), theirs.numpy(), 1e-6)


def test_a_wider_type_in_place_is_rounded_and_recorded():
    for library in (einkorn, torch):
        a = library.ones(2, requires_grad=True)
        b = library.tensor([0.1, 0.2], dtype=library.float64, requires_grad=True)
        c = a * 1.0
        c *= b
        c += 1
        c.sum().backward()
        assert str(c.dtype).endswith("float32")
        assert str(b.grad.dtype).endswith("float64")
        np.testing.assert_allclose(np.array(a.grad.tolist()), [0.1, 0.2], 1e-6)


def test_integers_in_place_keep_their_type():
    for library in (einkorn, torch):
        a = library.tensor([250, 3], dtype=library.uint8)
        a += library.tensor([10, 1])
        assert a.tolist() == [4, 4]
        with pytest.raises((RuntimeError, DTypeError)):
            a += library.tensor([0.5, 1.0])


def test_arrays_alone_keep_their_rules():
    single, double, whole = np.ones(2, np.float32), np.ones(2), np.arange(2)
    for operation in (
        ops.add,
        ops.maximum,
        lambda a, b: ops.where(a > 0, a, b),
        lambda a, b: ops.cat([a, b]),
    ):
        with pytest.raises(DTypeError, match="float"):
            operation(single, double)
        assert np.asarray(operation(single, whole)).dtype == np.float32
        assert isinstance(operation(Tensor(single), double), Tensor)
        assert operation(Tensor(single), double).dtype == np.float64
