"""From what was seen to a curve: the share of tasks that outlives an age."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise

from asyncclient._learning.memory import AGES, BIN_WIDTH, LAST_EDGE, Memory

# Bins of a curve before the earliest end and beyond the latest; a vague end is one in more than 2.
_BEFORE, _BEYOND, _VAGUE = 64, 8, 2
# Rounds of expectation and maximisation; more would make it believe its own guesses.
_ROUNDS = 4
# Ends in a bin are spread over as many bins to either side as hold the root of all ends, twice that
# where all are vague: over the root of the bins in which an end is known to lie, up to 3, at least,
# over 26/n**(1/5) at most (Silverman 1986), 16 of 13 ends and 8 of 400, and over none to which
# less than a quarter of a task came.
_LEAST_REACH, _MOST_REACH, _FEW = 3, 26, 0.25
# The prior is a hazard of 1/age, the tail of a log-logistic law, and counts as a tenth of a task:
# enough beyond the longest age seen, and nothing where tasks were seen.
_PRIOR = 0.1
_TINY = 1e-12


class Curve:
    """The share of tasks that outlives an age, `survival`: straight lines between some edges.

    The first is 0, the others follow each other. `vague` is the share of ends that are only known
    to lie somewhere in more than 2 bins, `mean` the seconds that tasks take up to the last edge.
    """

    def __init__(self, edges: list[int], survival: list[float], vague: float) -> None:
        self.edges, self.survival, self.vague = edges, survival, vague
        self.ages = [AGES[edge] for edge in edges]
        rows = zip(pairwise(self.ages), pairwise(survival), strict=True)
        self.cells = [(end - start, up, low) for (start, end), (up, low) in rows]
        self.mean = sum(width * (up + low) / 2 for width, up, low in self.cells)

    def at(self, age: float) -> float:
        """Return the share that outlives an age."""
        if age >= self.ages[-1]:
            return self.survival[-1] * self.ages[-1] / age
        return _between(self.ages, self.survival, age)

    def quantile(self, share: float) -> float:
        """Return the age by which a share has ended."""
        left = 1 - share
        if left <= self.survival[-1]:
            return min(AGES[-1], self.ages[-1] * self.survival[-1] / left)
        return _between([-share for share in self.survival], self.ages, -left)

    def likelihood(self, seen: Memory, slack: int = 0) -> float:
        """Return how well it predicts what was seen, give or take some bins: log of probability."""
        found = 0.0
        for edge, number in seen.alive.items():
            found -= number * math.log(max(self.at(AGES[max(0, edge - slack)]), _TINY))
        for (first, last), number in seen.ends.items():
            left = max(self.at(AGES[max(0, first - slack)]), _TINY)
            share = 1 - self.at(AGES[min(LAST_EDGE, last + slack)]) / left
            found += number * math.log(max(share, _TINY))
        return found


def _between(places: Sequence[float], values: Sequence[float], place: float) -> float:
    """Return the value at a place: on the straight line between the two places around it."""
    cell = bisect_right(places, place) - 1
    part = (place - places[cell]) / (places[cell + 1] - places[cell])
    return values[cell] + (values[cell + 1] - values[cell]) * part


def fitted(seen: Memory, before: Curve | None = None) -> Curve:
    """Return the survival curve of what was seen; it is sought from the curve `before` on.

    Expectation and maximisation for ends that are known to lie between two polls (Turnbull 1976),
    with the hazard smoothed in every round (Silverman, Jones, Wilson and Nychka 1990): without
    that, what was once believed of the time between two polls confirms itself.
    """
    highs = [high for _, high in seen.ends] or [*seen.alive, 1]
    first = max(1, min(highs) - _BEFORE)
    edges = [0, *range(first, min(LAST_EDGE, max(highs) + _BEYOND) + 1)]
    changes = [0.0] * len(edges)
    for edge, number in seen.alive.items():
        changes[min(max(0, edge - first + 1), len(edges) - 1)] += number
    ends: list[tuple[int, int, float]] = []
    for (low, high), number in seen.ends.items():
        ends.append((max(0, low - first + 1), high - first + 1, number))
        changes[ends[-1][0]] += number
    came = list(accumulate(changes))  # how many came to a cell, and those who ended before it
    vague = sum(number for low, high, number in ends if high - low > _VAGUE) / (seen.size or 1)
    # In how many bins an end lies that was seen by a later poll than the first, by the harmonic
    # mean: no curve is finer.
    later = [(high - low, number) for low, high, number in ends if low]
    bins = sum(number for _, number in later) / max(sum(n / width for width, n in later), _TINY)
    least = min(_LEAST_REACH, round(math.sqrt(bins)))
    before = before or Curve([0, first], [1.0, 0.5], 0.0)
    survival = [max(before.at(AGES[edge]), _TINY) for edge in edges]
    for _ in range(_ROUNDS):
        ended = _expected(ends, survival)
        survival = _smoothed(ended, came, least, (1 + vague) * math.sqrt(seen.size))
    return Curve(edges, survival, vague)


def _expected(ends: list[tuple[int, int, float]], survival: list[float]) -> list[float]:
    """Return how many tasks ended in each cell: ends in several are spread as the survival says."""
    changes = [0.0] * len(survival)
    for low, high, number in ends:
        weight = number / max(survival[low] - survival[high], _TINY)
        changes[low] += weight
        changes[high] -= weight
    weights = zip(pairwise(survival), accumulate(changes), strict=False)
    return [(before - after) * weight for (before, after), weight in weights]


def _smoothed(ended: list[float], came: list[float], least: int, enough: float) -> list[float]:
    """Return the survival that follows from how many ended in each cell, and came to it till then.

    The ends in a bin are spread evenly over as many neighbours as hold enough of them, so that
    modes stay sharp, and what is silent between them stays silent.
    """
    sums = list(accumulate(ended, initial=0.0))
    last = len(ended)
    while last > 1 and came[last - 1] - sums[last - 1] < _FEW:
        last -= 1
    most = round(_MOST_REACH * max(1.0, sums[-1]) ** -0.2)
    changes = [ended[0], -ended[0], *[0.0] * len(ended)]
    reach = 0
    for cell in range(1, last):
        reach = max(least, reach - 1)
        low, high = max(1, cell - reach), min(last, cell + reach + 1)
        while reach < most and sums[high] - sums[low] < enough:
            reach += 1
            low, high = max(1, cell - reach), min(last, cell + reach + 1)
        changes[low] += ended[cell] / (high - low)
        changes[high] -= ended[cell] / (high - low)
    survival, gone = [1.0], 0.0
    for coming, end in zip(came[:-1], accumulate(changes), strict=False):
        tasks = max(coming - gone, end) + _PRIOR * (1 + BIN_WIDTH)
        survival.append(survival[-1] * (1 - (end + _PRIOR * BIN_WIDTH) / tasks))
        gone += end
    return survival
