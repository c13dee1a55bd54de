"""The command lines of `wait` and `watch`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import cast

import click

from asyncclient._state import TaskState
from asyncclient.cli._any_api import TOKEN, How, TaskURL, headers_of, reading_of
from asyncclient.cli._exits import EXIT_CODES, Action
from asyncclient.cli._options import timeout_option, waiting_options
from asyncclient.cli._targets import KINDS, Target, targets_of
from asyncclient.cli._waits import Waiting, wait_for_lines, wait_for_one, watch_one

_AGAIN = "run the same command to wait again"
_KINDS = "\n".join(f"  {kind} {each.usage}" for kind, each in KINDS.items())
_TASK = f"""\b
TASK is one of these:
  REF    the line that 'start' wrote, in single quotes
  URL    where any other API returns the task's status
{_KINDS}"""
_OF_A_URL = f"""A URL needs --api NAME; or --status PATH with --succeeded and --failed. The token in
the variable {TOKEN} is sent to that URL's origin and nowhere else: as 'Authorization: Bearer', or
where a --header has {{token}}."""
_EXAMPLES = """\b
Examples:
  asyncclient wait "$URL" --api replicate.prediction
  asyncclient wait "$URL" --status data.state \\
      --succeeded done --failed error,rejected
  asyncclient wait coze-workflow 7350000001 7500000002
"""
_STATES = {
    TaskState.SUCCEEDED: "A word for success; join several by commas, or repeat the option.",
    TaskState.FAILED: "A word for failure.",
    TaskState.PENDING: "A word for 'not begun yet'.",
    TaskState.RUNNING: "A word for 'at work'; an unknown word counts as this.",
    TaskState.BLOCKED: "A word for 'waits for you'.",
    TaskState.CANCELLED: "A word for 'stopped by someone'.",
    TaskState.EXPIRED: "A word for 'given up or forgotten by the API'.",
}


def _target_options(function: Callable[..., Action]) -> Callable[..., Action]:
    """Add what says which task it is; the function gets it as `target`."""

    @wraps(function)
    def with_target(
        *,
        words: tuple[str, ...],
        api: str | None,
        status: str | None,
        headers: tuple[str, ...],
        allow_http: bool,
        **others: object,
    ) -> Action:
        of_state = {state: cast("tuple[str, ...]", others.pop(state)) for state in TaskState}
        how = How(reading_of(api, status, of_state), headers_of(headers), allow_http)
        return function(target=targets_of(words, how), **others)

    options = [
        click.argument("words", metavar="TASK...", nargs=-1, required=True),
        click.option("--api", metavar="NAME", help="A name that 'asyncclient apis' lists."),
        click.option(
            "--status",
            metavar="PATH",
            help="The status word's place in an answer, like data.runs[0].status.",
        ),
        *(
            click.option(f"--{state}", metavar="WORD", multiple=True, help=says)
            for state, says in _STATES.items()
        ),
        click.option(
            "-H",
            "--header",
            "headers",
            metavar="LINE",
            multiple=True,
            help="A header to send, like 'x-api-key: {token}'; may be repeated.",
        ),
        click.option("--allow-http", is_flag=True, help="Allow plain http to another machine."),
    ]
    for option in reversed(options):
        with_target = option(with_target)
    return with_target


@click.command(
    "wait",
    help=f"""Wait for a task, and write its final answer as JSON.

{_TASK}
  -      lines of standard input, each a REF or a URL

{_OF_A_URL}

With '-' the command waits for all tasks at once. The answers come in the order of the lines, one a
line, with 'null' for a task without an answer. The exit code is the greatest of all tasks.
""",
    epilog=f"{_EXAMPLES}\n{EXIT_CODES}",
)
@_target_options
@waiting_options
def wait_command(*, target: Target | list[Target], waiting: Waiting) -> Action:
    if isinstance(target, list):
        note = f"interrupted; the tasks themselves go on: {_AGAIN}"
        return Action(partial(wait_for_lines, target, waiting), note=note)
    if waiting.outputs and isinstance(target, TaskURL):
        msg = "--outputs is for tasks of Coze and Copy.ai: leave it out to get the whole answer"
        raise ValueError(msg)
    return Action(
        partial(wait_for_one, target, waiting),
        note=f"interrupted; the task itself goes on: {_AGAIN}",
        provider="" if isinstance(target, TaskURL) else target.provider,
    )


@click.command(
    "watch",
    help=f"""Follow a task, and write a line for each change.

{_TASK}

{_OF_A_URL}
""",
    epilog=EXIT_CODES,
)
@_target_options
@timeout_option
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object for each change.")
def watch_command(*, target: Target | list[Target], timeout: float, as_json: bool) -> Action:
    if isinstance(target, list):
        msg = "watch follows one task: '-' is for 'wait'"
        raise click.UsageError(msg)
    return Action(
        partial(watch_one, target, timeout=timeout, as_json=as_json),
        note=f"interrupted; the task itself goes on: {_AGAIN}",
        provider="" if isinstance(target, TaskURL) else target.provider,
    )
