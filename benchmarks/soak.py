"""Does a `Poller` stay the same for as long as it runs?

A stream of tasks of both providers goes through one `SessionPool` and one `Poller`. The simulator,
in a process of its own, spoils a tenth of the polls and goes down hard twice a minute. Each minute
says what is there. The soak fails if a task ends otherwise than was ordered, or too early, if one
is started twice, if memory grows once it is warm, or if anything is left behind. Linux only.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import math
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import anyio
import msgspec
from turns import versions

from asyncclient import Poller, PollerStats, Schedule, SessionPool, Task
from asyncclient.errors import (
    AsyncClientError,
    TaskBlocked,
    TaskCancelled,
    TaskFailed,
)
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import Simulator

FAULT_SHARE = 0.1
UP_SECONDS = 27.0
DOWN_SECONDS = 3.0
START_GAP = 1 / 40
# Tasks that are pending at most: a new one is started when an old one ends.
PENDING = 250
TIMEOUT = 300.0
REQUEST_TIMEOUT = 10.0
# One task in this many is also waited for by someone who goes away after a moment.
PASSERS_BY = 10
PASSING_SECONDS = 1.0
WARM_MINUTES = 2.0
MOST_GROWTH = 0.2
WORKFLOW = "7350583675492311040"
BOT = "7493066380997000000"
ENDS: dict[str, type[Exception] | None] = {
    "success": None,
    "fail": TaskFailed,
    "cancel": TaskCancelled,
    "interrupt": TaskBlocked,
}


class Report(msgspec.Struct):
    """What the simulator has seen."""

    starts: int
    twice: list[str]
    requests: dict[str, int]
    faults: dict[str, int]


class Ordered(msgspec.Struct, frozen=True):
    """How a task was ordered to end, and when not before, on the loop's clock."""

    outcome: str
    not_before: float


# --- the simulator's process ---


async def serve() -> None:
    """Run the simulator, down twice a minute, until standard input ends."""
    async with Simulator(seed=7, fault_share=FAULT_SHARE) as sim:
        print(sim.coze_url, sim.copyai_url, sim.coze_token, sim.copyai_key, flush=True)
        async with anyio.create_task_group() as group:
            group.start_soon(restart, sim)
            await anyio.to_thread.run_sync(sys.stdin.read)
            group.cancel_scope.cancel()
        twice = [marker for marker, times in sim.starts.items() if times > 1]
        report = Report(sim.starts.total(), twice, dict(sim.requests), dict(sim.faults_served))
        print(msgspec.json.encode(report).decode(), flush=True)


async def restart(sim: Simulator) -> None:
    """Reset every connection and refuse new ones for a while, over and over."""
    while True:
        await anyio.sleep(UP_SECONDS)
        await sim.stop_listening()
        await anyio.sleep(DOWN_SECONDS)
        await sim.listen_again()


# --- the stream ---


class Soak:
    """Starts tasks, waits for them, and holds each end against its order.

    Args:
        coze: a client of the simulator.
        copyai: the same.
        poller: waits for all of them.
    """

    def __init__(self, coze: Coze, copyai: CopyAI, poller: Poller) -> None:
        self._coze = coze
        self._copyai = copyai
        self._poller = poller
        self._rng = Random(11)
        self._passing: set[asyncio.Task[None]] = set()
        self.pending: dict[object, Ordered] = {}
        self.done: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.started = self.not_started = self.unknown_starts = 0
        self.stopping = False
        self._ways: dict[str, Callable[[dict[str, object]], Awaitable[Task[Any]]]] = {
            "run": self._start_run,
            "chat": self._start_chat,
            "copyai": self._start_copyai,
        }

    async def _start_run(self, fate: dict[str, object]) -> Task[Any]:
        return await self._coze.start_workflow(WORKFLOW, {"simulate": fate})

    async def _start_chat(self, fate: dict[str, object]) -> Task[Any]:
        return await self._coze.start_chat(BOT, user_id="soak", parameters={"simulate": fate})

    async def _start_copyai(self, fate: dict[str, object]) -> Task[Any]:
        return await self._copyai.start_workflow("WCFG-soak", {"simulate": fate})

    def _outcome(self, kind: str) -> str:
        draw = self._rng.random()
        if draw < 0.8:  # noqa: PLR2004  (four in five end well)
            return "success"
        others = ("fail",) if kind == "copyai" else ("fail", "cancel", "interrupt")
        return self._rng.choice(others)

    async def tasks(self) -> AsyncIterator[Task[Any]]:
        """Start tasks until it is stopped; none whose start went wrong is waited for."""
        kinds = ("copyai", "run", "copyai", "run", "copyai", "chat")
        number = 0
        while not self.stopping:
            await anyio.sleep(START_GAP)
            if len(self.pending) >= PENDING:
                continue
            kind, number = kinds[number % len(kinds)], number + 1
            outcome = self._outcome(kind)
            seconds = min(20.0, self._rng.lognormvariate(0.8, 0.6))
            fate: dict[str, object] = {
                "marker": f"soak-{number}",
                "outcome": outcome,
                "seconds": seconds,
            }
            begun = asyncio.get_running_loop().time()
            try:
                task = await self._ways[kind](fate)
            except AsyncClientError as error:
                # The server goes down under it. It is not repeated where it may have started.
                if error.may_have_started:
                    self.unknown_starts += 1
                else:
                    self.not_started += 1
                continue
            self.started += 1
            runs = seconds / 2 if outcome == "interrupt" else seconds
            self.pending[task.key] = Ordered(outcome, begun + runs)
            if not number % PASSERS_BY:
                passing = asyncio.create_task(self._pass_by(task))
                self._passing.add(passing)
                passing.add_done_callback(self._passing.discard)
            yield task

    async def _pass_by(self, task: Task[Any]) -> None:
        with contextlib.suppress(TimeoutError, AsyncClientError):
            async with asyncio.timeout(PASSING_SECONDS):
                await self._poller.wait(task)

    async def follow(self) -> None:
        """Check each end against its order."""
        async for done in self._poller.as_done(self.tasks(), timeout=TIMEOUT):
            ordered = self.pending.pop(done.task.key, None)
            now = asyncio.get_running_loop().time()
            if ordered is None:
                self.wrong.append(f"{done.task!r} ended twice")
                continue
            end = ENDS[ordered.outcome]
            right = done.error is None if end is None else isinstance(done.error, end)
            if not right:
                self.wrong.append(
                    f"{done.task!r} was to end with {ordered.outcome}: {done.error!r}"
                )
            elif now < ordered.not_before:
                self.wrong.append(f"{done.task!r} ended {ordered.not_before - now:.3f} s too early")
            self.done[ordered.outcome] += 1
        if self._passing:
            await asyncio.wait(self._passing)


def resident() -> float:
    """Return this process's memory in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return math.nan


def descriptors() -> int:
    """Return how many files and sockets are open; the listing itself opens one."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1


def say(minutes: float, soak: Soak, stats: PollerStats) -> float:
    """Print what is there, and return the memory in MiB."""
    memory = resident()
    rates = " ".join(
        f"{budget.name.split()[0]} {budget.polls_per_second:.0f}/{budget.rate:.0f}"
        for budget in stats.budgets
    )
    print(
        f"{minutes:5.1f} {soak.done.total():8} {len(soak.pending):8} {stats.polls:8} "
        f"{stats.errors:7} {stats.lag_p99:8.3f} {memory:8.1f} {descriptors():5} "
        f"{len(asyncio.all_tasks()):6}  {rates}",
        flush=True,
    )
    return memory


async def run(minutes: float, urls: list[str], report_every: float) -> list[str]:
    """Run the stream and return what is wrong, a sentence each."""
    loop = asyncio.get_running_loop()
    wrong: list[str] = []
    loop.set_exception_handler(lambda _, context: wrong.append(f"unhandled: {context}"))
    before = descriptors()
    coze_url, copyai_url, token, key = urls
    warm = math.nan
    highest = 0.0
    async with SessionPool(request_timeout=REQUEST_TIMEOUT) as pool:
        coze = Coze(pool, token=token, base_url=coze_url)
        copyai = CopyAI(pool, api_key=key, base_url=copyai_url)
        async with Poller(schedule=Schedule(first=0.5, cap=4.0)) as poller:
            soak = Soak(coze, copyai, poller)
            following = asyncio.create_task(soak.follow())
            begun = loop.time()
            while (passed := (loop.time() - begun) / 60) < minutes and not following.done():
                left = max(0.0, minutes - passed) * 60
                await asyncio.wait({following}, timeout=min(report_every, left))
                passed = (loop.time() - begun) / 60
                memory = say(passed, soak, poller.stats())
                if math.isnan(warm) and passed >= min(WARM_MINUTES, minutes / 2) - 0.01:
                    warm = memory
                elif not math.isnan(warm):
                    highest = max(highest, memory)
            soak.stopping = True
            await following
            stats = poller.stats()
            say((loop.time() - begun) / 60, soak, stats)
        wrong += soak.wrong
        if stats.pending or stats.waiters or stats.in_flight or soak.pending:
            wrong.append(f"left in the Poller: {stats}, and {len(soak.pending)} ends never came")
    print(
        f"started {soak.started}, refused {soak.not_started}, unknown {soak.unknown_starts}; "
        f"ends {dict(soak.done)}; memory {warm:.1f} MiB when warm, {highest:.1f} at most"
    )
    if highest > warm * (1 + MOST_GROWTH):
        wrong.append(f"memory grew from {warm:.1f} to {highest:.1f} MiB")
    await anyio.sleep(0.2)  # closed transports are let go in the next turns of the loop
    gc.collect()
    if left_tasks := asyncio.all_tasks() - {asyncio.current_task()}:
        wrong.append(f"tasks left: {left_tasks}")
    if (after := descriptors()) > before:
        wrong.append(f"{after - before} connections left open")
    return wrong


def main() -> None:
    """Run the soak, and exit with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long, default 10")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
        return
    minutes: float = options.minutes
    print(versions("aiohttp", "msgspec", "anyio"))
    print(
        f"{minutes:g} minutes, {FAULT_SHARE:.0%} of polls spoilt, {DOWN_SECONDS:g} s down after "
        f"every {UP_SECONDS:g} s\n\n{'min':>5} {'done':>8} {'pending':>8} {'polls':>8} "
        f"{'failed':>7} {'lag p99':>8} {'RSS MiB':>8} {'fds':>5} {'tasks':>6}  polls/s and limit"
    )
    # What is not closed says so where no one can catch it: it is noted here.
    unraisable: list[str] = []
    warnings.simplefilter("error", ResourceWarning)
    sys.unraisablehook = lambda args: unraisable.append(f"unclosed: {args.exc_value!r}")
    command = [sys.executable, __file__, "--serve"]
    pipe = subprocess.PIPE
    begun = time.perf_counter()
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            urls = process.stdout.readline().split()
            # A minute between two reports, and a few reports however short it is.
            wrong = asyncio.run(run(minutes, urls, min(60.0, minutes * 60 / 4)))
            process.stdin.close()
            report = msgspec.json.decode(process.stdout.readline(), type=Report)
        finally:
            process.terminate()
    wrong += unraisable
    wrong += [f"{marker} was started twice" for marker in report.twice]
    print(
        f"{time.perf_counter() - begun:.0f} s; the simulator saw {report.starts} starts, "
        f"{sum(report.requests.values())} requests, {sum(report.faults.values())} faults"
    )
    for sentence in wrong[:50]:
        print(f"WRONG: {sentence}")
    if wrong:
        print(f"{len(wrong)} things are wrong")
        sys.exit(1)
    print("nothing is wrong")


if __name__ == "__main__":
    main()
