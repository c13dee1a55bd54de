"""The changes, demand and end of a shared wait with callbacks, and which of several waits is asked.

Waits without callbacks need none of this.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Hashable
from contextvars import Context
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, cast
from weakref import WeakKeyDictionary

from asyncclient._many.shared import Done, Receiver, SharedRecord, Waiter
from asyncclient._state import Snapshot, TaskState
from asyncclient._waiting import (
    AskCaller,
    Packed,
    end_of_callbacks,
    rare_after_handler,
    rare_while_asked,
)
from asyncclient.errors import WaitTimeout

if TYPE_CHECKING:
    import asyncio  # the type of what the caller awaits; nothing here runs anything

# Changes that are kept for a slow `on_change`, or for the next step of a watch; then the oldest are
# dropped.
_MOST_CHANGES = 100
# At each demand, at most this many of the waits whose callers are in a callback are tried.
_MOST_TRIED = 100


class Demand(NamedTuple):
    """A demand, which only a caller can answer."""

    name: Hashable  # what identifies it; None when the task does not say
    snapshot: Snapshot[object]  # the answer that shows it


class Inbox(Receiver):
    """The changes, demand and end of one wait, which its caller takes out.

    The callbacks run where the caller waits, one after the other. The looks go on meanwhile.
    It has more attributes than a class should: one wait's facts, and nothing else.
    """

    record: SharedRecord  # what is known of the task, also when the wait is over
    _deadline: float

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.changes: deque[Snapshot[object]] = deque(maxlen=_MOST_CHANGES)
        self.offered: Demand | None = None  # what its caller is to answer
        self.done: Done[object] | None = None
        self.until = math.inf  # when a callback is cancelled, once the wait has ended
        self.bound: asyncio.Timeout | None = None  # of what is called
        self._waiter: Waiter | None = None  # None when the wait is over
        self._panel: Panel | None = None  # for those whose caller can answer
        self._is_relieved = False  # whether another waiter answers its demand
        self._loop = loop
        self._taker: asyncio.Future[None] | None = None

    def begin(self, waiter: Waiter, demands: Demands | None) -> SharedRecord:
        """Take in the task's last known change, and return its record.

        Args:
            waiter: the wait.
            demands: where it is asked, if its caller can answer.
        """
        self.record, self._deadline = cast("SharedRecord", waiter.record), waiter.deadline
        self._waiter = waiter
        if demands is not None:
            self._panel = demands.join(self.record, self)
        snapshot = self.record.snapshot
        if snapshot is not None:
            self.changed(snapshot)
        return self.record

    # --- what the loop says ---

    def changed(self, snapshot: Snapshot[object]) -> None:
        """Take in a change."""
        self.changes.append(snapshot)
        if not _is_blocked(snapshot):
            self.offered = None  # it was moved on before its caller came to it
        self._call_taker()

    def put(self, done: Done[object]) -> None:
        """Take in the end; a running callback may go on, but not past its time limit or turn."""
        self.done = done
        now = self._loop.time()
        is_closed = isinstance(done.error, RuntimeError)  # the Poller: others wait for its end
        self.until = end_of_callbacks(now, now if is_closed else self._deadline)
        is_cut_off = self._is_relieved or isinstance(done.error, WaitTimeout)
        self.cut_off_at(now if is_cut_off else self.until)
        self._call_taker()

    def leave(self, waiter: Waiter) -> None:
        """Pass on a demand that its caller has not answered."""
        del waiter
        self._waiter = None  # both refer back to this: no garbage is left behind
        if self.record.first is None:
            self.record.asker = None
        if self._panel is not None:
            self._is_relieved = self._panel.leave(self)

    # --- what the caller does ---

    async def wait(self) -> None:
        """Wait until there is something to take out."""
        while not (self.changes or self.offered or self.done):
            self._taker = self._loop.create_future()
            try:
                await self._taker
            finally:
                self._taker = None

    def cut_off_at(self, when: float) -> None:
        """Set when a running callback is cancelled."""
        if self.bound is not None and self.until < math.inf:
            # In a context of its own: a cancelled timer keeps its context for long.
            Context().run(self.bound.reschedule, when)

    def begin_answer(self, demand: Demand) -> Snapshot[object]:
        """Accept the offered demand, and return the answer that shows it."""
        self.offered = None
        if self._panel is not None:
            self._panel.begin_answer(self, demand)
        return demand.snapshot

    def end_answer(self) -> None:
        """Note that the caller has answered."""
        if self._panel is not None:
            self._panel.end_answer(self, answered_at=self._loop.time())

    # --- its own ---

    @property
    def is_over(self) -> bool:
        """Whether the wait has ended, or was left."""
        return self._waiter is None or self._waiter.record is None

    @property
    def is_idle(self) -> bool:
        """Whether its caller waits, outside of any callback."""
        return self._taker is not None and not self.is_over

    def offer(self, demand: Demand) -> None:
        """Take in a demand."""
        self.offered = demand
        self._call_taker()

    def _call_taker(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)


class Panel:
    """The waits for one task whose callers can answer, in the order in which they began."""

    def __init__(self) -> None:
        self.able: OrderedDict[Inbox, None] = OrderedDict()
        self._offered_to: Inbox | None = None
        self._at_work: tuple[Inbox, Demand] | None = None  # who answers what was asked last

    def ask(self, demand: Demand) -> bool:
        """Ask one of them; return false if there is none.

        The first one is asked. One whose caller is in another callback, which may hang, is skipped
        if there is another.
        """
        if self._offered_to is not None:
            self._offered_to.offered = None
        while (first := next(iter(self.able), None)) is not None and first.is_over:
            del self.able[first]
        if first is None:
            return False
        tried = islice(self.able, _MOST_TRIED)
        self._offered_to = next((each for each in tried if each.is_idle), first)
        self._offered_to.offer(demand)
        return True

    def begin_answer(self, inbox: Inbox, demand: Demand) -> None:
        """Record who answers; an answer that another is still working on no longer counts."""
        self._at_work = (inbox, demand)
        inbox.record.rare = rare_while_asked(inbox.record, demand.name)

    def end_answer(self, inbox: Inbox, *, answered_at: float | None) -> Demand | None:
        """Record that someone has answered or has not; return the demand, if it still counts."""
        if self._at_work is None or self._at_work[0] is not inbox:
            return None
        demand, self._at_work = self._at_work[1], None
        inbox.record.rare = rare_after_handler(inbox.record, answered_at=answered_at)
        return demand

    def leave(self, inbox: Inbox) -> bool:
        """Pass on a demand that the caller of an ended wait has not answered.

        Returns:
            whether another waiter answers it, now or after the next look.
        """
        self.able.pop(inbox, None)
        begun, offered = self.end_answer(inbox, answered_at=None), inbox.offered
        inbox.offered = None
        if self._offered_to is inbox:
            self._offered_to = None
        demand, latest = begun or offered, inbox.record.latest
        if demand is not None and _is_blocked(latest):
            self.ask(demand)
        is_over = latest is not None and latest.state is not None and not _is_blocked(latest)
        return begun is not None and bool(self.able) and not is_over


class Demands:
    """Whom to ask, for each task with a waiter who can answer."""

    def __init__(self) -> None:
        self._panels: WeakKeyDictionary[SharedRecord, Panel] = WeakKeyDictionary()

    def join(self, record: SharedRecord, inbox: Inbox) -> Panel:
        """Add a waiter who can answer."""
        panel = self._panels.setdefault(record, Panel())
        panel.able[inbox] = None
        return panel

    def can_be_asked(self, record: SharedRecord) -> bool:
        """Return whether any of those who wait for a task can answer its demands."""
        panel = self._panels.get(record) if self._panels else None
        return panel is not None and bool(panel.able)

    def ask(self, record: SharedRecord, step: AskCaller) -> bool:
        """Ask one of those who wait for a task; return false if no one can answer."""
        panel, snapshot = self._panels.get(record), record.snapshot
        if panel is None or snapshot is None:
            return False
        return panel.ask(Demand(step.demand, snapshot))


def _is_blocked(snapshot: Snapshot[object] | Packed | None) -> bool:
    return snapshot is not None and snapshot.state is TaskState.BLOCKED
