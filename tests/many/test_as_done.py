"""The ends of many tasks in their order, from whatever gives the tasks."""

from __future__ import annotations

import asyncio
import gc
import math
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator

import anyio
import pytest

from asyncclient import Done, Poller, Schedule
from asyncclient.errors import AuthenticationFailed, TaskFailed, WaitTimeout
from tests.many.service import Counted, Item, Service, items, job, start, turns
from tests.waiting.scenario import Job, Report, other_tasks

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)


async def read(poller: Poller, tasks: Iterable[Item], *, timeout: float = 600.0) -> list[Done[str]]:
    """Read all the ends."""
    return [done async for done in poller.as_done(tasks, timeout=timeout)]


async def one_by_one(tasks: Iterable[Item], pause: float = 0.0) -> AsyncIterator[Item]:
    """Give tasks as a service would, one after the other."""
    for task in tasks:
        await asyncio.sleep(pause)
        yield task


class Queue:
    """An async iterable that is no generator."""

    def __init__(self, tasks: list[Item]) -> None:
        self._tasks = tasks

    def __aiter__(self) -> AsyncIterator[Item]:
        return one_by_one(self._tasks)


@pytest.mark.parametrize("kind", ["list", "tuple", "generator", "dict", "async", "queue"])
async def test_any_iterable_will_do(kind: str) -> None:
    """A list, a generator, a mapping's values or anything async gives the same ends."""
    tasks = items(Service(), 5, ends=2)
    sources: dict[str, Iterable[Item] | AsyncIterable[Item]] = {
        "list": tasks,
        "tuple": tuple(tasks),
        "generator": (task for task in tasks),
        "dict": dict(enumerate(tasks)).values(),
        "async": one_by_one(tasks),
        "queue": Queue(tasks),
    }
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = [done async for done in poller.as_done(sources[kind])]
    assert {done.task.key for done in ends} == {task.key for task in tasks}
    assert all(done.result == "done" for done in ends)


async def test_ends_come_in_their_order() -> None:
    """Whatever the order in which tasks are given, they are reported as they end."""
    service = Service()
    tasks = [Item(service, number, ends=number) for number in (5, 1, 4, 2, 3)]
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = await read(poller, tasks)
    assert [done.task.key for done in ends] == [1, 2, 3, 4, 5]
    assert [done.elapsed for done in ends] == pytest.approx([1, 2, 3, 4, 5])
    assert [done.polls for done in ends] == [2, 3, 4, 5, 6]


async def test_an_end_is_given_at_once() -> None:
    """The reader gets an end at the moment of its poll, not when others end too."""
    service = Service()
    tasks = [Item(service, "soon", 3), Item(service, "late", 300)]
    async with Poller(schedule=EVERY_SECOND) as poller, poller.as_done(tasks) as ends:
        done = await anext(ends)
        assert done.task is tasks[0]
        assert anyio.current_time() == 3


async def test_failures_are_ends_like_others() -> None:
    """A task that fails, a refusal and a timeout are in `error`; nothing is raised."""
    tasks: list[Job] = [
        job("good", "done"),
        job("broken", "broken"),
        job("refused", AuthenticationFailed("no", status=401)),
        job("slow", "running"),
    ]
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = {done.task.key: done async for done in poller.as_done(tasks, timeout=10)}
    assert ends["good"].error is None
    assert ends["good"].result == Report("done")
    assert ends["good"].state == "succeeded"
    assert isinstance(ends["broken"].error, TaskFailed)
    assert ends["broken"].state == "failed"
    assert ends["broken"].result is None
    assert isinstance(ends["refused"].error, AuthenticationFailed)
    assert ends["refused"].state is None
    assert isinstance(ends["slow"].error, WaitTimeout)
    assert ends["slow"].state == "running"
    assert ends["slow"].elapsed == pytest.approx(10)


async def test_the_timeout_is_for_each_task() -> None:
    """Each task has its whole timeout from when it was taken in."""
    tasks = items(Service(), 4)
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = [done async for done in poller.as_done(one_by_one(tasks, 3.0), timeout=5)]
    assert [done.elapsed for done in ends] == pytest.approx([5] * 4)
    assert anyio.current_time() == pytest.approx(17)


async def test_a_loop_over_many_is_finite_by_default() -> None:
    """Each of many waits ends after ten minutes where no timeout is given."""
    async with Poller() as poller:
        (done,) = [done async for done in poller.as_done([Item(Service())])]
    assert isinstance(done.error, WaitTimeout)
    assert done.elapsed == pytest.approx(600, abs=1)


async def test_a_request_that_hangs_holds_up_no_loop_over_many() -> None:
    """A task whose first request is never answered ends at its own timeout, as the others do."""
    hanging = [Item(Service("mute", latency=math.inf), f"mute-{number}") for number in range(3)]
    async with Poller() as poller:
        with anyio.fail_after(60):
            ends = [done async for done in poller.as_done(hanging, timeout=5)]
    assert [type(done.error) for done in ends] == [WaitTimeout] * 3
    assert [done.elapsed for done in ends] == pytest.approx([5] * 3, abs=0.01)


async def test_what_has_ended_is_never_a_timeout() -> None:
    """In a crowd whose first polls are spread over more than the timeout, each is still asked."""
    tasks = items(Service(), 300, ends=0)
    async with Poller(schedule=Schedule(first=5, cap=5)) as poller:
        ends = await read(poller, tasks, timeout=1)
    assert [done.error for done in ends if done.error is not None] == []
    assert len(ends) == 300


async def test_the_given_object_comes_back() -> None:
    """`Done.task` is the object that was given, also where another of its key is waited for."""
    service = Service()
    mine, theirs = Item(service, "same", 3), Item(service, "same", 3)
    async with Poller(schedule=EVERY_SECOND) as poller:
        other = start(poller.wait(theirs))
        await turns()
        ends = await read(poller, [mine])
        assert (await other).result == "done"
    assert len(ends) == 1
    assert ends[0].task is mine


async def test_an_end_gives_its_answer_or_raises_its_error() -> None:
    """`Done.value` is the typed answer, or raises what the wait would have; it names its task."""
    good, bad = job("good", "done"), job("bad", "broken")
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = {done.key: done async for done in poller.as_done([good, bad])}
    assert ends["good"].value == Report("done")
    assert ends["good"].ref == good.ref
    with pytest.raises(TaskFailed) as caught:
        _ = ends["bad"].value
    assert caught.value is ends["bad"].error


async def test_duplicates_end_each() -> None:
    """A task that is given three times has three ends and one poll a time."""
    task = Item(Service(), ends=2)
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = await read(poller, [task] * 3)
    assert len(ends) == 3
    assert len(task.sent) == 3


@pytest.mark.parametrize("source", [[], iter(()), one_by_one(())], ids=["list", "iter", "async"])
async def test_nothing_ends_at_once(source: Iterable[Item] | AsyncIterable[Item]) -> None:
    """Without any task there is no end, and no waiting."""
    async with Poller() as poller:
        assert [done async for done in poller.as_done(source)] == []
    assert anyio.current_time() == 0


async def test_a_generator_is_taken_in_as_it_comes() -> None:
    """The first end is read long before a great generator is exhausted."""
    service = Service()
    source = Counted(Item(service, number, 0) for number in range(100_000))
    async with Poller() as poller:
        async for done in poller.as_done(source):
            assert done.result == "done"
            break
        assert 1 <= source.taken <= 10_000


async def test_nothing_is_taken_before_it_is_read() -> None:
    """Without a reader, no task is taken and none is polled."""
    source = Counted(items(Service(), 10))
    async with Poller() as poller:
        ends = poller.as_done(source)
        await asyncio.sleep(10)
        assert source.taken == 0
        assert poller.stats().pending == 0
        ends.leave()


async def test_a_slow_reader_holds_back_the_generator() -> None:
    """When ten thousand ends wait for their reader, no further task is taken in until it reads."""
    service = Service()

    async def endless() -> AsyncGenerator[Item, None]:
        number = 0
        while True:
            await asyncio.sleep(0.001)
            number += 1
            yield Item(service, number, 0)

    source = endless()
    async with Poller(schedule=EVERY_SECOND) as poller, poller.as_done(source) as ends:
        await anext(ends)
        await asyncio.sleep(15)
        taken = len(service.sent)
        await asyncio.sleep(15)
        assert 10_000 <= taken == len(service.sent) <= 11_500
        for _ in range(taken):
            await anext(ends)
        await asyncio.sleep(5)
        assert len(service.sent) > taken
    await turns()
    await source.aclose()


async def test_ends_that_were_read_are_forgotten() -> None:
    """Reading on and on keeps no memory of what was read, without a timeout as with one."""
    service = Service()
    number = 4_000

    def stream() -> Iterator[Item]:
        yield Item(service, "slow", 1e4)
        for index in range(number):
            yield Item(service, index, 0)

    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = poller.as_done(stream(), timeout=1e6)
        tracemalloc.start()
        try:
            for _ in range(number):
                await anext(ends)
            service.sent.clear()
            gc.collect()
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        ends.leave()
    # The tables of a crowd keep their size; a waiter for each would be twice that.
    assert kept / number < 200


async def test_an_exception_of_the_iterable_reaches_the_reader() -> None:
    """What the source raises is raised to the reader, who may read on what was taken in before."""

    def stream() -> Iterator[Item]:
        yield Item(Service(), "good", 0)
        raise LookupError("the database is gone")

    before = other_tasks()
    async with Poller() as poller:
        ends = poller.as_done(stream())
        with pytest.raises(LookupError, match="database"):
            await anext(ends)
        assert (await anext(ends)).result == "done"
        ends.leave()
        await turns()
        assert poller.stats().pending == 0
        assert other_tasks() == before


async def test_an_exception_of_an_async_iterable_reaches_the_reader() -> None:
    """The same where the source is async and raises later."""

    async def stream() -> AsyncIterator[Item]:
        yield Item(Service(), "good", 0)
        await asyncio.sleep(5)
        raise LookupError("the database is gone")

    async with Poller() as poller:
        ends = poller.as_done(stream())
        assert (await anext(ends)).result == "done"
        with pytest.raises(LookupError, match="database"):
            await anext(ends)
        assert anyio.current_time() == 5


async def test_what_is_no_task_reaches_the_reader() -> None:
    """A source that gives something else raises a `TypeError` that names it."""
    async with Poller() as poller:
        with pytest.raises(TypeError, match="cannot wait for int"):
            await read(poller, [3])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
        await turns()
        assert poller.stats().pending == 0


@pytest.mark.parametrize("how", ["break", "exception", "cancellation", "context"])
async def test_leaving_early_leaves_nothing_behind(how: str) -> None:
    """However the loop is left, no poll, task or waiter is left with it, and no place is kept."""
    service = Service(latency=0.5)
    tasks = [Item(service, "first", 0), *items(service, 500)]
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

        running = asyncio.get_running_loop().create_task(loop())
        await asyncio.sleep(0.75)
        running.cancel()
        await asyncio.wait([running])
        if how == "exception":
            assert isinstance(running.exception(), LookupError)
        del running
        gc.collect()
        await turns()
        sent = len(service.sent)
        stats = poller.stats()
        assert (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)
        assert [budget.in_flight for budget in stats.budgets] == [0]
        assert other_tasks() == before
        await asyncio.sleep(30)
        assert len(service.sent) == sent
        assert service.in_flight == 0
        many = await read(poller, items(service, 40, ends=0, prefix="after"), timeout=30)
        assert [done.result for done in many] == ["done"] * 40


async def test_leaving_again_and_again_keeps_no_place() -> None:
    """A poller whose readers break off after the first end serves the hundredth like the first."""
    service = Service(latency=0.1)
    async with Poller(schedule=EVERY_SECOND, concurrency=3) as poller:
        for number in range(100):
            async for done in poller.as_done(items(service, 8, ends=0, prefix=f"{number}")):
                assert done.result == "done"
                assert done.elapsed < 3
                break
    assert anyio.current_time() < 100


async def test_leaving_an_async_generator_closes_it_down() -> None:
    """A source that is waiting for its next task is cancelled with the loop that reads it."""
    closed = asyncio.Event()

    async def stream() -> AsyncIterator[Item]:
        try:
            yield Item(Service(), "good", 0)
            await anyio.sleep_forever()
        finally:
            closed.set()

    async with Poller() as poller:
        async for _ in poller.as_done(stream()):
            break
        await turns()
        assert closed.is_set()


async def test_after_leaving_there_is_no_further_end() -> None:
    """Reading on after having left ends at once and polls nothing, left twice or not."""
    service = Service()
    async with Poller() as poller:
        ends = poller.as_done(items(service, 100, ends=0))
        async with ends:
            await anext(ends)
        ends.leave()
        with pytest.raises(StopAsyncIteration):
            await anext(ends)
        never = poller.as_done(items(service, 3))
        never.leave()
        with pytest.raises(StopAsyncIteration):
            await anext(never)
        await turns()
        assert poller.stats().pending == 0


async def test_after_the_last_end_reading_on_ends() -> None:
    """An exhausted reader may ask again: there is no further end, and no hang."""
    async with Poller() as poller:
        ends = poller.as_done(items(Service(), 1, ends=0))
        assert (await anext(ends)).result == "done"
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(ends)


async def test_a_reader_may_come_back_after_its_own_timeout() -> None:
    """A read that is cut short by the caller loses no end."""
    tasks = [Item(Service(), number, ends=number) for number in range(1, 6)]
    seen: list[object] = []
    async with Poller(schedule=EVERY_SECOND) as poller, poller.as_done(tasks) as ends:
        while len(seen) < 5:
            with anyio.move_on_after(0.5):
                seen.append((await anext(ends)).task.key)
    assert seen == [1, 2, 3, 4, 5]


async def test_several_readers_share_the_ends_or_are_refused() -> None:
    """Two readers of one iterator never hang: each end is read once, or the second is refused."""
    tasks = [Item(Service(), number, ends=number) for number in range(1, 7)]
    seen: list[object] = []
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = poller.as_done(tasks)

        async def reader() -> None:
            try:
                async for done in ends:
                    seen.append(done.task.key)  # noqa: PERF401  (the others see it grow)
            except RuntimeError as error:
                assert "already" in str(error)  # noqa: PT017  (either way is right)

        with anyio.fail_after(100):
            await asyncio.gather(reader(), reader())
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_leaving_ends_a_reader_elsewhere() -> None:
    """A reader that waits for an end in another task is let go when the iterator is left."""
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = poller.as_done(items(Service(), 3))

        async def reader() -> int:
            return len([done async for done in ends])

        reading = start(reader())
        await asyncio.sleep(2)
        ends.leave()
        with anyio.fail_after(10):
            assert (await reading).result == 0


async def test_loops_and_waits_share_polls() -> None:
    """Two loops and a wait over the same task poll it as one does."""
    task = Item(Service(), ends=4)
    async with Poller(schedule=EVERY_SECOND) as poller:
        one, two, three = await asyncio.gather(
            read(poller, [task]), read(poller, [task]), start(poller.wait(task))
        )
    assert (one[0].result, two[0].result, three.result) == ("done",) * 3
    assert task.sent == pytest.approx([0, 1, 2, 3, 4])


async def test_leaving_one_loop_leaves_the_other() -> None:
    """A loop that is left takes away its own waits only."""
    tasks = [Item(Service(), number, ends=4) for number in range(4)]
    async with Poller(schedule=EVERY_SECOND) as poller:
        first = poller.as_done(tasks)
        reading = start(anext(first))
        whole = start(read(poller, tasks))
        await asyncio.sleep(2)
        reading.cancel()
        first.leave()
        ends = (await whole).result
    assert ends is not None
    assert [done.result for done in ends] == ["done"] * 4
