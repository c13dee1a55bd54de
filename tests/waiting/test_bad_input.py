"""Tests of wrong arguments of a wait: each is refused at once, by its name, with nothing sent."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from random import Random
from typing import Protocol, cast

import anyio
import anyio.lowlevel
import pytest

from asyncclient import Poller, Schedule, Watch, wait_until_done, watch
from asyncclient.errors import WaitTimeout
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.waiting.scenario import REF, WORDS, Driver, Job, Report, outcome_of


class Entrance(Protocol):
    """A way into a wait, with arguments of any kind, as a program without a type checker calls."""

    def __call__(self, task: object, /, **options: object) -> Awaitable[object]:
        """Begin to wait."""
        ...


def followed(follow: object) -> Entrance:
    """Return a way into a watch, to its end."""

    async def enter(task: object, /, **options: object) -> object:
        return [_ async for _ in cast("Callable[..., Watch[object]]", follow)(task, **options)]

    return enter


async def poll_it(task: object, /, **options: object) -> object:
    """Wait in a poller."""
    async with Poller() as poller:
        return await cast("Entrance", poller.wait)(task, **options)


ALONE = {"wait": cast("Entrance", wait_until_done), "watch": followed(watch)}
SHARED = {"poller wait": poll_it, "poller watch": followed(Poller().watch)}
WAITS, ANY = ("wait", "poller wait"), (*ALONE, *SHARED)

# The ways in that take an option, the option, a wrong value, the error, and what to do about it.
OPTIONS: list[tuple[tuple[str, ...], str, object, type[Exception], str]] = [
    (ANY, "timeout", 0, ValueError, "to look once, await task.poll()"),
    (ANY, "timeout", math.nan, ValueError, "math.inf for no limit"),
    (ANY, "timeout", "10", TypeError, "must be a number of seconds"),
    (ANY, "unknown", "rise", ValueError, "'wait', 'raise'"),
    (ANY, "on_cancel", "stop", ValueError, "'leave', 'cancel'"),
    (ANY, "on_timeout", None, ValueError, "'leave', 'cancel'"),
    (ANY, "on_blocked", "resume", TypeError, "must be a function of a snapshot"),
    (ANY, "poll_timeout", -1, ValueError, "must be more than 0"),
    (ANY, "max_outage", "1", TypeError, "must be a number of seconds"),
    (WAITS, "on_change", Job("done"), TypeError, "must be a function of a snapshot"),
    (tuple(SHARED), "weight", 0, ValueError, "must be more than 0"),
    (tuple(ALONE), "schedule", 5, TypeError, "not int: try Schedule(first="),
    (tuple(ALONE), "schedule", [1, 2, 4], TypeError, "Schedule(first="),
    (tuple(ALONE), "schedule", Schedule, TypeError, "Schedule(first="),
    (tuple(ALONE), "rng", 42, TypeError, "not int: try random.Random(42)"),
    (tuple(ALONE), "vocabulary", WORDS, TypeError, "a task has its own"),
    (tuple(ALONE), "status", str, TypeError, "a task has its own"),
]


@pytest.mark.parametrize(
    ("way", "name", "value", "kind", "advice"),
    [(way, *row) for ways, *row in OPTIONS for way in ways],
)
async def test_an_option_that_cannot_be_is_refused(
    way: str, name: str, value: object, kind: type[Exception], advice: str
) -> None:
    """A wrong option is named before anything is sent, not when it is first needed."""
    job = Job("running", "done")
    outcome = await outcome_of((ALONE | SHARED)[way](job, **{name: value}))
    assert type(outcome.error) is kind
    assert name in str(outcome.error)
    assert advice in str(outcome.error)
    assert job.polls == []


def test_a_watch_is_refused_where_it_is_made() -> None:
    """A wrong argument of `watch` is refused by the call, not by the first step."""
    for make in (watch, Poller().watch):
        follow = cast("Callable[..., object]", make)
        with pytest.raises(ValueError, match="timeout"):
            follow(Job("done"), timeout=0)
        with pytest.raises(TypeError, match="cannot wait for"):
            follow("42")


async def fetch() -> str:
    """Ask once."""
    await anyio.lowlevel.checkpoint()
    return "done"


def start() -> Coroutine[object, object, object]:
    """Start a run, without awaiting it."""
    return Coze(ScriptedTransport(), token="pat_fake").start_workflow("7350", {})


_FUNCTION = "an async function of no arguments with vocabulary= and status="
THINGS: dict[str, tuple[Callable[[], object], dict[str, object], str]] = {
    "nothing": (lambda: None, {}, "cannot wait for NoneType: pass a task"),
    "id": (lambda: "42", {}, "cannot wait for str: pass a task"),
    "class": (lambda: Job, {}, "cannot wait for type: pass a task"),
    "reference": (lambda: REF, {}, "as its provider's task: pass fake.task(ref)"),
    "start": (start, {}, "coroutine: pass a task (what start_...() returns; await it first)"),
    "call": (fetch, {"vocabulary": WORDS, "status": str}, "drop the '()'"),
    "function": (lambda: fetch, {}, _FUNCTION),
    "function with words": (lambda: fetch, {"vocabulary": WORDS}, _FUNCTION),
    "function with status": (lambda: fetch, {"status": str}, _FUNCTION),
}


@pytest.mark.parametrize("enter", ALONE.values(), ids=ALONE)
@pytest.mark.parametrize(("make", "options", "advice"), THINGS.values(), ids=THINGS)
async def test_a_thing_that_is_no_task_is_refused(
    enter: Entrance, make: Callable[[], object], options: dict[str, object], advice: str
) -> None:
    """The error says what to pass instead; a coroutine is closed."""
    thing = make()
    outcome = await outcome_of(enter(thing, **options))
    assert type(outcome.error) is TypeError
    assert advice in str(outcome.error)
    if inspect.iscoroutine(thing):
        assert inspect.getcoroutinestate(thing) == inspect.CORO_CLOSED


@pytest.mark.parametrize("enter", ALONE.values(), ids=ALONE)
async def test_a_function_is_waited_for_by_vocabulary_and_status(enter: Entrance) -> None:
    """With both it is as good as a task."""
    outcome = await outcome_of(enter(fetch, vocabulary=WORDS, status=str))
    assert outcome.error is None


class Own:
    """A schedule that yields what it is given; what is no list is what `delays` returns."""

    def __init__(self, gaps: object) -> None:
        self.gaps = gaps

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps, or raise what is an error of them."""
        del rng
        return self._each() if isinstance(self.gaps, list) else cast("Iterator[float]", self.gaps)

    def _each(self) -> Iterator[float]:
        for gap in cast("list[float | Exception]", self.gaps):
            if isinstance(gap, Exception):
                raise gap
            yield gap


GAPS: list[tuple[object, type[Exception], str]] = [
    ("1", TypeError, "a gap of the schedule must be a number of seconds, not '1'"),
    (None, TypeError, "a gap of the schedule must be a number of seconds, not None"),
    ([1.0], TypeError, "a gap of the schedule must be a number of seconds"),
    (math.nan, ValueError, "a gap of the schedule=nan must be"),
    (-1.0, ValueError, "a gap of the schedule must be 0 seconds or more, not -1.0"),
    (10**400, ValueError, "a gap of the schedule is too large"),
    (LookupError("no more"), LookupError, "no more"),
]
_NO_ITERATOR = "a schedule's delays() must return an iterator of seconds, not"


@pytest.mark.parametrize(
    ("gaps", "polls", "kind", "says"),
    [
        *(([*[1.0] * n, gap], n + 1 if n else 0, *row) for gap, *row in GAPS for n in (0, 1, 3)),
        *((gaps, 0, TypeError, _NO_ITERATOR) for gaps in (None, 5)),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_gap_that_cannot_be_ends_the_wait(
    driver: Driver, gaps: object, polls: int, kind: type[Exception], says: str
) -> None:
    """The first one before anything is sent, a later one after the look that it follows."""
    job = Job("running")
    outcome = await outcome_of(driver(job, schedule=Own(gaps), timeout=1000))
    assert type(outcome.error) is kind
    assert says in str(outcome.error)
    assert len(job.polls) == polls


async def test_a_gap_that_cannot_be_loses_no_end(driver: Driver) -> None:
    """None is asked for after the last look."""
    job = Job("running", "done")
    outcome = await outcome_of(driver(job, schedule=Own([1.0, math.nan])))
    assert outcome.result == Report("done")


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
