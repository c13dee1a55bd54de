"""The command as a process of its own: signals, pipes and terminals.

Each step waits for what it needs to see: a line, a request, a frame. Bounds of time are for hangs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncclient import TaskRef, encode_ref

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
REF = encode_ref(TaskRef("coze", "workflow_run", {"workflow_id": "1", "execute_id": "2"}))


class Process(subprocess.Popen[str]):
    """The command, running; its environment is given, but for what Python needs."""

    def __init__(self, *arguments: str, stdout: int = subprocess.PIPE, **variables: str) -> None:
        super().__init__(
            [sys.executable, "-W", "error", "-m", "asyncclient", *arguments],
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "", "TERM": "xterm", **variables},
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
        )

    def line(self) -> str:
        """Wait for its next line."""
        assert self.stdout is not None
        return self.stdout.readline()

    def ended(self) -> tuple[int, str, str]:
        """Wait for its end, and return its exit code and the rest of what it wrote."""
        out, err = self.communicate(timeout=PATIENCE)
        return self.returncode, out or "", err


@pytest.fixture
def spawn() -> Iterator[Callable[..., Process]]:
    """Return a function that starts the command; what still runs at the end is killed."""
    processes: list[Process] = []

    def spawn(*arguments: str, stdout: int = subprocess.PIPE, **variables: str) -> Process:
        processes.append(Process(*arguments, stdout=stdout, **variables))
        return processes[-1]

    yield spawn
    for process in processes:
        with process:
            process.kill()


def test_a_simulator_in_one_shell_serves_another(
    spawn: Callable[..., Process], tmp_path: Path
) -> None:
    """What `simulate` writes is all that `start` and `wait` need, and SIGTERM ends it with 0.

    With the same journal and ports, its tasks outlive a `kill -9`.
    """
    options = ("--seed", "4", "--mean-seconds", "0.1", "--plan", "team")
    journal = ("simulate", "--json", "--journal", str(tmp_path / "journal"), *options)
    sim = spawn(*journal)
    shown = json.loads(sim.line())
    environment = shown["environment"]
    assert environment["COZE_API_BASE"] == shown["coze_url"]
    code, ref, err = spawn("start", "coze-workflow", "7350", **environment).ended()
    assert (code, err) == (0, "")
    sim.kill()
    sim.wait()
    port = shown["coze_url"].rpartition(":")[2]
    again = spawn(*journal, "--coze-port", port)
    assert json.loads(again.line())["coze_url"].endswith(port)
    code, out, err = spawn("wait", ref, "--outputs", **environment).ended()
    assert (code, err) == (0, "")
    assert json.loads(out) == {"Output": {"output": {}}}
    assert spawn("start", "coze-workflow", "7350", "--wait", **environment).ended()[0] == 0
    again.terminate()
    assert again.ended() == (0, "", "")
    code, _, err = spawn("simulate", "--journal", str(tmp_path / "no" / "journal")).ended()
    assert (code, err[:34]) == (2, "asyncclient: cannot keep the tasks")


def test_simulate_shows_people_what_to_do(spawn: Callable[..., Process]) -> None:
    """Its lines go into another shell, a taken port is bad use, and Ctrl-C is its end."""
    sim = spawn("simulate")
    lines = [sim.line() for _ in range(5)]
    assert "token pat_simulator" in lines[0]
    assert "key simulator-key" in lines[1]
    url = lines[0].split()[1]
    assert lines[3].startswith(f"export COZE_API_BASE={url} COZE_API_TOKEN=pat_simulator ")
    code, _, err = spawn("simulate", "--coze-port", url.rpartition(":")[2]).ended()
    assert (code, err[:26]) == (2, "asyncclient: cannot listen")
    sim.send_signal(signal.SIGINT)
    assert sim.ended() == (0, "", "")


def test_ctrl_c_stops_a_wait(spawn: Callable[..., Process]) -> None:
    """In the middle of a poll it stops at once, with 130 and what to do next."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        base = f"http://127.0.0.1:{server.getsockname()[1]}"
        wait = spawn("wait", REF, COZE_API_TOKEN="pat_kept", COZE_API_BASE=base)
        connection, _ = server.accept()
        with connection:
            assert b"pat_kept" in connection.recv(65536)
            wait.send_signal(signal.SIGINT)
            code, out, err = wait.ended()
    assert (code, out) == (130, "")
    assert err == (
        "asyncclient: interrupted; the task itself goes on: wait again with its reference\n"
    )


def test_a_closed_pipe_ends_it_quietly(spawn: Callable[..., Process]) -> None:
    """When the reader has gone, as `head` does, it ends as a tool that SIGPIPE kills would."""
    reader, writer = os.pipe()
    process = spawn("demo", "--tasks", "2", stdout=writer)
    os.close(writer)
    os.close(reader)
    assert process.ended() == (141, "", "")


def test_ctrl_c_leaves_a_terminal_in_order(spawn: Callable[..., Process]) -> None:
    """The bars are redrawn in place until they are interrupted, and the cursor comes back."""
    ours, theirs = os.openpty()
    demo = spawn("demo", "--tasks", MANY, stdout=theirs, COLUMNS="100")
    os.close(theirs)
    drawn = b""
    while drawn.count(b"polls/s") < 10:
        drawn += os.read(ours, 65536)
    demo.send_signal(signal.SIGINT)
    drawn += _rest_of(ours)
    assert demo.ended() == (130, "", "asyncclient: interrupted\n")
    for shown in ("Coze", "Copy.ai", "failed as", f"/{MANY}", "faults survived", "\x1b[?25h"):
        assert shown in drawn.decode()


def _rest_of(terminal: int) -> bytes:
    """Read what is written to a terminal until its other side is closed."""
    rest = b""
    with contextlib.suppress(OSError):  # which is how Linux tells that
        while chunk := os.read(terminal, 65536):
            rest += chunk
    os.close(terminal)
    return rest
