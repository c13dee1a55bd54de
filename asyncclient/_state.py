"""What a task is doing: our closed set of states, and the providers' open words for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Generic, TypeVar, cast

import msgspec

from asyncclient._text import counted, even_half_made, shown

T_co = TypeVar("T_co", covariant=True)


class TaskState(StrEnum):
    """What a task is doing, in words that are the same for every provider."""

    PENDING = "pending"
    RUNNING = "running"
    BLOCKED = "blocked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        """True when the task can never change again."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED}
)


class Vocabulary:
    """A provider's status words, state by state, checked when it is made.

    Args:
        pending: words for "accepted, not begun". Each argument takes one word or several;
            a word is a text or a number, and is compared exactly as the provider spells it.
        running: words for "at work".
        blocked: words for "only the caller can move it on".
        succeeded: words for "done, and well"; at least one.
        failed: words for "done, and not well"; at least one.
        cancelled: words for "stopped by someone".
        expired: words for "given up or forgotten by the provider".

    Raises:
        ValueError: a word stands under two states, is empty, or there is no word for success or
            none for failure (a wait that cannot see failure never ends).
        TypeError: a word is neither text nor number.
    """

    __slots__ = ("_states",)

    def __init__(
        self,
        *,
        pending: str | int | Iterable[str | int] = (),
        running: str | int | Iterable[str | int] = (),
        blocked: str | int | Iterable[str | int] = (),
        succeeded: str | int | Iterable[str | int] = (),
        failed: str | int | Iterable[str | int] = (),
        cancelled: str | int | Iterable[str | int] = (),
        expired: str | int | Iterable[str | int] = (),
    ) -> None:
        states: dict[str | int, TaskState] = {}
        for state, given in (
            (TaskState.PENDING, pending),
            (TaskState.RUNNING, running),
            (TaskState.BLOCKED, blocked),
            (TaskState.SUCCEEDED, succeeded),
            (TaskState.FAILED, failed),
            (TaskState.CANCELLED, cancelled),
            (TaskState.EXPIRED, expired),
        ):
            for word in _words(given, state):
                other = states.setdefault(word, state)
                if other is not state:
                    msg = (
                        f"the word {shown(word)} stands under both {other} and {state}: choose one"
                    )
                    raise ValueError(msg)
        for needed in (TaskState.SUCCEEDED, TaskState.FAILED):
            if needed not in states.values():
                msg = (
                    f"a vocabulary needs at least one word for {needed}: "
                    f"add {needed}=..., or a wait could never see that outcome"
                )
                raise ValueError(msg)
        self._states = states

    def state_of(self, word: str | int | None) -> TaskState | None:
        """Say what a word means.

        Args:
            word: the provider's word; None when its answer had none.

        Returns:
            the state, or None for a word that this vocabulary does not know.
        """
        # A provider may send anything in a status field, a list included: that is unknown too.
        return self._states.get(word) if isinstance(word, str | int) else None

    @property
    def words(self) -> Mapping[str | int, TaskState]:
        """Every word and its state, read-only."""
        return MappingProxyType(self._states)

    @even_half_made
    def __repr__(self) -> str:
        rows: dict[str, list[str | int]] = {}
        for word, state in self._states.items():
            rows.setdefault(state.value, []).append(word)
        return f"<Vocabulary {', '.join(f'{name}: {row}' for name, row in rows.items())}>"


def _words(given: object, state: TaskState) -> Iterable[str | int]:
    # A single text is one word, not a sequence of letters; bytes are no sequence of numbers.
    lone = isinstance(given, str | bytes | bytearray) or not isinstance(given, Iterable)
    words: list[object] = [given] if lone else [*cast("Iterable[object]", given)]
    for word in words:
        if not isinstance(word, str | int):
            msg = f"{state}: a status word is a text or a number, not {shown(word)}"
            raise TypeError(msg)
        if word == "":
            msg = f"{state}: an empty text is not a status word; leave it out"
            raise ValueError(msg)
        yield word


class Snapshot(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True):
    """What one answer said about a task.

    Attributes:
        state: our state; None when the provider's word is in no vocabulary.
        word: the provider's own word; None when its answer had none.
        result: the provider's typed answer.
        polls: polls made so far, this one included.
        elapsed: seconds since the wait began.
        progress: how far it has come, in the provider's own unit, if it says so.
        reason: the provider's words for what went wrong or what it waits for, if it says so.
        raw: the answer as it came, undecoded; None when the task's `observe()` does not keep it.
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
