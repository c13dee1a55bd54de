"""Durable waits in a world: a store in memory, an engine over it, and its workers."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Self

import anyio

from asyncclient import Done, Poller, Task, TaskRef, Ticket, TicketExpired
from asyncclient._task import ref_of
from asyncclient.integrations._engine import DurableWaits
from asyncclient.integrations._holder import Holder
from tests.simulation.askers import Askers, schedule_of
from tests.simulation.loop import Machine, Process, ShuffledLoop
from tests.simulation.played import Call, Played, Row, Shelf
from tests.simulation.service import Line

_STORE_SECONDS = 0.02  # that the store takes for each answer
_GAP = 1.0  # seconds between two questions for what is due
REDELIVERY = 12.0  # seconds after which what a killed worker held goes to others
SINK_SECONDS = 20.0
# Seconds after its deadline in which a ticket ends in any case: each of three failures of its
# sink may give it two minutes more.
PATIENCE = 900.0
STOP_SECONDS = 60.0  # in which a worker stops


class Engine(DurableWaits):
    """Keeps tickets, and the workers' notices, on the shelf, for one process."""

    def __init__(self, shelf: Shelf, now: Callable[[], float]) -> None:
        super().__init__(concurrency=100, keep=86_400.0, owns_store=False)
        self._shelf = shelf
        self._now = now

    async def ready(self) -> None:
        """Return if the store is up."""
        await asyncio.sleep(_STORE_SECONDS)
        if self._now() < self._shelf.down_until:
            raise ConnectionError("the store is down")

    async def recover(self) -> None:
        """Do nothing: there are no connections."""

    def _connection(self) -> AbstractAsyncContextManager[object]:
        return nullcontext()

    async def _add(self, tickets: Mapping[str, Ticket]) -> list[str]:
        await self.ready()
        new = [key for key in tickets if key not in self._shelf.ends]
        for key in new:
            self._shelf.rows[key] = Row(tickets[key].encode(), self._now())
            self._shelf.ends[key] = ""
        return new

    async def _pending(self, key: str) -> str | None:
        await self.ready()
        row = self._shelf.rows.get(key)
        return None if row is None else row.text

    async def _drop(self, key: str) -> None:
        await self.ready()
        self._shelf.rows.pop(key, None)

    async def _read(self, key: str) -> str | None:
        await self.ready()
        return self._shelf.ends.get(key)

    async def _swap(self, key: str, before: str | None, after: str) -> bool:
        await self.ready()
        if self._shelf.ends.get(key) != before:
            return False
        self._shelf.ends[key] = after
        return True

    def _notices(self) -> Self:
        return self

    async def put(self, topic: str, name: str, text: str) -> None:
        """Put up a worker's text in place of its last."""
        await self.ready()
        self._shelf.notices.setdefault(topic, {})[name] = text

    async def read(self, topic: str) -> Mapping[str, str]:
        """Return the texts of all workers."""
        await self.ready()
        return dict(self._shelf.notices.get(topic, {}))

    async def remove(self, topic: str, names: Collection[str]) -> None:
        """Take the texts of some workers away."""
        await self.ready()
        for name in names:
            self._shelf.notices.get(topic, {}).pop(name, None)

    async def _serve(self, holder: Holder, name: str | None, redelivery: float) -> None:
        """Take what is due, and say of what is held that it is; until cancelled."""
        del name
        turns: dict[asyncio.Task[None], Row] = {}
        watching = asyncio.create_task(holder.watch())
        try:
            async with holder.session():
                while True:
                    await asyncio.sleep(_GAP)
                    now = self._now()
                    if now < self._shelf.down_until:
                        continue
                    turns = {turn: row for turn, row in turns.items() if not turn.done()}
                    for row in turns.values():
                        row.held_until = now + redelivery
                    for key, row in list(self._shelf.rows.items()):
                        if row.due <= now and row.held_until <= now:
                            row.held_until, row.turn = now + redelivery, row.turn + 1
                            turns[asyncio.create_task(self._turn(holder, key, row))] = row
        finally:
            watching.cancel()
            holder.close()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([watching, *turns])

    async def _turn(self, holder: Holder, key: str, row: Row) -> None:
        number = row.turn
        following = await holder.take(key, row.text)
        while True:
            try:
                await self.ready()
                break
            except ConnectionError:
                if holder.closing:
                    return  # its lease runs out
                await asyncio.sleep(_GAP)
        if row.turn != number:
            return
        if following is None:
            self._shelf.rows.pop(key, None)
        else:
            row.text, row.held_until = following.ticket, 0.0
            row.due = self._now() + following.delay


async def work(played: Played, loop: ShuffledLoop, name: str) -> None:
    """Be a worker process."""
    world, clock, shelf = played.world, played.clock, played.shelf
    askers = Askers(played.service)
    tenants = {ticket.job: ticket.tenant for ticket in world.tickets}

    def task_of(ref: TaskRef) -> Task[object]:
        found = re.search(r"job-(\d+)", str(ref))
        job = int(found[1]) if found else -1
        return askers.task_of(ref, Line(played.service, name, -1), tenants[job])

    async def sink(key: str, end: Done[object] | TicketExpired) -> None:
        number = sum(call.key == key for call in shelf.calls)
        call = Call(key, clock.now, end)
        shelf.calls.append(call)
        faults = world.tickets[int(key)].sink
        fault = faults[number] if number < len(faults) else None
        if fault == "raises":
            raise OSError("the sink's own trouble")
        if fault == "cancelled":
            raise asyncio.CancelledError
        if fault == "hangs":
            await asyncio.get_running_loop().create_future()
        await asyncio.sleep(8.0 if fault == "slow" else 0.05)
        call.is_taken = True

    schedule = schedule_of(world.pace)
    async with Poller(schedule=schedule) as poller:
        await Engine(shelf, loop.time).work(
            poller,
            task_of,
            sink,
            hold=world.hold,
            schedule=schedule,
            name=name,
            redelivery=REDELIVERY,
            sink_timeout=SINK_SECONDS,
        )


class Workers:
    """The workers of a world, and who submits tickets to them."""

    def __init__(self, played: Played, machine: Machine) -> None:
        self._played = played
        self._machine = machine
        self.shelf = played.shelf
        self._living: list[Process] = []
        self._background: list[asyncio.Task[None]] = []

    def beginnings(self) -> list[tuple[float, Callable[[], object]]]:
        """Return when each ticket is submitted, and what submits it; begin the workers."""
        world = self._played.world
        if world.tickets:
            for _ in range(world.workers):
                self._begin()
        return [
            (ticket.begins, partial(self._in_background, self._submit(number)))
            for number, ticket in enumerate(world.tickets)
        ]

    async def finish(self) -> None:
        """Wait for the ends of all tickets, and stop the workers."""
        world, shelf = self._played.world, self.shelf
        for task in self._background:
            await asyncio.wait([task])
        back = sum(max(0.0, -e.seconds) for e in world.events if e.kind == "wall_clock")
        last = back + max((t.begins + t.timeout for t in world.tickets), default=0.0)
        while shelf.rows and self._now() < max(last, shelf.down_until) + PATIENCE:  # noqa: ASYNC110
            await asyncio.sleep(5.0)
        for process in self._living:
            process.stop()
        stopped = self._now()
        while any(not process.main.done() for process in self._living):
            await asyncio.sleep(0.5)
            if self._now() > stopped + STOP_SECONDS:
                self._played.breach("stop", f"a worker has not stopped in {STOP_SECONDS} s")
                return

    def kill(self, number: int, calls: int) -> None:
        """Kill a worker before one of its next callbacks, and begin another one."""
        if self._living:
            self._living.pop(number % len(self._living)).kill(calls)
            self._begin()

    def stop(self, number: int) -> None:
        """Ask a worker to end, and begin another one."""
        if self._living:
            self._living[number % len(self._living)].stop()
            self._begin()

    def lose_store(self, seconds: float) -> None:
        """Take the store away for some time."""
        self.shelf.down_until = max(self.shelf.down_until, self._now() + seconds)

    def call_off(self, number: int) -> None:
        """Call a ticket off."""

        async def call_off() -> None:
            with contextlib.suppress(ConnectionError):
                if await self._engine().cancel(str(number)):
                    self.shelf.called_off[str(number)] = self._now()

        self._in_background(call_off())

    def _begin(self) -> None:
        name = f"worker {len(self._machine.processes)}"
        process = self._machine.start(lambda loop: work(self._played, loop, name))
        self._living.append(process)

    def _in_background(self, doing: Coroutine[object, object, None]) -> None:
        self._background.append(asyncio.get_running_loop().create_task(doing))

    async def _submit(self, number: int) -> None:
        ticket = self._played.world.tickets[number]
        ref = ref_of(Askers(self._played.service).task(ticket.job, ticket.tenant, "", -1))
        assert ref is not None
        while True:
            asked = self._now()  # the wait's timeout counts from here, however long the store takes
            try:
                if not await self._engine().submit(ref, key=str(number), timeout=ticket.timeout):
                    self._played.breach("submit", f"ticket {number} is said to be there already")
            except ConnectionError:
                await asyncio.sleep(1.0)
            else:
                self.shelf.submitted[str(number)] = asked
                return

    def _engine(self) -> Engine:
        return Engine(self.shelf, self._now)

    def _now(self) -> float:
        return self._played.clock.now
