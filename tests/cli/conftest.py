"""The command in this process, on virtual time: it shares an event loop with its simulator."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import anyio
import pytest

from asyncclient.testing import Simulator, virtual_time_loop
from tests.cli.shell import KEY, OTHER, TOKEN, VARIABLES, Shell

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Runner]:
    """Give one event loop on virtual time, in which the command runs too.

    Between two commands it stands still, and all that listens in it with it.
    """
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:

        def run(function: Callable[[], Awaitable[int]]) -> int:
            async def call() -> int:
                return await function()

            return runner.run(call())

        monkeypatch.setattr(anyio, "run", run)
        yield runner


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let Ctrl-C do what it does in a shell, where it may have been ignored in a background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def sim(loop: asyncio.Runner) -> Iterator[Simulator]:
    """Run a simulator in the command's own loop."""
    simulator = Simulator(coze_token=TOKEN, copyai_key=KEY)
    loop.run(simulator.start())
    yield simulator
    loop.run(simulator.close())


@pytest.fixture
def environment(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the command the simulator's URLs, and all credentials."""
    values = (TOKEN, sim.coze_url, KEY, sim.copyai_url)
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ASYNCCLIENT_TOKEN", OTHER)


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Return a shell."""
    return Shell(capfd, monkeypatch)
