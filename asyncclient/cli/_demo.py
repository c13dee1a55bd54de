"""What `demo` does: hundreds of tasks at two simulated providers that misbehave, all awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine

import anyio

from asyncclient._http import SessionPool
from asyncclient._schedule import Schedule
from asyncclient._state import Snapshot, TaskState
from asyncclient._waiting import wait_until_done
from asyncclient.cli._demo_board import Board, Ended
from asyncclient.cli._demo_jobs import Job
from asyncclient.errors import AsyncClientError, TaskError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Chat, ChatMessage, Coze, ToolOutput, WorkflowRun
from asyncclient.testing import Fault, Simulator

# Outside of the package, `Schedule`, `SessionPool`, `Snapshot`, `TaskState`, `errors` and
# `wait_until_done` come from `asyncclient` itself.

_SCHEDULE = Schedule(first=0.3, cap=2.0)
_TIMEOUT = 90.0
# A request that hangs is given up after this many seconds, and asked again.
_REQUEST_TIMEOUT = 5.0
# Seconds between two starts, as in an application that gets its work bit by bit.
_START_GAP = 1 / 150

_FAULT_SHARE = 0.1

_WORKFLOW = "7350000000000000001"
_BOT = "7493066380997000000"
_WORKSPACE = "7498204883280400000"


async def run_demo(
    board: Board, seed: int, show: Callable[[Board], Coroutine[None, None, None]]
) -> None:
    """Run the board's jobs to their ends at a simulator of their own.

    Args:
        board: records what happens.
        seed: of the simulator's chance.
        show: shows the board while it runs; it is cancelled at the end.
    """
    async with (
        Simulator(seed=seed, fault_share=_FAULT_SHARE) as sim,
        SessionPool(request_timeout=_REQUEST_TIMEOUT) as pool,
    ):
        _order_faults(sim)
        board.begin(sim, anyio.current_time())
        demo = _Demo(sim, pool, board)
        async with anyio.create_task_group() as screen:
            screen.start_soon(show, board)
            async with anyio.create_task_group() as waits:
                for job in board.jobs:
                    waits.start_soon(demo.run, job)
                    await anyio.sleep(_START_GAP)
            board.close(anyio.current_time())
            screen.cancel_scope.cancel()


def _order_faults(sim: Simulator) -> None:
    """Order what chance does not bring: an unknown task, a hanging request, a refused start."""
    for polls in ("/run_histories/", "/run/"):
        sim.order(Fault.NOT_FOUND, path=polls)
        sim.order(Fault.STALL, path=polls)
        sim.order(Fault.RESET, path=polls)
    sim.order(Fault.RATE_LIMITED, path="/v1/workflow/run")


class _Demo:
    """Starts tasks and waits for them, as an application would."""

    def __init__(self, sim: Simulator, pool: SessionPool, board: Board) -> None:
        self._coze = Coze(pool, token=sim.coze_token, base_url=sim.coze_url)
        self._copyai = CopyAI(pool, api_key=sim.copyai_key, base_url=sim.copyai_url)
        self._board = board
        self._ways: dict[str, Callable[[Job], Awaitable[object]]] = {
            "workflow": self._workflow,
            "chat": self._chat,
            "copy": self._copy,
            "copyai": self._copyai_workflow,
        }

    async def run(self, job: Job) -> None:
        """Start one task, wait for it, and note how it ended and when that was known."""
        state: TaskState | None = TaskState.SUCCEEDED
        why = ""
        try:
            await self._ways[job.kind](job)
        except TaskError as error:
            state = error.snapshot.state if error.snapshot else TaskState.EXPIRED
            why = error.text
        except AsyncClientError as error:
            state = None
            why = f"{type(error).__name__}: {error.text}"
        self._board.ended(job, Ended(state, anyio.current_time(), why))

    async def _workflow(self, job: Job) -> None:
        async def answer(snapshot: Snapshot[WorkflowRun]) -> None:
            interrupt = snapshot.result.interrupt
            if interrupt and interrupt.event_id and interrupt.type:
                self._board.unblocked += 1
                await self._coze.resume_workflow(
                    _WORKFLOW,
                    event_id=interrupt.event_id,
                    interrupt_type=interrupt.type,
                    resume_data={"name": "Ada"},
                )

        inputs = {"topic": "tea", "simulate": job.fate}
        run = await self._coze.start_workflow(_WORKFLOW, inputs)
        self._board.started(job, run.execute_id)
        await wait_until_done(run, timeout=_TIMEOUT, schedule=_SCHEDULE, on_blocked=answer)

    async def _chat(self, job: Job) -> None:
        async def call_tools(snapshot: Snapshot[Chat]) -> None:
            self._board.unblocked += 1
            outputs = [ToolOutput(call.id, "sunny") for call in snapshot.result.tool_calls]
            await self._coze.submit_tool_outputs(
                chat.conversation_id, chat.chat_id, tool_outputs=outputs
            )

        chat = await self._coze.start_chat(
            _BOT,
            user_id="demo",
            additional_messages=[ChatMessage(role="user", content="How is the weather?")],
            parameters={"simulate": job.fate},
        )
        self._board.started(job, chat.chat_id)
        await wait_until_done(chat, timeout=_TIMEOUT, schedule=_SCHEDULE, on_blocked=call_tools)

    async def _copy(self, job: Job) -> None:
        copy = await self._coze.start_copy(
            job.marker, entity_type="workflow", to_workspace_id=_WORKSPACE
        )
        self._board.started(job, copy.task_id or "")
        await wait_until_done(copy, timeout=_TIMEOUT, schedule=_SCHEDULE)

    async def _copyai_workflow(self, job: Job) -> None:
        inputs = {"Input 1": "tea", "simulate": job.fate}
        run = await self._copyai.start_workflow("WCFG-demo", inputs)
        self._board.started(job, run.run_id)
        await wait_until_done(run, timeout=_TIMEOUT, schedule=_SCHEDULE)
