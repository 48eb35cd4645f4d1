"""Parameters: the arrays of a module that are learned.

``blank`` is the one place where layers get the memory of their parameters: the engine's, which lies on
lines of the cache and, where it is large, in huge pages. (Two cores of Emerald Rapids read the weights of
GPT-2 small for a token at 25 GB/s instead of 23.) While a checkpoint is being read, ``deferred`` puts a
budget on that place: the file says how many numbers it holds, so a file whose configuration asks for a
larger model is refused before the memory is touched.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

import numpy as np

from einkorn import _bfloat16, engines
from einkorn._context import Context
from einkorn._device import is_whole
from einkorn._tensor import Tensor
from einkorn.errors import CheckpointError, DTypeError
from einkorn.ops._road import check_size

__all__ = ["Parameter", "blank", "deferred", "is_deferred", "is_frozen", "reserve"]


class Parameter(Tensor):
    """A tensor that a ``Module`` owns and an optimizer updates.

    Parameters
    ----------
    data : array or Tensor
        Values, float32, float64 or bfloat16. Kept as they are when C-contiguous and writeable (the
        parameter then shares the memory), else copied.
    requires_grad : bool, default True
        Whether ``backward`` computes a gradient for it. False freezes the parameter.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    @classmethod
    def _accepted(cls, data: Any) -> Any:
        if not _bfloat16.is_floating(data.dtype):
            raise DTypeError(f"Parameter: data has dtype {data.dtype}, expected float32, float64 or bfloat16")
        return data if is_whole(data) else data.copy(order="C")

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


def is_frozen(weight: Any) -> bool:
    """Whether a layer's weight is a parameter that is not to be learned now.

    What a layer computes from other parameters is none: it has no gradient in evaluation either.
    """
    return isinstance(weight, Parameter) and not weight.requires_grad


class _Budget:
    """What may still be allocated while a checkpoint is being read."""

    __slots__ = ("dtype", "elements", "tensors")

    def __init__(self, tensors: int, elements: int, dtype: Any) -> None:
        self.tensors = tensors
        self.elements = elements
        self.dtype = dtype

    def take(self, elements: int) -> None:
        self.tensors -= 1
        self.elements -= elements
        if self.tensors < 0 or self.elements < 0:
            raise CheckpointError("the configuration describes a larger model than the file holds")


_budget: ContextVar[_Budget | None] = ContextVar("einkorn_parameter_budget", default=None)


class deferred(Context[None]):  # noqa: N801 - reads as a function
    """Build modules without initial values, at most ``tensors`` parameters of ``elements`` numbers.

    They are of the given type, so that casting never sees memory without values.

    Raises
    ------
    CheckpointError
        From the layer that would exceed the budget.
    """

    def __init__(self, tensors: int, elements: int, dtype: Any = np.float32) -> None:
        self._limits = tensors, elements, dtype

    def _enter(self) -> tuple[None, Any]:
        return None, _budget.set(_Budget(*self._limits))

    def _leave(self, before: Any) -> None:
        _budget.reset(before)


def is_deferred() -> bool:
    """Whether initial values are skipped because stored ones will follow."""
    return _budget.get() is not None


def reserve(*shape: int) -> Any:
    """The type of a parameter of this shape, which is taken from the budget, if there is one."""
    budget = _budget.get()
    if budget is None:
        return np.float32
    elements = 1
    for size in shape:
        elements *= size
    budget.take(elements)
    return budget.dtype


def blank(*shape: int) -> Parameter:
    """A float32 parameter without values; the caller initializes it."""
    dtype = reserve(*shape)
    check_size("Parameter", shape)
    return Parameter(engines.cpu().empty(shape, dtype))
