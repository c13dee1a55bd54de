"""Which of several waits of a blocked task is asked to move it on, and what each gets to see."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, TypeAlias

import anyio
import pytest

from asyncclient import Done, Poller, Snapshot, TaskState, Ticket, poll_slice
from asyncclient.errors import ServerError, TaskBlocked, UnknownStatus, WaitTimeout
from tests.many.service import EVERY_SECOND, start, turns
from tests.waiting.scenario import REF, Entry, Job, Notes, Oops, Report

How: TypeAlias = Callable[[], Awaitable[None]]


async def fail(seconds: float = 0.0) -> None:
    """Fail after a while."""
    await anyio.sleep(seconds)
    raise Oops


at_once = partial(anyio.sleep, 0)
take_long = partial(anyio.sleep, 4.5)  # longer than a few looks
hang = anyio.sleep_forever


class Caller(NamedTuple):
    """One wait for the job: how it answers a demand, and how long it is there."""

    how: How | None = at_once  # None: it has no handler
    begins: float = 0.0
    leaves: float = math.inf
    timeout: float = 600.0
    unknown: Literal["wait", "raise"] = "wait"
    # What its `on_change` does at a word.
    on_change: tuple[str, How] | None = None


NO_HANDLER = Caller(None)


@dataclass
class Desk:
    """The callers' side of a job that makes demands: who was asked for which, and when."""

    demands: Sequence[str | None]  # one after the other; each is over when it was answered
    asked: list[tuple[int, object, float]] = field(default_factory=list[tuple[int, object, float]])
    cut_off: list[float] = field(default_factory=list[float])  # when handlers were
    stays: int = 0  # demands that were answered

    def look(self, _now: float) -> Report:
        """Answer a look."""
        if self.stays == len(self.demands):
            return Report("done")
        return Report("asks", demand=self.demands[self.stays])

    async def wait(self, poller: Poller, job: Job, number: int, caller: Caller) -> Report:
        """Wait for the job as one of the callers."""

        async def answer(snapshot: Snapshot[Report]) -> None:
            assert caller.how is not None
            self.asked.append((number, snapshot.result.demand, anyio.current_time()))
            try:
                await caller.how()
            except asyncio.CancelledError:
                self.cut_off.append(anyio.current_time())
                raise
            self.stays += 1

        async def see(snapshot: Snapshot[Report]) -> None:
            if caller.on_change is not None and caller.on_change[0] == snapshot.word:
                await caller.on_change[1]()

        await anyio.sleep(caller.begins)
        return await poller.wait(
            job,
            timeout=caller.timeout,
            unknown=caller.unknown,
            on_change=see if caller.on_change else None,
            on_blocked=answer if caller.how else None,
        )


class Scene(NamedTuple):
    """What a job shows, who waits for it, who is asked, and how the waits end."""

    callers: list[Caller]
    asked: list[tuple[int, object, object]]
    ends: list[type[BaseException] | None]
    demands: Sequence[str | None] = ("a",)
    # What it shows in place of what the desk says.
    script: Sequence[Entry | Literal["<look>"]] = ("<look>",)
    cut_off: Sequence[float] = ()  # when handlers are


DOWN = ServerError("503", status=503)
GONE = asyncio.CancelledError
SOON: object = pytest.approx(1.6, abs=1.4)  # after two failures
SCENES = {
    "the first that can": Scene([Caller()] * 3, [(0, "a", 0)], [None] * 3),
    "the first that has a handler": Scene(
        [NO_HANDLER, Caller(), Caller()], [(1, "a", 0)], [None] * 3
    ),
    "once, however long it takes": Scene(
        [Caller(take_long), Caller(), NO_HANDLER], [(0, "a", 0)], [None] * 3
    ),
    "again for the next demand": Scene(
        [Caller(), Caller(), NO_HANDLER],
        [(0, "a", 0), (0, "b", 1), (0, "c", 2)],
        [None] * 3,
        ["a", "b", "c"],
    ),
    "the next when one raises": Scene(
        [Caller(fail), Caller(), NO_HANDLER],
        [(0, "a", 0), (1, "a", 0), (1, "b", 1)],
        [Oops, None, None],
        ["a", "b"],
    ),
    "the next when one raises later": Scene(
        [Caller(partial(fail, 2.5)), Caller(), NO_HANDLER],
        [(0, "a", 0), (1, "a", 2.5)],
        [Oops, None, None],
    ),
    "none, when all have raised": Scene(
        [Caller(fail), Caller(partial(fail, 2.5)), NO_HANDLER],
        [(0, "a", 0), (1, "a", 0)],
        [Oops, Oops, TaskBlocked],
    ),
    "none": Scene([NO_HANDLER] * 3, [], [TaskBlocked] * 3),
    "without a name, once for each stay": Scene(
        [Caller(take_long)] * 3, [(0, None, 0)], [None] * 3, [None]
    ),
    "without a name, a second stay": Scene(
        [Caller(partial(anyio.sleep, 2.5))],
        [(0, None, 0), (0, None, 2.5)],
        [None],
        script=["asks", "running", "asks", "asks", "asks", "running", "done"],
    ),
    "the first, after failed looks": Scene(
        [Caller()] * 3, [(0, "a", SOON)], [None] * 3, script=[DOWN, DOWN, "<look>"]
    ),
    "the next, when one is cancelled at work": Scene(
        [Caller(hang, leaves=5.5), Caller(), NO_HANDLER],
        [(0, "a", 0), (1, "a", 5.5)],
        [GONE, None, None],
        cut_off=[5.5],
    ),
    "the next, when one times out at work": Scene(
        [Caller(hang, timeout=5.5), Caller(), NO_HANDLER],
        [(0, "a", 0), (1, "a", 5.5)],
        [WaitTimeout, None, None],
        cut_off=[5.5],
    ),
    "none, when the only one is cancelled": Scene(
        [Caller(hang, leaves=5.5), NO_HANDLER], [(0, "a", 0)], [GONE, TaskBlocked], cut_off=[5.5]
    ),
    "none, when the only one times out": Scene(
        [Caller(hang, timeout=5.5), NO_HANDLER],
        [(0, "a", 0)],
        [WaitTimeout, TaskBlocked],
        cut_off=[5.5],
    ),
    "the next, when one ends by its own error": Scene(
        [Caller(hang, unknown="raise"), Caller()],
        [(0, "a", 0), (1, "a", 4)],
        [UnknownStatus, None],
        script=[*["<look>"] * 3, "strange", "<look>"],
        cut_off=[3],
    ),
    "the next, when one leaves before it has come to it": Scene(
        [Caller(on_change=("asks", hang), leaves=1.5), Caller()],
        [(1, "a", 1.5)],
        [GONE, None],
        script=["running", "<look>"],
    ),
    "not one whose other callback hangs": Scene(
        [Caller(on_change=("running", hang), leaves=9), Caller()],
        [(1, "a", 1)],
        [GONE, None],
        script=["running", "<look>"],
    ),
    "another for a new demand, while the first is at work on what is over": Scene(
        [Caller(partial(anyio.sleep, 2.5)), Caller(partial(anyio.sleep, 3))],
        [(0, "a", 0), (1, "b", 1)],
        [None, None],
        script=[Report("asks", demand="a"), *[Report("asks", demand="b")] * 5, "done"],
    ),
    "none, for what is over when its caller comes to it": Scene(
        [Caller(on_change=("asks", partial(anyio.sleep, 1.5)))],
        [],
        [None],
        script=["asks", "running", "running", "running", "done"],
    ),
    "on a last look, one with time left": Scene(
        [Caller(timeout=1), Caller(None, timeout=1), Caller(timeout=9), Caller(None, timeout=9)],
        [(2, "a", 1)],
        [WaitTimeout, WaitTimeout, None, None],
        script=["running", "<look>"],
    ),
    "on a last look, none": Scene(
        [Caller(timeout=1), Caller(None, timeout=9)],
        [],
        [WaitTimeout, TaskBlocked],
        script=["running", "<look>"],
    ),
    "a joiner for what comes next": Scene(
        [Caller(take_long, timeout=5.5), Caller(take_long, begins=1.5)],
        [(0, "a", 0), (0, "b", 5), (1, "b", 5.5)],
        [WaitTimeout, None],
        ["a", "b"],
        cut_off=[5.5],
    ),
}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
async def test_one_of_several_is_asked(poller: Poller, scene: Scene) -> None:
    """The first that has a handler is asked, once a demand; the others wait on."""
    desk = Desk(scene.demands)
    job = Job(*(desk.look if each == "<look>" else each for each in scene.script))
    waits = [
        asyncio.ensure_future(desk.wait(poller, job, number, caller))
        for number, caller in enumerate(scene.callers)
    ]
    for wait, caller in zip(waits, scene.callers, strict=True):
        if caller.leaves < math.inf:
            asyncio.get_running_loop().call_later(caller.leaves, wait.cancel)
    ends = await asyncio.gather(*waits, return_exceptions=True)
    assert [type(end) if isinstance(end, BaseException) else None for end in ends] == scene.ends
    assert desk.asked == scene.asked
    assert desk.cut_off == [*scene.cut_off]


async def test_waits_of_other_kinds_wait_on_while_one_answers(poller: Poller) -> None:
    """An `as_done` and a ticket have no handler, and get the end all the same."""
    desk = Desk(["a", "b"])
    job = Job(desk.look)
    waiting = start(desk.wait(poller, job, 0, Caller(take_long)))
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
