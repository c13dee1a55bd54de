"""Beginning and end of a Poller, where it may be used, what it says, and what it refuses."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from typing import cast

import anyio
import pytest

from asyncclient import Observation, Poller, Task, TaskState
from asyncclient._many import Receiver
from asyncclient.testing import run_virtual
from tests.many.service import Item, Service, items, job, start, start_all, turns
from tests.waiting.scenario import Job, Report, other_tasks


async def read(poller: Poller, tasks: list[Item] | AsyncIterator[Item]) -> list[Exception | None]:
    """Read the ends of many tasks, and return their errors."""
    return [done.error async for done in poller.as_done(tasks)]


async def test_closing_ends_all_waits(poller: Poller) -> None:
    """Waits and loops over many end with a `RuntimeError` that says so; nothing is left behind."""
    service = Service(latency=0.5)
    before = other_tasks()
    waits = start_all(poller, [*items(service, 20), *items(service, 20)])
    reading = start(read(poller, items(service, 5)))
    await asyncio.sleep(0.25)
    cancelled = waits.pop()
    cancelled.cancel()
    await poller.aclose()
    assert cancelled.cancelled()
    errors = (await reading).result or []
    assert [type(error) for error in errors] == [RuntimeError] * 5
    for outcome in await asyncio.gather(*waits):
        assert isinstance(outcome.error, RuntimeError)
        assert "the Poller was closed" in str(outcome.error)
        assert "may still be running" in str(outcome.error)
        assert outcome.elapsed == pytest.approx(0.25)
    assert service.in_flight == 0
    assert other_tasks() == before
    stats = poller.stats()
    assert (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)
    sent = len(service.sent)
    await asyncio.sleep(60)
    assert len(service.sent) == sent


@pytest.mark.parametrize("seconds", [None, 0, 3])
async def test_closing_is_reported_to_a_loop_whose_source_was_cut_off(
    poller: Poller, seconds: float | None
) -> None:
    """A loop that did not get all of its tasks, or none yet, does not look as if it had.

    The source itself may be what closes the poller, at its first step.
    """

    async def source() -> AsyncIterator[Item]:
        if seconds is None:
            await poller.aclose()
        yield Item(Service(), "first", 0)
        await asyncio.sleep(60)
        yield Item(Service(), "second", 0)

    reading = start(read(poller, source()))
    await asyncio.sleep(seconds or 0)
    await poller.aclose()
    with anyio.fail_after(10):
        assert isinstance((await reading).error, RuntimeError)
    assert poller.stats().pending == 0


async def test_closing_does_not_wait_for_a_poll_that_resists(poller: Poller) -> None:
    """A poll that takes its cancellation badly holds closing up for seconds, not for ever."""

    class Stubborn(Job):
        async def observe(self) -> Observation[Report]:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(1000)
            raise AssertionError

    waiting = start(poller.wait(Stubborn("running")))
    await asyncio.sleep(1)
    await poller.aclose()
    assert anyio.current_time() <= 7
    assert isinstance((await waiting).error, RuntimeError)
    await asyncio.sleep(2000)


async def test_after_closing_it_refuses() -> None:
    """It says so to each wait, loop and block, and polls nothing; closing again is harmless."""
    task = Item(Service(), ends=0)
    unused = Poller()
    await unused.aclose()
    await unused.aclose()
    async with Poller() as poller:
        poller.take_share(0.5)
        assert await poller.wait(task) == "done"
        polling = poller.running()
        await poller.aclose()
    poller.take_share(1)
    for call in (poller.wait(task), anext(poller.as_done([task])), poller.__aenter__()):
        with pytest.raises(RuntimeError, match="closed"):
            await call
    with pytest.raises(RuntimeError, match="closed"):
        await anext(poller.watch(task))
    with pytest.raises(RuntimeError, match="this Poller is closed"):
        polling.submit(task, Receiver(), timeout=1)
    assert task.sent == [0]
    assert "closed: 0 pending" in repr(poller)


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
    poller.take_share(0.5)
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


async def test_entered_and_left_in_different_tasks(poller: Poller) -> None:
    """Web frameworks enter in one task and leave in another: both work."""
    await asyncio.gather(asyncio.ensure_future(poller.__aenter__()))
    waiting = start(poller.wait(Item(Service(), "job", 2)))
    pending = start(poller.wait(Item(Service(), "other")))
    assert (await waiting).result == "done"
    await asyncio.gather(asyncio.ensure_future(poller.__aexit__(None, None, None)))
    assert isinstance((await pending).error, RuntimeError)


@pytest.mark.parametrize(
    ("name", "value", "kind", "says"),
    [
        ("rate", 0, ValueError, "rate=0 must be more than 0"),
        ("rate", "50", TypeError, "rate must be a number of polls a second, not '50'"),
        ("rate", {"coze": 5, "copyai": None}, TypeError, r"rate\['copyai'\]"),
        ("rate", {5: 5}, TypeError, "rate: a provider must be a text"),
        ("concurrency", 0, ValueError, "concurrency"),
        ("concurrency", 1.5, TypeError, "concurrency"),
        ("schedule", 5, TypeError, "schedule must be a Schedule"),
        ("rng", 7, TypeError, r"rng must be a random\.Random"),
        ("share", 0, ValueError, "^share=0 must be .*; 1 is the whole rate$"),
        ("share", 1.01, ValueError, "^share=1.01 must be .*; 1 is the whole rate$"),
        ("share", "1", TypeError, "^share must be .*; 1 is the whole rate$"),
    ],
    ids=str,
)
def test_a_setting_that_cannot_be_is_named(
    name: str, value: object, kind: type[Exception], says: str
) -> None:
    """A bad setting is refused at once, by its name."""
    make = cast("Callable[..., object]", Poller().take_share if name == "share" else Poller)
    with pytest.raises(kind, match=says):
        make(**{name: value})


async def test_an_argument_of_a_wait_that_cannot_be_is_named(poller: Poller) -> None:
    """A bad argument is refused by its name, and nothing is sent; a loop's when it is made."""
    task = Item(Service(), ends=0)
    with pytest.raises(ValueError, match="timeout=0"):
        poller.as_done([], timeout=0)
    for key, kind in ((["a", "list"], "list"), (("a", ["list"]), "tuple")):
        with pytest.raises(TypeError, match=f"must be hashable, not {kind}"):
            await poller.wait(job(cast("str", key)))
    for source in (5, None, task, "tasks", task.observe):
        with pytest.raises(TypeError, match="as_done takes an iterable of tasks, async or not"):
            poller.as_done(cast("list[Item]", source))
    await turns()
    assert poller.stats().waiters == 0
    assert task.sent == []


async def test_a_task_without_key_or_budget_will_do(poller: Poller) -> None:
    """A task of the caller's own needs no more than to be looked at."""

    class Bare:
        async def observe(self) -> Observation[str]:
            return Observation(TaskState.SUCCEEDED, "done", "done")

    assert await poller.wait(cast("Task[str]", Bare())) == "done"
