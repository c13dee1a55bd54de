"""Cancel a coroutine at its first step, then at its second, and so on to its end.

A step is where a coroutine gives way to the event loop. It can be cancelled there at two moments:
early, as it begins to wait, or late, when what it waited for has come and it is about to go on.
The second is where results are lost and connections leak.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any, TypeVar, cast

from tests.adversity.scene import settled, virtual_loop

T = TypeVar("T")

# More steps than anything here takes: a scenario that reaches it never ends.
MOST_STEPS = 400


class Canceller:
    """Counts the steps of coroutines, and cancels a task at one of them.

    Args:
        step: the step, from 1.
        late: cancel when what the step waits for has come, not before.
    """

    def __init__(self, step: int, *, late: bool) -> None:
        self._step = step
        self._late = late
        self.target: asyncio.Task[Any] | None = None  # None for the task whose step it is
        # What is done to it.
        self.act: Callable[[asyncio.Task[Any]], object] = lambda task: task.cancel()
        self.steps = 0  # so far
        self.reached = False  # whether it has cancelled

    def task(self, work: Coroutine[Any, Any, T], *, is_counted: bool = True) -> asyncio.Task[T]:
        """Begin the task that is cancelled, at a step of its own or of others."""
        task = asyncio.get_running_loop().create_task(self.counted(work) if is_counted else work)
        self.target = task
        return task

    async def counted(self, work: Coroutine[Any, Any, T]) -> T:
        """Do some work whose steps are counted."""
        return await self._stepping(work)

    @coroutine
    def _stepping(self, work: Coroutine[Any, Any, T]) -> Generator[object, None, T]:
        error: BaseException | None = None
        while True:
            try:
                waiting = work.send(None) if error is None else work.throw(error)
            except StopIteration as end:
                return cast("T", end.value)
            error = None
            self._count(waiting)
            try:
                yield waiting
            except GeneratorExit:
                work.close()
                raise
            except BaseException as caught:  # noqa: BLE001  (it goes to the work)
                error = caught

    def _count(self, waiting: object) -> None:
        self.steps += 1
        task = self.target or asyncio.current_task()
        if self.steps != self._step or task is None:
            return
        self.reached = True
        if self._late and isinstance(waiting, asyncio.Future):
            future = cast("asyncio.Future[object]", waiting)
            # Called before the task's own callback, which it adds when it gets the future.
            future.add_done_callback(lambda _: self.act(task))
        else:
            self.act(task)


Scenario = Callable[[Canceller], Coroutine[object, object, None]]


def at_every_step(scenario: Scenario) -> int:
    """Run a scenario, each time cancelled a step later, until it ends before; return its steps.

    No run may leave a task behind, or anything that complains when it is collected.
    """

    async def leaving_nothing(canceller: Canceller) -> None:
        before = asyncio.all_tasks()
        await scenario(canceller)
        assert await settled(lambda: len(asyncio.all_tasks() - before)) == 0, "tasks are left"

    complaints: list[str] = []
    steps = 0
    for late in (False, True):
        for step in range(1, MOST_STEPS):
            canceller = Canceller(step, late=late)
            with asyncio.Runner(loop_factory=virtual_loop) as runner:
                loop = runner.get_loop()
                loop.set_exception_handler(lambda _, context: complaints.append(str(context)))
                runner.run(leaving_nothing(canceller))
            steps = max(steps, canceller.steps)
            if not canceller.reached:
                break
        else:
            raise AssertionError(f"not over after {MOST_STEPS} steps")
    gc.collect()  # what was not closed, or not retrieved, complains here
    assert not complaints, complaints
    return steps
