"""Tests of objects whose texts cannot be made: a wait with them ends and is reported."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import cast

import pytest

from asyncclient import (
    Observation,
    Poller,
    Snapshot,
    TaskState,
    polling_task,
    wait_until_done,
    watch,
)
from asyncclient.errors import AsyncClientError, TaskFailed, UnknownStatus, WaitTimeout
from tests.hostile import ERRORS, OBJECTS
from tests.waiting.scenario import EVERY_SECOND, WORDS, Driver, Thing, outcome_of

# Characters. An error of a wait says at most this much.
LONGEST_ERROR = 4_000

# By their names, since pytest shows what it is given.
any_object = pytest.mark.parametrize("thing", OBJECTS)
any_error = pytest.mark.parametrize("fault", ERRORS)


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Let all be logged; a record that cannot be written fails the test."""
    with caplog.at_level(logging.DEBUG, "asyncclient"):
        yield caplog
    records = caplog.get_records("call")
    assert all(len(record.getMessage()) < LONGEST_ERROR for record in records)


class Patient(Thing):
    """A task whose failed looks are all tolerated."""

    transient = (Exception,)


def seen(state: TaskState | None, word: object = "word", **other: object) -> Observation[object]:
    """Return what was seen, of any type."""
    make = cast("Callable[..., Observation[object]]", Observation)
    return make(state, word, None, **other)


def check_text(error: BaseException | None) -> None:
    """Check that our error can be shown."""
    assert isinstance(error, AsyncClientError)
    for text in (str(error), repr(error), repr(error.snapshot), *getattr(error, "__notes__", ())):
        assert 0 < len(text) < LONGEST_ERROR


@any_object
@pytest.mark.parametrize("place", ["word", "reason", "progress", "demand", "key", "kind"])
async def test_what_is_seen_may_be_anything(driver: Driver, place: str, thing: str) -> None:
    """The state decides; all else is a text, a number or a name as far as it goes, or missing."""
    hostile = {place: OBJECTS[thing]}
    beside = {} if place in {"key", "kind"} else hostile
    first = seen(TaskState.RUNNING, **beside)
    ends = (first, first, ConnectionError("broken"), seen(TaskState.FAILED, **beside))
    task = Thing(hostile.get("key", "7"), hostile.get("kind", "kind"), *ends)
    outcome = await outcome_of(driver(task, schedule=EVERY_SECOND))
    assert type(outcome.error) is TaskFailed
    assert outcome.evidence.polls == 4
    check_text(outcome.error)


@pytest.mark.parametrize("thing", [*OBJECTS, "words without end"])
async def test_an_unknown_word_may_be_anything(driver: Driver, thing: str) -> None:
    """It is waited on as any unknown word, or raised.

    Of a provider that puts megabytes into its words, 20 are kept, 80 characters of each.
    """
    megabyte = "x" * (1 << 20)
    words = [OBJECTS.get(thing, f"{number:03}{megabyte}") for number in range(30)]
    task = Thing("7", "kind", *(seen(None, word) for word in words))
    outcome = await outcome_of(driver(task, schedule=EVERY_SECOND, timeout=25))
    assert type(outcome.error) in {WaitTimeout, UnknownStatus}
    check_text(outcome.error)
    if thing not in OBJECTS:
        assert "'019xxx" in str(outcome.error)
        assert "'020xxx" not in str(outcome.error)


@pytest.mark.parametrize("name", ["key", "kind", "ref", "budget", "transient", "documented_rate"])
async def test_a_trait_that_raises_hangs_no_wait(driver: Driver, name: str) -> None:
    """Either it is as if the task had none, or its error reaches the caller."""

    def trait(_: object) -> None:
        raise ERRORS["no text"]

    def unset(_: object, value: object) -> None:
        del value

    made: Callable[..., Thing] = type("Faulty", (Thing,), {name: property(trait, unset)})
    task = made("7", "kind", seen(TaskState.RUNNING), seen(TaskState.SUCCEEDED))
    outcome = await outcome_of(driver(task, schedule=EVERY_SECOND, timeout=5))
    assert outcome.error in {None, ERRORS["no text"]}


@any_error
async def test_a_fetch_may_raise_anything(driver: Driver, fault: str) -> None:
    """The error that ends the wait is the one that was raised; a tolerated one is shown in part."""
    error = ERRORS[fault]
    task = Thing("7", "kind", seen(TaskState.RUNNING), error)
    outcome = await outcome_of(driver(task, schedule=EVERY_SECOND))
    assert outcome.error is error
    task = Patient("7", "kind", *[error] * 3, seen(TaskState.FAILED))
    outcome = await outcome_of(driver(task, schedule=EVERY_SECOND))
    assert type(outcome.error) is TaskFailed
    assert outcome.evidence.last_error is error
    check_text(outcome.error)

    def callback(_: Snapshot[object]) -> None:
        raise error

    task = Thing("7", "kind", seen(TaskState.RUNNING), seen(TaskState.SUCCEEDED))
    outcome = await outcome_of(wait_until_done(task, on_change=callback))
    assert outcome.error is error


@pytest.mark.parametrize("thing", [*OBJECTS, "nothing"])
async def test_an_answer_may_be_anything(driver: Driver, thing: str) -> None:
    """The answer itself is given as it came, of a task that is made of one function."""
    answer = OBJECTS.get(thing)

    async def fetch() -> object:
        return answer

    task = polling_task(fetch, vocabulary=WORDS, status=lambda _: "done", key=OBJECTS.get(thing))
    assert await driver(task, schedule=EVERY_SECOND) is answer
    assert len(repr(task)) < LONGEST_ERROR
    shown = [snapshot async for snapshot in watch(task)]
    assert len(repr(shown)) < LONGEST_ERROR


@any_error
async def test_each_waiter_gets_the_error(fault: str) -> None:
    """However an error's class is made, all who wait for a task get it when it ends their wait."""
    task = Thing("7", "kind", seen(TaskState.RUNNING), ERRORS[fault])
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = [done async for done in poller.as_done([task] * 3)]
    assert [type(done.error) for done in ends] == [type(ERRORS[fault])] * 3
