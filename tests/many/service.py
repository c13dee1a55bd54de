"""Fakes for tests of the Poller: a service with its own limit, and the cheap jobs that it runs.

All times are the loop's, which are virtual here.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections import deque
from collections.abc import Coroutine, Hashable, Iterable
from dataclasses import KW_ONLY, dataclass, field
from itertools import pairwise
from typing import TypeVar

import anyio

from asyncclient import Observation, Poller, Schedule, Task
from asyncclient.errors import RateLimited
from tests.waiting.scenario import WORDS, Entry, Job, Outcome, outcome_of

T = TypeVar("T")

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
# Seconds that a budget may catch up.
SLACK = 0.02


@dataclass(eq=False)
class Service:
    """A remote service: it counts the requests, and refuses those over its limit."""

    name: str = "fake"  # the provider, by which budgets are counted
    _: KW_ONLY
    latency: float = 0.0  # seconds that each request takes; `inf` hangs
    limit: float = math.inf  # requests within any second that it answers; the others get a 429
    retry_after: float | None = None  # what the 429 says
    documented_rate: float | None = None  # the limit that its handles report
    fault: Exception | None = None  # what it raises instead of an answer
    sent: list[float] = field(default_factory=list[float])  # when each request came
    refused: list[float] = field(default_factory=list[float])  # when each was refused
    in_flight: int = 0  # requests that it has not answered
    most_in_flight: int = 0  # the most of them at a time

    def __post_init__(self) -> None:
        self.budget: tuple[str, ...] = (self.name, "account")
        self._answered: deque[float] = deque()

    async def ask(self) -> None:
        """Take one request to its answer, or raise."""
        now = anyio.current_time()
        self.sent.append(now)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.latency == math.inf:
                await anyio.sleep_forever()
            await asyncio.sleep(self.latency)
        finally:
            self.in_flight -= 1
        if self.limit < math.inf:
            self._count(now)
        if self.fault is not None:
            raise self.fault

    def _count(self, now: float) -> None:
        while self._answered and self._answered[0] <= now - 1:
            self._answered.popleft()
        if len(self._answered) >= self.limit:
            self.refused.append(now)
            raise RateLimited("slow down", status=429, retry_after=self.retry_after)
        self._answered.append(now)


@dataclass(eq=False, slots=True)
class Item:
    """One job of a service: at work until an instant, and then ended with a word."""

    service: Service = field(repr=False)  # it may have notes of many requests
    key: Hashable = "item"
    ends: float = math.inf
    word: str = "done"
    sent: list[float] = field(default_factory=list[float])  # when it was polled
    _busy: bool = False

    @property
    def kind(self) -> str:
        """Which tasks are alike."""
        return "fake.item"

    @property
    def budget(self) -> tuple[str, ...]:
        """What its polls are counted against."""
        return self.service.budget

    @property
    def documented_rate(self) -> float | None:
        """The limit of its polls, in requests a second."""
        return self.service.documented_rate

    async def observe(self) -> Observation[str]:
        """Look at its word, which is the whole answer."""
        assert not self._busy, "two polls of one task at once"
        self._busy = True
        self.sent.append(anyio.current_time())
        try:
            await self.service.ask()
        finally:
            self._busy = False
        word = self.word if anyio.current_time() >= self.ends else "running"
        return Observation(WORDS.state_of(word), word, word)


def job(key: Hashable, *script: Entry, latency: float = 0.0) -> Job:
    """Make a job with a key of its own."""
    made = Job(*(script or ("running",)), latency=latency)
    made.key = key
    return made


def items(
    service: Service, number: int, *, ends: float = math.inf, prefix: str = "item"
) -> list[Item]:
    """Make many jobs that end at the same time."""
    return [Item(service, f"{prefix}-{index}", ends) for index in range(number)]


def start(waiting: Coroutine[object, object, T]) -> asyncio.Task[Outcome[T]]:
    """Wait in the background, to a good or a bad end."""
    return asyncio.get_running_loop().create_task(outcome_of(waiting))


def start_all(
    poller: Poller, tasks: Iterable[Task[T]], *, timeout: float = 600.0, weight: float = 1.0
) -> list[asyncio.Task[Outcome[T]]]:
    """Wait for many in the background."""
    return [start(poller.wait(task, timeout=timeout, weight=weight)) for task in tasks]


async def turns(number: int = 10) -> None:
    """Let the event loop turn a few times, without any time passing."""
    for _ in range(number):
        await asyncio.sleep(0)


def gaps(times: list[float]) -> list[float]:
    """Return the seconds from each of the times to the next."""
    return [after - before for before, after in pairwise(times)]


def number_between(times: list[float], begin: float, end: float) -> int:
    """Return how many of the times lie in a stretch of time."""
    return sum(begin < instant <= end for instant in times)


def most_within(times: list[float], seconds: float) -> int:
    """Return how many of the sorted times lie in the fullest stretch of a length in seconds."""
    tick = 1e-6
    return max(
        (bisect_left(times, instant + seconds - tick) - at for at, instant in enumerate(times)),
        default=0,
    )
