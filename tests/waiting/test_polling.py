"""Tests of one look at a task: what is counted, and what a task of the caller's own gets wrong."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable
from enum import Enum
from typing import cast

import pytest

from asyncclient import Observation, Snapshot, TaskState
from asyncclient._waiting import AskCaller, Polling, Record, Report, Sleep, gaps_of
from asyncclient.errors import RequestTimeout
from tests.waiting.looks import DOWN, Wait, seen_of
from tests.waiting.scenario import EVERY_SECOND, Thing

SUCCEEDED, RUNNING = TaskState.SUCCEEDED, TaskState.RUNNING


async def look_at(seen: object) -> tuple[Record[object], object]:
    """Look once at a task of the caller's own; return what is known of it, and what follows."""
    record = Record(Thing("7", "strange", seen), 0.0)
    polling: Polling[Record[object]] = Polling(
        Report("tests"),
        gaps_of(EVERY_SECOND, None),
        lambda width: width,
        lambda _record, _snapshot: None,
    )
    return record, await polling.look(record)


def test_success_ends_the_wait_with_the_last_snapshot() -> None:
    """A task that has succeeded ends the wait, and the record has what its answer said."""
    wait = Wait()
    wait.answered(at=1)
    assert wait.answered(seen_of(SUCCEEDED, "done", progress=1.0, hint=9), at=7) is None
    assert wait.record.snapshot == Snapshot(
        state=SUCCEEDED, word="done", result="answer", progress=1.0, polls=2, elapsed=7.0, raw=b"{}"
    )


@pytest.mark.parametrize("error", [RequestTimeout("slow"), TimeoutError("slow")], ids=repr)
def test_a_look_that_timed_out_says_nothing_of_how_long_answers_take(error: Exception) -> None:
    """The slowest look is the slowest answer, or failure but a timeout: rounded up, 5 s at most."""
    wait = Wait()
    wait.failed(error, took=4)
    assert wait.record.slowest is None
    wait.failed(DOWN, took=3)
    wait.answered(took=2)
    assert wait.record.slowest == 3
    for seconds, slowest in ((0.0, 0.0), (0.001, 1 / 64), (0.5, 0.5), (4.999, 5.0), (600.0, 5.0)):
        wait = Wait()
        wait.answered(took=seconds)
        assert wait.record.slowest == slowest


class Phase(Enum):
    """Words of a caller's own, which are no texts."""

    BUSY = "busy"
    HALF = 0.5


@pytest.mark.parametrize(
    ("word", "kept"), [(Phase.BUSY, "busy"), (TaskState.RUNNING, "running"), (Phase.HALF, None)]
)
async def test_a_word_is_kept_as_a_built_in_text(word: object, kept: str | None) -> None:
    """Also where a task of the caller's own sees the member of an Enum."""
    record, _ = await look_at(Observation(RUNNING, cast("str", word), 7))
    assert record.snapshot is not None
    assert type(record.snapshot.word) in {str, type(None)}
    assert record.snapshot.word == kept


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ("done", "observe\\(\\) returned str, not an Observation"),
        (None, "observe\\(\\) returned NoneType, not an Observation"),
        (Observation(cast("TaskState", "running"), "w", 1), "saw the state 'running', which is no"),
    ],
    ids=["a word", "nothing", "a state that is a text"],
)
async def test_what_is_no_observation_is_named(seen: object, words: str) -> None:
    """A task of the caller's own that answers wrongly gets an error with its name."""
    with pytest.raises(TypeError, match=f"^strange '7': .*{words}"):
        await look_at(seen)


@pytest.mark.parametrize("number", [10**400, "12", None], ids=["too large", "text", "None"])
async def test_numbers_that_cannot_be_are_none(number: object) -> None:
    """A progress, a hint or a duration that is no finite number counts as not given."""
    value = cast("float", number)
    record, step = await look_at(Observation(RUNNING, "r", 1, progress=value, hint=value))
    assert record.snapshot is not None
    assert record.snapshot.progress is None
    assert step == Sleep(1.0, "schedule")
    ended = Observation(SUCCEEDED, "d", 2, progress=value, took=value, reason="not on success")
    record, step = await look_at(ended)
    assert record.snapshot is not None
    assert (record.snapshot.progress, record.snapshot.reason) == (None, None)
    assert step is None


class Incomparable:
    """An object that is compared with nothing, as an array is not."""

    def __ne__(self, _other: object) -> bool:
        raise ValueError

    __eq__ = __ne__
    __hash__ = object.__hash__


@pytest.mark.parametrize("demand", [Incomparable(), math.nan, ([1],), [1]], ids=type)
async def test_a_demand_that_identifies_nothing_is_nameless(demand: Hashable) -> None:
    """It is asked for as one without a name is, once a stay."""
    _, step = await look_at(Observation(TaskState.BLOCKED, "b", 1, demand=demand))
    assert isinstance(step, AskCaller)
    assert step.demand is None


@pytest.mark.parametrize("raw", ["{}", bytearray(b"{}"), 5], ids=type)
async def test_what_is_no_bytes_is_not_kept_as_the_answers(raw: object) -> None:
    """Rules that pack it, in a crowd, need bytes."""
    record, _ = await look_at(Observation(RUNNING, "r", 1, raw=cast("bytes", raw)))
    assert record.snapshot is not None
    assert record.snapshot.raw is None


@pytest.mark.parametrize("unit", [1, 1000])
async def test_a_hint_may_be_a_point_in_time(unit: int) -> None:
    """Unix seconds or milliseconds are counted from now."""
    _, step = await look_at(Observation(RUNNING, "r", 1, hint=unit * (time.time() + 30)))
    assert isinstance(step, Sleep)
    assert step.why == "hint"
    assert step.seconds == pytest.approx(30, abs=2)


async def test_a_hint_of_more_than_a_day_is_none() -> None:
    """It says nothing that a wait could obey."""
    _, step = await look_at(Observation(RUNNING, "r", 1, hint=86_400.1))
    assert step == Sleep(1.0, "schedule")


async def test_a_tolerated_error_keeps_no_frame_and_the_callers_own_keeps_its() -> None:
    """The frames of a look hold its answer; an error that the caller handles is the caller's."""
    outer = LookupError("of the caller")
    down = ConnectionError("of the look")
    try:
        raise outer
    except LookupError:
        record, _ = await look_at(down)
    assert record.last_error is down
    assert down.__context__ is outer
    assert down.__traceback__ is None
    assert outer.__traceback__ is not None
