"""Waiters of one account share a look, through any of them that is still there."""

from __future__ import annotations

import asyncio
from dataclasses import KW_ONLY, dataclass, field

import anyio
import pytest

from asyncclient import Poller, Schedule
from asyncclient._http import Request, Response
from asyncclient.errors import PermissionDenied, TransportError
from asyncclient.providers.coze import Coze, WorkflowRun, WorkflowRunHandle
from asyncclient.testing import reply
from tests.many.service import EVERY_SECOND, start, start_all, turns
from tests.waiting.scenario import run_says


@dataclass
class Coze42:
    """Coze as one transport sees it: it knows a run, and whose it is."""

    _: KW_ONLY
    ends: float = 5.0  # when the run ends
    latency: float = 0.0  # seconds that each request takes
    asked: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    closed: bool = False  # whether the pool of this transport is closed
    is_down: bool = False  # whether each request fails

    def run(self, who: str = "t") -> WorkflowRunHandle:
        """Return the run as a client with a token sees it."""
        return Coze(self, token=who).workflow_run("7350", "42")

    async def exchange(self, request: Request, /) -> Response:
        """Answer about the run, if the token may know of it."""
        if self.closed:
            raise RuntimeError("this SessionPool is closed")
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.asked.append((token, anyio.current_time()))
        await anyio.sleep(self.latency)
        if self.is_down:
            raise TransportError("the SessionPool was closed while the request was under way")
        if token == "stranger":
            return reply({"code": 4101, "msg": "no permission"})
        return run_says("Success" if anyio.current_time() >= self.ends else "Running")


@pytest.mark.parametrize("order", [1, -1])
async def test_a_stranger_gets_no_answer_and_the_owner_no_refusal(order: int) -> None:
    """Two credentials for one job in one poller: each gets what it would get alone."""
    transport = Coze42()
    tokens = ["owner", "stranger"][::order]
    async with Poller(schedule=EVERY_SECOND) as waits:
        runs = [transport.run(token) for token in tokens]
        got, refused = [await wait for wait in start_all(waits, runs)][::order]
    assert isinstance(got.result, WorkflowRun)
    assert got.result.execute_status == "Success"
    assert isinstance(refused.error, PermissionDenied)
    assert refused.error.snapshot is None
    assert refused.elapsed == 0


async def test_a_reference_wakes_the_job_of_each_account_that_asks() -> None:
    """A webhook names a job and no account; one that names an account wakes no other's."""
    transport = Coze42(ends=100)
    clients = [Coze(transport, token=name, account=name) for name in ("a", "b")]
    async with Poller(schedule=Schedule(first=50, cap=50, jitter=0)) as waits:
        start_all(waits, [each.workflow_run("7350", "42") for each in clients])
        await asyncio.sleep(1)
        transport.asked.clear()
        plain = transport.run("x").ref
        assert waits.wake(plain)
        await asyncio.sleep(1)
        assert [token for token, _ in transport.asked] == ["a", "b"]
        assert waits.wake(clients[1].workflow_run("7350", "42").ref)
        await asyncio.sleep(1)
        assert [token for token, _ in transport.asked] == ["a", "b", "b"]
        assert not waits.wake(
            Coze(transport, token="c", account="c").workflow_run("7350", "42").ref
        )


async def test_when_the_first_waiter_has_left_the_others_ask_through_their_own_pool() -> None:
    """The first waiter leaves, and its pool is closed: the job is asked about through another's."""
    one, other = Coze42(), Coze42()
    async with Poller(schedule=EVERY_SECOND) as waits:
        leaver = start(waits.wait(one.run()))
        stayer = start(waits.wait(other.run()))
        await asyncio.sleep(1.5)
        assert not other.asked
        leaver.cancel()
        await turns()
        one.closed = True
        assert (await stayer).result is not None
    assert [instant for _, instant in other.asked] == [2, 3, 4, 5]


async def test_a_look_of_a_waiter_that_has_left_is_no_failed_look_of_the_others() -> None:
    """It breaks off since its pool is closed: the others ask again at once, and count nothing."""
    one, other = Coze42(latency=0.5), Coze42(ends=1.2)
    async with Poller(schedule=EVERY_SECOND) as waits:
        leaver = start(waits.wait(one.run()))
        ends = waits.as_done([other.run()])
        stayer = asyncio.ensure_future(anext(ends))
        await asyncio.sleep(0.2)
        one.is_down = True
        leaver.cancel()
        done = await stayer
    assert [instant for _, instant in other.asked] == [0.5, 1.5]
    assert done.error is None
    assert done.polls == 2


async def test_a_pool_that_is_closed_ends_the_waits_of_its_own_clients_alone() -> None:
    """An error of one waiter's own client does not reach waiters with another client."""
    one, other = Coze42(), Coze42()
    async with Poller(schedule=EVERY_SECOND) as waits:
        run = one.run()
        first, again = start(waits.wait(run)), start(waits.wait(run))
        second = start(waits.wait(other.run()))
        await asyncio.sleep(0.5)
        one.closed = True
        assert (await second).result is not None
        for end in (await first, await again):
            assert isinstance(end.error, RuntimeError)
            assert end.elapsed == 1
    assert [instant for _, instant in other.asked] == [1, 2, 3, 4, 5]
