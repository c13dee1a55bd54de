"""The command's `start`, `wait`, `watch` and `bots`, run in this process against a simulator."""

from __future__ import annotations

import io
import json
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from asyncclient import Schedule, SessionPool, TaskRef, encode_ref
from asyncclient._schedule import Backoff
from asyncclient.cli import main
from asyncclient.cli._exits import code_of, first_of, line_of
from asyncclient.cli._output import clean
from asyncclient.cli._simulate import tell
from asyncclient.errors import ConnectFailed
from asyncclient.providers.coze import Coze
from asyncclient.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from anyio.from_thread import BlockingPortal

TOKEN = "pat_kept_to_itself"
KEY = "key-kept-to-itself"
VARIABLES = ("COZE_API_TOKEN", "COZE_API_BASE", "COPYAI_API_KEY", "COPYAI_API_BASE")
NOWHERE = encode_ref(TaskRef("coze", "workflow_run", {"workflow_id": "1", "execute_id": "2"}))


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """Run an event loop in a thread, so that the command has the main one."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture(scope="module")
def sim(portal: BlockingPortal) -> Iterator[Simulator]:
    """Run a simulator there."""
    simulator = Simulator(coze_token=TOKEN, copyai_key=KEY, durations=lambda _rng: 0.05)
    with portal.wrap_async_context_manager(simulator):
        yield simulator


@pytest.fixture(autouse=True)
def environment(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the command the simulator's URLs and credentials, and quick waits."""
    values = (TOKEN, sim.coze_url, KEY, sim.copyai_url)
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, value)
    quick = Schedule(first=0.02, cap=0.05)
    monkeypatch.setattr("asyncclient._wait._DEFAULT_SCHEDULE", quick)
    monkeypatch.setattr("asyncclient._call._BACKOFF", Backoff(first=0.01, cap=0.01))


class Shell:
    """Runs the command and keeps what it wrote, which never holds a credential."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        """Run a command line and return its exit code."""
        code = main(arguments)
        self.out, self.err = self._capfd.readouterr()
        for secret in (TOKEN, KEY):
            assert secret not in self.out + self.err
        return code

    @property
    def json(self) -> Any:  # noqa: ANN401  (JSON is of any shape)
        """What it wrote, which is one line of JSON."""
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """What it complained of, which is one line."""
        assert self.err.startswith("asyncclient: ")
        assert self.err.count("\n") == 1
        return self.err


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str]) -> Shell:
    """Return a shell."""
    return Shell(capfd)


@pytest.fixture
def start(shell: Shell, tmp_path: Path) -> Callable[..., str]:
    """Return a function that starts a run of a given fate and returns its reference."""

    def start(command: str = "coze-workflow", **fate: object) -> str:
        inputs = tmp_path / "inputs.json"
        inputs.write_text(json.dumps({"simulate": {"seconds": 0.05} | fate}))
        assert shell("start", command, "7350", "--params-json", str(inputs)) == 0
        return shell.out.strip()

    return start


def test_a_started_run_is_found_again_by_its_reference(shell: Shell) -> None:
    """The reference that `start` writes is all that `wait` needs for the provider's answer."""
    assert shell("start", "coze-workflow", "7350", "--param", "topic=tea", "--param", "a=b=c") == 0
    ref = shell.out.strip()
    assert shell("wait", ref) == 0
    assert shell.json["data"][0]["execute_status"] == "Success"
    assert shell("wait", ref, "--outputs") == 0
    assert shell.json == {"Output": {"output": {"topic": "tea", "a": "b=c"}}}


def test_inputs_come_from_a_file_and_from_options(
    shell: Shell, sim: Simulator, tmp_path: Path
) -> None:
    """An option goes before the same name in the file, and metadata goes along."""
    inputs = tmp_path / "inputs.json"
    inputs.write_text('{"simulate": {"seconds": 0.05}, "count": 3, "topic": "coffee"}')
    options = ("--params-json", str(inputs), "--param", "topic=tea", "--metadata", "order=7")
    assert shell("start", "copyai-workflow", "WCFG-1", *options, "--wait") == 0
    answer = shell.json["data"]
    assert answer["status"] == "COMPLETE"
    assert answer["input"] == {"simulate": {"seconds": 0.05}, "count": 3, "topic": "tea"}
    assert sim.tasks[answer["id"]].start_marker == {"order": "7"}
    assert answer["id"] in shell.complaint  # the way back, were the wait cut short


def test_inputs_come_from_standard_input(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file named `-` is standard input."""
    text = b'{"simulate": {"seconds": 0.05, "outcome": "plain_text"}}'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    options = ("--params-json", "-", "--wait", "--outputs")
    assert shell("start", "coze-workflow", "7350", *options) == 0
    assert shell.json == "The answer is plain text, not JSON."


def test_a_failed_task_ends_with_1_and_its_answer(shell: Shell, start: Callable[..., str]) -> None:
    """A failure is told on standard error, and its answer is written all the same."""
    ref = start(outcome="fail")
    assert shell("wait", ref) == 1
    assert shell.json["data"][0]["execute_status"] == "Fail"
    assert "720701002 Workflow node execution failed" in shell.complaint
    assert shell("wait", ref, "--outputs") == 1
    assert shell.out == ""


def test_a_blocked_task_ends_with_1_and_what_it_asks(
    shell: Shell, start: Callable[..., str]
) -> None:
    """A task that waits for its caller cannot be waited for, and its answer shows what it asks."""
    assert shell("wait", start(outcome="interrupt")) == 1
    assert shell.json["data"][0]["interrupt_data"]["type"] == 2
    assert "waits for its caller" in shell.complaint
    assert "on_blocked" not in shell.err


def test_a_task_that_takes_too_long_ends_with_124(shell: Shell, start: Callable[..., str]) -> None:
    """The timeout has the exit code of coreutils' timeout, and nothing is written as an answer."""
    assert shell("wait", start(seconds=60), "--timeout", "0.1") == 124
    assert shell.out == ""
    assert "has not ended within 0.1 s" in shell.complaint


def test_many_references_are_answered_in_their_order(
    shell: Shell, start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers come in the order of the lines whichever ends first, and the worst code wins."""
    refs = [start(seconds=0.4), start(outcome="fail"), start("copyai-workflow"), start(seconds=60)]
    text = "\n".join([refs[0], "", *refs[1:], ""])
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert shell("wait", "-", "--timeout", "1") == 124
    lines = [json.loads(line) for line in shell.out.splitlines()]
    ids = [[*json.loads(ref)["ids"].values()][-1] for ref in refs]
    assert [lines[0]["data"][0]["execute_id"], lines[1]["data"][0]["execute_id"]] == ids[:2]
    assert lines[2]["data"]["id"] == ids[2]
    assert lines[3] is None
    assert shell.err.count("\n") == 2


def test_no_references_are_no_error(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty standard input is waited for in no time."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert shell("wait", "-") == 0
    assert shell.out == ""


def test_what_chats_and_copies_put_out(
    shell: Shell, portal: BlockingPortal, sim: Simulator
) -> None:
    """The output of a chat is its messages, and that of a copy is the copy's id."""

    async def start() -> list[str]:
        async with SessionPool() as pool:
            coze = Coze(pool, token=TOKEN, base_url=sim.coze_url)
            fate = {"simulate": {"seconds": 0.05}}
            chat = await coze.start_chat("7", user_id="u", parameters=fate)
            at_once = await coze.start_copy("b", entity_type="bot")
            return [encode_ref(task.ref) for task in (chat, at_once)]

    chat, copy = portal.call(start)
    assert shell("wait", chat, "--outputs") == 0
    assert shell.json[0]["content"] == "The answer to your question."
    assert shell("wait", copy, "--outputs") == 0
    copied = json.loads(copy)["ids"]["copied_entity_id"]
    assert shell.json == {"target_entity_id": copied}
    assert shell("wait", copy) == 0  # never received, so written from its typed form
    assert shell.json["target_entity_id"] == copied


def test_watch_writes_each_change(shell: Shell, start: Callable[..., str]) -> None:
    """Each change is a line, the end included."""
    assert shell("watch", start("copyai-workflow", seconds=1.5)) == 0
    states = [line.split()[2:4] for line in shell.out.splitlines()]
    assert states[0] == ["pending", "NEW"]
    assert states[-1] == ["succeeded", "COMPLETE"]
    assert len(states) >= 4


@pytest.mark.parametrize(
    ("outcome", "code", "state"),
    [("success", 0, "succeeded"), ("fail", 1, "failed"), ("interrupt", 1, "blocked")],
)
def test_watch_shows_the_last_state_whatever_it_is(
    shell: Shell, start: Callable[..., str], outcome: str, code: int, state: str
) -> None:
    """The last of its JSON objects has the last state and the provider's answer."""
    assert shell("watch", "--json", start(outcome=outcome, seconds=1.0)) == code
    changes = [json.loads(line) for line in shell.out.splitlines()]
    assert [change["state"] for change in changes] == ["running", state]
    assert bool(code) == bool(shell.err and shell.complaint)
    assert "answer" not in changes[0]
    assert changes[1]["answer"]["code"] == 0


def test_watch_ends_with_124_when_time_is_up(shell: Shell, start: Callable[..., str]) -> None:
    """A state that was shown already is not shown again by the end of time."""
    assert shell("watch", start(seconds=60), "--timeout", "1.0") == 124
    assert shell.out.count("\n") == 1


def test_bots_are_listed_page_after_page(shell: Shell) -> None:
    """Outside of a terminal a bot is a line of tab-separated fields."""
    assert shell("bots", "123") == 0
    rows = [line.split("\t") for line in shell.out.splitlines()]
    assert len(rows) == 45
    assert rows[0] == ["7493066380997000000", "Bot 1", "no", "2024-06-13"]


def test_bots_are_listed_as_json(shell: Shell) -> None:
    """The JSON is one array of objects with the provider's field names."""
    assert shell("bots", "123", "--json", "--publish-status", "all") == 0
    assert [bot["name"] for bot in shell.json][:2] == ["Bot 1", "Bot 2"]


def test_bots_are_a_table_on_a_terminal(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal there is a heading, and columns are aligned."""
    monkeypatch.setattr("asyncclient.cli._output.has_live_terminal", lambda: True)
    assert shell("bots", "123") == 0
    assert shell.out.splitlines()[0].split() == ["id", "name", "published", "updated"]
    assert "Bot 45" in shell.out
    assert "\t" not in shell.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "No such command 'nothing'"),
        (["start"], "Missing command"),
        (["start", "coze-workflow"], "Missing argument 'WORKFLOW_ID'"),
        (["start", "coze-workflow", ".."], "workflow_id='..' is not an id"),
        (["start", "coze-workflow", "1", "--bot-id", "2", "--app-id", "3"], "bot_id or app_id"),
        (["start", "coze-workflow", "1", "--param", "tea"], "not of the form NAME=VALUE"),
        (["start", "coze-workflow", "1", "--token", "x"], "No such option"),
        (["start", "coze-workflow", "1", "--params-json", "no.json"], "no.json"),
        (["start", "copyai-workflow", "1", "--metadata", "=x"], "not of the form NAME=VALUE"),
        (["wait", "tea"], "not a task reference"),
        (["wait", NOWHERE, "--timeout", "0"], "is not in the range"),
        (["wait", NOWHERE.replace("coze", "other")], "the providers coze and copyai"),
        (["wait", NOWHERE.replace("workflow_run", "thing")], "is not a task of Coze"),
        (["watch", NOWHERE, "--timeout", "nan"], "timeout"),
        (["simulate", "--coze-port", "80000"], "is not in the range"),
        (["simulate", "--fault-share", "2"], "is not in the range"),
        (["demo", "--tasks", "0"], "is not in the range"),
    ],
)
def test_bad_use_ends_with_2_and_one_line(shell: Shell, arguments: list[str], said: str) -> None:
    """What the command cannot take is told in one line, before anything is sent."""
    assert shell(*arguments) == 2
    assert said in shell.complaint
    assert shell.out == ""


@pytest.mark.parametrize("text", ["[1]", "{", "\x80"])
def test_inputs_that_are_no_object_are_bad_use(shell: Shell, tmp_path: Path, text: str) -> None:
    """A file of inputs holds one JSON object and nothing else."""
    inputs = tmp_path / "inputs.json"
    inputs.write_text(text, encoding="latin-1")
    assert shell("start", "coze-workflow", "1", "--params-json", str(inputs)) == 2
    assert "not a JSON object" in shell.complaint


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("COZE_API_TOKEN", "", "COZE_API_TOKEN is not set"),
        ("COZE_API_TOKEN", f"{TOKEN}\n", "COZE_API_TOKEN has a line break"),
        ("COZE_API_BASE", "http://example.com", "COZE_API_BASE: "),
        ("COZE_API_BASE", "api.coze.cn", "COZE_API_BASE: "),
    ],
)
def test_a_wrong_variable_is_named(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    """A variable that is missing or cannot be is named, and is not sent."""
    monkeypatch.setenv(name, value)
    assert shell("bots", "123") == 2
    assert said in shell.complaint
    assert "allow_http" not in shell.err


def test_only_the_variables_of_the_provider_are_needed(
    shell: Shell, start: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task of Copy.ai needs no variable of Coze, and the other way round."""
    monkeypatch.delenv("COPYAI_API_KEY")
    assert shell("wait", start()) == 0
    assert shell("start", "copyai-workflow", "WCFG-1") == 2
    assert "COPYAI_API_KEY is not set" in shell.complaint


def test_a_refused_token_ends_with_3(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong token is not shown, not even in a traceback."""
    monkeypatch.setenv("COZE_API_TOKEN", "pat_wrong")
    assert shell("bots", "123") == 3
    assert "HTTP 401" in shell.complaint
    assert shell("--traceback", "bots", "123") == 3
    assert "Traceback" in shell.err
    assert "pat_wrong" not in shell.err


def test_what_the_provider_does_not_know_ends_with_3(shell: Shell) -> None:
    """A refusal of a start is the provider's."""
    assert shell("start", "coze-workflow", "missing") == 3
    assert "not found or not published" in shell.complaint


def test_a_dead_network_ends_with_3(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, unused_port: int
) -> None:
    """Without a connection there is one line, and no traceback."""
    monkeypatch.setenv("COZE_API_BASE", f"http://127.0.0.1:{unused_port}")
    assert shell("bots", "123") == 3
    assert "no connection" in shell.complaint


@pytest.fixture
def unused_port(portal: BlockingPortal) -> int:
    """Return a port that nobody listens on."""

    async def find() -> int:
        async with Simulator() as simulator:
            return int(simulator.coze_url.rpartition(":")[2])

    return portal.call(find)


def test_a_defect_ends_with_70(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that nobody thought of is one line too, and a traceback for those who ask."""

    def break_down(_pool: SessionPool) -> NoReturn:
        raise LookupError("lost")

    monkeypatch.setattr("asyncclient.cli._tasks.Accounts", break_down)
    assert shell("bots", "123") == 70
    assert "unexpected LookupError: lost; --traceback" in shell.complaint
    assert shell("--traceback", "bots", "123") == 70
    assert "break_down" in shell.err


def test_a_reader_that_left_ends_it_quietly(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nobody reads the output any more, there is nobody to tell."""

    def leave(_text: object) -> NoReturn:
        raise BrokenPipeError

    monkeypatch.setattr("asyncclient.cli._output.say", leave)
    monkeypatch.setattr("asyncclient.cli._exits._leave_stdout", lambda: None)
    assert shell("bots", "123") == 141
    assert shell.err == ""


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
def test_a_signal_is_the_end_of_simulate(
    shell: Shell,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    options: tuple[str, ...],
) -> None:
    """Ctrl-C and SIGTERM are how it is meant to end, so its exit code is 0."""

    def serve_and_stop(sim: Simulator, *, as_json: bool) -> None:
        tell(sim, as_json=as_json)
        signal.raise_signal(number)

    monkeypatch.setattr("asyncclient.cli._simulate.tell", serve_and_stop)
    assert shell("simulate", "--fail-share", "0.5", *options) == 0
    assert shell.err == ""
    assert ("export COZE_API_BASE=" in shell.out) is not bool(options)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupted_wait_tells_how_to_go_on(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After Ctrl-C there is one line: the task goes on, and can be waited for again."""

    async def interrupt(*_arguments: object, **_options: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await anyio.sleep_forever()

    monkeypatch.setattr("asyncclient.cli._tasks.wait_until_done", interrupt)
    assert shell("wait", NOWHERE) == 130
    assert "the task itself goes on" in shell.complaint


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let Ctrl-C do what it does in a shell, where it may have been ignored in a background job."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_one_error_speaks_for_a_group() -> None:
    """A group of errors has the exit code of the first single one in it."""
    group = ExceptionGroup("all", [ExceptionGroup("some", [BrokenPipeError()]), ValueError()])
    assert code_of(first_of(group)) == 141


def test_notes_are_told_in_the_line() -> None:
    """What an error was given as a note, as that a start may have happened, is not lost."""
    error = ConnectFailed("no connection")
    error.add_note("it may have started all the same")
    assert line_of(error) == "no connection; it may have started all the same"


def test_a_providers_text_cannot_steer_a_terminal() -> None:
    """Control characters do not get through, and one line stays one line."""
    assert clean("a\x1b[31mb\nc\x9bd\x7f") == "a [31mb c d"


@pytest.mark.parametrize(
    "command",
    [[], ["demo"], ["simulate"], ["start"], ["start", "coze-workflow"], ["wait"], ["watch"]],
)
def test_every_command_explains_itself(shell: Shell, command: list[str]) -> None:
    """`--help` ends with 0."""
    assert shell(*command, "--help") == 0
    assert f"Usage: {' '.join(['asyncclient', *command])}" in shell.out


def test_help_tells_variables_and_exit_codes(shell: Shell) -> None:
    """Without arguments there is help, with every variable and every exit code."""
    assert shell() == 0
    for word in (*VARIABLES, "70  ", "124  ", "130  ", "141  "):
        assert word in shell.out


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_a_missing_extra_is_one_sentence(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Without click or rich the command says what to install."""
    for name in [name for name in sys.modules if name.startswith("asyncclient.cli.")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert shell("demo") == 2
    assert "pip install 'asyncclient-tasks[cli]'" in shell.complaint
