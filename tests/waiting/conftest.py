"""What waits in these tests: each driver of one wait, for the rules that all of them obey."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal, TypeVar, cast

import pytest

from asyncclient import Poller, Schedule, Snapshot, Task, Watch, wait_until_done, watch
from asyncclient._schedule import Pacing
from tests.waiting.scenario import Driver, Follower

T = TypeVar("T")


async def poller_wait(
    task: Task[T],
    *,
    timeout: float = 600.0,
    schedule: Pacing | None = None,
    on_change: Callable[[Snapshot[T]], object] | None = None,
    on_blocked: Callable[[Snapshot[T]], object] | None = None,
    unknown: Literal["wait", "raise"] = "wait",
    on_cancel: Literal["leave", "cancel"] = "leave",
    on_timeout: Literal["leave", "cancel"] = "leave",
    poll_timeout: float = 60.0,
    max_outage: float = 120.0,
    rng: Random | None = None,
) -> T:
    """Wait for the task by a poller of its own."""
    async with Poller(
        schedule=schedule, poll_timeout=poll_timeout, max_outage=max_outage, rng=rng
    ) as poller:
        return await poller.wait(
            task,
            timeout=timeout,
            on_change=on_change,
            on_blocked=on_blocked,
            unknown=unknown,
            on_cancel=on_cancel,
            on_timeout=on_timeout,
        )


def poller_watch(
    task: Task[T],
    *,
    timeout: float = 600.0,
    schedule: Pacing | None = None,
    on_blocked: Callable[[Snapshot[T]], object] | None = None,
    unknown: Literal["wait", "raise"] = "wait",
    on_cancel: Literal["leave", "cancel"] = "leave",
    on_timeout: Literal["leave", "cancel"] = "leave",
) -> Watch[T]:
    """Follow the task by a poller of its own, which is left open."""
    poller = Poller(schedule=Schedule() if schedule is None else schedule)
    return poller.watch(
        task,
        timeout=timeout,
        on_blocked=on_blocked,
        unknown=unknown,
        on_cancel=on_cancel,
        on_timeout=on_timeout,
    )


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
