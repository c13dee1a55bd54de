"""Runs many worlds on all cores, or one and shrinks it.

`python -m tests.simulation 100000 0` runs 100,000 worlds from seed 0 on; what fails is printed with
the command that replays it. `python -m tests.simulation --seed 7` plays the world of seed 7 alone,
and prints a shorter one that fails in the same way.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from msgspec.structs import replace

from tests.simulation.draw import world_of
from tests.simulation.judge import breaches_of
from tests.simulation.played import Breach
from tests.simulation.world import World

_CHUNK = 250
# Then come new processes: anyio keeps what a task that is killed in the middle of a scope holds.
_UNTIL_NEW_PROCESSES = 20_000
_NAMED = 20  # failing seeds of each kind


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def failures(first: int, number: int) -> list[tuple[int, Breach]]:
    """Run the worlds of some seeds, and return the first breach of each that fails."""
    # So that to collect what one world left takes no time; what the last one left would stay.
    gc.collect()
    gc.freeze()
    return [
        (seed, breach)
        for seed in range(first, first + number)
        for breach in {each.kind: each for each in reversed(breaches_of(world_of(seed)))}.values()
    ]


def shrunk(world: World, kind: str) -> World:
    """Leave out of a world, piece by piece, what its failure does not need.

    Args:
        world: one that breaks an invariant.
        kind: which invariant.
    """

    def fails(smaller: World) -> bool:
        return any(breach.kind == kind for breach in breaches_of(smaller))

    while (smaller := next(filter(fails, _smaller(world)), None)) is not None:
        world = smaller
    return world


def _smaller(world: World) -> Iterator[World]:
    """Yield worlds with a piece less, the largest pieces first."""
    for name in ("faults", "events", "starts", "tickets"):
        pieces: tuple[object, ...] = getattr(world, name)
        size = len(pieces)
        while size:
            for at in range(0, len(pieces), size):
                yield replace(world, **{name: pieces[:at] + pieces[at + size :]})
            size //= 2
    last = len(world.waits) - 1
    if last >= 0 and not any(event.target == last for event in world.events):
        yield replace(world, waits=world.waits[:last])
    for name in ("is_shuffled", "is_eager", "is_logged"):
        if getattr(world, name):
            yield replace(world, **{name: False})


def explain(seed: int) -> bool:
    """Play one world, print what it breaks and a shorter one; return whether it breaks nothing."""
    found = dict(reversed(breaches_of(world_of(seed))))
    for kind, sentence in found.items():
        _say(f"{kind}: {sentence}\n  {shrunk(world_of(seed), kind)!r}\n")
    _say(f"seed {seed}: {len(found)} invariants are broken")
    return not found


def _found(number: int, first: int, cores: int) -> Iterator[tuple[int, Breach]]:
    last = first + number
    for begins in range(first, last, _UNTIL_NEW_PROCESSES):
        ends = min(begins + _UNTIL_NEW_PROCESSES, last)
        starts = range(begins, ends, _CHUNK)
        sizes = [min(_CHUNK, ends - start) for start in starts]
        with ProcessPoolExecutor(cores) as pool:
            for found in pool.map(failures, starts, sizes):
                yield from found


def run(number: int, first: int, cores: int) -> bool:
    """Run many worlds, print the figures, and return whether all were good."""
    began = time.perf_counter()
    kinds: Counter[str] = Counter()
    for seed, breach in _found(number, first, cores):
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
    if given.seed is None:
        sys.exit(not run(given.worlds, given.first, given.cores))
    sys.exit(not explain(given.seed))


if __name__ == "__main__":
    main()
