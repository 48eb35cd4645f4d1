"""What programs ask ``keras.backend`` for."""

from __future__ import annotations

from einkorn.keras._names import reset_names

__all__ = ["backend", "clear_session", "epsilon", "floatx", "image_data_format"]


def clear_session(free_memory: bool = True) -> None:
    """Begin to count the names of layers anew. Models are freed when nobody has them any more."""
    reset_names()


def epsilon() -> float:
    """The small number of losses: 1e-7."""
    return 1e-7


def floatx() -> str:
    """The type of weights: "float32"."""
    return "float32"


def image_data_format() -> str:
    """Where images have their channels: "channels_last"."""
    return "channels_last"


def backend() -> str:
    """The name of this library."""
    return "einkorn"
