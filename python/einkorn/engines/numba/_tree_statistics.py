"""What a node's rows say about a split: scores, and the numbers that regression takes them about.

The reasons are told in csrc/kernels/tree/tree_statistics.h.
"""

from __future__ import annotations

import math

import numpy as np

from ._compile import Array, inline

GINI, ENTROPY, SQUARED = 0, 1, 2
# What the scores of a regression node are taken about; the last for all nodes.
CENTRE, UNIT, MEAN, WHOLE = range(4)
_CENTRE_BITS = 20
# Splits whose gains, or scores, differ by no more than this part of them are equal.
_TIE_OF_GAIN, _TIE_OF_SCORE = 1e-9, 1e-13


@inline
def entropy_term(x: float, total: float) -> float:
    return x * math.log(x / total) if x > 0 else 0.0


@inline
def _poisson(s: float, w: float, total: float, weight: float, about: Array) -> float:
    """w M ((1 + t) ln(1 + t) - t), the side's mean M (1 + t): see csrc/kernels/tree/tree_statistics.h."""
    mean = about[MEAN]
    if about[CENTRE] == 0:
        if not s > 0:
            return -math.inf
        t = (s / w - mean) / mean
    else:
        t = (s / w - total / weight) / mean
    if abs(t) < 2.0**-10:
        return t * t * (0.5 - t * (1 / 6 - t * (1 / 12 - t * (1 / 20 - t * (1 / 30))))) * (w * mean)
    return ((1 + t) * math.log1p(t) - t) * (w * mean)


@inline
def score_of(
    left: Array, total: Array, classes: int, criterion: int, w: float, weight: float, about: Array
) -> float:
    """Score of a split with `left` of the sums `total` on its left, where the weight is w of `weight`."""
    a, b = 0.0, 0.0
    if classes == 0:
        s = left[1]
        rest = total[1] - s
        if criterion != SQUARED:
            return _poisson(s, w, total[1], weight, about) + _poisson(
                rest, weight - w, total[1], weight, about
            )
        a, b = s * about[UNIT], rest * about[UNIT]
        return a * a / w + b * b / (weight - w)
    for c in range(classes):
        v = left[c]
        rest = total[c] - v
        if criterion == GINI:
            a += v * v
            b += rest * rest
        else:
            a += entropy_term(v, w)
            b += entropy_term(rest, weight - w)
    if criterion == GINI:
        return a / w + b / (weight - w)
    return a + b


@inline
def above(best: float, whole: float) -> float:
    """What a score must exceed to count as better: less is rounding, and the first of equal splits wins."""
    if best == -math.inf:
        return best
    return best + _TIE_OF_GAIN * max(best - whole, 0.0) + _TIE_OF_SCORE * abs(best)


@inline
def rounded(gain: float) -> float:
    """A gain with 20 binary digits, for comparison."""
    if not 0 < gain < math.inf:
        return gain
    mantissa, exponent = math.frexp(gain)
    return math.ldexp(math.floor(math.ldexp(mantissa, 21) + 0.5), exponent - 21)


@inline
def middle(high: float, low: float) -> float:
    between = high * 0.5 + low * 0.5
    return between if high <= between < low else high


@inline
def centre(targets: Array, weights: Array, total: Array, weight: float, criterion: int, about: Array) -> None:
    """A node's centre, unit and mean, from total[1], the sum of differences from the first target.

    What they are for is told in csrc/kernels/tree/tree_statistics.h. total[1] becomes the sum of differences
    from the centre.
    """
    least, most = targets.min(), targets.max()
    exponent = math.frexp(most - least)[1] - 1
    centre = targets[0] + total[1] / weight
    step = math.ldexp(1.0, exponent - _CENTRE_BITS)
    if criterion != SQUARED and not least > 0.5 * centre:
        centre = 0.0
    elif step > 0:
        centre = np.rint(centre / step) * step
    total[1] = 0.0
    for i in range(targets.shape[0]):
        total[1] += weights[i] * (targets[i] - centre)
    about[CENTRE] = centre
    about[MEAN] = min(max(centre + total[1] / weight, least), most)
    about[UNIT] = math.ldexp(1.0, min(max(-exponent - (math.frexp(weight)[1] - 1), -1000), 1000))
