"""What a person at a terminal sees of a wait while it runs; a script sees nothing of it."""

from __future__ import annotations

import contextlib
import logging
import math
import sys
from collections.abc import AsyncGenerator, Callable, Generator

import anyio
from rich.console import Console
from rich.text import Text

from asyncclient._text import counted, shown, text_of
from asyncclient.cli._exits import line_of
from asyncclient.cli._output import clean, complain, has_live_terminal, redraw
from asyncclient.errors import AsyncClientError

_FRAME_SECONDS = 0.2
_LONGEST_WORD = 24  # characters of a status word, so that the numbers after it have their place


class _Follower(logging.Handler):
    """Follows a wait by its log: shows its warnings, and knows its state."""

    def __init__(self) -> None:
        super().__init__()
        self._began = anyio.current_time()
        self._due = math.inf
        self._stand = "no answer yet"
        self._polls = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Read a log record; a warning is shown as well."""
        fields = vars(record)
        self._due = anyio.current_time() + fields.get("next_poll", math.inf)
        self._polls = fields.get("polls", self._polls)
        word, state = fields.get("word"), fields.get("state") or "unknown"
        if word is not None:
            short = text_of(clean(word), _LONGEST_WORD)
            self._stand = state if short == state else f"{state} ({short})"
        if record.levelno >= logging.WARNING:
            error: object = fields.get("failure")
            said = record.getMessage()
            if error is None and word is not None and fields.get("state") is None:
                said = f"the status {shown(word)} is not known, and counts as still running"
            if isinstance(error, AsyncClientError):
                said = f"a poll failed: {line_of(error)}"
            complain(f"still waiting; {said}")

    def line(self) -> str:
        """Return the state of the wait in one line."""
        now = anyio.current_time()
        left = self._due - now
        then = f"next poll in {math.ceil(left)} s" if 0 < left < math.inf else "polling now"
        return f"{self._stand}, {now - self._began:.0f} s, {counted(self._polls, 'poll')}, {then}"


@contextlib.contextmanager
def warnings_shown(level: int = logging.WARNING) -> Generator[_Follower | None]:
    """Show the warnings of a wait on a terminal; a script gets one line, at the end.

    Args:
        level: from which on the log is followed.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield None
        return
    logger = logging.getLogger("asyncclient.wait")
    follower, before = _Follower(), logger.level
    logger.addHandler(follower)
    logger.setLevel(level)
    try:
        yield follower
    finally:
        logger.removeHandler(follower)
        logger.setLevel(before)


@contextlib.asynccontextmanager
async def wait_shown() -> AsyncGenerator[None]:
    """Show on a terminal the state of a wait, and its warnings."""
    with warnings_shown(logging.DEBUG) as follower:
        if follower is None:
            yield
            return
        async with live_line(follower.line):
            yield


@contextlib.asynccontextmanager
async def live_line(line: Callable[[], str]) -> AsyncGenerator[None]:
    """Redraw a line on a terminal while something runs, and remove it at the end."""
    if not has_live_terminal(sys.stderr):
        yield
        return
    try:
        async with anyio.create_task_group() as drawing:
            drawing.start_soon(_draw, line)
            yield
            drawing.cancel_scope.cancel()
    finally:
        redraw("")


async def _draw(line: Callable[[], str]) -> None:
    while True:
        # The width is looked at each time: a terminal may be resized. Its last column stays free,
        # or some terminals would begin a new line.
        text = Text(line())
        text.truncate(Console(stderr=True).width - 1, overflow="ellipsis")
        redraw(text.plain)
        await anyio.sleep(_FRAME_SECONDS)
