"""Products of several arrays: einsum and what it names, all by way of the matrix product.

einsum turns every pair of operands into one stack of matrix products::

    bhqd, bhkd -> bhqk        batch b h      left q      right k      summed d

        [b h, q, d] @ [b h, d, k]  ->  [b h, q, k]

Axes that only one operand has, and the result has not, are summed before; where nothing is summed, elements
are multiplied. Three operands and more are taken in pairs, each time the pair that leaves least behind
(greedy, as opt_einsum's; Smith and Gray 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from einkorn import ops
from einkorn.errors import ArgumentError, ShapeError
from einkorn.ops import _integers
from einkorn.ops._options import ABSENT, axis_of, integer
from einkorn.ops._road import same_dtype, unwrap
from einkorn.ops._rounding import rounded_once

__all__ = [
    "addbmm",
    "addmv",
    "baddbmm",
    "bilinear",
    "dot",
    "einsum",
    "inner",
    "kron",
    "mm",
    "mv",
    "outer",
    "tensordot",
    "trace",
    "vdot",
]

Labels = tuple[Any, ...]


def _shape(op: str, x: Any, name: str, rank: int) -> tuple[int, ...]:
    shape = unwrap(x, op, name).shape
    if len(shape) != rank:
        raise ShapeError(f"{op}: {name} has shape {shape}, expected {rank} dimension{'s' * (rank != 1)}")
    return shape


# --- einsum -------------------------------------------------------------------------------------


@rounded_once
def einsum(equation: Any, *operands: Any) -> Any:
    """Sums of products by Einstein's convention, as ``torch.einsum`` and ``numpy.einsum``.

    Parameters
    ----------
    equation : str
        A letter for each axis of each operand, with commas between: letters that the result names stay, the
        others are summed. ``->`` begins the result; without it, letters that occur once stay, in alphabetic
        order. A letter twice in one operand takes its diagonal, ``...`` stands for axes that broadcast.
    *operands : array or Tensor
        Or, without an equation, each operand and a list of numbers for its axes, then those of the result.

    Raises
    ------
    ArgumentError
        For an equation that cannot be read or does not fit the operands.
    ShapeError
        For axes of one letter and different sizes, neither of them 1.
    """
    if not isinstance(equation, str):
        equation, operands = _from_lists(equation, operands)
    if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = tuple(operands[0])
    if not operands:
        raise ArgumentError("einsum: there are no operands, expected at least one")
    whole = [_integers.integral(x) for x in operands]
    if all(a is not None for a in whole):
        return _of_integers(equation, operands, whole)
    arrays = [unwrap(x, "einsum", f"operands[{i}]") for i, x in enumerate(operands)]
    same_dtype("einsum", **{f"operands[{i}]": a for i, a in enumerate(arrays)})
    terms, output = _read(equation, [a.ndim for a in arrays])
    _check_sizes(equation, terms, [a.shape for a in arrays])

    known = [_without_repeats(x, labels) for x, labels in zip(operands, terms, strict=True)]
    while len(known) > 1:
        i, j = _cheapest(known, output)
        left, right = known[i], known[j]
        rest = [pair for n, pair in enumerate(known) if n not in (i, j)]
        needed = {*output, *(label for _, labels in rest for label in labels)}
        known = [*rest, _contracted(left, right, needed)]
    x, labels = _summed(*known[0], set(output))
    order = tuple([labels.index(label) for label in output])
    return x if order == tuple(range(len(order))) else ops.permute(x, order)


def _of_integers(equation: str, operands: Sequence[Any], arrays: list[Any]) -> Any:
    """Exact, by NumPy, once the equation has been read."""
    terms, output = _read(equation, [a.ndim for a in arrays])
    _check_sizes(equation, terms, [a.shape for a in arrays])
    labels = sorted({label for term in terms for label in term}, key=str)
    numbers = {label: i for i, label in enumerate(labels)}
    pairs: list[Any] = []
    for a, term in zip(arrays, terms, strict=True):
        pairs += [a, [numbers[label] for label in term]]
    return _integers.wrapped(np.einsum(*pairs, [numbers[label] for label in output]), *operands)


def _from_lists(first: Any, rest: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    given = (first, *rest)
    operands, lists = given[0 : len(given) // 2 * 2 : 2], given[1::2]
    output = given[-1] if len(given) % 2 else None
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

    def term(labels: Any) -> str:
        try:
            return "".join(
                ["..." if n is Ellipsis else letters[integer("einsum", "axis", n, 0, 51)] for n in labels]
            )
        except TypeError:
            raise ArgumentError(f"einsum: got {labels!r}, expected an equation or lists of axes") from None

    equation = ",".join(map(term, lists))
    return equation if output is None else f"{equation}->{term(output)}", operands


def _read(equation: str, ranks: Sequence[int]) -> tuple[list[Labels], Labels]:
    """Labels of each operand's axes and of the result's; an ellipsis is numbers, the last axis 0."""
    text = equation.replace(" ", "")
    inputs, arrow, output = text.partition("->")
    parts = inputs.split(",")
    if len(parts) != len(ranks):
        raise ArgumentError(f"einsum: equation {equation!r} has {len(parts)} operands, expected {len(ranks)}")
    terms, widest = [], 0
    for i, (part, rank) in enumerate(zip(parts, ranks, strict=True)):
        before, dots, after = _letters(equation, part)
        wide = rank - len(before) - len(after)
        if wide < 0 or (wide and not dots):
            raise ArgumentError(
                f"einsum: equation {equation!r} names {len(before) + len(after)} axes of operands[{i}], which"
                f" has {rank} dimensions"
            )
        widest = max(widest, wide)
        terms.append((*before, *reversed(range(wide)), *after))
    dotted = tuple(reversed(range(widest)))
    counts: dict[Any, int] = {}
    for label in "".join(parts).replace(".", ""):
        counts[label] = counts.get(label, 0) + 1
    if not arrow:
        return terms, (*dotted, *sorted(label for label, n in counts.items() if n == 1))
    before, dots, after = _letters(equation, output)
    wanted = (*before, *(dotted if dots else ()), *after)
    for label in wanted:
        if wanted.count(label) > 1 or (isinstance(label, str) and label not in counts):
            why = "twice" if wanted.count(label) > 1 else "that no operand has"
            raise ArgumentError(f"einsum: equation {equation!r} has {label!r} in the result {why}")
    return terms, wanted


def _letters(equation: str, part: str) -> tuple[str, str, str]:
    before, dots, after = part.partition("...")
    if (before + after).strip() and not (before + after).isalpha():
        raise ArgumentError(f"einsum: equation {equation!r} has {part!r}, expected letters and one '...'")
    return before, dots, after


def _check_sizes(equation: str, terms: Sequence[Labels], shapes: Sequence[tuple[int, ...]]) -> None:
    sizes: dict[Any, int] = {}
    for i, (labels, shape) in enumerate(zip(terms, shapes, strict=True)):
        for label, n in zip(labels, shape, strict=True):
            known = sizes.get(label, 1)
            if n != known and n != 1 and known != 1:
                name = label if isinstance(label, str) else "..."
                raise ShapeError(
                    f"einsum: operands[{i}] has shape {shape}, where {name!r} of {equation!r} is {n} and"
                    f" {known} before"
                )
            sizes[label] = n if known == 1 else known


def _without_repeats(x: Any, labels: Labels) -> tuple[Any, Labels]:
    """Diagonals where a label stands twice."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            i = labels.index(label)
            j = labels.index(label, i + 1)
            n, m = x.shape[i], x.shape[j]
            rest = tuple(old for d, old in enumerate(labels) if d not in (i, j))
            if n != m:  # one of them is 1
                x = ops.reshape(
                    x, tuple([size for d, size in enumerate(x.shape) if d != (i if n == 1 else j)])
                )
                labels = tuple(old for d, old in enumerate(labels) if d != (i if n == 1 else j))
                continue
            x, labels = ops.diagonal(x, 0, i, j), (*rest, label)
    return x, labels


def _summed(x: Any, labels: Labels, needed: set[Any]) -> tuple[Any, Labels]:
    axes = tuple([d for d, label in enumerate(labels) if label not in needed])
    if not axes:
        return x, labels
    return ops.sum(x, axes), tuple(label for label in labels if label in needed)


def _cheapest(known: list[tuple[Any, Labels]], output: Labels) -> tuple[int, int]:
    """The pair whose product is smallest against what it takes the place of."""
    if len(known) == 2:
        return 0, 1
    best, found = math.inf, (0, 1)
    for i in range(len(known)):
        for j in range(i + 1, len(known)):
            rest = {label for n, (_, labels) in enumerate(known) if n not in (i, j) for label in labels}
            sizes = dict(zip(known[i][1], known[i][0].shape, strict=True))
            for label, n in zip(known[j][1], known[j][0].shape, strict=True):
                sizes[label] = max(n, sizes.get(label, 1))
            after = math.prod(n for label, n in sizes.items() if label in rest or label in output)
            cost = after - math.prod(known[i][0].shape) - math.prod(known[j][0].shape)
            if cost < best:
                best, found = cost, (i, j)
    return found


def _contracted(left: tuple[Any, Labels], right: tuple[Any, Labels], needed: set[Any]) -> tuple[Any, Labels]:
    """The product of two operands over the labels that nothing else needs."""
    (a, of_a), (b, of_b) = left, right
    a, of_a = _broadcast_away(a, of_a, b, of_b)
    b, of_b = _broadcast_away(b, of_b, a, of_a)
    a, of_a = _summed(a, of_a, needed | set(of_b))
    b, of_b = _summed(b, of_b, needed | set(of_a))
    shared = [label for label in of_a if label in of_b]
    batch = [label for label in shared if label in needed]
    summed = [label for label in shared if label not in needed]
    rows = [label for label in of_a if label not in shared]
    columns = [label for label in of_b if label not in shared]
    size = dict(zip(of_a, a.shape, strict=True)) | dict(zip(of_b, b.shape, strict=True))

    def together(x: Any, labels: Labels, *groups: list[Any]) -> Any:
        order = tuple([labels.index(label) for group in groups for label in group])
        if order != tuple(range(len(order))):
            x = ops.permute(x, order)
        merged = tuple([math.prod(size[label] for label in group) for group in groups])
        return x if x.shape == merged else ops.reshape(x, merged)

    labels = (*batch, *rows, *columns)
    if summed:
        out = ops.matmul(together(a, of_a, batch, rows, summed), together(b, of_b, batch, summed, columns))
    else:
        wide, tall = together(a, of_a, batch, rows), together(b, of_b, batch, columns)
        out = ops.multiply(
            ops.reshape(wide, (*wide.shape, 1)), ops.reshape(tall, (tall.shape[0], 1, tall.shape[1]))
        )
    return ops.reshape(out, tuple([size[label] for label in labels])), labels


def _broadcast_away(a: Any, of_a: Labels, b: Any, of_b: Labels) -> tuple[Any, Labels]:
    """Without the axes of size 1 that the other operand has larger."""
    drop = [
        d
        for d, label in enumerate(of_a)
        if a.shape[d] == 1 and label in of_b and b.shape[of_b.index(label)] != 1
    ]
    if not drop:
        return a, of_a
    kept = [d for d in range(len(of_a)) if d not in drop]
    return ops.reshape(a, tuple([a.shape[d] for d in kept])), tuple(of_a[d] for d in kept)


# --- products by name ---------------------------------------------------------------------------


def tensordot(a: Any, b: Any, dims: Any = 2, *, axes: Any = ABSENT) -> Any:
    """Product summed over several axes, as ``torch.tensordot`` and ``numpy.tensordot``.

    Parameters
    ----------
    a, b : array or Tensor
    dims : int or pair of sequences of int, default 2
        The last so many axes of a with the first of b, or the axes of each, of equal sizes or of size 1.
    axes : keyword-only
        NumPy's name for the same.
    """
    dims = dims if axes is ABSENT else axes
    whole = [_integers.integral(x) for x in (a, b)]
    if whole[0] is not None and whole[1] is not None:
        left, right = whole[0].shape, whole[1].shape
    else:
        left, right = unwrap(a, "tensordot", "a").shape, unwrap(b, "tensordot", "b").shape
    if isinstance(dims, (tuple, list)) and len(dims) == 2:
        ours, theirs = (
            [
                axis_of("tensordot", d, rank, "dims")
                for d in (group if isinstance(group, (tuple, list)) else (group,))
            ]
            for group, rank in zip(dims, (len(left), len(right)), strict=True)
        )
    else:
        count = integer("tensordot", "dims", dims, 0, min(len(left), len(right)))
        ours, theirs = list(range(len(left) - count, len(left))), list(range(count))
    if len(ours) != len(theirs) or any(
        left[i] != right[j] and 1 not in (left[i], right[j]) for i, j in zip(ours, theirs, strict=True)
    ):
        raise ShapeError(f"tensordot: a has shape {left} and b {right}, which do not fit along {dims}")
    names = list(range(100, 100 + len(right)))
    for i, j in zip(ours, theirs, strict=True):
        names[j] = i
    output = {d for d in range(len(left)) if d not in ours} | {n for n in names if n >= 100}
    if len(output) + len(ours) + len(theirs) != len(left) + len(right) or len(set(ours)) != len(ours):
        raise ArgumentError(f"tensordot: dims is {dims!r}, which names a dimension twice")
    if whole[0] is not None and whole[1] is not None:
        order = [n for n in (*range(len(left)), *names) if n in output]
        small = {n: i for i, n in enumerate(dict.fromkeys((*range(len(left)), *names)))}
        axes = [small[n] for n in range(len(left))], [small[n] for n in names], [small[n] for n in order]
        return _integers.wrapped(np.einsum(whole[0], axes[0], whole[1], axes[1], axes[2]), a, b)
    return _contracted((a, tuple(range(len(left)))), (b, tuple(names)), output)[0]


def inner(a: Any, b: Any) -> Any:
    """Sums of products along the last axes, as in NumPy and torch; a scalar multiplies."""
    if not unwrap(a, "inner", "a").ndim or not unwrap(b, "inner", "b").ndim:
        return ops.multiply(a, b)
    return tensordot(a, b, ((-1,), (-1,)))


def outer(a: Any, b: Any) -> Any:
    """All products of the elements of two vectors [n] and [m]: [n, m]."""
    (n,), (m,) = _shape("outer", a, "a", 1), _shape("outer", b, "b", 1)
    return ops.multiply(ops.reshape(a, (n, 1)), ops.reshape(b, (1, m)))


def dot(a: Any, b: Any) -> Any:
    """The product of two vectors of one length, a scalar; for matrices there is :func:`matmul`."""
    left, right = _shape("dot", a, "a", 1), _shape("dot", b, "b", 1)
    if left != right:
        raise ShapeError(f"dot: a has shape {left} and b {right}, expected one length")
    return ops.matmul(a, b)


def vdot(a: Any, b: Any) -> Any:
    """:func:`dot`: numbers are real here."""
    left, right = _shape("vdot", a, "a", 1), _shape("vdot", b, "b", 1)
    if left != right:
        raise ShapeError(f"vdot: a has shape {left} and b {right}, expected one length")
    return ops.matmul(a, b)


def mv(a: Any, v: Any) -> Any:
    """Product of a matrix [n, m] and a vector [m]."""
    _shape("mv", a, "a", 2), _shape("mv", v, "v", 1)
    return ops.matmul(a, v)


def mm(a: Any, b: Any) -> Any:
    """Product of two matrices [n, m] and [m, p]."""
    _shape("mm", a, "a", 2), _shape("mm", b, "b", 2)
    return ops.matmul(a, b)


def _plus(c: Any, product: Any, beta: float, alpha: float) -> Any:
    product = product if alpha == 1 else ops.multiply(product, alpha)
    if beta == 0:
        return product  # torch: what is in c, NaN too, does not count
    return ops.add(c if beta == 1 else ops.multiply(c, beta), product)


@rounded_once
def baddbmm(c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * c + alpha * (a @ b)`` for stacks of matrices [s, n, m] and [s, m, p]; c broadcasts."""
    return _plus(c, ops.bmm(a, b), beta, alpha)


@rounded_once
def addbmm(c: Any, a: Any, b: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * c + alpha * sum(a[i] @ b[i])`` for stacks [s, n, m] and [s, m, p]; c broadcasts."""
    _shape("addbmm", a, "a", 3), _shape("addbmm", b, "b", 3)
    return _plus(c, tensordot(a, b, ((0, 2), (0, 1))), beta, alpha)


@rounded_once
def addmv(c: Any, a: Any, v: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """``beta * c + alpha * (a @ v)`` for a matrix [n, m] and a vector [m]; c broadcasts."""
    return _plus(c, mv(a, v), beta, alpha)


def kron(a: Any, b: Any) -> Any:
    """Kronecker product: every element of a times the whole of b, as in NumPy and torch."""
    left, right = unwrap(a, "kron", "a").shape, unwrap(b, "kron", "b").shape
    rank = max(len(left), len(right))
    if rank > 4:
        raise ShapeError(f"kron: a has shape {left} and b {right}, expected at most 4 dimensions")
    left, right = (1,) * (rank - len(left)) + left, (1,) * (rank - len(right)) + right
    wide = tuple([n for pair in zip(left, (1,) * rank, strict=True) for n in pair])
    tall = tuple([n for pair in zip((1,) * rank, right, strict=True) for n in pair])
    product = ops.multiply(ops.reshape(a, wide), ops.reshape(b, tall))
    return ops.reshape(product, tuple([n * m for n, m in zip(left, right, strict=True)]))


@rounded_once
def trace(x: Any) -> Any:
    """Sum of the diagonal of a matrix."""
    _shape("trace", x, "x", 2)
    return ops.sum(ops.diagonal(x))


@rounded_once
def bilinear(x1: Any, x2: Any, weight: Any, bias: Any = None) -> Any:
    """``x1^T W x2 + b`` for every sample, as ``torch.nn.functional.bilinear``.

    Parameters
    ----------
    x1 : array or Tensor [..., n]
    x2 : array or Tensor [..., m]
    weight : array or Tensor [out, n, m]
    bias : array or Tensor [out], optional

    Returns
    -------
    array or Tensor [..., out]
    """
    out, n, m = _shape("bilinear", weight, "weight", 3)
    left, right = unwrap(x1, "bilinear", "x1").shape, unwrap(x2, "bilinear", "x2").shape
    if left[:-1] != right[:-1] or left[-1:] != (n,) or right[-1:] != (m,):
        raise ShapeError(f"bilinear: x1 has shape {left} and x2 {right}, expected [..., {n}] and [..., {m}]")
    rows = math.prod(left[:-1])
    if bias is not None and np.shape(bias) != (out,):
        raise ShapeError(f"bilinear: bias has shape {np.shape(bias)}, expected {(out,)}")
    turned = ops.matmul(ops.reshape(x1, (rows, n)), ops.reshape(ops.permute(weight, (1, 0, 2)), (n, out * m)))
    product = ops.multiply(ops.reshape(turned, (rows, out, m)), ops.reshape(x2, (rows, 1, m)))
    summed = ops.reshape(ops.sum(product, 2), (*left[:-1], out))
    return summed if bias is None else ops.add(summed, bias)
