"""Sends looks in their turn, within the limits of budgets and concurrency."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import cast

from asyncclient._event_loop import failure_of
from asyncclient._many.queue import Queue
from asyncclient._many.shared import SharedRecord, Waiter
from asyncclient._waiting import Polling, Sleep

# Enough for a 99th percentile, at little memory.
_LAGS = 1024
# Tasks of a queue that are served before the event loop gets its turn: eager ones end at once.
_BATCH = 256
# Seconds. A look that ignores its cancellation must not delay the close.
_CLOSE_SECONDS = 5.0
# A look whose asyncio task was cancelled from outside this library is repeated after a second, and
# no other of its account is sent before: as all are cancelled, the event loop is about to end.
CANCELLED = Sleep(1.0, "error")


class Sender:
    """Runs each look as an asyncio task, and reports its result."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        polling: Polling[SharedRecord],
        concurrency: int,
        after_look: Callable[[SharedRecord, Sleep | None, Exception | None], None],
    ) -> None:
        # Seconds by which recent looks were sent after they were due.
        self.lags: deque[float] = deque(maxlen=_LAGS)
        self.returned = 0  # looks that have come back
        self._loop = loop
        self._context = context
        self._polling = polling
        polling.cutting.resists = self._give_up
        self._concurrency = concurrency
        self._after_look = after_look  # called with the decision (None for success) and the failure
        self._broken_off: set[asyncio.Task[None]] = set()  # that have not ended yet
        self._narrowing: set[SharedRecord] = set()  # whose limits are renewed in the next turn
        self.is_closed = False  # whether no further look is sent

    async def close(self, others: list[asyncio.Task[None]]) -> None:
        """Send no more looks, and wait a while for those under way, the cancelled ones included."""
        self.is_closed = True
        # A source of tasks, or a look, may be what closes the poller.
        working = {*self._broken_off, *others} - {asyncio.current_task()}
        if working:
            await asyncio.wait(working, timeout=_CLOSE_SECONDS)

    def pump(self, queue: Queue[SharedRecord]) -> None:
        """Send the looks of one queue that may be sent now."""
        # An eager task may end while it is made, and then calls this from within itself.
        if self.is_closed or queue.is_pumping:
            return
        queue.is_pumping = True
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        now = self._loop.time()
        for _ in range(_BATCH):
            if not queue.line or queue.in_flight >= self._concurrency:
                break
            left = queue.budget.wait(now)
            if left > 0:
                queue.timer = self._loop.call_at(
                    now + left, self.pump, queue, context=self._context
                )
                break
            record = queue.take()
            asker = record.take_turn()
            if asker is not None:
                self._send(record, asker, now)
        else:
            self._loop.call_soon(self.pump, queue, context=self._context)
        queue.is_pumping = False

    def send_at_once(self, record: SharedRecord, asker: Waiter, now: float) -> bool:
        """Send a look at once if its queue is empty; return false if it cannot go now."""
        queue = record.queue
        is_free = queue.in_flight < self._concurrency and queue.budget.wait(now) <= 0
        if is_free and not self.is_closed:
            self._send(record, asker, now)
            return True
        return False

    def break_off(self, record: SharedRecord) -> None:
        """Cancel a look that no one awaits any more."""
        flight, record.flight = record.flight, None
        if flight is not None:
            # Its place is free at once: a look that was cancelled before it ran never reports its
            # end.
            flight.cancel()
            self._broken_off.add(flight)
            flight.add_done_callback(self._broken_off.discard)
            record.queue.in_flight -= 1
            self._loop.call_soon(self.pump, record.queue)

    def narrow_soon(self, record: SharedRecord) -> None:
        """Forget the limits of waits that were left, also for the look under way."""
        # Once a turn of the event loop, since that passes over all waiters.
        if record not in self._narrowing:
            self._narrowing.add(record)
            self._loop.call_soon(self._narrow, record, context=self._context)

    def _narrow(self, record: SharedRecord) -> None:
        self._narrowing.discard(record)
        if record.first is not None:
            record.renew_limits()
            if record.flight is not None:
                until = record.sent + record.limits.poll_timeout
                self._polling.cutting.shorten(record.flight, until)

    def _give_up(self, flight: asyncio.Task[object], does: object) -> None:
        """Count a look that goes on after it was cancelled as failed, and await it no longer."""
        record = cast("SharedRecord", does)
        if record.flight is not flight:
            return
        self.break_off(record)
        step: Sleep | None = None
        failure: Exception | None = None
        try:
            step = self._polling.unanswered(record, self._loop.time())
        except Exception as error:  # noqa: BLE001  (the waiters get it)
            failure = error
        self._after_look(record, step, failure)

    def _send(self, record: SharedRecord, asker: Waiter, now: float) -> None:
        place = record.queue.budget.spend(now)
        record.queue.in_flight += 1
        self.lags.append(max(0.0, now - record.due))
        record.is_woken = False
        record.sent = now
        # Through a waiter who is still there, and in its context: a source of tokens that asks for
        # the current user must not find another waiter's.
        record.asker = asker
        record.task = asker.task
        context = asker.receiver.context.copy()
        flight = self._loop.create_task(self._fly(record, place), context=context)
        if not flight.done() and record.first is not None:  # an eager one may be, or be left
            record.flight = flight

    async def _fly(self, record: SharedRecord, place: float) -> None:
        # An eager task begins before its maker has it.
        record.flight = flight = record.flight or asyncio.current_task(self._loop)
        record.queue.budget.leave(place, self._loop.time())
        step: Sleep | None = CANCELLED
        failure: Exception | None = None
        try:
            step = await self._polling.look(record)
        except BaseException as error:  # noqa: BLE001  (the waiters get it)
            failure = failure_of(error, "a look")
        finally:
            self.returned += 1
            # Else it was broken off, or destroyed after its event loop.
            if record.flight is flight and not self._loop.is_closed():
                record.flight = None
                record.queue.in_flight -= 1
                if step is CANCELLED and failure is None:
                    record.queue.budget.pause(self._loop.time() + CANCELLED.seconds)
                self._after_look(record, step, failure)
                if record.queue.line:
                    self.pump(record.queue)
