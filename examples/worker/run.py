"""Run it all: in one process, or with `--redis URL` in three, started again when killed."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
from pathlib import Path

import uvicorn
from app import make_app
from waiter import work

from asyncclient.testing import Simulator

HERE = Path(__file__).parent


def durations(rng: random.Random) -> float:
    """Draw how many seconds a simulated job takes."""
    return rng.uniform(3, 30)


async def in_one(port: int) -> None:
    """Run app and worker in this process, with the tickets in its memory."""
    server = uvicorn.Server(uvicorn.Config(make_app("memory://"), port=port, ws="none"))
    working = asyncio.create_task(work("memory://"))
    try:
        await server.serve()
    finally:
        working.cancel()
        await asyncio.wait({working})


async def in_three(port: int, url: str) -> None:
    """Run app and worker as two processes, and restart each that ends."""
    commands = {
        "app": ["-m", "uvicorn", "--app-dir", str(HERE), "--port", str(port), "app:app"],
        "worker": [str(HERE / "waiter.py")],
    }
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)

    async def keep(name: str, arguments: list[str]) -> None:
        while not stopping.is_set():
            process = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, env={**os.environ, "REDIS_URL": url}
            )
            sys.stdout.write(f"{name}: process {process.pid}\n")
            sys.stdout.flush()
            ended = asyncio.create_task(process.wait())
            stopped = asyncio.create_task(stopping.wait())
            await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not ended.done():
                process.terminate()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(10):
                        await ended
            if not ended.done():
                process.kill()
                await ended
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await stopping.wait()

    await asyncio.gather(*(keep(name, arguments) for name, arguments in commands.items()))


async def main(port: int, url: str | None, *, accounts: bool) -> None:
    """Run until stopped; without accounts, both providers are played on loopback."""
    async with contextlib.AsyncExitStack() as stack:
        if not accounts:
            sim = await stack.enter_async_context(Simulator(durations=durations, fail_share=0.1))
            os.environ |= {
                "COZE_API_BASE": sim.coze_url,
                "COZE_API_TOKEN": sim.coze_token,
                "COPYAI_API_BASE": sim.copyai_url,
                "COPYAI_API_KEY": sim.copyai_key,
            }
        await (in_one(port) if url is None else in_three(port, url))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--redis", metavar="URL", help="as redis://localhost:6379/0")
    parser.add_argument("--accounts", action="store_true", help="use real accounts, from COZE_… …")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main(options.port, options.redis, accounts=options.accounts))
