"""The command's ends: exit codes, and one line for each error."""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

import anyio

from asyncclient._text import text_of, type_name
from asyncclient.cli._advice import next_step, notes_on
from asyncclient.cli._output import OutputLost, complain
from asyncclient.errors import AsyncClientError, TaskBlocked, TaskError, WaitTimeout


class ExitCode(IntEnum):
    """What the exit codes say."""

    OK = 0
    ENDED_BADLY = 1
    BAD_USE = 2
    REFUSED = 3
    DEFECT = 70  # EX_SOFTWARE of BSD's sysexits.h
    OUTPUT_LOST = 74  # EX_IOERR, as above
    TIMEOUT = 124  # as of coreutils' timeout
    INTERRUPTED = 130  # 128 + SIGINT
    PIPE_CLOSED = 141  # 128 + SIGPIPE


EXIT_CODES = """\b
Exit codes:
  0    success
  1    the task failed, was cancelled, expired, or waits
       for its caller; the demo found a mismatch
  2    bad use: a wrong argument, a missing variable
  3    the provider or the network refused
  70   a defect of this command
  74   the output cannot be written
  124  the task has not ended in time
  130  interrupted
  141  the reader of the output has closed it
"""
"""The same for people; the first line prevents click from joining the others."""


@dataclass(frozen=True, slots=True)
class Action:
    """The action of a command line, ready to run.

    Attributes:
        run: does it, and returns the exit code.
        when_interrupted: the exit code after Ctrl-C.
        note: the sentence after Ctrl-C, or a function that returns it then; empty for none.
        provider: whose errors it may get, by the name that references have.
        traceback: show where an error comes from.
    """

    run: Callable[[], Awaitable[int]]
    when_interrupted: int = ExitCode.INTERRUPTED
    note: str | Callable[[], str] = "interrupted"
    provider: str = ""
    traceback: bool = False


def perform(action: Action) -> int:
    """Run an action in an event loop of its own and return the exit code; it raises nothing."""
    try:
        return int(anyio.run(action.run))
    except KeyboardInterrupt:
        note = action.note if isinstance(action.note, str) else action.note()
        if note:
            complain(note)
        return action.when_interrupted
    except Exception as error:  # noqa: BLE001  (the last stop: every error becomes a line and a code)
        return show_error(first_of(error), action.provider, traceback=action.traceback)


def show_error(error: Exception, provider: str = "", *, traceback: bool = False) -> int:
    """Write an error as one line, and return its exit code.

    Args:
        error: what happened.
        provider: whose error it is, where the error itself does not say.
        traceback: show where it comes from as well.
    """
    code = code_of(error)
    if code in {ExitCode.PIPE_CLOSED, ExitCode.OUTPUT_LOST}:
        _leave_stdout()
    if code == ExitCode.PIPE_CLOSED:
        return code
    if traceback:
        _write_traceback(error)
    complain(line_of(error, provider))
    return code


def first_of(error: Exception) -> Exception:
    """Return the first single error in a group of errors, or the error itself."""
    if isinstance(error, ExceptionGroup):
        group = cast("ExceptionGroup[Exception]", error)
        return first_of(group.exceptions[0])
    return error


def code_of(error: Exception) -> ExitCode:
    """Return the exit code that an error stands for."""
    match error:
        case WaitTimeout():
            return ExitCode.TIMEOUT
        case TaskError() | TaskBlocked():
            return ExitCode.ENDED_BADLY
        case AsyncClientError():
            return ExitCode.REFUSED
        case BrokenPipeError():
            return ExitCode.PIPE_CLOSED
        case OutputLost():
            return ExitCode.OUTPUT_LOST
        case ValueError():
            return ExitCode.BAD_USE  # so the library reports an argument that is not valid
        case _:
            return ExitCode.DEFECT


def line_of(error: Exception, provider: str = "") -> str:
    """Return in one line what happened and what to do next.

    Args:
        error: what happened.
        provider: whose error it is, where the error itself does not say.
    """
    match error:
        case AsyncClientError():
            parts = [error.text, next_step(error, provider)]
        case ValueError() | OutputLost():
            parts = [str(error)]
        case _:
            parts = [f"unexpected {type_name(error)}: {text_of(error)}"]
            parts += ["--traceback shows where it is from"]
    return "; ".join([*filter(None, parts), *notes_on(error, provider)])


def _write_traceback(error: Exception) -> None:
    with contextlib.suppress(OSError):
        traceback.print_exception(error)


def _leave_stdout() -> None:
    """Let the interpreter flush into nothing at exit: the rest cannot be written."""
    if sys.stdout is None:
        return
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
