"""How long tasks of a few kinds take, learned from the polls themselves, and when to poll by it.

The price of a poll is the seconds of delay that it is worth.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import accumulate, count
from random import Random
from typing import Self

import msgspec

from asyncclient._arguments import number
from asyncclient._learning.kind import LEVEL, MOST_ENDS, Kind, level_of
from asyncclient._learning.memory import LAST_EDGE, Memory, edge_near
from asyncclient._learning.plan import Efficiency, Plan, efficiency
from asyncclient._learning.saved import KINDS, packed, unpacked
from asyncclient._schedule import Schedule, drawing
from asyncclient._text import even_half_made

# By default, the seconds of the first gap at most, and of each other one unless tasks take longer.
_LONGEST_GAP = 60.0
_LEAST_GAP = 0.01
# At most twice the fallback's polls are made, and four more; 256 of its gaps are reckoned before.
_FACTOR, _EXTRA, _LISTED = 2, 4, 256
# A time stamp in whole seconds was rounded, by this much either way.
_ROUNDED = 0.5
_FALLBACK = Schedule()
_draw = drawing(None)


class LearnedSchedule:
    """Learns how long such tasks take, and polls when it pays: least price × polls + delay.

    Where all tasks of a kind take about as long, that is silence, and then a few polls close
    together; where they take either this or that long, silence again in between. Before 3 ends of
    a kind were seen it is its `fallback`. The last 500 ends count, the newer the more; a change is
    noticed, and what was before it is forgotten. Schedules of several processes can learn from
    each other: `to_bytes` of each, and `merge` of the others'.

    It keeps to this always, whichever ends it has seen or merged:

    * By any age it has made at most 2·n + 4 polls of a task, where n is how many the fallback
      makes by then, the one at age 0 included, and its jitter not. Where a poll costs less than
      1 s of the task's delay, that is divided by the square root of what it costs.
    * No gap is longer than `longest_gap`. By default the first one is at most 60 s, so that an
      early end is seen, and a later one 60 s, or the age by which nine of ten tasks of the kind
      have ended where that is more (up to an hour). No gap is shorter than 10 ms.
    * Chance comes from the given generator alone: who has seen the same draws the same. A poll is
      moved by up to a fifth of the gaps around it, so that tasks which began together do not stay
      in step; the more precisely it must be timed, the less.

    `gap` needs no memory of the task, so that any number may be pending; `delays` is for one wait
    that has no clock of its own, of the kind `""`.

    Args:
        poll_cost: the seconds of delay that one poll is worth. Default 1.
        fallback: the schedule to lean on. Default `Schedule()`, with no gap over `longest_gap`.
        longest_gap: the seconds between two polls at most, at least the `cap` of a given fallback.
            Default None: see above.

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
        _expect("LearnedSchedule: fallback must be a Schedule", fallback, Schedule)
        self.poll_cost = _positive("poll_cost", poll_cost)
        self._first, self._longest = _LONGEST_GAP, max(_LONGEST_GAP, fallback.cap)
        if longest_gap is not None:
            self._first = self._longest = longest_gap = _positive("longest_gap", longest_gap)
            if fallback == _FALLBACK:
                fallback = Schedule(cap=min(longest_gap, fallback.cap))
        if self._longest < fallback.cap:
            msg = (
                f"LearnedSchedule: longest_gap={longest_gap!r} must be at least the fallback's "
                f"cap={fallback.cap!r} seconds"
            )
            raise ValueError(msg)
        self.fallback, self.longest_gap = fallback, longest_gap
        self._level = level_of(self.poll_cost)
        self._kinds: dict[str, Kind] = {}
        self._reports = 0
        exact = msgspec.structs.replace(fallback, jitter=0.0)
        ages = list(accumulate((exact.delay(poll) for poll in range(_LISTED)), initial=0.0))
        # By the number of polls, the least age at which one more may follow; then seconds for each
        # beyond: where the gaps grow very slowly, the cap errs on the side of fewer polls.
        numbers = range(1 - _EXTRA, _FACTOR * _LISTED)
        self._due = [ages[max(0, math.ceil(number / _FACTOR) - 1)] for number in numbers]
        self._due_step = (fallback.first if fallback.factor == 1 else fallback.cap) / _FACTOR

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
            stamped: the age at its end by the provider's clock, if that is known. It may be wrong:
                it is taken into what the polls saw. Whole seconds count as rounded.
            told: the age up to which `survived` was called for this task.
            kind: which tasks are alike.

        Raises:
            ValueError: `seconds` is negative or not finite, or another age is later than it.
        """
        _check_ages(since or 0.0, seconds)
        _check_ages(told, seconds)
        if stamped is not None and not math.isfinite(stamped):
            stamped = None
        if since is not None and stamped is None:
            first, last = edge_near(since), edge_near(seconds)
        else:
            low, high = max(told, since or 0.0), math.inf if stamped is None else seconds
            end = min(max(seconds if stamped is None else stamped, low), high)
            first = last = edge_near(end, below=True)
            if end % 1 == 0:
                first = edge_near(max(low, end - _ROUNDED))
                last = edge_near(min(high, end + _ROUNDED))
        first = min(first, LAST_EDGE - 1)
        self._known(kind).saw(edge_near(told), first, max(first + 1, last))

    def survived(self, seconds: float, *, since: float = 0.0, kind: str = "") -> None:
        """Learn from a task that has not ended between two ages: it goes on, or is given up.

        Called at each poll, it lets slow tasks count before they end. `observe` then gets the last
        such age as `told`.

        Args:
            seconds: its age.
            since: the age up to which that was reported before, or at which it was first seen.
            kind: which tasks are alike.

        Raises:
            ValueError: `seconds` is not finite, or `since` is negative or later.
        """
        _check_ages(since, seconds)
        self._known(kind).saw(edge_near(since), edge_near(seconds))

    def _known(self, kind: str) -> Kind:
        """Return what is known of a kind; a new one takes the place of the one not seen longest."""
        self._reports += 1
        known = self._kinds.get(kind)
        if known is None:
            if len(self._kinds) >= KINDS:
                del self._kinds[min(self._kinds, key=lambda name: self._kinds[name].reported)]
            known = self._kinds[kind] = Kind()
        known.reported = self._reports
        return known

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
        plan = self._plan(kind, level)
        if polls <= 0:
            if plan is None or age >= plan.silence:
                return 0.0
            polls = 0
        age = max(0.0, age)
        if plan is None:
            longest, gap = self._longest, self.fallback.delay(polls - 1, draw)
        else:
            longest = plan.longest if polls and age else min(self._first, plan.longest)
            gap = plan.gap(age, longest, draw)
        if level < 0:  # of cheaper polls more are worth it, by 1/sqrt(price)
            polls = int(polls * LEVEL ** (level / 2))
        beyond = polls + 1 - len(self._due)
        due = self._due[polls] if beyond <= 0 else self._due[-1] + beyond * self._due_step
        return min(longest, max(gap, due - age, _LEAST_GAP))

    def _plan(self, kind: str, level: int) -> Plan | None:
        known = self._kinds.get(kind)
        if known is None:
            return None
        return known.plans.get(level) or known.plan(
            level, self._first, self._longest, stretch=self.longest_gap is None
        )

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps in seconds, without end, for a task that is polled at age 0.

        Args:
            rng: the generator to draw from, so that the same seed gives the same gaps.

        Returns:
            an iterator of seconds, each more than 0 and at most `longest_gap`. The first is the
            silence, or the fallback's first gap while too little is known.
        """
        draw, age = drawing(rng), 0.0
        for polls in count(1):
            gap = self.gap(age, polls, draw=draw)
            yield gap
            age += gap

    def _level_of(self, price: float | None, weight: float) -> int:
        """Return the level of the price of a poll for a task of this weight."""
        price = self.poll_cost if price is None else price
        if not (price >= 0 and 0 < weight < math.inf):
            msg = (
                f"LearnedSchedule: price={price!r} must be 0 or more, and weight={weight!r} more "
                "than 0 and finite"
            )
            raise ValueError(msg)
        return level_of(price / weight)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of which something is known: the 64 that were seen last."""
        return tuple(self._kinds)

    def sample_size(self, kind: str = "") -> int:
        """Return how many ends of a kind count at present: 500, and 500 merged, at most."""
        known = self._kinds.get(kind)
        return 0 if known is None else round(known.size)

    def quantile(self, share: float, kind: str = "") -> float | None:
        """Return the age in seconds by which a share of tasks has ended.

        Args:
            share: from 0 up to less than 1.
            kind: which tasks are alike.

        Returns:
            the age, at most about 10⁶ s; None before 3 ends were seen. Beyond the longest age seen
            it is a guess.

        Raises:
            ValueError: `share` is out of its range.
        """
        if not 0 <= share < 1:
            msg = f"quantile: share={share!r} must be 0 or more and less than 1"
            raise ValueError(msg)
        known = self._kinds.get(kind)
        if known is None:
            return None
        known.review()
        curve = known.curve()
        return None if curve is None else curve.quantile(share)

    def efficiency(self, kind: str = "", *, price: float | None = None) -> Efficiency | None:
        """Return what a task costs by the plan, beside the best fixed interval.

        None before 3 ends were seen.

        Args:
            kind: which tasks are alike.
            price: the seconds of delay that one poll is worth. Default `poll_cost`.
        """
        level = self._level_of(price, 1.0)
        plan = self._plan(kind, level)
        curve = None if plan is None else self._kinds[kind].curve()
        if plan is None or curve is None:
            return None
        if plan.worth is None:
            plan.worth = efficiency(curve, plan.cost, LEVEL**level)
        return plan.worth

    @even_half_made
    def __repr__(self) -> str:
        known = ", ".join(f"{name!r} {self.sample_size(name)}" for name in self._kinds)
        return f"<LearnedSchedule poll_cost={self.poll_cost:g}, ends: {known or 'none'}>"

    def to_bytes(self) -> bytes:
        """Return what was seen here, a few hundred bytes for each kind; nothing else is in it.

        That is no setting, and nothing of what was merged: so states may go round.
        """
        seen = [(name, known) for name, known in self._kinds.items() if known.reported]
        for _, known in seen:
            known.review()
        return packed((name, known.long.seen, known.long.curve()) for name, known in seen)

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
            ValueError: it is not what `to_bytes` returned, or of another version; or as a new one.
            TypeError: it is not bytes; or as a new one.
        """
        schedule = cls(poll_cost, fallback=fallback, longest_gap=longest_gap)
        for name, seen in unpacked(data, "from_bytes"):
            schedule._known(name).remember(seen, seen.size)
        return schedule

    def merge(self, states: list[bytes] | tuple[bytes, ...]) -> int:
        """Take what others have seen, in place of what was merged before.

        Plans are made of both: of what was seen here in full, and of at most 500 ends of a kind
        that others have seen, as many of each of them. A kind that was never seen here is known by
        theirs alone. What contradicts the ends seen here last is not taken.

        Args:
            states: what `to_bytes` of the others returned, the latest of each and not one's own.

        Returns:
            how many of them could be read; what was changed or is of another version is passed
            over.

        Raises:
            TypeError: it is not a list or tuple of bytes.
        """
        taken = 0
        found: dict[str, list[Memory]] = {}
        _expect("merge takes a list of what to_bytes returned", states, (list, tuple))
        for state in states:
            try:
                kinds = unpacked(state, "merge")
            except ValueError:
                continue
            taken += 1
            for name, seen in kinds:
                if seen.size:
                    found.setdefault(name, []).append(seen)
        for name in [name for name, known in self._kinds.items() if not known.reported]:
            if name not in found:
                del self._kinds[name]
        for name in found:
            if len(self._kinds) < KINDS:
                self._kinds.setdefault(name, Kind())
        for name, known in self._kinds.items():
            others, memories = Memory(), found.get(name, [])
            for seen in memories:
                others.add(seen, min(1.0, MOST_ENDS / len(memories) / seen.size))
            known.take(others)
        return taken


def _expect(rule: str, value: object, kinds: type | tuple[type, ...]) -> None:
    if not isinstance(value, kinds):
        msg = f"{rule}, not {type(value).__name__}"
        raise TypeError(msg)


def _positive(name: str, value: object) -> float:
    return number(f"LearnedSchedule: {name}", value, unit="seconds", above=0)


def _check_ages(before: float, seconds: float) -> None:
    if not 0 <= before <= seconds < math.inf:
        msg = (
            f"ages of {before!r} s and then {seconds!r} s: ages are finite seconds since the task "
            "began, and the first is not after the last"
        )
        raise ValueError(msg)
