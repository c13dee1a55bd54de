"""Tests of readings: one API's answers of any form, read by paths and functions."""

from __future__ import annotations

import asyncio
import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum
from itertools import count
from typing import cast

import pytest
from hypothesis import given, strategies as st

from asyncclient import Observation, Reading, TaskState, Vocabulary
from asyncclient._reading import readings_by_name, value_at

WORDS = Vocabulary(
    pending="queued",
    running=["busy", 1, "7", "done/why"],
    succeeded=["done", "done/well", "done/7"],
    failed=["done/error", "done/a.error", "done/true"],
)

# As a program without a type checker calls it.
unchecked = cast("Callable[..., Reading]", Reading)


def reading(**options: object) -> Reading:
    """Make a reading whose word stands under `status`."""
    given_options = {
        "name": "tea.brew",
        "vocabulary": WORDS,
        "status": "status",
        "source": "https://tea.example/docs",
        "checked": "2026-11-29",
    }
    return unchecked(**given_options | options)


PATHS: list[tuple[str, object]] = [
    *(("status", {"status": "done"}), ("data.status", {"data": {"status": "done"}})),
    *(("data[0].status", {"data": [{"status": "done"}]}), ("[0][1]", [["busy", "done"]])),
    *(("[1].status", [{}, {"status": "done"}]), ("data.0", {"data": {"0": "done"}})),
    ("a.b-c.d_e", {"a": {"b-c": {"d_e": "done"}}}),
]


@pytest.mark.parametrize(("path", "answer"), PATHS)
def test_a_path_leads_to_the_status_word(path: str, answer: object) -> None:
    """Names go into objects, `[n]` into lists; the answer is the result, and is not changed."""
    before = copy.deepcopy(answer)
    seen = reading(status=path).read(answer)
    assert (seen.state, seen.word) == (TaskState.SUCCEEDED, "done")
    assert seen.result is answer
    assert answer == before


NOWHERE: list[object] = [
    *(None, "done", "", 0, 1.5, True, b"done", object()),
    *([], {}, ["done"], [{"status": "done"}], {"status": None}, {"status": ["done"]}),
    *({"status": {"status": "done"}}, {"status": 1.0}, {"data": None}, {"data": "done"}),
    *({"data": [None]}, {"data": [{}]}, {"data": {"0": {"status": "done"}}}),
]


@pytest.mark.parametrize("answer", NOWHERE, ids=map(str, count()))
@pytest.mark.parametrize("path", ["data[0].status", "[7].status", "status.x/data.y"])
def test_a_path_that_leads_nowhere_is_a_missing_word(path: str, answer: object) -> None:
    """Of no answer is it an exception: a name is for an object alone, and `[n]` for a list."""
    seen = reading(status=path, reason="data[1]", progress="a.b", hint="[0]").read(answer)
    assert seen == Observation(None, None, answer)
    assert value_at({"a": answer}, "a[0].b") is value_at(answer, "a[0]") is None
    assert value_at([{"a": answer}], "[0].a") is answer


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("ab") | st.text(), inner),
    max_leaves=8,
)


@given(answer=JSON, status=st.sampled_from(["a", "a.b", "[0].a", "a/b", "a/b?", "a[1]/b.a?/b"]))
def test_any_json_can_be_read(answer: object, status: str) -> None:
    """A word is a text or a whole number, and only a known one has a state."""
    seen = reading(status=status, reason=["a", "b[0]"], progress="b", hint="a.a").read(answer)
    assert seen.word is None or isinstance(seen.word, str | int)
    assert seen.state is WORDS.state_of(seen.word)


JOINED: list[tuple[object, object, str | int | None, TaskState | None]] = [
    *(("queued", None, "queued", TaskState.PENDING), (1, "new", 1, TaskState.RUNNING)),
    *(("done", end, "done", TaskState.SUCCEEDED) for end in ("", "WELL", ["well"], "new")),
    *(("done", end, f"done/{end}", TaskState.SUCCEEDED) for end in ("well", 7)),
    ("done", True, "done/true", TaskState.FAILED),
    *(("new", "well", "new", None), (7, None, 7, None), (True, None, True, None)),
    *((first, "busy", "busy", TaskState.RUNNING) for first in (None, "")),
]


@pytest.mark.parametrize(("status", "end", "word", "state"), JOINED)
def test_a_word_of_several_parts_is_joined(
    status: object, end: object, word: str | int | None, state: TaskState | None
) -> None:
    """Parts that are absent, null or empty are left out; an unknown whole is its first part."""
    both = {"status": status, "end": end}
    for answer in (both, {name: part for name, part in both.items() if part is not None}):
        seen = reading(status="status/end").read(answer)
        assert (type(seen.word), seen.word, seen.state) == (type(word), word, state)


@pytest.mark.parametrize("path", ["error", "a.error"])
def test_a_part_with_a_question_mark_is_its_path_where_its_value_is_there(path: str) -> None:
    """It says that there is something, in the path's own text."""
    made = reading(status=f"status/{path}?")
    there: list[object] = [0, [], {}, "no"]
    for error in (*there, None, False, ""):
        seen = made.read({"status": "done", "error": error, "a": {"error": error}})
        assert seen.word == (f"done/{path}" if any(error is each for each in there) else "done")
        assert seen.state is WORDS.state_of(seen.word)
    assert made.read({"status": "done"}).word == "done"


class Phase(Enum):
    """Words of a program's own."""

    DONE = "done"


def found_at(*names: str) -> Callable[[object], object]:
    """Make a function that goes down an answer by its names, as a caller would write it."""

    def find(answer: object) -> object:
        for name in names:
            answer = cast("dict[str, object]", answer)[name]
        return answer

    return find


def test_a_function_finds_what_no_path_can() -> None:
    """As that of a `polling_task`: what is not there is a missing word, a mistake comes out."""
    assert reading(status=len).read([7]).state is TaskState.RUNNING
    assert reading(status=found_at("x")).read({"x": Phase.DONE}).word == "done"
    answers: tuple[object, ...] = ({"x": None}, {}, [], None)
    for answer in answers:
        assert reading(status=found_at("x", "y")).read(answer).word is None

    def status(_answer: object) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        reading(status=status).read({})


def cut_off(_answer: object) -> str:
    """Find nothing, as a future does that was cancelled."""
    raise asyncio.CancelledError


@pytest.mark.parametrize(
    ("where", "found"),
    [
        *((where, "no tea") for where in ("why", ("error.message", "why"), ["error", "why"])),
        *((where, "no tea") for where in (("empty", "why"), (found_at("x"), "why"))),
        ((cut_off, "why"), "no tea"),
        *((where, "no sugar") for where in (("more.why", "why"), found_at("more", "why"))),
        *((where, None) for where in ("error", "count", (), None)),
    ],
    ids=map(str, count()),
)
def test_the_reason_is_the_first_text_that_is_found(where: object, found: str | None) -> None:
    """Of one path, of several, or of functions, which may raise; and not where all is well."""
    answer: dict[str, object] = {"status": "done", "kind": "error", "why": "no tea", "empty": ""}
    answer |= {"more": {"why": "no sugar"}, "error": {"code": 7}, "count": 7}
    assert reading(status="status/kind", reason=where).read(answer).reason == found
    assert reading(status="kind", reason=where).read(answer).reason == found
    assert reading(reason=where).read(answer).reason is None


@pytest.mark.parametrize(("value", "number"), [(7, 7), (0.5, 0.5), ("7", None), (10**400, None)])
def test_progress_and_hint_are_numbers_or_nothing(value: object, number: float | None) -> None:
    """By a path and by a function alike; an ended task has no hint, and only it took its time."""
    find = found_at("n")
    for where in ("n", find):
        made = reading(progress=where, hint=where, took=find)
        for answer, seen in (
            ({"status": "busy", "n": value}, (number, number, None)),
            ({"status": "done", "n": value}, (number, None, number)),
            ({"status": "done"}, (None, None, None)),
        ):
            found = made.read(answer)
            assert (found.progress, found.hint, found.took) == seen


NO_PATHS = ("", " ", "a b", "a\n", "a..b", ".a", "a.", "a.[0]", "[0]a", "a[", "a[x]", "a[-1]", "a]")
NO_SIGNS = ("a[²]", "a[1234567890]", "$.a", "a.*", "a??", "?")


# By number: a name with a bracket cannot be given to pytest.
@pytest.mark.parametrize("wrong", NO_PATHS + NO_SIGNS, ids=range(len(NO_PATHS + NO_SIGNS)))
@pytest.mark.parametrize("argument", ["status", "reason", "progress", "hint"])
def test_what_is_no_path_is_refused(argument: str, wrong: str) -> None:
    """By the argument's name, also as one of several."""
    several = {"status": f"a/{wrong}", "reason": ("a", wrong)}
    for value in (wrong, several.get(argument, wrong)):
        with pytest.raises(ValueError, match=rf"^{argument}: '.* is not a path: write it like"):
            reading(**{argument: value})


def test_several_paths_are_for_the_status_alone() -> None:
    """And so are paths with a `?`."""
    assert reading(status="a/b?/c[0].d?").status == "a/b?/c[0].d?"
    for argument in ("reason", "progress", "hint"):
        for wrong in ("a/b", "a?"):
            with pytest.raises(ValueError, match=f"^{argument}: "):
                reading(**{argument: wrong})


A_TIME = datetime(2026, 11, 29, tzinfo=UTC)
WRONG_TYPES: dict[str, list[object]] = {
    "name": [7],
    "vocabulary": [{"done": "succeeded"}, None],
    "status": [None, ("a", "b"), 7],
    "reason": [7, ("a", None), {"a"}],
    "progress": [7, ("a",)],
    "hint": [b"a"],
    "took": ["a", asyncio.sleep],
    "source": [None],
    "checked": [None, A_TIME],
}
WRONG_VALUES: dict[str, list[object]] = {
    "name": ["", " tea", "tea\n", "brew tea", "tea.", "tea/brew"],
    "source": [""],
    "checked": ["yesterday", "2026-13-01"],
}


@pytest.mark.parametrize(
    ("error", "argument", "wrong"),
    [
        (error, argument, wrong)
        for error, rows in ((TypeError, WRONG_TYPES), (ValueError, WRONG_VALUES))
        for argument, values in rows.items()
        for wrong in values
    ],
    ids=lambda given: getattr(given, "__name__", repr(given)),
)
def test_a_wrong_argument_is_named(error: type[Exception], argument: str, wrong: object) -> None:
    """When the reading is made, and not when an answer is read."""
    with pytest.raises(error, match=rf"\b{argument}\b"):
        reading(**{argument: wrong})


def test_what_is_no_date_is_shown() -> None:
    """A text itself, and of anything else its class."""
    for wrong, says in (("soon", r"^checked='soon' is not a date"), (A_TIME, r"not datetime$")):
        with pytest.raises((ValueError, TypeError), match=says):
            reading(checked=wrong)


def test_a_reading_is_a_value() -> None:
    """It cannot be changed, and is equal to a copy that was pickled; its repr is its name."""
    made = reading(status="a/b?", reason=["a", "b.c"], progress="d", checked=date(2026, 11, 29))
    assert (made.reason, made.checked) == (("a", "b.c"), date(2026, 11, 29))
    assert made == reading(status="a/b?", reason=("a", "b.c"), progress="d")
    assert made == pickle.loads(pickle.dumps(made)) == copy.deepcopy(made)  # noqa: S301  (of our own)
    assert len({made, pickle.loads(pickle.dumps(made))}) == 1  # noqa: S301
    assert made != reading(status="a/b?", reason=("a", "b.c"))
    assert repr(made) == "<Reading tea.brew>"
    assert reading(reason="a").reason == ("a",)
    with pytest.raises(AttributeError):
        setattr(made, "name", "other")  # noqa: B010  (type checkers know it already)


def test_a_reading_of_functions_without_a_hash_has_one() -> None:
    """A dataclass that is called, for example; readings of one name may still differ."""

    @dataclass
    class At:
        name: str

        def __call__(self, answer: dict[str, str]) -> str:
            return answer[self.name]

    made, same, other = (reading(status=At(name)) for name in ("a", "a", "b"))
    assert made.read({"a": "done"}).word == "done"
    assert len({made, same, other}) == 2


def test_readings_are_found_by_their_names() -> None:
    """One that is given twice is one; two of one name are refused, and so is anything else."""
    brew, pour = reading(), reading(name="tea.pour")
    assert readings_by_name([brew, pour, reading()]) == {"tea.brew": brew, "tea.pour": pour}
    words = r"^two readings are named 'tea\.brew': give each its own name$"
    with pytest.raises(ValueError, match=words):
        readings_by_name([brew, reading(status="state")])
    with pytest.raises(
        TypeError, match=r"^readings must be a list of Readings, and has str in it$"
    ):
        readings_by_name(["tea.brew"])
    for wrong in (None, brew):
        name = type(wrong).__name__
        with pytest.raises(TypeError, match=rf"^readings must be a list of Readings, not {name}$"):
            readings_by_name(wrong)
