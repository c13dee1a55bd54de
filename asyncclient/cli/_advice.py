"""The next step for someone at a shell: the library's own advice is for a program in Python."""

from __future__ import annotations

import os
from typing import cast

from asyncclient._ref import ADDRESS
from asyncclient._state import Snapshot, TaskState
from asyncclient._text import LONGEST_WORD, text_of
from asyncclient.catalogue import ALL
from asyncclient.cli._accounts import PROVIDERS
from asyncclient.cli._any_api import TOKEN
from asyncclient.errors import (
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
    TaskBlocked,
    TaskError,
    TaskExpired,
    TransportError,
    UnknownStatus,
    WaitTimeout,
)


def next_step(error: AsyncClientError, provider: str = "") -> str:
    """Return what a shell user can do about an error.

    Args:
        error: what happened.
        provider: whose error it is, by the name that references have, where the error itself has
            no reference.

    Returns:
        the advice; empty where the error has none.
    """
    if error.ref is not None and ADDRESS in error.ref.ids:
        return _at_a_url(error, error.ref.kind)
    if not error.advice:
        return ""
    return _after_a_wait(error) or _after_a_request(error, provider)


_WAIT_AGAIN = "it may still be running: wait again, or longer with --timeout"


def _at_a_url(error: AsyncClientError, kind: str) -> str:
    """Return what a shell user can do about an error of a task at a URL."""
    last = error.snapshot
    match error:
        case WaitTimeout() if last is not None and last.state is None and last.word is not None:
            how = (
                "use --status with words of your own" if kind in ALL else "name it, as --succeeded"
            )
            return f"if an unknown word is an end, {how}; if not, wait longer with --timeout"
        case WaitTimeout():
            return _WAIT_AGAIN
        case TaskBlocked():
            return "answer it at the API, then wait again"
        case UnknownStatus():
            which = "that --api is the right name" if kind in ALL else "the path of --status"
            return f"check {which}: {_shape_of(last)}"
        case TaskError() if not _is_forgotten(error):
            return "the API's whole answer goes to standard output"
        case AuthenticationFailed() | PermissionDenied():
            sent = "as 'Authorization: Bearer', or as --header 'x-api-key: {token}' says"
            how = f"check {TOKEN}, and its header" if os.environ.get(TOKEN) else f"set {TOKEN}"
            return f"{how}: it is sent {sent}"
        case InvalidRequest() if 300 <= error.status < 400:  # noqa: PLR2004  (the class of redirects)
            return "pass the URL that it redirects to, if you trust it"
        case TaskExpired() | NotFound() | DecodeError():
            return f"check the URL and {TOKEN}"
        case ConnectFailed():
            return "check the URL and the network"
        case _:
            is_plain = isinstance(error, RateLimited | QuotaExceeded | ServerError)
            return error.advice if is_plain else ""


def _shape_of(last: Snapshot[object] | None) -> str:
    """Return the names at the top of the last answer; its values may be secret."""
    answer = None if last is None else last.result
    if not isinstance(answer, dict):
        return "the last answer was not a JSON object"
    names = sorted(map(str, cast("dict[object, object]", answer)))
    return f"the last answer has {text_of(', '.join(names), LONGEST_WORD) or 'no field'}"


def _after_a_wait(error: AsyncClientError) -> str:
    match error:
        case WaitTimeout():
            return _WAIT_AGAIN
        case TaskBlocked():
            return "answer it at the provider, then wait again"
        case UnknownStatus():
            return "look at the task at the provider"
        case TaskError() if not _is_forgotten(error):
            return "standard output has the provider's whole answer, unless --outputs is given"
        case _:
            return ""


def _is_forgotten(error: TaskError) -> bool:
    """Return whether the provider does not know the task, instead of saying how it ended."""
    is_shown = error.snapshot is not None and error.snapshot.state is TaskState.EXPIRED
    return isinstance(error, TaskExpired) and not is_shown


def _after_a_request(error: AsyncClientError, provider: str) -> str:
    provider = error.ref.provider if error.ref else provider
    known = PROVIDERS.get(provider)
    if known is None:
        return error.advice
    variables = known.variables
    match error:
        case AuthenticationFailed() if provider == "coze":
            # The credential is not always the cause: a second sentence names another.
            other = "".join(error.advice.partition(". ")[1:])
            region = f"check {variables.credential}, and that {variables.base} is right"
            return f"{region}: {variables.places}{other}"
        case InvalidRequest() | NotFound() | DecodeError() if "base_url" in error.advice:
            return error.advice.replace("base_url", variables.base)
        case InvalidRequest() if provider == "copyai":
            return "look at the arguments: --param takes the workflow's own input names"
        case TaskExpired():
            checked = f"{variables.credential} and {variables.base} are of the account and region"
            return f"check that {checked} that started it; results are kept for a limited time"
        case ConnectFailed() | RequestTimeout():
            of_proxy = "_PROXY" in error.advice
            if of_proxy and "SessionPool" not in error.advice:
                return error.advice  # the environment's proxy is the shell's to change
            behind = "; behind a proxy, set HTTPS_PROXY" if of_proxy else ""
            return f"check {variables.base} and the network{behind}"
        case TransportError():
            return ""  # what remains can only be set by a program
        case _:
            return error.advice


def notes_on(error: Exception, provider: str = "") -> list[str]:
    """Return further lines about an error.

    Args:
        error: what happened.
        provider: as for `next_step`.
    """
    known = PROVIDERS.get(provider)
    if known is not None and isinstance(error, AsyncClientError) and error.may_have_started:
        # The library's own notes name the calls by which a program finds out.
        found = f"look at {known.runs} before you start it again"
        return [f"it may have started, and was not sent again: {found}"]
    notes: list[str] = getattr(error, "__notes__", [])
    return notes
