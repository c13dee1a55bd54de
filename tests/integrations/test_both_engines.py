"""Durable waits promise the same on every engine; each keeps them in memory here."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable
from typing import TypeAlias, cast

import anyio
import pytest

from asyncclient import LearnedSchedule, Poller, TaskState
from asyncclient._durable import TicketExpired
from asyncclient.errors import TaskFailed
from asyncclient.integrations import _holder
from asyncclient.integrations._engine import DurableWaits
from tests.integrations import place as places
from tests.integrations.killing import eventually
from tests.integrations.place import FAST, Place, knowing, quicken, ref_of

Somewhere: TypeAlias = Place[DurableWaits]
# Opens what one of many processes would have: the same waits each time.
Engine: TypeAlias = Callable[[], contextlib.AbstractAsyncContextManager[DurableWaits]]

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls


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


async def test_every_wait_is_reported_once_in_its_right_state(
    place: Somewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits of one slice or many, good and bad, come to the sink until it has taken each once."""
    monkeypatch.setattr(_holder, "_TROUBLE", 0.1)
    place.sink_fails = 2
    words = {f"order-{number}": "broken" if number % 3 == 0 else "done" for number in range(30)}
    for number, (key, word) in enumerate(words.items()):
        assert await place.waits.submit(ref_of(number, number / 20, word), key=key)
    async with place.worker():
        await place.until(30)
        await asyncio.sleep(0.5)
    assert (len(place.reported), place.sink_fails) == (30, 0)
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
    """Any process reads how a wait ended, as plain JSON; before that, its ticket."""
    assert await place.waits.outcome("good") is None
    assert await place.waits.ticket("good") is None
    await place.waits.submit(ref_of(1, 0.1), key="good")
    await place.waits.submit(ref_of(2, 0.0, "broken"), key="bad")
    await place.waits.submit(ref_of(3, 3600), key="slow", timeout=1.0)
    ticket = await place.waits.ticket("good")
    assert ticket is not None
    assert ticket.ref.ids["id"] == "1"
    async with place.worker():
        await place.until(3)
        await asyncio.sleep(0.2)
    assert isinstance(dict(place.reported)["slow"], TicketExpired)
    good, bad, slow = [await place.waits.outcome(key) for key in ("good", "bad", "slow")]
    assert good is not None
    assert (good.how, good.state, good.result) == ("done", TaskState.SUCCEEDED, "done")
    assert bad is not None
    assert (bad.how, bad.state, bad.error_type) == ("done", TaskState.FAILED, TaskFailed.__name__)
    assert slow is not None
    assert slow.how == "expired"
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


async def test_a_stopped_worker_hands_its_waits_back_at_once(place: Somewhere) -> None:
    """A shutdown does not last a slice, and the next worker goes on where it was."""
    refs = {f"order-{number}": ref_of(number, 3600) for number in range(50)}
    await place.waits.submit_many(refs)
    async with place.worker(hold=60) as working:
        await eventually(lambda: place.polls >= 50)
        working.cancel()
        with anyio.fail_after(6):
            await asyncio.wait({working})
        assert working.cancelled()
    place.ahead = 7200
    async with place.worker():
        await place.until(50)
    assert sorted(key for key, _ in place.reported) == sorted(refs)


async def test_workers_share_one_rate_by_their_number(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each keeps to its part, of the waits as well, while others live that share the rate."""
    quicken(monkeypatch)
    async with contextlib.AsyncExitStack() as stack:
        places: list[Somewhere] = []
        for _ in range(2):
            poller = await stack.enter_async_context(Poller(rate=300, schedule=FAST))
            places.append(Place(await stack.enter_async_context(engine()), poller))
        one, two = places

        def rates() -> list[float | None]:
            budgets = [place.poller.stats().budgets for place in places]
            return [each[0].rate if each else None for each in budgets]

        refs = {f"order-{number}": ref_of(number, 3600) for number in range(40)}
        await one.waits.submit_many(refs)
        async with one.worker(hold=60):
            await eventually(lambda: rates() == [300, None])
            async with two.worker(hold=60):
                await eventually(lambda: rates() == [150, 150])
                await eventually(lambda: two.polls > 20)  # of the waits that were handed back
            await eventually(lambda: rates() == [300, 300])
            async with two.worker(hold=60, share_rate=False):
                await asyncio.sleep(0.5)
                assert rates() == [300, 300]
        assert all([await one.waits.ticket(key) for key in refs])


async def test_a_new_worker_knows_what_a_former_one_has_learned(engine: Engine) -> None:
    """What one worker saw reaches the next through the store, and can be kept from it."""
    knows: list[int] = []
    new = LearnedSchedule(), LearnedSchedule()
    for schedule, share_learned in ((knowing(), True), (new[0], True), (new[1], False)):
        async with engine() as waits, Poller(schedule=schedule) as poller:
            place = Place(waits, poller)
            await waits.submit(ref_of(len(knows)), key=f"order-{len(knows)}")
            async with place.worker(share_learned=share_learned):
                await place.until(1)  # so it is at work
                knows.append(schedule.sample_size("fake.item"))
    assert knows == [100, 100, 0]
