"""One task to its end: the loop that looks, sleeps and reports."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from random import Random
from typing import Generic, Literal, Self, TypeVar, cast

import anyio
import msgspec

from asyncclient._arguments import one_of, optional_function, seconds
from asyncclient._event_loop import failure_of, running_loop
from asyncclient._schedule import Pacing, checked_rng, checked_schedule, drawing
from asyncclient._state import Snapshot, Vocabulary, Word
from asyncclient._task import Task, task_of, trait
from asyncclient._waiting import evidence
from asyncclient._waiting.gaps import gaps_of
from asyncclient._waiting.polling import Polling
from asyncclient._waiting.record import Limits, Record, change_between, limits_of
from asyncclient._waiting.report import Report
from asyncclient._waiting.rules import SAME_INSTANT, AskCaller, Sleep, TimeLimit, first_silence
from asyncclient.errors import TaskError, WaitTimeout

T = TypeVar("T")

_report = Report("asyncclient.wait")

# Seconds. A remote cancel on the way out must not hold up the caller's own cancellation for long.
_CANCEL_SECONDS = 5.0
# Seconds. An `on_change` that hangs on the last change must not keep the result for ever.
_LAST_CALLBACK_SECONDS = 5.0


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

    It looks at once, then by the schedule or the provider's hint, and at last on the deadline.

    Args:
        task: a provider's handle, any `Task`, or an async function of no arguments that asks once
            (then `vocabulary` and `status` say how to read its answer).
        timeout: seconds for the whole wait. Default 600. The last poll, sent on the deadline, may
            take up to 5 s more where any poll was answered before.
        schedule: the gaps between polls. Default `Schedule()`: 1 s growing to 15 s.
        on_change: called with the snapshot at each change of word or progress; may be async.
        on_blocked: called likewise when only the caller can move the task on, which it does.
        unknown: `"wait"` waits on at a status word in no vocabulary, `"raise"` raises.
        on_cancel: `"cancel"` also cancels the remote job, where the provider can, for 5 s at most.
        on_timeout: the same for a wait that times out.
        poll_timeout: seconds for one poll; a longer one counts as failed. Default 60.
        max_outage: seconds of nothing but failed polls that are tolerated, and 10 polls at least;
            `math.inf` tolerates them to the deadline. Default 120.
        vocabulary: for an async function: the API's status words.
        status: for an async function: from an answer to its status word.
        rng: draws the jitter, so that the same seed gives the same waits.

    Raises:
        TaskFailed, TaskCancelled, TaskExpired: the task ended so.
        TaskBlocked: only the caller can move it on, and there is no `on_blocked`.
        WaitTimeout: it has not ended in time; it may go on.
        UnknownStatus: see `unknown`; also after several answers without any word.
        AuthenticationFailed, PermissionDenied, InvalidRequest, QuotaExceeded: asking is refused.
        TransportError, ServerError, RateLimited, DecodeError: too many polls in a row failed.
    """
    wait = _Wait(
        task_of(task, vocabulary, status),
        timeout=timeout,
        schedule=schedule,
        on_change=on_change,
        on_blocked=on_blocked,
        on_cancel=on_cancel,
        on_timeout=on_timeout,
        limits=limits_of(unknown, poll_timeout, max_outage),
        rng=rng,
    )
    while (ended := await wait.advance()) is None:
        pass
    return ended.result


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

    It ends with the task: the last snapshot shows its terminal state, success or not. What is not
    an end that the provider shows is raised: `WaitTimeout`, `TaskBlocked` (after the snapshot that
    shows it), `TaskExpired` for a task that the provider does not know, and all that
    `wait_until_done` raises for polls; the arguments are its own too. The timeout
    runs from the first step of the iteration. Leaving the loop early leaves nothing behind.
    """
    return Watch(
        _Wait(
            task_of(task, vocabulary, status),
            timeout=timeout,
            schedule=schedule,
            on_change=None,
            on_blocked=on_blocked,
            on_cancel=on_cancel,
            on_timeout=on_timeout,
            limits=limits_of(unknown, poll_timeout, max_outage),
            rng=rng,
        )
    )


class Watch(Generic[T]):
    """An async iterator of one task's changes, made by `watch`; one step at a time."""

    def __init__(self, wait: _Wait[T]) -> None:
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
            if self._wait.shown is None:
                raise
            # The change comes first; an end that it shows is no error here.
            self._error = None if isinstance(error, TaskError) else error
        else:
            self._over = ended is not None
        if self._wait.shown is None:
            raise StopAsyncIteration
        return self._wait.shown


class _Wait(Generic[T]):
    """One task's wait, advanced from change to change."""

    def __init__(
        self,
        task: Task[T],
        *,
        timeout: float,
        schedule: Pacing | None,
        on_change: Callable[[Snapshot[T]], object] | None,
        on_blocked: Callable[[Snapshot[T]], object] | None,
        on_cancel: Literal["leave", "cancel"],
        on_timeout: Literal["leave", "cancel"],
        limits: Limits,
        rng: Random | None,
    ) -> None:
        self._task = task
        self._timeout = seconds("timeout", timeout)
        self._gaps = gaps_of(checked_schedule(schedule), checked_rng(rng))
        self._on_change = optional_function("on_change", on_change, "a snapshot")
        self._on_blocked = optional_function("on_blocked", on_blocked, "a snapshot")
        self._on_cancel = one_of("on_cancel", on_cancel, ("leave", "cancel"))
        self._on_timeout = one_of("on_timeout", on_timeout, ("leave", "cancel"))
        self._limits = limits
        self._polling: Polling[Record[T]] = Polling(_report, self._gaps, drawing(rng))
        self._record: Record[T] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._term = TimeLimit(0.0, math.inf)
        self._due = -math.inf
        self._is_looking = self._is_busy = self._is_out_of_time = False
        self._unshown: Snapshot[T] | None = None
        self.shown: Snapshot[T] | None = None

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
        except GeneratorExit as error:
            # Closed without a loop, as when the interpreter ends: nothing can be asked any more.
            _report.ended(record, error)
            raise
        except BaseException as error:
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            reaction = self._on_timeout if self._is_out_of_time else self._on_cancel
            if (cancelled or self._is_out_of_time) and reaction == "cancel":
                await self._cancel_remote(record)
            _report.ended(record, error)
            raise
        finally:
            self._is_busy = False
        if ended is not None:
            _report.ended(record, None)
        return ended

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
            if self._unshown is not None:
                # Out of the scope: what has ended in time is not made a timeout by a callback.
                left = max(0.0, self._term.deadline - anyio.current_time())
                with anyio.move_on_after(left + _LAST_CALLBACK_SECONDS):
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
            self._due = self._term.final = now
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
            scope.deadline = self._term.end_of_look(record, now)
            step = await self._look(record)
            if step is None:
                return record.snapshot
            if isinstance(step, AskCaller) and self._on_blocked is None:
                raise evidence.blocked(record, anyio.current_time() - record.began)
            await self._show(record)
            if isinstance(step, AskCaller):
                await self._ask(record, step)
            self._rest(record, step)
            if self.shown is not None:
                return None

    async def _look(self, record: Record[T]) -> Sleep | None:
        before = record.snapshot
        self._is_looking = True
        try:
            step = await self._polling.look(record)
            self._is_looking = False
        except Exception:
            self._is_looking = False
            raise
        finally:
            self._unshown = change_between(before, record.snapshot)
        return step

    async def _show(self, record: Record[T]) -> None:
        """Tell the caller of a change."""
        snapshot, self._unshown = self._unshown, None
        if snapshot is not None:
            self.shown = snapshot
            with _report.around(record):
                _report.changed(record, snapshot)
                await _call(self._on_change, snapshot)

    async def _ask(self, record: Record[T], step: AskCaller) -> None:
        """Have the caller meet a demand; after the last look that comes too late."""
        if record.snapshot is not None and not self._term.is_over(record.sent):
            with _report.around(record):
                await _call(self._on_blocked, record.snapshot)
            record.rare = msgspec.structs.replace(
                record.rare, demand=step.demand, answered_at=anyio.current_time()
            )

    def _rest(self, record: Record[T], sleep: Sleep) -> None:
        """Set when the next look is due, or raise if there is no time for one."""
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
        if self._is_looking:
            self._is_looking = False
            record = self._polling.cut_off(record, now, shared=False)
        self._term.prolong(record, None, now)
        is_over = now >= self._term.limit(record, now) - SAME_INSTANT
        if is_over or not self._term.stalled:
            raise self._out_of_time(record, now)
        self._due = self._term.final = now

    def _out_of_time(self, record: Record[T], now: float) -> WaitTimeout:
        self._is_out_of_time = True
        return evidence.out_of_time(
            record, now - record.began, timeout=self._timeout, retry_after=self._term.refused
        )

    async def _cancel_remote(self, record: Record[T]) -> None:
        cancel = cast("Callable[[], Awaitable[object]] | None", trait(self._task, "cancel"))
        if cancel is None:
            return

        async def send() -> None:
            with anyio.move_on_after(_CANCEL_SECONDS):
                await cancel()

        # A task of its own, since a second cancellation of the caller would break it off here.
        sending = asyncio.ensure_future(send())
        with anyio.CancelScope(shield=True):
            while not sending.done():
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.wait({sending})
        error = None if sending.cancelled() else sending.exception()
        if error is not None:
            _report.not_cancelled(record, error)


async def _call(callback: Callable[[Snapshot[T]], object] | None, snapshot: Snapshot[T]) -> None:
    if callback is None:
        return
    try:
        outcome = callback(snapshot)
        if isawaitable(outcome):
            await outcome
    except (StopAsyncIteration, asyncio.CancelledError) as error:
        raise failure_of(error, "a callback") from error
