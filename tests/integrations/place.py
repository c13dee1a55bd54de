"""One place for tests of durable waits: an engine, a worker's poller, a fake service and a sink."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import pytest

from asyncclient import Done, Poller, Schedule, Task, TaskRef, TaskState, Vocabulary, polling_task
from asyncclient._durable import TicketExpired
from asyncclient.errors import ServerError
from asyncclient.integrations._engine import DurableWaits
from tests.integrations.killing import eventually

FAST = Schedule(first=0.02, cap=0.05)
WORDS = Vocabulary(running="running", succeeded="done", failed="broken")


W = TypeVar("W", bound=DurableWaits)


@pytest.fixture
def anyio_backend() -> str:
    """Give the real clock, which servers and engines go by."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Let an engine read what it reads when it starts: its own version, its statements."""


def ref_of(
    number: int, seconds: float = 0.0, word: str = "done", provider: str = "fake"
) -> TaskRef:
    """Make the reference of a job that has so long to go, as the fake service reads it."""
    ids = {"id": str(number), "ends": f"{time.time() + seconds:.3f}", "word": word}
    return TaskRef(provider, "job", ids)


@dataclass
class Place(Generic[W]):
    """An engine's waits, a worker's poller, the fake service and a sink that takes notes."""

    waits: W
    poller: Poller
    reported: list[tuple[str, Done[object] | TicketExpired]] = field(
        default_factory=list[tuple[str, Done[object] | TicketExpired]]
    )
    polls: int = 0
    in_sink: float = 0.0
    sink_fails: int = 0
    most_at_a_time: int = 0
    _at_a_time: int = 0

    def task_of(self, ref: TaskRef) -> Task[object]:
        """Ask the fake service."""
        if ref.provider != "fake":
            raise LookupError(ref.provider)

        async def fetch() -> str:
            self.polls += 1
            if ref.ids["word"] == "down":
                raise ServerError("down", status=502)
            return ref.ids["word"] if time.time() >= float(ref.ids["ends"]) else "running"

        return polling_task(
            fetch, vocabulary=WORDS, status=lambda word: word, key=ref.ids["id"], kind="fake.job"
        )

    async def sink(self, key: str, end: Done[object] | TicketExpired) -> None:
        """Take an end."""
        self._at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self._at_a_time)
        try:
            await asyncio.sleep(self.in_sink)
            if self.sink_fails:
                self.sink_fails -= 1
                raise OSError("the sink's own trouble")
            self.reported.append((key, end))
        finally:
            self._at_a_time -= 1

    @contextlib.asynccontextmanager
    async def worker(self, hold: float = 0.2) -> AsyncGenerator[asyncio.Future[None]]:
        """Run a worker beside."""
        work = self.waits.work(self.poller, self.task_of, self.sink, hold=hold, schedule=FAST)
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
