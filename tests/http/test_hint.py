"""Tests of how long a provider asks to wait: numbers, dates, and what is no hint."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import cast

import pytest
from multidict import CIMultiDict

from asyncclient._http.hint import seconds_asked, unix_time_of, usable_hint
from asyncclient._http.message import Response

NOW = 1445412420.0
NOW_TEXT = "Wed, 21 Oct 2015 07:27:00 GMT"
IN_A_MINUTE = "Wed, 21 Oct 2015 07:28:00 GMT"

HINTS: dict[str, tuple[dict[str, str], float, float | None]] = {
    "no hint": ({}, NOW, None),
    "seconds": ({"retry-after": "30"}, 0, 30),
    "seconds in spaces": ({"retry-after": " 30 "}, 0, 30),
    "float": ({"retry-after": "1.5"}, 0, 1.5),
    "zero": ({"retry-after": "0"}, 0, 0),
    "negative": ({"retry-after": "-1"}, 0, 0),
    "a day": ({"retry-after": "86400"}, 0, 86400),
    "more than a day": ({"retry-after": "86401"}, 0, None),
    "fifteen minutes in milliseconds": ({"retry-after": "900000"}, 0, None),
    "31 years": ({"retry-after": "999999999"}, 0, None),
    "Unix seconds": ({"retry-after": f"{NOW + 60:.0f}"}, NOW, 60),
    "Unix seconds against Date": ({"retry-after": f"{NOW + 60:.0f}", "date": NOW_TEXT}, 0, 60),
    "Unix milliseconds": ({"retry-after": f"{(NOW + 60) * 1000:.0f}"}, NOW, 60),
    "Unix seconds that are over": ({"retry-after": f"{NOW - 60:.0f}"}, NOW, 0),
    "Unix seconds of next week": ({"retry-after": f"{NOW + 604800:.0f}"}, NOW, None),
    "Unix seconds against nothing": ({"retry-after": f"{NOW:.0f}"}, 0, None),
    "a date of next week": ({"retry-after": "Wed, 28 Oct 2015 07:28:00 GMT"}, NOW, None),
    "NaN": ({"retry-after": "nan"}, 0, None),
    "infinity": ({"retry-after": "inf"}, 0, None),
    "empty": ({"retry-after": ""}, NOW, None),
    "a word": ({"retry-after": "soon"}, NOW, None),
    "two values": ({"retry-after": "5, 6"}, NOW, None),
    "date against received": ({"retry-after": IN_A_MINUTE}, NOW, 60),
    "date of another zone": ({"retry-after": "Wed, 21 Oct 2015 16:28:00 +0900"}, NOW, 60),
    "date against nothing": ({"retry-after": IN_A_MINUTE}, 0, None),
    "date against Date": ({"retry-after": IN_A_MINUTE, "date": NOW_TEXT}, 0, 60),
    "Date goes before received": ({"retry-after": IN_A_MINUTE, "date": NOW_TEXT}, NOW + 3600, 60),
    "Date is garbage": ({"retry-after": IN_A_MINUTE, "date": "today"}, NOW, 60),
    "date before Date": ({"retry-after": NOW_TEXT, "date": IN_A_MINUTE}, NOW, 0),
    "date before received": ({"retry-after": NOW_TEXT}, NOW + 1, 0),
    "no such day": ({"retry-after": "Wed, 99 Oct 2015 07:28:00 GMT"}, NOW, None),
    "no such year": ({"retry-after": "Wed, 21 Oct 99999 07:28:00 GMT"}, NOW, None),
    "milliseconds": ({"retry-after-ms": "1500"}, 0, 1.5),
    "negative milliseconds": ({"retry-after-ms": "-5"}, 0, 0),
    "float milliseconds": ({"retry-after-ms": "2.5"}, 0, 0.0025),
    "Unix time as milliseconds": ({"retry-after-ms": f"{(NOW + 60) * 1000:.0f}"}, NOW, 60),
    "milliseconds go first": ({"retry-after-ms": "1500", "retry-after": "9"}, 0, 1.5),
    "zero milliseconds go first": ({"retry-after-ms": "0", "retry-after": "9"}, 0, 0),
    "milliseconds are NaN": ({"retry-after-ms": "nan", "retry-after": "9"}, 0, 9),
    "milliseconds are garbage": ({"retry-after-ms": "soon", "retry-after": "9"}, 0, 9),
    "only garbage milliseconds": ({"retry-after-ms": "soon"}, 0, None),
    "only a Date": ({"date": NOW_TEXT}, NOW, None),
}


@pytest.mark.parametrize(("headers", "received", "expected"), HINTS.values(), ids=HINTS.keys())
def test_a_hint_is_read_from_the_headers(
    headers: dict[str, str], received: float, expected: float | None
) -> None:
    """Seconds, milliseconds and points in time are read; more than a day is no hint."""
    assert seconds_asked(Response(503, headers, b"", received)) == expected


def test_header_names_are_found_in_any_case() -> None:
    """The headers of a real client, which know no case, are read as well."""
    headers = CIMultiDict({"Retry-After-MS": "1500"})
    assert seconds_asked(Response(429, cast("Mapping[str, str]", headers), b"")) == 1.5


@pytest.fixture
def far_from_greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put this machine into Tokyo's zone for a test."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change its zone")
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_greenwich")
def test_every_form_of_an_http_date_is_in_gmt() -> None:
    """All three forms of RFC 9110 are read as GMT, in any zone of the machine."""
    for text in (IN_A_MINUTE, "Wednesday, 21-Oct-15 07:28:00 GMT", "Wed Oct 21 07:28:00 2015"):
        assert seconds_asked(Response(503, {"retry-after": text}, b"", NOW)) == 60


def test_more_than_a_day_is_no_hint() -> None:
    """It is in milliseconds, or a mistake; so is a text that an error of the caller's has."""
    assert [usable_hint(hint) for hint in (0.0, -1.0, 86400.0)] == [0.0, -1.0, 86400.0]
    for hint in (None, 86400.1, math.inf, -math.inf, math.nan, "5", True):
        assert usable_hint(hint) is None


def test_an_answers_time_is_its_own_date_or_that_of_its_arrival() -> None:
    """Without both it is 0; a date that cannot be read is none."""
    assert unix_time_of(Response(200, {"date": NOW_TEXT}, b"", NOW + 9)) == NOW
    assert unix_time_of(Response(200, {"date": "today"}, b"", NOW + 9)) == NOW + 9
    assert unix_time_of(Response(200, {}, b"", 0)) == 0
