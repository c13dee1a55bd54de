"""A wait in steps, from change to change: a single wait, or one of several for a task."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, Self, TypeVar

from asyncclient._event_loop import running_loop
from asyncclient._state import Snapshot
from asyncclient._task import Task
from asyncclient._waiting.callbacks import Callbacks, cancel_remote
from asyncclient._waiting.record import Record
from asyncclient._waiting.report import Report
from asyncclient.errors import TaskError

T = TypeVar("T")


class Steps(Generic[T]):
    """One wait for a task, advanced from change to change; each kind of wait says how."""

    def __init__(self, task: Task[T], callbacks: Callbacks[T], report: Report) -> None:
        self.shown: Snapshot[T] | None = None  # the change to which the last step led
        self._task = task
        self._callbacks = callbacks
        self._report = report
        self._record: Record[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_busy = self._is_out_of_time = False

    def check_idle(self) -> None:
        """Raise if a step is under way already, or the wait began in another event loop."""
        self._loop = running_loop("wait", self._loop, closed=False)
        if self._is_busy:
            msg = f"{self._record}: its watch is already being advanced: make one for each task"
            raise RuntimeError(msg)

    async def advance(self) -> Snapshot[T] | None:
        """Wait for the next change or the end, and return the successful end."""
        self.check_idle()
        record = self._begin()
        self._is_busy, self.shown = True, None
        try:
            ended = await self._advance(record)
        except BaseException as error:
            self._end(record, error)
            is_cancelled = self._callbacks.cancel_after(error, is_out_of_time=self._is_out_of_time)
            if is_cancelled and self._is_last():
                await cancel_remote(self._task, report=self._report, record=record)
            raise
        finally:
            self._is_busy = False
        if ended is not None:
            self._end(record, None)
        return ended

    def leave(self) -> None:
        """Stop waiting."""

    def _begin(self) -> Record[Any]:
        """Begin, unless it has begun, and return what is known of the task."""
        raise NotImplementedError  # pragma: no cover

    async def _advance(self, record: Record[Any]) -> Snapshot[T] | None:
        """Do the same as `advance`, without the work of an end."""
        raise NotImplementedError  # pragma: no cover

    def _end(self, record: Record[Any], error: BaseException | None) -> None:
        """Record that the wait is over."""
        raise NotImplementedError  # pragma: no cover

    def _is_last(self) -> bool:
        """Return whether no one else waits for the task here."""
        return True


async def result_of(wait: Steps[T]) -> T:
    """Return the answer with which a wait ends."""
    while (ended := await wait.advance()) is None:
        pass
    return ended.result


class Watch(Generic[T]):
    """An async iterator of one task's changes, made by `watch`; one step at a time.

    It is closed when it is freed, or by `contextlib.aclosing` when its block ends.
    """

    def __init__(self, wait: Steps[T]) -> None:
        self._wait = wait
        self._error: Exception | None = None
        self._over = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Snapshot[T]:
        self._wait.check_idle()
        error, self._error = self._error, None
        if error is not None:
            raise error
        if self._over:
            raise StopAsyncIteration
        self._over = True  # unless a change is shown that is not the last one
        try:
            ended = await self._wait.advance()
        except Exception as error:
            shown = self._wait.shown
            if shown is None:
                raise
            # The change comes first; an end that it shows is no error here.
            shows_end = shown.state is not None and shown.state.is_terminal
            self._error = None if shows_end and isinstance(error, TaskError) else error
        else:
            self._over = ended is not None
        if self._wait.shown is None:
            raise StopAsyncIteration
        return self._wait.shown

    async def aclose(self) -> None:
        """Stop waiting: there are no more changes. Closing twice is harmless.

        Raises:
            RuntimeError: a step is under way.
        """
        self._wait.check_idle()
        self._over, self._error = True, None
        self._wait.leave()
