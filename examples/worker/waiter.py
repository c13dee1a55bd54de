"""The worker: it holds the waits, and notes how they stand and end. Run as many as you like."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Hashable

import anyio
from jobs import Board, Job, Seen, clients, in_words, key_of, now

from asyncclient import Done, Observation, Poller, Schedule, SessionPool, Task, TaskRef
from asyncclient.integrations.docket import DocketWaits, TicketExpired
from asyncclient.providers.copyai import WorkflowRun as CopyAIRun
from asyncclient.providers.coze import WorkflowRun as CozeRun

SCHEDULE = Schedule(first=0.5, cap=5.0)
WRITE_GAP = 0.3  # seconds between two writes of what the looks have shown


class Looks:
    """What looks have shown since the last write to the board: one write for any number of them.

    It is for the page's reader alone. What is lost with the worker, or with the board, comes again
    with the next look.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._polls: dict[str, int] = {}
        self._last: dict[str, Seen] = {}

    def answered(self, key: str, seen: Observation[object]) -> None:
        """Note an answer."""
        word = None if seen.word is None else str(seen.word)
        self._note(key, Seen(str(seen.state or "running"), word, seen.progress))

    def failed(self, key: str, error: Exception) -> None:
        """Note a poll that failed; how the job stood before stays."""
        last = self._last.get(key, Seen())
        trouble = f"The last poll failed, another one follows: {in_words(error)}"
        self._note(key, Seen(last.state, last.word, last.progress, trouble))

    def ended(self, key: str) -> None:
        """Forget a job that has ended."""
        self._last.pop(key, None)

    async def write(self, board: Board) -> None:
        """Write to the board until cancelled."""
        while True:
            await anyio.sleep(WRITE_GAP)
            seen, polls, self._seen, self._polls = self._seen, self._polls, {}, {}
            try:
                await board.look(seen, polls)
            except Exception as error:  # noqa: BLE001  (the waits go on without the board)
                logging.warning("the board is away: %s", error)  # noqa: LOG015  (an example)
                self._seen = {**seen, **self._seen}

    def _note(self, key: str, seen: Seen) -> None:
        self._seen[key] = self._last[key] = seen
        self._polls[key] = self._polls.get(key, 0) + 1


class Noted(Task[object]):
    """A task whose looks are noted; all else is that of the task itself."""

    def __init__(self, task: Task[object], key: str, looks: Looks) -> None:
        self._task, self._key, self._looks = task, key, looks

    @property
    def key(self) -> Hashable:
        """The task's."""
        return self._task.key

    @property
    def kind(self) -> str:
        """The task's."""
        return self._task.kind

    async def observe(self) -> Observation[object]:
        """Look once, and note what is seen."""
        try:
            seen = await self._task.observe()
        except Exception as error:
            self._looks.failed(self._key, error)
            raise
        self._looks.answered(self._key, seen)
        return seen

    def __getattr__(self, name: str) -> object:
        return getattr(self._task, name)  # its reference, its budget, …


async def work(url: str, schedule: Schedule = SCHEDULE) -> None:
    """Hold waits until cancelled."""
    looks = Looks()
    async with (
        SessionPool() as pool,
        Poller(schedule=schedule) as poller,
        DocketWaits(url) as waits,
    ):
        board, by_provider = Board(waits), clients(pool)

        def task_of(ref: TaskRef) -> Task[object]:
            return Noted(by_provider[ref.provider].task(ref), key_of(ref), looks)

        async def sink(key: str, end: Done[object] | TicketExpired) -> None:
            job = await board.job(key)
            if job is None:
                job = Job(key, "", now())
            result = end.result
            outputs = result.outputs if isinstance(result, CozeRun | CopyAIRun) else None
            error = None if end.error is None else in_words(end.error)
            state = "expired" if isinstance(end, TicketExpired) else str(end.state or "unknown")
            await board.end(ended(job, state, end.polls, outputs, error))
            looks.ended(key)

        writing = asyncio.create_task(looks.write(board))
        try:
            await waits.work(poller, task_of, sink, schedule=schedule)
        finally:
            writing.cancel()
            await asyncio.wait({writing})


def ended(
    job: Job, state: str, polls: int = 0, outputs: object = None, error: str | None = None
) -> Job:
    """Return a job as it ended."""
    return Job(
        job.key,
        job.provider,
        job.started,
        round(now(), 1),
        state,
        polls=polls,
        outputs=outputs,
        error=error,
    )


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(work(os.environ.get("REDIS_URL", "redis://localhost:6379/0")))
