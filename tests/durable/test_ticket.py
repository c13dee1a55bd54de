"""Tickets: what they hold, how they are written, and what becomes of one that cannot be read."""

from __future__ import annotations

import math
import time
from typing import cast

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from asyncclient import TaskRef, TaskState, Ticket
from asyncclient._durable import LONGEST_WAIT, TicketExpired, deadline_of, unreadable
from asyncclient._durable.ticket import expired
from asyncclient.errors import RateLimited, WaitTimeout
from tests.hostile import Unprintable
from tests.waiting.scenario import REF

EPOCH = 1_763_780_000.0
AT_REST = Ticket.begin(REF, timeout=600, clock=lambda: EPOCH)
DAY = 86_400


def begin(timeout: object = 600, ref: object = REF) -> Ticket:
    """Make a ticket, of what a caller without a type checker may pass."""
    return Ticket.begin(
        cast("TaskRef", ref), timeout=cast("float", timeout), clock=lambda: EPOCH + 0.7
    )


def test_a_ticket_survives_its_text() -> None:
    """What is written is what is read, with the version in it."""
    ticket = Ticket(REF, EPOCH + 60.5, int(EPOCH), polls=7, seen=int(EPOCH) + 3)
    assert Ticket.decode(ticket.encode()) == ticket
    assert Ticket.decode(ticket.encode().encode()) == ticket
    assert ticket.encode().endswith('"v":2}')
    first = ticket.encode().replace('"v":2', '"v":1').replace('"account":null,', "")
    assert Ticket.decode(first) == ticket


def test_a_ticket_is_small_with_the_longest_reference_that_is_allowed() -> None:
    """With a reference of 299 bytes, years of polls and every field, it is under 400 bytes."""
    room = 299 - len(msgspec.json.encode(TaskRef("copyai", "run", {"id": ""}, int(EPOCH))))
    ref = TaskRef("copyai", "run", {"id": "w" * room}, int(EPOCH))
    assert len(msgspec.json.encode(ref)) == 299
    ticket = Ticket(ref, EPOCH + 0.123, int(EPOCH), polls=9_999_999, seen=int(EPOCH))
    assert len(ticket.encode()) < 400


def test_a_reference_that_is_taken_can_be_written_in_every_turn() -> None:
    """Its polls and its last answer are written beside it later, and need a place, too."""
    empty = len(msgspec.json.encode(TaskRef("copyai", "run", {"id": ""}, int(EPOCH))))
    for size in range(290, 330):
        ref = TaskRef("copyai", "run", {"id": "w" * (size - empty)}, int(EPOCH))
        if size >= 300:
            with pytest.raises(ValueError, match=f"^a reference of {size} bytes.* under 300"):
                begin(ref=ref)
        else:
            later = msgspec.structs.replace(begin(ref=ref), polls=9_999_999, seen=int(EPOCH))
            assert len(later.encode()) < 400


def test_a_clock_that_is_behind_does_not_stretch_a_wait() -> None:
    """A worker whose clock shows a time before the wait began has no more of it than all."""
    assert (
        500 < Ticket.begin(REF, timeout=600).left(time.time()) <= 601
    )  # by the clock of the machine
    assert AT_REST.left(EPOCH + 100) == 500
    assert AT_REST.left(EPOCH - 10_000) == 600


@pytest.mark.parametrize("timeout", [1e-9, 0.5, 1, LONGEST_WAIT])
def test_a_timeout_of_up_to_ten_years_is_kept(timeout: float) -> None:
    """Its deadline is that many seconds from now, to the millisecond."""
    ticket = begin(timeout)
    assert ticket.deadline - EPOCH - 0.7 == pytest.approx(timeout, abs=1e-3)
    assert Ticket.decode(ticket.encode()) == ticket


@pytest.mark.parametrize("timeout", [0, LONGEST_WAIT + 1, math.inf, math.nan, 10**400, "60"])
def test_another_timeout_is_refused_with_its_bounds(timeout: object) -> None:
    """Whichever number it is: no engine could write it, or the wait would be kept for ever."""
    says = r"^timeout(=\S+| is too large: it)? must be .*(315360000|a number of) seconds"
    with pytest.raises((ValueError, TypeError), match=says):
        begin(timeout)


@pytest.mark.parametrize("bad", ["7\n", "\ud800"])
def test_a_reference_that_no_client_could_take_is_refused(bad: str) -> None:
    """A line break or half a letter in any of its words; the error names which."""
    replace = msgspec.structs.replace
    for ref, name in (
        (replace(REF, provider=bad), "provider="),
        (replace(REF, kind=bad), "kind="),
        (replace(REF, account=bad), "account="),
        (replace(REF, ids={"id": bad}), r"ids\['id'\]="),
        (replace(REF, ids={bad: "7"}), "the name of an id="),
    ):
        with pytest.raises(ValueError, match=f"^{name}.* has a line break or a control character"):
            begin(ref=ref)
    if bad != "\ud800":  # which JSON cannot hold
        text = AT_REST.encode().replace('"7"', msgspec.json.encode(bad).decode())
        with pytest.raises(ValueError, match=r"not a ticket: .*line break or a control character"):
            Ticket.decode(text)


def test_what_is_no_reference_is_refused() -> None:
    """Another object, an id that is no text, or one too long for a ticket."""
    with pytest.raises(TypeError, match="TaskRef"):
        begin(ref={"provider": "coze"})
    with pytest.raises(TypeError, match=r"^ids\['id'\] must be a text, not int"):
        begin(ref=msgspec.structs.replace(REF, ids={"id": 7}))
    with pytest.raises(ValueError, match="under 300"):
        begin(ref=TaskRef("coze", "chat", {"chat_id": "9" * 400}))
    begin(ref=TaskRef("acme", "acme.job", {"path": "/" + "9" * 9000}))
    with pytest.raises(ValueError, match="under 9900"):
        begin(ref=TaskRef("acme", "acme.job", {"path": "/" + "9" * 10_000}))


@pytest.mark.parametrize(
    "deadline", [math.inf, math.nan, 1e300, EPOCH - 1, EPOCH + LONGEST_WAIT + 2]
)
def test_a_deadline_is_at_most_ten_years_after_the_start(deadline: float) -> None:
    """A ticket that is made by hand or comes from a store is not kept for ever either."""
    with pytest.raises(ValueError, match=r"^deadline=\S+ must be at most 315360000 seconds after"):
        Ticket(REF, deadline, int(EPOCH))


GOOD = AT_REST.encode()
GARBAGE: tuple[str | bytes, ...] = (
    *("", "{}", "[]", "nonsense", '{"v":1}', GOOD[:-1], b"\xff", "[" * 10_000, "\ud800"),
    GOOD.replace('"polls":0', '"polls":-1'),
    GOOD.replace('"polls":0', f'"polls":{10**400}'),
    GOOD.replace(f'"started":{int(EPOCH)}', f'"started":{10**400}'),
    GOOD.replace(f'"deadline":{EPOCH + 600}', '"deadline":1e300'),
)


def test_what_cannot_be_read_says_why() -> None:
    """A version that is not known, in the ticket or its reference, or any garbage."""
    with pytest.raises(ValueError, match=r"version 3.*update the workers"):
        Ticket.decode(GOOD.removesuffix('"v":2}') + '"v":3}')
    with pytest.raises(ValueError, match="a task reference of version 9"):
        Ticket.decode(GOOD.replace('"v":2}', '"v":9}', 1))
    for text in GARBAGE:
        assert text != GOOD
        with pytest.raises(ValueError, match="ticket"):
            Ticket.decode(text)
    with pytest.raises(TypeError, match="int"):
        Ticket.decode(7)


@pytest.mark.parametrize(
    ("old", "new"),
    [('"v":2}', '"v":3,"new":[1]}'), ('"7"', '"7\\n"'), ('"polls":0', '"polls":"0"')],
)
def test_a_ticket_that_cannot_be_read_ends_at_its_deadline(old: str, new: str) -> None:
    """Until then it is kept as it is, for a worker that may read it; then its error says why."""
    text = new.join(GOOD.rsplit(old, 1))
    with pytest.raises(ValueError, match="ticket") as reason:
        Ticket.decode(text)
    deadline = EPOCH + 600
    assert deadline_of(text, EPOCH) == deadline
    assert unreadable(text, reason.value, deadline - 0.1) == text
    end = unreadable(text, reason.value, deadline)
    assert isinstance(end, TicketExpired)
    assert f"its ticket cannot be read: ValueError: {reason.value}" in str(end.error)
    assert end.error.last_error is reason.value
    assert Ticket.decode(end.ticket.encode()) == end.ticket


@given(
    st.text()
    | st.dictionaries(st.text(), st.integers() | st.text()).map(
        lambda fields: msgspec.json.encode(fields).decode()
    )
)
@example('{"v":99}')
@example('{"deadline":1e300}')
@example('{"deadline":-1e300}')
@example('{"deadline":"soon"}')
@example("[" * 10_000)
@example("\ud800")
@example("x" * 10**6)
def test_a_ticket_without_a_deadline_is_kept_for_a_day(text: str) -> None:
    """That is noted in it, and its own fields stay."""
    reason = ValueError("no ticket")
    kept = unreadable(text, reason, EPOCH)
    assert isinstance(kept, str)
    assert deadline_of(kept, EPOCH) == EPOCH + DAY
    assert unreadable(kept, reason, EPOCH + DAY - 1) == kept
    assert isinstance(unreadable(kept, reason, EPOCH + DAY), TicketExpired)
    if text == '{"v":99}':
        assert msgspec.json.decode(kept) == {"v": 99, "deadline": EPOCH + DAY}
    if not text.startswith("{"):
        assert len(kept) < 6100


def test_an_expiry_says_what_kept_the_last_slice_from_an_answer() -> None:
    """The provider's trouble is in its text, however long or unspeakable, and in `last_error`."""
    busy = RateLimited("busy", status=429, advice="slow down")
    timeout = WaitTimeout("not ended", retry_after=30.0)
    timeout.last_error = busy
    for error, words in (
        (None, "last state running, 3 polls)"),
        (timeout, "3 polls, last failed poll: RateLimited: busy)"),
        (busy, "3 polls, last failed poll: RateLimited: busy)"),
        (Unprintable(), "3 polls, last failed poll: Unprintable: <Unprintable without a text>)"),
        (OSError("\ud83d" + "x" * 10**7), "3 polls, last failed poll: OSError: \ufffdxxx"),
    ):
        ticket = msgspec.structs.replace(AT_REST, polls=3)
        end = expired(ticket, EPOCH + 601, state=TaskState.RUNNING, error=error)
        assert words in str(end.error)
        assert len(str(end.error)) < 1300
        assert end.error.last_error is (busy if error is timeout else error)
        assert end.error.retry_after == (30.0 if error is timeout else None)
        assert (end.error.ref, end.error.polls, end.error.elapsed) == (REF, 3, 601)
        assert (end.polls, end.state, end.result) == (3, TaskState.RUNNING, None)
