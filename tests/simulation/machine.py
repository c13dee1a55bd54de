"""The processes of a world on one machine: each has a loop of its own, all share the clock."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from collections.abc import Callable, Coroutine
from random import Random

from tests.simulation.loop import TICK, Clock, ShuffledLoop
from tests.simulation.world import World

# Callbacks after which a world is taken for one that never ends.
_MOST_CALLS = 400_000


class Process:
    """One process: its loop, and what it runs."""

    def __init__(self, loop: ShuffledLoop, main: Coroutine[object, object, None]) -> None:
        self.loop = loop
        self.main = loop.create_task(main)

    def stop(self) -> None:
        """Ask it to end, as a signal does."""
        self.loop.call_soon(self.main.cancel)

    def kill(self, calls: int) -> None:
        """Let it end before one of its next callbacks, without a chance to say so."""
        self.loop.dies_at = self.loop.calls + calls


class Machine:
    """Runs processes in turn, and moves the clock when none has anything to do."""

    def __init__(self, world: World, clock: Clock) -> None:
        self._world = world
        self._clock = clock
        self._draw = Random(world.order)
        self.processes: list[Process] = []

    def start(self, main: Callable[[ShuffledLoop], Coroutine[object, object, None]]) -> Process:
        """Start a process."""
        order = Random(self._draw.random()) if self._world.is_shuffled else None
        loop = ShuffledLoop(self._clock, order)
        if self._world.is_eager and sys.version_info >= (3, 12):
            loop.set_task_factory(asyncio.eager_task_factory)
        process = Process(loop, main(loop))
        self.processes.append(process)
        return process

    @property
    def calls(self) -> int:
        """Callbacks called so far, in all processes."""
        return sum(process.loop.calls for process in self.processes)

    def run(self, first: Process) -> str | None:
        """Run all until the first one ends; return what kept it from that."""
        while not first.main.done():
            due = [process.loop.next_due() for process in self.processes]
            now = max(self._clock.now, min(due))
            if now == math.inf:
                return "nothing is left that could wake what waits"
            if self.calls > _MOST_CALLS:
                return f"it has not ended after {_MOST_CALLS} callbacks"
            self._clock.now = now
            ready = [number for number, at in enumerate(due) if at <= now + TICK]
            chosen = ready[0] if len(ready) == 1 else self._draw.choice(ready)
            self.processes[chosen].loop.turn(alone=len(ready) == 1)
        return None

    def clear_away(self) -> None:
        """Free what killed processes, and those that were given up, have left."""
        for process in self.processes:
            for task in asyncio.all_tasks(process.loop):
                coroutine: object = task.get_coro()
                if isinstance(coroutine, Coroutine):
                    with contextlib.suppress(RuntimeError, ValueError):
                        coroutine.close()
            process.loop.close()
