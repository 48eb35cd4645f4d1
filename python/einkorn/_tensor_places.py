"""The methods of Tensor that take and put elements by index, with torch's names and meanings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import einkorn  # einkorn.ops is built on Tensor, so its names are looked up when they are called
from einkorn._inplace import Writes, rewrite

if TYPE_CHECKING:
    from einkorn._tensor import Tensor

__all__ = ["Places"]


class Places(Writes):
    """Base class of Tensor. A method whose name ends in ``_`` writes into the tensor."""

    __slots__ = ()

    _data: Any

    def gather(self, dim: int, index: Any, *, sparse_grad: bool = False) -> Tensor:
        """:func:`einkorn.ops.gather`."""
        return einkorn.ops.gather(self, dim, index, sparse_grad=sparse_grad)

    def scatter(self, dim: int, index: Any, *src: Any, **options: Any) -> Tensor:
        """:func:`einkorn.ops.scatter`."""
        return einkorn.ops.scatter(self, dim, index, *src, **options)

    def scatter_(self, dim: int, index: Any, *src: Any, **options: Any) -> Tensor:
        """:func:`einkorn.ops.scatter`, in place."""
        return _write(self, "scatter", dim, index, *src, **options)

    def scatter_add(self, dim: int, index: Any, src: Any) -> Tensor:
        """:func:`einkorn.ops.scatter_add`."""
        return einkorn.ops.scatter_add(self, dim, index, src)

    def scatter_add_(self, dim: int, index: Any, src: Any) -> Tensor:
        """:func:`einkorn.ops.scatter_add`, in place."""
        return _write(self, "scatter_add", dim, index, src)

    def scatter_reduce(
        self, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
    ) -> Tensor:
        """:func:`einkorn.ops.scatter_reduce`."""
        return einkorn.ops.scatter_reduce(self, dim, index, src, reduce, include_self=include_self)

    def scatter_reduce_(
        self, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
    ) -> Tensor:
        """:func:`einkorn.ops.scatter_reduce`, in place."""
        return _write(self, "scatter_reduce", dim, index, src, reduce, include_self=include_self)

    def index_select(self, dim: int, index: Any) -> Tensor:
        """:func:`einkorn.ops.index_select`."""
        return einkorn.ops.index_select(self, dim, index)

    def index_add(self, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
        """:func:`einkorn.ops.index_add`."""
        return einkorn.ops.index_add(self, dim, index, source, alpha=alpha)

    def index_add_(self, dim: int, index: Any, source: Any, *, alpha: float = 1) -> Tensor:
        """:func:`einkorn.ops.index_add`, in place."""
        return _write(self, "index_add", dim, index, source, alpha=alpha)

    def index_copy(self, dim: int, index: Any, source: Any) -> Tensor:
        """:func:`einkorn.ops.index_copy`."""
        return einkorn.ops.index_copy(self, dim, index, source)

    def index_copy_(self, dim: int, index: Any, source: Any) -> Tensor:
        """:func:`einkorn.ops.index_copy`, in place."""
        return _write(self, "index_copy", dim, index, source)

    def index_fill(self, dim: int, index: Any, value: Any) -> Tensor:
        """:func:`einkorn.ops.index_fill`."""
        return einkorn.ops.index_fill(self, dim, index, value)

    def index_fill_(self, dim: int, index: Any, value: Any) -> Tensor:
        """:func:`einkorn.ops.index_fill`, in place."""
        return _write(self, "index_fill", dim, index, value)

    def take(self, index: Any) -> Tensor:
        """:func:`einkorn.ops.take` from the flattened tensor."""
        return einkorn.ops.take(self, index)

    def take_along_dim(self, indices: Any, dim: int | None = None) -> Tensor:
        """:func:`einkorn.ops.take_along_dim`."""
        return einkorn.ops.take_along_dim(self, indices, dim)

    def masked_select(self, mask: Any) -> Tensor:
        """:func:`einkorn.ops.masked_select`."""
        return einkorn.ops.masked_select(self, mask)

    def masked_fill(self, mask: Any, value: Any) -> Tensor:
        """:func:`einkorn.ops.masked_fill`."""
        return einkorn.ops.masked_fill(self, mask, value)

    def masked_fill_(self, mask: Any, value: Any) -> Tensor:
        """:func:`einkorn.ops.masked_fill`, in place."""
        return _write(self, "masked_fill", mask, value)

    def masked_scatter(self, mask: Any, source: Any) -> Tensor:
        """:func:`einkorn.ops.masked_scatter`."""
        return einkorn.ops.masked_scatter(self, mask, source)

    def masked_scatter_(self, mask: Any, source: Any) -> Tensor:
        """:func:`einkorn.ops.masked_scatter`, in place."""
        return _write(self, "masked_scatter", mask, source)

    def nonzero(self, *, as_tuple: bool = False) -> Any:
        """Where elements are not 0: a row of indices each, or with ``as_tuple`` an array for each axis."""
        wrap = einkorn.Tensor._wrap
        if as_tuple:
            return tuple([wrap(places, False, None) for places in np.atleast_1d(self._data).nonzero()])
        return wrap(np.argwhere(self._data), False, None)


def _write(tensor: Any, op: str, *args: Any, **options: Any) -> Tensor:
    return rewrite(tensor, op + "_", lambda before: getattr(einkorn.ops, op)(before, *args, **options))
