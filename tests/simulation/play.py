"""Runs a world: makes its clock, its process and its waits, and lets all that is drawn happen."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import sys
from collections.abc import Awaitable, Callable
from random import Random
from typing import Literal, cast

import pytest

from asyncclient import Done, Poller, Snapshot, Task, wait_until_done, watch
from asyncclient.errors import AsyncClientError
from tests.simulation.askers import Askers
from tests.simulation.loop import Clock, ShuffledLoop
from tests.simulation.paces import schedule_of
from tests.simulation.played import End, Listener, Played, markers, texts
from tests.simulation.service import Line, Service
from tests.simulation.world import Event, Start, Wait, World

# Callbacks after which a world is taken for one that never ends.
_MOST_CALLS = 400_000
# Seconds for which a Poller's own timers may outlast it, until it ends them when it is closed.
_TIMERS_OUTLAST = 5.1


def play(world: World) -> Played:
    """Run a world to its end, and return what became of it; `judge.py` judges it."""
    clock = Clock()
    played = Played(world, Service(world, clock), clock)
    listener = Listener(played)
    logger = logging.getLogger("asyncclient")
    before = logger.level, random.getstate()
    logger.setLevel(logging.DEBUG if world.is_logged else logging.WARNING)
    logger.addHandler(listener)
    logging.getLogger("asyncio").addHandler(listener)
    random.seed(world.order)  # backoff's own draws, for requests that are repeated
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time", clock.unix_time)
            _App(played).run()
    finally:
        logger.removeHandler(listener)
        logging.getLogger("asyncio").removeHandler(listener)
        logger.setLevel(before[0])
        random.setstate(before[1])
    return played


class _App:
    """The process that waits."""

    def __init__(self, played: Played) -> None:
        self._played = played
        self._world = world = played.world
        self._clock = played.clock
        self._service = played.service
        order = Random(world.order)
        self._rng = Random(world.order + 1)
        self.loop = ShuffledLoop(self._clock, order if world.is_shuffled else None)
        if world.is_eager and sys.version_info >= (3, 12):
            self.loop.set_task_factory(asyncio.eager_task_factory)
        self._askers = Askers(self._service)

    def run(self) -> None:
        """Let it run until nothing is left to happen."""
        main = self.loop.create_task(self._main())
        try:
            while not main.done():
                due = self.loop.next_due()
                if due == math.inf:
                    self._played.breach("deadlock", "nothing is left that could wake a wait")
                    break
                if self.loop.calls > _MOST_CALLS:
                    self._played.breach("endless", "it never ends")
                    break
                self._clock.now = max(self._clock.now, due)
                self.loop.turn()
            if main.done():
                main.result()
        finally:
            self._played.calls = self.loop.calls
            for complaint in self.loop.complaints:
                self._played.breach("complaint", f"asyncio complains: {complaint}")
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            for _ in range(50):
                self.loop.turn()
            self.loop.close()

    async def _main(self) -> None:
        world = self._world
        poller = Poller(
            rate=None if world.rate == math.inf else world.rate,
            concurrency=world.concurrency,
            schedule=schedule_of(world.pace),
            rng=self._rng,
        )
        self._poller = poller
        happenings: list[tuple[float, Callable[[], object]]] = []
        groups: dict[tuple[float, float], list[End]] = {}
        for number, wait in enumerate(world.waits):
            shared = wait.how in {"poller", "as_done"}
            end = End(wait, number, "poller" if shared else f"wait {number}")
            self._played.ends.append(end)
            if wait.how == "as_done":
                groups.setdefault((wait.begins, wait.timeout), []).append(end)
            else:
                happenings.append((wait.begins, self._beginner([end], self._wait)))
        for (begins, _), ends in groups.items():
            happenings.append((begins, self._beginner(ends, self._wait_for_all)))
        for number, start in enumerate(world.starts):
            happenings.append((start.at, self._starter(number, start)))
        happenings += [(event.at, self._happening(event)) for event in world.events]
        self._background: list[asyncio.Task[None]] = []
        for at, happens in sorted(happenings, key=lambda entry: entry[0]):
            if at > self.loop.time():
                await asyncio.sleep(at - self.loop.time())
            happens()
        while any(not task.done() for task in self._background):
            await asyncio.wait(self._background)
        self._look_at_poller(poller)
        await poller.aclose()
        for _ in range(10):
            await asyncio.sleep(0)
        self._check_nothing_is_left(poller)

    # --- what happens ---

    def _beginner(
        self, ends: list[End], run: Callable[[list[End]], Awaitable[None]]
    ) -> Callable[[], object]:
        async def begin() -> None:
            for end in ends:
                end.began = self.loop.time()
            try:
                await run(ends)
            except asyncio.CancelledError as error:
                for end in ends:
                    if end.at == math.inf:
                        self._note(end, None, error)
                if not ends[0].cancels:
                    return
                raise
            except Exception as error:  # noqa: BLE001  (the judge looks at it)
                for end in ends:
                    if end.at == math.inf:
                        self._note(end, None, error)

        def happens() -> None:
            task = self.loop.create_task(begin())
            self._background.append(task)
            for end in ends:
                end.task = task

        return happens

    def _starter(self, number: int, start: Start) -> Callable[[], object]:
        async def begin() -> None:
            line = Line(self._service, "starts", -1)
            order = {"order": f"start-{number}"}
            coze = self._askers.coze(line, start.tenant)
            copyai = self._askers.copyai(line, start.tenant)
            try:
                if start.kind == "copyai_run":
                    await copyai.start_workflow("WCFG-1", order)
                elif start.kind == "coze_run":
                    await coze.start_workflow("7350", order)
                else:
                    await coze.start_chat("7379", user_id=f"start-{number}")
            except AsyncClientError as error:
                self._read(error, "the error of a start")
                if number in self._service.performed and not error.may_have_started:
                    self._played.breach(
                        "start", f"start {number} was performed, and its error denies it"
                    )
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  (it must not)
                self._played.breach("start", f"start {number} raised {error!r}")

        def happens() -> None:
            self._background.append(self.loop.create_task(begin()))

        return happens

    def _happening(self, event: Event) -> Callable[[], object]:
        ends, now = self._played.ends, self.loop.time

        def happens() -> None:
            match event.kind:
                case "cancel":
                    end = ends[event.target]
                    if end.task is not None and not end.task.done():
                        for other in ends:
                            if other.task is end.task:
                                other.cancels.append(now())
                        end.task.cancel()
                case "wake":
                    wait = ends[event.target].wait
                    key = self._task_of(wait, "poller").key
                    if self._poller.wake(key):
                        self._played.wakes.append((event.target, now()))
                case "stall":
                    self._clock.stall(event.seconds)
                case "wall_clock":
                    self._clock.midnight += event.seconds
                case "close_poller":
                    self._played.closed_at = min(now(), self._played.closed_at)
                    self._background.append(self.loop.create_task(self._poller.aclose()))
                case "close_pool":
                    self._service.closed_pools.add(event.target)
                case _:
                    pass

        return happens

    # --- waits ---

    def _task_of(self, wait: Wait, through: str) -> Task[object]:
        return self._askers.task(wait.job, wait.tenant, through, wait.pool)

    async def _wait(self, ends: list[End]) -> None:
        end = ends[0]
        wait = end.wait
        task = self._askers.task(wait.job, wait.tenant, end.through, wait.pool)
        if wait.how == "poller":
            result = await self._poller.wait(task, timeout=wait.timeout, weight=wait.weight)
            self._note(end, result, None)
            return

        def answer(snapshot: Snapshot[object]) -> None:
            self._read(snapshot, "a snapshot")
            self._service.answered.setdefault(wait.job, self.loop.time())

        on_blocked = answer if wait.answers else None
        unknown: Literal["raise", "wait"] = "raise" if wait.picky else "wait"
        on_cancel: Literal["cancel", "leave"] = "cancel" if wait.cancels else "leave"
        if wait.how == "alone":
            result = await wait_until_done(
                task,
                timeout=wait.timeout,
                schedule=schedule_of(wait.pace),
                on_change=lambda snapshot: self._read(snapshot, "a snapshot"),
                on_blocked=on_blocked,
                unknown=unknown,
                on_cancel=on_cancel,
                rng=self._rng,
            )
            self._note(end, result, None)
            return
        last: Snapshot[object] | None = None
        async for snapshot in watch(
            task,
            timeout=wait.timeout,
            schedule=schedule_of(wait.pace),
            on_blocked=on_blocked,
            unknown=unknown,
            on_cancel=on_cancel,
            rng=self._rng,
        ):
            self._read(snapshot, "a snapshot")
            last = snapshot
        self._note(end, last, None)

    async def _wait_for_all(self, ends: list[End]) -> None:
        """Wait for several in one `as_done`."""
        waits = [end.wait for end in ends]
        tasks = [self._askers.task(w.job, w.tenant, "poller", w.pool) for w in waits]
        by_task = {id(task): end for task, end in zip(tasks, ends, strict=True)}
        async with self._poller.as_done(tasks, timeout=waits[0].timeout) as dones:
            async for done in dones:
                self._note(by_task[id(done.task)], done, done.error)

    def _note(self, end: End, result: object, error: BaseException | None) -> None:
        end.times += 1
        end.at = self.loop.time()
        end.result = cast("Done[object]", result).result if isinstance(result, Done) else result
        end.error = error
        if error is not None:
            self._read(error, "an error")
        self._read(end.result, "a result")
        for tenant, job in markers(end.result):
            if (tenant, job) != (end.wait.tenant, end.wait.job):
                self._played.breach(
                    "stranger",
                    f"wait {end.number} of tenant {end.wait.tenant} for job {end.wait.job} got "
                    f"what tenant {tenant} sees of job {job}",
                )

    # --- what is checked while it runs ---

    def _read(self, shown: object, where: str) -> None:
        """Read all that a program may print of an object."""
        for text in texts(shown):
            self._played.check_text(text, where)

    def _look_at_poller(self, poller: Poller) -> None:
        """Look at what is left when all waits have ended, before anything is closed."""
        stats = poller.stats()
        self._read(stats, "stats")
        self._read(poller, "the Poller")
        if stats.pending or stats.waiters:
            self._played.breach(
                "left", f"left in the Poller: {stats.pending} tasks, {stats.waiters} waits"
            )

    def _check_nothing_is_left(self, poller: Poller) -> None:
        stats = poller.stats()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            self._played.breach(
                "left", f"left behind: {sorted(str(task.get_coro()) for task in left)}"
            )
        if stats.in_flight or self._service.requests:
            self._played.breach(
                "left", f"left under way: {stats.in_flight}, {self._service.requests}"
            )
        if left_set := self.loop.timers_left(_TIMERS_OUTLAST):
            self._played.breach("left", f"left set: {left_set} timers")
