"""What waits in these tests: each driver of one wait, for the rules that all of them obey."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeVar, Unpack, cast

import pytest

from asyncclient import Poller, Schedule, Snapshot, Task, Watch, wait_until_done, watch
from asyncclient._schedule import Pacing
from tests.waiting.scenario import Driver, Follower, Options

T = TypeVar("T")


async def poller_wait(
    task: Task[T],
    *,
    schedule: Pacing | None = None,
    rng: Random | None = None,
    on_change: Callable[[Snapshot[T]], object] | None = None,
    **options: Unpack[Options[T]],
) -> T:
    """Wait for the task by a poller of its own."""
    async with Poller(schedule=schedule, rng=rng) as poller:
        return await poller.wait(task, on_change=on_change, **options)


def poller_watch(
    task: Task[T], *, schedule: Pacing | None = None, **options: Unpack[Options[T]]
) -> Watch[T]:
    """Follow the task by a poller of its own, which is left open."""
    return Poller(schedule=schedule or Schedule()).watch(task, **options)


# As wide as the session, so that property tests may use it too.
@pytest.fixture(
    scope="session", params=[wait_until_done, poller_wait], ids=["wait_until_done", "poller"]
)
def driver(request: pytest.FixtureRequest) -> Driver:
    """Give one driver after the other."""
    return cast("Driver", request.param)


@pytest.fixture(scope="session", params=[watch, poller_watch], ids=["watch", "poller"])
def follower(request: pytest.FixtureRequest) -> Follower:
    """Give one follower after the other."""
    return cast("Follower", request.param)
