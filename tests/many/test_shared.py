"""Many waits for one task: one poll, and to each its own timeout, cancellation and error."""

from __future__ import annotations

import asyncio
import math

import pytest

from asyncclient import Poller, Schedule
from asyncclient._many import Receiver
from asyncclient.errors import (
    InvalidRequest,
    NotFound,
    RateLimited,
    TaskBlocked,
    TaskExpired,
    TaskFailed,
    WaitTimeout,
)
from tests.many.service import Item, Service, job, start, start_all, turns
from tests.waiting.scenario import Job, Report, ends_at, other_tasks

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
EVERY_TEN = Schedule(first=10, factor=1, cap=10, jitter=0)


class KeywordError(Exception):
    """An error that cannot be made again from its text alone, as some HTTP libraries have."""

    def __init__(self, text: str, *, request: str) -> None:
        super().__init__(text)
        self.request = request


async def test_many_waits_make_one_poll_a_time() -> None:
    """However many wait for a task, it is asked about as often as for one."""
    lone, shared = Item(Service(), "lone", 7.5), Item(Service(), "shared", 7.5)
    async with Poller(schedule=EVERY_SECOND) as poller, Poller(schedule=EVERY_SECOND) as other:
        waits = start_all(poller, [shared] * 50)
        one = await start(other.wait(lone))
        many = await asyncio.gather(*waits)
    assert {outcome.result for outcome in many} == {"done"}
    assert shared.sent == lone.sent
    assert {outcome.elapsed for outcome in many} == {one.elapsed}


async def test_equal_keys_are_one_task() -> None:
    """Different objects with the same key share one poll, and all of them get its answer."""
    service = Service()
    objects = [Item(service, ("fake", 7), 5) for _ in range(10)]
    async with Poller(schedule=EVERY_SECOND) as poller:
        waits = start_all(poller, objects)
        await asyncio.sleep(0.5)
        assert poller.stats().pending == 1
        assert poller.stats().waiters == 10
        outcomes = await asyncio.gather(*waits)
    assert [outcome.result for outcome in outcomes] == ["done"] * 10
    assert len(service.sent) == 6


async def test_different_keys_are_different_tasks() -> None:
    """Tasks with different keys are polled apart."""
    service = Service()
    async with Poller(schedule=EVERY_SECOND) as poller:
        await asyncio.gather(*start_all(poller, [Item(service, 1, 0), Item(service, 2, 0)]))
    assert len(service.sent) == 2


async def test_each_wait_has_its_own_timeout() -> None:
    """Waits for one task end each on its own deadline, and the others go on."""
    task = Item(Service(), ends=30)
    async with Poller(schedule=EVERY_SECOND) as poller:
        waits = [start(poller.wait(task, timeout=timeout)) for timeout in (2.25, 7.75, 100)]
        short, middle, long = await asyncio.gather(*waits)
    assert isinstance(short.error, WaitTimeout)
    assert isinstance(middle.error, WaitTimeout)
    assert (short.elapsed, middle.elapsed) == pytest.approx((2.25, 7.75))
    assert long.result == "done"


async def test_each_wait_has_its_own_cancellation() -> None:
    """One wait that is cancelled takes neither the others nor a poll under way with it."""
    task = Item(Service(latency=0.5), ends=5)
    async with Poller(schedule=EVERY_SECOND) as poller:
        doomed, other = start_all(poller, [task, task])
        await asyncio.sleep(0.25)
        doomed.cancel()
        await turns()
        assert doomed.cancelled()
        assert poller.stats().in_flight == 1
        assert (await other).result == "done"
    assert task.sent == pytest.approx([0, 1, 2, 3, 4, 5])


async def test_the_last_one_out_stops_the_polling() -> None:
    """When no one waits any longer, the task is not asked about again."""
    task = Item(Service())
    async with Poller(schedule=EVERY_SECOND) as poller:
        waits = start_all(poller, [task, task])
        await asyncio.sleep(2.5)
        waits[0].cancel()
        await asyncio.sleep(2)
        waits[1].cancel()
        await turns()
        assert poller.stats().pending == 0
        await asyncio.sleep(60)
    assert len(task.sent) == 5


async def test_the_last_one_out_cancels_the_poll_under_way() -> None:
    """A poll whose answer no one waits for is cut short, and its place is free again."""
    service = Service(latency=math.inf)
    before = other_tasks()
    async with Poller(concurrency=1) as poller:
        waits = start_all(poller, [Item(service)] * 2)
        await asyncio.sleep(1)
        assert service.in_flight == 1
        for wait in waits:
            wait.cancel()
        await turns()
        assert service.in_flight == 0
        assert poller.stats().in_flight == 0
        assert other_tasks() == before
        service.latency = 0.0
        assert await poller.wait(Item(service, "next", 0), timeout=5) == "done"


async def test_a_poll_that_has_not_begun_gives_its_place_back() -> None:
    """A wait that is left between the start of its poll and its first step keeps no place."""
    task, other = job("left"), job("other", "done")
    async with Poller(schedule=EVERY_SECOND, concurrency=1) as poller:
        doomed: list[asyncio.Task[Report]] = []

        def leave() -> None:
            doomed[0].cancel()

        # In the same turn in which the second poll is sent, and before it.
        asyncio.get_running_loop().call_at(1.0, leave)
        doomed.append(asyncio.get_running_loop().create_task(poller.wait(task)))
        await asyncio.sleep(2)
        assert poller.stats().in_flight == 0
        assert [budget.in_flight for budget in poller.stats().budgets] == [0]
        assert (await poller.wait(other, timeout=5)).word == "done"


async def test_a_wait_may_begin_again_at_once() -> None:
    """A task that was just left is taken up again, polled at once, and never twice at a time."""
    task = Item(Service(latency=0.5), ends=3)
    async with Poller(schedule=EVERY_SECOND) as poller:
        doomed = start(poller.wait(task))
        await asyncio.sleep(0.25)
        doomed.cancel()
        await turns()
        assert await poller.wait(task) == "done"
    assert task.sent[:2] == pytest.approx([0, 0.25])


async def test_a_joiner_gets_the_last_poll_on_its_own_deadline() -> None:
    """One who joins with an earlier deadline sees an end that comes just before it."""
    task = Item(Service(), ends=4.9)
    async with Poller(schedule=EVERY_TEN) as poller:
        first = start(poller.wait(task, timeout=100))
        await asyncio.sleep(2)
        joiner = await start(poller.wait(task, timeout=3))
        assert joiner.result == "done"
        assert joiner.elapsed == pytest.approx(3)
        assert (await first).result == "done"
    assert task.sent == pytest.approx([0, 5])


async def test_a_joiner_that_gives_up_leaves_the_schedule_to_the_others() -> None:
    """After a joiner's last poll the first wait is polled on, up to its own deadline."""
    task = Item(Service())
    async with Poller(schedule=EVERY_TEN) as poller:
        first = start(poller.wait(task, timeout=27))
        await asyncio.sleep(2)
        joiner = await start(poller.wait(task, timeout=3))
        assert isinstance(joiner.error, WaitTimeout)
        assert joiner.elapsed == pytest.approx(3)
        assert isinstance((await first).error, WaitTimeout)
    assert task.sent == pytest.approx([0, 5, 15, 25, 27])


async def test_a_joiner_gets_the_last_snapshot() -> None:
    """One who joins between two polls has the last answer as evidence at once."""
    task = Item(Service())
    async with Poller(schedule=EVERY_TEN) as poller:
        first = start(poller.wait(task, timeout=100))
        await asyncio.sleep(2)
        task.service.latency = math.inf
        joiner = await start(poller.wait(task, timeout=1))
        assert joiner.evidence.snapshot is not None
        assert joiner.evidence.snapshot.word == "running"
        first.cancel()


async def test_a_joiner_does_not_hasten_the_polls() -> None:
    """Those who join a task with time enough cost no poll."""
    task = Item(Service(), ends=35)
    async with Poller(schedule=EVERY_TEN) as poller:
        waits = start_all(poller, [task])
        for _ in range(9):
            await asyncio.sleep(1)
            waits += start_all(poller, [task])
        await asyncio.gather(*waits)
    assert task.sent == pytest.approx([0, 10, 20, 30, 40])


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("broken", TaskFailed),
        ("asks", TaskBlocked),
        (InvalidRequest("no", status=400, code=4000, message="bad id"), InvalidRequest),
        (ValueError("odd"), ValueError),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "odd"), UnicodeDecodeError),
        (KeywordError("odd", request="GET /"), KeywordError),
    ],
    ids=["failed", "blocked", "refused", "builtin", "many-arguments", "keyword-arguments"],
)
async def test_each_wait_gets_an_error(said: str | Exception, kind: type[Exception]) -> None:
    """Everyone who waits gets the error at the same moment, whatever class it is of."""
    task = job("bad", said, latency=1)
    async with Poller() as poller:
        waits = [start(poller.wait(task, timeout=30)) for _ in range(3)]
        outcomes = await asyncio.gather(*waits)
        assert [type(outcome.error) for outcome in outcomes] == [kind] * 3
        assert [outcome.elapsed for outcome in outcomes] == pytest.approx([1] * 3)
        assert poller.stats().pending == 0


async def test_errors_of_several_waits_are_separate() -> None:
    """Each gets an error object of its own, with its own seconds and all of the evidence."""
    task = Job("running", Report("broken", reason="no tea"))
    async with Poller(schedule=EVERY_TEN) as poller:
        first = start(poller.wait(task))
        await asyncio.sleep(4)
        second = start(poller.wait(task))
        early, late = await first, await second
    assert early.error is not late.error
    assert (early.evidence.elapsed, late.evidence.elapsed) == pytest.approx((10, 6))
    for outcome in (early, late):
        assert isinstance(outcome.error, TaskFailed)
        assert "no tea" in str(outcome.error)
        assert outcome.evidence.polls == 2
        assert outcome.evidence.ref == task.ref
        assert outcome.evidence.snapshot is not None


async def test_a_note_on_one_error_is_on_no_other() -> None:
    """What one waiter notes on its error stays out of the others'."""
    task = job("bad", InvalidRequest("no", status=400))
    async with Poller() as poller:
        outcomes = await asyncio.gather(*(start(poller.wait(task)) for _ in range(2)))
    one, other = (outcome.evidence for outcome in outcomes)
    one.add_note("mine")
    assert "mine" not in other.__notes__


async def test_each_error_has_its_cause() -> None:
    """The cause of an end is given to everyone, not to the first only."""
    task = job("gone", NotFound("no such run", status=404))
    async with Poller(schedule=EVERY_SECOND) as poller:
        outcomes = await asyncio.gather(*(start(poller.wait(task)) for _ in range(2)))
    for outcome in outcomes:
        assert isinstance(outcome.error, TaskExpired)
        assert isinstance(outcome.error.__cause__, NotFound)


async def test_a_poll_that_one_gave_up_on_is_no_failed_poll_of_the_others() -> None:
    """A poll that outlasts one deadline and is answered later is no failed poll of any other."""
    task = Job("running", latency=[0.0, 5.0, 0.0])
    async with Poller(schedule=EVERY_SECOND) as poller:
        waits = [start(poller.wait(task, timeout=timeout)) for timeout in (2.0, 20.0)]
        short, long = await asyncio.gather(*waits)
    assert short.evidence.last_error is not None
    assert long.evidence.last_error is None
    assert long.evidence.polls == len(task.polls)


async def test_a_wait_that_is_cut_off_says_one_number_of_polls() -> None:
    """The look that was not answered counts for the wait that ends, in its error and its end."""
    task = Job("running", latency=[0.0, 50.0])
    async with Poller(schedule=EVERY_SECOND) as poller:
        other = start(poller.wait(task, timeout=20.0))
        async for done in poller.as_done([task], timeout=2.0):
            assert isinstance(done.error, WaitTimeout)
            assert done.polls == done.error.polls == 2
        other.cancel()


async def test_a_closed_poller_takes_nothing_in() -> None:
    """A source of tasks that does not stop when the poller is closed gets an error."""
    poller = Poller()
    async with poller:
        await poller.wait(Job("done"))
        polling = poller.running()
    with pytest.raises(RuntimeError, match="this Poller is closed"):
        polling.submit(Job("done"), Receiver(), timeout=1)


async def test_what_the_provider_says_to_one_who_has_left_is_for_all() -> None:
    """A refusal of the account that comes after the first waiter has left is obeyed."""
    task = Job(RateLimited("429", status=429, retry_after=20.0), "done", latency=[1.0, 0.0])
    async with Poller(schedule=EVERY_SECOND) as poller:
        leaver, stayer = start(poller.wait(task)), start(poller.wait(task))
        await asyncio.sleep(0.5)
        leaver.cancel()
        assert (await stayer).elapsed >= 21
        assert poller.stats().errors == 1


async def test_a_hint_longer_than_one_wait_ends_that_wait_only() -> None:
    """A refusal that outlasts one deadline ends that wait at once, and the other waits it out."""
    task = Job(RateLimited("429", status=429, retry_after=20.0), ends_at(0.0))
    async with Poller() as poller:
        waits = [start(poller.wait(task, timeout=timeout)) for timeout in (10.0, 60.0)]
        short, long = await asyncio.gather(*waits)
    assert isinstance(short.error, WaitTimeout)
    assert short.error.retry_after == 20
    assert short.elapsed < 1
    assert long.result == Report("done")
    assert 20 <= long.elapsed <= 22.1
