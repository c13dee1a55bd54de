"""Durable waits kept by docket, on its server in memory; the clock is real, and docket's own."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import cast

import anyio
import msgspec
import pytest

pytest.importorskip("docket")

from docket import Docket, Worker

from asyncclient import Done, Poller, Schedule, TaskRef, TaskState, Vocabulary, polling_task
from asyncclient._ticket import AnyTask, Expired, Ticket
from asyncclient.errors import ServerError, TaskFailed
from asyncclient.integrations import _turns as turns
from asyncclient.integrations import docket as adapter
from asyncclient.integrations.docket import DocketWaits, Learned, with_connections
from tests.integrations.killing import eventually

FAST = Schedule(first=0.02, cap=0.05)
WORDS = Vocabulary(running="running", succeeded="done", failed="broken")
PATIENCE = 15.0


@pytest.fixture
def anyio_backend() -> str:
    """Give the real clock, which servers and engines go by."""
    return "asyncio"


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Let docket read what it reads when it starts."""


def ref_of(
    number: int, seconds: float = 0.0, word: str = "done", provider: str = "fake"
) -> TaskRef:
    """Make the reference of a job that has so long to go, as the fake service reads it."""
    ids = {"id": str(number), "ends": f"{time.time() + seconds:.3f}", "word": word}
    return TaskRef(provider, "job", ids)


@dataclass
class Place:
    """A docket of its own, a worker's poller, the fake service and a sink that takes notes."""

    waits: DocketWaits
    poller: Poller
    told: list[tuple[str, Done[object] | Expired]] = field(
        default_factory=list[tuple[str, Done[object] | Expired]]
    )
    polls: int = 0
    in_sink: float = 0.0
    sink_fails: int = 0
    most_at_a_time: int = 0
    _at_a_time: int = 0

    def task_of(self, ref: TaskRef) -> AnyTask:
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

    async def sink(self, key: str, end: Done[object] | Expired) -> None:
        """Take an end."""
        self._at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self._at_a_time)
        try:
            await asyncio.sleep(self.in_sink)
            if self.sink_fails:
                self.sink_fails -= 1
                raise OSError("the sink's own trouble")
            self.told.append((key, end))
        finally:
            self._at_a_time -= 1

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
async def place(request: pytest.FixtureRequest) -> AsyncGenerator[Place]:
    """Give a place whose docket bears the test's name."""
    waits = DocketWaits("memory://", name=str(cast("object", request.node.name)))
    async with waits, Poller(schedule=FAST) as poller:
        yield Place(waits, poller)


async def test_every_wait_is_told_once_in_its_right_state(place: Place) -> None:
    """Waits that take many slices, or none, good ones and bad ones, end as they should."""
    words = {f"order-{number}": "broken" if number % 3 == 0 else "done" for number in range(30)}
    for number, (key, word) in enumerate(words.items()):
        assert await place.waits.submit(ref_of(number, number / 20, word), key=key)
    async with place.worker():
        await place.until(30)
        await asyncio.sleep(0.5)
    assert len(place.told) == 30
    expected = {"done": TaskState.SUCCEEDED, "broken": TaskState.FAILED}
    assert place.states() == {key: expected[word] for key, word in words.items()}


async def test_the_same_key_twice_is_one_wait(place: Place) -> None:
    """While it is pending and after it has ended, a key cannot be submitted again."""
    assert await place.waits.submit(ref_of(1, 0.2), key="order")
    assert not await place.waits.submit(ref_of(2, 0.0, "broken"), key="order")
    refs = {"order": ref_of(3), "other": ref_of(4, 0.2)}
    assert await place.waits.submit_many(refs) == ["other"]
    async with place.worker():
        await asyncio.sleep(0.1)
        assert not await place.waits.submit(ref_of(5), key="order")
        await place.until(2)
        await asyncio.sleep(0.2)
        assert not await place.waits.submit(ref_of(6), key="order")
        assert await place.waits.submit_many({"order": ref_of(7)}) == []
        await asyncio.sleep(0.3)
    assert [key for key, _ in place.told] == ["order", "other"] or len(place.told) == 2
    assert place.states()["order"] is TaskState.SUCCEEDED


async def test_an_outcome_is_read_by_its_key(place: Place) -> None:
    """Anyone can read how a wait ended, as plain JSON; before that, its ticket."""
    assert await place.waits.outcome("good") is None
    assert await place.waits.ticket("good") is None
    await place.waits.submit(ref_of(1, 0.1), key="good")
    await place.waits.submit(ref_of(2, 0.0, "broken"), key="bad")
    ticket = await place.waits.ticket("good")
    assert ticket is not None
    assert ticket.ref.ids["id"] == "1"
    async with place.worker():
        await place.until(2)
        await asyncio.sleep(0.2)
    good, bad = await place.waits.outcome("good"), await place.waits.outcome("bad")
    assert good is not None
    assert (good.how, good.state, good.result) == ("done", TaskState.SUCCEEDED, "done")
    assert bad is not None
    assert (bad.how, bad.state, bad.error_type) == ("done", TaskState.FAILED, TaskFailed.__name__)
    assert await place.waits.ticket("good") is None


async def test_a_cancelled_wait_is_polled_and_told_no_more(place: Place) -> None:
    """A wait can be called off before a worker has it, while it is held, and between slices."""
    await place.waits.submit(ref_of(1, 0.3), key="never held")
    assert await place.waits.cancel("never held")
    async with place.worker(hold=0.1):
        await place.waits.submit(ref_of(2, 3600), key="held")
        await asyncio.sleep(0.3)
        assert place.polls
        assert await place.waits.cancel("held")
        await asyncio.sleep(0.1)
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


async def test_a_wait_that_is_not_over_in_time_expires(place: Place) -> None:
    """The deadline holds over all slices, and its error is told as any other end."""
    await place.waits.submit(ref_of(1, 3600), key="slow", timeout=1.0)
    async with place.worker(hold=0.2):
        await place.until(1)
    ((key, end),) = place.told
    assert key == "slow"
    assert isinstance(end, Expired)
    outcome = await place.waits.outcome("slow")
    assert outcome is None or outcome.how == "expired"


async def test_a_sink_that_fails_is_called_again(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end is told until the sink has taken it."""
    monkeypatch.setattr(turns, "_TROUBLE", 0.1)
    place.sink_fails = 2
    await place.waits.submit(ref_of(1), key="order")
    async with place.worker():
        await place.until(1)
        await asyncio.sleep(0.5)
    assert place.states() == {"order": TaskState.SUCCEEDED}
    assert len(place.told) == 1


async def test_a_worker_without_the_client_loses_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker cannot hold, or cannot read, stays with the engine until one can."""
    monkeypatch.setattr(turns, "_TROUBLE", 0.05)
    await place.waits.submit(ref_of(1, provider="other"), key="order")
    async with place.worker():
        await asyncio.sleep(0.3)
    assert place.told == []
    ticket = await place.waits.ticket("order")
    assert ticket is not None
    assert ticket.ref.provider == "other"


async def test_a_process_that_only_submits_runs_nothing(place: Place) -> None:
    """A worker started beside `submit` alone puts tickets back, instead of dropping them."""
    await place.waits.submit(ref_of(1), key="order")
    async with Worker(place.waits.docket, schedule_automatic_tasks=False) as worker:
        working = asyncio.ensure_future(worker.run_forever())
        await asyncio.sleep(0.3)
        working.cancel()
        await asyncio.wait({working})
    assert await place.waits.ticket("order") is not None


async def test_a_stopped_worker_hands_its_waits_back_at_once(place: Place) -> None:
    """A shutdown does not last a slice, and the next worker goes on where it was."""
    for number in range(50):
        await place.waits.submit(ref_of(number, 6.0), key=f"order-{number}")
    async with place.worker(hold=60) as working:
        await eventually(lambda: place.polls >= 50)
        working.cancel()
        await asyncio.wait({working})
        assert working.cancelled()
        assert not place.told  # or it would have waited for them
    async with place.worker():
        await place.until(50)
    assert len(place.told) == 50


async def test_any_docket_worker_can_hold_waits(place: Place) -> None:
    """The task goes into a worker of one's own, beside other tasks; its stop hands waits back."""
    place.waits.task(place.poller, place.task_of, place.sink, hold=60, schedule=FAST)
    await place.waits.submit(ref_of(1), key="quick")
    await place.waits.submit(ref_of(2, 3600), key="slow")
    async with Worker(place.waits.docket, redelivery_timeout=timedelta(seconds=30)) as worker:
        working = asyncio.ensure_future(worker.run_forever())
        await place.until(1)
        working.cancel()
        with anyio.fail_after(PATIENCE):
            await asyncio.wait({working})
    assert await place.waits.ticket("slow") is not None


async def test_ends_are_told_few_at_a_time(place: Place) -> None:
    """So many ends at most are with the sink when a worker is killed, and told twice."""
    place.in_sink = 0.05
    await place.waits.submit_many({f"order-{number}": ref_of(number) for number in range(100)})
    async with place.worker():
        await place.until(100)
    assert 1 < place.most_at_a_time <= 32


async def test_a_docket_of_ones_own_stays_open() -> None:
    """What is given is not closed, and keeps its own settings."""
    async with Docket(name="mine", url="memory://") as docket:
        async with DocketWaits(docket) as waits:
            assert waits.docket is docket
        assert await DocketWaits(docket).submit(ref_of(1), key="order")


async def test_only_one_text_is_kept(place: Place) -> None:
    """The only argument is the ticket's text: no object of this library is pickled."""
    await place.waits.submit(ref_of(1), key="order")
    execution = await place.waits.docket.get_execution("order")
    assert execution is not None
    assert execution.kwargs == {}
    (text,) = execution.args
    assert isinstance(Ticket.decode(text), Ticket)
    msgspec.json.decode(text)


def test_the_url_gets_the_connections_that_the_waits_need() -> None:
    """With docket's 100 connections, a worker of more waits would fail for ever."""
    assert with_connections("redis://h:1/0", 1000) == "redis://h:1/0?max_connections=2064"
    own = "rediss://u:p@h/2?max_connections=50&ssl_cert_reqs=none"
    assert with_connections(own, 1000) == own
    assert with_connections("memory://", 1000) == "memory://"
    assert "p%40ss" in with_connections("redis://u:p%40ss@h/0", 10)


def test_bad_arguments_are_refused_before_anything_is_kept() -> None:
    """A concurrency, a time to keep or a key that cannot be says so."""
    with pytest.raises(ValueError, match="concurrency"):
        DocketWaits("memory://", concurrency=0)
    with pytest.raises(ValueError, match="keep"):
        DocketWaits("memory://", keep=float("inf"))
    waits = DocketWaits("memory://")
    with pytest.raises(ValueError, match="empty"):
        asyncio.run(waits.submit(ref_of(1), key=""))
    with pytest.raises(TypeError, match="int"):
        asyncio.run(waits.submit(ref_of(1), key=cast("str", 7)))


def test_a_password_is_not_shown() -> None:
    """The server's URL, which may bear one, is in no repr."""
    assert "SECRET" not in repr(DocketWaits("redis://u:SECRET@127.0.0.1:1/0"))


def test_the_engine_is_imported_by_its_module_alone() -> None:
    """`import asyncclient` costs nothing of docket, which takes a second or two."""
    code = "import sys, asyncclient; sys.exit('docket' in sys.modules or 'redis' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603  (this Python)


async def test_workers_share_one_rate_by_their_number(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each worker is told how many there are, again when one comes or goes, and loses no wait."""
    monkeypatch.setattr(adapter, "_SHARE_GAP", 0.05)
    place.waits.docket.heartbeat_interval = timedelta(seconds=0.1)
    asked: dict[str, list[int]] = {"one": [], "two": []}
    made: list[Poller] = []

    def making(name: str, workers: int) -> Poller:
        asked[name].append(workers)
        made.append(Poller(rate=100 / workers, schedule=FAST))
        return made[-1]

    def work(name: str) -> asyncio.Task[None]:
        return asyncio.create_task(
            place.waits.work(
                partial(making, name),
                place.task_of,
                place.sink,
                hold=60,
                schedule=FAST,
                name=name,
            )
        )

    async def until(name: str, workers: int) -> None:
        await eventually(lambda: asked[name][-1:] == [workers])

    await place.waits.submit_many({f"order-{number}": ref_of(number, 3.0) for number in range(20)})
    one = work("one")
    await until("one", 1)
    await asyncio.sleep(0.3)
    two = work("two")
    await until("one", 2)
    await until("two", 2)
    two.cancel()
    await asyncio.wait({two})
    await until("one", 1)
    await place.until(20)
    one.cancel()
    await asyncio.wait({one})
    assert len(place.told) == 20
    assert all("closed" in repr(poller) for poller in made)


async def test_workers_exchange_what_they_have_learned(place: Place) -> None:
    """Each gets the latest of every other worker's own, and not its own back."""
    got: dict[str, list[Sequence[bytes]]] = {"one": [], "two": []}

    def seen(name: str) -> bytes:
        return f"{name} has seen {len(got[name])}".encode()

    def work(name: str) -> asyncio.Task[None]:
        learned = Learned(partial(seen, name), got[name].append, every=0.05)
        return asyncio.create_task(
            place.waits.work(place.poller, place.task_of, place.sink, name=name, learned=learned)
        )

    working = {work("one"), work("two")}
    await eventually(lambda: all(states and len(states[-1]) == 1 for states in got.values()))
    for task in working:
        task.cancel()
    await asyncio.wait(working)
    assert got["one"][-1][0].startswith(b"two has seen")
    assert got["two"][-1][0].startswith(b"one has seen")
