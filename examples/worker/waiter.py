"""The worker: it holds the waits, and notes how they end. Run as many as you like."""

from __future__ import annotations

import asyncio
import contextlib
import os

from jobs import Board, Job, clients

from asyncclient import Done, Poller, Schedule, SessionPool
from asyncclient.integrations.docket import DocketWaits, TicketExpired
from asyncclient.providers.copyai import WorkflowRun as CopyAIRun
from asyncclient.providers.coze import WorkflowRun as CozeRun

SCHEDULE = Schedule(first=0.5, cap=5.0)
HOLD = 10.0  # seconds; 60 is usual, but then the page's counts of polls would seldom change


async def work(url: str, schedule: Schedule = SCHEDULE, hold: float = HOLD) -> None:
    """Hold waits until cancelled."""
    async with (
        SessionPool() as pool,
        Poller(schedule=schedule) as poller,
        DocketWaits(url) as waits,
    ):
        board = Board(waits)

        async def sink(key: str, end: Done[object] | TicketExpired) -> None:
            job = await board.job(key)
            if job is None:
                job = Job(key, "", 0.0)
            result = end.result
            outputs = result.outputs if isinstance(result, CozeRun | CopyAIRun) else None
            error = None if end.error is None else str(end.error)
            state = "expired" if isinstance(end, TicketExpired) else str(end.state or "unknown")
            await board.end(ended(job, state, end.polls, outputs, error))

        await waits.work(poller, clients(pool), sink, hold=hold, schedule=schedule)


def ended(
    job: Job, state: str, polls: int = 0, outputs: object = None, error: str | None = None
) -> Job:
    """Return a job as it ended."""
    return Job(job.key, job.provider, job.started, state, polls, outputs, error)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(work(os.environ.get("REDIS_URL", "redis://localhost:6379/0")))
