"""Who shares a look: waiters of one account, through any of them that is still there."""

from __future__ import annotations

import asyncio

import anyio
import pytest

from asyncclient import Poller, Schedule
from asyncclient._http import Request, Response
from asyncclient.errors import PermissionDenied, TransportError
from asyncclient.providers.coze import Coze, WorkflowRun
from asyncclient.testing import reply
from tests.many.service import start, turns

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)


def run_says(word: str) -> Response:
    """Make Coze's answer about a run."""
    return reply({"code": 0, "data": [{"execute_id": "42", "execute_status": word}]})


class Coze42:
    """Coze as one transport sees it: it knows a run, and whose it is.

    Args:
        ends: when the run ends.
        latency: seconds that each request takes.

    Attributes:
        asked: the tokens that asked, and when.
        closed: whether the pool of this transport is closed.
        is_down: whether each request fails.
    """

    def __init__(self, *, ends: float = 5.0, latency: float = 0.0) -> None:
        self.asked: list[tuple[str, float]] = []
        self.closed = False
        self.is_down = False
        self._ends = ends
        self._latency = latency

    async def exchange(self, request: Request, /) -> Response:
        """Answer about the run, if the token may know of it."""
        if self.closed:
            raise RuntimeError("this SessionPool is closed")
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.asked.append((token, anyio.current_time()))
        await anyio.sleep(self._latency)
        if self.is_down:
            raise TransportError("the SessionPool was closed while the request was under way")
        if token == "stranger":
            return reply({"code": 4101, "msg": "no permission"})
        return run_says("Success" if anyio.current_time() >= self._ends else "Running")


def poller() -> Poller:
    """Make a poller that looks once a second."""
    return Poller(schedule=EVERY_SECOND)


@pytest.mark.parametrize("first", ["owner", "stranger"])
async def test_a_stranger_gets_no_answer_and_the_owner_no_refusal(first: str) -> None:
    """Two credentials for one job in one poller: each gets what it would get alone."""
    transport = Coze42()
    owner, stranger = (Coze(transport, token=token) for token in ("owner", "stranger"))
    async with poller() as waits:
        clients = [owner, stranger] if first == "owner" else [stranger, owner]
        ends = {
            id(client): start(waits.wait(client.workflow_run("7350", "42"))) for client in clients
        }
        got, refused = await ends[id(owner)], await ends[id(stranger)]
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
        waiting = [start(waits.wait(each.workflow_run("7350", "42"))) for each in clients]
        await asyncio.sleep(1)
        transport.asked.clear()
        plain = Coze(transport, token="x").workflow_run("7350", "42").ref
        assert waits.wake(plain)
        await asyncio.sleep(1)
        assert [token for token, _ in transport.asked] == ["a", "b"]
        assert waits.wake(clients[1].workflow_run("7350", "42").ref)
        await asyncio.sleep(1)
        assert [token for token, _ in transport.asked] == ["a", "b", "b"]
        assert not waits.wake(
            Coze(transport, token="c", account="c").workflow_run("7350", "42").ref
        )
        for each in waiting:
            each.cancel()


async def test_when_the_first_has_left_the_others_ask_through_their_own_pool() -> None:
    """The first waiter leaves, and its pool is closed: the job is asked about through another's."""
    one, other = Coze42(), Coze42()
    async with poller() as waits:
        leaver = start(waits.wait(Coze(one, token="t").workflow_run("7350", "42")))
        stayer = start(waits.wait(Coze(other, token="t").workflow_run("7350", "42")))
        await asyncio.sleep(1.5)
        assert not other.asked
        leaver.cancel()
        await turns()
        one.closed = True
        assert (await stayer).result is not None
    assert [instant for _, instant in other.asked] == [2, 3, 4, 5]


async def test_a_look_of_one_who_has_left_is_no_failed_look_of_the_others() -> None:
    """It breaks off since its pool is closed: the others ask again at once, and count nothing."""
    one, other = Coze42(latency=0.5), Coze42(ends=1.2)
    async with poller() as waits:
        leaver = start(waits.wait(Coze(one, token="t").workflow_run("7350", "42")))
        ends = waits.as_done([Coze(other, token="t").workflow_run("7350", "42")])
        stayer = asyncio.ensure_future(anext(ends))
        await asyncio.sleep(0.2)
        one.is_down = True
        leaver.cancel()
        done = await stayer
    assert [instant for _, instant in other.asked] == [0.5, 1.5]
    assert done.error is None
    assert done.polls == 2


async def test_a_pool_that_is_closed_ends_the_waits_of_its_own_clients_alone() -> None:
    """What is wrong with one waiter's own client is not the matter of those who have another."""
    one, other = Coze42(), Coze42()
    async with poller() as waits:
        client = Coze(one, token="t")
        run = client.workflow_run("7350", "42")
        first, again = start(waits.wait(run)), start(waits.wait(run))
        second = start(waits.wait(Coze(other, token="t").workflow_run("7350", "42")))
        await asyncio.sleep(0.5)
        one.closed = True
        assert (await second).result is not None
        for end in (await first, await again):
            assert isinstance(end.error, RuntimeError)
            assert end.elapsed == 1
    assert [instant for _, instant in other.asked] == [1, 2, 3, 4, 5]
