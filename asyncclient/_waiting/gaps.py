"""The gap before each look: by a plain schedule, or by what is learned about a kind of task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from random import Random
from typing import TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary

from asyncclient._arguments import number
from asyncclient._learning import LEAST_ENDS, LearnedSchedule
from asyncclient._schedule import Pacing, Schedule, drawing
from asyncclient._state import Snapshot, TaskState
from asyncclient._text import shown, type_name
from asyncclient._waiting.packed import Packed
from asyncclient._waiting.record import Record

T = TypeVar("T")


class PlainGaps:
    """Gaps by a schedule that does not learn."""

    learned = None

    def __init__(self, schedule: Pacing, rng: Random | None) -> None:
        self._schedule = schedule
        self._rng = rng
        self._draw = drawing(rng)
        self.spread = _spread(schedule)  # seconds of the first looks of a crowd
        # The gaps of each task, by a schedule that only iterates.
        self._delays: WeakKeyDictionary[object, Iterator[float]] = WeakKeyDictionary()

    def first(self, record: Record[T]) -> float:
        """Return the seconds before the first look: 0, it is made at once.

        Raises:
            TypeError, ValueError: the schedule's first gap is not valid.
        """
        if not isinstance(self._schedule, Schedule):
            delays = _endless(self._schedule.delays(self._rng))
            self._delays[record] = chain([next(delays)], delays)
        return 0.0

    def after(self, record: Record[T], _state: TaskState | None, _now: float) -> float:
        """Return the seconds from the last look to the next, before its answer is counted."""
        schedule, draw = self._schedule, self._draw
        if isinstance(schedule, Schedule):
            number, record.gap_number = record.gap_number, record.gap_number + 1
            return record.less_crowded(record.sent, partial(schedule.delay, number, draw))
        if record not in self._delays:
            self.first(record)
        return next(self._delays[record])

    def typical(self, record: Record[T], _now: float) -> float | None:
        """Return the gap that would follow an answer now; None if the schedule only iterates."""
        if isinstance(self._schedule, Schedule):
            return self._schedule.delay(record.gap_number, self._draw)
        return None

    def learn(
        self, record: Record[T], before: Snapshot[object] | Packed | None, took: float | None
    ) -> None:
        """Do nothing: a plain schedule does not learn."""

    def knows(self, _record: Record[T]) -> bool:
        """Return whether enough tasks of its kind were seen to plan by."""
        return False


class LearnedGaps:
    """Gaps by what is learned about tasks of the same kind.

    For a task that was seen in a queue and then at work, a second clock starts there: the rest of
    its time depends on how long such tasks work, not on how long this one waited in the queue.
    """

    def __init__(self, schedule: LearnedSchedule, draw: Callable[[float], float]) -> None:
        self.learned = schedule
        self.spread = _spread(schedule.fallback)
        self._draw = draw
        # Seconds from the start of the wait to when a task left its queue, of those seen to.
        self._at_work_since: WeakKeyDictionary[object, float] = WeakKeyDictionary()

    def first(self, record: Record[T]) -> float:
        """Return the seconds before the first look is worth its price; 0 for at once."""
        price = record.price(record.began)
        return record.less_crowded(record.began, lambda: self._gap(record, record.began, price))

    def after(self, record: Record[T], state: TaskState | None, now: float) -> float:
        """Return the seconds from the last look to the next, before its answer is counted."""
        before = record.latest
        was_queued = before is not None and before.state is TaskState.PENDING
        if before is not None and was_queued and state is TaskState.RUNNING:
            self._at_work_since[record] = (before.elapsed + now - record.began) / 2
        price = record.price(now)
        return record.less_crowded(record.sent, lambda: self._gap(record, record.sent, price))

    def typical(self, record: Record[T], now: float) -> float | None:
        """Return the gap that would follow an answer now."""
        return self._gap(record, now, None)

    def learn(
        self, record: Record[T], before: Snapshot[object] | Packed | None, took: float | None
    ) -> None:
        """Learn from the last answer, and from the seconds that the provider says it took."""
        snapshot = record.latest
        if snapshot is None:
            return
        over = snapshot.state is not None and snapshot.state.is_terminal
        seen = 0.0 if before is None else before.elapsed
        if before is None and record.rare.alive_before is not None:
            seen = -record.rare.alive_before
        elif over and before is None and record.age > 0:
            return  # it may have ended long before the wait began
        kind, age = record.kind, record.age
        self._note(kind, age + seen, age + snapshot.elapsed, over=over, took=took)
        began = self._at_work_since.get(record) if self._at_work_since else None
        if began is not None:
            since, until = max(0.0, seen - began), max(0.0, snapshot.elapsed - began)
            self._note(_at_work(kind), since, until, over=over, took=None)

    def knows(self, record: Record[T]) -> bool:
        """Return whether enough tasks of its kind were seen to plan by."""
        return self.learned.sample_size(record.kind) >= LEAST_ENDS

    def _gap(self, record: Record[T], sent: float, price: float | None) -> float:
        kind, age = record.kind, record.age + sent - record.began
        since = self._at_work_since.get(record) if self._at_work_since else None
        if since is not None:
            kind, age = _at_work(kind), max(0.0, sent - record.began - since)
        polls = record.gap_number + record.polls + 1 if record.slowest is not None else 0
        return self.learned.gap(
            age, polls, kind=kind, price=price, weight=record.weight, draw=self._draw
        )

    def _note(
        self, kind: str, since: float, until: float, *, over: bool, took: float | None
    ) -> None:
        if over:
            self.learned.observe(until, since=since, told=since, stamped=took, kind=kind)
        else:
            self.learned.survived(until, since=since, kind=kind)


Gaps: TypeAlias = PlainGaps | LearnedGaps


def gaps_of(schedule: Pacing, rng: Random | None) -> Gaps:
    """Return the gaps of a schedule of either kind."""
    if isinstance(schedule, LearnedSchedule):
        return LearnedGaps(schedule, drawing(rng))
    return PlainGaps(schedule, rng)


def _spread(schedule: Pacing) -> float:
    return schedule.first / (1 + schedule.jitter) if isinstance(schedule, Schedule) else 1.0


def _at_work(kind: str) -> str:
    return f"{kind} at work"


def _endless(delays: object) -> Iterator[float]:
    """Repeat the last of some delays for ever; 1 s if there is none."""
    if not isinstance(delays, Iterable):
        msg = f"a schedule's delays() must return an iterator of seconds, not {type_name(delays)}"
        raise TypeError(msg)
    last = 1.0
    for delay in cast("Iterable[object]", delays):
        last = number("a gap of the schedule", delay, unit="seconds", finite=False)
        if last < 0:
            msg = f"a gap of the schedule must be 0 seconds or more, not {shown(delay)}"
            raise ValueError(msg)
        yield last
    while True:
        yield last
