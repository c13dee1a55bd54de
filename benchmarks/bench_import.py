"""How long does the import take beside that of the four dependencies, and of Coze's own SDK?

Each import runs in a fresh interpreter with its bytecode cached; the contenders take turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from turns import versions

ROUNDS = 15
_NO_CACHE = "PYTHONDONTWRITEBYTECODE"
CONTENDERS = {
    "the four dependencies": "import aiohttp, anyio, backoff, msgspec",
    "asyncclient": "import asyncclient",
    "asyncclient, all names": "from asyncclient import *",
    "asyncclient, both providers": (
        "from asyncclient import *; import asyncclient.providers.coze, asyncclient.providers.copyai"
    ),
    "cozepy": "import cozepy",
}
_TIMED = (
    "import sys, time\n"
    "begun = time.perf_counter()\n"
    "{statement}\n"
    "print(time.perf_counter() - begun, len(sys.modules))"
)


def measure(statement: str) -> tuple[float, int]:
    """Return the seconds that an import takes, and the modules loaded after it."""
    # Where no bytecode is written, that of the installed dependencies alone would be there.
    environment = {name: value for name, value in os.environ.items() if name != _NO_CACHE}
    output = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _TIMED.format(statement=statement)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout
    seconds, modules = output.split()
    return float(seconds), int(modules)


def main() -> None:
    """Measure and print."""
    figures: dict[str, list[tuple[float, int]]] = {name: [] for name in CONTENDERS}
    for number in range(ROUNDS + 1):
        for name, statement in CONTENDERS.items():
            figure = measure(statement)
            if number:  # the first round fills the caches
                figures[name].append(figure)
    print(versions("aiohttp", "anyio", "backoff", "msgspec", "cozepy"))
    print(f"{ROUNDS} rounds in turn, median\n")
    base = figures["the four dependencies"]
    for name, taken in figures.items():
        median = statistics.median(seconds for seconds, _ in taken)
        extra = statistics.median(one[0] - other[0] for one, other in zip(taken, base, strict=True))
        ratio = statistics.median(one[0] / other[0] for one, other in zip(taken, base, strict=True))
        print(
            f"{name:30} {median * 1e3:6.0f} ms  {ratio:5.2f}x  {extra * 1e3:+5.0f} ms  "
            f"{taken[0][1]} modules"
        )


main()
