"""How the demo shows itself: bars on a terminal, a line a second elsewhere, JSON for machines."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from functools import partial

import anyio
from rich.console import Console, Group
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asyncclient._text import counted
from asyncclient.cli._demo import run_demo
from asyncclient.cli._demo_board import Board, Side, Summary
from asyncclient.cli._demo_jobs import jobs_of
from asyncclient.cli._exits import ExitCode
from asyncclient.cli._output import complain, has_live_terminal, json_line, say, say_json

__all__ = ["demo"]

_WIDTH = 88
_LEAST_WIDTH = 64  # below that there is no place for a bar, and then for no numbers
_FRAME_SECONDS = 0.1
_LINE_SECONDS = 1.0


async def demo(*, tasks: int, seed: int, as_json: bool) -> int:
    """Run the demo, show it, and say what came of it.

    Args:
        tasks: how many.
        seed: of all chance.
        as_json: write one JSON object at the end and nothing else.

    Returns:
        0 when every task ended as the simulator says, else 1.
    """
    board = Board(jobs_of(tasks, seed))
    if as_json:
        await run_demo(board, seed, _show_nothing)
    elif has_live_terminal(sys.stdout):
        # Redrawn by hand, not by rich's thread: a frame is never drawn in the middle of a change.
        with Live(console=Console(), auto_refresh=False) as live:
            await run_demo(board, seed, partial(_show_bars, live))
            _redraw(live, board)
    else:
        await run_demo(board, seed, _show_lines)
    summary = board.summary(seed)
    if as_json:
        say_json(json_line(summary), pretty=False)
    else:
        for line in _lines_of(summary):
            say(line)
    if not summary.mismatches:
        return ExitCode.OK
    for mismatch in summary.mismatches:
        complain(mismatch)
    return ExitCode.ENDED_BADLY


async def _show_nothing(_board: Board) -> None:
    pass


async def _show_lines(board: Board) -> None:
    while True:
        await anyio.sleep(_LINE_SECONDS)
        both = _sum_of(board.sides())
        say(
            f"{board.seconds:5.1f} s: started {both.started}, waiting {both.waiting}, "
            f"done {both.done}, failed as intended {both.failed}, "
            f"faults survived {board.faults}, {both.polls_per_second:.0f} polls/s"
        )


async def _show_bars(live: Live, board: Board) -> None:
    while True:
        _redraw(live, board)
        await anyio.sleep(_FRAME_SECONDS)


def _redraw(live: Live, board: Board) -> None:
    # The width is looked at each time: a terminal may be resized.
    draw = _frame if live.console.width >= _LEAST_WIDTH else _small_frame
    live.update(draw(board), refresh=True)


def _small_frame(board: Board) -> Group:
    """Draw no more than how many tasks have ended."""
    sides = board.sides()
    sides.append(_sum_of(sides))
    seconds = 0.0 if math.isnan(board.seconds) else board.seconds
    lines = [f"{side.name:<8}{side.ended}/{side.tasks}" for side in sides]
    return Group(*map(Text, lines), Text(f"{seconds:.1f} s"))


def _frame(board: Board) -> Group:
    """Draw the board: a row for each provider, and one for both."""
    # On a narrower terminal it is the bar that gives way.
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("ended", ratio=1)
    for head in ("", "started", "waiting", "done", "failed as\nintended", "polls/s"):
        table.add_column(head, justify="right", vertical="bottom", no_wrap=True)
    sides = board.sides()
    both = _sum_of(sides)
    for side in sides:
        table.add_row(*_row_of(side))
    table.add_row(*_row_of(both), style="bold")
    seconds = 0.0 if math.isnan(board.seconds) else board.seconds
    below = f"{seconds:.1f} s, {counted(board.faults, 'fault')} survived, "
    below += f"{counted(board.unblocked, 'demand')} met"
    if both.other:
        below += f", {both.other} ended otherwise"
    return Group(Constrain(table, _WIDTH), Text(below))


def _row_of(side: Side) -> Iterator[str | ProgressBar]:
    yield side.name
    yield ProgressBar(total=max(1, side.tasks), completed=side.ended)
    yield f"{side.ended}/{side.tasks}"
    for number in (side.started, side.waiting, side.done, side.failed):
        yield str(number)
    yield f"{side.polls_per_second:.0f}"


def _sum_of(sides: list[Side]) -> Side:
    both = Side("all")
    for side in sides:
        both.tasks += side.tasks
        both.started += side.started
        both.done += side.done
        both.failed += side.failed
        both.other += side.other
        both.polls += side.polls
        both.polls_per_second += side.polls_per_second
    return both


def _lines_of(summary: Summary) -> Iterator[str]:
    delay = summary.detection_delay
    kinds = ", ".join(f"{name} {count}" for name, count in summary.faults.items())
    yield ""
    yield f"tasks               {summary.tasks}"
    yield f"done                {summary.done}"
    yield f"failed as intended  {summary.failed_as_intended}"
    yield f"ended otherwise     {len(summary.mismatches)}"
    yield f"demands met         {summary.unblocked}"
    yield f"polls               {summary.polls}, {summary.polls_per_task:.1f} a task"
    yield f"faults survived     {summary.faults_survived}{f' ({kinds})' if kinds else ''}"
    yield f"detection delay     mean {delay.mean:.2f} s, p95 {delay.p95:.2f} s"
    yield f"seconds             {summary.seconds:.1f} (seed {summary.seed})"
