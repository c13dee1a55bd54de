"""The accounts that a Poller asks: each has a rate of its own, and idle ones are forgotten."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import cast

import anyio
import pytest

from asyncclient import Poller, Task, polling_task
from asyncclient._many.queues import Queues
from asyncclient._task import PollingTask
from asyncclient.errors import RateLimited
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.many.service import EVERY_SECOND, Item, Service, items, start, start_all
from tests.waiting.scenario import WORDS, Job, run_says


@pytest.mark.parametrize(
    ("given", "documented", "rate"),
    [
        ({None: 40.0}, None, 40.0),
        ({"acme": 40.0, "other": 1.0}, None, 40.0),
        ({"acme": 40.0, None: 1.0}, None, 40.0),
        ({}, 40.0, 40.0),
        ({"acme": 40.0}, 1.0, 40.0),
        ({"other": 1.0}, None, math.inf),
        ({}, None, math.inf),
        ({}, 0.0, math.inf),
        ({}, math.nan, math.inf),
    ],
    ids=[
        "given for all",
        "given for some",
        "given for it and for all",
        "documented",
        "given beats documented",
        "given for others",
        "not known",
        "documented as zero",
        "documented as no number",
    ],
)
def test_the_rate_of_an_account(
    given: dict[str | None, float], documented: float | None, rate: float
) -> None:
    """What is given comes before what is documented; a share is of both, now and later."""
    queues = Queues(given, None)
    known = Item(Service("acme", documented_rate=documented))
    assert queues.queue_of(known, 0.0).budget.rate == rate
    queues.take_share(0.25, 1.0)
    assert queues.queue_of(known, 1.0).budget.rate == rate / 4
    later = Item(Service("acme", documented_rate=documented))
    later.service.budget = ("acme", "another account")
    assert queues.queue_of(later, 1.0).budget.rate == rate / 4
    assert len(queues.by_name) == 2


def fetch_of(number: int) -> PollingTask[str]:
    """Make a task of one API; those that this function makes are of one kind."""

    async def fetch() -> str:
        return str(number)

    return polling_task(fetch, vocabulary=WORDS, status=str)


async def other_fetch(word: str = "running") -> str:
    """Ask another API."""
    return word


def test_a_task_without_a_budget_has_that_of_its_kind() -> None:
    """It stands in line with its like, and never with strangers."""
    queues = Queues({}, None)

    def name(task: Task[object]) -> Hashable:
        return queues.queue_of(task, 0.0).name

    def function(fetch: Callable[[], Awaitable[str]], kind: str | None = None) -> Hashable:
        return name(polling_task(fetch, vocabulary=WORDS, status=str, kind=kind))

    empty = Item(Service())
    empty.service.budget = ()
    strangers = [
        name(fetch_of(1)),
        function(other_fetch),
        function(lambda: other_fetch("busy")),
        function(
            lambda: other_fetch("busy"),
        ),
        function(other_fetch, "tea"),
        name(empty),
        name(Job()),
    ]
    assert len(set(strangers)) == len(strangers)
    assert name(fetch_of(2)) == strangers[0]
    assert function(partial(other_fetch)) == strangers[1]
    assert function(lambda: other_fetch("busy"), "tea") == strangers[4]
    assert all(len(cast("tuple[object, ...]", each)) == 3 for each in strangers)
    labels = [queue.label() for queue in queues.by_name.values()]
    assert labels[1] == "tests.many.test_queues other_fetch"


async def test_a_refusal_of_one_api_holds_up_no_other() -> None:
    """Two tasks of one's own: one is refused for 30 s, the other is looked at in time."""

    async def refused() -> str:
        raise RateLimited("slow down", status=429, retry_after=30)

    began = anyio.current_time()
    async with Poller(schedule=EVERY_SECOND) as poller:
        start_all(poller, [polling_task(refused, vocabulary=WORDS, status=str)])
        await asyncio.sleep(1)

        async def other() -> str:
            return "done" if anyio.current_time() >= began + 5 else "running"

        assert await poller.wait(polling_task(other, vocabulary=WORDS, status=str)) == "done"
    assert anyio.current_time() == began + 5


async def test_clients_made_for_each_request_share_one_budget() -> None:
    """A hundred clients with a closure each as the source of tokens keep to what is documented."""
    transport = ScriptedTransport([run_says("Running")], repeat=True)

    def client(number: int) -> Coze:
        async def token() -> str:
            return f"pat_{number}"

        return Coze(transport, token=token)

    async with Poller(schedule=EVERY_SECOND) as poller:
        runs = [client(number).workflow_run("7350", "42") for number in range(100)]
        assert len({run.key for run in runs}) == 100
        start_all(poller, runs)
        await asyncio.sleep(20)
        (budget,) = poller.stats().budgets
    assert budget.name == "coze https://api.coze.com workflow"
    assert 18 * budget.rate <= len(transport.requests) <= 21 * budget.rate


@pytest.mark.parametrize("budget", ["acme", ["acme"], 7, ("acme", ["account"])], ids=str)
async def test_a_budget_that_cannot_be_is_refused(budget: object) -> None:
    """It names the task; nothing is sent, and nothing is kept."""
    task = Item(Service())
    task.service.budget = cast("tuple[str, ...]", budget)
    async with Poller() as poller:
        with pytest.raises(TypeError, match=r"budget of .*Item.* must be a tuple of hashable"):
            await poller.wait(task)
        assert poller.stats().pending == poller.stats().waiters == 0


@pytest.mark.parametrize(
    ("rest", "refused", "kept"),
    [(1000, False, 3), (1000, True, 3), (100, False, 3), (100, True, 1001), (5, True, 1001)],
)
def test_idle_accounts_are_forgotten(rest: float, refused: bool, kept: int) -> None:  # noqa: FBT001
    """Of a thousand accounts, those stay that have tasks, a pause, or a rate found recently."""
    queues = Queues({}, None)
    made = [queues.queue_of(Item(Service(f"tenant-{number}")), 0.0) for number in range(1000)]
    for queue in made:
        queue.budget.spend(0.0)
        if refused:
            queue.budget.refused(0.0, 30)
    made[3].pending = made[4].in_flight = 1
    queues.queue_of(Item(Service("new")), rest)
    assert len(queues.by_name) == kept
    assert {("tenant-3", "account"), ("tenant-4", "account")} <= queues.by_name.keys()


async def test_what_is_kept_of_many_accounts_is_bounded() -> None:
    """Of five thousand accounts and kinds that come and go, the newest are known."""
    async with Poller(schedule=EVERY_SECOND) as poller:
        for number in range(5000):
            task = Item(Service(f"tenant-{number}"), number, 0)
            if number % 2:
                task.service.budget = ()
            assert await poller.wait(task) == "done"
        assert len(poller.stats().budgets) <= 1000
        assert len(poller.stats().kinds) <= 64


# --- a share of every rate ----------------------------------------------------------------------


async def test_a_share_ends_a_gap_that_is_too_long_for_it() -> None:
    """Where a share made the gap a hundred seconds, the whole rate ends it when it is restored."""
    service = Service()
    async with Poller(rate=0.1, schedule=EVERY_SECOND) as poller:
        poller.take_share(0.1)
        start_all(poller, items(service, 3), timeout=math.inf)
        await asyncio.sleep(50)
        assert service.sent == [0]
        assert poller.stats().budgets[0].rate == pytest.approx(0.01)
        poller.take_share(1)
        await asyncio.sleep(5.1)
        assert service.sent == pytest.approx([0, 55], abs=0.01)
        assert poller.stats().budgets[0].rate == 0.1


async def test_a_share_may_be_taken_at_any_time() -> None:
    """Before the first wait and after the last, and when it is closed: nothing breaks."""
    service = Service()
    poller = Poller(rate=10, schedule=EVERY_SECOND)
    poller.take_share(0.5)
    assert await poller.wait(Item(service, ends=0)) == "done"
    poller.take_share(1)
    waiting = start(poller.wait(Item(service, "other")))
    await asyncio.sleep(1.5)
    await poller.aclose()
    poller.take_share(0.5)
    assert isinstance((await waiting).error, RuntimeError)


@pytest.mark.parametrize(
    ("share", "kind", "says"),
    [(0, ValueError, "share=0 "), (1.01, ValueError, "share=1.01 "), ("1", TypeError, "share ")],
    ids=str,
)
def test_a_share_that_cannot_be_is_refused(share: object, kind: type[Exception], says: str) -> None:
    """It is a number, more than 0 and at most 1."""
    take_share = cast("Callable[[object], None]", Poller().take_share)
    with pytest.raises(kind, match=f"^{says}must be .*; 1 is the whole rate$"):
        take_share(share)
