"""How often things occur: a Counter with NLTK's methods."""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Any

from einkorn import _extras
from einkorn.errors import ArgumentError
from einkorn.text._arguments import whole_number

__all__ = ["FreqDist"]


class FreqDist(Counter[Any]):
    """How often each of some things occurs; names and results are those of NLTK's class.

    A ``collections.Counter``, except that going through it begins with the most frequent.

    Parameters
    ----------
    samples
        Words, characters or anything that has a hash; or a mapping of such to counts.

    Raises
    ------
    ArgumentError
        The samples cannot be gone through.
    """

    def __init__(self, samples: Any = None) -> None:
        if samples is not None and not isinstance(samples, Iterable):
            raise ArgumentError(f"FreqDist: samples must be a list or the like, got {samples!r:.60}")
        self._N: int | None = None  # the sum, until something changes
        super().__init__(samples)

    # -------------------- what a Counter does

    def __setitem__(self, sample: Any, count: int) -> None:
        self._N = None
        super().__setitem__(sample, count)

    def __delitem__(self, sample: Any) -> None:
        self._N = None
        super().__delitem__(sample)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Count more samples, or add the counts of a mapping."""
        self._N = None
        # A Counter counts in C, one of a class with a __setitem__ of its own does not.
        super().update(*(Counter(each) for each in args), **kwargs)

    def setdefault(self, sample: Any, count: Any = None) -> Any:
        """The count of a sample; of one that is not there ``count``, which it then has."""
        self._N = None
        return super().setdefault(sample, count)

    def pop(self, *args: Any) -> Any:
        """Leave a sample out; its count."""
        self._N = None
        return super().pop(*args)

    def popitem(self) -> tuple[Any, int]:
        """Leave the last sample out; it and its count."""
        self._N = None
        return super().popitem()

    def clear(self) -> None:
        """Leave all out."""
        self._N = None
        super().clear()

    def copy(self) -> FreqDist:
        """The same counts once more."""
        return type(self)(self)

    def __add__(self, other: Any) -> FreqDist:
        return type(self)(super().__add__(other))

    def __sub__(self, other: Any) -> FreqDist:
        return type(self)(super().__sub__(other))

    def __or__(self, other: Any) -> FreqDist:  # type: ignore[override]
        return type(self)(super().__or__(other))

    def __and__(self, other: Any) -> FreqDist:
        return type(self)(super().__and__(other))

    def __iter__(self) -> Iterator[Any]:
        return iter([sample for sample, _ in self.most_common()])

    def __repr__(self) -> str:
        return self.pformat()

    def __str__(self) -> str:
        return f"<FreqDist with {self.B()} samples and {self.N()} outcomes>"

    # -------------------- what NLTK's class adds

    def N(self) -> int:  # noqa: N802
        """How many there are in all."""
        if self._N is None:
            self._N = sum(self.values())
        return self._N

    def B(self) -> int:  # noqa: N802
        """How many different ones."""
        return len(self)

    def freq(self, sample: Any) -> float:
        """The share of a sample; of one that is not there 0."""
        total = self.N()
        return self[sample] / total if total else 0

    def max(self) -> Any:
        """The most frequent sample, of several the first.

        Raises
        ------
        ArgumentError
            There is none.
        """
        if not self:
            raise ArgumentError("FreqDist.max: there are no samples")
        return self.most_common(1)[0][0]

    def hapaxes(self) -> list[Any]:
        """The samples that occur once."""
        return [sample for sample, count in self.items() if count == 1]

    def r_Nr(self, bins: int | None = None) -> dict[int, int]:  # noqa: N802
        """For each count how many samples have it; of ``bins`` possible ones those that are not there have
        count 0.
        """
        found: dict[int, int] = defaultdict(int)
        for count in self.values():
            found[count] += 1
        found[0] = 0 if bins is None else whole_number("FreqDist", "bins", bins, 0) - self.B()
        return found

    def Nr(self, r: int, bins: int | None = None) -> int:  # noqa: N802
        """How many samples occur ``r`` times; ``bins`` as for :meth:`r_Nr`."""
        return self.r_Nr(bins)[r]

    def pformat(self, maxlen: int = 10) -> str:
        """The most frequent ``maxlen`` samples with their counts, as a str."""
        shown = [f"{sample!r}: {count!r}" for sample, count in self.most_common(maxlen)]
        return f"FreqDist({{{', '.join(shown + ['...'] * (len(self) > maxlen))}}})"

    def pprint(self, maxlen: int = 10, stream: Any = None) -> None:
        """Print :meth:`pformat`, by default to standard output."""
        print(self.pformat(maxlen), file=stream)

    def _shown(
        self, number: int | None, samples: Iterable[Any] | None, cumulative: bool
    ) -> tuple[list[Any], list[int]]:
        if samples is None:
            samples = [sample for sample, _ in self.most_common(number)]
        listed = list(samples)
        counts = [self[sample] for sample in listed]
        return listed, list(accumulate(counts)) if cumulative else counts

    def tabulate(
        self, number: int | None = None, *, samples: Iterable[Any] | None = None, cumulative: bool = False
    ) -> None:
        """Print counts below their samples.

        Parameters
        ----------
        number
            How many, the most frequent; by default all.
        samples
            Which, instead of it.
        cumulative
            Whether each count is a sum of those up to there.
        """
        listed, counts = self._shown(number, samples, cumulative)
        width = max((len(str(each)) for each in (*listed, *counts)), default=0)
        for row in (listed, counts):
            sys.stdout.write("".join(f"{each!s:>{width}} " for each in row) + "\n")

    def plot(
        self,
        number: int | None = None,
        *,
        title: str = "",
        samples: Iterable[Any] | None = None,
        cumulative: bool = False,
        percents: bool = False,
        ax: Any = None,
        **options: Any,
    ) -> Any:
        """A picture of counts, as a line.

        Parameters
        ----------
        number, samples, cumulative
            As for :meth:`tabulate`.
        title
            Over the picture.
        percents
            Whether counts are shown as shares of all in per cent.
        ax
            matplotlib axes; by default those of a new figure, which is not shown by itself.
        **options
            Of matplotlib's ``plot``.

        Returns
        -------
        the axes
        """
        listed, counts = self._shown(number, samples, cumulative)
        ax = _extras.axes_for(ax, "FreqDist.plot")
        heights = [100 * count / (self.N() or 1) for count in counts] if percents else counts
        places = range(len(listed))
        ax.plot(places, heights, **options)
        ax.set_xticks(places, [str(sample) for sample in listed], rotation=90)
        what = "Percents" if percents else "Counts"
        ax.set(title=title, xlabel="Samples", ylabel=f"Cumulative {what}" if cumulative else what)
        return ax
