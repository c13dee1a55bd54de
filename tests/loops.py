"""The event loops that the tests run on: asyncio's, uvloop, and asyncio's with eager tasks.

`pytest --event-loop uvloop tests/waiting tests/many tests/sockets` runs those folders on uvloop.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import sys
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeAlias, TypeVarTuple

import uvloop

from asyncclient.testing import virtual_time_loop

_Ts = TypeVarTuple("_Ts")

Backend = tuple[str, dict[str, Any]]
_Factory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]


class VirtualUvloop(uvloop.Loop):
    """uvloop on a clock that jumps to the next timer when no callback is ready.

    It is for tests without sockets and threads: the clock does not wait for what they deliver.
    """

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self._timers: list[tuple[float, int, _Timer]] = []
        self._order = itertools.count()
        self._calls = 0
        self._looking = False

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def stand_still(self, seconds: float) -> None:
        """Let time pass in which nothing runs."""
        self._now += seconds

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back in the loop's next turn."""
        self._calls += 1
        return super().call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at a virtual time."""
        timer = _Timer(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), timer))
        self._look()
        return timer

    def call_later(
        self,
        delay: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back after some virtual seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, _timer: asyncio.TimerHandle) -> None:
        """Take note that a timer was cancelled, as `asyncio.TimerHandle` asks every loop to."""

    def _look(self) -> None:
        if not self._looking:
            self._looking = True
            # In a context of its own, or it would keep what a callback has set.
            super().call_soon(self._jump_if_idle, self._calls, context=Context())

    def _jump_if_idle(self, calls: int) -> None:
        self._looking = False
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            return
        if self._calls == calls:
            self._now = max(self._now, self._timers[0][0])
        while self._timers and self._timers[0][0] <= self._now:
            self.call_soon(heapq.heappop(self._timers)[2].run)
        self._look()


class _Timer(asyncio.TimerHandle):
    """A timer that does not say when it is due: uvloop's handles do not always do so."""

    def run(self) -> None:
        """Call back, unless it was cancelled meanwhile."""
        if not self.cancelled():
            self._run()

    def when(self) -> float:
        message = "not every event loop's handle has `when`: keep the due time beside it"
        raise AttributeError(message)


def virtual_backend(event_loop: str) -> Backend:
    """Return the backend of anyio for virtual time on one of the event loops."""
    return "asyncio", {"loop_factory": _factory(event_loop, virtual_time_loop, VirtualUvloop)}


def real_backend(event_loop: str) -> Backend:
    """Return the backend of anyio for the real clock on one of the event loops."""
    factory = _factory(event_loop, asyncio.new_event_loop, uvloop.new_event_loop)
    return "asyncio", {"loop_factory": factory, "debug": False}


def _factory(event_loop: str, plain: _Factory, of_uvloop: _Factory) -> _Factory:
    if event_loop == "eager":
        return lambda: _with_eager_tasks(plain())
    return of_uvloop if event_loop == "uvloop" else plain


def _with_eager_tasks(loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    if sys.version_info >= (3, 12):
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop
    message = "eager tasks need Python 3.12 or later"
    raise RuntimeError(message)
