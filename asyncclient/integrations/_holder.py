"""What a worker does with a ticket when its turn comes, the same in every engine."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Protocol, TypeVar

import anyio
import msgspec

from asyncclient._arguments import number
from asyncclient._durable import (
    LONGEST_WAIT,
    Handover,
    TaskOf,
    Ticket,
    TicketExpired,
    deadline_of,
    poll_slice,
    unreadable,
    wall_clock,
)
from asyncclient._event_loop import failure_of
from asyncclient._many import Done, Poller
from asyncclient._schedule import Pacing, drawing
from asyncclient._text import text_of
from asyncclient.integrations._delivery import Delivery, Sink
from asyncclient.integrations._outcome import Outcome, outcome_of

T = TypeVar("T")

_log = logging.getLogger("asyncclient.workers")

# Seconds that a wait may be held; engines write later turns as dates.
_LONGEST_HOLD = 86_400.0
# Seconds after which what went wrong in a worker (a client that it lacks, a sink that fails) is
# tried again; up to as many are added by chance, so that a crowd does not come back together.
_TROUBLE = 15.0
# Seconds that a wait has left at least when its job was seen to end and its sink failed: its next
# turn must see that end again, and an outage as long as this is tolerated.
_SEEN_SECONDS = 120.0
# Seconds after which a store that is away is asked again: first, at most, and in all.
_AGAIN_FIRST = 0.05
_AGAIN_GAP = 2.0
AGAIN_SECONDS = 600.0
# Seconds for which a worker that is being stopped asks a store that is away.
CLOSE_SECONDS = 5.0
# Seconds between two questions whether a lost store is there, between two whether one is lost, and
# for the answer.
_READY_GAP = 0.5
_WATCH_GAP = 1.0
_READY_SECONDS = 5.0
# Seconds over which waits that come back to an engine together are spread.
_RETURN_SECONDS = 2.0


class Store(Protocol):
    """Keeps how waits ended, where all workers find it."""

    async def is_over(self, key: str) -> bool:
        """Return whether a wait has ended, or was cancelled."""
        ...

    async def claim(self, key: str) -> bool:
        """Record that the sink will be called; return false when the wait is over."""
        ...

    async def unclaim(self, key: str) -> None:
        """Record that the sink has not taken the end."""
        ...

    async def keep(self, key: str, outcome: Outcome) -> None:
        """Write down how a wait ended."""
        ...

    @abstractmethod
    async def ready(self) -> None:
        """Return at once if tickets can be kept now; raise or hang if not."""
        ...

    @abstractmethod
    async def recover(self) -> None:
        """Close connections that were made before the store was lost."""
        ...


class NextTurn(msgspec.Struct, frozen=True):
    """What an engine must keep, and for how long.

    Attributes:
        delay: seconds after which the ticket's next turn comes.
        ticket: its text.
    """

    delay: float
    ticket: str


class Holder:
    """Holds tickets for a slice each, and passes the ends of waits to the sink.

    An end counts as reported when it is in the store, which is after the sink took it: a worker
    that dies between the two has the sink called again; one that dies at another time does not.
    Before the sink is called, the store records that: from then on the wait cannot be cancelled.

    Args:
        store: where outcomes are kept.
        poller: the worker's own.
        task_of: the worker's clients by provider, or a function of the reference.
        sink: takes the ends.
        hold: seconds of a slice.
        sink_timeout: seconds for each call of the sink.
        schedule: the poller's; as for `poll_slice`.
        clock: gives the Unix time in seconds. Default `time.time`.

    Raises:
        TypeError, ValueError: an argument is not valid.
    """

    def __init__(
        self,
        store: Store,
        poller: Poller,
        task_of: TaskOf,
        sink: Sink,
        *,
        hold: float,
        sink_timeout: float = 60.0,
        schedule: Pacing | None = None,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        self._store = store
        self._clock = clock
        self._delivery = Delivery(sink, timeout=sink_timeout)
        self._hold = number("hold", hold, unit="seconds", above=0, most=_LONGEST_HOLD)
        self._poll: Callable[[Ticket], Awaitable[Done[object] | TicketExpired | Handover]] = (
            partial(
                poll_slice,
                poller,
                task_of,
                hold=self._hold,
                schedule=schedule,
                clock=clock,
            )
        )
        self._draw = drawing(None)
        self._held: dict[str, str] = {}  # what to keep of each wait if its turn fails
        self._slices: set[anyio.CancelScope] = set()
        self._returning: set[asyncio.Future[None]] = set()
        self.closing = False  # whether the worker was stopped

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncGenerator[None]:
        """Wrap an engine's work between two losses of its store, or until it is stopped.

        An engine that stops taking work waits for what it holds. It is given all of it at once
        where it is stopped; where it lost its store, as soon as that is there again, and until
        then the waits go on in this process.
        """
        self.closing = False
        self._delivery.open()
        try:
            yield
        except BaseException:
            self.close()
            raise
        else:
            returning = asyncio.ensure_future(self._return_when_ready())
            self._returning.add(returning)
            returning.add_done_callback(self._returning.discard)

    def hand_back(self, part: float) -> None:
        """Hand a part of the held waits back to the engine, for other workers."""
        for scope in list(self._slices)[: round(part * len(self._slices))]:
            scope.cancel()

    def close(self) -> None:
        """End all slices now, and begin no others: the worker is stopped."""
        self.closing = True
        self.hand_back(1)
        self._delivery.close()
        for returning in self._returning:
            returning.cancel()

    async def watch(self) -> None:
        """Watch the store until cancelled, for engines that do not report when they lose it."""
        while True:
            if not await self._is_ready():
                await self._return_when_ready()
            await anyio.sleep(_WATCH_GAP)

    async def _return_when_ready(self) -> None:
        while not await self._is_ready():  # noqa: ASYNC110  (another machine sets no event here)
            await anyio.sleep(_READY_GAP)
        await self._store.recover()
        _log.warning("the store was lost and is back: %d waits go back to it", len(self._slices))
        self.hand_back(1)

    async def take(self, key: str, text: str) -> NextTurn | None:
        """Take a ticket's turn.

        Args:
            key: the wait's.
            text: the ticket's.

        Returns:
            what to keep; None when the wait is over.
        """
        if key in self._held:
            # The engine considers the turn before lost, which only reported too late.
            return NextTurn(self._hold, text)
        self._held[key] = text
        try:
            return await self._take(key, text)
        except BaseException as error:  # noqa: BLE001  (the ticket outlives it)
            failure_of(error, "its turn")
            text = self._held[key]
            delay = self._seconds_to_next(text)
            _log.exception("%s: its turn failed, and is repeated in %.0f s", key, delay)
            return NextTurn(delay, text)
        finally:
            del self._held[key]

    async def _take(self, key: str, text: str) -> NextTurn | None:
        if await self._store.is_over(key):
            return None  # it ended or was cancelled, and the engine did not notice
        end = await self._end_of(key, text)
        if isinstance(end, NextTurn):
            return end
        ticket, done = end
        if isinstance(done, Done):
            self._held[key] = text = self._prolonged(ticket, done.polls).encode()
        # First, so that the sink is called for what can be kept.
        outcome = outcome_of(ticket, done, self._clock())
        async with self._delivery.place() as is_free:
            if not is_free:
                return NextTurn(self._seconds_to_next(text), text)
            if await self._ask_store(key, lambda: self._store.claim(key), "cannot be claimed"):
                await self._report(key, done, outcome)
        return None

    async def _end_of(
        self, key: str, text: str
    ) -> tuple[Ticket, Done[object] | TicketExpired] | NextTurn:
        """Hold a wait for a slice; return how it ended, or what to keep if it has not."""
        try:
            ticket = Ticket.decode(text)
        except ValueError as error:
            kept = unreadable(text, error, self._clock())
            if isinstance(kept, TicketExpired):
                return kept.ticket, kept
            delay = self._seconds_to_next(kept)
            _log.error("%s: its turn is repeated in %.0f s: %s", key, delay, text_of(error))
            return NextTurn(delay, kept)
        end = await self._hold_on(ticket)
        return (
            NextTurn(end.delay, end.ticket.encode()) if isinstance(end, Handover) else (ticket, end)
        )

    def _prolonged(self, ticket: Ticket, polls: int) -> Ticket:
        """Give a wait whose job has ended time to see that again."""
        deadline = min(self._clock() + _SEEN_SECONDS, ticket.started + LONGEST_WAIT)
        if ticket.deadline >= deadline:
            return ticket
        # With its polls: a wait that had an answer has a last look on its deadline.
        return msgspec.structs.replace(ticket, deadline=deadline, polls=polls)

    def _seconds_to_next(self, text: str) -> float:
        """Return the seconds after which a failed turn is repeated."""
        if self.closing:
            return 0.0
        now = self._clock()
        left = (deadline_of(text, now) or now) - now
        delay = _TROUBLE + self._draw(_TROUBLE)
        return left if 0 < left < delay else delay

    async def _report(self, key: str, end: Done[object] | TicketExpired, outcome: Outcome) -> None:
        """Call the sink with an end; if that fails, the wait can be cancelled again."""
        is_taken = False

        async def keep() -> None:
            nonlocal is_taken
            is_taken = True
            await self._ask_store(
                key, lambda: self._store.keep(key, outcome), "cannot be kept", CLOSE_SECONDS
            )

        try:
            await self._delivery.call(key, end, keep)
        except BaseException:
            if is_taken:
                raise
            with anyio.move_on_after(_READY_SECONDS, shield=True):
                try:
                    await self._store.unclaim(key)
                except Exception as error:  # noqa: BLE001  (any error of its driver)
                    _log.debug("%s: its claim stays until its next turn: %s", key, text_of(error))
            raise

    async def _hold_on(self, ticket: Ticket) -> Done[object] | TicketExpired | Handover:
        """Hold a wait for a slice, or until the store can take it back."""
        with anyio.CancelScope() as scope:
            self._slices.add(scope)
            try:
                while not self.closing:
                    end = await self._poll(ticket)
                    if not isinstance(end, Handover) or await self._is_ready():
                        return end
                    ticket = end.ticket
                    await anyio.sleep(end.delay)
            finally:
                self._slices.discard(scope)
        # It was handed back during its slice, whose polls are not counted.
        delay = 0.0 if self.closing else self._draw(_RETURN_SECONDS)
        return Handover(delay=delay, ticket=ticket)

    async def _is_ready(self) -> bool:
        with anyio.move_on_after(_READY_SECONDS):
            try:
                await self._store.ready()
            except Exception as error:  # noqa: BLE001  (any error of its driver)
                _log.debug("the store is down: %s", text_of(error))
            else:
                return True
        return False

    async def _ask_store(
        self,
        key: str,
        action: Callable[[], Awaitable[T]],
        failed: str,
        close_seconds: float = 0.0,
    ) -> T:
        """Ask the store until it answers, before the next step of an end."""

        async def ask() -> T:
            try:
                return await action()
            except Exception as error:
                _log.warning("%s: its end %s yet: %s", key, failed, text_of(error))
                raise

        def patience() -> float:
            return close_seconds if self.closing else AGAIN_SECONDS

        return await again_while_away(ask, away=Exception, patience=patience)


async def again_while_away(
    action: Callable[[], Awaitable[T]],
    *,
    away: type[Exception],
    patience: Callable[[], float],
) -> T:
    """Ask a store that may be away until it answers, and return its answer.

    Args:
        action: asks it once.
        away: what that raises while it is away; the last one is raised when patience is over.
        patience: returns for how many seconds it is asked in all. It is called after each failure:
            a worker that is being stopped has less.
    """
    delay = _AGAIN_FIRST
    began = anyio.current_time()
    while True:
        try:
            return await action()
        except away:
            if anyio.current_time() + delay > began + patience():
                raise
        await anyio.sleep(delay)
        delay = min(2 * delay, _AGAIN_GAP)
