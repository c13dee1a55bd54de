"""Tests of what is saved: few bytes, which say the same, and nothing else is read."""

from __future__ import annotations

from base64 import b64decode
from binascii import crc32
from collections.abc import Callable
from functools import cache
from random import Random
from typing import cast

import msgspec
import pytest
from hypothesis import given, strategies as st

from asyncclient._learning import LearnedSchedule
from asyncclient._learning.curve import Curve
from asyncclient._learning.memory import Memory
from asyncclient._learning.saved import packed, unpacked
from tests.learning.laws import (
    LAWS,
    LOGNORMAL,
    STAMPS,
    Law,
    learn,
    learned,
    least_cost,
    mean_cost,
    middle,
)

# As a program without a type checker calls it.
unchecked_from_bytes = cast("Callable[..., LearnedSchedule]", LearnedSchedule.from_bytes)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_what_was_learned_survives_in_a_few_hundred_bytes(law: Law) -> None:
    """A restored schedule knows the same quantiles, and costs the same."""
    schedule, rng = LearnedSchedule(), Random(16)
    learn(schedule, law, rng, STAMPS, tasks=400)
    data = schedule.to_bytes()
    assert len(data) < 400
    restored = LearnedSchedule.from_bytes(data)
    assert restored.sample_size() == pytest.approx(schedule.sample_size(), abs=2)
    for share in (0.1, 0.5, 0.75, 0.95):
        assert restored.quantile(share) == pytest.approx(schedule.quantile(share), rel=0.1)
    assert mean_cost(restored, law, rng, STAMPS) <= 1.15 * least_cost(law, 1.0, 60.0)


def test_tasks_that_outlived_all_ends_are_kept_too() -> None:
    """Where half of the tasks were given up late, a restored schedule knows that as well."""
    schedule = LearnedSchedule()
    for task in range(200):
        schedule.observe(5 + task % 20 / 10)
        schedule.survived(100)
    restored = LearnedSchedule.from_bytes(schedule.to_bytes())
    for share in (0.3, 0.45):
        assert restored.quantile(share) == pytest.approx(schedule.quantile(share), rel=0.03)
    assert restored.quantile(0.52) == pytest.approx(schedule.quantile(0.52), rel=0.1)


def test_restored_tasks_are_forgotten_in_their_turn() -> None:
    """Old tasks count less and less as new ones come."""
    restored = LearnedSchedule.from_bytes(learned(LOGNORMAL, tasks=500).to_bytes())
    rng, slower = Random(17), LOGNORMAL.stretched(1.1)
    for _ in range(1500):
        restored.observe(slower.age(rng.random()))
        assert 470 < restored.sample_size() <= 525
    assert restored.quantile(0.5) == pytest.approx(slower.age(0.5), rel=0.05)


def test_kinds_with_little_in_them_survive_too() -> None:
    """Kinds of which too little is known for a plan are kept as they are, with their names."""
    schedule = LearnedSchedule()
    schedule.survived(10, kind="pending")
    for task in range(5):
        schedule.observe(20 + task, since=19, kind="few")
    restored = LearnedSchedule.from_bytes(schedule.to_bytes(), poll_cost=3, longest_gap=90)
    assert restored.kinds == ("pending", "few")
    assert restored.sample_size("few") == 5
    assert (restored.poll_cost, restored.longest_gap) == (3, 90)
    for _ in range(3):
        restored.observe(22, since=19, kind="few")
    assert 15 < restored.gap(0, 0, kind="few", draw=middle) < 25
    assert LearnedSchedule.from_bytes(LearnedSchedule().to_bytes()).kinds == ()


@cache
def saved() -> bytes:
    """Return what one kind looks like when it is saved."""
    return learned(LOGNORMAL, tasks=30).to_bytes()


@given(st.binary(max_size=64), st.integers(0, len(saved()) - 1), st.integers(1, 255))
def test_changed_bytes_are_refused(garbage: bytes, at: int, change: int) -> None:
    """Garbage, a changed byte or a missing end raises, and the error says what to do."""
    data = saved()
    for wrong in (garbage, data[:at], data[:at] + bytes([data[at] ^ change]) + data[at + 1 :]):
        with pytest.raises(ValueError, match=r"^not a saved LearnedSchedule: .* or learn again$"):
            LearnedSchedule.from_bytes(wrong)


WRONG: dict[str, object] = {
    "late": ["k", 0, 0, [[5000, 1, 64]]],
    "beyond the last edge": ["k", 0, 0, [[1871, 1, 64]]],
    "early": ["k", 0, 0, [[-1, 1, 64]]],
    "empty": ["k", 0, 0, [[1, 0, 64]]],
    "many": ["k", 0, 0, [[1, 1, 10**9]]],
    "many together": ["k", 0, 0, [[1, 1, 64 * 999], [1, 1, 65]]],
    "negative": ["k", -1, 0, [[1, 1, 64]]],
    "left": ["k", 10**9, 0, [[1, 1, 64]]],
    "until": ["k", 0, 5000, [[1, 1, 64]]],
    "unnamed": [3, 0, 0, [[1, 1, 64]]],
    "cut": ["k"],
}


@pytest.mark.parametrize("wrong", WRONG)
def test_numbers_that_were_never_saved_are_refused(wrong: str) -> None:
    """Bytes with a good checksum and numbers out of range are not taken in either."""
    body = msgspec.msgpack.encode([WRONG[wrong]])
    with pytest.raises(ValueError, match=r"^not a saved LearnedSchedule: "):
        LearnedSchedule.from_bytes(saved()[:5] + crc32(body).to_bytes(4, "big") + body)


def test_another_version_or_what_is_no_bytes_is_refused() -> None:
    """Bytes of a later version are refused by its number; anything else is the caller's mistake."""
    data = saved()
    with pytest.raises(ValueError, match=r"it is of version '03', and this library reads '02'"):
        LearnedSchedule.from_bytes(data[:4] + b"\x03" + data[5:])
    for wrong in (None, "ACLS", 3, [1]):
        with pytest.raises(TypeError, match="from_bytes takes the bytes that to_bytes returned"):
            unchecked_from_bytes(wrong)


# What the first edition saved of 60 tasks of 30 s, ±3 %, of two, and of one that went on.
FIRST_EDITION = b64decode(
    "QUNMUwILAAWAk5SgB80C5NwAGZMAzQK4A5PNArwBA5MBAQuTAQEckwEBNJMBAVGTAQF1kwEBzKGTAQHM0ZMBAc0BAJMB"
    "Ac0BKpMBAc0BSpMBAc0BWJMBAc0BVpMBAc0BSZMBAc0BMJMBAc0BB5MBAczYkwEBzKmTAQF9kwEBVpMBATeTAQEgkwEB"
    "D5MBAQSUo2ZldwAAkZPNAlkJzICUp3BlbmRpbmcAAJA="
)


def test_what_the_first_edition_saved_is_read() -> None:
    """It had narrower bins; what it knew is known within 2 %."""
    restored = LearnedSchedule.from_bytes(FIRST_EDITION)
    assert restored.kinds == ("", "few", "pending")
    assert [restored.sample_size(kind) for kind in restored.kinds] == [60, 2, 0]
    for share, age in ((0.1, 28.5), (0.5, 30.0), (0.9, 31.5)):
        assert restored.quantile(share) == pytest.approx(age, rel=0.02)
    assert LearnedSchedule().merge([FIRST_EDITION]) == 1


def body_of(data: bytes) -> object:
    """Return what was saved, without its header."""
    assert data[:5] == b"ACLS\x02"
    assert data[5:9] == crc32(data[9:]).to_bytes(4, "big")
    return msgspec.msgpack.decode(data[9:])


def read(*kinds: object) -> list[tuple[str, Memory]]:
    """Read kinds as they are saved."""
    body = msgspec.msgpack.encode(kinds)
    return unpacked(b"ACLS\x02" + crc32(body).to_bytes(4, "big") + body, "merge")


def test_a_curve_is_saved_in_spans() -> None:
    """A span holds a 32nd of all ends, or is 12 bins wide; none is saved where none ended."""
    seen, curve = Memory(), Curve([0, 5, 6, 7, 8], [1.0, 0.9, 0.9, 0.2, 0.1], 0.0)
    seen.add_end(6, 7, 9.0)
    spans = [[0, 9, 64], [11, 2, 448], [2, 2, 64]]
    assert body_of(packed([("k", seen, curve)])) == [["k", 64, 15, spans]]
    for step, width in ((0.01, 4), (0.008, 4), (1 / 128, 4), (0.0077, 5), (0.001, 12)):
        survival = [1 - step * number for number in range(61)]
        many = Memory()
        many.add_end(0, 1, 1000 * (1 - survival[-1]))
        (saved,) = cast(
            "list[list[list[list[int]]]]",
            body_of(packed([("", many, Curve([0, *range(300, 360)], survival, 0.0))])),
        )
        assert [each[1] for each in saved[3][1:-1]] == [2 * width] * (len(saved[3]) - 2)
        assert saved[3][1][0] == 599
        assert sum(each[1] for each in saved[3]) == 717


def test_what_was_saved_is_read_span_by_span() -> None:
    """Tasks lived up to where a span begins, and those left to the last edge; 64 kinds are read."""
    ((name, seen),) = read(["k", 64, 14, [[0, 8, 64], [11, 2, 448], [1, 1, 32]]])
    assert name == "k"
    assert seen.ends == {(0, 4): 1, (6, 7): 7.5}
    assert seen.alive == {0: 8.5, 6: -7.5, 7: -1}
    assert seen.size == 8.5
    ((_, most),) = read(["", 0, 0, [[1869, 1, 64 * 999], [1, 1, 64]]])
    assert (most.size, max(most.ends)) == (1000, (935, 936))
    kinds = read(*((str(number), 0, 0, ()) for number in range(70)))
    assert [name for name, _ in kinds] == [str(number) for number in range(64)]
    with pytest.raises(ValueError, match="the numbers of the kind 'k' are out of range; pass"):
        read(["k", 0, 0, [[1871, 1, 64]]])
    for wrong in (b"", b"ACLS", saved()[:-1], b"else"):
        with pytest.raises(ValueError, match="it was cut off or changed, or is something else; p"):
            unpacked(wrong, "merge")
    with pytest.raises(TypeError, match=r"^merge takes the bytes that to_bytes returned, not str$"):
        unpacked("ACLS", "merge")
