"""One wait to its end: the loop that looks, sleeps and reports."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from random import Random
from typing import Literal, TypeVar

import anyio

from asyncclient._arguments import seconds
from asyncclient._schedule import Pacing, checked_rng, checked_schedule, drawing
from asyncclient._state import Snapshot, Vocabulary, Word
from asyncclient._task import Task, task_of
from asyncclient._waiting import evidence
from asyncclient._waiting.callbacks import Callbacks, call, callbacks_of, end_of_callbacks
from asyncclient._waiting.gaps import gaps_of
from asyncclient._waiting.polling import Polling
from asyncclient._waiting.record import Limits, Record, limits_of
from asyncclient._waiting.report import Report
from asyncclient._waiting.rules import (
    SAME_INSTANT,
    AskCaller,
    Sleep,
    TimeLimit,
    first_silence,
    rare_after_handler,
    rare_while_asked,
)
from asyncclient._waiting.steps import Steps, Watch, result_of
from asyncclient.errors import WaitTimeout

T = TypeVar("T")

_report = Report("asyncclient.wait")


async def wait_until_done(
    task: Task[T] | Callable[[], Awaitable[T]],
    *,
    timeout: float = 600.0,
    schedule: Pacing | None = None,
    on_change: Callable[[Snapshot[T]], object] | None = None,
    on_blocked: Callable[[Snapshot[T]], object] | None = None,
    unknown: Literal["wait", "raise"] = "wait",
    on_cancel: Literal["leave", "cancel"] = "leave",
    on_timeout: Literal["leave", "cancel"] = "leave",
    poll_timeout: float = 60.0,
    max_outage: float = 120.0,
    vocabulary: Vocabulary | None = None,
    status: Callable[[T], Word | None] | None = None,
    rng: Random | None = None,
) -> T:
    """Wait for one task to end, and return the provider's typed final answer.

    It polls at once, then by the schedule or the provider's hint, and a last time on the deadline.

    Args:
        task: a provider's handle, any `Task`, or an async function of no arguments that asks once
            (then `vocabulary` and `status` say how to read its answer).
        timeout: seconds for the whole wait. Default 600. The last poll, sent on the deadline, may
            take up to 5 s more where any poll was answered before.
        schedule: the gaps between polls. Default `Schedule()`: 3 s growing to 60 s.
        on_change: called with the snapshot at each change of word or progress; may be async.
        on_blocked: called in the same way when the task waits for its caller; it must answer the
            task.
        unknown: `"wait"` keeps waiting at a status word in no vocabulary, `"raise"` raises. Default
            `"wait"`.
        on_cancel: `"cancel"` also cancels the remote job, where the provider can, for 5 s at most.
        on_timeout: the same for a wait that times out.
        poll_timeout: seconds for one poll; a longer one counts as failed. Default 60.
        max_outage: seconds of nothing but failed polls that are tolerated, and at least 10 polls;
            with `math.inf` they are tolerated until the deadline. Default 120.
        vocabulary: for an async function: the API's status words.
        status: for an async function: from an answer to its status word.
        rng: draws the jitter, so that the same seed gives the same waits.

    Raises:
        TaskFailed, TaskCancelled, TaskExpired: the task ended so.
        TaskBlocked: only the caller can move it on, and there is no `on_blocked`.
        WaitTimeout: it has not ended in time; it may still be running.
        UnknownStatus: see `unknown`; also after several answers without any word.
        AuthenticationFailed, PermissionDenied, InvalidRequest, QuotaExceeded: a poll is refused.
        TransportError, ServerError, RateLimited, DecodeError: too many polls in a row failed.
    """
    wait = _Wait(
        task_of(task, vocabulary, status),
        callbacks_of(on_change, on_blocked, on_cancel, on_timeout),
        timeout=timeout,
        schedule=schedule,
        limits=limits_of(unknown, poll_timeout, max_outage),
        rng=rng,
    )
    return await result_of(wait)


def watch(
    task: Task[T] | Callable[[], Awaitable[T]],
    *,
    timeout: float = 600.0,
    schedule: Pacing | None = None,
    on_blocked: Callable[[Snapshot[T]], object] | None = None,
    unknown: Literal["wait", "raise"] = "wait",
    on_cancel: Literal["leave", "cancel"] = "leave",
    on_timeout: Literal["leave", "cancel"] = "leave",
    poll_timeout: float = 60.0,
    max_outage: float = 120.0,
    vocabulary: Vocabulary | None = None,
    status: Callable[[T], Word | None] | None = None,
    rng: Random | None = None,
) -> Watch[T]:
    """Follow one task: an async iterator of snapshots, one for each change of word or progress.

    It ends with the task: the last snapshot shows its terminal state, success or not, and no error
    is raised for it. It raises `WaitTimeout`, `TaskBlocked` (after the snapshot that shows it),
    `TaskExpired` for a task that the provider does not know, and the errors of polls, as
    `wait_until_done` does, whose arguments it has. The timeout begins with the first step of the
    iteration. You may leave the loop early: nothing is left behind.
    """
    return Watch(
        _Wait(
            task_of(task, vocabulary, status),
            callbacks_of(None, on_blocked, on_cancel, on_timeout),
            timeout=timeout,
            schedule=schedule,
            limits=limits_of(unknown, poll_timeout, max_outage),
            rng=rng,
        )
    )


class _Wait(Steps[T]):
    """One task's wait, alone.

    It has more attributes than a class should: one wait's facts, and nothing else.
    """

    def __init__(
        self,
        task: Task[T],
        callbacks: Callbacks[T],
        *,
        timeout: float,
        schedule: Pacing | None,
        limits: Limits,
        rng: Random | None,
    ) -> None:
        super().__init__(task, callbacks, _report)
        self._timeout = seconds("timeout", timeout)
        self._gaps = gaps_of(checked_schedule(schedule), checked_rng(rng))
        self._limits = limits
        self._polling: Polling[Record[T]] = Polling(
            _report, self._gaps, drawing(rng), self._note_change
        )
        self._term = TimeLimit(0.0, math.inf)
        self._due = -math.inf
        self._is_looking = False
        self._unshown: Snapshot[T] | None = None

    async def _advance(self, record: Record[T]) -> Snapshot[T] | None:
        ended: Snapshot[T] | None = None
        try:
            while True:
                # One scope for many looks, none open between two steps: a caller may hold an
                # iterator across tasks, which a scope must not be.
                with anyio.CancelScope() as scope:
                    ended = await self._until_change(record, scope)
                if not scope.cancelled_caught:
                    break
                self._cut_off(record)
        finally:
            self._polling.close()  # a caller may leave between two steps
            if self._unshown is not None:
                # Out of the scope: a callback cannot turn an end in time into a timeout.
                until = end_of_callbacks(anyio.current_time(), self._term.deadline)
                with anyio.CancelScope(deadline=until):
                    await self._show(record)
        return ended

    def _begin(self) -> Record[T]:
        now = anyio.current_time()
        if self._record is None:
            record = Record(self._task, now, limits=self._limits)
            self._due = now + first_silence(self._gaps.first(record), self._timeout)
            self._term = TimeLimit(now, self._timeout)
            self._record = record
            _report.began(record)
        elif now > max(self._term.deadline, self._due):
            # The caller kept the iterator past the deadline: it still gets its last look.
            self._term.final = now
        return self._record

    async def _until_change(
        self, record: Record[T], scope: anyio.CancelScope
    ) -> Snapshot[T] | None:
        """Look until there is a change; return the successful end."""
        while True:
            scope.deadline = math.inf  # the sleep ends on the deadline at the latest
            # A sleep of 0 still gives way: a look that never does must not hold up the loop.
            await anyio.sleep(max(0.0, self._due - anyio.current_time()))
            now = anyio.current_time()
            scope.deadline = self._term.end_of_look(record, now, self._due)
            self._is_looking = True
            step = await self._polling.look(record)
            self._is_looking = False
            if step is None:
                return record.snapshot
            # Of the callbacks, too: a wait that has had an answer has longer than the first look.
            scope.deadline = self._term.ends = self._term.limit(record, None)
            if isinstance(step, AskCaller) and self._callbacks.on_blocked is None:
                raise evidence.blocked(record, anyio.current_time() - record.began)
            await self._show(record)
            if isinstance(step, AskCaller):
                await self._ask(record, step)
            self._rest(record, step)
            if self.shown is not None:
                return None

    def _note_change(self, _record: Record[T], snapshot: Snapshot[T]) -> None:
        self._unshown = snapshot

    async def _show(self, record: Record[T]) -> None:
        """Show the caller a change."""
        snapshot, self._unshown = self._unshown, None
        if snapshot is not None:
            self.shown = snapshot
            await call(self._callbacks.on_change, snapshot, report=_report, record=record)

    async def _ask(self, record: Record[T], step: AskCaller) -> None:
        """Ask the caller to answer a demand; after the last look that comes too late."""
        if record.snapshot is not None and not self._term.is_over(record.sent):
            record.rare = rare_while_asked(record, step.demand)
            handler = self._callbacks.on_blocked
            await call(handler, record.snapshot, report=_report, record=record)
            record.rare = rare_after_handler(record, answered_at=anyio.current_time())

    def _rest(self, record: Record[T], sleep: Sleep) -> None:
        """Set when the next look is due; raise if there is no time left."""
        now = anyio.current_time()
        self._term.prolong(record, None, now)
        due = self._term.due_after(sleep, record, now)
        if due is None:
            raise self._out_of_time(record, now)
        self._due = due
        _report.rests(record, due - now, sleep.why)

    def _cut_off(self, record: Record[T]) -> None:
        """End a look (or a callback) that was under way when the time was up.

        After a standstill of the event loop there is one look more. Else this raises.
        """
        now = anyio.current_time()
        is_last = self._is_looking and self._term.is_over(record.sent)
        if self._is_looking:
            self._is_looking = False
            record = self._polling.cut_off(record, now, shared=False)
        if not self._term.prolong(record, None, now):
            is_over = is_last or now >= self._term.limit(record, now) - SAME_INSTANT
            if is_over or not self._term.stalled:
                raise self._out_of_time(record, now)
        self._due = self._term.final = now

    def _out_of_time(self, record: Record[T], now: float) -> WaitTimeout:
        self._is_out_of_time = True
        return evidence.out_of_time(
            record, now - record.began, timeout=self._timeout, retry_after=self._term.refused
        )

    def _end(self, record: Record[T], error: BaseException | None) -> None:
        _report.ended(record, error)
