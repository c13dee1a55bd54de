"""A headless browser of the system's, spoken to by its DevTools protocol."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import AsyncGenerator
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE = 60.0


def browser_path() -> str | None:
    """Return where the browser is; None when there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Page:
    """One open page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = count(1)

    async def command(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command, and return its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE):
            while True:
                answer: dict[str, Any] = await self._socket.receive_json()
                if answer.get("id") == number:
                    assert "error" not in answer, answer
                    result: dict[str, Any] = answer["result"]
                    return result

    async def value(self, script: str) -> object:
        """Return the value of an expression in the page."""
        found = await self.command("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str) -> object:
        """Wait until an expression in the page is true, and return its value."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not (value := await self.value(script)):  # noqa: ASYNC110  (another process)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            text = await self.value("document.body.innerText")
            raise AssertionError(f"not true: {script}\n{text}") from None
        return value

    async def look(self, width: int, scheme: str) -> None:
        """Give the page a width and a colour scheme."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.command("Emulation.setDeviceMetricsOverride", **size)
        media = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.command("Emulation.setEmulatedMedia", features=media)


@contextlib.asynccontextmanager
async def opened(browser: str, url: str, profile: Path) -> AsyncGenerator[Page]:
    """Open a page in a browser of its own."""
    process = await asyncio.create_subprocess_exec(
        *(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server"),
        *("--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession() as client:
            port = profile / "DevToolsActivePort"
            while not (port.exists() and "\n" in port.read_text()):  # noqa: ASYNC110  (as above)
                await asyncio.sleep(0.05)
            base = f"http://127.0.0.1:{port.read_text().split()[0]}"
            async with client.put(f"{base}/json/new?about:blank") as answer:
                debugger = str((await answer.json())["webSocketDebuggerUrl"])
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(debugger, max_msg_size=0) as socket,
        ):
            page = Page(socket)
            await page.command("Page.enable")
            await page.command("Page.navigate", url=url)
            yield page
    finally:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()
