"""Tests of states, vocabularies and snapshots."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from enum import Enum
from itertools import combinations
from types import NoneType
from typing import TYPE_CHECKING, cast

import pytest
from rich.pretty import pretty_repr

from asyncclient._state import Snapshot, TaskState, Vocabulary, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Word = str | int | Enum

# As a program without a type checker calls it.
unchecked = cast("Callable[..., Vocabulary]", Vocabulary)


# --- states -----------------------------------------------------------------------------------


def test_there_are_seven_states_in_the_order_of_a_life() -> None:
    """The set is closed; four states are ends, and a blocked task can still move on."""
    assert [(state.name, state.is_terminal) for state in TaskState] == [
        ("PENDING", False),
        ("RUNNING", False),
        ("BLOCKED", False),
        ("SUCCEEDED", True),
        ("FAILED", True),
        ("CANCELLED", True),
        ("EXPIRED", True),
    ]


def test_a_state_reads_as_its_name() -> None:
    """A state is a text, its own name in lower case, so that it can be logged and stored."""
    for state in TaskState:
        assert state == str(state) == f"{state}" == state.name.lower()


# --- vocabularies -----------------------------------------------------------------------------


def test_every_word_has_its_one_state() -> None:
    """Each word means the state it was given under, and any other word means nothing."""
    words: dict[str, Word] = {state.value: f"{state} it is" for state in TaskState}
    vocabulary = unchecked(**words)
    assert dict(vocabulary.words) == {words[state.value]: state for state in TaskState}
    assert [vocabulary.state_of(words[state.value]) for state in TaskState] == list(TaskState)
    assert vocabulary.state_of("pending") is None


@pytest.mark.parametrize("word", ["x", 7], ids=repr)
def test_a_word_in_two_states_is_refused(word: Word) -> None:
    """A word under two states raises with the word, both states and what to do."""
    for one, other in combinations(TaskState, 2):
        words: dict[str, list[Word]] = {"succeeded": ["done"], "failed": ["error"]}
        for state in (one, other):
            words.setdefault(state.value, []).append(word)
        with pytest.raises(
            ValueError, match=f"{word!r} stands under both {one} and {other}: choose one$"
        ):
            unchecked(**words)


@pytest.mark.parametrize("missing", ["succeeded", "failed"])
def test_success_and_failure_need_a_word(missing: str) -> None:
    """A vocabulary without a word for success or failure raises and says what to add."""
    words: dict[str, Word | Iterable[Word]] = {"succeeded": "done", "failed": "error"}
    kept = {state: word for state, word in words.items() if state != missing}
    for given_words in (kept, kept | {missing: list[Word]()}, kept | {missing: ()}):
        with pytest.raises(
            ValueError, match=f"at least one word for {missing}: add {missing}=.*, or a wait could"
        ):
            unchecked(**given_words)


@pytest.mark.parametrize("state", [state.value for state in TaskState])
def test_an_empty_text_is_no_word(state: str) -> None:
    """An empty text, alone or among others, raises with its state, and says to leave it out."""
    words: dict[str, Word | Iterable[Word]] = {"succeeded": "done", "failed": "error"}
    for given_words in ("", ["busy", ""]):
        with pytest.raises(ValueError, match=f"^{state}: an empty text.*leave it out"):
            unchecked(**words | {state: given_words})


@pytest.mark.parametrize(
    "wrong",
    [[None], ["done", 1.5], [b"done"], [["done"]], [{}], None, 1.5, b"done", object],
    ids=repr,
)
def test_only_a_text_or_a_whole_number_is_a_word(wrong: object) -> None:
    """Anything else, alone or among others, raises with the state that it stands under."""
    for state in ("running", "succeeded"):
        with pytest.raises(TypeError, match=f"^{state}: a status word is a text or a number, not "):
            unchecked(**{"succeeded": "done", "failed": "error", state: wrong})
    with pytest.raises(TypeError, match=r"not 1\.5$"):
        unchecked(succeeded=["done", 1.5], failed="error")


@pytest.mark.parametrize(
    "word",
    ["DONE", "done ", " done", "don", "2", None, "", [], ["done"], {}, 1.5, b"done"],
    ids=repr,
)
def test_any_other_value_of_a_status_field_is_only_unknown(word: object) -> None:
    """The provider's spelling is exact; a missing word or one of another type is no error."""
    vocabulary = Vocabulary(running="1", succeeded=["done", 1], failed=["error", 2])
    assert vocabulary.state_of(cast("str", word)) is None
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


def test_one_and_true_may_stand_under_two_states() -> None:
    """They are two words."""
    made = Vocabulary(succeeded=True, failed=1)
    assert (made.state_of(1), made.state_of(word=True)) == (TaskState.FAILED, TaskState.SUCCEEDED)


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


# --- snapshots --------------------------------------------------------------------------------


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


# --- numbers of others ------------------------------------------------------------------------


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
