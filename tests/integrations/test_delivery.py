"""What a worker does with its sink: a few ends at a time, and each for a bounded time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import anyio
import anyio.lowlevel
import pytest

from asyncclient import Done, Ticket
from asyncclient._durable import TicketExpired
from asyncclient.errors import WaitTimeout
from asyncclient.integrations._delivery import Delivery, Sink
from asyncclient.integrations._holder import Holder, NextTurn
from tests.integrations.test_holder import Shelf, holding, only, ticket
from tests.waiting.scenario import Job

End: TypeAlias = Done[object] | TicketExpired


async def _hangs(_key: str, _end: End) -> None:
    await anyio.sleep_forever()


async def holds_on(_key: str, _end: End) -> None:
    """Never return, though it is cancelled; only the end of the event loop ends it."""
    with contextlib.suppress(asyncio.CancelledError):
        await anyio.sleep_forever()
    await anyio.sleep_forever()


async def cleans_up(_key: str, _end: End) -> None:
    """Take 0.3 s to close what it has opened."""
    try:
        await anyio.sleep_forever()
    finally:
        await asyncio.sleep(0.3)


def delivering(
    sink: Sink, shelf: Shelf | None = None, *, sink_timeout: float = 20.0
) -> AbstractAsyncContextManager[Holder]:
    """Give the holder of a worker whose jobs have ended."""
    return holding(shelf or Shelf(), only(Job("done")), sink, sink_timeout=sink_timeout)


@pytest.mark.parametrize("sink", [_hangs, holds_on, cleans_up])
async def test_a_sink_that_hangs_is_a_failed_turn(
    sink: Sink, caplog: pytest.LogCaptureFixture
) -> None:
    """After `sink_timeout` it is cancelled, or waited for no longer; a warning names the key."""
    shelf = Shelf()
    async with delivering(sink, shelf) as holder:
        text = ticket()
        following = await holder.take("order-17", text)
    assert 20 <= anyio.current_time() <= 21.01
    assert following is not None
    assert (following.ticket, 15 <= following.delay <= 30) == (text, True)
    assert (shelf.outcomes, shelf.claimed) == ({}, set())
    warned = [each for each in caplog.records if each.levelno == logging.WARNING]
    (message,) = [each.getMessage() for each in warned]
    assert message.startswith("order-17: the sink has not returned within 20 s (sink_timeout)")


async def test_a_sink_that_ends_while_it_is_cancelled_has_taken_the_end() -> None:
    """What it did is not done twice."""

    async def finishes(key: str, end: End) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await cleans_up(key, end)

    shelf = Shelf()
    async with delivering(finishes, shelf) as holder:
        assert await holder.take("order", ticket()) is None
    assert list(shelf.outcomes) == ["order"]


async def test_a_turn_that_is_cancelled_cancels_its_sink() -> None:
    """The engine's own cancellation is raised on at once, and the claim is given back."""
    shelf, cancelled = Shelf(), asyncio.Event()

    async def sink(key: str, end: End) -> None:
        try:
            await _hangs(key, end)
        finally:
            cancelled.set()

    async with delivering(sink, shelf) as holder:
        turn = asyncio.create_task(holder.take("order", ticket()))
        await anyio.sleep(1)
        assert shelf.claimed == {"order"}
        turn.cancel()
        await asyncio.wait([turn])
        assert turn.cancelled()
        await cancelled.wait()
    assert (anyio.current_time(), shelf.claimed) == (1, set())


@pytest.mark.parametrize("sink", [_hangs, holds_on, cleans_up])
async def test_a_stopped_worker_does_not_wait_for_its_sink(sink: Sink) -> None:
    """A sink that works gets two seconds; all turns, those that stand in line too, go back."""
    async with delivering(sink, sink_timeout=3600) as holder:
        text = ticket()
        turns = [asyncio.create_task(holder.take(f"order-{n}", text)) for n in range(100)]
        await anyio.sleep(10)
        began = anyio.current_time()
        holder.close()
        assert await asyncio.gather(*turns) == [NextTurn(0.0, text)] * 100
        assert anyio.current_time() - began <= 3.01
        assert await holder.take("another", text) == NextTurn(0.0, text)


@pytest.mark.parametrize("is_stopped", [False, True])
async def test_what_a_sink_has_taken_is_written_down_however_long_that_takes(
    caplog: pytest.LogCaptureFixture, *, is_stopped: bool
) -> None:
    """The bound is the sink's, not the store's; a worker that is stopped asks for 5 s more."""
    shelf = Shelf()

    async def sink(key: str, end: End) -> None:
        shelf.down_until = 100.0
        await shelf.sink(key, end)

    async with delivering(sink, shelf) as holder:
        turn = asyncio.create_task(holder.take("order", ticket()))
        await anyio.sleep(50)
        if is_stopped:
            holder.close()
        following = await turn
    assert shelf.reported == ["order"]
    assert "sink_timeout" not in caplog.text
    assert "order: its end cannot be kept yet: the store is down" in caplog.text
    if is_stopped:
        assert following is not None
        assert (following.delay, shelf.claimed, shelf.outcomes) == (0, {"order"}, {})
        assert anyio.current_time() < 56
    else:
        assert (following, list(shelf.outcomes)) == (None, ["order"])


LATE = TicketExpired(ticket=Ticket.decode(ticket()), error=WaitTimeout("late"))


async def test_a_sink_that_is_called_when_its_worker_was_stopped_has_as_long() -> None:
    """Its turn had its place already, and the store took some seconds to note that."""
    delivery = Delivery(_hangs, timeout=60)
    async with delivery.place() as is_free:
        assert is_free
        delivery.close()
        await anyio.sleep(5)
        with pytest.raises(TimeoutError, match="the worker is stopped"):
            await delivery.call("order", LATE, anyio.lowlevel.checkpoint)
    assert anyio.current_time() == 7


async def test_a_worker_that_goes_on_has_its_new_ends_taken() -> None:
    """What is with the sink again is not given up 2 s after the worker was stopped before."""
    taken: list[str] = []

    async def slow(key: str, _end: End) -> None:
        await asyncio.sleep(10)
        taken.append(key)

    delivery = Delivery(slow, timeout=60)
    before = asyncio.create_task(delivery.call("before", LATE, anyio.lowlevel.checkpoint))
    await anyio.sleep(1)
    delivery.close()
    delivery.open()
    await delivery.call("after", LATE, anyio.lowlevel.checkpoint)
    with pytest.raises(TimeoutError):
        await before
    assert taken == ["after"]


async def test_a_sink_that_works_may_end_when_its_worker_is_stopped() -> None:
    """An end that takes a second more is kept, and not reported again."""

    async def slow(_key: str, _end: End) -> None:
        await asyncio.sleep(11)

    shelf = Shelf()
    async with delivering(slow, shelf) as holder:
        turn = asyncio.create_task(holder.take("order", ticket()))
        await anyio.sleep(10)
        holder.close()
        assert await turn is None
    assert list(shelf.outcomes) == ["order"]


async def test_ends_are_reported_few_at_a_time() -> None:
    """At most 32 ends are with the sink when a worker is killed, and then reported twice."""
    began: list[float] = []

    async def slow(_key: str, _end: End) -> None:
        began.append(anyio.current_time())
        await anyio.sleep(1)

    async with delivering(slow) as holder:
        await asyncio.gather(*(holder.take(f"order-{number}", ticket()) for number in range(100)))
    assert [round(instant) for instant in began] == [0] * 32 + [1] * 32 + [2] * 32 + [3] * 4


async def test_a_sink_that_hangs_holds_no_more_turns_than_it_has_places() -> None:
    """Those in line go back, and no others join; when it works again, all are reported."""
    reported: list[str] = []

    async def sink(key: str, end: End) -> None:
        if anyio.current_time() < 100:
            await _hangs(key, end)
        reported.append(key)

    under_way = 0

    async def until_over(holder: Holder, key: str) -> None:
        nonlocal under_way
        text = ticket()
        while True:
            under_way += 1
            following = await holder.take(key, text)
            under_way -= 1
            if following is None:
                break
            assert 15 <= following.delay <= 30
            await anyio.sleep(following.delay)

    async with delivering(sink) as holder:
        turns = [asyncio.create_task(until_over(holder, f"order-{n}")) for n in range(200)]
        await anyio.sleep(19)
        assert under_way == 200
        for _ in range(70):
            await anyio.sleep(1)
            if anyio.current_time() > 22:
                assert under_way <= 32
        await asyncio.gather(*turns)
    assert anyio.current_time() < 160
    assert len(reported) == len(set(reported)) == 200


async def test_a_turn_stands_in_line_no_longer_than_a_call_lasts() -> None:
    """A sink that is only slow does not keep a worker's turns for hours either."""

    async def slow(_key: str, _end: End) -> None:
        await anyio.sleep(15)

    async with delivering(slow) as holder:
        ends = await asyncio.gather(*(holder.take(f"order-{n}", ticket()) for n in range(100)))
    assert anyio.current_time() == pytest.approx(30)
    assert [end is None for end in ends].count(True) == 64
