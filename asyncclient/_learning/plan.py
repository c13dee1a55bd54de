"""From a survival curve to the poll times of least cost."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, pairwise

import msgspec

from asyncclient._learning.curve import Curve, fitted
from asyncclient._learning.memory import Memory

# Fewer ends are no ground for a plan.
LEAST_ENDS = 3
# A curve is made again when 10 % of its ends are new.
GROWTH = 0.1
# Prices are rounded to levels, each 1.2 times the one below; 12 plans are kept of a kind.
LEVEL = 1.2
_PLANS = 12
# By default, a gap may be as long as it takes until 90 % have ended, up to an hour.
_MOST = 0.9
_LONGEST_EVER = 3600.0

# A poll is moved by up to a fifth of the gaps around it, so that tasks which began together do not
# stay in step, and what lies between old poll times is seen. The gaps are those of the plan, and
# Keller's in 4 cells to either side, since where many end at about the same age a move costs much.
_SPREAD = 0.2
_NEAR = 4
# Of the long gaps that a plan never looks into, one in 32 is cut short at random, or a mode that
# moves to the middle of one would never be found. A gap is long when the delay that may hide in
# it, unknown to the curve, is worth two polls.
_PROBE = 1 / 32
_HIDDEN = 2.0
# Fixed intervals from a sixth to six times a first guess are compared with a plan.
_GUESSES = [1.2**step for step in range(-10, 11)]
_TINY = 1e-12


@dataclass(slots=True)
class Plan:
    """The gaps of least cost after any age, for one price of a poll."""

    _ages: array[float]
    _gaps: array[float]
    _spreads: array[float]
    _probes: array[float]
    _tail: float
    silence: float  # the age before which no poll is worth it
    cost: float  # the seconds that a task costs: polls at their price, and delay
    longest: float  # the seconds of a gap at most
    curve: Curve

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


def planned(curve: Curve, price: float, longest: float) -> Plan:
    """Return the poll times of least cost, by dynamic programming from the last age backwards.

    After a poll at age s that showed the task unfinished, the cost to come is
    `W(s) = price·S(s) + min over x of (∫ from s to x of (F(t) - F(s)) dt + W(x))`,
    with S the survival, F = 1 - S and x the age of the next poll (Barlow, Hunter and Proschan
    1963). Inside of one cell, and beyond the last, the gap is Keller's (1974):
    `sqrt(2·price/hazard)`, the hazard beyond being 1/age.

    As a function of F(s), each x is a straight line, and F falls on the way back: so only the
    lines of the lower envelope are kept, and the best x moves along it. The longest gap is not
    planned with: a poll that it makes too early is one more on the way to the same next one.
    """
    ages, survival = curve.ages, curve.survival
    last, tail = len(ages) - 1, math.sqrt(2 * price)
    areas = _areas(curve)
    heights = [0.0] * last + [areas[last] + _tail_cost(curve, price)]  # ∫ from 0 to x of F, + W(x)
    gaps = [tail * math.sqrt(ages[last])] * (last + 1)
    near, probes, nexts = gaps[:], [0.0] * (last + 1), [last] * (last + 1)
    lines, best = [last], 0
    for start in range(last - 1, -1, -1):
        left, after, width = survival[start], survival[start + 1], ages[start + 1] - ages[start]
        while best < len(lines) - 1:
            later, sooner = lines[best], lines[best + 1]
            if heights[later] - heights[sooner] < (1 - left) * (ages[later] - ages[sooner]):
                break
            best += 1
        found = nexts[start] = lines[best]
        gap = ages[found] - ages[start]
        delay = areas[found] - areas[start] - (1 - left) * gap
        cost = delay + heights[found] - areas[found]
        if (left - survival[found]) * gap - delay > _HIDDEN * price * left:
            probes[start] = _PROBE * curve.vague
        near[start] = math.sqrt(price * (left + after) * width / max(left - after, _TINY))
        if found == start + 1 and near[start] < width:
            # One cell is worth several polls, evenly spaced. Their number need not be whole, since
            # they need not end with the cell.
            gap, polls = near[start], width / near[start]
            cost += delay / polls - delay + price * (polls - 1) * (left + after) / 2
        gaps[start], heights[start] = gap, areas[start] + price * left + cost
        while len(lines) > best + 1 and _is_above(lines[-2], lines[-1], start, ages, heights):
            lines.pop()
        lines.append(start)
    spreads = [
        _SPREAD * min(gap, gaps[then], *near[max(0, then - _NEAR) : then + _NEAR + 1])
        for gap, then in zip(gaps, nexts, strict=True)
    ]
    rows = [array("d", row) for row in (ages, gaps, spreads, probes)]
    return Plan(rows[0], rows[1], rows[2], rows[3], tail, gaps[0], heights[0], longest, curve)


def _is_above(late: int, middle: int, early: int, ages: list[float], heights: list[float]) -> bool:
    """Return whether the middle one of three lines is nowhere the lowest."""
    rise, run = heights[late] - heights[middle], ages[late] - ages[middle]
    return (heights[middle] - heights[early]) * run >= rise * (ages[middle] - ages[early])


def _areas(curve: Curve) -> list[float]:
    """Return the integral of the share that has ended, from 0 to each age."""
    rows = zip(pairwise(curve.ages), pairwise(curve.survival), strict=True)
    steps = ((end - start) * (1 - (high + low) / 2) for (start, end), (high, low) in rows)
    return list(accumulate(steps, initial=0.0))


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
    """Return what a plan of this cost is worth beside the best fixed interval.

    With S the survival, an interval d makes `∑ S(k·d)` polls of a task, k from 0 on, and so costs
    `(price + d)·∑ S(k·d) - ∫ S`. Regularity is `(∫ sqrt(f·S))² / ∫ S`: 1 for a constant hazard.
    """
    last = curve.ages[-1]
    mean = last - _areas(curve)[-1]
    rows = zip(pairwise(curve.survival), pairwise(curve.ages), strict=True)
    roots = (math.sqrt((up**2 - low**2) * (end - start) / 2) for (up, low), (start, end) in rows)
    fixed: list[tuple[float, float]] = []
    for guess in _GUESSES:
        interval = max(guess * math.sqrt(2 * price * mean), last / 1000)
        polls = sum(curve.at(poll * interval) for poll in range(math.ceil(last / interval)))
        fixed.append(((price + interval) * polls - mean + _tail_cost(curve, price), interval))
    least, interval = min(fixed)
    regularity = min(1.0, sum(roots) ** 2 / mean)
    return Efficiency(cost=cost, fixed_cost=least, fixed_interval=interval, regularity=regularity)


class Known:
    """A memory, its curve, and the plans by that: made again when 10 % of the ends are new."""

    def __init__(self, most: float, *seen: Memory) -> None:
        self.seen, self._news = Memory(most), 0.0
        self.made: Curve | None = None  # the curve that was asked for last
        self._plans: dict[int, Plan] = {}
        for each in seen:
            self.add(each)

    def add(self, seen: Memory) -> None:
        """Count what was seen."""
        self.seen.add(seen)
        self._news += seen.news
        if self._news >= GROWTH * self.seen.size:
            self._plans.clear()

    def curve(self) -> Curve | None:
        """Return the curve; None while too few ends were seen."""
        if self.seen.size < LEAST_ENDS:
            return None
        if self.made is None or self._news >= GROWTH * self.seen.size:
            self.made, self._news = fitted(self.seen, self.made), 0.0
        return self.made

    def plan(self, level: int, longest: float, *, stretch: bool) -> Plan | None:
        """Return the plan for a level of price; None while too few ends were seen.

        A gap has `longest` seconds at most; with `stretch`, more where most tasks take longer.
        """
        plan = self._plans.get(level)
        curve = self.curve() if plan is None else None
        if curve is not None:
            if stretch:
                longest = max(longest, min(curve.quantile(_MOST), _LONGEST_EVER))
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            plan = self._plans[level] = planned(curve, LEVEL**level, longest)
        return plan
