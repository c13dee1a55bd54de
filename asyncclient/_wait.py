"""Loop two: one task to its end. It polls, sleeps and reports; `_decide` decides."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Hashable, Iterator
from inspect import isawaitable, iscoroutine
from random import Random
from typing import Generic, Literal, Self, TypeGuard, TypeVar, cast

import anyio

from asyncclient._arguments import number, one_of
from asyncclient._decide import (
    Ask,
    Course,
    Facts,
    Raise,
    Return,
    Rules,
    Sleep,
    Step,
    fit,
    last_poll_grace,
)
from asyncclient._learning import LearnedSchedule
from asyncclient._pace import Pace
from asyncclient._report import Report
from asyncclient._schedule import Backoff, Pacing, Schedule, drawing
from asyncclient._state import Snapshot, TaskState, Vocabulary
from asyncclient._task import Task, TaskRef, polling_task
from asyncclient._wire import Answer, seconds_asked
from asyncclient.errors import AsyncClientError, RequestTimeout, TaskError

__all__ = ["Watch", "wait_until_done", "watch"]

T = TypeVar("T")
Callback = TypeVar("Callback", bound=Callable[..., object])

_report = Report("asyncclient.wait")

_DEFAULT_SCHEDULE = Schedule()
# However long a task is thought to take, it is asked about before so much of the timeout is over:
# the last poll needs to know how long answers take.
LATEST_FIRST_POLL = 0.75
_ERROR_BACKOFF = Backoff(first=1.0, cap=30.0)
# A remote cancel on the way out must not hold up the caller's own cancellation for long.
_CANCEL_SECONDS = 5.0
# An `on_change` that hangs on the last change must not keep the result for ever.
_LAST_CALL = 5.0


async def wait_until_done(
    task: Task[T] | Callable[[], Awaitable[T]],
    *,
    timeout: float = 600.0,
    schedule: Pacing | None = None,
    on_change: Callable[[Snapshot[T]], object] | None = None,
    on_blocked: Callable[[Snapshot[T]], object] | None = None,
    unknown: Literal["wait", "raise"] = "wait",
    on_cancel: Literal["leave", "cancel"] = "leave",
    vocabulary: Vocabulary | None = None,
    status: Callable[[T], str | int | None] | None = None,
    rng: Random | None = None,
) -> T:
    """Wait for one task to end, and return the provider's typed final answer.

    It polls at once, then by the schedule or the provider's own hint, whichever is later; the last
    poll falls on the deadline. Failed polls are not failures of the task: they are borne and
    repeated, until more than 10 in a row have failed over more than two minutes.

    Args:
        task: a provider's handle, any `Task`, or an async function of no arguments that asks once
            (then `vocabulary` and `status` say how to read its answer).
        timeout: seconds for the whole wait, a hanging request included. Default 600. A poll that
            is under way then may still be answered: within twice what the slowest answer took, a
            quarter of a second at least and 5 s at most.
        schedule: the gaps between polls. Default `Schedule()`: 1 s growing to 15 s.
        on_change: called with the snapshot at each change of word or progress, the first and the
            last included; may be async.
        on_blocked: called with the snapshot when only the caller can move the task on; it does
            so (it may be async), and the wait goes on.
        unknown: `"wait"` waits on at a status word in no vocabulary, `"raise"` raises.
        on_cancel: `"cancel"` also cancels the remote job when this wait is cancelled, where the
            provider can (bounded to 5 s); `"leave"` leaves it running.
        vocabulary: for an async function: the API's status words.
        status: for an async function: from an answer to its status word.
        rng: draws the jitter, so that the same seed gives the same waits.

    Returns:
        what the last `poll()` returned.

    Raises:
        TaskFailed, TaskCancelled, TaskExpired: the task ended so.
        TaskBlocked: only the caller can move it on, and there is no `on_blocked`.
        WaitTimeout: it has not ended in time; it may go on.
        UnknownStatus: see `unknown`; also after several answers without any word.
        AuthenticationFailed, PermissionDenied, InvalidRequest, QuotaExceeded: asking is refused.
        TransportError, ServerError, RateLimited, DecodeError: too many polls in a row failed.
        TypeError, ValueError: an argument cannot be; nothing was sent.
    """
    wait = _Wait(
        _task_of(task, vocabulary, status),
        timeout=timeout,
        schedule=schedule,
        on_change=on_change,
        on_blocked=on_blocked,
        unknown=unknown,
        on_cancel=on_cancel,
        rng=rng,
    )
    while True:
        snapshot, error = await wait.advance()
        if error is not None:
            raise error
        if snapshot is not None and snapshot.state is TaskState.SUCCEEDED:
            return snapshot.result


def watch(
    task: Task[T] | Callable[[], Awaitable[T]],
    *,
    timeout: float = 600.0,
    schedule: Pacing | None = None,
    on_blocked: Callable[[Snapshot[T]], object] | None = None,
    unknown: Literal["wait", "raise"] = "wait",
    on_cancel: Literal["leave", "cancel"] = "leave",
    vocabulary: Vocabulary | None = None,
    status: Callable[[T], str | int | None] | None = None,
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
            _task_of(task, vocabulary, status),
            timeout=timeout,
            schedule=schedule,
            on_change=None,
            on_blocked=on_blocked,
            unknown=unknown,
            on_cancel=on_cancel,
            rng=rng,
        )
    )


class Watch(Generic[T]):
    """An async iterator of one task's changes, made by `watch`; one step at a time."""

    __slots__ = ("_error", "_over", "_wait")

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
        snapshot, error = await self._wait.advance()
        if snapshot is None:
            raise StopAsyncIteration if error is None else error
        if not isinstance(error, TaskError):
            self._error = error
            self._over = snapshot.state is TaskState.SUCCEEDED or error is not None
        return snapshot


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
        unknown: Literal["wait", "raise"],
        on_cancel: Literal["leave", "cancel"],
        rng: Random | None,
    ) -> None:
        self._task = task
        self._timeout = seconds("timeout", timeout)
        paced = pacing(schedule)
        draw = drawing(generator(rng))
        self._pace = Pace(paced, draw) if isinstance(paced, LearnedSchedule) else None
        self._delays = paced.delays(rng)
        self._delay = 1.0
        self._rng = rng
        self._error_delays: Iterator[float] | None = None
        self._on_change = callback("on_change", on_change)
        self._on_blocked = callback("on_blocked", on_blocked)
        self._on_cancel = one_of("on_cancel", on_cancel, ("leave", "cancel"))
        self._rules = Rules(unknown=one_of("unknown", unknown, ("wait", "raise")))
        self._reading = Reading(task)
        self._course: Course[T] | None = None
        self._deadline = math.inf
        self._due = self._sent = -math.inf
        self._last = False
        self._polling = False
        self._slowest: float | None = None
        self._busy = False

    def check_idle(self) -> None:
        """Raise if a step is under way already."""
        if self._busy:
            msg = f"{self._reading}: its watch is already being advanced: make one for each task"
            raise RuntimeError(msg)

    async def advance(self) -> tuple[Snapshot[T] | None, Exception | None]:
        """Wait for the next change or the end.

        Returns:
            the snapshot that shows a change (None when there was none), and the error that ends
            the wait with it (None when it goes on, or has ended well).

        Raises:
            WaitTimeout: it has not ended in time.
        """
        self.check_idle()
        course = self._begin()
        self._busy = True
        try:
            changed, end = await self._advance(course)
        except GeneratorExit as error:
            # Closed without a loop, as when the interpreter ends: nothing can be asked any more.
            _report.ended(course, error)
            raise
        except BaseException as error:
            cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            if cancelled and self._on_cancel == "cancel":
                await self._cancel_remote(course)
            _report.ended(course, error)
            raise
        finally:
            self._busy = False
        failure = end.error if isinstance(end, Raise) else None
        if end is not None:
            _report.ended(course, failure)
        return changed, failure

    async def _advance(
        self, course: Course[T]
    ) -> tuple[Snapshot[T] | None, Return[T] | Raise | None]:
        changed: Snapshot[T] | None = None
        end: Return[T] | Raise | None = None
        # One scope for many polls, none open between two steps: a caller may hold an iterator
        # across tasks, which a scope must not be.
        with anyio.CancelScope(deadline=self._limit()) as scope:
            changed, end = await self._until_change(course, scope)
        if scope.cancelled_caught:
            raise self._cut_off(course)
        if end is not None:
            # Out of the scope: what has ended in time is not made a timeout by a callback.
            left = max(0.0, self._deadline - anyio.current_time())
            with anyio.move_on_after(left + _LAST_CALL):
                await self._tell(course, changed)
        return changed, end

    def _begin(self) -> Course[T]:
        now = anyio.current_time()
        if self._course is None:
            ref = self._reading.ref
            self._course = Course(self._reading, self._rules, now, ref, age_of(ref))
            _report.began(self._course)
            if self._pace is not None:
                silence = self._pace.silence(self._course, self._reading.kind)
                self._due = now + min(silence, self._timeout * LATEST_FIRST_POLL)
            self._deadline = now + self._timeout
        elif now > max(self._deadline, self._due):
            # The caller kept the iterator past the deadline: it still gets its last poll.
            self._due, self._last = now, True
        return self._course

    async def _until_change(
        self, course: Course[T], scope: anyio.CancelScope
    ) -> tuple[Snapshot[T] | None, Return[T] | Raise | None]:
        while True:
            limit = self._limit()
            if scope.deadline != limit:
                scope.deadline = limit
            await self._sleep_until_due()
            before = course.snapshot
            with _report.around(course):
                step = await self._poll(course)
            changed = change_between(before, course.snapshot)
            if isinstance(step, Ask) and self._on_blocked is None:
                step = Raise(step.error)
            if isinstance(step, Return | Raise):
                return changed, step
            await self._tell(course, changed)
            if isinstance(step, Ask):
                step = await self._ask(course, step)
            self._rest(course, step)
            if changed is not None:
                return changed, None

    async def _tell(self, course: Course[T], changed: Snapshot[T] | None) -> None:
        if changed is not None:
            with _report.around(course):
                _report.changed(course, changed)
                await _call(self._on_change, changed)

    async def _poll(self, course: Course[T]) -> Step[T]:
        started = self._sent = anyio.current_time()
        self._polling = True
        try:
            result = await self._task.poll()
            facts = self._reading.facts(result)
        except Exception as error:  # noqa: BLE001  (which ones end the wait is a rule, not a clause)
            self._polling = False
            now = anyio.current_time()
            # A failure takes about as long as an answer would; only a timeout says nothing of that.
            took = 0.0 if isinstance(error, TimeoutError) else now - started
            self._slowest = max(took, self._slowest or 0.0)
            step = course.after_error(
                error,
                delay=self._next_error_delay(),
                now=now,
                transient=self._reading.transient,
            )
            _report.failed(
                course,
                error,
                seconds=now - started,
                borne=isinstance(step, Sleep),
                first=course.failures == 1,
            )
            return step
        self._polling = False
        now = anyio.current_time()
        took = now - started
        self._slowest = max(took, self._slowest or 0.0)
        self._error_delays = None
        unknown_before = len(course.unknown_words)
        if self._pace is None:
            self._delay = next(self._delays, self._delay)
        else:
            self._delay = self._pace.gap(
                course, self._reading.kind, facts.state, sent=started, now=now
            )
        before = course.snapshot
        answer = course.after_answer(facts, delay=self._delay, took=took, now=now)
        if self._pace is not None:
            self._pace.learn(course, self._reading.kind, before, took=facts.took)
        if len(course.unknown_words) > unknown_before:
            _report.unknown(course, facts.word)
        _report.answered(course, facts.word, seconds=took)
        return answer

    def _rest(self, course: Course[T], sleep: Sleep) -> None:
        """Set when the next poll is due, or raise if there is no time for one."""
        now = anyio.current_time()
        fitted = fit(
            sleep,
            now=now,
            deadline=self._deadline,
            asked=self._sent,
            slowest=self._slowest or 0.0,
        )
        if fitted is None or self._last:
            unmet = sleep.hint is not None and sleep.hint > self._deadline - now
            raise course.out_of_time(
                now, timeout=self._timeout, retry_after=sleep.hint if unmet else None
            )
        cut = fitted.last and now < self._deadline
        self._due = self._deadline if cut else now + fitted.seconds
        self._last = fitted.last

    async def _sleep_until_due(self) -> None:
        # A sleep of 0 still gives way: a `poll` that never does must not hold up the event loop.
        await anyio.sleep(max(0.0, self._due - anyio.current_time()))

    async def _ask(self, course: Course[T], step: Ask) -> Sleep:
        if course.snapshot is not None and not self._last:
            with _report.around(course):
                await _call(self._on_blocked, course.snapshot)
            course.met(step.block, anyio.current_time())
        return step.then

    def _limit(self) -> float:
        latest = max(self._deadline, self._due) if self._last else self._deadline
        return latest + last_poll_grace(self._slowest)

    def _next_error_delay(self) -> float:
        if self._error_delays is None:
            self._error_delays = _ERROR_BACKOFF.delays(self._rng)
        return next(self._error_delays)

    def _cut_off(self, course: Course[T]) -> AsyncClientError:
        """Make the error for a poll (or a callback) that was under way at the deadline."""
        now = anyio.current_time()
        if self._polling:
            self._polling = False
            course.polls += 1
            course.last_error = RequestTimeout("a poll was still unanswered at the deadline")
            _report.cut_off(course, course.last_error, seconds=now - self._sent)
        return course.out_of_time(now, timeout=self._timeout)

    async def _cancel_remote(self, course: Course[T]) -> None:
        cancel: Callable[[], Awaitable[object]] | None = getattr(self._task, "cancel", None)
        if cancel is None:
            return
        with anyio.move_on_after(_CANCEL_SECONDS, shield=True):
            try:
                await cancel()
            except Exception as error:  # noqa: BLE001  (the caller's cancellation goes on regardless)
                _report.not_cancelled(course, error)


def age_of(ref: TaskRef | None) -> float:
    """Return for how many seconds a task has existed, as far as is known."""
    if ref is None or ref.created is None:
        return 0.0
    # References bear wall-clock times, since they are made in one process and read in another.
    return max(0.0, time.time() - ref.created - 1)  # noqa: TID251  (cut down to whole seconds)


class Reading(Generic[T]):
    """How to read a task's answers, with its optional traits; its text names the task.

    Args:
        task: the task.
    """

    __slots__ = ("task",)

    def __init__(self, task: Task[T]) -> None:
        self.task = task

    @property
    def ref(self) -> TaskRef | None:
        """The task's portable reference, if it has one."""
        ref: object = getattr(self.task, "ref", None)
        return ref if isinstance(ref, TaskRef) else None

    @property
    def transient(self) -> tuple[type[Exception], ...]:
        """Further exceptions of `poll` that are worth repeating."""
        transient: object = getattr(self.task, "transient", ())
        return cast("tuple[type[Exception], ...]", transient)

    @property
    def kind(self) -> str:
        """Which tasks are alike."""
        return str(getattr(self.task, "kind", type(self.task).__name__))

    def facts(self, result: T) -> Facts[T]:
        """Return what an answer says, as far as the rules care."""
        state = self.task.state_of(result)
        word = self._trait("word_of", result)
        response = result.response if isinstance(result, Answer) else None
        hint = reason = block = took = None
        if state is not None and state.is_terminal:
            took = _finite(self._trait("duration_of", result))
        if state is None or not state.is_terminal:
            hint = _finite(self._trait("hint_of", result))
            if hint is None and response is not None:
                hint = seconds_asked(response)
        if state is TaskState.BLOCKED:
            block = self._trait("block_of", result)
        if state is not TaskState.SUCCEEDED:
            reason = self._trait("reason_of", result)
        return Facts(
            state,
            word if isinstance(word, str | int) else None,
            result,
            raw=None if response is None else response.body,
            reason=None if reason is None else str(reason),
            progress=_finite(self._trait("progress_of", result)),
            block=block if isinstance(block, Hashable) else None,
            hint=hint,
            took=took,
        )

    def _trait(self, name: str, result: T) -> object:
        trait: Callable[[T], object] | None = getattr(self.task, name, None)
        return None if trait is None else trait(result)

    def __str__(self) -> str:
        if self.ref is not None:
            return str(self.ref)
        # The default key of a task made of a function is that function: it tells a reader nothing.
        key: object = getattr(self.task, "key", None)
        told = "" if key is None or callable(key) else f" {key!r}"
        return f"{getattr(self.task, 'kind', type(self.task).__name__)}{told}"


def _finite(value: object) -> float | None:
    try:
        return value if isinstance(value, int | float) and math.isfinite(value) else None
    except OverflowError:  # a whole number that no float can hold
        return None


def change_between(before: Snapshot[T] | None, after: Snapshot[T] | None) -> Snapshot[T] | None:
    """Return the newer snapshot if it shows a change, else None."""
    if after is None or after is before:
        return None
    if before is None or (after.state, after.word, after.progress) != (
        before.state,
        before.word,
        before.progress,
    ):
        return after
    return None


async def _call(callback: Callable[[Snapshot[T]], object] | None, snapshot: Snapshot[T]) -> None:
    if callback is not None:
        outcome = callback(snapshot)
        if isawaitable(outcome):
            await outcome


def _task_of(
    task: Task[T] | Callable[[], Awaitable[T]],
    vocabulary: Vocabulary | None,
    status: Callable[[T], str | int | None] | None,
) -> Task[T]:
    if _is_task(task) and not isinstance(task, type):
        if vocabulary is not None or status is not None:
            msg = "vocabulary= and status= go with an async function; a task has its own"
            raise TypeError(msg)
        return task
    if iscoroutine(task):
        task.close()  # or Python would complain a second time, that it was never awaited
    if vocabulary is None or status is None or isinstance(task, type | TaskRef):
        raise TypeError(
            f"cannot wait for {type(task).__name__}: "
            + how_to_wait(task, "an async function of no arguments with vocabulary= and status=")
        )
    fetch = cast("Callable[[], Awaitable[T]]", task)
    return polling_task(fetch, vocabulary=vocabulary, status=status)


def how_to_wait(wrong: object, other: str) -> str:
    """Say what to pass instead of what is no task.

    Args:
        wrong: what was passed.
        other: what will do beside a task.
    """
    if isinstance(wrong, TaskRef):
        return f"a reference is waited for as its provider's task: pass {wrong.provider}.task(ref)"
    return f"pass a task (what start_...() returns; await it first), or {other}"


def _is_task(task: Task[T] | Callable[[], Awaitable[T]]) -> TypeGuard[Task[T]]:
    return hasattr(task, "poll") and hasattr(task, "state_of")


def pacing(schedule: Pacing | None) -> Pacing:
    """Return the schedule to use, checked."""
    if schedule is None:
        return _DEFAULT_SCHEDULE
    if isinstance(schedule, type) or not callable(getattr(schedule, "delays", None)):
        msg = f"schedule must be a Schedule, not {type(schedule).__name__}: try Schedule(first=...)"
        raise TypeError(msg)
    return schedule


def seconds(name: str, value: object) -> float:
    """Return a timeout in seconds, checked; `math.inf` is allowed for those who mean it."""
    advice = " (math.inf for no limit; to look once, await task.poll())"
    return number(name, value, unit="seconds", above=0, finite=False, advice=advice)


def callback(name: str, value: Callback | None) -> Callback | None:
    """Return a function or None, checked."""
    if value is not None and not callable(value):
        msg = f"{name} must be a function of a snapshot, not {type(value).__name__}"
        raise TypeError(msg)
    return value


def generator(rng: Random | None) -> Random | None:
    """Return a random generator or None, checked."""
    if rng is not None and not callable(getattr(rng, "uniform", None)):
        msg = f"rng must be a random.Random, not {type(rng).__name__}: try random.Random({rng!r})"
        raise TypeError(msg)
    return rng
