"""Promises of a wait where nobody says otherwise."""

from __future__ import annotations

import time
from types import NoneType

import anyio
import pytest

from asyncclient import TaskRef, watch
from asyncclient.errors import NotFound, TaskExpired, WaitTimeout
from tests.waiting.scenario import Driver, Job, outcome_of


async def test_following_a_task_is_finite_by_default() -> None:
    """A task that never ends is followed for ten minutes where no timeout is given."""
    began = anyio.current_time()
    with pytest.raises(WaitTimeout, match="within 600 s"):
        async for _ in watch(Job("running")):
            pass
    assert anyio.current_time() - began == pytest.approx(600, abs=1)


@pytest.mark.parametrize(("age", "borne"), [(5, True), (3600, False)])
async def test_the_grace_for_a_task_that_is_not_found_counts_from_its_start(
    driver: Driver,
    age: int,
    borne: bool,  # noqa: FBT001  (a table's column)
) -> None:
    """A task that was started an hour ago and is not found has expired, and is not too new."""
    created = int(time.time()) - age
    job = Job(NotFound("no such job", status=404), "done", ref=TaskRef("fake", "job", {}, created))
    outcome = await outcome_of(driver(job))
    assert isinstance(outcome.error, NoneType if borne else TaskExpired)
    assert len(job.polls) == (2 if borne else 1)
