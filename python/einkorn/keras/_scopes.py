"""Small things of ``keras`` itself: scopes, ``device``, ``remat``, the version."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from einkorn.errors import DeviceError
from einkorn.function import checkpoint

__all__ = ["device", "name_scope", "remat", "version"]


def version() -> str:
    """The version of Keras whose names and meanings are followed."""
    from einkorn import keras

    return keras.__version__


@contextlib.contextmanager
def name_scope(name: str, **_: Any) -> Iterator[str]:
    """Taken, and of no effect: weights are named by the layers they belong to."""
    yield name


@contextlib.contextmanager
def device(device_name: str) -> Iterator[None]:
    """Compute on the processor: "cpu", which is where layers compute; ``fit(device="cuda")`` takes others.

    Raises
    ------
    DeviceError
        Another one is named.
    """
    if not str(device_name).lower().lstrip("/").startswith("cpu"):
        raise DeviceError(
            f"device: {device_name!r} is not supported, expected 'cpu'; fit takes device='cuda'"
        )
    yield


def remat(f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose results within are computed again for gradients instead of being kept."""

    def call(*args: Any, **named: Any) -> Any:
        return checkpoint(f, *args, use_reentrant=False, **named)

    return call
