"""What observations and actions can be, with the names of ``gymnasium.spaces``."""

from __future__ import annotations

from typing import Any

import numpy as np

from einkorn.errors import ArgumentError, IndexRangeError, ShapeError

__all__ = ["Box", "Discrete", "MultiDiscrete", "features", "generator_of"]


def generator_of(op: str, seed: Any) -> np.random.Generator:
    """NumPy's generator of this seed; None draws one."""
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ArgumentError(f"{op}: seed is {seed!r}, expected an int from 0 or None") from None


class Discrete:
    """The numbers 0 to ``n - 1``.

    Parameters
    ----------
    n : int
    seed : int, optional
        Of :meth:`sample`.
    """

    shape: tuple[int, ...] = ()
    dtype = np.dtype(np.int64)

    def __init__(self, n: int, seed: int | None = None) -> None:
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ArgumentError(f"Discrete: n is {n!r}, expected a positive int")
        self.n = int(n)
        self._rng = generator_of("Discrete", seed)

    def sample(self) -> int:
        """Draw one, each as likely."""
        return int(self._rng.integers(self.n))

    def contains(self, x: Any) -> bool:
        """Whether it is an integer of the space."""
        a = np.asarray(x)
        return a.shape == () and a.dtype.kind in "iu" and 0 <= int(a) < self.n

    def __contains__(self, x: Any) -> bool:
        return self.contains(x)

    def __repr__(self) -> str:
        return f"Discrete({self.n})"


class MultiDiscrete:
    """Rows of integers, each with a number of values of its own: the actions of many copies.

    Parameters
    ----------
    nvec : integer array [count]
        Values of each: 0 to ``nvec - 1``.
    seed : int, optional
        Of :meth:`sample`.
    """

    dtype = np.dtype(np.int64)

    def __init__(self, nvec: Any, seed: int | None = None) -> None:
        self.nvec = np.array(nvec)
        if self.nvec.ndim != 1 or self.nvec.dtype.kind not in "iu" or (self.nvec < 1).any():
            raise ArgumentError(f"MultiDiscrete: nvec is {nvec!r}, expected a row of positive ints")
        self.shape = self.nvec.shape
        self._rng = generator_of("MultiDiscrete", seed)

    def sample(self) -> Any:
        """Draw one of each, each value as likely."""
        return self._rng.integers(self.nvec)

    def seed(self, seed: int | None = None) -> None:
        """Begin the draws of :meth:`sample` anew."""
        self._rng = generator_of("MultiDiscrete.seed", seed)

    def contains(self, x: Any) -> bool:
        """Whether it is such a row."""
        a = np.asarray(x)
        return bool(a.shape == self.shape and a.dtype.kind in "iu" and ((a >= 0) & (a < self.nvec)).all())

    def __contains__(self, x: Any) -> bool:
        return self.contains(x)

    def __repr__(self) -> str:
        return f"MultiDiscrete({self.nvec})"


class Box:
    """Arrays of floats between bounds.

    Parameters
    ----------
    low, high : float or array
        Bounds, the bounds themselves included; infinite ones bound nothing.
    shape : tuple of int, optional
        Default: that of the bounds.
    seed : int, optional
        Of :meth:`sample`.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self, low: Any, high: Any, shape: tuple[int, ...] | None = None, seed: int | None = None
    ) -> None:
        self.shape = np.broadcast_shapes(np.shape(low), np.shape(high)) if shape is None else tuple(shape)
        try:
            self.low = np.broadcast_to(np.asarray(low, np.float32), self.shape)
            self.high = np.broadcast_to(np.asarray(high, np.float32), self.shape)
        except ValueError:
            raise ShapeError(
                f"Box: bounds have shapes {np.shape(low)} and {np.shape(high)}, expected ones that broadcast"
                f" to {self.shape}"
            ) from None
        if not (self.low <= self.high).all():
            raise ArgumentError(f"Box: low is {low!r} and high {high!r}, expected numbers, low at most high")
        self._rng = generator_of("Box", seed)

    def sample(self) -> Any:
        """Draw one: evenly between finite bounds, from a normal or exponential distribution elsewhere."""
        below, above = np.isfinite(self.low), np.isfinite(self.high)
        low, high = np.where(below, self.low, 0), np.where(above, self.high, 0)
        tail = self._rng.exponential(size=self.shape)
        out = np.where(
            below & above,
            self._rng.uniform(np.minimum(low, high), np.maximum(low, high)),
            np.where(below, low + tail, np.where(above, high - tail, self._rng.standard_normal(self.shape))),
        )
        return out.astype(np.float32)

    def contains(self, x: Any) -> bool:
        """Whether it is an array of the space."""
        a = np.asarray(x)
        return bool(
            a.shape == self.shape and a.dtype.kind == "f" and (a >= self.low).all() and (a <= self.high).all()
        )

    def __contains__(self, x: Any) -> bool:
        return self.contains(x)

    def __repr__(self) -> str:
        return f"Box{self.shape}"


def features(space: Box | Discrete, x: Any) -> Any:
    """What a network sees of observations or actions: numbers as they are, classes as one-hot rows.

    Parameters
    ----------
    space : Box or Discrete
        Of one observation.
    x : array [..., \\*shape of the space]

    Returns
    -------
    array of float32 [all before, width]

    Raises
    ------
    IndexRangeError
        A class is not of the space.
    ShapeError
        The last axes are not those of the space.
    """
    a = np.asarray(x)
    if isinstance(space, Discrete):
        if a.size and (a.dtype.kind not in "iu" or a.min() < 0 or a.max() >= space.n):
            raise IndexRangeError(f"features: x has other values than the integers 0 to {space.n - 1}")
        out = np.zeros((a.size, space.n), np.float32)
        out[np.arange(a.size), a.ravel().astype(np.int64)] = 1
        return out
    ndim = len(space.shape)
    if a.shape[a.ndim - ndim :] != space.shape:
        raise ShapeError(f"features: x has shape {a.shape}, expected [..., {space.shape}]")
    width = int(np.prod(space.shape))
    return np.ascontiguousarray(a, np.float32).reshape(-1, width)
