"""What tests of engines share: coroutines that are killed as a process is, and patience."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar, cast

import anyio


async def eventually(condition: Callable[[], bool], patience: float = 15.0) -> None:
    """Wait until something is so, by the real clock."""
    with anyio.fail_after(patience):
        while not condition():  # noqa: ASYNC110  (an engine sets no event here)
            await asyncio.sleep(0.01)


T = TypeVar("T")

_life: ContextVar[Life | None] = ContextVar("_life", default=None)
_left: list[object] = []  # what no longer goes on would clean up when it is freed


class Life:
    """Runs coroutines until it is over, as a process does that is killed.

    From then on nothing that was started in it goes on, and nothing cleans up after itself.
    """

    def __init__(self) -> None:
        self.is_over = False

    def start(self, worker: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Begin it with one coroutine; every task that this starts lives in it, too."""
        loop = asyncio.get_running_loop()
        loop.set_task_factory(_task_of)
        context = copy_context()
        context.run(_life.set, self)
        return loop.create_task(worker, context=context)

    async def live(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, or to that of this life."""
        return await self._steps(coroutine)

    @types.coroutine
    def _steps(self, coroutine: Coroutine[Any, Any, T]) -> Generator[Any, None, T]:
        thrown: BaseException | None = None
        while not self.is_over:
            try:
                waits_for = coroutine.send(None) if thrown is None else coroutine.throw(thrown)
            except StopIteration as end:
                return cast("T", end.value)
            thrown = None
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  (it is the coroutine's)
                thrown = error
        _left.append(coroutine)
        if not isinstance(thrown, asyncio.CancelledError):  # else the test's loop comes to its end
            yield from asyncio.get_running_loop().create_future()
        raise asyncio.CancelledError


def _task_of(
    loop: asyncio.AbstractEventLoop,
    coroutine: Generator[Any, None, T] | Coroutine[Any, Any, T],
    /,
    *,
    name: str | None = None,
    context: Context | None = None,
) -> asyncio.Task[T]:
    life = (context or copy_context()).get(_life)
    if life is not None and not isinstance(coroutine, Generator):
        coroutine = life.live(coroutine)
    return asyncio.Task(coroutine, loop=loop, name=name, context=context)
