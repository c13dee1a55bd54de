"""Durable waits without an engine: slices that hand a ticket from worker to worker."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import cast

import anyio
import msgspec
import pytest
from hypothesis import example, given, strategies as st

from asyncclient import (
    Done,
    LearnedSchedule,
    Observation,
    Poller,
    Schedule,
    TaskRef,
    TaskState,
    errors,
)
from asyncclient._durable import Handover, TaskOf, Ticket, TicketExpired, poll_slice
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, run_virtual
from tests.many.service import Item, Service, start
from tests.waiting.scenario import REF, Job, Outcome, Report, ends_at, run_says

DOWN = errors.ServerError("the provider is down", status=502)
EPOCH = 1_763_780_000.0  # Unix time at which the loop's clock shows 0


def now() -> float:
    """Give the Unix time of the virtual clock."""
    return EPOCH + anyio.current_time()


def begin(timeout: float = 600.0, ref: TaskRef = REF) -> Ticket:
    """Make a ticket by the virtual clock."""
    return Ticket.begin(ref, timeout=timeout, clock=now)


class _Middle(Random):
    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


@dataclass
class Engine:
    """The least that an engine does: it keeps a ticket, and gives it to one worker a time."""

    hold: float = 60.0  # seconds of each slice
    schedule: Schedule = field(default_factory=Schedule)  # of every worker's poller
    latency: float = 0.0  # seconds by which it gives a ticket later than asked
    rng: Random = field(default_factory=lambda: Random(1))  # draws the jitter
    clock: Callable[[], float] = now  # gives the workers' Unix time

    async def slice(self, job: Job, ticket: Ticket) -> Done[object] | TicketExpired | Handover:
        """Hold the wait once, in a worker of its own."""
        async with Poller(schedule=self.schedule, rng=self.rng) as poller:
            return await poll_slice(
                poller,
                lambda _: job,
                Ticket.decode(ticket.encode()),
                hold=self.hold,
                schedule=self.schedule,
                rng=self.rng,
                clock=self.clock,
            )

    async def run(self, job: Job, ticket: Ticket) -> Done[object] | TicketExpired:
        """Hold it until it ends, in one worker after the other."""
        while True:
            end = await self.slice(job, ticket)
            if not isinstance(end, Handover):
                return end
            ticket = end.ticket
            await anyio.sleep(end.delay + self.latency)


def _steady(gap: float) -> Schedule:
    return Schedule(first=gap, factor=1, cap=gap, jitter=0)


# --- one slice ----------------------------------------------------------------------------------


async def test_a_task_that_ends_within_the_slice_is_done() -> None:
    """The typed answer comes back as from a wait, with the ticket's polls counted in."""
    ticket = msgspec.structs.replace(begin(), polls=5)
    job = Job("running", "running", "done")
    end = await Engine().slice(job, ticket)
    assert isinstance(end, Done)
    assert (end.state, end.result, end.error) == (TaskState.SUCCEEDED, Report("done"), None)
    assert end.task.key == job.key
    assert end.polls == 5 + 3
    assert end.unseen == pytest.approx(job.gaps[-1])


@pytest.mark.parametrize(
    ("script", "error", "state"),
    [
        (("running", "broken"), errors.TaskFailed, TaskState.FAILED),
        (("running", "asks"), errors.TaskBlocked, TaskState.BLOCKED),
        ((errors.AuthenticationFailed("no", status=401),), errors.AuthenticationFailed, None),
        ((KeyError("a bug"),), KeyError, None),
    ],
)
async def test_a_task_that_ends_badly_is_done_with_its_error(
    script: tuple[str | Exception, ...], error: type[Exception], state: TaskState | None
) -> None:
    """A failure, a demand on the caller or a refusal is an end, and no exception of the slice."""
    end = await Engine().slice(Job(*script), begin())
    assert isinstance(end, Done)
    assert isinstance(end.error, error)
    assert (end.state, end.result) == (state, None)


async def test_a_task_that_asks_for_its_caller_is_seen_at_a_slices_last_poll() -> None:
    """A demand ends the wait even when the slice is over by then, or gaps are longer than it."""
    for schedule in (Schedule(), Schedule(first=100, cap=100)):
        job = Job("running", "running", "asks", latency=9)
        end = await Engine(hold=10, schedule=schedule).run(job, begin())
        assert isinstance(end, Done)
        assert isinstance(end.error, errors.TaskBlocked)


async def test_a_slice_ends_after_about_its_hold() -> None:
    """Slices are spread by a fifth of the hold, so that those that begin together do not end so."""
    lasted: list[float] = []
    for seed in range(40):
        began = anyio.current_time()
        assert isinstance(await Engine(rng=Random(seed)).slice(Job("running"), begin()), Handover)
        lasted.append(anyio.current_time() - began)
    assert 48 - 0.01 <= min(lasted) < 52
    assert 68 < max(lasted) <= 72 + 0.01


@pytest.mark.parametrize(
    ("said", "schedule", "near"),
    [("running", _steady(600), 100), (Report("running", hint=600), Schedule(), 95)],
    ids=["schedule", "hint"],
)
async def test_a_gap_longer_than_the_slice_is_parked_at_once(
    said: str | Report, schedule: Schedule, near: float
) -> None:
    """Where the schedule or the provider asks for ten minutes, nothing is held for one.

    No delay leads past the deadline, on which the last look falls; a hint ends 5 s before it.
    """
    for timeout, delay in ((86_400, 600), (100, near)):
        began, job, engine = anyio.current_time(), Job(said, "done"), Engine(schedule=schedule)
        end = await engine.slice(job, begin(timeout))
        assert anyio.current_time() == began
        assert isinstance(end, Handover)
        assert end.delay == pytest.approx(delay)
        assert len(job.polls) == 1
        await anyio.sleep(end.delay)
        done = await engine.slice(job, end.ticket)
        assert isinstance(done, Done)
        assert done.state is TaskState.SUCCEEDED


async def test_the_last_look_falls_on_the_deadline() -> None:
    """What ends just before it is done, else it expires, with polls and seconds of all slices."""
    done, expired = Job(ends_at(299.9)), Job(ends_at(600.1))
    end = await Engine().run(done, begin(timeout=300))
    assert isinstance(end, Done)
    assert done.sent[-1] == pytest.approx(300, abs=0.01)
    end = await Engine().run(expired, begin(timeout=300))
    assert isinstance(end, TicketExpired)
    assert expired.sent[-1] == pytest.approx(600, abs=0.01)
    assert (end.error.polls, end.ticket.polls) == (len(expired.polls), len(expired.polls))
    assert end.error.elapsed == pytest.approx(300, abs=1)
    assert end.error.ref == REF
    assert "300 s" in str(end.error)
    assert "running" in str(end.error)
    assert end.state is TaskState.RUNNING


class _BrokenOff(Job):
    """A job whose first poll is cancelled by something of its own."""

    async def observe(self) -> Observation[Report]:
        seen = await super().observe()
        if len(self.polls) == 1:
            raise asyncio.CancelledError
        return seen


async def test_a_ticket_left_past_its_deadline_gets_one_look() -> None:
    """What ended in time is not said to expire; a look that fails or breaks off is made again."""
    for job, kind, polls, last_error in (
        (Job("done", latency=20), Done, 1, None),
        (Job("running"), TicketExpired, 1, None),
        (Job(DOWN, "done"), Done, 2, None),
        (_BrokenOff("done"), Done, 2, None),
        (Job(DOWN), TicketExpired, 9, DOWN),
    ):
        ticket = begin(timeout=100)
        await anyio.sleep(5000)
        end = await Engine().slice(job, ticket)
        assert isinstance(end, Done | TicketExpired)
        assert (type(end), end.polls) == (kind, polls)
        error = end.error.last_error if isinstance(end, TicketExpired) else end.error
        assert error is last_error
        if last_error is not None:
            assert "last failed poll: ServerError: the provider is down)" in str(end.error)


async def test_the_look_of_a_ticket_past_its_deadline_is_its_own() -> None:
    """One that was sent for another before may have missed the end: another one follows it."""
    job = Job(ends_at(5), latency=(0, 11, 0.2), arrival=0)
    async with Poller(schedule=_steady(3)) as poller:
        other = asyncio.ensure_future(poller.wait(job, timeout=100))
        ticket = begin(timeout=6)
        await anyio.sleep(8)
        end = await poll_slice(poller, lambda _: job, ticket, clock=now)
        assert isinstance(end, Done)
        assert end.state is TaskState.SUCCEEDED
        assert await other == Report("done")
    assert len(job.sent) == 3


@pytest.mark.parametrize("left", [4e-4, 0.05, 0.5, 1, 3, 20])
async def test_a_ticket_taken_up_just_before_its_deadline_gets_its_answer(left: float) -> None:
    """Clocks differ: the last look may take up to 5 s, and one that hangs ends it, no later."""
    ticket = Ticket(REF, now() + left, int(EPOCH) - 100, polls=5)
    end = await Engine().slice(Job("done", latency=2.0), ticket)
    assert isinstance(end, Done)
    assert (end.state, end.polls) == (TaskState.SUCCEEDED, 6)
    began = anyio.current_time()
    ticket = Ticket(REF, now() + left, int(EPOCH) - 100, polls=5)
    end = await Engine().slice(Job("done", latency=math.inf), ticket)
    assert isinstance(end, TicketExpired)
    assert anyio.current_time() - began <= left + 5.01


async def test_an_outage_ends_no_ticket() -> None:
    """A provider that fails for ten minutes ends a plain wait, but not a durable one."""
    job = Job(lambda when: DOWN if when < 600 else Report("done"))
    end = await Engine(hold=300).run(job, begin(timeout=3600))
    assert isinstance(end, Done)
    assert end.state is TaskState.SUCCEEDED


async def test_slices_share_the_polls_of_their_task() -> None:
    """Waits for one task on one worker cost the polls of one, which go on for those that remain."""
    job = Job(ends_at(90.0))
    async with Poller(rng=Random(1)) as poller:
        short, long, whole, plain = await asyncio.gather(
            poll_slice(poller, lambda _: job, begin(), hold=10, clock=now),
            poll_slice(poller, lambda _: job, begin(), hold=40, clock=now),
            poll_slice(poller, lambda _: job, begin(), hold=200, clock=now),
            poller.wait(job),
        )
    assert isinstance(short, Handover)
    assert isinstance(long, Handover)
    assert isinstance(whole, Done)
    assert whole.result == plain == Report("done")
    assert 0 < short.ticket.polls < long.ticket.polls < whole.polls == len(job.polls)
    alone = Job(ends_at(90.0 + anyio.current_time()))
    async with Poller(rng=Random(1)) as poller:
        await poller.wait(alone)
    assert len(job.polls) == len(alone.polls)


async def test_a_poll_under_way_at_the_slices_end_is_answered() -> None:
    """An answer that is on its way is not thrown away; one that hangs is, and is counted."""
    engine = Engine(schedule=_steady(57), rng=_Middle())
    assert isinstance(await engine.slice(Job("running", "done", latency=(0, 8)), begin()), Done)
    hangs = Job("running", latency=[0, math.inf])
    async with Poller(schedule=_steady(57)) as poller:
        end = await poll_slice(poller, lambda _: hangs, begin(), rng=_Middle(), clock=now)
        assert isinstance(end, Handover)
        assert end.ticket.polls == len(hangs.polls) == 2
        assert poller.stats().pending == 0


async def test_a_slices_first_poll_has_all_its_time_however_short_the_slice() -> None:
    """Polls of 30 s in slices of 5 s see the end; one that hangs fails after `poll_timeout`."""
    slow = Job(ends_at(50.0), latency=30)
    assert isinstance(await Engine(hold=5).run(slow, begin()), Done)
    assert anyio.current_time() < 120
    hangs, began = Job("running", latency=math.inf), anyio.current_time()
    end = await Engine(hold=5).slice(hangs, begin())
    assert isinstance(end, Handover)
    assert anyio.current_time() - began == pytest.approx(60)
    assert end.ticket.polls == len(hangs.polls) == 1


@pytest.mark.parametrize("gap", [10, 20, 60])
async def test_a_look_that_falls_on_the_slices_end_is_the_next_slices(gap: float) -> None:
    """It is neither made nor counted, though it was due before the slice could be handed back."""
    job = Job("running")
    end = await Engine(schedule=_steady(gap), rng=_Middle()).slice(job, begin())
    assert isinstance(end, Handover)
    assert end.state is TaskState.RUNNING
    assert end.ticket.polls == len(job.polls) == 60 / gap
    assert end.delay == 0


async def test_a_slice_waits_for_its_first_poll_where_the_budget_is_short() -> None:
    """With 100 waits at a poll a second, each slice of 10 s still gets its poll, and in turn."""
    service = Service()
    waits = [Item(service, f"item-{number}") for number in range(100)]

    async def hold(item: Item) -> None:
        ticket = begin(timeout=10_000)
        while anyio.current_time() < 1000:
            end = await poll_slice(poller, lambda _: item, ticket, hold=10, rng=rng, clock=now)
            assert isinstance(end, Handover)
            ticket = end.ticket
            await anyio.sleep(end.delay)

    rng = Random(1)
    async with Poller(rate=1, rng=rng) as poller, asyncio.TaskGroup() as tasks:
        for item in waits:
            tasks.create_task(hold(item))
    assert {len(item.sent) for item in waits} <= {*range(7, 14)}
    gaps = [after - before for item in waits for before, after in pairwise(item.sent)]
    assert max(gaps) < 200


async def test_a_closed_poller_leaves_the_ticket_as_it_was() -> None:
    """A worker that goes down raises, and says nothing about the task; past its deadline, too."""
    poller = Poller()
    late = begin(timeout=1)
    await anyio.sleep(2)
    job = Job("running", latency=math.inf)
    held = [
        start(poll_slice(poller, lambda _: job, ticket, clock=now)) for ticket in (begin(), late)
    ]
    await anyio.sleep(5)
    await poller.aclose()
    assert [type((await each).error) for each in held] == [RuntimeError] * 2
    with pytest.raises(RuntimeError, match="closed"):
        await poll_slice(poller, {}, begin(), clock=now)


async def test_a_worker_finds_the_client_of_a_ticket_or_says_what_it_lacks() -> None:
    """Its tenant's own client holds it, and no other; where there is none, the set-up is wrong."""
    transport = ScriptedTransport([run_says("Success", {"output": "{}"})], repeat=True)
    clients = {name: Coze(transport, token=f"pat_{name}", account=name) for name in ("a", "b")}
    tickets = [begin(ref=client.workflow_run("7350", "42").ref) for client in clients.values()]
    async with Poller() as poller:
        for ticket in tickets:
            assert "pat_" not in ticket.encode() + repr(ticket)
            end = await poll_slice(
                poller,
                lambda ref: clients[ref.account or ""].task(ref),
                Ticket.decode(ticket.encode()),
                clock=now,
            )
            assert isinstance(end, Done)
            assert end.error is None
        asked = [request.headers["Authorization"] for request in transport.requests]
        assert asked == ["Bearer pat_a", "Bearer pat_b"]
        for ticket, error, reason in (
            (tickets[0], ValueError, "of the account 'a', and this client asks as 'b'"),
            (begin(), LookupError, "no client for 'fake', only coze"),
            (begin(ref=TaskRef("coze", "no_such_kind", {})), ValueError, "not a task of Coze"),
        ):
            with pytest.raises(error, match=reason):
                await poll_slice(poller, {"coze": clients["b"]}, ticket, clock=now)


async def test_a_ticket_that_no_worker_can_hold_ends_at_its_deadline() -> None:
    """Its error names the reason; before the deadline the reason is raised."""

    def broken(_: TaskRef) -> Job:
        raise OSError("the table of clients is away")

    cases: list[tuple[TaskOf, str]] = [
        ({}, "LookupError: fake job 7: this worker has no client for 'fake', only none"),
        (broken, "OSError: the table of clients is away"),
        (lambda _: cast("Job", object()), "TypeError: .*pass a task"),
        (lambda _: Job(RuntimeError("its pool is closed")), "RuntimeError: its pool is closed"),
    ]
    async with Poller() as poller:
        for task_of, reason in cases:
            ticket = begin(timeout=100)
            await anyio.sleep(99)
            with pytest.raises((LookupError, OSError, TypeError, RuntimeError)):
                await poll_slice(poller, task_of, ticket, clock=now)
            await anyio.sleep(1)
            end = await poll_slice(poller, task_of, ticket, clock=now)
            assert isinstance(end, TicketExpired)
            assert re.search(
                rf"^fake job 7 has not ended by its deadline, 100 s after its wait began "
                rf"\(0 polls, this worker could not hold it: {reason}",
                str(end.error),
            )
            assert (end.error.elapsed, end.ticket, end.state) == (100, ticket, None)


# --- learning -----------------------------------------------------------------------------------


def taught() -> LearnedSchedule:
    """Return a schedule that knows that such jobs take some 310 s."""
    schedule = LearnedSchedule()
    for number in range(100):
        schedule.observe(300.0 + number / 5, kind="fake.job")
    return schedule


async def looks_and_lesson(
    ends: float, wait: Callable[[Poller, Job], Awaitable[object]]
) -> tuple[list[float], float | None]:
    """Return when a job is looked at that takes so long, and how long such jobs take then."""
    schedule, began = taught(), anyio.current_time()
    job = Job(ends_at(began + ends))
    async with Poller(schedule=schedule, rng=Random(3)) as poller:
        await wait(poller, job)
    return [sent - began for sent in job.sent], schedule.quantile(0.01, "fake.job")


async def in_slices(poller: Poller, job: Job) -> object:
    """Wait for a job in slices of a minute."""
    ticket = begin(timeout=1000)
    while True:
        end = await poll_slice(poller, lambda _: job, ticket, rng=Random(1), clock=now)
        if not isinstance(end, Handover):
            return end
        ticket = end.ticket
        await anyio.sleep(end.delay)


@pytest.mark.parametrize("ends", [3.0, 200.0, 302.0, 310.0, 400.0])
async def test_slices_look_and_learn_as_one_wait(ends: float) -> None:
    """A look is made when the one before has said, and a job is about as old as its wait."""
    alone, lesson = await looks_and_lesson(ends, lambda poller, job: poller.wait(job, timeout=1000))
    looks, of_slices = await looks_and_lesson(ends, in_slices)
    assert looks == pytest.approx(alone, abs=1.5)
    assert of_slices == pytest.approx(lesson, rel=0.05)


@pytest.mark.parametrize("is_shared", [False, True])
async def test_a_ticket_past_its_deadline_is_looked_at_at_once(*, is_shared: bool) -> None:
    """No silence before such jobs usually end delays the last look, nor another's wait."""
    job, ticket = Job("done"), begin(timeout=3)
    async with Poller(schedule=taught()) as poller:
        await anyio.sleep(2)
        others = [start(poller.wait(job))] if is_shared else []
        await anyio.sleep(2)
        assert isinstance(await poll_slice(poller, lambda _: job, ticket, clock=now), Done)
        assert [await other for other in others] == [Outcome(2, Report("done"))] * len(others)
    assert job.sent == [4]


# --- any number of hand-overs --------------------------------------------------------------------


ENDS = {
    "done": TaskState.SUCCEEDED,
    "broken": TaskState.FAILED,
    "stopped": TaskState.CANCELLED,
    "gone": TaskState.EXPIRED,
    "asks": TaskState.BLOCKED,
}


@given(
    ends=st.floats(0, 2000),
    word=st.sampled_from(sorted(ENDS)),
    hold=st.floats(1, 600),
    latency=st.floats(0, 5),
    seed=st.integers(0, 1000),
    cap=st.sampled_from([2.0, 15.0, 300.0]),
)
@example(ends=1500.0, word="done", hold=1.0, latency=0.0, seed=0, cap=15.0)
def test_any_number_of_hand_overs_gives_the_same_end(
    ends: float, word: str, hold: float, latency: float, seed: int, cap: float
) -> None:
    """However it is cut up, its end is that of one wait, for as many polls within a twentieth."""
    schedule = Schedule(cap=cap)

    async def run() -> None:
        job, rng = Job(ends_at(ends, word)), Random(seed)
        engine = Engine(hold=hold, schedule=schedule, latency=latency, rng=rng)
        end = await engine.run(job, begin(timeout=3000))
        assert isinstance(end, Done)
        assert end.state is ENDS[word]
        # Seen within a gap of the schedule after it ended, and what the engine and a slice add.
        elapsed = anyio.current_time()
        assert elapsed <= ends + cap + latency + 0.01
        if hold >= 20:
            alone = Job(ends_at(elapsed + ends))
            async with Poller(schedule=schedule, rng=Random(seed)) as poller:
                await poller.wait(alone, timeout=3000)
            assert len(job.polls) <= 1.05 * len(alone.polls) + 3

    run_virtual(run)


@given(jumps=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), seed=st.integers(0, 100))
def test_clocks_that_jump_lose_no_wait(jumps: list[float], seed: int) -> None:
    """Wall clocks that differ neither lose a wait nor stretch it; what has ended is looked at."""

    async def run() -> None:
        engine = Engine(rng=Random(seed))
        shift = 0.0
        engine.clock = lambda: now() + shift
        job = Job("done")
        running = Job("running")
        for which in (running, job):
            ticket = begin(timeout=600)
            for jump in jumps:
                shift = jump
                end = await engine.slice(which, ticket)
                if not isinstance(end, Handover):
                    break
                assert 0 <= end.delay <= 600
                ticket = end.ticket
            else:
                shift = 0.0
                end = await engine.run(which, ticket)
            assert type(end) is (TicketExpired if which is running else Done)

    run_virtual(run)
