"""Do the workers of one account keep one rate, and does a new one know what the others know?

1. One worker process, then three, then two, since one is killed with -9: how many polls a second
   are made in all, where 50 are allowed and more are always due? Beside it, workers of
   which each keeps to 50 by itself, which is how it is without sharing.
2. Beside a worker that has seen 200 tasks end, two new ones begin, of which one takes what the
   other workers have learned: what do their first 20 tasks cost?

    python benchmarks/bench_shared.py [--engine procrastinate] [--url …] [--waits 400]

Without a URL it starts a server of its own (Redis or Valkey; PostgreSQL). Workers are
processes of their own, which note each poll. It takes nine minutes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Generator, Sequence
from pathlib import Path
from random import Random

import msgspec
from turns import versions

sys.path.insert(0, str(Path(__file__).parents[1]))

from asyncclient import TaskRef
from tests.integrations.crew import Crew, Poll, Settings, job, submit
from tests.integrations.servers import postgres_server, redis_server

RATE = 50.0
# What counts as keeping to the rate, in one-second windows: polls come in bursts of a few.
NEAR = 0.1
SEEN = 200
FIRST = 20
DURATION = 8.0


@contextlib.contextmanager
def store(engine: str, url: str) -> Generator[str]:
    """Give the URL of a server."""
    if url:
        yield url
        return
    with redis_server() if engine == "docket" else postgres_server() as server:
        if server is None:
            message = f"no server for {engine} here: install one, or pass --url"
            raise SystemExit(message)
        if engine == "docket":
            yield f"redis://127.0.0.1:{server.port}/0"
        else:
            yield f"postgresql://postgres@127.0.0.1:{server.port}/postgres"


def windows(times: Sequence[float], begin: float, end: float) -> list[int]:
    """Return how many there were in each whole second."""
    return [
        bisect_left(times, begin + second + 1) - bisect_left(times, begin + second)
        for second in range(int(end - begin))
    ]


def fullest(times: Sequence[float], begin: float, end: float) -> int:
    """Return how many there were in the fullest stretch of one second, wherever it began."""
    return max(
        (
            bisect_left(times, at + 1) - number
            for number, at in enumerate(times)
            if begin <= at < end - 1
        ),
        default=0,
    )


def phase(name: str, polls: list[Poll], begin: float, end: float) -> None:
    """Print the polls of one phase."""
    times = [poll.at for poll in polls]
    counts = windows(times, begin, end)
    over = [second for second, count in enumerate(counts) if count > RATE * (1 + NEAR)]
    under = [second for second, count in enumerate(counts) if count < RATE * (1 - NEAR)]
    shares = {
        worker: sum(poll.worker == worker and end - 10 <= poll.at < end for poll in polls) / 10
        for worker in sorted({poll.worker for poll in polls})
    }
    print(
        f"  {name:>22}: {sum(counts) / len(counts):5.1f} polls/s, median second"
        f" {statistics.median(counts):.0f}, fullest second {fullest(times, begin, end)};"
        f" over by a tenth in {len(over)} s{f' (the last at {over[-1] + 1} s)' if over else ''},"
        f" under in {len(under)} s{f' (the last at {under[-1] + 1} s)' if under else ''};"
        f" at last {', '.join(f'{worker} {rate:.1f}' for worker, rate in shares.items() if rate)}",
        flush=True,
    )
    print(f"      {' '.join(map(str, counts))}", flush=True)


async def one_rate(settings: Settings, waits: int, seconds: tuple[float, float, float]) -> None:
    """Run the three phases, and print what was made in each."""
    print("shared:" if settings.share_rate else "each for itself:", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        async with Crew(Path(folder)) as crew:
            keys = [f"{settings.name}-{number}" for number in range(waits)]
            await submit(settings, {key: job(key) for key in keys})
            await crew.start("one", settings)
            while not crew.polls():  # noqa: ASYNC110  (another process sets no event here)
                await asyncio.sleep(0.1)
            await asyncio.sleep(5)
            begin = time.time()
            await asyncio.sleep(seconds[0])
            came = time.time()
            await asyncio.gather(crew.start("two", settings), crew.start("three", settings))
            await asyncio.sleep(seconds[1])
            died = time.time()
            await crew.end("three", signal.SIGKILL)
            await asyncio.sleep(seconds[2])
            end = time.time()
            polls = crew.polls()
            phase("1 worker", polls, begin, came)
            phase("2 more come: 3", polls, came, died)
            phase("one is killed: 2", polls, died, end)


async def learned(settings: Settings) -> None:
    """Let one worker learn, let two more begin, and print what their first tasks cost."""
    rng = Random(7)
    with tempfile.TemporaryDirectory() as folder:
        async with Crew(Path(folder)) as crew:
            await crew.start("old", settings)
            for first in range(0, SEEN, 10):
                await submit(settings, _jobs(first, 10, rng))
                await asyncio.sleep(3)
            await asyncio.sleep(70)  # in which it tells once at least
            alone = msgspec.structs.replace(settings, share_learned=False)
            await asyncio.gather(crew.start("told", settings), crew.start("alone", alone))
            await asyncio.sleep(10)
            for first in range(0, 6 * FIRST, 6):
                await submit(settings, _jobs(SEEN + first, 6, rng))
                await asyncio.sleep(1)
            await asyncio.sleep(2 * DURATION)
            polls = crew.polls()
            print(f"tasks of {DURATION:.0f} s, ±5 %:", flush=True)
            for worker, what in (
                ("old", f"the worker that has seen {SEEN}"),
                ("told", f"the first {FIRST} of a new one that is told"),
                ("alone", f"the first {FIRST} of a new one that is not"),
            ):
                ends = [poll for poll in polls if poll.worker == worker and poll.late >= 0]
                ends = ends[-FIRST:] if worker == "old" else ends[:FIRST]
                jobs = {poll.job for poll in ends}
                made = sum(poll.job in jobs for poll in polls)
                late = statistics.mean(poll.late for poll in ends)
                print(
                    f"  {what}: {made / len(ends):.2f} polls a task, {late:.2f} s late,"
                    f" {made / len(ends) + late:.2f} s of cost ({len(ends)} tasks)",
                    flush=True,
                )


def _jobs(first: int, number: int, rng: Random) -> dict[str, TaskRef]:
    return {
        f"job-{index}": job(index, DURATION * rng.gauss(1, 0.05))
        for index in range(first, first + number)
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", choices=["docket", "procrastinate"], default="docket")
    parser.add_argument("--url", default="")
    parser.add_argument("--waits", type=int, default=400)
    parser.add_argument("--seconds", type=float, nargs=3, default=(20.0, 60.0, 60.0))
    parser.add_argument("--only", choices=["rate", "shared", "alone", "learned"])
    options = parser.parse_args()
    print(f"{options.engine}; {versions('pydocket', 'procrastinate')}; load {os.getloadavg()}")
    with store(options.engine, options.url) as url:
        settings = Settings(engine=options.engine, url=url, name="shared", rate=RATE, interval=1.0)
        if options.only in {None, "rate", "shared"}:
            asyncio.run(one_rate(settings, options.waits, options.seconds))
        if options.only in {None, "rate", "alone"}:
            alone = msgspec.structs.replace(settings, name="alone", share_rate=False)
            asyncio.run(one_rate(alone, options.waits, options.seconds))
        if options.only in {None, "learned"}:
            learning = msgspec.structs.replace(settings, name="learned", rate=None, interval=None)
            asyncio.run(learned(learning))


if __name__ == "__main__":
    main()
