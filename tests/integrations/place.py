"""A place for tests of durable waits: an engine, a worker's poller, a fake service and a sink."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import time
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any, Generic, TypeVar, cast

import anyio
import pytest

from asyncclient import (
    Done,
    LearnedSchedule,
    Poller,
    Schedule,
    Task,
    TaskRef,
    TaskState,
    Vocabulary,
    polling_task,
)
from asyncclient._durable import TicketExpired
from asyncclient.integrations import _neighbours
from asyncclient.integrations._engine import DurableWaits
from asyncclient.integrations._outcome import Outcome

FAST = Schedule(first=0.02, cap=0.05)
WORDS = Vocabulary(running="running", succeeded="done", failed="broken")

T = TypeVar("T")
W = TypeVar("W", bound=DurableWaits)


@pytest.fixture
def anyio_backend() -> str:
    """Give the real clock, by which servers and engines go."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Let an engine read what it reads when it starts: its own version, its statements."""


async def eventually(condition: Callable[[], bool], patience: float = 15.0) -> None:
    """Wait until something is so, by the real clock."""
    with anyio.fail_after(patience):
        while not condition():  # noqa: ASYNC110  (an engine sets no event here)
            await asyncio.sleep(0.01)


def ref_of(number: int, seconds: float = 0.0, word: str = "done") -> TaskRef:
    """Make the reference of a job that ends after some seconds, as the fake service reads it."""
    ids = {"id": str(number), "ends": f"{time.time() + seconds:.3f}", "word": word}
    return TaskRef("fake", "job", ids)


def knowing(times: int = 100) -> LearnedSchedule:
    """Return a schedule that has seen some items, of 30 s each."""
    schedule, rng = LearnedSchedule(), Random(0)
    for _ in range(times):
        schedule.observe(30 * rng.uniform(0.95, 1.05), kind="fake.item")
    return schedule


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers hear of each other in tenths of seconds."""
    for name, value in {"COUNT_GAP": 0.1, "LEASE": 2.0, "ROOM_SECONDS": 1.0}.items():
        monkeypatch.setattr(_neighbours, f"_{name}", value)


@dataclass
class Place(Generic[W]):
    """An engine's waits, a worker's poller, the fake service and a sink that takes notes."""

    waits: W
    poller: Poller
    reported: list[tuple[str, Done[object] | TicketExpired]] = field(
        default_factory=list[tuple[str, Done[object] | TicketExpired]]
    )
    polls: int = 0  # that reached the service
    ahead: float = 0.0  # seconds by which the service's clock is ahead
    sink_fails: int = 0  # how often the sink raises
    sink_hangs: int = 0  # how often it does not return

    def task_of(self, ref: TaskRef) -> Task[object]:
        """Ask the fake service."""

        async def fetch() -> str:
            self.polls += 1
            now = time.time() + self.ahead
            return ref.ids["word"] if now >= float(ref.ids["ends"]) else "running"

        return polling_task(fetch, vocabulary=WORDS, status=str, key=ref.ids["id"], kind="fake.job")

    async def sink(self, key: str, end: Done[object] | TicketExpired) -> None:
        """Take an end."""
        if self.sink_fails:
            self.sink_fails -= 1
            raise OSError("the sink's own trouble")
        if self.sink_hangs:
            self.sink_hangs -= 1
            await asyncio.Event().wait()
        self.reported.append((key, end))

    @contextlib.asynccontextmanager
    async def worker(
        self,
        hold: float = 0.2,
        *,
        sink_timeout: float = 60.0,
        share_rate: bool = True,
        share_learned: bool = True,
    ) -> AsyncGenerator[asyncio.Future[None]]:
        """Run a worker beside."""
        work = self.waits.work(
            self.poller,
            self.task_of,
            self.sink,
            hold=hold,
            schedule=FAST,
            sink_timeout=sink_timeout,
            share_rate=share_rate,
            share_learned=share_learned,
        )
        working = asyncio.ensure_future(work)
        try:
            yield working
        finally:
            working.cancel()
            await asyncio.wait({working})

    async def until(self, number: int) -> None:
        """Wait until that many ends were reported."""
        await eventually(lambda: len(self.reported) >= number)

    async def outcome(self, key: str) -> Outcome:
        """Return how a wait has ended."""
        outcome = await self.waits.outcome(key)
        assert outcome is not None
        return outcome

    def states(self) -> dict[str, TaskState | None]:
        """Return what was reported."""
        return {key: end.state for key, end in self.reported}


_life: ContextVar[Life | None] = ContextVar("_life", default=None)
# What no longer goes on would clean up when it is freed: this is not, not even at the very end.
_left: list[object] = []
ctypes.pythonapi.Py_IncRef(ctypes.py_object(_left))


class Life:
    """Runs coroutines until it is over, as a process does that is killed.

    From then on nothing that was started in it goes on, and nothing cleans up after itself.
    """

    def __init__(self) -> None:
        self.is_over = False

    def start(self, worker: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin it with one coroutine; every task that this starts lives in it, too."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_task_of)
        context = copy_context()
        context.run(_life.set, self)
        return loop.create_task(worker, context=context)

    async def live(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, or to that of this life."""
        return await self._steps(coroutine)

    @types.coroutine
    def _steps(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, None, T]:
        thrown: BaseException | None = None
        while not self.is_over:
            try:
                waits_for = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration as end:
                return cast("T", end.value)
            thrown = None
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  (it is the coroutine's)
                thrown = error
        _left.append(coroutine)
        if not isinstance(thrown, asyncio.CancelledError):  # else the test's loop comes to its end
            yield from asyncio.get_running_loop().create_future()
        raise asyncio.CancelledError


def _task_of(
    loop: asyncio.AbstractEventLoop,
    coroutine: Generator[Any, None, T] | Coroutine[Any, Any, T],
    /,
    *,
    name: str | None = None,
    context: Context | None = None,
) -> asyncio.Task[T]:
    life = (context or copy_context()).get(_life)
    if life is not None and not isinstance(coroutine, Generator):
        coroutine = life.live(coroutine)
    return asyncio.Task(coroutine, loop=loop, name=name, context=context)
