"""Runs: parameters that are updated in one launch, and their state."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn import _bfloat16
from einkorn._device import is_on_gpu
from einkorn._tensor import Tensor
from einkorn.sparse import SparseRows

__all__ = ["Run", "copies", "masters_of", "wide_gradient"]


class Run:
    """Parameters with one type and one count of steps, and their state arrays.

    ``seen`` has the arrays that were checked: a parameter whose ``data`` is another array is checked again.
    ``masters`` are float32 copies of bfloat16 parameters, which take the steps; empty for other types.
    ``scalars`` are numbers of state that all parameters of the run share.
    """

    __slots__ = ("dtype", "masters", "params", "scalars", "seen", "state", "steps")

    def __init__(
        self,
        params: list[Tensor],
        state: dict[str, list[Any]],
        steps: int,
        dtype: Any,
        scalars: dict[str, float] | None = None,
    ) -> None:
        self.params = params
        self.state = state
        self.steps = steps
        self.dtype = dtype
        self.scalars = scalars or {}
        self.seen: list[Any] = []
        self.masters: list[Any] = []

    def split(self, keep: list[bool]) -> tuple[Run, Run]:
        """The parameters to keep, and the others, as two runs."""
        parts = []
        for wanted in (True, False):
            chosen = [i for i, k in enumerate(keep) if k is wanted]
            state = {name: [arrays[i] for i in chosen] for name, arrays in self.state.items()}
            kept = [self.params[i] for i in chosen]
            part = Run(kept, state, self.steps, self.dtype, dict(self.scalars))
            part.masters = [self.masters[i] for i in chosen] if self.masters else []
            parts.append(part)
        return parts[0], parts[1]


def copies(engine: Any, arrays: list[Any]) -> list[Any]:
    """Copies of state, for a body of several calls: what fails between them leaves the state as it was."""
    made = [engine.empty(array.shape, array.dtype) for array in arrays]
    for copy, array in zip(made, arrays, strict=True):
        engine.copy(copy, array)
    return made


def masters_of(run: Run, params: list[Any]) -> list[Any]:
    """The float32 copies of a run's bfloat16 parameters, which small steps add up in.

    Elements of a parameter that are no longer its copy rounded were written by somebody else: taken over.
    """
    if not run.masters:
        run.masters = [_bfloat16.widen(param) for param in params]
    for param, master in zip(params, run.masters, strict=True):
        changed = _bfloat16.narrow(master).view(np.uint16) != param.view(np.uint16)
        if is_on_gpu(param):  # where nobody waits for an answer
            master[...] = np.where(changed, _bfloat16.widen(param), master)
        elif changed.any():
            master[changed] = _bfloat16.widen(param)[changed]
    return run.masters


def wide_gradient(grad: Any) -> Any:
    """A bfloat16 gradient in float32."""
    if type(grad) is SparseRows:
        return SparseRows(grad.rows, _bfloat16.widen(grad.values), grad.shape)
    return _bfloat16.widen(grad)
