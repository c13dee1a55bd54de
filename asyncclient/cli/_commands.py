"""The command lines: what they take, and which action each one is."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from typing import cast, get_args

import click
import msgspec

from asyncclient._version import __version__
from asyncclient.cli._demo_view import demo
from asyncclient.cli._exits import EXIT_CODES, Action, ExitCode, perform, show_error
from asyncclient.cli._lists import apis_of, list_apis, list_bots
from asyncclient.cli._options import SECONDS, Integer, Number
from asyncclient.cli._output import complain
from asyncclient.cli._simulate import CozePlan, Settings, serve
from asyncclient.cli._start_commands import start_group
from asyncclient.cli._wait_commands import wait_command, watch_command

_EPILOG = f"""\b
Environment:
  COZE_API_TOKEN     a token of Coze
  COZE_API_BASE      https://api.coze.com unless set
  COPYAI_API_KEY     a key of Copy.ai
  COPYAI_API_BASE    https://api.copy.ai/api/ unless set
  ASYNCCLIENT_TOKEN  the token for 'wait URL'
  HTTPS_PROXY        the proxy for https, as in other programs
  NO_PROXY           hosts that are reached without a proxy

{EXIT_CODES}"""


# Options of other tools for what anyone on this machine would see in a command line.
_CREDENTIAL = re.compile(r"auth|key|password|secret|token|user")
_SHARE = Number(0, 1)
_PORT = Integer(0, 65535)


def run(arguments: list[str]) -> int:
    """Read a command line, do what it asks for, and return the exit code."""
    try:
        chosen: object = command.main(
            arguments or ["--help"], prog_name="asyncclient", standalone_mode=False
        )
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else ""
        advice = f"; try '{path or 'asyncclient'} --help'"
        if isinstance(error, click.NoSuchOption) and _CREDENTIAL.search(error.option_name):
            advice = f": put it into an environment variable{advice}"
        complain(error.format_message().rstrip(".") + advice)
        return ExitCode.BAD_USE
    except SystemExit:  # so click ends where no one reads the help that it writes
        return ExitCode.PIPE_CLOSED
    except click.Abort:
        complain("interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001  (as the last stop of an action)
        return show_error(error)
    # `--help` has been answered by click, which then returns a code.
    return perform(chosen) if isinstance(chosen, Action) else int(cast("int", chosen))


@click.group(
    epilog=_EPILOG,
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.option("--traceback", is_flag=True, help="Show where an error comes from.")
def command(*, traceback: bool) -> None:
    """Start remote jobs at Coze and Copy.ai, and wait for those of any HTTP API."""
    del traceback  # `finish` takes it


@command.result_callback()
def finish(action: Action, *, traceback: bool) -> Action:
    """Give the action the options that stood before its command."""
    return replace(action, traceback=traceback)


@command.command("demo")
@click.option("--tasks", type=Integer(min=1), default=300, show_default=True)
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Decides the tasks and how they end."
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object at the end.")
def demo_command(*, tasks: int, seed: int, as_json: bool) -> Action:
    """Run hundreds of tasks at once, with faults, beside a loop of sleep(1).

    Starts a simulator of Coze and Copy.ai on this machine, with half of the tasks at each. Waits
    for all at once, while requests fail, hang and are refused. The same tasks run beside it with a
    loop of sleep(1) that retries everything. No account is needed, and nothing leaves the machine.
    The seed decides the tasks, their durations and which of them fail. Which request meets a fault
    also depends on the order in which requests arrive.
    """
    return Action(partial(demo, tasks=tasks, seed=seed, as_json=as_json))


@command.command("simulate")
@click.option("--coze-port", type=_PORT, default=0, help="Port of Coze.  [default: a free one]")
@click.option(
    "--copyai-port", type=_PORT, default=0, help="Port of Copy.ai.  [default: a free one]"
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--fault-share", type=_SHARE, default=0.0, help="Share of polls that meet a fault.")
@click.option("--fail-share", type=_SHARE, default=0.0, help="Share of tasks that fail.")
@click.option("--mean-seconds", type=SECONDS, default=2.0, show_default=True)
@click.option(
    "--plan",
    type=click.Choice(get_args(CozePlan)),
    help="The Coze plan whose rate limits apply.  [default: no limits]",
)
@click.option(
    "--journal",
    type=click.Path(dir_okay=False),
    help="Keep the tasks in this file, so that they outlive a restart.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the URLs as one JSON object.")
def simulate_command(*, as_json: bool, **options: object) -> Action:
    """Serve a simulated Coze and Copy.ai on this machine until Ctrl-C.

    Use it to try your own program, in any language. It writes the URLs and the credentials.
    """
    settings = msgspec.convert(options, Settings)
    serving = partial(serve, settings, as_json=as_json)
    return Action(serving, when_interrupted=ExitCode.OK, note="")


@command.command("bots")
@click.argument("workspace_id")
@click.option(
    "--publish-status",
    type=click.Choice(["all", "published_online", "published_draft", "unpublished_draft"]),
    help="Only bots of this status.  [default: published_online]",
)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON array.")
def bots_command(*, workspace_id: str, publish_status: str | None, as_json: bool) -> Action:
    """List the bots of a Coze workspace.

    A table on a terminal, tab-separated lines elsewhere.
    """
    listing = partial(list_bots, workspace_id, publish_status=publish_status, as_json=as_json)
    return Action(listing, provider="coze")


@command.command("apis")
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Write one JSON array.")
def apis_command(*, names: tuple[str, ...], as_json: bool) -> Action:
    """List the APIs whose answers 'wait URL --api NAME' can read.

    With one or more names: show only these, with their status words.
    """
    listing = partial(list_apis, apis_of(names), whole=bool(names), as_json=as_json)
    return Action(listing)


for each in (start_group, wait_command, watch_command):
    command.add_command(each)
