"""Two thousand worlds keep every promise, and a seed means the same world each time."""

from __future__ import annotations

import pytest

from tests.simulation.__main__ import failures
from tests.simulation.draw import world_of
from tests.simulation.play import play

WORLDS = 2000
_PARTS = 20


@pytest.mark.heavy
@pytest.mark.parametrize("part", range(_PARTS))
def test_worlds_keep_every_promise(part: int) -> None:
    """None of the fixed seeds breaks an invariant; a failure names the command that replays it."""
    size = WORLDS // _PARTS
    found = [
        f"python -m tests.simulation --seed {seed}    # {breach.kind}: {breach.sentence}"
        for seed, breach in failures(part * size, size)
    ]
    assert not found, "\n".join(found)


def test_a_seed_replays() -> None:
    """All that happens follows from the seed."""
    for seed in range(40):
        world = world_of(seed)
        assert world == world_of(seed)
        assert play(world).trace() == play(world).trace()
