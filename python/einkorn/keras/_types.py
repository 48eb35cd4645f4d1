"""In which types a layer keeps its weights and computes."""

from __future__ import annotations

from typing import Any

from einkorn.keras import config

__all__ = ["Typed"]


class Typed:
    """What a layer tells of its types."""

    _type: str | None  # of the weights; None for float32, which they are made in

    def _type_name(self) -> str:
        return str(self._type or "float32")

    @property
    def dtype(self) -> str:
        """The type of the weights."""
        return self._type_name()

    @dtype.setter
    def dtype(self, value: Any) -> None:
        self.__dict__["_type"] = value

    variable_dtype = dtype

    @property
    def dtype_policy(self) -> Any:
        """In which types the layer keeps its weights and computes."""
        from einkorn.keras.dtype_policies import DTypePolicy

        mixed = self._type is None and config.dtype_policy().name.startswith("mixed_")
        return config.dtype_policy() if mixed else DTypePolicy(self._type_name())

    @property
    def compute_dtype(self) -> str:
        """The type that the layer computes in."""
        return str(self.dtype_policy.compute_dtype)
