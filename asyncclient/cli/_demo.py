"""What `demo` does: hundreds of tasks at two simulated providers that misbehave, all awaited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from random import Random

import anyio
import msgspec

from asyncclient._pool import SessionPool
from asyncclient._schedule import Schedule
from asyncclient._state import Snapshot, TaskState
from asyncclient._wait import wait_until_done
from asyncclient.cli._demo_board import Board, Ended
from asyncclient.errors import AsyncClientError, TaskError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Chat, ChatMessage, Coze, ToolOutput, WorkflowRun
from asyncclient.testing import Fault, Simulator

__all__ = ["Job", "jobs_of", "run_demo"]

# Outside of the package, `Schedule`, `SessionPool`, `Snapshot`, `TaskState`, `errors` and
# `wait_until_done` come from `asyncclient` itself.

_SCHEDULE = Schedule(first=0.3, cap=2.0)
_TIMEOUT = 90.0
# A request that hangs is given up after so many seconds, and asked again.
_REQUEST_TIMEOUT = 5.0
# Seconds between two starts, as in an application that gets its work bit by bit.
_START_GAP = 1 / 150

_FAULT_SHARE = 0.1
_FAIL_SHARE = 0.05
_BLOCK_SHARE = 0.03
# Log-normal with sigma 0.4 and mean 2.5 s, and none so long that one task keeps the demo waiting.
_LONGEST = 6.0
_SPREAD = 0.4
_LOG_MEAN = 0.836

_WORKFLOW = "7350000000000000001"
_BOT = "7493066380997000000"
_WORKSPACE = "7498204883280400000"


class Job(msgspec.Struct, frozen=True):
    """One task of the demo, with the fate that the simulator is told to give it.

    Attributes:
        number: from 0.
        kind: `workflow`, `chat` or `copy` at Coze, `copyai` at Copy.ai.
        seconds: how long it takes.
        outcome: `success`, `fail`, or `interrupt`: it stops for its caller, then ends well.
    """

    number: int
    kind: str
    seconds: float
    outcome: str

    @property
    def marker(self) -> str:
        """Its name at the simulator, which counts starts by it; a copy's name is its fate."""
        prefix = "fail-" if (self.kind, self.outcome) == ("copy", "fail") else ""
        return f"{prefix}demo-{self.number}"

    @property
    def fate(self) -> dict[str, object]:
        """The order for the simulator."""
        return {"seconds": self.seconds, "outcome": self.outcome, "marker": self.marker}


def jobs_of(tasks: int, seed: int) -> list[Job]:
    """Draw the demo's tasks: half Copy.ai, half Coze; the same seed draws the same.

    Args:
        tasks: how many.
        seed: of the generator.
    """
    rng = Random(seed)
    kinds = [_kind(number) for number in range(tasks)]
    failing = set(rng.sample(range(tasks), max(1, round(tasks * _FAIL_SHARE))))
    may_block = [n for n in range(tasks) if kinds[n] in {"workflow", "chat"} and n not in failing]
    blocks = min(len(may_block), max(1, round(tasks * _BLOCK_SHARE)))
    blocking = set(rng.sample(may_block, blocks))
    jobs: list[Job] = []
    for number, kind in enumerate(kinds):
        outcome = "fail" if number in failing else "success"
        outcome = "interrupt" if number in blocking else outcome
        seconds = min(rng.lognormvariate(_LOG_MEAN, _SPREAD), _LONGEST)
        jobs.append(Job(number, kind, round(seconds, 3), outcome))
    return jobs


def _kind(number: int) -> str:
    if number % 2:
        return "copyai"
    # Of Coze's half a few are chats and copies.
    return {6: "chat", 14: "copy"}.get(number % 30, "workflow")


async def run_demo(
    board: Board, seed: int, show: Callable[[Board], Coroutine[None, None, None]]
) -> None:
    """Run the board's jobs to their ends at a simulator of their own.

    Args:
        board: takes down what happens.
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
