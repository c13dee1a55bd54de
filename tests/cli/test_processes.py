"""The command as a process of its own: signals, pipes and terminals.

Each step waits for what it needs to see: a line, a request, a frame. Bounds of time are for hangs.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, TypeAlias

import pytest

from tests.cli.shell import NOWHERE, REPLICATE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Seconds after which something hangs, however slow the machine is.
PATIENCE = 60
pytestmark = [
    pytest.mark.usefixtures("interruptible"),
    pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of POSIX"),
    pytest.mark.timeout(4 * PATIENCE),
]

ROOT = Path(__file__).parents[2]
# Tasks that take minutes: no demo of them ends by itself before it is seen.
MANY = "20000"

# Presses Ctrl-C when a module is about to be imported.
INTERRUPTED_IMPORT = """
import os, signal, sys


class Interrupting:
    def find_spec(self, name, path, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)


sys.meta_path.insert(0, Interrupting())
"""


Process: TypeAlias = "subprocess.Popen[str]"
Spawn: TypeAlias = "Callable[..., Process]"


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Return a function that starts the command; what still runs at the end is killed."""
    with contextlib.ExitStack() as processes:

        def spawn(
            *arguments: str,
            stdin: int = subprocess.DEVNULL,
            stdout: int = subprocess.PIPE,
            stderr: int = subprocess.PIPE,
            **variables: str,
        ) -> Process:
            process = subprocess.Popen(  # noqa: S603  (runs this Python with a line from here)
                [sys.executable, "-W", "error", "-m", "asyncclient", *arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "", "TERM": "xterm", **variables},
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                text=True,
            )
            processes.enter_context(process)
            processes.callback(process.kill)
            return process

        yield spawn


def _line_of(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def end_of(process: Process) -> tuple[int, str, str]:
    """Wait for its end, and return its exit code and the rest of what it wrote."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out or "", err or ""


def seen_until(terminal: int, awaited: bytes, times: int = 1) -> bytes:
    """Read what is written to a terminal until it has something so often."""
    seen = b""
    while seen.count(awaited) < times:
        seen += os.read(terminal, 65536)
    return seen


def rest_of(terminal: int) -> bytes:
    """Read what is written to a terminal until its other side is closed."""
    rest = b""
    with contextlib.suppress(OSError):  # which is how Linux says that
        while chunk := os.read(terminal, 65536):
            rest += chunk
    os.close(terminal)
    return rest


def test_a_simulator_in_one_shell_serves_another(spawn: Spawn, tmp_path: Path) -> None:
    """What `simulate` writes is all that `start` and `wait` need, and SIGTERM ends it with 0.

    With the same journal and ports, its tasks outlive a `kill -9`.
    """
    options = ("--seed", "4", "--mean-seconds", "0.1", "--plan", "team")
    journal = ("simulate", "--json", "--journal", str(tmp_path / "journal"), *options)
    sim = spawn(*journal)
    shown = json.loads(_line_of(sim))
    environment = shown["environment"]
    assert environment["COZE_API_BASE"] == shown["coze_url"]
    code, ref, err = end_of(spawn("start", "coze-workflow", "7350", **environment))
    assert (code, err) == (0, "")
    sim.kill()
    sim.wait()
    port = shown["coze_url"].rpartition(":")[2]
    again = spawn(*journal, "--coze-port", port)
    assert json.loads(_line_of(again))["coze_url"].endswith(port)
    code, out, err = end_of(spawn("wait", ref, "--outputs", **environment))
    assert (code, err) == (0, "")
    assert json.loads(out) == {"Output": {"output": {}}}
    again.terminate()
    assert end_of(again) == (0, "", "")
    code, _, err = end_of(spawn("simulate", "--journal", str(tmp_path / "no" / "journal")))
    assert (code, err[:35]) == (2, "asyncclient: cannot write the tasks")


def test_simulate_shows_people_what_to_do(spawn: Spawn) -> None:
    """Its lines go into another shell, a taken port is bad use, and Ctrl-C is its end."""
    sim = spawn("simulate", "--fail-share", "0.5")
    lines = [_line_of(sim) for _ in range(5)]
    assert "token pat_simulator" in lines[0]
    assert "key simulator-key" in lines[1]
    url = lines[0].split()[1]
    assert lines[3].startswith(f"export COZE_API_BASE={url} COZE_API_TOKEN=pat_simulator ")
    code, _, err = end_of(spawn("simulate", "--coze-port", url.rpartition(":")[2]))
    assert (code, err[:26]) == (2, "asyncclient: cannot listen")
    sim.send_signal(signal.SIGINT)
    assert end_of(sim) == (0, "", "")


def test_ctrl_c_stops_a_wait(spawn: Spawn) -> None:
    """In the middle of a poll it stops at once, with 130 and what to do next."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        base = f"http://127.0.0.1:{server.getsockname()[1]}"
        wait = spawn("wait", NOWHERE, COZE_API_TOKEN="pat_kept", COZE_API_BASE=base)
        connection, _ = server.accept()
        with connection:
            assert b"pat_kept" in connection.recv(65536)
            wait.send_signal(signal.SIGINT)
            code, out, err = end_of(wait)
    assert (code, out) == (130, "")
    assert err == (
        "asyncclient: interrupted; the task itself goes on: run the same command to wait again\n"
    )


@pytest.mark.parametrize("line", ["demo --tasks 2", "--help", "wait -h", "--version"])
def test_a_closed_pipe_ends_it_quietly(spawn: Spawn, line: str) -> None:
    """When the reader has gone, as `head` does, it ends as a tool that SIGPIPE kills would."""
    reader, writer = os.pipe()
    process = spawn(*line.split(), stdout=writer)
    os.close(writer)
    os.close(reader)
    assert end_of(process) == (141, "", "")


def test_ctrl_c_leaves_a_terminal_in_order(spawn: Spawn) -> None:
    """The bars are redrawn in place until they are interrupted, and the cursor comes back."""
    ours, theirs = os.openpty()
    demo = spawn("demo", "--tasks", MANY, stdout=theirs, COLUMNS="100")
    os.close(theirs)
    drawn = seen_until(ours, b"polls/s", 10)
    demo.send_signal(signal.SIGINT)
    drawn += rest_of(ours)
    assert end_of(demo) == (130, "", "asyncclient: interrupted\n")
    for shown in ("asyncclient", "sleep loop", f"/{MANY}", "faults survived", "\x1b[?25h"):
        assert shown in drawn.decode()


@pytest.mark.parametrize("module", ["asyncclient._http", "asyncclient.cli._commands", "rich.live"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("-m", "asyncclient", "demo"),
        ("-c", "import sys; from asyncclient.cli import main; sys.exit(main(['demo']))"),
    ],
    ids=["python -m", "the command"],
)
def test_ctrl_c_while_it_loads_is_one_line(
    tmp_path: Path, module: str, arguments: tuple[str, ...]
) -> None:
    """Whichever module is being imported, as the command or as `python -m`."""
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTED_IMPORT.format(module=module))
    ended = subprocess.run(  # noqa: S603  (runs this Python with a line from here)
        [sys.executable, *arguments],
        capture_output=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        text=True,
        timeout=PATIENCE,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "asyncclient: interrupted\n")


class Jobs(ThreadingHTTPServer):
    """An API with one job, whose status is a file of a folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder))
        self._folder = folder
        self.will_say("processing")
        # The query is a secret.
        self.url = f"http://127.0.0.1:{self.server_port}/job.json?sig=kept"

    def will_say(self, word: str) -> None:
        """Let the job have a status from now on."""
        (self._folder / "next.json").write_text(json.dumps({"status": word}))
        (self._folder / "next.json").replace(self._folder / "job.json")


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    """Serve such an API."""
    with Jobs(tmp_path) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("columns", [24, 60, 120])
@pytest.mark.parametrize("interrupted", [False, True], ids=["to its end", "Ctrl-C"])
def test_a_person_sees_how_a_wait_stands(
    spawn: Spawn, jobs: Jobs, columns: int, *, interrupted: bool
) -> None:
    """One line is redrawn in place, never wider than the terminal, and is gone at the end."""
    ours, theirs = os.openpty()
    variables = {"COLUMNS": str(columns), "NO_COLOR": "1"}
    wait = spawn("wait", jobs.url, *REPLICATE, stderr=theirs, **variables)
    os.close(theirs)
    seen = seen_until(ours, b"next poll in" if columns > 24 else b"running (proc")
    jobs.will_say("succeeded")
    if interrupted:
        wait.send_signal(signal.SIGINT)
    seen += rest_of(ours)
    code, out, _ = end_of(wait)
    *drawn, last = seen.decode().split("\r\x1b[2K")
    assert max(map(len, drawn)) < columns
    assert "\x1b" not in "".join(drawn)  # no colour
    assert "kept" not in seen.decode()
    if columns > 24:
        whole = re.compile(r"running \(processing\), \d+ s, \d+ polls?, next poll in \d+ s")
        assert any(map(whole.fullmatch, drawn))
    if interrupted:
        assert (code, out) == (130, "")
        assert last.startswith("asyncclient: interrupted; the task itself goes on")
        assert last.count("\n") == 1
    else:
        assert (code, json.loads(out), last) == (0, {"status": "succeeded"}, "")


def test_a_person_sees_how_many_tasks_have_ended(spawn: Spawn, jobs: Jobs, tmp_path: Path) -> None:
    """Lines of standard output and of standard error do not get into its way."""
    ours, theirs = os.openpty()
    (tmp_path / "urls").write_text(f"{jobs.url}\n{jobs.url}&other\n")
    with (tmp_path / "urls").open() as urls:
        streams = {"stdin": urls.fileno(), "stdout": theirs, "stderr": theirs}
        wait = spawn("wait", "-", *REPLICATE, **streams, COLUMNS="80")
    os.close(theirs)
    seen = seen_until(ours, b"0 of 2 tasks ended, ")
    jobs.will_say("failed")
    seen += rest_of(ours)
    assert end_of(wait)[0] == 1
    lines = [line.rpartition("\x1b[2K")[2] for line in seen.decode().splitlines()]
    answers, errors = lines.count('{"status":"failed"}'), "\n".join(lines).count("asyncclient: ")
    assert (answers, errors) == (2, 2)


@pytest.mark.parametrize("variables", [{}, {"TERM": "dumb"}], ids=["a pipe", "a dumb terminal"])
def test_nothing_is_redrawn_elsewhere(spawn: Spawn, jobs: Jobs, variables: dict[str, str]) -> None:
    """A script's log and a terminal without a cursor get lines alone."""
    jobs.will_say("succeeded")
    ours, theirs = os.openpty() if variables else os.pipe()
    wait = spawn("wait", jobs.url, *REPLICATE, stderr=theirs, **variables)
    os.close(theirs)
    assert rest_of(ours) == b""
    assert end_of(wait)[0] == 0
