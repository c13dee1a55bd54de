"""Runs a world: makes its clock and its processes, and lets all that is drawn happen."""

from __future__ import annotations

import asyncio
import gc
import logging
import random
from collections.abc import Callable
from functools import partial
from random import Random

import pytest

from asyncclient.errors import AsyncClientError
from tests.simulation.askers import Askers
from tests.simulation.durable import Workers
from tests.simulation.loop import Clock, Machine, ShuffledLoop
from tests.simulation.played import Listener, Played
from tests.simulation.service import Line, Service
from tests.simulation.waits import Waits
from tests.simulation.world import Event, World


def play(world: World) -> Played:
    """Run a world to its end, and return what became of it; `judge.py` judges it."""
    clock = Clock()
    played = Played(world, Service(world, clock), clock)
    listener = Listener(played)
    loggers = [logging.getLogger(name) for name in ("asyncclient", "asyncio")]
    level, state = loggers[0].level, random.getstate()
    loggers[0].setLevel(logging.DEBUG if world.is_logged else logging.WARNING)
    for logger in loggers:
        logger.addHandler(listener)
    random.seed(world.order)  # backoff's own draws, for requests that are repeated
    gc.disable()  # what killed processes have left ends when all is over, not at any time
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("time.time", clock.unix_time)
            patch.setattr("os.urandom", Random(world.order).randbytes)  # the names of workers
            machine = _run(played)
    finally:
        for logger in loggers:
            logger.removeHandler(listener)
        loggers[0].setLevel(level)
        random.setstate(state)
        gc.enable()
    machine.clear_away()  # what processes that are killed would log then, no one reads
    gc.collect()
    return played


def _run(played: Played) -> Machine:
    machine = Machine(played.world, played.clock)
    first = machine.start(lambda loop: _happen(played, machine, loop))
    stuck = machine.run(first)
    if stuck is None:
        first.main.result()
    else:
        played.breach("stuck", stuck)
    played.calls = machine.calls
    for process in machine.processes:
        for complaint in process.loop.complaints:
            played.breach("complaint", complaint)
        if process.main.done() and not process.main.cancelled() and process.main.exception():
            played.breach("crash", f"a process ended with {process.main.exception()!r}")
    return machine


async def _happen(played: Played, machine: Machine, loop: ShuffledLoop) -> None:
    """Let all happen at its time; then wait for the end of everything."""
    waits = Waits(played, loop)
    workers = Workers(played, machine)
    happenings = waits.beginnings() + workers.beginnings()
    for number, start in enumerate(played.world.starts):
        happenings.append((start.at, partial(_start, played, waits, number)))
    for event in played.world.events:
        happenings.append((event.at, _happening(event, played, waits, workers)))
    for at, happens in sorted(happenings, key=lambda entry: entry[0]):
        if at > loop.time():
            await asyncio.sleep(at - loop.time())
        happens()
    await workers.finish()
    await waits.finish()


def _happening(
    event: Event, played: Played, waits: Waits, workers: Workers
) -> Callable[[], object]:
    clock, target = played.clock, event.target
    return {
        "cancel": lambda: waits.cancel(target),
        "wake": lambda: waits.wake(target),
        "stall": lambda: clock.stall(event.seconds),
        "wall_clock": lambda: clock.jump(event.seconds),
        "close_poller": waits.close_poller,
        "close_pool": lambda: played.service.closed_pools.add(target),
        "kill": lambda: workers.kill(target, int(event.seconds * 10)),
        "stop": lambda: workers.stop(target),
        "store": lambda: workers.lose_store(event.seconds),
        "call_off": lambda: workers.call_off(target),
    }[event.kind]


def _start(played: Played, waits: Waits, number: int) -> None:
    """Start a job by a provider's client."""
    start = played.world.starts[number]

    async def begin() -> None:
        askers, line = Askers(played.service), Line(played.service, "starts", -1)
        order = {"order": f"start-{number}"}
        try:
            if start.kind == "copyai_run":
                await askers.copyai(line, start.tenant).start_workflow("WCFG-1", order)
            elif start.kind == "studio_film":
                await askers.api(line, start.tenant, "studio").post("/films", order)
            elif start.kind == "coze_run":
                await askers.coze(line, start.tenant).start_workflow("7350", order)
            else:
                await askers.coze(line, start.tenant).start_chat("7379", user_id=order["order"])
        except AsyncClientError as error:
            waits.read(error, "the error of a start")
            if number in played.service.performed and not error.may_have_started:
                played.breach("start", f"start {number} was performed, and its error denies it")
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  (it must not)
            played.breach("start", f"start {number} raised {error!r}")

    waits.background.append(waits.loop.create_task(begin()))
