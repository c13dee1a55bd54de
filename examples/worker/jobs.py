"""What the app and the worker share: where the jobs stand, and the providers' clients."""

from __future__ import annotations

import time

import msgspec

from asyncclient import SessionPool, TaskRef
from asyncclient.integrations.docket import DocketWaits
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze

STARTED = "example-jobs"
ENDED = "example-results"


class Job(msgspec.Struct, frozen=True):
    """One job, as the page shows it.

    Attributes:
        key: its key, which is the wait's too.
        provider: who runs it.
        started: Unix time in seconds.
        state: `waiting`, until its end is told.
        polls: made so far, as of the last hand-over.
        outputs: what it put out.
        error: why it did not.
    """

    key: str
    provider: str
    started: float
    state: str = "waiting"
    polls: int = 0
    outputs: object = None
    error: str | None = None


def clients(pool: SessionPool) -> dict[str, Coze | CopyAI]:
    """Make both providers' clients, with credentials from the environment."""
    return {"coze": Coze.from_env(pool), "copyai": CopyAI.from_env(pool)}


class Board:
    """All jobs, in the server that keeps the tickets too.

    Args:
        waits: the durable waits.
    """

    def __init__(self, waits: DocketWaits) -> None:
        self._waits = waits

    async def add(self, key: str, ref: TaskRef) -> None:
        """Put a job on the board, and have it waited for."""
        now = time.time()  # noqa: TID251  (the page shows it in another process)
        job = Job(key, ref.provider, round(now, 1))
        async with self._waits.docket.redis() as redis:
            await redis.hset(STARTED, key, msgspec.json.encode(job))
        await self._waits.submit(ref, key=key, timeout=3600)

    async def end(self, job: Job) -> None:
        """Note a job's end. Told twice, it says the same: that is all a sink must be able to."""
        async with self._waits.docket.redis() as redis:
            await redis.hset(ENDED, job.key, msgspec.json.encode(job))

    async def job(self, key: str) -> Job | None:
        """Return one job as it was started."""
        async with self._waits.docket.redis() as redis:
            text = await redis.hget(STARTED, key)
        return None if text is None else msgspec.json.decode(text, type=Job)

    async def jobs(self) -> list[Job]:
        """Return all jobs as they stand, the latest first."""
        async with self._waits.docket.redis() as redis:
            started = await redis.hgetall(STARTED)
            ended = await redis.hgetall(ENDED)
        jobs: list[Job] = []
        for key, text in started.items():
            job = msgspec.json.decode(ended.get(key, text), type=Job)
            if key not in ended:
                ticket = await self._waits.ticket(job.key)
                job = msgspec.structs.replace(job, polls=ticket.polls if ticket else 0)
            jobs.append(job)
        return sorted(jobs, key=lambda job: (-job.started, job.key))
