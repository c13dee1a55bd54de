"""What `start`, `wait`, `watch` and `bots` do."""

from __future__ import annotations

import contextlib
import logging
import shlex
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import anyio
import msgspec

from asyncclient._http import SessionPool
from asyncclient._ref import TaskRef, encode_ref
from asyncclient._state import Snapshot, TaskState
from asyncclient._text import shown
from asyncclient._waiting import wait_until_done, watch
from asyncclient.cli._accounts import (
    PROVIDERS,
    Accounts,
    CopyAIRunHandle,
    CozeRunHandle,
    KnownTask,
)
from asyncclient.cli._exits import ExitCode, code_of, line_of
from asyncclient.cli._output import (
    OutputLost,
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
from asyncclient.providers.coze import ChatHandle, CopyTaskHandle, DocumentProgressHandle

__all__ = [
    "Start",
    "Waiting",
    "list_bots",
    "start_copyai_workflow",
    "start_coze_workflow",
    "wait_for_lines",
    "wait_for_one",
    "watch_one",
]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How to wait and what to show of the final answer.

    Attributes:
        timeout: seconds for one task.
        outputs: show only what the task put out, not the whole answer.
    """

    timeout: float
    outputs: bool

    async def answer(self, task: KnownTask) -> bytes:
        """Wait for a task and return its final answer as JSON.

        Raises:
            AsyncClientError: as `wait_until_done`.
        """
        match task:
            case CozeRunHandle():
                coze_run = await wait_until_done(task, timeout=self.timeout)
                return self._shown(coze_run, coze_run.outputs)
            case CopyAIRunHandle():
                copyai_run = await wait_until_done(task, timeout=self.timeout)
                return self._shown(copyai_run, copyai_run.outputs)
            case CopyTaskHandle():
                copy = await wait_until_done(task, timeout=self.timeout)
                return self._shown(copy, {"target_entity_id": copy.target_entity_id})
            case DocumentProgressHandle():
                progress = await wait_until_done(task, timeout=self.timeout)
                return self._shown(progress, progress.documents)
            case ChatHandle():
                chat = await wait_until_done(task, timeout=self.timeout)
                return self._shown(chat, await task.messages() if self.outputs else None)

    def _shown(self, answer: object, outputs: object) -> bytes:
        return json_line(outputs) if self.outputs else answer_json(answer)

    def last_answer(self, error: AsyncClientError) -> bytes | None:
        """Return the answer with which a task ended badly or stopped, if there was one."""
        snapshot = error.snapshot
        if snapshot is None or self.outputs or not _has_stopped(snapshot):
            return None
        return answer_json(snapshot.result)


def _has_stopped(snapshot: Snapshot[object]) -> bool:
    state = snapshot.state
    return state is not None and (state.is_terminal or state is TaskState.BLOCKED)


class Start:
    """One start, and the wait after it where one is wanted; it knows what Ctrl-C leaves behind.

    Args:
        begin: starts the task.
        provider: where, by the name that references bear.
        waiting: how to wait; None: write the reference and leave it at that.
    """

    def __init__(
        self,
        begin: Callable[[Accounts], Awaitable[KnownTask]],
        provider: str,
        waiting: Waiting | None,
    ) -> None:
        self._begin = begin
        self._runs = PROVIDERS[provider].runs
        self._waiting = waiting
        self._ref = ""

    async def run(self) -> int:
        """Start the task and write its reference, or wait and write its answer."""
        async with SessionPool() as pool:
            task = await self._begin(Accounts(pool))
            self._ref = encode_ref(task.ref)
            if self._waiting is None:
                self._tell()
                return ExitCode.OK
            # Whatever becomes of the wait, the way back to the task is known; the answer alone is
            # output.
            complain(f"started {self._ref}")
            return await _show_answer(task, self._waiting)

    def _tell(self) -> None:
        try:
            say(self._ref)
        except (OSError, OutputLost):
            complain(f"started {self._ref}")  # it may have cost something: it must not be lost
            raise

    def note(self) -> str:
        """Say what an interruption at this moment leaves behind."""
        if not self._ref:
            return (
                "interrupted before the start was answered: it may have happened all the same; "
                f"look at {self._runs} before you start it again"
            )
        again = f"asyncclient wait {shlex.quote(self._ref)}"
        return f"interrupted; the task itself goes on; to wait again: {again}"


async def start_coze_workflow(
    accounts: Accounts,
    workflow_id: str,
    inputs: Mapping[str, object],
    *,
    bot_id: str | None,
    app_id: str | None,
) -> CozeRunHandle:
    """Start a run of a Coze workflow."""
    coze = accounts.coze()
    return await coze.start_workflow(workflow_id, inputs, bot_id=bot_id, app_id=app_id)


async def start_copyai_workflow(
    accounts: Accounts,
    workflow_id: str,
    inputs: Mapping[str, object],
    *,
    metadata: Mapping[str, object] | None,
) -> CopyAIRunHandle:
    """Start a run of a Copy.ai workflow."""
    return await accounts.copyai().start_workflow(workflow_id, inputs, metadata=metadata)


async def wait_for_one(ref: TaskRef, waiting: Waiting) -> int:
    """Wait for a task and write its final answer."""
    async with SessionPool() as pool:
        return await _show_answer(Accounts(pool).task(ref), waiting)


async def _show_answer(task: KnownTask, waiting: Waiting) -> int:
    try:
        with _warnings_told():
            answer = await waiting.answer(task)
        say_json(answer)
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

    async def wait(place: int, task: KnownTask) -> None:
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
        with _warnings_told():
            async for snapshot in _changes_of(task, timeout):
                show(snapshot)
                last = snapshot
    if last is None or last.state is TaskState.SUCCEEDED:
        return ExitCode.OK
    why = f": {last.reason}" if last.reason else ""
    complain(f"{ref} ended as {last.state} (status {shown(last.word)}){why}")
    return ExitCode.ENDED_BADLY


def _changes_of(task: KnownTask, timeout: float) -> AsyncIterator[Snapshot[object]]:
    # Each kind of task has answers of its own type, so each is watched by a call of its own.
    match task:
        case CozeRunHandle():
            return watch(task, timeout=timeout)
        case CopyAIRunHandle():
            return watch(task, timeout=timeout)
        case CopyTaskHandle():
            return watch(task, timeout=timeout)
        case DocumentProgressHandle():
            return watch(task, timeout=timeout)
        case ChatHandle():
            return watch(task, timeout=timeout)


class _Teller(logging.Handler):
    """Tells the warnings of a wait: a row of failed polls begins, a status is not known."""

    def emit(self, record: logging.LogRecord) -> None:
        error: object = getattr(record, "failure", None)
        said = record.getMessage()
        if isinstance(error, AsyncClientError):
            said = f"a poll failed: {line_of(error)}"
        complain(f"still waiting; {said}")


@contextlib.contextmanager
def _warnings_told() -> Generator[None]:
    """Tell a person at a terminal what a wait bears; a script gets one line, at the end."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    logger = logging.getLogger("asyncclient.wait")
    teller = _Teller(logging.WARNING)
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)


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
    say_rows(("id", "name", "published", "updated"), rows, folded="name")
    return ExitCode.OK


def _yes_or_no(value: bool | None) -> str:  # noqa: FBT001  (the value that is shown, no switch)
    return {True: "yes", False: "no", None: ""}[value]


def _day(unix_time: int | None) -> str:
    try:
        return (
            "" if unix_time is None else datetime.fromtimestamp(unix_time, UTC).date().isoformat()
        )
    except (OverflowError, OSError, ValueError):
        return str(unix_time)
