"""All checks of this project: `nox` runs them, `nox -l` lists them, `nox -s lint` runs one.

Every supported Python found on the machine is used. One that is missing is skipped, and the last
lines say so.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)  # from the classifiers
# One more than there are cores, and idle workers take over work: some tests wait on the real clock.
SPREAD = ("-n", str((os.cpu_count() or 1) + 1), "--dist", "worksteal")
# Properties are searched with a hundred examples once, on the newest Python, where no coverage is
# measured; and with fewer wherever else they run.
BRIEF = "--hypothesis-profile=brief"

# pyenv hides the Pythons that are not chosen as the current ones: show nox all of them.
_pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
if _pyenv.is_dir():
    os.environ["PYENV_VERSION"] = ":".join(sorted(path.name for path in _pyenv.iterdir()))

OLDEST = PYTHONS[0]
_found = [each for each in PYTHONS if shutil.which(f"python{each}")] or [OLDEST]
# Of those that the machine has. The heavy tests have one that does nothing else that is slow, so
# that no Python's part takes longer than three minutes on two cores.
NEWEST, HEAVY = _found[-1], _found[min(1, len(_found) - 1)]

# What was compiled once serves all processes of all sessions; uv compiles nothing that it installs.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(".nox", "bytecode").resolve())

nox.needs_version = ">=2025.5.1"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_external_run = True
nox.options.error_on_missing_interpreters = False  # nox would make it an error where CI is set
nox.options.reuse_venv = "yes"
nox.options.sessions = [
    "lint",
    "typing",
    "tests",
    "coverage",
    "event_loops",
    "python_backoff",
    "lowest",
    "cozepy",
    "docs",
    "wheel",
]

_tested: set[str] = set()


def install(session: nox.Session, *groups: str, options: tuple[str, ...] = ()) -> None:
    """Install the package with its extras, and dependency groups of pyproject.toml."""
    dependencies = nox.project.dependency_groups(PROJECT, *groups)
    session.install(*options, "-e", ".[cli,coze-jwt,opentelemetry]", *dependencies)


@nox.session(python=OLDEST)
def lint(session: nox.Session) -> None:
    """Check style, format, docstrings (those of tests too) and the layers of imports."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("lint-imports", "--no-logo")
    session.run("zizmor", "--offline", "--quiet", ".github")


@nox.session(python=OLDEST)
def typing(session: nox.Session) -> None:
    """Check types, strictly and twice, in package, tests, benchmarks, examples and on the pages."""
    install(session, "typing")
    commands = (
        ("pyright", "--pythonpath", f"{session.bin}/python", "--warnings"),
        ("mypy",),
        ("python", "tests/printed_blocks.py"),
    )
    # Side by side, since each keeps to one core.
    with ThreadPoolExecutor() as pool:
        checks = [pool.submit(session.run, *command) for command in commands]
    for check in checks:
        check.result()


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests on every supported Python, the oldest with coverage; `--` goes to pytest.

    Every fault is met on the oldest and on the newest, what computes much on the one between.
    """
    # The oldest is the one whose coverage counts: it gets the engines too.
    install(session, "tests", *(["workers"] if session.python == OLDEST else []))
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    if session.python == OLDEST:
        session.run("coverage", "erase")  # what earlier runs left would count for lines since moved
        traced = (*SPREAD, BRIEF, "-m", "not heavy and not untraced")
        session.run("coverage", "run", "-m", "pytest", *traced)
    elif session.python != NEWEST:
        session.run("pytest", *SPREAD, BRIEF, "-m", "not heavy and not untraced")
    if session.python == NEWEST:
        session.run("pytest", *SPREAD, "-m", "not heavy")
    if session.python == HEAVY:
        heavy = ("-m", "heavy", "--ignore=tests/integrations")  # the engines have their own session
        session.run("pytest", *SPREAD, BRIEF, *heavy)
    _tested.add(str(session.python))


@nox.session(python=OLDEST)
def coverage(session: nox.Session) -> None:
    """Add up the coverage of the tests, and fail below the limit."""
    if not list(Path().glob(".coverage.*")):
        session.skip("no test has been run with coverage: `nox -s tests coverage` does both")
    install(session, "tests")
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session(python=[OLDEST, NEWEST])
def event_loops(session: nox.Session) -> None:
    """Test waits, the Poller and sockets on uvloop, and with eager tasks where Python has them."""
    install(session, "tests")
    folders = ("tests/waiting", "tests/many", "tests/sockets")
    for event_loop in ("uvloop",) if session.python == OLDEST else ("uvloop", "eager"):
        chosen = (f"--event-loop={event_loop}", "-m", "not heavy")
        session.run("pytest", *SPREAD, BRIEF, *chosen, *folders, *session.posargs)


@nox.session(python=OLDEST)
def python_backoff(session: nox.Session) -> None:
    """Test schedules and waits with python-backoff, the living fork of backoff."""
    install(session, "tests")
    # Both put their files into the same folder: the old ones must go before the new ones come.
    if session.venv_backend == "uv":
        session.run_install("uv", "pip", "uninstall", "backoff", "python-backoff", external=True)
    else:
        session.run_install("pip", "uninstall", "--yes", "backoff", "python-backoff")
    session.install("python-backoff>=3")
    # All that asks backoff for a delay: schedules, requests that are repeated, and waits.
    places = ("tests/ground/test_schedule.py", "tests/http/test_repeat.py", "tests/waiting")
    session.run("pytest", *SPREAD, BRIEF, *places, *session.posargs)


@nox.session(python=OLDEST)
def lowest(session: nox.Session) -> None:
    """Run the tests with the oldest dependencies that pyproject.toml allows."""
    if session.venv_backend != "uv":
        session.skip("only uv can install the lowest versions: pip install 'nox[uv]'")
    install(session, "tests", options=("--resolution", "lowest-direct"))
    # Of the package itself: the command is the same with any.
    others = ("--ignore=tests/cli", "--ignore=tests/examples")
    session.run("pytest", *SPREAD, BRIEF, "-m", "not heavy", *others, *session.posargs)


@nox.session(python=OLDEST)
def cozepy(session: nox.Session) -> None:
    """Run Coze's own SDK against the simulator, to prove that it speaks as Coze does."""
    install(session, "tests", "cozepy")
    session.run("pytest", "tests/test_cozepy.py", *session.posargs)


@nox.session(python=OLDEST)
def workers(session: nox.Session) -> None:
    """Test durable waits on real engines that are killed; not a default session.

    An engine without a server here is reported as NOT TESTED; the figures of each kill are printed.
    """
    install(session, "tests", "workers", "recipes")
    paths = [os.environ["PATH"]]
    if shutil.which("npm"):  # brings Restate's server
        folder = Path(session.bin).resolve().parent / "npm"
        server = "@restatedev/restate-server@1.7.12"
        quiet = ("--no-audit", "--no-fund")
        session.run("npm", "install", *quiet, "--prefix", str(folder), server, external=True)
        paths.insert(0, str(folder / "node_modules" / ".bin"))
    env = {"PATH": os.pathsep.join(paths)}
    session.run("pytest", "-rs", "-s", "tests/integrations", *session.posargs, env=env)


@nox.session(python=OLDEST)
def browser(session: nox.Session) -> None:
    """Test the worker example's page in the system's chromium; not a default session.

    A machine that has none says that it is NOT TESTED.
    """
    install(session, "tests", "workers")
    session.run("pytest", "-rs", "tests/integrations/test_worker_page.py", *session.posargs)


@nox.session(python=OLDEST)
@nox.parametrize("engine", ["arq", "airflow"])
def recipes(session: nox.Session, engine: str) -> None:
    """Run the recipes whose engines need an environment of their own; not a default session."""
    install(session, engine)
    session.run(
        "pytest", "-rs", "-s", "tests/integrations/test_recipes.py", "-k", engine, *session.posargs
    )


@nox.session(python=OLDEST)
def docs(session: nox.Session) -> None:
    """Build the documentation site; a warning or a broken link is a failure."""
    install(session, "docs")
    site = Path(session.create_tmp()) / "site"
    shutil.rmtree(site, ignore_errors=True)
    session.run("sphinx-build", "-q", "-W", "--keep-going", "-b", "dirhtml", "docs", str(site))
    session.log(f"open {site / 'index.html'}")


@nox.session(python=OLDEST)
def wheel(session: nox.Session) -> None:
    """Build a release, inspect it, and import the wheel with its required dependencies alone.

    The build is kept in the folder after `--`, if there is one.
    """
    temporary = Path(session.create_tmp()).resolve()
    folder = Path(session.posargs[0]) if session.posargs else temporary / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    is_uv = session.venv_backend == "uv"
    builder = "build[uv]" if is_uv else "build"
    session.install(builder, "check-wheel-contents==0.6.3", "twine==7.0.0")
    installer = ("--installer", "uv") if is_uv else ()
    session.run("python", "-m", "build", *installer, "--outdir", str(folder))
    session.run("twine", "check", "--strict", *map(str, folder.glob("*")))
    (built,) = folder.glob("*.whl")
    session.run("check-wheel-contents", str(built))
    # The tools above bring packages that a user may not have.
    session.run("python", "-m", "venv", "--clear", str(temporary / "fresh"))
    python = str(temporary / "fresh" / "bin" / "python")
    session.run(python, "-m", "pip", "install", "-q", str(built.resolve()), external=True)
    session.chdir(temporary)
    said = "import asyncclient; print(asyncclient.__file__)"
    session.run(python, "-I", "-W", "error", "-c", said, external=True)


@nox.session(python=OLDEST)
def fuzz(session: nox.Session) -> None:
    """Test every decoder with fifty times as many broken answers; not a default session."""
    install(session, "tests")
    session.run(
        "pytest", "tests/test_fuzz.py", "--hypothesis-profile=long", "--timeout=900", *SPREAD
    )


@nox.session(python=OLDEST)
def simulation(session: nox.Session) -> None:
    """Simulate a million worlds, or a number from a seed on after `--`; not a default session.

    A world that breaks a promise is printed with the command that replays and shrinks it.
    """
    install(session, "tests")
    session.run("python", "-m", "tests.simulation", *session.posargs)


@nox.session(python=OLDEST)
def breaks(session: nox.Session) -> None:
    """Break some fifty rules of safety and waiting, one at a time; not a default session."""
    install(session, "tests")
    session.run("python", "-m", "tests.breaks")


@nox.session(python=OLDEST)
def mutation(session: nox.Session) -> None:
    """Change each line of the pure modules, and count what tests notice; not a default session.

    Names after `--` are those of mutants, as `asyncclient._state.*`; without any, all are tried
    once more. It takes about half an hour.
    """
    install(session, "tests", "mutation")
    if not session.posargs:
        shutil.rmtree("mutants", ignore_errors=True)
    session.run("mutmut", "run", *session.posargs)
    session.run("python", "tests/mutation_score.py")


@nox.session(python=OLDEST)
def audit(session: nox.Session) -> None:
    """Check the dependencies for known vulnerabilities; not a default session.

    If the database cannot be reached, that is reported and is not a failure.
    """
    install(session)
    session.install("pip-audit==2.10.1")
    report = Path(session.create_tmp()) / "audit.json"
    report.unlink(missing_ok=True)
    session.run(
        "pip-audit",
        "--skip-editable",
        "--progress-spinner=off",
        "--format=json",
        f"--output={report}",
        success_codes=[0, 1],
    )
    if not report.exists():
        session.warn("NOT AUDITED: the database of known holes could not be reached")
        return
    found = json.loads(report.read_text())["dependencies"]
    holes = [
        f"{each['name']} {each['version']}: {hole['id']}"
        for each in found
        for hole in each.get("vulns", [])
    ]
    if holes:
        session.error("known holes: " + "; ".join(holes))
    session.log(f"{len(found)} packages have no known hole")


@nox.session(python=OLDEST)
def adversity(session: nox.Session) -> None:
    """Test every fault on the real clock, then run 10,000 tasks through a gateway that fails.

    Not a default session.
    """
    install(session, "tests")
    session.run(
        "pytest",
        *("-n", "16", "--timeout=200", "tests/adversity/test_faults.py"),
        env={"ADVERSITY_CLOCK": "real"},
    )
    session.run("python", "benchmarks/adversity.py", *session.posargs)


@nox.session(python=OLDEST)
def bench(session: nox.Session) -> None:
    """Run the benchmarks, or those named after `--`, and write their page; not a default one."""
    install(session, "bench", "workers")
    session.run("python", "benchmarks/run_all.py", *session.posargs)


@nox.session(python=OLDEST)
def soak(session: nox.Session) -> None:
    """Run both providers for ten minutes through faults and restarts; not a default session."""
    install(session)
    session.run("python", "benchmarks/soak.py", *session.posargs)


@atexit.register
def say_what_was_not_tested() -> None:
    """End the output with the Pythons that were missing."""
    if _tested and (missing := [version for version in PYTHONS if version not in _tested]):
        sys.stderr.write(f"nox > Not found, so NOT TESTED: Python {', '.join(missing)}\n")
