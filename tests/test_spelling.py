"""Axes by NumPy's and by torch's names: everywhere, and never by both."""

import inspect
from typing import Any

import numpy as np
import pytest

import einkorn
from einkorn import linalg, ops
from einkorn.errors import ArgumentError

X = np.array([[3.0, 1.0, 2.0, 1.0], [0.0, 5.0, 4.0, 4.0], [7.0, 1.0, 9.0, 8.0]], np.float32)
AT = np.array([[0, 1, 1, 2]])

# Arguments beside the array, and the axis by one name; the other name shall give the same.
CALLS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "aminmax": ((), {"dim": 0, "keepdim": True}),
    "argsort": ((), {"dim": 0}),
    "chunk": ((2,), {"dim": 1}),
    "cosine_similarity": ((X[::-1].copy(),), {"dim": 0}),
    "cross": ((X[:, ::-1].copy(),), {"dim": 0}),
    "cummax": ((), {"dim": 0}),
    "cummin": ((), {"dim": 0}),
    "diag_embed": ((), {"dim1": 0, "dim2": 2}),
    "diagonal": ((), {"dim1": 1, "dim2": 0}),
    "diff": ((), {"dim": 0}),
    "expand_dims": ((), {"axis": 1}),
    "flip": ((), {"dims": 0}),
    "gather": ((), {"dim": 0, "index": AT}),
    "glu": ((), {"dim": 1}),
    "index_select": ((), {"dim": 1, "index": np.array([2, 0])}),
    "kthvalue": ((2,), {"dim": 0, "keepdim": True}),
    "mode": ((), {"dim": 0, "keepdim": True}),
    "narrow": ((), {"dim": 1, "start": 1, "length": 2}),
    "permute": ((), {"axes": (1, 0)}),
    "renorm": ((2.0,), {"dim": 1, "maxnorm": 1.0}),
    "repeat_interleave": ((2,), {"dim": 1}),
    "rot90": ((), {"dims": (1, 0)}),
    "softmin": ((), {"dim": 0}),
    "sort": ((), {"dim": 0}),
    "split": ((1,), {"dim": 0}),
    "std_mean": ((), {"dim": 0, "keepdim": True}),
    "swapaxes": ((), {"axis0": 0, "axis1": 1}),
    "take": ((np.array([1, 0]),), {"axis": 1}),
    "take_along_axis": ((AT,), {"axis": 0}),
    "take_along_dim": ((AT,), {"dim": 0}),
    "tensor_split": ((2,), {"dim": 1}),
    "topk": ((2,), {"dim": 0}),
    "trapezoid": ((), {"dim": 0}),
    "unbind": ((), {"dim": 1}),
    "unflatten": ((), {"dim": 1, "sizes": (2, 2)}),
    "unique_consecutive": ((), {"dim": 1}),
    "unsqueeze": ((), {"dim": 1}),
    "var_mean": ((), {"dim": 0, "keepdim": True}),
}


APART = ("tile", "roll", "max", "min", "flip", "permute")


def other(name: str) -> str:
    pairs = (
        ("keepdims", "keepdim"),
        ("axes", "dims"),
        *((f"axis{i}", f"dim{i}") for i in range(3)),
        ("axis", "dim"),
    )
    for a, b in pairs:
        if name in (a, b):
            return b if name == a else a
    return name


def arrays(value: Any) -> list[np.ndarray]:
    parts = value if isinstance(value, (tuple, list)) else [value]
    return [np.asarray(part) for part in parts]


@pytest.mark.parametrize("name", CALLS)
def test_functions_and_methods_take_both_names(name: str) -> None:
    args, options = CALLS[name]
    renamed = {other(key): value for key, value in options.items()}
    assert renamed != options
    functions = [getattr(ops, name)]
    if hasattr(einkorn.Tensor, name) and name != "take":  # which takes from the flattened tensor
        functions.append(getattr(einkorn.Tensor, name))
    for function in functions:
        x = X if function is functions[0] else einkorn.Tensor(X)
        mine = {*inspect.signature(function).parameters, "dims"}
        native = {other(k) if k not in mine else k: v for k, v in options.items()}
        foreign = {other(k): v for k, v in native.items()}
        for a, b in zip(
            arrays(function(x, *args, **native)), arrays(function(x, *args, **foreign)), strict=True
        ):
            np.testing.assert_array_equal(a, b)


def test_no_operation_has_one_name_alone() -> None:
    lonely = []
    for home in (ops, einkorn.Tensor, linalg):
        for name in dir(home):
            function = getattr(home, name)
            if name.startswith("_") or not inspect.isroutine(function):
                continue
            try:
                parameters = inspect.signature(function).parameters
            except ValueError:
                continue
            for key in parameters:
                # tile's dims are counts; max and min of ops refuse torch's names, which mean a pair there
                if other(key) in (key, *parameters) or name in APART:
                    continue
                try:
                    function(**{key: 0, other(key): 0})
                except ArgumentError:
                    pass
                except TypeError:
                    lonely.append(f"{home.__name__}.{name}: {key}")
    assert not lonely


def test_both_names_at_once_are_refused() -> None:
    with pytest.raises(ArgumentError, match="sort: dim is 0 and axis is 1, expected one of them"):
        ops.sort(X, dim=0, axis=1)
    with pytest.raises(ArgumentError, match="sort: dim is 0 and axis is 1, expected one of them"):
        ops.sort(X, 0, axis=1)
    with pytest.raises(ArgumentError, match="unsqueeze: dim is 0 and axis is 1, expected one of them"):
        einkorn.Tensor(X).unsqueeze(0, axis=1)


def test_names_of_torch_follow() -> None:
    t = einkorn.Tensor(X)
    np.testing.assert_array_equal(einkorn.sort(t, axis=0).values, np.sort(X, axis=0))
    assert einkorn.cat([t, t], axis=1).shape == (3, 8)
    np.testing.assert_allclose(
        linalg.norm(t, axis=0, keepdims=True), np.linalg.norm(X, axis=0, keepdims=True), rtol=1e-6
    )
