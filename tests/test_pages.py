"""What the README and the site show is run, and every public name is on a page."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Coroutine
from pathlib import Path
from typing import cast

import httpx
import pytest
from fastapi import FastAPI

from asyncclient import SessionPool
from asyncclient.providers.coze import Coze
from asyncclient.testing import Simulator, virtual_time_loop
from asyncclient.testing.pytest_plugin import real_time
from tests.test_public_api import MODULES as EXPORTING

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
README = (ROOT / "README.md").read_text()
README_ZH = (ROOT / "README.zh.md").read_text()
# The blocks of these are run beside what they speak of, which needs more than virtual time.
ELSEWHERE = {
    "any_api": "tests/api/test_any_api_page.py",
    "observability": "tests/integrations/test_opentelemetry.py",
    "recipes": "tests/integrations/test_recipes.py",
    "workers": "tests/integrations/test_docket_example.py",
}
PAGES = {page.stem: page.read_text() for page in sorted(DOCS.glob("*.md"))}
# Lists of facts, which no one reads from end to end.
REFERENCE = {"catalogue", "changelog", "command", "faults", "observability"}
MOST_WORDS = 12_000  # outside the reference

MODULES = (*EXPORTING, "asyncclient.integrations.docket", "asyncclient.integrations.procrastinate")


def blocks_of(text: str) -> list[str]:
    """Return the Python blocks of a page."""
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


BLOCKS = {
    f"{name}-{number}": block
    for name, text in [("README", README), ("README.zh", README_ZH), *PAGES.items()]
    if name not in ELSEWHERE
    for number, block in enumerate(blocks_of(text))
}
WEB_APPS = {name: block for name, block in BLOCKS.items() if "app = FastAPI" in block}
PROGRAMS = {name: block for name, block in BLOCKS.items() if name not in WEB_APPS}


def run_in_virtual_time(main: Coroutine[object, object, object]) -> object:
    """Stand in for `asyncio.run`, so that the blocks' waits take no time."""
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        return runner.run(main)


@pytest.mark.parametrize("block", PROGRAMS.values(), ids=PROGRAMS)
def test_each_code_block_runs_as_it_stands(
    block: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every Python block is a whole program that prints something."""
    monkeypatch.setattr(asyncio, "run", run_in_virtual_time)
    exec(compile(block, "page", "exec"), {"__name__": "__main__"})  # noqa: S102  (the pages are ours)
    assert capsys.readouterr().out.strip()


@real_time
@pytest.mark.parametrize("block", WEB_APPS.values(), ids=WEB_APPS)
async def test_each_web_app_answers_with_the_typed_result(
    block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked as a browser would, and two requests for one run make one poll."""
    names: dict[str, object] = {}
    exec(compile(block, "page", "exec"), names)  # noqa: S102  (the pages are ours)
    app = names["app"]
    assert isinstance(app, FastAPI)
    async with Simulator(durations=lambda _: 0.05) as sim, SessionPool() as pool:
        monkeypatch.setenv("COZE_API_TOKEN", sim.coze_token)
        monkeypatch.setenv("COZE_API_BASE", sim.coze_url)
        run = await Coze.from_env(pool).start_workflow("7350", {"topic": "tea"})
        transport = httpx.ASGITransport(app)
        async with (
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="http://app") as browser,
        ):
            path = f"/runs/{run.workflow_id}/{run.execute_id}"
            first, second = await asyncio.gather(browser.get(path), browser.get(path))
    assert first.json() == second.json()
    assert first.json()["execute_status"] == "Success"


def test_what_is_run_elsewhere_is_there() -> None:
    """A page that is passed over here has its own file."""
    for page, path in ELSEWHERE.items():
        assert blocks_of(PAGES[page])
        assert (ROOT / path).exists()


def test_a_reader_finds_code_by_line_ten_and_the_command_that_ci_runs() -> None:
    """The command that the README gives for the tests is the one of `.ci/run`."""
    assert "```python" in "\n".join(README.splitlines()[:10])
    blocks = re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL)
    commands = [line for block in blocks for line in block.splitlines()]
    test_command = next(line for line in commands if "nox" in line)
    assert test_command in (ROOT / ".ci" / "run").read_text().splitlines()


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_on_a_page(name: str) -> None:
    """By a directive of the reference for it or its whole module, or on the catalogue's page."""
    for package, extra in (("docket", "docket"), ("procrastinate", "procrastinate")):
        if name.endswith(f".{package}"):
            pytest.importorskip(extra)
    module = importlib.import_module(name)
    reference = "\n".join(page.read_text() for page in (DOCS / "reference").glob("*.md"))
    if re.search(rf"automodule:: {re.escape(name)}\n   :members:", reference):
        return
    names = set(cast("list[str]", module.__all__)) - {"catalogue", "errors"}  # pages of their own
    for each in sorted(names):
        documented = re.search(rf"auto\w+:: [\w.]+\.{each}$", reference, flags=re.MULTILINE)
        assert documented or f"`catalogue.{each}`" in PAGES["catalogue"], (
            f"{name}.{each} is on no page"
        )


def test_the_prose_outside_the_reference_can_be_read_in_an_hour() -> None:
    """Blocks and tables count as well."""
    words = sum(len(text.split()) for name, text in PAGES.items() if name not in REFERENCE)
    assert words <= MOST_WORDS
