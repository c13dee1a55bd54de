"""What is known of a task: ids or a reference, the id that a start gives, how to find it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from asyncclient._arguments import id_text
from asyncclient._ref import TaskRef
from asyncclient.errors import AsyncClientError, DecodeError

NO_ID = (None, "", 0, "0")  # Coze's placeholder is "0"
_LOST_LETTER = "\ufffd"  # stands where a letter could not be read


@contextmanager
def adding_advice(how: str) -> Generator[None]:
    """Add to the error of a start whose outcome is not known how the caller can find out."""
    try:
        yield
    except AsyncClientError as error:
        if error.may_have_started:
            error.add_note(how)
        raise


def started_id(name: str, path: str, value: str | int | None) -> str:
    """Return the id that a start's good answer gives, as a text."""
    field = path.rpartition(".")[2]
    text = "" if value in NO_ID or _LOST_LETTER in str(value) else str(value)
    try:
        return id_text(field, text)
    except ValueError:
        raise unknown_start(name, path, field) from None


def unknown_start(name: str, path: str, missing: str) -> DecodeError:
    """Make the error for a start whose good answer does not say what was started."""
    error = DecodeError(
        f"{name}: the answer has no {missing}, so that what it started is not known",
        path=path,
    )
    error.may_have_started = True
    return error


def ids_or_ref(
    first: str | TaskRef, second: str | None, *, names: str
) -> tuple[str, str] | TaskRef:
    """Return the two ids of a task, or the reference that was given in place of both."""
    if isinstance(first, TaskRef) and second is None:
        return first
    if isinstance(first, TaskRef) or second is None:
        msg = f"pass {names}, or a TaskRef alone: read a text with decode_ref first"
        raise TypeError(msg)
    return first, second
