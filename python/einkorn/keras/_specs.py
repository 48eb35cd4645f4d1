"""``InputSpec``: what a layer says of its inputs, and the check of them."""

from __future__ import annotations

from typing import Any

from einkorn.errors import ArgumentError, DTypeError, ShapeError
from einkorn.keras.config import type_name

__all__ = ["InputSpec", "check_inputs"]


class InputSpec:
    """Type, number of axes and sizes that an input has to have; a layer assigns it to ``input_spec``.

    Parameters
    ----------
    dtype : str, optional
    shape : tuple of int or None, optional
        The rows first; None for any size.
    ndim, max_ndim, min_ndim : int, optional
    axes : dict of int to int, optional
        Sizes of single axes.
    allow_last_axis_squeeze : bool, default False
        Whether a last axis of 1 may be missing, or be there.
    name : str, optional
        The key of the input in a dict of them.
    optional : bool, default False
        Whether None is taken.
    """

    def __init__(
        self, dtype: Any = None, shape: Any = None, ndim: int | None = None, max_ndim: int | None = None,
        min_ndim: int | None = None, axes: dict[int, int] | None = None,
        allow_last_axis_squeeze: bool = False, name: str | None = None, optional: bool = False,
    ) -> None:  # fmt: skip
        self.dtype = None if dtype is None else type_name(dtype)
        self.shape = None if shape is None else tuple(shape)
        self.ndim = len(self.shape) if self.shape is not None else ndim
        self.max_ndim, self.min_ndim = max_ndim, min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze, self.name, self.optional = allow_last_axis_squeeze, name, optional
        if self.axes and (self.ndim or self.max_ndim):
            most = (self.ndim or self.max_ndim or 0) - 1
            if max(self.axes) > most:
                raise ArgumentError(f"InputSpec: axes has {max(self.axes)}, expected {most} at most")

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        names = (
            "dtype",
            "shape",
            "ndim",
            "max_ndim",
            "min_ndim",
            "axes",
            "allow_last_axis_squeeze",
            "name",
            "optional",
        )
        return {name: getattr(self, name) for name in names}

    @classmethod
    def from_config(cls, config: Any) -> Any:
        """A spec from what ``get_config`` gave."""
        return cls(**config)

    def __repr__(self) -> str:
        known = {name: value for name, value in self.get_config().items() if value not in (None, {}, False)}
        return f"InputSpec({', '.join(f'{name}={value!r}' for name, value in known.items())})"


def check_inputs(spec: Any, value: Any, owner: str) -> None:
    """Refuse an input, or several, that are not as a layer says.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError
        What came, and what was expected.
    """
    if isinstance(spec, dict) or (isinstance(value, dict) and isinstance(spec, (list, tuple))):
        named = spec if isinstance(spec, dict) else {one.name: one for one in spec}
        pairs = [(one, value.get(name)) for name, one in named.items()]
    elif isinstance(spec, (list, tuple)):
        given = value if isinstance(value, (list, tuple)) else [value]
        if len(given) != len(spec):
            raise ArgumentError(f"{owner}: got {len(given)} inputs, expected {len(spec)}")
        pairs = list(zip(spec, given, strict=True))
    else:
        pairs = [(spec, value)]
    for one, x in pairs:
        if one is not None:
            _check(one, x, owner)


def _check(spec: InputSpec, x: Any, owner: str) -> None:
    if x is None and spec.optional:
        return
    if not hasattr(x, "shape"):
        raise ArgumentError(f"{owner}: got {type(x).__name__}, expected an array or a Tensor")
    shape = tuple(x.shape)
    if spec.ndim is not None and not spec.allow_last_axis_squeeze and len(shape) != spec.ndim:
        raise ShapeError(f"{owner}: x has shape {shape}, expected {spec.ndim} axes")
    if spec.max_ndim is not None and len(shape) > spec.max_ndim:
        raise ShapeError(f"{owner}: x has shape {shape}, expected {spec.max_ndim} axes at most")
    if spec.min_ndim is not None and len(shape) < spec.min_ndim:
        raise ShapeError(f"{owner}: x has shape {shape}, expected {spec.min_ndim} axes or more")
    if spec.dtype is not None and type_name(x.dtype) != spec.dtype:
        raise DTypeError(f"{owner}: x has dtype {type_name(x.dtype)}, expected {spec.dtype}")
    for axis, size in spec.axes.items():
        if size is not None and shape[axis] not in (size, None):
            raise ShapeError(f"{owner}: x has shape {shape}, expected {size} along axis {axis}")
    if spec.shape is None:
        return
    wanted = spec.shape
    if spec.allow_last_axis_squeeze:
        if shape and shape[-1] == 1:
            shape = shape[:-1]
        if wanted and wanted[-1] == 1:
            wanted = wanted[:-1]
    fits = len(shape) == len(wanted) and all(
        size is None or size == own for size, own in zip(wanted, shape, strict=True)
    )
    if not fits:
        raise ShapeError(f"{owner}: x has shape {tuple(x.shape)}, expected {spec.shape}")
