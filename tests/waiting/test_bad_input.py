"""Tests of wrong arguments: told at once, by the argument's name, with nothing sent."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Protocol, cast

import anyio
import pytest

from asyncclient import Schedule, Vocabulary, Watch, polling_task, wait_until_done, watch
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.waiting.scenario import WORDS, Job, outcome_of

VOCABULARY = {"succeeded": "done", "failed": "broken"}


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


ENTRANCES = pytest.mark.parametrize("enter", [await_it, watch_it], ids=["wait", "watch"])


def explain(error: BaseException | None, kind: type[Exception], *parts: str) -> None:
    """Check that an error is of a kind, exactly, and says certain things."""
    assert type(error) is kind, error
    for part in parts:
        assert part in str(error)


TIMEOUTS: dict[str, tuple[object, type[Exception], str]] = {
    "zero": (0, ValueError, "more than 0"),
    "zero float": (0.0, ValueError, "task.poll()"),
    "negative": (-1, ValueError, "more than 0"),
    "minus infinity": (-math.inf, ValueError, "more than 0"),
    "nan": (math.nan, ValueError, "more than 0"),
    "text": ("10", TypeError, "number of seconds"),
    "none": (None, TypeError, "math.inf for no limit"),
    "true": (True, TypeError, "number of seconds"),
    "decimal": (Decimal(5), TypeError, "number of seconds"),
    "list": ([5], TypeError, "number of seconds"),
    "too large": (10**400, ValueError, "math.inf for no limit"),
}


@ENTRANCES
@pytest.mark.parametrize(("timeout", "kind", "advice"), TIMEOUTS.values(), ids=TIMEOUTS)
async def test_a_timeout_that_cannot_be_is_refused(
    enter: Entrance, timeout: object, kind: type[Exception], advice: str
) -> None:
    """A timeout that is no positive number of seconds is told, with what to do instead."""
    job = Job("done")
    outcome = await outcome_of(enter(job, timeout=timeout))
    explain(outcome.error, kind, "timeout", advice)
    assert job.polls == []


@ENTRANCES
@pytest.mark.parametrize("timeout", [1, 0.001, math.inf, 1e300, 10**9])
async def test_any_positive_number_is_a_timeout(enter: Entrance, timeout: float) -> None:
    """Whole numbers, fractions and infinity are seconds."""
    outcome = await outcome_of(enter(Job("done"), timeout=timeout))
    assert outcome.error is None


def yields_nothing() -> None:
    """Be a function where a schedule goes."""


OPTIONS: dict[str, tuple[str, object, type[Exception], str]] = {
    "schedule number": ("schedule", 5, TypeError, "Schedule(first="),
    "schedule text": ("schedule", "5s", TypeError, "Schedule(first="),
    "schedule list": ("schedule", [1, 2, 4], TypeError, "Schedule(first="),
    "schedule function": ("schedule", yields_nothing, TypeError, "Schedule(first="),
    "schedule class": ("schedule", Schedule, TypeError, "Schedule(first="),
    "unknown typo": ("unknown", "rise", ValueError, "'wait', 'raise'"),
    "unknown none": ("unknown", None, ValueError, "'wait', 'raise'"),
    "unknown list": ("unknown", ["wait"], ValueError, "'wait', 'raise'"),
    "on_cancel typo": ("on_cancel", "stop", ValueError, "'leave', 'cancel'"),
    "on_cancel true": ("on_cancel", True, ValueError, "'leave', 'cancel'"),
    "on_blocked text": ("on_blocked", "resume", TypeError, "function"),
    "on_blocked number": ("on_blocked", 1, TypeError, "function"),
    "rng seed": ("rng", 42, TypeError, "random.Random(42)"),
}


@ENTRANCES
@pytest.mark.parametrize(("name", "value", "kind", "advice"), OPTIONS.values(), ids=OPTIONS)
async def test_an_option_that_cannot_be_is_refused(
    enter: Entrance, name: str, value: object, kind: type[Exception], advice: str
) -> None:
    """A wrong option is told by its name before anything is sent, not when it is first needed."""
    job = Job("running", "done")
    outcome = await outcome_of(enter(job, **{name: value}))
    explain(outcome.error, kind, name, advice)
    assert job.polls == []


@pytest.mark.parametrize("value", ["print", 1, Job("done")])
async def test_an_on_change_that_cannot_be_called_is_refused(value: object) -> None:
    """The same holds for `on_change`, which only a wait has."""
    job = Job("done")
    outcome = await outcome_of(await_it(job, on_change=value))
    explain(outcome.error, TypeError, "on_change", "function")
    assert job.polls == []


async def test_a_watch_is_refused_where_it_is_made() -> None:
    """A wrong argument of `watch` is told by the call, not by the first step."""
    make = cast("Callable[..., object]", watch)
    with pytest.raises(ValueError, match="timeout"):
        make(Job("done"), timeout=0)
    with pytest.raises(TypeError, match="schedule"):
        make(Job("done"), schedule=5)


# --- what to wait for -------------------------------------------------------------------------


@ENTRANCES
@pytest.mark.parametrize("thing", [None, "42", 42, {"id": 1}, object, Job], ids=repr)
async def test_a_thing_that_is_no_task_is_refused(enter: Entrance, thing: object) -> None:
    """An id, a class or nothing at all is no task, and the error says what is."""
    outcome = await outcome_of(enter(thing))
    explain(outcome.error, TypeError, "cannot wait for", "pass a task")


@ENTRANCES
async def test_a_start_that_was_not_awaited_is_told(enter: Entrance) -> None:
    """Passing a start's coroutine instead of its result is told, and nothing is started."""
    transport = ScriptedTransport()
    start = Coze(transport, token="pat_fake").start_workflow("7350", {})
    outcome = await outcome_of(enter(start))
    explain(outcome.error, TypeError, "coroutine", "await it first")
    assert transport.requests == []
    assert inspect.getcoroutinestate(start) == inspect.CORO_CLOSED


asked: list[str] = []


async def fetch() -> str:
    """Ask once, and remember it."""
    await anyio.lowlevel.checkpoint()
    asked.append("once")
    return "done"


@pytest.fixture(autouse=True)
def nothing_asked_yet() -> None:
    """Forget what `fetch` was asked in other tests."""
    asked.clear()


@ENTRANCES
async def test_a_call_instead_of_a_function_is_told(enter: Entrance) -> None:
    """Passing `fetch()` instead of `fetch` is told, and the coroutine is closed unasked."""
    call = fetch()
    outcome = await outcome_of(enter(call, vocabulary=WORDS, status=str))
    explain(outcome.error, TypeError, "drop the '()'")
    assert inspect.getcoroutinestate(call) == inspect.CORO_CLOSED
    assert asked == []


MISSING: dict[str, tuple[dict[str, object], str]] = {
    "both": ({}, "vocabulary= and status="),
    "vocabulary": ({"status": str}, "vocabulary="),
    "status": ({"vocabulary": WORDS}, "status="),
}


@ENTRANCES
@pytest.mark.parametrize(("options", "named"), MISSING.values(), ids=MISSING)
async def test_a_function_needs_vocabulary_and_status(
    enter: Entrance, options: dict[str, object], named: str
) -> None:
    """A bare function without its reading is refused, and both arguments are named."""
    outcome = await outcome_of(enter(fetch, **options))
    explain(outcome.error, TypeError, "function", named)
    assert asked == []


READINGS: dict[str, tuple[dict[str, object], str]] = {
    "vocabulary dict": ({"vocabulary": VOCABULARY, "status": str}, "vocabulary"),
    "vocabulary class": ({"vocabulary": Vocabulary, "status": str}, "vocabulary"),
    "status text": ({"vocabulary": WORDS, "status": "status"}, "status"),
}


@ENTRANCES
@pytest.mark.parametrize(("options", "named"), READINGS.values(), ids=READINGS)
async def test_a_function_needs_them_to_be_of_their_kind(
    enter: Entrance, options: dict[str, object], named: str
) -> None:
    """A vocabulary that is none, and a status that is no function, are refused by name."""
    outcome = await outcome_of(enter(fetch, **options))
    explain(outcome.error, TypeError, named)
    assert asked == []


@ENTRANCES
@pytest.mark.parametrize("options", [{"vocabulary": WORDS}, {"status": str}], ids=str)
async def test_a_task_takes_no_vocabulary(enter: Entrance, options: dict[str, object]) -> None:
    """A task reads its own answers: options for a bare function are refused, not ignored."""
    job = Job("done")
    outcome = await outcome_of(enter(job, **options))
    explain(outcome.error, TypeError, "a task has its own")
    assert job.polls == []


@ENTRANCES
async def test_a_plain_function_is_told(enter: Entrance) -> None:
    """A function that is not async is told by what it returned."""

    def plain() -> str:
        return "done"

    outcome = await outcome_of(enter(plain, vocabulary=WORDS, status=str))
    explain(outcome.error, TypeError, "returned str, not an awaitable", "async function")


@ENTRANCES
async def test_a_function_is_waited_for(enter: Entrance) -> None:
    """With both arguments a bare function is as good as a task."""
    outcome = await outcome_of(enter(fetch, vocabulary=WORDS, status=str))
    assert outcome.error is None
    assert asked == ["once"]


# --- polling_task -----------------------------------------------------------------------------

make_task = cast("Callable[..., object]", polling_task)

TRAITS: dict[str, tuple[dict[str, object], str]] = {
    "reason": ({"reason": "error"}, "reason"),
    "progress": ({"progress": 0.5}, "progress"),
    "hint": ({"hint": 5}, "hint"),
    "transient list": ({"transient": [ValueError]}, "transient"),
    "transient text": ({"transient": "TimeoutError"}, "transient"),
    "transient instance": ({"transient": (ValueError("x"),)}, "transient"),
}


@pytest.mark.parametrize(("options", "named"), TRAITS.values(), ids=TRAITS)
def test_traits_must_be_of_their_kind(options: dict[str, object], named: str) -> None:
    """A wrong trait is told where the task is made, not at the first fault of a long wait."""
    with pytest.raises(TypeError, match=named):
        make_task(fetch, vocabulary=WORDS, status=str, **options)


@pytest.mark.parametrize("thing", [None, "https://…", 5], ids=str)
def test_a_task_is_made_of_a_function_only(thing: object) -> None:
    """What cannot be called cannot be asked."""
    with pytest.raises(TypeError, match="async function of no arguments"):
        make_task(thing, vocabulary=WORDS, status=str)


def test_vocabulary_and_status_cannot_be_left_out() -> None:
    """Python itself refuses a task without its reading, by the names of both."""
    with pytest.raises(TypeError, match=r"vocabulary.*status"):
        make_task(fetch)
