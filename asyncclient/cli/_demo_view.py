"""How the demo is shown: bars on a terminal, a line a second elsewhere, JSON for programs."""

from __future__ import annotations

import contextlib
import sys
import textwrap
from collections.abc import Iterator
from functools import partial
from typing import TextIO

import anyio
import click
import msgspec
from rich.console import Console, Group
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asyncclient._text import counted
from asyncclient.cli._demo import run_demo
from asyncclient.cli._demo_board import Board, Boards, Summary
from asyncclient.cli._demo_jobs import jobs_of
from asyncclient.cli._exits import ExitCode
from asyncclient.cli._output import complain, has_live_terminal, say, say_json

_WIDTH = 88
_LEAST_WIDTH = 50  # below that there is no place for a bar, and then for no numbers
_NAMES = ("asyncclient", "sleep loop")
_FRAME_SECONDS = 0.1
_LINE_SECONDS = 1.0
_NEXT = """\
next: the same with a job of your own
  export COZE_API_TOKEN=pat_…
  asyncclient start coze-workflow WORKFLOW_ID --wait
  asyncclient apis              33 more APIs
  docs/start.md                 the same in Python"""


async def demo(*, tasks: int, seed: int, as_json: bool) -> int:
    """Run the demo, show it, and write its results.

    Args:
        tasks: how many.
        seed: of all chance.
        as_json: write one JSON object to standard output, and the progress to standard error.

    Returns:
        0 when every task ended as the simulator says, else 1; the loop's do not count.
    """
    jobs = jobs_of(tasks, seed)
    boards = ours, loop = Board(_NAMES[0], jobs), Board(_NAMES[1], jobs)
    stream = sys.stderr if as_json else sys.stdout
    if has_live_terminal(stream):
        # Redrawn by hand, not by rich's thread: a frame is never drawn in the middle of a change.
        with Live(console=Console(file=stream), auto_refresh=False) as live:
            await run_demo(boards, seed, partial(_show_bars, live))
            _redraw(live, boards)
    else:
        await run_demo(boards, seed, partial(_show_lines, stream))
    summary = ours.summary(seed, loop)
    if as_json:
        say_json(msgspec.json.encode(summary), pretty=False)
    else:
        width = min(_WIDTH, Console(file=stream).width - 1)
        for paragraph in _paragraphs_of(summary):
            for line in _lines_of(paragraph, width):
                say(line)
    if not summary.mismatches:
        return ExitCode.OK
    for mismatch in summary.mismatches:
        complain(mismatch)
    return ExitCode.ENDED_BADLY


async def _show_lines(stream: TextIO | None, boards: Boards) -> None:
    while True:
        await anyio.sleep(_LINE_SECONDS)
        sides = [(board.name, board.side()) for board in boards]
        ways = [
            f"{name} {side.ended}/{side.tasks} ended, {side.polls} polls" for name, side in sides
        ]
        line = f"{boards[1].seconds:4.0f} s: {'; '.join(ways)}"
        if stream is sys.stdout:
            say(line)
        elif stream is not None:
            with contextlib.suppress(OSError):  # no one reads how far it is
                click.echo(line, err=True)


async def _show_bars(live: Live, boards: Boards) -> None:
    while True:
        _redraw(live, boards)
        await anyio.sleep(_FRAME_SECONDS)


def _redraw(live: Live, boards: Boards) -> None:
    # The width is looked at each time: a terminal may be resized.
    draw = _frame if live.console.width >= _LEAST_WIDTH else _small_frame
    live.update(draw(boards), refresh=True)


def _small_frame(boards: Boards) -> Group:
    """Draw only how many tasks have ended."""
    lines = [f"{board.name:<12}{board.side().ended}/{len(board.jobs)}" for board in boards]
    return Group(*map(Text, lines), Text(_clock(boards)))


def _frame(boards: Boards) -> Group:
    """Draw the boards: a row for each way to wait."""
    # On a narrower terminal it is the bar that gives way.
    table = Table(box=None, pad_edge=False, header_style="dim", expand=True)
    table.add_column("", no_wrap=True)
    table.add_column("ended", ratio=1)
    for head in ("", "waiting", "polls", "polls/s"):
        table.add_column(head, justify="right", no_wrap=True)
    for board in boards:
        side = board.side()
        table.add_row(
            board.name,
            ProgressBar(total=max(1, side.tasks), completed=side.ended),
            f"{side.ended}/{side.tasks}",
            *map(str, (side.waiting, side.polls)),
            f"{side.polls_per_second:.0f}",
        )
    ours = boards[0]
    below = f"{_clock(boards)}, {counted(ours.faults, 'fault')} survived, "
    below += f"{counted(ours.unblocked, 'question')} answered"
    if other := ours.side().other:
        below += f", {other} ended otherwise"
    return Group(Constrain(table, _WIDTH), Text(below))


def _clock(boards: Boards) -> str:
    return f"{boards[1].seconds:.1f} s"


def _lines_of(paragraph: str, width: int) -> list[str]:
    """Break a paragraph between words; what follows a word and a gap stays in its column."""
    head, gap, said = paragraph.partition("  ")
    indent = " " * (len(paragraph) - len(said.lstrip())) if head and gap else ""
    return textwrap.wrap(
        paragraph,
        max(width, 1),
        subsequent_indent=indent if len(indent) * 2 < width else "",
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _paragraphs_of(summary: Summary) -> Iterator[str]:
    """Yield the results: one line for each figure, then what the words mean."""
    loop, kinds = summary.loop, (f"{name} {n}" for name, n in summary.faults.items())
    yield ""
    yield (
        f"The same {counted(summary.tasks, 'job')} at a simulated Coze and Copy.ai, waited for "
        "twice, through the same kinds of fault: by asyncclient, and by a loop as it is often "
        "written: `while True: sleep(1)`, with a retry of everything, the start included."
    )
    yield ""
    yield f"{'':<20}{_NAMES[0]:>12}{_NAMES[1]:>12}"
    ours_delay, loop_delay = summary.detection_delay.mean, loop.detection_delay.mean
    for name, ours, theirs in (
        ("polls", str(summary.polls), str(loop.polls)),
        ("jobs lost", str(summary.lost), str(loop.lost)),
        ("jobs started twice", str(summary.started_twice), str(loop.started_twice)),
        ("mean delay of ends", f"{ours_delay:.2f} s", f"{loop_delay:.2f} s"),
    ):
        yield f"{name:<20}{ours:>12}{theirs:>12}"
    yield ""
    yield (
        f"poll     a request for a job's state: {summary.polls_per_task:.1f} a job, and "
        f"{loop.polls_per_task:.1f} in the loop, which makes 600 for a job of ten minutes"
    )
    yield (
        "lost     a job whose end was never known. In the loop, "
        f"{loop.asked_in_vain} asked their caller a question, which the loop does not see, and "
        f"{loop.lost - loop.asked_in_vain} hang in a request that is never answered"
    )
    yield (
        "twice    the answer to a start was lost, and the loop started the job again: it is paid "
        "for twice. asyncclient finds the job that was started"
    )
    yield "delay    seconds from a job's end to the moment when its waiter knew"
    yield f"fault    an error that the simulator makes on purpose: {', '.join(kinds) or 'none'}"
    yield ""
    yield (
        f"asyncclient: {summary.done} done, {summary.failed_as_intended} failed as intended, "
        f"{len(summary.mismatches)} ended otherwise; {counted(summary.unblocked, 'question')} of "
        f"jobs answered; {summary.faults_survived} faults survived; "
        f"{summary.seconds:.1f} s (seed {summary.seed})"
    )
    yield ""
    yield from _NEXT.splitlines()
