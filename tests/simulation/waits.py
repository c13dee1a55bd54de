"""The process of a world that waits: for one task alone, and for many through a Poller."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from random import Random
from typing import TypeAlias, cast

from asyncclient import Done, Poller, Snapshot, wait_until_done, watch
from tests.simulation.askers import Askers, schedule_of
from tests.simulation.loop import ShuffledLoop
from tests.simulation.played import Ask, End, MisdeedError, Played, markers, texts
from tests.waiting.scenario import Options

Happening: TypeAlias = tuple[float, Callable[[], object]]  # when, and what
Callback: TypeAlias = Callable[[Snapshot[object]], Awaitable[None]]


class Waits:
    """Begins the waits of a world, and notes how each ends."""

    def __init__(self, played: Played, loop: ShuffledLoop) -> None:
        self._played = played
        self._service = played.service
        self._rng = Random(played.world.order + 1)
        self._askers = Askers(played.service)
        self.loop = loop
        self.background: list[asyncio.Task[None]] = []
        world = played.world
        self.poller = Poller(
            rate=None if world.rate == math.inf else world.rate,
            concurrency=world.concurrency,
            schedule=schedule_of(world.pace),
            rng=self._rng,
        )

    def beginnings(self) -> list[Happening]:
        """Return when each wait begins, and what begins it."""
        happenings: list[Happening] = []
        groups: dict[tuple[float, float], list[End]] = {}
        for number, wait in enumerate(self._played.world.waits):
            shared = wait.how in {"poller", "poller_watch", "as_done"}
            end = End(wait, number, "poller" if shared else f"wait {number}")
            self._played.ends.append(end)
            if wait.how == "as_done":
                groups.setdefault((wait.begins, wait.timeout), []).append(end)
            else:
                happenings.append((wait.begins, self._beginner([end], self._wait)))
        for (begins, _), ends in groups.items():
            happenings.append((begins, self._beginner(ends, self._wait_for_all)))
        return happenings

    async def finish(self) -> None:
        """Wait for all to end, close the Poller, and look for what is left."""
        while any(not task.done() for task in self.background):
            await asyncio.wait(self.background)
        stats = self.poller.stats()
        self.read(stats, "stats")
        self.read(self.poller, "the Poller")
        if stats.pending or stats.waiters:
            left = f"{stats.pending} tasks, {stats.waiters} waits"
            self._played.breach("left", f"left in the Poller: {left}")
        await self.poller.aclose()
        for _ in range(10):
            await asyncio.sleep(0)
        self._check_nothing_is_left()

    def cancel(self, number: int) -> None:
        """Cancel a wait, and with it all of its `as_done`."""
        task = self._played.ends[number].task
        if task is None or task.done():
            return
        for end in self._played.ends:
            if end.task is task:
                end.cancels.append(self.loop.time())
        task.cancel()

    def wake(self, number: int) -> None:
        """Send a signal for the job of a wait."""
        wait = self._played.ends[number].wait
        if self.poller.wake(self._askers.task(wait.job, wait.tenant, "poller", -1).key):
            self._played.wakes.append((number, self.loop.time()))

    def close_poller(self) -> None:
        """Close the Poller while it is at work."""
        self._played.closed_at = min(self.loop.time(), self._played.closed_at)
        self.background.append(self.loop.create_task(self.poller.aclose()))

    def _beginner(
        self, ends: list[End], run: Callable[[list[End]], Awaitable[None]]
    ) -> Callable[[], object]:
        async def begin() -> None:
            for end in ends:
                end.began = self.loop.time()
            try:
                await run(ends)
            except (Exception, asyncio.CancelledError) as error:
                for end in ends:
                    if end.at == math.inf:
                        self._note(end, None, error)
                if isinstance(error, asyncio.CancelledError) and ends[0].cancels:
                    raise

        def happens() -> None:
            task = self.loop.create_task(begin())
            self.background.append(task)
            for end in ends:
                end.task = task

        return happens

    # --- waits ---

    async def _wait(self, ends: list[End]) -> None:
        end = ends[0]
        wait = end.wait
        task = self._askers.task(wait.job, wait.tenant, end.through, wait.pool)
        options: Options[object] = {
            "timeout": wait.timeout,
            "on_blocked": self._answerer(end) if wait.answers else None,
            "unknown": "raise" if wait.picky else "wait",
            "on_cancel": "cancel" if wait.cancels else "leave",
            "on_timeout": "cancel" if wait.stops else "leave",
        }
        schedule, rng = schedule_of(wait.pace), self._rng
        result: object
        if wait.how == "poller":
            show = self._shower(end) if wait.reports else None
            result = await self.poller.wait(task, weight=wait.weight, on_change=show, **options)
        elif wait.how == "alone":
            show = self._shower(end)
            result = await wait_until_done(
                task, schedule=schedule, on_change=show, rng=rng, **options
            )
        else:
            changes = (
                self.poller.watch(task, weight=wait.weight, **options)
                if wait.how == "poller_watch"
                else watch(task, schedule=schedule, rng=rng, **options)
            )
            async for snapshot in changes:
                self._show(end, snapshot)
            result = end.shown[-1] if end.shown else None
        self._note(end, result, None)

    def _show(self, end: End, snapshot: Snapshot[object]) -> None:
        self._see(end, snapshot, "a snapshot")
        end.shown.append(snapshot)

    def _shower(self, end: End) -> Callback:
        """Make an `on_change`; what is wrong with it shows at the second change."""

        async def show(snapshot: Snapshot[object]) -> None:
            self._show(end, snapshot)
            if end.through == "poller" and len(end.shown) == 2:
                await self._misbehave(end)

        return show

    def _answerer(self, end: End) -> Callback:
        """Make an `on_blocked`."""

        async def answer(snapshot: Snapshot[object]) -> None:
            self._see(end, snapshot, "a snapshot")
            ask = Ask(self.loop.time())
            end.asks.append(ask)
            try:
                if end.through == "poller":
                    await self._misbehave(end)
                self._service.answered.setdefault(end.wait.job, self.loop.time())
                ask.is_answered = True
            finally:
                ask.over = self.loop.time()

        return answer

    async def _misbehave(self, end: End) -> None:
        misdeed = end.wait.misdeed
        if misdeed == "slow":
            await asyncio.sleep(3)
        elif misdeed == "hangs":
            await self.loop.create_future()
        elif misdeed == "raises":
            raise MisdeedError

    async def _wait_for_all(self, ends: list[End]) -> None:
        """Wait for several in one `as_done`."""
        waits = [end.wait for end in ends]
        tasks = [self._askers.task(w.job, w.tenant, "poller", w.pool) for w in waits]
        by_task = {id(task): end for task, end in zip(tasks, ends, strict=True)}
        async with self.poller.as_done(tasks, timeout=waits[0].timeout) as dones:
            async for done in dones:
                self._note(by_task[id(done.task)], done, done.error)

    def _note(self, end: End, result: object, error: BaseException | None) -> None:
        end.times += 1
        end.at = self.loop.time()
        end.result = cast("Done[object]", result).result if isinstance(result, Done) else result
        end.error = error
        if error is not None:
            self.read(error, "an error")
        self._see(end, end.result, "a result")

    # --- what is checked while it runs ---

    def read(self, shown: object, where: str) -> None:
        """Read all that a program may print of an object."""
        for text in texts(shown):
            self._played.check_text(text, where)

    def _see(self, end: End, answer: object, where: str) -> None:
        """Read an answer that a wait was given, and check for whom it was made."""
        self.read(answer, where)
        wait = end.wait
        for tenant, job in markers(answer):
            if (tenant, job) != (wait.tenant, wait.job):
                got = f"got what tenant {tenant} sees of job {job}"
                name = f"wait {end.number} of tenant {wait.tenant} for job {wait.job}"
                self._played.breach("stranger", f"{name} {got}")

    def _check_nothing_is_left(self) -> None:
        stats = self.poller.stats()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            names = sorted(str(task.get_coro()) for task in left)
            self._played.breach("left", f"left behind: {names}")
        looks = self._service.looks_through("poller") + self._service.looks_through("wait")
        under_way = sum(look.over == math.inf for look in looks)
        if stats.in_flight or under_way:
            self._played.breach("left", f"left under way: {stats.in_flight}, {under_way}")
        if left_set := self.loop.timers_left():
            self._played.breach("left", f"left set: {left_set} timers")
