"""From a survival curve to the poll times of least cost."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import msgspec

from asyncclient._learning.curve import Curve

# A poll is moved by up to a fifth of the gaps around it, so that tasks which began together do not
# stay in step, and what lies between old poll times is seen. The gaps are those of the plan, and
# Keller's in 4 cells to either side: where many end at about the same age, a move costs much
# although the plan makes but one poll.
_SPREAD = 0.2
_NEAR = 4
# Of the long gaps that a plan never looks into, one in 32 is cut short at random, or a mode that
# moves to the middle of one would never be found. A gap is long when the delay that may hide in
# it, unknown to the curve, is worth two polls.
_PROBE = 1 / 32
_HIDDEN = 2.0
# The first cell of a curve is divided into 8 parts at least, and into 256 at most.
_PARTS = 8, 256
# Fixed intervals from a seventh to seven times a first guess are compared with a plan, and of a
# thousandth of the longest age at least.
_GUESSES = [1.15**step for step in range(-14, 15)]
_LEAST_INTERVAL = 1 / 1000
_TINY = 1e-12


@dataclass(slots=True)
class Plan:
    """The gaps of least cost after any age, for one price of a poll.

    Attributes:
        longest: the seconds of a gap at most.
        silence: the age before which no poll is worth it.
        cost: the seconds that a task costs: polls at their price, and delay.
    """

    _ages: array[float]
    _gaps: array[float]
    _spreads: array[float]
    _probes: array[float]
    _tail: float
    longest: float
    silence: float
    cost: float
    worth: Efficiency | None = None

    def gap(self, age: float, longest: float, draw: Callable[[float], float]) -> float:
        """Return the seconds from an age to the next poll, at most `longest`."""
        cell = bisect_right(self._ages, age) - 1
        if cell < len(self._ages) - 1:
            start, end = self._ages[cell], self._ages[cell + 1]
            low, high = self._gaps[cell], self._gaps[cell + 1]
            gap = low + (high - low) * (age - start) / (end - start)
            spread = min(self._spreads[cell], _SPREAD * gap)
            if self._probes[cell] and draw(1.0) < self._probes[cell]:
                gap = spread = gap / 2
        else:
            gap = self._tail * math.sqrt(age)
            spread = _SPREAD * gap
        # Moved and not cut off where it is too long, or many would meet there.
        spread = min(spread, longest / 2)
        return min(gap - spread, longest - 2 * spread) + draw(2 * spread)


def planned(curve: Curve, price: float, longest: float, first: float) -> Plan:
    """Return the poll times of least cost, by dynamic programming from the last age backwards.

    After a poll at age s that showed the task unfinished, the cost to come is
    `W(s) = price·S(s) + min over x of (∫ from s to x of (F(t) - F(s)) dt + W(x))`,
    with S the survival, F = 1 - S and x the age of the next poll (Barlow, Hunter and Proschan
    1963). The best x grows with s, so that few need be compared. Inside of one cell, and beyond
    the last, the gap is Keller's (1974): `sqrt(2·price/hazard)`, the hazard beyond being 1/age.

    Args:
        curve: the share that outlives each age.
        price: the seconds of delay that one poll is worth.
        longest: the seconds of a gap at most, …
        first: … and of the one that begins at age 0.
    """
    ages, survival = _divided(curve, longest, first)
    last = len(ages) - 1
    tail = math.sqrt(2 * price)
    ahead = _Ahead(ages, survival, _tail_cost(curve, price))
    gaps = [0.0] * last + [min(longest, tail * math.sqrt(ages[last]))]
    probes, targets = [0.0] * (last + 1), [last] * (last + 1)
    for start in range(last - 1, -1, -1):
        left = survival[start]
        cost, found = ahead.best(start, longest, targets[start + 1])
        gap, share = ages[found] - ages[start], left - survival[found]
        if share * gap - ahead.delay(start, found) > _HIDDEN * price * left:
            probes[start] = _PROBE * curve.vague
        if found == start + 1:
            # One cell may be worth several polls, evenly spaced, or be longer than a gap may be.
            # Their number need not be whole, since they need not end with the cell.
            worth = math.sqrt(share * gap / (price * (left + survival[found]) + _TINY))
            polls = max(1.0, worth, gap / longest)
            several = share * gap / (2 * polls) + price * (polls - 1) * (left - share / 2)
            if several + ahead.costs[found] < cost:
                cost, gap = several + ahead.costs[found], gap / polls
        ahead.costs[start], gaps[start], targets[start] = cost + price * left, gap, found
    silence = gaps[0]
    if silence > first:
        cost, targets[0] = ahead.best(0, first, targets[0])
        ahead.costs[0], gaps[0] = cost + price, min(first, ages[targets[0]])
    near = [
        math.sqrt(2 * price * high * (end - start) / max(high - low, _TINY))
        for (high, low), (start, end) in zip(pairwise(survival), pairwise(ages), strict=True)
    ]
    spreads = [
        _SPREAD * min(gap, gaps[target], *near[max(0, target - _NEAR) : target + _NEAR + 1])
        for gap, target in zip(gaps, targets, strict=True)
    ]
    rows = [array("d", row) for row in (ages, gaps, spreads, probes)]
    return Plan(rows[0], rows[1], rows[2], rows[3], tail, longest, silence, ahead.costs[0])


class _Ahead:
    """What is to come after each age: `costs` is W above, and is filled from the last age on."""

    def __init__(self, ages: list[float], survival: list[float], tail_cost: float) -> None:
        self.ages, self.survival = ages, survival
        rows = zip(pairwise(ages), pairwise(survival), strict=True)
        steps = ((end - start) * (1 - (high + low) / 2) for (start, end), (high, low) in rows)
        self.areas = list(accumulate(steps, initial=0.0))
        self.costs = [0.0] * (len(ages) - 1) + [tail_cost]

    def delay(self, start: int, end: int) -> float:
        gap = self.ages[end] - self.ages[start]
        return self.areas[end] - self.areas[start] - (1 - self.survival[start]) * gap

    def best(self, start: int, limit: float, target: int) -> tuple[float, int]:
        """Return the least cost from a poll on, and which poll is the next, up to `target`."""
        ages, areas, costs = self.ages, self.areas, self.costs
        age, area, failed = ages[start], areas[start], 1 - self.survival[start]
        least, found = math.inf, start + 1
        for end in range(start + 1, target + 1):
            gap = ages[end] - age
            delay = areas[end] - area - failed * gap
            if gap > limit or delay > least:
                break
            if delay + costs[end] < least:
                least, found = delay + costs[end], end
        return least, found


def _divided(curve: Curve, longest: float, first: float) -> tuple[list[float], list[float]]:
    """Return the ages of a curve and the survival at them, with its first cell in parts.

    There the longest gap decides, and one cell would leave polls little choice.
    """
    end = curve.ages[1]
    parts = min(_PARTS[1], max(_PARTS[0], math.ceil(4 * end / longest)))
    ages = sorted({end * part / parts for part in range(parts)} | {min(first, end / 2)})
    return [*ages, *curve.ages[1:]], [*map(curve.at, ages), *curve.survival[1:]]


def _tail_cost(curve: Curve, price: float) -> float:
    """Return what comes beyond the last age by Keller's density: ∫ sqrt(2·price·f·S), f = S/age."""
    return 2 * curve.survival[-1] * math.sqrt(2 * price * curve.ages[-1])


class Efficiency(msgspec.Struct, frozen=True, kw_only=True):
    """What learning is worth for one kind of task, by the curve that was learned."""

    cost: float
    fixed_cost: float
    fixed_interval: float
    regularity: float


def efficiency(curve: Curve, cost: float, price: float) -> Efficiency:
    """Return what a plan of this cost is worth beside the best fixed interval."""
    last, rows = (
        curve.ages[-1],
        list(zip(pairwise(curve.survival), pairwise(curve.ages), strict=True)),
    )
    mean = sum((end - start) * (high + low) / 2 for (high, low), (start, end) in rows)
    middle = sum((high - low) * (start + end) / 2 for (high, low), (start, end) in rows)
    root = sum(
        math.sqrt((high**2 - low**2) * (end - start) / 2) for (high, low), (start, end) in rows
    )
    found: list[tuple[float, float]] = []
    for guess in _GUESSES:
        interval = max(guess * math.sqrt(2 * price * mean), last * _LEAST_INTERVAL)
        left = [
            curve.at(min(poll * interval, last)) for poll in range(math.ceil(last / interval) + 1)
        ]
        # Each poll is at its price, and sees those that ended since the one before.
        polls = enumerate(pairwise(left), 1)
        fixed = sum(price * high + poll * interval * (high - low) for poll, (high, low) in polls)
        found.append((fixed + _tail_cost(curve, price) - middle, interval))
    fixed, interval = min(found)
    return Efficiency(
        cost=cost, fixed_cost=fixed, fixed_interval=interval, regularity=min(1.0, root**2 / mean)
    )
