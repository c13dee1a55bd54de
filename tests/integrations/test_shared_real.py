"""Worker processes on real servers keep one rate together, and know what one of them has seen."""

from __future__ import annotations

import asyncio
import signal
from bisect import bisect_left
from collections.abc import Generator
from pathlib import Path
from random import Random
from typing import cast

import msgspec
import pytest

pytest.importorskip("docket")
pytest.importorskip("procrastinate")
pytest.importorskip("psycopg")

from tests.integrations import place as places
from tests.integrations.crew import Crew, Settings, job, submit
from tests.integrations.killing import eventually
from tests.integrations.servers import postgres_server, redis_server

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(180)]
RATE = 50.0
PATIENCE = 60.0


@pytest.fixture(scope="module", params=["docket", "procrastinate"])
def settings(request: pytest.FixtureRequest) -> Generator[Settings]:
    """Run a server for this module, and give how its workers work."""
    engine = str(cast("object", request.param))
    with redis_server() if engine == "docket" else postgres_server() as server:
        if server is None:
            pytest.skip(f"NOT TESTED: no server for {engine} on this machine")
        url = (
            f"redis://127.0.0.1:{server.port}/0"
            if engine == "docket"
            else f"postgresql://postgres@127.0.0.1:{server.port}/postgres"
        )
        yield Settings(engine=engine, url=url, name="")


async def test_workers_that_come_and_die_keep_one_rate(settings: Settings, tmp_path: Path) -> None:
    """One, then three, then two, since one is killed with -9: never much more than one rate.

    Each of them takes part in it, and those that are left take over what the dead one had.
    """
    mine = msgspec.structs.replace(settings, name="rate", rate=RATE, interval=1.0, hold=10.0)
    crew = Crew(tmp_path)

    def asking() -> set[str]:
        return {poll.worker for poll in crew.polls()[-30:]}

    async with crew.at_work():
        await submit(mine, {f"job-{number}": job(number) for number in range(200)})
        await crew.start("one", mine)
        await eventually(lambda: len(crew.polls()) > 4 * RATE, PATIENCE)
        await asyncio.gather(crew.start("two", mine), crew.start("three", mine))
        await eventually(lambda: asking() == {"one", "two", "three"}, PATIENCE)
        await asyncio.sleep(10)
        await crew.end("three", signal.SIGKILL)
        await eventually(lambda: asking() == {"one", "two"}, PATIENCE)
        await asyncio.sleep(15)
        times = [poll.at for poll in crew.polls()]
    assert "Traceback" not in crew.trouble()
    # What a machine that stalls lets through at once, in ten seconds; without sharing it is 1500.
    fullest = max(bisect_left(times, at + 10) - number for number, at in enumerate(times))
    assert fullest <= 1.25 * 10 * RATE
    assert len(times) <= 1.05 * RATE * (times[-1] - times[0]) + RATE


async def test_a_new_worker_is_as_silent_as_one_that_knows(
    settings: Settings, tmp_path: Path
) -> None:
    """After one process has seen 60 jobs of 4 s, another polls none in its first 2 seconds.

    One that was not told polls each at once.
    """
    told = msgspec.structs.replace(settings, name="learned")
    crew, rng = Crew(tmp_path), Random(3)

    async def jobs(name: str, number: int) -> None:
        refs = {
            f"{name}-{index}": job(f"{name}-{index}", rng.gauss(4, 0.1)) for index in range(number)
        }
        await submit(told, refs)
        await eventually(
            lambda: sum(poll.late >= 0 and poll.job in refs for poll in crew.polls()) == number,
            PATIENCE,
        )

    def firsts(name: str) -> list[float]:
        first: dict[str, float] = {}
        for poll in crew.polls():
            if poll.job.startswith(name):
                first.setdefault(poll.job, poll.late)
        return list(first.values())

    async with crew.at_work():
        await crew.start("old", told)
        await jobs("old", 60)
        await crew.end("old", signal.SIGTERM)
        await crew.start("told", told)
        await jobs("told", 10)
        await crew.end("told", signal.SIGTERM)
        await crew.start("alone", msgspec.structs.replace(told, share_learned=False))
        await jobs("alone", 10)
    assert "Traceback" not in crew.trouble()
    assert min(firsts("told")) > -2
    assert min(firsts("alone")) < -2
