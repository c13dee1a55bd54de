"""Many waits: the public face of `PollLoop`, for any number of tasks and waiters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Callable, Hashable, Iterable, Mapping
from random import Random
from typing import Literal, Self, TypeVar, cast, overload

from asyncclient._arguments import number, seconds, text, whole_number
from asyncclient._event_loop import check_thread, running_loop
from asyncclient._learning import LearnedSchedule
from asyncclient._many.as_done import AsDone
from asyncclient._many.loop import PollLoop
from asyncclient._many.queue import Queues
from asyncclient._many.registry import key_of
from asyncclient._many.shared import Done, Receiver, SharedRecord
from asyncclient._many.stats import Kinds, PollerStats, stats_of
from asyncclient._many.steps import SharedSteps, Terms
from asyncclient._schedule import Pacing, checked_rng, checked_schedule, drawing
from asyncclient._state import Snapshot
from asyncclient._task import Task
from asyncclient._text import even_half_made, type_name
from asyncclient._waiting import Watch, callbacks_of, gaps_of, limits_of, result_of

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")


class Poller:
    """Waits for any number of tasks, with one poll a task and one budget an account.

    A task with several waiters is polled once; when the last one leaves, the polling stops. Tasks
    of one account share a budget of polls a second: the one you give, the one that the provider
    documents, or the one found by backing off when it refuses. A crowd that comes at once is spread
    out. It belongs to the event loop of its first wait. Use it as `async with Poller() as poller:`,
    or call `aclose()`.

    Args:
        rate: polls a second at most: a number for every account, or a mapping by provider
            (`{"coze": 50}`). By default the provider's documented limit, else what is found.
        concurrency: polls under way at a time for one account. Default 100.
        schedule: the gaps between polls. Default `LearnedSchedule()`, which begins as `Schedule()`
            (3 s growing to 60 s) and learns how long the tasks of each kind take.
        poll_timeout: seconds for one poll; a longer one counts as failed. Default 60.
        max_outage: seconds of nothing but failed polls of a task that are tolerated, and at least
            10 polls; with `math.inf` they are tolerated until the deadline. Default 120.
        rng: draws the jitter, so that the same seed gives the same gaps.

    Raises:
        TypeError, ValueError: an argument is not valid.
    """

    def __init__(
        self,
        *,
        rate: float | Mapping[str, float] | None = None,
        concurrency: int = 100,
        schedule: Pacing | None = None,
        poll_timeout: float = 60.0,
        max_outage: float = 120.0,
        rng: Random | None = None,
    ) -> None:
        self._limits = limits_of("wait", poll_timeout, max_outage)
        rates = _rates(rate)
        whole_number("concurrency", concurrency, least=1)
        chosen = LearnedSchedule() if schedule is None else checked_schedule(schedule)
        self._gaps = gaps_of(chosen, checked_rng(rng))
        self._draw = drawing(rng)
        self._concurrency = concurrency
        cost = None if self._gaps.learned is None else self._gaps.learned.poll_cost
        self._queues: Queues[SharedRecord] = Queues(rates, cost)
        self._kinds = Kinds(self._gaps.learned)
        self._poll_loop: PollLoop | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        self.running()
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop polling; pending waits end with a `RuntimeError`. Closing twice is harmless.

        Raises:
            RuntimeError: it belongs to another event loop.
        """
        if self._poll_loop is not None and not self._closed:
            running_loop("Poller", self._poll_loop.loop, closed=False)
        closed, self._closed = self._closed, True
        if self._poll_loop is not None and not closed:
            await self._poll_loop.close()

    async def wait(
        self,
        task: Task[T],
        *,
        timeout: float = 600.0,
        weight: float = 1.0,
        on_change: Callable[[Snapshot[T]], object] | None = None,
        on_blocked: Callable[[Snapshot[T]], object] | None = None,
        unknown: Literal["wait", "raise"] = "wait",
        on_cancel: Literal["leave", "cancel"] = "leave",
        on_timeout: Literal["leave", "cancel"] = "leave",
        poll_timeout: float | None = None,
        max_outage: float | None = None,
    ) -> T:
        """Wait for one task to end, and return the provider's typed final answer.

        Args:
            task: a provider's handle, or any `Task`.
            timeout: seconds for this wait. Default 600.
            weight: how much this wait's delay matters beside others, where the budget is short:
                4 is polled about twice as often as 1. Default 1.
            on_change: called with the snapshot at each change of word or progress, and at once with
                the last one where others wait for the task already; may be async. Polling goes on
                while it runs; at most 100 changes are kept for it, the newest. A snapshot's `polls`
                and `elapsed` count from the first wait for the task in this poller.
            on_blocked: called in the same way when the task waits for its caller; it must answer
                the task. Of several waiters the first that has one is called, once for each demand,
                and the others keep waiting. When it raises, its own wait ends, and the next one is
                called.
            unknown: `"wait"` keeps waiting at a status word in no vocabulary, `"raise"` raises.
                Default `"wait"`.
            on_cancel: `"cancel"` also cancels the remote job, where the provider can, for 5 s at
                most, and only when no one else waits for it here.
            on_timeout: the same for a wait that times out.
            poll_timeout: as the poller's, for this wait; of several for one task, the longest
                counts. Default: the poller's.
            max_outage: the same.

        Returns:
            the provider's answer to the last look.

        Raises:
            TaskFailed, TaskCancelled, TaskExpired, WaitTimeout: as in `wait_until_done`, and so are
                the errors of polls.
            TaskBlocked: only the caller can move it on, and no one who waits has an `on_blocked`.
            RuntimeError: the poller is closed, or belongs to another event loop.
        """
        polling = self.running()
        terms = self._terms(timeout, weight, unknown, poll_timeout, max_outage)
        if not (on_change is on_blocked is None and on_cancel == on_timeout == "leave"):
            callbacks = callbacks_of(on_change, on_blocked, on_cancel, on_timeout)
            return await result_of(SharedSteps(self.running, task, callbacks, terms))
        receiver = _Single(polling.loop.create_future())
        waiter = polling.submit(
            task, receiver, timeout=terms.timeout, limits=terms.limits, weight=terms.weight
        )
        polling.watch_deadline(waiter, waiter.deadline)
        del terms  # there may be a million waits
        try:
            return cast("T", (await receiver.future).value)
        finally:
            polling.leave(waiter)

    def watch(
        self,
        task: Task[T],
        *,
        timeout: float = 600.0,
        weight: float = 1.0,
        on_blocked: Callable[[Snapshot[T]], object] | None = None,
        unknown: Literal["wait", "raise"] = "wait",
        on_cancel: Literal["leave", "cancel"] = "leave",
        on_timeout: Literal["leave", "cancel"] = "leave",
        poll_timeout: float | None = None,
        max_outage: float | None = None,
    ) -> Watch[T]:
        """Follow one task: an async iterator of snapshots, one for each change of word or progress.

        It ends as the function `watch` does, and begins with the last snapshot where others wait
        for the task already. A task that several follow is polled once. Its arguments are those of
        `wait`; the timeout begins with the first step of the iteration. Leaving the loop early ends
        this wait alone.

        Raises:
            TypeError, ValueError: an argument is not valid.
        """
        key_of(task)  # what is no task is refused here, and not at the first step
        callbacks = callbacks_of(None, on_blocked, on_cancel, on_timeout)
        terms = self._terms(timeout, weight, unknown, poll_timeout, max_outage)
        return Watch(SharedSteps(self.running, task, callbacks, terms))

    # A tuple keeps the type of each task. A list that mixes types is a union for pyright, and for
    # mypy it is the last of these. By position and by name are two overloads, since mypy would say
    # of a last one that is covered by a single other that it is never reached.
    @overload
    def as_done(
        self, tasks: tuple[Task[T1], Task[T2]], *, timeout: float = 600.0
    ) -> AsDone[T1 | T2]: ...

    @overload
    def as_done(
        self, tasks: tuple[Task[T1], Task[T2], Task[T3]], *, timeout: float = 600.0
    ) -> AsDone[T1 | T2 | T3]: ...

    @overload
    def as_done(
        self, tasks: Iterable[Task[T]] | AsyncIterable[Task[T]], /, *, timeout: float = 600.0
    ) -> AsDone[T]: ...

    @overload
    def as_done(
        self, *, tasks: Iterable[Task[T]] | AsyncIterable[Task[T]], timeout: float = 600.0
    ) -> AsDone[T]: ...

    @overload
    def as_done(
        self, tasks: Iterable[Task[object]] | AsyncIterable[Task[object]], *, timeout: float = 600.0
    ) -> AsDone[object]: ...

    def as_done(
        self, tasks: Iterable[Task[object]] | AsyncIterable[Task[object]], *, timeout: float = 600.0
    ) -> AsDone[object]:
        """Wait for many tasks: an async iterator of `Done`, in the order in which they end.

        A failure is a `Done` with its `error`, not an exception. The tasks are taken in as they
        come, from any iterable or async iterable, so that a million need not be built at once.
        Leaving the loop early stops the polling of tasks that no one else waits for. With `async
        with poller.as_done(tasks) as ends:` that happens when the block ends.

        Args:
            tasks: what to wait for.
            timeout: seconds for each task, from when it was taken in. Default 600.

        Raises:
            TypeError, ValueError: an argument is not valid.
        """
        _check_source(tasks)
        return AsDone(self.running, tasks, seconds("timeout", timeout))

    def wake(self, key: Hashable) -> bool:
        """Make a task's next poll immediate, after a signal such as a webhook.

        Only the poll decides: a forged or doubled signal costs one poll, a lost one nothing.

        Args:
            key: the task's `key`, or its `TaskRef`.

        Returns:
            whether that task is waited for here.

        Raises:
            RuntimeError: its event loop runs in another thread: use `loop.call_soon_threadsafe`.
        """
        self._check_thread()
        return self._poll_loop is not None and self._poll_loop.wake(key)

    def take_share(self, share: float) -> None:
        """Use only a part of every given or documented rate, as one of several workers.

        It takes effect at once, also for accounts that are asked later. Where no limit is given or
        documented, it is found again, starting from this part of what was found so far.

        Args:
            share: more than 0 and at most 1, which restores the whole.

        Raises:
            TypeError: it is not a number.
            ValueError: it is not in that range.
            RuntimeError: its event loop runs in another thread: use `loop.call_soon_threadsafe`.
        """
        self._check_thread()
        advice = "; 1 is the whole rate"
        part = number("share", share, above=0, advice=advice)
        if part > 1:
            msg = f"share={share!r} must be at most 1{advice}"
            raise ValueError(msg)
        now = 0.0 if self._poll_loop is None else self._poll_loop.loop.time()
        self._queues.take_share(part, now)
        if self._poll_loop is not None:
            for queue in self._queues.by_name.values():
                self._poll_loop.sender.pump(queue)

    @property
    def learned(self) -> LearnedSchedule | None:
        """What is learned of how long tasks take; None where the schedule does not learn."""
        return self._gaps.learned

    def stats(self) -> PollerStats:
        """Return what it is doing.

        Raises:
            RuntimeError: its event loop runs in another thread: use `loop.call_soon_threadsafe`.
        """
        self._check_thread()
        return stats_of(self._poll_loop, self._kinds.now())

    def running(self) -> PollLoop:
        """Return what looks in the running loop: for other kinds of waits than the poller's own."""
        bound = None if self._poll_loop is None else self._poll_loop.loop
        loop = running_loop("Poller", bound, closed=self._closed)
        if self._poll_loop is None:
            self._poll_loop = PollLoop(
                loop, self._queues, self._gaps, self._draw, self._concurrency, self._limits
            )
        return self._poll_loop

    def _terms(
        self,
        timeout: float,
        weight: float,
        unknown: Literal["wait", "raise"],
        poll_timeout: float | None,
        max_outage: float | None,
    ) -> Terms:
        """Return the terms of one wait, checked."""
        limits = limits_of(
            unknown,
            self._limits.poll_timeout if poll_timeout is None else poll_timeout,
            self._limits.max_outage if max_outage is None else max_outage,
        )
        weight = number("weight", weight, above=0, advice="; 1 is usual")
        return Terms(seconds("timeout", timeout), limits, weight)

    def _check_thread(self) -> None:
        check_thread("Poller", None if self._poll_loop is None else self._poll_loop.loop)

    @even_half_made
    def __repr__(self) -> str:
        stats = stats_of(self._poll_loop, ())
        rate = sum(budget.polls_per_second for budget in stats.budgets)
        return (
            f"<Poller {'closed' if self._closed else 'open'}: {stats.pending} pending, "
            f"{stats.in_flight} in flight, {rate:.1f} polls/s, lag {stats.lag_p99 * 1000:.0f} ms>"
        )


class _Single(Receiver):
    """The end of one `wait`."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[Done[object]]) -> None:
        super().__init__()
        self.future = future

    def put(self, done: Done[object]) -> None:
        if not self.future.done():
            self.future.set_result(done)


def _check_source(tasks: object) -> None:
    if not isinstance(tasks, Iterable | AsyncIterable) or isinstance(tasks, str | bytes):
        msg = f"as_done takes an iterable of tasks, async or not, not {type_name(tasks)}"
        raise TypeError(msg)


def _rates(rate: float | Mapping[str, float] | None) -> dict[str | None, float]:
    """Return polls a second by provider; under None those of every other provider."""
    given: dict[str | None, object] = {}
    if isinstance(rate, Mapping):
        given.update(cast("Mapping[str, object]", rate))
    elif rate is not None:
        given[None] = rate
    rates: dict[str | None, float] = {}
    for provider, value in given.items():
        if provider is not None:
            text("rate: a provider", provider)
        name = "rate" if provider is None else f"rate[{provider!r}]"
        rates[provider] = number(name, value, unit="polls a second", above=0, finite=False)
    return rates
