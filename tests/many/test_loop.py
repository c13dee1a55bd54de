"""The loop of many waits: its work grows with their number and no faster, a piece in each turn."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from functools import partial
from itertools import count

import pytest

from asyncclient import (
    LearnedSchedule,
    Observation,
    Poller,
    Schedule,
    TaskRef,
    TaskState,
)
from asyncclient._many.shared import SharedRecord
from asyncclient.errors import WaitTimeout
from tests.many.service import start, start_all, turns
from tests.waiting.scenario import Job, Report, hang, stand_still

HOURLY = Schedule(first=3600, factor=1, cap=3600, jitter=0)
SOME, MANY = 200, 800


@dataclass(eq=False)
class Gate:
    """A task whose look is answered when someone opens the gate."""

    key: Hashable
    _: KW_ONLY
    kind: str = "fake.gate"
    state: TaskState = TaskState.SUCCEEDED
    open: asyncio.Event = field(default_factory=asyncio.Event)
    ref: TaskRef | None = None
    looks: int = 0

    async def observe(self) -> Observation[str]:
        """Look once the gate is open."""
        self.looks += 1
        await self.open.wait()
        return Observation(self.state, "word", "answer")


@contextmanager
def calls_counted(calls: list[int]) -> Generator[None]:
    """Add the number of calls of Python functions while the block runs."""
    called = 0

    def note(_frame: object, event: str, _arg: object) -> None:
        nonlocal called
        called += event == "call"

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
        calls.append(called)


async def most_in_a_turn(left: Callable[[], int]) -> int:
    """Return how many end in one turn at most, until none is left."""
    most, after = 0, left()
    while after:
        before = after
        await asyncio.sleep(0)
        after = left()
        most = max(most, before - after)
    return most


def open_gates(_poller: Poller, gates: list[Gate]) -> None:
    """Have the look under way be answered."""
    gates[0].open.set()


def close(poller: Poller, _gates: list[Gate]) -> object:
    """Begin to close the poller."""
    return asyncio.get_running_loop().create_task(poller.aclose())


@pytest.mark.parametrize(
    ("how", "state", "one_key"),
    [
        (open_gates, TaskState.SUCCEEDED, True),
        (open_gates, TaskState.FAILED, True),
        (close, TaskState.RUNNING, True),
        (close, TaskState.RUNNING, False),
    ],
    ids=["ended well", "failed", "closed, one key", "closed, many keys"],
)
async def test_ending_many_waits_is_linear_and_leaves_others_their_turns(
    how: Callable[[Poller, list[Gate]], object],
    state: TaskState,
    one_key: bool,  # noqa: FBT001
) -> None:
    """Four times as many waits take four times the work; 256 of them end in a turn at most."""
    calls: list[int] = []
    for number in (SOME, MANY):
        opened = asyncio.Event()
        async with Poller(schedule=HOURLY) as poller:
            keys = ["same"] * number if one_key else list(range(number))
            gates = [Gate(key, state=state, open=opened) for key in keys]
            waits = start_all(poller, gates, timeout=1e6)
            await asyncio.sleep(1)
            ended: list[object] = []
            for wait in waits:
                wait.add_done_callback(ended.append)
            with calls_counted(calls):
                _ = how(poller, gates)
                assert await most_in_a_turn(lambda: number - len(ended)) <= 256  # noqa: B023  (awaited here)
            errors = [wait.result().error for wait in waits]
            assert len({id(error) for error in errors if error}) == sum(map(bool, errors))
    assert calls[1] < 5 * calls[0]


async def signal_all(poller: Poller, number: int, calls: list[int], *, one_key: bool) -> None:
    """Signal each key twice, and each reference once."""
    refs = [TaskRef("fake", "job", {"id": str(index)}) for index in range(number)]
    gates = [Gate("same" if one_key else (ref.ids["id"], "a job"), ref=ref) for ref in refs]
    start_all(poller, gates, timeout=1e6)
    await turns()
    with calls_counted(calls):
        assert all(poller.wake(gate.key) for gate in gates * 2)
        assert one_key or all(poller.wake(ref) for ref in refs)


async def cancel_all(poller: Poller, number: int, calls: list[int], *, step: int) -> None:
    """Cancel the waits of one task, in an order."""
    waits = start_all(poller, [Gate("same") for _ in range(number)], timeout=1e6)
    await asyncio.sleep(1)
    with calls_counted(calls):
        for wait in waits[::step]:
            wait.cancel()
        await asyncio.wait(waits)
    assert poller.stats().pending == 0


async def hand_on(poller: Poller, number: int, calls: list[int]) -> None:
    """Leave a task that makes a demand, while all that could answer it are busy."""
    job = Job("running", Report("asks", demand="a"))
    waits = [start(poller.wait(job, on_change=hang, on_blocked=hang)) for _ in range(number)]
    await asyncio.sleep(1)
    assert poller.wake(job.key)
    await asyncio.sleep(1)
    assert len(job.polls) == 2
    with calls_counted(calls):
        for wait in waits:
            wait.cancel()
        await asyncio.wait(waits)


async def run_out_of_time(poller: Poller, number: int, calls: list[int], *, step: float) -> None:
    """Wait for tasks whose looks hang until their deadlines, all at once or one by one."""

    async def source() -> AsyncIterator[Gate]:
        for each in range(number):
            if step:
                await asyncio.sleep(step)
            yield Gate(each)

    with calls_counted(calls):
        ends = [done async for done in poller.as_done(source(), timeout=10)]
    assert {type(done.error) for done in ends} == {WaitTimeout}


@pytest.mark.parametrize(
    "work",
    [
        partial(signal_all, one_key=True),
        partial(signal_all, one_key=False),
        partial(cancel_all, step=1),
        partial(cancel_all, step=-1),
        partial(hand_on),
        partial(run_out_of_time, step=0.0),
        partial(run_out_of_time, step=1e-3),
    ],
    ids=lambda work: f"{work.func.__name__} {work.keywords}",
)
async def test_work_is_linear(work: Callable[[Poller, int, list[int]], Awaitable[None]]) -> None:
    """However many waits and signals there are, each costs the same."""
    calls: list[int] = []
    for number in (SOME, MANY):
        async with Poller(schedule=HOURLY) as poller:
            await work(poller, number, calls)
    assert calls[1] < 5 * calls[0]


async def test_deadlines_of_many_waits_of_one_task_are_linear() -> None:
    """They come while its look stands in line, the last one's first: it moves forward once."""
    calls: list[int] = []
    for number in (SOME, MANY):
        async with Poller(schedule=HOURLY, concurrency=1) as poller:
            waits = start_all(poller, [Gate("hangs", state=TaskState.RUNNING)], timeout=1e6)
            await asyncio.sleep(1)
            gate = Gate("same")
            for late in range(number):
                waits += start_all(poller, [gate], timeout=50 - late / number)
            await asyncio.sleep(48)
            (queue,) = poller.running().queues.by_name.values()
            with calls_counted(calls):
                await asyncio.sleep(3)
            assert len(queue.line) <= 2
            assert sum(wait.done() for wait in waits) == 0
            await asyncio.sleep(10)
            assert [type(wait.result().error) for wait in waits[1:]] == [WaitTimeout] * number
    assert calls[1] < 5 * calls[0]


async def test_signals_of_one_key_keep_nothing() -> None:
    """A thousand signals before the next look have it made once, and leave no trace."""
    gate = Gate("one", state=TaskState.RUNNING)
    gate.open.set()
    async with Poller(schedule=HOURLY, rate=1) as poller:
        start_all(poller, [gate], timeout=1e6)
        await asyncio.sleep(10)
        blocker = Gate("other", state=TaskState.RUNNING, open=gate.open)
        start_all(poller, [blocker], timeout=1e6)
        await turns()
        (queue,) = poller.running().queues.by_name.values()
        for _ in range(1000):
            assert poller.wake("one")
            await turns(1)
            assert len(queue.line) <= 2
        await asyncio.sleep(10)
        assert gate.looks == 2
        for _ in range(1000):
            assert not poller.wake("no one waits for it")
        assert not queue.line


async def test_those_who_left_keep_no_place_in_line() -> None:
    """Waits that come and leave while nothing is sent leave no trace in the line."""
    async with Poller(schedule=HOURLY, concurrency=1) as poller:
        start_all(poller, [Gate("hangs")], timeout=1e6)
        await turns()
        (queue,) = poller.running().queues.by_name.values()
        for number in range(1000):
            wait = start(poller.wait(Gate(number)))
            await turns(2)
            assert poller.wake(number)  # it stands in line at once
            await turns(1)
            wait.cancel()
            await turns(1)
        assert 0 < len(queue.line) <= 300
        assert poller.stats().pending == 1


async def test_leaving_many_tasks_leaves_others_their_turns() -> None:
    """A loop over many that is left early leaves 256 of them a turn."""
    async with Poller(schedule=HOURLY) as poller:
        ends = poller.as_done([Gate(number) for number in range(MANY)])
        reading = start(anext(ends))
        await asyncio.sleep(1)
        assert poller.stats().pending == MANY
        ends.leave()
        assert 0 < await most_in_a_turn(lambda: poller.running().waits) <= 256
        reading.cancel()


async def test_a_standstill_has_one_look_made_for_all_waits_of_a_task() -> None:
    """The loop stood still past the deadlines of a hundred waits: they share the last look."""
    gate = Gate("same", state=TaskState.RUNNING)
    gate.open.set()
    async with Poller(schedule=HOURLY) as poller:
        waits = start_all(poller, [gate] * 100, timeout=10)
        await asyncio.sleep(9)
        gate.open.clear()
        asyncio.get_running_loop().call_later(0.5, stand_still, 30.0)
        asyncio.get_running_loop().call_later(31, gate.open.set)
        await asyncio.gather(*waits)
        assert gate.looks == 2
        assert len(poller.running().sender.lags) == 2  # those that were broken off included


async def test_a_standstill_almost_to_the_end_leaves_the_first_look_its_time() -> None:
    """The loop stood still from before the first look until just before the wait would end."""
    gate = Gate("done", state=TaskState.SUCCEEDED)
    gate.open.set()
    slow = LearnedSchedule(longest_gap=600)
    for _ in range(20):
        slow.observe(500.0, kind=gate.kind)
    async with Poller(schedule=slow) as poller:
        loop = asyncio.get_running_loop()
        waits = start_all(poller, [gate], timeout=60)
        loop.call_later(30, stand_still, 34.999)
        await asyncio.gather(*waits)
    assert gate.looks == 1


async def test_a_first_look_in_line_after_a_standstill_is_awaited() -> None:
    """It had no turn before the deadline, and has 5 s after the standstill to get one."""
    slow, in_line = Gate("slow"), Gate("in line")
    in_line.open.set()
    async with Poller(schedule=HOURLY, concurrency=1) as poller:
        before = start(poller.wait(slow, timeout=60))
        await turns()
        waiting = start(poller.wait(in_line, timeout=1))
        asyncio.get_running_loop().call_later(0.5, stand_still, 10.0)
        asyncio.get_running_loop().call_later(12, slow.open.set)
        outcome = await waiting
        assert outcome.result == "answer"
        assert outcome.elapsed == pytest.approx(12)
        assert (await before).result == "answer"


async def test_closing_goes_on_when_it_is_cancelled() -> None:
    """Of a thousand waits none is left waiting, or kept, when the one who closes is cancelled."""

    def kept() -> int:
        gc.collect()
        return sum(isinstance(each, SharedRecord) for each in gc.get_objects())

    before = kept()
    poller = Poller(schedule=HOURLY)
    waits = start_all(poller, [Gate(number) for number in range(1000)])
    await asyncio.sleep(1)
    closing = asyncio.ensure_future(poller.aclose())
    await turns(1)
    closing.cancel()
    outcomes = await asyncio.gather(*waits)
    assert {type(outcome.error) for outcome in outcomes} == {RuntimeError}
    del waits, outcomes, poller
    await turns()
    assert kept() <= before


async def test_a_source_that_never_suspends_leaves_others_their_turns() -> None:
    """The results of an endless source that gives tasks without a pause come meanwhile."""
    opened = asyncio.Event()
    opened.set()

    async def endless() -> AsyncIterator[Gate]:
        for number in count():
            yield Gate(number, open=opened)

    async with Poller(schedule=HOURLY) as poller, poller.as_done(endless()) as ends:
        for _ in range(5):
            assert (await anext(ends)).result == "answer"
