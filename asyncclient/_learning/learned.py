"""How long tasks of a few kinds take, learned from the polls, and when to poll by it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import accumulate, count
from random import Random
from typing import Self

import msgspec

from asyncclient._arguments import number
from asyncclient._learning.memory import BIN_WIDTH, LAST_EDGE, Memory, edge_near
from asyncclient._learning.plan import GROWTH, LEAST_ENDS, LEVEL, Efficiency, Known, Plan
from asyncclient._learning.saved import KINDS, packed, unpacked
from asyncclient._schedule import Schedule, drawing
from asyncclient._text import even_half_made, type_name

# How many ends count in the long memory, and of others; and in the short memory.
_MOST_ENDS, _FEW_ENDS = 500, 30
# A memory has clearly predicted better when it has done so by a factor of e²⁰, and of e^0.3 an end.
_CLEARLY, _ALLOWED = 20.0, 0.3
_ALIKE = 3  # bins, 5 %: what others have seen may be later or earlier by that
# New ends are looked at ten at a time, or as many as make a new curve where that is less.
_TOGETHER = 10.0
_LEAST_PRICE, _MOST_PRICE = 1e-6, 1e6
# By default, the seconds of the first gap at most, and of each other one unless tasks take longer.
_LONGEST_GAP, _LONGEST_EVER, _LEAST_GAP = 60.0, 3600.0, 0.01
_LISTED = 256  # gaps of the fallback that are reckoned before
_ROUNDED = 0.5  # by this much, either way, a time stamp in whole seconds was
_FALLBACK = Schedule()
_draw = drawing(None)


class _Kind:
    """What is known of one kind of task: a long memory, a short one, and the long one with others'.

    What is new is predicted by the curve of all and by that of the short memory. While the short
    one has done better, what was seen since is kept apart; when it has done clearly better, that
    becomes all that is known (a cumulative sum, Page 1954).
    """

    def __init__(self) -> None:
        self.is_own = False  # whether it was seen here, and not by others alone
        self._begin(Memory())

    def _begin(self, seen: Memory) -> None:
        self.all = self.long = Known(_MOST_ENDS, seen)
        self._short, self._better = Known(_FEW_ENDS, seen), 0.0
        self.new, self._since = Memory(), Memory()

    def saw(self, first: int, last: int, end: int | None = None) -> None:
        """Count a task that lived from one edge to another, and perhaps ended until a third."""
        self.new.add_alive(first, last)
        if end is not None:
            self.new.add_end(last, end)
        if self.new.news >= min(_TOGETHER, max(1.0, GROWTH * self.all.size)):
            self.review()

    def review(self) -> None:
        """Compare what is new with what was predicted, and remember it."""
        new, self.new = self.new, Memory()
        # The ends in which a change began are partly of before it; that others' are wrong is none.
        if self._better > 0 or self.all is not self.long:
            self._since.add(new)
        if self.all.made is not None and self.all.size > _FEW_ENDS:
            better = self._short.curve().likelihood(new) - self.all.curve().likelihood(new)
            self._better += better - _ALLOWED * new.news
            if self._better <= 0:
                self._better, self._since = 0.0, Memory()
        if self._better > _CLEARLY:
            self._begin(self._since if self._since.size else new)
        else:
            self.remember(new)

    def remember(self, seen: Memory) -> None:
        """Count what was seen."""
        for known in {self.long, self._short, self.all}:
            known.add(seen)

    def take(self, others: list[Memory]) -> None:
        """Count what others have seen, unless that contradicts what was seen here last.

        So a change that was noticed here is not undone by those who have not noticed it yet.
        """
        self.review()
        self.all, short, theirs = self.long, self._short, Known(math.inf)
        for seen in others:
            theirs.add(seen, min(1.0, _MOST_ENDS / len(others) / seen.size))
        own, their = (each.curve().likelihood(short, _ALIKE) for each in (short, theirs))
        # What others have seen is itself but a sample.
        if others and (own - their) * theirs.size <= _CLEARLY * (theirs.size + short.size):
            self.all = Known(2 * _MOST_ENDS, self.long, theirs)


class LearnedSchedule:
    """Learns how long such tasks take, and polls when it pays: least price × polls + delay.

    Before 3 ends of a kind were seen it is its `fallback`. The last 500 ends count, the newer the
    more; a change is noticed, and what was before it is forgotten. Schedules of several processes
    can learn from each other: `to_bytes` of each, and `merge` of the others'. These always hold:

    * By any age it has made at most 2·n + 4 polls of a task, where n is how many the fallback
      makes by then without jitter, the one at age 0 included. Where a poll costs less than 1 s of
      the task's delay, that is divided by the square root of what it costs.
    * No gap is longer than `longest_gap`. By default the first one is at most 60 s, so that an
      early end is seen, and a later one 60 s, or the age by which nine of ten tasks of the kind
      have ended where that is more (up to an hour). No gap is shorter than 10 ms.
    * Chance comes from the given generator alone. A poll is moved by up to a fifth of the gaps
      around it, so that tasks which began together do not stay in step.

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
        self.poll_cost = number("LearnedSchedule: poll_cost", poll_cost, unit="seconds", above=0)
        # Seconds of the first gap at most, of each other one, and of that where most take longer.
        self._longest = _LONGEST_GAP, max(_LONGEST_GAP, fallback.cap), _LONGEST_EVER
        if longest_gap is not None:
            name = "LearnedSchedule: longest_gap"
            longest_gap = number(name, longest_gap, unit="seconds", above=0)
            if fallback == _FALLBACK:
                fallback = Schedule(cap=min(longest_gap, fallback.cap))
            if longest_gap < (cap := fallback.cap):
                msg = f"{name}={longest_gap!r} must be at least the fallback's cap={cap!r} seconds"
                raise ValueError(msg)
            self._longest = longest_gap, longest_gap, longest_gap
        self.fallback, self.longest_gap = fallback, longest_gap
        self._kinds: dict[str, _Kind] = {}  # the one that was seen last comes last
        # The ages at the fallback's polls, and seconds for each beyond: where its gaps grow very
        # slowly, the cap errs on the side of fewer polls.
        exact = msgspec.structs.replace(fallback, jitter=0.0)
        self._due = list(accumulate((exact.delay(poll) for poll in range(_LISTED)), initial=0.0))
        self._due_step = fallback.first if fallback.factor == 1 else fallback.cap

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
            stamped: the age at its end by the provider's clock, moved into what the polls saw.
                Whole seconds count as rounded.
            told: the age up to which `survived` was called for this task.
            kind: which tasks are alike.

        Raises:
            ValueError: `seconds` is negative or not finite, or another age is later than it.
        """
        _check_ages(seconds, since or 0.0, told)
        low, high = max(told, since or 0.0), seconds
        end = seconds if since is None else None
        if stamped is not None and math.isfinite(stamped):
            end = stamped
        if end is not None:
            unsure = _ROUNDED if end == stamped and end % 1 == 0 else end * BIN_WIDTH / 2
            low = min(max(low, end - unsure), high)
            high = max(low, min(high, end + unsure))
        first = min(edge_near(low), LAST_EDGE - 1)
        self._known(kind).saw(edge_near(told), first, max(first + 1, edge_near(high)))

    def survived(self, seconds: float, *, since: float = 0.0, kind: str = "") -> None:
        """Learn from a task that has not ended between two ages: it goes on, or is given up.

        Args:
            seconds: its age; `observe` gets the last such age as `told`.
            since: the age up to which that was reported before, or at which it was first seen.
            kind: which tasks are alike.

        Raises:
            ValueError: `seconds` is not finite, or `since` is negative or later.
        """
        _check_ages(seconds, since)
        self._known(kind).saw(edge_near(since), edge_near(seconds))

    def _known(self, kind: str) -> _Kind:
        """Return what is known of a kind; a new one takes the place of the one not seen longest."""
        known = self._kinds.pop(kind, None) or _Kind()
        known.is_own = True
        if len(self._kinds) >= KINDS:
            del self._kinds[next(iter(self._kinds))]
        self._kinds[kind] = known
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
        """Return the seconds from an age to the next poll of a task, at most `longest_gap`.

        Args:
            age: seconds since it began.
            polls: how many polls of it were made, the last one at this age. With 0, it is the
                silence before the first: 0 when there is none, or when it has passed.
            kind: which tasks are alike.
            price: the seconds of delay that one poll is worth. Default `poll_cost`.
            weight: how much this task's delay matters; 4 makes about twice as many polls.
            draw: draws evenly from 0 up to its argument.

        Raises:
            ValueError: the price is negative, or the weight is not positive and finite.
        """
        plan = self._plan(kind, price, weight)
        if polls <= 0 and (plan is None or age >= plan.silence):
            return 0.0
        age, polls = max(0.0, age), max(0, polls)
        first, longest, _ = self._longest
        if plan is None:
            gap = self.fallback.delay(polls - 1, draw)
        else:
            longest = plan.longest if polls and age else min(first, plan.longest)
            gap = plan.gap(age, longest, draw)
            polls = int(polls * min(1.0, plan.price) ** 0.5)
        number = max(0, polls // 2 - 2)  # how many of the fallback's gaps must be over
        due = self._due[min(number, _LISTED)] + max(0, number - _LISTED) * self._due_step
        return min(longest, max(gap, due - age, _LEAST_GAP))

    def _plan(self, kind: str, price: float | None, weight: float = 1.0) -> Plan | None:
        """Return the plan for the price of a poll of a task of this weight, if there is one."""
        price = self.poll_cost if price is None else price
        if not (price >= 0 and 0 < weight < math.inf):
            msg = f"price={price!r} must be 0 or more, and weight={weight!r} more than 0 and finite"
            raise ValueError(msg)
        known, (_, longest, most) = self._kinds.get(kind), self._longest
        if known is None:
            return None
        price = min(max(price / weight, _LEAST_PRICE), _MOST_PRICE)
        return known.all.plan(round(math.log(price, LEVEL)), longest, most)

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps in seconds, without end, for a task that is polled at age 0."""
        draw, age = drawing(rng), 0.0
        for polls in count(1):
            gap = self.gap(age, polls, draw=draw)
            yield gap
            age += gap

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of which something is known: the 64 that were seen last."""
        return tuple(self._kinds)

    def sample_size(self, kind: str = "") -> int:
        """Return how many ends of a kind count at present: 500, and 500 merged, at most."""
        known = self._kinds.get(kind)
        return 0 if known is None else round(known.all.size + known.new.size)

    def quantile(self, share: float, kind: str = "") -> float | None:
        """Return the age in seconds by which a share of tasks, from 0 to less than 1, has ended.

        It is at most 10⁶ s, a guess beyond the longest age seen, and None before 3 ends were seen.

        Raises:
            ValueError: `share` is out of its range.
        """
        if not 0 <= share < 1:
            msg = f"quantile: share={share!r} must be 0 or more and less than 1"
            raise ValueError(msg)
        known = self._kinds.get(kind, _Kind())
        known.review()
        return known.all.curve().quantile(share) if known.all.size >= LEAST_ENDS else None

    def efficiency(self, kind: str = "", *, price: float | None = None) -> Efficiency | None:
        """Return what a task costs by its plan, beside the best fixed interval; None before it."""
        plan = self._plan(kind, price)
        # A first gap that is cut short is one more poll, which the plan does not know.
        return None if plan is None else plan.efficiency(plan.silence > self._longest[0])

    @even_half_made
    def __repr__(self) -> str:
        known = ", ".join(f"{name!r} {self.sample_size(name)}" for name in self._kinds)
        return f"<LearnedSchedule poll_cost={self.poll_cost:g}, ends: {known or 'none'}>"

    def to_bytes(self) -> bytes:
        """Return what was seen here, a few hundred bytes a kind: no setting, and nothing merged."""
        own = [(name, known) for name, known in self._kinds.items() if known.is_own]
        for _, known in own:
            known.review()
        return packed((name, known.long, known.long.curve()) for name, known in own)

    @classmethod
    def from_bytes(
        cls,
        data: bytes,
        *,
        poll_cost: float = 1.0,
        fallback: Schedule = _FALLBACK,
        longest_gap: float | None = None,
    ) -> Self:
        """Return a schedule that knows what another one had learned: `data` is its `to_bytes`.

        The other arguments are those of a new one.

        Raises:
            ValueError: it is not what `to_bytes` returned, or of another version; or as a new one.
            TypeError: it is not bytes; or as a new one.
        """
        schedule = cls(poll_cost, fallback=fallback, longest_gap=longest_gap)
        for name, seen in unpacked(data, "from_bytes"):
            schedule._known(name).remember(seen)
        return schedule

    def merge(self, states: list[bytes] | tuple[bytes, ...]) -> int:
        """Take what others have seen, in place of what was merged before.

        Plans are made of both: of what was seen here in full, and of at most 500 ends of a kind
        that others have seen, as many of each, but not of what contradicts the ends seen here last.

        Args:
            states: what `to_bytes` of the others returned, the latest of each and not one's own.

        Returns:
            how many could be read; what was changed or is of another version is passed over.

        Raises:
            TypeError: it is not a list or tuple of bytes.
        """
        taken, found = 0, dict[str, list[Memory]]()
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
        own = {name: known for name, known in self._kinds.items() if known.is_own}
        theirs = [name for name in found if name not in own][: KINDS - len(own)]
        self._kinds = {name: _Kind() for name in theirs} | own
        for name, known in self._kinds.items():
            known.take(found.get(name, []))
        return taken


def _expect(rule: str, value: object, kinds: type | tuple[type, ...]) -> None:
    if not isinstance(value, kinds):
        msg = f"{rule}, not {type_name(value)}"
        raise TypeError(msg)


def _check_ages(seconds: float, since: float, told: float = 0.0) -> None:
    if not (0 <= since <= seconds < math.inf and 0 <= told <= seconds):
        rule = "ages are finite seconds since the task began, and the last is not before another"
        msg = f"ages of {since!r} s, {told!r} s and then {seconds!r} s: {rule}"
        raise ValueError(msg)
