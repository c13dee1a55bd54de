"""A CancelledError without a request to cancel: a failed look or callback, a broken source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable

import anyio.lowlevel
import pytest

from asyncclient import Observation, Poller, Snapshot, Task, TaskState, wait_until_done, watch
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply


class Fragile(Task[str]):
    """A job whose first look raises something of its own, and which succeeds at the second."""

    def __init__(self, error: BaseException) -> None:
        self._errors = [error]
        self.cancels = 0

    @property
    def key(self) -> Hashable:
        """Its identity."""
        return id(self)

    @property
    def kind(self) -> str:
        """Which tasks are alike."""
        return "fragile"

    async def observe(self) -> Observation[str]:
        """Look once."""
        await anyio.lowlevel.checkpoint()
        if self._errors:
            raise self._errors.pop()
        return Observation(TaskState.SUCCEEDED, "done", "result")

    async def cancel(self) -> None:
        """Count that it was cancelled."""
        self.cancels += 1


async def test_a_look_that_was_cancelled_from_inside_is_repeated() -> None:
    """The wait goes on, and the remote job is not cancelled."""
    job = Fragile(asyncio.CancelledError())
    assert await wait_until_done(job, on_cancel="cancel") == "result"
    assert job.cancels == 0


async def test_a_shared_look_that_was_cancelled_from_inside_is_repeated() -> None:
    """In a Poller it is a failed poll too, which backs off and is counted."""
    async with Poller() as poller:
        assert await poller.wait(Fragile(asyncio.CancelledError())) == "result"
        assert poller.stats().errors == 1


@pytest.mark.parametrize("kind", [StopAsyncIteration, StopIteration, asyncio.CancelledError])
async def test_a_callback_cannot_end_an_iteration_in_silence(kind: type[BaseException]) -> None:
    """What a callback raises is an error of its own, never the end of a loop."""

    async def fail(_snapshot: Snapshot[str]) -> None:
        await anyio.lowlevel.checkpoint()
        raise kind

    job = Fragile(ConnectionError())
    with pytest.raises((RuntimeError, ConnectionError), match=r"a callback|StopIteration"):
        await wait_until_done(job, on_change=fail, on_cancel="cancel")
    assert job.cancels == 0


async def test_a_look_cannot_end_an_iteration_in_silence() -> None:
    """An end of iteration out of a look is an error of the watch, not its end."""
    steps = watch(Fragile(StopAsyncIteration()))
    with pytest.raises(RuntimeError, match="a look raised StopAsyncIteration"):
        _ = [step async for step in steps]


async def test_a_source_that_was_cancelled_from_inside_is_an_error() -> None:
    """The reader gets it, as any error of a source: nothing is cut off in silence."""

    async def source() -> AsyncIterator[Task[str]]:
        for _ in range(3):
            yield Fragile(ConnectionError())
        raise asyncio.CancelledError

    async with Poller() as poller:
        ends = poller.as_done(source())
        with pytest.raises(ConnectionAbortedError, match="the source of tasks"):
            _ = [end async for end in ends]


async def test_a_source_of_tokens_that_was_cancelled_from_inside_is_an_error() -> None:
    """A start whose token could not be fetched is refused with an error that can be handled."""

    async def token() -> str:
        await anyio.lowlevel.checkpoint()
        raise asyncio.CancelledError

    transport = ScriptedTransport([reply(b"{}")])
    with pytest.raises(ConnectionAbortedError, match=r"token\(\)"):
        await Coze(transport, token=token).start_workflow("7350")
    assert not transport.requests
