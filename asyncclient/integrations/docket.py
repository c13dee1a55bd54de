"""Durable waits on Redis or Valkey, kept by docket (the distribution `pydocket`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import anyio
from docket import Disposition, Docket, Execution, ExecutionState, Perpetual, TaskKey, Worker
from docket.dependencies import TaskOutcome
from redis.asyncio import Redis
from redis.exceptions import RedisError

from asyncclient._arguments import seconds, whole_number
from asyncclient._durable import Outcome, TaskOf, Ticket, TicketExpired
from asyncclient._many import Poller
from asyncclient._ref import TaskRef
from asyncclient._schedule import Pacing
from asyncclient.integrations._peers import Peers
from asyncclient.integrations._turns import (
    AGAIN_SECONDS,
    Sink,
    Turns,
    again_while_away,
    checked_keep,
    checked_key,
)

__all__ = ["DocketWaits", "Outcome", "Sink", "Ticket", "TicketExpired"]

_log = logging.getLogger("asyncclient.workers")

# docket's default of 5 s is long for who has the waits in hand.
_RECONNECTION = timedelta(seconds=1)
# docket claims so many tickets in one read, and each claim takes a connection for a moment.
_BATCH = 100
# With redis-py's 100 connections, docket's worker falls into "Redis is unavailable" for ever once
# more tasks than that speak at a time.
_SPARE_CONNECTIONS = 64
_CLOSE_SECONDS = 5.0
# A process that knows the task by name only puts a ticket back for those who can hold it.
_NOT_HERE = timedelta(seconds=5)
_NAME = "asyncclient_wait"
# What means more than itself in the patterns of Redis' PSUBSCRIBE.
_PATTERN = frozenset("*?[]^\\")
# What workers tell each other is kept for so many seconds after the last of them has written.
_BOARD_SECONDS = 86_400
_PENDING = (ExecutionState.SCHEDULED, ExecutionState.QUEUED, ExecutionState.RUNNING)

HoldWait = Callable[..., Awaitable[None]]


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
        self._concurrency = concurrency
        self._keep = max(1, math.ceil(checked_keep(keep)))
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
        # First the mark, which every turn looks at, so that none that is under way goes on.
        if not await self._write(key, Outcome.called_off(ticket), only_new=True):
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
            sink: an async function of a key and its wait's end, `Done` or `TicketExpired`. It is
                called at least once; while it raises, it is called again every 15 to 30 s.
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
        poller: Poller,
        task_of: TaskOf,
        sink: Sink,
        *,
        hold: float = 60.0,
        schedule: Pacing | None = None,
        name: str | None = None,
        redelivery: float = 30.0,
        share_rate: bool = True,
        share_learned: bool = True,
    ) -> None:
        """Be a worker until this is cancelled; then hand all waits back, for others to go on.

        Args:
            poller: this worker process's.
            task_of: as for `task`.
            sink: as for `task`.
            hold: as for `task`.
            schedule: as for `task`.
            name: the worker's, which must be its own. Default: host and process.
            redelivery: seconds after which the waits of a worker that was killed go to others;
                while it lives it says so four times as often. Default 30; docket's own is 300.
            share_rate: whether the poller keeps to an even share of every given or documented rate,
                by the number of workers that live. One that comes to others begins 3 s later, when
                they have made room. Default True.
            share_learned: whether this worker tells the others once a minute what it has learned of
                how long tasks take, and takes what they have. Default True.
        """
        turns = Turns(self, poller, task_of, sink, hold=seconds("hold", hold), schedule=schedule)
        self._register(turns)
        worker = Worker(
            self._docket,
            name=name,
            concurrency=self._concurrency,
            redelivery_timeout=timedelta(seconds=seconds("redelivery", redelivery)),
            reconnection_delay=_RECONNECTION,
            message_batch=_BATCH,
        )
        peers = Peers(
            _Board(self._docket),
            poller,
            turns.hand_back,
            share_rate=share_rate,
            share_learned=share_learned,
        )
        async with peers.joined(), worker:
            # docket takes a cancellation as its end, and says nothing of it to who cancelled.
            running = asyncio.ensure_future(worker.run_forever())
            try:
                await asyncio.wait({running})
            finally:
                running.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait({running})
            running.result()

    def __repr__(self) -> str:
        return f"<DocketWaits {self._docket.name!r}>"


class _Board:
    """What workers tell each other, as one hash for each topic."""

    def __init__(self, docket: Docket) -> None:
        self._docket = docket

    async def put(self, topic: str, name: str, text: str) -> None:
        async with self._docket.redis() as redis:
            await redis.hset(self._key(topic), name, text)
            await redis.expire(self._key(topic), _BOARD_SECONDS)

    async def read(self, topic: str) -> Mapping[str, str]:
        async with self._docket.redis() as redis:
            found = await redis.hgetall(self._key(topic))
        return {name.decode(): text.decode() for name, text in found.items()}

    async def remove(self, topic: str, names: Collection[str]) -> None:
        async with self._docket.redis() as redis:
            await redis.hdel(self._key(topic), *names)

    def _key(self, topic: str) -> str:
        return self._docket.key(f"asyncclient-{topic}")


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
            complete = super().on_complete
            return await again_while_away(
                lambda: complete(execution, outcome),
                away=RedisError,
                patience=lambda: _CLOSE_SECONDS if turns.closing else AGAIN_SECONDS,
            )

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
