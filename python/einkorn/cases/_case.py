"""What a case is: an operation, its inputs as recipes, its options, and what it is good for.

One list of cases drives five uses: every engine against a reference, numerical gradients, parity with
PyTorch, the support matrix and the benchmark. A case holds no arrays. It makes them from a seed that
follows from its name, so that a failure seen once is seen again.

An :class:`Op` carries what is known about the operation: the reference, written from its definition in
plain NumPy, PyTorch's name for it and its cost. Calling an Op gives a case of it::

    conv2d(normal(2, 3, 8, 8), normal(4, 3, 3, 3), stride=2).grad()

The reference is evaluated twice: in float64, which is taken as the truth, and in float32, which is the
"naive" version whose error the kernels are measured against.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ._layouts import LAYOUTS, STRIDED

__all__ = [
    "LAYOUTS",
    "STRIDED",
    "Case",
    "Input",
    "Op",
    "as_tuple",
    "given",
    "indices",
    "integers",
    "normal",
    "positive",
    "probabilities",
    "sprinkled",
    "uniform",
]

Array = np.ndarray


@dataclass(frozen=True)
class Input:
    """A recipe for one array argument.

    Attributes
    ----------
    shape : tuple of int
    kind : str
        ``normal``; ``integers`` (whole numbers from -4 to 4, on which sums and products are exact);
        ``uniform`` (from low to high); ``sprinkled`` (normal with NaN and infinities strewn in);
        ``distribution`` (positive, summing to 1 along axis 1); ``indices`` (int64 from low to
        high - 1); ``given`` (the numbers in ``values``).
    layout : str
        How the array lies in memory, see :data:`LAYOUTS`.
    low, high : float
        Bounds of ``uniform`` and ``indices``.
    values : tuple of float
        The elements of ``given``.
    """

    shape: tuple[int, ...]
    kind: str = "normal"
    layout: str = "C"
    low: float = 0.0
    high: float = 1.0
    values: tuple[float, ...] = ()

    @property
    def is_float(self) -> bool:
        return self.kind != "indices"

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def laid_out(self, layout: str) -> Input:
        """The same numbers in another memory layout."""
        if layout not in LAYOUTS:
            raise ValueError(f"layout is {layout!r}, expected one of {', '.join(LAYOUTS)}")
        return replace(self, layout=layout)

    def make(self, rng: np.random.Generator, dtype: Any) -> Array:
        """The array, in ``dtype`` unless it holds indices."""
        if self.kind == "indices":
            return LAYOUTS[self.layout](rng.integers(int(self.low), int(self.high), self.shape))
        return LAYOUTS[self.layout](self._values(rng).astype(dtype))

    def _values(self, rng: np.random.Generator) -> Array:
        if self.kind == "given":
            return np.array(self.values, dtype=np.float64).reshape(self.shape)
        if self.kind == "integers":
            return rng.integers(-4, 5, self.shape).astype(np.float64)
        if self.kind == "uniform":
            return rng.uniform(self.low, self.high, self.shape)
        values = np.asarray(rng.standard_normal(self.shape))
        if self.kind == "distribution":
            weights = np.exp(values)
            return weights / weights.sum(axis=1, keepdims=True)
        if self.kind == "sprinkled":
            strewn = np.array([np.nan, np.inf, -np.inf])[rng.integers(0, 3, self.shape)]
            return np.where(rng.random(self.shape) < 0.15, strewn, values)
        return values

    def __str__(self) -> str:
        text = "x".join(map(str, self.shape)) if self.shape else "scalar"
        if self.kind == "uniform":
            text += f"({self.low:g}..{self.high:g})"
        elif self.kind == "given" and self.size <= 4:
            text += "(" + ",".join(f"{v:g}" for v in self.values) + ")"
        elif self.kind not in ("normal", "indices"):
            text += f"({self.kind})"
        return text if self.layout == "C" else f"{text}({self.layout})"


def normal(*shape: int) -> Input:
    """Standard normal numbers."""
    return Input(shape)


def integers(*shape: int) -> Input:
    """Whole numbers from -4 to 4."""
    return Input(shape, "integers")


def uniform(*shape: int, low: float, high: float) -> Input:
    """Numbers spread evenly from low to high."""
    return Input(shape, "uniform", low=low, high=high)


def positive(*shape: int) -> Input:
    """Numbers from 0.1 to 3."""
    return uniform(*shape, low=0.1, high=3.0)


def probabilities(*shape: int) -> Input:
    """Numbers from 0.01 to 0.99."""
    return uniform(*shape, low=0.01, high=0.99)


def indices(*shape: int, below: int, low: int = 0) -> Input:
    """int64 numbers from low to below - 1."""
    return Input(shape, "indices", low=low, high=below)


def sprinkled(*shape: int) -> Input:
    """Standard normal numbers with NaN and both infinities among them."""
    return Input(shape, "sprinkled")


def given(*values: float, shape: tuple[int, ...] | None = None) -> Input:
    """Exactly these numbers."""
    return Input(shape if shape is not None else (len(values),), "given", values=values)


# --- operations and cases -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Op:
    """What is known about a public operation.

    Attributes
    ----------
    name : str
        Its name in ``einkorn.ops``.
    reference : callable
        ``reference(*arrays, **options)`` in plain NumPy, computed in the dtype of its arrays.
    torch : str, callable or None
        PyTorch's equivalent: a dotted name below ``torch`` with the same arguments, or
        ``function(torch, *tensors, **options)``. None: PyTorch has none.
    peer : callable, optional
        PyTorch's counterpart for the benchmark alone, where its numbers are others, such as random ones.
    call : callable, optional
        ``call(einkorn, arrays, dtype, options)`` where it is not simply
        ``einkorn.ops.name(*arrays, **options)``.
    flops : callable, optional
        ``flops(shapes, out_shape, options)`` of one forward pass; default 1 per output element.
    backward : float, optional
        What a backward pass costs, as a multiple of those; default 1 for each input of several
        dimensions that is differentiated.
    bytes_moved : callable, optional
        Elements read and written by one forward pass; default every input and the output once.
    scale : callable, optional
        ``scale(*arrays, **options)`` gives the size that an error is measured relative to,
        element by element; default the size of the result.
    unit : float
        Added to the default scale: for results that cross zero, such as a logarithm.
    sees_dtype : bool
        The reference takes the dtype to compute in as its keyword ``compute``: it has no array
        that would tell.
    """

    name: str
    reference: Callable[..., Any]
    torch: str | Callable[..., Any] | None = None
    peer: Callable[..., Any] | None = None
    call: Callable[..., Any] | None = None
    flops: Callable[..., float] | None = None
    backward: float | None = None
    bytes_moved: Callable[..., float] | None = None
    scale: Callable[..., Any] | None = None
    unit: float = 0.0
    sees_dtype: bool = False

    def __call__(self, *inputs: Input | None, **options: Any) -> Case:
        return Case(self, inputs, options)


@dataclass(frozen=True, eq=False)
class Case:
    """An operation with inputs and options.

    Attributes
    ----------
    op : Op
    inputs : tuple of Input or None
    options : dict
    wanted : tuple of int
        The inputs that are differentiated.
    is_exact : bool
        Results must equal the reference bit for bit: inputs are small whole numbers, or nothing
        is rounded.
    for_bench : bool
        A row of the benchmark; too large for the tests, which leave it out.
    in_quick : bool
        Also a row of the quick benchmark.
    note : str
        Said in the name.
    torch_differs : str
        Why PyTorch is no yardstick here: it refuses the case, or defines it otherwise.
    """

    op: Op
    inputs: tuple[Input | None, ...]
    options: dict[str, Any] = field(default_factory=dict)
    wanted: tuple[int, ...] = ()
    is_exact: bool = False
    for_bench: bool = False
    in_quick: bool = False
    note: str = ""
    torch_differs: str = ""

    # Flags, to be chained: op(...).grad().exact()

    def grad(self, *positions: int) -> Case:
        """Differentiate these inputs; without arguments, all that hold floats."""
        every = tuple(i for i, x in enumerate(self.inputs) if x is not None and x.is_float)
        return replace(self, wanted=positions or every)

    def exact(self) -> Case:
        """Demand the reference's bits."""
        return replace(self, is_exact=True)

    def bench(self, quick: bool = False) -> Case:
        """Make it a row of the benchmark, with a backward pass when inputs are differentiated."""
        return replace(self, for_bench=True, in_quick=quick)

    def called(self, note: str) -> Case:
        """Add a word to the name."""
        return replace(self, note=note)

    def laid_out(self, layout: str) -> Case:
        """The same operation on inputs that all lie in memory in another way."""
        return replace(self, inputs=tuple(x if x is None else x.laid_out(layout) for x in self.inputs))

    def unlike_torch(self, reason: str) -> Case:
        """Leave it out of the comparison with PyTorch."""
        return replace(self, torch_differs=reason)

    # Names

    @property
    def shapes(self) -> str:
        """The inputs in words: ``2x3x8x8 4x3x3x3``."""
        return " ".join("none" if x is None else str(x) for x in self.inputs)

    @property
    def name(self) -> str:
        """A readable, unique identifier."""
        parts = [self.op.name, *self.shapes.split(), self.note]
        parts += ["backward"] if self.for_bench and self.wanted else []
        parts += [f"{key}={_word(value)}" for key, value in self.options.items()]
        return "-".join(part for part in parts if part)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The element types to run it in: both, unless the options name one."""
        return (self.options["dtype"],) if "dtype" in self.options else ("float32", "float64")

    # Arrays and results

    def make(self, dtype: Any) -> list[Array | None]:
        """Fresh input arrays; the same numbers, up to rounding, in either dtype."""
        rng = np.random.default_rng(zlib.crc32(self.name.encode()))
        return [None if x is None else x.make(rng, dtype) for x in self.inputs]

    def run(self, einkorn: Any, arrays: list[Any], dtype: Any = np.float32) -> Any:
        """Call the public operation on arrays or Tensors."""
        if self.op.call is not None:
            return self.op.call(einkorn, arrays, dtype, self.options)
        return getattr(einkorn.ops, self.op.name)(*arrays, **self.options)

    def run_torch(self, torch: Any, tensors: list[Any]) -> Any:
        """Call PyTorch's equivalent."""
        target = self.op.torch or self.op.peer
        if isinstance(target, str):
            function = torch
            for part in target.split("."):
                function = getattr(function, part)
            return function(*tensors, **self.options)
        assert target is not None, f"{self.op.name} has no equivalent in PyTorch"
        return target(torch, *tensors, **self.options)

    def reference(self, arrays: list[Array | None], dtype: Any) -> tuple[Array, ...]:
        """The reference's results, computed in ``dtype`` from the given numbers."""
        cast = [a if a is None or a.dtype.kind != "f" else a.astype(dtype) for a in arrays]
        extra = {"compute": np.dtype(dtype)} if self.op.sees_dtype else {}
        with np.errstate(all="ignore"):
            results = self.op.reference(*cast, **self.options, **extra)
        return tuple(np.asarray(r) for r in as_tuple(results))

    def scale(self, arrays: list[Array | None], results: tuple[Array, ...]) -> tuple[Array, ...]:
        """What each result's error is relative to."""
        if self.op.scale is None:
            return tuple(np.abs(r) + self.op.unit for r in results)
        cast = [a if a is None or a.dtype.kind != "f" else a.astype(np.float64) for a in arrays]
        with np.errstate(all="ignore"):
            scales = self.op.scale(*cast, **self.options)
        return tuple(np.asarray(s) for s in as_tuple(scales))

    # Cost

    def cost(self, out_shape: tuple[int, ...], itemsize: int = 4) -> tuple[float, float]:
        """FLOPs and bytes of the bench row: forward, and backward when inputs are differentiated.

        A backward pass of a product costs one more product for each gradient; it reads the
        gradient of the output and the inputs, and writes the gradients.
        """
        shapes = [x.shape if x is not None else () for x in self.inputs]
        sizes = [0 if x is None else x.size for x in self.inputs]
        out_size = math.prod(out_shape)
        flops = float(out_size)
        if self.op.flops is not None:
            flops = float(self.op.flops(shapes, out_shape, self.options))
        elements = float(sum(sizes) + out_size)
        if self.op.bytes_moved is not None:
            elements = float(self.op.bytes_moved(shapes, out_shape, self.options))
        products = [i for i in self.wanted if len(shapes[i]) > 1]
        written = sum(sizes[i] for i in self.wanted)
        backward_elements = (out_size + sum(sizes) + written) if self.wanted else 0
        times = float(len(products)) if self.op.backward is None or not self.wanted else self.op.backward
        return flops * (1 + times), (elements + backward_elements) * itemsize


def as_tuple(results: Any) -> tuple[Any, ...]:
    """One result or several, always as a tuple."""
    return tuple(results) if isinstance(results, (tuple, list)) else (results,)


def _word(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return "(" + ",".join(_word(v) for v in value) + ")"
    if isinstance(value, slice):
        parts = (value.start, value.stop, value.step)
        return ":".join("" if part is None else str(part) for part in parts)
    return "..." if value is Ellipsis else str(value)
