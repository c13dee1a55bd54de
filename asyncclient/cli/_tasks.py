"""What `start`, `wait`, `watch` and `bots` do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import anyio
import msgspec

from asyncclient._pool import SessionPool
from asyncclient._state import Snapshot, TaskState
from asyncclient._task import Task, TaskRef, encode_ref
from asyncclient._wait import wait_until_done, watch
from asyncclient.cli._accounts import Accounts
from asyncclient.cli._exits import ExitCode, code_of, line_of
from asyncclient.cli._output import (
    answer_json,
    clean,
    complain,
    json_line,
    say,
    say_json,
    say_rows,
    snapshot_fields,
)
from asyncclient.errors import AsyncClientError
from asyncclient.providers.coze import ChatHandle, CopyTask

__all__ = [
    "Waiting",
    "list_bots",
    "start_copyai_workflow",
    "start_coze_workflow",
    "wait_for_lines",
    "wait_for_one",
    "watch_one",
]


class Waiting:
    """How to wait and what to show of the final answer.

    Args:
        timeout: seconds for one task.
        outputs: show only what the task put out, not the whole answer.
    """

    def __init__(self, *, timeout: float, outputs: bool) -> None:
        self._timeout = timeout
        self._outputs = outputs

    async def answer(self, task: Task[Any]) -> bytes:
        """Wait for a task and return its final answer as JSON.

        Raises:
            AsyncClientError: as `wait_until_done`.
        """
        result: object = await wait_until_done(task, timeout=self._timeout)
        if not self._outputs:
            return answer_json(result)
        if isinstance(task, ChatHandle):
            return json_line(await task.messages())
        if isinstance(result, CopyTask):
            return json_line({"target_entity_id": result.target_entity_id})
        return json_line(getattr(result, "outputs", None))

    def last_answer(self, error: AsyncClientError) -> bytes | None:
        """Return the answer with which a task ended badly or stopped, if there was one."""
        snapshot = error.snapshot
        if snapshot is None or self._outputs or not _has_stopped(snapshot):
            return None
        return answer_json(snapshot.result)


def _has_stopped(snapshot: Snapshot[object]) -> bool:
    state = snapshot.state
    return state is not None and (state.is_terminal or state is TaskState.BLOCKED)


async def start_coze_workflow(
    workflow_id: str,
    inputs: Mapping[str, object],
    *,
    bot_id: str | None,
    app_id: str | None,
    waiting: Waiting | None,
) -> int:
    """Start a run of a Coze workflow and write its reference, or wait and write its answer."""
    async with SessionPool() as pool:
        coze = Accounts(pool).coze()
        run = await coze.start_workflow(workflow_id, inputs, bot_id=bot_id, app_id=app_id)
        return await _after_start(run, waiting)


async def start_copyai_workflow(
    workflow_id: str,
    inputs: Mapping[str, object],
    *,
    metadata: Mapping[str, object] | None,
    waiting: Waiting | None,
) -> int:
    """Start a run of a Copy.ai workflow and write its reference, or wait and write its answer."""
    async with SessionPool() as pool:
        copyai = Accounts(pool).copyai()
        run = await copyai.start_workflow(workflow_id, inputs, metadata=metadata)
        return await _after_start(run, waiting)


async def _after_start(task: Task[Any], waiting: Waiting | None) -> int:
    ref = encode_ref(getattr(task, "ref", None))
    if waiting is None:
        say(ref)
        return ExitCode.OK
    # Whatever becomes of the wait, the way back to the task is known; the answer alone is output.
    complain(f"started {ref}")
    return await _show_answer(task, waiting)


async def wait_for_one(ref: TaskRef, waiting: Waiting) -> int:
    """Wait for a task and write its final answer."""
    async with SessionPool() as pool:
        return await _show_answer(Accounts(pool).task(ref), waiting)


async def _show_answer(task: Task[Any], waiting: Waiting) -> int:
    try:
        say_json(await waiting.answer(task))
    except AsyncClientError as error:
        last = waiting.last_answer(error)
        if last is not None:
            say_json(last)
        raise
    return ExitCode.OK


async def wait_for_lines(refs: Sequence[TaskRef], waiting: Waiting) -> int:
    """Wait for many tasks at once, and write their answers in the order of the references.

    A task without an answer gets the line `null`; why is told on standard error.

    Returns:
        the greatest of their exit codes.
    """
    codes: list[int] = [ExitCode.OK] * len(refs)
    lines: dict[int, bytes] = {}
    written = 0

    async def wait(place: int, task: Task[Any]) -> None:
        nonlocal written
        try:
            lines[place] = await waiting.answer(task)
        except AsyncClientError as error:
            complain(line_of(error))
            codes[place] = code_of(error)
            lines[place] = waiting.last_answer(error) or b"null"
        while written in lines:
            say_json(lines.pop(written), pretty=False)
            written += 1

    async with SessionPool() as pool:
        accounts = Accounts(pool)
        tasks = [accounts.task(ref) for ref in refs]
        async with anyio.create_task_group() as group:
            for place, task in enumerate(tasks):
                group.start_soon(wait, place, task)
    return max(codes, default=ExitCode.OK)


async def watch_one(ref: TaskRef, *, timeout: float, as_json: bool) -> int:
    """Follow a task, and write a line for each change, whichever way it ends."""
    show = _show_as_json if as_json else _show_as_text
    async with SessionPool() as pool:
        task = Accounts(pool).task(ref)
        last: Snapshot[object] | None = None
        async for snapshot in watch(task, timeout=timeout):
            show(snapshot)
            last = snapshot
    if last is None or last.state is TaskState.SUCCEEDED:
        return ExitCode.OK
    why = f": {last.reason}" if last.reason else ""
    complain(f"{ref} ended as {last.state} (status {last.word!r}){why}")
    return ExitCode.ENDED_BADLY


def _show_as_text(snapshot: Snapshot[object]) -> None:
    state = snapshot.state or "unknown"
    progress = "" if snapshot.progress is None else f", progress {snapshot.progress:g}"
    say(
        f"{snapshot.elapsed:7.1f} s  {state:<9}  {clean(snapshot.word)} "
        f"(poll {snapshot.polls}{progress})"
    )


def _show_as_json(snapshot: Snapshot[object]) -> None:
    fields = snapshot_fields(snapshot)
    if _has_stopped(snapshot):
        fields["answer"] = msgspec.Raw(answer_json(snapshot.result))
    say_json(json_line(fields), pretty=False)


async def list_bots(workspace_id: str, *, publish_status: str | None, as_json: bool) -> int:
    """Write all bots of a Coze workspace."""
    async with SessionPool() as pool:
        coze = Accounts(pool).coze()
        bots = [bot async for bot in coze.iter_bots(workspace_id, publish_status=publish_status)]
    if as_json:
        say_json(json_line(bots))
        return ExitCode.OK
    rows = [(bot.id, bot.name, _yes_or_no(bot.is_published), _day(bot.updated_at)) for bot in bots]
    say_rows(("id", "name", "published", "updated"), rows)
    return ExitCode.OK


def _yes_or_no(value: bool | None) -> str:  # noqa: FBT001  (the value that is shown, no switch)
    return {True: "yes", False: "no"}.get(value, "") if value is not None else ""


def _day(unix_time: int | None) -> str:
    try:
        return (
            "" if unix_time is None else datetime.fromtimestamp(unix_time, UTC).date().isoformat()
        )
    except (OverflowError, OSError, ValueError):
        return str(unix_time)
