"""When which task is due: what has left is forgotten long before it would have been."""

from __future__ import annotations

import asyncio
import gc
import weakref

import anyio

from asyncclient import Poller, Schedule
from tests.many.service import job, start_all


async def test_what_has_left_is_not_kept_until_it_is_due() -> None:
    """Of a thousand tasks that are due in an hour, and whose waits are cancelled, few are kept."""
    hourly = Schedule(first=3600, factor=1, cap=3600, jitter=0)
    async with Poller(schedule=hourly) as poller:
        jobs = [job(number) for number in range(1000)]
        waits = start_all(poller, jobs, timeout=36_000)
        await anyio.sleep(60)
        kept = [weakref.ref(each) for each in jobs]
        _ = [wait.cancel() for wait in waits]
        await asyncio.wait(waits)
        del jobs, waits
        gc.collect()
        assert sum(each() is not None for each in kept) < 300
