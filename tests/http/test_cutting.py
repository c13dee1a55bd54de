"""Tests of what ends late requests: one timer for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import math

import anyio
import pytest

from asyncclient._http.cutting import LATE_SECONDS, Cutting
from tests.waiting.scenario import stand_still


def now() -> float:
    """Return the running loop's time."""
    return asyncio.get_running_loop().time()


async def request(cutting: Cutting, seconds: float, takes: float) -> str:
    """Stand for a request, and say how it ended and when."""
    task = cutting.begin(asyncio.get_running_loop(), now() + seconds)
    try:
        await asyncio.sleep(takes)
    except asyncio.CancelledError:
        if not await cutting.is_own(task):
            return f"cancelled at {now():g}"
        return f"late at {now():g}"
    finally:
        cutting.end(task)
    return f"done at {now():g}"


@pytest.mark.parametrize(
    ("timeouts", "ends"),
    [
        ([30], ["late at 30"]),
        ([30, 10], ["late at 30", "late at 10"]),
        ([10, 30], ["late at 10", "late at 30"]),
        ([10, 10, 200], ["late at 10", "late at 10", "done at 100"]),
        ([10, 10 + LATE_SECONDS / 2], ["late at 10", f"late at {10 + LATE_SECONDS:g}"]),
        ([200, 200], ["done at 100", "done at 100"]),
    ],
)
async def test_each_request_ends_at_its_timeout_or_a_quarter_of_a_second_later(
    timeouts: list[float], ends: list[str]
) -> None:
    """However many there are; those that ended in time are let alone."""
    cutting = Cutting(LATE_SECONDS)
    requests = (request(cutting, seconds, takes=100) for seconds in timeouts)
    assert await asyncio.gather(*requests) == ends
    assert len(cutting) == 0


async def test_without_lateness_each_ends_at_its_own_time() -> None:
    """A later one may have an earlier end; one that never ends is let alone."""
    cutting = Cutting()
    requests = (request(cutting, seconds, takes=30) for seconds in (9, 3, 7, 3.01, math.inf))
    ends = ["late at 9", "late at 3", "late at 7", "late at 3.01", "done at 30"]
    assert await asyncio.gather(*requests) == ends


@pytest.mark.parametrize("end", [2.0, 6.0, 12.0])
async def test_its_end_may_be_brought_forward(end: float) -> None:
    """One that would be late at 9 s is late at the new end, at once where that has passed."""
    cutting = Cutting()
    running = asyncio.ensure_future(request(cutting, 9, takes=30))
    await asyncio.sleep(4)
    cutting.shorten(running, min(9.0, end))
    assert await running == f"late at {min(9.0, max(4.0, end)):g}"
    cutting.shorten(running, 0.0)
    assert len(cutting) == 0


async def test_what_runs_in_no_task_cannot_be_cut_off() -> None:
    """It is said, and not found out by an error of Python's own."""
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def callback() -> None:
        with pytest.raises(RuntimeError, match="no asyncio task runs here: await it in one"):
            _ = Cutting().begin(asyncio.get_running_loop(), now() + 1)
        done.set_result("said")

    asyncio.get_running_loop().call_soon(callback)
    assert await done == "said"


async def test_a_cancellation_that_came_too_late_is_undone() -> None:
    """What ends in another way than by it leaves its task fit for a timeout of the caller's."""
    cutting = Cutting()
    task = cutting.begin(asyncio.get_running_loop(), now() + 1)
    with contextlib.suppress(asyncio.CancelledError):  # as a library that hides it
        await asyncio.sleep(5)
    assert task.cancelling() == 1
    cutting.end(task)
    assert (now(), task.cancelling()) == (1, 0)


async def test_one_after_another_is_late_by_its_own_time() -> None:
    """The timer that one leaves behind does not end the next one."""
    cutting = Cutting()
    assert await request(cutting, 10, takes=9) == "done at 9"
    assert await request(cutting, 10, takes=9) == "done at 18"
    assert await request(cutting, 10, takes=20) == "late at 28"


async def test_a_cancellation_by_the_caller_is_none_of_its_own() -> None:
    """Nor is it taken for one when both come at once."""
    cutting = Cutting()
    task = asyncio.ensure_future(request(cutting, 10, takes=100))
    await asyncio.sleep(5)
    task.cancel()
    assert await task == "cancelled at 5"
    task = asyncio.ensure_future(request(cutting, 10, takes=100))
    await asyncio.sleep(5)
    task.cancel()
    cutting.cut_all()
    assert await task == "cancelled at 10"


@pytest.mark.parametrize("ends", [0.5, 0.9])
async def test_a_scope_that_ends_in_the_same_turn_gets_its_cancellation(ends: float) -> None:
    """The event loop stood still past both ends: a scope of anyio's lets out what it does not know.

    It knows a cancellation by its text, and of two in a row only the first one arrives.
    """
    cutting, loop = Cutting(), asyncio.get_running_loop()
    loop.call_later(0.4, stand_still, 10.0)
    task = cutting.begin(loop, loop.time() + ends)
    with anyio.move_on_after(1.4 - ends) as scope:
        try:
            # Another task takes a turn to end, so that the second one cancels, too.
            await asyncio.ensure_future(asyncio.sleep(30))
        except asyncio.CancelledError:
            assert not await cutting.is_own(task)
            raise
        finally:
            cutting.end(task)
    assert scope.cancelled_caught
    assert task.cancelling() == 0


async def test_all_are_cut_at_once() -> None:
    """As a pool that is closed does, twice if it must; no timer is left."""
    cutting = Cutting()
    tasks = [asyncio.ensure_future(request(cutting, 10, takes=100)) for _ in range(3)]
    await asyncio.sleep(1)
    cutting.cut_all()
    cutting.cut_all()
    assert await asyncio.gather(*tasks) == ["late at 1"] * 3


async def test_one_that_goes_on_is_named_a_second_after_it_was_cancelled() -> None:
    """Those that end in that time, or end by themselves, are not."""
    cutting, named = Cutting(), list[tuple[object, float]]()
    cutting.resists = lambda _, does: named.append((does, now()))

    async def work(does: str, takes: float, cleaning: float) -> None:
        task = cutting.begin(asyncio.get_running_loop(), now() + 10, does)
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(takes)
        await asyncio.sleep(cleaning)
        cutting.end(task)

    await asyncio.gather(work("ends", 5, 0), work("cleans up", 20, 0.9), work("resists", 20, 9))
    assert named == [("resists", 11)]
