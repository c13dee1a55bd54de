"""Many waits on each event loop, with its real clock."""

from __future__ import annotations

import asyncio
import sys

import pytest

from asyncclient import Poller, Schedule, Vocabulary, polling_task
from tests.loops import real_backend

WORDS = Vocabulary(running="running", succeeded="done", failed="broken")
FAST = Schedule(first=0.02, factor=1.0, cap=0.02)
LOOPS = ["asyncio", "uvloop", "eager"]
if sys.version_info < (3, 12):
    LOOPS.remove("eager")


@pytest.mark.parametrize(
    "anyio_backend", [pytest.param(real_backend(loop), id=loop) for loop in LOOPS]
)
@pytest.mark.parametrize("suspends", [True, False], ids=["suspending", "at once"])
async def test_sixty_waits_at_once_all_end_well(suspends: bool) -> None:  # noqa: FBT001
    """However an event loop runs timers and tasks, each wait gets its own answer."""

    async def wait_for(poller: Poller, number: int) -> str:
        asked: list[int] = []

        async def fetch() -> str:
            if suspends:
                await asyncio.sleep(0.001)
            asked.append(number)
            return f"done {number}" if len(asked) > 2 else "running"

        job = polling_task(
            fetch, vocabulary=WORDS, status=lambda answer: answer.split()[0], key=number
        )
        return await poller.wait(job, timeout=30)

    async with Poller(schedule=FAST) as poller:
        ends = await asyncio.gather(*(wait_for(poller, number) for number in range(60)))
        assert ends == [f"done {number}" for number in range(60)]
        assert poller.stats().polls == 3 * 60
        assert poller.stats().pending == 0
