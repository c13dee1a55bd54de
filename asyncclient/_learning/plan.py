"""From a survival curve to the poll times of least cost."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Callable

import msgspec

from asyncclient._learning.curve import Curve, fitted
from asyncclient._learning.memory import Memory

LEAST_ENDS = 3  # fewer are no ground for a plan
GROWTH = 0.1  # a curve is made again when 10 % of its ends are new
# Prices are rounded to levels, each 1.2 times the one below; 8 plans are kept of a kind.
LEVEL, _PLANS = 1.2, 8
# A poll is moved by up to a fifth of the gaps around it, so that tasks which began together do not
# stay in step, and what lies between old poll times is seen. The gaps are those of the plan, and
# Keller's in 4 cells to either side, since where many end at about the same age a move costs much.
_SPREAD, _NEAR = 0.2, 4
# Of the long gaps that a plan never looks into, one in 32 is cut short at random, or a mode that
# moves to the middle of one would never be found. A gap is long that is eight times its spread.
_PROBE, _LONG = 1 / 32, 8
_MOST = 0.9  # the share of tasks that ends by the longest gap, where that may be stretched
_TINY = 1e-12


class Efficiency(msgspec.Struct, frozen=True, kw_only=True):
    """What learning is worth for one kind of task, by the curve that was learned."""

    cost: float
    fixed_cost: float
    fixed_interval: float
    regularity: float


class Plan:
    """The gaps of least cost after any age, by dynamic programming from the last age backwards.

    After a poll at age s that showed the task unfinished, the cost to come is
    `W(s) = price·S(s) + min over x of (∫ from s to x of (F(t) - F(s)) dt + W(x))`,
    with S the survival, F = 1 - S and x the age of the next poll (Barlow, Hunter and Proschan
    1963). Inside of one cell, and beyond the last, the gap is Keller's (1974):
    `sqrt(2·price/hazard)`, the hazard beyond being 1/age.

    With `H(x) = W(x) + ∫ from 0 to x of F`, it is `H(s) = price·S(s) + min of H(x) - F(s)·(x - s)`:
    as a function of F(s), each x is a straight line, and F falls on the way back. So only the lines
    of the lower envelope are kept, and the best x moves along it. The longest gap is not planned
    with: a poll that it makes too early is one more on the way to the same next one.
    """

    def __init__(self, curve: Curve, price: float, longest: float) -> None:
        ages, survival, last = curve.ages, curve.survival, len(curve.ages) - 1
        near = [
            math.sqrt(price * (up + low) * width / max(up - low, _TINY))
            for width, up, low in curve.cells
        ]
        gaps = [math.sqrt(2 * price * ages[last])] * (last + 1)
        spreads = [0.0] * last
        tail = 2 * survival[last] * gaps[last]  # ∫ of Keller's sqrt(2·price·f·S) beyond, f = S/age
        heights = [ages[last] - curve.mean + tail] * (last + 1)  # H
        lines, best = [last], 0

        def slope(later: int, sooner: int) -> float:
            return (heights[later] - heights[sooner]) / (ages[later] - ages[sooner])

        for start in range(last - 1, -1, -1):
            left = survival[start]
            while best < len(lines) - 1 and slope(lines[best], lines[best + 1]) >= 1 - left:
                best += 1
            found = lines[best]
            gap = ages[found] - ages[start]
            heights[start] = price * left + heights[found] - (1 - left) * gap
            if found == start + 1 and near[start] < gap:
                # One cell is worth several polls, evenly spaced. Their number need not be whole,
                # since they need not end with the cell.
                polls, gap = gap / near[start], near[start]
                heights[start] -= price * (left + survival[found]) / 2 * (polls - 1) ** 2
            gaps[start] = gap
            around = near[max(0, found - _NEAR) : found + _NEAR + 1]
            spreads[start] = _SPREAD * min(gap, gaps[found], *around)
            while len(lines) > best + 1 and slope(lines[-1], start) >= slope(*lines[-2:]):
                lines.pop()
            lines.append(start)
        self.curve, self.price, self.longest = curve, price, longest
        self._gaps, self._spreads = array("d", gaps), array("d", spreads)
        self.silence = gaps[0]  # the age before which no poll is worth it
        self._cost, self._tail = heights[0], tail

    def gap(self, age: float, longest: float, draw: Callable[[float], float]) -> float:
        """Return the seconds from an age to the next poll, at most `longest`."""
        ages, gaps = self.curve.ages, self._gaps
        cell = bisect_right(ages, age) - 1
        if cell < len(ages) - 1:
            part = (age - ages[cell]) / (ages[cell + 1] - ages[cell])
            gap = gaps[cell] + (gaps[cell + 1] - gaps[cell]) * part
            spread = min(self._spreads[cell], _SPREAD * gap)
            if gap > _LONG * spread and draw(1.0) < _PROBE * self.curve.vague:
                gap = spread = gap / 2
        else:
            gap = math.sqrt(2 * self.price * age)
            spread = _SPREAD * gap
        # Moved and not cut off where it is too long, or many would meet there.
        spread = min(spread, longest / 2)
        return min(gap - spread, longest - 2 * spread) + draw(2 * spread)

    def efficiency(self, more: float) -> Efficiency:
        """Return what it is worth, with some polls more, beside the best of 21 fixed intervals.

        With S the survival, an interval d makes `∑ S(k·d)` polls of a task, k from 0 on, and so
        costs `(price + d)·∑ S(k·d) - ∫ S`; a first guess is `sqrt(2·price·∫ S)`. Regularity is
        `(∫ sqrt(f·S))² / ∫ S`: 1 for a constant hazard.
        """
        curve, price, last = self.curve, self.price, self.curve.ages[-1]

        def cost(gap: float) -> float:
            polls = sum(curve.at(poll * gap) for poll in range(math.ceil(last / gap)))
            return (price + gap) * polls - curve.mean + self._tail

        guess = math.sqrt(2 * price * curve.mean)
        interval = min((max(guess * 1.2**step, last / 1000) for step in range(-10, 11)), key=cost)
        roots = (math.sqrt((up**2 - low**2) * width / 2) for width, up, low in curve.cells)
        return Efficiency(
            cost=self._cost + more * price,
            fixed_cost=cost(interval),
            fixed_interval=interval,
            regularity=min(1.0, sum(roots) ** 2 / curve.mean),
        )


class Known(Memory):
    """A memory, its curve, and the plans by that: made again when 10 % of the ends are new."""

    def __init__(self, most: float, *seen: Memory) -> None:
        super().__init__(most)
        self.made: Curve | None = None  # the one that was asked for last
        self._plans: dict[int, Plan] = {}
        for each in seen:
            self.add(each)

    def curve(self) -> Curve:
        """Return the curve, however few ends were seen."""
        if self.made is None or self.news >= GROWTH * self.size:
            self.made, self.news = fitted(self, self.made), 0.0
            self._plans.clear()
        return self.made

    def plan(self, level: int, longest: float, most: float) -> Plan | None:
        """Return the plan for a level of price; None while too few ends were seen.

        A gap has `longest` seconds at most, more where most tasks take longer, but at most `most`.
        """
        if self.size < LEAST_ENDS:
            return None
        curve = self.curve()
        plan = self._plans.get(level)
        if plan is None:
            if len(self._plans) >= _PLANS:
                self._plans.clear()
            longest = max(longest, min(curve.quantile(_MOST), most))
            plan = self._plans[level] = Plan(curve, LEVEL**level, longest)
        return plan
