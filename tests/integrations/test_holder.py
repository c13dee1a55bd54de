"""What a worker does with a ticket's turn, over a store that goes down, in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import anyio
import pytest

from asyncclient import Done, Poller, Schedule, TaskRef, encode_ref
from asyncclient._durable import TaskOf, Ticket, TicketExpired, wall_clock
from asyncclient.errors import RequestTimeout
from asyncclient.integrations._delivery import Sink
from asyncclient.integrations._holder import Holder, NextTurn
from asyncclient.integrations._outcome import Outcome
from tests.waiting.scenario import REF, Job, Report, ends_at


@dataclass
class Shelf:
    """A store in memory that can be down, and the sink's notes."""

    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    reported: list[str] = field(default_factory=list[str])
    claimed: set[str] = field(default_factory=set[str])
    down_until: float = 0.0
    recovered: int = 0

    async def is_over(self, key: str) -> bool:
        """Look for an outcome."""
        return key in self.outcomes

    async def claim(self, key: str) -> bool:
        """Note that the sink is about to be called."""
        await self.ready()
        self.claimed.add(key)
        return key not in self.outcomes

    async def unclaim(self, key: str) -> None:
        """Note that it has not taken the end."""
        await self.ready()
        self.claimed.discard(key)

    async def keep(self, key: str, outcome: Outcome) -> None:
        """Write one down, where the store is up."""
        await self.ready()
        self.outcomes[key] = outcome

    async def ready(self) -> None:
        """Raise when it is down."""
        if anyio.current_time() < self.down_until:
            raise ConnectionError("the store is down")

    async def recover(self) -> None:
        """Count."""
        self.recovered += 1

    async def sink(self, key: str, _end: Done[object] | TicketExpired) -> None:
        """Take a note."""
        self.reported.append(key)


def ticket() -> str:
    """Make a ticket of an hour."""
    return Ticket.begin(REF, timeout=3600).encode()


def only(job: Job) -> TaskOf:
    """Return what finds one job by any reference."""
    return lambda _: job


@asynccontextmanager
async def holding(
    shelf: Shelf,
    task_of: TaskOf,
    sink: Sink | None = None,
    *,
    hold: float = 60.0,
    sink_timeout: float = 20.0,
) -> AsyncGenerator[Holder]:
    """Give the holder of a worker that has a poller of its own."""
    async with Poller(schedule=Schedule()) as poller:
        yield Holder(
            shelf, poller, task_of, sink or shelf.sink, hold=hold, sink_timeout=sink_timeout
        )


async def test_an_end_is_reported_and_then_written_down() -> None:
    """After that a turn of the same wait, which an engine may give again, does nothing."""
    shelf, job = Shelf(), Job("running", "done")
    async with holding(shelf, only(job)) as holder:
        assert await holder.take("order", ticket()) is None
        assert (shelf.reported, shelf.outcomes["order"].how) == (["order"], "done")
        polls = len(job.polls)
        assert await holder.take("order", ticket()) is None
    assert (shelf.reported, len(job.polls)) == (["order"], polls)


async def test_a_wait_that_is_held_is_not_held_twice_in_one_worker() -> None:
    """An engine that takes a slow worker for dead gives it its own ticket again."""
    shelf, text = Shelf(), ticket()
    async with holding(shelf, only(Job(ends_at(30.0)))) as holder:
        first = asyncio.create_task(holder.take("order", text))
        await anyio.sleep(5)
        assert await holder.take("order", text) == NextTurn(60, text)
        assert await first is None
    assert shelf.reported == ["order"]


async def test_a_wait_stays_while_its_store_is_down() -> None:
    """At the end of its slice no engine could take it back, so its polls go on until one can."""
    job = Job("running")
    async with holding(Shelf(down_until=500.0), only(job)) as holder:
        following = await holder.take("order", ticket())
    assert 500 <= anyio.current_time() < 640  # a slice and a gap more, each with its jitter
    assert following is not None
    assert max(job.gaps) <= 60
    assert Ticket.decode(following.ticket).polls == len(job.polls)


async def test_an_end_waits_for_its_store() -> None:
    """An end that was reported is written down when the store is back, not reported again."""
    shelf = Shelf(down_until=100.0)
    async with holding(shelf, only(Job(ends_at(10.0)))) as holder:
        assert await holder.take("order", ticket()) is None
    assert 100 <= anyio.current_time() < 105
    assert (shelf.reported, list(shelf.outcomes)) == (["order"], ["order"])


async def test_an_engine_that_lost_its_store_gets_everything_back_with_it() -> None:
    """Where an engine waits for what it holds, slices end as soon as it can take them."""
    shelf = Shelf()
    async with holding(shelf, only(Job("running")), hold=3600) as holder:
        async with holder.session():
            held = asyncio.create_task(holder.take("order", ticket()))
            await anyio.sleep(10)
            shelf.down_until = 50.0
        following = await held
    assert 50 <= anyio.current_time() < 52
    assert following is not None
    assert shelf.recovered == 1
    assert not holder.closing


async def test_a_stopped_engine_asks_no_more_for_a_store_that_it_lost() -> None:
    """Also where it is in no session when it is stopped."""
    before = asyncio.all_tasks()
    async with holding(Shelf(down_until=math.inf), only(Job("running"))) as holder:
        async with holder.session():
            pass
        await anyio.sleep(10)
        holder.close()
    await anyio.sleep(1)
    assert asyncio.all_tasks() == before


async def test_a_stopped_engine_gets_everything_back_at_once() -> None:
    """What stops it is raised on, no slice goes on, and none begins."""
    job = Job("running")
    async with holding(Shelf(), only(job), hold=3600) as holder:
        text = ticket()

        async def stop() -> None:
            async with holder.session():
                await anyio.sleep(10)
                raise KeyboardInterrupt

        held = asyncio.create_task(holder.take("order", text))
        with pytest.raises(KeyboardInterrupt):
            await stop()
        following = await held
        assert anyio.current_time() == pytest.approx(10)
        assert following is not None
        assert following.delay == 0
        polls = len(job.polls)
        assert await holder.take("other", text) == NextTurn(0.0, text)
    assert len(job.polls) == polls


async def test_what_goes_wrong_in_a_worker_is_tried_again_later() -> None:
    """A sink that raises, a client that is missing or a ticket that is unreadable costs no wait."""

    def raising(error: BaseException) -> Sink:
        async def sink(_key: str, _end: Done[object] | TicketExpired) -> None:
            raise error

        return sink

    def not_async(_key: str, _end: Done[object] | TicketExpired) -> None:
        """Return nothing that could be awaited."""

    shelf, job = Shelf(), only(Job("done"))
    cases: list[tuple[TaskOf, Sink, str]] = [
        (job, raising(OSError("the sink's own trouble")), ticket()),
        (job, raising(asyncio.CancelledError()), ticket()),
        (job, raising(BaseExceptionGroup("all", [asyncio.CancelledError()])), ticket()),
        (job, raising(GeneratorExit()), ticket()),
        (job, cast("Sink", not_async), ticket()),
        ({}, shelf.sink, ticket()),
        (job, shelf.sink, ticket().removesuffix('"v":2}') + '"v":3}'),
    ]
    for task_of, sink, text in cases:
        async with holding(shelf, task_of, sink) as holder:
            following = await holder.take("order", text)
        assert following is not None
        assert (following.ticket, 15 <= following.delay <= 30) == (text, True)
        assert not shelf.claimed
    assert (shelf.outcomes, shelf.reported) == ({}, [])


async def test_an_end_that_was_seen_does_not_expire_while_its_sink_fails() -> None:
    """Its next turn comes after the deadline, where a poll may fail: then it polls again."""
    shelf, began = Shelf(), wall_clock()

    async def sink(_key: str, end: Done[object] | TicketExpired) -> None:
        shelf.reported.append(type(end).__name__)
        if len(shelf.reported) == 1:
            raise OSError("the sink's own trouble")

    text = Ticket.begin(REF, timeout=10, clock=lambda: began).encode()
    job = Job(lambda now: RequestTimeout("slow") if 0 < now < 100 else Report("done"))
    async with Poller(schedule=Schedule()) as poller:
        holder = Holder(
            shelf, poller, only(job), sink, hold=60, clock=lambda: began + anyio.current_time()
        )
        following = await holder.take("order", text)
        while following is not None:
            await anyio.sleep(following.delay)
            following = await holder.take("order", following.ticket)
    assert shelf.reported == ["Done", "Done"]


async def test_a_ticket_that_has_outgrown_its_size_is_still_reported() -> None:
    """As one of an older process, which took references of up to 316 bytes."""
    shelf = Shelf()
    ref = TaskRef("fake", "job", {"id": "7"}, account="a" * 233)
    assert len(encode_ref(ref)) == 316
    text = Ticket(ref, int(wall_clock()) + 110, int(wall_clock())).encode()
    async with holding(shelf, only(Job(ends_at(90.0)))) as holder:
        following = await holder.take("order", text)
        while following is not None and anyio.current_time() < 300:
            await anyio.sleep(following.delay)
            following = await holder.take("order", following.ticket)
    assert shelf.reported == ["order"]
    assert shelf.outcomes["order"].how == "done"


async def test_a_claim_that_cannot_be_given_back_stays_for_the_next_turn() -> None:
    """The sink's own error is logged all the same, and the next turn calls it again."""
    shelf = Shelf()

    async def sink(key: str, end: Done[object] | TicketExpired) -> None:
        if not shelf.down_until:
            shelf.down_until = 20.0
            raise OSError("the sink's own trouble")
        await shelf.sink(key, end)

    async with holding(shelf, only(Job("done")), sink) as holder:
        following = await holder.take("order", ticket())
        assert following is not None
        assert shelf.claimed == {"order"}
        await anyio.sleep(20)
        assert await holder.take("order", following.ticket) is None
    assert shelf.reported == ["order"]


@pytest.mark.parametrize("text", ["nonsense", '{"v":99}', "unknown"])
async def test_a_wait_that_no_worker_can_hold_is_reported_at_its_deadline(text: str) -> None:
    """Its last turn comes on the deadline; one without any is kept for a day."""
    shelf, began, taken = Shelf(), wall_clock(), 0

    def clock() -> float:
        return began + anyio.current_time()

    text = ticket() if text == "unknown" else text
    lasts = 3600 if "ref" in text else 86_400
    async with Poller(schedule=Schedule()) as poller:
        holder = Holder(shelf, poller, {}, shelf.sink, hold=60, clock=clock)
        following = await holder.take("order", text)
        while following is not None:
            assert 0 < following.delay <= 30
            await anyio.sleep(following.delay if taken != 5 else lasts - 100 - anyio.current_time())
            following, taken = await holder.take("order", following.ticket), taken + 1
    assert anyio.current_time() == pytest.approx(lasts, abs=2)
    assert shelf.reported == ["order"]
    assert shelf.outcomes["order"].how == "expired"
    reason = "no client for 'fake'" if "ref" in text else "its ticket cannot be read: ValueError: "
    assert reason in (shelf.outcomes["order"].error or "")
