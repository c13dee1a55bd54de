"""Tests of wrong arguments of a wait: each is refused at once, by its name, with nothing sent."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Iterator
from random import Random
from typing import Protocol, cast

import anyio
import pytest

from asyncclient import Poller, Schedule, Watch, wait_until_done, watch
from asyncclient.errors import WaitTimeout
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.waiting.scenario import REF, WORDS, Driver, Job, outcome_of


class Entrance(Protocol):
    """A way into a wait, with arguments of any kind."""

    def __call__(self, task: object, /, **options: object) -> Awaitable[object]:
        """Begin to wait."""
        ...


async def await_it(task: object, /, **options: object) -> object:
    """Wait for a task with options that a type checker would refuse."""
    wait = cast("Entrance", wait_until_done)
    return await wait(task, **options)


async def watch_it(task: object, /, **options: object) -> object:
    """Watch a task to its end with options that a type checker would refuse."""
    follow = cast("Callable[..., Watch[object]]", watch)
    return [snapshot async for snapshot in follow(task, **options)]


async def poll_it(task: object, /, **options: object) -> object:
    """Wait in a poller with options that a type checker would refuse."""
    async with Poller() as poller:
        return await cast("Entrance", poller.wait)(task, **options)


async def follow_it(task: object, /, **options: object) -> object:
    """Watch in a poller with options that a type checker would refuse."""
    async with Poller() as poller:
        follow = cast("Callable[..., Watch[object]]", poller.watch)
        return [snapshot async for snapshot in follow(task, **options)]


ENTRANCES = pytest.mark.parametrize("enter", [await_it, watch_it], ids=["wait", "watch"])

OPTIONS: dict[str, tuple[str, object, type[Exception], str]] = {
    "timeout zero": ("timeout", 0, ValueError, "to look once, await task.poll()"),
    "timeout nan": ("timeout", math.nan, ValueError, "math.inf for no limit"),
    "timeout text": ("timeout", "10", TypeError, "must be a number of seconds"),
    "schedule number": ("schedule", 5, TypeError, "Schedule(first="),
    "schedule list": ("schedule", [1, 2, 4], TypeError, "Schedule(first="),
    "schedule class": ("schedule", Schedule, TypeError, "Schedule(first="),
    "unknown": ("unknown", "rise", ValueError, "'wait', 'raise'"),
    "on_cancel": ("on_cancel", "stop", ValueError, "'leave', 'cancel'"),
    "on_blocked": ("on_blocked", "resume", TypeError, "must be a function of a snapshot"),
    "rng": ("rng", 42, TypeError, "random.Random(42)"),
    "vocabulary": ("vocabulary", WORDS, TypeError, "a task has its own"),
    "status": ("status", str, TypeError, "a task has its own"),
}


@ENTRANCES
@pytest.mark.parametrize(("name", "value", "kind", "advice"), OPTIONS.values(), ids=OPTIONS)
async def test_an_option_that_cannot_be_is_refused(
    enter: Entrance, name: str, value: object, kind: type[Exception], advice: str
) -> None:
    """A wrong option is named before anything is sent, not when it is first needed."""
    job = Job("running", "done")
    outcome = await outcome_of(enter(job, **{name: value}))
    assert type(outcome.error) is kind
    assert name in str(outcome.error)
    assert advice in str(outcome.error)
    assert job.polls == []


OF_A_POLLER: dict[str, tuple[str, object, type[Exception], str]] = {
    **{name: row for name, row in OPTIONS.items() if row[0] in {"timeout", "unknown"}},
    **{name: OPTIONS[name] for name in ("on_cancel", "on_blocked")},
    "on_timeout": ("on_timeout", None, ValueError, "'leave', 'cancel'"),
    "weight": ("weight", 0, ValueError, "must be more than 0"),
    "poll_timeout": ("poll_timeout", -1, ValueError, "must be more than 0"),
    "max_outage": ("max_outage", "1", TypeError, "must be a number of seconds"),
}


@pytest.mark.parametrize("enter", [poll_it, follow_it], ids=["wait", "watch"])
@pytest.mark.parametrize(("name", "value", "kind", "advice"), OF_A_POLLER.values(), ids=OF_A_POLLER)
async def test_an_option_of_a_shared_wait_that_cannot_be_is_refused(
    enter: Entrance, name: str, value: object, kind: type[Exception], advice: str
) -> None:
    """So it is where a task is shared."""
    await test_an_option_that_cannot_be_is_refused(enter, name, value, kind, advice)


@pytest.mark.parametrize("enter", [await_it, poll_it])
@pytest.mark.parametrize("value", ["print", 1, Job("done")])
async def test_an_on_change_that_cannot_be_called_is_refused(
    enter: Entrance, value: object
) -> None:
    """The same holds for `on_change`, which only a wait has."""
    job = Job("done")
    with pytest.raises(TypeError, match=r"^on_change must be a function of a snapshot"):
        await enter(job, on_change=value)
    assert job.polls == []


def test_a_watch_is_refused_where_it_is_made() -> None:
    """A wrong argument of `watch` is refused by the call, not by the first step."""
    for make in (watch, Poller().watch):
        follow = cast("Callable[..., object]", make)
        with pytest.raises(ValueError, match="timeout"):
            follow(Job("done"), timeout=0)
        with pytest.raises(TypeError, match="cannot wait for"):
            follow("42")


# --- what to wait for -------------------------------------------------------------------------


@ENTRANCES
@pytest.mark.parametrize(
    ("thing", "advice"),
    [
        (None, "NoneType: pass a task"),
        ("42", "str: pass a task"),
        (Job, "type: pass a task"),
        (REF, "a reference is waited for as its provider's task: pass fake.task(ref)"),
    ],
    ids=["nothing", "id", "class", "reference"],
)
async def test_a_thing_that_is_no_task_is_refused(
    enter: Entrance, thing: object, advice: str
) -> None:
    """The error says what to pass instead."""
    outcome = await outcome_of(enter(thing))
    assert type(outcome.error) is TypeError
    assert "cannot wait for" in str(outcome.error)
    assert advice in str(outcome.error)


@ENTRANCES
async def test_a_start_that_was_not_awaited_is_refused(enter: Entrance) -> None:
    """A start's coroutine in place of its result is closed, and nothing is started."""
    transport = ScriptedTransport()
    start = Coze(transport, token="pat_fake").start_workflow("7350", {})
    outcome = await outcome_of(enter(start))
    assert type(outcome.error) is TypeError
    assert "coroutine: pass a task (what start_...() returns; await it first)" in str(outcome.error)
    assert transport.requests == []
    assert inspect.getcoroutinestate(start) == inspect.CORO_CLOSED


async def fetch() -> str:
    """Ask once."""
    await anyio.lowlevel.checkpoint()
    return "done"


@ENTRANCES
async def test_a_call_instead_of_a_function_is_refused(enter: Entrance) -> None:
    """Passing `fetch()` instead of `fetch` is named, and the coroutine is closed."""
    call = fetch()
    outcome = await outcome_of(enter(call, vocabulary=WORDS, status=str))
    assert type(outcome.error) is TypeError
    assert "drop the '()'" in str(outcome.error)
    assert inspect.getcoroutinestate(call) == inspect.CORO_CLOSED


@ENTRANCES
@pytest.mark.parametrize(
    "options", [{}, {"vocabulary": WORDS}, {"status": str}], ids=["neither", "vocabulary", "status"]
)
async def test_a_function_is_waited_for_by_vocabulary_and_status(
    enter: Entrance, options: dict[str, object]
) -> None:
    """With both it is as good as a task; without one of them it is refused."""
    outcome = await outcome_of(enter(fetch, vocabulary=WORDS, status=str))
    assert outcome.error is None
    outcome = await outcome_of(enter(fetch, **options))
    assert type(outcome.error) is TypeError
    assert "an async function of no arguments with vocabulary= and status=" in str(outcome.error)


# --- a schedule of the caller's own -------------------------------------------------------------


class Own:
    """A schedule that yields what it is given, and raises what is an error of it.

    Args:
        gaps: what it yields; what is no list is what `delays` returns.
    """

    def __init__(self, gaps: object) -> None:
        self.gaps = gaps

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps."""
        del rng
        return self._each() if isinstance(self.gaps, list) else cast("Iterator[float]", self.gaps)

    def _each(self) -> Iterator[float]:
        for gap in cast("list[float | Exception]", self.gaps):
            if isinstance(gap, Exception):
                raise gap
            yield gap


GAPS: dict[str, tuple[object, type[Exception], str]] = {
    "text": ("1", TypeError, "a gap of the schedule must be a number of seconds, not '1'"),
    "none": (None, TypeError, "a gap of the schedule must be a number of seconds, not None"),
    "list": ([1.0], TypeError, "a gap of the schedule must be a number of seconds"),
    "nan": (math.nan, ValueError, "a gap of the schedule=nan must be"),
    "negative": (-1.0, ValueError, "a gap of the schedule must be 0 seconds or more, not -1.0"),
    "huge": (10**400, ValueError, "a gap of the schedule is too large"),
    "raises": (LookupError("no more"), LookupError, "no more"),
}


@pytest.mark.parametrize("before", [0, 1, 3])
@pytest.mark.parametrize(("gap", "kind", "says"), GAPS.values(), ids=GAPS)
async def test_a_gap_that_cannot_be_ends_the_wait(
    driver: Driver, gap: object, kind: type[Exception], says: str, before: int
) -> None:
    """The first one before anything is sent, a later one after the look that it follows."""
    job = Job("running")
    schedule = Own([*[1.0] * before, gap])
    outcome = await outcome_of(driver(job, schedule=schedule, timeout=1000))
    assert type(outcome.error) is kind
    assert says in str(outcome.error)
    assert len(job.polls) == (before + 1 if before else 0)


@pytest.mark.parametrize("gaps", [None, 5], ids=str)
async def test_delays_that_do_not_iterate_are_refused(driver: Driver, gaps: object) -> None:
    """They are found out before anything is sent."""
    job = Job("running")
    outcome = await outcome_of(driver(job, schedule=Own(gaps)))
    assert type(outcome.error) is TypeError
    assert "a schedule's delays() must return an iterator of seconds, not" in str(outcome.error)
    assert job.polls == []


async def test_a_schedule_that_fails_leaves_nothing_behind() -> None:
    """In a poller whose schedule fails at once, no task is kept waiting."""
    async with Poller(schedule=Own(["soon"])) as poller:
        ends = poller.as_done([Job("running")])
        with pytest.raises(TypeError, match="a gap of the schedule"):
            await anext(ends)
        assert poller.stats().pending == poller.stats().waiters == 0


async def test_gaps_may_be_zero_or_endless(driver: Driver) -> None:
    """Zero is looking again at once, within bounds; infinity leaves the last look alone."""
    job = Job("running")
    outcome = await outcome_of(driver(job, schedule=Own([0, math.inf]), timeout=9.0))
    assert isinstance(outcome.error, WaitTimeout)
    assert job.sent == [0, pytest.approx(0.01), 9]
