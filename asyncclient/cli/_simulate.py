"""What `simulate` does: the simulator on two ports, until it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import math
import signal
from collections.abc import Generator
from random import Random
from typing import Literal, TypeAlias

import anyio
import msgspec

from asyncclient.cli._exits import ExitCode
from asyncclient.cli._output import say, say_json
from asyncclient.testing import Simulator

CozePlan: TypeAlias = Literal["free", "personal", "team", "enterprise"]
"""The plans whose limits the simulator knows."""

_SPREAD = 0.5  # sigma of the durations' log-normal, as the simulator's own


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How to simulate; the names are those of the options."""

    coze_port: int
    copyai_port: int
    seed: int
    fault_share: float
    fail_share: float
    mean_seconds: float
    plan: CozePlan | None
    journal: str | None


async def serve(settings: Settings, *, as_json: bool) -> int:
    """Serve both providers on loopback until Ctrl-C or SIGTERM."""
    mu = math.log(settings.mean_seconds) - _SPREAD**2 / 2

    def durations(rng: Random) -> float:
        return rng.lognormvariate(mu, _SPREAD)

    sim = Simulator(
        seed=settings.seed,
        durations=durations,
        fault_share=settings.fault_share,
        fail_share=settings.fail_share,
        plan=settings.plan,
        journal=settings.journal,
    )
    with _termination() as terminated:
        try:
            await sim.start(coze_port=settings.coze_port, copyai_port=settings.copyai_port)
        except OSError as error:
            msg = f"cannot listen: {error}; choose other ports (0 takes a free one)"
            if error.filename is not None:
                msg = f"cannot write the tasks: {error}; name another file"
            raise ValueError(msg) from error
        try:
            _announce(sim, as_json=as_json)
            await terminated.wait()
        finally:
            await sim.close()
    return ExitCode.OK


def _announce(sim: Simulator, *, as_json: bool) -> None:
    """Write where the simulator listens, and the credentials that it takes."""
    variables = {
        "COZE_API_BASE": sim.coze_url,
        "COZE_API_TOKEN": sim.coze_token,
        "COPYAI_API_BASE": sim.copyai_url,
        "COPYAI_API_KEY": sim.copyai_key,
    }
    if as_json:
        urls = {"coze_url": sim.coze_url, "coze_token": sim.coze_token}
        urls |= {"copyai_url": sim.copyai_url, "copyai_key": sim.copyai_key}
        say_json(msgspec.json.encode({**urls, "environment": variables}), pretty=False)
        return
    say(f"Coze     {sim.coze_url}  token {sim.coze_token}")
    say(f"Copy.ai  {sim.copyai_url}  key {sim.copyai_key}")
    say("In another shell:")
    say(f"export {' '.join(f'{name}={value}' for name, value in variables.items())}")
    say("Ctrl-C stops it.")


@contextlib.contextmanager
def _termination() -> Generator[anyio.Event]:
    """Yield an event that SIGTERM sets; Ctrl-C is the event loop's own business."""
    event = anyio.Event()
    loop = asyncio.get_running_loop()

    def stop(_number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(event.set)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield event
    finally:
        signal.signal(signal.SIGTERM, before)
