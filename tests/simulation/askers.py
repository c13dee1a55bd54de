"""What asks: providers' clients and callers' own tasks, over the services of a world, and when."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from itertools import chain, repeat
from random import Random

from asyncclient import LearnedSchedule, Schedule, Task, TaskAPI, TaskRef, polling_task
from asyncclient._schedule import Pacing
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from tests.simulation import faults
from tests.simulation.service import Line, Service, marker
from tests.simulation.world import Pace
from tests.waiting.scenario import WORDS


@dataclass
class Answered:
    """What a caller's own function returns."""

    status: str | None
    who: str
    hint: float | None = None


async def fetch(service: Service, job: int, tenant: int, through: str) -> Answered:
    """Ask a service of the caller's own, which refuses strangers with an error."""
    look = service.begin(job, tenant, through)
    allowed = (
        tenant in service.world.jobs[job].readers and service.world.tenants[tenant].token != "wrong"
    )
    if not allowed and look.verdict != "hang":
        look.verdict = "final"
    await service.carry(look)
    if not allowed:
        raise PermissionError("not this tenant's")
    answered = Answered(faults.WORDS["own_task"][look.state], marker(tenant, job))
    if look.fault is not None:
        if look.fault.kind == "hint":
            with contextlib.suppress(ValueError):
                answered.hint = float(faults.hint(look.fault.pick))
        elif look.fault.kind == "word":
            answered.status = (None, "paused", "x" * 5_000)[look.fault.pick % 3]
        else:
            faults.fail(look.fault.kind, look.fault.pick)
    return answered


async def cancel(service: Service, job: int, tenant: int, through: str) -> None:
    """Cancel a job of the caller's own."""
    service.cancels.append((service.clock.now, (through, tenant, job)))
    service.cancelled.setdefault(job, service.clock.now)


class Askers:
    """Makes clients and tasks for the tenants of one process."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._sources: dict[int, Callable[[], Awaitable[str]]] = {}

    def task(self, job: int, tenant: int, through: str, pool: int) -> Task[object]:
        """Return a task that looks at a job as a tenant, by a client of its own."""
        kind = self._service.world.jobs[job].kind
        if kind in {"own_task", "polling_task"}:
            is_whole = kind == "own_task"  # with an account, and a way to cancel it
            return polling_task(
                lambda: fetch(self._service, job, tenant, through),
                vocabulary=WORDS,
                status=lambda answered: answered.status,
                hint=lambda answered: answered.hint,
                key=(kind, tenant, job),
                kind="own" if is_whole else "mine",
                budget=("own", str(tenant)) if is_whole else (),
                cancel=partial(cancel, self._service, job, tenant, through) if is_whole else None,
            )
        line = Line(self._service, through, pool)
        if kind in faults.READINGS:
            reading, path = faults.READINGS[kind], f"/jobs/job-{job}"
            api = self.api(line, tenant, reading.name.partition(".")[0])
            return api.task(path, reading, cancel=f"{path}/cancel")
        if kind == "copyai_run":
            return self.copyai(line, tenant).workflow_run("WCFG-1", f"job-{job}")
        if kind == "coze_chat":
            return self.coze(line, tenant).chat("c", f"job-{job}")
        return self.coze(line, tenant).workflow_run("7350", f"job-{job}")

    def task_of(self, ref: TaskRef, line: Line, tenant: int) -> Task[object]:
        """Return the task of a reference."""
        if ref.provider == "coze":
            return self.coze(line, tenant).task(ref)
        if ref.provider == "copyai":
            return self.copyai(line, tenant).task(ref)
        return self.api(line, tenant, ref.provider).task(ref)

    def coze(self, line: Line, tenant: int) -> Coze:
        """Make a client of Coze."""
        return Coze(line, token=self._credential(tenant), account=self._name(tenant))

    def copyai(self, line: Line, tenant: int) -> CopyAI:
        """Make a client of Copy.ai."""
        return CopyAI(line, api_key=self._credential(tenant), account=self._name(tenant))

    def api(self, line: Line, tenant: int, name: str) -> TaskAPI:
        """Make a client of any other API."""
        return TaskAPI(
            line,
            f"https://api.{name}.example",
            name=name,
            token=self._credential(tenant),
            account=self._name(tenant),
            readings=[faults.FILM],
        )

    def _name(self, tenant: int) -> str | None:
        return f"tenant-{tenant}" if self._service.world.tenants[tenant].named else None

    def _credential(self, tenant: int) -> str | Callable[[], Awaitable[str]]:
        service = self._service
        if service.world.tenants[tenant].token != "rotating":
            return service.token(tenant, 0.0)

        async def current() -> str:
            return service.token(tenant, service.clock.now)

        # One source a tenant: each is an account of its own.
        return self._sources.setdefault(tenant, current)


# --- schedules ---


class _Own:
    """A schedule of the caller's own: quick looks, and then gaps of minutes."""

    def delays(self, rng: Random | None = None) -> Iterator[float]:
        """Yield the gaps."""
        del rng
        return chain((0.5, 3.0, 0.0), repeat(200.0))


@cache
def _known_to_be_long() -> bytes:
    """Return what was learned of tasks that take some four minutes."""
    learned = LearnedSchedule()
    for kind in ("own", "coze.workflow_run:7350"):
        for number in range(12):
            learned.observe(200.0 + 7 * number, kind=kind)
    return learned.to_bytes()


_PACES: dict[Pace, Callable[[], Pacing]] = {
    "default": Schedule,
    "quick": lambda: Schedule(first=0.3, factor=1.5, cap=5.0, jitter=0.1),
    "fixed": lambda: Schedule(first=5.0, factor=1.0, cap=5.0, jitter=0.0),
    "rare": lambda: Schedule(first=40.0, factor=2.0, cap=400.0),
    "own": _Own,
    "learning": LearnedSchedule,
    "learned": lambda: LearnedSchedule.from_bytes(_known_to_be_long()),
}


def schedule_of(pace: Pace) -> Pacing:
    """Return a fresh schedule of a pace."""
    return _PACES[pace]()
