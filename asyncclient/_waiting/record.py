"""What is known about one task of a wait: the record that the rules read."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

import msgspec

from asyncclient._arguments import one_of, seconds
from asyncclient._ref import TaskRef, age_of
from asyncclient._state import Snapshot
from asyncclient._task import Task, Transient, ref_of, trait, transient_of
from asyncclient._text import LONGEST_TEXT, shown, text_of, type_name
from asyncclient._waiting.packed import Packed

T = TypeVar("T")


class Limits(msgspec.Struct, frozen=True):
    """How much a wait tolerates."""

    unknown: Literal["wait", "raise"] = "wait"  # what an unknown word does
    poll_timeout: float = 60.0  # seconds for one look
    # A wait gives up when both are exceeded, so that neither a burst of quick failures nor a few
    # slow ones end it: failed looks in a row, and the seconds since the first of them.
    failed_polls: int = 10
    max_outage: float = 120.0
    # "No such task" is tolerated for this long after the wait began, if there was no good answer
    # yet: several providers are read-after-write inconsistent for 1 to 3 s. The age that a
    # reference gives does not count: the machine that made it may have another time. After a good
    # answer, only a "not found" that is not in the provider's own form is tolerated, as any failure
    # is; before one, this many in a row count as the provider's own.
    not_found_seconds: float = 10.0
    foreign_not_found: int = 3
    unclear: int = 3  # refusals in a row that may not be the provider's own last word
    wordless: int = 5  # answers in a row without any status word
    same_demand_seconds: float = 30.0  # how long a demand may still show after its answer

    def at_least(self, other: Limits) -> Limits:
        """Return the wider of two waits' limits, for one task."""
        if other is self or other == self:  # nearly always the same one, of very many
            return self
        return msgspec.structs.replace(
            self,
            unknown=self.unknown if self.unknown == other.unknown else "wait",
            poll_timeout=max(self.poll_timeout, other.poll_timeout),
            max_outage=max(self.max_outage, other.max_outage),
        )


def limits_of(unknown: Literal["wait", "raise"], poll_timeout: float, max_outage: float) -> Limits:
    """Return a caller's limits, checked."""
    return Limits(
        unknown=one_of("unknown", unknown, ("wait", "raise")),
        poll_timeout=seconds("poll_timeout", poll_timeout),
        max_outage=seconds("max_outage", max_outage),
    )


class RareFacts(msgspec.Struct, frozen=True):
    """Rare facts about a task; they are replaced as a whole."""

    last_error: Exception | None = None  # how the last failed look failed
    backoffs: int = 0  # gaps of the error backoff that are used up since the last answer
    failing_since: float = 0.0  # when the failed polls began that came in a row
    not_found: int = 0  # answers in a row that the provider does not know the task
    unclear: int = 0  # refusals in a row that may not be the provider's last word
    wordless: int = 0  # answers in a row without a status word
    unknown_words: tuple[str | int, ...] = ()  # those so far that are in no vocabulary
    demand: Hashable = None  # the demand that the caller answered last, …
    # … and when that was, of a nameless one in this stay; `inf` while the caller answers it.
    answered_at: float = -math.inf
    # Seconds for which the end may have gone unseen, since the last answer before it or since the
    # task began; None while it has not ended.
    unseen: float | None = None
    # Seconds before this wait began at which it was known to be at work; None where none is known.
    alive_before: float | None = None


class Past(NamedTuple):
    """What earlier waits for a task did, which a wait goes on from."""

    polls: int  # looks made
    waited: float  # seconds since the first of these waits began
    # Seconds since it was last known to be at work: its last answer, or the first wait's start for
    # a task of unknown age; None where that is not known.
    alive: float | None


# Of a task without any such fact: a million tasks share these.
_NOTHING = RareFacts()
_USUAL = Limits()


@dataclass(slots=True, eq=False, repr=False, weakref_slot=True)
class Record(Generic[T]):
    """One task of a wait. All times are seconds of the loop's clock.

    It has more attributes than a class should: one object a task, since a million are kept.
    """

    task: Task[T]
    began: float  # when the wait began
    age: float = 0.0  # seconds for which the task had existed by then, as far as is known
    sent: float = 0.0  # when the last look was sent
    polls: int = 0  # looks made, failed ones included
    failures: int = 0  # failed looks in a row
    gap_number: int = 0  # gaps of the schedule that are used up
    slowest: float | None = None  # seconds of the slowest look, 5 at most; None before any
    latest: Snapshot[T] | Packed | None = None  # what the last good answer showed
    rare: RareFacts = _NOTHING
    limits: Limits = _USUAL  # how much is tolerated

    def __post_init__(self) -> None:
        self.transient()  # checked now, and not after the first failed look
        self.sent = self.began
        self.age = age_of(self.ref)

    def go_on_from(self, past: Past) -> None:
        """Take in what earlier waits did."""
        self.gap_number = past.polls
        self.age = max(self.age, past.waited)
        if past.alive is not None:
            self.rare = msgspec.structs.replace(self.rare, alive_before=min(past.alive, self.age))

    @property
    def ref(self) -> TaskRef | None:
        """The task's portable reference, if it has one."""
        return ref_of(self.task)

    @property
    def last_error(self) -> Exception | None:
        """How the last failed look failed."""
        return self.rare.last_error

    @last_error.setter
    def last_error(self, error: Exception | None) -> None:
        if error is not self.rare.last_error:
            self.rare = msgspec.structs.replace(self.rare, last_error=error)

    @property
    def backoffs(self) -> int:
        """How many gaps of the error backoff are used up since the last answer."""
        return self.rare.backoffs

    @backoffs.setter
    def backoffs(self, number: int) -> None:
        if number != self.rare.backoffs:
            self.rare = msgspec.structs.replace(self.rare, backoffs=number)

    @property
    def snapshot(self) -> Snapshot[T] | None:
        """What the last good answer showed, with the typed answer."""
        latest = self.latest
        return latest.open(self.task) if isinstance(latest, Packed) else latest

    def transient(self) -> Transient:
        """Return which exceptions the task declares worth repeating."""
        declared = trait(self.task, "transient")
        return Transient() if declared is None else transient_of(declared)

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
        """Draw a gap that begins then; in a crowd, one that ends at a quieter moment."""
        return draw()

    def asker_has_left(self) -> bool:
        """Return whether a failed look does not count, since the waiter who asked has left."""
        return False

    def has_given_up(self, _flight: object) -> bool:
        """Return whether a look that ends only now is no longer awaited."""
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


def is_change(before: Snapshot[T] | Packed | None, after: Snapshot[T]) -> bool:
    """Return whether a snapshot shows another state, word or progress than the one before."""
    return (
        before is None
        or after.word != before.word
        or after.state is not before.state
        or after.progress != before.progress
    )
