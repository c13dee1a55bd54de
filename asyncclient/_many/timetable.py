"""When which task is due: one heap of due times, and one timer of the event loop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import Context
from itertools import count

from asyncclient._many.heap import Heap
from asyncclient._many.shared import SharedRecord
from asyncclient._waiting import SAME_INSTANT

# Due tasks that are handed over before the event loop gets its turn.
_BATCH = 256


class Timetable:
    """Hands tasks over when they are due."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        hand_over: Callable[[list[tuple[int, SharedRecord]]], None],
    ) -> None:
        self._loop = loop
        self._context = context
        self._hand_over = hand_over
        self._heap: Heap[SharedRecord] = Heap()
        self._timer: asyncio.TimerHandle | None = None
        # Kept here, since not every event loop's handle knows it (uvloop's does not).
        self._due = math.inf
        self.numbers = count()

    def put(self, record: SharedRecord, due: float) -> None:
        """Set when a task is due; what was set before holds no longer."""
        record.due = due
        record.queue.due_times.note(due, self._loop.time())
        self._heap.push(due, next(self.numbers), record)
        self._arm()

    def sweep(self, pending: int) -> None:
        """Forget due times that no longer hold, or what has left would stay until they come."""
        self._heap.sweep(pending, lambda due, record: record.is_due_at(due))

    def close(self) -> None:
        """Hand over nothing more."""
        if self._timer is not None:
            self._timer.cancel()
        self._heap = Heap()

    def _arm(self) -> None:
        due = self._heap.first()
        if due is None:
            return
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self._loop.call_at(due, self._ring, context=self._context)

    def _ring(self) -> None:
        self._timer = None
        now = self._loop.time()
        due: list[tuple[int, SharedRecord]] = []
        for _ in range(_BATCH):
            # A timer may fire early by the resolution of the clock.
            first = self._heap.first()
            if first is None or first > now + SAME_INSTANT:
                break
            instant, number, record = self._heap.pop()
            # A record that was put off, taken forward or left has other entries, or none.
            if record.is_due_at(instant):
                due.append((number, record))
        self._hand_over(due)
        self._arm()
