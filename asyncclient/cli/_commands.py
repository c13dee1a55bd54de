"""The command lines: what they take, and which action each one is."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial, wraps
from typing import IO, cast, get_args

import click
import msgspec

from asyncclient._ref import TaskRef, decode_ref
from asyncclient.cli._demo_view import demo
from asyncclient.cli._exits import EXIT_CODES, Action, ExitCode, perform, show_error
from asyncclient.cli._output import complain
from asyncclient.cli._simulate import CozePlan, Settings, serve
from asyncclient.cli._tasks import (
    Start,
    Waiting,
    list_bots,
    start_copyai_workflow,
    start_coze_workflow,
    wait_for_lines,
    wait_for_one,
    watch_one,
)

__all__ = ["run"]

_GOES_ON = "interrupted; the task itself goes on: wait again with its reference"
_GO_ON = "interrupted; the tasks themselves go on: wait again with their references"
_EPILOG = f"""\b
Environment:
  COZE_API_TOKEN, COZE_API_BASE      token; https://api.coze.com unless set
  COPYAI_API_KEY, COPYAI_API_BASE    key; https://api.copy.ai/api/ unless set

{EXIT_CODES}"""


class _Number(click.FloatRange):
    name = "number"  # in messages


class _Integer(click.IntRange):
    name = "integer"


_SHARE = _Number(0, 1)
_PORT = _Integer(0, 65535)
_SECONDS = _Number(min=0, min_open=True)


def _number(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    if math.isnan(value):  # which is neither within a range nor outside of it
        msg = "nan is not a number"
        raise click.BadParameter(msg)
    return value


_timeout_option = click.option(
    "--timeout",
    type=_SECONDS,
    callback=_number,
    metavar="SECONDS",
    default=600.0,
    show_default=True,
    help="How long to wait at most.",
)


def run(arguments: list[str]) -> int:
    """Read a command line, do what it asks for, and return the exit code."""
    try:
        chosen: object = command.main(
            arguments or ["--help"], prog_name="asyncclient", standalone_mode=False
        )
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        advice = f"; try '{path or 'asyncclient'} --help'"
        complain(error.format_message().rstrip(".") + advice)
        return ExitCode.BAD_USE
    except click.Abort:
        complain("interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001  (as the last stop of an action)
        return show_error(error)
    # `--help` has been answered by click, which then returns a code.
    return perform(chosen) if isinstance(chosen, Action) else int(cast("int", chosen))


@click.group(epilog=_EPILOG, no_args_is_help=False)
@click.option("--traceback", is_flag=True, help="Show where an error comes from.")
def command(*, traceback: bool) -> None:
    """Start remote jobs at Coze and Copy.ai, and know when each is done."""
    del traceback  # `finish` takes it


@command.result_callback()
def finish(action: Action, *, traceback: bool) -> Action:
    """Give the action what was said before its command."""
    return replace(action, traceback=traceback)


@command.command("demo")
@click.option("--tasks", type=_Integer(min=1), default=300, show_default=True)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Decides the tasks and their fates."
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object at the end.")
def demo_command(*, tasks: int, seed: int, as_json: bool) -> Action:
    """Run hundreds of tasks at once, through faults.

    Starts a simulator of both providers on this machine, half of the tasks at each of them, and
    waits for all at once, while requests fail, hang and are refused. No account is needed, and
    nothing leaves the machine. The seed decides the tasks, their durations and which of them are
    meant to fail; which request meets a fault depends on the order in which they arrive as well.
    """
    return Action(partial(demo, tasks=tasks, seed=seed, as_json=as_json))


@command.command("simulate")
@click.option("--coze-port", type=_PORT, default=0, help="Port of Coze.  [default: a free one]")
@click.option("--copyai-port", type=_PORT, default=0, help="Of Copy.ai.  [default: a free one]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--fault-share",
    type=_SHARE,
    callback=_number,
    default=0.0,
    help="Share of polls that meet a fault.",
)
@click.option(
    "--fail-share", type=_SHARE, callback=_number, default=0.0, help="Share of tasks that fail."
)
@click.option("--mean-seconds", type=_SECONDS, callback=_number, default=2.0, show_default=True)
@click.option(
    "--plan",
    type=click.Choice(get_args(CozePlan)),
    help="The Coze plan whose limits of rate hold.  [default: no limits]",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False),
    help="Keep the tasks in this file, so that they outlive a restart.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the URLs as one JSON object.")
def simulate_command(*, as_json: bool, **options: object) -> Action:
    """Serve both providers on this machine until Ctrl-C.

    For trying out your own program, in any language: it writes the URLs and the credentials.
    """
    settings = msgspec.convert(options, Settings)
    serving = partial(serve, settings, as_json=as_json)
    return Action(serving, when_interrupted=ExitCode.OK, note="")


def _waiting_options(function: Callable[..., Action]) -> Callable[..., Action]:
    """Add the options of a wait; the function gets them as one argument, `waiting`."""

    @_timeout_option
    @click.option(
        "--outputs", is_flag=True, help="Write only what the task put out, not the whole answer."
    )
    @wraps(function)
    def with_waiting(*, timeout: float, outputs: bool, **others: object) -> Action:
        return function(waiting=Waiting(timeout=timeout, outputs=outputs), **others)

    return with_waiting


def _start_options(function: Callable[..., Action]) -> Callable[..., Action]:
    """Add the options of a start; the function gets them as `inputs` and `waiting` (or None)."""

    @click.option(
        "--param",
        "parameters",
        multiple=True,
        metavar="NAME=VALUE",
        help="One input, as text; may be repeated.",
    )
    @click.option(
        "--params-json",
        "file",
        type=click.File("rb"),
        metavar="FILE",
        help="Inputs as a JSON object; '-' reads standard input. --param goes before it.",
    )
    @click.option("--wait", is_flag=True, help="Wait as well, and write the final answer.")
    @_waiting_options
    @wraps(function)
    def with_inputs(
        *,
        parameters: tuple[str, ...],
        file: IO[bytes] | None,
        wait: bool,
        waiting: Waiting,
        **others: object,
    ) -> Action:
        if waiting.outputs and not wait:
            msg = "--outputs goes with --wait: without it there is only a reference to write"
            raise click.UsageError(msg)
        inputs = _read_inputs(file) | _pairs(parameters, "--param")
        return function(inputs=inputs, waiting=waiting if wait else None, **others)

    return with_inputs


@command.group("start", no_args_is_help=False)
def start_group() -> None:
    """Start a task, and write its reference.

    The reference is one line of JSON without any secret, for `wait` and `watch`, now or later, here
    or elsewhere.
    """


@start_group.command("coze-workflow")
@click.argument("workflow_id")
@click.option("--bot-id", help="For workflows that use a bot's database or variables.")
@click.option("--app-id", help="For workflows inside an app.")
@_start_options
def start_coze_command(
    *,
    workflow_id: str,
    bot_id: str | None,
    app_id: str | None,
    inputs: Mapping[str, object],
    waiting: Waiting | None,
) -> Action:
    """Start an asynchronous run of a Coze workflow."""
    if bot_id is not None and app_id is not None:
        msg = "--bot-id and --app-id do not go together: Coze takes one of them"
        raise click.UsageError(msg)
    begin = partial(
        start_coze_workflow, workflow_id=workflow_id, inputs=inputs, bot_id=bot_id, app_id=app_id
    )
    start = Start(begin, "coze", waiting)
    return Action(start.run, note=start.note, provider="coze")


@start_group.command("copyai-workflow")
@click.argument("workflow_id")
@click.option(
    "--metadata",
    multiple=True,
    metavar="NAME=VALUE",
    help="Anything of your own, by which a run can be found again; may be repeated.",
)
@_start_options
def start_copyai_command(
    *,
    workflow_id: str,
    metadata: tuple[str, ...],
    inputs: Mapping[str, object],
    waiting: Waiting | None,
) -> Action:
    """Start a run of a Copy.ai workflow."""
    own = _pairs(metadata, "--metadata") if metadata else None
    begin = partial(start_copyai_workflow, workflow_id=workflow_id, inputs=inputs, metadata=own)
    start = Start(begin, "copyai", waiting)
    return Action(start.run, note=start.note, provider="copyai")


def _read_inputs(file: IO[bytes] | None) -> dict[str, object]:
    try:
        return {} if file is None else msgspec.json.decode(file.read(), type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"not a JSON object: {error}"
        raise click.BadParameter(msg, param_hint="--params-json") from error


def _pairs(texts: tuple[str, ...], option: str) -> dict[str, object]:
    pairs: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            msg = f"{text!r} is not of the form NAME=VALUE"
            raise click.BadParameter(msg, param_hint=option)
        if not _is_unicode(text):
            msg = f"{text!r} is not in this terminal's encoding"
            raise click.BadParameter(msg, param_hint=option)
        pairs[name] = value
    return pairs


def _is_unicode(text: str) -> bool:
    # Python keeps bytes of an argument that are no text as halves of letters.
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _one(_context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]) -> str:
    word, *others = words
    if others:
        msg = "it came in several pieces: put the reference in single quotes"
        raise click.BadParameter(msg, param_hint="REF")
    return word


_reference_argument = click.argument(
    "reference", metavar="REF", nargs=-1, required=True, callback=_one
)


@command.command("wait")
@_reference_argument
@_waiting_options
def wait_command(*, reference: str, waiting: Waiting) -> Action:
    """Wait for a task, and write its final answer as JSON.

    REF is what `start` wrote, in single quotes. With '-', references are read from standard input,
    one a line, and waited for all at once; their answers come in the same order, one a line, `null`
    for a task without an answer, and the exit code is the greatest of theirs.
    """
    if reference == "-":
        # Bytes: what is no text at all is no reference either. Closed by the shell, it is empty.
        lines = sys.stdin.buffer if sys.stdin else ()
        refs = [
            _ref(line, f"line {number}") for number, line in enumerate(lines, 1) if line.strip()
        ]
        return Action(partial(wait_for_lines, refs, waiting), note=_GO_ON)
    ref = _ref(reference, "REF", ", in single quotes")
    return Action(partial(wait_for_one, ref, waiting), note=_GOES_ON, provider=ref.provider)


@command.command("watch")
@_reference_argument
@_timeout_option
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object for each change.")
def watch_command(*, reference: str, timeout: float, as_json: bool) -> Action:
    """Follow a task, and write a line for each change.

    REF is what `start` wrote, in single quotes.
    """
    ref = _ref(reference, "REF", ", in single quotes")
    watching = partial(watch_one, ref, timeout=timeout, as_json=as_json)
    return Action(watching, note=_GOES_ON, provider=ref.provider)


def _ref(text: str | bytes, place: str, how: str = "") -> TaskRef:
    try:
        return decode_ref(text.strip())
    except ValueError as error:
        # Why it is none is told in terms of JSON, and what to do in terms of Python.
        msg = (
            "not a task reference that this command can read: "
            f"give the whole line that 'start' wrote{how}"
        )
        raise click.BadParameter(msg, param_hint=place) from error


@command.command("bots")
@click.argument("workspace_id")
@click.option(
    "--publish-status",
    type=click.Choice(["all", "published_online", "published_draft", "unpublished_draft"]),
    help="Which bots.  [default: published_online]",
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON array.")
def bots_command(*, workspace_id: str, publish_status: str | None, as_json: bool) -> Action:
    """List the bots of a Coze workspace.

    A table on a terminal, tab-separated lines elsewhere.
    """
    listing = partial(list_bots, workspace_id, publish_status=publish_status, as_json=as_json)
    return Action(listing, provider="coze")
