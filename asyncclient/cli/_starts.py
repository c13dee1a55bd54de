"""What `start` does."""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping

from asyncclient._http import SessionPool
from asyncclient._ref import encode_ref
from asyncclient.cli._accounts import PROVIDERS, KnownTask
from asyncclient.cli._exits import ExitCode
from asyncclient.cli._output import OutputLost, complain, say
from asyncclient.cli._waits import Waiting, show_end
from asyncclient.providers.copyai import CopyAI, WorkflowRunHandle as CopyAIRunHandle
from asyncclient.providers.coze import Coze, WorkflowRunHandle as CozeRunHandle


class Start:
    """One start, and the wait after it if there is one; it knows what Ctrl-C leaves behind.

    Args:
        begin: starts the task.
        provider: where, by the name that references have.
        waiting: how to wait; None: write the reference and leave it at that.
    """

    def __init__(
        self,
        begin: Callable[[SessionPool], Awaitable[KnownTask]],
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
            task = await self._begin(pool)
            self._ref = encode_ref(task.ref)
            if self._waiting is None:
                self._say()
                return ExitCode.OK
            # However the wait ends, the task's reference is known; only the answer is output.
            complain(f"started {self._ref}")
            return await show_end(task, task.ref, self._waiting)

    def _say(self) -> None:
        try:
            say(self._ref)
        except (OSError, OutputLost):
            complain(f"started {self._ref}")  # it may have cost money: it must not be lost
            raise

    def note(self) -> str:
        """Return what an interruption at this moment leaves behind."""
        if not self._ref:
            return (
                "interrupted before the start was answered: it may have started; "
                f"look at {self._runs} before you start it again"
            )
        again = f"asyncclient wait {shlex.quote(self._ref)}"
        return f"interrupted; the task itself goes on; to wait again: {again}"


async def start_coze_workflow(
    pool: SessionPool,
    workflow_id: str,
    inputs: Mapping[str, object],
    *,
    bot_id: str | None,
    app_id: str | None,
) -> CozeRunHandle:
    coze = Coze.from_env(pool)
    return await coze.start_workflow(workflow_id, inputs, bot_id=bot_id, app_id=app_id)


async def start_copyai_workflow(
    pool: SessionPool,
    workflow_id: str,
    inputs: Mapping[str, object],
    *,
    metadata: Mapping[str, object] | None,
) -> CopyAIRunHandle:
    copyai = CopyAI.from_env(pool)
    return await copyai.start_workflow(workflow_id, inputs, metadata=metadata)
