"""What all engines do in the same way with durable waits, on the few operations of their stores."""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

from asyncclient._arguments import number, text_line, whole_number
from asyncclient._durable import (
    LONGEST_WAIT,
    TaskOf,
    Ticket,
    deadline_of,
    unknown,
    wall_clock,
)
from asyncclient._many import Poller
from asyncclient._ref import TaskRef
from asyncclient._schedule import Pacing
from asyncclient.integrations._delivery import Sink
from asyncclient.integrations._holder import Holder, NextTurn, Store
from asyncclient.integrations._neighbours import Neighbours, Notices
from asyncclient.integrations._outcome import Outcome

_log = logging.getLogger("asyncclient.workers")

# Texts in place of an outcome: before the sink has the end, and while it handles it.
PENDING = ""
_CLAIMED = '"at the sink"'
_WITHOUT_OUTCOME = (None, PENDING, _CLAIMED)
# Seconds for which these are kept: a wait that is pending puts an outcome in their place before.
_MARK_SECONDS = 30 * 86_400.0
# Seconds after which a process that only submits puts a wait back; after the wait's deadline, a
# part of the time since then: a wait without a worker gets fewer and fewer turns.
_NOT_HERE = 5.0
_NOT_HERE_PART = 0.1
# Seconds. The waits of a dead worker must not be away for longer.
_LONGEST_REDELIVERY = 86_400.0


class DurableWaits(Store, ABC):
    """Durable waits, by key: submitted and read anywhere, held in workers.

    `concurrency` and `keep` are those of the engine's class; `owns_store` says whether it is opened
    and closed with these waits.
    """

    def __init__(self, *, concurrency: int, keep: float, owns_store: bool) -> None:
        whole_number("concurrency", concurrency, least=1)
        self._concurrency = concurrency
        self._keep_seconds = number("keep", keep, unit="seconds", above=0, most=LONGEST_WAIT)
        self._owns_store = owns_store
        self._has_put_back = False

    async def __aenter__(self) -> Self:
        if self._owns_store:
            await self._connection().__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._owns_store:
            await self._connection().__aexit__(kind, error, traceback)

    # --- anywhere ---

    async def submit(self, ref: TaskRef, *, key: str, timeout: float = 86_400.0) -> bool:
        """Keep a wait until its task ends. The same key twice is one wait.

        Args:
            ref: a handle's `ref`.
            key: your own, like an order's number. It identifies the wait, not the task: one line of
                at most 256 characters.
            timeout: seconds for the whole wait, at most ten years. Default one day.

        Returns:
            whether it is new: false when such a wait is pending, or has an outcome.

        Raises:
            TypeError, ValueError: an argument is not valid; nothing is kept.
        """
        return bool(await self._add({_checked_key(key): Ticket.begin(ref, timeout=timeout)}))

    async def submit_many(
        self, refs: Mapping[str, TaskRef], *, timeout: float = 86_400.0
    ) -> list[str]:
        """Keep many waits, with few calls to the store.

        Args:
            refs: references by key, both as for `submit`.
            timeout: seconds for each whole wait, at most ten years. Default one day.

        Returns:
            the keys that are new.

        Raises:
            TypeError, ValueError: an argument is not valid; then none is kept.
        """
        for key in refs:
            _checked_key(key)
        return await self._add(
            {key: Ticket.begin(ref, timeout=timeout) for key, ref in refs.items()}
        )

    async def cancel(self, key: str) -> bool:
        """Cancel a wait: the sink is not called for it, and the task itself goes on.

        Args:
            key: the wait's.

        Returns:
            whether it is cancelled. False when there is no such wait, when it has ended, or when
            the sink handles its end already, which is not interrupted.
        """
        text = await self._pending(_checked_key(key))
        if text is None:
            return False
        try:
            ticket = Ticket.decode(text)
        except ValueError:
            ticket = unknown(wall_clock())
        # First the mark that every turn checks before it calls the sink, so that none calls it.
        if not await self._swap(key, PENDING, Outcome.called_off(ticket).encode()):
            return False
        await self._drop(key)
        return True

    async def outcome(self, key: str) -> Outcome | None:
        """Return how a wait ended; None when it has not ended, or its outcome is no longer kept."""
        text = await self._read(_checked_key(key))
        return None if text in _WITHOUT_OUTCOME else Outcome.decode(text)

    async def ticket(self, key: str) -> Ticket | None:
        """Return a pending wait's ticket, as of its last hand-over; None when none is pending."""
        text = await self._pending(_checked_key(key))
        if text is None or await self.is_over(key):
            return None
        return Ticket.decode(text)

    async def keep(self, key: str, outcome: Outcome) -> None:
        """Write down how a wait ended, as a worker does after its sink.

        An outcome that is there already is not replaced.
        """
        _checked_key(key)
        text = outcome.encode()
        found: str | None = _CLAIMED  # by the worker that calls this; looked at only where not
        while found in _WITHOUT_OUTCOME:
            if await self._swap(key, found, text):
                return
            found = await self._read(key)
        _log.debug("%s: its outcome was kept before", key)

    # --- for a worker's turns ---

    async def is_over(self, key: str) -> bool:
        """Return whether a wait has an outcome."""
        return await self._read(key) not in _WITHOUT_OUTCOME

    async def claim(self, key: str) -> bool:
        """Record that a wait's end goes to the sink; return false when it has an outcome.

        An older claim is of a worker that died, or that the engine considers dead.
        """
        found: str | None = PENDING  # as it is but for a worker that died
        while found in {None, PENDING}:
            if await self._swap(key, found, _CLAIMED):
                return True
            found = await self._read(key)
        return found == _CLAIMED

    async def unclaim(self, key: str) -> None:
        """Record that the sink no longer handles a wait's end, and has not taken it."""
        await self._swap(key, _CLAIMED, PENDING)

    async def put_back(self, key: str, text: str) -> NextTurn | None:
        """Take a ticket's turn in a process that only submits, without poller and sink.

        Only a worker can call a sink, so the wait is kept until one comes.
        """
        with contextlib.suppress(Exception):  # it is kept also while the store is away
            if await self.is_over(key):
                return None  # it was cancelled, and the engine did not notice
        _log.log(
            logging.DEBUG if self._has_put_back else logging.ERROR,
            "%s: this process only submits waits, and puts them back for one that runs work() (on"
            " docket, also a worker with task()): %r",
            key,
            self,
        )
        self._has_put_back = True
        now = wall_clock()
        over = now - (deadline_of(text, now) or now)
        return NextTurn(max(_NOT_HERE, _NOT_HERE_PART * over), text)

    # --- in a worker ---

    async def work(
        self,
        poller: Poller,
        task_of: TaskOf,
        sink: Sink,
        *,
        hold: float = 60.0,
        schedule: Pacing | None = None,
        name: str | None = None,
        redelivery: float = 30.0,
        sink_timeout: float = 60.0,
        share_rate: bool = True,
        share_learned: bool = True,
    ) -> None:
        """Work until cancelled; then hand all waits back, so that other workers continue them.

        Args:
            poller: this worker process's.
            task_of: its clients by provider, `{"coze": coze, "copyai": copyai}`, or a function
                from a reference to its task.
            sink: an async function of a key and its wait's end, `Done` or `TicketExpired`. It is
                called at least once; while it raises, it is called again every 15 to 30 s.
            hold: seconds for which a wait is held before it is handed back, at most a day. Default
                60.
            schedule: the poller's, where it was given one.
            name: the worker's name in the engine and its logs, different for each worker. Default:
                the engine's choice.
            redelivery: seconds after which the waits of a killed worker go to others. A living
                worker reports four times in that time. At most a day. Default 30.
            sink_timeout: seconds that the sink may take for one end, at most an hour. A longer call
                is cancelled and made again later, like one that raises. A worker that is stopped
                gives it 2 s. Default 60.
            share_rate: whether the poller uses only an equal share of every given or documented
                rate, by the number of living workers. A new worker begins 3 s later, when the
                others have made room. Default True.
            share_learned: whether workers exchange once a minute what they have learned about how
                long tasks take. Default True.

        Raises:
            TypeError, ValueError: an argument is not valid.
        """
        holder = Holder(
            self, poller, task_of, sink, hold=hold, sink_timeout=sink_timeout, schedule=schedule
        )
        after = number("redelivery", redelivery, unit="seconds", above=0, most=_LONGEST_REDELIVERY)
        neighbours = Neighbours(
            self._notices(),
            poller,
            holder.hand_back,
            share_rate=share_rate,
            share_learned=share_learned,
        )
        async with neighbours.joined():
            await self._serve(holder, name, after)

    # --- what an engine is to have ---

    @abstractmethod
    def _connection(self) -> AbstractAsyncContextManager[object]:
        """Return the context manager that opens the store and closes it."""

    @abstractmethod
    async def _add(self, tickets: Mapping[str, Ticket]) -> list[str]:
        """Keep tickets whose keys are neither pending nor have an outcome; return those keys."""

    @abstractmethod
    async def _pending(self, key: str) -> str | None:
        """Return the text of a pending ticket; None when there is none."""

    @abstractmethod
    async def _drop(self, key: str) -> None:
        """Take a pending ticket out of the engine, and end the turn that holds it."""

    @abstractmethod
    async def _read(self, key: str) -> str | None:
        """Return what is kept of a wait's end, `PENDING` before it; None when nothing is kept."""

    @abstractmethod
    async def _swap(self, key: str, before: str | None, after: str) -> bool:
        """Replace one text of a wait's end by another; return whether the old one was there."""

    def _seconds_kept(self, text: str) -> float:
        """Return for how many seconds a text of a wait's end is kept."""
        return self._keep_seconds if text not in _WITHOUT_OUTCOME else _MARK_SECONDS

    @abstractmethod
    async def _serve(self, holder: Holder, name: str | None, redelivery: float) -> None:
        """Give the holder its turns until cancelled, then let it hand back its waits."""

    @abstractmethod
    def _notices(self) -> Notices:
        """Return where the store's workers leave notices for each other."""


def _checked_key(key: object) -> str:
    """Return the key of a wait, checked."""
    return text_line("key", key, "key")
