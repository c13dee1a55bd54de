"""Tests of the rules of repeating a request: truth tables of errors, hints and what is left."""

from __future__ import annotations

import math

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
    ConnectFailed("certificate", permanent=True),
    APIError("no"),
    AuthenticationFailed("no"),
    PermissionDenied("no"),
    InvalidRequest("no"),
    QuotaExceeded("no"),
]


def name_of(value: object) -> str:
    """Return the id of a table's row."""
    permanent = " permanent" if getattr(value, "permanent", False) else ""
    return f"{type(value).__name__}{permanent}"


@pytest.mark.parametrize("error", TRANSIENT, ids=name_of)
def test_a_transient_failure_is_repeated(error: AsyncClientError) -> None:
    """What may be repeated freely is, after the seconds of the backoff."""
    seconds = seconds_to_repeat(
        error, idempotent=True, repeats_left=1, backoff=1.5, seconds_left=30
    )
    assert seconds == 1.5
    assert delay_after(error, 1.5) == (1.5, None)


@pytest.mark.parametrize("error", [*FINAL, NotFound("no"), UnknownStatus("no")], ids=name_of)
@pytest.mark.parametrize("idempotent", [True, False], ids=["idempotent", "not idempotent"])
def test_a_clear_no_is_not_repeated(error: AsyncClientError, *, idempotent: bool) -> None:
    """After an error that asking again cannot mend, the request is not sent again."""
    seconds = seconds_to_repeat(
        error, idempotent=idempotent, repeats_left=9, backoff=1, seconds_left=99
    )
    assert seconds is None


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (ConnectFailed("refused"), True),
        (RateLimited("too many", status=429), True),
        (ConnectFailed("lost", sent=True), False),
        (TransportError("lost"), False),
        (TransportError("lost", sent=False), False),
        (RequestTimeout("slow"), False),
        (ServerError("down", status=503), False),
        (ServerError("down", status=503, retry_after=1), False),
        (DecodeError("html"), False),
    ],
    ids=[
        "no connection",
        "refused for too many",
        "connection lost",
        "broken off",
        "broken off before it was sent",
        "timeout",
        "server error",
        "server error with a hint",
        "no JSON",
    ],
)
def test_a_start_is_repeated_only_when_nothing_started(
    error: AsyncClientError, *, again: bool
) -> None:
    """What may not be sent twice is repeated only when the provider certainly did not act."""
    seconds = seconds_to_repeat(error, idempotent=False, repeats_left=9, backoff=1, seconds_left=99)
    assert (seconds is not None) == again


@pytest.mark.parametrize(
    ("hint", "repeats_left", "backoff", "seconds_left", "expected"),
    [
        (None, 1, 1.0, 30.0, (1.0, None)),
        (None, 0, 1.0, 30.0, None),
        (None, -1, 1.0, 30.0, None),
        (None, 1, 1.0, 1.0, (1.0, None)),
        (None, 1, 1.0, 0.99, None),
        (None, 1, 1.0, -5.0, None),
        (0.0, 1, 1.0, 30.0, (1.0, None)),
        (0.99, 1, 1.0, 30.0, (1.0, None)),
        (1.0, 1, 1.0, 30.0, (1.1, 1.0)),
        (5.0, 1, 1.0, 30.0, (5.5, 5.0)),
        (20.0, 1, 1.0, 30.0, (21.0, 20.0)),
        (20.0, 1, 1.0, 21.0, (21.0, 20.0)),
        (20.0, 1, 1.0, 20.9, None),
        (1e9, 1, 1.0, 30.0, None),
        (1e9, 1, 1.0, 4000.0, None),
        (math.inf, 1, 1.0, 30.0, (1.0, None)),
        (-3.0, 1, 1.0, 30.0, (1.0, None)),
        (math.nan, 1, 1.0, 30.0, (1.0, None)),
    ],
    ids=[
        "no hint",
        "no repeat left",
        "less than none left",
        "just in time",
        "too late",
        "long too late",
        "hint 0",
        "shorter hint",
        "hint as long as the backoff",
        "hint, stretched by a tenth",
        "hint, stretched by the backoff",
        "hint, just in time",
        "hint, too late with its stretch",
        "hint of 31 years",
        "hint of 31 years is not cut to the longest",
        "hint without end is none",
        "negative hint",
        "hint that is no number",
    ],
)
def test_a_repeat_waits_for_backoff_and_hint(
    hint: float | None,
    repeats_left: int,
    backoff: float,
    seconds_left: float,
    expected: tuple[float, float | None] | None,
) -> None:
    """A repeat waits for the longer of both, if it is within the budget; else there is none.

    `expected` is the seconds, and the hint that they follow.
    """
    error = RateLimited("too many", status=429, retry_after=hint)
    seconds = seconds_to_repeat(
        error,
        idempotent=True,
        repeats_left=repeats_left,
        backoff=backoff,
        seconds_left=seconds_left,
    )
    if expected is None:
        assert seconds is None
        return
    assert seconds == expected[0]
    assert delay_after(error, backoff) == expected
