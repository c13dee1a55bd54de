"""A world as data: who asks, what runs, who waits, and all that goes wrong. Nothing here runs."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import msgspec

JobKind: TypeAlias = Literal["coze_run", "coze_chat", "copyai_run", "polling_task", "own_task"]
StartKind: TypeAlias = Literal["coze_run", "coze_chat", "copyai_run"]
Token: TypeAlias = Literal["right", "wrong", "rotating"]
Word: TypeAlias = Literal["succeeded", "failed", "cancelled"]
How: TypeAlias = Literal["alone", "watch", "poller", "as_done"]
Pace: TypeAlias = Literal["default", "quick", "fixed", "rare", "own", "learning", "learned"]
EventKind: TypeAlias = Literal[
    "cancel", "wake", "stall", "wall_clock", "close_poller", "close_pool", "kill", "call_off"
]


class Tenant(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One who asks, with a credential.

    Attributes:
        token: `right`, `wrong` (the provider does not know it) or `rotating`.
        named: whether the clients are given the account's name.
        rotations: instants at which a rotating token is replaced, and the old one is refused.
    """

    token: Token = "right"
    named: bool = False
    rotations: tuple[float, ...] = ()


class Job(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A remote task, and how its provider answers.

    Attributes:
        kind: what it is.
        ends: when it ends; `inf` for never.
        word: how.
        readers: the tenants who may see it; another's look is refused.
        blocked: when it begins to wait for its caller; `inf` for never.
        latencies: seconds that the answers take, in turn.
        arrival: the share of the latency after which the provider looks at the job.
    """

    kind: JobKind
    ends: float
    word: Word = "succeeded"
    readers: tuple[int, ...] = (0,)
    blocked: float = math.inf
    latencies: tuple[float, ...] = (0.1,)
    arrival: float = 0.5


class Fault(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """What is wrong with the answer to one look.

    Attributes:
        job: the number of the job.
        look: which look at it, counted over all who look, from 0.
        kind: the name of the kind, in `faults.py`.
        pick: which of the kind's forms.
    """

    job: int
    look: int
    kind: str
    pick: int = 0


class Wait(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One wait for a job.

    Attributes:
        job: the number of the job.
        tenant: the number of the tenant who waits.
        begins: when.
        timeout: seconds.
        how: by `wait_until_done`, `watch`, `Poller.wait` or `Poller.as_done`.
        pool: the number of the pool that its client goes through.
        pace: the schedule, for one that waits alone.
        picky: whether an unknown word ends it.
        answers: whether it answers a job that waits for its caller.
        cancels: whether the remote job is cancelled with it.
        weight: its own, in a Poller.
    """

    job: int
    tenant: int
    begins: float
    timeout: float
    how: How
    pool: int = 0
    pace: Pace = "default"
    picky: bool = False
    answers: bool = False
    cancels: bool = False
    weight: float = 1.0


class Event(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """Something that happens to a world.

    Attributes:
        at: when.
        kind: a cancellation or a wake of a wait, a close, a stall, a jump of the wall clock, …
        target: the number of what it happens to.
        seconds: for how long, or by how much.
    """

    at: float
    kind: EventKind
    target: int = 0
    seconds: float = 0.0


class Start(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A start of a job by a provider's client.

    Attributes:
        tenant: the number of the tenant who starts.
        kind: what is started.
        at: when.
        faults: what is wrong with each request, in turn; those that follow go well.
    """

    tenant: int
    kind: StartKind
    at: float
    faults: tuple[str, ...] = ()


class Ticket(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One durable wait: submitted once, held by whichever worker has its turn."""

    job: int
    begins: float
    timeout: float


class World(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One world; `draw.py` makes it of a seed.

    Attributes:
        order: the seed of all that is drawn while it runs.
        is_shuffled: whether the order of ready callbacks is drawn.
        is_eager: whether new tasks run their first step at once, where Python can.
        is_logged: whether everything is logged.
        pace: the Poller's schedule.
        rate: looks a second that the Poller may make for an account; `inf` where none is given.
        concurrency: its looks under way for one account.
        workers: how many processes hold tickets.
        hold: seconds of their slices.
        tenants: who asks.
        jobs: what runs.
        waits: who waits for what.
        tickets: durable waits.
        starts: what is started.
        faults: what is wrong with answers.
        events: what happens.
    """

    order: int
    is_shuffled: bool = True
    is_eager: bool = False
    is_logged: bool = False
    pace: Pace = "default"
    rate: float = math.inf
    concurrency: int = 100
    workers: int = 0
    hold: float = 60.0
    tenants: tuple[Tenant, ...] = (Tenant(),)
    jobs: tuple[Job, ...] = ()
    waits: tuple[Wait, ...] = ()
    tickets: tuple[Ticket, ...] = ()
    starts: tuple[Start, ...] = ()
    faults: tuple[Fault, ...] = ()
    events: tuple[Event, ...] = ()
