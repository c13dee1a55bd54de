"""Durable waits on PostgreSQL, kept by procrastinate."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import anyio

from asyncclient._durable import Ticket, TicketExpired, wall_clock
from asyncclient._extras import needs
from asyncclient._text import even_half_made, text_of
from asyncclient.integrations._delivery import Sink
from asyncclient.integrations._engine import PENDING, DurableWaits
from asyncclient.integrations._holder import AGAIN_SECONDS, Holder, NextTurn, again_while_away
from asyncclient.integrations._neighbours import Notices
from asyncclient.integrations._outcome import Outcome

with needs("procrastinate", "asyncclient.integrations.procrastinate"):
    from procrastinate import App, PsycopgConnector
    from procrastinate.exceptions import AlreadyEnqueued, ConnectorException
    from procrastinate.jobs import Job, Status

__all__ = ["Outcome", "ProcrastinateWaits", "Sink", "Ticket", "TicketExpired"]

_log = logging.getLogger("asyncclient.workers")

_WAIT = "asyncclient_wait"
_KEPT = "asyncclient_kept"
_RESCUE = "asyncclient_rescue"
# Six fields, the last one seconds: as often are the waits of dead workers looked for.
_RESCUE_CRON = "* * * * * */10"
# Tickets come due without a notice from the database: seconds after which it is asked again.
_FETCH_GAP = 0.5
_CONNECTIONS = 10
# Waits whose jobs are written in one statement.
_BATCH = 500
_RESTART_GAP = 1.0
# Seconds after which a notice is forgotten that no worker takes away.
_NOTICE_SECONDS = 2 * 86_400.0
# Puts a text in place of another one, where that is there, and says until when it is kept. No
# command of procrastinate's own does both at once: in between, a wait could be reported and then
# still be called off.
_SWAP = """
UPDATE procrastinate_jobs
   SET args = jsonb_build_object('text', %(after)s::text), scheduled_at = %(until)s
 WHERE queueing_lock = %(lock)s AND status = 'todo' AND args->>'text' = %(before)s
RETURNING id
"""


class ProcrastinateWaits(DurableWaits):
    """Durable waits on PostgreSQL, by key: submitted and read anywhere, held in workers.

    A sink is called at least once for every wait, also when processes are killed. Everything is in
    procrastinate's own tables: you need no migration. A worker fetches some hundred tickets a
    second, and skips all that are not due: good for some ten thousand waits, not for millions. A
    worker's name is used in procrastinate's logs alone.

    Args:
        where: PostgreSQL's connection string, or an `App` of your own, which stays yours to open
            and close.
        queue: procrastinate's queue; waits in another queue are separate. Default `asyncclient`.
        concurrency: waits that a worker holds at a time. Default 1000.
        keep: seconds for which an outcome can be read and its key cannot be used again; at most ten
            years. Default one day.

    Raises:
        TypeError, ValueError: an argument is not valid.
    """

    def __init__(
        self,
        where: str | App,
        *,
        queue: str = "asyncclient",
        concurrency: int = 1000,
        keep: float = 86_400.0,
    ) -> None:
        super().__init__(concurrency=concurrency, keep=keep, owns_store=isinstance(where, str))
        self._queue = queue
        self._app = (
            App(connector=PsycopgConnector(conninfo=where, max_size=_CONNECTIONS))
            if isinstance(where, str)
            else where
        )
        self._holder: Holder | None = None
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

    # --- what the store does ---

    def _connection(self) -> AbstractAsyncContextManager[object]:
        return self._app.open_async()

    async def _add(self, tickets: Mapping[str, Ticket]) -> list[str]:
        waits = [(key, self._jobs(key, ticket)) for key, ticket in tickets.items()]
        new: list[str] = []
        for start in range(0, len(waits), _BATCH):
            some = waits[start : start + _BATCH]
            if await self._defer([job for _, jobs in some for job in jobs]):
                new += [key for key, _ in some]
            elif len(some) > 1:  # which of them, it does not say
                new += [key for key, jobs in some if await self._defer(jobs)]
        return new

    async def _defer(self, jobs: list[Job]) -> bool:
        """Write all of some jobs, or none where one of their locks is taken."""
        try:
            await self._app.job_manager.batch_defer_jobs_async(jobs)
        except AlreadyEnqueued:
            return False
        return True

    async def _pending(self, key: str) -> str | None:
        jobs = await self._pending_jobs(key)
        return str(jobs[-1].task_kwargs["ticket"]) if jobs else None

    async def _drop(self, key: str) -> None:
        for job in await self._pending_jobs(key):
            if job.id is not None:
                await self._app.job_manager.cancel_job_by_id_async(
                    job.id, abort=True, delete_job=True
                )

    async def _read(self, key: str) -> str | None:
        job = await self._mark(key)
        return None if job is None else str(job.task_kwargs["text"])

    async def _swap(self, key: str, before: str | None, after: str) -> bool:
        until = wall_clock() + self._seconds_kept(after)
        connector = self._app.connector
        if before is not None and isinstance(connector, PsycopgConnector):
            changed = await connector.execute_query_all_async(
                _SWAP,
                lock=self._lock("outcome", key),
                before=before,
                after=after,
                until=datetime.fromtimestamp(until, UTC),
            )
            return bool(changed)
        # In memory nothing comes between these.
        job = await self._mark(key)
        if (None if job is None else job.task_kwargs["text"]) != before:
            return False
        if job is not None and not await _take_away(self._app, job):
            return False
        return await self._defer([self._mark_job(key, after, until)])

    async def _mark(self, key: str) -> Job | None:
        """Return the job that says how a wait ended, or that it has not."""
        found = await self._app.job_manager.list_jobs_async(
            queueing_lock=self._lock("outcome", key), status=Status.TODO.value
        )
        return next(iter(found), None)

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
        until = ticket.deadline + self._seconds_kept(PENDING)
        return [self._job(key, ticket.encode(), 0.0), self._mark_job(key, PENDING, until)]

    def _mark_job(self, key: str, text: str, until: float) -> Job:
        return self._app.configure_task(
            _KEPT,
            queue=self._queue,
            queueing_lock=self._lock("outcome", key),
            schedule_at=datetime.fromtimestamp(until, UTC),
        ).make_new_job(text=text)

    def _job(self, key: str, text: str, delay: float) -> Job:
        due = datetime.now(UTC) + timedelta(seconds=delay)  # noqa: TID251  (the database's clock)
        deferrer = self._app.configure_task(
            _WAIT, queue=self._queue, queueing_lock=self._lock("wait", key), schedule_at=due
        )
        return deferrer.make_new_job(ticket=text, key=key)

    async def _pending_jobs(self, key: str) -> list[Job]:
        found = await self._app.job_manager.list_jobs_async(queueing_lock=self._lock("wait", key))
        return [job for job in found if job.status in {Status.TODO.value, Status.DOING.value}]

    # --- in a worker ---

    async def _serve(self, holder: Holder, name: str | None, redelivery: float) -> None:
        self._holder, self._redelivery = holder, redelivery
        watching = asyncio.ensure_future(holder.watch())
        try:
            while True:
                try:
                    await self._run_worker(holder, name)
                except ConnectorException as error:
                    _log.warning("the database is away: %s", text_of(error))
                await anyio.sleep(_RESTART_GAP)
        finally:
            watching.cancel()
            self._holder = None

    async def _run_worker(self, holder: Holder, name: str | None) -> None:
        """Run procrastinate's worker until it loses the database, or is cancelled."""
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
        async with holder.session():
            try:
                await asyncio.wait({running})
            except BaseException:
                # procrastinate waits for its jobs before it ends: they must end first.
                holder.close()
                running.cancel()
                with anyio.CancelScope(shield=True):
                    await asyncio.wait({running})
                raise
            running.result()

    async def _hold_wait(self, ticket: str, key: str) -> None:
        if self._holder is None:
            following = await self.put_back(key, ticket)
        else:
            try:
                following = await self._holder.take(key, ticket)
            except asyncio.CancelledError:
                if not await self.is_over(key):
                    raise
                following = None  # called off: a job that ends as aborted stays for ever
        if following is not None:
            await self._defer_next(key, following)

    async def _defer_next(self, key: str, following: NextTurn) -> None:
        """Write the job of a wait's next turn, even when the database is just away."""

        async def defer() -> None:
            job = self._job(key, following.ticket, following.delay)
            # It may have been, by another turn of the same wait, after a rescue.
            with contextlib.suppress(AlreadyEnqueued):
                await self._app.job_manager.defer_job_async(job)

        def patience() -> float:
            is_stopped = self._holder is not None and self._holder.closing
            return 0.0 if is_stopped else AGAIN_SECONDS

        await again_while_away(defer, away=ConnectorException, patience=patience)

    def _notices(self) -> Notices:
        return _JobNotices(self._app, self._queue)

    # --- what dead workers leave ---

    async def _rescue_tick(self, timestamp: int) -> None:
        rescued = await self.rescue(self._redelivery)
        if rescued:
            _log.warning("rescued %d waits of dead workers (at %d)", rescued, timestamp)

    async def rescue(self, redelivery: float = 30.0) -> int:
        """Give the waits of dead workers to those that live; a worker does it every 10 s.

        Args:
            redelivery: seconds without a report after which a worker counts as dead.

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

    @even_half_made
    def __repr__(self) -> str:
        return f"<ProcrastinateWaits {self._queue!r}>"


class _JobNotices:
    """Keeps the workers' notices as jobs of queues of their own, from which none is taken.

    A job's lock is the worker's name. The queues are apart from that of the waits, so that a notice
    wakes no worker, and none reads past it.
    """

    def __init__(self, app: App, queue: str) -> None:
        self._app = app
        self._queue = queue

    async def put(self, topic: str, name: str, text: str) -> None:
        forgotten = datetime.fromtimestamp(wall_clock() + _NOTICE_SECONDS, UTC)
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
            await _take_away(self._app, job)


async def _take_away(app: App, job: Job) -> bool:
    """Delete a job that is not being run; return false when another one has."""
    if job.id is None:
        return False
    try:
        return await app.job_manager.cancel_job_by_id_async(job.id, delete_job=True)
    except KeyError:  # so says the connector in memory
        return False


async def _forget(text: str) -> None:
    """Do nothing: what was kept is deleted when its time has come, by being done."""
