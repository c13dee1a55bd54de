"""Cancelled at any step, early or late, what waits leaves nothing behind and loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Sequence
from itertools import repeat
from typing import Any, Literal

import anyio
import anyio.lowlevel
import pytest

from asyncclient import Observation, Poller, Schedule, SessionPool, TaskState, wait_until_done
from asyncclient._http import Request, Response
from asyncclient.errors import TransportError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport, Simulator, reply
from tests.adversity.faults import points
from tests.adversity.proxy import Exchange, FaultProxy
from tests.adversity.scene import port_of, settled
from tests.adversity.steps import Canceller, at_every_step
from tests.testing.clients import new_key

FATE = {"simulate": {"seconds": 0.0, "outcome": "success", "marker": "m"}}
EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)


async def ended(task: asyncio.Task[Any]) -> BaseException | None:
    """Return how a task ended: its error, or None."""
    with anyio.fail_after(60):
        await asyncio.wait([task])
    return asyncio.CancelledError() if task.cancelled() else task.exception()


async def was_cancelled(task: asyncio.Task[Any]) -> bool:
    """Return whether a task ended by being cancelled; it may not end by another error."""
    error = await ended(task)
    assert error is None or isinstance(error, asyncio.CancelledError), repr(error)
    return error is not None


# --- one request, over real sockets -----------------------------------------------------------


async def in_parts(exchange: Exchange) -> None:
    """Send the answer in four parts, each of which the client reads by itself."""
    answer = await exchange.pass_on()
    for start, end in itertools.pairwise(points(answer).values()):
        await anyio.sleep(0.001)
        await exchange.link.send(answer.raw[start:end])


@contextlib.asynccontextmanager
async def stage() -> AsyncGenerator[tuple[Simulator, SessionPool, CopyAI]]:
    """Open a provider, a proxy that answers in parts, and a pool; no connection may be left."""
    async with Simulator() as sim, FaultProxy(port_of(sim.copyai_url)) as proxy:
        proxy.request_faults = repeat(in_parts)
        async with SessionPool(limit=1) as pool:
            yield sim, pool, CopyAI(pool, api_key="k", base_url=f"{proxy.origin}/api")
        assert await settled(lambda: proxy.connected) == 0


@pytest.mark.parametrize("kept", [False, True], ids=["new", "kept"])
def test_a_pool_may_be_closed_at_any_step_of_a_start(*, kept: bool) -> None:
    """A start whose pool is closed ends well or as our error, and its task is not cancelled."""

    async def scenario(canceller: Canceller) -> None:
        closing: list[asyncio.Task[None]] = []
        cancelling: list[int] = []
        async with stage() as (sim, pool, copyai):
            if kept:
                await copyai.list_workflow_runs("W")
            canceller.act = lambda _: closing.append(asyncio.ensure_future(pool.aclose()))

            async def start() -> None:
                try:
                    await copyai.start_workflow("W", FATE)
                finally:
                    task = asyncio.current_task()
                    cancelling.append(task.cancelling() if task else -1)

            error = await ended(canceller.task(start()))
            assert cancelling == [0]
            for task in closing:
                assert await ended(task) is None
            assert error is None or isinstance(error, TransportError)
            if sim.starts["m"] and error is not None:
                assert error.may_have_started

    assert at_every_step(scenario) >= 3


# --- one wait, over a script ------------------------------------------------------------------


def chat(status: str) -> Response:
    """Make Coze's answer about a chat."""
    return reply({"code": 0, "data": {"id": "2", "conversation_id": "1", "status": status}})


class Chats(ScriptedTransport):
    """Shows a chat at work, two faults of it, and its end; counts requests to cancel it."""

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
    """One remote cancel with `on_cancel="cancel"`, none else; polling ends until a new wait."""

    async def scenario(canceller: Canceller) -> None:
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
        is_cut = await was_cancelled(canceller.task(wait()))
        if way == "by its scope":
            assert not is_cut
            # A scope that is cancelled as its work ends lets the work have ended.
            is_cut = scope.cancelled_caught
        else:
            assert is_cut == canceller.reached
        assert transport.cancels_asked == (is_cut and on_cancel == "cancel")
        if way != "twice":
            assert transport.cancels_done == transport.cancels_asked
        sent = len(transport.requests)
        await anyio.sleep(60)
        assert len(transport.requests) == sent
        with anyio.fail_after(60):
            assert (await wait_until_done(chat)).status == "completed"

    assert at_every_step(scenario) >= 10


# --- many waits, over a script ----------------------------------------------------------------


class Stepped:
    """A task whose polls' steps are counted: at work for two polls, then done."""

    kind = "stepped"

    def __init__(self, canceller: Canceller | None = None, key: str = "job") -> None:
        self.key = key
        self._canceller = canceller or Canceller(0, late=False)
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


async def is_over(poller: Poller, jobs: Sequence[Stepped]) -> bool:
    """Return whether a poller waits for nothing, and polls nothing for a minute."""
    stats = poller.stats()
    assert (stats.pending, stats.waiters, stats.in_flight) == (0, 0, 0)
    seen = [(job.polls, job.answered) for job in jobs]
    await anyio.sleep(60)
    return seen == [(job.polls, job.answered) for job in jobs]


@pytest.mark.parametrize("others", [0, 1], ids=["alone", "with another"])
@pytest.mark.parametrize("counting", ["wait", "polls"])
def test_a_cancelled_wait_leaves_the_poller_fit(
    counting: Literal["wait", "polls"], others: int
) -> None:
    """At any step of a wait or a poll, the last waiter ends the polling; another's wait goes on."""

    async def scenario(canceller: Canceller) -> None:
        async with Poller(schedule=EVERY_SECOND) as poller:
            if counting == "polls":
                job = Stepped(canceller)
                first = canceller.target = asyncio.ensure_future(poller.wait(job))
            else:
                job = Stepped()
                first = canceller.task(poller.wait(job))
            waits = [asyncio.ensure_future(poller.wait(job)) for _ in range(others)]
            is_cut = await was_cancelled(first)
            if counting == "wait":
                assert is_cut == canceller.reached
            else:
                # A poll's last step is late for its own wait: that may have its answer already.
                assert canceller.reached or not is_cut
            for wait in waits:
                assert await ended(wait) is None
            assert await is_over(poller, [job])
            with anyio.fail_after(60):
                assert await poller.wait(Stepped()) == "done"

    assert at_every_step(scenario) >= (1 if counting == "wait" else 5)


@pytest.mark.parametrize("counting", ["loop", "polls"])
def test_a_cancelled_step_over_many_loses_no_end(counting: Literal["loop", "polls"]) -> None:
    """Each task's end is read exactly once, though a step of the iteration was cancelled."""

    async def scenario(canceller: Canceller) -> None:
        jobs = [Stepped(canceller if counting == "polls" else None, key) for key in "abc"]
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
            await was_cancelled(reading)
            with anyio.fail_after(60):
                await read()
            assert sorted(keys) == ["a", "b", "c"]
            assert await is_over(poller, jobs)

    assert at_every_step(scenario) >= 3


@pytest.mark.parametrize("how", ["context", "dropped"])
def test_a_cancelled_loop_over_many_stops_the_polling(how: Literal["context", "dropped"]) -> None:
    """A loop that was cancelled at any step of any poll leaves no poll, no task and no waiter."""

    async def scenario(canceller: Canceller) -> None:
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
            await ended(canceller.target)
            # The traceback of its error holds the loop's frame, and so the iterator.
            canceller.target = None
            assert await is_over(poller, jobs)

    assert at_every_step(scenario) >= 10


@pytest.mark.parametrize("counting", ["close", "polls"])
def test_a_poller_may_be_closed_at_any_step(counting: Literal["close", "polls"]) -> None:
    """Closed at any step of a poll, or cancelled while it closes, it ends every wait and poll."""

    async def scenario(canceller: Canceller) -> None:
        poller = Poller(schedule=EVERY_SECOND)
        closing: list[asyncio.Task[None]] = []
        if counting == "polls":
            canceller.act = lambda _: closing.append(asyncio.ensure_future(poller.aclose()))
        jobs = [Stepped(canceller if counting == "polls" else None, key) for key in "ab"]
        waits = [asyncio.ensure_future(poller.wait(job)) for job in jobs]
        if counting == "close":
            await anyio.sleep(0.05)
            closing.append(canceller.task(poller.aclose()))
        for wait in waits:
            error = await ended(wait)
            assert error is None or (isinstance(error, RuntimeError) and "closed" in str(error))
        for task in closing:
            await was_cancelled(task)
        await poller.aclose()
        assert await is_over(poller, jobs)

    assert at_every_step(scenario) >= (1 if counting == "close" else 5)


# --- a token's renewal, over a script ---------------------------------------------------------


def test_a_cancelled_renewal_of_a_token_holds_up_no_other_request() -> None:
    """Cancelled at any step of fetching a token, the next request fetches one, and only one."""
    pytest.importorskip("jwt")
    pem, _ = new_key()

    async def scenario(canceller: Canceller) -> None:
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
        assert await ended(asyncio.ensure_future(coze.get_bot("1"))) is None
        assert await was_cancelled(first) == canceller.reached
        bought = len(tokens)
        assert bought <= 3
        await coze.get_bot("1")
        assert len(tokens) == bought

    assert at_every_step(scenario) >= 4
