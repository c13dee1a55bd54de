"""Tests of the event loop on virtual time, and of the pytest plugin that chooses it."""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import FrameType
from typing import TypeVar, cast

import anyio
import anyio.from_thread
import anyio.to_thread
import pytest
from aiohttp import ClientSession, ClientTimeout, web
from aiohttp.test_utils import TestServer
from hypothesis import example, given, strategies as st

from asyncclient.testing._virtual_time import VirtualTimeLoop, run_virtual, virtual_time_loop

T = TypeVar("T")

MILLISECONDS = st.integers(min_value=0, max_value=10**9)


def _now() -> float:
    return asyncio.get_running_loop().time()


def work() -> int:
    """Keep a thread at work for some real milliseconds, while others can run."""
    return len(hashlib.sha256(bytes(10_000_000)).digest())


def run_on(loop: VirtualTimeLoop, main: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run a coroutine function on a loop."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


async def test_work_takes_no_virtual_time() -> None:
    """The clock begins at zero and stands still while callbacks run, however often they yield."""
    for _ in range(100):
        assert await asyncio.sleep(0, result=sum(range(1000))) == 499_500
    assert _now() == 0


@given(st.lists(MILLISECONDS, max_size=50), st.sets(st.integers(0, 49)))
@example([30, 407], set())  # 0.03 + (0.407 - 0.03) is a little more than 0.407
@example(list(range(0, 1_000_000, 1000)), set())
def test_timers_fire_in_order_and_on_time(delays: list[int], cancelled: set[int]) -> None:
    """Each timer fires at its very time, earlier ones first, and cancelled ones not at all."""
    fired: list[tuple[float, float]] = []

    def fire(due: float) -> None:
        fired.append((due, _now()))

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for number, delay in enumerate(delays):
            timer = loop.call_at(delay / 1000, fire, delay / 1000)
            if number in cancelled:
                timer.cancel()
        await asyncio.sleep(10**6 + 1)

    run_virtual(main)
    kept = sorted(delay / 1000 for n, delay in enumerate(delays) if n not in cancelled)
    assert fired == [(due, due) for due in kept]


@given(st.lists(st.floats(min_value=0, max_value=1e5), max_size=50))
@example([3600.0, 30 * 24 * 3600 + 0.3])  # asyncio selects for a day at most
def test_sleeps_in_a_row_never_end_early(delays: list[float]) -> None:
    """After each of many sleeps the clock stands exactly where the sleep should end."""

    async def main() -> None:
        for delay in delays:
            due = _now() + delay
            await asyncio.sleep(delay)
            assert _now() == due

    run_virtual(main)


async def test_requests_are_not_jumped_over() -> None:
    """A server in the same loop answers, half a minute apart or a hundred at once.

    A request to which it says nothing ends by its own timeout, in virtual time.
    """

    async def answer(request: web.Request) -> web.Response:
        await asyncio.sleep(24 * 3600 if request.path == "/stalled" else 0)
        return web.Response(text="quick")

    app = web.Application()
    app.router.add_get("/{page}", answer)
    quick = ClientTimeout(total=1)
    async with TestServer(app) as server, ClientSession(timeout=quick) as session:

        async def fetch() -> str:
            async with session.get(server.make_url("/quick")) as response:
                return await response.text()

        for _ in range(20):
            assert await fetch() == "quick"
            await asyncio.sleep(30)
        assert _now() >= 600
        assert await asyncio.gather(*(fetch() for _ in range(100))) == ["quick"] * 100
        started = _now()
        with pytest.raises(TimeoutError):
            await session.get(server.make_url("/stalled"), timeout=ClientTimeout(total=900))
        assert _now() - started == pytest.approx(900, abs=1)  # aiohttp rounds up to a full second


async def test_a_thread_holds_time_still() -> None:
    """A thread finishes before a virtual millisecond has passed, asyncio's for names too."""
    by_anyio = anyio.to_thread.run_sync(work)
    name = asyncio.get_running_loop().getaddrinfo("localhost", 80)
    for work_in_a_thread in (asyncio.to_thread(work), by_anyio, name):
        async with asyncio.timeout(0.001):
            assert await work_in_a_thread
        assert _now() == 0


def test_a_thread_may_wait_for_the_virtual_clock() -> None:
    """A thread that waits for a timer of the loop holds it back only for the given patience."""

    async def main() -> float:
        await anyio.to_thread.run_sync(lambda: anyio.from_thread.run(anyio.sleep, 3600))
        return _now()

    assert run_on(VirtualTimeLoop(thread_patience=0.01), main) == 3600


async def test_a_thread_started_by_hand_may_wake_the_loop() -> None:
    """With no timer pending, a thread that the loop does not know of can still wake it."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()

    def run() -> None:
        work()
        loop.call_soon_threadsafe(woken.set)

    thread = threading.Thread(target=run)
    thread.start()
    await woken.wait()
    await asyncio.to_thread(thread.join)
    assert _now() == 0


def test_a_thread_that_has_just_ended_has_woken_the_loop() -> None:
    """Its message counts that came after the loop had looked for one, and before it gave up."""
    loop = virtual_time_loop()
    woken = asyncio.Event()

    def leave_message(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_name == "_select_or_give_up":
            sys.setprofile(None)
            loop.call_soon_threadsafe(woken.set)

    sys.setprofile(leave_message)
    try:
        assert run_on(loop, woken.wait)
    finally:
        sys.setprofile(None)


def test_an_open_socket_gets_its_grace() -> None:
    """What a peer sends within the grace arrives before a timer of a virtual millisecond."""

    async def main() -> bytes:
        here, there = socket.socketpair()
        with here, there:
            here.setblocking(False)  # noqa: FBT003 - that is its only form
            peer = threading.Thread(target=lambda: (work(), there.send(b"late")))
            peer.start()
            async with asyncio.timeout(0.001):
                received = await asyncio.get_running_loop().sock_recv(here, 10)
            await asyncio.to_thread(peer.join)
            return received

    assert run_on(VirtualTimeLoop(grace=10), main) == b"late"


def test_idle_threads_and_no_sockets_do_not_hold_time_back() -> None:
    """Once threads are done, or have been joined, no patience is spent; nor is any grace."""

    async def main() -> float:
        await asyncio.to_thread(work)
        for _ in range(100):
            await asyncio.sleep(1)
        await asyncio.get_running_loop().shutdown_default_executor()
        await asyncio.sleep(1)
        return _now()

    assert run_on(VirtualTimeLoop(thread_patience=3600, grace=3600), main) == 101


def test_closing_waits_for_an_abandoned_thread() -> None:
    """A thread that no one waits for any more is joined at the end, without a warning."""
    finished: list[int] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        started = asyncio.Event()

        def run() -> None:
            loop.call_soon_threadsafe(started.set)
            finished.append(work())

        future = loop.run_in_executor(None, run)
        await started.wait()
        future.cancel()

    run_virtual(main)
    assert finished == [32]


def test_a_deadlock_is_reported() -> None:
    """When nothing can ever wake the program, it ends with an error that names what still waits."""
    cleaned_up: list[bool] = []

    async def waits_for_ever() -> None:
        await asyncio.sleep(5)
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.append(True)

    with pytest.raises(RuntimeError, match=r"deadlock at virtual time 5 s.*waits_for_ever"):
        run_virtual(waits_for_ever)
    assert cleaned_up == [True]


@pytest.mark.parametrize("background", [True, False])
def test_a_sleep_without_end_is_a_deadlock(*, background: bool) -> None:
    """A timer that is never due wakes no one; beside it, others go on as ever."""

    async def main() -> None:
        if background:
            forever = asyncio.create_task(anyio.sleep_forever())
            await asyncio.sleep(200_000)  # longer than asyncio looks ahead
            await asyncio.wait([forever])
        await asyncio.sleep(math.inf)

    at = 200_000 if background else 0
    with pytest.raises(RuntimeError, match=rf"deadlock at virtual time {at:g} s"):
        run_virtual(main)


def test_run_virtual_passes_arguments_results_and_errors() -> None:
    """The arguments go in, the result or the error comes out, and each run starts at zero.

    A coroutine is what `asyncio.run` takes, and so an easy slip.
    """

    async def divide(number: int, by: int, delay: float) -> tuple[float, float]:
        await asyncio.sleep(delay)
        return number / by, _now()

    assert run_virtual(divide, 42, 2, 60.0) == (21, 60.0)
    assert run_virtual(divide, 8, 2, 1.0) == (4, 1.0)
    with pytest.raises(ZeroDivisionError):
        run_virtual(divide, 8, 0, 1.0)
    for wrong in (divide(1, 1, 1.0), None):
        with pytest.raises(TypeError, match=r"run_virtual\(main\), not run_virtual\(main\(\)\)"):
            cast("Callable[[object], None]", run_virtual)(wrong)


def test_a_closed_loop_stays_closed() -> None:
    """The loop closes like any other, twice too, and refuses work afterwards."""
    loop = virtual_time_loop()
    loop.close()
    loop.close()
    assert loop.is_closed()
    with pytest.raises(RuntimeError, match="closed"):
        loop.call_later(1, work)


def test_the_plugin_sets_the_clock(tmp_path: Path) -> None:
    """With the plugin, tests run on virtual time unless they are marked `real_time`."""
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["asyncclient.testing.pytest_plugin"]\n', encoding="utf-8"
    )
    (tmp_path / "test_clock.py").write_text(
        """
import asyncio
import pytest
from asyncclient.testing.pytest_plugin import real_time, virtual_time

def kind():
    return type(asyncio.get_running_loop()).__name__

async def test_default():
    await asyncio.sleep(3600)
    assert kind() == "VirtualTimeLoop"

@virtual_time
async def test_virtual():
    await asyncio.sleep(3600)
    assert kind() == "VirtualTimeLoop"

@real_time
async def test_real():
    assert kind() != "VirtualTimeLoop"
    assert asyncio.get_running_loop().get_debug()

@real_time
class TestReal:
    @pytest.fixture(scope="class")
    async def loop(self):
        yield asyncio.get_running_loop()

    async def test_its_wide_fixture(self, loop):
        assert loop is asyncio.get_running_loop()
        assert kind() != "VirtualTimeLoop"
""",
        encoding="utf-8",
    )
    options = ("-p", "anyio", "-o", "anyio_mode=auto")
    command = [sys.executable, "-W", "error", "-m", "pytest", *options]
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    env = os.environ | alone
    done = subprocess.run(
        command, cwd=tmp_path, env=env, check=False, capture_output=True, text=True, timeout=100
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
