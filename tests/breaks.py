"""Named breaks of safety and of waiting: `nox -s breaks` shows that the tests notice each.

A break puts something wrong in the place of one function of the package, for one run of the tests
that should fail then. It names what it replaces, never how that is written.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

import pytest

from asyncclient import Ticket
from asyncclient._http import Request, Response
from asyncclient._many.shared import SharedRecord

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
    """

    says: str
    place: str
    wrong: Wrong


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


def _backoff_alone(_error: BaseException, backoff: float) -> tuple[float, None]:
    return backoff, None


def _by_weight_alone(record: SharedRecord) -> float:
    return -record.weight


def _left_by_the_clock(ticket: Ticket, now: float) -> float:
    return ticket.deadline - now


_NEVER, _ALWAYS, _NOTHING = _returns(value=False), _returns(value=True), _returns(None)

# By the folders in `tests` that should notice.
TABLE: dict[str, tuple[Break, ...]] = {
    "http providers": (
        Break(
            "a start in doubt is sent again",
            "_http.repeat:seconds_to_repeat",
            _with_options(idempotent=True),
        ),
    ),
    "providers": (
        Break("a start in doubt does not say so", "_http.call:_is_ambiguous", _NEVER),
        Break(
            "a start refused for its token is not sent again",
            "providers.coze._auth:_JWTSource.forget",
            _NOTHING,
        ),
        Break(
            "a client takes the reference of another account", "_http.call:Account.check", _NOTHING
        ),
        Break("two accounts share a budget", "_http.call:Account.budget", _returns_argument(1)),
    ),
    "sockets": (
        Break("a start that broke off counts as not sent", "_http.pool:_is_sent", _NEVER),
        Break("a repeated credential stands in the error", "_http.call:_hide", _NOTHING),
        Break("certificates are not verified", "_http.pool:_context", _is_not_verified),
        Break("an answer of any length is read", "_http.pool:SessionPool._is_short", _ALWAYS),
        Break("a pool leaves its sockets open", "_http.pool:close_all", _awaits_nothing),
        Break("an open pool is not reported", "_http.pool:SessionPool.__del__", _NOTHING),
    ),
    "http sockets": (
        Break("repr shows a credential", "_http.message:Secret.__repr__", _is(str.__repr__)),
    ),
    "sockets providers": (
        Break(
            "a client is pickled with its credential",
            "_http.call:Account.__reduce__",
            _is(object.__reduce__),
        ),
    ),
    "sockets many": (
        Break(
            "what is closed, or of another event loop, is used",
            "_event_loop:running_loop",
            _NOTHING,
        ),
    ),
    "http": (
        Break("repr shows a request's headers", "_http.message:Request.__repr__", _is(_headers)),
        Break("repr shows an answer's headers", "_http.message:Response.__repr__", _is(_headers)),
        Break("an id is not quoted", "_http.quoting:path_segment", _returns_argument(1)),
        Break("a header may have two lines", "_http.quoting:header_value", _returns_argument(1)),
        Break(
            "a credential may travel without TLS",
            "_http.quoting:base_of",
            _with_options(allow_http=True),
        ),
        Break("any host counts as this machine", "_http.quoting:is_loopback", _ALWAYS),
        Break("a redirect is a success", "_http.message:Response.is_good", _is(value=True)),
    ),
    "many providers": (
        Break("two accounts share a look and its answer", "_ref:task_key", _with_argument(0, None)),
    ),
    "waiting": (
        Break("a failed task is a success", "_waiting.evidence:ended_badly", _NOTHING),
        Break("an error has no evidence", "_waiting.evidence:with_evidence", _returns_argument(0)),
        Break("one failed look ends the wait", "_waiting.rules:tolerates", _NEVER),
        Break("no failed look ever ends the wait", "_waiting.rules:tolerates", _ALWAYS),
        Break("an unknown word never ends the wait", "_waiting.rules:tolerates_word", _ALWAYS),
        Break("no look falls on the deadline", "_waiting.rules:fit", _returns_argument(0)),
        Break("the last look gets no time", "_waiting.rules:last_look_grace", _returns(0.0)),
        Break(
            "the last look may take for ever",
            "_waiting.rules:last_look_grace",
            _returns(float("inf")),
        ),
        Break(
            "advice in a good answer is not heard",
            "_waiting.rules:rest_after_answer",
            _with_argument(2, None),
        ),
        Break("no change is reported", "_waiting.record:change_between", _NOTHING),
        Break("no callback is called", "_waiting.wait:_call", _awaits_nothing),
        Break("one demand is asked again", "_waiting.rules:is_new_demand", _ALWAYS),
        Break(
            "on_cancel leaves the remote job", "_waiting.wait:_Wait._cancel_remote", _awaits_nothing
        ),
    ),
    "ground waiting": (
        Break("an unknown word is a success", "_state:Vocabulary.state_of", _returns("succeeded")),
        Break("failures are repeated without a pause", "_schedule:Backoff.delay", _returns(0.0)),
    ),
    "http waiting": (
        Break(
            "the wish of a refusal is not heard", "_http.repeat:delay_after", _is(_backoff_alone)
        ),
    ),
    "waiting many": (
        Break(
            "the first silence may reach to the deadline",
            "_waiting.rules:first_silence",
            _returns_argument(0),
        ),
    ),
    "many": (
        Break("refusals slow no account", "_many.budget:Budget.refused", _NOTHING),
        Break("no rate is kept", "_many.budget:Budget.wait", _returns(0.0)),
        Break("a crowd looks in step", "_many.crowd:Arrivals.phase", _returns(0.0)),
        Break(
            "after an outage each task backs off alone",
            "_many.outage:Outage.answered",
            _returns(()),
        ),
        Break("two waiters get one error", "_many.shared:copy_of_error", _returns_argument(0)),
        Break("a webhook wakes no wait", "_many.loop:PollLoop.wake", _ALWAYS),
        Break("many signals make many looks", "_many.loop:PollLoop._soonest", _returns(0.0)),
        Break(
            "a light task starves", "_many.shared:SharedRecord._next_turn", _is(_by_weight_alone)
        ),
        Break("accounts are kept for ever", "_many.queues:Queues._forget_idle", _NOTHING),
        Break("due times are kept for ever", "_many.timetable:Timetable.sweep", _NOTHING),
        Break("a budget has one price", "_many.price:Price.move", _NOTHING),
    ),
    "durable": (
        Break("a failed look ends the wait", "_durable.slice:_Slice._is_tolerated", _NEVER),
        Break(
            "a clock that jumps back stretches the wait",
            "_durable.ticket:Ticket.left",
            _is(_left_by_the_clock),
        ),
        Break("a hold never ends", "_durable.slice:_Slice._hold_is_over", _NOTHING),
    ),
}
BREAKS = [(each, tests) for tests, breaks in TABLE.items() for each in breaks]


def put_in_place(broken: Break) -> None:
    """Replace what a break names, in every module of the package that has it."""
    module_name, _, path = broken.place.partition(":")
    owner: object = importlib.import_module(f"asyncclient.{module_name}")
    *outer, name = path.split(".")
    for each in outer:
        owner = getattr(owner, each)
    right = vars(owner)[name]
    wrong = broken.wrong(right)
    holders = (
        [owner]
        if outer
        else [each for key, each in sys.modules.items() if key.startswith("asyncclient")]
    )
    for holder in holders:
        if vars(holder).get(name) is right:
            setattr(holder, name, wrong)


def pytest_configure() -> None:
    """Put the break in place that the environment names; this file is a plugin in such a run."""
    put_in_place(BREAKS[int(os.environ[_VARIABLE])][0])


def _is_noticed(number: int) -> bool:
    """Run the tests with a break, and return whether some fail."""
    options = ["-x", "-q", "-p", "tests.breaks", "-p", "no:cacheprovider", "-m", "not heavy"]
    broken, tests = BREAKS[number]
    paths = [f"tests/{path}" for path in tests.split()]
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
    missed = [each.says for (each, _), seen in zip(BREAKS, noticed, strict=True) if not seen]
    sys.stdout.write(f"{len(BREAKS) - len(missed)} of {len(BREAKS)} breaks are noticed\n")
    if missed:
        sys.exit("NOT NOTICED: " + "; ".join(missed))


if __name__ == "__main__":
    main()
