"""The loop of many waits: one heap of due times; polls under way are asyncio tasks.

It obeys the rules of a single wait (`_decide`) as `_wait` does; a pending task is a record in a
heap, not an asyncio task.
"""

from __future__ import annotations

import asyncio
import copy
import heapq
import math
from collections import deque
from collections.abc import Hashable, Iterator, Mapping
from contextvars import Context
from itertools import count, islice
from random import Random
from typing import TypeVar, cast

from asyncclient._as_done import Group
from asyncclient._decide import Ask, Course, Facts, Raise, Return, Rules, Sleep, Step, fit
from asyncclient._learning import LearnedSchedule
from asyncclient._pace import Pace
from asyncclient._pending import SAME_INSTANT, Done, Lane, Outlet, Record, Waiter
from asyncclient._report import Report
from asyncclient._schedule import Backoff, Pacing, Schedule, drawing
from asyncclient._task import Task, TaskRef, key_of
from asyncclient._wait import LATEST_FIRST_POLL, Reading, age_of, change_between, how_to_wait
from asyncclient.errors import AsyncClientError, RateLimited, RequestTimeout

__all__ = ["Driver"]

T = TypeVar("T")

_report = Report("asyncclient.poller")
_RULES = Rules()
_ERROR_BACKOFF = Backoff(first=1.0, cap=30.0)
# The first polls of so many tasks, refilled at the rate below, are made at once; those of a crowd
# are spread over the schedule's first gap, by the golden ratio, which leaves no two close together.
_AT_ONCE = 10.0
_AT_ONCE_PER_SECOND = 100.0
_GOLDEN = (math.sqrt(5) - 1) / 2
# From so many tasks of one account, each next poll takes the emptier of two moments.
_CROWD = 64
# So many due records are moved before the event loop gets its turn.
_BATCH = 256
_LAGS = 1024
# Signals are not signed: however many come, a task is polled for them once in so many seconds.
_LEAST_WAKE_GAP = 0.1
_CLOSE_SECONDS = 5.0
# One account's failed polls are told as a warning once in so many seconds.
_WARNING_GAP = 60.0
# A heap is rid of what has left it when that is more than half of it, and so many more.
_STALE = 256
# From so many accounts, those that have been idle for so many seconds are forgotten.
_LANES = 1000
_IDLE_SECONDS = 600.0


class Driver:
    """Polls any number of tasks, each once however many wait for it, in one event loop.

    Args:
        rates: polls a second at most, by provider; under None those of every other provider.
        concurrency: polls under way at a time for one account.
        schedule: the gaps between polls.
        rng: draws the jitter; None for the usual chance.
    """

    def __init__(
        self,
        *,
        rates: Mapping[str | None, float],
        concurrency: int,
        schedule: Pacing,
        rng: Random | None,
    ) -> None:
        self.closed = False
        self.lanes: dict[Hashable, Lane] = {}
        self.lags: deque[float] = deque(maxlen=_LAGS)
        self.polls = self.errors = self.waits = 0
        self._rates = rates
        self._share = 1.0
        self._concurrency = concurrency
        self._schedule = schedule
        self._rng = rng
        self._draw = drawing(rng)
        self._pace = Pace(schedule, self._draw) if isinstance(schedule, LearnedSchedule) else None
        self._records: dict[Hashable, Record] = {}
        self._heap: list[tuple[float, int, Record]] = []
        self._sequence = count()
        self._timer: asyncio.TimerHandle | None = None
        # Kept here, since not every event loop's handle knows it (uvloop's does not).
        self._timer_due = math.inf
        self._loop: asyncio.AbstractEventLoop | None = None
        # Of the timers: one sets the next, and would keep its first waiter's for ever.
        self._context = Context()
        self._flights: set[asyncio.Task[None]] = set()
        self._groups: set[Group] = set()
        self._at_once = _AT_ONCE
        self._at_once_since = -math.inf
        self._crowd = 0

    # --- life ---

    def running_loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop.

        Raises:
            RuntimeError: there is none, it is another than before, or this is closed.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            msg = "a Poller needs a running asyncio event loop (not trio's, and not none)"
            raise RuntimeError(msg) from None
        if self.closed:
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

    def now(self) -> float:
        """Return the loop's clock in seconds; 0 before the first wait."""
        return 0.0 if self._loop is None else self._loop.time()

    @property
    def learned(self) -> LearnedSchedule | None:
        """What is learned; None where the schedule does not learn."""
        return None if self._pace is None else self._pace.schedule

    def pending(self) -> int:
        """Return how many tasks are waited for."""
        return len(self._records)

    async def close(self) -> None:
        """Stop polling; pending waits end with a `RuntimeError`."""
        if self.closed:
            return
        self.closed = True
        for timer in (self._timer, *(lane.timer for lane in self.lanes.values())):
            if timer is not None:
                timer.cancel()
        for group in self._groups:
            msg = "the Poller was closed before all tasks of this as_done were taken in"
            group.stop(RuntimeError(msg))
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

    def register(self, group: Group) -> None:
        """Keep a group, to be stopped when this is closed."""
        self._groups.add(group)

    def forget(self, group: Group) -> None:
        """Keep a group no longer."""
        self._groups.discard(group)

    # --- taking in ---

    def submit(
        self, task: Task[T], outlet: Outlet, *, timeout: float, weight: float = 1.0
    ) -> Waiter:
        """Begin one wait, and return what stands for it.

        Raises:
            TypeError: that is no task.
            RuntimeError: as `running_loop`.
        """
        now = self.running_loop().time()
        key = _key_of(task)
        record = self._records.get(key)
        fresh = record is None
        if record is None:
            record = self._records[key] = self._record(key, cast("Task[object]", task), outlet, now)
        waiter = Waiter(record, cast("Task[object]", task), outlet, now, timeout, weight)
        record.waiters += (waiter,)
        self.waits += 1
        if fresh:
            self._schedule_poll(record, now + self._first_gap(record, timeout, now))
        elif record.flight is None and not record.ready and record.due > waiter.deadline:
            unasked = record.slowest is None
            self._schedule_poll(record, now + timeout * (LATEST_FIRST_POLL if unasked else 1))
        return waiter

    def _first_gap(self, record: Record, timeout: float, now: float) -> float:
        if self._pace is not None:
            silence = self._learned_gap(record, None, now)
            if silence > 0:
                record.why = "silence"
                return min(silence, timeout * LATEST_FIRST_POLL)
        phase = self._first_phase(now)
        if phase:
            # The phase of one of a crowd is its first gap, which the schedule would draw again.
            record.number = 1
            record.why = "crowd"
        return min(phase, timeout / 2)

    def _record(self, key: Hashable, task: Task[object], outlet: Outlet, now: float) -> Record:
        reading = Reading(task)
        ref = reading.ref
        course: Course[object] = Course(reading, _RULES, now, ref, age_of(ref))
        lane = self._lane_of(task, now)
        lane.pending += 1
        _report.began(course)
        return Record(key, reading, course, lane, outlet.context)

    def _lane_of(self, task: Task[object], now: float) -> Lane:
        budget: object = getattr(task, "budget", None)
        name = cast("tuple[object, ...]", budget) if budget and isinstance(budget, tuple) else ("",)
        lane = self.lanes.get(name)
        if lane is None:
            documented: object = getattr(task, "documented_rate", None)
            rate = self._rates.get(str(name[0]), self._rates.get(None))
            if rate is None:
                good = isinstance(documented, int | float) and documented > 0
                rate = cast("float", documented) if good else math.inf
            if len(self.lanes) >= _LANES:
                self._forget_idle(now)
            cost = None if self._pace is None else self._pace.schedule.poll_cost
            lane = self.lanes[name] = Lane(name, rate, cost)
            lane.budget.take_share(self._share, now)
        return lane

    def take_share(self, share: float) -> None:
        """Use only this part of every known rate, on all lanes and those to come."""
        self._share = share
        now = self.now()
        for lane in self.lanes.values():
            lane.budget.take_share(share, now)
            self._pump(lane)

    def _forget_idle(self, now: float) -> None:
        """Forget accounts that nobody asks about: a service may see a new one every minute."""
        for name, lane in list(self.lanes.items()):
            if not lane.pending and not lane.in_flight and lane.budget.idle(now) > _IDLE_SECONDS:
                if lane.timer is not None:
                    lane.timer.cancel()
                del self.lanes[name]

    def _first_phase(self, now: float) -> float:
        elapsed = now - self._at_once_since
        self._at_once = min(_AT_ONCE, self._at_once + elapsed * _AT_ONCE_PER_SECOND)
        self._at_once_since = now
        if self._at_once >= 1:
            self._at_once -= 1
            return 0.0
        self._crowd += 1
        first = 1.0
        plain = self._pace.schedule.fallback if self._pace is not None else self._schedule
        if isinstance(plain, Schedule):
            first = plain.first / (1 + plain.jitter)
        return first * (self._crowd * _GOLDEN % 1.0)

    def _found(self, key: Hashable) -> Iterator[Record]:
        if isinstance(key, TaskRef):
            accounts: set[Hashable] = {
                lane.name[1] for lane in self.lanes.values() if len(lane.name) > 1
            }
            for account in accounts:
                record = self._records.get(key_of(account, key))
                ref = record.course.ref if record is not None else None
                if record is not None and ref is not None and ref.provider == key.provider:
                    yield record
        elif key in self._records:
            yield self._records[key]

    def wake(self, key: Hashable) -> bool:
        """Make a task's next poll immediate, and return whether anybody waits for it."""
        found = list(self._found(key))
        for record in found:
            record.woken = True
            record.why = "wake"
            if record.ready:
                record.lane.join(record, next(self._sequence))
            elif record.flight is None:
                self._schedule_poll(record, min(record.due, self._soonest(record)))
        return bool(found)

    def _soonest(self, record: Record) -> float:
        """Return when a signal may poll a task: at once, but for signals in quick succession."""
        if not record.course.polls:
            return self.now()
        return max(self.now(), record.sent + _LEAST_WAKE_GAP)

    # --- polling ---

    def _schedule_poll(self, record: Record, due: float) -> None:
        record.due = due
        record.lane.due_counts.note(due, self.now())
        heapq.heappush(self._heap, (due, next(self._sequence), record))
        self._sweep()
        self._arm()

    def _sweep(self) -> None:
        """Forget due times that no longer hold, or what has left would stay until they come."""
        if len(self._heap) > 2 * len(self._records) + _STALE:
            self._heap = [entry for entry in self._heap if entry[2].holds(entry[0])]
            heapq.heapify(self._heap)

    def _arm(self) -> None:
        if self.closed or self._loop is None or not self._heap:
            return
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer_due <= due:
                return
            self._timer.cancel()
        self._timer_due = due
        self._timer = self._loop.call_at(due, self._tick, context=self._context)

    def _tick(self) -> None:
        self._timer = None
        now = self.now()
        lanes: set[Lane] = set()
        for _ in range(_BATCH):
            # A timer may fire early by the resolution of the clock.
            if not self._heap or self._heap[0][0] > now + SAME_INSTANT:
                break
            due, number, record = heapq.heappop(self._heap)
            # A record that was put off, taken forward or left has other entries, or none.
            if record.holds(due):
                if record.lane.price is not None:
                    record.lane.price.ask(now)
                record.lane.join(record, number)
                lanes.add(record.lane)
        for lane in lanes:
            self._pump(lane)
        self._arm()

    def _pump(self, lane: Lane) -> None:
        # An eager task may end while it is made, and then calls this from within itself.
        if self.closed or self._loop is None or lane.pumping:
            return
        lane.pumping = True
        if lane.timer is not None:
            lane.timer.cancel()
            lane.timer = None
        now = self._loop.time()
        while lane.line and lane.in_flight < self._concurrency:
            left = lane.budget.wait(now)
            if left > 0:
                lane.timer = self._loop.call_at(now + left, self._pump, lane, context=self._context)
                break
            record = lane.take()
            if record is not None:
                self._send(record, now, self._loop)
        lane.pumping = False

    def _send(self, record: Record, now: float, loop: asyncio.AbstractEventLoop) -> None:
        record.lane.budget.spend(now)
        record.lane.in_flight += 1
        self.lags.append(max(0.0, now - record.due))
        record.sent = now
        flight = loop.create_task(self._poll(record), context=record.context.copy())
        if not flight.done():  # an eager one may be
            record.flight = flight
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)

    async def _poll(self, record: Record) -> None:
        # An eager task begins before whoever makes it has it.
        record.flight = flight = asyncio.current_task()
        step: Step[object] | None = None
        now = self.now()
        try:
            with _report.around(record.course):
                step, now = await self._ask(record)
        finally:
            # A poll that all have left has been taken off already.
            if record.flight is flight:
                record.flight = None
                record.lane.in_flight -= 1
                if step is None and not self.closed:
                    # It was cancelled by something of its own: a failed poll like others.
                    step, now = Sleep(1.0, "error"), self.now()
                if step is not None:
                    self._settle(record, step, now)
                self._pump(record.lane)

    async def _ask(self, record: Record) -> tuple[Step[object], float]:
        """Poll once; return what follows, and the time at which that was decided."""
        reading, course = record.reading, record.course
        started = self.now()
        try:
            facts = await self._facts(reading)
        except Exception as error:  # noqa: BLE001  (which ones end the wait is a rule, not a clause)
            now = self.now()
            self.errors += 1
            if isinstance(error, RateLimited):
                record.lane.refused += 1
                record.lane.budget.refused(now, error.retry_after)
            took = 0.0 if isinstance(error, TimeoutError) else now - started
            record.slowest = max(took, record.slowest or 0.0)
            if record.error_delays is None:
                record.error_delays = _ERROR_BACKOFF.delays(self._rng)
            delay = next(record.error_delays)
            step: Step[object] = course.after_error(
                error, delay=delay, now=now, transient=reading.transient
            )
            if isinstance(step, Sleep) and step.why == "error":
                record.lane.health.failed(record)
            # An outage hits thousands of tasks: it is one warning for the account, not for each.
            first = now - record.lane.warned_at > _WARNING_GAP
            if first and isinstance(step, Sleep):
                record.lane.warned_at = now
            _report.failed(
                course,
                error,
                seconds=now - started,
                borne=isinstance(step, Sleep),
                first=first,
            )
            return step, now
        now = self.now()
        took = now - started
        record.slowest = max(took, record.slowest or 0.0)
        record.error_delays = None
        self._answered_again(record)
        try:
            delay = self._next_delay(record, facts, now)
        except Exception as error:  # noqa: BLE001  (a schedule of the caller's own)
            return Raise(course.with_evidence(error, now)), now
        before, unknown_before = course.snapshot, len(course.unknown_words)
        step = course.after_answer(facts, delay=delay, took=took, now=now)
        if len(course.unknown_words) > unknown_before:
            _report.unknown(course, facts.word)
        _report.answered(course, facts.word, seconds=took)
        if self._pace is not None:
            self._pace.learn(course, reading.kind, before, took=facts.took)
        changed = change_between(before, course.snapshot)
        if changed is not None:
            _report.changed(course, changed)
        return step, now

    def _answered_again(self, record: Record) -> None:
        """Bring forward what an outage has put off, when polls are answered again.

        Each task alone would find out only when its own backoff is over. All of them come back at
        the pace that they would have had without it, each at a random moment of one usual gap.
        """
        records = record.lane.health.answered(record)
        if records:
            self._bring_forward(iter(records))

    def _bring_forward(self, records: Iterator[Record]) -> None:
        if self._loop is None or self.closed:
            return
        some = list(islice(records, _BATCH))
        now = self._loop.time()
        for record in some:
            gap = self._usual_gap(record, now)
            if gap is None or record.ready or record.flight is not None or not record.waiters:
                continue
            due = max(now + self._draw(gap), record.sent + gap)
            if due < record.due:
                record.why = "recovery"
                self._schedule_poll(record, due)
        if some:
            self._loop.call_soon(self._bring_forward, records, context=self._context)

    def _usual_gap(self, record: Record, now: float) -> float | None:
        """Return the gap that would follow an answer now; None where only its turn would tell."""
        if self._pace is not None:
            return self._pace.gap(record.course, record.reading.kind, None, sent=now, now=now)
        if isinstance(self._schedule, Schedule):
            return self._schedule.delay(record.number, self._draw)
        return None

    async def _facts(self, reading: Reading[object]) -> Facts[object]:
        try:
            return reading.facts(await reading.task.poll())
        finally:
            self.polls += 1

    def _learned_gap(self, record: Record, facts: Facts[object] | None, now: float) -> float:
        """Return the silence before the first poll, or the gap after one that was answered."""
        pace, lane = self._pace, record.lane
        if pace is None or lane.price is None:
            return 0.0
        lane.price.move(now, rate=lane.budget.rate, waiting=len(lane.line))
        weight = max((waiter.weight for waiter in record.waiters), default=1.0)
        kind, course, price = record.reading.kind, record.course, lane.price.now

        def draw() -> float:
            if facts is None:
                return pace.silence(course, kind, price=price, weight=weight)
            return pace.gap(
                course, kind, facts.state, sent=record.sent, now=now, price=price, weight=weight
            )

        gap = draw()
        if lane.pending < _CROWD or not gap:
            return gap
        return lane.due_counts.emptier(now if facts is None else record.sent, gap, draw())

    def _next_delay(self, record: Record, facts: Facts[object], now: float) -> float:
        if self._pace is not None:
            return self._learned_gap(record, facts, now)
        schedule = self._schedule
        if isinstance(schedule, Schedule):
            number, record.number = record.number, record.number + 1
            delay = schedule.delay(number, self._draw)
            if record.lane.pending < _CROWD:
                return delay
            other = schedule.delay(number, self._draw)
            return record.lane.due_counts.emptier(record.sent, delay, other)
        if record.delays is None:
            record.delays = _endless(schedule.delays(self._rng))
        return next(record.delays)

    # --- ending ---

    def _settle(self, record: Record, step: Step[object], now: float) -> None:
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
            record.why = self._reason_of(record, step, due)
            self._schedule_poll(record, min(due, self._soonest(record)) if record.woken else due)

    def _reason_of(self, record: Record, step: Step[object], due: float) -> str:
        if record.woken:
            return "wake"
        if any(waiter.final == due for waiter in record.waiters):
            return "deadline"
        why = step.why if isinstance(step, Sleep) else "schedule"
        learned = self._pace is not None and self._pace.knows(record.reading.kind)
        return "learned" if why == "schedule" and learned else why

    def _fit(self, record: Record, waiter: Waiter, step: Sleep, now: float) -> Sleep | None:
        if waiter.final is not None and record.sent >= waiter.final - SAME_INSTANT:
            return None
        return fit(
            step,
            now=now,
            deadline=waiter.deadline,
            asked=record.sent,
            slowest=record.slowest or 0.0,
        )

    def _expire(self, waiter: Waiter, now: float, step: Sleep | None = None) -> None:
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

    def _deliver(self, waiter: Waiter, result: object, error: Exception | None) -> None:
        record = waiter.record
        if record is None:
            return
        course = record.course
        elapsed = self.now() - waiter.began
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
            unseen=course.unseen,
            why=record.why,
        )
        self._leave(waiter, error)
        waiter.outlet.put(done)

    def leave(self, waiter: Waiter) -> None:
        """Take away one waiter that nobody awaits any longer; one that has ended is none."""
        self._leave(waiter, asyncio.CancelledError())

    def _leave(self, waiter: Waiter, error: BaseException | None) -> None:
        """Take one waiter away; the last one out stops the polling."""
        record, waiter.record = waiter.record, None
        if record is None:
            return
        self.waits -= 1
        waiter.outlet.leave(waiter)
        record.waiters = tuple(other for other in record.waiters if other is not waiter)
        if not record.waiters:
            if self._records.get(record.key) is record:
                del self._records[record.key]
                record.lane.pending -= 1
                record.lane.health.left(record)
            _report.ended(record.course, error)
            flight, record.flight = record.flight, None
            if flight is not None:
                # Its place is free at once: a poll that has not begun to run never says so itself.
                flight.cancel()
                record.lane.in_flight -= 1
                if self._loop is not None and not self.closed:
                    self._loop.call_soon(self._pump, record.lane)
            self._sweep()

    def watch_deadline(self, waiter: Waiter) -> asyncio.TimerHandle | None:
        """End a wait whose last poll is not answered; polls alone end all others."""
        if self._loop is None or waiter.deadline == math.inf:
            return None
        return self._loop.call_at(
            waiter.deadline, self.reach_deadline, waiter, context=self._context
        )

    def reach_deadline(self, waiter: Waiter) -> None:
        record = waiter.record
        if record is None or self._loop is None:
            return
        now = self._loop.time()
        if record.ready and waiter.final is None:
            # It stands in line: its last poll goes before what is merely due.
            waiter.final = record.due = now
            record.why = "deadline"
            record.lane.join(record, next(self._sequence))
            self._pump(record.lane)
        limit = waiter.limit()
        if now < limit - SAME_INSTANT:
            self._loop.call_at(limit, self.reach_deadline, waiter, context=self._context)
            return
        course = record.course
        if record.flight is None:
            self._expire(waiter, now)
            return
        # The poll under way is no failed one yet for the others who wait.
        polls, error = course.polls, course.last_error
        course.polls = polls + 1
        course.last_error = RequestTimeout("a poll was still unanswered at the deadline")
        if len(record.waiters) == 1:
            _report.cut_off(course, course.last_error, seconds=now - record.sent)
        self._expire(waiter, now)
        course.polls, course.last_error = polls, error


def _key_of(task: Task[T]) -> Hashable:
    if isinstance(task, type) or not (hasattr(task, "poll") and hasattr(task, "state_of")):
        raise TypeError(
            f"cannot wait for {type(task).__name__}: "
            + how_to_wait(task, "make one of an async function with polling_task()")
        )
    key: object = getattr(task, "key", None)
    if key is None:
        return id(task)
    if not isinstance(key, Hashable):
        msg = f"the key of {task!r} must be hashable, not {type(key).__name__}"
        raise TypeError(msg)
    return key


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
