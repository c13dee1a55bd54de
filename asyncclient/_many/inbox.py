"""What has come for a shared wait that has callbacks, and which of several waits is asked.

Waits without callbacks have none of this: what is asked is found among those who wait.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, cast

from asyncclient._many.shared import Done, Receiver, SharedRecord, Waiter
from asyncclient._state import Snapshot, TaskState
from asyncclient._waiting import (
    AskCaller,
    Packed,
    change_between,
    end_of_callbacks,
    rare_after_handler,
    rare_while_asked,
)
from asyncclient.errors import WaitTimeout

if TYPE_CHECKING:
    import asyncio  # the type of what the caller waits by; nothing here runs anything

# Changes that wait for a slow `on_change`, or for the next step of a watch; then the oldest go.
_MOST_CHANGES = 100
# Waits are asked in the order in which they began.
_numbers = count()


class Demand(NamedTuple):
    """What only a caller can answer."""

    name: Hashable  # what identifies it; None when the task does not say
    snapshot: Snapshot[object]  # the answer that shows it


class Inbox(Receiver):
    """What has come for one wait: changes, a demand, its end. Its caller takes it out.

    The callbacks run where the caller waits, one after the other. The looks go on meanwhile.
    It has more attributes than a class should: one wait's facts, and nothing else.
    """

    _record: SharedRecord  # what is known of the task, also when the wait is over
    _deadline: float

    def __init__(self, loop: asyncio.AbstractEventLoop, *, can_answer: bool) -> None:
        super().__init__()
        self.changes: deque[Snapshot[object]] = deque(maxlen=_MOST_CHANGES)
        self.offered: Demand | None = None  # what its caller is to answer
        self.answering: Demand | None = None  # what its caller is at work on
        self.done: Done[object] | None = None
        self.until = math.inf  # when what is called is cut off, once the wait has ended
        self.bound: asyncio.Timeout | None = None  # of what is called
        self.can_answer = can_answer
        self.number = next(_numbers)
        self._loop = loop
        self._seen: Snapshot[object] | None = None
        self._taker: asyncio.Future[None] | None = None

    def begin(self, waiter: Waiter) -> SharedRecord:
        """Take in what is known of the task already, and return its record."""
        self._record, self._deadline = cast("SharedRecord", waiter.record), waiter.deadline
        self._see()
        return self._record

    # --- what the loop says ---

    def go_on(self, due: float, *, answered: bool) -> None:
        """Take in what a look has shown."""
        del due, answered
        self._see()
        if self.offered is not None and not _is_blocked(self._seen):
            self.offered = None  # it was moved on before its caller came to it

    def put(self, done: Done[object]) -> None:
        """Take in the end; what is called by then may go on, but after a timeout."""
        self._see()
        self.done = done
        now = self._loop.time()
        is_closed = isinstance(done.error, RuntimeError)  # the Poller: others wait for its end
        self.until = end_of_callbacks(now, now if is_closed else self._deadline)
        if self.bound is not None and self.until < math.inf:
            self.bound.reschedule(now if isinstance(done.error, WaitTimeout) else self.until)
        self._call_taker()

    def leave(self, waiter: Waiter) -> None:
        """Hand on what its caller has not answered."""
        del waiter
        demand, record = self.answering or self.offered, self._record
        if record.first is None:
            record.asker = None  # which leads back here: only a search for garbage would free them
        if demand is None:
            return
        if self.answering is not None:
            record.rare = rare_after_handler(record, answered_at=None)
        self.answering = self.offered = None
        if _is_blocked(record.latest):
            _ask(record, demand)

    # --- what the caller does ---

    async def wait(self) -> None:
        """Wait until something has come."""
        while not (self.changes or self.offered or self.done):
            self._taker = self._loop.create_future()
            try:
                await self._taker
            finally:
                self._taker = None

    def begin_answer(self, demand: Demand) -> Snapshot[object]:
        """Set to work on what was offered, and return the answer that shows it."""
        for other in _who_can_answer(self._record):
            other.answering = None  # that which it is at work on is over
        self.offered, self.answering = None, demand
        self._record.rare = rare_while_asked(self._record, demand.name)
        return demand.snapshot

    def end_answer(self) -> None:
        """Note that the caller has answered."""
        if self.answering is not None:
            now = self._loop.time()
            self._record.rare = rare_after_handler(self._record, answered_at=now)
        self.answering = None

    # --- its own ---

    @property
    def is_idle(self) -> bool:
        """Whether its caller waits, and is in no callback."""
        return self._taker is not None

    def offer(self, demand: Demand) -> None:
        """Take in a demand."""
        self.offered = demand
        self._call_taker()

    def _see(self) -> None:
        before, self._seen = self._seen, self._record.snapshot
        change = change_between(before, self._seen)
        if change is not None:
            self.changes.append(change)
            self._call_taker()

    def _call_taker(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)


def can_be_asked(record: SharedRecord) -> bool:
    """Return whether any of those who wait for a task can answer its demands."""
    return bool(_who_can_answer(record))


def ask(record: SharedRecord, step: AskCaller) -> bool:
    """Ask one of those who wait for a task; return false if no one can answer.

    It is the first who began to wait. One whose caller is in another callback, which may hang, is
    passed over as long as there is another.
    """
    snapshot = record.snapshot
    return snapshot is not None and _ask(record, Demand(step.demand, snapshot))


def _ask(record: SharedRecord, demand: Demand) -> bool:
    able = _who_can_answer(record)
    if not able:
        return False
    for each in able:
        each.offered = None
    next((each for each in able if each.is_idle), able[0]).offer(demand)
    return True


def _who_can_answer(record: SharedRecord) -> list[Inbox]:
    receivers = (waiter.receiver for waiter in record.waiters)
    able = [each for each in receivers if isinstance(each, Inbox) and each.can_answer]
    return sorted(able, key=lambda each: each.number)


def _is_blocked(snapshot: Snapshot[object] | Packed | None) -> bool:
    return snapshot is not None and snapshot.state is TaskState.BLOCKED
