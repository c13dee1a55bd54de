"""What `wait` and `watch` do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import anyio
import msgspec

from asyncclient._http import SessionPool
from asyncclient._ref import TaskRef
from asyncclient._state import Snapshot, TaskState
from asyncclient._task import Task, ref_of
from asyncclient._text import counted, shown
from asyncclient._waiting import wait_until_done, watch
from asyncclient.cli._exits import ExitCode, code_of, line_of
from asyncclient.cli._live import live_line, wait_shown, warnings_shown
from asyncclient.cli._output import answer_json, clean, complain, say, say_json
from asyncclient.cli._targets import Target, found
from asyncclient.errors import AsyncClientError
from asyncclient.providers.copyai import WorkflowRun as CopyAIRun
from asyncclient.providers.coze import (
    ChatHandle,
    CopyTask,
    DocumentProgress,
    WorkflowRun as CozeRun,
)


class End(NamedTuple):
    """How a wait ended.

    Attributes:
        line: the JSON to write; None for nothing.
        error: the error that ended it, if one did.
    """

    line: bytes | None
    error: AsyncClientError | None


@dataclass(frozen=True, slots=True)
class Waiting:
    """How to wait, and what to write at the end.

    Attributes:
        timeout: seconds for one task.
        outputs: write only the task's output, not the whole answer.
        as_json: write one object that says all of the end.
    """

    timeout: float
    outputs: bool
    as_json: bool

    async def end_of(self, task: Task[object], ref: TaskRef | None) -> End:
        """Wait for a task.

        Args:
            task: the task.
            ref: its reference, if that may be written.
        """
        changes: list[Snapshot[object]] = []
        result: bytes | None = None
        error: AsyncClientError | None = None
        try:
            await wait_until_done(task, timeout=self.timeout, on_change=changes.append)
            result = await self._result_of(task, changes[-1])
        except AsyncClientError as raised:
            error = raised
            if error.snapshot is not None and _has_stopped(error.snapshot) and not self.outputs:
                result = answer_json(error.snapshot)
        if not self.as_json:
            return End(result, error)
        last = (error and error.snapshot) or (changes[-1] if changes else None)
        return End(msgspec.json.encode(_fields(last, ref, result, error)), error)

    async def _result_of(self, task: Task[object], last: Snapshot[object]) -> bytes:
        if not self.outputs:
            return answer_json(last)
        match last.result:
            case CozeRun() | CopyAIRun() as run:
                output: object = run.outputs
            case CopyTask() as copy:
                output = {"target_entity_id": copy.target_entity_id}
            case DocumentProgress() as progress:
                output = progress.documents
            case answer:
                output = await task.messages() if isinstance(task, ChatHandle) else answer
        return msgspec.json.encode(output)


def _fields(
    last: Snapshot[object] | None,
    ref: TaskRef | None,
    result: bytes | None,
    error: AsyncClientError | None,
) -> dict[str, object]:
    """Return the end of a wait, as fields of a JSON object."""
    polls, elapsed = (error.polls, error.elapsed) if error else (0, 0.0)
    if last is not None:
        polls, elapsed = max(polls, last.polls), max(elapsed, last.elapsed)
    return {
        "state": last and last.state,
        "word": last and last.word,
        "reason": last and last.reason,
        "progress": last and last.progress,
        "polls": polls,
        "elapsed": round(elapsed, 3),
        "ref": ref,
        "result": None if result is None else msgspec.Raw(result),
        "error": error and {"type": type(error).__name__, "message": clean(error.text)},
        "exit_code": code_of(error) if error else ExitCode.OK,
    }


def _has_stopped(snapshot: Snapshot[object]) -> bool:
    state = snapshot.state
    return state is not None and (state.is_terminal or state is TaskState.BLOCKED)


async def wait_for_one(target: Target, waiting: Waiting) -> int:
    """Wait for a task, and write its end."""
    async with SessionPool() as pool:
        return await show_end(*found(pool, target), waiting)


async def show_end(task: Task[object], ref: TaskRef | None, waiting: Waiting) -> int:
    """Wait for a task, and write its end.

    Raises:
        AsyncClientError: the wait ended so.
    """
    async with wait_shown():
        end = await waiting.end_of(task, ref)
    if end.line is not None:
        say_json(end.line, pretty=False if waiting.as_json else None)
    if end.error is not None:
        raise end.error
    return ExitCode.OK


async def wait_for_lines(targets: Sequence[Target], waiting: Waiting) -> int:
    """Wait for many tasks at once, and write their ends in the order of the lines.

    A task without an answer gets the line `null`; standard error says why.

    Returns:
        the greatest of their exit codes.
    """
    codes: list[int] = [ExitCode.OK] * len(targets)
    lines: dict[int, bytes] = {}
    written = ended = 0
    began = anyio.current_time()

    def stand() -> str:
        seconds = anyio.current_time() - began
        return f"{ended} of {counted(len(targets), 'task')} ended, {seconds:.0f} s"

    async def wait(place: int, task: Task[object], ref: TaskRef | None) -> None:
        nonlocal written, ended
        end = await waiting.end_of(task, ref)
        ended += 1
        if end.error is not None:
            complain(line_of(end.error))
            codes[place] = code_of(end.error)
        lines[place] = end.line or b"null"
        while written in lines:
            say_json(lines.pop(written), pretty=False)
            written += 1

    async with SessionPool() as pool:
        tasks = [found(pool, target) for target in targets]
        async with live_line(stand), anyio.create_task_group() as group:
            for place, (task, ref) in enumerate(tasks):
                group.start_soon(wait, place, task, ref)
    return max(codes)


async def watch_one(target: Target, *, timeout: float, as_json: bool) -> int:
    """Follow a task, and write a line for each change, up to any end."""
    show = _show_as_json if as_json else _show_as_text
    async with SessionPool() as pool:
        task, _ = found(pool, target)
        last: Snapshot[object] | None = None
        with warnings_shown():
            async for snapshot in watch(task, timeout=timeout):
                show(snapshot)
                last = snapshot
    if last is None or last.state is TaskState.SUCCEEDED:
        return ExitCode.OK
    why = f": {last.reason}" if last.reason else ""
    complain(f"{ref_of(task)} ended as {last.state} (status {shown(last.word)}){why}")
    return ExitCode.ENDED_BADLY


def _show_as_text(snapshot: Snapshot[object]) -> None:
    state = snapshot.state or "unknown"
    progress = "" if snapshot.progress is None else f", progress {snapshot.progress:g}"
    say(
        f"{snapshot.elapsed:7.1f} s  {state:<9}  {clean(snapshot.word)} "
        f"(poll {snapshot.polls}{progress})"
    )


def _show_as_json(snapshot: Snapshot[object]) -> None:
    fields: dict[str, object] = {
        "state": snapshot.state,
        "word": snapshot.word,
        "progress": snapshot.progress,
        "polls": snapshot.polls,
        "elapsed": round(snapshot.elapsed, 3),
    }
    if _has_stopped(snapshot):
        fields["answer"] = msgspec.Raw(answer_json(snapshot))
    say_json(msgspec.json.encode(fields), pretty=False)
