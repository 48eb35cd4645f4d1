"""Policies: in which type layers keep their weights, and in which they compute."""

from __future__ import annotations

from typing import Any

from einkorn._near import finding
from einkorn.errors import ArgumentError
from einkorn.keras._serialize import deserialize, serialize

__all__ = ["DTypePolicy", "FloatDTypePolicy", "deserialize", "get", "serialize"]

_NAMES = {
    "float32": ("float32", "float32"),
    "float64": ("float64", "float64"),
    "bfloat16": ("bfloat16", "bfloat16"),
    "mixed_bfloat16": ("bfloat16", "float32"),
}


class DTypePolicy:
    """In which type layers compute, and in which their weights are.

    Parameters
    ----------
    name : str, default that of ``config.dtype_policy()``
        "float32", "float64", "bfloat16", or "mixed_bfloat16".
    """

    def __init__(self, name: str | None = None, source_name: Any = None) -> None:
        from einkorn.keras import config

        if name is None:
            name = config.dtype_policy().name
        if name in ("float16", "mixed_float16"):
            raise ArgumentError(
                f"DTypePolicy: name is {name!r}, and there are no kernels of float16, expected "
                "'mixed_bfloat16'"
            )
        if name not in _NAMES:
            raise ArgumentError(f"DTypePolicy: name is {name!r}, expected one of {', '.join(_NAMES)}")
        self.name = name

    @property
    def compute_dtype(self) -> str:
        """The type of products."""
        return _NAMES[self.name][0]

    @property
    def variable_dtype(self) -> str:
        """The type of weights."""
        return _NAMES[self.name][1]

    def get_config(self) -> dict[str, Any]:
        """The name."""
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: Any) -> Any:
        """A policy from what ``get_config`` gave."""
        return cls(config["name"])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


FloatDTypePolicy = DTypePolicy


def get(identifier: Any) -> Any:
    """A policy from its name or description, or itself; the one of ``config`` from None."""
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        return DTypePolicy.from_config(identifier.get("config", identifier))
    return DTypePolicy(identifier if identifier is None else str(getattr(identifier, "name", identifier)))


_QUANTIZED = "einkorn.quantization makes linear layers of eight bits of a model that is trained"
_INSTEAD = {
    **dict.fromkeys(
        (
            "AWQDTypePolicy", "GPTQDTypePolicy", "Int4DTypePolicy", "QuantizedDTypePolicy",
            "QuantizedFloat8DTypePolicy",
        ),
        _QUANTIZED,
    ),
    "DTypePolicyMap": "layers take a dtype each",
}  # fmt: skip
__getattr__ = finding(__name__, lambda: __all__, _INSTEAD)
