"""A Poller, its iterators and a watch that are used from another thread or another event loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from asyncclient import Poller, watch
from tests.loops import real_backend
from tests.many.service import EVERY_SECOND, Item, Service, items

pytestmark = pytest.mark.parametrize(
    "anyio_backend", [pytest.param(real_backend(loop), id=loop) for loop in ("asyncio", "uvloop")]
)
SAYS = "belongs to another event loop: .* loop.call_soon_threadsafe.*run_coroutine_threadsafe"


async def in_thread(call: Callable[[], object]) -> object:
    """Call in another thread, which has no event loop."""
    with ThreadPoolExecutor(1) as threads:
        return await asyncio.get_running_loop().run_in_executor(threads, call)


def in_other_loop(make: Callable[[], Awaitable[object]]) -> Callable[[], object]:
    """Return what runs a coroutine in an event loop of its own."""

    async def run() -> object:
        return await make()

    return lambda: asyncio.run(run())


async def refused(call: Callable[[], object]) -> None:
    """Show that a call from another thread is refused."""
    with pytest.raises(RuntimeError, match=SAYS):
        await in_thread(call)


@pytest.mark.parametrize(
    "method", ["wake", "stats", "take_share", "aclose", "enter", "wait", "as_done"]
)
async def test_a_poller_refuses_another_thread(method: str) -> None:
    """Each method says so at once and what to do instead; the poller goes on as before."""
    async with Poller(schedule=EVERY_SECOND) as poller:
        calls: dict[str, Callable[[], object]] = {
            "wake": lambda: poller.wake("job"),
            "stats": poller.stats,
            "take_share": lambda: poller.take_share(0.5),
            "aclose": in_other_loop(poller.aclose),
            "enter": in_other_loop(poller.__aenter__),
            "wait": in_other_loop(lambda: poller.wait(Item(Service()))),
            "as_done": in_other_loop(lambda: anext(poller.as_done(items(Service(), 3)))),
        }
        waiting = asyncio.ensure_future(poller.wait(Item(Service(), "job")))
        await asyncio.sleep(0.01)
        await refused(calls[method])
        assert "open: 1 pending" in str(await in_thread(lambda: repr(poller)))
        assert (poller.stats().pending, poller.wake("job")) == (1, True)
        waiting.cancel()


async def test_a_signal_is_passed_on_as_the_error_says() -> None:
    """`call_soon_threadsafe` takes a signal from another thread, and the poll comes at once."""
    loop = asyncio.get_running_loop()
    async with Poller(schedule=EVERY_SECOND) as poller:
        job = Item(Service(), "job", loop.time() + 0.2)
        waiting = asyncio.ensure_future(poller.wait(job))
        await asyncio.sleep(0.25)
        began = loop.time()
        await in_thread(lambda: loop.call_soon_threadsafe(poller.wake, "job"))
        assert await waiting == "done"
        assert loop.time() - began < 0.7


async def test_an_iterator_of_ends_refuses_another_loop() -> None:
    """Ends are read where the loop over them began; it is left there too, or collected anywhere."""
    async with Poller(schedule=EVERY_SECOND) as poller:
        ends = poller.as_done([Item(Service(), "one", 0), Item(Service(), "two")])
        assert (await anext(ends)).key == "one"
        kept = [ends]
        del ends
        await refused(in_other_loop(lambda: anext(kept[0])))
        await refused(in_other_loop(kept[0].__aexit__))
        await refused(kept[0].leave)
        assert poller.stats().pending == 1
        kept.clear()
        await in_thread(gc.collect)  # the errors' frames held it
        await asyncio.sleep(0.01)
        assert poller.stats().pending == 0


async def test_a_watch_refuses_another_loop() -> None:
    """Its clock is that of the loop in which it began."""
    job = Item(Service())
    changes = watch(job)
    assert (await anext(changes)).word == "running"
    await refused(in_other_loop(lambda: anext(changes)))
