"""The lines of accounts: whose turn it is, at which rate, and which are forgotten."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Hashable
from functools import partial
from typing import cast

import anyio
import pytest

from asyncclient import Poller, Task, polling_task
from asyncclient._many.queue import Queue, Queues
from asyncclient._many.shared import Receiver, SharedRecord, Waiter
from asyncclient._task import PollingTask
from asyncclient.errors import RateLimited
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.many.service import EVERY_SECOND, Item, Service, gaps, items, start, start_all
from tests.waiting.scenario import WORDS, Job, run_says

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
        waiter = Waiter(0.0, 600.0, record=record, task=task, receiver=receiver)
        record.add(waiter)
        self.join(record)
        return record

    def join(self, record: SharedRecord) -> None:
        """Have a task stand in line."""
        record.join()

    def serve(self, number: int, again: Container[SharedRecord] | None = None) -> None:
        """Serve a number of tasks; each of those in `again`, or any, stands in line again."""
        for _ in range(number):
            record = self.queue.take()
            assert record.take_turn()
            self.served.append(record)
            if again is None or record in again:
                self.join(record)

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
    woken.is_woken = True
    line.join(woken)
    assert last.first is not None
    last.first.final = last.due
    line.join(last)
    assert [line.queue.take() for _ in range(2)] == [last, woken]


def test_a_task_has_one_turn_and_one_that_was_left_has_none() -> None:
    """A task may stand in line twice, and stays there when its waiters leave."""
    line = Line()
    twice, left = line.add(), line.add()
    twice.is_woken = True
    for _ in range(10):
        line.join(twice)
    assert len(line.queue.line) == 3  # moved forward once: it stands there, and where it stood
    left.first = None
    turns = [line.queue.take().take_turn() for _ in range(3)]
    assert [turn for turn in turns if turn is not None] == [twice.first]


def test_a_label_shows_texts_alone() -> None:
    """An account shows its name if it has one; a secret is no text."""
    assert (
        Queue(("coze", ("https://api.coze.com", "blue"), "runs"), 1.0).label() == "coze blue runs"
    )
    assert Queue(("coze", ("https://api.coze.com", object())), 1.0).label() == "coze"


# --- the queues of all accounts -----------------------------------------------------------------


def queues_of(rates: dict[str | None, float]) -> Queues[SharedRecord]:
    """Return the queues of a Poller that is given rates."""
    return Queues(rates, None)


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
    queues = queues_of(given)
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
    queues = queues_of({})

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
    assert labels[1] == "tests.many.test_queue other_fetch"


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
    queues = queues_of({})
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
