"""Tests of what a wait logs: polls quietly, changes plainly, trouble once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator

import pytest

from asyncclient import Poller, Schedule, Snapshot, wait_until_done, watch
from asyncclient.errors import NotFound, RateLimited, ServerError
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply
from tests.waiting.scenario import Driver, Job, Report, outcome_of, run_of, run_says

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
FIELDS = ("task", "polls", "word", "state", "error")
FAULT = ServerError("HTTP 503", status=503)


@pytest.fixture(autouse=True)
def everything_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let all levels through."""
    with caplog.at_level(logging.DEBUG, "asyncclient"):
        yield


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Return what was logged at a level."""
    return [record.getMessage() for record in caplog.records if record.levelno == level]


async def test_each_poll_is_a_debug_line(caplog: pytest.LogCaptureFixture) -> None:
    """Every good answer is logged at DEBUG, with the task, its number and its word."""
    await wait_until_done(Job("queued", "running", "running", "done"))
    assert messages(caplog, logging.DEBUG) == [
        "fake job 7: poll 1: 'queued'",
        "fake job 7: poll 2: 'running'",
        "fake job 7: poll 3: 'running'",
        "fake job 7: poll 4: 'done'",
    ]


async def test_each_change_is_an_info_line(caplog: pytest.LogCaptureFixture) -> None:
    """Every change is logged at INFO, with the task and the snapshot, also for handlers to read."""
    await wait_until_done(Job("queued", "running", "running", "done"), schedule=EVERY_SECOND)
    changes = [record for record in caplog.records if record.levelno == logging.INFO]
    assert [record.getMessage() for record in changes] == [
        "fake job 7: <Snapshot pending ('queued') after 1 poll, 0.0 s>",
        "fake job 7: <Snapshot running ('running') after 2 polls, 1.0 s>",
        "fake job 7: <Snapshot succeeded ('done') after 4 polls, 3.0 s>",
    ]
    for record in changes:
        assert isinstance(vars(record)["snapshot"], Snapshot)


@pytest.mark.parametrize("word", ["broken", "stopped", "gone"])
async def test_a_bad_end_is_a_change_too(caplog: pytest.LogCaptureFixture, word: str) -> None:
    """A log at INFO shows how a task ended, not only that it once ran."""
    await outcome_of(wait_until_done(Job("running", word)))
    assert repr(word) in messages(caplog, logging.INFO)[-1]


async def test_the_first_fault_of_a_row_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """A row of faults is one WARNING, the rest of it at DEBUG, and the next row one more."""
    job = Job("running", FAULT, FAULT, FAULT, "running", FAULT, FAULT, "done")
    await wait_until_done(job)
    assert (
        messages(caplog, logging.WARNING)
        == ["fake job 7: a poll failed: ServerError('HTTP 503')"] * 2
    )
    failed = [line for line in messages(caplog, logging.DEBUG) if "a poll failed" in line]
    assert len(failed) == 3


@pytest.mark.parametrize(
    "fault", [NotFound("404", status=404), RateLimited("429", status=429), TimeoutError("slow")]
)
async def test_every_kind_of_tolerated_fault_is_logged(
    caplog: pytest.LogCaptureFixture, fault: Exception
) -> None:
    """A lag, a refusal and an outage are all reported, by the error itself."""
    await wait_until_done(Job(fault, "done"))
    (warning,) = messages(caplog, logging.WARNING)
    assert repr(fault) in warning


async def test_an_error_that_is_raised_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    """What the caller gets is the caller's to report: no WARNING, no ERROR beside it."""
    await outcome_of(wait_until_done(Job("running", ValueError("odd"))))
    await outcome_of(wait_until_done(Job("running", "broken")))
    await outcome_of(wait_until_done(Job("running"), timeout=5))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_an_unknown_word_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    """Each unknown word is reported once in a wait, however often it comes."""
    await wait_until_done(Job("odd", "odd", "running", "odd", "even", "odd", "even", "done"))
    assert messages(caplog, logging.WARNING) == [
        "fake job 7: status 'odd' is in no vocabulary",
        "fake job 7: status 'even' is in no vocabulary",
    ]


async def test_an_unknown_word_is_one_warning_of_a_poller(caplog: pytest.LogCaptureFixture) -> None:
    """A Poller warns of a word in no vocabulary once for each wait, however often it comes."""
    async with Poller() as poller:
        await poller.wait(Job(*["odd"] * 5, "strange", "odd", "done"))
    warned = messages(caplog, logging.WARNING)
    assert [("'odd'" in line, "'strange'" in line) for line in warned] == [
        (True, False),
        (False, True),
    ]


async def test_records_bear_fields(caplog: pytest.LogCaptureFixture, driver: Driver) -> None:
    """Handlers read the task, the word, the state, the polls and the error without parsing."""
    await driver(Job("queued", FAULT, "odd", "done"))
    fields = [
        (each.levelname, *(vars(each).get(name) for name in FIELDS)) for each in caplog.records
    ]
    task = "fake job 7"
    assert fields == [
        ("DEBUG", task, 1, "queued", "pending", None),
        ("INFO", task, 1, "queued", "pending", None),
        ("WARNING", task, 2, "queued", "pending", "ServerError"),
        ("WARNING", task, 3, "odd", None, None),
        ("DEBUG", task, 3, "odd", None, None),
        ("INFO", task, 3, "odd", None, None),
        ("DEBUG", task, 4, "done", "succeeded", None),
        ("INFO", task, 4, "done", "succeeded", None),
    ]


async def test_an_outage_is_one_warning_for_an_account(caplog: pytest.LogCaptureFixture) -> None:
    """A hundred tasks that meet the same outage are one WARNING, and one more a minute later."""

    def fails_from_five(now: float) -> Report | Exception:
        return Report("running") if now < 5 else FAULT

    jobs = [Job(fails_from_five) for _ in range(100)]
    for number, each in enumerate(jobs):
        each.key = number
    async with Poller(schedule=EVERY_SECOND) as poller:
        waits = [asyncio.ensure_future(poller.wait(each)) for each in jobs]
        await asyncio.sleep(45)
        assert len(messages(caplog, logging.WARNING)) == 1
        await asyncio.sleep(40)
        assert len(messages(caplog, logging.WARNING)) == 2
        for wait in waits:
            wait.cancel()


async def test_a_task_at_its_leisure_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    """An hour without a change is one line at INFO, and nothing above."""
    await outcome_of(wait_until_done(Job("running"), timeout=3600))
    assert len(messages(caplog, logging.INFO)) == 1
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_a_watch_logs_as_a_wait_does(caplog: pytest.LogCaptureFixture) -> None:
    """Both ways to follow a task log the same."""
    job = Job("queued", FAULT, "odd", "done")
    async for _ in watch(job):
        pass
    levels = [record.levelname for record in caplog.records]
    assert sorted(levels) == ["DEBUG"] * 3 + ["INFO"] * 3 + ["WARNING"] * 2


async def test_all_is_logged_under_one_name(caplog: pytest.LogCaptureFixture) -> None:
    """One logger turns all of it on or off."""
    await wait_until_done(Job("odd", FAULT, "done"))
    assert {record.name for record in caplog.records} == {"asyncclient.wait"}


async def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    """A wait writes neither to the output nor to the error stream, whatever happens."""
    await outcome_of(wait_until_done(Job("queued", "odd", FAULT, "broken")))
    await outcome_of(wait_until_done(Job("running"), timeout=5))
    await wait_until_done(Job("running", Report("asks", demand="a"), "done"), on_blocked=repr)
    assert capfd.readouterr() == ("", "")


async def test_no_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Neither requests nor refusals show the credential."""

    async def token() -> str:
        return "pat_secret_1234"

    refused = reply({"code": 4100, "msg": "token"}, status=401)
    busy = reply({"code": 4009, "msg": "busy"})
    transport = ScriptedTransport([run_says("Running"), busy, refused, refused])
    outcome = await outcome_of(wait_until_done(run_of(transport, token)))
    assert "secret" not in caplog.text
    assert "secret" not in repr(outcome)
    coze = Coze(transport, token="pat_secret_1234")
    assert "secret" not in f"{coze!r}{coze.workflow_run('1', '2')!r}"
