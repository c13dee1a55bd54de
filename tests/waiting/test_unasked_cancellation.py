"""A CancelledError without a request to cancel: a failed look or callback, a broken source."""

from __future__ import annotations

import asyncio
import contextlib

import anyio.lowlevel
import pytest

from asyncclient import Observation, Snapshot, TaskState, wait_until_done, watch
from asyncclient.errors import WaitTimeout
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply
from tests.waiting.scenario import Driver, Thing, stand_still


class Fragile(Thing):
    """A job whose first look raises something of its own, and which succeeds at the second."""

    def __init__(self, error: BaseException) -> None:
        done = Observation(TaskState.SUCCEEDED, "done", "result")
        super().__init__(object(), "fragile", error, done)
        self.cancels = 0

    async def cancel(self) -> None:
        """Count that it was cancelled."""
        self.cancels += 1


async def test_a_look_that_was_cancelled_from_inside_is_repeated(driver: Driver) -> None:
    """The wait goes on, and the remote job is not cancelled."""
    job = Fragile(asyncio.CancelledError())
    assert await driver(job, on_cancel="cancel") == "result"
    assert job.cancels == 0


class Hanging(Thing):
    """A job whose looks hang in an asyncio task of their own, as those of some libraries."""

    async def observe(self) -> Observation[object]:
        """Wait for ever."""
        await asyncio.ensure_future(asyncio.sleep(3600))
        raise AssertionError


@pytest.mark.parametrize(("timeout", "poll_timeout"), [(1.0, 0.5), (0.5, 1.0), (1.0, 1.0)])
async def test_two_time_limits_that_end_in_one_turn_are_none(
    driver: Driver, timeout: float, poll_timeout: float
) -> None:
    """The event loop stood still past the deadline and the end of the look."""
    asyncio.get_running_loop().call_later(0.4, stand_still, 10.0)
    with pytest.raises(WaitTimeout):
        await driver(Hanging("job", "hanging"), timeout=timeout, poll_timeout=poll_timeout)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_one_in_a_clean_up_is_none_either(driver: Driver) -> None:
    """Who was cancelled, and waits for one more job, has asked for no other cancellation."""

    async def clean_up() -> object:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(10)
        return await driver(Fragile(asyncio.CancelledError()))

    task = asyncio.ensure_future(clean_up())
    await asyncio.sleep(1)
    task.cancel()
    assert await task == "result"


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
    with pytest.raises(RuntimeError, match="a look raised StopAsyncIteration"):
        _ = [step async for step in watch(Fragile(StopAsyncIteration()))]


async def test_a_source_of_tokens_that_was_cancelled_from_inside_is_an_error() -> None:
    """A start whose token could not be fetched is refused with an error that can be handled."""

    async def token() -> str:
        await anyio.lowlevel.checkpoint()
        raise asyncio.CancelledError

    transport = ScriptedTransport([reply(b"{}")])
    with pytest.raises(ConnectionAbortedError, match=r"token\(\)"):
        await Coze(transport, token=token).start_workflow("7350")
    assert not transport.requests


class Unwell(Exception):
    """What a caller's function makes of any exception."""


class Wrapping(Thing):
    """A job whose second look hangs, and makes an error of its own of its cancellation.

    Args:
        transient: what it declares worth repeating.
    """

    def __init__(self, *transient: type[Exception]) -> None:
        super().__init__("wrapping", "wrapping")
        self.transient = transient
        self.looks = 0

    async def observe(self) -> Observation[str]:
        """Hang at the second look."""
        self.looks += 1
        if self.looks == 2:
            try:
                await anyio.sleep_forever()
            except BaseException as error:
                raise Unwell from error
        done = self.looks > 2
        state = TaskState.SUCCEEDED if done else TaskState.RUNNING
        return Observation(state, "done" if done else "running", "result")


@pytest.mark.parametrize("transient", [[], [Unwell]])
async def test_a_cancellation_that_a_look_makes_an_error_of_is_one(
    driver: Driver, transient: list[type[Exception]]
) -> None:
    """It is the caller's, or that of a look that takes too long, or the end of the wait."""
    job = Wrapping(*transient)
    assert await driver(job, poll_timeout=5) == "result"
    with pytest.raises(WaitTimeout):
        await driver(Wrapping(*transient), timeout=2)
    waiting = asyncio.ensure_future(driver(Wrapping(*transient)))
    await asyncio.sleep(30)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert waiting.cancelled()


async def test_a_time_limit_that_leaves_its_request_to_cancel_is_none(driver: Driver) -> None:
    """An old library's TimeoutError is a failed poll, although its request was not taken back."""

    class Old(Fragile):
        async def observe(self) -> Observation[str]:
            task = asyncio.current_task()
            if not self.cancels and task is not None:
                self.cancels += 1
                task.cancel()
                try:
                    await anyio.sleep_forever()
                except asyncio.CancelledError:
                    raise TimeoutError from None
            return await super().observe()

    assert await driver(Old(ConnectionError())) == "result"
