"""What both web apps share, and no framework has a part in: starting runs, waiting, and refusals.

Waits go through one `Poller`, so that a run is polled once for all clients that wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
from collections.abc import AsyncGenerator, AsyncIterator
from http import HTTPStatus
from typing import Literal, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from asyncclient import (
    Poller,
    SessionPool,
    Snapshot,
    Task,
    TaskState,
    Watch,
    decode_ref,
    encode_ref,
    errors,
)
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import Simulator

T = TypeVar("T")


LONGEST_WAIT = 60.0  # seconds: proxies and browsers give up on longer requests
LONGEST_STREAM = 3600.0  # seconds: then a browser that is still there connects again by itself
HEARTBEAT = 15.0  # seconds: proxies give up on a stream that is silent for much longer
EVENT_STREAM = "text/event-stream"
# A proxy must neither keep events back nor keep them.
EVENT_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
_log = logging.getLogger("remote_runs")


class Outputs(Protocol):
    """The answer about a run, of either provider."""

    @property
    def outputs(self) -> object:
        """Its outputs."""
        ...


class Problem(Exception):
    """What a client gets instead of a result.

    Args:
        status: of the HTTP answer.
        reason: in words; no secret may be in them.
        retry_after: seconds after which asking again makes sense, if it does.
        details: more of the answer's body.
    """

    def __init__(
        self, status: int, reason: str, *, retry_after: float | None = None, **details: object
    ) -> None:
        super().__init__(reason)
        self.status = int(status)
        self.body = {"detail": reason, **details}
        self.headers: dict[str, str] = {}
        if retry_after is not None:
            self.headers["Retry-After"] = str(math.ceil(min(max(retry_after, 1.0), 3600.0)))


class Runs:
    """The runs of one app: one client for each provider over one pool, and one poller.

    Args:
        pool: what carries all requests.
        poller: what waits for all runs.

    Raises:
        ValueError: a credential is not in the environment.
    """

    def __init__(self, pool: SessionPool, poller: Poller) -> None:
        self.coze = Coze.from_env(pool)
        self.copyai = CopyAI.from_env(pool)
        self.poller = poller
        self._closing = False

    async def start(
        self, provider: Literal["coze", "copyai"], workflow_id: str, inputs: dict[str, object]
    ) -> dict[str, str]:
        """Start a run; return its reference, and the path of its result."""
        client = self.coze if provider == "coze" else self.copyai
        try:
            run = await client.start_workflow(workflow_id, inputs)
        except ValueError as error:  # an id that cannot be; nothing was sent
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
        ref = encode_ref(run.ref)
        _log.info("started %s", ref)  # a client that has gone can still be given what it paid for
        path = f"/runs/{quote(ref, safe='')}"
        return {"ref": ref, "result": f"{path}/result", "events": f"{path}/events"}

    async def outputs(self, ref: str, timeout: float) -> object:
        """Wait for a run, `timeout` seconds at most, and return its outputs.

        Being cancelled takes away this wait alone: others of the same run go on.
        """
        try:
            return (await self.poller.wait(self._run(ref), timeout=timeout)).outputs
        except RuntimeError:  # the poller was closed
            if not self._closing:
                raise
            reason = "this server is going down; the run goes on: ask again"
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, reason, retry_after=1) from None

    def events(self, ref: str) -> AsyncGenerator[str]:
        """Follow a run: server-sent events, a `change` for each change and an `end`.

        However many browsers follow a run, it is polled once; one that comes later gets the last
        change at once. Without an `end` the run goes on, and a browser connects again by itself.
        """
        return self._events(self.poller.watch(self._run(ref), timeout=LONGEST_STREAM))

    async def _events(self, changes: Watch[Outputs]) -> AsyncGenerator[str]:
        last: Snapshot[Outputs] | None = None
        try:
            async with contextlib.aclosing(with_heartbeats(changes)) as beats:
                async for change in beats:
                    if change is None:
                        yield ": still there\n\n"
                        continue
                    last = change
                    seen = {"state": change.state, "word": change.word, "progress": change.progress}
                    yield event("change", seen)
        except errors.WaitTimeout:
            return
        except errors.AsyncClientError as error:
            yield event("end", problem_of(error).body)
        except RuntimeError:
            if not self._closing:
                raise
        else:
            yield event("end", end_of(last))

    def _run(self, ref: str) -> Task[Outputs]:
        try:
            found = decode_ref(ref)
            if found.provider == "copyai":
                return self.copyai.task(found)
            return self.coze.workflow_run(found)
        except ValueError as error:  # forged, cut short, or no workflow's run
            raise Problem(HTTPStatus.BAD_REQUEST, str(error)) from None

    def wake(self, delivery: bytes) -> None:
        """Poll at once the run of which a webhook speaks. Only that poll decides anything.

        Deliveries are not signed. A forged or doubled one costs a poll of a run that somebody
        waits for; a lost one leaves the wait to its schedule.
        """
        try:
            event = CopyAI.parse_webhook(delivery)
            run = self.copyai.workflow_run(event.workflow_id or "", event.run_id or "")
        except (errors.DecodeError, ValueError) as error:
            raise Problem(HTTPStatus.BAD_REQUEST, f"not a delivery: {error}") from None
        self.poller.wake(run.key)

    async def aclose(self) -> None:
        """End all waits, so that their clients get an answer and the server can stop."""
        self._closing = True
        await self.poller.aclose()


async def with_heartbeats(changes: AsyncIterator[T]) -> AsyncGenerator[T | None]:
    """Yield what comes, and None whenever nothing has come for a while."""
    step: asyncio.Task[T] | None = None
    try:
        while True:
            # Not under a timeout: that would cancel the step, and a cancelled step ends a watch.
            step = step or asyncio.ensure_future(_next(changes))
            await asyncio.wait({step}, timeout=HEARTBEAT)
            if not step.done():
                yield None
                continue
            came, step = step, None
            try:
                change = came.result()
            except StopAsyncIteration:
                return
            yield change
    finally:
        if step is not None:
            step.cancel()


async def _next(changes: AsyncIterator[T]) -> T:
    return await anext(changes)


def event(name: str, data: object) -> str:
    """Write one server-sent event."""
    return f"event: {name}\ndata: {msgspec.json.encode(data).decode()}\n\n"


def end_of(last: Snapshot[Outputs] | None) -> dict[str, object]:
    """Say how a run has ended, by the last that was seen of it."""
    if last is None or last.state is None:
        return {"state": None}
    if last.state is TaskState.SUCCEEDED:
        return {"state": last.state, "outputs": last.result.outputs}
    return {"state": last.state, "detail": last.reason or f"the run has {last.state}"}


# The first row that fits decides.
_STATUSES: tuple[tuple[type[errors.AsyncClientError], HTTPStatus], ...] = (
    (errors.WaitTimeout, HTTPStatus.ACCEPTED),
    (errors.TaskBlocked, HTTPStatus.CONFLICT),
    (errors.TaskExpired, HTTPStatus.NOT_FOUND),
    (errors.NotFound, HTTPStatus.NOT_FOUND),
    (errors.InvalidRequest, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.RateLimited, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.QuotaExceeded, HTTPStatus.SERVICE_UNAVAILABLE),
    (errors.AuthenticationFailed, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.PermissionDenied, HTTPStatus.INTERNAL_SERVER_ERROR),
    (errors.RequestTimeout, HTTPStatus.GATEWAY_TIMEOUT),
    (errors.AsyncClientError, HTTPStatus.BAD_GATEWAY),  # TaskFailed, TaskCancelled and the rest
)


def problem_of(error: errors.AsyncClientError) -> Problem:
    """Say to a client of ours what an error of the library means for it."""
    status = next(status for kind, status in _STATUSES if isinstance(error, kind))
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s", error)  # the operator's business, and not the client's
        return Problem(status, "the provider does not take this server's credentials")
    retry_after: float | None = getattr(error, "retry_after", None)
    details: dict[str, object] = {}
    if isinstance(error, errors.WaitTimeout):
        retry_after = retry_after or 1.0
    if error.snapshot is not None:
        details["state"] = error.snapshot.state
    if error.may_have_started:
        details["may_have_started"] = True
    # What happened, without the advice: that is for this program.
    return Problem(status, error.text, retry_after=retry_after, **details)


@contextlib.asynccontextmanager
async def simulated(port: int) -> AsyncGenerator[None]:
    """Play both providers on loopback, with webhooks to an app at this port; no account needed."""
    async with Simulator() as sim, SessionPool() as pool:
        os.environ |= {
            "COZE_API_BASE": sim.coze_url,
            "COZE_API_TOKEN": sim.coze_token,
            "COPYAI_API_BASE": sim.copyai_url,
            "COPYAI_API_KEY": sim.copyai_key,
        }
        copyai = CopyAI(pool, api_key=sim.copyai_key, base_url=sim.copyai_url)
        address = f"http://127.0.0.1:{port}/webhooks/copyai"
        await copyai.register_webhook(address, event_type="workflowRun.completed")
        await copyai.register_webhook(address, event_type="workflowRun.failed")
        yield
