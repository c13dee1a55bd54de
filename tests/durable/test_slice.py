"""Durable waits without an engine: tickets, and slices that hand them from worker to worker."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

from asyncclient import Done, Observation, Poller, Schedule, TaskRef, TaskState
from asyncclient._durable import Handover, Ticket, TicketExpired, poll_slice
from asyncclient._http import Request, Response
from asyncclient.errors import (
    AuthenticationFailed,
    ServerError,
    TaskBlocked,
    TaskFailed,
    WaitTimeout,
)
from asyncclient.integrations._outcome import Outcome, outcome_of
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply, run_virtual
from tests.many.service import Item, Service
from tests.waiting.scenario import REF, Job, Report, ends_at

EPOCH = 1_763_780_000.0  # Unix time at which the loop's clock shows 0


def now() -> float:
    """Give the Unix time of the virtual clock."""
    return EPOCH + anyio.current_time()


def begin(timeout: float = 600.0, ref: TaskRef = REF) -> Ticket:
    """Make a ticket by the virtual clock."""
    return Ticket.begin(ref, timeout=timeout, clock=now)


@dataclass
class Engine:
    """The least that an engine does: it keeps a ticket's text, and gives it to one worker a time.

    Args:
        hold: seconds of each slice.
        schedule: of every worker's poller.
        latency: seconds by which it gives a ticket later than asked.
        rng: draws the jitter.

    Attributes:
        slices: how many there were.
        sent: what each slice's poller had polled.
    """

    hold: float = 60.0
    schedule: Schedule = field(default_factory=Schedule)
    latency: float = 0.0
    rng: Random = field(default_factory=lambda: Random(1))
    slices: int = 0
    clock: Callable[[], float] = now

    async def slice(self, job: Job, ticket: Ticket) -> Done[object] | TicketExpired | Handover:
        """Hold the wait once, in a worker of its own."""
        self.slices += 1
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


# --- the ticket ---------------------------------------------------------------------------------


def test_a_ticket_survives_its_text() -> None:
    """What is written is what is read, with the version in it."""
    ticket = Ticket(REF, EPOCH + 60.5, int(EPOCH), polls=7, seen=int(EPOCH) + 3)
    assert Ticket.decode(ticket.encode()) == ticket
    assert Ticket.decode(ticket.encode().encode()) == ticket
    assert ticket.encode().endswith('"v":2}')
    first = ticket.encode().replace('"v":2', '"v":1').replace('"account":null,', "")
    assert Ticket.decode(first) == ticket


def test_a_ticket_is_small_with_the_longest_reference_that_is_allowed() -> None:
    """With a reference of 299 bytes, years of polls and every field, it is under 400 bytes."""
    ref = TaskRef("copyai", "workflow_run", {"workflow_id": "", "run_id": "x"}, int(EPOCH))
    room = 299 - len(msgspec.json.encode(ref))
    ref = TaskRef(ref.provider, ref.kind, {"workflow_id": "w" * room, "run_id": "x"}, ref.created)
    assert len(msgspec.json.encode(ref)) == 299
    ticket = Ticket(ref, EPOCH + 0.123, int(EPOCH), polls=9_999_999, seen=int(EPOCH))
    assert len(ticket.encode()) < 400


def test_a_clock_that_is_behind_does_not_stretch_a_wait() -> None:
    """A worker whose clock shows a time before the wait began has no more of it than all."""
    ticket = begin_at_rest()
    assert ticket.left(EPOCH + 100) == 500
    assert ticket.left(EPOCH - 10_000) == 600


def test_a_ticket_bears_no_secret() -> None:
    """A ticket made of a provider's handle has neither its token nor its key in it."""
    coze = Coze(ScriptedTransport(), token="pat_SECRET")
    copyai = CopyAI(ScriptedTransport(), api_key="key_SECRET")
    for ref in (coze.workflow_run("7350", "42").ref, copyai.workflow_run("WCFG-1", "WRUN-1").ref):
        ticket = Ticket.begin(ref)
        assert "SECRET" not in ticket.encode()
        assert "SECRET" not in repr(ticket)


@pytest.mark.parametrize(
    ("timeout", "error"),
    [
        *((timeout, ValueError) for timeout in (0, -1, math.inf, math.nan)),
        *((timeout, TypeError) for timeout in ("60", True, None)),
    ],
)
def test_a_timeout_that_cannot_be_makes_no_ticket(timeout: float, error: type[Exception]) -> None:
    """A wait that would end at once, or never, is refused before it is kept."""
    with pytest.raises(error, match="timeout"):
        Ticket.begin(REF, timeout=timeout)


def test_what_is_no_ticket_is_refused_with_the_reason() -> None:
    """A text of another kind, of a later version, or too long a reference says what to do."""
    good = begin_at_rest()
    with pytest.raises(ValueError, match=r"version 3.*update the workers"):
        Ticket.decode(good.encode().removesuffix('"v":2}') + '"v":3}')
    with pytest.raises(ValueError, match="a task reference of version 9"):
        Ticket.decode(good.encode().replace('"v":2}', '"v":9}', 1))
    for text in ("", "{}", "[]", "nonsense", '{"v":1}', good.encode()[:-1], b"\xff", "[" * 10_000):
        with pytest.raises(ValueError, match="ticket"):
            Ticket.decode(text)
    with pytest.raises(TypeError, match="int"):
        Ticket.decode(7)
    with pytest.raises(ValueError, match="under 300"):
        Ticket.begin(TaskRef("coze", "chat", {"chat_id": "9" * 400}))


def begin_at_rest() -> Ticket:
    """Make a ticket without a loop."""
    return Ticket.begin(REF, timeout=600, clock=lambda: EPOCH)


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
        (("running", "broken"), TaskFailed, TaskState.FAILED),
        (("running", "asks"), TaskBlocked, TaskState.BLOCKED),
        ((AuthenticationFailed("no", status=401),), AuthenticationFailed, None),
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
        engine = Engine(hold=10, schedule=schedule)
        job = Job("running", "running", "asks", latency=9)
        end = await engine.run(job, begin())
        assert isinstance(end, Done)
        assert isinstance(end.error, TaskBlocked)


async def test_a_slice_ends_after_about_its_hold() -> None:
    """Slices are spread by a fifth of the hold, so that those that begin together do not end so."""
    ends: list[float] = []
    async with Poller() as poller:
        for seed in range(40):
            began = anyio.current_time()
            rng = Random(seed)
            end = await poll_slice(poller, lambda _: Job("running"), begin(), rng=rng, clock=now)
            assert isinstance(end, Handover)
            ends.append(anyio.current_time() - began)
    assert 48 - 0.01 <= min(ends) < 52
    assert 68 < max(ends) <= 72 + 0.01


async def test_a_handed_back_ticket_keeps_the_pace() -> None:
    """The next poll is due when it would have been, and the gaps do not begin anew."""
    engine = Engine()
    job = Job("running")
    end = await engine.slice(job, begin())
    assert isinstance(end, Handover)
    assert end.state is TaskState.RUNNING
    assert end.ticket.polls == len(job.polls)
    assert 0 <= end.delay <= 15
    await anyio.sleep(end.delay)
    assert isinstance(await engine.slice(job, end.ticket), Handover)
    assert min(job.gaps[8:]) > 11  # 15 s less the jitter's 20 %: no gap is short again
    assert len(job.polls) < 16


async def test_a_gap_longer_than_the_slice_is_parked_at_once() -> None:
    """Where the schedule or the provider asks for ten minutes, nothing is held for one."""
    slow = Schedule(first=600, factor=1, cap=600, jitter=0)
    for job, schedule in ((Job("running"), slow), (Job(Report("running", hint=600)), Schedule())):
        began = anyio.current_time()
        end = await Engine(schedule=schedule).slice(job, begin(timeout=86_400))
        assert anyio.current_time() == began
        assert isinstance(end, Handover)
        assert end.delay == pytest.approx(600)
        assert len(job.polls) == 1


async def test_a_parked_ticket_is_taken_up_at_its_deadline() -> None:
    """No delay leads past the deadline, on which the last look falls."""
    job = Job(Report("running", hint=600), ends_at(100.0))
    engine = Engine()
    end = await engine.slice(job, begin(timeout=100))
    assert isinstance(end, Handover)
    assert end.delay == pytest.approx(100)
    await anyio.sleep(end.delay)
    done = await engine.slice(job, end.ticket)
    assert isinstance(done, Done)
    assert done.state is TaskState.SUCCEEDED


async def test_the_last_look_falls_on_the_deadline() -> None:
    """A task that ends just before the deadline is done, one that ends just after it expires."""
    for ends, kind in ((299.9, Done), (300.1, TicketExpired)):
        began = anyio.current_time()
        job = Job(ends_at(began + ends))
        end = await Engine().run(job, begin(timeout=300))
        assert type(end) is kind
        assert job.sent[-1] - began == pytest.approx(300, abs=0.01)


async def test_an_expired_ticket_tells_the_whole_wait() -> None:
    """Its error has the polls and the seconds of all slices, and the last answer."""
    job = Job("running")
    end = await Engine().run(job, begin(timeout=300))
    assert isinstance(end, TicketExpired)
    assert (end.error.polls, end.ticket.polls) == (len(job.polls), len(job.polls))
    assert end.error.elapsed == pytest.approx(300, abs=1)
    assert end.error.ref == REF
    assert "300 s" in str(end.error)
    assert "running" in str(end.error)
    assert end.state is TaskState.RUNNING


async def test_a_ticket_left_lying_past_its_deadline_gets_one_look() -> None:
    """After a long outage of all workers, what ended in time is not reported as expired."""
    for job, kind in ((Job("done", latency=20), Done), (Job("running"), TicketExpired)):
        ticket = begin(timeout=100)
        await anyio.sleep(5000)
        end = await Engine().slice(job, ticket)
        assert type(end) is kind
        assert len(job.polls) == 1


async def test_a_last_look_that_fails_is_made_again_and_then_told() -> None:
    """A provider that is down at the very end: the error is in the expiry's words."""
    ticket = begin(timeout=100)
    await anyio.sleep(200)
    end = await Engine().slice(Job(ServerError("down", status=502), "done"), ticket)
    assert isinstance(end, Done)
    down = Job(ServerError("the provider is down", status=502))
    end = await Engine().slice(down, ticket)
    assert isinstance(end, TicketExpired)
    assert len(down.polls) > 1


async def test_an_outage_ends_no_ticket() -> None:
    """A provider that fails for ten minutes ends a plain wait, but not a durable one."""
    fault = ServerError("down", status=503)
    job = Job(lambda when: fault if when < 600 else Report("done"))
    end = await Engine(hold=300).run(job, begin(timeout=3600))
    assert isinstance(end, Done)
    assert end.state is TaskState.SUCCEEDED


async def test_a_wait_beside_it_shares_the_polls() -> None:
    """Two tickets and a plain wait for one task on one worker cost the polls of one."""
    job = Job(ends_at(20.0))
    async with Poller(rng=Random(1)) as poller:
        ends = await asyncio.gather(
            poll_slice(poller, lambda _: job, begin(), clock=now),
            poll_slice(poller, lambda _: job, begin(), clock=now),
            poller.wait(job),
        )
    assert [type(end) for end in ends] == [Done, Done, Report]
    alone = Job(ends_at(20.0 + anyio.current_time()))
    async with Poller(rng=Random(1)) as poller:
        await poller.wait(alone)
    assert len(job.polls) == len(alone.polls)


async def test_a_slice_that_shares_its_task_goes_on_with_others() -> None:
    """When the slice that polls is handed back, the polls go on for those who still wait."""
    job = Job(ends_at(90.0))
    async with Poller() as poller:
        short, long, plain = await asyncio.gather(
            poll_slice(poller, lambda _: job, begin(), hold=10, clock=now),
            poll_slice(poller, lambda _: job, begin(), hold=40, clock=now),
            poller.wait(job),
        )
    assert isinstance(short, Handover)
    assert isinstance(long, Handover)
    assert plain == Report("done")
    assert 0 < short.ticket.polls < long.ticket.polls < len(job.polls)


async def test_a_poll_under_way_at_the_slices_end_is_answered() -> None:
    """An answer that is on its way is not thrown away: here it is the end."""
    job = Job("running", "done", latency=(0, 8))
    async with Poller(schedule=Schedule(first=57, cap=57, jitter=0)) as poller:
        end = await poll_slice(poller, lambda _: job, begin(), rng=_Middle(), clock=now)
    assert isinstance(end, Done)
    hangs = Job("running", latency=math.inf)
    async with Poller() as poller:
        end = await poll_slice(poller, lambda _: hangs, begin(), rng=_Middle(), clock=now)
        assert isinstance(end, Handover)
        assert poller.stats().pending == 0


class _Middle(Random):
    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


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
    """A worker that goes down raises, and says nothing about the task."""
    poller = Poller()

    async def close() -> None:
        await anyio.sleep(5)
        await poller.aclose()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(close())
        with pytest.raises(RuntimeError, match="closed"):
            await poll_slice(poller, lambda _: Job("running"), begin(), clock=now)


async def test_a_worker_without_the_client_says_which_one_it_lacks() -> None:
    """A ticket of another provider is no end of its wait: the worker's set-up is wrong."""
    clients = {"coze": Coze(ScriptedTransport(), token="pat_fake")}
    async with Poller() as poller:
        with pytest.raises(LookupError, match="no client for 'fake', only coze"):
            await poll_slice(poller, clients, begin(), clock=now)
        ref = TaskRef("coze", "no_such_kind", {})
        with pytest.raises(ValueError, match="not a task of Coze"):
            await poll_slice(poller, clients, begin(ref=ref), clock=now)


# --- any number of hand-overs --------------------------------------------------------------------


@settings(max_examples=50)
@given(
    ends=st.floats(0, 5000),
    word=st.sampled_from(["done", "broken", "stopped", "gone", "asks"]),
    hold=st.floats(1, 600),
    latency=st.floats(0, 5),
    seed=st.integers(0, 1000),
)
@example(ends=4000.0, word="done", hold=1.0, latency=0.0, seed=0)
def test_any_number_of_hand_overs_gives_the_same_end(
    ends: float, word: str, hold: float, latency: float, seed: int
) -> None:
    """However the wait is cut up, its state is that of an uninterrupted wait."""

    async def run() -> None:
        end = await Engine(hold=hold, latency=latency, rng=Random(seed)).run(
            Job(ends_at(ends, word)), begin(timeout=6000)
        )
        assert isinstance(end, Done)
        assert (
            end.state
            is {
                "done": TaskState.SUCCEEDED,
                "broken": TaskState.FAILED,
                "stopped": TaskState.CANCELLED,
                "gone": TaskState.EXPIRED,
                "asks": TaskState.BLOCKED,
            }[word]
        )
        # Seen within a gap of the schedule after it ended, and what the engine and a slice add.
        assert anyio.current_time() <= ends + 15 + latency + 0.01

    run_virtual(run)


@settings(max_examples=30)
@given(
    ends=st.floats(0, 2500),
    hold=st.floats(20, 600),
    seed=st.integers(0, 1000),
    cap=st.sampled_from([2.0, 15.0, 300.0]),
)
def test_hand_overs_cost_few_polls(ends: float, hold: float, seed: int, cap: float) -> None:
    """The polls of all slices are those of one wait, give or take the jitter and one in twenty."""
    schedule = Schedule(cap=cap)

    async def run() -> None:
        job, alone = Job(ends_at(ends)), Job(ends_at(ends))
        await Engine(hold=hold, schedule=schedule, rng=Random(seed)).run(job, begin(timeout=6000))
        elapsed = anyio.current_time()
        async with Poller(schedule=schedule, rng=Random(seed)) as poller:
            alone = Job(ends_at(elapsed + ends))
            await poller.wait(alone, timeout=6000)
        assert len(job.polls) <= 1.05 * len(alone.polls) + 3

    run_virtual(run)


@given(
    ends=st.floats(0, 2000),
    kills=st.lists(st.floats(0, 100), max_size=20),
    seed=st.integers(0, 1000),
)
def test_a_killed_worker_loses_no_wait(ends: float, kills: list[float], seed: int) -> None:
    """Cut off at any moments and redelivered after 30 s, a wait still ends in its right state."""

    async def run() -> None:
        engine = Engine(rng=Random(seed))
        job = Job(ends_at(ends))
        ticket = begin(timeout=10_000)
        for kill in kills:
            with anyio.move_on_after(kill):
                end = await engine.slice(job, ticket)
                if isinstance(end, Done):
                    break
                assert isinstance(end, Handover)
                await anyio.sleep(end.delay)
                ticket = end.ticket
            await anyio.sleep(30)
        end = await engine.run(job, ticket)
        assert isinstance(end, Done)
        assert end.state is TaskState.SUCCEEDED

    run_virtual(run)


@given(jumps=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), seed=st.integers(0, 100))
def test_clocks_that_jump_lose_no_wait(jumps: list[float], seed: int) -> None:
    """Wall clocks that differ from worker to worker neither lose a wait nor stretch it for ever.

    What has ended is never told as expired, since each end is looked at.
    """

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


# --- what is written down -----------------------------------------------------------------------


async def test_an_outcome_is_plain_json() -> None:
    """How a wait ended can be read by those who have neither the task nor its types."""
    ticket = begin()
    end = await Engine().slice(Job("done"), ticket)
    assert isinstance(end, Done)
    outcome = outcome_of(ticket, end, clock=now)
    assert Outcome.decode(outcome.encode()) == outcome
    assert outcome.how == "done"
    assert outcome.result == msgspec.to_builtins(Report("done"))
    failed = await Engine().slice(Job(Report("broken", reason="out of tea")), ticket)
    assert isinstance(failed, Done)
    outcome = outcome_of(ticket, failed, clock=now)
    assert (outcome.state, outcome.result) == (TaskState.FAILED, None)
    assert (outcome.error_type, "out of tea" in (outcome.error or "")) == ("TaskFailed", True)
    expired = await Engine().run(Job("running"), begin(timeout=10))
    assert isinstance(expired, TicketExpired)
    assert isinstance(expired.error, WaitTimeout)
    assert outcome_of(ticket, expired, clock=now).how == "expired"


async def test_a_look_that_broke_off_is_no_answer_for_a_ticket_past_its_deadline() -> None:
    """The last look is cancelled by something of its own: it is made again, and sees the end."""

    class Broken(Job):
        async def observe(self) -> Observation[Report]:
            seen = await super().observe()
            if len(self.polls) == 1:
                raise asyncio.CancelledError
            return seen

    ticket = begin(timeout=10)
    await anyio.sleep(20)
    end = await Engine().slice(Broken("done"), ticket)
    assert isinstance(end, Done)
    assert end.error is None
    assert end.polls == 1


async def test_a_look_that_hangs_over_the_end_of_its_slice_is_counted() -> None:
    """The ticket's polls are the requests that were made, those that were broken off included."""
    job = Job("running", latency=[0.0, math.inf])
    schedule = Schedule(first=5, factor=1, cap=5, jitter=0)
    end = await Engine(hold=10, schedule=schedule).slice(job, begin())
    assert isinstance(end, Handover)
    assert end.ticket.polls == len(job.polls) == 2


async def test_a_ticket_finds_the_client_of_its_account() -> None:
    """The reference names the tenant: each wait is held with its own client, and no other's."""
    asked: list[str] = []

    class ByToken:
        async def exchange(self, request: Request, /) -> Response:
            await anyio.lowlevel.checkpoint()
            asked.append(request.headers["Authorization"])
            return reply({"code": 0, "data": [{"execute_status": "Success", "output": "{}"}]})

    clients = {name: Coze(ByToken(), token=f"pat_{name}", account=name) for name in ("a", "b")}
    tickets = [begin(ref=client.workflow_run("7350", "42").ref) for client in clients.values()]
    async with Poller() as poller:
        for ticket in tickets:
            end = await poll_slice(
                poller,
                lambda ref: clients[ref.account or ""].task(ref),
                Ticket.decode(ticket.encode()),
                clock=now,
            )
            assert isinstance(end, Done)
            assert end.error is None
        assert asked == ["Bearer pat_a", "Bearer pat_b"]
        with pytest.raises(ValueError, match="of the account 'a', and this client asks as 'b'"):
            await poll_slice(poller, {"coze": clients["b"]}, tickets[0], clock=now)
