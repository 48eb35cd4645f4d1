"""The benchmark's rows: what einkorn does, and its peers' versions of the same."""

from __future__ import annotations

import dataclasses
import importlib.util
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import einkorn
from einkorn.bench.peers import Peers
from einkorn.bench.timing import Call
from einkorn.cases import FAMILIES as CASE_FAMILIES
from einkorn.cases import Case, as_tuple, cases_of
from einkorn.errors import ArgumentError

__all__ = ["FAMILIES", "Prepared", "Row", "rows_of"]

#: Everything that ``einkorn bench`` can measure, in its order.
FAMILIES = (*CASE_FAMILIES, "narrow", "training", "boosting", "vision", "augment", "busy")

_HAS_SKLEARN = importlib.util.find_spec("sklearn") is not None  # what the estimators stand on


@dataclass(frozen=True)
class Prepared:
    """A row with its data: what is timed, and what it costs by definition.

    Attributes
    ----------
    ours : callable
        One call.
    peers : dict of str to callable
        The same by each peer that is there, by its module's name.
    flops, traffic : float
        Floating-point operations and bytes: the roofline's two sides.
    """

    ours: Call
    peers: dict[str, Call]
    flops: float
    traffic: float


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes
    ----------
    family, name, shape : str
    prepare : callable
        ``prepare(peers)`` makes the data, for all sides the same.
    peers : tuple of str
        The libraries that can do the same, see :data:`einkorn.bench.peers.PEERS`.
    in_quick : bool
        Also measured by ``--quick``.
    beside_busy : bool
        Measured while another process keeps one core busy.
    """

    family: str
    name: str
    shape: str
    prepare: Callable[[Peers], Prepared]
    peers: tuple[str, ...] = ("torch",)
    in_quick: bool = False
    beside_busy: bool = False

    @property
    def title(self) -> str:
        """Family, name and shape: what patterns are looked for in."""
        return f"{self.family}: {self.name} {self.shape}".rstrip()


def rows_of(
    families: Sequence[str] | None = None, quick: bool = False, pattern: str | None = None
) -> Iterator[Row]:
    """Give the rows of some families, or of all.

    Parameters
    ----------
    families : sequence of str, optional
    quick : bool
        Only those of the quick benchmark.
    pattern : str, optional
        Only those in whose title (``matmul: matmul 256x256 256x256``) this regular expression is found,
        capitals or not.

    Raises
    ------
    ArgumentError
        For a family that does not exist, boosting without scikit-learn, or a pattern that is none.
    """
    try:
        wanted_title = re.compile(pattern or "", re.IGNORECASE)
    except re.error as error:
        raise ArgumentError(f"bench: rows is {pattern!r}, which is no regular expression: {error}") from None
    for family in families or ():
        if family not in FAMILIES:
            raise ArgumentError(f"bench: family is {family!r}, expected one of {', '.join(FAMILIES)}")
        if family == "boosting" and not _HAS_SKLEARN:
            raise ArgumentError("bench: boosting needs scikit-learn: pip install 'einkorn[boosting]'")
    wanted = families or [name for name in FAMILIES if name != "boosting" or _HAS_SKLEARN]
    for family in wanted:
        for row in _family_rows(family):
            if (row.in_quick or not quick) and wanted_title.search(row.title):
                yield row


def _family_rows(family: str) -> list[Row]:
    if family == "narrow":
        from einkorn.bench.narrow import narrow_rows

        return narrow_rows()
    if family == "training":
        from einkorn.bench.training import training_rows

        return training_rows()
    if family == "boosting":
        from einkorn.bench.boosting import boosting_rows

        return boosting_rows()
    if family == "vision":
        from einkorn.bench.vision import vision_rows

        return vision_rows()
    if family == "augment":
        from einkorn.bench.augment import augment_rows

        return augment_rows()
    if family == "busy":
        return _busy_rows()
    rows = [_case_row(family, case) for case in cases_of(family) if case.for_bench]
    return rows + (_optimizer_rows() if family == "optimizer" else [])


def _busy_rows() -> list[Row]:
    """Some rows of other families once more, with a process beside them that keeps one core busy."""
    chosen = {
        "elementwise": ("relu", "2048x1024"),
        "matmul": ("matmul", "1024x1024 1024x1024"),
        "training": ("LeNet-5 step", "1x28x28 batch 64"),
    }
    return [
        dataclasses.replace(
            row, family="busy", name=f"{row.name} beside one busy process", in_quick=False, beside_busy=True
        )
        for family, title in chosen.items()
        for row in _family_rows(family)
        if (row.name, row.shape) == title
    ]


# --- rows from cases ----------------------------------------------------------------------------


def _case_row(family: str, case: Case) -> Row:
    words = [case.shapes]
    words += [f"{key}={value}" for key, value in case.options.items() if key != "dtype"]
    name = case.op.name + (" fwd+bwd" if case.wanted else "")
    shape = " ".join(word for word in words if word)
    has_torch = (case.op.torch or case.op.peer) is not None
    peers = ("torch",) if has_torch else ()
    return Row(family, name, shape, lambda peers: _prepare(case, peers), peers, case.in_quick)


def _prepare(case: Case, peers: Peers) -> Prepared:
    arrays = case.make(np.float32)
    shapes = [tuple(result.shape) for result in as_tuple(case.run(einkorn, arrays, np.float32))]
    has_torch = (case.op.torch or case.op.peer) is not None
    torch = peers.get("torch") if has_torch else None
    calls = {} if torch is None else {"torch": _torch_call(case, torch, arrays, shapes)}
    flops, traffic = case.cost(shapes[0])
    return Prepared(_our_call(case, arrays, shapes), calls, flops, traffic)


def _our_call(case: Case, arrays: list[Any], shapes: list[tuple[int, ...]]) -> Call:
    if not case.wanted:
        return lambda: case.run(einkorn, arrays, np.float32)
    inputs = list(arrays)
    for i in case.wanted:
        inputs[i] = einkorn.Tensor(arrays[i], requires_grad=True)
    leaves = [inputs[i] for i in case.wanted]
    gradients = [np.ones(shape, np.float32) for shape in shapes]

    def step() -> Any:
        ends = _recorded(case.run(einkorn, inputs, np.float32), gradients)
        return einkorn.grad(ends[0], leaves, ends[1])

    return step


def _recorded(results: Any, gradients: list[Any]) -> tuple[list[Any], list[Any]]:
    """Results that a gradient goes back from (running statistics are none), and their gradients."""
    ends = [
        pair
        for pair in zip(as_tuple(results), gradients, strict=False)
        if getattr(pair[0], "requires_grad", False)
    ]
    return [result for result, _ in ends], [gradient for _, gradient in ends]


def _torch_call(case: Case, torch: Any, arrays: list[Any], shapes: list[tuple[int, ...]]) -> Call:
    tensors: list[Any] = [None if a is None else torch.from_numpy(a) for a in arrays]
    if not case.wanted:

        def forward() -> Any:
            with torch.no_grad():
                return case.run_torch(torch, tensors)

        return forward
    leaves = [tensors[i].requires_grad_() for i in case.wanted]
    gradients = [torch.ones(shape) for shape in shapes]

    def step() -> Any:
        ends = _recorded(case.run_torch(torch, tensors), gradients)
        return torch.autograd.grad(ends[0], leaves, ends[1])

    return step


# --- rows with state ----------------------------------------------------------------------------


def _optimizer_rows() -> list[Row]:
    layers = [(512, 2048), (2048, 512), (512,), (2048,)] * 8
    sizes = [int(np.prod(shape)) for shape in layers]
    n, many = 10_000_000, sum(sizes)
    return [
        # Adam reads parameter, gradient and both moments, and writes all but the gradient.
        _optimizer_row("Adam", [(n,)], 12 * n, 7 * 4 * n, True),
        _optimizer_row("Adam", layers, 12 * many, 7 * 4 * many, False),
        _optimizer_row("SGD", [(n,)], 4 * n, 5 * 4 * n, False),
        _optimizer_row("RMSprop", [(n,)], 8 * n, 5 * 4 * n, False),
        _optimizer_row("Adagrad", [(n,)], 6 * n, 5 * 4 * n, False),
    ]


def _optimizer_row(
    name: str, shapes: list[tuple[int, ...]], flops: float, traffic: float, in_quick: bool
) -> Row:
    options = {"momentum": 0.9} if name == "SGD" else {}

    def ours() -> Call:
        params = [einkorn.nn.Parameter(np.ones(s, np.float32)) for s in shapes]
        for p in params:
            p.grad = einkorn.Tensor(np.full(p.shape, 0.5, np.float32))
        step: Call = getattr(einkorn.optim, name)(params, lr=1e-3, **options).step
        return step

    def peer(torch: Any) -> Call:
        params = [torch.ones(s) for s in shapes]
        for p in params:
            p.grad = torch.full(p.shape, 0.5)
        fused = {} if name == "RMSprop" else {"fused": True}  # torch has no fused RMSprop
        step: Call = getattr(torch.optim, name)(params, lr=1e-3, **fused, **options).step
        return step

    def prepare(peers: Peers) -> Prepared:
        torch = peers.get("torch")
        return Prepared(ours(), {} if torch is None else {"torch": peer(torch)}, flops, traffic)

    words = f"{len(shapes)} tensors, {sum(int(np.prod(s)) for s in shapes):,} parameters"
    return Row("optimizer", f"{name} step", words, prepare, in_quick=in_quick)
