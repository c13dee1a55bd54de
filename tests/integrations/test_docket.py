"""Durable waits kept by docket, on its server in memory; the clock is real, and docket's own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeAlias, cast

import anyio
import msgspec
import pytest

pytest.importorskip("docket")

from docket import Docket, Worker

from asyncclient import Poller
from asyncclient._ticket import Ticket
from asyncclient.integrations import docket as adapter
from asyncclient.integrations.docket import DocketWaits, Learned, with_connections
from tests.integrations import place as places
from tests.integrations.killing import eventually
from tests.integrations.place import FAST, Place, ref_of

OnDocket: TypeAlias = Place[DocketWaits]
PATIENCE = 15.0

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls


@pytest.fixture
async def place(request: pytest.FixtureRequest) -> AsyncGenerator[OnDocket]:
    """Give a place whose docket bears the test's name."""
    waits = DocketWaits("memory://", name=str(cast("object", request.node.name)))
    async with waits, Poller(schedule=FAST) as poller:
        yield Place(waits, poller)


async def test_a_process_that_only_submits_runs_nothing(place: OnDocket) -> None:
    """A worker started beside `submit` alone puts tickets back, instead of dropping them."""
    await place.waits.submit(ref_of(1), key="order")
    async with Worker(place.waits.docket, schedule_automatic_tasks=False) as worker:
        working = asyncio.ensure_future(worker.run_forever())
        await asyncio.sleep(0.3)
        working.cancel()
        await asyncio.wait({working})
    assert await place.waits.ticket("order") is not None


async def test_any_docket_worker_can_hold_waits(place: OnDocket) -> None:
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


async def test_a_docket_of_ones_own_stays_open() -> None:
    """What is given is not closed, and keeps its own settings."""
    async with Docket(name="mine", url="memory://") as docket:
        async with DocketWaits(docket) as waits:
            assert waits.docket is docket
        assert await DocketWaits(docket).submit(ref_of(1), key="order")


async def test_only_one_text_is_kept(place: OnDocket) -> None:
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
    """A name, a concurrency, a time to keep or a key that cannot be says so."""
    with pytest.raises(ValueError, match="concurrency"):
        DocketWaits("memory://", concurrency=0)
    with pytest.raises(ValueError, match="keep"):
        DocketWaits("memory://", keep=float("inf"))
    for name in ("orders[eu]", "orders*", "orders?", "a\\b", "^a"):
        with pytest.raises(ValueError, match="another name"):
            DocketWaits("memory://", name=name)
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
    place: OnDocket, monkeypatch: pytest.MonkeyPatch
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


async def test_workers_exchange_what_they_have_learned(place: OnDocket) -> None:
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
