"""The line of one account: in which order the tasks that are due have their turn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container
from itertools import count

import pytest

from asyncclient._many.queue import Queue
from asyncclient._many.shared import Receiver, SharedRecord, Waiter
from asyncclient._waiting import Limits
from tests.many.service import Item, Service, gaps

SERVICE = Service()


class Line:
    """A queue that serves one task after the other, each of which is due again at once."""

    def __init__(self) -> None:
        self.queue: Queue[SharedRecord] = Queue(("acme",), math.inf)
        self.served: list[SharedRecord] = []
        self._numbers = count()

    def add(self, weight: float = 1.0) -> SharedRecord:
        """Have a new task stand in line."""
        task = Item(SERVICE)
        record = SharedRecord(task, 0.0, key=task, queue=self.queue)
        waiter = Waiter(
            0.0,
            600.0,
            record=record,
            task=task,
            receiver=Receiver(),
            limits=Limits(),
            weight=weight,
        )
        record.add(waiter)
        self.join(record)
        return record

    def join(self, record: SharedRecord) -> None:
        """Have a task stand in line."""
        record.join(next(self._numbers))

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
    left.first = left.last = None
    turns = [line.queue.take().take_turn() for _ in range(3)]
    assert [turn for turn in turns if turn is not None] == [twice.first]


def test_a_label_shows_texts_alone() -> None:
    """An account shows its name if it has one; a secret is no text."""
    assert (
        Queue(("coze", ("https://api.coze.com", "blue"), "runs"), 1.0).label() == "coze blue runs"
    )
    assert Queue(("coze", ("https://api.coze.com", object())), 1.0).label() == "coze"
