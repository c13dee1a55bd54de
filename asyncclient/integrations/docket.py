"""Durable waits on Redis or Valkey, kept by docket (the distribution `pydocket`)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import timedelta
from typing import Protocol, cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import anyio

from asyncclient._durable import TaskOf, Ticket, TicketExpired
from asyncclient._extras import needs
from asyncclient._many import Poller
from asyncclient._schedule import Pacing
from asyncclient._text import even_half_made
from asyncclient.integrations._delivery import Sink
from asyncclient.integrations._engine import PENDING, DurableWaits
from asyncclient.integrations._holder import (
    AGAIN_SECONDS,
    CLOSE_SECONDS,
    Holder,
    NextTurn,
    again_while_away,
)
from asyncclient.integrations._neighbours import Notices
from asyncclient.integrations._outcome import Outcome

with needs("docket", "asyncclient.integrations.docket"):
    from docket import Disposition, Docket, Execution, ExecutionState, Perpetual, TaskKey, Worker
    from docket.dependencies import TaskOutcome
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

__all__ = ["DocketWaits", "Outcome", "Sink", "Ticket", "TicketExpired"]

_log = logging.getLogger("asyncclient.workers")

# docket's default of 5 s is long for who has the waits in hand.
_RECONNECTION = timedelta(seconds=1)
# Tickets that docket claims in one read, and each claim takes a connection for a moment.
_BATCH = 100
# With redis-py's 100 connections, docket's worker falls into "Redis is unavailable" for ever once
# more tasks than that speak at a time.
_SPARE_CONNECTIONS = 64
_NAME = "asyncclient_wait"
# What means more than itself in the patterns of Redis' PSUBSCRIBE.
_PATTERN = frozenset("*?[]^\\")
# Seconds for which notices are kept after the last worker has put one up.
_NOTICE_SECONDS = 86_400
_PENDING_STATES = (ExecutionState.SCHEDULED, ExecutionState.QUEUED, ExecutionState.RUNNING)
# Puts a text in place of another one, where that is there; no text is the empty one.
_SWAP = """
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
"""

HoldWait = Callable[..., Awaitable[None]]
TakeTurn = Callable[[str, str], Awaitable[NextTurn | None]]


class _Evaluates(Protocol):
    async def eval(self, script: str, numkeys: int, *keys_and_args: str) -> object: ...


class DocketWaits(DurableWaits):
    """Durable waits on Redis or Valkey, by key: submitted and read anywhere, held in workers.

    A sink is called at least once for every wait, also when processes are killed. Protect the
    server: anyone who can write to it can run code in docket's workers, since docket pickles
    arguments. A worker's name is by default its host and process.

    Args:
        where: the server's URL (`redis://`, `rediss://`, `unix://`, `memory://` for tests in one
            process), or a `Docket` of your own, which stays yours to open and close: give its URL
            `?max_connections=` twice its worker's concurrency.
        name: name of the docket, where `where` is a URL. Workers that do not know these waits must
            not use the same name. Default `asyncclient`.
        concurrency: waits that a worker holds at a time, on up to two connections each. Default
            1000.
        keep: seconds for which an outcome can be read and its key cannot be used again; at most ten
            years. Default one day.

    Raises:
        TypeError, ValueError: an argument is not valid.
    """

    def __init__(
        self,
        where: str | Docket = "redis://localhost:6379/0",
        *,
        name: str = "asyncclient",
        concurrency: int = 1000,
        keep: float = 86_400.0,
    ) -> None:
        super().__init__(concurrency=concurrency, keep=keep, owns_store=isinstance(where, str))
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
            self._register(self.put_back, Perpetual())

    @property
    def docket(self) -> Docket:
        """The docket that keeps the tickets."""
        return self._docket

    # --- what the store does ---

    def _connection(self) -> Docket:
        return self._docket

    async def _add(self, tickets: Mapping[str, Ticket]) -> list[str]:
        if len(tickets) == 1:  # for a batch docket sends its script along
            ((key, ticket),) = tickets.items()
            added = [await self._docket.add(_NAME, key=key)(ticket.encode())]
        else:
            added = await self._docket.add_many(
                self._docket.call(_NAME, key=key)(ticket.encode())
                for key, ticket in tickets.items()
            )
        for execution in added:
            if execution.schedule_exception is not None:
                raise execution.schedule_exception
        fresh = [one.key for one in added if one.disposition is Disposition.SCHEDULED]
        # Looked at afterwards: a wait that ended just before has had its outcome written by now.
        ended = await self._with_outcome(fresh)
        for key in ended:
            await self._docket.cancel(key)
        return [key for key in fresh if key not in ended]

    async def _with_outcome(self, keys: list[str]) -> set[str]:
        """Return the keys of waits that have ended."""
        ended: set[str] = set()
        async with self._docket.redis() as redis:
            for start in range(0, len(keys), _BATCH):
                some = keys[start : start + _BATCH]
                texts = await asyncio.gather(*(redis.get(self._outcome_key(key)) for key in some))
                ended.update(key for key, text in zip(some, texts, strict=True) if text)
        return ended

    async def _pending(self, key: str) -> str | None:
        execution = await self._docket.get_execution(key)
        if execution is None or execution.state not in _PENDING_STATES or not execution.args:
            return None
        return str(execution.args[0])

    async def _drop(self, key: str) -> None:
        await self._docket.cancel(key)

    async def _read(self, key: str) -> str:
        async with self._docket.redis() as redis:
            text = await redis.get(self._outcome_key(key))
        return PENDING if text is None else text.decode()

    async def _swap(self, key: str, before: str | None, after: str) -> bool:
        seconds = str(max(1, math.ceil(self._seconds_kept(after))))
        async with self._docket.redis() as redis:
            swapped = await cast("_Evaluates", redis).eval(
                _SWAP, 1, self._outcome_key(key), before or PENDING, after, seconds
            )
        return swapped == 1

    async def ready(self) -> None:
        """Return at once if the server takes commands."""
        async with self._docket.redis() as redis:
            await redis.exists(self._outcome_key(""))

    async def recover(self) -> None:
        """Forget idle connections: after a restart of the server each fails once (redis-py 8)."""
        async with self._docket.redis() as redis:
            if isinstance(redis, Redis):
                await redis.connection_pool.disconnect(inuse_connections=False)

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
        sink_timeout: float = 60.0,
        schedule: Pacing | None = None,
    ) -> HoldWait:
        """Register the task that holds waits, for a `Worker` of your own on this docket.

        The arguments are those of `work`. Give the worker `redelivery_timeout=` 30 s (docket's own
        is 300), and stop it before you close the poller.

        Returns:
            the task function.

        Raises:
            TypeError, ValueError: an argument is not valid.
        """
        holder = Holder(
            self, poller, task_of, sink, hold=hold, sink_timeout=sink_timeout, schedule=schedule
        )
        return self._register(holder.take, _perpetual_of(holder))

    def _register(self, take: TakeTurn, handing_back: Perpetual) -> HoldWait:
        """Register what takes a ticket's turn, under the name that tickets are kept with."""

        async def hold_wait(
            ticket: str,
            key: str = TaskKey(),
            perpetual: Perpetual = handing_back,
        ) -> None:
            following = await take(key, ticket)
            if following is None:
                perpetual.cancel()
            else:
                perpetual.perpetuate(following.ticket)
                perpetual.after(timedelta(seconds=following.delay))

        hold_wait.__name__ = _NAME  # docket writes the next turn down by it
        self._docket.register(hold_wait, names=[_NAME])
        return hold_wait

    async def _serve(self, holder: Holder, name: str | None, redelivery: float) -> None:
        self._register(holder.take, _perpetual_of(holder))
        worker = Worker(
            self._docket,
            name=name,
            concurrency=self._concurrency,
            redelivery_timeout=timedelta(seconds=redelivery),
            reconnection_delay=_RECONNECTION,
            message_batch=_BATCH,
        )
        async with worker:
            # docket takes a cancellation as its end, and says nothing of it to who cancelled.
            running = asyncio.ensure_future(worker.run_forever())
            try:
                await asyncio.wait({running})
            finally:
                running.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait({running})
                holder.close()  # while docket has lost its server, it is in no session
            running.result()

    def _notices(self) -> Notices:
        return _HashNotices(self._docket)

    @even_half_made
    def __repr__(self) -> str:
        return f"<DocketWaits {self._docket.name!r}>"


class _HashNotices:
    """Keeps the workers' notices as one hash for each topic."""

    def __init__(self, docket: Docket) -> None:
        self._docket = docket

    async def put(self, topic: str, name: str, text: str) -> None:
        async with self._docket.redis() as redis:
            await redis.hset(self._key(topic), name, text)
            await redis.expire(self._key(topic), _NOTICE_SECONDS)

    async def read(self, topic: str) -> Mapping[str, str]:
        async with self._docket.redis() as redis:
            found = await redis.hgetall(self._key(topic))
        return {name.decode(): text.decode() for name, text in found.items()}

    async def remove(self, topic: str, names: Collection[str]) -> None:
        async with self._docket.redis() as redis:
            await redis.hdel(self._key(topic), *names)

    def _key(self, topic: str) -> str:
        return self._docket.key(f"asyncclient-{topic}")


def _perpetual_of(holder: Holder) -> Perpetual:
    """Make what hands waits back, and lets the holder know when a worker begins and stops."""

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
                patience=lambda: CLOSE_SECONDS if holder.closing else AGAIN_SECONDS,
            )

        @classmethod
        def worker_lifecycle(
            cls, docket: Docket, worker: Worker
        ) -> contextlib.AbstractAsyncContextManager[None]:
            """Surround each stretch of a worker's work; docket calls this by its name."""
            _log.debug("%s works on %s", worker.name, docket.name)
            return holder.session()

    return HandingBack()


def with_connections(url: str, concurrency: int) -> str:
    """Return a server's URL with the settings that many waits need, but for those it has."""
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return url
    query = {
        "max_connections": str(2 * concurrency + _SPARE_CONNECTIONS),
        **dict(parse_qsl(parts.query, keep_blank_values=True)),
    }
    return urlunsplit(parts._replace(query=urlencode(query)))
