"""The remote services of a world: they know the truth, answer looks and starts, and keep count."""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import chain
from typing import TypeAlias

import msgspec

from asyncclient._http import Request, Response
from asyncclient.testing import reply
from tests.simulation import faults
from tests.simulation.faults import State, Verdict
from tests.simulation.loop import Clock
from tests.simulation.world import Fault, Job, World

_JOB = re.compile(r"job-(\d+)")
_ORDER = re.compile(rb"start-(\d+)")
# The place of a marker that says for whom an answer was made.
MARKER = re.compile(r"seen-by-(\d+)-of-job-(\d+)")


# What makes the looks (the Poller, one wait, a worker), the tenant who asks, and the job.
TaskKey: TypeAlias = tuple[str, int, int]


@dataclass(eq=False, slots=True)
class Look:
    """One request for a job's state, as the service saw it."""

    task: TaskKey
    sent: float
    latency: float
    arrives: float
    state: State  # the job's when the request arrives
    verdict: Verdict = "good"  # what a wait may make of its answer
    fault: Fault | None = None
    over: float = math.inf  # when the answer came, or the asker gave up
    is_cut: bool = False  # whether the asker gave up

    @property
    def job(self) -> int:
        """The number of the job."""
        return self.task[2]

    @property
    def shows_end(self) -> bool:
        """Whether its answer shows that the job has ended; a callback may still run then."""
        return self.verdict == "good" and self.state not in {"running", "blocked"}


@dataclass
class Service:
    """All providers of a world."""

    world: World
    clock: Clock
    looks: dict[TaskKey, list[Look]] = field(default_factory=dict[TaskKey, list[Look]])
    performed: Counter[int] = field(default_factory=Counter[int])  # starts, by their number
    tokens: list[str] = field(default_factory=list[str])  # all there ever were
    closed_pools: set[int] = field(default_factory=set[int])
    answered: dict[int, float] = field(default_factory=dict[int, float])  # demands, by job
    cancelled: dict[int, float] = field(default_factory=dict[int, float])  # remote jobs
    # Requests to cancel a job: when, and of which task.
    cancels: list[tuple[float, TaskKey]] = field(default_factory=list[tuple[float, TaskKey]])

    def __post_init__(self) -> None:
        self._numbers: Counter[int] = Counter()
        self._faults = {(fault.job, fault.look): fault for fault in self.world.faults}
        self.tokens = [
            self.token(number, at)
            for number, tenant in enumerate(self.world.tenants)
            for at in (0.0, *tenant.rotations)
        ]

    # --- who asks ---

    def token(self, tenant: int, now: float) -> str:
        """Return the credential that a tenant has at an instant."""
        rotations = sum(at <= now for at in self.world.tenants[tenant].rotations)
        secret = sha256(f"{tenant}/{rotations}".encode()).hexdigest()[:20]
        return f"pat_{tenant:02}_{rotations:02}_{secret}"

    def tenant_of(self, token: str, now: float) -> int | None:
        """Return whose credential it is; None for one that is not valid now."""
        found = re.match(r"pat_(\d\d)_", token)
        number = int(found[1]) if found else -1
        if number < 0 or self.world.tenants[number].token == "wrong":
            return None
        return number if self.token(number, now) == token else None

    # --- what runs ---

    def state_of(self, number: int, now: float) -> State:
        """Return what a job is doing at an instant."""
        job = self.world.jobs[number]
        if self.cancelled.get(number, math.inf) <= now:
            return "cancelled"
        if job.blocked <= now < self._moved_on(number) and job.blocked < job.ends:
            return "blocked"
        return job.word if now >= self.ends_at(number) else "running"

    def ends_at(self, number: int) -> float:
        """Return when a job ends."""
        job = self.world.jobs[number]
        ends = job.ends
        if job.blocked < ends:
            ends += self._moved_on(number) - job.blocked
        return min(ends, self.cancelled.get(number, math.inf))

    def _moved_on(self, number: int) -> float:
        """Return when a job that waited for its caller goes on."""
        return self.answered.get(number, math.inf) + self.world.jobs[number].lag

    # --- looks ---

    def begin(self, number: int, tenant: int, through: str) -> Look:
        """Take in a look at a job."""
        now = self.clock.now
        job = self.world.jobs[number]
        count = self._numbers[number]
        self._numbers[number] += 1
        latency = job.latencies[count % len(job.latencies)]
        arrives = now + latency * job.arrival
        state = self.state_of(number, arrives)
        look = Look((through, tenant, number), now, latency, arrives, state)
        look.fault = self._faults.get((number, count))
        if look.fault is not None:
            look.verdict = faults.verdict_of(look.fault, job.kind)
        self.looks.setdefault(look.task, []).append(look)
        return look

    def looks_through(self, through: str) -> list[Look]:
        """Return the looks that something made whose name begins so, in their order."""
        some = [looks for task, looks in self.looks.items() if task[0].startswith(through)]
        return sorted(chain.from_iterable(some), key=lambda look: look.sent)

    async def carry(self, look: Look) -> None:
        """Let the time pass that the answer takes."""
        try:
            if look.verdict == "hang":
                await asyncio.get_running_loop().create_future()
            await asyncio.sleep(look.latency)
        except asyncio.CancelledError:
            look.is_cut, look.over = True, self.clock.now
            raise
        look.over = self.clock.now

    # --- starts ---

    async def start(self, number: int, attempt: int) -> str | None:
        """Take a start; return the fault that its answer has."""
        start = self.world.starts[number]
        fault = start.faults[attempt] if attempt < len(start.faults) else None
        await asyncio.sleep(0.1)
        # A refusal and a request that never arrived start nothing; all else may have.
        if fault not in {"busy", "queue", "refused", "unsent"}:
            self.performed[number] += 1
        return fault


def is_provider(job: Job) -> bool:
    """Return whether a job is a provider's, and not one of a caller's own function."""
    return job.kind not in {"polling_task", "own_task"}


def marker(tenant: int, job: int) -> str:
    """Return what an answer for a tenant holds."""
    return f"seen-by-{tenant}-of-job-{job}"


class Line:
    """A transport: the pool, by its number, of one client."""

    def __init__(self, service: Service, through: str, pool: int) -> None:
        self._service = service
        self._through = through
        self._pool = pool
        self._attempts: Counter[int] = Counter()

    async def exchange(self, request: Request, /) -> Response:
        """Send one request."""
        response = await self._exchange(request)
        received = self._service.clock.unix_time()
        return msgspec.structs.replace(response, received=received)

    async def _exchange(self, request: Request) -> Response:
        if self._pool in self._service.closed_pools:
            raise RuntimeError("this SessionPool is closed")
        token = "".join(
            value.removeprefix("Bearer ")
            for name, value in request.headers.items()
            if name in {"Authorization", "x-copy-ai-api-key"}
        )
        order = _ORDER.search(request.body or b"")
        if order is not None:
            return await self._start(int(order[1]), token)
        found = _JOB.search(request.target)
        assert found is not None, request
        return await self._look(int(found[1]), token, is_cancel="cancel" in request.target)

    async def _look(self, number: int, token: str, *, is_cancel: bool) -> Response:
        service = self._service
        job = service.world.jobs[number]
        asker = int(token[4:6])
        ids = f"job-{number}"
        if is_cancel:
            service.cancels.append((service.clock.now, (self._through, asker, number)))
            await asyncio.sleep(0.1)
            if asker in job.readers:
                service.cancelled.setdefault(number, service.clock.now)
            return reply(faults.body(job.kind, ids, "cancelled", marker(asker, number)))
        look = service.begin(number, asker, self._through)
        fault, pick = (look.fault.kind, look.fault.pick) if look.fault else (None, 0)
        tenant = service.tenant_of(token, look.arrives)
        is_refused = tenant is None or tenant not in job.readers
        if is_refused and look.verdict != "hang":
            look.verdict = "final"
        await service.carry(look)
        if is_refused:
            fault = "unauthorized" if tenant is None else "forbidden"
            return faults.refusal(job.kind, fault, pick, token)
        shown = marker(asker, number)
        return faults.answer(job.kind, ids, look.state, shown, fault, pick, token)

    async def _start(self, number: int, token: str) -> Response:
        start = self._service.world.starts[number]
        attempt = self._attempts[number]
        self._attempts[number] += 1
        fault = await self._service.start(number, attempt)
        if fault is not None:
            return faults.refusal(start.kind, fault, number + attempt, token)
        started = {"id": f"started-{number}"}
        if start.kind == "studio_film":
            return reply(started)
        if start.kind == "coze_run":
            return reply({"code": 0, "execute_id": started["id"]})
        if start.kind == "copyai_run":
            return reply({"status": "success", "data": started})
        return reply({"code": 0, "data": started | {"conversation_id": "c"}})
