"""A task's ids or reference, the id that a start returns, and how to find a lost start."""

from __future__ import annotations

from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from asyncclient._arguments import id_text
from asyncclient._http import WithoutFrames
from asyncclient._ref import TaskRef
from asyncclient.errors import AsyncClientError, DecodeError

Second = TypeVar("Second")

NO_ID = (None, "", 0, "0")  # Coze's placeholder is "0"
_LOST_LETTER = "\ufffd"  # stands where a letter could not be read


class AddingAdvice(WithoutFrames):
    """Adds to the error of a start with an unknown outcome how the caller can find out."""

    def __init__(self, how: str) -> None:
        self._how = how

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, AsyncClientError) and error.may_have_started:
            error.add_note(self._how)
        super().__exit__(kind, error, traceback)


def started_id(name: str, path: str, value: str | int | None) -> str:
    """Return the id in the good answer of a start, as a text."""
    field = path.rpartition(".")[2]
    text = "" if value in NO_ID or _LOST_LETTER in str(value) else str(value)
    with suppress(ValueError):
        return id_text(field, text)
    raise unknown_start(name, path, field)


def unknown_start(name: str, path: str, missing: str) -> DecodeError:
    """Make the error for a start whose good answer has no id."""
    error = DecodeError(
        f"{name}: the answer has no {missing}, so the id of the started task is not known",
        path=path,
    )
    error.may_have_started = True
    return error


def ids_or_ref(
    first: str | TaskRef, second: Second | None, *, names: str
) -> tuple[str, Second] | TaskRef:
    """Return a task's two ids, or the reference that was given in place of both."""
    if isinstance(first, TaskRef) and second is None:
        return first
    if isinstance(first, TaskRef) or second is None:
        msg = f"pass {names}, or a TaskRef alone: read a text with decode_ref first"
        raise TypeError(msg)
    return first, second
