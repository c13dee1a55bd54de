"""A task's state: our closed set of states, and the providers' open words for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Generic, TypeAlias, TypeVar, cast

import msgspec

from asyncclient._portable import Portable
from asyncclient._text import counted, even_half_made, shown, type_name

T_co = TypeVar("T_co", covariant=True)

# A status word as a caller may write it: the member of an Enum counts as its value.
Word: TypeAlias = str | int | Enum


class TaskState(StrEnum):
    """A task's state, in words that are the same for every provider.

    Attributes:
        is_terminal: true when the task can never change again.
    """

    PENDING = "pending"
    RUNNING = "running"
    BLOCKED = "blocked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    def __init__(self, word: str) -> None:
        # No property: each look asks, and its answer never changes.
        self.is_terminal = word in {"succeeded", "failed", "cancelled", "expired"}


class Vocabulary:
    """A provider's status words, state by state, checked when it is made.

    Args:
        pending: words for "accepted, not begun". Each argument takes one word or several; a word is
            a text, a number, or an Enum member with such a value. Words are compared exactly, type
            included: True is not 1, "1" is not 1.
        running: words for "at work".
        blocked: words for "waits for its caller".
        succeeded: words for "ended with success"; at least one.
        failed: words for "ended with a failure"; at least one.
        cancelled: words for "stopped by someone".
        expired: words for "given up or forgotten by the provider".
        ignore_case: True for a provider that changes between capitals and small letters, as Azure
            does. Default False.

    Raises:
        ValueError: a word stands under two states, is empty, or there is no word for success or
            none for failure (a wait that cannot see failure never ends).
        TypeError: a word is neither text nor number, or `ignore_case` no bool.
    """

    __slots__ = ("_ignore_case", "_states", "_words")

    def __init__(
        self,
        *,
        pending: Word | Iterable[Word] = (),
        running: Word | Iterable[Word] = (),
        blocked: Word | Iterable[Word] = (),
        succeeded: Word | Iterable[Word] = (),
        failed: Word | Iterable[Word] = (),
        cancelled: Word | Iterable[Word] = (),
        expired: Word | Iterable[Word] = (),
        ignore_case: bool = False,
    ) -> None:
        if not isinstance(cast("object", ignore_case), bool):
            msg = f"ignore_case must be a bool, not {type_name(ignore_case)}"
            raise TypeError(msg)
        self._ignore_case = ignore_case
        words: dict[str | int, TaskState] = {}
        # By the type, too: Python takes True and 1 for equal.
        self._states: dict[tuple[type, str | int | None], TaskState] = {}
        given_words = (pending, running, blocked, succeeded, failed, cancelled, expired)
        for state, given in zip(TaskState, given_words, strict=True):
            for word in _words(given, state):
                words[word] = state
                other = self._states.setdefault(self._key(word), state)
                if other is not state:
                    msg = (
                        f"the word {shown(word)} stands under both {other} and {state}: choose one"
                    )
                    raise ValueError(msg)
        for needed in (TaskState.SUCCEEDED, TaskState.FAILED):
            if needed not in self._states.values():
                msg = (
                    f"a vocabulary needs at least one word for {needed}: "
                    f"add {needed}=..., or a wait could never see that outcome"
                )
                raise ValueError(msg)
        self._words = words  # last, so that a repr sees whether it is half made

    def _key(self, word: str | int | None) -> tuple[type, str | int | None]:
        if self._ignore_case and isinstance(word, str):
            word = word.casefold()
        return type(word), word

    def state_of(self, word: Word | None) -> TaskState | None:
        """Return the state that a word means.

        Args:
            word: the provider's word; None when its answer had none.

        Returns:
            the state, or None for a word that this vocabulary does not know.
        """
        if type(word) is str and not self._ignore_case:  # as nearly every one
            return self._states.get((str, word))
        # A provider may send anything in a status field, even a list: that counts as unknown.
        return self._states.get(self._key(word_of(word)))

    @property
    def words(self) -> Mapping[str | int, TaskState]:
        """Every word and its state, read-only."""
        return MappingProxyType(self._words)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vocabulary):
            return NotImplemented
        return (self._ignore_case, self._states) == (other._ignore_case, other._states)

    def __hash__(self) -> int:
        return hash(frozenset(self._states.items()))

    @even_half_made
    def __repr__(self) -> str:
        rows: dict[str, list[str | int]] = {}
        for word, state in self._words.items():
            rows.setdefault(state.value, []).append(word)
        return f"<Vocabulary {', '.join(f'{name}: {row}' for name, row in rows.items())}>"


def word_of(value: object) -> str | int | None:
    """Return a status word as a built-in text or number; None for any other value.

    The member of an Enum is its value. An object of a class of its own might do anything.
    """
    if isinstance(value, Enum):
        value = cast("object", value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, bool):
        return value
    return int.__pos__(value) if isinstance(value, int) else None


def number_of(value: object) -> float | None:
    """Return a finite number as a built-in number; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = int.__pos__(value) if isinstance(value, int) else float.__pos__(value)
    try:
        return number if math.isfinite(number) else None
    except OverflowError:  # a whole number that no float can hold
        return None


def _words(given: object, state: TaskState) -> Iterable[str | int]:
    # A single text is one word, not a sequence of letters; bytes are no sequence of numbers.
    alone = isinstance(given, str | bytes | bytearray | Enum) or not isinstance(given, Iterable)
    words: list[object] = [given] if alone else [*cast("Iterable[object]", given)]
    for each in words:
        word = word_of(each)
        if word is None:
            msg = f"{state}: a status word is a text or a number, not {shown(each)}"
            raise TypeError(msg)
        if word == "":
            msg = f"{state}: an empty text is not a status word; leave it out"
            raise ValueError(msg)
        yield word


class Snapshot(Portable, msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """What one answer said about a task.

    Attributes:
        state: our state; None when the provider's word is in no vocabulary.
        word: the provider's own word; None when its answer had none.
        result: the provider's typed answer.
        polls: polls made so far, this one included.
        elapsed: seconds since the wait began.
        progress: how far it has come, in the provider's own unit; None if it does not say.
        reason: the provider's words for what went wrong or what it waits for; None if it does not
            say.
        raw: the undecoded answer; None when the task's `observe()` does not keep it.
    """

    state: TaskState | None
    word: str | int | None
    result: T_co
    polls: int = 0
    elapsed: float = 0.0
    progress: float | None = None
    reason: str | None = None
    raw: bytes | None = msgspec.field(default=None)

    def __repr__(self) -> str:
        return (
            f"<Snapshot {self.state or 'unknown'} ({shown(self.word)}) "
            f"after {counted(self.polls, 'poll')}, {self.elapsed:.1f} s>"
        )

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the answer, which may be long, and hold anything.
        return [("state", self.state), ("word", self.word), ("polls", self.polls)]
