"""Parts of a network that are computed again instead of remembered: ``torch.utils.checkpoint``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from einkorn import function as _function
from einkorn.errors import ArgumentError

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Any = None,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, of which nothing is kept: :func:`einkorn.function.checkpoint`.

    Parameters
    ----------
    function : callable
    *args, **kwargs
        What it is called with.
    use_reentrant, determinism_check, debug, early_stop
        As in torch, without effect: there is one way to do this here.
    context_fn : None
    preserve_rng_state : bool, default True
        Let the second call draw the random numbers of the first.
    """
    if context_fn is not None:
        raise ArgumentError("checkpoint: context_fn is given, expected None")
    return _function.checkpoint(function, *args, preserve_rng_state=preserve_rng_state, **kwargs)


def _through(layers: list[Any], x: Any) -> Any:
    for layer in layers:
        x = layer(x)
    return x


def checkpoint_sequential(
    functions: Iterable[Callable[..., Any]],
    segments: int,
    input: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
) -> Any:
    """A chain of modules in ``segments`` parts, of which all but the last are checkpointed.

    Parameters
    ----------
    functions : Sequential, or list of modules or functions
    segments : int
    input : Tensor
    """
    chain = list(functions)
    if isinstance(segments, bool) or not isinstance(segments, int) or not 1 <= segments <= max(1, len(chain)):
        raise ArgumentError(
            f"checkpoint_sequential: segments is {segments!r}, expected a whole number from 1 to {len(chain)}"
        )
    size = len(chain) // segments
    x = input
    for i in range(segments - 1):
        part = partial(_through, chain[i * size : (i + 1) * size])
        x = checkpoint(part, x, preserve_rng_state=preserve_rng_state)
    return _through(chain[(segments - 1) * size :], x)
