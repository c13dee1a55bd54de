"""What a shared wait calls: its own callbacks, where its caller is, not changed by those of others.

That it reports and asks as a single wait does is shown by `tests/waiting`, for both; who of several
is asked by `test_inbox.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import math
import weakref
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from functools import partial
from itertools import product
from types import NoneType
from typing import Literal

import anyio
import pytest

from asyncclient import Poller, Snapshot, TaskRef, Ticket, poll_slice
from asyncclient.errors import (
    UnknownStatus,
    WaitTimeout,
)
from tests.many.service import EVERY_SECOND, job, start, turns
from tests.waiting.scenario import (
    REF,
    CancellableJob,
    Job,
    Notes,
    Oops,
    Outcome,
    Report,
    hang,
    other_tasks,
    outcome_of,
    words_of,
)

user: ContextVar[str] = ContextVar("user", default="no one")


# --- each its own -------------------------------------------------------------------------------


async def test_each_wait_has_its_own_callbacks_and_the_task_is_looked_at_once(
    poller: Poller,
) -> None:
    """All get each change, in order, from its own look on; a late one gets the last at once."""
    task = Job("queued", "running", "running", Report("running", progress=1), "done")
    notes: list[Notes[Report]] = [Notes() for _ in range(3)]
    waits = [start(poller.wait(task, on_change=each)) for each in notes[:2]]
    waits.append(start(poller.wait(task)))
    await anyio.sleep(1.5)
    waits.append(start(poller.wait(task, on_change=notes[2])))
    watched = start(words_of(poller.watch(task)))
    assert {outcome.result for outcome in await asyncio.gather(*waits)} == {Report("done")}
    every = ["queued", "running", "running", "done"]
    assert [each.words for each in notes] == [every, every, every[1:]]
    assert [each.times for each in notes] == [[0, 1, 3, 4], [0, 1, 3, 4], [1.5, 3, 4]]
    assert (await watched).result == every[1:]
    assert task.sent == [0, 1, 2, 3, 4]


async def test_callbacks_run_in_the_context_of_their_caller(poller: Poller) -> None:
    """What they read of it, and what they set, is the caller's own; so is the asyncio task."""
    seen: list[tuple[str, str, asyncio.Task[object] | None]] = []
    task = Job("running", Report("asks", demand="a"), Report("asks", demand="b"), "done")

    async def follow(name: str, *, fails: bool) -> None:
        user.set(name)

        async def note(snapshot: Snapshot[Report]) -> None:
            seen.append((str(snapshot.word), user.get(), asyncio.current_task()))
            if fails and snapshot.result.demand == "b":
                raise Oops
            user.set(f"{name} at work")

        await poller.wait(task, on_change=None if fails else note, on_blocked=note)

    ann = asyncio.create_task(outcome_of(follow("ann", fails=True)))
    bob = asyncio.create_task(outcome_of(follow("bob", fails=False)))
    assert isinstance((await ann).error, Oops)
    assert (await bob).error is None
    assert seen == [
        ("running", "bob", bob),
        ("asks", "ann", ann),
        ("asks", "bob at work", bob),
        ("asks", "ann at work", ann),
        ("asks", "bob at work", bob),
        ("done", "bob at work", bob),
    ]


@pytest.mark.parametrize("policies", [*product(("wait", "raise"), repeat=2)], ids=str)
@pytest.mark.parametrize("reports", [False, True])
async def test_each_wait_has_its_own_way_with_unknown_words(
    poller: Poller, policies: tuple[Literal["wait", "raise"], ...], *, reports: bool
) -> None:
    """A strict one ends at the word, with its own error, after the change; the others wait on."""
    task = Job("running", "strange", "done")
    notes: list[Notes[Report]] = [Notes() for _ in policies]
    waits = [
        start(poller.wait(task, unknown=unknown, on_change=each if reports else None))
        for unknown, each in zip(policies, notes, strict=True)
    ]
    outcomes = await asyncio.gather(*waits)
    for outcome, each, unknown in zip(outcomes, notes, policies, strict=True):
        words = ["running", "strange", "done"] if unknown == "wait" else ["running", "strange"]
        assert outcome.elapsed == len(words) - 1
        assert each.words == (words if reports else [])
        assert type(outcome.error) is (NoneType if unknown == "wait" else UnknownStatus)
        assert unknown == "wait" or "strange" in str(outcome.error)
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    assert len({id(error) for error in errors}) == len(errors)


# --- what a callback does harms no one else -----------------------------------------------------


async def _raise(error: BaseException) -> None:
    raise error


async def _cancel_itself() -> None:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()


async def _swallow_cancellations() -> None:
    while anyio.current_time() < 300:
        with contextlib.suppress(asyncio.CancelledError):
            await anyio.sleep(100)


DEEDS: dict[str, Callable[[], Awaitable[None]]] = {
    "raise": partial(_raise, Oops()),
    "end iteration": partial(_raise, StopAsyncIteration()),
    "be cancelled inside": partial(_raise, asyncio.CancelledError()),
    "hang": anyio.sleep_forever,
    "dawdle": partial(anyio.sleep, 3.5),
    "cancel itself": _cancel_itself,
    "swallow cancellations": _swallow_cancellations,
}


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
@pytest.mark.parametrize("which", ["on_change", "on_blocked"])
async def test_a_callback_harms_no_other_wait_and_no_look(
    poller: Poller, deed: Callable[[], Awaitable[None]], which: str
) -> None:
    """Another wait gets each change at its look, and its end; looks come when they are due."""
    task = job(
        "shared", "queued", *[Report("asks", demand="a")] * 2, *["running", "queued"] * 3, "done"
    )
    notes: Notes[Report] = Notes()
    before = other_tasks()

    async def act(_snapshot: Snapshot[Report]) -> None:
        await deed()

    if which == "on_change":
        waiting = poller.wait(task, timeout=30, on_change=act, on_blocked=repr)
    else:
        waiting = poller.wait(task, timeout=30, on_blocked=act)
    acting = start(waiting)
    other = await start(poller.wait(task, on_change=notes, on_blocked=repr))
    assert other.result == Report("done")
    assert notes.times == [0, 1, 3, 4, 5, 6, 7, 8, 9]
    assert task.sent == [float(second) for second in range(10)]
    acting.cancel()
    await asyncio.wait({acting}, timeout=1000)
    assert other_tasks() == before


@pytest.mark.parametrize("which", ["on_change", "on_blocked"])
async def test_a_callback_may_close_the_poller(which: str) -> None:
    """Its own wait ends when the callback does, the others at once, all with the same error."""
    task = job("shared", "asks", "running")
    poller = Poller(schedule=EVERY_SECOND)
    done: list[float] = []

    async def close(_snapshot: Snapshot[Report]) -> None:
        await poller.aclose()
        await anyio.sleep(3)
        done.append(anyio.current_time())

    if which == "on_change":
        closing = start(poller.wait(task, on_change=close, on_blocked=repr))
    else:
        closing = start(poller.wait(task, on_blocked=close))
    others = [
        start(poller.wait(task, on_blocked=repr)),
        start(poller.wait(task)),
        start(poller.wait(job("other"))),
    ]
    for each in await asyncio.gather(*others):
        assert (type(each.error), each.elapsed) == (RuntimeError, 0)
    outcome = await closing
    assert (type(outcome.error), outcome.elapsed, done) == (RuntimeError, 3, [3])


async def test_a_callback_that_hangs_when_the_poller_is_closed_is_cut_off(poller: Poller) -> None:
    """It has 5 s more, however long its wait's timeout is."""
    waiting = start(poller.wait(Job("running"), timeout=math.inf, on_change=hang))
    await anyio.sleep(2)
    await poller.aclose()
    outcome = await waiting
    assert (type(outcome.error), outcome.elapsed) == (RuntimeError, 7)


async def test_a_callback_may_wait_for_the_same_task(poller: Poller) -> None:
    """A wait within a callback shares the looks as any other does."""
    task = Job("queued", "running", "done")

    async def wait_too(snapshot: Snapshot[Report]) -> None:
        if snapshot.word == "queued":
            assert await poller.wait(task) == Report("done")

    assert await poller.wait(task, on_change=wait_too) == Report("done")
    assert poller.stats().waiters == 0
    assert task.sent == [0, 1, 2]


async def test_a_wait_that_is_over_leaves_no_garbage(poller: Poller) -> None:
    """What it kept, the context of its caller included, is free without a search for garbage."""

    class Session:
        """What a request might keep in its context."""

    held: ContextVar[Session] = ContextVar("held")

    async def request() -> weakref.ref[Session]:
        session = Session()
        held.set(session)
        await poller.wait(Job("running", "done"), on_change=repr, on_blocked=repr)
        return weakref.ref(session)

    gc.collect()
    gc.disable()
    try:
        session = await asyncio.create_task(request())
        await turns()
        assert session() is None
    finally:
        gc.enable()


# --- on_cancel, on_timeout ----------------------------------------------------------------------

Reaction = Literal["leave", "cancel"]


@pytest.mark.parametrize("way", ["cancel", "timeout"])
@pytest.mark.parametrize("other", ["wait", "watch", "as_done", "ticket", "none"])
async def test_the_remote_job_is_cancelled_when_no_other_wait_is_left(
    poller: Poller, way: str, other: str
) -> None:
    """While another waits, of any kind, the job goes on; the last one out has it cancelled."""
    task = CancellableJob("running")

    async def all_ends() -> None:
        async for _ in poller.as_done([task]):
            pass

    stays: list[asyncio.Task[Outcome[object]]] = []
    if other == "wait":
        stays.append(start(poller.wait(task)))
    elif other == "ticket":
        ticket = Ticket.begin(REF, clock=anyio.current_time)
        stays.append(start(poll_slice(poller, lambda _: task, ticket, clock=anyio.current_time)))
    elif other != "none":
        stays.append(start(all_ends() if other == "as_done" else words_of(poller.watch(task))))
    cases: list[tuple[Reaction, Reaction, bool]] = [
        ("leave", "leave", False),
        ("cancel", "leave", way == "cancel"),
        ("leave", "cancel", way == "timeout"),
    ]
    for on_cancel, on_timeout, cancels in cases:
        waiting = start(poller.wait(task, timeout=2, on_cancel=on_cancel, on_timeout=on_timeout))
        await anyio.sleep(1.5)
        if way == "cancel":
            waiting.cancel()
        await asyncio.wait({waiting})
        assert len(task.cancels) == (cancels and not stays)
        task.cancels.clear()
    for stay in stays:
        stay.cancel()
    await turns()
    assert task.cancels == []


@pytest.mark.parametrize("way", ["cancel", "timeout"])
async def test_the_last_of_several_has_the_job_cancelled_once(poller: Poller, way: str) -> None:
    """When they are cancelled, or time out, at one instant, one of them sends it."""
    task = CancellableJob("running")
    waits = [
        start(poller.wait(task, timeout=3, on_cancel="cancel", on_timeout="cancel"))
        for _ in range(5)
    ]
    await anyio.sleep(2)
    for waiting in waits if way == "cancel" else ():
        waiting.cancel()
    await asyncio.wait(waits)
    assert len(task.cancels) == 1


class Tenant(CancellableJob):
    """A job as one of several accounts sees it, whose name its reference need not have."""

    def __init__(self, account: str, name: str | None) -> None:
        super().__init__("running")
        self.ref = TaskRef("fake", "job", {"id": "7"}, account=name)
        self.key = (account, "job", "7")


async def test_another_account_that_waits_for_the_job_is_another_wait(poller: Poller) -> None:
    """Two accounts do not share looks; the job is the same, and is not cancelled under one."""
    one, other = Tenant("one", "one"), Tenant("other", None)
    waiting = start(poller.wait(one, on_cancel="cancel"))
    staying = start(poller.wait(other, on_cancel="cancel"))
    await anyio.sleep(1)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert (one.cancels, len(other.polls)) == ([], 2)
    staying.cancel()
    await asyncio.wait({staying})
    assert (one.cancels, other.cancels) == ([], [1])


async def test_a_wait_that_begins_at_that_instant_keeps_the_job(poller: Poller) -> None:
    """One that came after the timeout, and before its caller could run, is another that waits."""
    task = CancellableJob("running")
    timing_out = poller.watch(task, timeout=2, on_timeout="cancel")
    await anext(timing_out)
    await anyio.sleep(3)  # its time is up; its next step shows that
    joined = start(poller.wait(task))
    await turns()
    with pytest.raises(WaitTimeout):
        await anext(timing_out)
    assert task.cancels == []
    joined.cancel()


async def test_only_a_cancellation_or_a_timeout_cancels_the_job(poller: Poller) -> None:
    """A closed Poller does not, nor a callback that raises."""

    def fail(_snapshot: Snapshot[Report]) -> None:
        raise Oops

    task = CancellableJob("running")
    outcome = await start(poller.wait(task, on_change=fail, on_cancel="cancel"))
    assert isinstance(outcome.error, Oops)
    closed = start(poller.wait(task, on_cancel="cancel", on_timeout="cancel"))
    await turns()
    await poller.aclose()
    assert isinstance((await closed).error, RuntimeError)
    assert task.cancels == []


# --- watch --------------------------------------------------------------------------------------


async def test_a_watch_that_is_dropped_leaves_nothing_behind(poller: Poller) -> None:
    """Its wait is over, and no job is cancelled; another one goes on."""
    task = CancellableJob("queued", "running", "running", "done")
    other = start(words_of(poller.watch(task)))
    watched = poller.watch(task, on_cancel="cancel")
    async for _ in watched:
        break
    assert poller.stats().waiters == 2
    del watched
    assert poller.stats().waiters == 1
    assert (await other).result == ["queued", "running", "done"]
    assert task.cancels == []


async def test_looks_go_on_between_two_steps(poller: Poller) -> None:
    """What has changed meanwhile is given step by step, the end and the timeout included."""
    watched = poller.watch(Job("queued", "running", "done"))
    assert (await anext(watched)).word == "queued"
    await anyio.sleep(60)
    assert await words_of(watched) == ["running", "done"]
    watched = poller.watch(Job("queued", "running"), timeout=30)
    assert (await anext(watched)).word == "queued"
    await anyio.sleep(60)
    assert (await anext(watched)).word == "running"
    with pytest.raises(WaitTimeout):
        await anext(watched)
    assert anyio.current_time() == 120
