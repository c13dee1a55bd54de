"""Passes the ends of waits to a worker's sink: a few at a time, and each for a limited time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from inspect import isawaitable
from typing import TypeAlias

import anyio

from asyncclient._arguments import number
from asyncclient._durable import TicketExpired
from asyncclient._many import Done
from asyncclient._text import type_name

_log = logging.getLogger("asyncclient.workers")

Sink: TypeAlias = Callable[[str, Done[object] | TicketExpired], Awaitable[None]]
"""Takes the end of a wait by its key; it is called at least once."""

# Seconds. A sink that takes an hour is a job of its own.
_LONGEST_SINK = 3600.0
# Ends that are with the sink at a time: at most as many are reported again after a kill.
_AT_SINK = 32
# Seconds that a sink has to end when its worker is stopped, and to clean up after it was cancelled.
_STOP_SECONDS = 2.0
_CLEAN_UP_SECONDS = 1.0


class Delivery:
    """A worker's sink, and the ends that it handles or that wait for it.

    Args:
        sink: takes the ends.
        timeout: seconds for each call, at most an hour.

    Raises:
        TypeError, ValueError: an argument is not valid.
    """

    def __init__(self, sink: Sink, *, timeout: float) -> None:
        if not callable(sink):
            msg = f"sink must be an async function of a key and an end, not {type_name(sink)}"
            raise TypeError(msg)
        self._sink = sink
        self._timeout = number("sink_timeout", timeout, unit="seconds", above=0, most=_LONGEST_SINK)
        self._places = asyncio.Semaphore(_AT_SINK)
        self._in_line: set[anyio.CancelScope] = set()
        self._given_up: set[asyncio.Future[None]] = set()  # of each call: done when it is given up
        self._calls: set[asyncio.Task[None]] = set()  # those that were given up and go on as well
        self._hangs = False
        self._is_closed = False

    def open(self) -> None:
        """Accept ends, at first and after a worker was stopped."""
        self._is_closed = False

    def close(self) -> None:
        """Accept no more ends, and give up what the sink still handles after 2 s."""
        self._is_closed = True
        self._clear_line()
        if self._given_up:
            # Those of now alone: the worker may go on in the meantime.
            calls, self._given_up = self._given_up, set()
            asyncio.get_running_loop().call_later(_STOP_SECONDS, _give_up, calls)

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncGenerator[bool]:
        """Wait for a place at the sink; give whether there is one.

        There is none when the worker is stopped, or after the seconds of a call. While the sink
        hangs, no turn waits for it: a worker's turns are for waits that can still be polled.
        """
        taken = False
        if not self._is_closed and not (self._hangs and self._places.locked()):
            with anyio.move_on_after(self._timeout) as scope:
                self._in_line.add(scope)
                try:
                    await self._places.acquire()
                    taken = True
                finally:
                    self._in_line.discard(scope)
        try:
            yield taken
        finally:
            if taken:
                self._places.release()

    async def call(
        self, key: str, end: Done[object] | TicketExpired, keep: Callable[[], Awaitable[None]]
    ) -> None:
        """Call the sink with an end, and then write that down.

        Args:
            key: the wait's.
            end: its end.
            keep: writes it down, for which it has all the time that it needs. Nothing comes before
                it: a worker that dies in between has the sink called again.

        Raises:
            TimeoutError: the sink has not taken it within its time, or the worker is stopped. It is
                cancelled, and waited for no longer.
            Exception: what the sink or `keep` raises.
        """
        loop = asyncio.get_running_loop()
        taken: asyncio.Future[None] = loop.create_future()
        given_up: asyncio.Future[None] = loop.create_future()
        call = asyncio.ensure_future(self._called(key, end, keep, taken))
        self._calls.add(call)
        self._given_up.add(given_up)
        call.add_done_callback(self._forget)
        patience = _STOP_SECONDS if self._is_closed else self._timeout
        try:
            await asyncio.wait({call, given_up}, timeout=patience, return_when="FIRST_COMPLETED")
            is_late = not call.done() and not taken.done()
            if is_late:
                if not self._is_closed:
                    self._note_hanging(key)
                call.cancel()
                await asyncio.wait({call}, timeout=_CLEAN_UP_SECONDS)
            if taken.done():
                await asyncio.wait({call})
        except asyncio.CancelledError:
            call.cancel()
            raise
        finally:
            self._given_up.discard(given_up)
        if is_late and not taken.done() and (not call.done() or call.cancelled()):
            why = "the worker is stopped" if self._is_closed else f"{self._timeout:g} s are over"
            msg = f"the sink has not taken the end: {why} (sink_timeout)"
            raise TimeoutError(msg)
        self._hangs = False
        call.result()

    async def _called(
        self,
        key: str,
        end: Done[object] | TicketExpired,
        keep: Callable[[], Awaitable[None]],
        taken: asyncio.Future[None],
    ) -> None:
        taking: object = self._sink(key, end)
        if not isawaitable(taking):
            msg = f"sink() returned {type_name(taking)}, not an awaitable: pass an async function"
            raise TypeError(msg)
        await taking
        taken.set_result(None)
        await keep()

    def _note_hanging(self, key: str) -> None:
        _log.warning(
            "%s: the sink has not returned within %g s (sink_timeout): it is cancelled, and "
            "called again later",
            key,
            self._timeout,
        )
        self._hangs = True
        self._clear_line()

    def _clear_line(self) -> None:
        for scope in self._in_line:
            scope.cancel()

    def _forget(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            call.exception()  # or asyncio would log it as never retrieved


def _give_up(calls: set[asyncio.Future[None]]) -> None:
    for given_up in calls:
        if not given_up.done():
            given_up.set_result(None)
