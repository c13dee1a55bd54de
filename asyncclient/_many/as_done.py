"""Many waits as one loop: takes in tasks as they come, and yields their ends in their order."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
)
from typing import Generic, Self, TypeVar, cast

from asyncclient._event_loop import check_thread, failure_of, running_loop, runs_elsewhere
from asyncclient._many.loop import PollLoop
from asyncclient._many.shared import Done, Receiver, Waiter
from asyncclient._task import Task
from asyncclient._waiting import SAME_INSTANT

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# Tasks that are taken in, or reach their deadline, before the event loop gets its turn.
_BATCH = 256
# With this many unread ends, no further task is taken in.
_UNREAD = 10_000
# Ended waits are removed when they are more than half, and more than this many.
_STALE = 256
# Seconds. A source of tasks that does not end must not delay a reader who leaves.
_CLOSE_SECONDS = 5.0


class Group(Receiver):
    """The waits of one `as_done`, and their ends in their order."""

    def __init__(
        self, poll_loop: PollLoop, tasks: Iterable[Task[T]] | AsyncIterable[Task[T]], timeout: float
    ) -> None:
        super().__init__()
        self.loop = poll_loop.loop
        self._poll_loop = poll_loop
        self._timeout = timeout
        self._unread: deque[Done[object]] = deque()
        self._taken = self._waiting = 0
        # All waits, and some that have ended, in the order of their deadlines: one timer serves
        # all, and a set of them would cost 50 bytes each.
        self._line: deque[Waiter] = deque()
        # Waits past their deadline, whose last poll is not answered yet.
        self._late: dict[Waiter, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self.error: BaseException | None = None
        self._is_left = False
        poll_loop.receivers.add(self)
        self._feeding: asyncio.Task[None] | None = None  # an eager one begins before it is here
        self._feeding = self.loop.create_task(self._feed(tasks))
        self._feeding.add_done_callback(self._fed)

    def put(self, done: Done[object]) -> None:
        """Take the end of one wait."""
        self._unread.append(done)
        self._call_reader()

    def leave(self, waiter: Waiter) -> None:
        """Forget a wait; the queue forgets ended ones soon, not at their deadlines."""
        self._waiting -= 1
        self._late.pop(waiter, None)
        if len(self._line) > 2 * self._waiting + _STALE:
            self._line = deque(other for other in self._line if other.record is not None)

    async def next(self) -> Done[object] | None:
        """Return the next end; None after the last."""
        if self._reader is not None and not self._reader.done():
            msg = "another task already reads this as_done: make one as_done for each reader"
            raise RuntimeError(msg)
        while not self._unread:
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            if self._is_left or (self._feeding is None and not self._waiting):
                return None
            self._reader = self.loop.create_future()
            await self._reader
        if self._writer is not None and not self._writer.done() and len(self._unread) <= _UNREAD:
            self._writer.set_result(None)
        return self._unread.popleft()

    def stop(self, error: Exception) -> asyncio.Task[None] | None:
        """Take in no more tasks: the poller is closed, and its waits end by themselves."""
        if self._timer is not None:
            self._timer.cancel()
        feeding = self._feeding
        if feeding is not None:
            feeding.cancel()
            self.error = error
        return feeding

    def end(self) -> asyncio.Task[None] | None:
        """Take in no more tasks, and leave all waits; return what still closes the source."""
        self._is_left = True
        self._poll_loop.receivers.discard(self)
        feeding, self._feeding = self._feeding, None
        if self.loop.is_closed():
            return None
        if feeding is not None:
            feeding.cancel()
        if self._timer is not None:
            self._timer.cancel()
        self._poll_loop.in_batches(self._leave_all())
        self._call_reader()
        return feeding

    def _leave_all(self) -> Iterator[None]:
        while self._line:
            self._poll_loop.leave(self._line.popleft())
            yield
        for waiter in [*self._late]:
            self._poll_loop.leave(waiter)
            yield

    def _fed(self, feeding: asyncio.Task[None]) -> None:
        if self._feeding is feeding and self.error is None:
            error = None if feeding.cancelled() else feeding.exception()
            if feeding.cancelled():
                error = RuntimeError("what takes in the tasks of this as_done was cancelled")
            self.error = error
        self._feeding = None
        self._call_reader()

    def _call_reader(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    async def _feed(self, tasks: Iterable[Task[T]] | AsyncIterable[Task[T]]) -> None:
        try:
            if isinstance(tasks, AsyncIterable):
                await self._take_in_all(aiter(tasks))
            else:
                for task in tasks:
                    await self._take_in(task)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  (the reader gets it)
            self.error = failure_of(error, "the source of tasks")

    async def _take_in_all(self, tasks: AsyncIterator[Task[T]]) -> None:
        try:
            async for task in tasks:
                await self._take_in(task)
        finally:
            # A source that has ended is closed already; else its `finally` runs here, now.
            if isinstance(tasks, AsyncGenerator):
                await tasks.aclose()

    async def _take_in(self, task: Task[T]) -> None:
        if self._is_left:
            raise asyncio.CancelledError  # once more, since the source went on after the first
        waiter = self._poll_loop.submit(task, self, timeout=self._timeout)
        self._waiting += 1
        self._line.append(waiter)
        if self._timer is None and waiter.deadline < math.inf:
            self._timer = self.loop.call_at(waiter.deadline, self._line_reached)
        self._taken += 1
        if self._taken % _BATCH == 0:
            await asyncio.sleep(0)  # noqa: TID251  (gives the event loop its turn)
        while len(self._unread) > _UNREAD:
            self._writer = self.loop.create_future()
            await self._writer

    def _line_reached(self) -> None:
        """End the waits whose last poll is not answered."""
        self._timer = None
        now = self.loop.time()
        for _ in range(_BATCH):
            if not self._line or self._line[0].deadline > now + SAME_INSTANT:
                break
            first = self._line.popleft()
            self._poll_loop.reach_deadline(first)
            if first.record is not None:
                self._late[first] = None
        while self._line and self._line[0].record is None:
            self._line.popleft()
        if self._line:
            self._timer = self.loop.call_at(self._line[0].deadline, self._line_reached)


class AsDone(Generic[T_co]):
    """The ends of many tasks, made by `Poller.as_done`: an async iterator and context manager."""

    def __init__(
        self,
        start: Callable[[], PollLoop],
        tasks: Iterable[Task[T_co]] | AsyncIterable[Task[T_co]],
        timeout: float,
    ) -> None:
        self._start = start
        self._tasks = tasks
        self._timeout = timeout
        self._group: Group | None = None
        self._left = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Done[T_co]:
        if self._group is None:
            if self._left:
                raise StopAsyncIteration
            self._group = Group(self._start(), self._tasks, self._timeout)
        running_loop("as_done", self._group.loop, closed=False)
        done = await self._group.next()
        if done is None:
            raise StopAsyncIteration
        return cast("Done[T_co]", done)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        closing = self._leave()
        if closing is not None:
            await asyncio.wait([closing], timeout=_CLOSE_SECONDS)

    def leave(self) -> None:
        """Stop waiting for all of the tasks; those that no one else waits for are not polled again.

        An async generator that yields the tasks is closed: soon, or when the `async with` block
        ends.

        Raises:
            RuntimeError: its event loop runs in another thread.
        """
        self._leave()

    def _leave(self) -> asyncio.Task[None] | None:
        check_thread("as_done", None if self._group is None else self._group.loop)
        self._left = True
        group, self._group = self._group, None
        return None if group is None else group.end()

    def __del__(self) -> None:
        group, self._group = self._group, None
        if group is not None and runs_elsewhere(group.loop):  # it may be collected in any thread
            group.loop.call_soon_threadsafe(group.end)
        elif group is not None:
            group.end()
