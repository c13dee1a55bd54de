"""What is known of one task that is waited for: the record that the rules read."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from asyncclient._ref import TaskRef, age_of
from asyncclient._state import Snapshot
from asyncclient._task import Task, ref_of, trait
from asyncclient._text import LONGEST_TEXT, shown, text_of, type_name

T = TypeVar("T")


class RareFacts(msgspec.Struct, frozen=True):
    """Facts that are rare; they are replaced as a whole."""

    failing_since: float = 0.0  # when the failed polls began that came in a row
    not_found: int = 0  # answers in a row that the provider does not know the task
    wordless: int = 0  # answers in a row without a status word
    unknown_words: tuple[str | int, ...] = ()  # those so far that are in no vocabulary
    demand: Hashable = None  # the demand that the caller answered last, …
    answered_at: float = -math.inf  # … and when that was; of a nameless one, in this stay
    # Seconds for which the end may have gone unseen, since the last answer before it or since the
    # task began; None while it has not ended.
    unseen: float | None = None


# Of a task to which nothing of the kind has happened: a million of them share it.
_NOTHING = RareFacts()


@dataclass(slots=True, eq=False, repr=False, weakref_slot=True)
class Record(Generic[T]):
    """One task that is waited for. All times are seconds of the loop's clock.

    It has more attributes than a class should: one object a task, since a million are kept.
    """

    task: Task[T]
    began: float  # when the wait began
    age: float = 0.0  # seconds for which the task had existed by then, as far as is known
    sent: float = 0.0  # when the last look was sent
    polls: int = 0  # looks made, failed ones included
    failures: int = 0  # failed looks in a row
    backoffs: int = 0  # gaps of the error backoff that are used up since the last answer
    gap_number: int = 0  # gaps of the schedule that are used up
    slowest: float | None = None  # seconds of the slowest look; None before one has come back
    snapshot: Snapshot[T] | None = None  # what the last good answer showed
    last_error: Exception | None = None  # how the last failed look failed
    rare: RareFacts = _NOTHING
    delays: Iterator[float] | None = None  # the gaps of a schedule that only iterates

    def __post_init__(self) -> None:
        self.sent = self.began
        self.age = age_of(self.ref)

    @property
    def ref(self) -> TaskRef | None:
        """The task's portable reference, if it has one."""
        return ref_of(self.task)

    @property
    def kind(self) -> str:
        """Which tasks are alike."""
        kind = trait(self.task, "kind")
        return type_name(self.task) if kind is None else text_of(kind)

    @property
    def weight(self) -> float:
        """How much its delay matters beside others'."""
        return 1.0

    def price(self, _now: float) -> float | None:
        """Return the seconds of delay that a look is worth now; None where that is not scarce."""
        return None

    def less_crowded(self, _since: float, draw: Callable[[], float]) -> float:
        """Draw a gap that begins then, and that keeps out of a crowd's way."""
        return draw()

    def asker_has_left(self) -> bool:
        """Return whether a failed look says nothing, since the waiter who asked has left."""
        return False

    def take_warning(self, _now: float) -> bool:
        """Return whether the failed look that was just counted is worth a warning."""
        return self.failures == 1

    def __str__(self) -> str:
        ref = self.ref
        if ref is not None:
            return text_of(ref)
        # The default key of a task made of a function is that function: no reader knows it.
        key = trait(self.task, "key")
        return (
            self.kind if key is None or callable(key) else f"{self.kind} {shown(key, LONGEST_TEXT)}"
        )


def change_between(before: Snapshot[T] | None, after: Snapshot[T] | None) -> Snapshot[T] | None:
    """Return the newer snapshot if it shows a change of state, word or progress, else None."""
    if after is None or after is before:
        return None
    shown = (after.state, after.word, after.progress)
    same = before is not None and shown == (before.state, before.word, before.progress)
    return None if same else after
