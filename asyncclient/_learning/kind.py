"""What is known of one kind of task: what was seen here, long ago and lately, and by others."""

from __future__ import annotations

import math

from asyncclient._learning.curve import Curve, fitted, likelihood
from asyncclient._learning.memory import Memory
from asyncclient._learning.plan import Plan, planned

# Fewer ends are no ground for a plan.
LEAST_ENDS = 3
# How many ends count in the long memory, and of others; and in the short memory.
MOST_ENDS = 500
_FEW_ENDS = 30
# A memory has clearly predicted better when it has done so by a factor of e²⁰.
_CLEARLY = 20.0
# What others have seen may be later or earlier by 3 bins, 5 %.
_ALIKE = 3
# A curve is made again when 10 % of its ends are new. New ends are looked at ten at a time, or at
# that share where it is less; a poll that a task outlived counts for an eighth of one.
_GROWTH = 0.1
_TOGETHER = 10.0
_OUTLIVED = 1 / 8
# Prices are rounded to levels, each 1.2 times the one below; a kind keeps 12 plans.
LEVEL = 1.2
_LEVELS = 80
_PLANS = 12
# By default a gap may be longer until 90 % have ended, but than an hour never.
_MOST = 0.9
_LONGEST_EVER = 3600.0


def level_of(price: float) -> int:
    """Return the level of a price, within bounds."""
    least, most = LEVEL**-_LEVELS, LEVEL**_LEVELS
    return round(math.log(min(max(price, least), most)) / math.log(LEVEL))


class _Known:
    """A memory, and the curve that was made of it."""

    def __init__(self, most: float, *seen: Memory) -> None:
        self.seen = Memory(most)
        self.news = 0.0
        self.made: Curve | None = None  # the last that was asked for
        for each in seen:
            self.add(each, each.size)

    def add(self, seen: Memory, news: float) -> None:
        self.seen.add(seen)
        self.news += news

    @property
    def is_stale(self) -> bool:
        return self.news >= _GROWTH * self.seen.size

    def curve(self) -> Curve | None:
        """Return the curve, made again where it is stale; None while too few ends were seen."""
        if self.seen.size < LEAST_ENDS:
            return None
        if self.made is None or self.is_stale:
            self.made, self.news = fitted(self.seen, self.made), 0.0
        return self.made


class Kind:
    """What is known of one kind of task. Plans are made of what was seen here, and by others.

    What was seen here is kept in a long memory and in a short one, and what is new is predicted by
    both. While the short one has done better, what was seen since is kept apart; when it has done
    clearly better, that becomes all that is known (a cumulative sum, Page 1954).
    """

    def __init__(self) -> None:
        self.reported = 0  # when it was seen here last, as a number that grows; 0 for never
        self.new, self._since = Memory(), Memory()
        self.long, self._short = _Known(MOST_ENDS), _Known(_FEW_ENDS)
        self._others = _Known(MOST_ENDS)
        self._both: _Known | None = None
        self.plans: dict[int, Plan] = {}
        self._news = self._better = 0.0

    @property
    def size(self) -> float:
        """How many ends count."""
        return self.long.seen.size + self.new.size + self._others.seen.size

    def saw(self, first: int, last: int, end: int | None = None) -> None:
        """Count a task that lived from one edge to another, and perhaps ended until a third."""
        self.new.add_alive(first, last)
        if end is not None:
            self.new.add_end(last, end)
        self._news += _OUTLIVED if end is None else 1.0
        if self._news >= min(_TOGETHER, max(1.0, _GROWTH * self.long.seen.size)):
            self.review()

    def review(self) -> None:
        """Compare what is new with what was predicted, and remember it."""
        new, news = self.new, self._news
        self.new, self._news = Memory(), 0.0
        if self.long.made is not None and self.long.seen.size > _FEW_ENDS:
            long, short = self.long.curve(), self._short.curve()
            if long is not None and short is not None:
                self._better += likelihood(new, short) - likelihood(new, long)
        self._since.add(new)
        if self._better <= 0:
            self._better, self._since = 0.0, Memory()
        self.remember(new, news)
        is_stale = self._better > _CLEARLY
        if is_stale:
            self.long, self._short = _Known(MOST_ENDS), _Known(_FEW_ENDS)
            self.remember(self._since, self._since.size)
            self._better, self._since = 0.0, Memory()
        if self._is_contradicted():
            self._others, is_stale = _Known(MOST_ENDS), True
        if is_stale or self.long.is_stale:
            self._both = None
            self.plans.clear()

    def remember(self, seen: Memory, news: float) -> None:
        """Count what was seen, which is worth a number of ends."""
        self.long.add(seen, news)
        self._short.add(seen, news)

    def take(self, others: Memory) -> None:
        """Count what others have seen in place of what was taken before.

        It is not taken where it contradicts what was seen here last: a change that was noticed
        here is not undone by those who have not noticed it yet.
        """
        self.review()
        self._others, self._both = _Known(MOST_ENDS, others), None
        self.plans.clear()
        if self._is_contradicted():
            self._others = _Known(MOST_ENDS)

    def _is_contradicted(self) -> bool:
        """Return whether what was seen here last is unlike what others have seen."""
        curve, others, seen = self._others.curve(), self._others.seen, self._short.seen
        if curve is None:
            return False
        own = self._short.curve() or fitted(seen)
        better = likelihood(seen, own, _ALIKE) - likelihood(seen, curve, _ALIKE)
        # What others have seen is itself but a sample.
        return better * others.size > _CLEARLY * (others.size + seen.size)

    def curve(self) -> Curve | None:
        """Return the survival curve; None while too few ends were seen."""
        if not self._others.seen.size:
            return self.long.curve()
        if self._both is None:
            self._both = _Known(2 * MOST_ENDS, self.long.seen, self._others.seen)
        return self._both.curve()

    def plan(self, level: int, first: float, longest: float, *, stretch: bool) -> Plan | None:
        """Return the plan for a level of price; None while too few ends were seen.

        Args:
            level: that of the price.
            first: the seconds of the first gap at most.
            longest: the seconds of each other gap at most.
            stretch: whether such a gap may be longer where most tasks take longer.
        """
        curve = None if level in self.plans else self.curve()
        if curve is not None:
            if len(self.plans) >= _PLANS:
                del self.plans[next(iter(self.plans))]
            if stretch:
                longest = max(longest, min(curve.quantile(_MOST), _LONGEST_EVER))
            self.plans[level] = planned(curve, LEVEL**level, longest, min(first, longest))
        return self.plans.get(level)
