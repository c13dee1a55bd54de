"""Tests of states, vocabularies and snapshots."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from enum import Enum
from itertools import combinations, product
from types import NoneType
from typing import TYPE_CHECKING, cast

import pytest
from rich.pretty import pretty_repr

from asyncclient._state import Snapshot, TaskState, Vocabulary, number_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Word = str | int | Enum

# As a program without a type checker calls it.
unchecked = cast("Callable[..., Vocabulary]", Vocabulary)


def test_there_are_seven_states_in_the_order_of_a_life() -> None:
    """The set is closed, four are ends; each is a text, its own name, to be logged and stored."""
    assert [(state.name, state.is_terminal) for state in TaskState] == [
        *(("PENDING", False), ("RUNNING", False), ("BLOCKED", False)),
        *(("SUCCEEDED", True), ("FAILED", True), ("CANCELLED", True), ("EXPIRED", True)),
    ]
    for state in TaskState:
        assert state == str(state) == f"{state}" == state.name.lower()


def test_every_word_has_its_one_state() -> None:
    """Each word means the state it was given under, and any other word means nothing."""
    words: dict[str, Word] = {state.value: f"{state} it is" for state in TaskState}
    vocabulary = unchecked(**words)
    assert dict(vocabulary.words) == {words[state.value]: state for state in TaskState}
    assert [vocabulary.state_of(words[state.value]) for state in TaskState] == list(TaskState)
    assert vocabulary.state_of("pending") is None


GOOD: dict[str, object] = {"succeeded": ["done"], "failed": ["error"]}
_NO_TEXT = "{}: an empty text.*leave it out"
_NO_WORD = "{}: a status word is a text or a number, not "
_MISSING = "a vocabulary needs at least one word for {0}: add {0}=.*, or a wait could"


@pytest.mark.parametrize("word", ["x", 7], ids=repr)
def test_a_word_in_two_states_is_refused(word: Word) -> None:
    """A word under two states raises with the word, both states and what to do."""
    for one, other in combinations(TaskState, 2):
        words = GOOD | {one.value: word, other.value: word}
        with pytest.raises(
            ValueError, match=f"^the word {word!r} stands under both {one} and {other}"
        ):
            unchecked(**words)


NO_WORDS: list[object] = [[None], ["x", 1.5], [b"x"], [["x"]], [{}], None, 1.5, b"x", object]
WRONG: list[tuple[list[object], type[Exception], str, list[str]]] = [
    ([(), []], ValueError, _MISSING, ["succeeded", "failed"]),
    (["", ["busy", ""]], ValueError, _NO_TEXT, [*TaskState]),
    (NO_WORDS, TypeError, _NO_WORD, ["running", "succeeded"]),
]


@pytest.mark.parametrize(
    ("several", "kind", "says", "states"), WRONG, ids=["none", "empty", "type"]
)
def test_words_that_cannot_be_are_refused_by_their_state(
    several: list[object], kind: type[Exception], says: str, states: list[str]
) -> None:
    """Success and failure need a word; only a text or a whole number is one, and no empty text."""
    for wrong, state in product(several, states):
        with pytest.raises(kind, match=f"^{says.format(state)}"):
            unchecked(**GOOD | {str(state): wrong})


def test_a_refusal_shows_the_word() -> None:
    """What is wrong, of one that is there, or what is missing, where an argument is left out."""
    with pytest.raises(TypeError, match=r"not 1\.5$"):
        unchecked(succeeded=["done", 1.5], failed="error")
    for missing, given_words in (("failed", {"succeeded": "x"}), ("succeeded", {"failed": "x"})):
        with pytest.raises(ValueError, match=_MISSING.format(missing)):
            unchecked(**given_words)


def test_any_other_value_of_a_status_field_is_only_unknown() -> None:
    """The provider's spelling is exact; a missing word or one of another type is no error."""
    vocabulary = Vocabulary(running="1", succeeded=["done", 1], failed=["error", 2])
    others: tuple[object, ...] = (
        "DONE",
        "done ",
        " done",
        "don",
        "2",
        None,
        "",
        [],
        ["done"],
        {},
        1.5,
        b"done",
    )
    for word in others:
        assert vocabulary.state_of(cast("str", word)) is None, word
    assert vocabulary.state_of("1") is TaskState.RUNNING
    assert vocabulary.state_of(1) is TaskState.SUCCEEDED


def test_a_state_takes_one_word_or_any_iterable_of_words() -> None:
    """A lone text is one word; a generator, a set and the keys of a mapping are read once."""

    def running() -> Iterator[str]:
        yield from ("busy", "busy", "queued")

    vocabulary = Vocabulary(
        pending="new", running=running(), blocked=2, succeeded={"done"}, failed={"error": "why"}
    )
    assert dict(vocabulary.words) == {
        "new": TaskState.PENDING,
        "busy": TaskState.RUNNING,
        "queued": TaskState.RUNNING,
        2: TaskState.BLOCKED,
        "done": TaskState.SUCCEEDED,
        "error": TaskState.FAILED,
    }


def test_a_vocabulary_keeps_and_shows_its_own_words() -> None:
    """Neither the caller's list nor `words` changes it afterwards; the repr lists them by state."""
    running: list[Word] = ["busy", 1]
    vocabulary = Vocabulary(running=running, succeeded="done", failed="error")
    running.append("queued")
    assert vocabulary.state_of("queued") is None
    with pytest.raises(TypeError):
        cast("dict[Word, TaskState]", vocabulary.words)["queued"] = TaskState.RUNNING
    assert repr(vocabulary) == (
        "<Vocabulary running: ['busy', 1], succeeded: ['done'], failed: ['error']>"
    )


class Phase(Enum):
    """Words as a program of one's own may keep them."""

    BUSY = "busy"
    DONE = "done"
    LOST = 2
    NOTHING = ""
    HALF = 1.5


class Text(str, Enum):  # noqa: UP042  (not the same: a StrEnum hashes as its text)
    """The same as texts: Python hashes a member by its name."""

    DONE = "done"


@pytest.mark.parametrize("word", ["done", Phase.DONE, Text.DONE], ids=repr)
def test_a_member_of_an_enum_counts_as_its_value(word: Word) -> None:
    """Under a state and as a word to look up; `words` has the built-in values."""
    made = Vocabulary(running=Phase.BUSY, succeeded=word, failed=[Phase.LOST])
    assert [(type(each), each) for each in made.words] == [(str, "busy"), (str, "done"), (int, 2)]
    for seen in ("done", Phase.DONE, Text.DONE):
        assert made.state_of(seen) is TaskState.SUCCEEDED
    assert (made.state_of(Phase.LOST), made.state_of(2)) == (TaskState.FAILED, TaskState.FAILED)
    assert made.state_of(Phase.HALF) is None
    for wrong, error in ((Phase.NOTHING, ValueError), (Phase.HALF, TypeError)):
        with pytest.raises(error, match=r"^failed: "):
            Vocabulary(succeeded=word, failed=wrong)


@pytest.mark.parametrize(
    ("word", "seen"),
    [(1, True), (True, 1), (0, False), ("1", 1), (1, "1"), (1, 1.0), ("done", "Done")],
    ids=repr,
)
def test_words_are_compared_by_their_type_too(word: Word, seen: object) -> None:
    """What Python takes for equal, or a reader for the same, is another word."""
    made = Vocabulary(succeeded=word, failed="error")
    assert made.state_of(word) is TaskState.SUCCEEDED
    assert made.state_of(cast("Word", seen)) is None
    both = Vocabulary(succeeded=True, failed=1)
    assert (both.state_of(1), both.state_of(word=True)) == (TaskState.FAILED, TaskState.SUCCEEDED)


def test_the_case_of_letters_counts_unless_it_is_said_not_to() -> None:
    """Also in letters beyond ASCII; a spelling under two states is refused, numbers stay exact."""
    made = Vocabulary(
        running=["InProgress", 1], succeeded="Succeeded", failed="STRASSE", ignore_case=True
    )
    assert list(made.words) == ["InProgress", 1, "Succeeded", "STRASSE"]
    for word, state in (
        ("inPROGRESS", TaskState.RUNNING),
        ("SUCCEEDED", TaskState.SUCCEEDED),
        ("straße", TaskState.FAILED),
        (1, TaskState.RUNNING),
        (True, None),
    ):
        assert made.state_of(word) is state
    with pytest.raises(ValueError, match="'DONE' stands under both succeeded and failed"):
        Vocabulary(succeeded="done", failed="DONE", ignore_case=True)
    with pytest.raises(TypeError, match=r"^ignore_case must be a bool, not str$"):
        unchecked(succeeded="done", failed="error", ignore_case="yes")


def test_a_vocabulary_is_a_value() -> None:
    """It equals one of the same words, as a copy that was pickled does."""
    made = Vocabulary(running=["a", "b"], succeeded="done", failed=1)
    same = Vocabulary(running=["b", "a"], succeeded="done", failed=1)
    assert made == same == pickle.loads(pickle.dumps(made))  # noqa: S301  (of our own)
    assert hash(made) == hash(same)
    others = (
        Vocabulary(running=["a", "b"], succeeded="done", failed=True),
        Vocabulary(running=["a", "b"], succeeded="done", failed=1, ignore_case=True),
        "done",
    )
    assert made not in others
    assert hash(made) != hash(others[0])


@pytest.mark.parametrize(
    ("state", "word", "shown"),
    [
        (TaskState.RUNNING, "busy", "running ('busy')"),
        (None, None, "unknown (None)"),
        (None, "other", "unknown ('other')"),
        (None, 7, "unknown (7)"),
    ],
)
def test_a_snapshot_shows_state_word_polls_and_time(
    state: TaskState | None, word: str | int | None, shown: str
) -> None:
    """The repr is one short line, and shows nothing of the answer."""
    result = {"secret": "s3cret"}
    seen = Snapshot(state=state, word=word, result=result, polls=3, elapsed=4.25, raw=b"s3cret")
    assert repr(seen) == f"<Snapshot {shown} after 3 polls, 4.2 s>"
    assert pretty_repr(seen) == f"Snapshot(state={state!r}, word={word!r}, polls=3)"


def test_a_snapshot_is_a_value_with_names_alone() -> None:
    """It cannot be changed; positions mean nothing, so that a field can be added."""
    snapshot = Snapshot(state=TaskState.RUNNING, word="busy", result=None)
    for field in Snapshot.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(snapshot, field, None)
    assert snapshot == Snapshot(state=TaskState.RUNNING, word="busy", result=None)
    assert (snapshot.polls, snapshot.elapsed) == (0, 0)
    with pytest.raises(TypeError):
        cast("Callable[..., object]", Snapshot)(TaskState.RUNNING, "busy", None)


class _Own(int):
    """A number of a caller's own class, which might do anything."""


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *((3, 3), (2.5, 2.5), (-0.0, 0.0), (_Own(7), 7), (True, None), (False, None)),
        *(("7", None), (None, None), ([7], None), (10**400, None)),
        *((float("nan"), None), (float("inf"), None), (-float("inf"), None)),
    ],
)
def test_only_a_finite_number_is_one(value: object, number: float | None) -> None:
    """It comes back as a built-in; a truth value is none, though Python counts with it."""
    found = number_of(value)
    assert found == number
    assert type(found) in {int, float, NoneType}
