"""A world as data: who asks, what runs, who waits, and all that goes wrong. Nothing here runs.

All times are seconds of the world's clock; all references from one to another are numbers.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import msgspec

# The last two are those of a `TaskAPI`: by a reading of the catalogue, and by one of the caller's.
JobKind: TypeAlias = Literal[
    "coze_run", "coze_chat", "copyai_run", "polling_task", "own_task", "github_run", "studio_film"
]
StartKind: TypeAlias = Literal["coze_run", "coze_chat", "copyai_run", "studio_film"]
Token: TypeAlias = Literal["right", "wrong", "rotating"]
SinkFault: TypeAlias = Literal["raises", "cancelled", "hangs", "slow"]
Word: TypeAlias = Literal["succeeded", "failed", "cancelled"]
How: TypeAlias = Literal["alone", "watch", "poller", "poller_watch", "as_done"]
Misdeed: TypeAlias = Literal["", "slow", "hangs", "raises"]
Pace: TypeAlias = Literal["default", "quick", "fixed", "rare", "own", "learning", "learned"]
WaitEvent: TypeAlias = Literal["cancel", "wake", "close_poller", "close_pool"]
ClockEvent: TypeAlias = Literal["stall", "wall_clock"]
WorkerEvent: TypeAlias = Literal["kill", "stop", "store", "call_off"]
EventKind: TypeAlias = WaitEvent | ClockEvent | WorkerEvent


class Tenant(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One who asks, with a credential."""

    token: Token = "right"  # `wrong` is one that the provider does not know
    named: bool = False  # whether the clients are given the account's name
    rotations: tuple[float, ...] = ()  # when a rotating token is replaced, and the old one refused


class Job(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A remote task, and how its provider answers."""

    kind: JobKind
    ends: float  # when
    word: Word = "succeeded"  # how
    readers: tuple[int, ...] = (0,)  # the tenants who may see it; another's look is refused
    blocked: float = math.inf  # when it begins to wait for its caller
    lag: float = 0.0  # seconds for which that shows after it was answered
    latencies: tuple[float, ...] = (0.1,)  # seconds that the answers take, in turn
    arrival: float = 0.5  # the share of the latency after which the provider looks at the job


class Fault(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """What is wrong with the answer to one look."""

    job: int
    look: int  # which look at it, counted over all who look, from 0
    kind: str  # its name in `faults.py`
    pick: int = 0  # which of the kind's forms


class Wait(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One wait for a job, as a tenant."""

    job: int
    tenant: int
    begins: float
    timeout: float
    how: How
    pool: int = 0  # the pool that its client goes through
    pace: Pace = "default"  # the schedule of one that waits alone
    picky: bool = False  # whether an unknown word ends it
    answers: bool = False  # whether it answers a job that waits for its caller
    cancels: bool = False  # whether the remote job is cancelled with it
    stops: bool = False  # whether the remote job is cancelled when it times out
    reports: bool = False  # whether it has an `on_change`, in a Poller
    misdeed: Misdeed = ""  # what is wrong with its callbacks, in a Poller
    weight: float = 1.0  # its own, in a Poller

    @property
    def can_answer(self) -> bool:
        """Whether it has an `on_blocked`: `as_done` takes none."""
        return self.answers and self.how != "as_done"


class Ticket(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One durable wait: submitted once, held by whichever worker has its turn."""

    job: int
    tenant: int
    begins: float
    timeout: float
    sink: tuple[SinkFault, ...] = ()  # what is wrong with the calls of the sink, in turn


class Start(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A start of a job by a provider's client."""

    tenant: int
    kind: StartKind
    at: float
    faults: tuple[str, ...] = ()  # what is wrong with each request, in turn


class Event(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """Something that happens to a wait, a pool, a worker, a ticket, or all."""

    at: float
    kind: EventKind
    target: int = 0
    seconds: float = 0.0  # for how long, or by how much


class World(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """One world; `draw.py` makes it of a seed."""

    order: int  # the seed of all that is drawn while it runs
    is_shuffled: bool = True  # whether the order of ready callbacks is drawn
    is_eager: bool = False  # whether new tasks run their first step at once, where Python can
    is_logged: bool = False  # whether everything is logged
    pace: Pace = "default"  # the Poller's schedule
    rate: float = math.inf  # looks a second that it may make for an account
    concurrency: int = 100  # its looks under way for one account
    workers: int = 1  # processes that hold tickets
    hold: float = 60.0  # seconds of their slices
    tenants: tuple[Tenant, ...] = (Tenant(),)
    jobs: tuple[Job, ...] = ()
    waits: tuple[Wait, ...] = ()
    tickets: tuple[Ticket, ...] = ()
    starts: tuple[Start, ...] = ()
    faults: tuple[Fault, ...] = ()
    events: tuple[Event, ...] = ()
