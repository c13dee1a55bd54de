"""From what was seen to a curve: the share of tasks that outlives an age."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate, pairwise

from asyncclient._learning.memory import AGES, BIN_WIDTH, LAST_EDGE, Memory

# Bins of a curve before and beyond all ends, and of a vague end, one in more than 2 bins, at most.
_MARGIN = 8
_SOUGHT = 64
_VAGUE = 2
# Rounds of expectation and maximisation; more would make it believe its own guesses.
_ROUNDS = 4
# Ends in a bin are spread over as many bins to either side as hold the root of all ends, twice that
# where all ends are vague; over the root of the bins in which an end is known to lie, up to 3, at
# least; over 26/n**(1/5) at most (Silverman 1986), 16 of 13 ends and 8 of 400; and over none to
# which less than half a task came.
_LEAST_REACH = 3
_MOST_REACH = 26
_FEW = 0.5
# The prior is a hazard of 1/age, the tail of a log-logistic law, and counts as a tenth of a task:
# enough beyond the longest age seen, and nothing where tasks were seen.
_PRIOR = 0.1
_TINY = 1e-12


class Curve:
    """The share of tasks that outlives an age, `survival`: straight lines between some edges.

    The first is 0, the others follow each other. `vague` is the share of ends that are only known
    to lie somewhere in more than 2 bins.
    """

    def __init__(self, edges: list[int], survival: list[float], vague: float) -> None:
        self.edges, self.survival, self.vague = edges, survival, vague
        self.ages = [AGES[edge] for edge in edges]

    def at(self, age: float) -> float:
        """Return the share that outlives an age."""
        ages, survival = self.ages, self.survival
        cell = bisect_right(ages, age) - 1
        if cell >= len(ages) - 1:
            return survival[-1] * ages[-1] / age
        part = (age - ages[cell]) / (ages[cell + 1] - ages[cell])
        return survival[cell] + (survival[cell + 1] - survival[cell]) * part

    def quantile(self, share: float) -> float:
        """Return the age by which a share has ended."""
        ages, survival, left = self.ages, self.survival, 1 - share
        if left <= survival[-1]:
            return min(AGES[-1], ages[-1] * survival[-1] / left)
        cell = bisect_right(survival, -left, key=lambda value: -value) - 1
        part = (survival[cell] - left) / (survival[cell] - survival[cell + 1])
        return ages[cell] + (ages[cell + 1] - ages[cell]) * part

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


def fitted(seen: Memory, before: Curve | None = None) -> Curve:
    """Return the survival curve of what was seen; it is sought from the curve `before` on.

    Expectation and maximisation for ends that are known to lie between two polls (Turnbull 1976),
    with the hazard smoothed in every round (Silverman, Jones, Wilson and Nychka 1990): without
    that, what was once believed of the time between two polls confirms itself.
    """
    first = max(1, min((max(low, high - _SOUGHT) for low, high in seen.ends), default=1) - _MARGIN)
    highest = max((high for _, high in seen.ends), default=max(seen.alive, default=first))
    edges = [0, *range(first, min(LAST_EDGE, highest + _MARGIN) + 1)]
    cells = len(edges) - 1
    changes = [0.0] * (cells + 1)
    for edge, number in seen.alive.items():
        changes[min(max(0, edge - first + 1), cells)] += number
    alive = list(accumulate(changes))
    ends: dict[tuple[int, int], float] = {}
    vague = 0.0
    for (low, high), number in seen.ends.items():
        vague += number * (high - low > _VAGUE) / seen.size
        cell = min(max(0, low - first + 1), cells - 1)
        span = cell, min(max(cell + 1, high - first + 1), cells)
        ends[span] = ends.get(span, 0.0) + number
    survival = [1.0, *(AGES[first] / AGES[edge] / 2 for edge in edges[1:])]
    if before is not None:
        survival = [max(before.at(AGES[edge]), _TINY) for edge in edges]
    # In how many bins an end lies that was seen by a later poll than the first, by the harmonic
    # mean: no curve is finer.
    later = [(high - low, number) for (low, high), number in seen.ends.items() if low]
    bins = sum(number for _, number in later) / max(sum(n / width for width, n in later), _TINY)
    least = min(_LEAST_REACH, round(math.sqrt(bins)))
    for _ in range(_ROUNDS):
        ended, came = _expected(ends, alive, survival)
        survival = _smoothed(ended, came, least, (1 + vague) * math.sqrt(seen.size))
    return Curve(edges, survival, vague)


def _expected(
    ends: dict[tuple[int, int], float], alive: list[float], survival: list[float]
) -> tuple[list[float], list[float]]:
    """Return how many tasks ended in each cell, and how many came to it.

    An end that lies somewhere in several cells is spread over them as the survival says.
    """
    weights, gone = [0.0] * len(survival), [0.0] * len(survival)
    for (low, high), number in ends.items():
        weight = number / max(survival[low] - survival[high], _TINY)
        weights[low] += weight
        weights[high] -= weight
        gone[low] += weight * survival[high]
        gone[high] -= weight * survival[high]
    rows = zip(pairwise(survival), accumulate(weights), accumulate(gone), alive, strict=False)
    found = [
        ((before - after) * weight, living + before * weight - left)
        for (before, after), weight, left, living in rows
    ]
    return [ended for ended, _ in found], [came for _, came in found]


def _smoothed(ended: list[float], came: list[float], least: int, enough: float) -> list[float]:
    """Return the survival that follows from how many ended in each cell, and came to it.

    The ends in a bin are spread evenly over as many neighbours as hold enough of them, so that
    modes stay sharp, and what is silent between them stays silent.
    """
    few = min(_FEW, max(came))
    last = 1 + max(cell for cell, coming in enumerate(came) if coming >= few)
    sums = list(accumulate(ended, initial=0.0))
    most = _MOST_REACH * max(1.0, sums[-1]) ** -0.2
    changes = [ended[0], -ended[0], *[0.0] * len(ended)]
    reach = 0
    for cell in range(1, last):
        reach = max(least, reach - 1)
        low, high = max(1, cell - reach), min(last, cell + reach + 1)
        while reach < most - 0.5 and sums[high] - sums[low] < enough:
            reach += 1
            low, high = max(1, cell - reach), min(last, cell + reach + 1)
        changes[low] += ended[cell] / (high - low)
        changes[high] -= ended[cell] / (high - low)
    survival = [1.0]
    moved = 0.0  # how many more came to a cell, since ends before it were spread
    for before, coming, end in zip(ended, came, accumulate(changes), strict=False):
        tasks = max(coming + moved, end) + _PRIOR * (1 + BIN_WIDTH)
        survival.append(survival[-1] * (tasks - end - _PRIOR * BIN_WIDTH) / tasks)
        moved += before - end
    return survival
