"""Tests of states, vocabularies and snapshots."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import TYPE_CHECKING, cast

import pytest

from asyncclient._state import Snapshot, TaskState, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Word = str | int

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
    vocabulary = Vocabulary(**words)
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
            Vocabulary(**words)


@pytest.mark.parametrize("missing", ["succeeded", "failed"])
def test_success_and_failure_need_a_word(missing: str) -> None:
    """A vocabulary without a word for success or failure raises and says what to add."""
    words: dict[str, Word | Iterable[Word]] = {"succeeded": "done", "failed": "error"}
    kept = {state: word for state, word in words.items() if state != missing}
    for given_words in (kept, kept | {missing: list[Word]()}, kept | {missing: ()}):
        with pytest.raises(
            ValueError, match=f"at least one word for {missing}: add {missing}=.*, or a wait could"
        ):
            Vocabulary(**given_words)


@pytest.mark.parametrize("state", [state.value for state in TaskState])
def test_an_empty_text_is_no_word(state: str) -> None:
    """An empty text, alone or among others, raises with its state, and says to leave it out."""
    words: dict[str, Word | Iterable[Word]] = {"succeeded": "done", "failed": "error"}
    for given_words in ("", ["busy", ""]):
        with pytest.raises(ValueError, match=f"^{state}: an empty text.*leave it out"):
            Vocabulary(**words | {state: given_words})


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
    state: TaskState | None, word: Word | None, shown: str
) -> None:
    """The repr is one short line, and shows nothing of the answer."""
    result = {"secret": "s3cret"}
    seen = Snapshot(state=state, word=word, result=result, polls=3, elapsed=4.25, raw=b"s3cret")
    assert repr(seen) == f"<Snapshot {shown} after 3 polls, 4.2 s>"


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
