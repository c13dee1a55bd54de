"""The command's `demo`: what it runs, what it shows, and that it notices what goes wrong."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import anyio
import pytest

from asyncclient.cli._demo_jobs import jobs_of
from asyncclient.errors import ConnectFailed
from tests.cli.shell import Shell

pytestmark = pytest.mark.usefixtures("loop")


def test_the_seed_decides_the_mixture_of_jobs() -> None:
    """Half are of Copy.ai, a few are chats and copies, and some fail or stop for their caller."""
    jobs = jobs_of(300, 0)
    assert jobs == jobs_of(300, 0) != jobs_of(300, 8)
    kinds = Counter(job.kind for job in jobs)
    assert kinds == {"copyai": 150, "workflow": 130, "chat": 10, "copy": 10}
    assert Counter(job.outcome for job in jobs) == {"success": 276, "fail": 15, "interrupt": 9}
    assert all(job.kind in {"workflow", "chat"} for job in jobs if job.outcome == "interrupt")
    for tasks in (1, 2, 3, 40):
        few = jobs_of(tasks, 0)
        assert len(few) == tasks
        assert any(job.outcome == "fail" for job in few)


def test_every_task_ends_as_it_should(shell: Shell) -> None:
    """Through the ordered faults and those of chance, each task's end is found, and in time.

    The loop that people write has the same jobs and faults: it pays twice for lost starts, and
    never learns of jobs that ask, or hang in a request.
    """
    assert shell("demo", "--tasks", "20", "--seed", "5", "--json") == 0
    assert re.fullmatch(r"( +\d+ s: asyncclient \d+/20 ended, .*; sleep loop .*\n)+", shell.err)
    summary = shell.json
    assert summary["mismatches"] == []
    assert (summary["tasks"], summary["done"], summary["failed_as_intended"]) == (20, 19, 1)
    assert summary["meant_to_fail"] == [j.number for j in jobs_of(20, 5) if j.outcome == "fail"]
    assert summary["unblocked"] == 1
    assert summary["started_twice"] == summary["lost"] == 0
    assert summary["polls"] >= 20
    assert summary["polls_per_task"] == pytest.approx(summary["polls"] / 20, abs=0.01)
    # Two providers' unknown task, stalled and reset polls, lost starts and a refused one.
    assert summary["faults_survived"] == sum(summary["faults"].values()) >= 10
    assert summary["faults"]["stall"] == summary["faults"]["not_found"] == 2
    assert summary["faults"]["reset_after_start"] == 3
    delay = summary["detection_delay"]
    assert 0 < delay["mean"] <= delay["p95"] <= summary["seconds"]
    loop = summary["loop"]
    assert loop["started_twice"] == 3
    assert (loop["lost"], loop["asked_in_vain"]) == (3, 1)  # and one stalled poll a provider
    assert loop["polls"] >= 20
    assert 0 < loop["detection_delay"]["mean"] < 3


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_nothing_breaks_in_the_middle_of_a_word(shell: Shell, columns: int) -> None:
    """The words are the same at any width, no line is too long, and it says what to do next."""
    shell.is_terminal(columns, is_live=False)
    assert shell("demo", "--tasks", "4") == 0
    said = shell.out[shell.out.index("\nThe same 4 jobs") :]
    assert max(map(len, said.splitlines())) < columns
    assert "`while True: sleep(1)`, with a retry of everything" in " ".join(said.split())
    for row in ("polls ", "jobs lost ", "jobs started twice ", "mean delay of ends "):
        assert re.search(rf"^{row} +\d\S*( s)? +\d\S*( s)?$", said, re.MULTILINE)
    assert "next: " in said
    for path in re.findall(r"docs/\S+", said):
        assert (Path(__file__).parents[2] / path).is_file()


async def _believe_it_is_done(*_arguments: object, **_options: object) -> None:
    await anyio.sleep(0.05)


async def _lose_the_network(*_arguments: object, **_options: object) -> None:
    raise ConnectFailed("no connection")


@pytest.mark.parametrize(
    ("is_live", "columns", "seen"),
    [
        (False, 80, "s: asyncclient 0/4 ended, 0 polls; sleep loop 0/4 ended"),
        (True, 80, "waiting"),
        (True, 60, "━━━"),
        (True, 20, "asyncclient 4/4\nsleep loop "),
    ],
    ids=["pipe", "bars", "bars at 60", "narrow terminal"],
)
def test_a_wait_that_ends_too_early_is_a_mismatch(
    shell: Shell, columns: int, seen: str, *, is_live: bool
) -> None:
    """The demo ends with 1 and names each task, in whichever way it shows itself."""
    shell.is_terminal(columns, is_live=is_live)
    shell.monkeypatch.setattr("asyncclient.cli._demo.wait_until_done", _believe_it_is_done)
    shell.monkeypatch.setattr("asyncclient.cli._demo_view._LINE_SECONDS", 0.04)
    assert shell("demo", "--tasks", "4") == 1
    assert seen in shell.out
    assert "4 ended otherwise" in " ".join(shell.out.split())
    assert shell.err.count("asyncclient: ") == 4
    assert "was reported as succeeded" in shell.err
    assert "s before it ended" in shell.err


@pytest.mark.parametrize(
    ("name", "value", "fields", "complaint"),
    [
        (
            "_demo.wait_until_done",
            _lose_the_network,
            {"failed_as_intended": 0},
            "its wait ended with ConnectFailed: no connection",
        ),
        (
            "_demo.CopyAI.start_workflow",
            _lose_the_network,
            {"started_twice": 0},
            "task 1 (copyai) was never started: ConnectFailed: no connection",
        ),
        ("_demo_jobs.Job.marker", "one", {"started_twice": 1}, "1 task started more than once"),
    ],
    ids=["a wait that fails", "a start that fails", "a second start"],
)
def test_anything_else_is_a_mismatch_too(
    shell: Shell, name: str, value: object, fields: dict[str, int], complaint: str
) -> None:
    """A failed wait is no intended failure, and two starts of one job would be paid for twice."""
    shell.monkeypatch.setattr(f"asyncclient.cli.{name}", value)
    assert shell("demo", "--tasks", "2", "--json") == 1
    assert complaint in shell.err
    assert len(shell.json["mismatches"]) == shell.err.count("asyncclient: ")
    assert shell.json.items() >= fields.items()
