"""Many waits: one heap of due times, one budget an account, any number of tasks and waiters.

The rules are those of a single wait (`_decide`); this is their second driver. A pending task is a
record in a heap, not an asyncio task; polls under way are asyncio tasks.
"""

from __future__ import annotations

import asyncio
import copy
import heapq
import logging
import math
from collections import deque
from collections.abc import AsyncIterable, Hashable, Iterable, Iterator, Mapping
from itertools import count
from random import Random
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

import msgspec

from asyncclient._budget import Budget
from asyncclient._decide import (
    Ask,
    Course,
    Facts,
    Raise,
    Return,
    Rules,
    Sleep,
    Step,
    fit,
    last_poll_grace,
)
from asyncclient._schedule import Backoff, Pacing, Schedule, drawing
from asyncclient._state import TaskState
from asyncclient._task import Task, TaskRef, key_of
from asyncclient._wait import Reading, age_of, generator, pacing, seconds
from asyncclient._wire import whole_number
from asyncclient.errors import AsyncClientError, RateLimited, RequestTimeout

__all__ = ["AsDone", "BudgetStats", "Done", "Poller", "PollerStats"]

T = TypeVar("T")

_log = logging.getLogger("asyncclient.poller")
_RULES = Rules()
_ERROR_BACKOFF = Backoff(first=1.0, cap=30.0)
# The first polls of so many tasks, refilled at the rate below, are made at once; those of a crowd
# are spread over the schedule's first gap, by the golden ratio, which leaves no two close together.
_AT_ONCE = 10.0
_AT_ONCE_PER_SECOND = 100.0
_GOLDEN = (math.sqrt(5) - 1) / 2
# So many due records are moved, or tasks taken in, before the event loop gets its turn.
_BATCH = 256
# So many ends may wait for their reader before no further task is taken in.
_UNREAD = 10_000
_LAGS = 1024
# Signals are not signed: however many come, a task is polled for them once in so many seconds.
_LEAST_WAKE_GAP = 0.1
_CLOSE_SECONDS = 5.0
_SAME_INSTANT = 1e-6
# A heap or line is rid of what has left it when that is more than half of it, and so many more.
_STALE = 256


class Done(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """How one task's wait ended: with an answer, or with an error.

    Attributes:
        task: the task, as it was given.
        state: its last known state; None when that is not known.
        result: the provider's final answer; None when it did not end well.
        error: what `wait` would have raised; None when it ended well.
        polls: polls made of it, whoever waited.
        elapsed: seconds that this wait took.
    """

    task: Task[T]
    state: TaskState | None
    result: T | None
    error: Exception | None
    polls: int
    elapsed: float


class BudgetStats(msgspec.Struct, frozen=True, kw_only=True):
    """How one account is asked.

    Attributes:
        name: provider, account and group, as text.
        rate: polls a second that are allowed now; `math.inf` where no limit is known.
        polls_per_second: polls a second that were sent of late.
        ready: tasks that are due and wait for their turn.
        in_flight: polls under way.
        refused: answers that there were too many requests.
    """

    name: str
    rate: float
    polls_per_second: float
    ready: int
    in_flight: int
    refused: int


class PollerStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a `Poller` is doing.

    Attributes:
        pending: tasks that are waited for.
        waiters: waits, which may share a task.
        in_flight: polls under way.
        polls: polls made since it was made.
        errors: polls that failed.
        lag_p50: median of the seconds by which recent polls were sent after they were due.
        lag_p99: the same for the slowest hundredth.
        budgets: one entry for each account that was asked.
    """

    pending: int
    waiters: int
    in_flight: int
    polls: int
    errors: int
    lag_p50: float
    lag_p99: float
    budgets: tuple[BudgetStats, ...]


class _Lane:
    """The tasks of one budget that are due, in the order of their turn."""

    __slots__ = ("budget", "in_flight", "name", "ready", "refused", "served", "timer")

    def __init__(self, name: tuple[object, ...], ceiling: float) -> None:
        self.name = name
        self.budget = Budget(ceiling)
        self.ready: list[tuple[float, int, _Record]] = []
        self.in_flight = 0
        self.refused = 0
        # The turn that was served last: the lane's own clock, which only service moves on.
        self.served = 0.0
        self.timer: asyncio.TimerHandle | None = None


class _Record:
    """One pending task, and whoever waits for it."""

    __slots__ = (
        "course",
        "delays",
        "due",
        "error_delays",
        "flight",
        "key",
        "lane",
        "number",
        "reading",
        "ready",
        "sent",
        "slowest",
        "turn",
        "waiters",
        "woken",
    )

    def __init__(
        self, key: Hashable, reading: Reading[object], course: Course[object], lane: _Lane
    ) -> None:
        self.key = key
        self.reading = reading
        self.course = course
        self.lane = lane
        self.due = self.sent = course.began
        self.number = 0
        self.delays: Iterator[float] | None = None
        self.error_delays: Iterator[float] | None = None
        self.slowest: float | None = None
        self.flight: asyncio.Task[None] | None = None
        self.turn = 0.0
        self.ready = self.woken = False
        self.waiters: tuple[_Waiter, ...] = ()


class _Waiter:
    """One wait for a task: its own deadline, weight and outlet."""

    __slots__ = ("began", "deadline", "final", "outlet", "record", "task", "weight")

    def __init__(
        self,
        record: _Record,
        task: Task[object],
        outlet: _Outlet,
        began: float,
        timeout: float,
        weight: float,
    ) -> None:
        self.record: _Record | None = record
        self.task = task
        self.outlet = outlet
        self.began = began
        self.deadline = began + timeout
        self.weight = weight
        # When its last poll is due; the wait ends with the answer to it.
        self.final: float | None = None

    def limit(self) -> float:
        """Return when it ends, whatever is under way."""
        slowest = self.record.slowest if self.record else None
        return max(self.deadline, self.final or 0.0) + last_poll_grace(slowest)


class _Outlet:
    """Where the end of a wait goes."""

    __slots__ = ()

    def put(self, done: Done[object]) -> None:
        """Take the end of one wait."""
        raise NotImplementedError  # pragma: no cover


class _Single(_Outlet):
    """The end of one `wait`."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[Done[object]]) -> None:
        self.future = future

    def put(self, done: Done[object]) -> None:
        if not self.future.done():
            self.future.set_result(done)


class _Group(_Outlet):
    """The ends of one `as_done`, in their order."""

    __slots__ = ("error", "feeding", "line", "reader", "timer", "unread", "waiters", "writer")

    def __init__(self) -> None:
        self.unread: deque[Done[object]] = deque()
        self.waiters: set[_Waiter] = set()
        self.line: deque[_Waiter] = deque()
        self.timer: asyncio.TimerHandle | None = None
        self.reader: asyncio.Future[None] | None = None
        self.writer: asyncio.Future[None] | None = None
        self.feeding: asyncio.Task[None] | None = None
        self.error: BaseException | None = None

    def put(self, done: Done[object]) -> None:
        self.unread.append(done)
        self.call_reader()

    def leave(self, waiter: _Waiter) -> None:
        """Forget a waiter; the line forgets the ended ones by and by, not at their deadlines."""
        self.waiters.discard(waiter)
        if len(self.line) > 2 * len(self.waiters) + _STALE:
            self.line = deque(other for other in self.line if other.record is not None)

    def fed(self, _feeding: asyncio.Task[None]) -> None:
        """Note that no more will be taken in."""
        self.feeding = None
        self.call_reader()

    def call_reader(self) -> None:
        """Let the reader look again."""
        if self.reader is not None and not self.reader.done():
            self.reader.set_result(None)

    def take(self) -> Done[object]:
        """Return the next end that was not read."""
        if self.writer is not None and not self.writer.done() and len(self.unread) <= _UNREAD:
            self.writer.set_result(None)
        return self.unread.popleft()


class Poller:
    """Waits for any number of tasks, with one poll a task and one budget an account.

    However many wait for a task, it is polled once; the last one out stops the polling. Tasks of
    one account share a budget of polls a second: given, documented by the provider, or found by
    backing off when it refuses. A crowd that comes at once is spread out. It belongs to the event
    loop of its first wait. Use it as `async with Poller() as poller:`, or call `aclose()`.

    Args:
        rate: polls a second at most: a number for every account, or a mapping by provider
            (`{"coze": 50}`). By default the provider's documented limit, else what is found.
        concurrency: polls under way at a time for one account. Default 100.
        schedule: the gaps between polls. Default `Schedule()`: 1 s growing to 15 s.
        rng: draws the jitter, so that the same seed gives the same gaps.

    Raises:
        TypeError, ValueError: an argument cannot be.
    """

    def __init__(
        self,
        *,
        rate: float | Mapping[str, float] | None = None,
        concurrency: int = 100,
        schedule: Pacing | None = None,
        rng: Random | None = None,
    ) -> None:
        self._rates = _rates(rate)
        whole_number("concurrency", concurrency, least=1)
        self._concurrency = concurrency
        self._schedule = pacing(schedule)
        self._rng = generator(rng)
        self._records: dict[Hashable, _Record] = {}
        self._lanes: dict[Hashable, _Lane] = {}
        self._heap: list[tuple[float, int, _Record]] = []
        self._sequence = count()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._flights: set[asyncio.Task[None]] = set()
        self._groups: set[_Group] = set()
        self._lags: deque[float] = deque(maxlen=_LAGS)
        self._at_once = _AT_ONCE
        self._at_once_since = -math.inf
        self._crowd = 0
        self._polls = self._errors = self._waits = 0

    # --- the public side ---

    async def __aenter__(self) -> Self:
        self._running_loop()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop polling; pending waits end with a `RuntimeError`. Closing twice is harmless."""
        if self._closed:
            return
        self._closed = True
        timers = [self._timer, *(lane.timer for lane in self._lanes.values())]
        for timer in (*timers, *(group.timer for group in self._groups)):
            if timer is not None:
                timer.cancel()
        for group in self._groups:
            if group.feeding is not None:
                group.feeding.cancel()
                group.error = RuntimeError(
                    "the Poller was closed before all tasks of this as_done were taken in"
                )
        for record in list(self._records.values()):
            for waiter in record.waiters:
                closed = RuntimeError(
                    f"{record.course.subject}: the Poller was closed before the task ended; the "
                    "task may go on"
                )
                self._deliver(waiter, None, closed)
        flights = list(self._flights)
        for flight in flights:
            flight.cancel()
        if flights:
            await asyncio.wait(flights, timeout=_CLOSE_SECONDS)

    async def wait(self, task: Task[T], *, timeout: float = 600.0, weight: float = 1.0) -> T:
        """Wait for one task to end, and return the provider's typed final answer.

        Args:
            task: a provider's handle, or any `Task`.
            timeout: seconds for this wait. Default 600.
            weight: how much this wait's delay matters beside others, where the budget is short:
                4 is polled about twice as often as 1. Default 1.

        Returns:
            what the last `poll()` returned.

        Raises:
            TaskFailed, TaskCancelled, TaskExpired, TaskBlocked, WaitTimeout: as `wait_until_done`,
                and whatever else that raises for polls.
            RuntimeError: the poller is closed, or belongs to another event loop.
        """
        loop = self._running_loop()
        outlet = _Single(loop.create_future())
        waiter = self._submit(task, outlet, seconds("timeout", timeout), _weight(weight))
        timer = self._watch_deadline(waiter)
        try:
            done = await outlet.future
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(waiter)
        if done.error is not None:
            raise done.error
        return cast("T", done.result)

    def as_done(
        self,
        tasks: Iterable[Task[T]] | AsyncIterable[Task[T]],
        *,
        timeout: float = 600.0,
    ) -> AsDone[T]:
        """Wait for many tasks: an async iterator of `Done`, in the order in which they end.

        A failure is a `Done` with its `error`, not an exception. The tasks are taken in as they
        come, from any iterable or async iterable, so that a million need not be built at once.
        Leaving the loop early stops the polling of what nobody else waits for; as a context
        manager (`async with poller.as_done(tasks) as ends:`) it does so at a known moment.

        Args:
            tasks: what to wait for.
            timeout: seconds for each task, from when it was taken in. Default 600.
        """
        return AsDone(self, tasks, seconds("timeout", timeout))

    def wake(self, key: Hashable) -> bool:
        """Make a task's next poll immediate, since a signal (a webhook) says that it is worth it.

        Only the poll decides: a forged or doubled signal costs one poll, a lost one nothing.

        Args:
            key: the task's `key`, or its `TaskRef`.

        Returns:
            whether anybody waits for that task here.
        """
        found = list(self._found(key))
        for record in found:
            record.woken = True
            if record.ready:
                turn = (_turn(record), next(self._sequence), record)
                heapq.heappush(record.lane.ready, turn)
            elif record.flight is None:
                self._schedule_poll(record, min(record.due, self._soonest(record)))
        return bool(found)

    def _soonest(self, record: _Record) -> float:
        """Return when a signal may poll a task: at once, but for signals in quick succession."""
        if not record.course.polls:
            return self._now()
        return max(self._now(), record.sent + _LEAST_WAKE_GAP)

    def stats(self) -> PollerStats:
        """Return what it is doing."""
        now = self._now()
        lags = sorted(self._lags)
        return PollerStats(
            pending=len(self._records),
            waiters=self._waits,
            in_flight=sum(lane.in_flight for lane in self._lanes.values()),
            polls=self._polls,
            errors=self._errors,
            lag_p50=lags[len(lags) // 2] if lags else 0.0,
            lag_p99=lags[len(lags) * 99 // 100] if lags else 0.0,
            budgets=tuple(
                BudgetStats(
                    name=" ".join(part for part in lane.name if isinstance(part, str)),
                    rate=lane.budget.rate,
                    polls_per_second=lane.budget.sending(now),
                    ready=len({id(entry[2]) for entry in lane.ready if entry[2].waiters}),
                    in_flight=lane.in_flight,
                    refused=lane.refused,
                )
                for lane in self._lanes.values()
            ),
        )

    def __repr__(self) -> str:
        state = "closed" if self._closed else "open"
        stats = self.stats()
        rate = sum(budget.polls_per_second for budget in stats.budgets)
        return (
            f"<Poller {state}: {stats.pending} pending, {stats.in_flight} in flight, "
            f"{rate:.1f} polls/s, lag {stats.lag_p99 * 1000:.0f} ms>"
        )

    # --- taking in ---

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            msg = "a Poller needs a running asyncio event loop (not trio's, and not none)"
            raise RuntimeError(msg) from None
        if self._closed:
            msg = "this Poller is closed: make a new one, or use it inside its 'async with'"
            raise RuntimeError(msg)
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            msg = (
                "this Poller belongs to another event loop: make one inside each asyncio.run(), "
                "and share it there"
            )
            raise RuntimeError(msg)
        return loop

    def _now(self) -> float:
        return 0.0 if self._loop is None else self._loop.time()

    def _submit(self, task: Task[T], outlet: _Outlet, timeout: float, weight: float) -> _Waiter:
        now = self._running_loop().time()
        key = _key_of(task)
        record = self._records.get(key)
        fresh = record is None
        if record is None:
            record = self._records[key] = self._record(key, cast("Task[object]", task), now)
        waiter = _Waiter(record, cast("Task[object]", task), outlet, now, timeout, weight)
        record.waiters += (waiter,)
        self._waits += 1
        if fresh:
            phase = self._first_phase(now)
            # The phase of one of a crowd is its first gap, which the schedule would draw again.
            record.number = 1 if phase else 0
            self._schedule_poll(record, now + min(phase, timeout / 2))
        elif record.flight is None and not record.ready and record.due > waiter.deadline:
            self._schedule_poll(record, waiter.deadline)
        return waiter

    def _record(self, key: Hashable, task: Task[object], now: float) -> _Record:
        reading = Reading(task)
        ref = reading.ref
        course: Course[object] = Course(reading, _RULES, now, ref, age_of(ref))
        return _Record(key, reading, course, self._lane_of(task))

    def _lane_of(self, task: Task[object]) -> _Lane:
        budget: object = getattr(task, "budget", None)
        name = cast("tuple[object, ...]", budget) if budget and isinstance(budget, tuple) else ("",)
        lane = self._lanes.get(name)
        if lane is None:
            documented: object = getattr(task, "documented_rate", None)
            rate = self._rates.get(str(name[0]), self._rates.get(None))
            if rate is None:
                good = isinstance(documented, int | float) and documented > 0
                rate = cast("float", documented) if good else math.inf
            lane = self._lanes[name] = _Lane(name, rate)
        return lane

    def _first_phase(self, now: float) -> float:
        elapsed = now - self._at_once_since
        self._at_once = min(_AT_ONCE, self._at_once + elapsed * _AT_ONCE_PER_SECOND)
        self._at_once_since = now
        if self._at_once >= 1:
            self._at_once -= 1
            return 0.0
        self._crowd += 1
        first = 1.0
        if isinstance(self._schedule, Schedule):
            first = self._schedule.first / (1 + self._schedule.jitter)
        return first * (self._crowd * _GOLDEN % 1.0)

    def _found(self, key: Hashable) -> Iterator[_Record]:
        if isinstance(key, TaskRef):
            accounts = {lane.name[1] for lane in self._lanes.values() if len(lane.name) > 1}
            for account in accounts:
                record = self._records.get(key_of(account, key))
                ref = record.course.ref if record is not None else None
                if record is not None and ref is not None and ref.provider == key.provider:
                    yield record
        elif key in self._records:
            yield self._records[key]

    # --- polling ---

    def _schedule_poll(self, record: _Record, due: float) -> None:
        record.due = due
        heapq.heappush(self._heap, (due, next(self._sequence), record))
        self._sweep()
        self._arm()

    def _sweep(self) -> None:
        """Forget due times that no longer hold, or what has left would stay until they come."""
        if len(self._heap) > 2 * len(self._records) + _STALE:
            self._heap = [entry for entry in self._heap if _holds(entry[2], entry[0])]
            heapq.heapify(self._heap)

    def _arm(self) -> None:
        if self._closed or self._loop is None or not self._heap:
            return
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = self._now()
        lanes: set[_Lane] = set()
        for _ in range(_BATCH):
            # A timer may fire early by the resolution of the clock.
            if not self._heap or self._heap[0][0] > now + _SAME_INSTANT:
                break
            due, number, record = heapq.heappop(self._heap)
            # A record that was put off, taken forward or left has other entries, or none.
            if _holds(record, due):
                record.ready = True
                heapq.heappush(record.lane.ready, (_turn(record), number, record))
                lanes.add(record.lane)
        for lane in lanes:
            self._pump(lane)
        self._arm()

    def _pump(self, lane: _Lane) -> None:
        if self._closed or self._loop is None:
            return
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        now = self._loop.time()
        while lane.ready and lane.in_flight < self._concurrency:
            left = lane.budget.wait(now)
            if left > 0:
                lane.timer = self._loop.call_at(now + left, self._pump, lane)
                return
            turn, _, record = heapq.heappop(lane.ready)
            lane.served = max(lane.served, turn)
            # A task that was woken stands in the lane twice, one that was left not at all.
            ready, record.ready = record.ready, False
            if ready and record.waiters:
                record.woken = False
                lane.budget.spend(now)
                lane.in_flight += 1
                self._lags.append(max(0.0, now - record.due))
                record.sent = now
                record.flight = self._loop.create_task(self._poll(record))
                self._flights.add(record.flight)
                record.flight.add_done_callback(self._flights.discard)

    async def _poll(self, record: _Record) -> None:
        flight = record.flight
        step: Step[object] | None = None
        now = self._now()
        try:
            step, now = await self._ask(record)
        finally:
            # A poll that all have left has been taken off already.
            if record.flight is flight:
                record.flight = None
                record.lane.in_flight -= 1
                if step is None and not self._closed:
                    # It was cancelled by something of its own: a failed poll like others.
                    step, now = Sleep(1.0, "error"), self._now()
                if step is not None:
                    self._settle(record, step, now)
                self._pump(record.lane)

    async def _ask(self, record: _Record) -> tuple[Step[object], float]:
        """Poll once; return what follows, and the time at which that was decided."""
        reading = record.reading
        started = self._now()
        try:
            facts = await self._facts(reading)
        except Exception as error:  # noqa: BLE001  (which ones end the wait is a rule, not a clause)
            now = self._now()
            self._errors += 1
            if isinstance(error, RateLimited):
                record.lane.refused += 1
                record.lane.budget.refused(now, error.retry_after)
            took = 0.0 if isinstance(error, TimeoutError) else now - started
            record.slowest = max(took, record.slowest or 0.0)
            if record.error_delays is None:
                record.error_delays = _ERROR_BACKOFF.delays(self._rng)
            delay = next(record.error_delays)
            _log.debug("%s: a poll failed: %r", record.course.subject, error)
            return record.course.after_error(
                error, delay=delay, now=now, transient=reading.transient
            ), now
        now = self._now()
        took = now - started
        record.slowest = max(took, record.slowest or 0.0)
        record.error_delays = None
        try:
            delay = self._next_delay(record)
        except Exception as error:  # noqa: BLE001  (a schedule of the caller's own)
            return Raise(record.course.with_evidence(error, now)), now
        _log.debug("%s: %r", record.course.subject, facts.word)
        return record.course.after_answer(facts, delay=delay, took=took, now=now), now

    async def _facts(self, reading: Reading[object]) -> Facts[object]:
        try:
            return reading.facts(await reading.task.poll())
        finally:
            self._polls += 1

    def _next_delay(self, record: _Record) -> float:
        schedule = self._schedule
        if isinstance(schedule, Schedule):
            number, record.number = record.number, record.number + 1
            if self._rng is None:
                return schedule.delay(number)
            return schedule.delay(number, drawing(self._rng))
        if record.delays is None:
            record.delays = _endless(schedule.delays(self._rng))
        return next(record.delays)

    # --- ending ---

    def _settle(self, record: _Record, step: Step[object], now: float) -> None:
        if isinstance(step, Return):
            for waiter in record.waiters:
                self._deliver(waiter, step.snapshot.result, None)
            return
        if isinstance(step, Raise | Ask):
            for number, waiter in enumerate(record.waiters):
                error = _twin(step.error) if number else step.error
                self._deliver(waiter, None, error)
            return
        due = math.inf
        for waiter in record.waiters:
            fitted = self._fit(record, waiter, step, now)
            if fitted is None:
                self._expire(waiter, now, step)
                continue
            if fitted.last:
                waiter.final = max(waiter.deadline, now + fitted.seconds)
            due = min(due, now + fitted.seconds if not fitted.last else waiter.final or math.inf)
        if record.waiters:
            self._schedule_poll(record, min(due, self._soonest(record)) if record.woken else due)

    def _fit(self, record: _Record, waiter: _Waiter, step: Sleep, now: float) -> Sleep | None:
        if waiter.final is not None and record.sent >= waiter.final - _SAME_INSTANT:
            return None
        return fit(
            step,
            now=now,
            deadline=waiter.deadline,
            asked=record.sent,
            slowest=record.slowest or 0.0,
        )

    def _expire(self, waiter: _Waiter, now: float, step: Sleep | None = None) -> None:
        record = waiter.record
        if record is None:
            return
        hint = step.hint if step is not None else None
        if hint is not None and hint <= waiter.deadline - now:
            hint = None
        timeout = waiter.deadline - waiter.began
        self._deliver(
            waiter, None, record.course.out_of_time(now, timeout=timeout, retry_after=hint)
        )

    def _deliver(self, waiter: _Waiter, result: object, error: Exception | None) -> None:
        record = waiter.record
        if record is None:
            return
        course = record.course
        elapsed = self._now() - waiter.began
        if isinstance(error, AsyncClientError):
            error.elapsed = elapsed
        state = course.snapshot.state if course.snapshot is not None else None
        done: Done[object] = Done(
            task=waiter.task,
            state=state,
            result=result,
            error=error,
            polls=course.polls,
            elapsed=elapsed,
        )
        self._leave(waiter)
        waiter.outlet.put(done)

    def _leave(self, waiter: _Waiter) -> None:
        """Take one waiter away; the last one out stops the polling."""
        record, waiter.record = waiter.record, None
        if record is None:
            return
        self._waits -= 1
        if isinstance(waiter.outlet, _Group):
            waiter.outlet.leave(waiter)
        record.waiters = tuple(other for other in record.waiters if other is not waiter)
        if not record.waiters:
            if self._records.get(record.key) is record:
                del self._records[record.key]
            flight, record.flight = record.flight, None
            if flight is not None:
                # Its place is free at once: a poll that has not begun to run never says so itself.
                flight.cancel()
                record.lane.in_flight -= 1
                if self._loop is not None and not self._closed:
                    self._loop.call_soon(self._pump, record.lane)
            self._sweep()

    def _watch_deadline(self, waiter: _Waiter) -> asyncio.TimerHandle | None:
        """End a wait whose last poll is not answered; polls alone end all others."""
        if self._loop is None or waiter.deadline == math.inf:
            return None
        return self._loop.call_at(waiter.deadline, self._deadline_reached, waiter)

    def _deadline_reached(self, waiter: _Waiter) -> None:
        record = waiter.record
        if record is None or self._loop is None:
            return
        now = self._loop.time()
        limit = waiter.limit()
        if now < limit - _SAME_INSTANT:
            self._loop.call_at(limit, self._deadline_reached, waiter)
            return
        course = record.course
        if record.flight is None:
            self._expire(waiter, now)
            return
        # The poll under way is no failed one yet for the others who wait.
        polls, error = course.polls, course.last_error
        course.polls = polls + 1
        course.last_error = RequestTimeout("a poll was still unanswered at the deadline")
        self._expire(waiter, now)
        course.polls, course.last_error = polls, error

    # --- groups ---

    def begin_group(
        self, tasks: Iterable[Task[T]] | AsyncIterable[Task[T]], timeout: float
    ) -> _Group:
        """Begin to take in the tasks of one `as_done`."""
        loop = self._running_loop()
        group = _Group()
        self._groups.add(group)
        group.feeding = loop.create_task(self._feed(group, tasks, timeout))
        group.feeding.add_done_callback(group.fed)
        return group

    def end_group(self, group: _Group) -> None:
        """Take in no more, and take away all waiters of one `as_done`."""
        self._groups.discard(group)
        feeding, group.feeding = group.feeding, None
        if self._loop is not None and self._loop.is_closed():
            return
        if feeding is not None:
            feeding.cancel()
        if group.timer is not None:
            group.timer.cancel()
        for waiter in list(group.waiters):
            self._leave(waiter)
        group.call_reader()

    async def _feed(
        self,
        group: _Group,
        tasks: Iterable[Task[T]] | AsyncIterable[Task[T]],
        timeout: float,
    ) -> None:
        try:
            if isinstance(tasks, AsyncIterable):
                async for task in tasks:
                    await self._take_in(group, task, timeout)
            else:
                for number, task in enumerate(tasks, 1):
                    await self._take_in(group, task, timeout)
                    if number % _BATCH == 0:
                        await asyncio.sleep(0)  # noqa: TID251  (gives the event loop its turn)
        except Exception as error:  # noqa: BLE001  (the reader gets it, whatever it is)
            group.error = error

    async def _take_in(self, group: _Group, task: Task[T], timeout: float) -> None:
        waiter = self._submit(task, group, timeout, 1.0)
        group.waiters.add(waiter)
        if timeout < math.inf:
            group.line.append(waiter)
        if group.timer is None and timeout < math.inf and self._loop is not None:
            group.timer = self._loop.call_at(waiter.deadline, self._line_reached, group)
        while len(group.unread) > _UNREAD:
            group.writer = asyncio.get_running_loop().create_future()
            await group.writer

    def _line_reached(self, group: _Group) -> None:
        """End the waits of a group whose last poll is not answered; their deadlines are in line."""
        group.timer = None
        if self._loop is None:
            return
        now = self._now()
        while group.line:
            first = group.line[0]
            if first.record is not None and first.deadline > now + _SAME_INSTANT:
                group.timer = self._loop.call_at(first.deadline, self._line_reached, group)
                return
            group.line.popleft()
            self._deadline_reached(first)


class AsDone(Generic[T]):
    """The ends of many tasks, made by `Poller.as_done`: an async iterator and context manager."""

    __slots__ = ("_group", "_left", "_poller", "_tasks", "_timeout")

    def __init__(
        self, poller: Poller, tasks: Iterable[Task[T]] | AsyncIterable[Task[T]], timeout: float
    ) -> None:
        self._poller = poller
        self._tasks = tasks
        self._timeout = timeout
        self._group: _Group | None = None
        self._left = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Done[T]:
        group = self._group
        if group is None:
            if self._left:
                raise StopAsyncIteration
            group = self._group = self._poller.begin_group(self._tasks, self._timeout)
        if group.reader is not None and not group.reader.done():
            msg = "this as_done is already being read by another task: make one for each"
            raise RuntimeError(msg)
        while not group.unread:
            if group.error is not None:
                error, group.error = group.error, None
                raise error
            if group.feeding is None and not group.waiters:
                raise StopAsyncIteration
            group.reader = asyncio.get_running_loop().create_future()
            await group.reader
        return cast("Done[T]", group.take())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Wait for none of the tasks any longer; what nobody else waits for is not polled again."""
        self._left = True
        group, self._group = self._group, None
        if group is not None:
            self._poller.end_group(group)

    def __del__(self) -> None:
        self.leave()


def _key_of(task: Task[T]) -> Hashable:
    if isinstance(task, type) or not (hasattr(task, "poll") and hasattr(task, "state_of")):
        msg = (
            f"cannot wait for {type(task).__name__}: pass a task (what start_...() returns; await "
            "it first), or make one of an async function with polling_task()"
        )
        raise TypeError(msg)
    key: object = getattr(task, "key", None)
    if key is None:
        return id(task)
    if not isinstance(key, Hashable):
        msg = f"the key of {task!r} must be hashable, not {type(key).__name__}"
        raise TypeError(msg)
    return key


def _holds(record: _Record, due: float) -> bool:
    """Return whether an entry of the heap still tells when its record is due."""
    return record.due == due and bool(record.waiters) and not record.ready and record.flight is None


def _twin(error: Exception) -> Exception:
    """Return an error of its own for another waiter: notes and tracebacks are not shared."""
    try:
        twin = copy.copy(error)
    except Exception:  # noqa: BLE001  (a class that cannot be made of its own args)
        twin = type(error).__new__(type(error), *error.args)
        vars(twin).update(vars(error))
    if hasattr(error, "__notes__"):
        twin.__notes__ = [*error.__notes__]
    twin.__cause__ = error.__cause__
    twin.__suppress_context__ = error.__suppress_context__
    return twin.with_traceback(error.__traceback__)


def _endless(delays: Iterator[float]) -> Iterator[float]:
    """Repeat the last of some delays for ever; 1 s if there is none."""
    last = 1.0
    for last in delays:
        yield last
    while True:
        yield last


def _turn(record: _Record) -> float:
    """Return a due record's place in its lane, by stride scheduling.

    Where the budget is short, tasks are served in shares of the square root of their weights, which
    is the least total delay, and none is passed over for ever. A last poll goes first, and a task
    that a signal speaks of goes before what is merely due.
    """
    if record.woken:
        return record.lane.served - 1  # before all that have the turn which is being served
    weight = 0.0
    for waiter in record.waiters:
        if waiter.final is not None and record.due >= waiter.final - _SAME_INSTANT:
            return -math.inf
        weight = max(weight, waiter.weight)
    record.turn = max(record.lane.served, record.turn) + 1 / math.sqrt(weight)
    return record.turn


def _weight(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"weight must be a number, not {value!r}"
        raise TypeError(msg)
    if not 0 < value < math.inf:
        msg = f"weight={value!r} must be more than 0 and finite; 1 is usual"
        raise ValueError(msg)
    return float(value)


def _rates(rate: float | Mapping[str, float] | None) -> dict[str | None, float]:
    """Return polls a second by provider; under None those of every other provider."""
    given: dict[str | None, object] = {}
    if isinstance(rate, Mapping):
        given.update(cast("Mapping[str, object]", rate))
    elif rate is not None:
        given[None] = rate
    rates: dict[str | None, float] = {}
    for provider, value in given.items():
        name = "rate" if provider is None else f"rate[{provider!r}]"
        if isinstance(value, bool) or not isinstance(value, int | float):
            msg = f"{name} must be a number of polls a second, not {value!r}"
            raise TypeError(msg)
        if not value > 0:
            msg = f"{name}={value!r} must be more than 0 polls a second"
            raise ValueError(msg)
        rates[provider] = float(value)
    return rates
