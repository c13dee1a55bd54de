"""Durable waits promise the same on every engine; each keeps them in memory here."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import re
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from random import Random
from typing import TypeAlias, cast

import anyio
import pytest

pytest.importorskip("docket")
pytest.importorskip("procrastinate")

from docket import Worker
from procrastinate import App
from procrastinate.testing import InMemoryConnector

from asyncclient import Done, LearnedSchedule, Poller, TaskState
from asyncclient._durable import Ticket, TicketExpired
from asyncclient.integrations import _engine, _holder
from asyncclient.integrations._delivery import Sink
from asyncclient.integrations._engine import DurableWaits
from asyncclient.integrations._holder import Holder
from asyncclient.integrations._outcome import Outcome
from asyncclient.integrations.docket import DocketWaits
from asyncclient.integrations.procrastinate import ProcrastinateWaits
from tests.integrations import place as places
from tests.integrations.place import FAST, Place, eventually, knowing, quicken, ref_of

Somewhere: TypeAlias = Place[DurableWaits]
# Opens what one of many processes would have, the same waits each time; `keep` may be given.
Engine: TypeAlias = Callable[..., contextlib.AbstractAsyncContextManager[DurableWaits]]

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls


@pytest.fixture(params=["docket", "procrastinate"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Give each engine, empty."""
    if request.param == "docket":
        name = re.sub(r"\W", "-", str(cast("object", request.node.name)))
        return partial(DocketWaits, "memory://", name=name)
    connector = InMemoryConnector()

    @contextlib.asynccontextmanager
    async def one(
        *, keep: float = 86_400.0, concurrency: int = 1000
    ) -> AsyncGenerator[DurableWaits]:
        app = App(connector=connector)
        waits = ProcrastinateWaits(app, keep=keep, concurrency=concurrency)
        async with app.open_async():
            yield waits

    return one


@pytest.fixture
async def place(engine: Engine) -> AsyncGenerator[Somewhere]:
    """Give a place on each engine."""
    async with engine() as waits, Poller(schedule=FAST) as poller:
        yield Place(waits, poller)


async def soon(ask: Callable[[], Awaitable[object]]) -> None:
    """Wait until a store's answer is no longer None or false."""
    with anyio.fail_after(10):
        for _ in itertools.repeat(None):
            if await ask():
                break
            await asyncio.sleep(0.05)


async def test_every_wait_is_reported_once_in_its_right_state(
    place: Somewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waits of one slice or many, good and bad, come to the sink until it has taken each once."""
    monkeypatch.setattr(_holder, "_TROUBLE", 0.1)
    place.sink_fails = 2
    words = {f"order-{number}": "broken" if number % 3 == 0 else "done" for number in range(30)}
    for number, (key, word) in enumerate(words.items()):
        assert await place.waits.submit(ref_of(number, number / 40, word), key=key)
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


async def test_what_cannot_be_is_refused_before_anything_is_kept(engine: Engine) -> None:
    """Each argument by its name, with its bounds; what a checker refuses is tested with it."""
    for wrong, words in (({"keep": 1e18}, r"^keep.* 315360000 s"), ({"concurrency": 0}, "concurr")):
        with pytest.raises(ValueError, match=words):
            await engine(**wrong).__aenter__()
    async with engine() as waits, Poller() as poller:
        add, add_many, outcome = waits.submit, waits.submit_many, Outcome(how="done", ref=ref_of(1))
        work = partial(waits.work, poller, {}, Place(waits, poller).sink)
        refs = {"order": ref_of(1)}
        key = "order\n17"
        calls: list[tuple[Callable[[], Awaitable[object]], str]] = [
            (partial(add, ref_of(1), key=key), "key='order"),
            (partial(add_many, {**refs, key: ref_of(2)}), "key='order"),
            (partial(waits.cancel, key), "key='order"),
            (partial(waits.outcome, key), "key='order"),
            (partial(waits.ticket, key), "key='order"),
            (partial(waits.keep, key, outcome), "key='order"),
            (
                partial(add, ref_of(1), key="order", timeout=math.inf),
                "timeout.* 315360000 seconds$",
            ),
            (partial(add_many, refs, timeout=math.inf), "timeout.* 315360000 seconds$"),
            (partial(add_many, {**refs, "other": ref_of(2, word="a\nb")}), ".*line break"),
            (partial(work, hold=0), "hold.* 86400 seconds$"),
            (partial(work, redelivery=0), "redelivery.* 86400 seconds$"),
            (partial(work, sink_timeout=0), "sink_timeout.* 3600 seconds$"),
            (partial(waits.work, poller, {}, cast("Sink", None)), "sink must be an async function"),
        ]
        for call, words in calls:
            with pytest.raises((TypeError, ValueError), match=f"^{words}"):
                await call()
        assert await waits.ticket("order") is None


async def test_a_long_key_with_any_letter_is_kept(place: Somewhere) -> None:
    """Up to 256 characters, also those that mean something to a store, and for up to ten years."""
    assert await place.waits.submit(ref_of(1), key="long", timeout=3650 * 86_400)
    assert await place.waits.ticket("long") is not None
    for key in ("\U0001f375" * 256, "order 17: {a}*?[b]^\\'\"%s$1", "1"):
        assert await place.waits.submit(ref_of(1), key=key)
        assert not await place.waits.submit(ref_of(1), key=key)
        assert await place.waits.ticket(key) is not None
        assert await place.waits.cancel(key)
        assert await place.waits.outcome(key) is not None


async def test_a_key_is_free_when_its_outcome_is_forgotten(engine: Engine) -> None:
    """It is taken until `keep` seconds after the end, with any timeout; the first stays."""
    async with engine(keep=1.0) as waits, Poller(schedule=FAST) as poller:
        place = Place(waits, poller)
        assert await waits.submit(ref_of(1), key="order", timeout=3600)
        async with place.worker():
            await place.until(1)
            await soon(lambda: waits.outcome("order"))
            await waits.keep("order", Outcome(how="expired", ref=ref_of(1)))
            assert (await place.outcome("order")).how == "done"
            assert not await waits.submit(ref_of(2), key="order")
            await soon(lambda: waits.submit(ref_of(2), key="order"))
            await place.until(2)


async def test_an_outcome_is_read_by_its_key(place: Somewhere) -> None:
    """Any process reads how a wait ended, as plain JSON; before that, its ticket."""
    assert await place.waits.outcome("good") is None
    assert await place.waits.ticket("good") is None
    await place.waits.submit(ref_of(1, 0.1), key="good")
    await place.waits.submit(ref_of(2, 0.0, "broken"), key="bad")
    await place.waits.submit(ref_of(3, 3600), key="slow", timeout=0.5)
    ticket = await place.waits.ticket("good")
    assert ticket is not None
    assert ticket.ref.ids["id"] == "1"
    async with place.worker():
        await place.until(3)
        await asyncio.sleep(0.2)
    assert isinstance(dict(place.reported)["slow"], TicketExpired)
    good, bad, slow = [await place.outcome(key) for key in ("good", "bad", "slow")]
    assert (good.how, good.state, good.result) == ("done", TaskState.SUCCEEDED, "done")
    assert (bad.how, bad.state, bad.error_type) == ("done", TaskState.FAILED, "TaskFailed")
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
        assert (await place.outcome(key)).how == "cancelled"
        assert not await place.waits.cancel(key)
    assert not await place.waits.cancel("unknown")


@pytest.mark.parametrize("fails", [False, True], ids=["a sink that works", "one that raises"])
async def test_a_wait_is_called_off_or_reported_but_never_both(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, *, fails: bool
) -> None:
    """Whenever it is cancelled: True means that the sink is not called, False that it has been.

    Each step of the store takes a random number of turns of the event loop, before and after.
    """
    rng = Random(1)
    answers: list[bool] = []
    most = 50

    async def pause(most: int) -> None:
        for _ in range(rng.randrange(most)):
            await asyncio.sleep(0)

    async def take_all(holder: Holder, key: str, text: str) -> None:
        while (following := await holder.take(key, text)) is not None:
            text = following.ticket

    def slowed(step: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
        async def slow(*arguments: object, **options: object) -> object:
            await pause(5)
            done = await step(*arguments, **options)
            await pause(5)
            return done

        return slow

    async with engine() as waits, Poller(schedule=FAST) as poller:
        place = Place(waits, poller)
        for name in ("_read", "_swap", "_pending", "_drop"):
            monkeypatch.setattr(waits, name, slowed(getattr(waits, name)))
        for number in range(150):
            key, called, finished = f"order-{number}", 0, 0

            async def sink(_key: str, _end: Done[object] | TicketExpired) -> None:
                nonlocal called, finished
                called += 1
                await pause(5)
                finished += 1
                if fails and called == 1:
                    raise OSError("the sink's own trouble")

            holder = Holder(waits, poller, place.task_of, sink, hold=60)
            await waits.submit(ref_of(number), key=key)
            ticket = await waits.ticket(key)
            assert ticket is not None
            turns = asyncio.ensure_future(take_all(holder, key, ticket.encode()))
            for _ in range(rng.randrange(most)):
                await asyncio.sleep(0)
            is_off = await waits.cancel(key)
            most = max(1, most - 10) if not is_off else most + 10  # about half of the moments each
            answers.append(is_off)
            called_before = called
            await turns
            assert (await place.outcome(key)).how == ("cancelled" if is_off else "done")
            assert called == finished  # none was interrupted
            assert called == (called_before if is_off else 1 + fails)
            assert not is_off or called_before <= fails
    assert 30 < sum(answers) < 120


async def test_a_ticket_that_cannot_be_read_can_be_called_off(
    place: Somewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a later version may write it; what a worker does with it is the same on all engines."""

    def written(_: Ticket) -> str:
        return '{"v":3}'

    with monkeypatch.context() as writes:
        writes.setattr(Ticket, "encode", written)
        await place.waits.submit(ref_of(1), key="order")
    with pytest.raises(ValueError, match="version 3"):
        await place.waits.ticket("order")
    assert await place.waits.cancel("order")
    assert (await place.outcome("order")).how == "cancelled"


@contextlib.asynccontextmanager
async def own_worker(waits: DurableWaits) -> AsyncGenerator[None]:
    """Run a worker of the engine's own."""
    async with contextlib.AsyncExitStack() as stack:
        if isinstance(waits, DocketWaits):
            worker = Worker(waits.docket, schedule_automatic_tasks=False)
            working = asyncio.ensure_future((await stack.enter_async_context(worker)).run_forever())
        else:
            assert isinstance(waits, ProcrastinateWaits)
            work = waits.app.run_worker_async(queues=["asyncclient"], install_signal_handlers=False)
            working = asyncio.ensure_future(work)
        yield
        working.cancel()
        await asyncio.wait({working})


async def test_a_process_that_only_submits_puts_tickets_back(
    engine: Engine, place: Somewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker beside `submit` alone runs and loses nothing: another process can hold tickets."""
    monkeypatch.setattr(_engine, "_NOT_HERE", 0.1)
    await place.waits.submit_many({"order": ref_of(1), "off": ref_of(2)})
    before = await place.waits.ticket("order")
    async with own_worker(place.waits):
        await asyncio.sleep(0.5)
        assert await place.waits.cancel("off")
        await asyncio.sleep(0.3)
    assert await place.waits.ticket("order") == before is not None
    async with engine() as place.waits, place.worker():
        await place.until(1)
        await asyncio.sleep(0.3)
    assert place.states() == {"order": TaskState.SUCCEEDED}


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


async def test_what_no_worker_comes_for_gets_ever_fewer_turns(
    place: Somewhere, caplog: pytest.LogCaptureFixture
) -> None:
    """A process that only submits keeps each wait, also past its deadline, and says so once.

    But for one that was called off, of which the engine did not hear.
    """
    await place.waits.submit(ref_of(1), key="off")
    assert await place.waits.cancel("off")
    assert await place.waits.put_back("off", "its ticket") is None
    now = time.time()
    for late, delay in ((-3600, 5), (0, 5), (100, 10), (86_400, 8640)):
        turn = await place.waits.put_back("order", f'{{"deadline": {now - late}}}')
        assert turn is not None
        assert turn.delay == pytest.approx(delay, abs=1)
    assert (await place.waits.put_back("order", "no ticket")) is not None
    said = [record for record in caplog.records if "only submits waits" in record.message]
    assert [record.levelname for record in said if record.levelname != "DEBUG"] == ["ERROR"]
