"""From a world that fails to a short one that fails in the same way."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import msgspec

from tests.simulation.judge import breaches_of
from tests.simulation.world import World

# Worlds that are tried at most.
_MOST_TRIES = 3000


def shrunk(world: World, kind: str) -> World:
    """Leave out of a world, piece by piece, what its failure does not need.

    Args:
        world: one that breaks an invariant.
        kind: which invariant.
    """
    tries = 0
    fails = True
    while fails:
        fails = False
        for smaller in _smaller(world):
            tries += 1
            if tries > _MOST_TRIES:
                return world
            if any(breach.kind == kind for breach in breaches_of(smaller)):
                world, fails = smaller, True
                break
    return world


def _smaller(world: World) -> Iterator[World]:
    """Yield worlds with a piece less, the largest pieces first."""
    for name in ("faults", "events", "starts", "tickets"):
        pieces: tuple[object, ...] = getattr(world, name)
        size = len(pieces)
        while size:
            for at in range(0, len(pieces), size):
                yield msgspec.structs.replace(world, **{name: pieces[:at] + pieces[at + size :]})
            size //= 2
    for number in range(len(world.waits)):
        yield _without_wait(world, number)
    used = {wait.job for wait in world.waits} | {ticket.job for ticket in world.tickets}
    for number in range(len(world.jobs)):
        if number not in used:
            yield _without_job(world, number)
    plain = World(order=world.order)
    for name in ("is_shuffled", "is_eager", "is_logged", "pace", "rate", "concurrency", "workers"):
        usual = False if name == "is_shuffled" else getattr(plain, name)
        if getattr(world, name) != usual:
            yield msgspec.structs.replace(world, **{name: usual})
    yield from _with_simpler_parts(world)


def _with_simpler_parts(world: World) -> Iterator[World]:
    for number, job in enumerate(world.jobs):
        for changes in ({"latencies": job.latencies[:1]}, {"blocked": math.inf}, {"lag": 0.0}):
            simpler = msgspec.structs.replace(job, **changes)
            if simpler != job:
                jobs = (*world.jobs[:number], simpler, *world.jobs[number + 1 :])
                yield msgspec.structs.replace(world, jobs=jobs)
    plain = {"picky": False, "cancels": False, "stops": False, "reports": False, "misdeed": ""}
    for number, wait in enumerate(world.waits):
        for name, usual in plain.items():
            if getattr(wait, name) != usual:
                plainer = msgspec.structs.replace(wait, **{name: usual})
                waits = (*world.waits[:number], plainer, *world.waits[number + 1 :])
                yield msgspec.structs.replace(world, waits=waits)


def _without_wait(world: World, gone: int) -> World:
    """Leave out a wait, and what happens to it."""
    waits = world.waits[:gone] + world.waits[gone + 1 :]
    events = tuple(
        msgspec.structs.replace(event, target=_renumbered(gone)(event.target))
        if event.kind in {"cancel", "wake"}
        else event
        for event in world.events
        if event.kind not in {"cancel", "wake"} or event.target != gone
    )
    return msgspec.structs.replace(world, waits=waits, events=events)


def _without_job(world: World, gone: int) -> World:
    """Leave out a job that no one waits for."""
    number = _renumbered(gone)
    return msgspec.structs.replace(
        world,
        jobs=world.jobs[:gone] + world.jobs[gone + 1 :],
        waits=tuple(msgspec.structs.replace(w, job=number(w.job)) for w in world.waits),
        tickets=tuple(msgspec.structs.replace(t, job=number(t.job)) for t in world.tickets),
        faults=tuple(
            msgspec.structs.replace(fault, job=number(fault.job))
            for fault in world.faults
            if fault.job != gone
        ),
    )


def _renumbered(gone: int) -> Callable[[int], int]:
    return lambda number: number - (number > gone)
