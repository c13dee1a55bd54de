"""How long a provider asks to wait. No clock, no I/O."""

from __future__ import annotations

import math
from calendar import timegm
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from asyncclient._http.message import Response
from asyncclient._state import number_of

# Seconds. A longer hint is a mistake: milliseconds, for example.
_DAY = 86_400.0
# Numbers in these ranges are points in time, Unix seconds and milliseconds: 2001 to 2286.
_UNIX_SECONDS = range(10**9, 10**10)
_UNIX_MILLISECONDS = range(10**12, 10**13)


def usable_hint(hint: object) -> float | None:
    """Return the seconds that a provider asks to wait; None for more than a day and no number."""
    seconds = number_of(hint)
    return seconds if seconds is not None and seconds <= _DAY else None


def hint_of(value: float, now: float) -> float | None:
    """Return the seconds to wait from a number that may also be a point in time.

    Args:
        value: seconds, or Unix seconds, or Unix milliseconds.
        now: Unix time in seconds.

    Returns:
        seconds, at least 0; None for more than a day and for a value that is not a number.
    """
    if not math.isfinite(value):
        return None
    if int(value) in _UNIX_SECONDS:
        value -= now
    elif int(value) in _UNIX_MILLISECONDS:
        value = value / 1000 - now
    return usable_hint(max(0.0, value))


def seconds_asked(response: Response) -> float | None:
    """Return how long the server asks to wait in its answer's headers, in seconds."""
    return seconds_asked_in(response.headers, response.received)


def seconds_asked_in(headers: Mapping[str, str], received: float = 0.0) -> float | None:
    """Return how long a server asks to wait, in seconds from its answer.

    `retry-after-ms` (milliseconds, as the OpenAI family sends it) goes before `Retry-After`, which
    may be seconds or an HTTP date (RFC 9110, section 10.2.3). A point in time is measured against
    the answer's own `Date`, so that a skewed local clock does no harm.

    Args:
        headers: by their names in lower case.
        received: Unix time of the answer's arrival in seconds; 0 when it is not known.
    """
    text, exact = headers.get("retry-after"), headers.get("retry-after-ms")
    if text is None and exact is None:
        return None
    now = _unix_time(headers.get("date")) or received
    milliseconds = _number(exact)
    if milliseconds is not None:
        return hint_of(milliseconds / 1000, now)
    number = _number(text)
    if number is not None:
        return hint_of(number, now)
    until = _unix_time(text)
    return usable_hint(max(0.0, until - now)) if until and now else None


def unix_time_of(response: Response) -> float:
    """Return the Unix time of an answer: by its own `Date`, else by our clock; 0 without both."""
    return _unix_time(response.headers.get("date")) or response.received


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _unix_time(text: str | None) -> float:
    """Return the Unix time of an HTTP date; 0 when it is none."""
    try:
        moment = parsedate_to_datetime(text or "")
        # A date without a zone is in GMT (RFC 9110, section 5.6.7), not in this machine's.
        return moment.timestamp() if moment.tzinfo else float(timegm(moment.timetuple()))
    except (ValueError, OverflowError):
        return 0.0
