"""Tests of the memory: bins of ages, and a life table that forgets in equal parts."""

from __future__ import annotations

import math

import pytest

from asyncclient._learning.memory import AGES, BIN_WIDTH, LAST_EDGE, Memory, edge_near


@pytest.mark.parametrize(
    ("age", "edge"),
    [
        (0.0, 0),
        (0.02, 0),
        (0.04, 1),
        (0.05, 1),
        (0.05 * math.exp(BIN_WIDTH * 0.4), 1),
        (0.05 * math.exp(BIN_WIDTH * 9.4), 10),
        (0.05 * math.exp(BIN_WIDTH * 9.6), 11),
        (1e12, LAST_EDGE),
    ],
)
def test_an_age_has_a_nearest_edge(age: float, edge: int) -> None:
    """Edges are 1.8 % apart from 0.05 s to a million seconds."""
    assert edge_near(age) == edge
    assert len(AGES) == LAST_EDGE + 1
    assert AGES[:2] == (0, 0.05)
    assert AGES[129] == pytest.approx(0.5)
    assert 1e6 < AGES[-1] < 1.02e6


def test_what_was_seen_is_counted() -> None:
    """Alive from edge to edge, and ended between two; a share of another memory adds to it."""
    memory, other = Memory(), Memory()
    memory.add_alive(0, 5)
    memory.add_alive(5, 5)
    memory.add_end(5, 6)
    assert memory.news == 1.25  # of a poll that a task outlived, an eighth
    other.add_alive(3, 5, 2.0)
    other.add_end(5, 6, 2.0)
    other.add_end(7, 9)
    memory.add(other, 0.5)
    assert memory.alive == {0: 1, 3: 1, 5: -2}
    assert memory.ends == {(5, 6): 2, (7, 9): 0.5}
    assert memory.size == 2.5
    assert memory.news == 1.25 + (3 + 2 / 8) / 2
    memory.add_alive(7, 7)
    assert 7 not in memory.alive


def test_what_exceeds_the_most_is_forgotten_in_equal_parts() -> None:
    """New ends count in full; of older ones less and less is left, and in the end nothing."""
    old, new, memory, many = Memory(), Memory(), Memory(most=8), Memory(most=8)
    old.add_alive(0, 3, 8)
    old.add_end(3, 4, 8)
    new.add_alive(0, 7, 2)
    new.add_end(7, 8, 2)
    memory.add(old)
    memory.add(new)
    assert memory.ends == {(3, 4): 6, (7, 8): 2}
    assert memory.alive == {0: 8, 3: -6, 7: -2}
    assert memory.size == 8
    for _ in range(20):
        memory.add(new)
    assert memory.ends == {(7, 8): pytest.approx(8, abs=0.03)}
    assert memory.size == pytest.approx(8, abs=0.03)
    many.add(old, 0.1)
    many.add(old, 2)
    assert many.size == 16
    half = Memory(most=8)
    half.add(old, 0.5)
    half.add(new)
    assert half.ends == {(3, 4): 4, (7, 8): 2}
