"""Looks that take too long are cut off, each at its own time."""

from __future__ import annotations

import asyncio
from typing import cast

import anyio

from asyncclient._waiting.bounds import Bounds


async def test_each_look_is_cut_off_at_its_own_end_and_no_other() -> None:
    """A later one may have an earlier end; one that has ended in time is left alone."""
    bounds, ends = Bounds(), dict[float, float]()

    async def look(seconds: float, took: float) -> None:
        this = cast("asyncio.Task[None]", asyncio.current_task())
        bounds.begin(this, seconds)
        is_cut = False
        try:
            await anyio.sleep(took)
        except asyncio.CancelledError:
            is_cut = bounds.end(this)
        else:
            assert not bounds.end(this)
        assert is_cut == (took > seconds)
        assert not this.cancelling()
        ends[seconds] = anyio.current_time()

    lengths = {9.0: 30.0, 3.0: 30.0, 5.0: 1.0, 7.0: 30.0}
    await asyncio.gather(*(look(seconds, took) for seconds, took in lengths.items()))
    assert ends == {3.0: 3.0, 5.0: 1.0, 7.0: 7.0, 9.0: 9.0}
    bounds.close()
