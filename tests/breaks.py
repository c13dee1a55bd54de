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
        place: module and name of what is replaced.
        wrong: makes what takes its place.
        tests: the files or folders in `tests` that should notice.
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


def _backoff_alone(_error: BaseException, backoff: float) -> tuple[float, None]:
    return backoff, None


def _by_weight_alone(record: SharedRecord) -> float:
    return -record.weight


def _left_by_the_clock(ticket: Ticket, now: float) -> float:
    return ticket.deadline - now


_HTTP = "asyncclient._http."
_WAITING = "asyncclient._waiting."
_MANY = "asyncclient._many."
_DURABLE = "asyncclient._durable."
_NEVER, _ALWAYS = _returns(value=False), _returns(value=True)

BREAKS = (
    # Safety: what is started.
    Break(
        "a start whose answer was lost is sent again",
        _HTTP + "repeat:seconds_to_repeat",
        _with_options(idempotent=True),
        "http providers",
    ),
    Break(
        "a start whose answer was lost does not say that it may have started",
        _HTTP + "call:_is_ambiguous",
        _NEVER,
        "providers",
    ),
    Break(
        "a start that broke off in the middle counts as not sent",
        _HTTP + "pool:_is_sent",
        _NEVER,
        "sockets",
    ),
    Break(
        "a start is not sent again though it was refused for its token",
        "asyncclient.providers.coze._auth:_JWTSource.forget",
        _returns(None),
        "providers",
    ),
    # Safety: secrets.
    Break(
        "a credential that a provider repeats stands in the error",
        _HTTP + "call:_hide",
        _returns(None),
        "sockets",
    ),
    Break(
        "repr shows a credential",
        _HTTP + "message:Secret.__repr__",
        _is(str.__repr__),
        "http sockets",
    ),
    Break(
        "repr shows the headers of a request",
        _HTTP + "message:Request.__repr__",
        _is(_headers),
        "http",
    ),
    Break(
        "repr shows the headers of an answer",
        _HTTP + "message:Response.__repr__",
        _is(_headers),
        "http",
    ),
    Break(
        "a client can be pickled with its credential",
        _HTTP + "call:Account.__reduce__",
        _is(object.__reduce__),
        "sockets providers",
    ),
    # Safety: addresses.
    Break("an id is not quoted", _HTTP + "quoting:path_segment", _returns_argument(1), "http"),
    Break(
        "a header may have a second line",
        _HTTP + "quoting:header_value",
        _returns_argument(1),
        "http",
    ),
    Break(
        "a credential may travel without TLS",
        _HTTP + "quoting:base_of",
        _with_options(allow_http=True),
        "http",
    ),
    Break("any host counts as this machine", _HTTP + "quoting:is_loopback", _ALWAYS, "http"),
    Break("certificates are not verified", _HTTP + "pool:_context", _is_not_verified, "sockets"),
    Break(
        "a redirect counts as a success",
        _HTTP + "message:Response.is_good",
        _is(value=True),
        "http",
    ),
    # Safety: bounds and closing.
    Break(
        "an answer of any length is read",
        _HTTP + "pool:SessionPool._is_short",
        _ALWAYS,
        "sockets",
    ),
    Break("a pool leaves its sockets open", _HTTP + "pool:close_all", _awaits_nothing, "sockets"),
    Break(
        "a pool that was not closed is not reported",
        _HTTP + "pool:SessionPool.__del__",
        _returns(None),
        "sockets",
    ),
    Break(
        "what is closed, or of another event loop, is used all the same",
        "asyncclient._event_loop:running_loop",
        _returns(None),
        "sockets many",
    ),
    # Safety: accounts.
    Break(
        "two accounts share a look and its answer",
        "asyncclient._ref:task_key",
        _with_argument(0, None),
        "many providers",
    ),
    Break(
        "a client takes the reference of another account",
        _HTTP + "call:Account.check",
        _returns(None),
        "providers",
    ),
    Break(
        "two accounts share a budget",
        _HTTP + "call:Account.budget",
        _returns_argument(1),
        "providers",
    ),
    # Waiting: how it ends.
    Break(
        "a failed task is a success", _WAITING + "evidence:ended_badly", _returns(None), "waiting"
    ),
    Break(
        "an error has no evidence",
        _WAITING + "evidence:with_evidence",
        _returns_argument(0),
        "waiting",
    ),
    Break("one failed look ends the wait", _WAITING + "rules:tolerates", _NEVER, "waiting"),
    Break("no failed look ever ends the wait", _WAITING + "rules:tolerates", _ALWAYS, "waiting"),
    Break(
        "an unknown word never ends the wait",
        _WAITING + "rules:tolerates_word",
        _ALWAYS,
        "waiting",
    ),
    Break(
        "an unknown word is a success",
        "asyncclient._state:Vocabulary.state_of",
        _returns("succeeded"),
        "ground waiting",
    ),
    Break("no look falls on the deadline", _WAITING + "rules:fit", _returns_argument(0), "waiting"),
    Break(
        "the last look gets no time to be answered",
        _WAITING + "rules:last_look_grace",
        _returns(0.0),
        "waiting",
    ),
    Break(
        "the last look may take for ever",
        _WAITING + "rules:last_look_grace",
        _returns(float("inf")),
        "waiting",
    ),
    # Waiting: when the next look comes.
    Break(
        "advice in a good answer is not heard",
        _WAITING + "rules:rest_after_answer",
        _with_argument(2, None),
        "waiting",
    ),
    Break(
        "the wish of a refusal is not heard",
        _HTTP + "repeat:delay_after",
        _is(_backoff_alone),
        "http waiting",
    ),
    Break(
        "the first silence may reach to the deadline",
        _WAITING + "rules:first_silence",
        _returns_argument(0),
        "waiting many",
    ),
    Break(
        "failures are repeated without a pause",
        "asyncclient._schedule:Backoff.delay",
        _returns(0.0),
        "ground waiting",
    ),
    # Waiting: what the caller hears and is asked.
    Break("no change is reported", _WAITING + "record:change_between", _returns(None), "waiting"),
    Break("no callback is called", _WAITING + "wait:_call", _awaits_nothing, "waiting"),
    Break("one demand is asked again", _WAITING + "rules:is_new_demand", _ALWAYS, "waiting"),
    Break(
        "a cancelled wait leaves the remote job though on_cancel says otherwise",
        _WAITING + "wait:_Wait._cancel_remote",
        _awaits_nothing,
        "waiting",
    ),
    # Many waits.
    Break("refusals slow no account", _MANY + "budget:Budget.refused", _returns(None), "many"),
    Break("no rate is kept", _MANY + "budget:Budget.wait", _returns(0.0), "many"),
    Break("a crowd looks in step", _MANY + "crowd:Arrivals.phase", _returns(0.0), "many"),
    Break(
        "after an outage each task waits for its own backoff",
        _MANY + "outage:Outage.answered",
        _returns(()),
        "many",
    ),
    Break(
        "two waiters get one error object",
        _MANY + "shared:copy_of_error",
        _returns_argument(0),
        "many",
    ),
    Break("a webhook wakes no wait", _MANY + "loop:PollLoop.wake", _ALWAYS, "many"),
    Break(
        "many signals make many looks",
        _MANY + "loop:PollLoop._soonest",
        _returns(0.0),
        "many",
    ),
    Break(
        "a light task starves",
        _MANY + "shared:SharedRecord._next_turn",
        _is(_by_weight_alone),
        "many",
    ),
    Break(
        "accounts are kept for ever", _MANY + "queues:Queues._forget_idle", _returns(None), "many"
    ),
    Break(
        "due times are kept for ever",
        _MANY + "timetable:Timetable.sweep",
        _returns(None),
        "many",
    ),
    Break("a budget has one price", _MANY + "price:Price.move", _returns(None), "many"),
    # Durable waits.
    Break(
        "a failed look ends a durable wait",
        _DURABLE + "slice:_Slice._is_tolerated",
        _NEVER,
        "durable",
    ),
    Break(
        "a clock that jumps back stretches a durable wait",
        _DURABLE + "ticket:Ticket.left",
        _is(_left_by_the_clock),
        "durable",
    ),
    Break(
        "a slice does not hand over when its hold ends",
        _DURABLE + "slice:_Slice._hold_is_over",
        _returns(None),
        "durable",
    ),
)


def put_in_place(broken: Break) -> None:
    """Replace what a break names, in every module of the package that has it."""
    module_name, _, path = broken.place.partition(":")
    owner: object = importlib.import_module(module_name)
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
    put_in_place(BREAKS[int(os.environ[_VARIABLE])])


def _is_noticed(number: int) -> bool:
    """Run the tests with a break, and return whether some fail."""
    options = ["-x", "-q", "-p", "tests.breaks", "-p", "no:cacheprovider", "-m", "not heavy"]
    paths = [f"tests/{path}" for path in BREAKS[number].tests.split()]
    run = subprocess.run(  # noqa: S603  (its own command)
        [sys.executable, "-m", "pytest", *options, "--hypothesis-profile=brief", *paths],
        env={**os.environ, _VARIABLE: str(number)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if run.returncode not in {pytest.ExitCode.OK, _TESTS_FAILED}:
        msg = f"the tests could not be run with {BREAKS[number].says!r}:\n{run.stdout}"
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
