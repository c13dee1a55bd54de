"""Runs many worlds on all cores, or one and shrinks it.

`python -m tests.simulation 100000 0` runs 100,000 worlds from seed 0 on; what fails is printed with
the command that replays it. `python -m tests.simulation --seed 7` plays the world of seed 7 alone,
and prints a shorter one that fails in the same way.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.draw import world_of
from tests.simulation.judge import breaches_of
from tests.simulation.played import Breach
from tests.simulation.shrink import shrunk

_CHUNK = 250
# Failing seeds of each kind that are named.
_NAMED = 5


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def failures(first: int, number: int) -> list[tuple[int, Breach]]:
    """Run the worlds of some seeds, and return the first breach of each that fails."""
    found: list[tuple[int, Breach]] = []
    for seed in range(first, first + number):
        kinds: dict[str, Breach] = {}
        for breach in breaches_of(world_of(seed)):
            kinds.setdefault(breach.kind, breach)
        found += [(seed, breach) for breach in kinds.values()]
    return found


def explain(seed: int) -> bool:
    """Play one world, print what it breaks and a shorter one; return whether it breaks nothing."""
    found = dict(reversed(breaches_of(world_of(seed))))
    for kind, sentence in found.items():
        _say(f"{kind}: {sentence}\n  {shrunk(world_of(seed), kind)!r}\n")
    _say(f"seed {seed}: {len(found)} invariants are broken")
    return not found


def run(number: int, first: int, cores: int) -> bool:
    """Run many worlds, print the figures, and return whether all were good."""
    began = time.perf_counter()
    kinds: Counter[str] = Counter()
    starts = range(first, first + number, _CHUNK)
    sizes = [min(_CHUNK, first + number - start) for start in starts]
    with ProcessPoolExecutor(cores) as pool:
        for found in pool.map(failures, starts, sizes):
            for seed, breach in found:
                kinds[breach.kind] += 1
                if kinds[breach.kind] <= _NAMED:
                    _say(f"{breach.kind}: {breach.sentence}")
                    _say(f"  python -m tests.simulation --seed {seed}")
    seconds = time.perf_counter() - began
    _say(f"{number} worlds in {seconds:.0f} s, {number / seconds:.0f} worlds/s on {cores} cores")
    for kind, count in kinds.most_common():
        _say(f"  {count} worlds broke: {kind}")
    return not kinds


def main() -> None:
    """Read the arguments, and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("worlds", nargs="?", type=int, default=1_000_000)
    parser.add_argument("first", nargs="?", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="play and shrink the world of this seed alone")
    parser.add_argument("--cores", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    good = (
        run(given.worlds, given.first, given.cores) if given.seed is None else explain(given.seed)
    )
    sys.exit(not good)


if __name__ == "__main__":
    main()
