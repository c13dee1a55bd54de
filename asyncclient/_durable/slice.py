"""A ticket's turn: a worker holds a wait for a slice of about a minute, then hands it back.

An engine (a queue, a table) keeps the ticket; any worker takes it up, waits for a while through its
own `Poller`, and hands it back. Polls are never written down: only the start of a wait and its end
must survive.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Protocol, TypeAlias, cast

import msgspec

from asyncclient._arguments import seconds
from asyncclient._durable.ticket import Handover, Ticket, TicketExpired, expired, wall_clock
from asyncclient._learning import LearnedSchedule
from asyncclient._many import Done, Poller, PollLoop, Receiver, SharedRecord
from asyncclient._ref import TaskRef
from asyncclient._schedule import Pacing, Schedule, checked_rng, checked_schedule, drawing
from asyncclient._state import TaskState
from asyncclient._task import Task
from asyncclient._waiting import Past
from asyncclient.errors import AsyncClientError, WaitTimeout

# Slices that begin together must not end together: 3,000 such slices cut an engine's throughput to
# a third.
_SPREAD = 0.2
# A wait that ends soon after its slice is held to the end: a hand-over costs more.
_TO_THE_END = 1.5
# Where the budget is short, a slice lasts until its first look, but at most this many holds: a wait
# that is handed back earlier would lose its place in the queue each time.
_FIRST_POLL = 60
# Seconds for which a later look that is under way at the end of its slice may still be answered.
_POLL_GRACE = 10.0
# Seconds for the one look at a task whose deadline has passed while no worker held it.
_LAST_LOOK = 60.0


class Client(Protocol):
    """Makes tasks from references: every provider's client does."""

    def task(self, ref: TaskRef, /) -> Task[object]:
        """Return the task that a reference stands for."""
        ...  # pragma: no cover


TaskOf: TypeAlias = Mapping[str, Client] | Callable[[TaskRef], Task[object]]
"""How a worker finds a task: its clients by provider, or a function of a reference."""


async def poll_slice(
    poller: Poller,
    task_of: TaskOf,
    ticket: Ticket,
    *,
    hold: float = 60.0,
    schedule: Pacing | None = None,
    rng: Random | None = None,
    clock: Callable[[], float] | None = None,
) -> Done[object] | TicketExpired | Handover:
    """Wait for a ticket's task for about a minute, and return its end or how to go on.

    The poller's budget, learning and sharing apply as to any other wait. The schedule goes on
    where the last slice left it, and the delay that is handed back keeps its pace. An outage of
    the provider ends no ticket: it is tolerated until the deadline, on which a last look falls.

    Args:
        poller: the worker's own.
        task_of: the worker's clients by provider, `{"coze": coze, "copyai": copyai}`, or a
            function from a reference to its task.
        ticket: what the engine kept.
        hold: seconds, spread by a fifth. A ticket whose next poll is later is handed back at once;
            one whose first poll waits for the budget, or is under way, is held. Default 60.
        schedule: gives the delay of a hand-over where no answer has said when the next look is due.
            Default `Schedule()`.
        rng: draws the jitter.
        clock: gives the Unix time in seconds. Default `time.time`.

    Returns:
        `Done` when the task has ended (with its `error` where it failed) or its polls are refused;
        `TicketExpired` when its deadline has passed, also where this worker has no client for such
        a task; else `Handover`.

    Raises:
        LookupError, ValueError: before the deadline, the worker has no client for such a task. The
            ticket stays valid; so it does after any other error of `task_of`.
        RuntimeError: the poller is closed, or belongs to another event loop. The ticket stays
            valid.
        TypeError: an argument is not valid, or `task_of` returned no task.
    """
    draw = drawing(checked_rng(rng))
    time_of = clock or wall_clock
    poll_loop = poller.running()
    hold = seconds("hold", hold) * (1 - _SPREAD + draw(2 * _SPREAD))
    gap = _usual_gap(checked_schedule(schedule), draw)
    try:
        task = _task(task_of, ticket.ref)
        held = _Slice(poll_loop, task, ticket, hold=hold, gap=gap, clock=time_of)
        return await held.run()
    except Exception as error:
        now = time_of()
        if poll_loop.is_closed or ticket.left(now) > 0:
            raise
        return expired(ticket, now, error=error, trouble="this worker could not hold it")


def _task(task_of: TaskOf, ref: TaskRef) -> Task[object]:
    if callable(task_of):
        return task_of(ref)
    client = task_of.get(ref.provider)
    if client is None:
        known = ", ".join(sorted(task_of)) or "none"
        msg = f"{ref}: this worker has no client for {ref.provider!r}, only {known}"
        raise LookupError(msg)
    return client.task(ref)


def _usual_gap(schedule: Pacing, draw: Callable[[float], float]) -> Callable[[int], float | None]:
    """Return what gives the gap after a number of looks; None where only its turn would show it."""
    plain = schedule.fallback if isinstance(schedule, LearnedSchedule) else schedule
    if not isinstance(plain, Schedule):
        return lambda _: None
    return lambda number: plain.delay(max(0, number - 1), draw)


class _Slice(Receiver):
    """A wait with a hold: when the hold is over, the wait is handed back, not ended.

    It has more attributes than a class should: one wait's facts, and nothing else.
    """

    def __init__(
        self,
        poll_loop: PollLoop,
        task: Task[object],
        ticket: Ticket,
        *,
        hold: float,
        gap: Callable[[int], float | None],
        clock: Callable[[], float],
    ) -> None:
        super().__init__()
        self._poll_loop = poll_loop
        self._ticket = ticket
        self._hold = hold
        self._gap = gap
        self._clock = clock
        now = clock()
        self._left = ticket.left(now)
        # What ends a little after the hold is waited for to its end.
        held = self._left > hold * _TO_THE_END
        self._hold_ends = poll_loop.loop.time() + hold if held else math.inf
        # Its end; or when the next look is due; or None where that is not known.
        self._end: asyncio.Future[Done[object] | float | None] = poll_loop.loop.create_future()
        self._timer: asyncio.TimerHandle | None = None
        self._seen: float | None = None
        self._is_cut_off = False
        timeout = self._left if self._left > 0 else _LAST_LOOK
        # An outage ends no ticket.
        limits = msgspec.structs.replace(poll_loop.limits, max_outage=math.inf)
        alive = ticket.started if ticket.seen is None else ticket.seen
        is_known = ticket.seen is not None or ticket.ref.created is None
        past = Past(
            ticket.polls,
            max(0.0, now - ticket.started - 1),  # it is cut down to whole seconds
            max(0.0, now - alive) if is_known else None,
        )
        self._waiter = poll_loop.submit(task, self, timeout=timeout, limits=limits, past=past)
        self._record = cast("SharedRecord", self._waiter.record)
        self._began = poll_loop.loop.time()
        if self._left <= 0:
            # At once; what is under way for others may have missed the end.
            poll_loop.wake(self._record.key)
        self._polls_before = self._record.polls
        if ticket.polls and self._record.slowest is None:
            # Looks of former slices came back, so the last one has its time.
            self._record.slowest = 0.0

    async def run(self) -> Done[object] | TicketExpired | Handover:
        """Hold the wait, and return its end or its hand-over."""
        self._set_timer(self._hold_ends, self._hold_is_over)
        self._poll_loop.watch_deadline(self._waiter, self._waiter.deadline)
        try:
            end = await self._end
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._poll_loop.leave(self._waiter)
        if not isinstance(end, Done):
            return self._expired(None) if self._left <= 0 else self._handover(end)
        error = end.error
        if isinstance(error, RuntimeError):
            raise error
        if isinstance(error, WaitTimeout):
            return self._expired(error) if end.polls or self._polls() else self._handover(None)
        return self._done(end)

    # --- what the loop says ---

    def put(self, done: Done[object]) -> None:
        """Take the end of the wait."""
        self._finish(done)

    def go_on(self, due: float, *, answered: bool) -> None:
        """Record that a look has shown no end, and when the next one is due."""
        now = self._poll_loop.loop.time()
        if answered:
            self._seen = now
        if self._left <= 0:
            if answered and self._record.sent >= self._began:
                self._finish(None)
        elif now >= self._hold_ends or (due - now > self._hold and self._left > self._hold):
            self._finish(due)

    def _hold_is_over(self) -> None:
        record = self._record
        if record.flight is not None:
            # The look under way may still be answered. The first one has all of its time: the next
            # slice's would take as long.
            grace = _POLL_GRACE if self._polls() else record.limits.poll_timeout
            self._set_timer(record.sent + grace, lambda: self._finish(None))
        elif self._polls():
            self._finish(record.due)
        else:
            # The budget is short: handed back before its first look, it would lose its place.
            patience = (_FIRST_POLL - 1) * self._hold
            self._set_timer(self._hold_ends + patience, lambda: self._finish(None))

    def _set_timer(self, when: float, call: Callable[[], None]) -> None:
        self._timer = None if when == math.inf else self._poll_loop.loop.call_at(when, call)

    def _finish(self, end: Done[object] | float | None) -> None:
        if not self._end.done():
            self._end.set_result(end)
            # At once: before this slice goes on, the next look may be due, which it would count.
            self._is_cut_off = self._record.flight is not None
            self._poll_loop.leave(self._waiter)

    # --- what becomes of it ---

    def _polls(self) -> int:
        """Return the looks at the task in this slice, those for others included."""
        return self._record.polls - self._polls_before + self._is_cut_off

    def _state(self) -> TaskState | None:
        return None if self._record.latest is None else self._record.latest.state

    def _handover(self, due: float | None) -> Handover:
        ticket, now = self._later_ticket(), self._poll_loop.loop.time()
        if due is None:
            due = now + (self._gap(ticket.polls) or self._hold)
        delay = max(0.0, min(due - now, ticket.left(self._clock())))
        return Handover(delay=delay, ticket=ticket, state=self._state())

    def _later_ticket(self) -> Ticket:
        seen = self._ticket.seen
        if self._seen is not None:
            seen = int(self._clock() - (self._poll_loop.loop.time() - self._seen))
        polls = self._ticket.polls + self._polls()
        return msgspec.structs.replace(self._ticket, polls=polls, seen=seen)

    def _done(self, end: Done[object]) -> Done[object]:
        ticket, now = self._ticket, self._clock()
        polls = ticket.polls + self._polls()
        elapsed = max(0.0, now - ticket.started)
        if isinstance(end.error, AsyncClientError):
            end.error.polls, end.error.elapsed = polls, elapsed
        unseen: float | None = None
        if end.state is not None and end.state.is_terminal:
            since = ticket.seen or ticket.ref.created or ticket.started
            unseen = max(0.0, now - since)
            if self._seen is not None:
                unseen = self._poll_loop.loop.time() - self._seen
        return msgspec.structs.replace(end, polls=polls, elapsed=elapsed, unseen=unseen)

    def _expired(self, error: Exception | None) -> TicketExpired:
        return expired(self._later_ticket(), self._clock(), state=self._state(), error=error)
