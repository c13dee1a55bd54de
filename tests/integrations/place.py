"""A place for tests of durable waits: an engine, a worker's poller, a fake service and a sink."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from random import Random
from typing import Generic, TypeVar

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
from tests.integrations.killing import eventually

FAST = Schedule(first=0.02, cap=0.05)
WORDS = Vocabulary(running="running", succeeded="done", failed="broken")

W = TypeVar("W", bound=DurableWaits)


@pytest.fixture
def anyio_backend() -> str:
    """Give the real clock, by which servers and engines go."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Let an engine read what it reads when it starts: its own version, its statements."""


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
    for name, value in {"COUNT_GAP": 0.1, "LEASE": 0.5, "ROOM_SECONDS": 0.2}.items():
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

    def states(self) -> dict[str, TaskState | None]:
        """Return what was reported."""
        return {key: end.state for key, end in self.reported}
