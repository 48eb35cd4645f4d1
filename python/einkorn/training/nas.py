"""A search for architectures: regularized evolution over a space of cells, and random search beside it.

A network for images is a stack of equal cells; what is searched is the cell (Zoph et al. 2018). Evolution
keeps a population of cells in the order of their birth: of a few drawn from it the best has a child, which
differs in one place, and the oldest dies (Real et al. 2019). So a cell that was lucky once does not stay.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from einkorn import nn, ops, random
from einkorn._console import say
from einkorn._files import write_text
from einkorn.errors import ArgumentError, DataError

__all__ = [
    "OPERATIONS",
    "Cell",
    "CellNetwork",
    "CellSpace",
    "Node",
    "RandomSearch",
    "RegularizedEvolution",
    "Trial",
    "validation_accuracy",
]

#: What an input of a node may go through, by name: functions of the channels that give a Module.
OPERATIONS: dict[str, Callable[[int], nn.Module]] = {
    "identity": lambda channels: nn.Identity(),
    "conv1x1": lambda channels: _convolution(channels, 1),
    "conv3x3": lambda channels: _convolution(channels, 3),
    "separable3x3": lambda channels: nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
    ),
    "max_pool3x3": lambda channels: nn.MaxPool2d(3, stride=1, padding=1),
    "avg_pool3x3": lambda channels: nn.AvgPool2d(3, stride=1, padding=1),
}


def _convolution(channels: int, size: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(channels, channels, size, padding=size // 2, bias=False),
        nn.BatchNorm2d(channels),
    )


class Node(NamedTuple):
    """The sum of two inputs, each after an operation. Inputs 0 and 1 are the cell's, 2 is the first node."""

    first: int
    first_operation: str
    second: int
    second_operation: str


Cell = tuple[Node, ...]


class CellSpace:
    """All cells of so many nodes.

    Parameters
    ----------
    nodes : int, default 3
    operations : sequence of str, default all of ``OPERATIONS``
    """

    def __init__(self, nodes: int = 3, operations: Sequence[str] = tuple(OPERATIONS)) -> None:
        self.nodes = _count("CellSpace", "nodes", nodes)
        self.operations = tuple(operations)
        unknown = [name for name in self.operations if name not in OPERATIONS]
        if unknown or not self.operations:
            raise ArgumentError(
                f"CellSpace: operations is {self.operations}, expected some of {', '.join(OPERATIONS)}"
            )

    def __len__(self) -> int:
        """How many cells there are; some of them compute the same."""
        return math.prod(((i + 2) * len(self.operations)) ** 2 for i in range(self.nodes))

    def random(self, rng: np.random.Generator) -> Cell:
        """A cell, each as likely as any other."""

        def operation() -> str:
            return self.operations[rng.integers(len(self.operations))]

        return tuple(
            Node(int(rng.integers(i + 2)), operation(), int(rng.integers(i + 2)), operation())
            for i in range(self.nodes)
        )

    def mutate(self, cell: Cell, rng: np.random.Generator) -> Cell:
        """A cell that differs in one place: another input, or another operation, of one node.

        Where there is but one operation, and one choice of an input, it may be the same.
        """
        place = int(rng.integers(self.nodes))
        field = int(rng.integers(4))
        values: list[Any] = list(cell[place])
        if field % 2:
            others: list[Any] = [name for name in self.operations if name != values[field]]
        else:
            others = [number for number in range(place + 2) if number != values[field]]
        if others:
            values[field] = others[rng.integers(len(others))]
        return (*cell[:place], Node(*values), *cell[place + 1 :])

    def check(self, cell: Any, op: str) -> Cell:
        """The cell, if it is one of the space.

        Raises
        ------
        ArgumentError
            It is not.
        """
        try:
            found = tuple(Node(*node) for node in cell)
            good = len(found) == self.nodes and all(
                0 <= number < i + 2 and name in self.operations
                for i, node in enumerate(found)
                for number, name in (node[:2], node[2:])
            )
        except TypeError:
            good = False
        if not good:
            raise ArgumentError(f"{op}: {cell!r} is no cell of {self.nodes} nodes of this space")
        return found


class _CellModule(nn.Module):
    """One cell: nodes one after the other; those that no other takes are laid side by side and mixed."""

    def __init__(self, cell: Cell, channels: int) -> None:
        super().__init__()
        self.cell = cell
        self.paths = nn.ModuleList(
            [OPERATIONS[name](channels) for node in cell for name in (node[1], node[3])]
        )
        used = {number for node in cell for number in (node.first, node.second)}
        self.loose = [i + 2 for i in range(len(cell)) if i + 2 not in used]
        self.mix = nn.Conv2d(channels * len(self.loose), channels, 1)

    def forward(self, before: Any, now: Any) -> Any:
        values = [before, now]
        for i, node in enumerate(self.cell):
            first = self.paths[2 * i](values[node.first])
            values.append(ops.add(first, self.paths[2 * i + 1](values[node.second])))
        return self.mix(ops.concatenate([values[i] for i in self.loose], 1))


class CellNetwork(nn.Module):
    """A classifier of images made of equal cells, [rows, in_channels, height, width] to [rows, classes].

    A convolution, then stages of cells with half the sides and twice the channels from one to the next, the
    mean over places, and a linear layer. A cell gets what the two before it gave.

    Parameters
    ----------
    cell : Cell
    in_channels, classes : int
    channels : int, keyword-only, default 8
        Of the first stage.
    stages : int, keyword-only, default 2
    cells : int, keyword-only, default 1
        Of each stage.
    """

    def __init__(
        self,
        cell: Cell,
        in_channels: int,
        classes: int,
        *,
        channels: int = 8,
        stages: int = 2,
        cells: int = 1,
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("stages", stages), ("cells", cells)):
            _count("CellNetwork", name, value)
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )
        self.body, self.reductions = nn.ModuleList(), nn.ModuleList()
        for stage in range(stages):
            if stage:
                half = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
                self.reductions.append(half)
                channels *= 2
            for _ in range(cells):
                self.body.append(_CellModule(cell, channels))
        self.cells = cells
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Any) -> Any:
        now = self.stem(x)
        before = now
        for i, cell in enumerate(self.body):
            if i and i % self.cells == 0:
                now = self.reductions[i // self.cells - 1](now)
                before = now
            before, now = now, cell(before, now)
        return self.head(ops.mean(ops.relu(now), axis=(2, 3)))


class Trial(NamedTuple):
    """One cell that was looked at."""

    number: int  # from 0
    cell: Cell
    score: float  # the larger, the better
    parent: int | None  # the number of the trial it is a child of
    seconds: float


class _Search:
    """What both searches share: trials one after the other, written down as they come."""

    def __init__(self, space: CellSpace, evaluate: Callable[[Cell], float], *, seed: int = 0) -> None:
        if not isinstance(space, CellSpace):
            raise ArgumentError(f"{type(self).__name__}: space is {space!r}, expected a CellSpace")
        if not callable(evaluate):
            raise ArgumentError(
                f"{type(self).__name__}: evaluate is {evaluate!r}, expected a function of a cell"
            )
        self.space = space
        self.evaluate = evaluate
        self.seed = _count(type(self).__name__, "seed", seed, 0)
        self.history: list[Trial] = []

    @property
    def best(self) -> Trial:
        """The trial with the largest score, the earliest of several.

        Raises
        ------
        ArgumentError
            There is none yet.
        """
        if not self.history:
            raise ArgumentError(f"{type(self).__name__}: no trial was made yet")
        return max(self.history, key=lambda trial: (trial.score, -trial.number))

    def best_scores(self) -> list[float]:
        """The largest score after each trial, for curves."""
        return [float(value) for value in np.maximum.accumulate([trial.score for trial in self.history])]

    def settings(self) -> dict[str, Any]:
        """What has to be the same when a search goes on."""
        return {
            "search": type(self).__name__,
            "nodes": self.space.nodes,
            "operations": list(self.space.operations),
            "seed": self.seed,
        }

    def run(self, budget: int, path: str | PathLike[str] | None = None, *, verbose: int = 1) -> Trial:
        """Look at cells until there are so many trials; the best.

        A cell that was looked at before keeps its score, and counts. A trial depends on those before it and
        on the seed alone, so a search that was interrupted goes on as if it had not been.

        Parameters
        ----------
        budget : int
            Trials in all, those of an earlier ``run`` or of the file among them.
        path : str or path, optional
            A JSON file, written after each trial; if it is there, the search goes on with it.
        verbose : 0 or 1, keyword-only, default 1
            Whether a line is printed for each trial.

        Raises
        ------
        ArgumentError
            The file is of a search with other settings; a score is no finite number.
        DataError
            The file is damaged.
        """
        budget = _count(type(self).__name__, "budget", budget)
        file = None if path is None else Path(path)
        if file is not None and file.exists():
            self._read(file)
        known = {trial.cell: trial.score for trial in self.history}
        while len(self.history) < budget:
            number = len(self.history)
            cell, parent = self._next(np.random.default_rng((self.seed, number)))
            started = time.perf_counter()
            if cell not in known:
                score = self.evaluate(cell)
                if isinstance(score, bool) or not isinstance(score, (int, float, np.number)):
                    raise ArgumentError(f"{type(self).__name__}: evaluate gave {score!r}, expected a number")
                if not math.isfinite(score):
                    raise ArgumentError(
                        f"{type(self).__name__}: evaluate gave {score}, expected a finite number"
                    )
                known[cell] = float(score)
            taken = time.perf_counter() - started
            self.history.append(Trial(number, cell, known[cell], parent, taken))
            if file is not None:
                self._write(file)
            if verbose:
                best = self.best
                say(
                    f"trial {number + 1}/{budget}: {known[cell]:.4f} in {taken:.1f} s, the best "
                    f"{best.score:.4f} in "
                    f"trial {best.number + 1}"
                )
        return self.best

    def _next(self, rng: np.random.Generator) -> tuple[Cell, int | None]:
        raise TypeError(f"{type(self).__name__} defines no _next()")

    def _write(self, path: Path) -> None:
        rows = [trial._asdict() for trial in self.history]
        write_text(path, json.dumps({"settings": self.settings(), "trials": rows}) + "\n")

    def _read(self, path: Path) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            settings, rows = found["settings"], found["trials"]
            trials = [
                Trial(int(r["number"]), r["cell"], float(r["score"]), r["parent"], float(r["seconds"]))
                for r in rows
            ]
            if [trial.number for trial in trials] != list(range(len(trials))):
                raise ValueError("trials are missing")
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: holds no search: {error!r}") from error
        if settings != self.settings():
            raise ArgumentError(
                f"{type(self).__name__}: {path} is of a search with {settings}, this one has "
                f"{self.settings()}"
            )
        self.history = [
            trial._replace(cell=self.space.check(trial.cell, type(self).__name__)) for trial in trials
        ]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.history)


class RandomSearch(_Search):
    """Cells drawn one by one: what any search has to beat.

    Parameters
    ----------
    space : CellSpace
    evaluate : callable
        Gives a cell's score, the larger the better, and for the same cell always the same.
    seed : int, keyword-only, default 0

    Attributes
    ----------
    history : list of Trial
    best : Trial
    """

    def _next(self, rng: np.random.Generator) -> tuple[Cell, int | None]:
        return self.space.random(rng), None


class RegularizedEvolution(_Search):
    """Aging evolution (Real et al. 2019, algorithm 1).

    The first ``population`` cells are drawn at random. Then ``sample`` of the newest ``population`` are
    drawn, and the best of them has a child that differs in one place.

    Parameters
    ----------
    space : CellSpace
    evaluate : callable
        As for ``RandomSearch``.
    population : int, keyword-only, default 20
    sample : int, keyword-only, default 5
        The more, the greedier.
    seed : int, keyword-only, default 0

    Attributes
    ----------
    history : list of Trial
    best : Trial
    """

    def __init__(
        self,
        space: CellSpace,
        evaluate: Callable[[Cell], float],
        *,
        population: int = 20,
        sample: int = 5,
        seed: int = 0,
    ) -> None:
        super().__init__(space, evaluate, seed=seed)
        self.population = _count("RegularizedEvolution", "population", population)
        self.sample = _count("RegularizedEvolution", "sample", sample)
        if self.sample > self.population:
            raise ArgumentError(
                f"RegularizedEvolution: sample is {sample}, expected at most the population, {population}"
            )

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "population": self.population, "sample": self.sample}

    def _next(self, rng: np.random.Generator) -> tuple[Cell, int | None]:
        if len(self.history) < self.population:
            return self.space.random(rng), None
        alive = self.history[-self.population :]
        drawn = [alive[i] for i in rng.choice(self.population, self.sample, replace=False)]
        parent = max(drawn, key=lambda trial: (trial.score, trial.number))
        return self.space.mutate(parent.cell, rng), parent.number


def validation_accuracy(
    x: Any,
    y: Any,
    x_validation: Any,
    y_validation: Any,
    *,
    epochs: int = 3,
    batch_size: int = 64,
    lr: float = 0.005,
    seed: int = 0,
    **network: Any,
) -> Callable[[Cell], float]:
    """A score of cells: the accuracy, on rows held out, of a small network trained for a short while.

    Parameters
    ----------
    x, x_validation : array [rows, channels, height, width]
    y, y_validation : integer array [rows]
    epochs : int, keyword-only, default 3
    batch_size : int, keyword-only, default 64
    lr : float, keyword-only, default 0.005
        Of Adam.
    seed : int, keyword-only, default 0
        Every cell begins with these random numbers; einkorn's own generator is left as it was.
    **network
        Further arguments of ``CellNetwork``.

    Returns
    -------
    callable
        Of a cell; gives a number from 0 to 1.
    """
    classes = int(max(np.max(y), np.max(y_validation))) + 1
    channels = np.shape(x)[1]

    def score(cell: Cell) -> float:
        before = random.get_state()
        random.manual_seed(seed)
        try:
            model = CellNetwork(cell, channels, classes, **network)
            from einkorn import optim

            model.compile(optim.Adam(model.parameters(), lr=lr), "cross_entropy")
            model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
            scores = model.predict(x_validation, verbose=0)
        finally:
            random.set_state(before)
        return float(np.mean(np.asarray(scores).argmax(1) == np.asarray(y_validation).reshape(-1)))

    return score


def _count(owner: str, name: str, value: Any, least: int = 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ArgumentError(f"{owner}: {name} is {value!r}, expected an integer of at least {least}")
    return int(value)
