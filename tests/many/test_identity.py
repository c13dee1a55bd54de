"""Waiters of one account share a look, through any of them that is still there."""

from __future__ import annotations

import asyncio
from dataclasses import KW_ONLY, dataclass, field
from types import NoneType

import anyio
import pytest

from asyncclient import Poller, Schedule, TaskAPI, catalogue
from asyncclient._http import Request, Response, TokenSource
from asyncclient.errors import AuthenticationFailed, PermissionDenied, TransportError
from asyncclient.providers.coze import Coze, WorkflowRun, WorkflowRunHandle
from asyncclient.testing import ScriptedTransport, reply
from tests.many.service import start, start_all
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

    def run(self, who: str | TokenSource = "t", account: str | None = None) -> WorkflowRunHandle:
        """Return the run as a client with a token sees it."""
        return Coze(self, token=who, account=account).workflow_run("7350", "42")

    async def exchange(self, request: Request, /) -> Response:
        """Answer about the run, if the token may know of it."""
        if self.closed:
            raise RuntimeError("this SessionPool is closed")
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.asked.append((token, anyio.current_time()))
        await anyio.sleep(self.latency)
        if self.is_down:
            raise TransportError("the SessionPool was closed during the request")
        if token == "stranger":
            return reply({"code": 4101, "msg": "no permission"})
        if token == "revoked":
            return reply({"code": 700012006, "msg": "no"}, status=401)
        return run_says("Success" if anyio.current_time() >= self.ends else "Running")


@pytest.mark.parametrize("order", [1, -1])
async def test_a_stranger_gets_no_answer_and_the_owner_no_refusal(
    poller: Poller, order: int
) -> None:
    """Two credentials for one job in one poller: each gets what it would get alone."""
    transport = Coze42()
    tokens = ["owner", "stranger"][::order]
    runs = [transport.run(token) for token in tokens]
    got, refused = [await wait for wait in start_all(poller, runs)][::order]
    assert isinstance(got.result, WorkflowRun)
    assert got.result.execute_status == "Success"
    assert isinstance(refused.error, PermissionDenied)
    assert refused.error.snapshot is None
    assert refused.elapsed == 0


async def test_a_reference_wakes_the_job_of_each_account_that_asks() -> None:
    """A webhook names a job and no account; one that names an account wakes no other's."""
    transport = Coze42(ends=100)
    a, b, c = (transport.run(name, account=name) for name in "abc")
    async with Poller(schedule=Schedule(first=50, cap=50, jitter=0)) as waits:
        start_all(waits, [a, b])
        await asyncio.sleep(1)
        transport.asked.clear()
        for ref, asked in ((transport.run("x").ref, ["a", "b"]), (b.ref, ["a", "b", "b"])):
            assert waits.wake(ref)
            await asyncio.sleep(1)
            assert [token for token, _ in transport.asked] == asked
        assert not waits.wake(c.ref)


@pytest.mark.parametrize(("other", "cancels"), [("b", 1), ("a", 0)], ids=["elsewhere", "here"])
async def test_a_job_of_the_same_ids_is_another_one_at_another_server(
    poller: Poller, other: str, cancels: int
) -> None:
    """One that waits for it keeps no job of the first server; another account of that one does."""
    transport = ScriptedTransport([reply({"status": "starting"})], repeat=True)
    apis = [
        TaskAPI(transport, f"https://{host}.example", name="acme", token=token)
        for host, token in (("a", "one"), (other, "two"))
    ]
    runs = [api.task("/7", catalogue.REPLICATE_PREDICTION, cancel="/7/cancel") for api in apis]
    waits = [start(poller.wait(run, on_cancel="cancel")) for run in runs]
    await asyncio.sleep(1)
    waits[0].cancel()
    await asyncio.wait(waits[:1])
    assert sum(request.target == "/7/cancel" for request in transport.requests) == cancels
    waits[1].cancel()


async def test_a_look_of_a_waiter_that_has_left_is_no_failed_look_of_the_others(
    poller: Poller,
) -> None:
    """It breaks off since its pool is closed: the others ask again at once, and count nothing."""
    one, other = Coze42(latency=0.5), Coze42(ends=1.2)
    leaver = start(poller.wait(one.run()))
    ends = poller.as_done([other.run()])
    stayer = asyncio.ensure_future(anext(ends))
    await asyncio.sleep(0.2)
    one.is_down = True
    leaver.cancel()
    done = await stayer
    assert [instant for _, instant in other.asked] == [0.5, 1.5]
    assert done.error is None
    assert done.polls == 2


@pytest.mark.parametrize("order", [1, -1])
async def test_a_refused_credential_ends_no_wait_with_another(poller: Poller, order: int) -> None:
    """A token was renewed: clients of one account hold the old and the new one, under one name."""
    transport = Coze42()
    tokens = ["revoked", "fresh", "revoked", "fresh"][::order]
    runs = [transport.run(token, account="tenant") for token in tokens]
    assert len({run.key for run in runs}) == 1
    ends = start_all(poller, runs)
    short = await start(poller.wait(transport.run("fresh", account="tenant"), timeout=3))
    assert short.evidence.last_error is None
    if order == 1:
        kinds = [type((await end).error) for end in ends]
        assert kinds == [AuthenticationFailed, NoneType] * 2
        assert [token for token, _ in transport.asked][:2] == ["revoked", "fresh"]
    else:  # while looks go through the fresh one, no one learns that the other is refused
        assert {(await end).error for end in ends} == {None}


async def test_waits_go_on_through_a_client_that_works(poller: Poller) -> None:
    """The first waiter stays but its client's looks fail: looks go through another's."""
    one, other = Coze42(), Coze42()
    first = start(poller.wait(one.run()))
    await asyncio.sleep(0.5)
    one.is_down = True
    (done,) = [each async for each in poller.as_done([other.run()])]
    assert (done.error, done.elapsed < 6) == (None, True)
    assert (await first).error is None
