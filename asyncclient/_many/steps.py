"""A shared wait with callbacks, in steps: its caller takes out changes, demands and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar, cast

from asyncclient._event_loop import runs_elsewhere
from asyncclient._many.inbox import Inbox
from asyncclient._many.loop import PollLoop
from asyncclient._many.shared import SharedRecord, Waiter
from asyncclient._state import Snapshot
from asyncclient._task import Task
from asyncclient._waiting import SAME_INSTANT, Callbacks, Limits, Record, Report, Steps, call
from asyncclient.errors import WaitTimeout

T = TypeVar("T")

_report = Report("asyncclient.poller")


class Terms(NamedTuple):
    """A wait's timeout and limits, and how much its delay matters."""

    timeout: float
    limits: Limits
    weight: float


class _Begun(NamedTuple):
    poll_loop: PollLoop
    record: SharedRecord
    waiter: Waiter
    inbox: Inbox


class SharedSteps(Steps[T], Generic[T]):
    """One of any number of waits for a task, which share its looks."""

    def __init__(
        self, start: Callable[[], PollLoop], task: Task[T], callbacks: Callbacks[T], terms: Terms
    ) -> None:
        super().__init__(task, callbacks, _report)
        self._start = start
        self._terms = terms
        self._begun: _Begun | None = None

    def leave(self) -> None:
        """Stop waiting; when the last waiter leaves, the looks stop."""
        if self._begun is not None and not self._begun.poll_loop.loop.is_closed():
            self._begun.poll_loop.leave(self._begun.waiter)

    def __del__(self) -> None:
        begun = self._begun
        if begun is None or begun.waiter.record is None:
            return
        if runs_elsewhere(begun.poll_loop.loop):  # it may be collected in any thread
            begun.poll_loop.loop.call_soon_threadsafe(begun.poll_loop.leave, begun.waiter)
        else:
            self.leave()

    def _begin(self) -> Record[Any]:
        if self._begun is None:
            poll_loop = self._start()
            inbox = Inbox(poll_loop.loop)
            timeout, limits, weight = self._terms
            waiter = poll_loop.submit(
                self._task, inbox, timeout=timeout, limits=limits, weight=weight
            )
            poll_loop.watch_deadline(waiter, waiter.deadline)
            can_answer = self._callbacks.on_blocked is not None
            record = inbox.begin(waiter, poll_loop.demands if can_answer else None)
            self._record = record
            self._begun = _Begun(poll_loop, record, waiter, inbox)
        return self._begun.record

    async def _advance(self, record: Record[Any]) -> Snapshot[T] | None:
        inbox = cast("_Begun", self._begun).inbox
        while True:
            await inbox.wait()
            if inbox.changes:
                self.shown = cast("Snapshot[T]", inbox.changes.popleft())
                await self._call(self._callbacks.on_change, self.shown, record, inbox)
                if inbox.changes:
                    return None
            if inbox.offered is not None:
                blocked = cast("Snapshot[T]", inbox.begin_answer(inbox.offered))
                await self._call(self._callbacks.on_blocked, blocked, record, inbox)
                inbox.end_answer()
            if inbox.done is not None and not inbox.changes:
                if inbox.done.error is None:
                    return cast("Snapshot[T]", record.snapshot)
                # The error of another wait, which a look may raise, comes before the deadline.
                is_late = inbox.done.elapsed >= self._terms.timeout - SAME_INSTANT
                self._is_out_of_time = is_late and isinstance(inbox.done.error, WaitTimeout)
                raise inbox.done.error
            if self.shown is not None:
                return None

    async def _call(
        self,
        callback: Callable[[Snapshot[T]], object] | None,
        snapshot: Snapshot[T],
        record: Record[Any],
        inbox: Inbox,
    ) -> None:
        """Call a callback; it is cancelled when its wait's time is up, and nothing follows."""
        inbox.bound = bound = asyncio.timeout(None)
        try:
            async with bound:
                inbox.cut_off_at(inbox.until)
                await call(callback, snapshot, report=_report, record=record)
        except TimeoutError as error:
            if not (bound.expired() and isinstance(error.__cause__, asyncio.CancelledError)):
                raise  # the callback's own
            inbox.changes.clear()
        finally:
            inbox.bound = None

    def _end(self, record: Record[Any], error: BaseException | None) -> None:
        del record, error
        self.leave()

    def _is_last(self) -> bool:
        """Return whether no other waiter is here, and no one cancels the task already."""
        poll_loop, record, _, _ = cast("_Begun", self._begun)
        # Another account may wait for the same job, and a wait may have begun since.
        others = record.first is not None or poll_loop.registry.is_awaited(record)
        if others or record.flight is not None:
            return False
        record.flight = asyncio.current_task()
        return True
