"""What has happened in the demo so far, and its results."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

import anyio
import msgspec

from asyncclient._state import TaskState
from asyncclient._text import counted
from asyncclient.cli._demo_jobs import Job
from asyncclient.testing import SimulatedTask, Simulator

_POLLS = ("coze.run_histories", "coze.chat_retrieve", "coze.copy_task", "copyai.get_run")
_RATE_SECONDS = 1.0


class Ended(msgspec.Struct, frozen=True):
    """How a wait ended.

    Attributes:
        state: the task's last state; None when the wait itself failed.
        at: when the wait returned, in loop time.
        why: what it raised, in words.
    """

    state: TaskState | None
    at: float
    why: str


class Side(msgspec.Struct):
    """The numbers of one way to wait, as they are now.

    Attributes:
        failed: tasks that were meant to fail, and did.
        other: tasks that did not end as the simulator says.
    """

    tasks: int
    started: int = 0
    done: int = 0
    failed: int = 0
    other: int = 0
    polls: int = 0
    polls_per_second: float = 0.0

    @property
    def ended(self) -> int:
        """Tasks whose wait is over."""
        return self.done + self.failed + self.other

    @property
    def waiting(self) -> int:
        """Tasks that are started and not known to be over."""
        return self.started - self.ended


class Delay(msgspec.Struct, frozen=True):
    """Seconds from a task's end at the simulator to the return of its wait."""

    mean: float
    p95: float


class Figures(msgspec.Struct, frozen=True):
    """The results of one way to wait: the lines in which both are compared.

    Attributes:
        polls: requests that ask how a task stands.
        lost: tasks whose end was never known.
        asked_in_vain: lost tasks that had stopped for their caller.
        started_twice: tasks that the simulator was asked to start more than once.
    """

    polls: int
    polls_per_task: float
    lost: int
    asked_in_vain: int
    started_twice: int
    detection_delay: Delay


class Summary(msgspec.Struct, frozen=True):
    """The demo's results; as JSON it is what `demo --json` writes.

    Attributes:
        failed_as_intended: tasks that were meant to fail, and did.
        meant_to_fail: their numbers, which depend on the seed alone.
        mismatches: a sentence for each task that did not end as the simulator says it did.
        unblocked: how often a task stopped for its caller and was answered.
        started_twice: tasks that the simulator was asked to start more than once.
        faults: faults met, by kind; all were survived if there are no mismatches.
        loop: what the loop came to, with the same tasks.
    """

    seed: int
    tasks: int
    done: int
    failed_as_intended: int
    meant_to_fail: list[int]
    mismatches: list[str]
    unblocked: int
    lost: int
    started_twice: int
    polls: int
    polls_per_task: float
    faults_survived: int
    faults: dict[str, int]
    detection_delay: Delay
    loop: Figures
    seconds: float


class Board:
    """Records what happens to the demo's jobs where they are waited for in one way.

    Args:
        name: the way's.
        jobs: the jobs.
    """

    def __init__(self, name: str, jobs: Sequence[Job]) -> None:
        self.name = name
        self.jobs = jobs
        self.unblocked = 0
        self._ids: dict[int, str] = {}
        self._ends: dict[int, Ended] = {}
        self._samples = deque([(0.0, 0)])
        self._closed = math.nan
        self._verdicts: dict[int, str] = {}
        self._delays: list[float] = []
        self._started_twice = 0

    def begin(self, sim: Simulator, now: float) -> None:
        """Note where the tasks run, and when it began."""
        self._sim = sim
        self._began = now

    def started(self, job: Job, task_id: str) -> None:
        """Note that a job was started, and its id at the provider."""
        self._ids[job.number] = task_id

    def ended(self, job: Job, end: Ended) -> None:
        """Record how a job's wait ended, and compare it with the simulator."""
        self._ends[job.number] = end
        task = self._sim.tasks.get(self._ids.get(job.number, ""))
        if task is None:
            self._verdicts[job.number] = f"was never started: {end.why}"
            return
        self._delays.append(max(0.0, end.at - task.ends_at))
        verdict = _verdict(job, end, task)
        if verdict:
            self._verdicts[job.number] = verdict

    def close(self, now: float) -> None:
        """Note that all waits are over."""
        self._closed = now
        self._started_twice = sum(1 for count in self._sim.starts.values() if count > 1)

    @property
    def seconds(self) -> float:
        """Seconds since it began, or that it took."""
        return (anyio.current_time() if math.isnan(self._closed) else self._closed) - self._began

    @property
    def faults(self) -> int:
        """Faults met so far."""
        return self._sim.faults_served.total()

    async def until_quiet(self, seconds: float) -> None:
        """Wait until all ends are known, or none has become known for some seconds."""
        while len(self._ends) < len(self.jobs):
            last = max((end.at for end in self._ends.values()), default=self._began)
            left = last + seconds - anyio.current_time()
            if left <= 0:
                return
            await anyio.sleep(left)

    def side(self) -> Side:
        """Return the numbers as they are now."""
        side = Side(len(self.jobs), started=len(self._ids))
        for number, end in self._ends.items():
            if number in self._verdicts:
                side.other += 1
            elif end.state is TaskState.SUCCEEDED:
                side.done += 1
            else:
                side.failed += 1
        side.polls = sum(self._sim.requests[name] for name in _POLLS)
        side.polls_per_second = self._rate(side.polls)
        return side

    def _rate(self, polls: int) -> float:
        """Return the polls a second: over about the last second, and in the end over all."""
        now = self.seconds
        if not math.isnan(self._closed):
            self._samples = deque([(0.0, 0)])
        self._samples.append((now, polls))
        while now - self._samples[0][0] > _RATE_SECONDS and len(self._samples) > 2:  # noqa: PLR2004
            self._samples.popleft()
        then, before = self._samples[0]
        return (polls - before) / (now - then) if now > then else 0.0

    def figures(self) -> Figures:
        """Say what it came to, after `close`."""
        polls = self.side().polls
        lost = [job.number for job in self.jobs if not self._is_known(job.number)]
        tasks = [self._sim.tasks.get(self._ids.get(number, "")) for number in lost]
        return Figures(
            polls=polls,
            polls_per_task=round(polls / len(self.jobs), 2),
            lost=len(lost),
            asked_in_vain=sum(1 for task in tasks if task is not None and task.is_blocked),
            started_twice=self._started_twice,
            detection_delay=_delay_of(self._delays),
        )

    def _is_known(self, number: int) -> bool:
        end = self._ends.get(number)
        return end is not None and end.state is not None

    def summary(self, seed: int, loop: Board) -> Summary:
        """Say what came of it beside what came of the loop, after `close` of both."""
        side, figures = self.side(), self.figures()
        wrong = [f"{self._name(number)} {why}" for number, why in sorted(self._verdicts.items())]
        if self._started_twice:
            wrong.append(f"{counted(self._started_twice, 'task')} started more than once")
        return Summary(
            seed=seed,
            tasks=len(self.jobs),
            done=side.done,
            failed_as_intended=side.failed,
            meant_to_fail=[job.number for job in self.jobs if job.outcome == "fail"],
            mismatches=wrong,
            unblocked=self.unblocked,
            lost=figures.lost,
            started_twice=figures.started_twice,
            polls=figures.polls,
            polls_per_task=figures.polls_per_task,
            faults_survived=self.faults,
            faults=dict(self._sim.faults_served.most_common()),
            detection_delay=figures.detection_delay,
            loop=loop.figures(),
            seconds=round(loop.seconds, 2),
        )

    def _name(self, number: int) -> str:
        task_id = self._ids.get(number)
        return f"task {number} ({self.jobs[number].kind}{f' {task_id}' if task_id else ''})"


Boards: TypeAlias = tuple[Board, Board]
"""This library's, and the loop's."""


def _verdict(job: Job, end: Ended, task: SimulatedTask) -> str:
    """Return what is wrong with a wait's end; empty if nothing is."""
    meant = TaskState.FAILED if job.outcome == "fail" else TaskState.SUCCEEDED
    real = TaskState.FAILED if task.outcome == "fail" else TaskState.SUCCEEDED
    if end.state is None:
        return f"is {real} at the simulator, but its wait ended with {end.why}"
    if end.at < task.ends_at:
        return f"was reported as {end.state} {task.ends_at - end.at:.2f} s before it ended"
    if end.state is not real:
        return f"is {real} at the simulator, but was reported as {end.state}: {end.why}"
    return "" if real is meant else f"was meant to be {meant}, and is {real} at the simulator"


def _delay_of(delays: Sequence[float]) -> Delay:
    if not delays:
        return Delay(mean=0.0, p95=0.0)
    p95 = sorted(delays)[math.ceil(len(delays) * 0.95) - 1]
    return Delay(mean=round(sum(delays) / len(delays), 3), p95=round(p95, 3))
