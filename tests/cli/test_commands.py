"""The command's `start`, `wait`, `watch` and `bots`, run in this process against a simulator."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import re
import shlex
import signal
import socket
import sys
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

import anyio
import pytest

import asyncclient
from asyncclient import (
    Observation,
    SessionPool,
    TaskRef,
    TaskState,
    decode_ref,
    encode_ref,
    wait_until_done,
)
from asyncclient._http.proxy import Proxy, advice_without_proxy
from asyncclient.cli import main
from asyncclient.cli._exits import code_of, first_of, line_of
from asyncclient.cli._output import clean
from asyncclient.cli._simulate import tell
from asyncclient.errors import (
    AsyncClientError,
    AuthenticationFailed,
    ConnectFailed,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    TransportError,
)
from asyncclient.providers.coze import Coze
from asyncclient.testing import Simulator, run_virtual
from tests.cli.shell import PYTHON, TOKEN, VARIABLES, Shell, a_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("environment")

REGIONS = "use https://api.coze.com or https://api.coze.cn, whichever the token is of"
NO_URL = f"is not a base URL (https, a host, perhaps a path): {REGIONS}"
NOWHERE = encode_ref(TaskRef("coze", "workflow_run", {"workflow_id": "1", "execute_id": "2"}))


@pytest.fixture
def start(shell: Shell, tmp_path: Path) -> Callable[..., str]:
    """Return a function that starts a run of a given fate and returns its reference."""

    def start(command: str = "coze-workflow", **fate: object) -> str:
        inputs = tmp_path / "inputs.json"
        inputs.write_text(json.dumps({"simulate": fate}))
        assert shell("start", command, "7350", "--params-json", str(inputs)) == 0
        return shell.out.strip()

    return start


def test_a_started_run_is_found_again_by_its_reference(
    shell: Shell, start: Callable[..., str]
) -> None:
    """The reference that `start` writes is all that `wait` needs for the provider's answer."""
    assert shell("start", "coze-workflow", "7350", "--param", "topic=tea", "--param", "a=b=c") == 0
    ref = shell.out.strip()
    assert shell("wait", ref) == 0
    assert shell.json["data"][0]["execute_status"] == "Success"
    assert shell("wait", ref, "--outputs") == 0
    assert shell.json == {"Output": {"output": {"topic": "tea", "a": "b=c"}}}
    assert shell("wait", start(outcome="plain_text"), "--outputs") == 0
    assert shell.json == "The answer is plain text, not JSON."


def test_inputs_come_from_standard_input_and_from_options(shell: Shell, sim: Simulator) -> None:
    """An option goes before the same name in the file `-`, and metadata goes along."""
    inputs = '{"simulate": {"seconds": 5}, "count": 3, "topic": "coffee"}'
    options = ("--params-json", "-", "--param", "topic=tea", "--metadata", "order=7", "--wait")
    assert shell("start", "copyai-workflow", "WCFG-1", *options, stdin=inputs) == 0
    answer = shell.json["data"]
    assert answer["status"] == "COMPLETE"
    assert answer["input"] == {"simulate": {"seconds": 5}, "count": 3, "topic": "tea"}
    assert sim.tasks[answer["id"]].start_marker == {"order": "7"}
    assert answer["id"] in shell.complaint  # the way back, were the wait cut short


def test_a_task_that_ends_badly_ends_with_1_and_its_answer(
    shell: Shell, start: Callable[..., str]
) -> None:
    """The failure, or what a blocked task asks, is written, and the answer all the same."""
    failed = start(outcome="fail")
    assert shell("wait", failed) == 1
    assert shell.json["data"][0]["execute_status"] == "Fail"
    assert "720701002 Workflow node execution failed" in shell.complaint
    assert shell("wait", failed, "--outputs") == 1
    assert shell.out == ""
    assert shell("wait", start(outcome="interrupt")) == 1
    assert shell.json["data"][0]["interrupt_data"]["type"] == 2
    assert "waits for its caller" in shell.complaint
    assert "answer it at the provider, then wait again" in shell.complaint


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_a_task_that_takes_too_long_ends_with_124(
    shell: Shell, start: Callable[..., str], command: str
) -> None:
    """The code is that of coreutils' timeout; no answer, and no state a second time, is written."""
    assert shell(command, start(seconds=60), "--timeout", "30") == 124
    assert shell.out.count("\n") == (command == "watch")
    assert "has not ended within 30 s" in shell.complaint
    assert "it may go on: wait again, or longer with --timeout" in shell.complaint


def test_many_references_are_answered_in_their_order(
    shell: Shell, start: Callable[..., str]
) -> None:
    """Answers come in the order of the lines whichever ends first, and the worst code wins."""
    refs = [start(seconds=40), start(outcome="fail"), start("copyai-workflow"), start(seconds=600)]
    stdin = "\n".join([refs[0], "", *refs[1:], ""])
    assert shell("wait", "-", "--timeout", "100", stdin=stdin) == 124
    lines = [json.loads(line) for line in shell.out.splitlines()]
    ids = [[*json.loads(ref)["ids"].values()][-1] for ref in refs]
    assert [lines[0]["data"][0]["execute_id"], lines[1]["data"][0]["execute_id"]] == ids[:2]
    assert lines[2]["data"]["id"] == ids[2]
    assert lines[3] is None
    assert shell.err.count("\n") == 2


def test_standard_input_holds_references_or_one_object_of_inputs(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad line is named, even if it is no text, and nothing is sent; no line is an error."""
    for text in ("[1]", "{", "\udc80"):
        assert shell("start", "coze-workflow", "1", "--params-json", "-", stdin=text) == 2
        assert "not a JSON object" in shell.complaint
    for line in ("tea", "\udcff", NOWHERE[:40]):
        assert shell("wait", "-", stdin=f"{NOWHERE}\n\n{line}\n") == 2
        assert "line 3: not a task reference" in shell.complaint
    for empty in ("", " \n\n"):
        assert shell("wait", "-", stdin=empty) == 2
        assert "standard input has no line: pipe in what 'start' wrote" in shell.complaint
    monkeypatch.setattr(sys, "stdin", None)  # closed
    assert main(("wait", "-")) == 2


def test_what_chats_and_copies_put_out(shell: Shell, loop: asyncio.Runner, sim: Simulator) -> None:
    """The output of a chat is its messages, and that of a copy is the copy's id."""

    async def start() -> list[str]:
        async with SessionPool() as pool:
            coze = Coze(pool, token=TOKEN, base_url=sim.coze_url)
            chat = await coze.start_chat("7", user_id="u")
            at_once = await coze.start_copy("b", entity_type="bot")
            return [encode_ref(task.ref) for task in (chat, at_once)]

    chat, copy = loop.run(start())
    assert shell("wait", chat, "--outputs") == 0
    assert shell.json[0]["content"] == "The answer to your question."
    assert shell("wait", copy, "--outputs") == 0
    copied = json.loads(copy)["ids"]["copied_entity_id"]
    assert shell.json == {"target_entity_id": copied}
    assert shell("wait", copy) == 0  # never received, so written from its typed form
    assert shell.json["target_entity_id"] == copied


@pytest.mark.parametrize(
    ("outcome", "code", "state"),
    [("success", 0, "succeeded"), ("fail", 1, "failed"), ("interrupt", 1, "blocked")],
)
def test_watch_writes_each_change_and_the_last_state(
    shell: Shell, start: Callable[..., str], outcome: str, code: int, state: str
) -> None:
    """Each change is a line; the last JSON object has the last state and the provider's answer."""
    assert shell("watch", "--json", start(outcome=outcome, seconds=20)) == code
    changes = [json.loads(line) for line in shell.out.splitlines()]
    assert [change["state"] for change in changes] == ["running", state]
    assert bool(code) == bool(shell.err and shell.complaint)
    assert "answer" not in changes[0]
    assert changes[1]["answer"]["code"] == 0
    assert shell("watch", start("copyai-workflow", seconds=100)) == 0
    states = [line.split()[2:4] for line in shell.out.splitlines()]
    assert states[0] == ["pending", "NEW"]
    assert states[-1] == ["succeeded", "COMPLETE"]
    assert len(states) >= 4


def test_bots_are_listed_page_after_page(shell: Shell) -> None:
    """Outside of a terminal a bot is a line of tab-separated fields, or all are one JSON array."""
    assert shell("bots", "123") == 0
    rows = [line.split("\t") for line in shell.out.splitlines()]
    assert len(rows) == 45
    assert rows[0] == ["7493066380997000000", "Bot 1", "no", "2024-06-13"]
    assert shell("bots", "123", "--json", "--publish-status", "all") == 0
    assert [bot["name"] for bot in shell.json][:2] == ["Bot 1", "Bot 2"]


@pytest.mark.parametrize("columns", [80, 50, 20])
def test_bots_are_a_table_on_a_terminal(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    """On a terminal there is a heading and columns are aligned, if no id is cut by that."""
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("asyncclient.cli._output.has_live_terminal", a_terminal(is_live=True))
    assert shell("bots", "123") == 0
    heads = shell.out.splitlines()[0].split()
    assert (heads == ["id", "name", "published", "updated"]) is (columns > 20)
    assert ("\t" in shell.out) is (columns == 20)
    assert "7493066380997000044" in shell.out
    assert "Bot 45" in shell.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["start"], "Missing command"),
        (["start", "coze-workflow"], "Missing argument 'WORKFLOW_ID'"),
        (["start", "coze-workflow", ".."], "workflow_id='..' is not an id"),
        (["start", "coze-workflow", "1", "--bot-id", "2", "--app-id", "3"], "do not go together"),
        (["start", "coze-workflow", "1", "--param", "tea"], "not of the form NAME=VALUE"),
        (["start", "coze-workflow", "1", "--token", "x"], "No such option"),
        (["start", "coze-workflow", "1", "--params-json", "no.json"], "'no.json': No such file"),
        (
            ["start", "coze-workflow", "1", "--parameters", "@"],
            'give JSON, as \'{"topic": "tea"}\'',
        ),
        (["start", "coze-workflow", "1", "--parameters", "/"], "Is a directory"),
        (["start", "coze-workflow", "1", "--parameters", "[1]"], "not a JSON object"),
        (["start", "coze-workflow", "1", "--parameters", "{'a': 1}"], "not a JSON object"),
        (["start", "coze-workflow", "1", "--parameters", '{"a": \udcff}'], "not a JSON object"),
        (["start", "coze-workflow", "1", "--json"], "--json goes with --wait"),
        (["start", "copyai-workflow", "1", "--metadata", "=x"], "not of the form NAME=VALUE"),
        (["wait", "tea"], "not a task reference"),
        (["wait", NOWHERE, "--timeout", "0"], "is not in the range"),
        (["wait", NOWHERE.replace("coze", "other")], "the providers coze and copyai"),
        (["wait", NOWHERE.replace("workflow_run", "thing")], "no coze task has such a reference"),
        (["watch", NOWHERE, "--timeout", "nan"], "'--timeout': nan is not a number"),
        (["watch", NOWHERE, "--timeout", "soon"], "'soon' is not a valid number"),
        (["simulate", "--coze-port", "80000"], "is not in the range"),
        (["simulate", "--fault-share", "2"], "is not in the range"),
        (["demo", "--tasks", "0"], "is not in the range"),
        (["demo", "--tasks", "1.5"], "'1.5' is not a valid integer"),
        (["simulate", "--fault-share", "nan"], "nan is not a number"),
        (["start", "coze-workflow", "1", "--param", "x=\udcff"], "is not in this terminal's"),
        (["start", "coze-workflow", "1", "--outputs"], "--outputs goes with --wait"),
        (["wait", NOWHERE[:40]], "give the whole line that 'start' wrote, in single quotes"),
        (["wait", NOWHERE.replace('"v":2', '"v":9')], "not a task reference that this command can"),
        (["wait", NOWHERE.replace("execute_id", "id")], "give the whole line that 'start' wrote"),
        (["watch", "{provider:coze", "kind:x}"], "put the reference in single quotes"),
    ],
)
def test_bad_use_ends_with_2_and_one_line(shell: Shell, arguments: list[str], said: str) -> None:
    """One line says what the command cannot take, before anything is sent."""
    assert shell(*arguments) == 2
    assert said in shell.complaint
    assert shell.out == ""


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("COZE_API_TOKEN", "", "COZE_API_TOKEN is not set"),
        ("COZE_API_BASE", "api.coze.cn", f"COZE_API_BASE: 'api.coze.cn' {NO_URL}"),
    ],
)
def test_a_wrong_variable_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """A variable that is missing or cannot be is named, with what can be, and is not sent."""
    monkeypatch.setenv(name, value)
    assert shell("bots", "123") == 2
    assert said in shell.complaint


def test_only_the_variables_of_the_provider_are_needed(
    shell: Shell, start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task of Copy.ai needs no variable of Coze, and the other way round."""
    monkeypatch.delenv("COPYAI_API_KEY")
    assert shell("wait", start()) == 0
    assert shell("start", "copyai-workflow", "WCFG-1") == 2
    assert "COPYAI_API_KEY is not set" in shell.complaint


def test_what_the_provider_or_the_network_refuses_ends_with_3(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one line; a wrong token is not shown, not even in a traceback."""
    assert shell("start", "coze-workflow", "missing") == 3
    assert "not found or not published" in shell.complaint
    monkeypatch.setenv("COZE_API_TOKEN", "pat_wrong")
    assert shell("bots", "123") == 3
    assert "HTTP 401" in shell.complaint
    assert shell("--traceback", "bots", "123") == 3
    assert "Traceback" in shell.err
    assert "pat_wrong" not in shell.err
    with socket.socket() as bound:  # and listens to none
        bound.bind(("127.0.0.1", 0))
        monkeypatch.setenv("COZE_API_BASE", f"http://127.0.0.1:{bound.getsockname()[1]}")
        assert shell("bots", "123") == 3
    assert "; check COZE_API_BASE and the network" in shell.complaint


def test_a_start_of_unknown_outcome_says_where_to_look(shell: Shell, sim: Simulator) -> None:
    """It is not repeated, and the way to find out is one for a person, not for a program."""
    places = {"coze": "on Coze's own site", "copyai": "at Copy.ai"}
    for number, (provider, where) in enumerate(places.items(), 1):
        sim.order("reset_after_start")
        assert shell("start", f"{provider}-workflow", "7350") == 3
        assert len(sim.tasks) == number
        assert shell.complaint.endswith(
            "; it may have started all the same, and was not sent again: "
            f"look at the workflow's runs {where} before you start it again\n"
        )


def test_a_defect_ends_with_70(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error is one line too, with a traceback on request."""

    def break_down(_pool: SessionPool) -> NoReturn:
        raise LookupError("lost")

    monkeypatch.setattr("asyncclient.cli._lists.Coze.from_env", break_down)
    assert shell("bots", "123") == 70
    assert "unexpected LookupError: lost; --traceback" in shell.complaint
    assert shell("--traceback", "bots", "123") == 70
    assert "break_down" in shell.err


@pytest.mark.usefixtures("interruptible")
def test_a_signal_is_the_end_of_simulate(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C and SIGTERM are how it is meant to end, so its exit code is 0."""

    def serve_and_stop(sim: Simulator, *, as_json: bool) -> None:
        tell(sim, as_json=as_json)
        signal.raise_signal(signal.SIGTERM if as_json else signal.SIGINT)

    monkeypatch.setattr("asyncclient.cli._simulate.tell", serve_and_stop)
    assert shell("simulate", "--fail-share", "0.5") == 0
    assert "export COZE_API_BASE=" in shell.out
    assert shell.err == ""
    assert shell("simulate", "--json") == 0
    assert "environment" in shell.json
    assert shell.err == ""


async def _interrupt(*_arguments: object, **_options: object) -> None:
    signal.raise_signal(signal.SIGINT)
    await anyio.sleep_forever()


_MAYBE = " before the start was answered: it may have happened all the same; look at "


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    ("line", "note"),
    [
        (f"wait {NOWHERE}", "; the task itself goes on: run the same command to wait again"),
        ("wait -", "; the tasks themselves go on: run the same command to wait again"),
        ("start coze-workflow 7350 --wait", f"{_MAYBE}the workflow's runs on Coze's own site"),
        ("start copyai-workflow WCFG-1", f"{_MAYBE}the workflow's runs at Copy.ai"),
    ],
    ids=["wait", "wait for many", "start and wait", "start"],
)
def test_ctrl_c_ends_with_130_and_says_how_to_go_on(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, line: str, note: str
) -> None:
    """There is one line, and it knows whether a task goes on or may have been started."""
    commands = "_start_commands.start_coze_workflow", "_start_commands.start_copyai_workflow"
    for name in ("_waits.wait_until_done", *commands):
        monkeypatch.setattr(f"asyncclient.cli.{name}", _interrupt)
    assert shell(*line.split(), stdin=NOWHERE) == 130
    assert shell.out == ""
    advice = " before you start it again" if _MAYBE in note else ""
    assert shell.err == f"asyncclient: interrupted{note}{advice}\n"


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_after_a_start_shows_the_line_that_waits_again(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, sim: Simulator
) -> None:
    """The reference is out by then, and the task goes on."""
    monkeypatch.setattr("asyncclient.cli._waits.wait_until_done", _interrupt)
    assert shell("start", "coze-workflow", "7350", "--wait") == 130
    started, interrupted = shell.err.splitlines()
    ref = started.removeprefix("asyncclient: started ")
    assert decode_ref(ref).ids["execute_id"] in sim.tasks
    note, _, again = interrupted.partition("; to wait again: ")
    assert note == "asyncclient: interrupted; the task itself goes on"
    assert shlex.split(again) == ["asyncclient", "wait", ref]


@pytest.mark.usefixtures("interruptible")
def test_standard_input_may_be_interrupted_or_break(shell: Shell) -> None:
    """What ends before anything runs is one line, as what ends later is."""

    class Prompt(io.BytesIO):
        def __next__(self) -> bytes:
            signal.raise_signal(signal.SIGINT)
            return b""

    class Broken(io.BytesIO):
        def __next__(self) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert shell("wait", "-", stdin=Prompt()) == 130
    assert shell.err == "\nasyncclient: interrupted\n"  # a new line after the terminal's ^C
    assert shell("wait", "-", stdin=Broken()) == 70
    assert "unexpected OSError: [Errno 5] Input/output error; --traceback" in shell.complaint


def test_a_person_sees_that_polls_fail(
    shell: Shell, start: Callable[..., str], sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal each row of failed polls is a line, as it happens; a script sees none."""
    seen: list[list[str]] = []
    for on_terminal in (False, True):
        ref = start()
        monkeypatch.setattr(sys.stderr, "isatty", partial(bool, on_terminal))
        monkeypatch.setenv("TERM", "dumb")  # it has no line that is redrawn
        sim.order("html_502", times=2)
        sim.order("unknown_word")
        assert shell("wait", ref) == 0
        seen.append(shell.err.splitlines())
    nothing, (failed, unknown) = seen
    assert nothing == []
    assert "still waiting; a poll failed: coze.get_workflow_run: HTTP 502" in failed
    assert "asyncclient: still waiting; " in unknown
    assert "the status 'Hibernating' is not known, and counts as still running" in unknown


def test_a_lost_output_does_not_lose_what_was_started(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, sim: Simulator
) -> None:
    """A reference that cannot be written to a full disk goes to standard error, with code 74."""

    class FullDisk(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys, "stdout", FullDisk())
    assert shell("start", "coze-workflow", "7350") == 74
    (task_id,) = sim.tasks
    started, why = shell.err.splitlines()
    assert task_id in started
    assert why == "asyncclient: the output cannot be written: No space left on device"


def test_a_closed_output_is_no_success(
    shell: Shell, start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The shell's `>&-` leaves nothing to write to; an answer that no one gets is not code 0."""
    ref = start()
    monkeypatch.setattr(sys, "stdout", None)
    assert shell("wait", ref) == 74
    assert "standard output is closed" in shell.complaint


def test_a_person_who_types_references_is_said_what_to_do(
    shell: Shell, start: Callable[..., str]
) -> None:
    """A terminal that waits for lines says so."""

    class Typed(io.BytesIO):
        def isatty(self) -> bool:
            return True

    assert shell("wait", "-", stdin=Typed(start().encode())) == 0
    assert "reading references or URLs, one a line; Ctrl-D ends the list" in shell.complaint


# How a wait can end badly, as what its last look saw or how it failed.
ENDS: dict[str, tuple[Observation[str] | Exception, str]] = {
    "failed": (Observation(TaskState.FAILED, "x", "answer"), "without --outputs"),
    "cancelled": (Observation(TaskState.CANCELLED, "x", "answer"), "without --outputs"),
    "expired": (Observation(TaskState.EXPIRED, "x", "answer"), "without --outputs"),
    "blocked": (Observation(TaskState.BLOCKED, "x", "answer"), "answer it at the provider"),
    "wordless": (Observation(None, None, "answer"), "look at the task at the provider"),
    "forgotten": (NotFound("404"), "that started a task know it: check COZE_API_TOKEN and"),
    "refused": (AuthenticationFailed("401", advice="base_url=Coze.CN"), "https://api.coze.cn"),
    "refused by a server of one's own": (
        AuthenticationFailed("401", advice="base_url=Coze.CN. A self-hosted server has none"),
        "whichever the token is of. A self-hosted server has none",
    ),
    "redirected": (InvalidRequest("302", status=302, advice="base_url="), "set COZE_API_BASE to"),
    "certificate": (
        ConnectFailed("", permanent=True, advice="base_url="),
        "check COZE_API_BASE and",
    ),
    "behind a proxy": (
        ConnectFailed(
            "", permanent=True, advice=f"x{advice_without_proxy('https://a.b', trust_env=True)}"
        ),
        "check COZE_API_BASE and the network; behind a proxy, set HTTPS_PROXY",
    ),
    "not through the proxy": (
        Proxy("http://p", "p:80", {}, "HTTPS_PROXY").refusal("", 407),
        "put the user name and password into HTTPS_PROXY, before the host and an @",
    ),
    "forbidden": (PermissionDenied("403", advice="check the plan"), "403; check the plan"),
}


class Ended:
    """A task whose every look ends so."""

    key = "key"
    kind = "coze.workflow_run"
    ref = decode_ref(NOWHERE)

    def __init__(self, last: Observation[str] | Exception) -> None:
        self._last = last

    async def observe(self) -> Observation[str]:
        """See the end, or fail."""
        if isinstance(self._last, Exception):
            raise self._last
        return self._last


@pytest.mark.parametrize(("last", "advice"), ENDS.values(), ids=ENDS)
def test_each_end_of_a_wait_has_a_next_step_for_a_shell(
    last: Observation[str] | Exception, advice: str
) -> None:
    """The advice can be followed at a shell, also where the library advises a program otherwise."""
    with pytest.raises(AsyncClientError) as caught:
        run_virtual(wait_until_done, Ended(last))
    line = line_of(caught.value)
    assert advice in line
    assert re.search(PYTHON, line) is None


def test_the_arguments_of_a_start_are_those_of_the_command() -> None:
    """Where the error itself names no provider, the command line does."""
    refused = InvalidRequest("copyai.start_workflow: HTTP 400", status=400, advice="startVariables")
    assert line_of(refused, "copyai").endswith(
        "; look at the arguments: --param takes the workflow's own input names"
    )
    too_long = TransportError("the answer is too long", advice="pass SessionPool(max_body=...)")
    assert line_of(too_long, "coze") == "the answer is too long"
    assert line_of(too_long) == "the answer is too long; pass SessionPool(max_body=...)"


def test_a_line_is_of_one_error_with_its_notes_and_no_control_characters() -> None:
    """The first single error of a group has the exit code, and no text steers a terminal."""
    assert clean("a\x1b[31mb\nc\x9bd\x7f") == "a [31mb c d"
    group = ExceptionGroup("all", [ExceptionGroup("some", [BrokenPipeError()]), ValueError()])
    assert code_of(first_of(group)) == 141
    error = ConnectFailed("no connection")
    error.add_note("it may have started all the same")
    assert line_of(error) == "no connection; it may have started all the same"


def test_every_command_explains_itself(shell: Shell) -> None:
    """Without arguments there is help, with every variable and every exit code."""
    for command in (
        "",
        "demo",
        "simulate",
        "start",
        "start coze-workflow",
        "wait",
        "watch",
        "apis",
        "bots",
    ):
        assert shell(*command.split(), "--help") == 0
        assert f"Usage: asyncclient {command}".rstrip() in shell.out
        by_name = shell.out
        assert shell(*command.split(), "-h") == 0
        assert shell.out == by_name
    assert shell() == 0
    for word in (*VARIABLES, "ASYNCCLIENT_TOKEN", "70  ", "124  ", "130  ", "141  "):
        assert word in shell.out


@pytest.mark.parametrize("option", ["--parameters", "--params-json"])
@pytest.mark.parametrize("given", ['{"topic": "茶"}', ' {"topic":\n"茶"}', "@", "", "-"])
def test_inputs_are_json_a_file_or_standard_input(
    shell: Shell, sim: Simulator, tmp_path: Path, option: str, given: str
) -> None:
    """JSON stands on the command line itself; a file with or without `@`, as to curl."""
    file = tmp_path / "in.json"
    file.write_text('{"topic": "茶"}', encoding="utf-8")
    words = given if "{" in given or given == "-" else f"{given}{file}"
    stdin = file.read_text(encoding="utf-8") if given == "-" else ""
    assert shell("start", "copyai-workflow", "W", option, words, "--wait", stdin=stdin) == 0
    assert shell.json["data"]["input"] == {"topic": "茶"}
    assert len(sim.tasks) == 1


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    """By an option, and in Python."""
    assert shell("--version") == 0
    assert shell.out == f"asyncclient {asyncclient.__version__}\n"
    assert asyncclient.__version__ == version("asyncclient-tasks")
