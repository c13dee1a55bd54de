"""Named breaks of safety and of waiting: `nox -s breaks` shows that the tests notice each.

A break puts something wrong in the place of one function of the package, for one run of the tests
that should fail then. It names what it replaces, never how that is written.
"""

from __future__ import annotations

import asyncio
import importlib
import math
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import pytest

from asyncclient import TaskRef, Ticket
from asyncclient._http import Request, Response
from asyncclient._many.shared import SharedRecord, Waiter
from asyncclient._waiting import TimeLimit

Function: TypeAlias = Callable[..., object]
Wrong: TypeAlias = Callable[[Function], object]  # from what is right to what takes its place

_VARIABLE = "ASYNCCLIENT_BREAK"  # the number of the break that a run of the tests is made with
_TESTS_FAILED = pytest.ExitCode.TESTS_FAILED


class Break(NamedTuple):
    """One break.

    Attributes:
        says: what is wrong then, as a user would say it.
        place: module in the package, and name, of what is replaced.
        wrong: makes what takes its place.
        tests: the folders in `tests` that should notice.
    """

    says: str
    place: str
    wrong: Wrong
    tests: str


def _returns(value: object) -> Wrong:
    def broken(*_arguments: object, **_options: object) -> object:
        return value

    return _is(broken)


def _returns_argument(index: int) -> Wrong:
    def broken(*arguments: object, **_options: object) -> object:
        return arguments[index]

    return _is(broken)


def _is(value: object) -> Wrong:
    def wrong(_right: Function) -> object:
        return value

    return wrong


def _with_options(**options: object) -> Wrong:
    def wrong(right: Function) -> Function:
        def broken(*arguments: object, **given: object) -> object:
            return right(*arguments, **{**given, **options})

        return broken

    return wrong


def _with_argument(index: int, value: object) -> Wrong:
    def wrong(right: Function) -> Function:
        def broken(*arguments: object, **options: object) -> object:
            return right(*arguments[:index], value, *arguments[index + 1 :], **options)

        return broken

    return wrong


def _awaits_nothing(_right: Function) -> Function:
    async def broken(*_arguments: object, **_options: object) -> None:
        await asyncio.sleep(0)

    return broken


def _is_not_verified(right: Function) -> Function:
    def broken(given: object) -> object:
        context = right(given)
        if context is None:
            context = ssl.create_default_context()
        if isinstance(context, ssl.SSLContext):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context

    return broken


def _headers(holder: Request | Response) -> str:
    return repr(dict(holder.headers))


def _ids(ref: TaskRef) -> dict[str, str]:
    return ref.ids


def _at_deadline(limit: TimeLimit, *_arguments: object) -> float:
    return limit.deadline


def _backoff_alone(_error: BaseException, backoff: float) -> tuple[float, None]:
    return backoff, None


def _by_weight_alone(record: SharedRecord) -> float:
    return -record.weight


def _for_all(record: SharedRecord, _error: Exception) -> list[Waiter]:
    return [*record.waiters]


def _left_by_the_clock(ticket: Ticket, now: float) -> float:
    return ticket.deadline - now


_NEVER, _ALWAYS, _NOTHING = _returns(value=False), _returns(value=True), _returns(None)
_IDEMPOTENT, _PLAIN = _with_options(idempotent=True), _with_options(allow_http=True)

# By the folders in `tests` that should notice: what is wrong then, its place, and the wrong thing.
TABLE: dict[str, tuple[tuple[str, str, Wrong], ...]] = {
    "http providers": (
        ("a start in doubt is sent again", "_http.repeat:seconds_to_repeat", _IDEMPOTENT),
        ("a repeated credential stands in the error", "_http.hiding:Hiding.error", _NOTHING),
    ),
    "providers": (
        ("a start in doubt does not say so", "_http.call:_note_whether_started", _NOTHING),
        ("a refused token ends a start", "providers.coze._auth:_JWTSource.forget", _NOTHING),
        (
            "a client takes another account's reference",
            "_http.call:Account.of",
            _returns_argument(0),
        ),
        ("two accounts share a budget", "_http.call:Account.budget", _returns_argument(1)),
    ),
    "sockets": (
        ("a start that broke off counts as not sent", "_http.payload:is_sent", _NEVER),
        ("certificates are not verified", "_http.sessions:checked_context", _is_not_verified),
        ("an answer of any length is read", "_http.pool:SessionPool._refuse_length", _NOTHING),
        ("a pool leaves its sockets open", "_http.sessions:close_all", _awaits_nothing),
        ("NO_PROXY is not obeyed", "_http.proxy:_goes_without", _NEVER),
        (
            "a proxy that wants a password is an outage",
            "_http.failure:is_transient_status",
            _ALWAYS,
        ),
        ("a pool can be pickled", "_http.pool:SessionPool.__reduce__", _is(object.__reduce__)),
        ("an open pool is not reported", "_http.pool:SessionPool.__del__", _NOTHING),
    ),
    "http sockets": (
        ("repr shows a credential", "_http.message:Secret.__repr__", _is(str.__repr__)),
    ),
    "sockets providers": (
        ("a client can be pickled", "_http.call:Account.__reduce__", _is(object.__reduce__)),
    ),
    "sockets many": (
        ("what is closed, or of another loop, is used", "_event_loop:running_loop", _NOTHING),
    ),
    "http": (
        ("an answer takes any memory", "_http.decoding:takes_too_much", _NEVER),
        ("repr shows a request's headers", "_http.message:Request.__repr__", _is(_headers)),
        ("repr shows an answer's headers", "_http.message:Response.__repr__", _is(_headers)),
        ("an id is not quoted", "_http.quoting:path_segment", _returns_argument(1)),
        ("a header may have two lines", "_http.quoting:header_value", _returns_argument(1)),
        ("a credential may travel without TLS", "_http.quoting:base_of", _PLAIN),
        ("any host counts as this machine", "_http.quoting:is_loopback", _ALWAYS),
        ("a credential goes to any host", "_http.places:_is_named", _ALWAYS),
        ("a signed query stands in an error", "_http.hiding:Hiding.beside", _returns_argument(0)),
        ("a redirect is a success", "_http.message:Response.is_good", _is(value=True)),
    ),
    "api": (
        ("a URL is asked wherever it is", "_http.places:Places.target", _returns_argument(2)),
        ("a signed query stands in a repr", "_http.message:Address.__repr__", _is(str.__repr__)),
        ("a start of any API may be sent twice", "_http.repeat:seconds_to_repeat", _IDEMPOTENT),
    ),
    "ground": (
        (
            "a signed query stands in a reference's text",
            "_ref:TaskRef.shown_ids",
            _is(property(_ids)),
        ),
    ),
    "many providers": (
        ("two accounts share a look and its answer", "_ref:task_key", _with_argument(0, None)),
    ),
    "waiting": (
        ("a failed task is a success", "_waiting.evidence:ended_badly", _NOTHING),
        ("an error has no evidence", "_waiting.evidence:with_evidence", _returns_argument(0)),
        ("one failed look ends the wait", "_waiting.rules:tolerates", _NEVER),
        ("no failed look ever ends the wait", "_waiting.rules:tolerates", _ALWAYS),
        ("an unknown word never ends the wait", "_waiting.rules:tolerates_word", _ALWAYS),
        ("no look falls on the deadline", "_waiting.rules:fit", _returns_argument(0)),
        ("the last look gets no time", "_waiting.rules:TimeLimit.limit", _is(_at_deadline)),
        ("the last look never ends", "_waiting.rules:TimeLimit.limit", _returns(math.inf)),
        ("a standstill makes a timeout", "_waiting.rules:TimeLimit.prolong", _NEVER),
        ("an outage of any length is tolerated", "_waiting.rules:is_patient", _ALWAYS),
        ("a gateway's refusal ends the wait", "_waiting.rules:is_unclear", _NEVER),
        ("a predicate is not asked", "_waiting.rules:verdict_of", _NOTHING),
        ("advice is not heard", "_waiting.rules:rest_after_answer", _with_argument(2, None)),
        ("no change is reported", "_waiting.record:is_change", _NEVER),
        ("no callback is called", "_waiting.callbacks:call", _awaits_nothing),
        ("one demand is asked again", "_waiting.rules:is_new_demand", _ALWAYS),
        ("on_cancel cancels nothing", "_waiting.callbacks:cancel_remote", _awaits_nothing),
    ),
    "ground waiting": (
        ("an unknown word is a success", "_state:Vocabulary.state_of", _returns("succeeded")),
        ("failures are repeated without a pause", "_schedule:Backoff.delay", _returns(0.0)),
    ),
    "http waiting": (
        ("a point in time is a delay", "_http.hint:hint_of", _returns_argument(0)),
        ("other libraries' errors end a wait", "_http.failure:status_of", _NOTHING),
        ("a refusal's wish is not heard", "_http.repeat:delay_after", _is(_backoff_alone)),
    ),
    "waiting many": (
        ("the first silence has no end", "_waiting.rules:first_silence", _returns_argument(0)),
    ),
    "many": (
        ("refusals slow no account", "_many.budget:Budget.refused", _NOTHING),
        ("no rate is kept", "_many.budget:Budget.wait", _returns(0.0)),
        ("a standstill makes room for more", "_many.budget:Budget.leave", _NOTHING),
        ("a crowd looks in step", "_many.crowd:Arrivals.phase", _returns(0.0)),
        ("after an outage each backs off alone", "_many.outage:Outage.answered", _returns(())),
        ("two waiters get one error", "_many.shared:copy_of_error", _returns_argument(0)),
        ("a webhook wakes no wait", "_many.loop:PollLoop.wake", _ALWAYS),
        ("many signals make many looks", "_many.loop:PollLoop._soonest", _returns(0.0)),
        ("a light task starves", "_many.shared:SharedRecord._next_turn", _is(_by_weight_alone)),
        ("accounts are kept for ever", "_many.queue:Queues._forget_idle", _NOTHING),
        ("due times are kept for ever", "_many.timetable:Timetable.sweep", _NOTHING),
        ("a budget has one price", "_many.price:Price.move", _NOTHING),
        ("strangers share a budget", "_many.queue:_name_of", _returns(("",))),
        ("one's refusal ends all waits", "_many.shared:SharedRecord.those_with", _is(_for_all)),
        ("a broken client asks on", "_many.shared:SharedRecord.ask_another", _NOTHING),
        ("another thread may change it", "_event_loop:runs_elsewhere", _NEVER),
        ("what has left stays in line", "_many.heap:Heap.sweep", _NOTHING),
        ("a job is cancelled while others wait", "_many.steps:SharedSteps._is_last", _ALWAYS),
        ("a demand is not handed on", "_many.inbox:Inbox.leave", _NOTHING),
        ("a late wait does not get the last snapshot", "_many.inbox:Inbox.changed", _NOTHING),
        ("a strict wait is as patient as others", "_many.shared:less_tolerant", _returns(())),
        ("a watch that is dropped is looked at", "_many.steps:SharedSteps.__del__", _NOTHING),
    ),
    "cli": (
        ("a credential stands on a command line", "cli._any_api:_seems_secret", _NEVER),
        ("a message shows a signed URL whole", "cli._any_api:seen", _returns_argument(0)),
    ),
    "durable": (
        ("a clock set back adds time", "_durable.ticket:Ticket.left", _is(_left_by_the_clock)),
        ("a hold never ends", "_durable.slice:_Slice._hold_is_over", _NOTHING),
    ),
}
BREAKS = [Break(*row, tests) for tests, rows in TABLE.items() for row in rows]


def place_of(broken: Break) -> tuple[object, str]:
    """Return the module or class that a break changes, and the name of what it replaces there."""
    module_name, _, path = broken.place.partition(":")
    owner: object = importlib.import_module(f"asyncclient.{module_name}")
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    return owner, name


def put_in_place(broken: Break) -> None:
    """Replace what a break names, in every module of the package that has it."""
    owner, name = place_of(broken)
    right = vars(owner)[name]
    wrong = broken.wrong(right)
    holders = (
        [owner]
        if isinstance(owner, type)
        else [each for key, each in sys.modules.items() if key.startswith("asyncclient")]
    )
    for holder in holders:
        if vars(holder).get(name) is right:
            setattr(holder, name, wrong)


def pytest_configure() -> None:
    """Put the break in place that the environment names; this file is a plugin in such a run."""
    put_in_place(BREAKS[int(os.environ[_VARIABLE])])


def _is_noticed(number: int) -> bool:
    """Run the tests with a break, and return whether some fail."""
    options = ["-x", "-q", "-p", "tests.breaks", "-p", "no:cacheprovider", "-m", "not heavy"]
    broken = BREAKS[number]
    paths = [f"tests/{path}" for path in broken.tests.split()]
    run = subprocess.run(  # noqa: S603  (its own command)
        [sys.executable, "-m", "pytest", *options, "--hypothesis-profile=brief", *paths],
        env={**os.environ, _VARIABLE: str(number)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if run.returncode not in {pytest.ExitCode.OK, _TESTS_FAILED}:
        msg = f"the tests could not be run with {broken.says!r}:\n{run.stdout}"
        raise RuntimeError(msg)
    return run.returncode == _TESTS_FAILED


def main() -> None:
    """Make each break, and say which are not noticed."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        noticed = list(pool.map(_is_noticed, range(len(BREAKS))))
    missed = [each.says for each, seen in zip(BREAKS, noticed, strict=True) if not seen]
    sys.stdout.write(f"{len(BREAKS) - len(missed)} of {len(BREAKS)} breaks are noticed\n")
    if missed:
        sys.exit("NOT NOTICED: " + "; ".join(missed))


if __name__ == "__main__":
    main()
