"""Tests of tasks: what one look at a task sees, and tasks that are made of a function."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable, Hashable
from enum import Enum
from operator import attrgetter, itemgetter
from typing import Any, cast

import msgspec
import pytest

from asyncclient import Schedule, wait_until_done
from asyncclient._ref import TaskRef
from asyncclient._state import TaskState, Vocabulary
from asyncclient._task import Observation, PollingTask, polling_task, ref_of

WORDS = Vocabulary(running="busy", succeeded="done", failed="error")

# As a program without a type checker calls it.
unchecked = cast("Callable[..., PollingTask[object]]", polling_task)


class Job(msgspec.Struct):
    """An answer of some API."""

    status: str | None = None


async def fetch() -> dict[str, str]:
    """Ask an API that is always busy."""
    return {"status": "busy"}


def task_of(answer: object, **options: Hashable) -> PollingTask[object]:
    """Make a task whose answer has its word under `status`."""

    async def ask() -> object:
        return answer

    return unchecked(ask, vocabulary=WORDS, **{"status": itemgetter("status"), **options})


async def test_each_look_is_one_call_whose_answer_is_the_result() -> None:
    """`poll` returns the function's answer itself, and `observe` has it; no bytes are kept."""
    calls: list[Job] = []

    async def ask() -> Job:
        calls.append(Job("busy"))
        return calls[-1]

    task = polling_task(ask, vocabulary=WORDS, status=lambda job: job.status)
    assert calls == []
    assert await task.poll() is calls[0]
    seen = await task.observe()
    assert len(calls) == 2
    assert seen.result is calls[1]
    assert seen == Observation(TaskState.RUNNING, "busy", calls[1], raw=None, demand=None)


async def test_an_error_of_the_callers_functions_is_the_polls() -> None:
    """It comes out as it is; a mistake in `status` is not taken for an answer without a word."""

    async def ask() -> Job:
        raise ConnectionResetError("gone")

    def status(_found: object) -> str:
        raise ZeroDivisionError

    task = unchecked(ask, vocabulary=WORDS, status=status)
    for look in (task.poll, task.observe):
        with pytest.raises(ConnectionResetError, match="gone"):
            await look()
    with pytest.raises(ZeroDivisionError):
        await task_of({}, status=status).observe()


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


@pytest.mark.parametrize(
    ("word", "state", "reason", "hint", "took"),
    [
        ("busy", TaskState.RUNNING, "no tea", 7, None),
        ("new", None, "no tea", 7, None),
        (None, None, "no tea", 7, None),
        ("error", TaskState.FAILED, "no tea", None, 9),
        ("done", TaskState.SUCCEEDED, None, None, 9),
    ],
)
async def test_what_the_callers_functions_find_is_what_is_seen_as_the_state_allows(
    word: str | None,
    state: TaskState | None,
    reason: str | None,
    hint: int | None,
    took: int | None,
) -> None:
    """A success has no reason, an ended task no next look, and no other took its time yet.

    Without those functions, or where they find nothing, there is nothing of all that.
    """
    answer = {"status": word, "reason": "no tea", "progress": 0.5, "hint": 7, "duration": 9}
    functions = {name: itemgetter(name) for name in answer if name != "status"}
    seen = await task_of(answer, **functions).observe()
    assert seen == Observation(
        state, word, answer, reason=reason, progress=0.5, hint=hint, took=took
    )

    def cut_off(_answer: object) -> None:
        raise asyncio.CancelledError

    cut_offs = dict.fromkeys(functions, cut_off)
    for task in (task_of({"status": word}, **finders) for finders in ({}, functions, cut_offs)):
        assert await task.observe() == Observation(state, word, {"status": word})


def test_a_task_has_no_more_than_it_is_given() -> None:
    """By default no other transient error and no reference."""
    assert (task_of({}).transient, ref_of(task_of({}))) == ((), None)
    assert task_of({}, transient=(KeyError,)).transient == (KeyError,)


async def test_a_missing_field_item_or_attribute_is_a_missing_word() -> None:
    """What `status` raises of an answer without its field, or with another, is no word.

    Null or a new word is no member of an Enum, an empty text no number, an empty list has no first.
    """
    for answer, status in (
        ({"other": 1}, itemgetter("status")),
        (list[str](), itemgetter(0)),
        (None, attrgetter("status")),
        (None, Phase),
        ("new", Phase),
        ("", int),
        (iter(()), next),
    ):
        assert await task_of(answer, status=status).observe() == Observation(None, None, answer)


class Phase(Enum):
    """Words of a program's own."""

    DONE = "done"
    HALF = 1.5


@pytest.mark.parametrize(
    ("found", "word", "state"),
    [
        *((Phase.DONE, "done", TaskState.SUCCEEDED), (TaskState.FAILED, "failed", None)),
        *((Phase.HALF, None, None), (["done"], None, None), (1.0, None, None), (1, 1, None)),
    ],
    ids=repr,
)
async def test_a_status_word_is_the_value_of_an_enums_member(
    found: object, word: str | int | None, state: TaskState | None
) -> None:
    """What is neither text nor whole number is no word."""
    seen = await task_of({"status": found}).observe()
    assert (type(seen.word), seen.word, seen.state) == (type(word), word, state)


def test_by_default_a_task_is_its_function() -> None:
    """Two tasks of one function are one; any key but None is the task's, a falsy one included."""
    task = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    again = polling_task(fetch, vocabulary=WORDS, status=lambda answer: answer["status"])
    assert task.key == again.key == fetch
    assert task.kind == "fetch"
    assert task_of({}).key != task_of({}).key
    for key in (0, "", ("job", 7), frozenset[int]()):
        own = task_of({}, key=key, kind="tea")
        assert (own.key, own.kind) == (key, "tea")
        assert repr(own) == f"<PollingTask tea {key!r}>"


async def test_any_callable_that_returns_an_awaitable_will_do() -> None:
    """A partial, a bound method and a lambda around a coroutine function are taken."""

    async def ask(number: int) -> int:
        return number

    class Api:
        async def job(self) -> int:
            return 3

    asked = [
        await polling_task(function, vocabulary=WORDS, status=int).poll()
        for function in (functools.partial(ask, 1), lambda: ask(2), Api().job)
    ]
    assert asked == [1, 2, 3]


async def test_budget_reference_and_cancel_are_those_that_are_given() -> None:
    """A task of one's own has all that a provider's has; an empty budget is that of its kind."""
    stopped: list[str] = []

    async def stop() -> None:
        stopped.append("7")

    ref = TaskRef("acme", "job", {"id": "7"})
    task = task_of({}, kind="tea", budget=("acme", "mine", "jobs"), ref=ref, cancel=stop)
    assert (task.budget, ref_of(task)) == (("acme", "mine", "jobs"), ref)
    assert task.cancel is not None
    await task.cancel()
    assert stopped == ["7"]
    plain = task_of({}, kind="tea", budget=())
    assert (plain.budget, plain.ref, plain.cancel) == (("", __name__, "tea"), None, None)


def is_key_error(error: Exception) -> bool:
    """Say that nothing else is worth repeating."""
    return isinstance(error, KeyError)


@pytest.mark.parametrize("transient", [(), is_key_error])
async def test_a_call_that_hangs_is_a_failed_poll_after_its_seconds(
    transient: tuple[()] | Callable[[Exception], bool],
) -> None:
    """The wait goes on; the wait's own limit would have come a minute later.

    A predicate that tolerates nothing else is not asked.
    """
    answers = iter([60.0, 0.0])

    async def ask() -> str:
        await asyncio.sleep(next(answers))
        return "done"

    task = polling_task(ask, vocabulary=WORDS, status=str, poll_timeout=5, transient=transient)
    assert await wait_until_done(task, schedule=Schedule(first=1, jitter=0)) == "done"
    assert 5 < asyncio.get_running_loop().time() < 10
    with pytest.raises(ValueError, match="poll_timeout"):
        polling_task(ask, vocabulary=WORDS, status=str, poll_timeout=0)


async def test_a_time_limit_of_the_functions_own_is_its_own_error() -> None:
    """It is judged as any other exception of the caller's."""

    async def ask() -> str:
        await asyncio.sleep(1)
        raise TimeoutError(7)

    task = polling_task(
        ask,
        vocabulary=WORDS,
        status=str,
        poll_timeout=5,
        transient=lambda error: error.args == (8,),
    )
    with pytest.raises(TimeoutError, match="7"):
        await wait_until_done(task)


async def test_a_function_that_is_not_async_is_refused_at_its_first_poll() -> None:
    """A plain function raises with the task's kind, what it returned and what to pass."""
    task = unchecked(dict, vocabulary=WORDS, status=len, kind="tea")
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


class Asking:
    """An object whose call is awaited."""

    async def __call__(self, _: object) -> str:
        """Find nothing."""
        return ""


_NO_FETCH = "polling_task takes an async function of no arguments, not "
_NO_BUDGET = r"budget must be a tuple of hashable parts, as \(provider, account, group\)"
_NO_TUPLE = "transient must be a tuple of exception classes, as "


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("fetch", None, _NO_FETCH + "NoneType"),
        ("fetch", "fetch", _NO_FETCH + "str"),
        ("vocabulary", {"done": "succeeded"}, "vocabulary must be a Vocabulary, not dict"),
        ("vocabulary", Vocabulary, "vocabulary must be a Vocabulary, not type"),
        ("key", ["job"], "key must be hashable, not list"),
        ("key", ("job", ["7"]), "key must be hashable, not tuple"),
        ("kind", 7, "kind must be a text, not int"),
        ("status", None, "status must be a function from an answer to its status, not NoneType"),
        ("status", fetch, "status must be a function from an answer to its status, not an async"),
        ("status", Asking(), "status must be a function from an answer to its status, not an asyn"),
        ("reason", "why", "reason must be a function from an answer to its reason, not str"),
        ("progress", 7, "progress must be a function from an answer to its progress, not int"),
        ("hint", "wait", "hint must be a function from an answer to its hint, not str"),
        ("duration", 9, "duration must be a function from an answer to its duration, not int"),
        ("budget", "acme", _NO_BUDGET),
        ("budget", ("acme", ["account"]), _NO_BUDGET),
        ("ref", "acme/7", "ref= takes a TaskRef, not str"),
        ("cancel", "stop", "cancel must be a function of no arguments, not str"),
        ("poll_timeout", "5", "poll_timeout must be a number of seconds, not '5'"),
        ("transient", BaseException, _NO_TUPLE),
        ("transient", fetch, _NO_TUPLE),
        ("transient", Asking(), _NO_TUPLE),
        ("transient", [KeyError], _NO_TUPLE),
        ("transient", ("KeyError",), _NO_TUPLE),
        ("transient", (KeyError, BaseException), _NO_TUPLE),
    ],
)
def test_a_task_is_not_made_of_wrong_parts(name: str, wrong: object, words: str) -> None:
    """A wrong argument raises at once, by its name, and not at the first poll."""
    with pytest.raises(TypeError, match=f"^{words}"):
        unchecked(**{"fetch": fetch, "vocabulary": WORDS, "status": len, name: wrong})
