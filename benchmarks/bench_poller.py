"""What does a `Poller` cost beside one coroutine for each task?

1. How many bytes does one pending task take? The peers are asyncio tasks with `asyncio.timeout`
   around a poll loop, and the same loop with `anyio.fail_after` in an anyio task group.
2. How many tasks are taken in per second?
3. How late are polls sent, at 1,000 a second over real sockets?
4. How much CPU does a poll cost, without sockets and with them? It is asked of the smallest tasks,
   and of a provider's handles, whose answers are read and kept. The peer keeps nothing.

Questions 1 and 2 are put to a fresh process for each figure; `--million` adds a million tasks to
the first, `--cost` asks the last alone. Linux only, since memory is read from /proc.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import anyio
import msgspec
from loopback import BODY
from turns import versions

from asyncclient import (
    Observation,
    Poller,
    Schedule,
    SessionPool,
    Task,
    TaskState,
    wait_until_done,
)
from asyncclient._http import Request, Response, Transport
from asyncclient.providers.coze import Coze

TASKS = 100_000
MILLION = 1_000_000
# Seconds over which the first polls of the first question are spread, for each 100,000 tasks.
FIRST_POLLS = 4.0
INTAKE_ROUNDS = 3
# Each task is polled every so many seconds: 1,000 tasks make 1,000 polls a second.
INTERVAL = 1.0
LOOPBACK_TASKS = 1_000
LAG_SECONDS = 10
CPU_ROUNDS = 5
# What others do on the machine makes every other moment dearer: of short windows, the least quarter
# counts.
CPU_WINDOWS, WINDOW_SECONDS = 10, 0.25
# Without sockets so many more are needed to measure anything.
TINY_TASKS = 5_000
# Long enough that none ends while it is measured, and short enough for every timer.
FOR_EVER = 7_200.0
SILENCE = 3_000.0
GOLDEN = 0.6180339887498949
WORKFLOW = "7350583675492311040"
RUNNING = BODY.replace(b'"execute_status":"Success"', b'"execute_status":"Running"')
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(RUNNING),
    RUNNING,
)


class Tiny:
    """A task that never ends, with the smallest answer."""

    __slots__ = ("key",)

    kind = "tiny"
    polls = 0

    def __init__(self, number: int) -> None:
        self.key = number

    async def observe(self) -> Observation[str]:
        """Count this poll and answer."""
        Tiny.polls += 1
        return Observation(TaskState.RUNNING, "running", "running")


class Silent(Tiny):
    """The same, which asks not to be polled again soon: it is pending and nothing happens."""

    __slots__ = ()

    async def observe(self) -> Observation[str]:
        """Count this poll and answer, with the seconds to wait."""
        Tiny.polls += 1
        return Observation(TaskState.RUNNING, "running", "running", hint=SILENCE)


# --- the contenders ---


async def follow_by_coroutine(
    task: Task[Any], first: float, interval: float, late: Callable[[float], object]
) -> None:
    """Poll one task by one coroutine, at a fixed interval from poll to poll."""
    clock = asyncio.get_running_loop().time
    due = clock() + first
    while True:
        await asyncio.sleep(due - clock())
        now = clock()
        late(now - due)
        state = (await task.observe()).state
        if state is not None and state.is_terminal:
            return
        due = now + interval


def ignore(_value: float) -> None:
    """Do nothing with a figure."""


def phase(number: int, spread: float) -> float:
    """Return when the first poll is made, as evenly spread as the Poller's."""
    return spread * (number * GOLDEN % 1.0)


async def with_poller(tasks: Sequence[Task[Any]], spread: float, interval: float) -> None:
    """Follow tasks by `as_done`."""
    schedule = Schedule(first=spread, factor=1, cap=max(spread, interval), jitter=0)
    async with Poller(schedule=schedule, rate=math.inf) as poller:
        async for done in poller.as_done(tasks, timeout=FOR_EVER):
            raise RuntimeError(f"it ended: {done}")


async def with_asyncio(tasks: Sequence[Task[Any]], spread: float, interval: float) -> None:
    """Follow tasks by an asyncio task with a timeout for each."""

    async def follow(number: int, task: Task[Any]) -> None:
        async with asyncio.timeout(FOR_EVER):
            await follow_by_coroutine(task, phase(number, spread), interval, ignore)

    async with asyncio.TaskGroup() as group:
        for number, task in enumerate(tasks):
            group.create_task(follow(number, task))


async def with_anyio(tasks: Sequence[Task[Any]], spread: float, interval: float) -> None:
    """Follow tasks by an anyio task with a timeout for each."""

    async def follow(number: int, task: Task[Any]) -> None:
        with anyio.fail_after(FOR_EVER):
            await follow_by_coroutine(task, phase(number, spread), interval, ignore)

    async with anyio.create_task_group() as group:
        for number, task in enumerate(tasks):
            group.start_soon(follow, number, task)


CONTENDERS = {
    "Poller": with_poller,
    "asyncio.timeout": with_asyncio,
    "anyio.fail_after": with_anyio,
}


# --- 1 and 2: in a fresh process each ---


class Figures(msgspec.Struct):
    """What one process measured: bytes for one task, and tasks taken in per second."""

    size: float = 0.0
    per_second: float = 0.0


def resident() -> int:
    """Return this process's memory in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS in /proc/self/status: this needs Linux")


def give(figures: Figures) -> NoReturn:
    """Print figures and end, without the time that a million cancellations would take."""
    print(msgspec.json.encode(figures).decode(), flush=True)
    os._exit(0)


async def measure_size(name: str, number: int) -> None:
    """Measure memory when each task has been polled once and all are pending."""
    tasks = [Silent(key) for key in range(number)]
    spread = FIRST_POLLS * number / TASKS
    before = resident()
    following = asyncio.ensure_future(CONTENDERS[name](tasks, spread, SILENCE))
    while Tiny.polls < number and not following.done():
        await asyncio.wait({following}, timeout=0.1)
    assert not following.done()
    assert Tiny.polls == number
    give(Figures(size=(resident() - before) / number))


async def measure_intake(name: str, number: int) -> None:
    """Measure the time until each task is pending; the Poller's is the loop's next free turn."""
    tasks = [Silent(key) for key in range(number)]
    loop = asyncio.get_running_loop()
    begun = loop.time()
    following = asyncio.ensure_future(CONTENDERS[name](tasks, SILENCE, SILENCE))
    await asyncio.sleep(0)
    if name == "Poller":
        # It takes them in by batches: ready when the feeding task has ended.
        others = {asyncio.current_task(), following}
        while feeding := asyncio.all_tasks() - others:
            await asyncio.wait(feeding, timeout=0.01)
    else:
        # One turn makes the tasks, the next runs each to its first sleep.
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == number + 2
    taken = loop.time() - begun
    assert not following.done()
    give(Figures(per_second=number / taken))


def in_fresh_process(question: str, name: str, number: int) -> Figures:
    """Put one question to one contender."""
    command = [sys.executable, __file__, "--ask", question, name, str(number)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return msgspec.json.decode(output, type=Figures)


def report_sizes(number: int) -> None:
    """Print bytes for one pending task."""
    print(f"\n1. Bytes for one pending task, {number:,} pending, each polled once\n")
    first = math.nan
    for name in CONTENDERS:
        size = in_fresh_process("size", name, number).size
        first = size if math.isnan(first) else first
        print(f"{name:28} {size:10,.0f} bytes {size / first:8.2f}x", flush=True)


def report_intake() -> None:
    """Print how many tasks are taken in per second."""
    print(f"\n2. Tasks taken in per second, {TASKS:,} at once, median of {INTAKE_ROUNDS} in turn\n")
    found: dict[str, list[float]] = {name: [] for name in CONTENDERS}
    for _ in range(INTAKE_ROUNDS):
        for name, figures in found.items():
            figures.append(in_fresh_process("intake", name, TASKS).per_second)
    for name, figures in found.items():
        ratio = statistics.median(
            one / other for one, other in zip(figures, found["Poller"], strict=True)
        )
        print(f"{name:28} {statistics.median(figures):10,.0f} a second {ratio:6.2f}x")


# --- 3 and 4: in turn, in one process ---


class Answering(asyncio.Protocol):
    """Answers each request that the task is running; every request here is a GET."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        """Count the ends of heads, and answer as often."""
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(heads))


async def serve() -> None:
    """Run the server until this process is ended."""
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def serving() -> Generator[str]:
    """Run the server in a process of its own; gives its base URL."""
    command = [sys.executable, __file__, "--serve"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


class Counting:
    """A transport that counts what is asked of it: a pool, or none, with one answer for all."""

    polls = 0

    def __init__(self, pool: SessionPool | None = None) -> None:
        self._pool = pool

    async def exchange(self, request: Request) -> Response:
        """Count this request and make it."""
        Counting.polls += 1
        if self._pool is None:
            return Response(200, {"content-type": "application/json"}, RUNNING)
        return await self._pool.exchange(request)


@contextlib.asynccontextmanager
async def by_poller(tasks: Iterable[Task[Any]]) -> AsyncGenerator[Poller]:
    """Keep a Poller at work."""
    schedule = Schedule(first=INTERVAL, factor=1, cap=INTERVAL, jitter=0)
    async with Poller(schedule=schedule, rate=math.inf, concurrency=1_000) as poller:

        async def read() -> None:
            async for done in poller.as_done(tasks, timeout=FOR_EVER):
                raise RuntimeError(f"it ended: {done}")

        async with running([read()]):
            yield poller


@contextlib.asynccontextmanager
async def by_coroutines(
    tasks: Iterable[Task[Any]], late: Callable[[float], object] = ignore
) -> AsyncGenerator[None]:
    """Keep a plain coroutine for each task at work."""
    followers = [
        follow_by_coroutine(task, phase(number, INTERVAL), INTERVAL, late)
        for number, task in enumerate(tasks)
    ]
    async with running(followers):
        yield


@contextlib.asynccontextmanager
async def by_waits(tasks: Iterable[Task[Any]]) -> AsyncGenerator[None]:
    """Keep a `wait_until_done` for each task at work."""
    schedule = Schedule(first=INTERVAL, factor=1, cap=INTERVAL, jitter=0)

    async def wait(number: int, task: Task[Any]) -> None:
        await asyncio.sleep(phase(number, INTERVAL))
        await wait_until_done(task, timeout=FOR_EVER, schedule=schedule)

    async with running([wait(number, task) for number, task in enumerate(tasks)]):
        yield


@contextlib.asynccontextmanager
async def running(coroutines: Iterable[Any]) -> AsyncGenerator[None]:
    """Run coroutines as tasks; in the end they are cancelled, and must not have ended before."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        yield
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def handles(transport: Transport, url: str, number: int) -> list[Task[Any]]:
    """Make tasks that the server will always call running."""
    coze = Coze(transport, token="pat_benchmark", base_url=url)
    first = 7535298640308535332
    return [coze.workflow_run(WORKFLOW, str(first + each)) for each in range(number)]


async def report_lag(url: str) -> None:
    """Print how many seconds after it was due a poll was sent."""
    per_second = LOOPBACK_TASKS / INTERVAL
    print(
        f"\n3. Milliseconds from due to sent, {per_second:,.0f} polls a second on loopback, "
        f"{LAG_SECONDS} s each\n"
    )
    print(f"{'':28} {'p50':>8} {'p99':>8} {'worst second p99':>18} {'polls/s':>9}")
    async with SessionPool(limit=1_000) as pool:
        tasks = handles(pool, url, LOOPBACK_TASKS)
        seconds: list[tuple[float, float]] = []
        async with by_poller(tasks) as poller:
            await asyncio.sleep(INTERVAL + 1)
            before = poller.stats().polls
            for _ in range(LAG_SECONDS):
                # It keeps the lags of its last 1,024 polls: about those of the last second.
                await asyncio.sleep(1)
                stats = poller.stats()
                seconds.append((stats.lag_p50, stats.lag_p99))
            rate = (poller.stats().polls - before) / LAG_SECONDS
        print_lag("Poller", seconds, rate)
        lags: list[float] = []
        seconds = []
        polls = 0
        async with by_coroutines(tasks, lags.append):
            await asyncio.sleep(INTERVAL + 1)
            for _ in range(LAG_SECONDS):
                lags.clear()
                await asyncio.sleep(1)
                polls += len(lags)
                ordered = sorted(lags)
                middle, high = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
                seconds.append((middle, high))
        print_lag("a coroutine for each task", seconds, polls / LAG_SECONDS)


def print_lag(name: str, seconds: list[tuple[float, float]], rate: float) -> None:
    """Print one line of lags."""
    middle, high = (statistics.median(pair[side] for pair in seconds) for side in (0, 1))
    worst = max(pair[1] for pair in seconds)
    print(f"{name:28} {middle * 1e3:8.2f} {high * 1e3:8.2f} {worst * 1e3:18.2f} {rate:9,.0f}")


Working = Callable[[], contextlib.AbstractAsyncContextManager[object]]


async def cost(working: Working) -> tuple[float, int]:
    """Return the CPU seconds of one poll at a steady pace, and how many polls were made."""
    costs: list[float] = []
    made = 0
    async with working():
        await asyncio.sleep(INTERVAL * 1.1)  # each task has been polled once
        for _ in range(CPU_WINDOWS):
            before, cpu = Tiny.polls + Counting.polls, time.process_time()
            await asyncio.sleep(WINDOW_SECONDS)
            polls = Tiny.polls + Counting.polls - before
            if polls:  # none, where others held the machine
                costs.append((time.process_time() - cpu) / polls)
            made += polls
    return statistics.quantiles(costs, n=4)[0], made


async def report_cost(title: str, contenders: Mapping[str, Working]) -> None:
    """Print CPU microseconds for one poll."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    made = 0
    for number in range(CPU_ROUNDS):
        names = list(contenders)
        for name in names if number % 2 else reversed(names):
            seconds, made = await cost(contenders[name])
            found[name].append(seconds)
    print(
        f"\n4. CPU for one poll, {title}, {CPU_ROUNDS} rounds in turn, "
        f"{made / CPU_WINDOWS / WINDOW_SECONDS:,.0f} polls a second\n"
    )
    peer = found["a coroutine for each task"]
    for name, figures in found.items():
        ratios = [one / other for one, other in zip(figures, peer, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"{name:28} {statistics.median(figures) * 1e6:8.1f} us "
            f"{middle:6.3f}x {low:6.3f}-{high:5.3f}",
            flush=True,
        )


def contenders_over(tasks: list[Task[Any]]) -> dict[str, Working]:
    """Return what is measured in turn over the same tasks."""
    return {
        "a coroutine for each task": lambda: by_coroutines(tasks),
        "Poller": lambda: by_poller(tasks),
        "wait_until_done for each": lambda: by_waits(tasks),
    }


async def report_in_turn(*, cost_alone: bool) -> None:
    """Answer questions 3 and 4."""
    with serving() as url:
        if not cost_alone:
            await report_lag(url)
        tiny: list[Task[Any]] = [Tiny(number) for number in range(TINY_TASKS)]
        await report_cost("without sockets", contenders_over(tiny))
        without_sockets = handles(Counting(), url, TINY_TASKS)
        await report_cost("handles without sockets", contenders_over(without_sockets))
        async with SessionPool(limit=1_000) as pool:
            on_loopback = handles(Counting(pool), url, LOOPBACK_TASKS)
            await report_cost("handles on loopback", contenders_over(on_loopback))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--million", action="store_true", help="also measure a million tasks")
    parser.add_argument("--cost", action="store_true", help="only the CPU of a poll")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--ask", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve())
        return
    if options.ask:
        question, name, number = options.ask
        measure = {"size": measure_size, "intake": measure_intake}[question]
        asyncio.run(measure(name, int(number)))
        return
    print(versions("aiohttp", "msgspec", "anyio"))
    if not options.cost:
        print("Memory is VmRSS after less before, when the caller's own tasks have been built.")
        report_sizes(TASKS)
        if options.million:
            report_sizes(MILLION)
        report_intake()
    asyncio.run(report_in_turn(cost_alone=options.cost))


main()
