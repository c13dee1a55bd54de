"""Tests of the record of a wait: its text, its age, and what counts as a change."""

from __future__ import annotations

import time
from typing import cast

import pytest

from asyncclient import Observation, Snapshot, Task, TaskRef, TaskState
from asyncclient._waiting import Record
from asyncclient._waiting.record import is_change
from tests.waiting.scenario import Job, Thing


class Kindless:
    """A task that only can be looked at."""

    async def observe(self) -> Observation[str]:
        """Never be looked at."""
        raise NotImplementedError


def record_of(task: object) -> Record[object]:
    """Make the record of anything that can be looked at."""
    return Record(cast("Task[object]", task), 100.0)


TEXTS: dict[str, tuple[object, str]] = {
    "reference": (Job("done"), "fake job 7"),
    "key": (Job("done", ref=None), "fake.job 'job-7'"),
    "number": (Thing(7, "tea"), "tea 7"),
    "tuple": (Thing(("job", 7), "tea"), "tea ('job', 7)"),
    "empty": (Thing("", "tea"), "tea ''"),
    "no key": (Thing(None, "tea"), "tea"),
    "function": (Thing(record_of, "tea"), "tea"),
    "no kind": (Kindless(), "Kindless"),
}


@pytest.mark.parametrize(("task", "text"), TEXTS.values(), ids=TEXTS)
def test_its_text_is_the_reference_or_the_kind_and_the_key(task: object, text: str) -> None:
    """A function for a key is no name for a reader; a task without a kind is called by its type."""
    assert str(record_of(task)) == text


def test_it_begins_with_what_is_known_of_its_task() -> None:
    """Nothing was sent yet, and the task is as old as its reference says."""
    made = int(time.time()) - 600
    aged = record_of(Job("done", ref=TaskRef("fake", "job", {"id": "7"}, made)))
    assert (aged.sent, aged.polls, aged.snapshot) == (100.0, 0, None)
    assert 599 <= aged.age <= 601
    assert aged.kind == "fake.job"
    # A million records of tasks to which nothing has happened have one object for that.
    for task in (Job("done"), Job("done", ref=None), Kindless()):
        assert record_of(task).age == 0
        assert record_of(task).rare is aged.rare


def test_only_the_first_failed_look_of_a_row_is_worth_a_warning() -> None:
    """An hour of failures is one line."""
    record = record_of(Job("done"))
    warned: list[bool] = []
    for failures in (1, 2, 3, 1):
        record.failures = failures
        warned.append(record.take_warning(0.0))
    assert warned == [True, False, False, True]


def seen(
    word: str | None = "busy",
    state: TaskState | None = TaskState.RUNNING,
    *,
    progress: float | None = None,
    polls: int = 1,
    reason: str | None = None,
) -> Snapshot[object]:
    """Make what an answer showed."""
    return Snapshot(
        state=state, word=word, result=object(), progress=progress, polls=polls, reason=reason
    )


@pytest.mark.parametrize(
    "after",
    [
        *(seen("busier"), seen(state=TaskState.PENDING), seen(state=None), seen(None)),
        seen(progress=0.0),
    ],
    ids=repr,
)
def test_another_state_word_or_progress_is_a_change(after: Snapshot[object]) -> None:
    """It is one in both directions; before the first there was none."""
    before = seen()
    assert is_change(before, after)
    assert is_change(after, before)
    assert is_change(None, after)


def test_an_answer_that_says_the_same_is_no_change() -> None:
    """Neither is another result, reason or time."""
    assert not is_change(seen(progress=0.5), seen(progress=0.5, polls=9, reason="no tea"))
