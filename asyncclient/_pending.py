"""What a `Poller` keeps: pending tasks, who waits for them, whose turn it is. No clock, no I/O."""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Iterator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Generic, TypeVar

import msgspec

from asyncclient._budget import Budget, Price
from asyncclient._decide import Course, last_poll_grace
from asyncclient._state import TaskState
from asyncclient._task import Task
from asyncclient._wait import Reading

if TYPE_CHECKING:
    import asyncio  # the types of what the driver keeps here; nothing here runs anything

__all__ = ["SAME_INSTANT", "Done", "DueCounts", "Lane", "Outlet", "Record", "Waiter"]

T = TypeVar("T")

# Instants so few seconds apart are one: a timer may fire early by the resolution of the clock.
SAME_INSTANT = 1e-6
# Polls are counted in slots of so many seconds, so far ahead.
_SLOT_SECONDS = 0.05
_SLOTS_AHEAD = 1200


class Done(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """How one task's wait ended: with an answer, or with an error.

    Attributes:
        task: the task, as it was given.
        state: its last known state; None when that is not known.
        result: the provider's final answer; None when it did not end well.
        error: what `wait` would have raised; None when it ended well.
        polls: polls made of it, whoever waited.
        elapsed: seconds that this wait took.
        unseen: seconds for which its end may have gone unseen, since the last answer before it;
            None when it has not ended.
        why: what decided the gap before the last poll: `first`, for there was none; `silence`,
            before which it was not worth looking; `crowd`, the share of one of many that came at
            once; `learned` or `schedule`; `hint` or `refused`, the provider; `error`, after a
            failed poll; `recovery`, since others were answered again; `deadline`; `wake`, a signal.
    """

    task: Task[T]
    state: TaskState | None
    result: T | None
    error: Exception | None
    polls: int
    elapsed: float
    unseen: float | None = None
    why: str = "first"


class Outlet:
    """Where the end of a wait goes.

    Attributes:
        context: of whoever made it; one for all waits of an `as_done`.
    """

    __slots__ = ("context",)

    def __init__(self) -> None:
        self.context = copy_context()

    def put(self, done: Done[object]) -> None:
        """Take the end of one wait."""
        raise NotImplementedError  # pragma: no cover

    def leave(self, _waiter: Waiter) -> None:
        """Note that a wait is over, whether or not its end was put here."""


class Record:
    """One pending task, and whoever waits for it.

    Attributes:
        key: the task's identity.
        reading: how its answers are read.
        course: the wait so far, by the rules.
        lane: where its polls stand in line.
        context: of whoever waited first, in copies of which its polls are made: a source of tokens
            that asks for the current user must not find another waiter's.
        due: when its next poll is due.
        sent: when its last poll was sent.
        number: how many of the schedule's gaps it has used.
        delays: the schedule's gaps, where the schedule has no numbered ones.
        error_delays: the gaps after failed polls, since the last good one.
        slowest: seconds that its slowest poll took; None before the first has ended.
        flight: the poll under way.
        why: what decided the gap before its last poll.
        turn: its place among those that were due when it was last.
        ready: whether it is due, and stands in line.
        woken: whether a signal spoke of it since its last poll.
        waiters: who waits for it.
    """

    __slots__ = (
        "context",
        "course",
        "delays",
        "due",
        "error_delays",
        "flight",
        "key",
        "lane",
        "number",
        "reading",
        "ready",
        "sent",
        "slowest",
        "turn",
        "waiters",
        "why",
        "woken",
    )

    def __init__(
        self,
        key: Hashable,
        reading: Reading[object],
        course: Course[object],
        lane: Lane,
        context: Context,
    ) -> None:
        self.key = key
        self.reading = reading
        self.course = course
        self.lane = lane
        self.context = context
        self.due = self.sent = course.began
        self.number = 0
        self.delays: Iterator[float] | None = None
        self.error_delays: Iterator[float] | None = None
        self.slowest: float | None = None
        self.flight: asyncio.Task[None] | None = None
        self.turn = 0.0
        self.why = "first"
        self.ready = self.woken = False
        self.waiters: tuple[Waiter, ...] = ()

    def holds(self, due: float) -> bool:
        """Return whether an entry of the heap still tells when this is due."""
        return self.due == due and bool(self.waiters) and not self.ready and self.flight is None

    def next_turn(self) -> float:
        """Return its place in its lane when it is due, by stride scheduling.

        Where the budget is short, tasks are served in shares of the square root of their weights,
        which is the least total delay, and none is passed over for ever. A last poll goes first,
        and a task that a signal speaks of goes before what is merely due.
        """
        if self.woken:
            return self.lane.served - 1  # before all that have the turn which is being served
        weight = 0.0
        for waiter in self.waiters:
            if waiter.final is not None and self.due >= waiter.final - SAME_INSTANT:
                return -math.inf
            weight = max(weight, waiter.weight)
        self.turn = max(self.lane.served, self.turn) + 1 / math.sqrt(weight)
        return self.turn


class Waiter:
    """One wait for a task: its own deadline, weight and outlet.

    Args:
        record: what it waits for; None once it is over.
        task: the task, as it was given.
        outlet: where its end goes.
        began: when it began, in seconds of the loop's clock.
        timeout: seconds for it.
        weight: how much its delay matters beside others.
    """

    __slots__ = ("began", "deadline", "final", "outlet", "record", "task", "weight")

    def __init__(
        self,
        record: Record,
        task: Task[object],
        outlet: Outlet,
        began: float,
        timeout: float,
        weight: float,
    ) -> None:
        self.record: Record | None = record
        self.task = task
        self.outlet = outlet
        self.began = began
        self.deadline = began + timeout
        self.weight = weight
        # When its last poll is due; the wait ends with the answer to it.
        self.final: float | None = None

    def limit(self) -> float:
        """Return when it ends, whatever is under way."""
        slowest = self.record.slowest if self.record else None
        if self.final is not None:
            slowest = slowest or 0.0  # that it was not polled before is its budget's doing
        return max(self.deadline, self.final or 0.0) + last_poll_grace(slowest)


class Lane:
    """The tasks of one budget: those that are due stand in line, in the order of their turn.

    Args:
        name: provider, account and group of endpoints.
        ceiling: polls a second at most; `math.inf` where no limit is known.
        poll_cost: seconds of delay that a poll is worth where the budget is not scarce; None where
            the schedule does not go by what a poll is worth.
    """

    __slots__ = (
        "budget",
        "due_counts",
        "health",
        "in_flight",
        "line",
        "name",
        "pending",
        "price",
        "pumping",
        "refused",
        "served",
        "timer",
        "warned_at",
    )

    def __init__(
        self, name: tuple[object, ...], ceiling: float, poll_cost: float | None = None
    ) -> None:
        self.name = name
        self.budget = Budget(ceiling)
        self.price = None if poll_cost is None else Price(poll_cost)
        self.line: list[tuple[float, int, Record]] = []
        self.due_counts = DueCounts()
        self.pending = 0
        self.in_flight = 0
        self.pumping = False
        self.refused = 0
        self.health = Health()
        # The turn that was served last: the lane's own clock, which only service moves on.
        self.served = 0.0
        self.timer: asyncio.TimerHandle | None = None
        self.warned_at = -math.inf

    def join(self, record: Record, number: int) -> None:
        """Put a record into its place in line; one that moves forward stands there twice."""
        record.ready = True
        heapq.heappush(self.line, (record.next_turn(), number, record))

    def take(self) -> Record | None:
        """Take the first in line; None when it was left, or had been taken from another place."""
        turn, _, record = heapq.heappop(self.line)
        self.served = max(self.served, turn)
        ready, record.ready = record.ready, False
        if not (ready and record.waiters):
            return None
        record.woken = False
        return record

    def ready(self) -> int:
        """Return how many are due."""
        return len({id(entry[2]) for entry in self.line if entry[2].waiters})


# So many failed polls of an account in a row put its tasks off together, so that the next answer
# is news for all of them.
_IN_A_ROW = 5
# The share of failed polls follows the newest by so much of the difference. It is an outage from
# the one (16 failures in a row, from none), and over at the other (7 answers in a row, from all).
_NEWEST = 0.1
_DOWN = 0.8
_UP = 0.5


class Health:
    """How the polls of one account fare, and which of its tasks back off after failed ones."""

    __slots__ = ("_down", "_failing", "_in_row", "_put_off", "_share")

    def __init__(self) -> None:
        self._failing: set[Record] = set()
        self._put_off: set[Record] = set()
        self._in_row = 0
        self._share = 0.0
        self._down = False

    def failed(self, record: Record) -> None:
        """Note a failed poll, after which its task backs off."""
        self._failing.add(record)
        self._put_off.add(record)
        self._in_row += 1
        self._share += _NEWEST * (1 - self._share)
        self._down = self._down or self._share > _DOWN

    def left(self, record: Record) -> None:
        """Note that a task is waited for no longer."""
        self._failing.discard(record)
        self._put_off.discard(record)

    def answered(self, record: Record) -> set[Record]:
        """Note an answer; return the tasks for which it is news, each once after a failed poll.

        When that ends an outage, the doubling of their gaps begins anew for all that back off.
        """
        if not self._share:
            return set()
        self.left(record)
        in_row, self._in_row = self._in_row, 0
        self._share *= 1 - _NEWEST
        if self._share < _NEWEST / 100 and not self._failing:
            self._share = 0.0
        if self._down and self._share < _UP:
            self._down = False
            for failing in self._failing:
                failing.error_delays = None
        elif in_row < _IN_A_ROW:
            return set()
        put_off, self._put_off = self._put_off, set()
        return put_off


class DueCounts:
    """How many polls are due in each moment to come: of two gaps, the emptier moment is taken.

    The best of two draws is what keeps a crowd flat; a single one leaves its chance heaps ("The
    Power of Two Choices in Randomized Load Balancing", Mitzenmacher 2001).
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def note(self, due: float, now: float) -> None:
        """Count a poll that will be due."""
        slot, present = int(due / _SLOT_SECONDS), int(now / _SLOT_SECONDS)
        if slot - present > _SLOTS_AHEAD:
            return
        counts = self._counts
        counts[slot] = counts.get(slot, 0) + 1
        if len(counts) > 2 * _SLOTS_AHEAD:
            self._counts = {slot: count for slot, count in counts.items() if slot >= present}

    def kept(self) -> int:
        """Return how many moments are counted."""
        return len(self._counts)

    def emptier(self, now: float, one: float, other: float) -> float:
        """Return that of two gaps from now which ends when fewer polls are due."""
        counts = self._counts
        first = counts.get(int((now + one) / _SLOT_SECONDS), 0)
        return one if first <= counts.get(int((now + other) / _SLOT_SECONDS), 0) else other
