"""Workers of one store: how many share a rate, and what they have learned. In virtual time."""

from __future__ import annotations

import asyncio
import logging
import math
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import anyio
import pytest
from hypothesis import given, strategies as st

from asyncclient import LearnedSchedule, Poller
from asyncclient._schedule import Pacing
from asyncclient.integrations._neighbours import LEARNED, SHARE, Neighbours, Shares
from tests.integrations.place import knowing
from tests.many.service import EVERY_SECOND, Item, Service, items, most_within, start_all

RATE = 60.0
# Seconds within which all know of a worker that has come, has left, or has died.
CAME, LEFT, DIED = 3.1, 6.1, 12.1


def test_a_notice_that_does_not_change_is_of_a_dead_worker() -> None:
    """A worker counts while its notice changes, and then for 6 s by the clock of who counts."""
    shares = Shares("me")
    counted: list[int] = []
    for beat in range(8):
        notices = {"me": str(beat), "other": str(min(beat, 2)), "dead before": "7"}
        counted.append(shares.count({**notices, "alive": str(beat % 2)}, 2.0 * beat))
    # "dead before" at 6 s, and "other", which changed at 4 s, at 10 s: each a count later.
    assert counted == [4, 4, 4, 4, 3, 3, 2, 2]
    assert sorted(shares.dead) == ["dead before", "other"]


def test_lost_notices_raise_no_share_at_once() -> None:
    """A store that comes back empty is filled again before a worker takes more than its share."""
    shares = Shares("me")
    full = {"me": "1", "two": "1", "three": "1"}
    assert shares.count(full, 0) == 3
    assert shares.count({}, 2) == 3
    assert shares.count({**full, "two": "2"}, 4) == 3
    assert shares.count({"me": "3"}, 6) == 3
    assert shares.count({"me": "4"}, 8) == 1


@given(
    phases=st.lists(st.floats(0, 1.99), min_size=2, max_size=6),
    comes=st.lists(st.integers(0, 30), min_size=6, max_size=6),
    goes=st.lists(st.integers(1, 40), min_size=6, max_size=6),
    silent=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_shares_never_sum_to_more_than_one(
    phases: list[float], comes: list[int], goes: list[int], silent: list[bool]
) -> None:
    """Each comes, leaves or dies at any time: those at work never have more than one rate."""
    notices: dict[str, str] = {}
    counts = {number: Shares(str(number)) for number in range(len(phases))}
    at_work: dict[int, float] = {}
    beats = sorted(
        (phase + 2 * beat, n, beat) for n, phase in enumerate(phases) for beat in range(60)
    )
    for now, number, beat in beats:
        if not comes[number] <= beat < comes[number] + goes[number]:
            at_work.pop(number, None)
            if not silent[number]:
                notices.pop(str(number), None)
            continue
        notices[str(number)] = str(beat)
        alone = not at_work and counts[number].workers == 1
        workers = counts[number].count(notices, now)
        # One that comes to others begins when all have counted it.
        if beat > comes[number] + 1 or number in at_work or (alone and workers == 1):
            at_work[number] = 1 / workers
        for dead in counts[number].dead:
            notices.pop(dead, None)
        assert sum(at_work.values()) <= 1 + 1e-9


@dataclass
class _FakeNotices:
    """One worker's way to the notices of all workers in memory, which can be cut."""

    topics: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    away: bool = False  # whether it is cut

    async def put(self, topic: str, name: str, text: str) -> None:
        (await self.read(topic))[name] = text

    async def read(self, topic: str) -> dict[str, str]:
        if self.away:
            raise ConnectionError("the store is away")
        return self.topics.setdefault(topic, {})

    async def remove(self, topic: str, names: Collection[str]) -> None:
        for name in names:
            (await self.read(topic)).pop(name, None)


@dataclass
class _Crew:
    """Workers that all have more to ask than the rate allows, until they are ended."""

    topics: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])
    service: Service = field(default_factory=Service)
    workers: dict[str, tuple[_FakeNotices, asyncio.Task[None]]] = field(
        default_factory=dict[str, tuple[_FakeNotices, asyncio.Task[None]]]
    )
    handed_back: dict[str, float] = field(default_factory=dict[str, float])

    def start(self, name: str, *, away: bool = False) -> None:
        notices = _FakeNotices(self.topics, away)
        self.workers[name] = notices, asyncio.ensure_future(self._work(name, notices))

    async def _work(self, name: str, notices: _FakeNotices) -> None:
        def hand_back(part: float) -> None:
            self.handed_back[name] = part

        async with (
            Poller(rate=RATE, schedule=EVERY_SECOND) as poller,
            Neighbours(notices, poller, hand_back, share_rate=True, share_learned=True).joined(),
        ):
            start_all(poller, items(self.service, 100, prefix=name), timeout=math.inf)
            await anyio.sleep_forever()

    def set_away(self, *, away: bool) -> None:
        """Let the store go away from all workers, or come back."""
        for notices, _ in self.workers.values():
            notices.away = away

    async def stop(self, name: str) -> None:
        """Stop a worker as a deploy does."""
        _, working = self.workers.pop(name)
        working.cancel()
        await asyncio.wait({working})

    async def kill(self, name: str) -> None:
        """End a worker that can say nothing more."""
        self.workers[name][0].away = True
        await self.stop(name)

    async def seconds(self, number: float) -> list[float]:
        """Let time pass, and return when the service was asked in it."""
        begin = anyio.current_time()
        await asyncio.sleep(number)
        return [instant for instant in self.service.sent if instant > begin]


@asynccontextmanager
async def crew_of(*names: str) -> AsyncGenerator[_Crew]:
    """Give some workers that have found each other, and stop all in the end."""
    crew = _Crew()
    try:
        for name in names:
            crew.start(name)
        await asyncio.sleep(20 if names else 0)
        yield crew
    finally:
        for name in list(crew.workers):
            await crew.stop(name)


def keeps(sent: list[float], workers: int) -> None:
    """Check that no second held more than the rate, and what one burst of each may hold."""
    assert most_within(sent, 1) <= RATE * 1.02 + workers + 1


def uses(sent: list[float], begin: float, end: float, rate: float = RATE) -> None:
    """Check that a rate was used between two instants, in seconds from the first poll."""
    seconds = [instant - sent[0] for instant in sent]
    used = sum(begin < second <= end for second in seconds)
    assert used == pytest.approx((end - begin) * rate, rel=0.02 if rate == RATE else 0.05)


@pytest.mark.parametrize("away", [False, True])
async def test_one_worker_has_the_whole_rate_at_once(*, away: bool) -> None:
    """A worker alone, or without a store, waits for no other; it counts when the store is there."""
    async with crew_of() as crew:
        crew.start("one", away=away)
        sent = await crew.seconds(10)
        assert sent[0] < 0.1
        assert len(sent) == pytest.approx(10 * RATE, rel=0.02)
        crew.set_away(away=False)
        await asyncio.sleep(5)
        assert len(crew.topics[SHARE]) == 1
        await crew.stop("one")
        assert crew.topics[SHARE] == {}


async def test_workers_that_begin_together_keep_one_rate() -> None:
    """Eight that come within half a second ask no more than one would, from the first second on."""
    async with crew_of() as crew:
        rng = Random(1)
        for number in range(8):
            crew.start(str(number))
            await asyncio.sleep(rng.uniform(0, 0.1))
        await asyncio.sleep(20)
        keeps(crew.service.sent, 8)
        assert len(await crew.seconds(10)) == pytest.approx(10 * RATE, rel=0.02)


async def test_a_newcomer_gets_its_part_when_the_others_have_made_room() -> None:
    """Two more come: the sum never exceeds the rate, and is back at it as soon as they begin."""
    async with crew_of("one") as crew:
        crew.start("two")
        crew.start("three")
        sent = await crew.seconds(20)
        keeps(sent, 3)
        uses(sent, CAME, 20)
        assert crew.handed_back == {"one": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("end", "silent", "taken"),
    [(_Crew.stop, 2, LEFT), (_Crew.kill, 5, DIED)],
    ids=["stopped", "killed"],
)
async def test_what_a_worker_leaves_is_taken_by_the_others(
    end: Callable[[_Crew, str], Awaitable[None]], silent: float, taken: float
) -> None:
    """Two counts after it has left, or its notice has not changed for 6 s, others have its part."""
    async with crew_of("one", "two", "three") as crew:
        await end(crew, "three")
        assert len(crew.topics[SHARE]) == (2 if end is _Crew.stop else 3)
        sent = await crew.seconds(30)
        keeps(sent, 3)
        uses(sent, 0, silent, RATE * 2 / 3)
        uses(sent, taken, 30)
        assert len(crew.topics[SHARE]) == 2


@pytest.mark.parametrize("lost", [False, True], ids=["kept", "lost"])
async def test_an_outage_of_the_store_changes_no_share(
    caplog: pytest.LogCaptureFixture, *, lost: bool
) -> None:
    """While no worker hears of another, all go on as they were, and afterwards as well."""
    async with crew_of("one", "two", "three") as crew:
        crew.set_away(away=True)
        before = await crew.seconds(30)
        crew.set_away(away=False)
        if lost:
            crew.topics.clear()
        after = await crew.seconds(30)
        for sent in (before, after):
            keeps(sent, 3)
            assert len(sent) == pytest.approx(30 * RATE, rel=0.02)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 3  # one of each worker, though each has failed a dozen times


async def test_the_poller_is_given_back_whole() -> None:
    """After its work a poller has its whole rate again, for any other use."""
    notices = _FakeNotices({SHARE: {"other": "1"}})
    async with Poller(rate=RATE, schedule=EVERY_SECOND) as poller:
        async with Neighbours(
            notices, poller, print, share_rate=True, share_learned=False
        ).joined():
            assert await poller.wait(Item(Service(), ends=0)) == "done"
            assert poller.stats().budgets[0].rate == RATE / 2
        assert poller.stats().budgets[0].rate == RATE


@asynccontextmanager
async def exchanging(notices: _FakeNotices, schedule: Pacing) -> AsyncGenerator[None]:
    """Be a worker with such a schedule."""
    async with (
        Poller(schedule=schedule) as poller,
        Neighbours(notices, poller, print, share_rate=False, share_learned=True).joined(),
    ):
        yield


async def test_a_new_worker_knows_at_once_what_the_others_do() -> None:
    """Before its first wait it has what they put up last; they have what it saw a minute later."""
    notices = _FakeNotices()
    old, new = knowing(), LearnedSchedule()
    async with exchanging(notices, old), exchanging(notices, new):
        assert new.sample_size("fake.item") == 100
        for _ in range(20):
            new.observe(30, kind="fake.item")
        await asyncio.sleep(121)
        assert old.sample_size("fake.item") == new.sample_size("fake.item") == 120


async def test_one_poller_is_one_worker() -> None:
    """A worker that works again with its poller does not take its own state for another's."""
    notices = _FakeNotices()
    schedule = knowing()
    async with Poller(schedule=schedule) as poller:
        for _ in range(3):
            one = Neighbours(notices, poller, print, share_rate=True, share_learned=True)
            async with one.joined():
                assert schedule.sample_size("fake.item") == 100
    assert len(notices.topics[LEARNED]) == 1


async def test_the_notices_stay_small() -> None:
    """The latest of 16 workers are kept, for a day, at under half a kilobyte for each kind."""
    notices = _FakeNotices({LEARNED: {"long ago": f"1 {b64encode(knowing().to_bytes()).decode()}"}})
    for number in range(20):
        async with exchanging(notices, knowing(times=100 + number)):
            pass
    async with exchanging(notices, LearnedSchedule()):
        kept = notices.topics[LEARNED]
        assert "long ago" not in kept
        assert len(kept) == 16
        assert all(len(text) < 512 for text in kept.values())


async def test_what_cannot_be_read_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Another version's state, or garbage, is one warning, and keeps none from the rest."""
    notices = _FakeNotices()
    later = b"ACLS\x63" + knowing().to_bytes()[5:]
    async with exchanging(notices, knowing()):
        now = next(iter(notices.topics[LEARNED].values())).split()[0]
        notices.topics[LEARNED] |= {
            "newer": f"{now} {b64encode(later).decode()}",
            "garbage": f"{now} ~~~",
            "none": "",
            "huge": "9" * 5000,
        }
        new = LearnedSchedule()
        async with exchanging(notices, new):
            assert new.sample_size("fake.item") == 100
            await asyncio.sleep(300)
    logged = [record.getMessage() for record in caplog.records if "cannot be read" in record.msg]
    assert logged[0] == "what 2 of 3 other workers have learned cannot be read: another version's?"
    assert len(logged) == 2  # each of the two workers once


@pytest.mark.parametrize("schedule", [EVERY_SECOND, LearnedSchedule()], ids=["plain", "new"])
async def test_a_schedule_that_has_learned_nothing_puts_up_nothing(schedule: Pacing) -> None:
    """There is nothing to exchange."""
    notices = _FakeNotices()
    async with exchanging(notices, schedule):
        await asyncio.sleep(100)
    assert not notices.topics.get(LEARNED)
