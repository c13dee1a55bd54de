"""What telemetry says about a task and an error: names, numbers and codes, no texts of others."""

from __future__ import annotations

from typing import TypeVar, cast

from asyncclient._state import Snapshot
from asyncclient._text import text_of
from asyncclient.errors import APIError, DecodeError

T = TypeVar("T")

PROVIDER = "asyncclient.provider.name"
KIND = "asyncclient.task.kind"
STATE = "asyncclient.task.state"
WORD = "asyncclient.task.status_word"
OUTCOME = "asyncclient.wait.outcome"
# Of OpenTelemetry's semantic conventions, stable there.
ERROR_TYPE = "error.type"
_HTTP_STATUS = "http.response.status_code"
# A provider may put anything into a word, a code or an id: this many characters of it are kept.
_LONGEST_TEXT = 128


def snapshot_attributes(snapshot: Snapshot[T] | None) -> dict[str, str]:
    attributes: dict[str, str] = {}
    if snapshot is not None:
        if snapshot.state is not None:
            attributes[STATE] = snapshot.state.value
        if snapshot.word is not None:
            attributes[WORD] = short(snapshot.word)
    return attributes


def error_attributes(error: Exception) -> dict[str, str | int]:
    """Return how something failed, without any text that somebody wrote."""
    attributes: dict[str, str | int] = {ERROR_TYPE: type_of(error)}
    if isinstance(error, APIError | DecodeError) and error.status:
        attributes[_HTTP_STATUS] = error.status
    if isinstance(error, APIError):
        if error.code is not None:
            attributes["asyncclient.error.code"] = short(error.code)
        if error.log_id:
            attributes["asyncclient.error.log_id"] = short(error.log_id)
    return attributes


def type_of(error: BaseException) -> str:
    """Return the name of an error's class, as logs have it too."""
    return text_of(error, _LONGEST_TEXT, make=lambda one: type(one).__qualname__)


def full_type_of(error: BaseException) -> str:
    module = text_of(type(error).__module__, _LONGEST_TEXT)
    return type_of(error) if module == "builtins" else f"{module}.{type_of(error)}"


def provider_of(task: object) -> str | None:
    budget: object = getattr(task, "budget", None)
    first = cast("tuple[object, ...]", budget)[:1] if isinstance(budget, tuple) else ()
    return first[0] if first and first[0] and isinstance(first[0], str) else None


def short(value: object) -> str:
    return text_of(value, _LONGEST_TEXT)[:_LONGEST_TEXT]
