"""Functions of ``keras.ops`` that ``einkorn.ops`` has with other names or places of arguments."""

from __future__ import annotations

from typing import Any

from einkorn import ops

__all__ = [
    "all", "allclose", "any", "concatenate", "diag", "einsum", "flip", "hstack", "isclose", "meshgrid",
    "outer", "prod", "roll", "swapaxes", "take_along_axis", "tensordot", "tril", "triu", "vstack",
]  # fmt: skip


def all(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether no element is 0."""
    return ops.all(x, axis=_axes(axis), keepdims=keepdims)


def any(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Whether an element is not 0."""
    return ops.any(x, axis=_axes(axis), keepdims=keepdims)


def isclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether elements differ by ``atol + rtol * |x2|`` at most."""
    return ops.isclose(x1, x2, rtol, atol, equal_nan)


def allclose(x1: Any, x2: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether all elements are so near."""
    return ops.allclose(x1, x2, rtol, atol, equal_nan)


def prod(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    """The product."""
    return ops.prod(x, axis=_axes(axis), keepdims=keepdims, dtype=dtype)


def _axes(axis: Any) -> Any:
    return tuple(axis) if isinstance(axis, list) else axis


def concatenate(xs: Any, axis: int = 0) -> Any:
    """Tensors one behind the other."""
    return ops.concatenate(tuple(xs), axis)


def hstack(xs: Any) -> Any:
    """Tensors one behind the other along the second axis; lines along their only one."""
    return ops.hstack(xs)


def vstack(xs: Any) -> Any:
    """Tensors one below the other."""
    return ops.vstack(xs)


def diag(x: Any, k: int = 0) -> Any:
    """A line as a diagonal, or the diagonal of a matrix."""
    return ops.diag(x, k)


def tril(x: Any, k: int = 0) -> Any:
    """What lies at and below a diagonal."""
    return ops.tril(x, k)


def triu(x: Any, k: int = 0) -> Any:
    """What lies at and above a diagonal."""
    return ops.triu(x, k)


def flip(x: Any, axis: Any = None) -> Any:
    """Turned round along axes, by default along all."""
    axes = tuple(range(len(x.shape))) if axis is None else (axis,) if isinstance(axis, int) else tuple(axis)
    return ops.flip(x, axes)


def roll(x: Any, shift: Any, axis: Any = None) -> Any:
    """Shifted around along axes, by default all elements in a row."""
    return ops.roll(x, shift, axis)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """With two axes in each other's place."""
    return ops.swapaxes(x, axis1, axis2)


def meshgrid(*x: Any, indexing: str = "xy") -> list[Any]:
    """Coordinates of a grid; with "xy" the first ones run along the second axis."""
    return list(ops.meshgrid(*x, indexing=indexing))


def take_along_axis(x: Any, indices: Any, axis: int | None = None) -> Any:
    """Elements by their places along an axis, or in a row of all."""
    if axis is None:
        return ops.take_along_axis(x.reshape(-1), indices.reshape(-1), 0)
    return ops.take_along_axis(x, indices, axis)


def outer(x1: Any, x2: Any) -> Any:
    """All products of an element of x1 and one of x2."""
    return ops.outer(x1.reshape(-1), x2.reshape(-1))


def tensordot(x1: Any, x2: Any, axes: Any = 2) -> Any:
    """Sums of products over axes of both."""
    return ops.tensordot(x1, x2, axes)


def einsum(subscripts: str, *operands: Any, **kwargs: Any) -> Any:
    """Sums of products by letters of axes."""
    return ops.einsum(subscripts, *operands)
