"""The ends of many tasks in their order, from any source of tasks."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
)
from itertools import count
from typing import cast

import anyio
import pytest

from asyncclient import Done, Poller
from asyncclient._many.shared import Waiter
from asyncclient.errors import AuthenticationFailed, TaskFailed, WaitTimeout
from tests.many.service import EVERY_SECOND, Item, Service, items, job, start, turns
from tests.waiting.scenario import Report, other_tasks


async def read(poller: Poller, tasks: Iterable[Item]) -> list[Done[str]]:
    """Read all the ends."""
    return [done async for done in poller.as_done(tasks)]


async def one_by_one(tasks: Iterable[Item], pause: float = 0.0) -> AsyncIterator[Item]:
    """Give tasks as a service would, one after the other."""
    for task in tasks:
        await asyncio.sleep(pause)
        yield task


class Source:
    """An async iterable that is no generator."""

    def __init__(self, tasks: AsyncIterator[Item]) -> None:
        self._tasks = tasks

    def __aiter__(self) -> AsyncIterator[Item]:
        return self._tasks


def sourced(tasks: list[Item]) -> Source:
    """Give tasks by an async iterable."""
    return Source(one_by_one(tasks))


@pytest.mark.parametrize("number", [5, 0])
@pytest.mark.parametrize("kind", [list, iter, one_by_one, sourced])
async def test_any_iterable_will_do(
    poller: Poller, kind: Callable[[list[Item]], Iterable[Item] | AsyncIterable[Item]], number: int
) -> None:
    """A list, a generator or anything async gives the same ends; no tasks have none at once."""
    tasks = items(Service(), number, ends=2)
    ends = [done async for done in poller.as_done(kind(tasks))]
    assert {done.task.key for done in ends} == {task.key for task in tasks}
    assert all(done.result == "done" for done in ends)
    assert anyio.current_time() == (2 if number else 0)


async def test_ends_come_in_their_order_and_at_once(poller: Poller) -> None:
    """The reader gets each end at the moment of its poll, in any order of the tasks."""
    service = Service()
    tasks = [Item(service, number, ends=number) for number in (5, 1, 300, 2, 3)]
    ends = [(done, anyio.current_time()) async for done in poller.as_done(tasks)]
    order = [1, 2, 3, 5, 300]
    assert [done.task.key for done, _ in ends] == order
    assert [done.elapsed for done, _ in ends] == pytest.approx(order)
    assert [instant for _, instant in ends] == pytest.approx(order)
    assert [done.polls for done, _ in ends] == [number + 1 for number in order]


async def test_failures_are_ends_like_others(poller: Poller) -> None:
    """A failure, a refusal and a timeout are in `error`, and only `value` raises it."""
    tasks = [
        job("good", "done"),
        job("broken", "broken"),
        job("refused", AuthenticationFailed("no", status=401)),
        job("slow", "running"),
    ]
    ends = {done.key: done async for done in poller.as_done(tasks, timeout=10)}
    good = ends.pop("good")
    assert (good.state, good.error, good.ref) == ("succeeded", None, tasks[0].ref)
    assert good.result == good.value == Report("done")
    assert {key: (done.state, type(done.error), done.result) for key, done in ends.items()} == {
        "broken": ("failed", TaskFailed, None),
        "refused": (None, AuthenticationFailed, None),
        "slow": ("running", WaitTimeout, None),
    }
    assert ends["slow"].elapsed == pytest.approx(10)
    with pytest.raises(TaskFailed) as caught:
        _ = ends["broken"].value
    assert caught.value is ends["broken"].error


@pytest.mark.parametrize("latency", [0.0, math.inf], ids=["answers", "hangs"])
@pytest.mark.parametrize(("options", "timeout"), [({"timeout": 5.0}, 5), ({}, 600)], ids=str)
async def test_the_timeout_is_for_each_task(
    poller: Poller, options: dict[str, float], timeout: float, latency: float
) -> None:
    """Each task has its whole timeout from when it was taken in; by default ten minutes."""
    tasks = items(Service(latency=latency), 4)
    ends = [done async for done in poller.as_done(one_by_one(tasks, 3.0), **options)]
    assert {type(done.error) for done in ends} == {WaitTimeout}
    assert [done.elapsed for done in ends] == pytest.approx([timeout] * 4)
    assert anyio.current_time() == pytest.approx(12 + timeout)


async def test_a_generator_is_taken_in_as_it_is_read(poller: Poller) -> None:
    """Nothing is taken before the first read, and that is long before the generator's end."""
    numbers = count()
    source = (Item(Service(), number, 0) for number in numbers if number < 100_000)
    ends = poller.as_done(source)
    await asyncio.sleep(10)
    assert next(numbers) == 0
    assert poller.stats().pending == 0
    assert (await anext(ends)).result == "done"
    assert 2 <= next(numbers) <= 10_000
    ends.leave()


async def test_a_slow_reader_holds_back_the_generator() -> None:
    """When ten thousand ends wait for their reader, no further task is taken in until it reads."""
    service = Service()

    async def endless() -> AsyncGenerator[Item, None]:
        for number in count():
            if number % 100 == 0:
                await asyncio.sleep(1)
            yield Item(service, number, 0)

    source = endless()
    async with Poller(schedule=EVERY_SECOND) as poller, poller.as_done(source) as ends:
        await anext(ends)
        await asyncio.sleep(150)
        taken = len(service.sent)
        await asyncio.sleep(150)
        assert 10_000 <= taken == len(service.sent) <= 11_500
        for _ in range(taken):
            await anext(ends)
        await asyncio.sleep(5)
        assert len(service.sent) > taken
    await turns()
    await source.aclose()


async def test_ends_that_were_read_are_forgotten(poller: Poller) -> None:
    """Reading on and on keeps nothing of what was read."""
    service = Service()
    tasks = [Item(service, "slow", 1e4), *items(service, 1500, ends=0)]
    async with poller.as_done(tasks, timeout=1e6) as ends:
        for _ in range(1500):
            await anext(ends)
        gc.collect()
        assert sum(isinstance(each, Waiter) for each in gc.get_objects()) < 300


class StopsItself(BaseException):
    """An error that is no `Exception`, as some libraries have."""


@pytest.mark.parametrize(
    ("error", "kinds", "says"),
    [
        (LookupError("the database is gone"), LookupError, "database"),
        (None, TypeError, "cannot wait for int"),
        (GeneratorExit(), (RuntimeError, GeneratorExit), None),
        (StopsItself(), (RuntimeError, StopsItself), None),
        (asyncio.CancelledError(), (RuntimeError, ConnectionError), None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("pause", [None, 0.0, 5.0], ids=["sync", "async", "later"])
async def test_no_error_of_a_source_looks_like_its_end(
    poller: Poller,
    error: BaseException | None,
    kinds: type[BaseException] | tuple[type[BaseException], ...],
    says: str | None,
    pause: float | None,
) -> None:
    """What it raises, or gives that is no task, reaches the reader; the ends before it stay."""
    before = other_tasks()

    def some() -> Iterator[Item]:
        yield from items(Service(), 3, ends=0)
        if error is not None:
            raise error
        yield cast("Item", 3)

    ends = poller.as_done(some() if pause is None else one_by_one(some(), pause))
    found: list[Done[str]] = []

    async def read_on() -> None:
        async for done in ends:
            found.append(done)  # noqa: PERF401  (those before an error stay)

    with pytest.raises(kinds, match=says):
        await read_on()
    await read_on()
    assert [done.result for done in found] == ["done"] * 3
    assert poller.stats().pending == 0
    ends.leave()
    await turns()
    assert other_tasks() == before


@pytest.mark.parametrize("how", ["break", "exception", "cancellation", "context"])
async def test_leaving_early_leaves_nothing_behind(how: str) -> None:
    """Each way to leave the loop leaves no poll, task or waiter behind, and keeps no place."""
    service = Service(latency=0.5)
    tasks = [Item(service, "first", 0), *items(service, 100)]
    before = other_tasks()
    async with Poller(schedule=EVERY_SECOND, concurrency=20) as poller:

        async def loop() -> None:
            if how == "context":
                async with poller.as_done(tasks) as ends:
                    await anext(ends)
                return
            async for _ in poller.as_done(tasks):
                if how == "break":
                    break
                if how == "exception":
                    raise LookupError

        running = start(loop())
        await asyncio.sleep(0.75)
        running.cancel()
        await asyncio.wait([running])
        del running
        gc.collect()
        await turns()
        sent = len(service.sent)
        stats = poller.stats()
        assert (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)
        assert [budget.in_flight for budget in stats.budgets] == [0]
        assert other_tasks() == before
        await asyncio.sleep(30)
        assert (len(service.sent), service.in_flight) == (sent, 0)
        many = await read(poller, items(service, 40, ends=0, prefix="after"))
        assert [done.result for done in many] == ["done"] * 40


@pytest.mark.parametrize("how", ["left", "poller closed", "wrong task", "dropped"])
@pytest.mark.parametrize("kind", [aiter, Source])
async def test_an_async_generator_is_closed_where_it_stands(
    poller: Poller, how: str, kind: Callable[[AsyncIterator[Item]], AsyncIterable[Item]]
) -> None:
    """Its own `finally` has run when the block is left or the poller closed; else it runs soon."""
    steps: list[str] = []

    async def stream() -> AsyncIterator[Item]:
        try:
            yield Item(Service(), "good", 0)
            yield cast("Item", 7) if how == "wrong task" else Item(Service(), "never")
            await anyio.sleep_forever()
        finally:
            await asyncio.sleep(1)
            steps.append("closed")

    ends = poller.as_done(kind(stream()))
    assert (await anext(ends)).key == "good"
    match how:
        case "wrong task":
            with pytest.raises(TypeError, match="cannot wait for int"):
                await anext(ends)
        case "poller closed":
            await poller.aclose()
        case "dropped":
            del ends
            await asyncio.sleep(1.1)
        case _:
            await ends.__aexit__(None, None, None)
    assert steps == ["closed"]


async def test_a_source_that_resists_its_end_is_ended_at_its_next_task(poller: Poller) -> None:
    """It may lose a cancellation; the tasks that it gives after that are not waited for."""
    steps: list[str] = []

    async def stream() -> AsyncIterator[Item]:
        try:
            for number in range(5):
                yield Item(Service(), number, 0 if number == 0 else math.inf)
                with contextlib.suppress(asyncio.CancelledError):
                    await asyncio.sleep(1)
        finally:
            steps.append("closed")

    async with poller.as_done(stream()) as ends:
        await anext(ends)
    assert steps == ["closed"]
    assert poller.stats().waiters == 0


async def test_a_feed_that_is_cancelled_from_outside_does_not_look_like_the_end(
    poller: Poller,
) -> None:
    """A program that cancels all tasks but its own gets an error, not fewer ends."""

    async def stream() -> AsyncIterator[Item]:
        yield Item(Service(), "good", 0)
        await anyio.sleep_forever()

    ends = poller.as_done(stream())
    assert (await anext(ends)).key == "good"
    reading = start(anext(ends))
    await turns()
    for task in asyncio.all_tasks() - {asyncio.current_task(), reading}:
        if "_feed" in repr(task):
            task.cancel()
    error = (await reading).error
    assert isinstance(error, RuntimeError)
    assert "was cancelled" in str(error)


async def test_after_the_last_end_or_leaving_there_is_no_further_end(poller: Poller) -> None:
    """Reading on ends at once and polls nothing, twice too, and where nothing was read."""
    service = Service()
    exhausted = poller.as_done(items(service, 1, ends=0))
    left = poller.as_done(items(service, 100, ends=0))
    never = poller.as_done(items(service, 3))
    await anext(exhausted)
    async with left:
        await anext(left)
    for ends in (left, never):
        ends.leave()
    for ends in (exhausted, left, never) * 2:
        with pytest.raises(StopAsyncIteration):
            await anext(ends)
    await turns()
    assert poller.stats().pending == 0


async def test_a_reader_may_come_back_after_its_own_timeout() -> None:
    """A read that is cut short by the caller loses no end."""
    tasks = [Item(Service(), number, ends=number) for number in range(1, 6)]
    seen: list[object] = []
    async with Poller(schedule=EVERY_SECOND) as poller, poller.as_done(tasks) as ends:
        while len(seen) < 5:
            with anyio.move_on_after(0.5):
                seen.append((await anext(ends)).task.key)
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("number", [3, 1000])
async def test_a_second_reader_is_refused_and_leaving_ends_the_first(
    poller: Poller, number: int
) -> None:
    """One task reads at a time; it is let go at once when another leaves the iterator."""
    ends = poller.as_done(items(Service(), number))
    reading = start(anext(ends))
    await asyncio.sleep(2)
    with pytest.raises(RuntimeError, match="already reads"):
        await anext(ends)
    ends.leave()
    await turns()
    assert reading.done()
    assert isinstance((await reading).error, StopAsyncIteration)
