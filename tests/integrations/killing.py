"""What the tests of kills share: waits on the simulator, workers to kill, and what became of them.

The remote tasks run in the test's own process, so that they outlive every worker and server.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import types
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar, cast

import anyio
import msgspec

from asyncclient import SessionPool, TaskAPI, TaskRef, catalogue
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import SimulatedAPI, SimulatedTask, Simulator
from tests.integrations.crew import Crew, Settings, waits_of

REDELIVERY = 6.0  # seconds; the default of 30 would only make these tests longer


async def eventually(condition: Callable[[], bool], patience: float = 15.0) -> None:
    """Wait until something is so, by the real clock."""
    with anyio.fail_after(patience):
        while not condition():  # noqa: ASYNC110  (an engine sets no event here)
            await asyncio.sleep(0.01)


T = TypeVar("T")

_life: ContextVar[Life | None] = ContextVar("_life", default=None)
_left: list[object] = []  # what no longer goes on would clean up when it is freed


class Life:
    """Runs coroutines until it is over, as a process does that is killed.

    From then on nothing that was started in it goes on, and nothing cleans up after itself.
    """

    def __init__(self) -> None:
        self.is_over = False

    def start(self, worker: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin it with one coroutine; every task that this starts lives in it, too."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_task_of)
        context = copy_context()
        context.run(_life.set, self)
        return loop.create_task(worker, context=context)

    async def live(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, or to that of this life."""
        return await self._steps(coroutine)

    @types.coroutine
    def _steps(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, None, T]:
        thrown: BaseException | None = None
        while not self.is_over:
            try:
                waits_for = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration as end:
                return cast("T", end.value)
            thrown = None
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  (it is the coroutine's)
                thrown = error
        _left.append(coroutine)
        if not isinstance(thrown, asyncio.CancelledError):  # else the test's loop comes to its end
            yield from asyncio.get_running_loop().create_future()
        raise asyncio.CancelledError


def _task_of(
    loop: asyncio.AbstractEventLoop,
    coroutine: Generator[Any, None, T] | Coroutine[Any, Any, T],
    /,
    *,
    name: str | None = None,
    context: Context | None = None,
) -> asyncio.Task[T]:
    life = (context or copy_context()).get(_life)
    if life is not None and not isinstance(coroutine, Generator):
        coroutine = life.live(coroutine)
    return asyncio.Task(coroutine, loop=loop, name=name, context=context)


@dataclass
class Reckoning:
    """What became of the waits.

    Attributes:
        right: waits that were reported once or more, always in their right state.
        duplicates: times that one was reported again.
        polls: that reached the provider.
        worst_gap: seconds between two polls of one task, at most.
        started_twice: tasks of one marker that were started more than once.
    """

    right: int = 0
    duplicates: int = 0
    polls: int = 0
    worst_gap: float = 0.0
    started_twice: int = 0


def run_of_job(order: dict[str, object]) -> list[tuple[str, float | None]]:
    """Say how a run of Databricks goes that a start orders as it does of the simulator."""
    end = "SUCCESS" if order["outcome"] == "success" else "FAILED"
    return [("RUNNING", float(str(order["seconds"]))), (f"TERMINATED/{end}", None)]


@dataclass
class Scene:
    """A simulator full of tasks, and the crew that waits for them.

    Args:
        settings: of all workers.
        sim: the providers.
        api: Databricks, as an API of the catalogue.
        crew: workers in a folder of their own.
    """

    settings: Settings
    sim: Simulator
    api: SimulatedAPI
    crew: Crew
    expected: dict[str, str] = field(default_factory=dict[str, str])
    refs: dict[str, TaskRef] = field(default_factory=dict[str, TaskRef])
    worst_gap: float = 0.0

    async def start_tasks(self, number: int, shortest: float, longest: float) -> None:
        """Start remote tasks, a third at each of them, every tenth of which fails."""
        rng = Random(7)
        async with SessionPool() as pool:
            coze = Coze(pool, token=self.sim.coze_token, base_url=self.sim.coze_url)
            copyai = CopyAI(pool, api_key=self.sim.copyai_key, base_url=self.sim.copyai_url)
            databricks = TaskAPI(pool, self.api.url, name="databricks")

            async def start_run(order: dict[str, object]) -> TaskRef:
                started = await databricks.post("/jobs", order)
                return databricks.task(f"/jobs/{started['id']}", catalogue.DATABRICKS_RUN).ref

            async def start(index: int) -> None:
                key = f"{self.settings.name}-{index}"
                fails = index % 10 == 0
                order: dict[str, object] = {
                    "seconds": rng.uniform(shortest, longest),
                    "outcome": "fail" if fails else "success",
                    "marker": key,
                }
                inputs = {"simulate": order}
                match index % 3:
                    case 0:
                        self.refs[key] = (await coze.start_workflow("7350", inputs)).ref
                    case 1:
                        self.refs[key] = (await copyai.start_workflow("WCFG-1", inputs)).ref
                    case _:
                        self.refs[key] = await start_run(order)
                self.expected[key] = "failed" if fails else "succeeded"

            for first in range(0, number, 50):
                await asyncio.gather(*(start(index) for index in range(first, first + 50)))

    async def start_worker(self, name: str) -> None:
        """Start one more worker process."""
        urls = self.sim.coze_url, self.sim.copyai_url, self.api.url
        await self.crew.start(name, msgspec.structs.replace(self.settings, simulator=urls))

    async def kill_worker(self) -> None:
        """Kill the first worker, as the machine under it might be."""
        await self.crew.end("one", signal.SIGKILL)

    async def until(self, number: int, patience: float = 120.0) -> None:
        """Wait until that many waits have ended, and watch how often each task is polled."""
        last: dict[str, tuple[int, float]] = {}
        with anyio.fail_after(patience):
            while len(self.crew.reported()) < number:
                self._watch(last)
                workers = self.crew.workers.values()
                assert all(each.returncode is None for each in workers), "a worker ended"
                await asyncio.sleep(0.2)

    @property
    def tasks(self) -> dict[str, SimulatedTask]:
        """All remote tasks by their ids."""
        return {**self.sim.tasks, **self.api.tasks}

    def _watch(self, last: dict[str, tuple[int, float]]) -> None:
        now = anyio.current_time()
        for key, task in self.tasks.items():
            polls, since = last.get(key, (0, now))
            if task.polled_done_at is None:
                self.worst_gap = max(self.worst_gap, now - since)
            if task.polls != polls or key not in last:
                last[key] = task.polls, now

    def reckon(self) -> Reckoning:
        """Add it all up."""
        reported = self.crew.reported()
        assert reported.keys() <= self.expected.keys()
        runs = (str(task.start_marker["marker"]) for task in self.api.tasks.values())
        starts = self.sim.starts + Counter(runs)
        return Reckoning(
            right=sum({self.expected[key]} == set(states) for key, states in reported.items()),
            duplicates=sum(len(states) - 1 for states in reported.values()),
            polls=sum(task.polls for task in self.tasks.values()),
            worst_gap=round(self.worst_gap, 1),
            started_twice=sum(count > 1 for count in starts.values()),
        )


async def survive(
    scene: Scene, hit: Callable[[], Awaitable[None]], *, number: int, workers: int = 1
) -> Reckoning:
    """Hold many waits, let something happen before they end, and return what became of them."""
    settings = scene.settings
    async with waits_of(settings.engine, settings.url, name=settings.name, lay_out=True) as waits:
        for name in ("one", "two")[:workers]:
            await scene.start_worker(name)
        await scene.start_tasks(number, 10.0, 25.0)
        assert len(await waits.submit_many(scene.refs, timeout=600)) == number
    await scene.until(number // 5)
    assert len(scene.crew.reported()) < number * 4 // 5, "too late to hit anything"
    await hit()
    await scene.until(number)
    await asyncio.sleep(2 * REDELIVERY)  # what is still reported then would be twice
    reckoning = scene.reckon()
    sys.stdout.write(f"\n{settings.engine}: {number} waits, {reckoning}\n")
    return reckoning
