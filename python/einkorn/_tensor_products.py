"""The methods of Tensor that multiply matrices and vectors, with torch's names and arguments.

Tensors of integers are multiplied too, exactly, by NumPy; tensors of booleans are not, as in torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn._device import as_array
from einkorn._tensor_writes import in_place
from einkorn.errors import ShapeError

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = ["Products"]

_Real = float


class Products:
    """Base class of Tensor."""

    __slots__ = ()

    def matmul(self, other: Any) -> Tensor:
        """``self @ other``."""
        return _product("matmul", self, other)

    def mm(self, mat2: Any) -> Tensor:
        """Product of two matrices."""
        return _product("mm", self, mat2)

    def mv(self, vec: Any) -> Tensor:
        """Product of a matrix and a vector."""
        return _product("mv", self, vec)

    def dot(self, tensor: Any) -> Tensor:
        """Product of two vectors, a scalar."""
        return _product("dot", self, tensor)

    vdot = dot

    def inner(self, other: Any) -> Tensor:
        """Sums of products along the last dimensions."""
        return _product("inner", self, other)

    def outer(self, vec2: Any) -> Tensor:
        """All products of the elements of two vectors."""
        return _product("outer", self, vec2)

    ger = outer

    def kron(self, other: Any) -> Tensor:
        """Kronecker product."""
        return _product("kron", self, other)

    def trace(self) -> Tensor:
        """Sum of the diagonal of a matrix."""
        return _product("trace", self)

    def bmm(self, mat2: Any) -> Tensor:
        """Product of two stacks of matrices."""
        return _product("bmm", self, mat2)

    def addmm(self, mat1: Any, mat2: Any, *, beta: _Real = 1, alpha: _Real = 1) -> Tensor:
        """``beta * self + alpha * (mat1 @ mat2)``."""
        return _product("addmm", self, mat1, mat2, beta=beta, alpha=alpha)

    def addmv(self, mat: Any, vec: Any, *, beta: _Real = 1, alpha: _Real = 1) -> Tensor:
        """``beta * self + alpha * (mat @ vec)``."""
        return _product("addmv", self, mat, vec, beta=beta, alpha=alpha)

    def baddbmm(self, batch1: Any, batch2: Any, *, beta: _Real = 1, alpha: _Real = 1) -> Tensor:
        """``beta * self + alpha * (batch1 @ batch2)`` for stacks of matrices."""
        return _product("baddbmm", self, batch1, batch2, beta=beta, alpha=alpha)

    def addbmm(self, batch1: Any, batch2: Any, *, beta: _Real = 1, alpha: _Real = 1) -> Tensor:
        """``beta * self`` plus ``alpha`` times the sum of the products of two stacks of matrices."""
        return _product("addbmm", self, batch1, batch2, beta=beta, alpha=alpha)

    # --- decompositions ---------------------------------------------------------------------

    def det(self) -> Tensor:
        """:func:`einkorn.linalg.det`."""
        return einkorn.linalg.det(self)

    def slogdet(self) -> Any:
        """:func:`einkorn.linalg.slogdet`."""
        return einkorn.linalg.slogdet(self)

    def logdet(self) -> Tensor:
        """The logarithm of the determinant; NaN where that is negative."""
        sign, size = einkorn.linalg.slogdet(self)
        return einkorn.ops.where(sign < 0, np.nan, size)

    def inverse(self) -> Tensor:
        """:func:`einkorn.linalg.inv`."""
        return einkorn.linalg.inv(self)

    def pinverse(self, rcond: _Real = 1e-15) -> Tensor:
        """:func:`einkorn.linalg.pinv`."""
        return einkorn.linalg.pinv(self, rtol=rcond)

    def cholesky(self, upper: bool = False) -> Tensor:
        """:func:`einkorn.linalg.cholesky`."""
        return einkorn.linalg.cholesky(self, upper=upper)

    def qr(self, some: bool = True) -> Any:
        """:func:`einkorn.linalg.qr`, reduced or complete."""
        return einkorn.linalg.qr(self, "reduced" if some else "complete")

    def matrix_power(self, n: int) -> Tensor:
        """:func:`einkorn.linalg.matrix_power`."""
        return einkorn.linalg.matrix_power(self, n)

    def matrix_exp(self) -> Tensor:
        """:func:`einkorn.linalg.matrix_exp`."""
        return einkorn.linalg.matrix_exp(self)

    addmm_, addmv_, addbmm_, baddbmm_ = (
        in_place("addmm", addmm),
        in_place("addmv", addmv),
        in_place("addbmm", addbmm),
        in_place("baddbmm", baddbmm),
    )


def _added(product: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda c, a, b, beta, alpha: int(beta) * c + int(alpha) * product(a, b)


#: What the operations do to integers, and the dimensions that their operands have where it is not free.
_WHOLE: dict[str, tuple[Callable[..., Any], tuple[int, ...]]] = {
    "matmul": (np.matmul, ()),
    "mm": (np.matmul, (2, 2)),
    "mv": (np.matmul, (2, 1)),
    "dot": (np.dot, (1, 1)),
    "inner": (np.inner, ()),
    "outer": (np.multiply.outer, (1, 1)),
    "kron": (np.kron, ()),
    "trace": (np.trace, (2,)),
    "bmm": (np.matmul, (3, 3)),
    "addmm": (_added(np.matmul), (-1, 2, 2)),
    "addmv": (_added(np.matmul), (-1, 2, 1)),
    "baddbmm": (_added(np.matmul), (-1, 3, 3)),
    "addbmm": (_added(lambda a, b: np.matmul(a, b).sum(0)), (-1, 3, 3)),
}


#: What ``add*`` add to their first operand: the shape of the product of two others.
_SHAPES: dict[str, Callable[[Any, Any], tuple[int, ...]]] = {
    "addmm": lambda a, b: (a[0], b[1]),
    "addmv": lambda a, b: (a[0],),
    "baddbmm": lambda a, b: (a[0], a[1], b[2]),
    "addbmm": lambda a, b: (a[1], b[2]),
}


def _check_added(op: str, shape: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """Refuse a tensor that would broadcast the product."""
    try:
        product = _SHAPES[op](a, b)
    except IndexError:
        return  # refused by the product
    try:
        fits = np.broadcast_shapes(shape, product) == product
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(
            f"{op}: the tensor has shape {shape}, which does not broadcast to the product's {product}"
        )


def _product(op: str, *operands: Any, **options: Any) -> Any:
    if op in _SHAPES:
        _check_added(op, *[tuple(np.shape(x)) for x in operands])
    if op in ("inner", "kron", "outer"):
        from einkorn.ops._promotion import alike

        operands = alike(*operands)
    if operands[0]._data.dtype.kind in "iub":
        from einkorn.ops import _integers

        arrays = [_integers.integral(x) for x in operands]
        if all(a is not None and (a.dtype.kind != "b" or op in ("outer", "kron")) for a in arrays):
            return _of_whole(op, arrays, options)
    return getattr(einkorn.ops, op)(*operands, **options)


def _of_whole(op: str, arrays: list[Any], options: dict[str, Any]) -> Any:
    function, ranks = _WHOLE[op]
    shapes = ", ".join(str(a.shape) for a in arrays)
    if any(rank not in (-1, a.ndim) for rank, a in zip(ranks, arrays, strict=False)):
        raise ShapeError(f"{op}: the operands have shapes {shapes}, expected {ranks[-2:]} dimensions")
    try:
        out = as_array(function(*arrays, **options))
    except ValueError:
        raise ShapeError(f"{op}: the operands have shapes {shapes}, which do not fit together") from None
    return einkorn.Tensor._wrap(out, False, None)
