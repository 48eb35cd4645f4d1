"""Deep ensembles: several networks that began differently (Lakshminarayanan et al. 2017)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from einkorn.bayes.stochastic import batch_outputs, probabilities
from einkorn.errors import ArgumentError, EinkornError
from einkorn.nn.module import Module
from einkorn.training.modes import evaluating

__all__ = ["DeepEnsemble"]


class DeepEnsemble:
    """Networks of one kind, trained alike from different first weights and in different orders of the rows.

    Parameters
    ----------
    build : callable
        Gives a new, compiled Module each time it is called.
    members : int, default 5

    Attributes
    ----------
    members : list of Module
        Empty until ``fit``.
    histories : list of History
    """

    def __init__(self, build: Callable[[], Module], members: int = 5) -> None:
        if not callable(build) or isinstance(build, Module):
            hint = ": a Module is one member, which each has to be built anew" if callable(build) else ""
            raise ArgumentError(
                f"DeepEnsemble: build is {type(build).__name__}, expected a function that gives a "
                f"Module{hint}"
            )
        if isinstance(members, bool) or not isinstance(members, int) or members < 1:
            raise ArgumentError(f"DeepEnsemble: members is {members!r}, expected an integer of at least 1")
        self._build = build
        self._count = members
        self.members: list[Module] = []
        self.histories: list[Any] = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Module]:
        return iter(self.members)

    def fit(self, *arguments: Any, **options: Any) -> DeepEnsemble:
        """Train every member with these arguments of ``Module.fit``.

        ``einkorn.manual_seed`` makes it repeatable: the members draw one after the other.
        """
        self.members, self.histories = [], []
        for _ in range(self._count):
            model = self._build()
            if not isinstance(model, Module):
                raise ArgumentError(f"DeepEnsemble: build gave {type(model).__name__}, expected a Module")
            self.histories.append(model.fit(*arguments, **options))
            self.members.append(model)
        return self

    def sample_outputs(self, x: Any, *, batch_size: int = 256) -> np.ndarray:
        """What each member gives, [members, rows, ...].

        Raises
        ------
        EinkornError
            ``fit`` was not called.
        """
        if not self.members:
            raise EinkornError("DeepEnsemble: has no members yet: call fit() first")
        found = []
        for model in self.members:
            with evaluating(model):
                found.append(batch_outputs(model, x, batch_size, "DeepEnsemble.sample_outputs"))
        return np.stack(found)

    def sample_probabilities(self, x: Any, *, batch_size: int = 256) -> np.ndarray:
        """The probabilities of classes that each member gives, [members, rows, classes]."""
        outputs = self.sample_outputs(x, batch_size=batch_size)
        return probabilities(self.members[0], outputs)
