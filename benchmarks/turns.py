"""Measure contenders in turn, in one process and one run: figures are ratios and medians."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping

Request = Callable[[int], Awaitable[object]]


async def load(request: Request, *, requests: int, concurrent: int) -> tuple[float, float]:
    """Make requests, some at a time; return CPU and wall-clock seconds."""

    async def worker(first: int) -> None:
        for number in range(first, requests, concurrent):
            await request(number)

    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(worker(first) for first in range(concurrent)))
    return time.process_time() - cpu, time.perf_counter() - wall


async def in_turn(
    contenders: Mapping[str, Request], *, rounds: int, requests: int, concurrent: int
) -> dict[str, list[tuple[float, float]]]:
    """Measure each contender in each round, forwards and backwards by turns, after a warm-up."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    for request in contenders.values():
        await load(request, requests=requests, concurrent=concurrent)
    for number in range(rounds):
        names = list(contenders)
        for name in names if number % 2 else reversed(names):
            figures = await load(contenders[name], requests=requests, concurrent=concurrent)
            seconds[name].append(figures)
    return seconds


def report(seconds: Mapping[str, list[tuple[float, float]]], *, to: str, requests: int) -> None:
    """Print each contender's cost, and its throughput per CPU second against one of them."""
    print(f"{'':28} {'CPU us/request':>15} {'per CPU second':>15} {'quartiles':>13} {'wall':>6}")
    for name, figures in seconds.items():
        cpu = statistics.median(pair[0] for pair in figures) / requests * 1e6
        pairs = list(zip(seconds[to], figures, strict=True))
        ratios = [one[0] / other[0] for one, other in pairs]
        low, middle, high = statistics.quantiles(ratios, n=4)
        wall = statistics.median(one[1] / other[1] for one, other in pairs)
        print(f"{name:28} {cpu:15.1f} {middle:14.3f}x {low:6.3f}-{high:5.3f} {wall:5.2f}x")


def versions(*distributions: str) -> str:
    """Return what ran: Python and the distributions named."""
    parts = [f"{name} {importlib.metadata.version(name)}" for name in distributions]
    return f"Python {platform.python_version()}, {', '.join(parts)}"
