"""What became of a world: its ends, what was shown, and which invariants were broken."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, cast
from zlib import crc32

from asyncclient import Done, Snapshot, TicketExpired
from tests.simulation.loop import Clock
from tests.simulation.service import MARKER, Service, TaskKey
from tests.simulation.world import Wait, World

_SHOWN = 12  # characters of a credential that may not be shown: a cut one is one, too
_PARTS = re.compile(r"[A-Za-z0-9]{12}")


class MisdeedError(Exception):
    """What a callback raises."""


@dataclass
class Ask:
    """One call of an `on_blocked`."""

    began: float
    over: float = math.inf
    is_answered: bool = False


@dataclass(eq=False)
class End:
    """How one wait ended."""

    wait: Wait
    number: int
    through: str  # what makes its looks
    at: float = math.inf  # when it ended
    began: float = math.inf
    times: int = 0  # how often it ended
    result: object = None  # the last answer of a good end; the last snapshot of a `watch`
    error: BaseException | None = None
    cancels: list[float] = field(default_factory=list[float])  # when it was asked to stop
    task: asyncio.Task[None] | None = None
    shown: list[Snapshot[object]] = field(default_factory=list[Snapshot[object]])
    asks: list[Ask] = field(default_factory=list[Ask])

    @property
    def key(self) -> TaskKey:
        """The task that it waits for."""
        return (self.through, self.wait.tenant, self.wait.job)

    @property
    def deadline(self) -> float:
        """When its timeout is over."""
        return self.began + self.wait.timeout


@dataclass
class Row:
    """A ticket as the engine keeps it, and until when it is a worker's."""

    text: str
    due: float
    held_until: float = 0.0
    turn: int = 0


@dataclass
class Call:
    """One call of the sink."""

    key: str
    began: float
    end: Done[object] | TicketExpired
    is_taken: bool = False


@dataclass
class Shelf:
    """What all processes share: the store, and what the sink was called with."""

    rows: dict[str, Row] = field(default_factory=dict[str, Row])
    ends: dict[str, str] = field(default_factory=dict[str, str])
    notices: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    calls: list[Call] = field(default_factory=list[Call])
    down_until: float = 0.0  # when the store answers again
    submitted: dict[str, float] = field(default_factory=dict[str, float])  # when
    called_off: dict[str, float] = field(default_factory=dict[str, float])  # when that was said


class Breach(NamedTuple):
    """An invariant that was broken: which one, and by what."""

    kind: str
    sentence: str


@dataclass
class Played:
    """What became of a world."""

    world: World
    service: Service
    clock: Clock
    breaches: list[Breach] = field(default_factory=list[Breach])
    ends: list[End] = field(default_factory=list[End])
    wakes: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    closed_at: float = math.inf
    shelf: Shelf = field(default_factory=Shelf)
    calls: int = 0  # callbacks that ran

    def breach(self, kind: str, sentence: str) -> None:
        """Note that an invariant was broken."""
        self.breaches.append(Breach(kind, sentence))

    def check_text(self, text: str, where: str) -> None:
        """Look for credentials in a text that someone may read."""
        if "pat_" in text or _PARTS.search(text):
            for token in self.service.tokens:
                secret = token[7:]
                if any(secret[at : at + _SHOWN] in text for at in range(len(secret) - _SHOWN + 1)):
                    self.breach("credential", f"a credential is shown in {where}: {text[:200]!r}")
                    return

    def trace(self) -> int:
        """Return a number that stands for all that happened, in any process."""
        looks = [(look.task, look.sent, look.over) for look in self.service.looks_through("")]
        ends = [(end.number, end.at, type(end.error).__name__) for end in self.ends]
        return crc32(repr((looks, ends, self.calls)).encode())


class Listener(logging.Handler):
    """Reads all that is logged."""

    def __init__(self, played: Played) -> None:
        super().__init__()
        self._played = played

    def emit(self, record: logging.LogRecord) -> None:
        """Look at one record, and at what it carries along."""
        try:
            text = record.getMessage()
            carried = repr([vars(record).get(name) for name in ("snapshot", "task", "error")])
        except Exception as error:  # noqa: BLE001  (an object may raise anything when it is shown)
            self._played.breach("text", f"what is logged cannot be shown: {error!r}")
            return
        self._played.check_text(text + carried, "the log")
        is_turn = record.name == "asyncclient.workers"  # a failed turn is an error there
        if record.levelno >= logging.ERROR and not is_turn:
            self._played.breach("logged", f"logged: {text[:300]}")


def markers(result: object) -> list[tuple[int, int]]:
    """Return for whom the answers in a result were made, and of which job they are."""
    shown = cast("Snapshot[object]", result).result if isinstance(result, Snapshot) else result
    return [(int(found[1]), int(found[2])) for found in MARKER.finditer(repr(shown))]


def texts(shown: object) -> Iterator[str]:
    """Yield all that may be printed of an object: of an error its causes and notes too."""
    if not isinstance(shown, BaseException):
        yield repr(shown)
        return
    link: BaseException | None = shown
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if type(link).__module__.startswith("asyncclient"):
            yield f"{link} {link!r}"
            for value in vars(link).values():
                with contextlib.suppress(ZeroDivisionError):  # of an error that cannot be shown
                    yield repr(value)
        yield "".join(getattr(link, "__notes__", []))
        link = link.__cause__ or link.__context__
