"""Tests of tasks: what one look at a task sees, and tasks that are made of a function."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Hashable
from typing import Any, cast

import msgspec
import pytest

from asyncclient._state import TaskState, Vocabulary
from asyncclient._task import Observation, PollingTask, polling_task, ref_of

WORDS = Vocabulary(running="busy", succeeded="done", failed="error")

# As a program without a type checker calls it.
unchecked = cast("Callable[..., PollingTask[object]]", polling_task)


class Job(msgspec.Struct):
    """An answer of some API."""

    status: str | None = None
    done: float | None = None
    why: str | None = None
    wait: float | None = None
    took: float | None = None


async def fetch() -> dict[str, str]:
    """Ask an API that is always busy."""
    return {"status": "busy"}


def task_of(answer: object, **options: Hashable) -> PollingTask[object]:
    """Make a task whose answer has its word under `status`."""

    async def ask() -> object:
        return answer

    def status(found: object) -> str:
        return cast("dict[str, str]", found)["status"]

    return unchecked(ask, vocabulary=WORDS, status=status, **options)


async def test_a_poll_calls_the_function_once() -> None:
    """Each poll is one call, and its answer is returned itself."""
    calls: list[Job] = []

    async def ask() -> Job:
        calls.append(Job("busy"))
        return calls[-1]

    task = polling_task(ask, vocabulary=WORDS, status=lambda job: job.status)
    assert calls == []
    first = await task.poll()
    second = await task.poll()
    assert len(calls) == 2
    assert (first, second) == (calls[0], calls[1])
    assert first is calls[0]


async def test_an_error_of_the_function_is_the_polls() -> None:
    """What the function raises comes out of `poll` and `observe` as it is."""

    async def ask() -> Job:
        raise ConnectionResetError("gone")

    task = polling_task(ask, vocabulary=WORDS, status=lambda job: job.status)
    for look in (task.poll, task.observe):
        with pytest.raises(ConnectionResetError, match="gone"):
            await look()


def test_an_observation_is_a_value() -> None:
    """State, word and result may be given by position, and nothing of it can be changed."""
    seen = Observation(TaskState.RUNNING, "busy", 7, progress=0.5)
    assert (seen.state, seen.word, seen.result) == (TaskState.RUNNING, "busy", 7)
    assert seen == Observation(state=TaskState.RUNNING, word="busy", result=7, progress=0.5)
    assert seen != Observation(TaskState.RUNNING, "busy", 7)
    with pytest.raises(TypeError):
        cast("Any", Observation)(TaskState.RUNNING, "busy", 7, b"7")
    for field in seen.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(seen, field, None)


async def test_a_look_is_one_call_whose_answer_is_the_result() -> None:
    """`observe` calls the function once, and has its answer itself; no bytes are kept."""
    calls: list[Job] = []

    async def ask() -> Job:
        calls.append(Job("busy"))
        return calls[-1]

    seen = await polling_task(ask, vocabulary=WORDS, status=lambda job: job.status).observe()
    assert len(calls) == 1
    assert seen.result is calls[0]
    assert seen == Observation(TaskState.RUNNING, "busy", calls[0])
    assert seen.raw is None
    assert seen.demand is None


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("busy", TaskState.RUNNING),
        ("done", TaskState.SUCCEEDED),
        ("error", TaskState.FAILED),
        ("odd", None),
        (None, None),
    ],
)
async def test_a_word_is_read_by_status_and_meant_by_the_vocabulary(
    word: str | None, state: TaskState | None
) -> None:
    """An observation has the word that `status` finds, and the state that it means."""
    seen = await task_of({"status": word}).observe()
    assert seen.word == word
    assert seen.state is state


@pytest.mark.parametrize("answer", [{}, {"other": 1}], ids=repr)
async def test_a_missing_field_is_a_missing_word(answer: object) -> None:
    """A `KeyError` in `status` counts as an answer without a word."""
    seen = await task_of(answer).observe()
    assert seen.word is None
    assert seen.state is None


async def test_a_missing_item_or_attribute_is_a_missing_word_too() -> None:
    """So do an `IndexError` and an `AttributeError`."""

    async def empty() -> object:
        return []

    async def nothing() -> object:
        return None

    def first(found: object) -> str:
        return cast("list[str]", found)[0]

    def status(found: object) -> str:
        return cast("str", cast("Job", found).status)

    assert (await unchecked(empty, vocabulary=WORDS, status=first).observe()).word is None
    assert (await unchecked(nothing, vocabulary=WORDS, status=status).observe()).word is None


@pytest.mark.parametrize("word", ["busy", "error", "odd"])
async def test_a_missing_field_is_nothing_to_find(word: str) -> None:
    """Where the field for reason, progress, hint or duration is missing, there is none of it."""

    async def ask() -> dict[str, str]:
        return {"status": word}

    seen = await polling_task(
        ask,
        vocabulary=WORDS,
        status=lambda answer: answer["status"],
        reason=lambda answer: answer["why"],
        progress=lambda answer: float(answer["done"]),
        hint=lambda answer: float(answer["wait"]),
        duration=lambda answer: float(answer["took"]),
    ).observe()
    assert seen.word == word
    assert (seen.reason, seen.progress, seen.hint, seen.took) == (None, None, None, None)


async def test_any_other_error_of_status_is_the_callers() -> None:
    """A mistake in `status` itself is not taken for an answer without a word."""

    def status(_found: object) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await unchecked(fetch, vocabulary=WORDS, status=status).observe()


@pytest.mark.parametrize(
    ("word", "reason", "hint", "took"),
    [
        ("busy", "no tea", 7, None),
        ("odd", "no tea", 7, None),
        (None, "no tea", 7, None),
        ("error", "no tea", None, 9),
        ("done", None, None, 9),
    ],
)
async def test_reason_progress_hint_and_duration_are_the_callers_functions(
    word: str | None, reason: str | None, hint: float | None, took: float | None
) -> None:
    """What the given functions find in an answer is what the wait gets, as its state allows.

    Where all went well there is no reason, an ended task has no next look, and no other took its
    time yet.
    """

    async def ask() -> Job:
        return Job(word, done=0.5, why="no tea", wait=7, took=9)

    task = polling_task(
        ask,
        vocabulary=WORDS,
        status=lambda job: job.status,
        reason=lambda job: job.why,
        progress=lambda job: job.done,
        hint=lambda job: job.wait,
        duration=lambda job: job.took,
        transient=(KeyError,),
    )
    seen = await task.observe()
    assert (seen.reason, seen.progress, seen.hint, seen.took) == (reason, 0.5, hint, took)
    assert task.transient == (KeyError,)


@pytest.mark.parametrize("word", ["busy", "done", "error", "odd", None])
async def test_without_those_functions_there_is_nothing_to_find(word: str | None) -> None:
    """Reason, progress, hint and duration are None by default; no further error is transient."""
    task = task_of({"status": word})
    seen = await task.observe()
    assert (seen.reason, seen.progress, seen.hint, seen.took) == (None, None, None, None)
    assert task.transient == ()
    assert ref_of(task) is None


def test_by_default_a_task_is_its_function() -> None:
    """The key is the function, so that two tasks of one function are one; its name is the kind."""
    task = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    again = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    assert task.key == again.key == fetch
    assert task.kind == "fetch"
    assert task_of({}).key != task_of({}).key


@pytest.mark.parametrize("key", [0, "", ("job", 7), frozenset[int]()], ids=repr)
def test_a_key_is_kept_as_given(key: Hashable) -> None:
    """Any key but None is the task's, a falsy one included, and so is a kind."""
    task = task_of({}, key=key, kind="tea")
    assert task.key == key
    assert task.kind == "tea"
    assert repr(task) == f"<PollingTask tea {key!r}>"


async def test_any_callable_that_returns_an_awaitable_will_do() -> None:
    """A partial, a bound method and a lambda around a coroutine function are taken."""

    async def ask(number: int) -> dict[str, int]:
        return {"n": number}

    class Api:
        async def job(self) -> dict[str, int]:
            return {"n": 3}

    def status(_answer: dict[str, int]) -> str:
        return "busy"

    asked = [
        await polling_task(function, vocabulary=WORDS, status=status).poll()
        for function in (functools.partial(ask, 1), lambda: ask(2), Api().job)
    ]
    assert asked == [{"n": 1}, {"n": 2}, {"n": 3}]


async def test_a_function_that_is_not_async_is_refused_at_its_first_poll() -> None:
    """A plain function raises with the task's kind, what it returned and what to pass."""

    def ask() -> dict[str, str]:
        return {"status": "busy"}

    task = unchecked(ask, vocabulary=WORDS, status=len, kind="tea")
    for look in (task.poll, task.observe):
        with pytest.raises(
            TypeError, match=r"^tea: fetch\(\) returned dict, not an awaitable: pass an async func"
        ):
            await look()


def test_a_call_in_place_of_the_function_is_refused() -> None:
    """A coroutine raises with what to drop, and is closed: nothing warns of it later."""
    called = fetch()
    with pytest.raises(TypeError, match=r"the async function itself, not a call of it: drop"):
        unchecked(called, vocabulary=WORDS, status=len)
    assert inspect.getcoroutinestate(called) == inspect.CORO_CLOSED


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"fetch": None}, "takes an async function of no arguments, not NoneType"),
        ({"fetch": "fetch"}, "takes an async function of no arguments, not str"),
        ({"vocabulary": {"done": "succeeded"}}, "vocabulary must be a Vocabulary, not dict"),
        ({"vocabulary": None}, "vocabulary must be a Vocabulary, not NoneType"),
        ({"vocabulary": Vocabulary}, "vocabulary must be a Vocabulary, not type"),
        ({"status": "status"}, "status must be a function from an answer.*, not str"),
        ({"status": None}, "status must be a function from an answer.*, not NoneType"),
        ({"reason": "why"}, "reason must be a function from an answer.*, not str"),
        ({"progress": 7}, "progress must be a function from an answer.*, not int"),
        ({"hint": "wait"}, "hint must be a function from an answer.*, not str"),
        ({"transient": KeyError}, "transient must be a tuple of exception classes"),
        ({"transient": [KeyError]}, "transient must be a tuple of exception classes"),
        ({"transient": ("KeyError",)}, "transient must be a tuple of exception classes"),
        ({"transient": (KeyError, BaseException)}, "transient must be a tuple of exception"),
    ],
    ids=[
        "fetch is None",
        "fetch is a text",
        "vocabulary is a dict",
        "vocabulary is None",
        "vocabulary is the class",
        "status is a text",
        "status is None",
        "reason is a text",
        "progress is a number",
        "hint is a text",
        "transient is a class",
        "transient is a list",
        "transient holds a text",
        "transient holds what is no Exception",
    ],
)
def test_a_task_is_not_made_of_wrong_parts(wrong: dict[str, object], words: str) -> None:
    """A wrong argument raises at once, by its name, and not at the first poll."""
    with pytest.raises(TypeError, match=words):
        unchecked(**{"fetch": fetch, "vocabulary": WORDS, "status": len} | wrong)
