"""The command `demo`: hundreds of jobs at two simulated providers with faults, waited for twice.

Once with this library and once with the loop that people often write, side by side, each at its own
simulator with the same seed, jobs and kinds of fault.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence

import anyio

from asyncclient._http import SessionPool
from asyncclient._learning import LearnedSchedule
from asyncclient._state import Snapshot, TaskState
from asyncclient._waiting import wait_until_done
from asyncclient.cli._demo_board import Board, Boards, Ended
from asyncclient.cli._demo_jobs import BOT, COPYAI_WORKFLOW, WORKFLOW, WORKSPACE, Job
from asyncclient.cli._demo_loop import SleepLoop
from asyncclient.errors import AsyncClientError, DecodeError, TaskError
from asyncclient.providers.copyai import CopyAI, WorkflowRunHandle
from asyncclient.providers.coze import Chat, ChatMessage, Coze, ToolOutput, WorkflowRun
from asyncclient.testing import Fault, Simulator

# Outside of the package, `LearnedSchedule`, `SessionPool`, `Snapshot`, `TaskState`, `errors` and
# `wait_until_done` come from `asyncclient` itself.

# How much delay one poll is worth: these jobs take seconds, where a minute or more is usual.
_POLL_COST = 0.3
_TIMEOUT = 90.0
# A request that hangs is given up after this many seconds, and asked again.
_REQUEST_TIMEOUT = 5.0
# Seconds between two starts, as in an application that gets its work bit by bit.
_START_GAP = 1 / 150

_FAULT_SHARE = 0.1

# Starts at Copy.ai whose answer is lost: the job runs, and who started it has not got its id.
_LOST_STARTS = 3
# Seconds between two searches for the job of a lost start, and searches in all.
_FIND_GAP = 0.5
_FINDS = 10
# Seconds without an end after which the loop counts as finished, and at most after our side.
_QUIET = 2.5
_LONGEST_QUIET = 6.0


async def run_demo(
    boards: Boards, seed: int, show: Callable[[Boards], Coroutine[None, None, None]]
) -> None:
    """Run the boards' jobs to their ends, each board's at a simulator of its own.

    Args:
        boards: record what happens to this library's waits, and to the loop's.
        seed: of the simulators' chance.
        show: shows the boards while it runs; it is cancelled at the end.
    """
    ours, loops = boards
    async with (
        Simulator(seed=seed, fault_share=_FAULT_SHARE) as sim,
        Simulator(seed=seed, fault_share=_FAULT_SHARE) as other,
        SessionPool(request_timeout=_REQUEST_TIMEOUT) as pool,
        SleepLoop(other, loops) as loop,
    ):
        for each, board in ((sim, ours), (other, loops)):
            _order_faults(each)
            board.begin(each, anyio.current_time())
        demo = _Demo(sim, pool, ours)
        async with anyio.create_task_group() as screen:
            screen.start_soon(show, boards)
            async with anyio.create_task_group() as looping:
                looping.start_soon(_start_all, loops.jobs, loop.run)
                await _start_all(ours.jobs, demo.run)
                ours.close(anyio.current_time())
                with anyio.move_on_after(_LONGEST_QUIET):
                    await loops.until_quiet(_QUIET)
                looping.cancel_scope.cancel()
            loops.close(anyio.current_time())
            screen.cancel_scope.cancel()


async def _start_all(
    jobs: Sequence[Job], run: Callable[[Job], Coroutine[None, None, None]]
) -> None:
    """Start jobs one after the other, and return when all have been waited for."""
    async with anyio.create_task_group() as waits:
        for job in jobs:
            waits.start_soon(run, job)
            await anyio.sleep(_START_GAP)


def _order_faults(sim: Simulator) -> None:
    """Order the faults that are not random: an unknown task, a hanging request, failed starts."""
    for polls in ("/run_histories/", "/run/"):
        sim.order(Fault.NOT_FOUND, path=polls)
        sim.order(Fault.STALL, path=polls)
        sim.order(Fault.RESET, path=polls)
    sim.order(Fault.RATE_LIMITED, path="/v1/workflow/run")
    sim.order(Fault.RESET_AFTER_START, path=f"/{COPYAI_WORKFLOW}/run", times=_LOST_STARTS)


class _Demo:
    """Starts tasks and waits for them, as an application would."""

    def __init__(self, sim: Simulator, pool: SessionPool, board: Board) -> None:
        self._coze = Coze(pool, token=sim.coze_token, base_url=sim.coze_url)
        self._copyai = CopyAI(pool, api_key=sim.copyai_key, base_url=sim.copyai_url)
        self._board = board
        self._schedule = LearnedSchedule(poll_cost=_POLL_COST)
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
                    WORKFLOW,
                    event_id=interrupt.event_id,
                    interrupt_type=interrupt.type,
                    resume_data={"name": "Ada"},
                )

        inputs = {"topic": "tea", "simulate": job.fate}
        run = await self._coze.start_workflow(WORKFLOW, inputs)
        self._board.started(job, run.execute_id)
        await wait_until_done(run, timeout=_TIMEOUT, schedule=self._schedule, on_blocked=answer)

    async def _chat(self, job: Job) -> None:
        async def call_tools(snapshot: Snapshot[Chat]) -> None:
            self._board.unblocked += 1
            outputs = [ToolOutput(call.id, "sunny") for call in snapshot.result.tool_calls]
            await self._coze.submit_tool_outputs(
                chat.conversation_id, chat.chat_id, tool_outputs=outputs
            )

        chat = await self._coze.start_chat(
            BOT,
            user_id="demo",
            additional_messages=[ChatMessage(role="user", content="How is the weather?")],
            parameters={"simulate": job.fate},
        )
        self._board.started(job, chat.chat_id)
        await wait_until_done(
            chat, timeout=_TIMEOUT, schedule=self._schedule, on_blocked=call_tools
        )

    async def _copy(self, job: Job) -> None:
        copy = await self._coze.start_copy(
            job.marker, entity_type="workflow", to_workspace_id=WORKSPACE
        )
        self._board.started(job, copy.task_id or "")
        await wait_until_done(copy, timeout=_TIMEOUT, schedule=self._schedule)

    async def _copyai_workflow(self, job: Job) -> None:
        inputs = {"Input 1": "tea", "simulate": job.fate}
        metadata = {"order": job.number}
        try:
            run = await self._copyai.start_workflow(COPYAI_WORKFLOW, inputs, metadata=metadata)
        except AsyncClientError as error:
            if not error.may_have_started:
                raise
            run = await self._find(metadata)
        self._board.started(job, run.run_id)
        await wait_until_done(run, timeout=_TIMEOUT, schedule=self._schedule)

    async def _find(self, metadata: dict[str, int]) -> WorkflowRunHandle:
        """Find the job of a start whose answer was lost, instead of starting it again."""
        for _ in range(_FINDS):
            found = await self._copyai.find_started(COPYAI_WORKFLOW, metadata=metadata)
            if found:
                return found[0]
            await anyio.sleep(_FIND_GAP)
        msg = "the run of a lost start is not listed"
        raise DecodeError(msg)
