"""From a seed to a world: which faults and events are on, how often, and each of them.

Every world draws its own few kinds of trouble, and how much of each (swarm testing: Groce and
others, 2012). Worlds in which everything goes wrong at once hide what one kind does alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import TypeVar, get_args

from tests.simulation import faults, world
from tests.simulation.service import is_provider

_T = TypeVar("_T")

_LATENCIES = (0.0, 0.05, 0.2, 0.2, 1.0, 2.0, 3.0, 4.5, 6.0, 11.0)
_TIMEOUTS = (0.3, 2.0, 5.0, 9.0, 10.0, 14.0, 30.0, 30.0, 60.0, 150.0, 400.0)
# About four in ten are of a caller's own function, which cost a third of a provider's to play.
_JOB_KINDS: tuple[world.JobKind, ...] = (*get_args(world.JobKind), "polling_task")
_PACES: tuple[world.Pace, ...] = ("default", *get_args(world.Pace))
_HOWS: tuple[world.How, ...] = ("alone", "watch", "poller", "poller", "poller_watch", "as_done")
_WORDS: tuple[world.Word, ...] = ("succeeded", "succeeded", "succeeded", "failed", "cancelled")
_TOKENS: tuple[world.Token, ...] = ("right", "right", "right", "rotating", "wrong")
_EVENTS: tuple[world.EventKind, ...] = (*get_args(world.WaitEvent), *get_args(world.ClockEvent))
_FAULTY_LOOKS = 30  # those at a job that may go wrong; those that follow go well
_SECONDS = 60.0  # within which what is to happen begins


def world_of(seed: int) -> world.World:
    """Draw the world of a seed."""
    draw = Random(seed)
    tenants = tuple(_tenant(draw) for _ in range(draw.choice((1, 1, 2, 3))))
    latencies = [tuple(_some(draw, _LATENCIES, 4)) for _ in range(3)]
    kinds: list[world.JobKind] = _some(draw, _JOB_KINDS, 3)
    waits: list[world.Wait] = []
    jobs: list[world.Job] = []
    hows: list[world.How] = _some(draw, _HOWS, 3)
    for number in range(draw.choice((1, 2, 2, 3, 4, 6))):
        of_job = [
            _wait(draw, number, len(tenants), hows) for _ in range(draw.choice((1, 1, 1, 2, 3)))
        ]
        waits += of_job
        jobs.append(_job(draw, draw.choice(kinds), of_job, draw.choice(latencies), len(tenants)))
    busy = draw.random() < 0.2
    tickets = _tickets(draw, jobs, len(tenants)) if draw.random() < 0.25 else ()
    return world.World(
        order=seed,
        is_shuffled=draw.random() < 0.85,
        is_eager=draw.random() < 0.15,
        is_logged=draw.random() < 0.2,
        pace=draw.choice(_PACES),
        rate=draw.choice((0.5, 2.0, 10.0)) if busy else math.inf,
        concurrency=draw.choice((1, 2)) if busy else 100,
        tenants=tenants,
        jobs=tuple(jobs),
        waits=tuple(waits),
        tickets=tickets,
        workers=draw.randint(1, 3),
        hold=draw.choice((5.0, 20.0, 60.0)),
        starts=tuple(_start(draw, len(tenants)) for _ in range(draw.choice((0, 0, 0, 1, 2)))),
        faults=_faults(draw, jobs),
        events=_events(draw, waits, len(tickets)),
    )


def _tenant(draw: Random) -> world.Tenant:
    token = draw.choice(_TOKENS)
    number = draw.randint(1, 4) if token == "rotating" else 0
    rotations = tuple(sorted(draw.uniform(0, 100) for _ in range(number)))
    return world.Tenant(token, draw.random() < 0.3, rotations)


def _job(
    draw: Random,
    kind: world.JobKind,
    waits: list[world.Wait],
    latencies: tuple[float, ...],
    tenants: int,
) -> world.Job:
    wait = draw.choice(waits)
    deadline = wait.begins + wait.timeout
    ends = draw.choice(
        (
            wait.begins + draw.random() * wait.timeout,
            wait.begins + draw.random() * wait.timeout * 1.5,
            deadline - draw.choice((0.01, 0.3, 2.0, 5.5)),
            *(math.inf, -100.0),
        )
    )
    readers = [tenant for tenant in range(tenants) if draw.random() < 0.8]
    word = draw.choice(_WORDS[:4] if kind == "copyai_run" else _WORDS)
    blocked = math.inf
    if kind != "copyai_run" and draw.random() < 0.15:
        blocked = wait.begins + draw.random() * wait.timeout
    lag, arrival = draw.choice((0.0, 0.0, 2.0, 20.0)), draw.choice((0.1, 0.5, 0.9))
    return world.Job(kind, ends, word, tuple(readers), blocked, lag, latencies, arrival)


def _wait(draw: Random, job: int, tenants: int, hows: list[world.How]) -> world.Wait:
    begins = draw.choice((0.0, 0.0, float(draw.randint(0, 20)), draw.uniform(0, _SECONDS)))
    return world.Wait(
        job,
        draw.randrange(tenants),
        begins,
        draw.choice(_TIMEOUTS),
        draw.choice(hows),
        pool=draw.choice((0, 0, 1, 2)),
        pace=draw.choice(_PACES),
        picky=draw.random() < 0.1,
        answers=draw.random() < 0.5,
        cancels=draw.random() < 0.3,
        stops=draw.random() < 0.2,
        reports=draw.random() < 0.5,
        misdeed=draw.choice(get_args(world.Misdeed)) if draw.random() < 0.2 else "",
        weight=draw.choice((1.0, 1.0, 0.25, 25.0)),
    )


def _start(draw: Random, tenants: int) -> world.Start:
    many = draw.choice((0, 1, 1, 2, 5))
    troubles = tuple(draw.choice(faults.OF_START) for _ in range(many))
    return world.Start(
        draw.randrange(tenants),
        draw.choice(get_args(world.StartKind)),
        draw.uniform(0, 20),
        troubles,
    )


def _faults(draw: Random, jobs: list[world.Job]) -> tuple[world.Fault, ...]:
    """Draw what is wrong with the looks at each job."""
    drawn: list[world.Fault] = []
    rates = {
        kind: draw.choice((0.02, 0.1, 0.4)) * (draw.random() < 0.3)
        for kind in (*faults.OF_PROVIDER, *faults.OF_OWN)
    }
    outage = draw.random() < 0.1
    for number, job in enumerate(jobs):
        known = faults.OF_PROVIDER if is_provider(job) else faults.OF_OWN
        kinds = [kind for kind in known if rates[kind]]
        weights = [rates[kind] for kind in kinds]
        for look in range(_FAULTY_LOOKS if kinds else 0):
            fails = outage or draw.random() < sum(weights)
            kind = draw.choices(kinds, weights)[0]
            pick = draw.randrange(10_000)
            if fails:
                drawn.append(world.Fault(number, look, kind, pick))
    return tuple(drawn)


def _tickets(draw: Random, jobs: list[world.Job], tenants: int) -> tuple[world.Ticket, ...]:
    """Draw durable waits, for jobs that a reference can name."""
    named = [number for number, job in enumerate(jobs) if is_provider(job)]
    return tuple(
        world.Ticket(
            number,
            number % tenants,
            draw.uniform(0, 20),
            draw.choice((2.0, 30.0, 60.0, 150.0, 400.0)),
            tuple(_some(draw, get_args(world.SinkFault), 3)) if draw.random() < 0.3 else (),
        )
        for number in (_some(draw, named, 4) if named else ())
    )


def _events(draw: Random, waits: list[world.Wait], tickets: int) -> tuple[world.Event, ...]:
    """Draw what happens, often just when something else is about to."""
    kinds = (*_EVENTS, *get_args(world.WorkerEvent)) if tickets else _EVENTS
    on: list[world.EventKind] = [kind for kind in kinds if draw.random() < 0.25]
    events: list[world.Event] = []
    for _ in range(draw.choice((1, 2, 4, 8)) if on else 0):
        kind = draw.choice(on)
        if kind == "close_poller" and draw.random() < 0.7:
            continue
        target = draw.randrange(len(waits))
        wait = waits[target]
        deadline = wait.begins + wait.timeout
        at = draw.choice(
            (wait.begins, deadline, deadline + 0.1, draw.uniform(wait.begins, deadline + 1))
        )
        seconds = draw.choice((0.05, 1.0, 4.0, 30.0))
        if kind == "close_pool":
            target = wait.pool
        if kind == "call_off":
            target = draw.randrange(tickets)
        if kind == "wall_clock":
            seconds = draw.choice((-300.0, -30.0, 30.0, 86_400.0))
        events.append(world.Event(at, kind, target, seconds))
    return tuple(sorted(events, key=lambda event: event.at))


def _some(draw: Random, values: Sequence[_T], most: int) -> list[_T]:
    return [draw.choice(values) for _ in range(draw.randint(1, most))]
