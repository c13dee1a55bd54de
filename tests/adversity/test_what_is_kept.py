"""What a wait keeps of polls that failed: their error, and nothing of their answer."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import Awaitable, Callable
from itertools import repeat
from typing import TypeAlias

import pytest

from asyncclient import Poller, wait_until_done
from asyncclient.providers.copyai import CopyAI, WorkflowRun, WorkflowRunHandle
from tests.adversity.faults import FAULTS, MAX_BODY
from tests.adversity.scene import set_scene, settled

WAITS = 8

Wait: TypeAlias = Callable[[WorkflowRunHandle], Awaitable[WorkflowRun]]


@pytest.mark.parametrize("with_poller", [False, True], ids=["wait_until_done", "poller"])
@pytest.mark.parametrize("kind", ["chunks without end", "a gzip bomb"])
async def test_a_failed_poll_keeps_nothing_of_its_answer(kind: str, *, with_poller: bool) -> None:
    """Tasks whose last poll had an answer of over `max_body` are waited for in little memory."""
    fault = FAULTS[kind]
    async with contextlib.AsyncExitStack() as stack:
        scene, origin = await set_scene(fault, "copyai", stack)
        scene.proxy.request_faults = repeat(fault.on_request)
        copyai = CopyAI(scene.pool, api_key="k", base_url=f"{origin}/api")
        poller = await stack.enter_async_context(Poller())
        wait: Wait = poller.wait if with_poller else wait_until_done
        tracemalloc.start()
        try:
            before, _ = tracemalloc.get_traced_memory()
            waits = [
                asyncio.ensure_future(wait(copyai.workflow_run("WCFG-1", f"WRUN-{number}")))
                for number in range(WAITS)
            ]
            assert await settled(lambda: WAITS - len(scene.proxy.requests)) == 0
            assert await settled(lambda: ", 0 requests active," not in repr(scene.pool)) == 0
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for waiting in waits:
            waiting.cancel()
        await asyncio.wait(waits)
    assert (after - before) / WAITS < MAX_BODY / 8
