"""Tests of the rules of waiting, without a loop: truth tables."""

from __future__ import annotations

import asyncio
import errno
import math
from collections.abc import Sequence
from typing import Literal

import pytest
from msgspec.structs import replace

from asyncclient import Observation, TaskState
from asyncclient._waiting import AskCaller, Sleep, TimeLimit, first_silence
from asyncclient._waiting.record import Limits, RareFacts, Record
from asyncclient._waiting.rules import (
    SAME_INSTANT,
    fit,
    is_new_demand,
    rare_after_answer,
    rare_after_handler,
    rare_while_asked,
)
from asyncclient.errors import (
    APIError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    TaskExpired,
    UnknownStatus,
)
from tests.http.test_failure import refused
from tests.http.test_repeat import FINAL, TRANSIENT, name_of
from tests.waiting.looks import BEGAN, DOWN, Wait, raised, seen_of

PENDING, RUNNING, BLOCKED, SUCCEEDED, FAILED, CANCELLED, EXPIRED = TaskState

# The gap that the schedule proposes, the look's seconds, the provider's hint, and what follows.
RESTS: dict[str, tuple[float, float, float | None, Sleep]] = {
    "the look's time comes off": (10, 2.0, None, Sleep(8.0, "schedule")),
    "a look that took no time": (10, 0.0, None, Sleep(10.0, "schedule")),
    "a slow look leaves a tenth": (10, 9.5, None, Sleep(1.0, "schedule")),
    "a look slower than its gap leaves a tenth": (10, 60.0, None, Sleep(1.0, "schedule")),
    "no gap": (0, 0.0, None, Sleep(0.01, "schedule")),
    "no gap after a slow look": (1e-9, 3.0, None, Sleep(0.001, "schedule")),
    "hint 0": (10, 2.0, 0.0, Sleep(8.0, "schedule")),
    "hint as long as the rest": (10, 2.0, 8.0, Sleep(8.0, "schedule")),
    "longer hint": (10, 2.0, 8.1, Sleep(8.1, "hint", hint=8.1)),
    "hint counts from the answer": (10, 2.0, 9.0, Sleep(9.0, "hint", hint=9.0)),
    "hint after a slow look": (10, 60.0, 1.5, Sleep(1.5, "hint", hint=1.5)),
    "hint of an hour": (10, 2.0, 3600.0, Sleep(3600.0, "hint", hint=3600.0)),
    "hint of a day is cut to an hour": (10, 2.0, 86400.0, Sleep(3600.0, "hint", hint=86400.0)),
    "but not below the gap": (7200, 0.0, 9000.0, Sleep(7200.0, "hint", hint=9000.0)),
}


@pytest.mark.parametrize("state", [PENDING, RUNNING, None])
@pytest.mark.parametrize(("delay", "took", "hint", "expected"), RESTS.values(), ids=RESTS)
def test_a_task_at_work_is_looked_at_again(
    state: TaskState | None, delay: float, took: float, hint: float | None, expected: Sleep
) -> None:
    """The gap is the longer of schedule and hint, in every state that is no end."""
    assert Wait().answered(seen_of(state, hint=hint), took=took, delay=delay) == expected


# The demand that was answered at 5 s, the demand that shows and when, and if it is put.
DEMANDS_SHOWN: dict[str, tuple[str | None, str | None, float, bool]] = {
    "at once": ("a", "a", 5.0, False),
    "still within its time": ("a", "a", 35.0, False),
    "after its time": ("a", "a", 35.1, True),
    "another demand": ("a", "b", 5.1, True),
    "a demand without a name": ("a", None, 5.1, True),
    "demands without names": (None, None, 5.1, False),
    "demands without names, long after": (None, None, 500.0, False),
    "a name where there was none": (None, "a", 5.1, True),
}


@pytest.mark.parametrize(
    ("first", "shown", "at", "asked"), DEMANDS_SHOWN.values(), ids=DEMANDS_SHOWN
)
def test_a_demand_may_show_for_a_moment_after_its_answer(
    first: str | None, shown: str | None, at: float, *, asked: bool
) -> None:
    """Not again for 30 s after its answer, nor a nameless one ever; any other is put at once."""
    wait = Wait()
    wait.demand_answered(first, 5.0)
    step = wait.answered(seen_of(BLOCKED, demand=shown, hint=9.0), at=at)
    demanded = AskCaller(9.0, "hint", hint=9.0, demand=shown)
    assert step == (demanded if asked else Sleep(9.0, "hint", hint=9.0))


# A demand, the state of a look while its handler runs, when that has answered (None: it has
# failed), and whether the next look that shows the demand makes it again.
ASKED: dict[str, tuple[str | None, TaskState | None, float | None, bool]] = {
    "named, answered": ("a", BLOCKED, 5.0, False),
    "nameless, answered": (None, BLOCKED, 5.0, False),
    "named, not answered": ("a", BLOCKED, None, True),
    "nameless, not answered": (None, BLOCKED, None, True),
    "nameless, and its stay was over": (None, RUNNING, 5.0, True),
    "nameless, and a word was unknown": (None, None, 5.0, False),
    "named, and it had gone for a moment": ("a", RUNNING, 5.0, False),
}


@pytest.mark.parametrize(("name", "state", "answered_at", "again"), ASKED.values(), ids=ASKED)
def test_a_demand_is_not_made_again_while_its_handler_runs(
    name: str | None, state: TaskState | None, answered_at: float | None, *, again: bool
) -> None:
    """It is made again when the handler has failed, or when a nameless one's stay was over."""
    record = Wait().record
    blocked = Observation(BLOCKED, "asks", "", demand=name)
    assert is_new_demand(record, blocked, BEGAN)
    record.rare = rare_while_asked(record, name)
    for seconds in (0.0, 1000.0):
        assert not is_new_demand(record, blocked, BEGAN + seconds)
    word = "unknown" if state is None else str(state)
    record.rare = rare_after_answer(record, Observation(state, word, ""), BEGAN + 4)
    at = None if answered_at is None else BEGAN + answered_at
    record.rare = rare_after_handler(record, answered_at=at)
    assert is_new_demand(record, blocked, BEGAN + 6) is again


def test_what_is_kept_of_a_demand_goes_with_its_stay() -> None:
    """A nameless one is over with it; a name and the time of its answer are kept."""
    record = Wait().record
    record.rare = RareFacts(wordless=2, demand="a")
    nameless, named = rare_while_asked(record, None), rare_while_asked(record, "name")
    assert nameless == RareFacts(wordless=2, answered_at=math.inf)
    assert named == RareFacts(wordless=2, demand="name", answered_at=math.inf)
    for rare, then in ((nameless, RareFacts()), (named, replace(named, wordless=0))):
        record.rare = rare
        assert rare_after_answer(record, seen_of(), BEGAN) == then
        assert rare_after_answer(record, seen_of(BLOCKED), BEGAN) == replace(rare, wordless=0)
        assert rare_after_handler(record, answered_at=7.0) == replace(rare, answered_at=7.0)
        assert rare_after_handler(record, answered_at=None) == RareFacts(wordless=2)
    record.rare = RareFacts(demand="name", answered_at=7.0)
    assert rare_after_handler(record, answered_at=None) is record.rare


@pytest.mark.parametrize("unknown", ["wait", "raise"])
@pytest.mark.parametrize("word", ["strange", 7, "", None])
def test_an_unknown_word_is_tolerated_or_raised(
    word: str | int | None, unknown: Literal["wait", "raise"]
) -> None:
    """An unknown word is no end: the wait goes on, unless it is a strict one."""
    step = Wait(Limits(unknown=unknown)).answered(seen_of(None, word))
    if unknown == "wait":
        assert step == Sleep(8.0, "schedule")
    else:
        raised(step, UnknownStatus)


def test_each_unknown_word_is_kept_once_and_20_at_most() -> None:
    """They are kept in their order; a provider that never repeats a word fills no memory."""
    wait = Wait()
    for word in ("strange", 7, "strange", "stranger"):
        wait.answered(seen_of(None, word))
    assert wait.record.rare.unknown_words == ("strange", 7, "stranger")
    for number in range(1000):
        assert type(wait.answered(seen_of(None, f"{number} %"))) is Sleep
    kept = wait.record.rare.unknown_words
    assert kept == ("strange", 7, "stranger", *(f"{number} %" for number in range(17)))
    assert len(str(wait.out_of_time())) < 500
    wait = Wait()
    wait.answered(seen_of(None, "x" * 1000))
    assert wait.record.rare.unknown_words == ("x" * 80 + "…",)


def test_an_end_may_have_gone_unseen_since_the_last_answer_or_since_the_task_began() -> None:
    """Between two answers, or for all its age where the first answer shows the end."""
    wait, old = Wait(), Wait()
    wait.answered(at=2)
    old.record.age = 60.0
    for each, unseen in ((wait, 3), (old, 65)):
        each.answered(seen_of(SUCCEEDED), at=5)
        assert each.record.rare.unseen == unseen


@pytest.mark.parametrize(
    ("state", "word"),
    [(PENDING, 1), (RUNNING, "busy"), (BLOCKED, "asks"), (BLOCKED, None), (None, "strange")],
)
def test_five_answers_in_a_row_without_a_word_are_tolerated(
    state: TaskState | None, word: str | None
) -> None:
    """An answer with a word or a state breaks the row; the sixth in a row is raised."""
    wait, wordless = Wait(), [seen_of(None, None)] * 5
    wait.demand_answered("a", 0)
    for seen in [*wordless, seen_of(state, word, demand="a"), *wordless]:
        assert type(wait.answered(seen)) is Sleep
    assert raised(wait.answered(seen_of(None, None)), UnknownStatus).polls == 12


@pytest.mark.parametrize("error", [*TRANSIENT, TimeoutError(), ConnectionResetError()], ids=name_of)
def test_a_failed_look_is_tolerated(error: Exception) -> None:
    """A failure of a look is no failure of the task: the next one follows after the backoff."""
    assert Wait().failed(error) == Sleep(1.0, "error")


@pytest.mark.parametrize(
    "error", [*FINAL, ValueError("bug"), KeyError("bug"), OSError(errno.EIO, "disk")], ids=name_of
)
def test_an_error_that_asking_again_cannot_mend_ends_the_wait(error: Exception) -> None:
    """It is raised itself, at its first showing."""
    assert Wait().failed(error) is error


class OfALibrary(Exception):
    """What another HTTP library raises for every status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"status {status}")
        self.status = status


def is_key_error(error: Exception) -> bool:
    """Say that an error is worth repeating, as a caller's predicate, or fail to say."""
    if error.args == ("fail",):
        raise RuntimeError(error)
    if error.args == ("future",):
        raise asyncio.CancelledError
    return isinstance(error, KeyError | OfALibrary)


BY_GATEWAY = PermissionDenied("403", status=403, foreign=True)
UNKNOWN_CODE = PermissionDenied("403", status=403, known=False)
# What a task declares transient, how a look fails, and if that is tolerated.
DECLARED: dict[str, tuple[object, Exception, bool]] = {
    "nothing": ((), KeyError("x"), False),
    "the class": ((KeyError,), KeyError("x"), True),
    "one class": (KeyError, KeyError("x"), True),
    "a class above it": ((LookupError,), KeyError("x"), True),
    "other classes": ((OSError, ValueError), KeyError("x"), False),
    "a predicate that says yes": (is_key_error, KeyError("x"), True),
    "a predicate that says no": (is_key_error, ConnectionResetError(), False),
    "a predicate that says no to ours": (is_key_error, DOWN, False),
    "a predicate that fails": (is_key_error, ConnectionResetError("fail"), True),
    "a predicate that fails, of an error that ends": (is_key_error, KeyError("fail"), False),
    "a predicate of a cancelled future": (is_key_error, ConnectionResetError("future"), True),
    "a status goes before the class": ((OfALibrary,), OfALibrary(401), False),
    "a status that is transient": ((), OfALibrary(503), True),
    "a predicate goes before a status": (is_key_error, OfALibrary(401), True),
    "our refusal by its class": ((InvalidRequest,), InvalidRequest("no", status=400), True),
    "a predicate that says no to a gateway's": (is_key_error, BY_GATEWAY, False),
    "a predicate that says no to a code in no table": (is_key_error, UNKNOWN_CODE, False),
    "a group of the class": ((KeyError,), ExceptionGroup("", [KeyError(), DOWN]), True),
    "a group with another": ((KeyError,), ExceptionGroup("", [KeyError(), ValueError()]), False),
}


@pytest.mark.parametrize(("transient", "error", "tolerated"), DECLARED.values(), ids=DECLARED)
def test_a_task_may_declare_which_errors_are_transient(
    transient: object, error: Exception, *, tolerated: bool
) -> None:
    """Its classes add to those that are known, after a status; its predicate has the last word."""
    step = Wait(transient=transient).failed(error)
    assert step == Sleep(1.0, "error") if tolerated else step is error


# How looks failed in a row (None: a good answer), and if the last failure is tolerated.
UNCLEAR: dict[str, tuple[list[Exception | None], bool]] = {
    "the provider's own": ([PermissionDenied("403", status=403)], False),
    "a gateway's, before any answer": ([BY_GATEWAY], True),
    "a gateway's, after an answer": ([None, BY_GATEWAY], True),
    "a code in no table": ([UNKNOWN_CODE], True),
    "three in a row": ([BY_GATEWAY, UNKNOWN_CODE, BY_GATEWAY], True),
    "four in a row": ([BY_GATEWAY, UNKNOWN_CODE, BY_GATEWAY, BY_GATEWAY], False),
    "an answer breaks the row": ([*[BY_GATEWAY] * 3, None, *[BY_GATEWAY] * 3], True),
    "another failure breaks the row": ([*[BY_GATEWAY] * 3, DOWN, *[BY_GATEWAY] * 3], True),
    "an outage's pages do not count": ([*[ServerError("502", foreign=True)] * 5, BY_GATEWAY], True),
}


@pytest.mark.parametrize(("looks", "tolerated"), UNCLEAR.values(), ids=UNCLEAR)
def test_three_refusals_in_a_row_that_may_not_be_the_providers_are_tolerated(
    looks: list[Exception | None], *, tolerated: bool
) -> None:
    """A gateway or a code in no table may say nothing of the task; a lasting refusal ends it."""
    wait = Wait()
    steps = [wait.answered() if look is None else wait.failed(look) for look in looks]
    assert all(isinstance(step, Sleep) for step in steps[:-1])
    assert isinstance(steps[-1], Sleep) if tolerated else steps[-1] is looks[-1]


REFUSED_FOR: dict[Sleep, list[float | None]] = {
    Sleep(1.0, "error"): [None, 0.0, -5.0, 0.9, 86400.1, math.inf, math.nan],
    Sleep(1.1, "refused", hint=1.0): [1.0],
    Sleep(5.5, "refused", hint=5.0): [5.0],
    Sleep(101.0, "refused", hint=100.0): [100.0],
    Sleep(3600.0, "refused", hint=86400.0): [86400.0],
}


@pytest.mark.parametrize(("expected", "hints"), REFUSED_FOR.items(), ids=repr)
@pytest.mark.parametrize("kind", [RateLimited, ServerError])
def test_a_refusals_hint_is_obeyed(
    kind: type[APIError], expected: Sleep, hints: list[float | None]
) -> None:
    """The longer of backoff and hint counts; a hint is stretched, so that a crowd parts."""
    for hint in hints:
        assert Wait().failed(kind("no", status=503, retry_after=hint)) == expected
    of_httpx = refused(429, {"Retry-After": "5"})
    assert Wait().failed(of_httpx) == Sleep(5.5, "refused", hint=5.0)


def test_the_backoff_doubles_until_an_answer_comes() -> None:
    """Gaps after failures are drawn under 1 s, doubled up to 30 s, and under 1 s again."""
    wait = Wait()
    for _ in range(7):
        wait.failed(DOWN)
    wait.answered()
    wait.failed(DOWN)
    assert wait.ceilings == [1, 2, 4, 8, 16, 30, 30, 1]


# Failures in a row, the seconds from the first to the last, and if the wait ends.
BUDGETS: dict[str, tuple[int, float, bool]] = {
    "few at once": (10, 0.0, False),
    "few over a long time": (10, 500.0, False),
    "many at once": (11, 0.0, False),
    "many in just the time": (11, 120.0, False),
    "very many in just the time": (50, 120.0, False),
    "many over a long time": (11, 120.1, True),
    "two over a long time": (2, 120.1, False),
}


@pytest.mark.parametrize(("failures", "seconds", "ends"), BUDGETS.values(), ids=BUDGETS)
def test_a_wait_gives_up_when_both_budgets_are_exceeded(
    failures: int, seconds: float, *, ends: bool
) -> None:
    """Neither a burst of quick failures nor a few slow ones end a wait: only many and long do."""
    wait = Wait()
    for _ in range(failures - 1):
        assert isinstance(wait.failed(DOWN, at=1), Sleep)
    last = ServerError("down at last", status=502)
    step = wait.failed(last, at=1 + seconds)
    assert step is last if ends else isinstance(step, Sleep)
    assert wait.record.polls == failures


def test_a_good_answer_resets_both_budgets() -> None:
    """After a good answer, failures and their time are counted from 0; the last error is kept."""
    wait = Wait(Limits(failed_polls=1, max_outage=10))
    wait.failed(DOWN, at=1)
    wait.failed(DOWN, at=11)
    wait.answered(at=12)
    assert wait.record.failures == 0
    assert wait.record.last_error is DOWN
    assert isinstance(wait.failed(DOWN, at=13), Sleep)
    assert isinstance(wait.failed(DOWN, at=23), Sleep)
    assert wait.failed(DOWN, at=23.1) is DOWN


OWN, PAGE = NotFound("no such chat", status=404), NotFound("<html>", status=404, foreign=True)
# How old a task is by its reference, how its looks failed after 1 s (None for an answer),
# how the next one fails and when, and if that is tolerated.
NOT_FOUND: dict[str, tuple[float, Sequence[Exception | None], NotFound, float, bool]] = {
    "at once": (0, [], OWN, 0.0, True),
    "in the grace": (0, [], OWN, 9.9, True),
    "at its end": (0, [], OWN, 10.0, False),
    "later": (0, [], OWN, 60.0, False),
    "in the grace after another failure": (0, [DOWN], OWN, 9.0, True),
    "in the grace of a task that is said to be old": (3600, [], OWN, 9.9, True),
    "after the grace of a task that is said to be old": (3600, [], OWN, 10.0, False),
    "after a good answer": (0, [None], OWN, 1.0, False),
    "a gateway": (0, [], PAGE, 60.0, True),
    "a gateway three times in a row": (0, [PAGE, PAGE], PAGE, 60.0, False),
    "a gateway three times in a row, in the grace": (0, [PAGE, PAGE], PAGE, 9.9, True),
    "a gateway three times, not in a row": (0, [PAGE, DOWN, PAGE], PAGE, 60.0, True),
    "a gateway for two minutes after a good answer": (0, [None, *[PAGE] * 10], PAGE, 121.0, True),
    "a gateway for longer after a good answer": (0, [None, *[PAGE] * 10], PAGE, 121.1, False),
}


def is_not_found(error: Exception) -> bool:
    """Say that an error is worth repeating, as a caller's predicate."""
    return error is OWN


@pytest.mark.parametrize("declared", [(NotFound,), is_not_found])
@pytest.mark.parametrize("earlier", [[], [None]])
def test_a_caller_may_declare_that_not_found_says_nothing(
    declared: object, earlier: Sequence[None]
) -> None:
    """By its class or a predicate, before and after a good answer; and a predicate may deny it."""
    wait = Wait(transient=declared)
    for _ in earlier:
        wait.answered(at=1)
    assert wait.failed(OWN, at=60) == Sleep(1.0, "error")
    raised(Wait(transient=is_key_error).failed(OWN, at=1), TaskExpired)


@pytest.mark.parametrize(
    ("age", "earlier", "error", "at", "tolerated"), NOT_FOUND.values(), ids=NOT_FOUND
)
def test_a_task_that_is_not_found_may_be_too_new(
    age: float, earlier: Sequence[Exception | None], error: NotFound, at: float, *, tolerated: bool
) -> None:
    """For 10 s "no such task" is tolerated if there was no answer yet; later it has expired.

    A gateway that says so is an outage, unless it says so three times in a row before any answer.
    """
    wait = Wait()
    wait.record.age = age
    for failure in earlier:
        step = wait.answered(at=1) if failure is None else wait.failed(failure, at=1)
        assert isinstance(step, Sleep)
    step = wait.failed(error, at=at)
    if tolerated:
        assert step == Sleep(1.0, "error")
    else:
        assert raised(step, TaskExpired).__cause__ is error


def test_the_first_look_comes_early_enough() -> None:
    """A wait of under 10 s has no silence, and no silence reaches into the last 5 s."""
    for silence, timeout, first in (
        *((0, 10, 0), (7, 9.9, 0), (7, 10, 5), (4, 10, 4)),
        *((60, 60, 55), (60, 65, 60), (30, math.inf, 30)),
    ):
        assert first_silence(silence, timeout) == first


SOON = Sleep(10.0, "schedule")
ADVISED = Sleep(10.0, "hint", hint=10.0)
REFUSED = Sleep(11.0, "refused", hint=10.0)
A_DAY = Sleep(3600.0, "refused", hint=86400.0)


def last(seconds: float, hint: float | None = None) -> Sleep:
    """Return the wait for the last look."""
    return Sleep(seconds, "deadline", last=True, hint=hint)


# The gap, what remains, the seconds since the last look was sent, the slowest look, the fitted gap.
FITS: dict[str, tuple[Sleep, float, float, float, Sleep | None]] = {
    "time enough": (SOON, 100.0, 1.0, 0.0, SOON),
    "no deadline": (SOON, math.inf, 1.0, 0.0, SOON),
    "just time enough": (SOON, 10.1, 1.0, 0.0, SOON),
    "on the deadline": (SOON, 10.0, 1.0, 0.0, last(10.0)),
    "cut": (SOON, 3.0, 1.0, 0.0, last(3.0)),
    "31 years are cut": (Sleep(1e9, "schedule"), 3.0, 1.0, 0.0, last(3.0)),
    "a slow look has time": (SOON, 13.0, 1.0, 2.9, SOON),
    "a slow look would be under way at the deadline": (SOON, 13.0, 1.0, 3.0, last(13.0)),
    "a very slow look puts it off by 5 s": (SOON, 15.0, 1.0, 60.0, last(15.0)),
    "and no more": (SOON, 15.1, 1.0, 60.0, SOON),
    "advice with time enough": (ADVISED, 100.0, 1.0, 0.0, ADVISED),
    "advice is cut": (ADVISED, 3.0, 1.0, 0.0, last(3.0, hint=10.0)),
    "a refusal with time enough": (REFUSED, 100.0, 1.0, 0.0, REFUSED),
    "a refusal's stretch is cut": (REFUSED, 10.5, 1.0, 0.0, last(10.5, hint=10.0)),
    "a refusal up to the deadline": (REFUSED, 10.0, 1.0, 0.0, last(10.0, hint=10.0)),
    "advice past the deadline": (ADVISED, 9.9, 1.0, 0.0, Sleep(4.9, "hint", hint=10.0)),
    "a refusal past the deadline": (REFUSED, 9.9, 1.0, 0.0, Sleep(4.9, "refused", hint=10.0)),
    "a refusal past it, hardly before": (REFUSED, 5.009, 1.0, 0.0, last(5.009, hint=10.0)),
    "a refusal past it, 5 s before": (REFUSED, 5.0, 1.0, 0.0, last(5.0, hint=10.0)),
    "a day": (A_DAY, 4000.0, 1.0, 0.0, A_DAY),
    "a cut hint and a slow look": (REFUSED, 9.9, 1.0, 60.0, last(9.9, hint=10.0)),
    "answered on the deadline": (SOON, 0.0, 1.0, 0.0, last(0.05)),
    "answered after it": (SOON, -3.0, 4.0, 0.0, last(0.05)),
    "answered after it, with a hint": (ADVISED, -3.0, 4.0, 0.0, last(0.05, hint=10.0)),
    "answered after it, short gap": (Sleep(0.01, "schedule"), -3.0, 4.0, 0.0, last(0.01)),
    "asked on the deadline": (SOON, 0.0, 0.0, 0.0, None),
    "asked on it, answered after it": (SOON, -3.0, 3.0, 0.0, None),
    "asked after it": (SOON, -3.0, 1.0, 9.0, None),
}


@pytest.mark.parametrize(
    ("sleep", "remaining", "asked_before", "slowest", "expected"), FITS.values(), ids=FITS
)
def test_a_gap_is_fitted_into_what_remains(
    sleep: Sleep, remaining: float, asked_before: float, slowest: float, expected: Sleep | None
) -> None:
    """A gap stays as it is, or ends on the deadline; past it there is one more look or none."""
    now = 1024.0
    asked = now - asked_before
    fitted = fit(sleep, now=now, deadline=now + remaining, asked=asked, slowest=slowest)
    if expected is not None and fitted is not None:
        assert fitted.seconds == pytest.approx(expected.seconds, rel=1e-9)
        expected = replace(expected, seconds=fitted.seconds)
    assert fitted == expected


def limited(
    slowest: float | None = None, *, timeout: float = 10.0
) -> tuple[TimeLimit, Record[str]]:
    """Return the limit of a wait, and its record, with the slowest look."""
    record = Wait().record
    record.slowest = slowest
    return TimeLimit(BEGAN, timeout), record


# The slowest look (None: none has come back), looks that were made, when the one under way was
# sent (None: none is), how long the loop stood still past the deadline, and when the wait ends;
# all in seconds after the deadline.
LIMITS: dict[str, tuple[float | None, int, float | None, float, float]] = {
    "the last look of a fast service": (0.01, 3, 0.0, 0.0, 5.0),
    "of a slow one": (600.0, 3, 0.0, 0.0, 5.0),
    "a last look in line": (0.01, 3, None, 0.0, 5.0),
    "a look that was sent before": (0.01, 3, -4.0, 0.0, 5.0),
    "no look was ever answered": (None, 3, 0.0, 0.0, 0.0),
    "nor is the one in line": (None, 3, None, 0.0, 0.0),
    "the first look": (None, 0, -9.0, 0.0, 0.0),
    "the first look, sent late": (None, 0, -0.1, 0.0, 0.15),
    "the first look, sent on the deadline": (None, 0, 0.0, 0.0, 0.25),
    "the first look, sent after it": (None, 0, 3.0, 0.0, 3.25),
    "the first look, sent much too late": (None, 0, 4.9, 0.0, 5.0),
    "the first look in line": (None, 0, None, 0.0, 5.0),
    "after a standstill": (0.01, 3, 60.0, 60.0, 65.0),
    "after a standstill, never answered": (None, 3, 60.0, 60.0, 60.25),
    "after a standstill, the first look": (None, 0, -1.0, 60.0, 60.25),
    "after a standstill, sent a little later": (None, 3, 60.1, 60.0, 60.35),
    "after a standstill, the first look in line": (None, 0, None, 60.0, 65.0),
    "after a standstill, another one in line": (None, 3, None, 60.0, 65.0),
}


@pytest.mark.parametrize(
    ("slowest", "polls", "sent", "stalled", "limit"), LIMITS.values(), ids=LIMITS
)
def test_the_last_look_has_time_to_be_answered(
    slowest: float | None, polls: int, sent: float | None, stalled: float, limit: float
) -> None:
    """It has 5 s where any look was answered before, and the first look a quarter of a second."""
    term, record = limited(slowest)
    term.stalled, record.polls = stalled, polls
    when = None if sent is None else term.deadline + sent
    assert term.limit(record, when) - term.deadline == pytest.approx(limit)


def test_a_look_through_the_client_of_a_waiter_that_has_left_is_not_the_last_one() -> None:
    """It showed nothing, so that another one follows at once, which is the last one then."""
    term, record = limited()
    record.sent, left, late = BEGAN + 10, Sleep(0.0, "left"), BEGAN + 10.5
    assert term.due_after(left, record, BEGAN + 3) == BEGAN + 3
    assert term.final is None
    term.final = BEGAN + 10
    assert term.is_over(term.final - SAME_INSTANT)
    assert not term.is_over(term.final - 1.01 * SAME_INSTANT)
    assert term.due_after(left, record, late) == term.final == late
    record.sent = late
    assert term.due_after(Sleep(1.0, "schedule"), record, late) is None


def test_a_standstill_of_the_loop_prolongs_a_wait_once() -> None:
    """What lies a little beyond the limit is none; what lies further is allowed for once."""
    term, record = limited(0.1)
    term.ends = limit = term.deadline + 5
    assert not term.prolong(record, None, limit + 0.02)
    assert term.ends == limit
    assert term.prolong(record, None, limit + 0.03)
    assert term.stalled == pytest.approx(5.03)
    assert not term.prolong(record, None, limit + 9)


@pytest.mark.parametrize("slowest", [None, 0.1])
@pytest.mark.parametrize(
    ("late", "is_standstill"), [(0.0, False), (4.77, False), (4.78, True), (4.99, True)]
)
def test_a_deadline_that_comes_too_late_for_a_look_is_a_standstill(
    slowest: float | None, late: float, *, is_standstill: bool
) -> None:
    """Nothing has set another end yet, so this is the deadline's own timer."""
    term, record = limited(slowest)
    assert term.prolong(record, None, term.deadline + late) is is_standstill


def test_the_end_of_a_look_is_set_when_it_is_sent() -> None:
    """The first look has a quarter of a second, and one after a standstill as long from then on.

    One that was due by the deadline has that, too, or the loop stood still. A standstill may begin
    while it is under way; what the loop has set for an end is none.
    """

    def end(term: TimeLimit, record: Record[str], sent: float, due: float) -> float:
        found = term.end_of_look(record, BEGAN + sent, BEGAN + due)
        assert found == term.ends
        return found - BEGAN

    term, record = limited()
    assert end(term, record, 9.9, due=9.9) == pytest.approx(10.15)
    assert end(term, record, 30, due=9.9) == pytest.approx(30.25)
    record.slowest = 0.1
    assert end(term, record, 31, due=31) == pytest.approx(35)
    for at, due, expected in ((14.7, 10, 15), (14.9, 10, 19.9), (14.9, 14.9, 15)):
        assert end(*limited(0.1), at, due) == pytest.approx(expected)
    for sent, is_standstill in ((BEGAN + 9.9, True), (None, False)):
        term, record = limited()
        assert term.prolong(record, sent, BEGAN + 10.2) is is_standstill
    term, record = limited(timeout=1e-3)
    term.ends = term.limit(record, BEGAN)
    record.polls = 1
    assert term.limit(record, None) < BEGAN + 0.2
    assert not term.prolong(record, None, BEGAN + 0.25)


@pytest.mark.parametrize(
    ("slowest", "stalled", "at", "due"),
    [
        *((None, 0.0, 10.1, None), (None, 0.0, 9.9, 10.0), (None, 0.0, 8.5, 9.5)),
        *((1.0, 0.0, 10.1, 10.15), (1.0, 0.0, 14.94, 14.99)),
        *((1.0, 0.0, 14.95, None), (1.0, 0.0, 14.96, None)),
        (None, 20.0, 30.3, 30.35),
    ],
)
def test_a_look_after_the_deadline_must_be_in_time(
    slowest: float | None, stalled: float, at: float, due: float | None
) -> None:
    """A look that outlasted the deadline is followed by one more, if that may be answered yet.

    Where none was answered so far, a look before the deadline leaves no time for another.
    """
    term, record = limited(slowest)
    term.stalled, record.polls, record.sent = stalled, 1, term.deadline - 0.5
    found = term.due_after(Sleep(1.0, "schedule"), record, BEGAN + at)
    assert found == (None if due is None else pytest.approx(BEGAN + due))


@pytest.mark.parametrize(("hint", "named"), [(None, None), (3.0, None), (4.0, None), (4.5, 4.5)])
def test_only_a_hint_past_the_deadline_is_named(hint: float | None, named: float | None) -> None:
    """A timeout says what the provider asked for where that is more than what remained."""
    term, record = limited()
    term.due_after(Sleep(1.0, "refused", hint=hint), record, BEGAN + 6)
    assert term.refused == named
