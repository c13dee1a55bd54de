"""When each task is due: one heap of due times, and one timer of the event loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import Context

from asyncclient._many.heap import Heap
from asyncclient._many.shared import SharedRecord
from asyncclient._waiting import SAME_INSTANT

# Due tasks that are passed on before the event loop gets its turn.
_BATCH = 256


class Due(float):
    """When a task is due; a number, so that a million stand in a heap without tuples."""

    __slots__ = ("record",)

    record: SharedRecord


class Timetable:
    """Passes tasks on when they are due."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        hand_over: Callable[[list[SharedRecord]], None],
    ) -> None:
        self._loop = loop
        self._context = context
        self._hand_over = hand_over
        self._heap: Heap[Due] = Heap()
        self._timer: asyncio.TimerHandle | None = None
        # When it fires; not every event loop's handle knows it (uvloop's does not).
        self._due = math.inf

    def put(self, record: SharedRecord, due: float, now: float) -> None:
        """Set when a task is due; an earlier setting no longer counts."""
        record.due = entry = Due(due)
        entry.record = record
        record.queue.due_times.note(due, now)
        self._heap.push(entry)
        if due < self._due:
            self._arm()

    def sweep(self, pending: int) -> None:
        """Forget stale due times, or tasks that were left would stay until then."""
        self._heap.sweep(pending, lambda entry: entry.record.is_due_at(entry))

    def close(self) -> None:
        """Pass on nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap = Heap()

    def _arm(self) -> None:
        first = self._heap.first()
        if first is None or first >= self._due:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._due = float(first)  # a cancelled timer keeps its time, and is not to keep a task
        self._timer = self._loop.call_at(self._due, self._ring, context=self._context)

    def _ring(self) -> None:
        self._timer, self._due = None, math.inf
        # A timer may fire early by the resolution of the clock.
        until = Due(self._loop.time() + SAME_INSTANT)
        due = self._heap.pop_until(until, _BATCH)
        # A record that was delayed, brought forward or left has other entries, or none.
        self._hand_over([entry.record for entry in due if entry.record.is_due_at(entry)])
        self._arm()
