"""The command lines of `start`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import IO, cast

import click
import msgspec

from asyncclient._text import shown
from asyncclient.cli._exits import Action
from asyncclient.cli._options import waiting_options
from asyncclient.cli._starts import Start, start_copyai_workflow, start_coze_workflow
from asyncclient.cli._waits import Waiting


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
        "--parameters",
        "--params-json",
        "given",
        metavar="JSON",
        help='Inputs as a JSON object: \'{"topic": "tea"}\', @FILE or FILE, or - for standard '
        "input. --param overrides it.",
    )
    @click.option("--wait", is_flag=True, help="Also wait, and write the final answer.")
    @waiting_options
    @wraps(function)
    def with_inputs(
        *,
        parameters: tuple[str, ...],
        given: str | None,
        wait: bool,
        waiting: Waiting,
        **others: object,
    ) -> Action:
        if (waiting.outputs or waiting.as_json) and not wait:
            option = "--outputs" if waiting.outputs else "--json"
            msg = f"{option} needs --wait: without it, only a reference is written"
            raise click.UsageError(msg)
        inputs = _read_inputs(given) | _pairs(parameters, "--param")
        return function(inputs=inputs, waiting=waiting if wait else None, **others)

    return with_inputs


@click.group("start", no_args_is_help=False)
def start_group() -> None:
    """Start a task, and write its reference.

    The reference is one line of JSON without a secret. Pass it to 'wait' or 'watch', now or later,
    on this machine or another.
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
        msg = "--bot-id and --app-id exclude each other: give one of them"
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
    help="Any data of yours, to find the run again by; may be repeated.",
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


def _read_inputs(given: str | None) -> dict[str, object]:
    """Read inputs: JSON as it is, `@` and a path, a path alone, or `-` for standard input."""
    if given is None:
        return {}
    try:
        return msgspec.json.decode(_bytes_of(given), type=dict[str, object])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        msg = f"not a JSON object: {error}"
        raise click.BadParameter(msg, param_hint="--parameters") from error


def _bytes_of(given: str) -> bytes:
    if given.lstrip()[:1] in {"{", "["}:
        return given.encode()
    path = given.removeprefix("@")
    if path == "-" and sys.stdin is None:  # the shell closed it
        msg = "standard input is closed: give JSON, or a file"
        raise click.BadParameter(msg, param_hint="--parameters")
    try:
        with click.open_file(path, "rb") as file:
            return cast("IO[bytes]", file).read()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        msg = (
            f'{shown(path)}: {why}; give JSON, as \'{{"topic": "tea"}}\', '
            "a file, or - for standard input"
        )
        raise click.BadParameter(msg, param_hint="--parameters") from error


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
