"""Which of several waits of a blocked task is asked to move it on, and what each gets to see."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
import pytest

from asyncclient import Done, Poller, Snapshot, TaskState, Ticket, poll_slice
from asyncclient.errors import ServerError, TaskBlocked, UnknownStatus, WaitTimeout
from tests.many.service import EVERY_SECOND, start, turns
from tests.waiting.scenario import REF, Job, Notes, Outcome, Report


class Oops(Exception):
    """What a handler raises."""


@dataclass
class Desk:
    """The callers' side of a job that makes demands: who was asked for which, when, and how."""

    demands: list[str | None]  # one after the other; each is over when it was answered
    asked: list[tuple[str, object, float]] = field(default_factory=list[tuple[str, object, float]])
    stays: int = 0  # demands that were answered

    def look(self, _now: float) -> Report:
        """Answer a look."""
        if self.stays == len(self.demands):
            return Report("done")
        return Report("asks", demand=self.demands[self.stays])

    def handler(
        self, who: str, how: Callable[[], Awaitable[None]] | None = None
    ) -> Callable[[Snapshot[Report]], Awaitable[None]]:
        """Make a handler that answers, once something else was awaited."""

        async def handle(snapshot: Snapshot[Report]) -> None:
            self.asked.append((who, snapshot.result.demand, anyio.current_time()))
            if how is not None:
                await how()
            self.stays += 1

        return handle


async def fail() -> None:
    """Fail at once."""
    raise Oops


async def fail_later() -> None:
    """Fail after a while."""
    await anyio.sleep(2.5)
    raise Oops


async def take_long() -> None:
    """Take longer than a few looks."""
    await anyio.sleep(4.5)


async def hang() -> None:
    """Never return."""
    await anyio.sleep_forever()


def errors_of(outcomes: list[Outcome[Report]]) -> list[type[Exception] | None]:
    """Return how waits ended."""
    return [None if outcome.error is None else type(outcome.error) for outcome in outcomes]


# --- who is asked -------------------------------------------------------------------------------

# How each of three waits answers, or "none" without a handler; the timeout of the first; who is
# asked for which demand, and when; and how the three end.
ASKED: dict[
    str,
    tuple[
        list[Callable[[], Awaitable[None]] | str | None],
        list[str | None],
        list[tuple[str, object, float]],
        list[type[Exception] | None],
    ],
] = {
    "the first that can": ([None, None, None], ["a"], [("0", "a", 0)], [None] * 3),
    "the first that has a handler": (["none", None, None], ["a"], [("1", "a", 0)], [None] * 3),
    "once, however long it takes": ([take_long, None, "none"], ["a"], [("0", "a", 0)], [None] * 3),
    "again for the next demand": (
        [None, None, "none"],
        ["a", "b", "c"],
        [("0", "a", 0), ("0", "b", 1), ("0", "c", 2)],
        [None] * 3,
    ),
    "the next when one raises": (
        [fail, None, "none"],
        ["a", "b"],
        [("0", "a", 0), ("1", "a", 0), ("1", "b", 1)],
        [Oops, None, None],
    ),
    "the next when one raises later": (
        [fail_later, None, "none"],
        ["a"],
        [("0", "a", 0), ("1", "a", 2.5)],
        [Oops, None, None],
    ),
    "none, when all have raised": (
        [fail, fail_later, "none"],
        ["a"],
        [("0", "a", 0), ("1", "a", 0)],
        [Oops, Oops, TaskBlocked],
    ),
    "none": (["none"] * 3, ["a"], [], [TaskBlocked] * 3),
    "without a name, once for each stay": ([take_long] * 3, [None], [("0", None, 0)], [None] * 3),
}


@pytest.mark.parametrize(("hows", "demands", "asked", "ends"), ASKED.values(), ids=ASKED)
async def test_one_of_several_is_asked(
    poller: Poller,
    hows: list[Callable[[], Awaitable[None]] | str | None],
    demands: list[str | None],
    asked: list[tuple[str, object, float]],
    ends: list[type[Exception] | None],
) -> None:
    """The first that has a handler is asked, once a demand; the others wait on."""
    desk = Desk(demands)
    job = Job(desk.look)
    waits = [
        start(poller.wait(job))
        if isinstance(how, str)
        else start(poller.wait(job, on_blocked=desk.handler(str(number), how)))
        for number, how in enumerate(hows)
    ]
    outcomes = await asyncio.gather(*waits)
    assert desk.asked == asked
    assert errors_of(outcomes) == ends
    assert job.sent == [float(second) for second in range(len(job.sent))]


async def test_two_stays_without_a_name_are_two_demands(poller: Poller) -> None:
    """The end of a handler answers the stay in which it began, and no later one."""
    asked: list[float] = []
    words = ["asks", "running", "asks", "asks", "asks", "running", "done"]

    async def answer(_snapshot: Snapshot[Report]) -> None:
        asked.append(anyio.current_time())
        await anyio.sleep(2.5)

    await poller.wait(Job(*words), on_blocked=answer)
    assert asked == [0, 2.5]


async def test_a_failed_look_does_not_change_who_is_first(poller: Poller) -> None:
    """The task of the first may be used for looks less often; it is asked before the others."""
    desk = Desk(["a"])
    job = Job(ServerError("503", status=503), ServerError("503", status=503), desk.look)
    waits = [start(poller.wait(job, on_blocked=desk.handler(who))) for who in "abc"]
    await asyncio.gather(*waits)
    assert [who for who, _, _ in desk.asked] == ["a"]


@pytest.mark.parametrize("way", ["cancel", "timeout"])
async def test_a_wait_that_leaves_while_its_handler_runs_hands_on(way: str) -> None:
    """The next one is asked at once; where there is none, the next look says that it is blocked."""
    for others, ends in ((["second"], [None, None]), ([], [TaskBlocked])):
        desk = Desk(["a"])
        job = Job(desk.look)
        began = anyio.current_time()
        async with Poller(schedule=EVERY_SECOND) as poller:
            timeout = 5.5 if way == "timeout" else 600
            leaver = start(poller.wait(job, timeout=timeout, on_blocked=desk.handler("1st", hang)))
            waits = [start(poller.wait(job, on_blocked=desk.handler(who))) for who in others]
            waits.append(start(poller.wait(job)))
            await anyio.sleep(5.5)
            if way == "cancel":
                leaver.cancel()
            outcomes = await asyncio.gather(*waits)
            await asyncio.wait({leaver})
        assert leaver.cancelled() or isinstance(leaver.result().error, WaitTimeout)
        assert errors_of(outcomes) == ends
        asked = [(who, at - began) for who, _, at in desk.asked]
        assert asked == [("1st", 0), *((who, pytest.approx(5.5, abs=0.1)) for who in others)]


async def test_a_wait_that_ends_by_an_error_of_its_own_leaves_the_demand_to_the_next(
    poller: Poller,
) -> None:
    """Its handler is cut off, so that no two callers answer at once."""
    desk = Desk(["a"])
    job = Job(*[desk.look] * 3, "strange", desk.look)
    stopped: list[float] = []

    async def hang_on() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(anyio.current_time())

    handler = desk.handler("strict", hang_on)
    strict = start(poller.wait(job, unknown="raise", on_blocked=handler))
    patient = start(poller.wait(job, on_blocked=desk.handler("patient")))
    assert isinstance((await strict).error, UnknownStatus)
    assert (await patient).error is None
    assert stopped == [3]
    assert [(who, at) for who, _, at in desk.asked] == [("strict", 0), ("patient", 4)]


async def test_what_was_not_come_to_is_handed_on_too(poller: Poller) -> None:
    """One that leaves before its handler was called leaves the demand to the next."""
    desk = Desk(["a"])
    job = Job("running", desk.look)

    async def dawdle(snapshot: Snapshot[Report]) -> None:
        if snapshot.word == "asks":
            await anyio.sleep_forever()

    first = start(poller.wait(job, on_change=dawdle, on_blocked=desk.handler("first")))
    second = start(poller.wait(job, on_blocked=desk.handler("second")))
    await anyio.sleep(1.5)
    first.cancel()
    assert (await second).error is None
    assert desk.asked == [("second", "a", 1.5)]


async def test_one_whose_other_callback_hangs_is_passed_over(poller: Poller) -> None:
    """A demand does not wait for an `on_change` that hangs, where another wait can answer it."""
    desk = Desk(["a"])
    job = Job("running", desk.look)

    async def hang_at_once(_snapshot: Snapshot[Report]) -> None:
        await anyio.sleep_forever()

    first = start(poller.wait(job, on_change=hang_at_once, on_blocked=desk.handler("first")))
    second = await start(poller.wait(job, on_blocked=desk.handler("second")))
    assert second.error is None
    first.cancel()
    assert [who for who, _, _ in desk.asked] == ["second"]


async def test_a_new_demand_does_not_wait_for_a_handler_that_hangs(poller: Poller) -> None:
    """While the first is at work on what is over, another is asked, and is not disturbed."""
    asked: list[tuple[str, object]] = []
    shown = ["a", "b", "b", "b", "b", "b"]
    job = Job(*(Report("asks", demand=name) for name in shown), "done")

    async def first(snapshot: Snapshot[Report]) -> None:
        asked.append(("first", snapshot.result.demand))
        await anyio.sleep(2.5)

    async def second(snapshot: Snapshot[Report]) -> None:
        asked.append(("second", snapshot.result.demand))
        await anyio.sleep(3)

    waits = [start(poller.wait(job, on_blocked=handler)) for handler in (first, second)]
    assert errors_of(await asyncio.gather(*waits)) == [None, None]
    assert asked == [("first", "a"), ("second", "b")]


async def test_a_demand_that_is_over_is_not_put(poller: Poller) -> None:
    """One that its caller did not come to in time, since a callback was slow, is forgotten."""
    desk = Desk([])
    job = Job(Report("asks", demand="a"), "running", "running", "running", "done")

    async def slow(_snapshot: Snapshot[Report]) -> None:
        await anyio.sleep(1.5)

    await poller.wait(job, on_change=slow, on_blocked=desk.handler("first"))
    assert desk.asked == []


async def test_a_demand_on_the_last_look_is_put_to_one_with_time_left() -> None:
    """A wait that is over with this look is not asked; it times out, and so do those beside it."""
    desk = Desk(["a"])
    job = Job("running", desk.look)
    async with Poller(schedule=EVERY_SECOND) as poller:
        waits = [
            start(poller.wait(job, timeout=1, on_blocked=desk.handler("short"))),
            start(poller.wait(job, timeout=1)),
            start(poller.wait(job, timeout=9, on_blocked=desk.handler("long"))),
            start(poller.wait(job, timeout=9)),
        ]
        ends = errors_of(await asyncio.gather(*waits))
    assert ends == [WaitTimeout, WaitTimeout, None, None]
    assert desk.asked == [("long", "a", 1)]
    job = Job("running", Desk(["a"]).look)
    async with Poller(schedule=EVERY_SECOND) as poller:
        waits = [
            start(poller.wait(job, timeout=1, on_blocked=desk.handler("short"))),
            start(poller.wait(job, timeout=9)),
        ]
        assert errors_of(await asyncio.gather(*waits)) == [WaitTimeout, TaskBlocked]
    assert len(desk.asked) == 1


async def test_waits_of_other_kinds_wait_on_while_one_answers(poller: Poller) -> None:
    """An `as_done` and a ticket have no handler, and get the end all the same."""
    desk = Desk(["a", "b"])
    job = Job(desk.look)
    waiting = start(poller.wait(job, on_blocked=desk.handler("first", take_long)))
    await turns()
    ticket = Ticket.begin(REF, clock=anyio.current_time)
    held = start(poll_slice(poller, lambda _: job, ticket, clock=anyio.current_time))
    (done,) = [done async for done in poller.as_done([job])]
    assert (done.state, done.error) == (TaskState.SUCCEEDED, None)
    assert (await waiting).error is None
    end = (await held).result
    assert isinstance(end, Done)
    assert end.state is TaskState.SUCCEEDED
    assert [demand for _, demand, _ in desk.asked] == ["a", "b"]


async def test_a_joiner_does_not_put_a_demand_again(poller: Poller) -> None:
    """One that joins while another answers waits on, and answers what comes after it."""
    desk = Desk(["a", "b"])
    job = Job(desk.look)
    first = start(poller.wait(job, timeout=5.5, on_blocked=desk.handler("first", take_long)))
    await anyio.sleep(1.5)
    second = start(poller.wait(job, on_blocked=desk.handler("second", take_long)))
    assert isinstance((await first).error, WaitTimeout)
    assert (await second).error is None
    assert [(who, demand) for who, demand, _ in desk.asked] == [
        ("first", "a"),
        ("first", "b"),
        ("second", "b"),
    ]


# --- what is seen -------------------------------------------------------------------------------


async def test_changes_wait_for_a_slow_callback() -> None:
    """A callback that outlasts some looks gets each change, in order; of very many the newest."""
    for number, first in ((50, 1), (1000, 901)):
        notes: Notes[Report] = Notes()
        changes = [Report("running", progress=float(each)) for each in range(number)]

        async def slow(snapshot: Snapshot[Report], notes: Notes[Report] = notes) -> None:
            notes(snapshot)
            if snapshot.progress == 0:
                await anyio.sleep(number + 0.5)  # noqa: B023  (awaited within the turn)

        async with Poller(schedule=EVERY_SECOND) as poller:
            await poller.wait(Job(*changes, "done"), timeout=5000, on_change=slow)
        seen = [snapshot.progress for snapshot in notes.snapshots]
        assert seen == [0.0, *(float(each) for each in range(first, number)), None]
