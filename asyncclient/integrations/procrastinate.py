"""Durable waits on PostgreSQL, kept by procrastinate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

import anyio
from procrastinate import App, PsycopgConnector
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
from procrastinate.jobs import Job, Status

from asyncclient._arguments import seconds, whole_number
from asyncclient._durable import Outcome, TaskOf, Ticket, TicketExpired, wall_clock
from asyncclient._many import Poller
from asyncclient._ref import TaskRef
from asyncclient._schedule import Pacing
from asyncclient.integrations._peers import Peers
from asyncclient.integrations._turns import (
    AGAIN_SECONDS,
    Later,
    Sink,
    Turns,
    again_while_away,
    checked_keep,
    checked_key,
)

__all__ = ["Outcome", "ProcrastinateWaits", "Sink", "Ticket", "TicketExpired"]

_log = logging.getLogger("asyncclient.workers")

_WAIT = "asyncclient_wait"
_KEPT = "asyncclient_kept"
_RESCUE = "asyncclient_rescue"
# Six fields, the last one seconds: as often are the waits of dead workers looked for.
_RESCUE_CRON = "* * * * * */10"
# Tickets come due without a notice from the database, which is asked so often, in seconds.
_FETCH_GAP = 0.5
_CONNECTIONS = 10
# Jobs are written so many at a time.
_BATCH = 500
_RESTART_GAP = 1.0
# What a worker told the others is forgotten after so many seconds, where nobody takes it away.
_BOARD_SECONDS = 2 * 86_400.0
_NOT_HERE = 5.0


class ProcrastinateWaits:
    """Durable waits, by key: submit, cancel and read them anywhere, hold them in workers.

    Every wait is told to a worker's sink at least once, whatever is killed; a sink must bear to be
    called twice. All of it is in procrastinate's own tables, so that nothing is to be migrated. It
    fetches some hundred tickets a second and reads past all that are not due: for some ten thousand
    waits, not for millions.

    Args:
        where: PostgreSQL's connection string, or an `App` of your own, which stays yours to open
            and close.
        queue: procrastinate's queue; waits in another one are apart. Default `asyncclient`.
        concurrency: waits that a worker holds at a time. Default 1000.
        keep: seconds for which the outcome of a wait can be read, and its key not be used again.
            Default one day.

    Raises:
        TypeError, ValueError: an argument cannot be.
    """

    def __init__(
        self,
        where: str | App,
        *,
        queue: str = "asyncclient",
        concurrency: int = 1000,
        keep: float = 86_400.0,
    ) -> None:
        whole_number("concurrency", concurrency, least=1)
        self._keep = checked_keep(keep)
        self._concurrency = concurrency
        self._queue = queue
        self._own = isinstance(where, str)
        self._app = (
            App(connector=PsycopgConnector(conninfo=where, max_size=_CONNECTIONS))
            if isinstance(where, str)
            else where
        )
        self._turns: Turns | None = None
        self._redelivery = 30.0
        self._app.task(name=_WAIT, queue=queue)(self._hold_wait)
        self._app.task(name=_KEPT, queue=queue)(_forget)
        self._app.periodic(cron=_RESCUE_CRON, periodic_id=queue)(
            self._app.task(name=_RESCUE, queue=queue, queueing_lock=self._lock("rescue"))(
                self._rescue_tick
            )
        )

    @property
    def app(self) -> App:
        """The app that keeps the tickets."""
        return self._app

    async def __aenter__(self) -> Self:
        if self._own:
            await self._app.open_async()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._own:
            await self._app.close_async()

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
        jobs = self._jobs(key, Ticket.begin(ref, timeout=timeout))
        try:
            await self._app.job_manager.batch_defer_jobs_async(jobs)
        except AlreadyEnqueued:
            return False
        return True

    async def submit_many(
        self, refs: Mapping[str, TaskRef], *, timeout: float = 86_400.0
    ) -> list[str]:
        """Keep many waits with few statements; keys and the rest as for `submit`.

        Returns:
            the keys that are new.
        """
        waits = [
            (key, self._jobs(key, Ticket.begin(ref, timeout=timeout))) for key, ref in refs.items()
        ]
        manager = self._app.job_manager
        new: list[str] = []
        for start in range(0, len(waits), _BATCH):
            some = waits[start : start + _BATCH]
            try:
                await manager.batch_defer_jobs_async([job for _, jobs in some for job in jobs])
                new += [key for key, _ in some]
            except AlreadyEnqueued:  # which of them, it does not say
                for key, jobs in some:
                    try:
                        await manager.batch_defer_jobs_async(jobs)
                    except AlreadyEnqueued:
                        continue
                    new.append(key)
        return new

    async def cancel(self, key: str) -> bool:
        """Call a wait off: the sink is not told, and the task itself goes on.

        Returns:
            whether it was pending. An end that is just being told stays told.
        """
        ticket = await self.ticket(key)
        if ticket is None:
            return False
        # First the mark, which every turn looks at, so that none that is under way goes on.
        try:
            await self._write(key, Outcome.called_off(ticket))
        except AlreadyEnqueued:
            return False
        for job in await self._pending_jobs(key):
            if job.id is not None:
                await self._app.job_manager.cancel_job_by_id_async(
                    job.id, abort=True, delete_job=True
                )
        return True

    async def outcome(self, key: str) -> Outcome | None:
        """Return how a wait ended; None when it has not, or longer ago than is kept."""
        found = await self._app.job_manager.list_jobs_async(
            queueing_lock=self._lock("outcome", key), status=Status.TODO.value
        )
        for job in found:
            return Outcome.decode(str(job.task_kwargs["text"]))
        return None

    async def ticket(self, key: str) -> Ticket | None:
        """Return a pending wait's ticket, as of its last hand-over; None when there is none."""
        if await self.outcome(key) is not None:
            return None
        jobs = await self._pending_jobs(key)
        return Ticket.decode(str(jobs[-1].task_kwargs["ticket"])) if jobs else None

    async def keep(self, key: str, outcome: Outcome) -> None:
        """Write down how a wait ended, which is what a worker does after its sink."""
        try:
            await self._write(key, outcome)
        except AlreadyEnqueued:
            _log.debug("%s: its outcome was kept before", key)

    async def ready(self) -> None:
        """Return at once if the database takes commands."""
        await self._app.job_manager.check_connection_async()

    async def recover(self) -> None:
        """Do nothing: its pool finds out by itself which connections are broken."""

    def _lock(self, what: str, key: str = "") -> str:
        """Name a queueing lock, of which one database has one in all its queues."""
        return f"{self._queue}/{what}:{key}"

    def _jobs(self, key: str, ticket: Ticket) -> list[Job]:
        """Return a wait's job, and the mark that keeps its key from being used twice."""
        checked_key(key)
        forgotten = datetime.fromtimestamp(ticket.deadline + self._keep, UTC)
        mark = self._app.configure_task(
            _KEPT, queue=self._queue, queueing_lock=self._lock("mark", key), schedule_at=forgotten
        ).make_new_job(text="")
        return [self._job(key, ticket.encode(), 0.0), mark]

    def _job(self, key: str, text: str, delay: float) -> Job:
        due = datetime.now(UTC) + timedelta(seconds=delay)  # noqa: TID251  (the database's clock)
        deferrer = self._app.configure_task(
            _WAIT, queue=self._queue, queueing_lock=self._lock("wait", key), schedule_at=due
        )
        return deferrer.make_new_job(ticket=text, key=key)

    async def _pending_jobs(self, key: str) -> list[Job]:
        found = await self._app.job_manager.list_jobs_async(queueing_lock=self._lock("wait", key))
        return [job for job in found if job.status in {Status.TODO.value, Status.DOING.value}]

    async def _write(self, key: str, outcome: Outcome) -> None:
        forgotten = datetime.fromtimestamp(wall_clock() + self._keep, UTC)
        await self._app.configure_task(
            _KEPT,
            queue=self._queue,
            queueing_lock=self._lock("outcome", key),
            schedule_at=forgotten,
        ).defer_async(text=outcome.encode())

    # --- in a worker ---

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
            task_of: its clients by provider, `{"coze": coze, "copyai": copyai}`, or a function
                from a reference to its task.
            sink: an async function of a key and its wait's end, `Done` or `TicketExpired`. It is
                called at least once; while it raises, it is called again every 15 to 30 s.
            hold: seconds for which a wait is held before it is handed back. Default 60.
            schedule: the poller's, where it was given one.
            name: the worker's, for procrastinate's logs.
            redelivery: seconds after which the waits of a worker that was killed go to others;
                while it lives it says so four times as often. Default 30. It is looked for every
                10 s.
            share_rate: whether the poller keeps to an even share of every given or documented rate,
                by the number of workers that live. One that comes to others begins 3 s later, when
                they have made room. Default True.
            share_learned: whether this worker tells the others once a minute what it has learned of
                how long tasks take, and takes what they have. Default True.
        """
        self._redelivery = seconds("redelivery", redelivery)
        turns = Turns(self, poller, task_of, sink, hold=seconds("hold", hold), schedule=schedule)
        self._turns = turns
        watching = asyncio.ensure_future(turns.watch())
        peers = Peers(
            _Board(self._app, self._queue),
            poller,
            turns.hand_back,
            share_rate=share_rate,
            share_learned=share_learned,
        )
        try:
            async with peers.joined():
                while True:
                    try:
                        await self._work(turns, name)
                    except ConnectorException as error:
                        _log.warning("the database is away: %s", error)
                    await anyio.sleep(_RESTART_GAP)
        finally:
            watching.cancel()
            self._turns = None

    async def _work(self, turns: Turns, name: str | None) -> None:
        running = asyncio.ensure_future(
            self._app.run_worker_async(
                queues=[self._queue],
                name=name or "worker",
                concurrency=self._concurrency,
                fetch_job_polling_interval=_FETCH_GAP,
                abort_job_polling_interval=_FETCH_GAP,
                delete_jobs="successful",
                install_signal_handlers=False,
                update_heartbeat_interval=self._redelivery / 4,
                stalled_worker_timeout=self._redelivery,
            )
        )
        async with turns.session():
            try:
                await asyncio.wait({running})
            except BaseException:
                # procrastinate waits for its jobs before it ends: they must end first.
                turns.close()
                running.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait({running})
                raise
            running.result()

    async def _hold_wait(self, ticket: str, key: str) -> None:
        later = Later(_NOT_HERE, ticket)
        if self._turns is not None:
            taken = await self._turns.take(key, ticket)
            if taken is None:
                return
            later = taken
        else:
            _log.error("%s: this worker cannot hold waits: start it with work()", key)
        await self._defer_again(key, later)

    async def _defer_again(self, key: str, later: Later) -> None:
        async def defer() -> None:
            job = self._job(key, later.ticket, later.delay)
            # It may have been, by another turn of the same wait, after a rescue.
            with contextlib.suppress(AlreadyEnqueued):
                await self._app.job_manager.defer_job_async(job)

        def patience() -> float:
            return 0.0 if self._turns is None or self._turns.closing else AGAIN_SECONDS

        await again_while_away(defer, away=ConnectorException, patience=patience)

    # --- what dead workers leave ---

    async def _rescue_tick(self, timestamp: int) -> None:
        rescued = await self.rescue(self._redelivery)
        if rescued:
            _log.warning("rescued %d waits of dead workers (at %d)", rescued, timestamp)

    async def rescue(self, redelivery: float = 30.0) -> int:
        """Give the waits of dead workers to those that live; a worker does it every 10 s.

        Args:
            redelivery: seconds for which a worker has not been heard of.

        Returns:
            how many waits were given back.
        """
        manager = self._app.job_manager
        rescued = 0
        for job in await manager.get_stalled_jobs(
            queue=self._queue, seconds_since_heartbeat=redelivery
        ):
            if job.id is None:
                continue
            try:
                await manager.retry_job(job)
            except ConnectorException as error:
                if not hasattr(error, "constraint_name"):
                    raise
                # It had been handed back already, and only its end was not written down.
                await manager.finish_job_by_id_async(job.id, Status.SUCCEEDED, delete_job=True)
            else:
                rescued += job.task_name == _WAIT
        return rescued

    def __repr__(self) -> str:
        return f"<ProcrastinateWaits {self._queue!r}>"


class _Board:
    """What workers tell each other, as jobs of queues of their own, from which none is taken.

    A job's lock is the worker's name. The queues are apart from that of the waits, so that a notice
    wakes no worker, and none reads past it.
    """

    def __init__(self, app: App, queue: str) -> None:
        self._app = app
        self._queue = queue

    async def put(self, topic: str, name: str, text: str) -> None:
        forgotten = datetime.fromtimestamp(wall_clock() + _BOARD_SECONDS, UTC)
        before = await self._jobs(topic, name)
        await self._app.configure_task(
            _KEPT, queue=f"{self._queue}-{topic}", lock=name, schedule_at=forgotten
        ).defer_async(text=text)
        await self._delete(before)

    async def read(self, topic: str) -> Mapping[str, str]:
        # They come in the order in which they were put up.
        return {str(job.lock): str(job.task_kwargs["text"]) for job in await self._jobs(topic)}

    async def remove(self, topic: str, names: Collection[str]) -> None:
        for name in names:
            await self._delete(await self._jobs(topic, name))

    async def _jobs(self, topic: str, name: str | None = None) -> list[Job]:
        jobs = await self._app.job_manager.list_jobs_async(
            queue=f"{self._queue}-{topic}", lock=name, status=Status.TODO.value
        )
        return list(jobs)

    async def _delete(self, jobs: list[Job]) -> None:
        for job in jobs:
            if job.id is not None:
                await self._app.job_manager.cancel_job_by_id_async(job.id, delete_job=True)


async def _forget(text: str) -> None:
    """Do nothing: what was kept is deleted when its time has come, by being done."""
