"""Ends requests that take too long, and all of them when their pool is closed. No I/O."""

from __future__ import annotations

import asyncio
from contextvars import Context

# Seconds. One timer serves all requests of a pool, since a timer for each costs a tenth of a
# request; a request may therefore end this much late.
LATE_SECONDS = 0.25


class Cutting:
    """Cancels the tasks of requests, and knows which cancellations were its own."""

    def __init__(self) -> None:
        # When each is late, and how often its task had been cancelled before it began.
        self._requests: dict[asyncio.Task[object], tuple[float, int]] = {}
        self._cut: set[asyncio.Task[object]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0

    def __len__(self) -> int:
        return len(self._requests)

    def begin(self, task: asyncio.Task[object], end: float) -> None:
        """Note a request and when it is late, on the loop's clock; `end` must follow."""
        self._requests[task] = (end, task.cancelling())
        if self._timer is None or end < self._due:
            self._set(task.get_loop(), end)

    def end(self, task: asyncio.Task[object]) -> None:
        """Take note that a request has ended."""
        del self._requests[task]
        if self._cut:
            self._cut.discard(task)

    def is_own(self, task: asyncio.Task[object]) -> bool:
        """Return whether a cancellation came from here alone and not from the caller, and undo it.

        As `asyncio.timeout` distinguishes them.
        """
        return task in self._cut and task.uncancel() <= self._requests[task][1]

    def cut_all(self) -> None:
        """Cancel all requests: each may wait for an answer, a connection, a handshake, a name."""
        for task in self._requests:
            self._cancel(task)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancel(self, task: asyncio.Task[object]) -> None:
        if task not in self._cut:
            self._cut.add(task)
            task.cancel()

    def _set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._due = due
        # In a context of its own: a timer keeps its context for long.
        self._timer = Context().run(loop.call_at, due, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        for task, (end, _) in self._requests.items():
            if end <= now:
                self._cancel(task)
        to_come = [end for task, (end, _) in self._requests.items() if task not in self._cut]
        if to_come:
            self._set(loop, max(min(to_come), now + LATE_SECONDS))
