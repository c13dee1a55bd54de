"""What the workers of one store exchange: that they are alive, and what they have learned.

Each worker writes a notice, which the engine keeps, and reads those of the others. A poll makes no
request to the store: a worker keeps to its share of every rate by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping
from typing import Protocol
from uuid import uuid4
from weakref import WeakKeyDictionary

import anyio

from asyncclient._durable import wall_clock
from asyncclient._learning import LearnedSchedule
from asyncclient._many import Poller
from asyncclient._text import text_of

_log = logging.getLogger("asyncclient.workers")

SHARE = "share"
LEARNED = "learned"

# Seconds after which a worker renews its notice, and counts the others.
_COUNT_GAP = 2.0
# Seconds after which a worker with an unchanged notice counts as dead.
_LEASE = 6.0
# Seconds after which a new worker begins: by then the others have made room.
_ROOM_SECONDS = 3.0
# Seconds after which what was learned is put up again, for which it is kept, and of how many
# workers: those that were stopped leave theirs to the next.
_LEARNED_GAP = 60.0
_LEARNED_SECONDS = 86_400
_LEARNED_WORKERS = 16
# Seconds that the store may take for one request.
_STORE_SECONDS = 5.0
_EMPTY = LearnedSchedule().to_bytes()


class Notices(Protocol):
    """Keeps a short text of each worker, by topic, where all workers read it."""

    async def put(self, topic: str, name: str, text: str) -> None:
        """Put up a worker's text in place of its last."""
        ...

    async def read(self, topic: str) -> Mapping[str, str]:
        """Return the texts of all workers by their names."""
        ...

    async def remove(self, topic: str, names: Collection[str]) -> None:
        """Take the texts of some workers away."""
        ...


class Shares:
    """Counts the workers that share a rate, by their notices. No clock, no I/O.

    A worker is alive while its notice changes, by the reader's own clock: the clocks of two
    machines are never compared. A new worker counts at once; a missing one after two counts in a
    row. So lost or late notices make no share larger.

    Args:
        name: the worker's own.

    Attributes:
        workers: among how many a rate is shared.
        dead: those whose notices may be taken away.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        # Each worker's notice, and when it was first read.
        self._seen: dict[str, tuple[str, float]] = {}
        self._before: int | None = None
        self.workers = 1
        self.dead: list[str] = []

    def count(self, notices: Mapping[str, str], now: float) -> int:
        """Return among how many a rate is shared.

        Args:
            notices: each worker's, which is another one each time that it is put up.
            now: the caller's clock in seconds.
        """
        seen: dict[str, tuple[str, float]] = {}
        for name, text in notices.items():
            before = self._seen.get(name)
            seen[name] = before if before is not None and before[0] == text else (text, now)
        self._seen = seen
        others = seen.keys() - {self._name}
        self.dead = [name for name in others if now - seen[name][1] >= _LEASE]
        workers = 1 + len(others) - len(self.dead)
        self.workers = max(workers, self._before or workers)
        self._before = workers
        return self.workers


# Shares and learned data belong to a poller: two workers with one poller count as one.
_names: WeakKeyDictionary[Poller, str] = WeakKeyDictionary()


class Neighbours:
    """Keeps a worker's poller to its share, and exchanges learned data, while it works.

    Args:
        notices: where all workers put up theirs.
        poller: the worker's own.
        hand_back: hands a part of the worker's waits back to the engine.
        share_rate: whether it uses only its share of every given or documented rate.
        share_learned: whether it publishes what it has learned, and reads what others have.
    """

    def __init__(
        self,
        notices: Notices,
        poller: Poller,
        hand_back: Callable[[float], None],
        *,
        share_rate: bool,
        share_learned: bool,
    ) -> None:
        self._notices = notices
        self._hand_back = hand_back
        self._poller = poller
        self._share_rate = share_rate
        self._learned = poller.learned if share_learned else None
        self._name = _names.setdefault(poller, uuid4().hex[:12])
        self._shares = Shares(self._name)
        self._at_work = False
        self._beats = 0
        self._unreadable = 0
        self._failing = False

    @contextlib.asynccontextmanager
    async def joined(self) -> AsyncGenerator[None]:
        """Wrap a worker's work: before it, the others make room; after it, they take over."""
        beside: list[asyncio.Future[None]] = []
        try:
            if self._learned is not None:
                await self._attempt(self._exchange)
                beside.append(asyncio.ensure_future(self._repeat(self._exchange, _LEARNED_GAP)))
            if self._share_rate:
                await self._attempt(self._count)
                if self._shares.workers > 1:
                    await anyio.sleep(_ROOM_SECONDS)
                    await self._attempt(self._count)
                beside.append(asyncio.ensure_future(self._repeat(self._count, _COUNT_GAP)))
            self._at_work = True
            yield
        finally:
            for task in beside:
                task.cancel()
            with anyio.CancelScope(shield=True):
                if beside:
                    await asyncio.wait(beside)
                if self._learned is not None:
                    await self._attempt(self._put_up)
                if self._share_rate:
                    await self._attempt(self._leave)
                    self._poller.take_share(1)

    async def _repeat(self, action: Callable[[], Awaitable[None]], gap: float) -> None:
        while True:
            await anyio.sleep(gap)
            await self._attempt(action)

    async def _attempt(self, action: Callable[[], Awaitable[None]]) -> None:
        """Ask the store; if it fails, the next time will do."""
        try:
            with anyio.fail_after(_STORE_SECONDS):
                await action()
        except Exception as error:  # noqa: BLE001  (its driver may raise anything)
            # Until the store is there again, shares do not change.
            level = logging.DEBUG if self._failing else logging.WARNING
            _log.log(level, "the other workers' notices cannot be read now: %s", text_of(error))
            self._failing = True
        else:
            self._failing = False

    # --- one rate ---

    async def _count(self) -> None:
        """Report that this worker is alive, count all workers, and take its share."""
        self._beats += 1
        await self._notices.put(SHARE, self._name, str(self._beats))
        notices = await self._notices.read(SHARE)
        before, workers = self._shares.workers, self._shares.count(notices, anyio.current_time())
        if workers != before:
            _log.info("%d workers instead of %d now share each rate", workers, before)
            self._poller.take_share(1 / workers)
        if workers > before and self._at_work:
            # New workers get their part of the waits when they begin; otherwise their part of the
            # rate would be unused until slices end.
            part = 1 - before / workers
            asyncio.get_running_loop().call_later(_ROOM_SECONDS, self._hand_back, part)
        if self._shares.dead:
            await self._notices.remove(SHARE, self._shares.dead)

    async def _leave(self) -> None:
        await self._notices.remove(SHARE, [self._name])

    # --- what was learned ---

    async def _exchange(self) -> None:
        """Publish what this worker has seen itself, and read what the others have."""
        await self._put_up()
        if self._learned is None:
            return
        states: list[tuple[int, str, bytes]] = []
        for name, text in (await self._notices.read(LEARNED)).items():
            put_up_at, _, state = text.partition(" ")
            at = int(put_up_at) if re.fullmatch(r"[0-9]{1,12}", put_up_at) else 0
            states.append((at, name, _bytes_of(state)))
        states.sort(reverse=True)
        oldest = wall_clock() - _LEARNED_SECONDS
        kept = [state for state in states if state[0] > oldest][:_LEARNED_WORKERS]
        others = [state for _, name, state in kept if name != self._name]
        unreadable = len(others) - self._learned.merge(others)
        if unreadable != self._unreadable and unreadable:
            _log.warning(
                "what %d of %d other workers have learned cannot be read: another version's?",
                unreadable,
                len(others),
            )
        self._unreadable = unreadable
        if forgotten := [name for _, name, _ in states[len(kept) :]]:
            await self._notices.remove(LEARNED, forgotten)

    async def _put_up(self) -> None:
        state = _EMPTY if self._learned is None else self._learned.to_bytes()
        if state != _EMPTY:
            text = f"{wall_clock():.0f} {b64encode(state).decode()}"
            await self._notices.put(LEARNED, self._name, text)


def _bytes_of(text: str) -> bytes:
    """Return the data of a notice; empty bytes, which are no state, if it is garbage."""
    try:
        return b64decode(text, validate=True)
    except ValueError:
        return b""
