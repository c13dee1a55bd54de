"""Tests of the rules of repeating a request: truth tables of errors, hints and what is left."""

from __future__ import annotations

import math
from functools import partial

import pytest

from asyncclient._http.repeat import delay_after, seconds_to_repeat
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    AuthenticationFailed,
    ConnectFailed,
    DecodeError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
    RateLimited,
    RequestTimeout,
    ServerError,
    TransportError,
    UnknownStatus,
)

TRANSIENT: list[AsyncClientError] = [
    TransportError("broken off"),
    ConnectFailed("refused"),
    RequestTimeout("slow"),
    RateLimited("too many", status=429),
    ServerError("down", status=502),
    DecodeError("html"),
]
FINAL: list[AsyncClientError] = [
    TransportError("certificate", permanent=True),
    DecodeError("too much", permanent=True),
    ConnectFailed("certificate", permanent=True),
    APIError("no"),
    *(
        AuthenticationFailed("no"),
        PermissionDenied("no"),
        InvalidRequest("no"),
        QuotaExceeded("no"),
    ),
]


# Whether what may be repeated freely is sent again, with much left.
repeat = partial(seconds_to_repeat, idempotent=True, repeats_left=9, backoff=1, seconds_left=99)


def name_of(value: object) -> str:
    """Return the id of a table's row."""
    permanent = " permanent" if getattr(value, "permanent", False) else ""
    return f"{type(value).__name__}{permanent}"


@pytest.mark.parametrize(
    "error", [*TRANSIENT, *FINAL, NotFound("no"), UnknownStatus("no")], ids=name_of
)
def test_a_transient_failure_is_repeated_and_a_clear_no_is_not(error: AsyncClientError) -> None:
    """What may be repeated freely is, after the seconds of the backoff."""
    seconds = 1.5 if error in TRANSIENT else None
    assert repeat(error, repeats_left=1, backoff=1.5, seconds_left=30) == seconds
    assert seconds is not None or repeat(error, idempotent=False) is None
    assert delay_after(error, 1.5) == (1.5, None)


# The hint, the repeats and seconds that are left, and what follows from a backoff of 1 s:
# the seconds to wait with the hint that they follow, or no repeat.
Follows = tuple[float, float | None] | None
WAITS: dict[str, tuple[float | None, int, float, Follows]] = {
    "no hint": (None, 1, 30.0, (1.0, None)),
    "no repeat left": (None, 0, 30.0, None),
    "just in time": (None, 1, 1.0, (1.0, None)),
    "too late": (None, 1, 0.99, None),
    "hint 0": (0.0, 1, 30.0, (1.0, None)),
    "shorter hint": (0.99, 1, 30.0, (1.0, None)),
    "hint as long as the backoff": (1.0, 1, 30.0, (1.1, 1.0)),
    "hint, stretched by a tenth": (5.0, 1, 30.0, (5.5, 5.0)),
    "hint, stretched by the backoff": (20.0, 1, 30.0, (21.0, 20.0)),
    "hint, just in time": (20.0, 1, 21.0, (21.0, 20.0)),
    "hint, too late with its stretch": (20.0, 1, 20.9, None),
    "hint of a day": (86400.0, 1, 30.0, None),
    "hint of a day is not cut to the longest": (86400.0, 1, 4000.0, None),
    "hint of more than a day is none": (86401.0, 1, 30.0, (1.0, None)),
    "hint without end is none": (math.inf, 1, 30.0, (1.0, None)),
    "negative hint": (-3.0, 1, 30.0, (1.0, None)),
    "hint that is no number": (math.nan, 1, 30.0, (1.0, None)),
}


@pytest.mark.parametrize(
    ("hint", "repeats_left", "seconds_left", "expected"), WAITS.values(), ids=WAITS
)
def test_a_repeat_waits_for_backoff_and_hint(
    hint: float | None, repeats_left: int, seconds_left: float, expected: Follows
) -> None:
    """A repeat waits for the longer of both, if that is within the budget; else there is none."""
    error = RateLimited("too many", status=429, retry_after=hint)
    seconds = repeat(error, repeats_left=repeats_left, seconds_left=seconds_left)
    assert seconds == (expected and expected[0])
    assert expected is None or delay_after(error, 1) == expected
