"""Tests of what is reported of a wait: to the log, and to the one listener of all waits."""

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

from asyncclient import Poller, Snapshot, polling_task, wait_until_done, watch
from asyncclient._waiting import Record, listen
from asyncclient.errors import WaitTimeout
from tests.waiting.scenario import EVERY_SECOND, FAULT, WORDS, Driver, Job, Report, outcome_of

T = TypeVar("T")

FIELDS = ("task", "polls", "word", "state", "error")
around: ContextVar[str] = ContextVar("around", default="nothing")
user: ContextVar[str] = ContextVar("user", default="none")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Let all levels through."""
    with caplog.at_level(logging.DEBUG, "asyncclient"):
        yield caplog


@pytest.fixture(autouse=True)
def nothing_listens_afterwards() -> Iterator[None]:
    """Take the listener away."""
    yield
    listen(None)


def messages(log: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return what was logged at a level."""
    return [record.getMessage() for record in log.records if record.levelno == level]


async def test_an_error_that_is_raised_is_not_logged(log: pytest.LogCaptureFixture) -> None:
    """What the caller gets is the caller's to report: no WARNING; a bad end is a change at INFO."""
    for last in (ValueError("bug"), "running", "broken", "stopped", "gone"):
        await outcome_of(wait_until_done(Job("running", last), timeout=5))
    assert [record for record in log.records if record.levelno >= logging.WARNING] == []
    changes = [record for record in log.records if record.levelno == logging.INFO]
    ends = ["running", "running", "running", "broken", "running", "stopped", "running", "gone"]
    assert [vars(record)["word"] for record in changes] == ends


async def watched(job: Job) -> None:
    """Watch a job to its end."""
    async for _ in watch(job):
        pass


@pytest.mark.parametrize("watching", [False, True], ids=["wait", "watch"])
async def test_log_records_have_fields(
    log: pytest.LogCaptureFixture, driver: Driver, *, watching: bool
) -> None:
    """Handlers read the task, the word, the state, the polls and the error without parsing.

    Each unknown word is a warning once in a wait, and the first fault of a row is one.
    """
    job = Job("queued", FAULT, FAULT, "new", "new", "queued", "new", "done")
    await (watched(job) if watching else driver(job))
    fields = [
        (each.levelname, *(vars(each).get(name) for name in FIELDS))
        for each in log.records
        if "next_poll" not in vars(each)
    ]
    assert {task for _, task, *_ in fields} == {"fake job 7"}
    seen = [(level, *rest) for level, _, *rest in fields]
    queued, new = ("queued", "pending", None), ("new", None, None)
    assert seen == [
        ("DEBUG", 1, *queued),
        ("INFO", 1, *queued),
        ("WARNING", 2, "queued", "pending", "ServerError"),
        ("DEBUG", 3, "queued", "pending", "ServerError"),
        *((level, 4, *new) for level in ("WARNING", "DEBUG", "INFO")),
        ("DEBUG", 5, *new),
        *((level, 6, *queued) for level in ("DEBUG", "INFO")),
        *((level, 7, *new) for level in ("DEBUG", "INFO")),
        *((level, 8, "done", "succeeded", None) for level in ("DEBUG", "INFO")),
    ]
    lines = [each.getMessage().removeprefix("fake job 7: ") for each in log.records]
    assert lines[:2] == ["poll 1: 'queued'", "<Snapshot pending ('queued') after 1 poll, 0.0 s>"]
    rests = [each for each in log.records if "next_poll" in vars(each)]
    assert len(rests) == (7 if watching or driver is wait_until_done else 0)
    for rest in rests:
        assert f"fake job 7: the next poll in {vars(rest)['next_poll']:.1f} s" in rest.getMessage()
    changes = [each for each in log.records if each.levelno == logging.INFO]
    assert all(isinstance(vars(each)["snapshot"], Snapshot) for each in changes)
    fault, word = messages(log, logging.WARNING)
    assert fault == f"fake job 7: a poll failed: {FAULT!r}"
    assert word == "fake job 7: status 'new' is in no vocabulary"


async def test_an_outage_is_one_warning_for_an_account(log: pytest.LogCaptureFixture) -> None:
    """A hundred tasks in the same outage are one WARNING, and one more a minute later."""

    def fails_from_five(now: float) -> Report | Exception:
        return Report("running") if now < 5 else FAULT

    async with Poller(schedule=EVERY_SECOND) as poller:
        waits: list[asyncio.Future[Report]] = []
        for number in range(100):
            job = Job(fails_from_five)
            job.key = number
            waits.append(asyncio.ensure_future(poller.wait(job)))
        for warnings in (1, 2):
            await asyncio.sleep(42)
            assert len(messages(log, logging.WARNING)) == warnings
        for wait in waits:
            wait.cancel()


@contextlib.contextmanager
def within_a_wait() -> Generator[None]:
    """Set a variable for a while."""
    token = around.set("a wait")
    yield
    around.reset(token)


class _Notes:
    """A listener that keeps what it gets, and raises in one of the calls."""

    def __init__(self, raises: str = "") -> None:
        self.got: list[str] = []
        self._raises = raises

    def began(self, record: Record[T]) -> object:
        self._get("began")
        return f"memo of {record}"

    def around(self, memo: object) -> contextlib.AbstractContextManager[object]:
        assert memo == "memo of fake job 7"
        if self._raises == "around":
            raise ValueError(self._raises)
        return within_a_wait()

    def polled(
        self, memo: object, record: Record[T], *, seconds: float, error: Exception | None
    ) -> None:
        assert memo == f"memo of {record}"
        assert seconds >= 0
        self._get("polled" if error is None else "failed")

    def changed(self, memo: object, record: Record[T], snapshot: Snapshot[T]) -> None:
        assert memo == f"memo of {record}"
        self._get(f"changed to {snapshot.word}")

    def ended(self, memo: object, record: Record[T], error: BaseException | None) -> None:
        assert memo == f"memo of {record}"
        self._get(f"ended with {type(error).__name__}")

    def _get(self, what: str) -> None:
        self.got.append(what)
        if self._raises == what.partition(" ")[0]:
            raise ValueError(what)


# What a listener gets of a wait that sees both words, one after the other.
QUEUED_THEN_DONE = [
    *("began", "polled", "changed to queued", "polled", "changed to done", "ended with NoneType")
]


async def test_a_listener_gets_a_call_for_all_that_happens(driver: Driver) -> None:
    """It gets the beginning, each poll and change, and the end, in this order."""
    notes = _Notes()
    listen(notes)
    await driver(Job("queued", FAULT, "queued", "done"))
    more = ["failed", "polled"]
    assert notes.got == [*QUEUED_THEN_DONE[:3], *more, *QUEUED_THEN_DONE[3:]]


async def test_a_poll_that_the_deadline_cuts_off_is_a_failed_poll(driver: Driver) -> None:
    """It is reported before the end, unless it goes on for others who wait for the task."""
    notes = _Notes()
    listen(notes)
    await outcome_of(driver(Job("queued", latency=[0, math.inf]), timeout=5))
    assert notes.got[2:] == ["changed to queued", "failed", "ended with WaitTimeout"]
    notes.got.clear()
    job = Job("queued", "done", latency=[0, 20])
    async with Poller(schedule=EVERY_SECOND) as poller:
        short = asyncio.ensure_future(outcome_of(poller.wait(job, timeout=5)))
        await poller.wait(job, timeout=60)
        assert isinstance((await short).error, WaitTimeout)
    assert notes.got == QUEUED_THEN_DONE


@pytest.mark.parametrize("method", ["began", "around", "polled", "failed", "changed", "ended"])
async def test_a_listener_that_raises_breaks_no_wait(
    driver: Driver, method: str, log: pytest.LogCaptureFixture
) -> None:
    """Waits go on however often it raises, and the log shows it once."""
    listen(_Notes(raises=method))
    for _ in range(3):
        job = Job("queued", FAULT, "running", "done")
        result = await driver(job, schedule=EVERY_SECOND)
        assert (result.word, len(job.polls)) == ("done", 4)
        assert (await outcome_of(driver(Job("broken")))).evidence.polls == 1
    (complaint,) = [record for record in log.records if record.levelno == logging.ERROR]
    assert complaint.getMessage() == "_Notes, the listener of all waits, raised; the waits go on"
    assert complaint.exc_info is not None
    assert complaint.name in {"asyncclient.wait", "asyncclient.poller"}


async def test_a_wait_is_reported_to_the_listener_it_began_with(driver: Driver) -> None:
    """One that was taken away gets the rest of it; a new one gets what begins from then on."""
    first, second = _Notes(), _Notes()
    silent = asyncio.ensure_future(driver(Job("queued", "done"), schedule=EVERY_SECOND))
    await asyncio.sleep(0.3)
    listen(first)
    wait = asyncio.ensure_future(driver(Job("queued", "done"), schedule=EVERY_SECOND))
    await asyncio.sleep(0.3)
    listen(second)
    await driver(Job("done"))
    await asyncio.gather(silent, wait)
    assert first.got == QUEUED_THEN_DONE
    assert second.got == ["began", "polled", "changed to done", "ended with NoneType"]


async def test_polls_and_callbacks_are_within_what_a_listener_sets(driver: Driver) -> None:
    """A poll, `on_change` and `on_blocked` run within `around`, and nothing else does."""
    seen: list[str] = []

    def see(now: float) -> Report:
        seen.append(f"poll within {around.get()}")
        return Report("asks", demand="a") if now == 0 else Report("done")

    listen(_Notes())
    await driver(
        Job(see),
        schedule=EVERY_SECOND,
        on_change=lambda _: seen.append(f"change within {around.get()}"),
        on_blocked=lambda _: seen.append(f"demand within {around.get()}"),
    )
    assert around.get() == "nothing"
    once = ["poll within a wait", "change within a wait"]
    assert seen == [*once, "demand within a wait", *once]


async def test_each_poll_is_made_for_its_own_waiter() -> None:
    """What a poll reads of its context, such as the current user, is its own waiter's."""
    seen: dict[str, set[str]] = {}

    async def request(poller: Poller, name: str, begins: float) -> None:
        user.set(name)
        answers = iter(["running"] * 9 + ["done"])

        async def fetch() -> str:
            seen.setdefault(name, set()).add(user.get())
            return next(answers)

        await asyncio.sleep(begins)
        await poller.wait(polling_task(fetch, vocabulary=WORDS, status=str, key=name))

    async with Poller(schedule=EVERY_SECOND, rate=5) as poller:
        names = [f"user-{number}" for number in range(20)]
        await asyncio.gather(
            *(request(poller, name, 0.1 * number) for number, name in enumerate(names))
        )
    assert seen == {name: {name} for name in names}


async def test_a_poller_lets_go_of_the_context_of_a_waiter_that_has_left() -> None:
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
