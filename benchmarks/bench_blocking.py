"""How long does a crowd block the event loop at most?

Each case puts a crowd to a `Poller` while a callback runs in every turn of the event loop; the
figure is the longest turn, for which a request of another user waits. It is measured in CPU time,
since others run on a shared machine; wall-clock time stands beside it. Each case runs in a fresh
process, with Python's garbage collector and without it. Figures are medians of a few processes.

Where a caller begins or cancels many asyncio tasks in one turn, the loop runs all of them in the
next. The peer shows that share: as many tasks, each of which awaits a bare future.

    python benchmarks/bench_blocking.py [--rounds 3] [--only wakes …] [--scale 0.1]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import statistics
import subprocess
import sys
import time
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Sequence,
)
from typing import Any

import msgspec
from turns import versions

from asyncclient import Observation, Poller, Schedule, Task, TaskState

WAITERS, WAKES, ENDS, PENDING, MILLION = 20_000, 8_000, 8_000, 100_000, 1_000_000
# Tasks that a caller begins in one turn.
BATCH = 100
# Seconds: what is pending is not polled again while it is measured, nor times out.
SILENCE, FOR_EVER = 3_000.0, 7_200.0
# The least of two answers that is news to a wait.
WORDS = ("busy", "busier")


class Job:
    """A task with the smallest answer, which ends when all are to end."""

    __slots__ = ("key",)

    kind = "job"
    state = TaskState.RUNNING
    polls = 0

    def __init__(self, key: int) -> None:
        self.key = key

    async def observe(self) -> Observation[str]:
        """Answer."""
        Job.polls += 1
        return Observation(Job.state, WORDS[Job.polls % 2], "")


class Longest(msgspec.Struct):
    """Seconds of the longest turn of the event loop."""

    cpu: float = 0.0
    wall: float = 0.0


class Meter:
    """Measures every turn of the event loop from now on."""

    def __init__(self) -> None:
        self.begin()
        self._run()

    def begin(self) -> None:
        """Forget what was measured so far."""
        self.longest = Longest()
        self._cpu, self._wall = time.thread_time(), time.perf_counter()

    def _run(self) -> None:
        cpu, wall, longest = time.thread_time(), time.perf_counter(), self.longest
        longest.cpu = max(longest.cpu, cpu - self._cpu)
        longest.wall = max(longest.wall, wall - self._wall)
        self._cpu, self._wall = cpu, wall
        asyncio.get_running_loop().call_soon(self._run)


Case = Callable[[Meter, float], Coroutine[Any, Any, None]]
CASES: dict[str, Case] = {}


def case(name: str) -> Callable[[Case], Case]:
    """Name a case: it sets up, begins the measurement, and does what is measured."""

    def named(function: Case) -> Case:
        CASES[name] = function
        return function

    return named


def poller() -> Poller:
    """Make a Poller whose second poll of each task is far off."""
    return Poller(schedule=Schedule(first=SILENCE, factor=1, cap=SILENCE, jitter=0))


def jobs(number: int, *, same: bool = False) -> Iterator[Job]:
    """Make tasks, each of its own key or all of one."""
    return (Job(0 if same else key) for key in range(number))


async def jobs_at_once(number: int) -> AsyncIterator[Job]:
    """Make tasks in an async generator that never suspends."""
    for key in range(number):
        yield Job(key)


async def turns(number: int) -> None:
    """Let some turns pass."""
    for _ in range(number):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let turns pass until something is so."""
    while not condition():  # noqa: ASYNC110  (the turns are what is measured)
        await asyncio.sleep(0)


async def read(ends: AsyncIterable[object]) -> None:
    """Take all ends."""
    async for _ in ends:
        pass


async def begin_all(begin: Callable[[], Coroutine[Any, Any, Any]], number: int) -> list[Any]:
    """Begin asyncio tasks, some a turn, as requests come in to a server."""
    begun: list[asyncio.Task[Any]] = []
    for each in range(number):
        begun.append(asyncio.ensure_future(begin()))
        if each % BATCH == 0:
            await asyncio.sleep(0)
    await turns(2)
    return begun


async def take_in(
    waits: Poller, tasks: Iterable[Task[str]] | AsyncIterable[Task[str]], number: int
) -> asyncio.Task[None]:
    """Give tasks to `as_done`; return when all are pending."""
    reading = asyncio.ensure_future(read(waits.as_done(tasks, timeout=FOR_EVER)))
    await until(lambda: reading.done() or waits.stats().waiters >= number)
    await turns(10)
    assert not reading.done()
    return reading


@case("20,000 tasks of one key are taken in by as_done")
async def _(meter: Meter, scale: float) -> None:
    number = int(WAITERS * scale)
    async with asyncio.timeout(60):
        meter.begin()
        _ = await take_in(poller(), jobs(number, same=True), number)


@case("1,000,000 tasks are taken in from a generator")
async def _(meter: Meter, scale: float) -> None:
    number = int(MILLION * scale)
    meter.begin()
    _ = await take_in(poller(), jobs(number), number)


@case("1,000,000 from an async generator that never suspends")
async def _(meter: Meter, scale: float) -> None:
    number = int(MILLION * scale)
    meter.begin()
    _ = await take_in(poller(), jobs_at_once(number), number)


@case("20,000 waits of one key begin, 100 a turn")
async def _(meter: Meter, scale: float) -> None:
    waits = poller()
    meter.begin()
    await begin_all(lambda: waits.wait(Job(0), timeout=FOR_EVER), int(WAITERS * scale))


@case("one poll of a key with 20,000 waits")
async def _(meter: Meter, scale: float) -> None:
    waits = poller()
    await begin_all(lambda: waits.wait(Job(0), timeout=FOR_EVER), int(WAITERS * scale))
    polls = Job.polls
    meter.begin()
    waits.wake(0)
    await until(lambda: Job.polls > polls)
    await turns(10)


@case("8,000 wakes in a row of a key with 20,000 waits")
async def _(meter: Meter, scale: float) -> None:
    waits = poller()
    await begin_all(lambda: waits.wait(Job(0), timeout=FOR_EVER), int(WAITERS * scale))
    meter.begin()
    for _ in range(int(WAKES * scale)):
        waits.wake(0)
    await turns(10)


@case("8,000 waits of one key end")
async def _(meter: Meter, scale: float) -> None:
    waits = poller()
    begun = await begin_all(lambda: waits.wait(Job(0), timeout=FOR_EVER), int(ENDS * scale))
    meter.begin()
    Job.state = TaskState.SUCCEEDED
    waits.wake(0)
    await until(lambda: all(each.done() for each in begun[-1:]))
    await turns(100)
    assert all(each.done() for each in begun)


@case("8,000 tasks of one account end")
async def _(meter: Meter, scale: float) -> None:
    waits, number = poller(), int(ENDS * scale)
    reading = await take_in(waits, jobs(number), number)
    meter.begin()
    Job.state = TaskState.SUCCEEDED
    for key in range(number):
        waits.wake(key)
        if key % BATCH == 0:
            await asyncio.sleep(0)
    await reading


async def cancel_all(meter: Meter, begun: Sequence[asyncio.Future[object]]) -> None:
    """Measure how asyncio tasks end that are cancelled in one turn."""
    meter.begin()
    for each in begun:
        each.cancel()
    await turns(10)
    assert all(each.done() for each in begun)


@case("20,000 waits of one key are cancelled in one turn")
async def _(meter: Meter, scale: float) -> None:
    waits = poller()
    begun = await begin_all(lambda: waits.wait(Job(0), timeout=FOR_EVER), int(WAITERS * scale))
    await cancel_all(meter, begun)


@case("peer: 20,000 asyncio tasks that await a bare future are cancelled in one turn")
async def _(meter: Meter, scale: float) -> None:
    loop = asyncio.get_running_loop()

    async def wait() -> None:
        await loop.create_future()

    begun = await begin_all(wait, int(WAITERS * scale))
    await cancel_all(meter, begun)


@case("an as_done of 100,000 is left")
async def _(meter: Meter, scale: float) -> None:
    waits, number = poller(), int(PENDING * scale)
    ends = waits.as_done(jobs(number), timeout=FOR_EVER)
    reading = asyncio.ensure_future(read(ends))
    await until(lambda: waits.stats().waiters >= number)
    reading.cancel()
    await turns(2)
    meter.begin()
    ends.leave()
    await until(lambda: not waits.stats().waiters)
    await turns(10)


@case("a Poller with 100,000 pending is closed")
async def _(meter: Meter, scale: float) -> None:
    waits, number = poller(), int(PENDING * scale)
    reading = await take_in(waits, jobs(number), number)
    meter.begin()
    await waits.aclose()
    await reading


@case("a Poller with 20,000 waits of one key is closed")
async def _(meter: Meter, scale: float) -> None:
    waits = poller()
    begun = await begin_all(lambda: waits.wait(Job(0), timeout=FOR_EVER), int(WAITERS * scale))
    ends = asyncio.gather(*begun, return_exceptions=True)
    meter.begin()
    await waits.aclose()
    await ends


@case("one full collection with 100,000 pending")
async def _(meter: Meter, scale: float) -> None:
    waits, number = poller(), int(PENDING * scale)
    _ = await take_in(waits, jobs(number), number)
    meter.begin()
    gc.collect()
    await turns(2)


@case("the same after gc.freeze()")
async def _(meter: Meter, scale: float) -> None:
    waits, number = poller(), int(PENDING * scale)
    _ = await take_in(waits, jobs(number), number)
    gc.collect()
    gc.freeze()
    meter.begin()
    gc.collect()
    await turns(2)


async def measure(name: str, scale: float) -> None:
    """Run one case, and print its longest turn."""
    meter = Meter()
    await turns(10)
    await CASES[name](meter, scale)
    print(msgspec.json.encode(meter.longest).decode(), flush=True)
    os._exit(0)  # without the time that a million ends would take


def in_fresh_process(name: str, collecting: str, scale: float) -> Longest:
    """Put one case to a process of its own."""
    command = [sys.executable, __file__, "--ask", name, collecting, "--scale", str(scale)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return msgspec.json.decode(output, type=Longest)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[""], help="cases whose name has this text")
    parser.add_argument("--scale", type=float, default=1.0, help="of all numbers of tasks")
    parser.add_argument("--ask", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.ask:
        name, collecting = options.ask
        if collecting == "off":
            gc.disable()
        asyncio.run(measure(name, options.scale))
        return
    print(versions("msgspec"))
    print(f"Milliseconds of the longest turn, median of {options.rounds}\n")
    print(f"{'':80} {'CPU':>8} {'wall':>8} {'CPU, no gc':>11} {'wall':>8}")
    for name in CASES:
        if any(text in name for text in options.only):
            figures: list[float] = []
            for collecting in ("on", "off"):
                found = [
                    in_fresh_process(name, collecting, options.scale) for _ in range(options.rounds)
                ]
                figures.append(statistics.median(each.cpu for each in found) * 1e3)
                figures.append(statistics.median(each.wall for each in found) * 1e3)
            cpu, wall, cpu_off, wall_off = figures
            print(f"{name:80} {cpu:8.1f} {wall:8.1f} {cpu_off:11.1f} {wall_off:8.1f}", flush=True)


main()
