"""Virtual time: an asyncio event loop whose clock jumps to the next timer instead of waiting.

Under this loop an hour of waiting takes milliseconds and happens in the same order. The clock
starts at 0 and moves only by jumps, never by the time that work takes, so a test may compare times
with `==`. (A loop that spins on `sleep(0)` until some time has come therefore spins for ever.)

What the loop does when no callback is ready:

- Only timers are pending: it jumps at once to the earliest.
- Sockets are open: the kernel first gets a short real grace to deliver what was sent over loopback.
  A peer in the same loop, like a test's own server, always answers in time. One that needs longer
  (another process, another machine) is jumped over: use the real clock there, and for subprocesses.
- A thread works for the loop (`run_in_executor`, `asyncio.to_thread`, name resolution, and
  `anyio.to_thread` with its default limiter): time stands still until it is done, but only for some
  real seconds, since the thread may itself wait for a timer of this loop (`anyio.from_thread`).
  Threads started by hand are not seen, and are jumped over.
- Nothing is pending at all: the program is deadlocked, and the loop says so instead of hanging.
  With a socket open or a thread at work it does hang, since a message may still come.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import selectors
import sys
import threading
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

import anyio.to_thread

from asyncclient._text import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor
    from contextvars import Context

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

# asyncio fires a timer early by up to the resolution of the real clock: nearer is the same instant.
_SAME_INSTANT = 1e-9


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose `time()` jumps to the next timer instead of waiting for it.

    Args:
        grace: real seconds that open sockets get to deliver something before each jump. Two
            milliseconds cover loopback, where the kernel delivers data while it is being sent.
        thread_patience: real seconds that a busy thread may hold back a jump. Five are long enough
            for name resolution, short enough for a thread that waits for this loop.
    """

    def __init__(self, *, grace: float = 0.002, thread_patience: float = 5.0) -> None:
        self._jumper = _JumpingSelector(grace, thread_patience)
        super().__init__(self._jumper)
        # By now the loop has registered its own self-pipe; what is added later is the program's.
        self._jumper.own_files = len(self._jumper.get_map())

    def time(self) -> float:
        """Return the virtual time: seconds that timers have taken since the loop was made."""
        return self._jumper.now

    def stand_still(self, seconds: float) -> None:
        """Let time pass in which nothing runs, as a call does that blocks the event loop.

        Args:
            seconds: virtual seconds.
        """
        self._jumper.now += seconds

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Schedule a callback at a virtual time, in seconds of `time()`."""
        handle = super().call_at(when, callback, *args, context=context)
        heapq.heappush(self._jumper.due, when)
        return handle

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts
    ) -> asyncio.Future[_T]:
        """Call a function in a thread, and hold virtual time still until it is done."""
        future = super().run_in_executor(executor, func, *args)
        self._jumper.busy_threads += 1
        future.add_done_callback(self._thread_is_done)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Join the executor's threads, and hold virtual time still until they have ended.

        Args:
            timeout: virtual seconds that this may take. Python 3.11 knows no such limit.
        """
        # asyncio joins them from a thread of its own, under a timeout that a jump would use up.
        self._jumper.busy_threads += 1
        try:
            if sys.version_info >= (3, 12):
                await super().shutdown_default_executor(timeout)
            else:
                await super().shutdown_default_executor()
        finally:
            self._jumper.busy_threads -= 1

    def _thread_is_done(self, _future: asyncio.Future[Any]) -> None:
        self._jumper.busy_threads -= 1


def virtual_time_loop() -> VirtualTimeLoop:
    """Make a new event loop on virtual time, for any argument called `loop_factory`."""
    return VirtualTimeLoop()


def run_virtual(async_fn: Callable[[*_Ts], Coroutine[Any, Any, _T]], *args: *_Ts) -> _T:
    """Run a coroutine function to its end in virtual time and return its result.

    Args:
        async_fn: the coroutine function; it finds the virtual clock at 0.
        args: what to call it with.

    Raises:
        TypeError: it is not a function, but a coroutine, for example.
    """
    if not callable(async_fn):
        if asyncio.iscoroutine(async_fn):
            async_fn.close()  # or Python warns that it was never awaited
        msg = f"async_fn must be a coroutine function, not {type_name(async_fn)}"
        msg = f"{msg}: write run_virtual(main), not run_virtual(main())"
        raise TypeError(msg)
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        return runner.run(async_fn(*args))


class _JumpingSelector(selectors.DefaultSelector):
    """A selector that moves a clock where a real one would block."""

    def __init__(self, grace: float, thread_patience: float) -> None:
        super().__init__()
        self.now = 0.0
        self.due: list[float] = []  # a heap of all timers' times, those of cancelled ones included
        self.busy_threads = 0
        self.own_files = 0
        self._grace = grace
        self._thread_patience = thread_patience

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(0)
        files_open = len(self.get_map()) > self.own_files
        # Even without files: another thread may have woken the loop.
        if ready := super().select(self._grace if files_open else 0):
            return ready
        threads_busy = self._threads_are_busy()
        if threads_busy and (ready := super().select(self._thread_patience)):
            return ready
        if timeout is not None and self._jump(timeout):
            return []
        if files_open or threads_busy:
            return super().select(None)
        return self._select_or_give_up()

    def _threads_are_busy(self) -> bool:
        if self.busy_threads:
            return True
        if threading.active_count() == 1:
            return False
        # anyio's worker threads are its own; how many are at work, its limiter knows.
        return anyio.to_thread.current_default_thread_limiter().borrowed_tokens > 0

    def _jump(self, seconds: float) -> bool:
        """Move the clock to the next timer; return false if none is ever due, as `sleep(inf)`."""
        target = self.now + seconds
        # What lies before the target was cancelled, or has been called.
        while self.due and (self.due[0] <= self.now or self.due[0] < target - _SAME_INSTANT):
            heapq.heappop(self.due)
        if self.due and self.due[0] == math.inf:
            return False
        if self.due and self.due[0] <= target + _SAME_INSTANT:
            target = self.due[0]  # now + (when - now) can miss `when` by a rounding error
        # From 2**24 s on (194 days) asyncio's tolerance is lost in rounding, and a timer that is
        # due at this very instant would never fire.
        late = target + _SAME_INSTANT == target
        self.now = math.nextafter(target, math.inf) if late else target
        return True

    def _select_or_give_up(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Wait for a thread that no one registered, and report a deadlock if none wakes us."""
        # One that has ended by now may have left its message.
        patience = self._thread_patience if threading.active_count() > 1 else 0
        if ready := super().select(patience):
            return ready
        waiting = sorted(
            getattr(task.get_coro(), "__qualname__", task.get_name())
            for task in asyncio.all_tasks()
        )
        message = (
            f"deadlock at virtual time {self.now:g} s: no timer, open socket or busy thread is left"
            f" to wake what still waits ({len(waiting)}: {', '.join(waiting[:5])}). Look for an"
            " event that is never set, a queue that is never fed, a lock that is never released"
        )
        raise RuntimeError(message)
