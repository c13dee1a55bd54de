"""Simulated tasks: each one's state is a function of the time that has passed, never a timer."""

from __future__ import annotations

import asyncio
import math
import random
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import msgspec

from asyncclient._arguments import number
from asyncclient.testing.simulator.faults import checked_share
from asyncclient.testing.simulator.journal import Entry, Journal

Outcome = Literal[
    "success",
    "fail",
    "cancel",
    "interrupt",
    "trimmed",
    "plain_text",
    "empty_list",
    "unset",
    "malformed",
    "out_of_credits",
]
Durations = Callable[[random.Random], float]
Word = str | int | None

# What is counted so that ids differ; other counts may begin again.
_IDS = ("id", "copy")
# Seconds: a log-normal with sigma 0.5 whose mean is 2.
_MU = math.log(2.0) - 0.5**2 / 2


def usual_duration(rng: random.Random) -> float:
    """Draw how many seconds a task takes: log-normal, mean 2, sigma 0.5."""
    return rng.lognormvariate(_MU, 0.5)


def is_right(credential: str) -> bool:
    """Return whether a simulator to which no credential was given takes this one."""
    lower = credential.lower()
    return bool(lower) and not any(word in lower for word in ("wrong", "bad", "invalid"))


class NoSuchTask(LookupError):
    """A request is for a task that is not there, or cannot be found yet."""


class Fate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ordered fate of one task; what is not ordered is drawn."""

    seconds: float | None = None
    """How long the task takes."""
    outcome: Outcome | None = None
    """How it ends, or what is unusual about it."""
    words: tuple[Word, ...] = ()
    """Status words shown first, one a poll; null leaves the status out."""
    marker: str = ""
    """Counted in `Simulator.starts`."""
    shape: Literal["", "live", "doc"] = ""
    """Whether answers look as observed, or as the provider's pages show them."""


def read_fate(inputs: Mapping[str, Any]) -> Fate:
    """Read the order out of a start's inputs: an object, or the same as JSON text."""
    order = inputs.get("simulate", {})
    if isinstance(order, str):
        return msgspec.json.decode(order, type=Fate)
    return msgspec.convert(order, Fate)


@dataclass(slots=True)
class SimulatedTask:
    """One task of the simulator, as it is now; all times are loop times in seconds."""

    id: str
    """Execute id, chat id, copy task id or run id."""
    kind: str
    """Whose and what it is, as `coze.workflow_run`, `coze.document` or `copyai.workflow_run`."""
    place: str
    """What the task belongs to: a workflow id, a conversation id, or nothing."""
    number: int
    """How many tasks were started before this one."""
    started: float
    seconds: float
    """How long it takes, time spent waiting for input not counted."""
    ends_at: float
    """When it ends or ended; infinity while it waits, or will wait, for input."""
    outcome: Outcome
    start_marker: Mapping[str, Any]
    """What the caller gave at the start: parameters, variables or metadata."""
    shape: str
    clock: Callable[[], float] = field(repr=False)
    changed: Callable[[SimulatedTask], None] = field(repr=False)
    """Called when it is not any more as its start or its last change left it."""
    words: deque[Word] = field(default_factory=deque[Word], repr=False)
    marker: str = ""
    interrupt_at: float | None = None
    """When it stops for input, or None: it does not, or has been given it."""
    interrupts: int = 0
    """How many events of its waiting for input were reported."""
    resumed_at: float | None = None
    details: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    """What the provider's routes keep about it."""
    polls: int = 0
    """Requests for its state that reached it."""
    polled_done_at: float | None = None
    """When an answer first left that showed its last word, or None."""

    @property
    def finished_at(self) -> float | None:
        """When it ended, or None while it has not."""
        return self.ends_at if self.is_done else None

    @property
    def is_done(self) -> bool:
        """Whether it has ended by now."""
        return self.clock() >= self.ends_at

    @property
    def is_blocked(self) -> bool:
        """Whether it waits for input now."""
        return self.interrupt_at is not None and self.clock() >= self.interrupt_at

    @property
    def share(self) -> float:
        """The share (0 to 1) of its seconds that has passed."""
        return min(1.0, (self.clock() - self.started) / self.seconds) if self.seconds else 1.0

    @property
    def next_stop(self) -> float:
        """When it next waits for input or ends."""
        return self.ends_at if self.interrupt_at is None else self.interrupt_at

    def resume(self) -> None:
        """Give it what it waited for; the second half of its seconds begins."""
        self.interrupt_at = None
        self.resumed_at = self.clock()
        self.ends_at = self.resumed_at + self.seconds / 2
        self.changed(self)

    def ask_again(self) -> None:
        """Report a new event of its waiting for input, since what was given was not enough."""
        self.interrupts += 1
        self.changed(self)

    def cancel(self) -> None:
        """End it now, cancelled."""
        self.outcome, self.interrupt_at, self.ends_at = "cancel", None, self.clock()
        self.changed(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habits:
    """How tasks behave unless their start orders otherwise."""

    durations: Durations
    fail_share: float
    interrupt_share: float
    not_found_seconds: float

    def __post_init__(self) -> None:
        checked_share("fail_share", self.fail_share)
        checked_share("interrupt_share", self.interrupt_share)
        number("not_found_seconds", self.not_found_seconds, unit="seconds")


class World:
    """What both providers share: one clock, one generator, the tasks."""

    _clock: Callable[[], float]
    _wall_offset: float

    def __init__(self, rng: random.Random, habits: Habits, journal: Journal | None = None) -> None:
        self.random = rng
        self.tasks: dict[str, SimulatedTask] = {}
        self.starts: Counter[str] = Counter()
        self._habits = habits
        self._turns: Counter[str] = Counter()
        self._journal = journal
        self._changed: dict[str, SimulatedTask] = {}

    def begin(self) -> None:
        """Bind the clock to the running loop, and the wall clock to it; know former tasks again."""
        self._clock = asyncio.get_running_loop().time
        # Read once: from here on the wall clock moves with the loop, virtual or not.
        self._wall_offset = time.time() - self._clock()
        entries = [] if self._journal is None else self._journal.open()
        for entry in entries:
            self._recall(entry)
        if entries:
            # Or it would draw the ids once more that it drew in its life before.
            self.random.seed(f"{self.random.random()} {len(entries)}")

    def end(self) -> None:
        """Let the journal go."""
        if self._journal is not None:
            self._journal.close()

    def now(self) -> float:
        """Return the loop time in seconds."""
        return self._clock()

    def wall(self, at: float | None = None) -> float:
        """Return the Unix time of a loop time, by default of now."""
        return (self.now() if at is None else at) + self._wall_offset

    def turn(self, what: str) -> int:
        """Count calls for one thing from 0, for what the providers do now one way, now another."""
        self._turns[what] += 1
        return self._turns[what] - 1

    def decimal_id(self) -> str:
        """Make an id as Coze's: 19 decimal digits, more than a double holds."""
        return str(
            7_500_000_000_000_000_000 + self.turn("id") * 10**9 + self.random.randrange(10**9)
        )

    def uuid(self) -> str:
        """Make a random UUID from the generator."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def start(
        self,
        kind: str,
        fate: Fate,
        *,
        task_id: str,
        place: str,
        start_marker: Mapping[str, Any],
        outcomes: frozenset[Outcome],
    ) -> SimulatedTask:
        """Start a task: order by order, and drawn where nothing is ordered."""
        if fate.outcome is not None and fate.outcome not in outcomes:
            message = f"simulate.outcome {fate.outcome!r} is not one for {kind}"
            raise msgspec.ValidationError(message)
        # Always both draws, so that an order for one task does not change the fate of the next.
        seconds, drawn = self._habits.durations(self.random), self._draw_outcome(kind)
        seconds = seconds if fate.seconds is None else fate.seconds
        outcome, now = fate.outcome or drawn, self.now()
        stops = outcome in {"interrupt", "unset"}
        task = SimulatedTask(
            id=task_id,
            kind=kind,
            place=place,
            number=len(self.tasks),
            started=now,
            seconds=seconds,
            ends_at=math.inf if stops else now + seconds,
            outcome=outcome,
            start_marker=start_marker,
            shape=fate.shape,
            clock=self.now,
            changed=self._note,
            words=deque(fate.words),
            marker=fate.marker,
            interrupt_at=now + seconds / 2 if stops else None,
        )
        self._add(task)
        self._note(task)
        return task

    def _add(self, task: SimulatedTask) -> None:
        self.tasks[task.id] = task
        if task.marker:
            self.starts[task.marker] += 1

    def _note(self, task: SimulatedTask) -> None:
        if self._journal is not None:
            self._changed[task.id] = task

    def write_down(self) -> None:
        """Write what has changed into the journal, if there is one, before it is answered for."""
        if self._changed and self._journal is not None:
            changed, self._changed = self._changed, {}
            self._journal.write(self._entry(task) for task in changed.values())

    def _entry(self, task: SimulatedTask) -> Entry:
        def wall(at: float | None) -> float | None:
            return None if at is None or at == math.inf else self.wall(at)

        return Entry(
            id=task.id,
            kind=task.kind,
            place=task.place,
            started=self.wall(task.started),
            seconds=task.seconds,
            ends_at=wall(task.ends_at),
            outcome=task.outcome,
            turns={name: self._turns[name] for name in _IDS},
            start_marker=dict(task.start_marker),
            shape=task.shape,
            words=list(task.words),
            marker=task.marker,
            interrupt_at=wall(task.interrupt_at),
            interrupts=task.interrupts,
            resumed_at=wall(task.resumed_at),
            details=task.details,
        )

    def _recall(self, entry: Entry) -> None:
        def loop_time(at: float | None) -> float | None:
            return None if at is None else at - self._wall_offset

        ends_at = loop_time(entry.ends_at)
        known = self.tasks.get(entry.id)
        task = SimulatedTask(
            id=entry.id,
            kind=entry.kind,
            place=entry.place,
            number=len(self.tasks) if known is None else known.number,
            started=entry.started - self._wall_offset,
            seconds=entry.seconds,
            ends_at=math.inf if ends_at is None else ends_at,
            outcome=cast("Outcome", entry.outcome),
            start_marker=entry.start_marker,
            shape=entry.shape,
            clock=self.now,
            changed=self._note,
            words=deque(entry.words),
            marker=entry.marker,
            interrupt_at=loop_time(entry.interrupt_at),
            interrupts=entry.interrupts,
            resumed_at=loop_time(entry.resumed_at),
            details=entry.details,
        )
        for name, turns in entry.turns.items():
            self._turns[name] = max(self._turns[name], turns)
        if known is None:
            self._add(task)
        else:
            self.tasks[task.id] = task

    def _draw_outcome(self, kind: str) -> Outcome:
        draw = self.random.random()
        if draw < self._habits.fail_share:
            return "fail"
        may_stop = kind == "coze.workflow_run"
        if may_stop and draw < self._habits.fail_share + self._habits.interrupt_share:
            return "interrupt"
        return "success"

    def find(self, kind: str, task_id: str, place: str) -> SimulatedTask:
        """Find a task where it belongs.

        Raises:
            NoSuchTask: it is not there, or too fresh.
        """
        task = self.tasks.get(task_id)
        if task is None or (task.kind, task.place) != (kind, place):
            raise NoSuchTask
        if self.now() - task.started < self._habits.not_found_seconds:
            raise NoSuchTask
        return task
