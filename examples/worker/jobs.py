"""What the app and the worker share: where the jobs stand, and the providers' clients."""

from __future__ import annotations

import time
from collections.abc import Mapping

import msgspec

from asyncclient import SessionPool, TaskRef, errors
from asyncclient.integrations.docket import DocketWaits
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze

STARTED = "example-jobs"
SEEN = "example-looks"
POLLS = "example-polls"
ENDED = "example-results"


class Seen(msgspec.Struct, frozen=True):
    """What a worker's last look at a job has shown.

    Attributes:
        state: this library's name for it.
        word: the provider's own.
        progress: in percent, where the provider says it.
        trouble: how the last look failed, in words.
    """

    state: str = "waiting"
    word: str | None = None
    progress: float | None = None
    trouble: str | None = None


class Job(msgspec.Struct, frozen=True):
    """One job, as the page shows it.

    Attributes:
        key: its key, which is the wait's too.
        provider: who runs it.
        started: Unix time in seconds.
        ended: the same, when its end was known.
        state: `waiting` until the first look.
        word: the provider's own word for it.
        progress: in percent, where the provider says it.
        polls: made so far.
        trouble: how the last look failed, in words.
        outputs: its outputs.
        error: why it has none, in words.
    """

    key: str
    provider: str
    started: float
    ended: float | None = None
    state: str = "waiting"
    word: str | None = None
    progress: float | None = None
    polls: int = 0
    trouble: str | None = None
    outputs: object = None
    error: str | None = None


def key_of(ref: TaskRef) -> str:
    """Return the key of a job, by which the worker's looks find it on the board."""
    return ":".join((ref.provider, *ref.ids.values()))


WORDS: tuple[tuple[type[Exception], str], ...] = (
    (errors.TaskCancelled, "the job was cancelled at the provider."),
    (errors.TaskExpired, "the provider no longer knows the job."),
    (errors.TaskBlocked, "the job waits for an answer that this page cannot give."),
    (errors.WaitTimeout, "the job has not ended in time, and may still be running."),
    (errors.NotFound, "the provider does not know that workflow."),
    (errors.AuthenticationFailed, "the provider refused this app's credentials."),
    (errors.PermissionDenied, "this app's credentials do not allow that."),
    (errors.RateLimited, "the provider is overloaded: try again in some seconds."),
    (errors.QuotaExceeded, "the account has no credits left."),
    (errors.ServerError, "the provider has an internal error."),
    (errors.RequestTimeout, "the provider did not answer in time."),
    (errors.TransportError, "the connection to the provider failed."),
    (errors.DecodeError, "the provider's answer cannot be read."),
)


def in_words(error: Exception) -> str:
    """Return what went wrong, for the page's reader, without the terms of a log."""
    if isinstance(error, errors.TaskFailed):
        return f"the job failed: {error.snapshot.reason or 'the provider does not say why.'}"
    known = (said for kind, said in WORDS if isinstance(error, kind))
    return next(known, error.text if isinstance(error, errors.AsyncClientError) else str(error))


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

    async def add(self, ref: TaskRef) -> str:
        """Put a job on the board, have it waited for, and return its key."""
        key = key_of(ref)
        job = Job(key, ref.provider, round(now(), 1))
        async with self._waits.docket.redis() as redis:
            await redis.hset(STARTED, key, msgspec.json.encode(job))
        await self._waits.submit(ref, key=key, timeout=3600)
        return key

    async def look(self, seen: Mapping[str, Seen], polls: Mapping[str, int]) -> None:
        """Note what looks have shown, and how many there were more."""
        async with self._waits.docket.redis() as redis:
            for key, one in seen.items():
                await redis.hset(SEEN, key, msgspec.json.encode(one))
            for key, number in polls.items():
                await redis.hincrby(POLLS, key, number)

    async def end(self, job: Job) -> None:
        """Note a job's end. A second time it writes the same: a sink must be able to do that."""
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
            seen = await redis.hgetall(SEEN)
            polls = await redis.hgetall(POLLS)
            ended = await redis.hgetall(ENDED)
        jobs: list[Job] = []
        for key, text in started.items():
            job = msgspec.json.decode(ended.get(key, text), type=Job)
            fields: dict[str, object] = {"polls": max(job.polls, int(polls.get(key, 0)))}
            if key in seen and key not in ended:
                fields |= msgspec.structs.asdict(msgspec.json.decode(seen[key], type=Seen))
            jobs.append(msgspec.structs.replace(job, **fields))
        return sorted(jobs, key=lambda job: (-job.started, job.key))


def now() -> float:
    """Return the Unix time in seconds, which the page shows in another process."""
    return time.time()  # noqa: TID251  (as above)
