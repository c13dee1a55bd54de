"""Cancels requests and looks that take too long, and all requests of a closed pool. No I/O."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextvars import Context

# Seconds. One timer serves all requests of a pool, since a timer for each costs a tenth of a
# request; a request may therefore end this much late.
LATE_SECONDS = 0.25
# Turns of the event loop in which an anyio scope cancels once more what has not ended.
_UNTIL_REPEATED = 2
# Seconds that a cancelled task has to end.
_CLEAN_UP_SECONDS = 1.0


class Cutting:
    """Cancels tasks that take too long, and knows which cancellations were its own.

    `asyncio.timeout` would set a timer for each; nearly all end long before.

    Args:
        late: seconds by which a task may be cancelled late, so that the timer fires less often.

    Attributes:
        resists: called with a task that has not ended a second after it was cancelled, and what it
            does; None where nothing follows from that.
    """

    def __init__(self, late: float = 0.0) -> None:
        self._late = late
        self.resists: Callable[[asyncio.Task[object], object], object] | None = None
        # When each is late, how often it had been cancelled before it began, and what it does.
        self._tasks: dict[asyncio.Task[object], tuple[float, int, object]] = {}
        # Those that were cancelled, each with the timer that asks whether it resists.
        self._cut: dict[asyncio.Task[object], asyncio.TimerHandle | None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._due = math.inf  # when it fires; not every event loop's handle knows it

    def __len__(self) -> int:
        return len(self._tasks)

    def begin(
        self, loop: asyncio.AbstractEventLoop, end: float, does: object = None
    ) -> asyncio.Task[object]:
        """Record when the running task is late, on the loop's clock, and return it."""
        task = asyncio.current_task(loop)
        if task is None:
            msg = "no asyncio task runs here: await it in one (asyncio.run, asyncio.create_task)"
            raise RuntimeError(msg)
        self._tasks[task] = (end, task.cancelling(), does)
        if end < self._due:
            self._set(loop, end)
        return task

    def shorten(self, task: asyncio.Task[object], end: float) -> None:
        """Change when a task is late; nothing happens to one that has not begun, or has ended."""
        if task in self._tasks:
            self._tasks[task] = (end, *self._tasks[task][1:])
            if end < self._due:
                self._set(task.get_loop(), end)

    def end(self, task: asyncio.Task[object]) -> None:
        """Record that a task has ended, as each must; a late cancellation is undone."""
        del self._tasks[task]
        if self._cut and self._forget(task):
            task.uncancel()

    async def is_own(self, task: asyncio.Task[object]) -> bool:
        """Return whether a cancellation came from here alone and not from the caller, and undo it.

        As `asyncio.timeout` distinguishes them.

        Raises:
            CancelledError: that of a caller's anyio scope, which ends in the same turn of the event
                loop. The scope knows it by its text, and the one that is handled has none.
        """
        if not self._forget(task):
            return False
        if task.uncancel() <= self._tasks[task][1]:
            return True
        for _ in range(_UNTIL_REPEATED):
            await asyncio.sleep(0)  # noqa: TID251  (a scope repeats its cancellation meanwhile)
        return False

    def cut_all(self) -> None:
        """Cancel all: each may wait for an answer, a connection, a handshake, a name."""
        for task in self._tasks:
            self._cancel(task)
        self.close()

    def close(self) -> None:
        """Leave no timer behind."""
        self._stop()
        for timer in self._cut.values():
            if timer is not None:
                timer.cancel()

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due = None, math.inf

    def _cancel(self, task: asyncio.Task[object]) -> None:
        if task not in self._cut:
            task.cancel()
            self._cut[task] = None
            if self.resists is not None:
                *_, does = self._tasks[task]
                later = task.get_loop().call_later
                # In a context of its own, as the other timer.
                self._cut[task] = Context().run(later, _CLEAN_UP_SECONDS, self.resists, task, does)

    def _forget(self, task: asyncio.Task[object]) -> bool:
        """Return whether a task was cancelled here, which counts no longer."""
        was_cut = task in self._cut
        timer = self._cut.pop(task, None)
        if timer is not None:
            timer.cancel()
        return was_cut

    def _set(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._stop()
        self._due = due
        # In a context of its own: a timer keeps its context for long.
        self._timer = Context().run(loop.call_at, due, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._stop()
        now = loop.time()
        for task, (end, *_) in self._tasks.items():
            if end <= now:
                self._cancel(task)
        soonest = min(
            (end for task, (end, *_) in self._tasks.items() if task not in self._cut),
            default=math.inf,
        )
        if soonest < math.inf:
            self._set(loop, max(soonest, now + self._late))
