"""What can go wrong, as one tree.

::

    AsyncClientError
    ├── TransportError          nothing usable came back
    │   ├── ConnectFailed           no connection: refused, name not found, TLS
    │   └── RequestTimeout          one request took too long (also TimeoutError)
    ├── APIError                the provider said no
    │   ├── AuthenticationFailed    the token or key is not accepted
    │   ├── PermissionDenied        accepted, but not allowed to do this
    │   ├── NotFound                no such task, bot, workflow, ...
    │   ├── InvalidRequest          the request itself is refused
    │   ├── RateLimited             too many requests for now
    │   ├── QuotaExceeded           credits, balance or daily allowance are used up
    │   └── ServerError             the provider failed
    ├── DecodeError             the answer is not of its declared shape
    ├── TaskError               the task ended without success
    │   ├── TaskFailed
    │   ├── TaskCancelled
    │   └── TaskExpired
    ├── TaskBlocked             only the caller can move the task on
    ├── UnknownStatus           a status word in no vocabulary, or none at all
    └── WaitTimeout             the task has not ended in time (also TimeoutError)

Every error that ends a wait carries the evidence: `ref`, `snapshot`, `polls`, `elapsed` and
`last_error`. What happened is in `text` and the next step in `advice`; `str(error)` is both. Wrong
use of the library (a bad argument, a closed pool) raises the built-in `TypeError`, `ValueError` or
`RuntimeError` before anything is sent.
"""

from __future__ import annotations

import pickle
from typing import Self, SupportsIndex, TypeVar, cast

import msgspec

from asyncclient._ref import TaskRef
from asyncclient._state import Snapshot
from asyncclient._text import text_of, type_name

__all__ = [
    "APIError",
    "AsyncClientError",
    "AuthenticationFailed",
    "ConnectFailed",
    "DecodeError",
    "InvalidRequest",
    "NotFound",
    "PermissionDenied",
    "QuotaExceeded",
    "RateLimited",
    "RequestTimeout",
    "ServerError",
    "TaskBlocked",
    "TaskCancelled",
    "TaskError",
    "TaskExpired",
    "TaskFailed",
    "TransportError",
    "UnknownStatus",
    "WaitTimeout",
]


E = TypeVar("E", bound="AsyncClientError")


class AsyncClientError(Exception):
    """The root of all errors of this library that a provider, the network or a task causes.

    Args:
        message: what happened.
        advice: the next step, for a program in Python. It follows the message after a semicolon,
            or after a full stop where it is a sentence of its own, with a capital.

    Attributes:
        advice: the next step; empty where there is none.
        ref: the task that was waited for, if it has a portable reference.
        snapshot: the last answer about the task, if there was one.
        polls: polls made by the wait, failed ones included.
        elapsed: seconds from the start of the wait to this error.
        last_error: the last failed poll, if any failed. In a pickled copy, evidence that cannot be
            pickled is replaced by its text, and an exception by an `AsyncClientError` with that
            text.
        may_have_started: true when a request that starts something was sent and its outcome is
            not known. It was not repeated, and repeating it may start (and bill) a second task.
    """

    advice: str = ""
    ref: TaskRef | None = None
    polls: int = 0
    elapsed: float = 0.0
    last_error: BaseException | None = None
    may_have_started: bool = False

    def __init__(self, message: str = "", *, advice: str = "") -> None:
        super().__init__(message)
        if advice:
            self.advice = advice

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[object, ...]:
        # Multiprocessing and engines of workers send errors from process to process.
        args = (_picklable(each, protocol) for each in self.args)
        fields = vars(self).items()
        state = {name: one if one is self else _picklable(one, protocol) for name, one in fields}
        return _remade, (type(self), *args), state

    def __copy__(self) -> Self:
        twin = _remade(type(self), *self.args)
        vars(twin).update(vars(self))
        return twin

    @property
    def snapshot(self) -> Snapshot[object] | None:
        """The last answer about the task, if there was one."""
        kept: Snapshot[object] | None = vars(self).get("snapshot")
        return kept

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot[object] | None) -> None:
        vars(self)["snapshot"] = snapshot

    @property
    def text(self) -> str:
        """What happened, without the advice."""
        return super().__str__()

    def __str__(self) -> str:
        if not self.advice:
            return self.text
        return f"{self.text}{'. ' if self.advice[0].isupper() else '; '}{self.advice}"


class TransportError(AsyncClientError):
    """Nothing usable came back: raised when the exchange broke before a whole answer was read.

    Attributes:
        sent: true when the provider may have received the request.
        permanent: true when repeating cannot help (a certificate that does not verify).
    """

    def __init__(
        self, message: str = "", *, sent: bool = True, permanent: bool = False, advice: str = ""
    ) -> None:
        super().__init__(message, advice=advice)
        self.sent = sent
        self.permanent = permanent


class ConnectFailed(TransportError):
    """No connection: raised when the host is unknown, refuses, or its certificate is not valid."""

    def __init__(
        self, message: str = "", *, sent: bool = False, permanent: bool = False, advice: str = ""
    ) -> None:
        super().__init__(message, sent=sent, permanent=permanent, advice=advice)


class RequestTimeout(TransportError, TimeoutError):
    """One request took too long: raised after the request's own timeout, not the wait's."""


class APIError(AsyncClientError):
    """The provider said no.

    Attributes:
        status: the HTTP status.
        code: the provider's own error code, a number or a word, if it gave one.
        message: the provider's own words, possibly empty.
        log_id: the id that the provider's support asks for, if it gave one.
        retry_after: seconds that the provider asks to wait before the next request, if it did.
        foreign: true when the answer does not have the provider's own form. A gateway in between
            may have sent it, and then it says nothing about the task.
        known: false when the answer is foreign, or its code is in no table of this library. A wait
            tolerates a few of these.
    """

    def __init__(
        self,
        text: str = "",
        *,
        status: int = 0,
        code: int | str | None = None,
        message: str = "",
        log_id: str | None = None,
        retry_after: float | None = None,
        foreign: bool = False,
        known: bool = True,
        advice: str = "",
    ) -> None:
        super().__init__(text, advice=advice)
        self.status = status
        self.code = code
        self.message = message
        self.log_id = log_id
        self.retry_after = retry_after
        self.foreign = foreign
        self.known = known and not foreign


class AuthenticationFailed(APIError):
    """The token or key is not accepted: raised at once, after one refresh where there is one."""


class PermissionDenied(APIError):
    """The token is good, but not for this: raised at once."""


class NotFound(APIError):
    """The provider knows no such thing under this account: raised at once by a direct call."""


class InvalidRequest(APIError):
    """The request itself is refused (a bad id, a bad parameter, a redirect): raised at once."""


class RateLimited(APIError):
    """Too many requests for now: raised when the retries within the budget did not help."""


class QuotaExceeded(APIError):
    """Credits, balance or a daily allowance are used up: raised at once, waiting does not help."""


class ServerError(APIError):
    """The provider failed: raised when the retries within the budget did not help."""


class DecodeError(AsyncClientError):
    """The answer is not of its declared shape.

    Attributes:
        path: where in the answer, as `$.data[0].execute_id`; empty if it is not JSON at all.
        excerpt: the beginning of the answer, at most 200 characters.
        status: the HTTP status of the answer.
        permanent: true when asking again cannot help (it would take too much memory).
    """

    permanent: bool = False

    def __init__(
        self,
        message: str = "",
        *,
        path: str = "",
        excerpt: str = "",
        status: int = 0,
        permanent: bool = False,
        advice: str = "",
    ) -> None:
        super().__init__(message, advice=advice)
        self.path = path
        self.excerpt = excerpt
        self.status = status
        if permanent:
            self.permanent = True


class TaskError(AsyncClientError):
    """The task ended without success; `snapshot.result` is the provider's final answer."""


class TaskFailed(TaskError):
    """The provider reports that the task failed."""

    @property
    def snapshot(self) -> Snapshot[object]:
        """The last answer about the task, which shows this end."""
        return _present(super().snapshot)

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot[object] | None) -> None:
        vars(self)["snapshot"] = snapshot


class TaskCancelled(TaskError):
    """The provider reports that the task was cancelled."""

    @property
    def snapshot(self) -> Snapshot[object]:
        """The last answer about the task, which shows this end."""
        return _present(super().snapshot)

    @snapshot.setter
    def snapshot(self, snapshot: Snapshot[object] | None) -> None:
        vars(self)["snapshot"] = snapshot


class TaskExpired(TaskError):
    """The provider reports that the task expired, or does not know it (any more)."""


class TaskBlocked(AsyncClientError):
    """Only the caller can move the task on: raised when there is no `on_blocked` that does."""


class UnknownStatus(AsyncClientError):
    """A status word in no vocabulary: raised with `unknown="raise"`.

    Also raised when several answers in a row have no status word at all.
    """


class WaitTimeout(AsyncClientError, TimeoutError):
    """The task has not ended in time: raised by the wait's own timeout; it may still be running.

    Attributes:
        retry_after: the provider's last hint in seconds, when it was longer than the time left.
    """

    def __init__(
        self, message: str = "", *, retry_after: float | None = None, advice: str = ""
    ) -> None:
        super().__init__(message, advice=advice)
        self.retry_after = retry_after


def _present(snapshot: Snapshot[object] | None) -> Snapshot[object]:
    if snapshot is None:
        raise AttributeError("no snapshot: this error came without an answer about the task")
    return snapshot


def _remade(kind: type[E], *args: object) -> E:
    """Make an error again, without its `__init__`: a subclass's may have other arguments."""
    error = kind.__new__(kind, *args)
    error.args = args
    return error


def _picklable(value: object, protocol: SupportsIndex) -> object:
    """Return a value of an error as it is, or in its place a text where it cannot be pickled."""
    if value is None or type(value) in {str, int, float, bool, TaskRef}:
        return value
    if isinstance(value, AsyncClientError) and type(value).__module__ == __name__:
        return value
    if isinstance(value, Snapshot):
        snapshot = cast("Snapshot[object]", value)
        return msgspec.structs.replace(snapshot, result=_picklable(snapshot.result, protocol))
    try:
        pickle.loads(pickle.dumps(value, int(protocol)))  # noqa: S301  (made a moment before)
    except Exception:  # noqa: BLE001  (of a class that may raise anything)
        text = text_of(value)
        is_error = isinstance(value, BaseException)
        return AsyncClientError(f"{type_name(value)}: {text}") if is_error else text
    return value
