"""The command's `start`, `wait` and `watch`, run in this process against a simulator."""

from __future__ import annotations

import asyncio
import errno
import io
import json
import os
import re
import shlex
import signal
import sys
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

import anyio
import pytest

import asyncclient
from asyncclient import Observation, SessionPool, TaskState, decode_ref, encode_ref, errors
from asyncclient._http.proxy import Proxy, advice_without_proxy
from asyncclient.cli._commands import command
from asyncclient.cli._exits import code_of, first_of, line_of
from asyncclient.cli._output import clean
from asyncclient.providers.coze import Coze
from asyncclient.testing import Simulator, run_virtual
from tests.cli.shell import NOWHERE, PYTHON, TOKEN, VARIABLES, Shell

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("environment")


def test_a_started_run_is_found_again_by_its_reference(shell: Shell) -> None:
    """It is all that `wait` needs for the answer; no variable of another provider is."""
    shell.monkeypatch.delenv("COPYAI_API_KEY")
    assert shell("start", "coze-workflow", "7350", "--param", "topic=tea", "--param", "a=b=c") == 0
    ref = shell.out.strip()
    assert shell("wait", ref) == 0
    assert shell.json["data"][0]["execute_status"] == "Success"
    assert shell("wait", ref, "--outputs") == 0
    assert shell.json == {"Output": {"output": {"topic": "tea", "a": "b=c"}}}
    assert shell("wait", shell.start(outcome="plain_text"), "--outputs") == 0
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


def test_a_task_that_ends_badly_ends_with_1_and_its_answer(shell: Shell) -> None:
    """The failure, or what a blocked task asks, is written, and the answer all the same."""
    failed = shell.start(outcome="fail")
    assert shell("wait", failed) == 1
    assert shell.json["data"][0]["execute_status"] == "Fail"
    assert "720701002 Workflow node execution failed" in shell.complaint
    assert shell("wait", failed, "--outputs") == 1
    assert shell.out == ""
    assert shell("wait", shell.start(outcome="interrupt")) == 1
    assert shell.json["data"][0]["interrupt_data"]["type"] == 2
    assert "waits for its caller" in shell.complaint
    assert "answer it at the provider, then wait again" in shell.complaint


@pytest.mark.parametrize("command", ["wait", "watch"])
def test_a_task_that_takes_too_long_ends_with_124(shell: Shell, command: str) -> None:
    """The code is that of coreutils' timeout; no answer, and no state a second time, is written."""
    assert shell(command, shell.start(seconds=60), "--timeout", "30") == 124
    assert shell.out.count("\n") == (command == "watch")
    assert "has not ended within 30 s" in shell.complaint
    assert "it may still be running: wait again, or longer with --timeout" in shell.complaint


def test_many_references_are_answered_in_their_order(shell: Shell) -> None:
    """Answers come in the order of the lines whichever ends first, and the worst code wins."""
    refs = [
        shell.start(seconds=40),
        shell.start(outcome="fail"),
        shell.start("copyai-workflow"),
        shell.start(seconds=600),
    ]
    stdin = "\n".join([refs[0], "", *refs[1:], ""])
    assert shell("wait", "-", "--timeout", "100", stdin=stdin) == 124
    lines = shell.lines
    ids = [[*json.loads(ref)["ids"].values()][-1] for ref in refs]
    assert [lines[0]["data"][0]["execute_id"], lines[1]["data"][0]["execute_id"]] == ids[:2]
    assert lines[2]["data"]["id"] == ids[2]
    assert lines[3] is None
    assert shell.err.count("\n") == 2


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
    shell: Shell, outcome: str, code: int, state: str
) -> None:
    """Each change is a line; the last JSON object has the last state and the provider's answer."""
    assert shell("watch", "--json", shell.start(outcome=outcome, seconds=20)) == code
    changes = shell.lines
    assert [change["state"] for change in changes] == ["running", state]
    assert bool(code) == bool(shell.err and shell.complaint)
    assert "answer" not in changes[0]
    assert changes[1]["answer"]["code"] == 0
    assert shell("watch", shell.start("copyai-workflow", seconds=100)) == 0
    states = [line.split()[2:4] for line in shell.out.splitlines()]
    assert states[0] == ["pending", "NEW"]
    assert states[-1] == ["succeeded", "COMPLETE"]
    assert len(states) >= 4


def test_what_the_provider_or_the_network_refuses_ends_with_3(shell: Shell) -> None:
    """There is one line; a wrong token is not shown, not even in a traceback."""
    assert shell("start", "coze-workflow", "missing") == 3
    assert "not found or not published" in shell.complaint
    shell.monkeypatch.setenv("COZE_API_TOKEN", "pat_wrong")
    assert shell("bots", "123") == 3
    assert "HTTP 401" in shell.complaint
    assert shell("--traceback", "bots", "123") == 3
    assert "Traceback" in shell.err
    assert "pat_wrong" not in shell.err
    shell.monkeypatch.setenv("COZE_API_BASE", "http://127.0.0.1:1")  # where no one listens
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
            "; it may have started, and was not sent again: "
            f"look at the workflow's runs {where} before you start it again\n"
        )


def test_a_defect_ends_with_70(shell: Shell) -> None:
    """An unexpected error is one line too, with a traceback on request."""

    def break_down(_pool: SessionPool) -> NoReturn:
        raise LookupError("lost")

    shell.monkeypatch.setattr("asyncclient.cli._lists.Coze.from_env", break_down)
    assert shell("bots", "123") == 70
    assert "unexpected LookupError: lost; --traceback" in shell.complaint
    assert shell("--traceback", "bots", "123") == 70
    assert "break_down" in shell.err


async def _interrupt(*_arguments: object, **_options: object) -> None:
    signal.raise_signal(signal.SIGINT)
    await anyio.sleep_forever()


_MAYBE = " before the start was answered: it may have started; look at "


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
def test_ctrl_c_ends_with_130_and_says_how_to_go_on(shell: Shell, line: str, note: str) -> None:
    """There is one line, and it knows whether a task goes on or may have been started."""
    commands = "_start_commands.start_coze_workflow", "_start_commands.start_copyai_workflow"
    for name in ("_waits.wait_until_done", *commands):
        shell.monkeypatch.setattr(f"asyncclient.cli.{name}", _interrupt)
    assert shell(*line.split(), stdin=NOWHERE) == 130
    assert shell.out == ""
    advice = " before you start it again" if _MAYBE in note else ""
    assert shell.err == f"asyncclient: interrupted{note}{advice}\n"


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_after_a_start_shows_the_line_that_waits_again(shell: Shell, sim: Simulator) -> None:
    """The reference is out by then, and the task goes on."""
    shell.monkeypatch.setattr("asyncclient.cli._waits.wait_until_done", _interrupt)
    assert shell("start", "coze-workflow", "7350", "--wait") == 130
    started, interrupted = shell.err.splitlines()
    ref = started.removeprefix("asyncclient: started ")
    assert decode_ref(ref).ids["execute_id"] in sim.tasks
    note, _, again = interrupted.partition("; to wait again: ")
    assert note == "asyncclient: interrupted; the task itself goes on"
    assert shlex.split(again) == ["asyncclient", "wait", ref]


@pytest.mark.usefixtures("interruptible")
def test_standard_input_may_be_typed_interrupted_or_broken(shell: Shell) -> None:
    """A terminal that waits for lines says so; what ends before anything runs is one line."""

    class Typed(io.BytesIO):
        def isatty(self) -> bool:
            return True

    class Prompt(io.BytesIO):
        def __next__(self) -> bytes:
            signal.raise_signal(signal.SIGINT)
            return b""

    class Broken(io.BytesIO):
        def __next__(self) -> bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert shell("wait", "-", stdin=Typed(shell.start().encode())) == 0
    assert "reading references or URLs, one a line; Ctrl-D ends the list" in shell.complaint
    assert shell("wait", "-", stdin=Prompt()) == 130
    assert shell.err == "\nasyncclient: interrupted\n"  # a new line after the terminal's ^C
    assert shell("wait", "-", stdin=Broken()) == 70
    assert "unexpected OSError: [Errno 5] Input/output error; --traceback" in shell.complaint


def test_a_person_sees_that_polls_fail(shell: Shell, sim: Simulator) -> None:
    """On a terminal each row of failed polls is a line, as it happens; a script sees none."""
    seen: list[list[str]] = []
    for on_terminal in (False, True):
        ref = shell.start()
        shell.monkeypatch.setattr(sys.stderr, "isatty", partial(bool, on_terminal))
        shell.monkeypatch.setenv("TERM", "dumb")  # it has no line that is redrawn
        sim.order("html_502", times=2)
        sim.order("unknown_word")
        assert shell("wait", ref) == 0
        seen.append(shell.err.splitlines())
    nothing, (failed, unknown) = seen
    assert nothing == []
    assert "still waiting; a poll failed: coze.get_workflow_run: HTTP 502" in failed
    assert "asyncclient: still waiting; " in unknown
    assert "the status 'Hibernating' is not known, and counts as still running" in unknown


def test_a_lost_output_is_no_success_and_does_not_lose_what_was_started(
    shell: Shell, sim: Simulator
) -> None:
    """On a full disk the reference goes to standard error; the shell's `>&-` leaves no output."""

    class FullDisk(io.StringIO):
        def write(self, _text: str, /) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shell.monkeypatch.setattr(sys, "stdout", FullDisk())
    assert shell("start", "coze-workflow", "7350") == 74
    (task_id,) = sim.tasks
    started, why = shell.err.splitlines()
    assert task_id in started
    assert why == "asyncclient: the output cannot be written: No space left on device"
    shell.monkeypatch.setattr(sys, "stdout", None)
    assert shell("wait", started.removeprefix("asyncclient: started ")) == 74
    assert "standard output is closed" in shell.complaint


WITHOUT_PROXY = advice_without_proxy("https://a.b", trust_env=True)
# How a wait can end badly, as what its last look saw or how it failed.
ENDS: dict[str, tuple[Observation[str] | Exception, str]] = {
    **{
        state.value: (Observation(state, "x", "answer"), "unless --outputs is given")
        for state in (TaskState.FAILED, TaskState.CANCELLED, TaskState.EXPIRED)
    },
    "blocked": (Observation(TaskState.BLOCKED, "x", "answer"), "answer it at the provider"),
    "wordless": (Observation(None, None, "answer"), "look at the task at the provider"),
    "forgotten": (
        errors.NotFound("404"),
        "check that COZE_API_TOKEN and COZE_API_BASE are of the account",
    ),
    "refused": (
        errors.AuthenticationFailed("401", advice="base_url=Coze.CN"),
        "https://api.coze.cn",
    ),
    "refused by a server of one's own": (
        errors.AuthenticationFailed(
            "401", advice="base_url=Coze.CN. A self-hosted server has none"
        ),
        "the region of your token. A self-hosted server has none",
    ),
    "redirected": (
        errors.InvalidRequest("302", status=302, advice="set base_url to the right place"),
        "set COZE_API_BASE to",
    ),
    "certificate": (
        errors.ConnectFailed("", permanent=True, advice="base_url="),
        "check COZE_API_BASE and",
    ),
    "behind a proxy": (
        errors.ConnectFailed("", permanent=True, advice=f"x{WITHOUT_PROXY}"),
        "check COZE_API_BASE and the network; behind a proxy, set HTTPS_PROXY",
    ),
    "not through the proxy": (
        Proxy("http://p", "p:80", {}, "HTTPS_PROXY").refusal("", 407),
        "put the user name and password into HTTPS_PROXY, before the host and an @",
    ),
    "forbidden": (errors.PermissionDenied("403", advice="check the plan"), "403; check the plan"),
}


_REF = decode_ref(NOWHERE)


@dataclass(frozen=True)
class Ended:
    """A task whose every look ends so."""

    last: Observation[str] | Exception
    key: str = "key"
    kind: str = "coze.workflow_run"
    ref: asyncclient.TaskRef = _REF

    async def observe(self) -> Observation[str]:
        """See the end, or fail."""
        if isinstance(self.last, Exception):
            raise self.last
        return self.last


@pytest.mark.parametrize(("last", "advice"), ENDS.values(), ids=ENDS)
def test_each_end_of_a_wait_has_a_next_step_for_a_shell(
    last: Observation[str] | Exception, advice: str
) -> None:
    """The advice can be followed at a shell, also where the library advises a program otherwise."""
    with pytest.raises(errors.AsyncClientError) as caught:
        run_virtual(asyncclient.wait_until_done, Ended(last))
    line = line_of(caught.value)
    assert advice in line
    assert re.search(PYTHON, line) is None


def test_an_error_is_one_line_with_its_notes_and_no_control_characters() -> None:
    """The first of a group has the exit code; where it names no provider, the command line does."""
    refused = errors.InvalidRequest(
        "copyai.start_workflow: HTTP 400", status=400, advice="startVariables"
    )
    assert line_of(refused, "copyai").endswith(
        "; look at the arguments: --param takes the workflow's own input names"
    )
    too_long = errors.TransportError(
        "the answer is too long", advice="pass SessionPool(max_body=...)"
    )
    assert line_of(too_long, "coze") == "the answer is too long"
    assert line_of(too_long) == "the answer is too long; pass SessionPool(max_body=...)"
    error = errors.ConnectFailed("no connection")
    error.add_note("it may have started all the same")
    assert line_of(error) == "no connection; it may have started all the same"
    assert clean("a\x1b[31mb\nc\x9bd\x7f") == "a [31mb c d"
    group = ExceptionGroup("all", [ExceptionGroup("some", [BrokenPipeError()]), ValueError()])
    assert code_of(first_of(group)) == 141


def test_every_command_explains_itself(shell: Shell) -> None:
    """Without arguments there is help, with every variable and every exit code."""
    for name in ("", "start coze-workflow", *command.commands):
        assert shell(*name.split(), "--help") == 0
        assert f"Usage: asyncclient {name}".rstrip() in shell.out
        by_name = shell.out
        assert shell(*name.split(), "-h") == 0
        assert shell.out == by_name
    assert shell() == 0
    for word in (*VARIABLES, "ASYNCCLIENT_TOKEN", "70  ", "124  ", "130  ", "141  "):
        assert word in shell.out
    assert shell("--version") == 0
    assert shell.out == f"asyncclient {asyncclient.__version__}\n"
    assert asyncclient.__version__ == version("asyncclient-tasks")
