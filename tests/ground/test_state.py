"""Tests of states, vocabularies and snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import pytest
from hypothesis import assume, given, strategies as st

from asyncclient._state import Snapshot, TaskState, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Word = str | int

WORDS = st.one_of(st.text(min_size=1), st.integers())
STATES = st.sampled_from(list(TaskState))

# As a program without a type checker calls it.
unchecked = cast("Callable[..., Vocabulary]", Vocabulary)


@st.composite
def meanings(draw: st.DrawFn) -> dict[Word, TaskState]:
    """Draw words and their states, a success and a failure among them."""
    rows = draw(st.lists(st.tuples(WORDS, STATES), min_size=2, unique_by=lambda row: row[0]))
    rows[0] = (rows[0][0], TaskState.SUCCEEDED)
    rows[1] = (rows[1][0], TaskState.FAILED)
    return dict(rows)


def arguments(rows: Iterable[tuple[Word, TaskState]]) -> dict[str, list[Word]]:
    """Return the arguments of a vocabulary, state by state."""
    given_words: dict[str, list[Word]] = {}
    for word, state in rows:
        given_words.setdefault(state.value, []).append(word)
    return given_words


# --- states -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "terminal"),
    [
        ("pending", False),
        ("running", False),
        ("blocked", False),
        ("succeeded", True),
        ("failed", True),
        ("cancelled", True),
        ("expired", True),
    ],
)
def test_a_state_is_terminal_or_not(state: str, *, terminal: bool) -> None:
    """Four states are ends, and three are not: a blocked task can still move on."""
    assert TaskState(state).is_terminal is terminal


def test_there_are_seven_states_in_the_order_of_a_life() -> None:
    """The set of states is closed: these seven, and no other."""
    assert [state.name for state in TaskState] == [
        "PENDING",
        "RUNNING",
        "BLOCKED",
        "SUCCEEDED",
        "FAILED",
        "CANCELLED",
        "EXPIRED",
    ]


@pytest.mark.parametrize("state", TaskState)
def test_a_state_reads_as_its_name(state: TaskState) -> None:
    """A state is a text, its own name in lower case, so that it can be logged and stored."""
    assert state == str(state) == f"{state}" == state.name.lower()


# --- vocabularies -----------------------------------------------------------------------------


@given(meanings(), WORDS)
def test_every_word_has_its_one_state(words: dict[Word, TaskState], other: Word) -> None:
    """Each word means the state it was given under, and any other word means nothing."""
    assume(other not in words)
    vocabulary = Vocabulary(**arguments(words.items()))
    assert {word: vocabulary.state_of(word) for word in words} == words
    assert dict(vocabulary.words) == words
    assert vocabulary.state_of(other) is None


@given(meanings(), st.data())
def test_a_word_in_two_states_is_refused(words: dict[Word, TaskState], data: st.DataObject) -> None:
    """A word under two states raises with the word, both states and what to do."""
    word = data.draw(st.sampled_from(sorted(words, key=repr)))
    second = data.draw(STATES.filter(lambda state: state is not words[word]))
    contradiction = arguments([*words.items(), (word, second)])
    with pytest.raises(ValueError, match="choose one") as refused:
        Vocabulary(**contradiction)
    for part in (repr(word), words[word], second):
        assert part in str(refused.value)


def test_a_word_may_be_named_twice_under_one_state() -> None:
    """The same word twice under one state is no contradiction."""
    vocabulary = Vocabulary(succeeded=["done", "done"], failed="error")
    assert vocabulary.state_of("done") is TaskState.SUCCEEDED


@pytest.mark.parametrize("missing", ["succeeded", "failed"])
@pytest.mark.parametrize("empty", [[], ()], ids=["list", "tuple"])
def test_success_and_failure_need_a_word(missing: str, empty: Iterable[Word]) -> None:
    """A vocabulary without a word for success or failure raises and says what to add."""
    words: dict[str, Word | Iterable[Word]] = {"succeeded": "done", "failed": "error"}
    with pytest.raises(ValueError, match=f"at least one word for {missing}: add {missing}=") as no:
        Vocabulary(**words | {missing: empty})
    assert "wait" in str(no.value)
    with pytest.raises(ValueError, match=f"add {missing}="):
        Vocabulary(**{state: word for state, word in words.items() if state != missing})


@pytest.mark.parametrize("state", [state.value for state in TaskState])
@pytest.mark.parametrize("given_words", ["", ["busy", ""]], ids=["lone", "among others"])
def test_an_empty_text_is_no_word(state: str, given_words: str | list[str]) -> None:
    """An empty text raises with the state it stands under, and says to leave it out."""
    words: dict[str, Word | Iterable[Word]] = {"succeeded": "done", "failed": "error"}
    with pytest.raises(ValueError, match=f"^{state}: an empty text.*leave it out"):
        Vocabulary(**words | {state: given_words})


@pytest.mark.parametrize("state", ["running", "succeeded"])
@pytest.mark.parametrize(
    "wrong",
    [
        [None],
        ["done", 1.5],
        [b"done"],
        [["done"]],
        [{}],
        None,
        1.5,
        b"done",
        object(),
    ],
    ids=[
        "None in a list",
        "float in a list",
        "bytes in a list",
        "list in a list",
        "dict in a list",
        "None",
        "float",
        "bytes",
        "object",
    ],
)
def test_what_is_no_text_or_number_is_no_word(state: str, wrong: object) -> None:
    """Anything but a text or a whole number raises with the state it stands under."""
    with pytest.raises(TypeError, match=f"^{state}: .*word"):
        unchecked(**{"succeeded": "done", "failed": "error", state: wrong})


def test_a_lone_text_is_one_word() -> None:
    """A text is one word and not a row of letters, and a number needs no list either."""
    vocabulary = Vocabulary(running=2, succeeded="done", failed="error")
    assert dict(vocabulary.words) == {
        2: TaskState.RUNNING,
        "done": TaskState.SUCCEEDED,
        "error": TaskState.FAILED,
    }
    assert vocabulary.state_of("d") is None


def test_a_number_is_not_its_text() -> None:
    """The number 1 and the text 1 are two words, and may mean different states."""
    vocabulary = Vocabulary(running="1", succeeded=1, failed=[0, -1])
    assert vocabulary.state_of("1") is TaskState.RUNNING
    assert vocabulary.state_of(1) is TaskState.SUCCEEDED
    assert vocabulary.state_of(0) is TaskState.FAILED
    assert vocabulary.state_of("0") is None


@pytest.mark.parametrize("word", ["DONE", "done ", " done", "dONE", "don"])
def test_words_are_compared_as_they_are_spelled(word: str) -> None:
    """Another case or a space makes another word: the provider's spelling is exact."""
    assert Vocabulary(succeeded="done", failed="error").state_of(word) is None


@pytest.mark.parametrize(
    "word",
    [None, "", [], ["done"], {}, {"done": 1}, set[str](), 1.5, b"done", object],
    ids=repr,
)
def test_whatever_stands_in_a_status_field_is_only_unknown(word: object) -> None:
    """A missing word, an unhashable one or one of another type is unknown, and no error."""
    vocabulary = Vocabulary(succeeded=["done", 1], failed=["error", 2])
    assert vocabulary.state_of(cast("str", word)) is None


def test_any_iterable_of_words_will_do() -> None:
    """A generator, a set and the keys of a mapping are read once and kept."""

    def running() -> Iterator[str]:
        yield from ("busy", "queued")

    vocabulary = Vocabulary(running=running(), succeeded={"done"}, failed={"error": "why"})
    states = [vocabulary.state_of(word) for word in ("busy", "queued", "done", "error", "why")]
    assert states == [
        TaskState.RUNNING,
        TaskState.RUNNING,
        TaskState.SUCCEEDED,
        TaskState.FAILED,
        None,
    ]


def test_a_vocabulary_keeps_its_own_words() -> None:
    """Neither the caller's list nor `words` is a way to change a vocabulary afterwards."""
    running = ["busy"]
    vocabulary = Vocabulary(running=running, succeeded="done", failed="error")
    running.append("queued")
    assert vocabulary.state_of("queued") is None
    with pytest.raises(TypeError):
        cast("dict[Word, TaskState]", vocabulary.words)["queued"] = TaskState.RUNNING


def test_a_vocabulary_shows_its_words() -> None:
    """The repr lists the words state by state."""
    vocabulary = Vocabulary(running=["busy", 1], succeeded="done", failed="error")
    assert repr(vocabulary) == (
        "<Vocabulary running: ['busy', 1], succeeded: ['done'], failed: ['error']>"
    )


# --- snapshots --------------------------------------------------------------------------------


def test_a_snapshot_shows_state_word_polls_and_time() -> None:
    """The repr is one short line, and shows nothing of the answer."""
    snapshot = Snapshot(
        state=TaskState.RUNNING,
        word="busy",
        result={"secret": "s3cret"},
        polls=3,
        elapsed=4.25,
        raw=b"s3cret",
    )
    assert repr(snapshot) == "<Snapshot running ('busy') after 3 polls, 4.2 s>"


@pytest.mark.parametrize(("word", "shown"), [(None, "None"), ("odd", "'odd'"), (7, "7")])
def test_a_snapshot_of_an_unknown_word_says_so(word: Word | None, shown: str) -> None:
    """Without a state the repr says `unknown`, and which word it was."""
    snapshot = Snapshot(state=None, word=word, result=None)
    assert repr(snapshot) == f"<Snapshot unknown ({shown}) after 0 polls, 0.0 s>"


def test_a_snapshot_cannot_be_changed() -> None:
    """Every field of a snapshot is read-only, so that it can be handed to anyone."""
    snapshot = Snapshot(state=TaskState.RUNNING, word="busy", result=None)
    for field in Snapshot.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(snapshot, field, None)
    assert snapshot == Snapshot(state=TaskState.RUNNING, word="busy", result=None)


def test_a_snapshot_takes_its_fields_by_name_only() -> None:
    """Positions mean nothing, so that a field can be added without breaking anyone."""
    with pytest.raises(TypeError):
        cast("Callable[..., object]", Snapshot)(TaskState.RUNNING, "busy", None)
