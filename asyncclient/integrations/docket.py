"""Durable waits on Redis or Valkey, kept by docket (the distribution `pydocket`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import anyio
import msgspec
from docket import Disposition, Docket, Execution, ExecutionState, Perpetual, TaskKey, Worker
from docket.dependencies import TaskOutcome
from redis.asyncio import Redis
from redis.exceptions import RedisError

from asyncclient._arguments import whole_number
from asyncclient._poller import Poller
from asyncclient._schedule import Pacing
from asyncclient._task import TaskRef
from asyncclient._ticket import Expired, Outcome, TaskOf, Ticket, wall_clock
from asyncclient._wait import seconds
from asyncclient.integrations._turns import Sink, Turns, checked_key

__all__ = ["DocketWaits", "Expired", "Learned", "Outcome", "Sink", "Ticket"]

_log = logging.getLogger("asyncclient.workers")

# docket's default of 5 s is long for who has the waits in hand.
_RECONNECTION = timedelta(seconds=1)
# docket claims so many tickets in one read, and each claim takes a connection for a moment.
_BATCH = 100
# With redis-py's 100 connections, docket's worker falls into "Redis is unavailable" for ever once
# more tasks than that speak at a time.
_SPARE_CONNECTIONS = 64
# What hands a wait back to a server that is away tries again, at most so many seconds apart, for so
# many seconds.
_AGAIN_GAP = 2.0
_AGAIN_SECONDS = 600.0
_CLOSE_SECONDS = 5.0
# A process that knows the task by name only puts a ticket back for those who can hold it.
_NOT_HERE = timedelta(seconds=5)
_NAME = "asyncclient_wait"
# What means more than itself in the patterns of Redis' PSUBSCRIBE.
_PATTERN = frozenset("*?[]^\\")
# How often the living workers are counted, in seconds: as often as docket has them say so.
_SHARE_GAP = 2.0
# What workers have learned is kept for so many seconds after the last of them has written.
_LEARNED_SECONDS = 7 * 86_400
_PENDING = (ExecutionState.SCHEDULED, ExecutionState.QUEUED, ExecutionState.RUNNING)

HoldWait = Callable[..., Awaitable[None]]


class Learned(msgspec.Struct, frozen=True):
    """What a worker's schedule has learned, for the others: lossy, and never waited for.

    Attributes:
        state_to_bytes: returns what this worker has seen itself, and nothing that was merged.
        merge: takes the latest of what each other worker has seen, in place of what it took last.
        every: seconds between two exchanges. Default 60.
    """

    state_to_bytes: Callable[[], bytes]
    merge: Callable[[Sequence[bytes]], object]
    every: float = 60.0


class DocketWaits:
    """Durable waits, by key: submit, cancel and read them anywhere, hold them in workers.

    Every wait is told to a worker's sink at least once, whatever is killed; a sink must bear to be
    called twice. Who can write to the Redis server can run code in docket's workers, since docket
    pickles arguments: what is kept here is one text, but guard the server.

    Args:
        where: the server's URL (`redis://`, `rediss://`, `unix://`, `memory://` for tests in one
            process), or a `Docket` of your own, which stays yours to open and close: give its URL
            `?max_connections=` twice its worker's concurrency.
        name: of the docket, where none is given: workers that do not know these waits must not
            share it. Default `asyncclient`.
        concurrency: waits that a worker holds at a time. Default 1000.
        keep: seconds for which the outcome of a wait can be read, and its key not be used again.
            Default one day.

    Raises:
        TypeError, ValueError: an argument cannot be.
    """

    def __init__(
        self,
        where: str | Docket = "redis://localhost:6379/0",
        *,
        name: str = "asyncclient",
        concurrency: int = 1000,
        keep: float = 86_400.0,
    ) -> None:
        whole_number("concurrency", concurrency, least=1)
        keeping = seconds("keep", keep)
        if keeping == math.inf:
            msg = "keep must be finite: outcomes would fill the server"
            raise ValueError(msg)
        self._concurrency = concurrency
        self._keep = max(1, math.ceil(keeping))
        self._own = isinstance(where, str)
        self._docket = (
            Docket(name=name, url=with_connections(where, concurrency))
            if isinstance(where, str)
            else where
        )
        if _PATTERN & set(self._docket.name):
            msg = (
                f"name {self._docket.name!r} has one of * ? [ ] ^ \\: docket hears of"
                " cancellations by a pattern of its name, and would miss them; take another name"
            )
            raise ValueError(msg)
        if _NAME not in self._docket.tasks:
            self._docket.register(_not_here, names=[_NAME])

    @property
    def docket(self) -> Docket:
        """The docket that keeps the tickets."""
        return self._docket

    async def __aenter__(self) -> Self:
        if self._own:
            await self._docket.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._own:
            await self._docket.__aexit__(kind, error, traceback)

    # --- anywhere ---

    async def submit(self, ref: TaskRef, *, key: str, timeout: float = 86_400.0) -> bool:
        """Keep a wait until its task ends; the same key twice is one wait.

        Args:
            ref: a handle's `ref`.
            key: yours, as an order's number: it identifies the wait, not the task.
            timeout: seconds for the whole wait. Default one day.

        Returns:
            whether it is new: false when such a wait is pending, or has an outcome.

        Raises:
            TypeError, ValueError: an argument cannot be.
        """
        checked_key(key)
        ticket = Ticket.begin(ref, timeout=timeout)
        if await self.outcome(key) is not None:
            return False
        added = await self._docket.add(_NAME, key=key)(ticket.encode())
        return added.disposition is Disposition.SCHEDULED

    async def submit_many(
        self, refs: Mapping[str, TaskRef], *, timeout: float = 86_400.0
    ) -> list[str]:
        """Keep many waits with few round trips; keys and the rest as for `submit`.

        Returns:
            the keys that are new.
        """
        for key in refs:
            checked_key(key)
        tickets = {key: Ticket.begin(ref, timeout=timeout) for key, ref in refs.items()}
        names = list(tickets)
        fresh: list[str] = []
        async with self._docket.redis() as redis:
            for start in range(0, len(names), _BATCH):
                some = names[start : start + _BATCH]
                ended = await asyncio.gather(*(redis.get(self._outcome_key(key)) for key in some))
                fresh += [key for key, text in zip(some, ended, strict=True) if text is None]
        added = await self._docket.add_many(
            self._docket.call(_NAME, key=key)(tickets[key].encode()) for key in fresh
        )
        for execution in added:
            if execution.schedule_exception is not None:
                raise execution.schedule_exception
        return [one.key for one in added if one.disposition is Disposition.SCHEDULED]

    async def cancel(self, key: str) -> bool:
        """Call a wait off: the sink is not told, and the task itself goes on.

        Returns:
            whether it was pending. An end that is just being told stays told.
        """
        ticket = await self.ticket(key)
        if ticket is None:
            return False
        outcome = Outcome(
            how="cancelled",
            ref=ticket.ref,
            polls=ticket.polls,
            elapsed=round(max(0.0, wall_clock() - ticket.started), 3),
            ended=round(wall_clock(), 3),
        )
        # First the mark, which every turn looks at, so that none that is under way goes on.
        if not await self._write(key, outcome, only_new=True):
            return False
        await self._docket.cancel(key)
        return True

    async def outcome(self, key: str) -> Outcome | None:
        """Return how a wait ended; None when it has not, or longer ago than is kept."""
        async with self._docket.redis() as redis:
            text = await redis.get(self._outcome_key(key))
        return None if text is None else Outcome.decode(text)

    async def ticket(self, key: str) -> Ticket | None:
        """Return a pending wait's ticket, as of its last hand-over; None when there is none."""
        execution = await self._docket.get_execution(key)
        if execution is None or execution.state not in _PENDING or not execution.args:
            return None
        if await self.outcome(key) is not None:
            return None
        return Ticket.decode(execution.args[0])

    async def keep(self, key: str, outcome: Outcome) -> None:
        """Write down how a wait ended, which is what a worker does after its sink."""
        await self._write(key, outcome, only_new=False)

    async def ready(self) -> None:
        """Return at once if the server takes commands."""
        async with self._docket.redis() as redis:
            await redis.exists(self._docket.key("asyncclient-outcome:"))

    async def recover(self) -> None:
        """Forget idle connections: after a restart of the server each fails once (redis-py 8)."""
        async with self._docket.redis() as redis:
            if isinstance(redis, Redis):
                await redis.connection_pool.disconnect(inuse_connections=False)

    async def _write(self, key: str, outcome: Outcome, *, only_new: bool) -> bool:
        async with self._docket.redis() as redis:
            name = self._outcome_key(key)
            return bool(await redis.set(name, outcome.encode(), ex=self._keep, nx=only_new))

    def _outcome_key(self, key: str) -> str:
        return self._docket.key(f"asyncclient-outcome:{key}")

    # --- in a worker ---

    def task(
        self,
        poller: Poller,
        task_of: TaskOf,
        sink: Sink,
        *,
        hold: float = 60.0,
        schedule: Pacing | None = None,
    ) -> HoldWait:
        """Register the task that holds waits, for a `Worker` of your own on this docket.

        Give it `redelivery_timeout=` 30 s, and stop it before you close the poller.

        Args:
            poller: this worker process's.
            task_of: its clients by provider, `{"coze": coze, "copyai": copyai}`, or a function
                from a reference to its task.
            sink: an async function of a key and its wait's end, `Done` or `Expired`. It is called
                at least once; while it raises, it is called again every 15 to 30 s.
            hold: seconds for which a wait is held before it is handed back. Default 60.
            schedule: the poller's, where it was given one.

        Returns:
            the task function.
        """
        return self._register(
            Turns(self, poller, task_of, sink, hold=seconds("hold", hold), schedule=schedule)
        )

    def _register(self, turns: Turns) -> HoldWait:
        handing_back = _perpetual_of(turns)

        async def hold_wait(
            ticket: str,
            key: str = TaskKey(),
            perpetual: Perpetual = handing_back,
        ) -> None:
            later = await turns.take(key, ticket)
            if later is None:
                perpetual.cancel()
            else:
                perpetual.perpetuate(later.ticket)
                perpetual.after(timedelta(seconds=later.delay))

        hold_wait.__name__ = _NAME
        self._docket.register(hold_wait, names=[_NAME])
        return hold_wait

    async def work(
        self,
        poller: Poller | Callable[[int], Poller],
        task_of: TaskOf,
        sink: Sink,
        *,
        hold: float = 60.0,
        schedule: Pacing | None = None,
        name: str | None = None,
        redelivery: float = 30.0,
        learned: Learned | None = None,
    ) -> None:
        """Be a worker until this is cancelled; then hand all waits back, for others to go on.

        Args:
            poller: this worker process's; or, where all workers share an account's rate, a function
                from their number to a poller, `lambda workers: Poller(rate=50 / workers)`. It is
                called again when a worker comes or goes, and its pollers are closed here.
            task_of: as for `task`.
            sink: as for `task`.
            hold: as for `task`.
            schedule: as for `task`.
            name: the worker's, which must be its own. Default: host and process.
            redelivery: seconds after which the waits of a worker that was killed go to others;
                while it lives it says so four times as often. Default 30; docket's own is 300.
            learned: what this worker's schedule has learned, to be shared with the others.
        """
        async with contextlib.AsyncExitStack() as stack:
            make = None if isinstance(poller, Poller) else poller
            workers = 1 + len(await self._docket.workers())
            first = poller if isinstance(poller, Poller) else poller(workers)
            turns = Turns(self, first, task_of, sink, hold=seconds("hold", hold), schedule=schedule)
            self._register(turns)
            worker = Worker(
                self._docket,
                name=name,
                concurrency=self._concurrency,
                redelivery_timeout=timedelta(seconds=seconds("redelivery", redelivery)),
                reconnection_delay=_RECONNECTION,
                message_batch=_BATCH,
            )
            await stack.enter_async_context(worker)
            # docket takes a cancellation as its end, and says nothing of it to who cancelled.
            running = asyncio.ensure_future(worker.run_forever())
            beside: list[asyncio.Future[None]] = []
            if make is not None:
                beside.append(asyncio.ensure_future(self._share(turns, make, first, workers)))
            if learned is not None:
                beside.append(asyncio.ensure_future(self._exchange(worker.name, learned)))
            try:
                await asyncio.wait({running})
            finally:
                running.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait({running})
                    for task in beside:
                        task.cancel()
                    if beside:
                        await asyncio.wait(beside)
            running.result()

    async def _share(
        self, turns: Turns, make: Callable[[int], Poller], poller: Poller, workers: int
    ) -> None:
        """Keep this worker's poller to its share, as workers come and go."""
        try:
            while True:
                await anyio.sleep(_SHARE_GAP)
                try:
                    alive = max(1, len(await self._docket.workers()))
                except RedisError as error:
                    _log.debug("the workers cannot be counted: %s", error)
                    continue
                if alive == workers:
                    continue
                _log.info("%d workers instead of %d: the share changes", alive, workers)
                workers = alive
                former, poller = poller, make(alive)
                turns.use(poller)
                await former.aclose()
        finally:
            with anyio.CancelScope(shield=True):
                await poller.aclose()

    async def _exchange(self, name: str, learned: Learned) -> None:
        """Give the other workers what this one has learned, and take what they have."""
        key = self._docket.key("asyncclient-learned")
        while True:
            try:
                async with self._docket.redis() as redis:
                    await redis.hset(key, name, learned.state_to_bytes())
                    await redis.expire(key, _LEARNED_SECONDS)
                    states = await redis.hgetall(key)
            except RedisError as error:
                _log.debug("nothing is learned from others for now: %s", error)
            else:
                others = [state for who, state in states.items() if who != name.encode()]
                learned.merge(others)
            await anyio.sleep(learned.every)

    def __repr__(self) -> str:
        return f"<DocketWaits {self._docket.name!r}>"


def _perpetual_of(turns: Turns) -> Perpetual:
    """Make what hands waits back, and tells the turns when a worker begins and stops its work."""

    class HandingBack(Perpetual):
        async def __aenter__(self) -> Perpetual:
            given = await super().__aenter__()
            mine = HandingBack()
            mine.perpetuate(*given.args, **given.kwargs)
            return mine

        async def on_complete(self, execution: Execution, outcome: TaskOutcome) -> bool:
            """Reschedule the wait, or end it, even when the server is just away."""
            delay = 0.05
            began = anyio.current_time()
            while True:
                try:
                    return await super().on_complete(execution, outcome)
                except RedisError:
                    patience = _CLOSE_SECONDS if turns.closing else _AGAIN_SECONDS
                    if anyio.current_time() + delay > began + patience:
                        raise
                await anyio.sleep(delay)
                delay = min(2 * delay, _AGAIN_GAP)

        @classmethod
        def worker_lifecycle(
            cls, docket: Docket, worker: Worker
        ) -> contextlib.AbstractAsyncContextManager[None]:
            """Surround each stretch of a worker's work; docket calls this by its name."""
            _log.debug("%s works on %s", worker.name, docket.name)
            return turns.session()

    return HandingBack()


async def _not_here(
    ticket: str,
    key: str = TaskKey(),
    perpetual: Perpetual = Perpetual(),  # noqa: B008  (how docket injects)
) -> None:
    """Put back what this process only submits: it has no poller to hold it with."""
    _log.error("%s: this worker cannot hold waits: register DocketWaits.task(...) in it", key)
    perpetual.perpetuate(ticket)
    perpetual.after(_NOT_HERE)


def with_connections(url: str, concurrency: int) -> str:
    """Return a server's URL with the settings that so many waits need, but for those it has."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return url
    query = {
        "max_connections": str(2 * concurrency + _SPARE_CONNECTIONS),
        **dict(parse_qsl(parts.query, keep_blank_values=True)),
    }
    return urlunsplit(parts._replace(query=urlencode(query)))
