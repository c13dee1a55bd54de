"""Do 10,000 tasks survive a provider whose answers go wrong, and that dies twice?

A stream of tasks goes through one `SessionPool` and one `Poller`. The provider (the simulator, with
a journal) and the gateway before it (the proxy of `tests/adversity`) are processes of their own.
The gateway spoils a tenth of the answers in many ways. Then the provider is killed and comes back,
then the gateway, then the provider once more. A start that may have happened is looked for by its
marker, and repeated only where there is none. It fails if a task ends otherwise than was ordered,
too early or not at all, if one is not started or is started twice, or if anything is left behind.
Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import resource
import socket
import statistics
import sys
import tempfile
import time
import warnings
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import msgspec
from turns import versions

from asyncclient import Poller, Schedule, SessionPool
from asyncclient.errors import AsyncClientError, TaskFailed
from asyncclient.providers.copyai import CopyAI, WorkflowRunHandle

ROOT = Path(__file__).parents[1]
SERVE = (sys.executable, "-m", "benchmarks.adversity_serve")
SHARE = 0.1
STARTERS = 30
SHORTEST, LONGEST = 5.0, 30.0
TIMEOUT = 300.0
REQUEST_TIMEOUT = 5.0
MAX_BODY = 1024 * 1024
DOWN_SECONDS = 4.0
# What is killed when so much of the tasks has ended.
KILLED_AT = {0.2: "provider", 0.4: "gateway", 0.6: "provider"}
# A start that may have happened is looked for: how often, and seconds before each time.
LOOKS = 2
LOOK_AFTER = 3.0
# Seconds before what certainly did not happen is tried again.
AGAIN_AFTER = 1.0
# Both lives of the provider have the same clock, but for the setting of the wall clock.
SAME_MOMENT = 0.05
# Below the ports that the system gives to outgoing connections, so that no one takes it meanwhile.
PORTS = range(20_000, 30_000)


class Report(msgspec.Struct):
    """What the provider has seen: see `benchmarks.adversity_serve`."""

    starts: dict[str, int]
    ends: dict[str, float]


class Server:
    """A process that can be killed and come back on its port.

    Attributes:
        name: for messages.
        port: where it listens.
        outages: from when to when it was down, on the monotonic clock.
    """

    name: str
    port: int

    def __init__(self) -> None:
        self.outages: list[tuple[float, float]] = []

    async def begin(self) -> None:
        """Listen; return when it does."""
        raise NotImplementedError

    async def kill(self) -> None:
        """Kill it, as by `kill -9`."""
        raise NotImplementedError

    async def die_for(self, seconds: float) -> None:
        """Kill it, and begin again after some seconds."""
        down = time.monotonic()
        await self.kill()
        await asyncio.sleep(seconds)
        await self.begin()
        self.outages.append((down, time.monotonic()))


class Provider(Server):
    """The simulator's process; its tasks outlive it in a journal.

    Args:
        journal: the file.
    """

    name = "provider"

    def __init__(self, journal: Path) -> None:
        super().__init__()
        self._journal = journal
        self._process: Process | None = None
        self.port = 0

    async def begin(self) -> None:
        """Listen; return when it does."""
        self._process = await asyncio.create_subprocess_exec(
            *SERVE, "provider", str(self._journal), str(self.port), cwd=ROOT,
            stdin=PIPE, stdout=PIPE, limit=2**26,
        )  # fmt: skip
        assert self._process.stdout is not None
        url = (await self._process.stdout.readline()).decode()
        self.port = int(url.split(":")[2].partition("/")[0])

    async def kill(self) -> None:
        """Kill it, as by `kill -9`."""
        assert self._process is not None
        self._process.kill()
        await self._process.wait()

    async def report(self) -> Report:
        """End it, and return what it has seen in all its lives."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        report = await self._process.stdout.read()
        await self._process.wait()
        return msgspec.json.decode(report, type=Report)


class Gateway(Server):
    """The proxy's process, which can be killed and come back on its port.

    Args:
        provider_port: what it stands before.

    Attributes:
        faults: what it has spoilt, by kind.
    """

    name = "gateway"

    def __init__(self, provider_port: int) -> None:
        super().__init__()
        self._provider_port = provider_port
        self._process: Process | None = None
        self._noting: asyncio.Task[None] | None = None
        self._lives = 0
        self.port = free_port()
        self.faults: Counter[str] = Counter()

    async def begin(self) -> None:
        """Listen; return when it does."""
        self._lives += 1
        arguments = ("proxy", self._provider_port, self.port, self._lives, SHARE)
        self._process = await asyncio.create_subprocess_exec(
            *SERVE, *map(str, arguments), cwd=ROOT, stdout=PIPE
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"listening\n"
        self._noting = asyncio.create_task(self._note(self._process.stdout))

    async def kill(self) -> None:
        """Kill it, as by `kill -9`."""
        assert self._process is not None
        assert self._noting is not None
        self._process.kill()
        await self._process.wait()
        await self._noting

    async def _note(self, lines: asyncio.StreamReader) -> None:
        async for line in lines:
            self.faults[line.decode().strip()] += 1


def free_port() -> int:
    """Return a port that is free and stays so."""
    for port in PORTS:
        with socket.socket() as trial, contextlib.suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port")


class Stream:
    """Starts tasks, and holds the end of each against its order.

    Args:
        copyai: a client of the gateway.
        count: how many tasks.
    """

    def __init__(self, copyai: CopyAI, count: int) -> None:
        self._copyai = copyai
        rng = Random(5)
        self._orders = {
            f"task-{number}": (
                rng.uniform(SHORTEST, LONGEST),
                "fail" if rng.random() < 0.2 else "success",  # noqa: PLR2004  (one in five)
            )
            for number in range(count)
        }
        self._left = iter(self._orders.items())
        self._runs: asyncio.Queue[WorkflowRunHandle | None] = asyncio.Queue(1000)
        self.markers: dict[object, str] = {}
        self.seen_at: dict[str, float] = {}
        self.unknown: set[str] = set()
        self.found: set[str] = set()
        self.refused = 0
        self.wrong: list[str] = []

    async def tasks(self) -> AsyncIterator[WorkflowRunHandle]:
        """Yield the tasks as they are started."""
        starters = [asyncio.create_task(self._start_some()) for _ in range(STARTERS)]
        working = STARTERS
        while working:
            run = await self._runs.get()
            if run is None:
                working -= 1
            else:
                yield run
        await asyncio.gather(*starters)

    async def _start_some(self) -> None:
        for marker, (seconds, outcome) in self._left:
            fate = {"marker": marker, "seconds": seconds, "outcome": outcome}
            run = await self._start(marker, {"simulate": fate})
            self.markers[run.key] = marker
            await self._runs.put(run)
        await self._runs.put(None)

    async def _start(self, marker: str, inputs: dict[str, object]) -> WorkflowRunHandle:
        """Start a task once, whatever it takes."""
        since = time.time()
        while True:
            try:
                return await self._copyai.start_workflow("W", inputs, metadata={"marker": marker})
            except AsyncClientError as error:
                if not error.may_have_started:
                    self.refused += 1
                    await asyncio.sleep(AGAIN_AFTER)
                    continue
            self.unknown.add(marker)
            run = await self._look_for(marker, since)
            if run is not None:
                self.found.add(marker)
                return run

    async def _look_for(self, marker: str, since: float) -> WorkflowRunHandle | None:
        """Return the run that a start has left; None where there is none."""
        for _ in range(LOOKS):
            await asyncio.sleep(LOOK_AFTER)
            runs: list[WorkflowRunHandle] | None = None
            while runs is None:
                try:
                    runs = await self._copyai.find_started(
                        "W", metadata={"marker": marker}, since=since, max_pages=100
                    )
                except AsyncClientError:
                    await asyncio.sleep(AGAIN_AFTER)
            if runs:
                return runs[0]
        return None

    async def follow(self, poller: Poller) -> None:
        """Note each end."""
        async for done in poller.as_done(self.tasks(), timeout=TIMEOUT):
            marker = self.markers[done.task.key]
            if marker in self.seen_at:
                self.wrong.append(f"{marker} ended twice")
            self.seen_at[marker] = time.monotonic()
            failed = self._orders[marker][1] == "fail"
            if not (isinstance(done.error, TaskFailed) if failed else done.error is None):
                self.wrong.append(f"{marker} was to {self._orders[marker][1]}: {done.error!r}")

    def check(self, report: Report) -> None:
        """Hold what was seen here against what the provider has seen."""
        started = {*self.markers.values()}
        for marker, times in report.starts.items():
            if times > 1:
                self.wrong.append(f"{marker} was started {times} times")
        for marker in {*self._orders} - {*self.seen_at}:
            self.wrong.append(f"{marker} was not seen to its end")
        for marker in started - {*report.starts}:
            self.wrong.append(f"{marker} has a handle, but was not started")
        for marker, seen in self.seen_at.items():
            if seen < report.ends.get(marker, 0.0) - SAME_MOMENT:
                self.wrong.append(f"{marker} was seen to end before it did")


def descriptors() -> int:
    """Return how many files and sockets are open; the listing itself opens one."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1


def say_delays(name: str, delays: list[float]) -> None:
    """Print how long after their end tasks were seen to have ended."""
    if delays:
        worst = sorted(delays)
        print(
            f"{name:34} median {statistics.median(worst):6.2f} s, "
            f"p99 {worst[len(worst) * 99 // 100]:6.2f} s, worst {worst[-1]:6.2f} s "
            f"({len(worst)} tasks)"
        )


async def kill_at_times(servers: dict[str, Server], stream: Stream, count: int) -> None:
    """Kill each server when its share of the tasks has ended."""
    for share, name in KILLED_AT.items():
        while len(stream.seen_at) < count * share:  # noqa: ASYNC110  (ends set no event)
            await asyncio.sleep(0.1)
        await servers[name].die_for(DOWN_SECONDS)


async def run(count: int, gateway: Gateway, provider: Provider) -> list[str]:
    """Run the stream and return what is wrong, a sentence each."""
    loop = asyncio.get_running_loop()
    wrong: list[str] = []
    loop.set_exception_handler(lambda _, context: wrong.append(f"unhandled: {context}"))
    before, tasks_before = descriptors(), asyncio.all_tasks()
    began, cpu = time.monotonic(), time.process_time()
    async with SessionPool(request_timeout=REQUEST_TIMEOUT, max_body=MAX_BODY) as pool:
        copyai = CopyAI(pool, api_key="k", base_url=f"http://127.0.0.1:{gateway.port}/api")
        stream = Stream(copyai, count)
        async with Poller(schedule=Schedule(first=2.0, cap=8.0)) as poller:
            servers: dict[str, Server] = {each.name: each for each in (provider, gateway)}
            killing = asyncio.create_task(kill_at_times(servers, stream, count))
            await stream.follow(poller)
            await killing
            stats = poller.stats()
        if stats.pending or stats.waiters or stats.in_flight:
            wrong.append(f"left in the Poller: {stats}")
        if ", 0 requests active," not in repr(pool):
            wrong.append(f"left in the pool: {pool!r}")
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    report = await provider.report()
    stream.check(report)
    wrong += stream.wrong
    await asyncio.sleep(0.2)  # closed transports are let go in the next turns of the loop
    gc.collect()
    noting = 1  # reads what the gateway reports
    if (left := len(asyncio.all_tasks() - tasks_before)) > noting:
        wrong.append(f"{left - noting} tasks left")
    # The gateway that came back has the pipes of the first one; the provider's are closed.
    if (after := descriptors()) > before:
        wrong.append(f"{after - before} connections left open")
    say(count, stream, report, gateway, sorted(provider.outages + gateway.outages))
    print(
        f"{stats.polls} polls, {stats.errors} of them failed; {seconds:.0f} s, "
        f"{cpu:.0f} s of CPU in this process, "
        f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most"
    )
    return wrong


def say(
    count: int,
    stream: Stream,
    report: Report,
    gateway: Gateway,
    outages: list[tuple[float, float]],
) -> None:
    """Print what has come of the tasks."""
    print(
        f"{count} tasks: {len(stream.seen_at)} seen to their ends; {len(stream.unknown)} starts "
        f"that may have happened, of which {len(stream.found)} were found; {stream.refused} times "
        "a start had certainly not happened"
    )
    out: list[float] = []
    after: list[float] = []
    others: list[float] = []
    for marker, seen in stream.seen_at.items():
        end = report.ends[marker]
        met = [up for down, up in outages if end < up and seen > down]
        (out if met else others).append(seen - end)
        if met:
            after.append(max(0.0, seen - met[-1]))
    say_delays("detection delay", others)
    say_delays("... of those that met an outage", out)
    say_delays("... from its end", after)
    print(f"outages of {', '.join(f'{up - down:.1f} s' for down, up in outages)}")
    print(f"{gateway.faults.total()} faults:")
    for name, times in gateway.faults.most_common():
        print(f"  {times:6} {name}")


async def main(count: int) -> list[str]:
    """Run everything, and return what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        provider = Provider(Path(folder) / "journal")
        await provider.begin()
        gateway = Gateway(provider.port)
        await gateway.begin()
        wrong = await run(count, gateway, provider)
        await gateway.kill()
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000, help="how many, default 10000")
    options = parser.parse_args()
    print(versions("aiohttp", "msgspec", "anyio"))
    # What is not closed says so where no one can catch it: it is noted here.
    unraisable: list[str] = []
    warnings.simplefilter("error", ResourceWarning)
    sys.unraisablehook = lambda args: unraisable.append(f"unclosed: {args.exc_value!r}")
    found = asyncio.run(main(options.tasks)) + unraisable
    for sentence in found[:50]:
        print(f"WRONG: {sentence}")
    if found:
        print(f"{len(found)} things are wrong")
        sys.exit(1)
    print("nothing is wrong")
