"""Tests of the listener that is told of all waits: it hears each to its end, and breaks none."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import math
import weakref
from collections.abc import Generator, Iterator
from contextvars import ContextVar
from typing import TypeVar

import pytest

from asyncclient import Poller, Schedule, Snapshot, Vocabulary, polling_task, wait_until_done
from asyncclient._waiting import Record, listen
from asyncclient.errors import ServerError, WaitTimeout
from tests.waiting.scenario import Driver, Job, Report, outcome_of

T = TypeVar("T")

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
FAULT = ServerError("HTTP 503", status=503)
around: ContextVar[str] = ContextVar("around", default="nothing")
user: ContextVar[str] = ContextVar("user", default="nobody")


class Notes:
    """A listener that keeps what it hears, and raises where it is told to."""

    def __init__(self, raises: str = "") -> None:
        self.heard: list[str] = []
        self._raises = raises

    def began(self, record: Record[T]) -> object:
        """Note a beginning."""
        self._hear("began")
        return f"memo of {record}"

    @contextlib.contextmanager
    def _set(self) -> Generator[None]:
        token = around.set("a wait")
        try:
            yield
        finally:
            around.reset(token)

    def around(self, memo: object) -> contextlib.AbstractContextManager[object]:
        """Set a variable."""
        assert memo == "memo of fake job 7"
        if self._raises == "around":
            raise ValueError(self._raises)
        return self._set()

    def polled(
        self, memo: object, record: Record[T], *, seconds: float, error: Exception | None
    ) -> None:
        """Note a poll."""
        assert memo == f"memo of {record}"
        assert seconds >= 0
        self._hear("polled" if error is None else "failed")

    def changed(self, memo: object, record: Record[T], snapshot: Snapshot[T]) -> None:
        """Note a change."""
        assert memo == f"memo of {record}"
        self._hear(f"changed to {snapshot.word}")

    def ended(self, memo: object, record: Record[T], error: BaseException | None) -> None:
        """Note an end."""
        assert memo == f"memo of {record}"
        self._hear(f"ended with {type(error).__name__}")

    def _hear(self, what: str) -> None:
        self.heard.append(what)
        if self._raises == what.partition(" ")[0]:
            raise ValueError(what)


@pytest.fixture(autouse=True)
def nobody_listens_afterwards() -> Iterator[None]:
    """Take the listener away."""
    yield
    listen(None)


async def test_a_listener_hears_a_wait(driver: Driver) -> None:
    """It is told of the beginning, of each poll and change, and of the end, in this order."""
    notes = Notes()
    listen(notes)
    await driver(Job("queued", FAULT, "queued", "done"))
    assert notes.heard == [
        "began",
        "polled",
        "changed to queued",
        "failed",
        "polled",
        "polled",
        "changed to done",
        "ended with NoneType",
    ]


async def test_a_listener_hears_of_the_poll_that_the_deadline_cuts_off(driver: Driver) -> None:
    """A request that hangs until the wait ends is a failed poll, told before the end."""
    notes = Notes()
    listen(notes)
    await outcome_of(driver(Job("queued", latency=[0, math.inf]), timeout=5))
    assert notes.heard == [
        "began",
        "polled",
        "changed to queued",
        "failed",
        "ended with WaitTimeout",
    ]


async def test_a_poll_that_goes_on_for_others_is_not_told_as_cut_off() -> None:
    """Where one of two who share a task runs out of time, the poll under way is told once."""
    notes = Notes()
    listen(notes)
    job = Job("queued", "done", latency=[0, 20])
    async with Poller(schedule=EVERY_SECOND) as poller:
        short = asyncio.ensure_future(outcome_of(poller.wait(job, timeout=5)))
        await poller.wait(job, timeout=60)
        assert isinstance((await short).error, WaitTimeout)
    assert notes.heard == [
        "began",
        "polled",
        "changed to queued",
        "polled",
        "changed to done",
        "ended with NoneType",
    ]


@pytest.mark.parametrize("method", ["began", "around", "polled", "failed", "changed", "ended"])
async def test_a_listener_that_raises_breaks_no_wait(
    driver: Driver, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever it raises, and however often, waits go on, and the log shows it once."""
    listen(Notes(raises=method))
    for _ in range(3):
        job = Job("queued", FAULT, "running", "done")
        result = await driver(job, schedule=EVERY_SECOND)
        assert (result.word, len(job.polls)) == ("done", 4)
        assert (await outcome_of(driver(Job("broken")))).evidence.polls == 1
    (complaint,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert complaint.getMessage() == "Notes, the listener of all waits, raised; they go on"
    assert complaint.exc_info is not None
    assert complaint.name in {"asyncclient.wait", "asyncclient.poller"}


async def test_a_wait_is_told_to_whom_it_began_with(driver: Driver) -> None:
    """Who has gone hears the rest of what began before; who comes hears what begins from now on."""
    first, second = Notes(), Notes()
    silent = asyncio.ensure_future(driver(Job("queued", "done"), schedule=EVERY_SECOND))
    await asyncio.sleep(0.3)
    listen(first)
    wait = asyncio.ensure_future(driver(Job("queued", "done"), schedule=EVERY_SECOND))
    await asyncio.sleep(0.3)
    listen(second)
    await driver(Job("done"))
    await asyncio.gather(silent, wait)
    assert first.heard == [
        "began",
        "polled",
        "changed to queued",
        "polled",
        "changed to done",
        "ended with NoneType",
    ]
    assert second.heard == ["began", "polled", "changed to done", "ended with NoneType"]


async def test_polls_and_callbacks_are_within_what_a_listener_sets() -> None:
    """A poll, `on_change` and `on_blocked` run within `around`, and nothing else does."""
    seen: list[str] = []

    def see(now: float) -> Report:
        seen.append(f"poll within {around.get()}")
        return Report("asks", demand="a") if now == 0 else Report("done")

    listen(Notes())
    await wait_until_done(
        Job(see),
        schedule=EVERY_SECOND,
        on_change=lambda _: seen.append(f"change within {around.get()}"),
        on_blocked=lambda _: seen.append(f"demand within {around.get()}"),
    )
    assert around.get() == "nothing"
    assert seen == [
        "poll within a wait",
        "change within a wait",
        "demand within a wait",
        "poll within a wait",
        "change within a wait",
    ]


async def test_each_poll_is_made_for_its_own_waiter() -> None:
    """What a poll reads of its context, as the current user, is the first waiter's of its task."""
    seen: dict[str, set[str]] = {}
    words = Vocabulary(running="running", succeeded="done", failed="broken")

    async def request(poller: Poller, name: str, begins: float) -> None:
        user.set(name)
        answers = iter(["running"] * 9 + ["done"])

        async def fetch() -> str:
            seen.setdefault(name, set()).add(user.get())
            return next(answers)

        await asyncio.sleep(begins)
        await poller.wait(polling_task(fetch, vocabulary=words, status=str, key=name))

    async with Poller(schedule=EVERY_SECOND, rate=5) as poller:
        names = [f"user-{number}" for number in range(20)]
        await asyncio.gather(
            *(request(poller, name, 0.1 * number) for number, name in enumerate(names))
        )
    assert seen == {name: {name} for name in names}


async def test_a_poller_lets_go_of_the_context_of_who_has_gone() -> None:
    """A web request's context is not kept for as long as its Poller has anything to do."""

    class Session:
        """What a request might keep in its context."""

    held: ContextVar[Session] = ContextVar("held")
    sessions: list[weakref.ref[Session]] = []

    async def request(poller: Poller) -> None:
        session = Session()
        held.set(session)
        sessions.append(weakref.ref(session))
        await poller.wait(Job("running", "running", "done"))

    async with Poller(schedule=EVERY_SECOND) as poller:
        others: list[asyncio.Future[Report]] = []
        for number in range(5):
            other = Job("running")
            other.key = number
            others.append(asyncio.ensure_future(poller.wait(other)))
            await asyncio.sleep(0.1)
        await asyncio.create_task(request(poller))
        await asyncio.sleep(10)
        gc.collect()
        assert [session() for session in sessions] == [None]
        for wait in others:
            wait.cancel()
