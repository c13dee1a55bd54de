"""An event loop in virtual time that calls what is ready in an order drawn from the seed.

asyncio calls what is scheduled first before what is scheduled later. What a program may rely on of
that is kept here:

* what one callback schedules is called in the order in which it was scheduled;
* what is scheduled in one turn of the loop is called in its next turn, never later, and what that
  schedules comes after it;
* timers are called in the order of their due times.

All else is drawn: how what *different* callbacks of one turn have scheduled interleaves, with each
other and with the timers that are due now, and which of two timers of one instant comes first.
In a real loop that order follows from when bytes arrive, how far a timer is rounded, and whether a
new task runs its first step at once (eager tasks): a program must be right in every such order. It
is somewhat more than asyncio can do to a program, and so a fair strengthening: nothing that was
scheduled by one callback, for one future or for one task changes places.

A loop is one process. Those of a world share one clock, which stands still while any of them has
something to call; a loop that is dropped in the midst of a turn is a process that was killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import math
import sys
from collections.abc import Callable, Coroutine
from contextvars import Context
from itertools import count
from random import Random
from typing import TypeAlias, TypeVarTuple

from tests.simulation.world import World

_Ts = TypeVarTuple("_Ts")

# Two instants that are this near to each other in seconds are one.
TICK = 1e-9
# Callbacks after which a world is taken for one that never ends.
_MOST_CALLS = 400_000


class Clock:
    """The time of a world in seconds, and the wall clock beside it, which may jump."""

    def __init__(self) -> None:
        self.now = 0.0
        self.midnight = 1_800_000_000.0  # the Unix time at which the world began
        self.stalls: list[tuple[float, float]] = []  # when the machine stood still, from and to

    def unix_time(self) -> float:
        """Return what takes the place of `time.time()`."""
        return self.midnight + self.now

    def jump(self, seconds: float) -> None:
        """Set the wall clock."""
        self.midnight += seconds

    def stall(self, seconds: float) -> None:
        """Let time pass while nothing runs."""
        self.stalls.append((self.now, self.now + seconds))
        self.now += seconds


class _Call(asyncio.Handle):
    """A callback that is to be called in the next turn."""

    def run(self) -> None:
        self._run()


class _Timer(asyncio.TimerHandle):
    """A callback that is to be called at an instant."""

    def run(self) -> None:
        self._run()


_Ready: TypeAlias = _Call | _Timer


class ShuffledLoop(asyncio.BaseEventLoop):
    """One process's event loop; see the module.

    Args:
        clock: the world's.
        order: draws the order of what is ready; None keeps asyncio's own.
    """

    def __init__(self, clock: Clock, order: Random | None) -> None:
        super().__init__()
        self._world_clock = clock
        self._order = order
        self._soon: list[tuple[int, _Call]] = []
        self._timers: list[tuple[float, float, int, _Timer]] = []
        self._timer_numbers = count()
        self._caller = 0
        self.calls = 0  # callbacks called so far
        self.dies_at = math.inf  # the number of the callback before which this process is killed
        self.is_dead = False  # whether it was
        # What asyncio would have logged, as exceptions that were never retrieved.
        self.complaints: list[str] = []
        self.set_exception_handler(self._complain)

    def time(self) -> float:
        """Return the world's time."""
        return self._world_clock.now

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back in the next turn."""
        call = _Call(callback, args, self, context)
        self._soon.append((self._caller, call))
        return call

    def call_soon_threadsafe(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """Call back in the next turn: an async generator that a killed process left asks for it."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[*_Ts], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call back at an instant."""
        timer = _Timer(when, callback, args, self, context)
        tie = 0.0 if self._order is None else self._order.random()
        heapq.heappush(self._timers, (when, tie, next(self._timer_numbers), timer))
        return timer

    def next_due(self) -> float:
        """Return when something is to be called next; `inf` for never."""
        if self.is_dead:
            return math.inf
        if self._soon:
            return self.time()
        while self._timers and self._timers[0][3].cancelled():
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else math.inf

    def timers_left(self) -> int:
        """Return how many timers are set."""
        return sum(not entry[3].cancelled() for entry in self._timers)

    def turn(self, *, alone: bool) -> None:
        """Call what is ready; `alone`, also what that makes ready, and so on."""
        if not alone:
            self.stop()
        self.run_forever()

    def _run_once(self) -> None:
        """Take one turn; `run_forever` calls this."""
        for call in self._taken():
            if self.calls >= self.dies_at:
                self.is_dead = True
                break
            self.calls += 1
            self._caller = self.calls
            if not call.cancelled():
                call.run()
        self._caller = 0
        if self.is_dead or not self._soon:
            self.stop()

    def _taken(self) -> list[_Ready]:
        """Take what is ready, in the order in which it is to be called."""
        soon, self._soon = self._soon, []
        due: list[_Ready] = []
        while self._timers and self._timers[0][0] <= self.time() + TICK:
            due.append(heapq.heappop(self._timers)[3])
        if self._order is None or len(soon) + len(due) < 2:
            return [*(call for _, call in soon), *due]
        # A shuffled deck of callers, of whom each gives his next call when his card comes.
        deck = [caller for caller, _ in soon] + [-1] * len(due)
        self._order.shuffle(deck)
        calls: dict[int, list[_Ready]] = {-1: due}
        for caller, call in soon:
            calls.setdefault(caller, []).append(call)
        turns = {caller: iter(of_one) for caller, of_one in calls.items()}
        return [next(turns[caller]) for caller in deck]

    def _complain(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.complaints.append(f"{context.get('message')}: {context.get('exception')!r}")


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
