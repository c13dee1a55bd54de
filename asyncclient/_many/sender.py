"""Sends the looks whose turn it is, as far as budgets and concurrency allow."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context

from asyncclient._many.queue import Queue
from asyncclient._many.shared import SharedRecord
from asyncclient._state import Snapshot
from asyncclient._waiting import Polling, Sleep

# Enough for a 99th percentile, at little memory.
_LAGS = 1024
# Seconds. A look that ignores its cancellation must not hold up the end.
_CLOSE_SECONDS = 5.0
# A look whose asyncio task was cancelled from outside this library is repeated after a second.
_CANCELLED = Sleep(1.0, "error")

# Does what follows a look: takes the record, the step (None for a good end) and the failure, and
# of before the look the number of polls and the snapshot.
AfterLook = Callable[
    [SharedRecord, Sleep | None, Exception | None, int, Snapshot[object] | None], None
]


class Sender:
    """Makes each look an asyncio task of its own, and says what came of it."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        polling: Polling[SharedRecord],
        concurrency: int,
        landed: AfterLook,
    ) -> None:
        # Seconds by which recent looks were sent after they were due.
        self.lags: deque[float] = deque(maxlen=_LAGS)
        self.returned = 0  # looks that have come back
        self._loop = loop
        self._context = context
        self._polling = polling
        self._concurrency = concurrency
        self._after_look = landed
        self._flights: set[asyncio.Task[None]] = set()
        self._closed = False

    async def close(self) -> None:
        """Break off all looks, and send no more."""
        self._closed = True
        flights = list(self._flights)
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights, timeout=_CLOSE_SECONDS)

    def pump(self, queue: Queue[SharedRecord]) -> None:
        """Send the looks of one queue whose turn it is."""
        # An eager task may end while it is made, and then calls this from within itself.
        if self._closed or queue.is_pumping:
            return
        queue.is_pumping = True
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        now = self._loop.time()
        while queue.line and queue.in_flight < self._concurrency:
            left = queue.budget.wait(now)
            if left > 0:
                queue.timer = self._loop.call_at(
                    now + left, self.pump, queue, context=self._context
                )
                break
            record = queue.take()
            if record.take_turn():
                self._send(record, now)
        queue.is_pumping = False

    def break_off(self, record: SharedRecord) -> None:
        """End a look that is awaited no longer."""
        flight, record.flight = record.flight, None
        if flight is not None:
            # Its place is free at once: a look that has not begun to run never says so itself.
            flight.cancel()
            record.queue.in_flight -= 1
            self._loop.call_soon(self.pump, record.queue)

    def _send(self, record: SharedRecord, now: float) -> None:
        record.queue.budget.spend(now)
        record.queue.in_flight += 1
        self.lags.append(max(0.0, now - record.due))
        record.is_woken = False
        record.sent = now
        # Through a waiter who is still there, and in its context: a source of tokens that asks for
        # the current user must not find another waiter's.
        record.asker = record.waiters[0]
        record.task = record.asker.task
        context = record.asker.receiver.context.copy()
        flight = self._loop.create_task(self._fly(record), context=context)
        if not flight.done():  # an eager one may be
            record.flight = flight
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    async def _fly(self, record: SharedRecord) -> None:
        # An eager task begins before its maker has it.
        record.flight = flight = asyncio.current_task()
        before, polls = record.snapshot, record.polls
        step: Sleep | None = _CANCELLED
        failure: Exception | None = None
        try:
            step = await self._polling.look(record)
        except Exception as error:  # noqa: BLE001  (the waiters get it)
            failure = error
        finally:
            self.returned += 1
            if record.flight is flight:  # else it was broken off
                record.flight = None
                record.queue.in_flight -= 1
                self._after_look(record, step, failure, polls, before)
                self.pump(record.queue)
