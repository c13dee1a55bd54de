"""How long such tasks take, learned from the polls themselves → the poll times that cost least.

Three steps. A `_Sample` keeps what was seen of one kind of task: spans in which a task was alive,
and spans in which one ended. `_fitted` makes a survival curve of it. `_planned` finds the poll
times of least cost on that curve. `LearnedSchedule` does so for a few kinds of task, and keeps
what it promises whatever was seen.

Words: an age is the seconds since a task began; ages are counted in narrow fixed bins; a curve is
made of cells, each a run of bins; the price of a poll is the seconds of delay that it is worth.
"""

from __future__ import annotations

import math
from array import array
from binascii import crc32
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate, pairwise
from random import Random
from typing import Self

import msgspec

from asyncclient._arguments import number as checked_number
from asyncclient._schedule import Schedule, drawing
from asyncclient._text import even_half_made

# --- ages, in bins ---

# A bin is 0.9 % wide, so that tasks which all take the same time within 3 % still fill several.
_PER_LOG = 256 / math.log(10)
_FIRST_EDGE = 0.05
_LAST_EDGE = 1e6
_BINS = math.ceil(_PER_LOG * math.log(_LAST_EDGE / _FIRST_EDGE)) + 1
_EDGES = (0.0, *(_FIRST_EDGE * math.exp(number / _PER_LOG) for number in range(_BINS)))
_OFFSET = 1 - _PER_LOG * math.log(_FIRST_EDGE)
# Two edges are packed into one whole number.
_PACK = 4096


def _bin_of(age: float) -> int:
    """Return the bin that holds an age, which is also the edge at which it begins."""
    if age < _FIRST_EDGE:
        return 0
    return min(_BINS - 1, int(_PER_LOG * math.log(age) + _OFFSET))


def _edge_near(age: float) -> int:
    """Return the edge between two bins that is nearest to an age."""
    if age < _FIRST_EDGE:
        return int(age > _FIRST_EDGE / 2)
    return min(_BINS, int(_PER_LOG * math.log(age) + _OFFSET + 0.5))


# --- what was seen ---

# The last 500 ends count, in blocks of 25: a block is what is forgotten at a time, and the last
# two are compared with the rest to notice a change.
_BLOCK = 25
_BLOCKS = 20
_RECENT = 2


class _Block:
    """What was seen while some 25 tasks ended."""

    def __init__(self) -> None:
        self.alive: dict[int, float] = {}
        self.ends: dict[int, float] = {}
        self.size = 0.0

    def add(self, other: _Block, share: float) -> None:
        """Count a share of what another block holds."""
        for edge, number in other.alive.items():
            self.alive[edge] = self.alive.get(edge, 0.0) + number * share
        for packed, number in other.ends.items():
            self.ends[packed] = self.ends.get(packed, 0.0) + number * share
        self.size += other.size * share


class _Sample:
    """What was seen of one kind of task: a life table of the present.

    Each sighting counts by itself, as "alive from this age to that one" or "ended between these
    ages". So a pending task counts at all times with the ages that it has passed, and a change
    shows in the tasks that do not end as well as in those that do.
    """

    def __init__(self, blocks: list[_Block]) -> None:
        self.blocks = blocks
        self.size = sum(block.size for block in blocks)

    def add_alive(self, first: int, last: int) -> None:
        """Count a task that was alive between two edges."""
        if first < last:
            alive = self.blocks[-1].alive
            alive[first] = alive.get(first, 0.0) + 1
            alive[last] = alive.get(last, 0.0) - 1

    def add_end(self, first: int, last: int) -> None:
        """Count a task that ended between two edges."""
        block = self.blocks[-1]
        packed = first * _PACK + last
        block.ends[packed] = block.ends.get(packed, 0.0) + 1
        block.size += 1
        self.size += 1
        if block.size >= _BLOCK:
            self.blocks.append(_Block())
            if len(self.blocks) > _BLOCKS + 1:
                self.size -= self.blocks.pop(0).size

    def ends(self) -> dict[tuple[int, int], float]:
        """Return how many ended between which edges."""
        found: dict[int, float] = {}
        for block in self.blocks:
            for packed, number in block.ends.items():
                found[packed] = found.get(packed, 0.0) + number
        return {divmod(packed, _PACK): number for packed, number in found.items()}

    def alive(self) -> dict[int, float]:
        """Return by how many the number of tasks known to be alive changes at which edge."""
        found: dict[int, float] = {}
        for block in self.blocks:
            for edge, number in block.alive.items():
                found[edge] = found.get(edge, 0.0) + number
        return found


# --- from what was seen to a survival curve ---

# A curve has so many cells: half of them share out the ends, half the range in logarithms.
_CELLS = 160
# The hazard is smoothed over `_REACH / sqrt(ends)` cells to either side, twice, and at least one.
_REACH = 30.0
# Rounds of expectation and maximisation: from the curve before, or from none.
_ROUNDS = 4
_FIRST_ROUNDS = 10
# The prior is a hazard of 1/age, the tail of a log-logistic law, and counts as a tenth of a task:
# enough beyond the longest age seen, and nothing where tasks were seen.
_PRIOR_WEIGHT = 0.1
# The width in logarithms that the first cell, which begins at 0, is taken to have.
_FIRST_WIDTH = 0.5
# How far beyond the ends the cells reach, in bins.
_MARGIN_BELOW = 12
_MARGIN_ABOVE = 24
# An end that is only known to lie in more bins than these is vague.
_VAGUE = 4
_TINY = 1e-12


class _Curve:
    """The share of tasks that outlives an age: straight lines between the borders of cells."""

    def __init__(self, edges: list[int], size: float, vague: float) -> None:
        self.edges = edges
        self.size = size
        self.vague = vague
        self.ages = [_EDGES[edge] for edge in edges]
        logs = [math.log(age) for age in self.ages[1:]]
        self.widths = [_FIRST_WIDTH, *(high - low for low, high in pairwise(logs))]
        self.hazards = [1.0] * len(self.widths)
        self.survival: list[float] = []
        self.survive()

    def survive(self) -> None:
        """Work out the survival that follows from the hazards."""
        exp = math.exp
        share = 1.0
        self.survival = [share]
        for hazard, width in zip(self.hazards, self.widths, strict=True):
            share *= exp(-hazard * width)
            self.survival.append(share)

    def survival_at(self, age: float) -> float:
        """Return the share that outlives an age."""
        ages = self.ages
        cell = bisect_right(ages, age) - 1
        if cell >= len(ages) - 1:
            return self.survival[-1] * ages[-1] / age
        high, low = self.survival[cell], self.survival[cell + 1]
        return high - (high - low) * (age - ages[cell]) / (ages[cell + 1] - ages[cell])

    def quantile(self, share: float) -> float:
        """Return the age by which a share has ended."""
        ages, survival, left = self.ages, self.survival, 1 - share
        if left <= survival[-1]:
            return min(_EDGES[-1], ages[-1] * survival[-1] / left)
        cell = bisect_right(survival, -left, key=lambda value: -value) - 1
        high, low = survival[cell], survival[cell + 1]
        return ages[cell] + (ages[cell + 1] - ages[cell]) * (high - left) / (high - low)


class _Table:
    """What was seen, counted in cells."""

    def __init__(
        self, edges: list[int], ends: dict[tuple[int, int], float], alive: dict[int, float]
    ) -> None:
        cells = len(edges) - 1
        nearest: list[int] = []
        for border, (low, high) in enumerate(pairwise(edges)):
            nearest += [border] * ((high - low + 1) // 2) + [border + 1] * ((high - low) // 2)
        nearest += [cells] * (_BINS + 1 - len(nearest))
        changes = [0.0] * (cells + 1)
        for edge, number in alive.items():
            changes[nearest[edge]] += number
        self._alive = list(accumulate(changes))[:cells]
        counted: dict[tuple[int, int], float] = {}
        for (first, last), number in ends.items():
            low = min(nearest[first], cells - 1)
            span = low, max(nearest[last], low + 1)
            counted[span] = counted.get(span, 0.0) + number
        self._ends = [(low, high, number) for (low, high), number in counted.items()]

    def expected(self, survival: list[float]) -> tuple[list[float], list[float]]:
        """Return how many tasks ended in each cell, and how many came to it.

        An end that lies somewhere in several cells is spread over them as the survival says.
        """
        cells = len(self._alive)
        weights, gone = [0.0] * (cells + 1), [0.0] * (cells + 1)
        for low, high, number in self._ends:
            left = survival[high]
            weight = number / max(survival[low] - left, _TINY)
            weights[low] += weight
            weights[high] -= weight
            gone[low] += weight * left
            gone[high] -= weight * left
        ended: list[float] = []
        came: list[float] = []
        for (before, after), weight, left, alive in zip(
            pairwise(survival), accumulate(weights), accumulate(gone), self._alive, strict=False
        ):
            ended.append((before - after) * weight)
            came.append(alive + before * weight - left)
        return ended, came


def _fitted(sample: _Sample, before: _Curve | None) -> _Curve:
    """Return the survival curve of a sample that has ends.

    Expectation and maximisation for ends that are known to lie between two polls (Turnbull 1976),
    with the hazard smoothed in every round (Silverman, Jones, Wilson and Nychka 1990): without
    that, what was once believed of the time between two polls confirms itself.
    """
    ends = sample.ends()
    vague = sum(number for (first, last), number in ends.items() if last - first > _VAGUE)
    curve = _Curve(_borders(ends, sample.size, before), sample.size, vague / sample.size)
    table = _Table(curve.edges, ends, sample.alive())
    widths = curve.widths
    reach = max(1, round(_REACH / math.sqrt(sample.size)))
    prior = [_PRIOR_WEIGHT * (2 * reach + 1) ** 2 * width for width in widths]
    if before is not None:
        survival = [max(before.survival_at(age), _TINY) for age in curve.ages]
        curve.hazards = [
            math.log(high / low) / width
            for (high, low), width in zip(pairwise(survival), widths, strict=True)
        ]
        curve.survive()
    for _ in range(_FIRST_ROUNDS if before is None else _ROUNDS):
        ended, came = table.expected(curve.survival)
        spent = [
            (coming - end / 2) * width
            for coming, end, width in zip(came, ended, widths, strict=True)
        ]
        curve.hazards = [
            (end + weight) / (max(0.0, time) + weight)
            for end, time, weight in zip(
                _smoothed(ended, reach), _smoothed(spent, reach), prior, strict=True
            )
        ]
        curve.survive()
    return curve


def _borders(ends: dict[tuple[int, int], float], size: float, before: _Curve | None) -> list[int]:
    """Return the borders of cells, close together where tasks end, as edges of bins."""
    if before is None:
        lowest = min(first or last for first, last in ends)
    else:
        lowest = min(last if last - first > _VAGUE else first for first, last in ends)
        lowest = min(lowest, _edge_near(before.quantile(1 / size)))
    lowest = max(1, lowest - _MARGIN_BELOW)
    highest = min(_BINS, max(last for _, last in ends) + _MARGIN_ABOVE)
    density = [0.0] * (highest + 1)
    for (first, last), number in ends.items():
        dense = number / (_EDGES[last] - _EDGES[first])
        density[first] += dense
        density[last] -= dense
    even = _CELLS / 2 / (highest - lowest)
    by_ends = _CELLS / 2 / size
    borders = [0, lowest]
    dense = sum(density[:lowest])
    share = 0.0
    for number in range(lowest, highest):
        dense += density[number]
        share += even + by_ends * dense * (_EDGES[number + 1] - _EDGES[number])
        if share >= 1:
            share %= 1
            borders.append(number + 1)
    if borders[-1] < highest:
        borders.append(highest)
    return borders


def _smoothed(values: list[float], reach: int) -> list[float]:
    """Return sums over `reach` neighbours to either side, taken twice.

    The first cell, which is wide beyond measure, is left out, or ends would leak into it.
    """
    first, *values = values
    for _ in range(2):
        total = list(accumulate(values, initial=0.0))
        total = [0.0] * reach + total + [total[-1]] * reach
        values = [high - low for low, high in zip(total, total[2 * reach + 1 :], strict=False)]
    return [first * (2 * reach + 1) ** 2, *values]


# --- a change ---

# What was seen of late is compared with a curve in so many bands of cells. It differs when twice
# the log-likelihood ratio exceeds this. In 144,000 simulated tasks of eight laws, without a change,
# it never exceeded 36; durations five times as long or as short bring it over 40 within 50 tasks.
_BANDS = 8
_CHANGED = 38.0


def _difference(curve: _Curve, recent: _Sample) -> float:
    """Return how unlike a curve recent sightings are: twice a log-likelihood ratio.

    In each band of ages, the ends that were seen are compared with those that the curve expects of
    the tasks that were alive there, ended or not: a one-sample log-rank test in bands.
    """
    table = _Table(curve.edges, recent.ends(), recent.alive())
    ended, came = table.expected(curve.survival)
    seen = [0.0] * _BANDS
    expected = [_TINY] * _BANDS
    for cell, (end, coming) in enumerate(zip(ended, came, strict=True)):
        band = cell * _BANDS // len(ended)
        seen[band] += end
        expected[band] += curve.hazards[cell] * curve.widths[cell] * max(0.0, coming - end / 2)
    ratio = sum(
        (saw * math.log(saw / mean) if saw > 0 else 0.0) - saw + mean
        for saw, mean in zip(seen, expected, strict=True)
    )
    # The curve is made of a sample itself.
    return 2 * ratio * curve.size / (curve.size + recent.size)


# --- from a curve to a plan ---

# A poll is moved by up to this share of the gaps around it, so that tasks which began together do
# not stay in step. It costs half a per cent, and what lies between old poll times is seen.
_SPREAD = 0.2
# The gaps around it: those of the plan, and of Keller's density in so many cells to either side.
_NEAR = 4
# Of the long gaps that a plan never looks into, one in so many is cut short at random, or a mode
# that moves to the middle of one would never be found. A gap is long when the delay that may hide
# in it, unknown to the curve, is worth so many polls.
_PROBE = 1 / 32
_HIDDEN = 2.0
# A cell in which fewer tasks end is silent; it is divided into parts of a sixth of the longest gap,
# unless there would be too many.
_SILENT = 1 / 500
_FINE = 6.0
_COARSE = 4.0


class _Plan:
    """The gaps of least cost after any age, for one price of a poll."""

    def __init__(
        self,
        ages: list[float],
        gaps: list[float],
        spreads: list[float],
        probes: list[float],
        tail: float,
        cost: float,
        longest: float,
    ) -> None:
        self.cost = cost
        self.longest = longest
        self.silence = gaps[0]
        self.worth: Efficiency | None = None
        slopes = [
            (after - before) / (high - low)
            for (before, after), (low, high) in zip(pairwise(gaps), pairwise(ages), strict=True)
        ]
        self._ages = ages
        self._cells = len(slopes)
        self._slopes = array("d", slopes)
        self._bases = array(
            "d",
            (gap - slope * age for gap, slope, age in zip(gaps, slopes, ages, strict=False)),
        )
        self._spreads = array("d", spreads)
        self._probes = array("d", probes)
        self._tail = tail

    def gap(self, age: float, draw: Callable[[float], float]) -> float:
        """Return the seconds from an age to the next poll; `draw` as in `LearnedSchedule.gap`."""
        cell = bisect_right(self._ages, age) - 1
        if cell < self._cells:
            gap = self._bases[cell] + self._slopes[cell] * age
            spread = min(self._spreads[cell], _SPREAD * gap)
            probe = self._probes[cell]
            if probe and draw(1.0) < probe:
                return draw(gap)
        else:
            gap = self._tail * math.sqrt(age)
            spread = _SPREAD * gap
        return gap - spread + draw(2 * spread)


def _planned(curve: _Curve, price: float, longest: float) -> _Plan:
    """Return the poll times of least cost, by dynamic programming from the last age backwards.

    After a poll at age s that showed the task unfinished, the cost to come is
    `W(s) = price·S(s) + min over x of (∫ from s to x of (F(t) - F(s)) dt + W(x))`,
    with S the survival, F = 1 - S and x the age of the next poll (Barlow, Hunter and Proschan
    1963). The best x grows with s, so that few need be tried. Beyond the last age the gap is
    Keller's (1974) for a hazard of 1/age: `sqrt(2·price/hazard)`.
    """
    ages, survival = _divided(curve, longest)
    last = target = len(ages) - 1
    failure = [1 - share for share in survival]
    areas = list(
        accumulate(
            (
                (high - low) * (before + after) / 2
                for (low, high), (before, after) in zip(
                    pairwise(ages), pairwise(failure), strict=True
                )
            ),
            initial=0.0,
        )
    )
    tail = math.sqrt(2 * price)
    costs = [0.0] * last + [_tail_cost(curve, price)]
    gaps = [0.0] * last + [min(longest, tail * math.sqrt(ages[last]))]
    targets = [last] * (last + 1)
    probes = [0.0] * last
    for start in range(last - 1, -1, -1):
        age, failed, left = ages[start], failure[start], survival[start]
        limit = age + longest
        best = math.inf
        found = start + 1
        for end in range(start + 1, target + 1):
            at = ages[end]
            if at > limit:
                break
            cost = areas[end] - failed * at + costs[end]
            if cost < best:
                best = cost
                found = end
        best += failed * age - areas[start]
        gap = ages[found] - age
        share = failure[found] - failed
        delay = areas[found] - areas[start] - failed * gap
        if share * gap - delay > _HIDDEN * price * left:
            probes[start] = _PROBE * curve.vague
        if found == start + 1:
            # One cell may be worth several polls, evenly spaced, or be longer than a gap may be.
            # Their number need not be whole, since they need not end with the cell.
            worth = math.sqrt(share * gap / (price * (left + survival[found]) + _TINY))
            polls = max(worth, gap / longest)
            if polls > 1:
                cost = share * gap / (2 * polls) + costs[found]
                cost += price * ((polls - 1) * left - share * (polls - 1) / 2)
                if cost < best:
                    best = cost
                    gap /= polls
        costs[start] = best + price * left
        gaps[start] = gap
        targets[start] = target = found
    spreads = _spreads(ages, survival, gaps, targets, price)
    return _Plan(ages, gaps, spreads, probes, tail, costs[0], longest)


def _divided(curve: _Curve, longest: float) -> tuple[list[float], list[float]]:
    """Return the ages of a curve and the survival at them, closer together where hardly any end.

    There the longest gap decides, and cells of about its length would leave polls little choice.
    """
    ages, survival = [0.0], [1.0]
    for (high, low), (start, end) in zip(
        pairwise(curve.survival), pairwise(curve.ages), strict=True
    ):
        parts = 1
        if high - low < _SILENT and longest / _FINE < end - start < longest * _COARSE:
            parts = math.ceil((end - start) * _FINE / longest)
        for part in range(1, parts + 1):
            ages.append(start + (end - start) * part / parts)
            survival.append(high - (high - low) * part / parts)
    return ages, survival


def _tail_cost(curve: _Curve, price: float) -> float:
    """Return what comes beyond the last age by Keller's density: ∫ sqrt(2·price·f·S), f = S/age."""
    return 2 * curve.survival[-1] * math.sqrt(2 * price * curve.ages[-1])


def _spreads(
    ages: list[float],
    survival: list[float],
    gaps: list[float],
    targets: list[int],
    price: float,
) -> list[float]:
    """Return by how many seconds the next poll may be moved, after each age.

    Moving one costs about the density of ends times the square of the move. So it keeps to the
    least gap around it, by Keller's density too: where many end at about the same age, that is
    small although the plan makes but one poll.
    """
    local = [
        math.sqrt(2 * price * high * (end - start) / max(high - low, _TINY))
        for (high, low), (start, end) in zip(pairwise(survival), pairwise(ages), strict=True)
    ]
    local.append(math.inf)
    least = [min(local[max(0, cell - _NEAR) : cell + _NEAR + 1]) for cell in range(len(local))]
    return [
        _SPREAD * min(gap, gaps[target], least[target])
        for gap, target in zip(gaps, targets, strict=True)
    ]


# --- what it is worth ---

# Fixed intervals from a seventh to seven times a first guess are tried, and this part of the
# longest age at least.
_GUESSES = [1.15**step for step in range(-14, 15)]
_LEAST_INTERVAL = 1 / 1000


class Efficiency(msgspec.Struct, frozen=True, kw_only=True):
    """What learning is worth for one kind of task, by the curve that was learned."""

    cost: float
    fixed_cost: float
    fixed_interval: float
    regularity: float


def _efficiency(curve: _Curve, cost: float, price: float) -> Efficiency:
    """Return what a plan of this cost is worth beside the best fixed interval."""
    ages = curve.ages
    mean = root = middle = 0.0
    for (high, low), (start, end) in zip(pairwise(curve.survival), pairwise(ages), strict=True):
        mean += (end - start) * (high + low) / 2
        root += math.sqrt((high - low) * (end - start) * (high + low) / 2)
        middle += (high - low) * (start + end) / 2
    guess = math.sqrt(2 * price * mean)
    found: list[tuple[float, float]] = []
    for interval in (max(guess * factor, ages[-1] * _LEAST_INTERVAL) for factor in _GUESSES):
        fixed = _tail_cost(curve, price) - middle
        after = 1.0
        for number in range(1, math.ceil(ages[-1] / interval) + 1):
            before, after = after, curve.survival_at(min(number * interval, ages[-1]))
            fixed += price * before + number * interval * (before - after)
        found.append((fixed, interval))
    fixed_cost, interval = min(found)
    return Efficiency(
        cost=cost,
        fixed_cost=fixed_cost,
        fixed_interval=interval,
        regularity=min(1.0, root**2 / mean),
    )


# --- one kind of task ---

# Fewer ends are no ground for a plan.
LEAST_ENDS = 8
# A curve is made again when this share of its sample is new.
_GROWTH = 0.15
# So many new ends are looked at together for a change; a poll that was survived counts less.
_REVIEW = 10.0
_SURVIVED = 1 / 16
# Prices are rounded to levels, each so many times the one below; a kind keeps a few plans.
_LEVEL = 1.2
_LOG_LEVEL = math.log(_LEVEL)
_LEVELS = 80
_PLANS = 12


def _level(price: float) -> int:
    """Return the level of a price, within bounds."""
    if price < _LEVEL**-_LEVELS:
        return -_LEVELS
    return round(math.log(min(price, _LEVEL**_LEVELS)) / _LOG_LEVEL)


# What was seen by others, where nothing of theirs is taken; it is never added to.
_NOTHING = _Sample([])


class _Kind:
    """What is known of one kind of task: what was seen here, and what others have seen.

    Plans are made of both. Whether something has changed is asked of what was seen here: against
    what was seen here before, and against what the others have seen.
    """

    def __init__(self, sample: _Sample, told: int) -> None:
        self.sample = sample
        self.merged = _NOTHING
        # When it was told of last, as a number that grows; 0 when only others have told of it.
        self.told = told
        self.curve: _Curve | None = None
        # The curves of what was seen here and of what was merged, while something is.
        self._own: _Curve | None = None
        self._others: _Curve | None = None
        self.plans: dict[int, _Plan] = {}
        self.stale = True
        self._news = self._unfitted = self._own_unfitted = 0.0

    @property
    def size(self) -> float:
        """How many ends count."""
        return self.sample.size + self.merged.size

    def tell(self, news: float) -> None:
        """Note that something was seen, and look at it when it is enough."""
        self._news += news
        if self._news < min(_REVIEW, _GROWTH * self.sample.size):
            return
        self._unfitted += self._news
        self._own_unfitted += self._news
        self._news = 0.0
        self._look_for_changes()
        if self.stale or self._unfitted >= _GROWTH * self.size:
            self.stale = True
            self.plans.clear()

    def take(self, others: _Sample) -> None:
        """Count what others have seen, in place of what was taken before.

        It is not taken where it contradicts what was seen here of late: a change that was noticed
        here is not undone by those who have not noticed it yet.
        """
        curve = _fitted(others, None) if self.told and others.size >= LEAST_ENDS else None
        if curve is not None and self._unexplained(curve, but=0) is not None:
            others, curve = _NOTHING, None
        if not others.size and not self.merged.size:
            return
        if not self.merged.size:
            self._own, self._own_unfitted = self.curve, self._unfitted
        self.merged, self._others = others, curve
        if not others.size:
            self.curve = self._own
        self.stale = True
        self.plans.clear()

    def _look_for_changes(self) -> None:
        """Forget what was seen before a change, here or by others."""
        own = self._own if self.merged.size else self.curve
        recent = None if own is None else self._unexplained(own, but=1)
        if recent is not None:
            self.sample = recent
            self.curve = self._own = None
            self.stale = True
        if not self.merged.size:
            return
        if self._own_unfitted >= _GROWTH * self.sample.size >= _GROWTH * LEAST_ENDS:
            self._own = _fitted(self.sample, self._own)
            self._own_unfitted = 0.0
        if self._others is None and self.merged.size >= LEAST_ENDS:
            self._others = _fitted(self.merged, None)
        if self._others is not None and self._unexplained(self._others, but=0) is not None:
            self.take(_NOTHING)

    def _unexplained(self, curve: _Curve, *, but: int) -> _Sample | None:
        """Return recent sightings that a curve does not explain; None when it explains them."""
        blocks = self.sample.blocks
        for number in range(1, min(_RECENT, len(blocks) - but) + 1):
            recent = _Sample(blocks[-number:])
            if _difference(curve, recent) > _CHANGED:
                return recent
        return None

    def fit(self) -> _Curve | None:
        """Return the survival curve; None while too few ends were seen."""
        if self.stale:
            if self.size < LEAST_ENDS:
                return None
            both = _Sample([*self.merged.blocks, *self.sample.blocks])
            self.curve = _fitted(both, self.curve)
            self._unfitted = 0.0
            self.stale = False
        return self.curve

    def fit_own(self) -> _Curve | None:
        """Return the curve of what was seen here alone; None while that is too little."""
        if not self.merged.size:
            return self.fit()
        return _fitted(self.sample, None) if self.sample.size >= LEAST_ENDS else None

    def plan(self, level: int, longest: float, *, stretch: bool) -> _Plan | None:
        """Return a new plan for a level of price; None while too few ends were seen."""
        curve = self.fit()
        if curve is None:
            return None
        if len(self.plans) >= _PLANS:
            del self.plans[next(iter(self.plans))]
        if stretch:
            longest = max(longest, min(curve.quantile(_MOST), _LONGEST_EVER))
        plan = self.plans[level] = _planned(curve, _LEVEL**level, longest)
        return plan


# --- keeping it ---

_HEADER = b"ACLS"
_VERSION = b"\x02"
_HEAD = len(_HEADER) + len(_VERSION) + 4
# A curve is saved as the ends in so many spans, and a number of ends as parts of one.
_SPANS = 64
_PARTS = 64
_MOST_PARTS = 1000 * _PARTS
_KINDS = 64


class _Span(msgspec.Struct, array_like=True, frozen=True):
    """Ends between two edges, in small numbers: where it begins counts from the span before."""

    skipped: int
    width: int
    parts: int


class _Saved(msgspec.Struct, array_like=True, frozen=True):
    """One kind of task as it is saved: its ends, and how many lived until an edge after them."""

    kind: str
    left: int
    until: int
    spans: list[_Span]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Saved])


def _packed(kinds: Iterable[tuple[str, _Kind]]) -> bytes:
    """Return what is known of some kinds as bytes."""
    body = _encoder.encode([_saved(name, known) for name, known in kinds])
    return _HEADER + _VERSION + crc32(body).to_bytes(4, "big") + body


def _unpacked(data: object, reader: str) -> list[tuple[str, _Block]]:
    """Return what `_packed` made bytes of, checked, with all of a kind in one block."""
    if not isinstance(data, bytes):
        msg = f"{reader} takes the bytes that to_bytes returned, not {type(data).__name__}"
        raise TypeError(msg)
    version, body = data[len(_HEADER) :][:1], data[_HEAD:]
    if not data.startswith(_HEADER):
        reason = "it does not begin as one"
    elif version != _VERSION:
        reason = f"it is of version {version.hex()!r}, and this library reads {_VERSION.hex()!r}"
    elif data[len(_HEADER) + 1 : _HEAD] != crc32(body).to_bytes(4, "big"):
        reason = "its checksum does not fit: it was cut off or changed"
    else:
        try:
            saved = _decoder.decode(body)
            return [(each.kind, _block_of(each)) for each in saved[:_KINDS]]
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            reason = str(error)
    msg = f"not a saved LearnedSchedule: {reason}; pass what to_bytes returned, or learn again"
    raise ValueError(msg)


def _saved(name: str, known: _Kind) -> _Saved:
    """Return what was seen here of a kind: its ends in spans, or one by one while few."""
    curve = known.fit_own()
    ends = known.sample.ends()
    left = 0.0
    until = 0
    if curve is not None:
        size = known.sample.size
        cells = len(curve.widths)
        borders = [0, *range(1, cells, math.ceil(cells / _SPANS)), cells]
        ends = {
            (curve.edges[low], curve.edges[high]): size
            * (curve.survival[low] - curve.survival[high])
            for low, high in pairwise(borders)
        }
        left = size * curve.survival[-1]
        until = curve.edges[-1]
    spans: list[_Span] = []
    before = 0
    for (first, last), number in sorted(ends.items()):
        parts = round(number * _PARTS)
        if parts:
            spans.append(_Span(first - before, last - first, parts))
            before = first
    return _Saved(name, round(left * _PARTS), until, spans)


def _block_of(saved: _Saved) -> _Block:
    """Return all that was saved of a kind as one block."""
    parts = sum(span.parts for span in saved.spans)
    block = _Block()
    block.size = parts / _PARTS
    first = highest = 0
    for span in saved.spans:
        first += span.skipped
        highest = max(highest, first + span.width)
        if min(span.skipped, span.width - 1, span.parts - 1) < 0 or highest > _BINS:
            msg = f"the numbers of the kind {saved.kind!r} are out of range"
            raise ValueError(msg)
        packed = first * _PACK + first + span.width
        block.ends[packed] = block.ends.get(packed, 0.0) + span.parts / _PARTS
        block.alive[first] = block.alive.get(first, 0.0) - span.parts / _PARTS
    if not 0 <= saved.left <= _MOST_PARTS >= parts or not 0 <= saved.until <= _BINS:
        msg = f"the numbers of the kind {saved.kind!r} are out of range"
        raise ValueError(msg)
    left = saved.left / _PARTS
    block.alive[0] = block.alive.get(0, 0.0) + block.size + left
    block.alive[saved.until] = block.alive.get(saved.until, 0.0) - left
    return block


def _restored(block: _Block) -> _Sample:
    """Return a sample that holds what was saved, in blocks with an equal part of it each."""
    if not block.size:
        return _Sample([_Block()])
    blocks = min(_BLOCKS, math.ceil(block.size / _BLOCK))
    part = _Block()
    part.add(block, 1 / blocks)
    # One for all, since only the last block is ever added to.
    return _Sample([part] * blocks + [_Block()])


def _joined(found: list[_Block]) -> _Sample:
    """Return what several have seen of a kind: together no more ends than count of one's own."""
    most = _BLOCKS * _BLOCK / len(found)
    joint = _Block()
    for block in found:
        joint.add(block, min(1.0, most / block.size))
    return _Sample([joint])


# --- the schedule ---

# What `LearnedSchedule` promises: so many times the fallback's polls, and so many more.
_FACTOR = 2
_EXTRA = 4
# So many of the fallback's gaps are reckoned beforehand.
_LISTED = 256
# No gap is shorter, in seconds.
_LEAST_GAP = 0.01
# A time stamp in whole seconds was rounded, by this much either way.
_ROUNDED = 0.5
# No gap is longer, in seconds, unless this share of tasks takes longer to end; and never longer.
_LONGEST_GAP = 60.0
_MOST = 0.9
_LONGEST_EVER = 3600.0
_FALLBACK = Schedule()
_draw = drawing(None)


class LearnedSchedule:
    """Learns how long such tasks take, and polls when it pays: least price × polls + delay.

    Where all tasks of a kind take about as long, that is silence, and then a few polls close
    together; where they take either this or that long, silence again in between. Before 8 ends of
    a kind were seen it is its `fallback`. The last 500 ends count; a change is noticed, and what
    was before it is forgotten. Schedules of several processes can tell each other what they have
    seen: `to_bytes` of each, and `merge` of the others'.

    Whatever it has seen, and whatever was merged, it keeps to this:

    * By any age it has made at most 2·n + 4 polls of a task, where n is how many the fallback
      makes by then, the one at age 0 included, and its jitter not. Where a poll costs less than
      1 s of the task's delay, that is divided by the square root of what it costs.
    * No gap is longer than `longest_gap`, the first one included: an end is seen by then. By
      default that is 60 s, or the age by which nine of ten tasks of the kind have ended where that
      is more (up to an hour): who waits for ten minutes each time need not be told to the minute.
    * No gap is shorter than 10 ms.
    * Chance comes from the given generator alone: who has seen the same draws the same. A poll is
      moved by up to a fifth of the gaps around it, so that tasks which began together do not stay
      in step; the more precisely it must be timed, the less.

    `gap` needs no memory of the task, so that any number may be pending; `delays` is for one wait
    that has no clock of its own, of the kind `""`.

    Args:
        poll_cost: the seconds of delay that one poll is worth. Default 1.
        fallback: the schedule to lean on. Default `Schedule()`.
        longest_gap: the seconds between two polls at most; at least the fallback's `cap`. Default
            None: see above.

    Raises:
        ValueError: the numbers cannot make a schedule.
        TypeError: an argument is not of its kind.
    """

    def __init__(
        self,
        poll_cost: float = 1.0,
        *,
        fallback: Schedule = _FALLBACK,
        longest_gap: float | None = None,
    ) -> None:
        self.poll_cost = _positive("poll_cost", poll_cost)
        _expect("LearnedSchedule: fallback must be a Schedule", fallback, Schedule)
        self.fallback = fallback
        self._longest = max(_LONGEST_GAP, fallback.cap)
        if longest_gap is not None:
            self._longest = longest_gap = _positive("longest_gap", longest_gap)
        self.longest_gap = longest_gap
        if longest_gap is not None and longest_gap < fallback.cap:
            msg = (
                f"LearnedSchedule: longest_gap={longest_gap!r} must be at least the fallback's "
                f"cap={fallback.cap!r} seconds"
            )
            raise ValueError(msg)
        self._level = _level(self.poll_cost)
        self._kinds: dict[str, _Kind] = {}
        self._told = 0
        exact = msgspec.structs.replace(fallback, jitter=0.0)
        gaps = [exact.delay(0)]
        while len(gaps) < _LISTED and gaps[-1] < fallback.cap:
            gaps.append(exact.delay(len(gaps)))
        self._fallback_ages = [0.0, *accumulate(gaps)]
        # Where the gaps grow very slowly, the cap errs on the side of fewer polls.
        self._fallback_step = fallback.first if fallback.factor == 1 else fallback.cap
        self._due = [self._due_after(polls) for polls in range(_LISTED)]

    # --- learning ---

    def observe(
        self,
        seconds: float,
        *,
        since: float | None = None,
        stamped: float | None = None,
        told: float = 0.0,
        kind: str = "",
    ) -> None:
        """Learn from a task that has ended. All ages are seconds since it began.

        Args:
            seconds: the age at which it ended; with `since` or `stamped`, at which that was seen.
            since: the age at the last poll that showed it unfinished.
            stamped: the age at its end by the provider's clock, if it tells. It may be wrong: it
                is taken into what the polls saw. Whole seconds count as rounded.
            told: the age up to which `survived` was told of this task.
            kind: which tasks are alike.

        Raises:
            ValueError: `seconds` is negative or not finite, or another age is later than it.
        """
        _check_ages(since or 0.0, seconds)
        _check_ages(told, seconds)
        if stamped is not None and not math.isfinite(stamped):
            stamped = None
        if since is not None and stamped is None:
            first, last = _edge_near(since), _edge_near(seconds)
        else:
            low, high = max(told, since or 0.0), math.inf
            end = seconds
            if stamped is not None:
                high = seconds
                end = min(max(stamped, low), high)
            if end % 1 == 0:
                first = _edge_near(max(low, end - _ROUNDED))
                last = _edge_near(min(high, end + _ROUNDED))
            else:
                first = last = _bin_of(end)
        first = min(first, _BINS - 1)
        known = self._known(kind)
        known.sample.add_alive(_edge_near(told), first)
        known.sample.add_end(first, max(first + 1, last))
        known.tell(1.0)

    def survived(self, seconds: float, *, since: float = 0.0, kind: str = "") -> None:
        """Learn from a task that has not ended between two ages: it goes on, or is given up.

        Told at each poll, with the age at the one before, it lets slow tasks count before they
        end. `observe` then gets the last such age as `told`.

        Args:
            seconds: its age.
            since: the age up to which that was told before, or at which it was met.
            kind: which tasks are alike.

        Raises:
            ValueError: `seconds` is not finite, or `since` is negative or later.
        """
        _check_ages(since, seconds)
        known = self._known(kind)
        known.sample.add_alive(_edge_near(since), _edge_near(seconds))
        known.tell(_SURVIVED)

    def _known(self, kind: str) -> _Kind:
        """Return what is known of a kind; a new one takes the place of the longest untold of."""
        self._told += 1
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= _KINDS:
                del self._kinds[min(self._kinds, key=lambda name: self._kinds[name].told)]
            known = self._kinds[kind] = _Kind(_Sample([_Block()]), self._told)
        known.told = self._told
        return known

    # --- polling ---

    def gap(
        self,
        age: float,
        polls: int,
        *,
        kind: str = "",
        price: float | None = None,
        weight: float = 1.0,
        draw: Callable[[float], float] = _draw,
    ) -> float:
        """Return the seconds from an age to the next poll of a task.

        Args:
            age: seconds since it began.
            polls: how many polls of it were made, the last one at this age. With 0, it is the
                silence before the first: 0 when there is none, or when it has passed.
            kind: which tasks are alike.
            price: the seconds of delay that one poll is worth. Default `poll_cost`.
            weight: how much this task's delay matters; 4 makes about twice as many polls.
            draw: draws evenly from 0 up to its argument.

        Returns:
            seconds, at most `longest_gap`; 0 only before the first poll.

        Raises:
            ValueError: the price is negative, or the weight is not positive and finite.
        """
        level = self._level if price is None and weight == 1.0 else self._level_of(price, weight)
        known = self._kinds.get(kind)
        plan: _Plan | None = None
        if known is not None:
            plan = known.plans.get(level) or known.plan(
                level, self._longest, stretch=self.longest_gap is None
            )
        if polls <= 0:
            if plan is None or age >= plan.silence:
                return 0.0
            polls = 0
        if not age > 0.0:
            age = 0.0
        gap = self.fallback.delay(polls - 1, draw) if plan is None else plan.gap(age, draw)
        due = self._due
        if level < 0:  # of cheaper polls more are worth it, by 1/sqrt(price)
            polls = int(polls * _LEVEL ** (level / 2))
        least = (due[polls] if polls < _LISTED else self._due_after(polls)) - age
        longest = self._longest if plan is None else plan.longest
        return min(longest, max(gap, least, _LEAST_GAP))

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps in seconds, without end, for a task that is polled at age 0.

        Args:
            rng: the generator to draw from, so that the same seed gives the same gaps.

        Returns:
            an iterator of seconds, each more than 0 and at most `longest_gap`. The first is the
            silence, or the fallback's first gap while too little is known.
        """
        draw = _draw if rng is None else drawing(rng)
        age = 0.0
        polls = 1
        while True:
            gap = self.gap(age, polls, draw=draw)
            yield gap
            age += gap
            polls += 1

    def _level_of(self, price: float | None, weight: float) -> int:
        """Return the level of the price of a poll for a task of this weight."""
        price = self.poll_cost if price is None else price
        if not (price >= 0 and 0 < weight < math.inf):
            msg = (
                f"LearnedSchedule: price={price!r} must be 0 or more, and weight={weight!r} more "
                "than 0 and finite"
            )
            raise ValueError(msg)
        return _level(price / weight)

    def _due_after(self, polls: int) -> float:
        """Return the least age at which another poll may follow so many."""
        number = math.ceil((polls + 1 - _EXTRA) / _FACTOR)
        ages = self._fallback_ages
        if number <= len(ages):
            return ages[max(0, number - 1)]
        return ages[-1] + (number - len(ages)) * self._fallback_step

    # --- telling ---

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of which something is known: the 64 that were told of last."""
        return tuple(self._kinds)

    def sample_size(self, kind: str = "") -> int:
        """Return how many ends of a kind count at present: about 500, and 500 merged, at most."""
        known = self._kinds.get(kind)
        return 0 if known is None else round(known.size)

    def quantile(self, share: float, kind: str = "") -> float | None:
        """Return the age in seconds by which a share of tasks has ended.

        Args:
            share: from 0 up to less than 1.
            kind: which tasks are alike.

        Returns:
            the age, at most about 10⁶ s; None before 8 ends were seen. Beyond the longest age seen
            it is a guess.

        Raises:
            ValueError: `share` is out of its range.
        """
        if not 0 <= share < 1:
            msg = f"quantile: share={share!r} must be 0 or more and less than 1"
            raise ValueError(msg)
        known = self._kinds.get(kind)
        curve = None if known is None else known.fit()
        return None if curve is None else curve.quantile(share)

    def efficiency(self, kind: str = "", *, price: float | None = None) -> Efficiency | None:
        """Return what a task costs by the plan, beside the best fixed interval.

        Args:
            kind: which tasks are alike.
            price: the seconds of delay that one poll is worth. Default `poll_cost`.

        Returns:
            the costs; None before 8 ends were seen.
        """
        level = self._level_of(price, 1.0)
        known = self._kinds.get(kind)
        curve = None if known is None else known.fit()
        if known is None or curve is None:
            return None
        plan = known.plans.get(level) or known.plan(
            level, self._longest, stretch=self.longest_gap is None
        )
        if plan is None:
            return None
        if plan.worth is None:
            plan.worth = _efficiency(curve, plan.cost, _LEVEL**level)
        return plan.worth

    @even_half_made
    def __repr__(self) -> str:
        known = ", ".join(f"{name!r} {self.sample_size(name)}" for name in self._kinds)
        return f"<LearnedSchedule poll_cost={self.poll_cost:g}, ends: {known or 'none'}>"

    # --- keeping ---

    def to_bytes(self) -> bytes:
        """Return what was seen here, a few hundred bytes for each kind; nothing else is in it.

        That is no setting, and nothing of what was merged: so states may go round.
        """
        return _packed((name, known) for name, known in self._kinds.items() if known.told)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        poll_cost: float = 1.0,
        fallback: Schedule = _FALLBACK,
        longest_gap: float | None = None,
    ) -> Self:
        """Return a schedule that knows what another one had learned.

        Args:
            data: what `to_bytes` returned.
            poll_cost: as for a new one.
            fallback: as for a new one.
            longest_gap: as for a new one.

        Raises:
            ValueError: it is not what `to_bytes` returned, or of another version; or as for a new
                one.
            TypeError: it is not bytes; or as for a new one.
        """
        schedule = cls(poll_cost, fallback=fallback, longest_gap=longest_gap)
        for name, block in _unpacked(data, "from_bytes"):
            schedule._known(name).sample = _restored(block)
        return schedule

    def merge(self, states: list[bytes] | tuple[bytes, ...]) -> int:
        """Take what others have seen, in place of what was merged before.

        Plans are made of both: of what was seen here in full, and of at most 500 ends of a kind
        that others have seen, as many of each of them. A kind that was never seen here is known by
        theirs alone. What contradicts the ends seen here of late is not taken.

        Args:
            states: what `to_bytes` of the others returned, the latest of each and not one's own.

        Returns:
            how many of them could be read; what was changed or is of another version is passed
            over.

        Raises:
            TypeError: it is not a list or tuple of bytes.
        """
        taken = 0
        found: dict[str, list[_Block]] = {}
        _expect("merge takes a list of what to_bytes returned", states, (list, tuple))
        for state in states:
            try:
                kinds = _unpacked(state, "merge")
            except ValueError:
                continue
            taken += 1
            for name, block in kinds:
                if block.size:
                    found.setdefault(name, []).append(block)
        for name, known in list(self._kinds.items()):
            if name not in found:
                known.take(_NOTHING)
                if not known.told:
                    del self._kinds[name]
        for name, blocks in found.items():
            if name not in self._kinds and len(self._kinds) < _KINDS:
                self._kinds[name] = _Kind(_Sample([_Block()]), 0)
            if name in self._kinds:
                self._kinds[name].take(_joined(blocks))
        return taken


def _expect(rule: str, value: object, kinds: type | tuple[type, ...]) -> None:
    if not isinstance(value, kinds):
        msg = f"{rule}, not {type(value).__name__}"
        raise TypeError(msg)


def _positive(name: str, value: object) -> float:
    return checked_number(f"LearnedSchedule: {name}", value, unit="seconds", above=0)


def _check_ages(before: float, seconds: float) -> None:
    if not 0 <= before <= seconds < math.inf:
        msg = (
            f"ages of {before!r} s and then {seconds!r} s: ages are finite seconds since the task "
            "began, and the first is not after the last"
        )
        raise ValueError(msg)
