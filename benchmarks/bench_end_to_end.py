"""What does the same work take with this library, with Coze's own SDK, and by hand?

A thousand runs of a simulated Coze workflow. One poll in twenty meets a fault; ten starts happen
whose answer is lost. Each contender has a process of its own, 300 connections, and a simulator with
the same seed; they take turns. First the provider has no limit, runs take some 12 s, and all are
started in 10 s. Then it allows 100 requests a second, starts included, as Coze documents for a
plan; runs take some 20 s, and are started in 20 s.

By hand is an aiohttp session with a semaphore, and a loop of `sleep(1)` for each run. Coze's SDK
(cozepy) has no wait for a run, so it gets the same loop. Both loops are careful: they know every
last word, poll again after any failure, and give up after 20 in a row. Under the limit they sleep
16 s, which fits it. A start that fails is tried three times, as people do.

This library polls as often as a poll is worth: 1 s of delay by default, or 0.1 s, which comes near
the loop's delay. It starts nothing twice that may have happened: its error says so, and the run's
end stays unknown here.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from operator import attrgetter
from random import Random
from typing import Literal, NamedTuple, Protocol, cast

import aiohttp
import msgspec
from turns import versions

from asyncclient import LearnedSchedule, Poller, SessionPool
from asyncclient.errors import AsyncClientError, TaskFailed
from asyncclient.providers.coze import Coze
from asyncclient.testing import Fault, Simulator

RUNS = 1_000
ROUNDS = 2
CONNECTIONS = 300
FAULT_SHARE, FAIL_SHARE, LOST_STARTS = 0.05, 0.05, 10
SIGMA = 0.4  # of the durations, which are lognormal
TIMEOUT = 180.0
STARTS, FAILED_POLLS = 3, 20
WORKFLOW = "7350583675492311040"
TOKEN = "pat_benchmark"  # noqa: S105  (the simulator takes any)
LAST_WORDS = {"Success": True, "Fail": False, "Cancel": False}


class World(NamedTuple):
    """What the provider allows, and what is asked of it."""

    plan: Literal["personal"] | None
    rate: float  # that this library is given
    median_seconds: float
    start_seconds: float
    interval: float  # of the loops of `sleep`


WORLDS = {
    "no limit": World(None, math.inf, 12.0, 10.0, 1.0),
    "100 requests a second": World("personal", 100.0, 20.0, 20.0, 16.0),
}

# What one contender learned of one run: its id, whether it ended well, and when that was known.
End = tuple[str, bool, float]


class Account(msgspec.Struct):
    """What one contender's process reports."""

    ends: list[End]
    cpu_seconds: float


class Figures(msgspec.Struct):
    """What came of one contender's runs in one round."""

    polls: float
    cpu_seconds: float
    delay: float
    late_delay: float
    unknown: int
    started_twice: int


# --- the contenders, each in a process of its own ---


def inputs(number: int) -> dict[str, object]:
    """Return the parameters of one run, with a marker by which the simulator counts starts."""
    return {"topic": "tea", "simulate": {"marker": f"run-{number}"}}


async def by_asyncclient(
    world: World, url: str, ends: list[End], *, poll_cost: float = 1.0
) -> None:
    """Start and wait with this library: one `Poller` for all."""
    schedule = LearnedSchedule(poll_cost=poll_cost)
    async with (
        SessionPool(limit=CONNECTIONS) as pool,
        Poller(schedule=schedule, rate=world.rate) as poller,
    ):
        coze = Coze(pool, token=TOKEN, base_url=url)

        async def one(number: int) -> None:
            run = await coze.start_workflow(WORKFLOW, inputs(number))
            try:
                await poller.wait(run, timeout=TIMEOUT)
                is_good = True
            except TaskFailed:
                is_good = False
            ends.append((run.execute_id, is_good, time.monotonic()))

        await all_of(world, one)


class Run(msgspec.Struct):
    """The fields of a run that its user needs."""

    execute_status: str
    output: str = ""
    error_message: str = ""


class Histories(msgspec.Struct):
    """An answer about a run."""

    data: list[Run]
    code: int = 0


class Started(msgspec.Struct):
    """An answer to a start."""

    execute_id: str
    code: int = 0


async def by_hand(world: World, url: str, ends: list[End]) -> None:
    """Start and wait with aiohttp alone."""
    limit = asyncio.Semaphore(CONNECTIONS)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=30)
    started, histories = msgspec.json.Decoder(Started), msgspec.json.Decoder(Histories)
    async with aiohttp.ClientSession(
        headers=headers, connector=connector, timeout=timeout
    ) as session:

        async def start(number: int) -> str:
            body = {"workflow_id": WORKFLOW, "parameters": inputs(number), "is_async": True}
            async with limit, session.post(f"{url}/v1/workflow/run", json=body) as answer:
                answer.raise_for_status()
                return started.decode(await answer.read()).execute_id

        async def status(execute_id: str) -> str:
            target = f"{url}/v1/workflows/{WORKFLOW}/run_histories/{execute_id}"
            async with limit, session.get(target) as answer:
                answer.raise_for_status()
                return histories.decode(await answer.read()).data[0].execute_status

        await all_of(world, lambda number: loop(world, number, start, status, ends))


class Create(Protocol):
    """What is called of the SDK to start a run."""

    def __call__(
        self, *, workflow_id: str, parameters: dict[str, object], is_async: bool
    ) -> Awaitable[object]:
        """Start a run."""
        ...


class Retrieve(Protocol):
    """What is called of the SDK to read a run."""

    def __call__(self, *, workflow_id: str, execute_id: str) -> Awaitable[object]:
        """Read a run's history."""
        ...


async def by_cozepy(world: World, url: str, ends: list[End]) -> None:
    """Start and wait with Coze's SDK."""
    import httpx  # noqa: PLC0415  (only this contender's process pays for the two)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one of its dependencies warns when it is imported
        import cozepy  # noqa: PLC0415
    logging.getLogger("cozepy").setLevel(logging.CRITICAL)  # it warns of each failed poll

    # Its own client has no setting for connections: 100 is httpx's default.
    limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
    make = cast("Callable[..., cozepy.AsyncHTTPClient]", cozepy.AsyncHTTPClient)
    http = make(limits=limits, timeout=30)
    coze = cozepy.AsyncCoze(auth=cozepy.AsyncTokenAuth(TOKEN), base_url=url, http_client=http)
    # Its `**kwargs` have no types.
    create = cast("Create", attrgetter("create")(coze.workflows.runs))
    retrieve = cast("Retrieve", attrgetter("retrieve")(coze.workflows.runs.run_histories))

    async def start(number: int) -> str:
        made = await create(workflow_id=WORKFLOW, parameters=inputs(number), is_async=True)
        return str(attrgetter("execute_id")(made))

    async def status(execute_id: str) -> str:
        seen = await retrieve(workflow_id=WORKFLOW, execute_id=execute_id)
        return str(attrgetter("execute_status.value")(seen))

    await all_of(world, lambda number: loop(world, number, start, status, ends))


async def loop(
    world: World,
    number: int,
    start: Callable[[int], Awaitable[str]],
    status: Callable[[str], Awaitable[str]],
    ends: list[End],
) -> None:
    """Start one run and poll it by a careful loop of `sleep`."""
    execute_id = ""
    for attempt in range(STARTS):
        try:
            execute_id = await start(number)
            break
        except Exception:
            if attempt == STARTS - 1:
                raise
            await asyncio.sleep(1)
    failed = 0
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        try:
            word = await status(execute_id)
            failed = 0
        except Exception:
            failed += 1
            if failed > FAILED_POLLS:
                raise
            word = ""
        if word in LAST_WORDS:
            ends.append((execute_id, LAST_WORDS[word], time.monotonic()))
            return
        await asyncio.sleep(world.interval)


async def all_of(world: World, one: Callable[[int], Coroutine[None, None, None]]) -> None:
    """Begin all runs, spread over some seconds, and return when each has been waited for."""
    tasks: list[asyncio.Task[None]] = []
    for number in range(RUNS):
        tasks.append(asyncio.create_task(one(number)))
        await asyncio.sleep(world.start_seconds / RUNS)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    reasons = [each for each in found if each is not None]
    for reason in reasons:
        if not isinstance(reason, AsyncClientError | aiohttp.ClientError | TimeoutError):
            sys.stderr.write(f"{reason!r}\n")


CONTENDERS: dict[str, Callable[[World, str, list[End]], Awaitable[None]]] = {
    "asyncclient, one `Poller`": by_asyncclient,
    "the same, `poll_cost=0.1`": partial(by_asyncclient, poll_cost=0.1),
    "cozepy, a loop of `sleep`": by_cozepy,
    "by hand, a loop of `sleep`": by_hand,
}


async def work(world: World, name: str, url: str) -> Account:
    """Be one contender."""
    ends: list[End] = []
    before = resource.getrusage(resource.RUSAGE_SELF)
    await CONTENDERS[name](world, url, ends)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Account(ends, cpu)


# --- the measurement ---


async def measure(world_name: str, name: str, seed: int) -> Figures:
    """Let one contender work against a simulator of its own, and hold it against what happened."""
    world = WORLDS[world_name]

    def duration(rng: Random) -> float:
        return world.median_seconds * rng.lognormvariate(0, SIGMA)

    async with Simulator(
        seed=seed,
        durations=duration,
        fail_share=FAIL_SHARE,
        fault_share=FAULT_SHARE,
        plan=world.plan,
    ) as sim:
        sim.order(Fault.RESET_AFTER_START, path="/v1/workflow/run", times=LOST_STARTS)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, __file__, "--as", world_name, name, sim.coze_url),
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await process.communicate()
        account = msgspec.json.decode(output, type=Account)
        known = {execute_id: (good, at) for execute_id, good, at in account.ends}
        delays: list[float] = []
        markers: set[str] = set()
        for execute_id, (is_good, at) in known.items():
            task = sim.tasks[execute_id]
            assert (task.outcome != "fail") == is_good
            delays.append(max(0.0, at - task.ends_at))
            markers.add(task.marker)
        late = sorted(delays)[len(delays) * 19 // 20]
        return Figures(
            polls=sim.requests["coze.run_histories"] / RUNS,
            cpu_seconds=account.cpu_seconds,
            delay=statistics.median(delays),
            late_delay=late,
            unknown=RUNS - len(markers),
            started_twice=sum(1 for count in sim.starts.values() if count > 1),
        )


async def compare(world_name: str, rounds: int) -> None:
    """Measure all in turn in one world, and print a row for each."""
    found: dict[str, list[Figures]] = {name: [] for name in CONTENDERS}
    for number in range(rounds):
        names = list(CONTENDERS)
        for name in names if number % 2 else reversed(names):
            found[name].append(await measure(world_name, name, number))
    base = found[next(iter(CONTENDERS))]
    for name, figures in found.items():
        cpu = statistics.mean(
            one.cpu_seconds / other.cpu_seconds for one, other in zip(figures, base, strict=True)
        )
        mean = {
            field: statistics.mean(getattr(each, field) for each in figures)
            for field in Figures.__struct_fields__
        }
        print(
            f"| {world_name} | {name} | {mean['polls']:.1f} | {cpu:.2f} | {mean['delay']:.1f} s | "
            f"{mean['late_delay']:.1f} s | {mean['unknown']:.0f} | {mean['started_twice']:.0f} |",
            flush=True,
        )


def main() -> None:
    """Measure, or be one contender."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of all contenders")
    parser.add_argument("--as", dest="contender", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        world_name, name, url = options.contender
        account = asyncio.run(work(WORLDS[world_name], name, url))
        sys.stdout.buffer.write(msgspec.json.encode(account))
        return
    print(versions("aiohttp", "msgspec", "cozepy", "httpx"))
    print(
        f"{options.rounds} rounds of {RUNS:,} runs, in turn; means of the rounds\n\n"
        "| provider | client | polls a run | CPU | median delay | 95 % within | end unknown "
        "| started twice |\n|---|---|---|---|---|---|---|---|"
    )
    for world_name in WORLDS:
        asyncio.run(compare(world_name, options.rounds))


main()
