"""A simulator with a journal knows its tasks again, no matter when and how it ended before."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from asyncclient import Schedule, SessionPool, decode_ref, encode_ref, wait_until_done
from asyncclient.errors import NotFound, TaskCancelled, TaskFailed
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, WorkflowRun
from asyncclient.testing import Simulator
from asyncclient.testing.pytest_plugin import real_time

# Both lives go by the wall clock.
pytestmark = real_time

FAST = Schedule(first=0.1, cap=0.1)


@pytest.fixture(autouse=True)
def no_blocking_calls() -> None:
    """Let the simulator write its journal, which it does at once, or a kill could come between."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Name a journal that is not there yet."""
    return tmp_path / "journal"


def _rewrite(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")


def _text_of(path: Path) -> str:
    return path.read_text("utf-8")


@asynccontextmanager
async def life_of(path: Path) -> AsyncGenerator[tuple[Simulator, Coze, CopyAI]]:
    """Run a simulator with a journal; give it with a client of each provider."""
    async with SessionPool() as pool, Simulator(seed=1, journal=path) as sim:
        coze = Coze(pool, token="t", base_url=sim.coze_url)
        yield sim, coze, CopyAI(pool, api_key="k", base_url=sim.copyai_url)


async def test_tasks_of_both_providers_outlive_a_restart(path: Path) -> None:
    """Runs, chats and copies go on where they were, and end as they were ordered to.

    An interrupted run is resumed with the event that was reported before.
    """
    async with life_of(path) as (sim, coze, copyai):
        good = {"simulate": {"seconds": 1.0, "marker": "good"}}
        bad = {"simulate": {"seconds": 1.0, "outcome": "fail"}}
        asks = {"simulate": {"seconds": 0.2, "outcome": "interrupt"}}
        interrupted = (await coze.start_workflow("7", asks)).execute_id
        run = await coze.start_workflow("7", {**good, "topic": "tea"})
        failing = await copyai.start_workflow("W", bad)
        listed = await copyai.start_workflow("W", good, metadata={"order": 7})
        copied = await coze.start_copy("1", entity_type="workflow", to_workspace_id="2")
        chat = await coze.start_chat("3", user_id="u", parameters={"simulate": {"seconds": 9}})
        refs = [encode_ref(task.ref) for task in (run, failing, listed, copied, chat)]
        await asyncio.sleep(0.3)
        ends = [task.ends_at for task in sim.tasks.values()]
    again = [decode_ref(ref) for ref in refs]
    async with life_of(path) as (sim, coze, copyai):
        # Their clocks go on: both lives report the same moments, as far as the wall clock does.
        assert [task.ends_at for task in sim.tasks.values()] == pytest.approx(ends, abs=0.1)
        assert sim.starts == {"good": 2, "1": 1}
        history = await wait_until_done(coze.task(again[0]), schedule=FAST)
        assert isinstance(history, WorkflowRun)
        assert "tea" in str(history.outputs)
        with pytest.raises(TaskFailed):
            await wait_until_done(copyai.task(again[1]), schedule=FAST)
        done = await wait_until_done(copyai.task(again[2]), schedule=FAST)
        assert done.metadata == {"order": 7}
        await wait_until_done(coze.task(again[3]), schedule=FAST)
        await coze.cancel_chat(chat.ref.ids["conversation_id"], chat.ref.ids["chat_id"])
        event = (await coze.workflow_run("7", interrupted).poll()).interrupt
        assert event is not None
        await coze.resume_workflow(
            "7", event_id=event.event_id, interrupt_type=event.type, resume_data="my name is Ada"
        )
    async with life_of(path) as (_, coze, _):
        with pytest.raises(TaskCancelled):
            await wait_until_done(coze.task(again[4]))
        run = coze.workflow_run("7", interrupted)
        assert (await wait_until_done(run, schedule=FAST)).execute_status == "Success"


async def test_no_id_comes_twice(path: Path) -> None:
    """With the same seed, each life draws ids that the lives before it did not."""
    for number in range(1, 4):
        async with life_of(path) as (sim, coze, copyai):
            for _ in range(3):
                await coze.start_workflow("7")
                await coze.start_copy("1", entity_type="workflow", to_workspace_id="2")
                await copyai.start_workflow("W")
            assert len(sim.tasks) == 9 * number


async def test_a_killed_simulator_has_lost_no_task_that_it_answered_for(path: Path) -> None:
    """`kill -9` at any moment: every start that was answered is known to the next life."""
    code = (
        "import asyncio, sys; from asyncclient.testing import Simulator\n"
        "async def main():\n"
        "    async with Simulator(journal=sys.argv[1]) as sim:\n"
        "        print(sim.copyai_url, flush=True)\n"
        "        await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, str(path), stdout=PIPE
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    answered: list[str] = []
    async with SessionPool() as pool:
        copyai = CopyAI(pool, api_key="k", base_url=url, max_retries=0)

        async def start_many() -> None:
            while True:
                run = await copyai.start_workflow("W", {"simulate": {"seconds": 3600}})
                answered.append(run.ref.ids["run_id"])

        starting = [asyncio.create_task(start_many()) for _ in range(10)]
        while len(answered) < 100:  # noqa: ASYNC110  (starts set no event)
            await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        await asyncio.wait(starting)
        for task in starting:
            task.exception()
    async with Simulator(journal=path) as sim:
        assert {*answered} <= {*sim.tasks}


async def test_a_line_that_a_kill_cut_off_is_forgotten(path: Path) -> None:
    """Half a line is no task, and what is written after it is read again."""
    async with life_of(path) as (_, _, copyai):
        kept = await copyai.start_workflow("W")
        cut = await copyai.start_workflow("W")
    _rewrite(path, _text_of(path)[:-20])
    for _ in range(2):
        async with life_of(path) as (_, _, copyai):
            await copyai.get_workflow_run("W", kept.run_id)
            with pytest.raises(NotFound):
                await copyai.get_workflow_run("W", cut.run_id)
            await copyai.start_workflow("W")
    assert len(_text_of(path).splitlines()) == 3


@pytest.mark.parametrize("text", ["notes\n", "notes", '{"id": 7}\n', "\xff\n"])
async def test_another_file_is_not_taken_for_a_journal(path: Path, text: str) -> None:
    """A file that is something else is named in the error, and left as it is."""
    _rewrite(path, text)
    with pytest.raises(ValueError, match="name another file"):
        await Simulator(journal=path).start()
    assert _text_of(path) == text
