"""The loop of any number of waits: which task is looked at, when, and how waits end.

It looks as a single wait does (`Polling`); a pending task is a record in a heap, not an asyncio
task, and a look under way is one.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import suppress
from contextvars import Context
from itertools import islice
from typing import TypeVar

from asyncclient._event_loop import running_loop
from asyncclient._http import RemoteTask, is_rate_limited, retry_after_of
from asyncclient._many.crowd import Arrivals
from asyncclient._many.inbox import Demands
from asyncclient._many.queue import Queue, Queues
from asyncclient._many.registry import Registry, key_of
from asyncclient._many.sender import CANCELLED, Sender
from asyncclient._many.shared import Receiver, SharedRecord, Waiter, ends_of, less_tolerant
from asyncclient._many.timetable import Timetable
from asyncclient._state import Snapshot
from asyncclient._task import Task
from asyncclient._waiting import (
    SAME_INSTANT,
    AskCaller,
    Gaps,
    Limits,
    Past,
    Polling,
    Report,
    Sleep,
    evidence,
    first_silence,
)

T = TypeVar("T")

_report = Report("asyncclient.poller")
# Waits that are ended, or tasks brought forward, before the event loop gets its turn.
_BATCH = 256
# Seconds. Signals are not signed: a task is looked at once in this time, also after many signals.
_LEAST_WAKE_GAP = 0.1


class PollLoop:
    """Looks at any number of tasks in one event loop, at each once for all of its waiters."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        queues: Queues[SharedRecord],
        gaps: Gaps,
        draw: Callable[[float], float],
        concurrency: int,
        limits: Limits,
    ) -> None:
        self.loop = loop
        self.queues = queues
        self.limits = limits  # the limits of waits without limits of their own
        self.receivers: set[Receiver] = set()  # stopped when this is closed
        self.errors = self.waits = 0  # looks that failed; waits that go on
        self.is_closed = False
        self._gaps = gaps
        self._draw = draw
        self._arrivals = Arrivals()
        self.registry = Registry()
        self.demands = Demands()
        # Of the timers: one sets the next, and would keep its first waiter's for ever.
        self._context = Context()
        self._timetable = Timetable(loop, self._context, self._hand_over)
        self._polling: Polling[SharedRecord] = Polling(_report, gaps, draw, _share_change)
        self.sender = Sender(loop, self._context, self._polling, concurrency, self._after_look)

    async def close(self) -> None:
        """Stop looking; pending waits end with a `RuntimeError`."""
        self.is_closed = True
        for queue in self.queues.by_name.values():
            if queue.timer is not None:
                queue.timer.cancel()
        closed = "the Poller was closed before all tasks of this as_done were taken in"
        feeds = [receiver.stop(RuntimeError(closed)) for receiver in self.receivers]
        self.sender.is_closed = True
        ending = self._end_all()
        try:
            for number, _ in enumerate(ending, 1):
                if number % _BATCH == 0:
                    await asyncio.sleep(0)  # noqa: TID251  (gives the event loop its turn)
        finally:
            for _ in ending:  # at once, where this was cancelled
                pass
            self._timetable.close()
            self._polling.close()
        await self.sender.close([feed for feed in feeds if feed is not None])

    def _end_all(self) -> Iterator[None]:
        """End all waits, since this is closed."""
        for record in [*self.registry]:
            closed = RuntimeError(
                f"{record}: the Poller was closed before the end; the task may still be running"
            )
            yield from self._ends(record, record.waiters, closed)

    # --- taking in ---

    def submit(
        self,
        task: Task[T],
        receiver: Receiver,
        *,
        timeout: float,
        limits: Limits | None = None,
        weight: float = 1.0,
        past: Past | None = None,
    ) -> Waiter:
        """Begin one wait, or go on from a past, and return its waiter."""
        running_loop("Poller", self.loop, closed=self.is_closed)
        now = self.loop.time()
        key = key_of(task)
        record = self.registry.get(key)
        fresh = record is None
        if record is None:
            # A client's handle finds its key from its ids; a caller's task may find another one.
            own_key = None if isinstance(task, RemoteTask) else key
            queue = self.queues.queue_of(task, now)
            record = SharedRecord(task, now, own_key=own_key, queue=queue)
            if past is not None:
                record.go_on_from(past)
        receiver.limits, receiver.weight = limits or self.limits, weight
        waiter = Waiter(now, timeout, record=record, task=task, receiver=receiver)
        record.add(waiter)
        if fresh:
            # If a caller's schedule raises here, nothing is left behind.
            gap = self._first_gap(record, timeout, now)
            record.queue.pending += 1
            self.registry.add(record)
            _report.began(record)
            self._timetable.put(record, now + gap, now)
        elif record.flight is None and not record.is_ready:
            latest = record.latest_look(waiter)
            if record.due > latest:
                self._timetable.put(record, latest, now)
        self.waits += 1
        return waiter

    def _first_gap(self, record: SharedRecord, timeout: float, now: float) -> float:
        # The last of the looks so far has said when this one is due.
        silence = 0.0 if record.gap_number else self._gaps.first(record)
        if silence > 0:
            record.why = "silence"
            return first_silence(silence, timeout)
        phase = self._arrivals.phase(now) * self._gaps.spread
        if phase:
            # The phase of one of a crowd is its first gap, which the schedule would draw again.
            if self._gaps.learned is None:
                record.gap_number = max(1, record.gap_number)
            record.why = "crowd"
        return min(phase, timeout / 2)

    def wake(self, key: Hashable) -> bool:
        """Make a task's next look immediate, and return whether it is waited for."""
        found = self.registry.find(key)
        for record in found:
            if record.is_woken:
                continue  # a second signal before the look changes nothing
            record.is_woken = True
            if record.flight is not None:
                continue
            record.why = "wake"
            if record.is_ready:
                record.join()
            else:
                due = min(record.due, self._soonest(record))
                self._timetable.put(record, due, self.loop.time())
        return bool(found)

    def _soonest(self, record: SharedRecord) -> float:
        """Return when a signal may cause a look: at once, but not many in a row."""
        return (
            max(self.loop.time(), record.sent + _LEAST_WAKE_GAP)
            if record.polls
            else self.loop.time()
        )

    # --- looking ---

    def _hand_over(self, due: list[SharedRecord]) -> None:
        """Put the tasks that are due into their queues."""
        now = self.loop.time()
        lines: dict[Queue[SharedRecord], None] = {}
        for record in due:
            if record.is_ready or record.first is None:
                continue  # a task that was sent before may have changed that
            queue = record.queue
            if queue.price is not None:
                queue.price.ask(now)
            if queue.line or not self.sender.send_at_once(record, record.first, now):
                record.join()
                lines[queue] = None
        for queue in lines:
            self.sender.pump(queue)

    def _after_look(
        self, record: SharedRecord, step: Sleep | None, failure: Exception | None
    ) -> None:
        """Do what follows a look: end waits, or set when the next look is due."""
        # A look that broke off counts for nothing.
        counted = step is not CANCELLED and (step is None or step.why != "left")
        try:
            if counted:
                self._note_outcome(record, step, failure)
            self._settle(record, step, failure, answered=counted and not record.failures)
        except Exception as error:  # noqa: BLE001  (an object of the caller's may raise anywhere)
            self.in_batches(self._ends(record, record.waiters, error))

    def _note_outcome(
        self, record: SharedRecord, step: Sleep | None, failure: Exception | None
    ) -> None:
        """Record what a look says about its account."""
        queue = record.queue
        if not record.failures:
            if put_off := queue.outage.answered(record):
                self.in_batches(self._bring_forward(put_off))
            return
        self.errors += 1
        record.ask_another()
        if record.last_error is not None and is_rate_limited(record.last_error):
            queue.refused += 1
            queue.budget.refused(self.loop.time(), retry_after_of(record.last_error))
        if failure is None and step is not None and step.why == "error":
            queue.outage.failed(record)

    def _bring_forward(self, records: list[SharedRecord]) -> Iterator[None]:
        """Bring forward the tasks that an outage has delayed, when looks are answered again.

        Otherwise each task would find out only after its own backoff. All of them return to their
        usual gaps, each at a random moment of one usual gap.
        """
        for record in records:
            now = self.loop.time()
            gap = self._gaps.typical(record, now)
            idle = not record.is_ready and record.flight is None and record.first is not None
            if gap is not None and idle:
                due = max(now + self._draw(gap), record.sent + gap)
                if due < record.due:
                    record.why = "recovery"
                    self._timetable.put(record, due, now)
            yield

    def in_batches(self, steps: Iterator[None]) -> None:
        """Take some steps at once, and the others in later turns of the event loop."""
        if _take(steps):
            self.loop.call_soon(self.in_batches, steps, context=self._context)

    # --- ending ---

    def _settle(
        self, record: SharedRecord, step: Sleep | None, failure: Exception | None, *, answered: bool
    ) -> None:
        """Do what follows a look: end waits, or set when the next look is due."""
        now = self.loop.time()
        if isinstance(step, AskCaller) and not self.demands.can_be_asked(record):
            failure = evidence.blocked(record, now - record.began)
        if failure is not None:
            self.in_batches(self._ends(record, record.those_with(failure), failure))
            # A failure of one waiter's own client is not a failed look for the others.
            record.failures, record.last_error = 0, None
            step = Sleep(0.0, "left")
        elif step is None:
            self.in_batches(self._ends(record, record.waiters, None))
            return
        for waiter, error in less_tolerant(record, now, answered=answered):
            self.in_batches(self._ends(record, [waiter], error))
        due, why = self._next_due(record, step, now)
        if isinstance(step, AskCaller) and not self.demands.ask(record, step):
            blocked = evidence.blocked(record, now - record.began)
            self.in_batches(self._ends(record, record.waiters, blocked))
        if record.first is not None:
            if record.is_woken:
                due, why = min(due, self._soonest(record)), "wake"
            elif why == "schedule" and self._gaps.knows(record):
                why = "learned"
            record.why = why
            self._timetable.put(record, due, now)
            for waiter in record.waiters:
                waiter.receiver.go_on(due, answered=answered)
            record.pack(now)

    def _next_due(self, record: SharedRecord, step: Sleep, now: float) -> tuple[float, str]:
        """Return when the next look is due and what decided that; end the waits without one."""
        due, why = math.inf, step.why
        for waiter in record.waiters:
            if now > waiter.deadline:
                waiter.prolong(record, record.sent, now)
            next_due = waiter.due_after(step, record, now)
            if next_due is None:
                self._expire(waiter, record)
            elif next_due < due:
                due, why = next_due, "deadline" if waiter.final == next_due else step.why
        return due, why

    def _expire(self, waiter: Waiter, record: SharedRecord) -> None:
        error = evidence.out_of_time(
            record,
            self.loop.time() - waiter.began,
            timeout=waiter.timeout,
            retry_after=waiter.refused,
        )
        self.in_batches(self._ends(record, [waiter], error))

    def _ends(
        self, record: SharedRecord, waiters: Iterable[Waiter], error: Exception | None
    ) -> Iterator[None]:
        """End waits: all at once, but for very many waits in several turns."""
        ended = [waiter for waiter in waiters if waiter.record is not None]
        for waiter in ended:
            with suppress(Exception):  # a key of the caller's own may raise
                self._take_away(waiter, error)
        for waiter, done in ends_of(record, ended, error, self.loop.time()):
            waiter.receiver.leave(waiter)
            waiter.receiver.put(done)
            yield

    def leave(self, waiter: Waiter) -> None:
        """Remove a waiter; nothing happens if its wait has ended."""
        if self._take_away(waiter, asyncio.CancelledError()):
            waiter.receiver.leave(waiter)

    def _take_away(self, waiter: Waiter, error: BaseException | None) -> bool:
        """Remove one waiter; after the last one, the looks stop. False if it had left before."""
        record, waiter.record = waiter.record, None
        if record is None:
            return False
        self.waits -= 1
        if waiter.timer is not None:
            waiter.timer.cancel()
        record.remove(waiter)
        if record.first is None:
            if self.registry.remove(record):
                record.queue.forget(record, lambda other: other.is_ready and bool(other.first))
            record.due = 0.0  # the entry of the timetable is stale now
            _report.ended(record, error)
            self.sender.break_off(record)
            self._timetable.sweep(len(self.registry))
        elif waiter.receiver.limits != record.first.receiver.limits:
            self.sender.narrow_soon(record)
        return True

    def watch_deadline(self, waiter: Waiter, when: float) -> None:
        """End a wait then if its last look is not answered; looks alone end all others."""
        if when < math.inf:
            reach, context = self.reach_deadline, self._context
            waiter.timer = self.loop.call_at(when, reach, waiter, context=context)

    def reach_deadline(self, waiter: Waiter) -> None:
        """End a wait whose deadline has come, unless its last look may still be answered."""
        record = waiter.record
        if record is None:
            return
        now = self.loop.time()
        has_stalled = waiter.prolong(record, record.looking_since, now)
        since = record.looking_since
        if has_stalled and since is not None and since < waiter.ends:
            self.sender.break_off(record)  # its answer, if it comes, is older than this
            since = None
        if since is None and (has_stalled or waiter.final is None):
            # It is in the queue, or the loop stood still: its last look goes first.
            waiter.final = record.due = now
            record.why = "deadline"
            record.join()
            # In the next turn, when a look that was broken off has come to its end.
            self.loop.call_soon(self.sender.pump, record.queue, context=self._context)
            since = now  # unless the budget keeps it in the queue, which is seen then
        limit = waiter.ends = waiter.limit(record, since)
        if now < limit - SAME_INSTANT:
            self.watch_deadline(waiter, limit)
            return
        if record.flight is not None:
            record = self._polling.cut_off(record, now, shared=record.others is not None)
        self._expire(waiter, record)


def _share_change(record: SharedRecord, snapshot: Snapshot[object]) -> None:
    for waiter in record.waiters:
        waiter.receiver.changed(snapshot)


def _take(steps: Iterator[None]) -> bool:
    """Take some steps; return whether there may be others."""
    return sum(1 for _ in islice(steps, _BATCH)) == _BATCH
