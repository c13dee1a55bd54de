"""The blocks of docs/any_api.md are whole programs and run as they stand; their API is played."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Self

import pytest

import asyncclient
from asyncclient._http import Request, Response
from asyncclient.testing import reply, virtual_time_loop
from tests.integrations import place as places

PAGE = (Path(__file__).parents[2] / "docs" / "any_api.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
no_blocking_calls = places.no_blocking_calls
REPLICATE = "https://api.replicate.com/v1/predictions/7"


class Played:
    """Stands in for a `SessionPool`: the page's API, whose jobs end at their third look."""

    def __init__(self) -> None:
        self._looks = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def exchange(self, request: Request, /) -> Response:
        """Start a job, or say how it stands."""
        if request.method == "POST":
            return reply({"id": 7, "urls": {"get": REPLICATE, "cancel": f"{REPLICATE}/cancel"}})
        assert request.target in {"/v1/films/7", "/v1/predictions/7"}
        self._looks += 1
        if self._looks < 3:
            return reply({"status": "rendering" if "films" in request.target else "processing"})
        word = "finished" if "films" in request.target else "succeeded"
        return reply({"status": word, "url": "https://film", "output": ["tea"]})


def run_in_virtual_time(main: Coroutine[object, object, object]) -> object:
    """Stand in for `asyncio.run`, so that the blocks' waits take no time."""
    with asyncio.Runner(loop_factory=virtual_time_loop) as runner:
        return runner.run(main)


def run_until_printed(
    capsys: pytest.CaptureFixture[str], main: Coroutine[object, object, object]
) -> None:
    """Run a worker, which never returns, until its sink has printed."""

    async def until_printed() -> str:
        working = asyncio.ensure_future(main)
        printed = ""
        async with asyncio.timeout(60):
            while not printed and not working.done():
                await asyncio.sleep(0.05)
                printed = capsys.readouterr().out
        working.cancel()
        await asyncio.wait({working})
        return printed

    with asyncio.Runner() as runner:
        assert runner.run(until_printed()) == "order-17 succeeded\n"


def test_a_durable_wait_takes_fewer_than_fifteen_lines() -> None:
    """From a URL and two words, its imports among them."""
    block = next(block for block in BLOCKS if "DocketWaits" in block)
    lines = [line for line in block.splitlines() if line]
    assert len(lines) < 15
    (words,) = re.findall(r"Vocabulary\((.*)\)", block)
    assert len(re.findall(r'"\w+"', words)) == 2


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_each_block_runs_as_it_stands(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each prints what it is there for."""
    monkeypatch.setattr(asyncclient, "SessionPool", Played)
    is_worker = "DocketWaits" in BLOCKS[number]
    if is_worker:
        pytest.importorskip("docket")
        monkeypatch.setattr(asyncio, "run", partial(run_until_printed, capsys))
    else:
        monkeypatch.setattr(asyncio, "run", run_in_virtual_time)
    exec(compile(BLOCKS[number], "any_api.md", "exec"), {"__name__": "__main__"})  # noqa: S102  (the page is ours)
    if not is_worker:
        assert capsys.readouterr().out in {"https://film\n", "['tea']\n"}
