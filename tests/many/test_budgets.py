"""One budget an account: the rate is kept, used up, shared out, and found where it is not known."""

from __future__ import annotations

import asyncio
import math

import anyio
import pytest

from asyncclient import Poller, Schedule
from asyncclient.errors import RateLimited, WaitTimeout
from tests.many.service import (
    Item,
    Service,
    gave_up,
    items,
    job,
    most_within,
    sent_by,
    start,
    start_all,
)
from tests.waiting.scenario import Job

EVERY_SECOND = Schedule(first=1, factor=1, cap=1, jitter=0)
# What the budget may catch up in one stretch, as a share of a second.
SLACK = 0.02


async def run_short(poller: Poller, tasks: list[Item], seconds: float) -> None:
    """Wait for tasks that never end, for so many seconds."""
    waits = start_all(poller, tasks, timeout=math.inf)
    await asyncio.sleep(seconds)
    for wait in waits:
        wait.cancel()
    await asyncio.wait(waits)


@pytest.mark.parametrize("given", ["number", "mapping", "documented"])
@pytest.mark.parametrize("rate", [4.0, 50.0])
async def test_the_rate_is_kept_and_used(given: str, rate: float) -> None:
    """Where polls are always due, no five seconds hold more than the rate, and none less."""
    service = Service("acme", documented_rate=rate if given == "documented" else None)
    choices: dict[str, float | dict[str, float] | None] = {
        "number": rate,
        "mapping": {"acme": rate, "other": 1.0},
        "documented": None,
    }
    rates = choices[given]
    async with Poller(rate=rates, schedule=EVERY_SECOND) as poller:
        await run_short(poller, items(service, 300), 60)
        assert poller.stats().budgets[0].rate == rate
    assert most_within(service.sent, 5) <= math.ceil(rate * (5 + SLACK)) + 1
    busy = [instant for instant in service.sent if 1 < instant <= 51]
    assert len(busy) >= 50 * rate - 1


async def test_what_is_given_beats_what_is_documented() -> None:
    """A rate of the caller's own stands over the provider's documented one."""
    service = Service("acme", documented_rate=1.0)
    async with Poller(rate={"acme": 20}, schedule=EVERY_SECOND) as poller:
        await run_short(poller, items(service, 100), 20)
    assert len(service.sent) == pytest.approx(400, rel=0.03)


async def test_a_mapping_leaves_the_others_alone() -> None:
    """A mapping limits only the providers that it names."""
    named, other = Service("named"), Service("other")
    async with Poller(rate={"named": 5}, schedule=EVERY_SECOND) as poller:
        await asyncio.gather(
            run_short(poller, items(named, 50), 20),
            run_short(poller, items(other, 50, prefix="other"), 20),
        )
    assert len(named.sent) <= 102
    assert len(other.sent) >= 950


async def test_no_rate_polls_by_the_schedule_alone() -> None:
    """Where no limit is known, every poll goes out when it is due."""
    service = Service()
    async with Poller(schedule=EVERY_SECOND) as poller:
        await run_short(poller, items(service, 500), 20)
        assert poller.stats().lag_p99 == 0
        assert poller.stats().budgets[0].rate == math.inf
    assert len(service.sent) >= 500 * 19


@pytest.mark.parametrize("retry_after", [None, 2.0], ids=["silent", "retry-after"])
async def test_a_limit_is_found(retry_after: float | None) -> None:
    """Under a limit that no one has said, it soon sends near that many and is seldom refused."""
    service = Service(limit=20, retry_after=retry_after)
    async with Poller(schedule=EVERY_SECOND) as poller:
        await run_short(poller, items(service, 200), 180)
    late = [instant for instant in service.sent if instant > 60]
    refused = [instant for instant in service.refused if instant > 60]
    answered = (len(late) - len(refused)) / 120
    assert 13 <= answered <= 20
    assert len(refused) <= 0.1 * len(late)


async def test_a_found_limit_is_outgrown() -> None:
    """When the provider's limit rises, so does what is sent."""
    service = Service(limit=10)
    async with Poller(schedule=EVERY_SECOND) as poller:
        running = start(run_short(poller, items(service, 100), 240))
        await asyncio.sleep(60)
        service.limit = math.inf
        await running
    assert len([instant for instant in service.sent if instant > 200]) >= 39 * 50


async def test_a_refusal_pauses_the_whole_account() -> None:
    """After a 429 that asks for ten seconds no task of that account is polled before."""
    service = Service(limit=30, retry_after=10.0)
    async with Poller(schedule=EVERY_SECOND) as poller:
        await run_short(poller, items(service, 40), 60)
    first = service.refused[0]
    assert [instant for instant in service.sent if first < instant < first + 10 - 1e-6] == []


async def test_one_account_does_not_pause_another() -> None:
    """A provider that refuses everything leaves the polls of another on time."""
    bad, good = Service("bad", limit=0, retry_after=30.0), Service("good")
    async with Poller(schedule=EVERY_SECOND) as poller:
        await asyncio.gather(
            run_short(poller, items(bad, 50), 30),
            run_short(poller, items(good, 5, prefix="good"), 30),
        )
    assert len(good.sent) >= 5 * 29


async def test_accounts_of_one_provider_have_budgets_of_their_own() -> None:
    """Two accounts of one provider are not counted together."""
    one, two = Service("acme"), Service("acme")
    two.budget = ("acme", "another account")
    async with Poller(rate={"acme": 5}, schedule=EVERY_SECOND) as poller:
        await asyncio.gather(
            run_short(poller, items(one, 30), 20),
            run_short(poller, items(two, 30, prefix="two"), 20),
        )
        assert len(poller.stats().budgets) == 2
    assert len(one.sent) == pytest.approx(100, abs=2)
    assert len(two.sent) == pytest.approx(100, abs=2)


async def test_hanging_requests_do_not_delay_another_provider() -> None:
    """A thousand requests that hang at one provider cost another not a millisecond."""
    stuck, quick = Service("stuck", latency=math.inf), Service("quick")
    async with Poller(schedule=EVERY_SECOND) as poller:
        waits = start_all(poller, items(stuck, 1000), timeout=120)
        await asyncio.sleep(5)
        outcomes = await asyncio.gather(
            *start_all(poller, [Item(quick, f"quick-{number}", 20) for number in range(5)])
        )
        assert [outcome.elapsed for outcome in outcomes] == pytest.approx([15] * 5, abs=1)
        assert all([await gave_up(wait) for wait in waits])
    assert anyio.current_time() < 131


@pytest.mark.parametrize("concurrency", [1, 7, 100])
async def test_concurrency_is_bounded(concurrency: int) -> None:
    """Never more polls of an account are under way than allowed, and just as many when due."""
    service = Service(latency=0.5)
    async with Poller(concurrency=concurrency, schedule=EVERY_SECOND) as poller:
        await run_short(poller, items(service, 400), 20)
    assert service.most_in_flight == concurrency
    assert len(service.sent) >= concurrency * 2 * 18


async def test_an_answer_makes_room_at_once() -> None:
    """With one place, the next poll goes out at the moment the last one is answered."""
    service = Service(latency=0.25)
    async with Poller(concurrency=1, schedule=EVERY_SECOND) as poller:
        await run_short(poller, items(service, 10), 10)
    pairs = zip(service.sent, service.sent[1:], strict=False)
    assert {round(after - before, 6) for before, after in pairs} == {0.25}


@pytest.mark.parametrize("crowd", [40, 200])
@pytest.mark.parametrize("weight", [4.0, 0.25])
async def test_weight_shares_a_short_budget(weight: float, crowd: int) -> None:
    """However short the budget, four times the weight is polled about twice as often."""
    service = Service()
    usual, other = items(service, crowd), items(service, crowd, prefix="other")
    async with Poller(rate=5, schedule=Schedule(first=2, factor=1, cap=2)) as poller:
        waits = start_all(poller, usual, timeout=math.inf)
        waits += start_all(poller, other, timeout=math.inf, weight=weight)
        await asyncio.sleep(2000)
        for wait in waits:
            wait.cancel()
    assert len(sent_by(other)) / len(sent_by(usual)) == pytest.approx(math.sqrt(weight), rel=0.4)


async def test_weight_changes_nothing_where_there_is_room() -> None:
    """With budget enough, everyone is polled by the schedule, whatever the weight."""
    service = Service()
    usual, heavy = Item(service, "usual"), Item(service, "heavy")
    async with Poller(rate=50, schedule=EVERY_SECOND) as poller:
        waits = start_all(poller, [usual]) + start_all(poller, [heavy], weight=100)
        await asyncio.sleep(100)
        for wait in waits:
            wait.cancel()
    assert len(usual.sent) == len(heavy.sent)


async def test_none_starves() -> None:
    """Under a tenth of the budget needed, no task waits more than twice its fair turn."""
    service = Service()
    light, heavy = items(service, 80), items(service, 20, prefix="heavy")
    async with Poller(rate=10, schedule=EVERY_SECOND) as poller:
        waits = start_all(poller, light, timeout=math.inf)
        waits += start_all(poller, heavy, timeout=math.inf, weight=100)
        await asyncio.sleep(600)
        for wait in waits:
            wait.cancel()
    # By the square roots, a light one has 10/280 polls a second: one in 28 s.
    for item in light:
        gaps = [after - before for before, after in zip(item.sent, item.sent[1:], strict=False)]
        assert max(gaps) <= 2 * 28


async def test_newcomers_do_not_starve_the_old() -> None:
    """A stream of new tasks that takes the whole budget leaves the old ones their polls."""
    service = Service()
    old = items(service, 10)
    async with Poller(rate=5, schedule=EVERY_SECOND) as poller:
        waits = start_all(poller, old, timeout=math.inf)
        for number in range(600):
            waits.append(start(poller.wait(Item(service, number, 0), timeout=math.inf)))
            await asyncio.sleep(0.25)
        for wait in waits:
            wait.cancel()
    for item in old:
        gaps = [after - before for before, after in zip(item.sent, item.sent[1:], strict=False)]
        assert max(gaps) <= 60
        assert len(item.sent) >= 5


async def test_newcomers_beyond_the_budget_do_not_starve_the_old() -> None:
    """A stream of new tasks of twice the budget leaves the old ones a share of their polls."""
    service = Service()
    old = items(service, 10)
    every_second = Schedule(first=1, factor=1, cap=1, jitter=0)
    async with Poller(rate=5, schedule=every_second) as poller:
        waits = start_all(poller, old, timeout=math.inf)
        for number in range(600):
            waits.append(start(poller.wait(Item(service, number, 0), timeout=math.inf)))
            await asyncio.sleep(0.1)
        for wait in waits:
            wait.cancel()
    assert min(len(item.sent) for item in old) >= 4


async def test_a_last_poll_goes_first() -> None:
    """Under a short budget a wait that is about to end gets its last poll before the others."""
    service = Service()
    crowd = items(service, 100)
    hasty = Item(service, "hasty", ends=9.5)
    async with Poller(rate=20, schedule=EVERY_SECOND) as poller:
        hurried = start(poller.wait(hasty, timeout=10))
        waits = start_all(poller, crowd)
        outcome = await hurried
        assert outcome.result == "done"
        for wait in waits:
            wait.cancel()


async def test_a_last_poll_goes_before_hundreds_that_are_merely_due() -> None:
    """Where each poll waits half a minute for its turn, one on a deadline is made at once."""
    service = Service()
    hasty = Item(service, "hasty", ends=19)
    half_a_minute = Schedule(first=30, factor=1, cap=30, jitter=0)
    async with Poller(rate=10, schedule=half_a_minute) as poller:
        hurried = start(poller.wait(hasty, timeout=20))
        waits = start_all(poller, items(service, 600))
        outcome = await hurried
        assert poller.stats().budgets[0].ready > 100
        for wait in waits:
            wait.cancel()
    assert outcome.result == "done"
    assert hasty.sent == pytest.approx([0, 20], abs=0.11)


@pytest.mark.parametrize("crowd", [0, 100, 300, 1000])
@pytest.mark.parametrize("way", ["wait", "as_done"])
async def test_a_short_budget_costs_no_task_its_last_poll(crowd: int, way: str) -> None:
    """What ended in time is seen to, though others stand before it in line at its deadline."""
    service = Service()
    others = items(service, crowd, prefix="other")
    task = Item(service, "task", ends=9.5)
    schedule = Schedule(first=1, factor=1, cap=1)
    async with Poller(rate=20, schedule=schedule) as poller:
        waits = start_all(poller, others, timeout=math.inf)
        await asyncio.sleep(0)
        if way == "wait":
            assert await poller.wait(task, timeout=10) == "done"
        else:
            ends = [done async for done in poller.as_done([task], timeout=10)]
            assert [done.result for done in ends] == ["done"]
        assert anyio.current_time() <= 10.5
        for wait in waits:
            wait.cancel()
        if waits:
            await asyncio.wait(waits)


async def test_a_budget_that_gives_no_poll_at_all_ends_in_time() -> None:
    """Where more last polls are due than the budget has, those that were not sent are timeouts."""
    service = Service()
    tasks = items(service, 300, ends=9.5)
    async with Poller(rate=20, schedule=Schedule(first=1, factor=1, cap=1)) as poller:
        outcomes = await asyncio.gather(*start_all(poller, tasks, timeout=10))
    ended = sum(outcome.error is None for outcome in outcomes)
    late = [outcome for outcome in outcomes if outcome.error is not None]
    assert 10 <= ended <= 20
    assert all(isinstance(outcome.error, WaitTimeout) for outcome in late)
    assert all(10 <= outcome.elapsed <= 15 for outcome in late)


async def test_lag_is_reported() -> None:
    """The lag in `stats` grows as polls come later than they are due."""
    service = Service()
    async with Poller(rate=10, schedule=EVERY_SECOND) as poller:
        waits = start_all(poller, items(service, 100))
        await asyncio.sleep(120)
        stats = poller.stats()
        assert 7 <= stats.lag_p50 <= 11
        assert stats.lag_p50 <= stats.lag_p99 <= 30
        assert stats.budgets[0].polls_per_second == pytest.approx(10, rel=0.15)
        assert 80 <= stats.budgets[0].ready <= 100
        for wait in waits:
            wait.cancel()


async def test_refusals_are_counted() -> None:
    """`stats` says how often an account was refused, and that those polls failed."""
    task = Job(RateLimited("429", status=429, retry_after=1.0), "done")
    async with Poller() as poller:
        await poller.wait(task)
        stats = poller.stats()
    assert (stats.polls, stats.errors, stats.budgets[0].refused) == (2, 1, 1)


async def test_other_failures_do_not_slow_the_account() -> None:
    """A failure that is no 429 leaves the account's rate alone."""
    task = job("flaky", ConnectionResetError("reset"), "done")
    async with Poller() as poller:
        await poller.wait(task)
        assert poller.stats().budgets[0].refused == 0
        assert poller.stats().budgets[0].rate == math.inf
