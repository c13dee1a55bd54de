"""Durable waits promise the same on every engine; each keeps them in memory here."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from random import Random
from typing import Protocol, TypeAlias, cast

import pytest

from asyncclient import LearnedSchedule, Poller, TaskState
from asyncclient._durable import TicketExpired
from asyncclient.errors import TaskFailed
from asyncclient.integrations import _holder, _neighbours
from asyncclient.integrations._engine import DurableWaits
from tests.integrations import place as places
from tests.integrations.killing import eventually
from tests.integrations.place import FAST, Place, ref_of

Somewhere: TypeAlias = Place[DurableWaits]

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls


class Engine(Protocol):
    """Makes what as many processes would have: the same waits again and again."""

    def __call__(self) -> contextlib.AbstractAsyncContextManager[DurableWaits]:
        """Give one process's."""
        ...


@pytest.fixture(params=["docket", "procrastinate"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Give each engine, empty."""
    pytest.importorskip(str(cast("object", request.param)))
    if request.param == "docket":
        from asyncclient.integrations.docket import DocketWaits  # noqa: PLC0415  (an extra)

        name = re.sub(r"\W", "-", str(cast("object", request.node.name)))
        return lambda: DocketWaits("memory://", name=name)
    from procrastinate import App  # noqa: PLC0415  (an extra)
    from procrastinate.testing import InMemoryConnector  # noqa: PLC0415  (an extra)

    from asyncclient.integrations.procrastinate import (  # noqa: PLC0415  (an extra)
        ProcrastinateWaits,
    )

    connector = InMemoryConnector()

    @contextlib.asynccontextmanager
    async def one() -> AsyncGenerator[DurableWaits]:
        async with App(connector=connector).open_async() as app:
            yield ProcrastinateWaits(app)

    return one


@pytest.fixture
async def place(engine: Engine) -> AsyncGenerator[Somewhere]:
    """Give a place on each engine."""
    async with engine() as waits, Poller(schedule=FAST) as poller:
        yield Place(waits, poller)


async def test_every_wait_is_reported_once_in_its_right_state(place: Somewhere) -> None:
    """Waits that take many slices, or none, good ones and bad ones, end as they should."""
    words = {f"order-{number}": "broken" if number % 3 == 0 else "done" for number in range(30)}
    for number, (key, word) in enumerate(words.items()):
        assert await place.waits.submit(ref_of(number, number / 15, word), key=key)
    async with place.worker():
        await place.until(30)
        await asyncio.sleep(0.5)
    assert len(place.reported) == 30
    expected = {"done": TaskState.SUCCEEDED, "broken": TaskState.FAILED}
    assert place.states() == {key: expected[word] for key, word in words.items()}


async def test_the_same_key_twice_is_one_wait(place: Somewhere) -> None:
    """While it is queued, while it is held, and after it has ended, a key is taken."""
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
        assert await place.waits.submit_many({"order": ref_of(7)}) == []
        await asyncio.sleep(0.3)
    assert place.states() == {"order": TaskState.SUCCEEDED, "other": TaskState.SUCCEEDED}
    assert len(place.reported) == 2


async def test_an_outcome_is_read_by_its_key(place: Somewhere) -> None:
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


@pytest.mark.parametrize("hold", [0.1, 60.0], ids=["between slices", "in a slice"])
async def test_a_cancelled_wait_is_polled_and_reported_no_more(
    place: Somewhere, hold: float
) -> None:
    """A wait can be called off before a worker has it, while it is held, and between slices."""
    await place.waits.submit(ref_of(1, 0.3), key="never held")
    assert await place.waits.cancel("never held")
    await place.waits.submit(ref_of(2, 3600), key="held")
    async with place.worker(hold=hold):
        await eventually(lambda: place.polls > 0)
        assert await place.waits.cancel("held")
        await asyncio.sleep(1.0)
        polls = place.polls
        await asyncio.sleep(0.5)
        assert place.polls == polls
    assert place.reported == []
    for key in ("never held", "held"):
        outcome = await place.waits.outcome(key)
        assert outcome is not None
        assert outcome.how == "cancelled"
        assert not await place.waits.cancel(key)
    assert not await place.waits.cancel("unknown")


async def test_a_wait_that_is_not_over_in_time_expires(place: Somewhere) -> None:
    """The deadline holds over all slices, and its error is reported as any other end."""
    await place.waits.submit(ref_of(1, 3600), key="slow", timeout=1.0)
    async with place.worker(hold=0.2):
        await place.until(1)
        await asyncio.sleep(0.2)
    ((key, end),) = place.reported
    assert key == "slow"
    assert isinstance(end, TicketExpired)
    outcome = await place.waits.outcome("slow")
    assert outcome is not None
    assert outcome.how == "expired"


async def test_a_sink_that_fails_is_called_again(
    place: Somewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end is reported until the sink has taken it."""
    monkeypatch.setattr(_holder, "_TROUBLE", 0.1)
    place.sink_fails = 2
    await place.waits.submit(ref_of(1), key="order")
    async with place.worker():
        await place.until(1)
        await asyncio.sleep(0.5)
    assert place.states() == {"order": TaskState.SUCCEEDED}
    assert len(place.reported) == 1


async def test_a_worker_without_the_client_loses_nothing(
    place: Somewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a worker cannot hold, or cannot read, stays with the engine until one can."""
    monkeypatch.setattr(_holder, "_TROUBLE", 0.05)
    await place.waits.submit(ref_of(1, provider="other"), key="order")
    async with place.worker():
        await asyncio.sleep(0.3)
    assert place.reported == []
    ticket = await place.waits.ticket("order")
    assert ticket is not None
    assert ticket.ref.provider == "other"


async def test_a_stopped_worker_hands_its_waits_back_at_once(place: Somewhere) -> None:
    """A shutdown does not last a slice, and the next worker goes on where it was."""
    for number in range(50):
        await place.waits.submit(ref_of(number, 6.0), key=f"order-{number}")
    async with place.worker(hold=60) as working:
        await eventually(lambda: place.polls >= 50)
        working.cancel()
        await asyncio.wait({working})
        assert working.cancelled()
        assert not place.reported  # or it would have waited for them
    async with place.worker():
        await place.until(50)
    assert len(place.reported) == 50


async def test_ends_are_reported_few_at_a_time(place: Somewhere) -> None:
    """No more ends are with the sink when a worker is killed, and then reported twice."""
    place.in_sink = 0.05
    await place.waits.submit_many({f"order-{number}": ref_of(number) for number in range(100)})
    async with place.worker():
        await place.until(100)
    assert 1 < place.most_at_a_time <= 32


def quickened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers hear of each other in tenths of seconds."""
    for name, value in {"COUNT_GAP": 0.1, "LEASE": 0.5, "ROOM_SECONDS": 0.2}.items():
        monkeypatch.setattr(_neighbours, f"_{name}", value)


async def test_workers_share_one_rate_by_their_number(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each keeps to its part while others live, with its part of the waits; none is lost."""
    quickened(monkeypatch)
    async with contextlib.AsyncExitStack() as stack:
        places: list[Somewhere] = []
        for _ in range(2):
            poller = await stack.enter_async_context(Poller(rate=300, schedule=FAST))
            places.append(Place(await stack.enter_async_context(engine()), poller))
        one, two = places

        def rate_of(place: Somewhere) -> float | None:
            budgets = place.poller.stats().budgets
            return budgets[0].rate if budgets else None

        refs = {f"order-{number}": ref_of(number, 3600) for number in range(40)}
        await one.waits.submit_many(refs)
        async with one.worker(hold=60):
            await eventually(lambda: rate_of(one) == 300)
            async with two.worker(hold=60):
                await eventually(lambda: rate_of(one) == rate_of(two) == 150)
                await eventually(lambda: two.polls > 20)  # of the waits that were handed back
            assert rate_of(two) == 300
            await eventually(lambda: rate_of(one) == 300)
        assert all([await one.waits.ticket(key) for key in refs])


async def test_a_rate_need_not_be_shared(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `share_rate=False` each worker has the whole rate, as when each has its own account."""
    quickened(monkeypatch)
    async with contextlib.AsyncExitStack() as stack:
        working: set[asyncio.Future[None]] = set()
        pollers: list[Poller] = []
        for number in range(2):
            pollers.append(await stack.enter_async_context(Poller(rate=300, schedule=FAST)))
            place = Place(await stack.enter_async_context(engine()), pollers[-1])
            await place.waits.submit(ref_of(number, 3600), key=f"order-{number}")
            work = place.waits.work(
                place.poller, place.task_of, place.sink, schedule=FAST, share_rate=False
            )
            working.add(asyncio.ensure_future(work))
        await eventually(lambda: any(poller.stats().budgets for poller in pollers))
        await asyncio.sleep(0.5)
        assert {budget.rate for poller in pollers for budget in poller.stats().budgets} == {300}
        for task in working:
            task.cancel()
        await asyncio.wait(working)


async def test_a_new_worker_knows_what_a_former_one_has_learned(engine: Engine) -> None:
    """What one worker saw reaches the next through the store, and can be kept from it."""
    rng = Random(0)
    old = LearnedSchedule()
    for _ in range(100):
        old.observe(rng.gauss(30, 1), kind="fake.other")
    knows: list[int] = []
    for schedule, share_learned in (
        (old, True),
        (LearnedSchedule(), True),
        (LearnedSchedule(), False),
    ):
        async with engine() as waits, Poller(schedule=schedule) as poller:
            place = Place(waits, poller)
            await waits.submit(ref_of(len(knows)), key=f"order-{len(knows)}")
            working = asyncio.ensure_future(
                waits.work(poller, place.task_of, place.sink, share_learned=share_learned)
            )
            await place.until(1)  # so it is at work
            knows.append(schedule.sample_size("fake.other"))
            working.cancel()
            await asyncio.wait({working})
    assert knows == [100, 100, 0]
