"""Fakes for tests of waiting: a remote job that answers by a script, and Coze's answers about one.

Everything is on the loop's clock, which is virtual here, so that the tests compare times exactly.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, Literal, Protocol, TypeAlias, TypedDict, TypeVar, Unpack, cast

import anyio
import anyio.lowlevel

from asyncclient import Observation, Schedule, Snapshot, Task, TaskRef, Vocabulary, Watch
from asyncclient._http import Response
from asyncclient._schedule import Pacing
from asyncclient.errors import AsyncClientError, ServerError
from asyncclient.providers.coze import Coze, WorkflowRunHandle
from asyncclient.testing import ScriptedTransport, VirtualTimeLoop, reply
from tests.loops import VirtualUvloop

T = TypeVar("T")

WORDS = Vocabulary(
    pending="queued",
    running="running",
    blocked="asks",
    succeeded="done",
    failed="broken",
    cancelled="stopped",
    expired="gone",
)
REF = TaskRef("fake", "job", {"id": "7"})

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
EVERY_4 = Schedule(first=4, factor=1, cap=4, jitter=0)
FAULT = ServerError("HTTP 503", status=503)

# Two instants that are this near to each other differ by the rounding of their sums only.
TICK = 1e-6


class Options(TypedDict, Generic[T], total=False):
    """What a caller may say of any wait."""

    timeout: float
    on_blocked: Callable[[Snapshot[T]], object] | None
    unknown: Literal["wait", "raise"]
    on_cancel: Literal["leave", "cancel"]
    on_timeout: Literal["leave", "cancel"]
    poll_timeout: float
    max_outage: float


class Driver(Protocol):
    """What waits for one task to its end, by the rules that all such loops share."""

    def __call__(
        self,
        task: Task[T],
        *,
        schedule: Pacing | None = None,
        rng: Random | None = None,
        on_change: Callable[[Snapshot[T]], object] | None = None,
        **options: Unpack[Options[T]],
    ) -> Awaitable[T]:
        """Wait for the task and return its final answer, or raise what the rules say."""
        ...


class Follower(Protocol):
    """What follows one task to its end, by the rules that all such iterators share."""

    def __call__(
        self, task: Task[T], *, schedule: Pacing | None = None, **options: Unpack[Options[T]]
    ) -> Watch[T]:
        """Return the changes of the task."""
        ...


class Thing:
    """A task that has nothing but what the protocol asks for, of any type.

    Args:
        key: its identity.
        kind: which tasks are alike.
        seen: what each look sees or raises.
    """

    def __init__(self, key: object, kind: object, *seen: object) -> None:
        self.key: Hashable = key
        self.kind = cast("str", kind)
        self._seen = iter(seen)

    async def observe(self) -> Observation[Any]:
        """Give what is to be seen next."""
        await anyio.lowlevel.checkpoint()
        seen = next(self._seen)
        if isinstance(seen, BaseException):
            raise seen
        return cast("Observation[Any]", seen)


@dataclass(frozen=True)
class Report:
    """What the fake service says about a job."""

    word: str | int | None
    progress: float | None = None
    hint: float | None = None
    demand: str | None = None
    reason: str | None = None


@dataclass
class Poll:
    """One request: when it was sent, and when it was answered or failed, if it was."""

    sent: float
    answered: float = math.inf


Entry: TypeAlias = Report | str | int | Exception | Callable[[float], Report | Exception] | None


class Job:
    """A remote job, a `Task` with all optional traits but `cancel`, whose service keeps a script.

    Args:
        script: what to answer, in order, the last one for ever: a report or its word alone (None
            for an answer without one), an exception to raise, or a function from the time at which
            the service looks to one of these.
        latency: seconds that each exchange takes; in turn, the last one for ever; `inf` hangs.
        arrival: the share of the latency after which the service looks at the job.
        ref: the job's portable reference.
        transient: the exceptions that the task declares worth repeating.

    Attributes:
        polls: the requests so far.
    """

    key: Hashable = "job-7"
    kind = "fake.job"

    def __init__(
        self,
        *script: Entry,
        latency: float | Sequence[float] = 0.0,
        arrival: float = 0.0,
        ref: TaskRef | None = REF,
        transient: object = (),
    ) -> None:
        self.ref = ref
        self.transient = transient
        self.polls: list[Poll] = []
        self._script = script
        self._latencies = [latency] if isinstance(latency, int | float) else [*latency]
        self._arrival = arrival
        self._busy = False

    @property
    def sent(self) -> list[float]:
        """When each poll was sent."""
        return [poll.sent for poll in self.polls]

    @property
    def gaps(self) -> list[float]:
        """The seconds from each answer to the next poll."""
        return [
            after.sent - before.answered
            for before, after in zip(self.polls, self.polls[1:], strict=False)
        ]

    async def observe(self) -> Observation[Report]:
        """Answer by the script, after the latency."""
        assert not self._busy, "two polls of one task at once"
        number = len(self.polls)
        poll = Poll(anyio.current_time())
        self.polls.append(poll)
        latency = self._latencies[min(number, len(self._latencies) - 1)]
        self._busy = True
        try:
            await _pass_time(latency * self._arrival)
            entry = self._script[min(number, len(self._script) - 1)]
            said = entry(anyio.current_time()) if callable(entry) else entry
            await _pass_time(latency * (1 - self._arrival))
        finally:
            self._busy = False
        poll.answered = anyio.current_time()
        if isinstance(said, Exception):
            raise said
        report = said if isinstance(said, Report) else Report(said)
        return Observation(
            WORDS.state_of(report.word),
            report.word,
            report,
            reason=report.reason,
            progress=report.progress,
            demand=report.demand,
            hint=report.hint,
        )


class CancellableJob(Job):
    """A job that its service can cancel, well or badly.

    Attributes:
        cancel_takes: seconds that the service takes for it; `inf` hangs.
        cancel_fails: what it raises.
        cancels: when each cancel was asked for.
        cancelled: when each was done.
    """

    cancel_takes = 0.0
    cancel_fails: Exception | None = None

    def __init__(self, *script: Entry, latency: float | Sequence[float] = 0.0) -> None:
        super().__init__(*script, latency=latency)
        self.cancels: list[float] = []
        self.cancelled: list[float] = []

    async def cancel(self) -> None:
        """Cancel the job."""
        self.cancels.append(anyio.current_time())
        await _pass_time(self.cancel_takes)
        if self.cancel_fails is not None:
            raise self.cancel_fails
        self.cancelled.append(anyio.current_time())


async def _pass_time(seconds: float) -> None:
    if seconds == math.inf:
        await anyio.sleep_forever()
    elif seconds > 0:
        await anyio.sleep(seconds)
    else:
        await anyio.lowlevel.checkpoint()


def ends_at(instant: float, word: str = "done") -> Callable[[float], Report]:
    """Make a script's entry by the service's clock: at work before an instant, ended from it on."""
    return lambda now: Report(word if now >= instant else "running")


@dataclass
class Outcome(Generic[T]):
    """How a wait ended: with a result or an error, and after how many seconds."""

    elapsed: float
    result: T | None = None
    error: Exception | None = None

    @property
    def evidence(self) -> AsyncClientError:
        """The error, which must be one of this library's."""
        assert isinstance(self.error, AsyncClientError), self.error
        return self.error


async def outcome_of(waiting: Awaitable[T]) -> Outcome[T]:
    """Await something to its end, good or bad; a failed assertion comes out."""
    began = anyio.current_time()
    try:
        result = await waiting
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001  (the test looks at it)
        return Outcome(anyio.current_time() - began, error=error)
    return Outcome(anyio.current_time() - began, result=result)


@dataclass
class Notes(Generic[T]):
    """A callback that keeps the snapshots it was called with, and when."""

    snapshots: list[Snapshot[T]] = field(default_factory=list[Snapshot[T]])
    times: list[float] = field(default_factory=list[float])

    def __call__(self, snapshot: Snapshot[T]) -> None:
        """Keep a snapshot."""
        self.snapshots.append(snapshot)
        self.times.append(anyio.current_time())

    @property
    def words(self) -> list[str | int | None]:
        """The words of the snapshots."""
        return [snapshot.word for snapshot in self.snapshots]


class Oops(TimeoutError):
    """An error of the caller's own, of a kind that a poll would be forgiven."""


async def hang(_snapshot: Snapshot[Any]) -> None:
    """Be a callback that never returns."""
    await anyio.sleep_forever()


async def words_of(watched: Watch[T]) -> list[str | int | None]:
    """Return the words of a watch's snapshots up to its end."""
    return [snapshot.word async for snapshot in watched]


def stand_still(seconds: float) -> None:
    """Block the event loop for some virtual seconds."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop | VirtualUvloop)
    loop.stand_still(seconds)


def other_tasks() -> set[asyncio.Task[object]]:
    """Return all asyncio tasks of the loop but the current one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


def run_of(
    transport: ScriptedTransport, token: Callable[[], Awaitable[str]] | None = None
) -> WorkflowRunHandle:
    """Return the handle of a Coze workflow run over a script."""
    return Coze(transport, token=token or "pat_fake").workflow_run("7350", "42")


def run_says(
    word: str | None,
    fields: Mapping[str, object] | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Make Coze's answer about a run, with further fields of the run."""
    run = {"execute_id": "42", "execute_status": word} | dict(fields or {})
    return reply({"code": 0, "msg": "", "data": [run]}, headers=headers)
