"""Beginning and end of a Poller, where it may be used, what it says, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any

import anyio
import pytest

from asyncclient import Observation, Poller, Schedule, SessionPool, Task, TaskState
from asyncclient.errors import WaitTimeout
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, run_virtual
from tests.many.service import Item, Service, items, job, start, start_all, turns
from tests.waiting.scenario import Job, Report, other_tasks, outcome_of, run_says

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)


async def test_closing_ends_the_pending_waits() -> None:
    """Each pending wait ends with a `RuntimeError` that says so, and nothing is left behind."""
    service = Service(latency=0.5)
    before = other_tasks()
    poller = Poller(schedule=EVERY_SECOND)
    waits = start_all(poller, [*items(service, 20), *items(service, 20)])
    await asyncio.sleep(0.25)
    await poller.aclose()
    for outcome in await asyncio.gather(*waits):
        assert isinstance(outcome.error, RuntimeError)
        assert "closed" in str(outcome.error)
        assert "may go on" in str(outcome.error)
        assert outcome.elapsed == pytest.approx(0.25)
    assert service.in_flight == 0
    assert other_tasks() == before
    stats = poller.stats()
    assert (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)
    sent = len(service.sent)
    await asyncio.sleep(60)
    assert len(service.sent) == sent


async def test_closing_ends_the_loops_over_many() -> None:
    """A loop over many tasks gets the `RuntimeError` as the end of each, and then ends."""
    poller = Poller(schedule=EVERY_SECOND)

    async def loop() -> list[Exception | None]:
        return [done.error async for done in poller.as_done(items(Service(), 5))]

    reading = start(loop())
    await asyncio.sleep(3)
    await poller.aclose()
    errors = (await reading).result
    assert errors is not None
    assert [type(error) for error in errors] == [RuntimeError] * 5


async def test_closing_is_reported_to_a_loop_whose_source_was_cut_off() -> None:
    """A loop that did not get all of its tasks does not look as if it had."""
    poller = Poller(schedule=EVERY_SECOND)

    async def source() -> AsyncIterator[Item]:
        yield Item(Service(), "first", 0)
        await asyncio.sleep(60)
        yield Item(Service(), "second", 0)

    async def loop() -> list[object]:
        return [done.task async for done in poller.as_done(source())]

    reading = start(loop())
    await asyncio.sleep(3)
    await poller.aclose()
    with anyio.fail_after(10):
        assert isinstance((await reading).error, RuntimeError)


async def test_closing_ends_a_loop_that_has_just_begun() -> None:
    """A loop whose source has not given its first task yet does not hang."""
    poller = Poller()

    async def loop() -> list[object]:
        return [done async for done in poller.as_done(items(Service(), 5))]

    reading = start(loop())
    closing = start(poller.aclose())
    with anyio.fail_after(10):
        await reading
        await closing
    assert poller.stats().pending == 0


async def test_closing_does_not_wait_for_a_poll_that_resists() -> None:
    """A poll that takes its cancellation badly holds closing up for seconds, not for ever."""

    class Stubborn(Job):
        async def observe(self) -> Observation[Report]:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1000)
            raise AssertionError

    poller = Poller()
    waiting = start(poller.wait(Stubborn("running")))
    await asyncio.sleep(1)
    await poller.aclose()
    assert anyio.current_time() <= 7
    assert isinstance((await waiting).error, RuntimeError)
    await asyncio.sleep(2000)


async def test_closing_twice_is_harmless() -> None:
    """A poller may be closed again, used or not."""
    poller = Poller()
    await poller.aclose()
    await poller.aclose()
    async with Poller() as used:
        assert await used.wait(Item(Service(), "job", 0)) == "done"
        await used.aclose()


async def test_after_closing_it_refuses() -> None:
    """A closed poller says so to all who wait, iterate or enter, and polls nothing."""
    task = Item(Service(), "job", 0)
    async with Poller() as poller:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        await poller.wait(task)
    with pytest.raises(RuntimeError, match="closed"):
        await anext(poller.as_done([task]))
    with pytest.raises(RuntimeError, match="closed"):
        async with poller:
            pass
    assert task.sent == []


def test_another_loop_is_refused() -> None:
    """A poller of one event loop says to another that it does not belong there."""
    poller = Poller()

    async def use() -> object:
        return await poller.wait(Item(Service(), "job", 0))

    assert run_virtual(use) == "done"
    with pytest.raises(RuntimeError, match="another event loop"):
        run_virtual(use)


def test_without_a_loop_it_may_be_made_and_looked_at() -> None:
    """Making a poller and looking at it need no event loop; waiting says that it does."""
    poller = Poller()
    assert poller.stats().pending == 0
    assert repr(poller) == "<Poller open: 0 pending, 0 in flight, 0.0 polls/s, lag 0 ms>"
    assert poller.wake("job") is False
    waiting = poller.wait(Item(Service()))
    with pytest.raises(RuntimeError, match="event loop"):
        waiting.send(None)


def test_a_forgotten_loop_of_a_closed_event_loop_is_harmless() -> None:
    """An iterator that is dropped after its event loop is gone raises nothing."""
    kept: list[object] = []

    async def use() -> None:
        poller = Poller()
        ends = poller.as_done(items(Service(), 3))
        kept.append(ends)
        with anyio.move_on_after(1):
            await anext(ends)

    run_virtual(use)
    kept.clear()
    gc.collect()


async def test_entered_and_left_in_different_tasks() -> None:
    """Web frameworks enter in one task and leave in another: both work."""
    poller = Poller(schedule=EVERY_SECOND)
    await asyncio.gather(asyncio.ensure_future(poller.__aenter__()))
    waiting = start(poller.wait(Item(Service(), "job", 2)))
    pending = start(poller.wait(Item(Service(), "other")))
    assert (await waiting).result == "done"
    await asyncio.gather(asyncio.ensure_future(poller.__aexit__(None, None, None)))
    assert isinstance((await pending).error, RuntimeError)


async def test_a_wait_is_finite_by_default() -> None:
    """A task that never ends is waited for ten minutes where no timeout is given."""
    async with Poller() as poller:
        outcome = await start(poller.wait(Item(Service())))
    assert isinstance(outcome.error, WaitTimeout)
    assert outcome.elapsed == pytest.approx(600, abs=1)


async def test_a_cancelled_block_closes() -> None:
    """Cancelling the block in which a poller is used leaves nothing behind."""
    service = Service(latency=math.inf)
    before = other_tasks()
    with anyio.move_on_after(3):
        async with Poller() as poller:
            await poller.wait(Item(service))
    await turns()
    assert service.in_flight == 0
    assert other_tasks() == before


async def test_what_it_says_is_so() -> None:
    """`stats` and `repr` count tasks, waits, polls, failures and what is under way."""
    service = Service("acme", latency=0.5)
    async with Poller(schedule=EVERY_SECOND, rate={"acme": 50}) as poller:
        waits = start_all(poller, items(service, 3)) + start_all(poller, items(service, 3))
        await asyncio.sleep(0.25)
        stats = poller.stats()
        assert (stats.pending, stats.waiters, stats.in_flight, stats.polls) == (3, 6, 3, 0)
        assert "open: 3 pending, 3 in flight" in repr(poller)
        (budget,) = stats.budgets
        assert (budget.name, budget.rate, budget.in_flight) == ("acme account", 50, 3)
        await asyncio.sleep(5)
        stats = poller.stats()
        assert (stats.pending, stats.polls, stats.errors) == (3, 15, 0)
        service.fault = ConnectionResetError("reset")
        await asyncio.sleep(1.5)
        assert poller.stats().errors >= 3
        for wait in waits:
            wait.cancel()
        await turns()
        stats = poller.stats()
        assert (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)
    assert "closed: 0 pending" in repr(poller)


TOKEN = "s3cret-token-7f3a9c"


@pytest.mark.parametrize("kind", ["text", "function"])
async def test_the_stats_show_no_credential(kind: str) -> None:
    """Two tokens are two budgets, and neither the stats nor the repr shows them."""

    async def source() -> str:
        return TOKEN

    async with SessionPool() as pool, Poller() as poller:
        token = TOKEN if kind == "text" else source
        transport = ScriptedTransport([run_says("Success")])
        for run in (
            Coze(transport, token=token).workflow_run("7350", "42"),
            Coze(ScriptedTransport([run_says("Success")]), token="other").workflow_run(
                "7350", "42"
            ),
        ):
            await poller.wait(run)
        stats = poller.stats()
        assert len(stats.budgets) == 2
        assert TOKEN in transport.requests[0].headers["Authorization"]
        held = CopyAI(pool, api_key=token).workflow_run("W", "R")
        assert TOKEN not in f"{stats!r} {stats} {poller!r} {held.budget} {held.budget!r}"


async def test_tasks_that_were_left_do_not_count_as_due() -> None:
    """Those whose waiters have gone do not count as waiting for their turn."""
    async with Poller(rate=1, schedule=EVERY_SECOND) as poller:
        waits = start_all(poller, items(Service(), 100))
        await asyncio.sleep(10)
        assert poller.stats().budgets[0].ready > 50
        for wait in waits:
            wait.cancel()
        await turns()
        assert poller.stats().budgets[0].ready == 0


async def test_a_schedule_that_ends_repeats_its_last_gap() -> None:
    """A schedule of the caller's own that runs out goes on with its last gap, as in one wait."""

    class Short:
        def delays(self, rng: Random | None = None) -> Iterator[float]:
            del rng
            return iter([2.0, 7.0])

    task = Item(Service())
    async with Poller(schedule=Short()) as poller:
        await outcome_of(poller.wait(task, timeout=30))
    assert task.sent == pytest.approx([0, 2, 9, 16, 23, 30])


async def test_a_schedule_that_fails_is_reported() -> None:
    """What a schedule of the caller's own raises reaches the wait, and polls do not go on."""

    class Broken:
        def delays(self, rng: Random | None = None) -> Iterator[float]:
            del rng
            yield 1.0
            raise LookupError("no further delays")

    task = Item(Service())
    async with Poller(schedule=Broken()) as poller:
        outcome = await outcome_of(poller.wait(task, timeout=60))
    assert isinstance(outcome.error, LookupError)
    assert len(task.sent) == 2


def unhashable() -> Job:
    """Make a job whose key cannot be one."""
    key: Any = ["a", "list"]
    return job(key)


@pytest.mark.parametrize(
    ("arguments", "kind", "names"),
    [
        ({"rate": 0}, ValueError, "rate=0 must be more than 0"),
        ({"rate": -1.5}, ValueError, "rate=-1.5"),
        ({"rate": math.nan}, ValueError, "rate=nan"),
        ({"rate": "50"}, TypeError, "rate must be a number of polls a second, not '50'"),
        ({"rate": True}, TypeError, "rate must be a number"),
        ({"rate": {"coze": 0}}, ValueError, r"rate\['coze'\]=0"),
        ({"rate": {"coze": 5, "copyai": None}}, TypeError, r"rate\['copyai'\]"),
        ({"concurrency": 0}, ValueError, "concurrency"),
        ({"concurrency": 1.5}, TypeError, "concurrency"),
        ({"schedule": 5}, TypeError, "schedule must be a Schedule"),
        ({"schedule": Schedule}, TypeError, "schedule must be a Schedule"),
        ({"rng": 7}, TypeError, "rng must be a random.Random"),
    ],
    ids=[
        "rate-0",
        "rate-negative",
        "rate-nan",
        "rate-text",
        "rate-bool",
        "rate-of-one-0",
        "rate-of-one-none",
        "concurrency-0",
        "concurrency-float",
        "schedule-number",
        "schedule-class",
        "rng-number",
    ],
)
def test_a_setting_that_cannot_be_is_named(
    arguments: dict[str, Any], kind: type[Exception], names: str
) -> None:
    """A bad setting is refused at once, by its name."""
    with pytest.raises(kind, match=names):
        Poller(**arguments)


@pytest.mark.parametrize(
    ("arguments", "kind", "names"),
    [
        ({"weight": 0}, ValueError, "weight=0"),
        ({"weight": -1}, ValueError, "weight=-1"),
        ({"weight": math.nan}, ValueError, "weight=nan"),
        ({"weight": math.inf}, ValueError, "weight=inf"),
        ({"weight": "4"}, TypeError, "weight must be a number, not '4'"),
        ({"timeout": 0}, ValueError, "timeout=0"),
        ({"timeout": math.nan}, ValueError, "timeout=nan"),
        ({"timeout": None}, TypeError, "timeout must be a number of seconds"),
    ],
    ids=[
        "weight-0",
        "weight-negative",
        "weight-nan",
        "weight-inf",
        "weight-text",
        "timeout-0",
        "timeout-nan",
        "timeout-none",
    ],
)
async def test_an_argument_of_a_wait_that_cannot_be_is_named(
    arguments: dict[str, Any], kind: type[Exception], names: str
) -> None:
    """A bad argument of `wait` is refused by its name, and nothing is sent."""
    task = Item(Service(), "job", 0)
    async with Poller() as poller:
        with pytest.raises(kind, match=names):
            await poller.wait(task, **arguments)
        await turns()
        assert poller.stats().waiters == 0
    assert task.sent == []


async def test_a_bad_timeout_of_a_loop_is_refused_before_it_begins() -> None:
    """`as_done` refuses its timeout when it is called, not at the first end."""
    async with Poller() as poller:
        with pytest.raises(ValueError, match="timeout=0"):
            poller.as_done([], timeout=0)


@pytest.mark.parametrize(
    ("thing", "names"),
    [
        (3, "cannot wait for int"),
        (None, "cannot wait for NoneType"),
        ("id", "cannot wait for str"),
        (Job, "cannot wait for type"),
        (unhashable(), "must be hashable, not list"),
    ],
    ids=["int", "none", "text", "class", "unhashable-key"],
)
async def test_what_is_no_task_is_named(thing: Task[str], names: str) -> None:
    """What cannot be waited for is refused by what it is."""
    async with Poller() as poller:
        with pytest.raises(TypeError, match=names):
            await poller.wait(thing)
        assert poller.stats().waiters == 0


async def test_a_task_without_key_or_budget_will_do() -> None:
    """A task of the caller's own needs no more than to be looked at."""

    class Bare:
        async def observe(self) -> Observation[str]:
            return Observation(TaskState.SUCCEEDED, "done", "done")

    bare: Any = Bare()
    async with Poller() as poller:
        assert await poller.wait(bare) == "done"


async def test_an_empty_budget_will_do() -> None:
    """A budget that names nothing is a budget too."""
    task = Item(Service(), "job", 0)
    task.service.budget = ()
    async with Poller(rate={"acme": 1}) as poller:
        assert await poller.wait(task) == "done"
