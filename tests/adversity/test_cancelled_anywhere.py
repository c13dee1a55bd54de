"""Cancelled at any step, early or late, whatever waits leaves nothing behind and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from asyncclient import (
    Observation,
    Poller,
    Schedule,
    SessionPool,
    TaskState,
    wait_until_done,
)
from asyncclient._http import Request, Response
from asyncclient.errors import TransportError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport, Simulator, reply
from tests.adversity.proxy import Exchange, FaultProxy
from tests.adversity.scene import settled
from tests.adversity.steps import Canceller, at_every_step

FATE = {"simulate": {"seconds": 0.0, "outcome": "success", "marker": "m"}}
EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)


async def nothing_is_left(before: set[asyncio.Task[object]]) -> bool:
    """Return whether only those tasks are alive that were so before."""
    return await settled(lambda: len(asyncio.all_tasks() - before)) == 0


async def ended(task: asyncio.Task[Any]) -> BaseException | None:
    """Return how a task ended: its error, or None."""
    with anyio.fail_after(60):
        await asyncio.wait([task])
    return asyncio.CancelledError() if task.cancelled() else task.exception()


# --- one request, over real sockets -----------------------------------------------------------


async def in_parts(exchange: Exchange) -> None:
    """Send the answer in four parts, each of which the client reads by itself."""
    answer = await exchange.pass_on()
    head, body = len(answer.head), len(answer.body)
    points = [0, head // 2, head, head + body // 2, head + body]
    for start, end in itertools.pairwise(points):
        await anyio.sleep(0.001)
        await exchange.link.send(answer.raw[start:end])


@dataclass
class Stage:
    """A provider on real sockets, a proxy that answers in parts, and a pool of one connection."""

    sim: Simulator
    proxy: FaultProxy
    pool: SessionPool
    copyai: CopyAI

    async def is_fit(self) -> bool:
        """Return whether the pool's only connection is free, and brings the right answer."""
        with anyio.fail_after(60):
            page = await self.copyai.list_workflow_runs("W")
        return page.total is not None and ", 0 requests active," in repr(self.pool)

    async def is_shut(self) -> bool:
        """Return whether the proxy has seen every connection closed."""
        return await settled(lambda: self.proxy.connected) == 0


@contextlib.asynccontextmanager
async def stage() -> AsyncGenerator[Stage]:
    """Set one up; afterwards nothing of it may be left."""
    before = asyncio.all_tasks()
    async with Simulator() as sim:
        port = int(sim.copyai_url.split(":")[2].partition("/")[0])
        async with FaultProxy(port) as proxy:
            proxy.request_faults = repeat(in_parts)
            async with SessionPool(limit=1) as pool:
                copyai = CopyAI(pool, api_key="k", base_url=f"{proxy.origin}/api")
                stage = Stage(sim, proxy, pool, copyai)
                yield stage
            assert await stage.is_shut()
    assert await nothing_is_left(before)


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
@pytest.mark.parametrize("operation", ["start", "poll"])
def test_a_cancelled_request_leaves_the_pool_fit(
    operation: Literal["start", "poll"], *, kept: bool
) -> None:
    """A cancelled start or poll gives its connection back or closes it; no start is doubled."""

    async def scenario(canceller: Canceller) -> None:
        async with stage() as on:
            run = await on.copyai.start_workflow("W") if kept else on.copyai.workflow_run("W", "R")
            work = {"start": on.copyai.start_workflow("W", FATE), "poll": run.poll()}
            task = canceller.task(work.pop(operation))
            work.popitem()[1].close()
            error = await ended(task)
            if canceller.reached:
                assert isinstance(error, asyncio.CancelledError)
            assert await on.is_fit()
            assert on.sim.starts["m"] <= 1

    assert at_every_step(scenario) >= 3


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_a_pool_may_be_closed_at_any_step_of_a_start(*, kept: bool) -> None:
    """A start whose pool is closed ends well or as our error, and its task is not cancelled."""

    async def scenario(canceller: Canceller) -> None:
        closing: list[asyncio.Task[None]] = []
        cancelling: list[int] = []
        async with stage() as on:
            if kept:
                await on.copyai.list_workflow_runs("W")
            canceller.act = lambda _: closing.append(asyncio.ensure_future(on.pool.aclose()))

            async def start() -> None:
                try:
                    await on.copyai.start_workflow("W", FATE)
                finally:
                    task = asyncio.current_task()
                    cancelling.append(task.cancelling() if task else -1)

            error = await ended(canceller.task(start()))
            assert cancelling == [0]
            for task in closing:
                assert await ended(task) is None
            assert error is None or isinstance(error, TransportError)
            if on.sim.starts["m"] and error is not None:
                assert error.may_have_started

    assert at_every_step(scenario) >= 3


def test_a_cancelled_close_closes_all_the_same() -> None:
    """Closing a pool that is cancelled still closes what is idle and what is under way."""

    async def scenario(canceller: Canceller) -> None:
        async with stage() as on:
            await on.copyai.list_workflow_runs("W")
            on.sim.order("stall")
            hanging = Request(
                name="hanging", method="GET", origin=on.sim.coze_url, target="/v1/bots", headers={}
            )
            under_way = asyncio.ensure_future(on.pool.exchange(hanging))
            assert await settled(lambda: on.sim.faults_served["stall"] == 0) == 0
            closing = canceller.task(on.pool.aclose())
            error = await ended(closing)
            assert canceller.reached == isinstance(error, asyncio.CancelledError)
            assert await on.is_shut()
            assert isinstance(await ended(under_way), TransportError)
            with pytest.raises(RuntimeError, match="closed"):
                await on.copyai.list_workflow_runs("W")

    assert at_every_step(scenario) >= 1


# --- one wait, over a script ------------------------------------------------------------------


def chat(status: str) -> Response:
    """Make Coze's answer about a chat."""
    return reply({"code": 0, "data": {"id": "2", "conversation_id": "1", "status": status}})


class Chats(ScriptedTransport):
    """Shows a chat at work, two faults of it, and its end; counts who asks to cancel it."""

    def __init__(self) -> None:
        super().__init__(
            [
                chat("in_progress"),
                TransportError("broken"),
                reply("slow down", status=429, headers={"Retry-After": "2"}),
                chat("in_progress"),
                chat("completed"),
            ],
            latency=0.25,
            repeat=True,
        )
        self.cancels_asked = self.cancels_done = 0

    async def exchange(self, request: Request, /) -> Response:
        """Answer about the chat, or cancel it."""
        if not request.target.startswith("/v3/chat/cancel"):
            return await super().exchange(request)
        self.cancels_asked += 1
        await anyio.sleep(0.25)
        self.cancels_done += 1
        return chat("canceled")


@pytest.mark.parametrize("way", ["once", "twice", "by its scope"])
@pytest.mark.parametrize("on_cancel", ["leave", "cancel"])
def test_a_cancelled_wait_cancels_the_remote_job_only_if_asked(
    on_cancel: Literal["leave", "cancel"], way: Literal["once", "twice", "by its scope"]
) -> None:
    """One remote cancel with `on_cancel="cancel"`, none else; nothing is polled afterwards."""

    async def scenario(canceller: Canceller) -> None:
        before = asyncio.all_tasks()
        transport = Chats()
        chat = Coze(transport, token="t").chat("1", "2")
        scope = anyio.CancelScope()

        async def show(_: object) -> None:
            await anyio.sleep(0.1)

        async def wait() -> None:
            with scope:
                await wait_until_done(chat, on_cancel=on_cancel, on_change=show)

        def cancel(task: asyncio.Task[Any]) -> None:
            if way == "by its scope":
                scope.cancel()
                return
            task.cancel()
            if way == "twice":
                asyncio.get_running_loop().call_later(0.01, task.cancel)

        canceller.act = cancel
        error = await ended(canceller.task(wait()))
        if way == "by its scope":
            assert error is None
            # A scope that is cancelled as its work ends lets the work have ended.
            cut = scope.cancelled_caught
        else:
            assert canceller.reached == isinstance(error, asyncio.CancelledError)
            cut = canceller.reached
        asked = cut and on_cancel == "cancel"
        assert transport.cancels_asked == (1 if asked else 0)
        if way != "twice":
            assert transport.cancels_done == transport.cancels_asked
        sent = len(transport.requests)
        await anyio.sleep(60)
        assert len(transport.requests) == sent
        assert await nothing_is_left(before)

    assert at_every_step(scenario) >= 10


def test_a_cancelled_wait_can_be_made_again() -> None:
    """A task whose wait was cancelled at any step is waited for anew, to its end."""

    async def scenario(canceller: Canceller) -> None:
        run = Coze(Chats(), token="t").chat("1", "2")
        await ended(canceller.task(wait_until_done(run)))
        with anyio.fail_after(60):
            assert (await wait_until_done(run)).status == "completed"

    assert at_every_step(scenario) >= 8


# --- many waits, over a script ----------------------------------------------------------------


class Stepped:
    """A task whose polls' steps are counted: at work for two polls, then done."""

    kind = "stepped"

    def __init__(self, canceller: Canceller, key: str = "job") -> None:
        self.key = key
        self._canceller = canceller
        self.polls = self.answered = 0

    async def observe(self) -> Observation[str]:
        """Answer after two steps."""
        return await self._canceller.counted(self._answer())

    async def _answer(self) -> Observation[str]:
        self.polls += 1
        number = self.polls
        await anyio.sleep(0.1)
        if number == 1:
            raise TransportError("broken")
        await anyio.lowlevel.checkpoint()
        self.answered += 1
        if number > 2:
            return Observation(TaskState.SUCCEEDED, "done", "done")
        return Observation(TaskState.RUNNING, "running", "running")


def is_idle(poller: Poller) -> bool:
    """Return whether a poller waits for nothing and has nothing under way."""
    stats = poller.stats()
    return (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "with another"])
def test_a_cancelled_wait_leaves_the_poller_fit(others: int) -> None:
    """Whatever step a poll is at, the last one out stops it, and another's wait goes on."""

    async def scenario(canceller: Canceller) -> None:
        before = asyncio.all_tasks()
        async with Poller(schedule=EVERY_SECOND) as poller:
            job = Stepped(canceller)
            canceller.target = asyncio.ensure_future(poller.wait(job))
            waits = [asyncio.ensure_future(poller.wait(job)) for _ in range(others)]
            error = await ended(canceller.target)
            # A poll's last step is late for its own wait: that may have its answer already.
            assert error is None or (
                canceller.reached and isinstance(error, asyncio.CancelledError)
            )
            for wait in waits:
                assert await ended(wait) is None
            seen = (job.polls, job.answered)
            assert is_idle(poller)
            await anyio.sleep(60)
            assert (job.polls, job.answered) == seen
            with anyio.fail_after(60):
                assert await poller.wait(Stepped(Canceller(0, late=False))) == "done"
        assert await nothing_is_left(before)

    assert at_every_step(scenario) >= 5


def test_a_wait_that_is_cancelled_at_its_own_step_leaves_the_poller_fit() -> None:
    """Cancelled before its first poll, or with the answer in hand, it leaves nothing behind."""

    async def scenario(canceller: Canceller) -> None:
        before = asyncio.all_tasks()
        async with Poller(schedule=EVERY_SECOND) as poller:
            job = Stepped(Canceller(0, late=False))
            error = await ended(canceller.task(poller.wait(job)))
            assert canceller.reached == isinstance(error, asyncio.CancelledError)
            assert is_idle(poller)
        assert await nothing_is_left(before)

    assert at_every_step(scenario) >= 1


@pytest.mark.parametrize("counting", ["loop", "polls"])
def test_a_cancelled_step_over_many_loses_no_end(counting: Literal["loop", "polls"]) -> None:
    """Each task's end is read exactly once, though a step of the iteration was cancelled."""

    async def scenario(canceller: Canceller) -> None:
        before = asyncio.all_tasks()
        quiet = Canceller(0, late=False)
        jobs = [Stepped(canceller if counting == "polls" else quiet, key) for key in "abc"]
        async with Poller(schedule=EVERY_SECOND) as poller:
            ends = poller.as_done(jobs)
            keys: list[str] = []

            async def read() -> None:
                async for done in ends:
                    assert done.error is None
                    keys.append(str(done.task.key))

            reading = (
                canceller.task(read()) if counting == "loop" else asyncio.ensure_future(read())
            )
            canceller.target = reading
            error = await ended(reading)
            assert error is None or isinstance(error, asyncio.CancelledError)
            with anyio.fail_after(60):
                await read()
            assert sorted(keys) == ["a", "b", "c"]
            assert is_idle(poller)
        assert await nothing_is_left(before)

    assert at_every_step(scenario) >= 3


@pytest.mark.parametrize("how", ["context", "dropped"])
def test_a_cancelled_loop_over_many_stops_the_polling(how: Literal["context", "dropped"]) -> None:
    """A loop that was cancelled at any step of any poll leaves no poll, no task and no waiter."""

    async def scenario(canceller: Canceller) -> None:
        before = asyncio.all_tasks()
        jobs = [Stepped(canceller, key) for key in "abc"]
        async with Poller(schedule=EVERY_SECOND) as poller:

            async def read() -> None:
                if how == "context":
                    async with poller.as_done(jobs) as ends:
                        async for _ in ends:
                            pass
                else:
                    async for _ in poller.as_done(jobs):
                        pass

            canceller.target = asyncio.ensure_future(read())
            error = await ended(canceller.target)
            canceller.target = None
            del error  # its traceback holds the loop's frame, and so the iterator
            assert is_idle(poller)
            seen = [(job.polls, job.answered) for job in jobs]
            await anyio.sleep(60)
            assert [(job.polls, job.answered) for job in jobs] == seen
        assert await nothing_is_left(before)

    assert at_every_step(scenario) >= 10


@pytest.mark.parametrize("counting", ["close", "polls"])
def test_a_poller_may_be_closed_at_any_step(counting: Literal["close", "polls"]) -> None:
    """Closed at any step of a poll, or cancelled while it closes, it ends every wait and poll."""

    async def scenario(canceller: Canceller) -> None:
        before = asyncio.all_tasks()
        poller = Poller(schedule=EVERY_SECOND)
        closing: list[asyncio.Task[None]] = []
        quiet = Canceller(0, late=False)
        if counting == "polls":
            canceller.act = lambda _: closing.append(asyncio.ensure_future(poller.aclose()))
            jobs = [Stepped(canceller, key) for key in "ab"]
        else:
            jobs = [Stepped(quiet, key) for key in "ab"]
        waits = [asyncio.ensure_future(poller.wait(job)) for job in jobs]
        if counting == "close":
            await anyio.sleep(0.05)
            closing.append(canceller.task(poller.aclose()))
        for wait in waits:
            error = await ended(wait)
            assert error is None or (isinstance(error, RuntimeError) and "closed" in str(error))
        for task in closing:
            error = await ended(task)
            assert error is None or isinstance(error, asyncio.CancelledError)
        await poller.aclose()
        seen = [(job.polls, job.answered) for job in jobs]
        await anyio.sleep(60)
        assert [(job.polls, job.answered) for job in jobs] == seen
        assert is_idle(poller)
        assert await nothing_is_left(before)

    assert at_every_step(scenario) >= (1 if counting == "close" else 5)


# --- a token's renewal, over a script ---------------------------------------------------------


def test_a_cancelled_renewal_of_a_token_holds_nobody_up() -> None:
    """Cancelled at any step of fetching a token, the next request fetches one, and only one."""
    pytest.importorskip("jwt")
    pem = private_key()

    async def scenario(canceller: Canceller) -> None:
        before = asyncio.all_tasks()
        tokens: list[Request] = []

        def answer(request: Request) -> Response:
            if request.target.endswith("/token"):
                tokens.append(request)
                if len(tokens) == 1:
                    return reply("busy", status=503)
                return reply({"access_token": "tok", "expires_in": 900})
            return reply({"code": 0, "data": {"bot_id": "1"}})

        transport = ScriptedTransport([answer], latency=0.25, repeat=True)
        coze = Coze(transport, token=CozeJWT("1117", "key-1", pem))
        first = canceller.task(coze.get_bot("1"))
        await anyio.sleep(0.01)
        second = asyncio.ensure_future(coze.get_bot("1"))
        assert await ended(second) is None
        error = await ended(first)
        assert canceller.reached == isinstance(error, asyncio.CancelledError)
        bought = len(tokens)
        assert bought <= 3
        await coze.get_bot("1")
        assert len(tokens) == bought
        assert await nothing_is_left(before)

    assert at_every_step(scenario) >= 4


@functools.cache
def private_key() -> str:
    """Make a private key, once: making one takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()
