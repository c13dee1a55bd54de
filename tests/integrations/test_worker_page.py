"""The page of `examples/worker`, in a real browser: what its reader sees, and on which screens."""

from __future__ import annotations

import json
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("docket")
pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")

from tests.integrations import place as places
from tests.integrations.browser import Page, browser_path, opened
from tests.integrations.test_docket_example import running

anyio_backend = places.anyio_backend
BROWSER = browser_path()
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.timeout(240),
    pytest.mark.skipif(BROWSER is None, reason="NOT TESTED: no chromium on this machine"),
]
# The least contrast of text to its ground that WCAG 2.2 asks for (AA).
CONTRAST = 4.5
# The lowest contrast of all texts on the page.
LOWEST = """(() => {
  const rgba = text => text.match(/[\\d.]+/g).map(Number);
  const linear = part => part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) =>
    .2126 * linear(r / 255) + .7152 * linear(g / 255) + .0722 * linear(b / 255);
  const ground = element => {
    for (; element; element = element.parentElement) {
      const colour = rgba(getComputedStyle(element).backgroundColor);
      if (colour[3] !== 0) return colour;
    }
    return [255, 255, 255];
  };
  const texts = [...document.querySelectorAll("main *")].filter(element =>
    [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return Math.min(...texts.map(element => {
    const text = light(rgba(getComputedStyle(element).color)), back = light(ground(element));
    return (Math.max(text, back) + .05) / (Math.min(text, back) + .05);
  }));
})()"""

JOB: dict[str, Any] = {
    "key": "made",
    "provider": "coze",
    "started": 1_000_000.0,
    "ended": None,
    "state": "blocked",
    "word": "requires_action",
    "progress": 40.0,
    "polls": 3,
    "trouble": "The last poll failed, another one follows: the provider did not answer in time.",
    "outputs": None,
    "error": None,
}
OUTPUTS = {
    "text": '{"plain": "<b>tea</b>", "list": ["green", "black"]}',
    "poems": "A long word without a space: " + "tea" * 200,
}


def _badge(state: str) -> str:
    return f"document.querySelectorAll('.badge.{state}').length"


async def click(page: Page, provider: str, workflow: str = "7350") -> None:
    """Fill in the form, and press a button of it."""
    await page.value(f"document.getElementById('workflow').value = '{workflow}'")
    await page.value(f"document.querySelector('button[value={provider}]').click()")


async def test_a_colleague_can_read_the_page(tmp_path: Path) -> None:
    """Clicks, states, times, counts, outputs and errors are there in words, on any screen."""
    assert BROWSER is not None
    async with running(tmp_path) as example, AsyncExitStack() as stack:
        await example.ask("GET")
        page = await stack.enter_async_context(opened(BROWSER, example.url, tmp_path / "profile"))
        await page.until("document.getElementById('counts')?.textContent === 'No jobs yet'")
        assert await page.value("[...document.querySelectorAll('input')].every(i => i.labels[0])")
        await page.look(1280, "light")

        # A click starts a job, and the page says so; one that fails says why.
        await click(page, "coze")
        await page.until("document.getElementById('message').textContent === 'Started at Coze.'")
        await click(page, "copyai", "missing")
        said = await page.until("document.querySelector('#message.bad')?.textContent")
        assert said == "Copy.ai: no job was started: the provider does not know that workflow."

        # A job's state, word, polls and time are those of the provider, while it goes on.
        slow = await example.start("copyai", 25.0)
        row = f"document.querySelector('li[data-key=\"{slow}\"]')"
        await page.until(f"{row}?.querySelector('.badge.running')?.textContent.includes('(')")
        assert await page.until(f"/[2-9] s · [1-9]\\d* poll/.test({row}.innerText)")

        # Ends: the output is opened, an error is a sentence.
        good, bad = await example.start("coze", 0.5), await example.start("copyai", 0.5, "fail")
        await page.until(_badge("failed"))
        error = await page.value(
            f"document.querySelector('li[data-key=\"{bad}\"] .error').textContent"
        )
        assert error == "the job failed: A step failed, and so did its retries."
        output = await page.until(
            f"document.querySelector('li[data-key=\"{good}\"] .output')?.innerText"
        )
        assert output == "no output"  # it was given no topic
        counts = await page.value("document.getElementById('counts').textContent")
        assert re.match("4 jobs: .*1 failed", str(counts))

        await check_what_is_not_simulated(page)
        await check_screens(page)


async def check_what_is_not_simulated(page: Page) -> None:
    """Show a job of which the simulator has no example: progress, trouble, JSON within text."""
    await page.value("events.close()")
    others = "...[...rows.values()].map(row => row.job).filter(job => job.key !== 'made')"
    await page.value(f"show([{json.dumps(JOB)}, {others}])")
    made = "document.querySelector('li[data-key=made]')"
    assert await page.value(f"{made}.querySelector('progress').value") == 40
    assert await page.value(f"{made}.querySelector('.trouble').textContent") == JOB["trouble"]
    ended = {**JOB, "ended": JOB["started"] + 3725, "state": "succeeded", "outputs": OUTPUTS}
    await page.value(f"show([{json.dumps(ended)}, {others}])")
    assert "1 h 2 min · 3 polls" in str(await page.value(f"{made}.innerText"))
    names = f"[...{made}.querySelectorAll('.output dt')].map(dt => dt.textContent).join()"
    assert await page.value(names) == "text,plain,list,0,1,poems"
    shown = str(await page.value(f"{made}.querySelector('.output').innerText"))
    assert "{" not in shown
    assert "<b>tea</b>" in shown  # as text
    assert await page.value(f"{made}.querySelectorAll('progress, .trouble, b').length") == 0


async def check_screens(page: Page) -> None:
    """Look at it in light and dark, wide and narrow: legible, and without scrolling sideways."""
    grounds: set[object] = set()
    for scheme in ("light", "dark"):
        for width in (1280, 420, 320):
            await page.look(width, scheme)
            assert await page.value(f"document.documentElement.scrollWidth <= {width}")
            assert await page.value(f"{LOWEST} >= {CONTRAST}")
        grounds.add(await page.value("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
