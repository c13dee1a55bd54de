"""What waits in these tests: each driver of one wait, for the rules that all of them obey."""

from __future__ import annotations

from random import Random
from typing import TypeVar, cast

import pytest

from asyncclient import Poller, Task, wait_until_done
from asyncclient._schedule import Pacing
from tests.waiting.scenario import Driver

T = TypeVar("T")


async def poller_wait(
    task: Task[T],
    *,
    timeout: float = 600.0,
    schedule: Pacing | None = None,
    poll_timeout: float = 60.0,
    max_outage: float = 120.0,
    rng: Random | None = None,
) -> T:
    """Wait for the task by a poller of its own."""
    async with Poller(
        schedule=schedule, poll_timeout=poll_timeout, max_outage=max_outage, rng=rng
    ) as poller:
        return await poller.wait(task, timeout=timeout)


# As wide as the session, so that property tests may use it too.
@pytest.fixture(
    scope="session", params=[wait_until_done, poller_wait], ids=["wait_until_done", "poller"]
)
def driver(request: pytest.FixtureRequest) -> Driver:
    """Give one driver after the other."""
    return cast("Driver", request.param)
