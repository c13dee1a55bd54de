"""How a durable wait ended, as plain JSON: as far as it can be written, and within its bounds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from enum import Enum
from types import MappingProxyType
from typing import NoReturn

import msgspec
import pytest
from hypothesis import given, strategies as st

from asyncclient import Done, Poller, TaskState, Ticket
from asyncclient._durable import TicketExpired, poll_slice, unreadable
from asyncclient.integrations import _outcome
from asyncclient.integrations._outcome import (
    ERROR_CHARACTERS,
    LEVELS,
    Outcome,
    outcome_of,
    plain_json,
)
from tests.hostile import Unprintable
from tests.waiting.scenario import REF, Job, Report

EPOCH = 1_763_780_000.0


def begin(timeout: float = 600.0) -> Ticket:
    """Make a ticket by the real clock."""
    return Ticket.begin(REF, timeout=timeout)


async def _end_of(job: Job) -> Done[object]:
    async with Poller() as poller:
        end = await poll_slice(poller, lambda _: job, begin())
    assert isinstance(end, Done)
    return end


async def test_an_outcome_is_plain_json() -> None:
    """How a wait ended can be read by those who have neither the task nor its types."""
    outcome = outcome_of(begin(), await _end_of(Job("done")), EPOCH)
    assert Outcome.decode(outcome.encode()) == outcome
    assert (outcome.how, outcome.ended) == ("done", EPOCH)
    assert outcome.result == msgspec.to_builtins(Report("done"))
    broken = await _end_of(Job(Report("broken", reason="out of tea")))
    outcome = outcome_of(begin(), broken, EPOCH)
    assert (outcome.state, outcome.result) == (TaskState.FAILED, None)
    assert (outcome.error_type, "out of tea" in (outcome.error or "")) == ("TaskFailed", True)
    expired = unreadable('{"deadline":1}', ValueError("no ticket"), EPOCH)
    assert isinstance(expired, TicketExpired)
    assert outcome_of(begin(), expired, EPOCH).how == "expired"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (Unprintable(), "<Unprintable without a text>"),
        (ValueError("half a letter: \ud83d"), "half a letter: \ufffd"),
        (ValueError("a whole one: \ud83d\ude00"), "a whole one: \U0001f600"),
        (ValueError("x" * ERROR_CHARACTERS), "x" * ERROR_CHARACTERS),
        (ValueError("x" * 10**7), "x" * (ERROR_CHARACTERS) + "…"),
        (ValueError("\x00\n"), "\x00\n"),
        (type("E" * 200, (Exception,), {})("why"), "why"),
    ],
    ids=["mute", "half", "pair", "long", "too long", "control", "its name"],
)
async def test_any_error_is_written(error: Exception, text: str) -> None:
    """Cut at a stated length; without a text of its own, it is named by its class."""
    outcome = outcome_of(begin(), await _end_of(Job(error)), EPOCH)
    assert outcome.error == text
    assert len(outcome.error_type or "") <= 100
    assert Outcome.decode(outcome.encode()) == outcome


class _Colour(Enum):
    RED = "red"


class Camel(msgspec.Struct, rename="camel"):
    """An answer whose names are others in Python."""

    one_word: object
    not_there: object = msgspec.UNSET


@dataclasses.dataclass
class _Pair:
    left: object
    right: object = None


class _Raising(dict[str, int]):
    """A mapping that cannot be read."""

    def items(self) -> NoReturn:
        raise KeyError("gone")


class _Letters(str):
    """A text of a class of the caller's."""

    __slots__ = ()


class _Endless(list[int]):
    """A list that has no end."""

    def __iter__(self) -> Iterator[int]:
        while True:
            yield 1


def _around(inner: object, times: int) -> object:
    for _ in range(times):
        inner = [inner]
    return inner


def cycle() -> list[object]:
    """Make a list that holds itself, directly and in an object."""
    found: list[object] = [1]
    found += [found, {"again": found}]
    return found


def bomb() -> list[object]:
    """Make a list that would be 2 ** 40 lists as JSON."""
    found: list[object] = []
    for _ in range(40):
        found = [found, found]
    return found


# Bytes of a result here, where 1 MiB would take seconds to fill.
MOST = 1 << 16
RESULTS: dict[str, tuple[object, object]] = {
    "cycle": (cycle(), [1, None, {"again": None}]),
    "no numbers": ([math.nan, math.inf, -math.inf, 0.5], [None, None, None, 0.5]),
    "long numbers": ({"id": 10**5000, "n": 10**40}, {"id": None, "n": 10**40}),
    "half letters": ({"word": "\ud83d", "\udc00": 1}, {"word": "\ufffd", "\ufffd": 1}),
    "bytes": ([b"\xff", bytearray(b"\xff")], ["/w==", "/w=="]),
    "objects": (
        {"it": Unprintable(), "ok": [Unprintable, 1j]},
        {"it": None, "ok": [str(Unprintable), "1j"]},
    ),
    "raises": ([_Raising(a=1), 2], [None, 2]),
    "mappings": ([MappingProxyType({"a": _Letters("b")})], [{"a": "b"}]),
    "keys": (
        {1: "one", None: 0, (2, "x"): 3, _Colour.RED: 4},
        {"1": "one", "None": 0, "[2, 'x']": 3, "red": 4},
    ),
    "classes": (_Pair(Camel([_Colour.RED]), {1}), {"left": {"oneWord": ["red"]}, "right": [1]}),
    "deep": (_around("in", LEVELS - 1), _around("in", LEVELS - 1)),
    "too deep": (_around(1, 10**5), _around(None, LEVELS)),
    "endless": (_Endless(), None),
    "bomb": (bomb(), None),
    "long": ("x" * (MOST - 2), "x" * (MOST - 2)),
    "too long": ("x" * (MOST - 1), None),
    "too many bytes": (["é" * (MOST // 2)], None),
}


@pytest.mark.parametrize(("value", "plain"), RESULTS.values(), ids=RESULTS)
def test_a_result_is_written_as_far_as_it_goes(
    value: object, plain: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What JSON cannot hold is null in its place; more than 1 MiB is null as a whole."""
    assert _outcome.RESULT_BYTES == 1 << 20
    monkeypatch.setattr(_outcome, "RESULT_BYTES", MOST)
    assert plain_json(value) == plain
    msgspec.json.encode(plain_json(value))


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(PLAIN)
def test_plain_json_stays_as_it_is(value: object) -> None:
    """Nothing is lost of what JSON holds."""
    assert plain_json(value) == value
