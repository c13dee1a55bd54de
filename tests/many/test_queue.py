"""The lines of accounts: whose turn it is, at which rate, and which are forgotten."""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Hashable
from functools import partial
from typing import cast

import pytest

from asyncclient import Poller, Task, polling_task
from asyncclient._many.queue import Queue, Queues
from asyncclient._many.shared import Receiver, SharedRecord, Waiter
from tests.many.service import EVERY_SECOND, Item, Service, gaps, items, start_all
from tests.waiting.scenario import WORDS, Job

SERVICE = Service()


class Line:
    """A queue that serves one task after the other, each of which is due again at once."""

    def __init__(self) -> None:
        self.queue: Queue[SharedRecord] = Queue(("acme",), math.inf)
        self.served: list[SharedRecord] = []

    def add(self, weight: float = 1.0) -> SharedRecord:
        """Have a new task stand in line."""
        task = Item(SERVICE)
        record = SharedRecord(task, 0.0, own_key=task, queue=self.queue)
        receiver = Receiver()
        receiver.weight = weight
        record.add(Waiter(0.0, 600.0, record=record, task=task, receiver=receiver))
        record.join()
        return record

    def serve(self, number: int, again: Container[SharedRecord] | None = None) -> None:
        """Serve a number of tasks; each of those in `again`, or any, stands in line again."""
        for _ in range(number):
            record = self.queue.take()
            assert record.take_turn()
            self.served.append(record)
            if again is None or record in again:
                record.join()

    def turns_of(self, record: SharedRecord) -> list[float]:
        """Return how many were served before each of its turns."""
        return [number for number, served in enumerate(self.served) if served is record]


@pytest.mark.parametrize("crowd", [1, 40, 200])
@pytest.mark.parametrize("weight", [4.0, 0.25])
def test_weight_shares_a_short_budget(weight: float, crowd: int) -> None:
    """In a crowd of any size, four times the weight is served twice as often."""
    line = Line()
    usual = [line.add() for _ in range(crowd)]
    other = [line.add(weight) for _ in range(crowd)]
    line.serve(60 * crowd)
    served = Counter(map(id, line.served))
    shares = [sum(served[id(record)] for record in records) for records in (other, usual)]
    assert shares[0] / shares[1] == pytest.approx(math.sqrt(weight), rel=0.1)


def test_none_starves() -> None:
    """No task of little weight waits more than twice its fair turn."""
    line = Line()
    light = [line.add() for _ in range(80)]
    for _ in range(20):
        line.add(weight=100)
    line.serve(6000)
    # By the square roots, a light one has one of 280 turns.
    for record in light:
        assert max(gaps([0, *line.turns_of(record)])) <= 2 * 280


def test_no_weight_is_so_small_or_large_that_others_starve() -> None:
    """The most that one task is served is 10,000 times as often as another."""
    line = Line()
    records = [line.add(weight) for weight in (5e-324, 1e-9, 1.0, 1e9, 1.7e308)]
    line.serve(30_000)
    assert all(line.turns_of(record) for record in records)


@pytest.mark.parametrize(("newcomers", "seconds", "least"), [(4, 150, 5), (10, 60, 4)])
def test_newcomers_do_not_starve_the_old(newcomers: int, seconds: int, least: int) -> None:
    """Of five turns a second, new tasks that would take four, or ten, leave the old ones some."""
    line = Line()
    old = [line.add() for _ in range(10)]
    for _ in range(seconds):
        for _ in range(newcomers):
            line.add()
        line.serve(5, again=old)
    for record in old:
        turns = line.turns_of(record)
        assert len(turns) >= least
        assert max(gaps(turns)) <= 5 * 60


def test_a_last_look_goes_first_and_then_one_that_a_signal_asked_for() -> None:
    """Both go before tasks that are merely due, however much these weigh."""
    line = Line()
    for _ in range(3):
        line.add(weight=100)
    line.serve(10)
    woken, last = line.add(), line.add()
    woken.is_woken = last.is_woken = True
    woken.join()
    assert last.first is not None
    last.first.final = last.due
    last.join()
    assert [line.queue.take() for _ in range(2)] == [last, woken]


def test_a_task_has_one_turn_and_one_that_was_left_has_none() -> None:
    """A task may stand in line twice, and stays there when its waiters leave."""
    line = Line()
    twice, left = line.add(), line.add()
    twice.is_woken = True
    for _ in range(10):
        twice.join()
    assert len(line.queue.line) == 3  # moved forward once: it stands there, and where it stood
    left.first = None
    turns = [line.queue.take().take_turn() for _ in range(3)]
    assert [turn for turn in turns if turn is not None] == [twice.first]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (("coze", ("https://api.coze.com", "blue"), "runs"), "coze blue runs"),
        (("coze", ("https://api.coze.com", object())), "coze"),
    ],
)
def test_a_label_shows_texts_alone(name: tuple[object, ...], label: str) -> None:
    """An account shows its name if it has one; a secret is no text."""
    assert Queue(name, 1.0).label() == label


# --- the queues of all accounts -----------------------------------------------------------------

# What is given, what is documented, and the rate of "acme".
RATES: dict[str, tuple[dict[str | None, float], float | None, float]] = {
    "given for all": ({None: 40.0}, None, 40.0),
    "given for some": ({"acme": 40.0, "other": 1.0}, None, 40.0),
    "given for it and for all": ({"acme": 40.0, None: 1.0}, None, 40.0),
    "documented": ({}, 40.0, 40.0),
    "given beats documented": ({"acme": 40.0}, 1.0, 40.0),
    "given for others": ({"other": 1.0}, None, math.inf),
    "not known": ({}, None, math.inf),
    "documented as zero": ({}, 0.0, math.inf),
    "documented as no number": ({}, math.nan, math.inf),
}


@pytest.mark.parametrize(("given", "documented", "rate"), RATES.values(), ids=RATES)
def test_the_rate_of_an_account(
    given: dict[str | None, float], documented: float | None, rate: float
) -> None:
    """What is given comes before what is documented; a share is of both, now and later."""
    queues: Queues[SharedRecord] = Queues(given, None)
    known, later = (Item(Service("acme", documented_rate=documented)) for _ in range(2))
    later.service.budget = ("acme", "another account")
    assert queues.queue_of(known, 0.0).budget.rate == rate
    queues.take_share(0.25, 1.0)
    for item in (known, later):
        assert queues.queue_of(item, 1.0).budget.rate == rate / 4
    assert len(queues.by_name) == 2


def test_a_task_without_a_budget_has_that_of_its_kind() -> None:
    """It stands in line with its like, and never with strangers."""
    queues: Queues[SharedRecord] = Queues({}, None)

    def fetch_of(word: str) -> Callable[[], Awaitable[str]]:
        async def fetch() -> str:
            return word

        return fetch

    async def other(word: str) -> str:
        return word

    def name(task: Task[object]) -> Hashable:
        return queues.queue_of(task, 0.0).name

    def function(fetch: Callable[[], Awaitable[str]], kind: str | None = None) -> Hashable:
        return name(polling_task(fetch, vocabulary=WORDS, status=str, kind=kind))

    empty = Item(Service())
    empty.service.budget = ()
    strangers = [
        function(fetch_of("running")),
        function(partial(other, "done")),
        function(lambda: other("busy")),
        function(
            lambda: other("busy"),
        ),
        function(fetch_of("running"), "tea"),
        name(empty),
        name(Job()),
    ]
    assert len(set(strangers)) == len(strangers)
    assert function(fetch_of("done")) == strangers[0]
    assert function(partial(other, "busy")) == strangers[1]
    assert function(lambda: other("busy"), "tea") == strangers[4]
    assert all(len(cast("tuple[object, ...]", each)) == 3 for each in strangers)
    label = next(iter(queues.by_name.values())).label()
    assert re.fullmatch(r"tests\.many\.test_queue \S*\bfetch", label)


@pytest.mark.parametrize("budget", ["acme", ["acme"], 7, ("acme", ["account"])], ids=str)
async def test_a_budget_that_cannot_be_is_refused(poller: Poller, budget: object) -> None:
    """It names the task; nothing is sent, and nothing is kept."""
    task = Item(Service())
    task.service.budget = cast("tuple[str, ...]", budget)
    with pytest.raises(TypeError, match=r"budget of .*Item.* must be a tuple of hashable"):
        await poller.wait(task)
    assert poller.stats().pending == poller.stats().waiters == 0


@pytest.mark.parametrize(
    ("rest", "refused", "kept"),
    [(1000, False, 3), (1000, True, 3), (100, False, 3), (100, True, 1001), (5, True, 1001)],
)
def test_idle_accounts_are_forgotten(rest: float, refused: bool, kept: int) -> None:  # noqa: FBT001
    """Of a thousand accounts, those stay that have tasks, a pause, or a rate found recently."""
    queues: Queues[SharedRecord] = Queues({}, None)
    made = [queues.queue_of(Item(Service(f"tenant-{number}")), 0.0) for number in range(1000)]
    for queue in made:
        queue.budget.spend(0.0)
        if refused:
            queue.budget.refused(0.0, 30)
    made[3].pending = made[4].in_flight = 1
    queues.queue_of(Item(Service("new")), rest)
    assert len(queues.by_name) == kept
    assert {("tenant-3", "account"), ("tenant-4", "account")} <= queues.by_name.keys()


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
