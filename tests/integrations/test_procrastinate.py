"""Durable waits kept by procrastinate, on its connector in memory; the clock is the real one."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("procrastinate")

from procrastinate import App
from procrastinate.testing import InMemoryConnector

from asyncclient import Done, Poller, Schedule, TaskRef, TaskState, Vocabulary, polling_task
from asyncclient._ticket import AnyTask, Expired, Ticket
from asyncclient.integrations.procrastinate import ProcrastinateWaits
from tests.integrations.killing import eventually

FAST = Schedule(first=0.02, cap=0.05)
WORDS = Vocabulary(running="running", succeeded="done", failed="broken")
PATIENCE = 15.0


@pytest.fixture
def anyio_backend() -> str:
    """Give the real clock, which the engine goes by."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Let the engine read what it reads."""


def ref_of(number: int, seconds: float = 0.0, word: str = "done") -> TaskRef:
    """Make the reference of a job that has so long to go, as the fake service reads it."""
    ids = {"id": str(number), "ends": f"{time.time() + seconds:.3f}", "word": word}
    return TaskRef("fake", "job", ids)


@dataclass
class Place:
    """An app in memory, a worker's poller, the fake service and a sink that takes notes."""

    connector: InMemoryConnector
    waits: ProcrastinateWaits
    poller: Poller
    told: list[tuple[str, Done[object] | Expired]] = field(
        default_factory=list[tuple[str, Done[object] | Expired]]
    )
    polls: int = 0

    def task_of(self, ref: TaskRef) -> AnyTask:
        """Ask the fake service."""

        async def fetch() -> str:
            self.polls += 1
            return ref.ids["word"] if time.time() >= float(ref.ids["ends"]) else "running"

        return polling_task(
            fetch, vocabulary=WORDS, status=lambda word: word, key=ref.ids["id"], kind="fake.job"
        )

    async def sink(self, key: str, end: Done[object] | Expired) -> None:
        """Take an end."""
        self.told.append((key, end))

    @contextlib.asynccontextmanager
    async def worker(self, hold: float = 0.2) -> AsyncGenerator[asyncio.Task[None]]:
        """Run a worker beside."""
        work = self.waits.work(self.poller, self.task_of, self.sink, hold=hold, schedule=FAST)
        working = asyncio.ensure_future(work)
        try:
            yield working
        finally:
            working.cancel()
            await asyncio.wait({working})

    async def until(self, number: int) -> None:
        """Wait until so many ends were told."""
        await eventually(lambda: len(self.told) >= number)

    def states(self) -> dict[str, TaskState | None]:
        """Return what was told."""
        return {key: end.state for key, end in self.told}


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    """Give a place of its own."""
    connector = InMemoryConnector()
    app = App(connector=connector)
    async with app.open_async(), Poller(schedule=FAST) as poller:
        yield Place(connector, ProcrastinateWaits(app), poller)


async def test_every_wait_is_told_once_in_its_right_state(place: Place) -> None:
    """Waits that take many slices, or none, good ones and bad ones, end as they should."""
    words = {f"order-{number}": "broken" if number % 3 == 0 else "done" for number in range(20)}
    for number, (key, word) in enumerate(words.items()):
        assert await place.waits.submit(ref_of(number, number / 10, word), key=key)
    async with place.worker():
        await place.until(20)
        await asyncio.sleep(0.5)
    assert len(place.told) == 20
    expected = {"done": TaskState.SUCCEEDED, "broken": TaskState.FAILED}
    assert place.states() == {key: expected[word] for key, word in words.items()}


async def test_the_same_key_twice_is_one_wait(place: Place) -> None:
    """While it is queued, while it is held, and after it has ended."""
    assert await place.waits.submit(ref_of(1, 0.4), key="order")
    assert not await place.waits.submit(ref_of(2, 0.0, "broken"), key="order")
    refs = {"order": ref_of(3), "other": ref_of(4)}
    assert await place.waits.submit_many(refs) == ["other"]
    async with place.worker(hold=5):
        await eventually(lambda: place.polls > 0)
        assert not await place.waits.submit(ref_of(5), key="order")
        await place.until(2)
        await asyncio.sleep(0.2)
        assert not await place.waits.submit(ref_of(6), key="order")
    assert place.states()["order"] is TaskState.SUCCEEDED
    assert len(place.told) == 2


async def test_an_outcome_is_read_by_its_key(place: Place) -> None:
    """Anyone can read how a wait ended, as plain JSON; before that, its ticket."""
    assert await place.waits.outcome("good") is None
    assert await place.waits.ticket("good") is None
    await place.waits.submit(ref_of(1, 0.1), key="good")
    ticket = await place.waits.ticket("good")
    assert ticket is not None
    assert ticket.ref.ids["id"] == "1"
    async with place.worker():
        await place.until(1)
        await asyncio.sleep(0.2)
    good = await place.waits.outcome("good")
    assert good is not None
    assert (good.how, good.state, good.result) == ("done", TaskState.SUCCEEDED, "done")
    assert await place.waits.ticket("good") is None


async def test_a_cancelled_wait_is_polled_and_told_no_more(place: Place) -> None:
    """A wait can be called off before a worker has it, and while it is held."""
    await place.waits.submit(ref_of(1, 0.3), key="never held")
    assert await place.waits.cancel("never held")
    await place.waits.submit(ref_of(2, 3600), key="held")
    async with place.worker(hold=60):
        await eventually(lambda: place.polls > 0)
        assert await place.waits.cancel("held")
        await asyncio.sleep(1.0)
        polls = place.polls
        await asyncio.sleep(0.5)
        assert place.polls == polls
    assert place.told == []
    for key in ("never held", "held"):
        outcome = await place.waits.outcome(key)
        assert outcome is not None
        assert outcome.how == "cancelled"
        assert not await place.waits.cancel(key)
    assert not await place.waits.cancel("unknown")


async def test_a_stopped_worker_hands_its_waits_back_at_once(place: Place) -> None:
    """A shutdown does not last a slice, and the next worker goes on where it was."""
    for number in range(10):
        await place.waits.submit(ref_of(number, 6.0), key=f"order-{number}")
    async with place.worker(hold=60) as working:
        await eventually(lambda: place.polls >= 10)
        working.cancel()
        await asyncio.wait({working})
        assert working.cancelled()
        assert not place.told  # or it would have waited for them
    async with place.worker():
        await place.until(10)
    assert len(place.told) == 10


async def test_a_dead_workers_waits_are_rescued(place: Place) -> None:
    """What a worker that is no longer heard of held is given back, and what it handed back is not.

    The mark of a job under way stays in the table when its worker is killed.
    """
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    place.connector.workers[7] = long_ago
    await place.waits.submit(ref_of(1), key="order")
    (job,) = (row for row in place.connector.jobs.values() if row["task_name"].endswith("_wait"))
    job.update(status="doing", worker_id=7)
    assert await place.waits.rescue(30) == 1
    assert await place.waits.rescue(30) == 0
    async with place.worker():
        await place.until(1)
    assert place.states() == {"order": TaskState.SUCCEEDED}


async def test_a_process_that_only_submits_runs_nothing(place: Place) -> None:
    """A worker started beside `submit` alone puts tickets back, instead of losing them."""
    await place.waits.submit(ref_of(1), key="order")
    await place.waits.app.run_worker_async(
        queues=["asyncclient"], wait=False, install_signal_handlers=False
    )
    ticket = await place.waits.ticket("order")
    assert isinstance(ticket, Ticket)


def test_bad_arguments_are_refused_before_anything_is_kept() -> None:
    """A concurrency, a time to keep or a key that cannot be says so."""
    app = App(connector=InMemoryConnector())
    with pytest.raises(ValueError, match="concurrency"):
        ProcrastinateWaits(app, concurrency=0)
    with pytest.raises(ValueError, match="keep"):
        ProcrastinateWaits(app, keep=float("inf"))
    with pytest.raises(ValueError, match="empty"):
        asyncio.run(ProcrastinateWaits(app).submit(ref_of(1), key=""))


def test_the_engine_is_imported_by_its_module_alone() -> None:
    """`import asyncclient` costs nothing of procrastinate."""
    code = "import sys, asyncclient; sys.exit('procrastinate' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603  (this Python)
