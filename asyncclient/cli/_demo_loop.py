"""The demo's other side: the loop that people often write, at its own simulator.

It knows the words for a good and a bad end, and tries again after any failure, that of the start
included. It has aiohttp's own timeouts. It is written to be common, not to lose.
"""

from __future__ import annotations

import contextlib
from typing import NamedTuple, Self, TypeAlias, cast

import aiohttp
import anyio

from asyncclient._state import TaskState
from asyncclient.cli._demo_board import Board, Ended
from asyncclient.cli._demo_jobs import BOT, COPYAI_WORKFLOW, WORKFLOW, WORKSPACE, Job
from asyncclient.testing import Simulator

_DONE = {"Success", "completed", "successful", "COMPLETE"}
_FAILED = {"Fail", "failed", "FAILED"}


_Place: TypeAlias = tuple[str | int, ...]


class _Api(NamedTuple):
    """How one kind of job is started and polled."""

    start_url: str
    body: dict[str, object]
    ids_at: tuple[_Place, ...]
    poll_url: str  # with places for these ids
    status_at: _Place


class SleepLoop:
    """Starts jobs, and waits for each with `while True: sleep(1)`."""

    def __init__(self, sim: Simulator, board: Board) -> None:
        self._coze, self._copyai = sim.coze_url.rstrip("/"), sim.copyai_url.rstrip("/")
        self._headers = {
            "Authorization": f"Bearer {sim.coze_token}",
            "x-copy-ai-api-key": sim.copyai_key,
        }
        self._session = aiohttp.ClientSession()
        self._board = board

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self._session.close()

    async def run(self, job: Job) -> None:
        """Start one job, wait for it, and note how it ended and when that was known."""
        api = self._api_of(job)
        ids = await self._start(api)
        self._board.started(job, ids[0])
        status = await self._wait(api.poll_url.format(*ids), api.status_at)
        state = TaskState.SUCCEEDED if status in _DONE else TaskState.FAILED
        self._board.ended(job, Ended(state, anyio.current_time(), ""))

    async def _start(self, api: _Api) -> list[str]:
        while True:
            try:
                started = await self._ask("POST", api.start_url, api.body)
                return [str(_at(started, place)) for place in api.ids_at]
            except Exception:  # noqa: BLE001  (as people write it)
                await anyio.sleep(1)

    async def _wait(self, url: str, status_at: _Place) -> object:
        while True:
            with contextlib.suppress(Exception):  # as people write it
                status = _at(await self._ask("GET", url), status_at)
                if status in _DONE or status in _FAILED:
                    return status
            await anyio.sleep(1)

    async def _ask(self, method: str, url: str, body: object = None) -> object:
        request = self._session.request(method, url, json=body, headers=self._headers)
        async with request as answer:
            answer.raise_for_status()
            decoded: object = await answer.json()
            return decoded

    def _api_of(self, job: Job) -> _Api:
        coze, inputs = self._coze, {"topic": "tea", "simulate": job.fate}
        body: dict[str, object]
        match job.kind:
            case "workflow":
                start = f"{coze}/v1/workflow/run"
                body = {"workflow_id": WORKFLOW, "parameters": inputs, "is_async": True}
                poll = f"{coze}/v1/workflows/{WORKFLOW}/run_histories/{{}}"
                return _Api(start, body, (("execute_id",),), poll, ("data", 0, "execute_status"))
            case "chat":
                start = f"{coze}/v3/chat"
                said = {"role": "user", "content": "How is the weather?", "content_type": "text"}
                body = {"bot_id": BOT, "user_id": "demo", "additional_messages": [said]}
                body |= {"stream": False, "auto_save_history": True, "parameters": inputs}
                ids = (("data", "id"), ("data", "conversation_id"))
                poll = f"{start}/retrieve?chat_id={{}}&conversation_id={{}}"
                return _Api(start, body, ids, poll, ("data", "status"))
            case "copy":
                start = f"{coze}/v1/entities/copy_tasks"
                body = {"entity_id": job.marker, "entity_type": "workflow"}
                body |= {"to_workspace_id": WORKSPACE}
                poll = f"{start}/{{}}"
                return _Api(start, body, (("data", "task_id"),), poll, ("data", "task_status"))
            case _:
                start = f"{self._copyai}/workflow/{COPYAI_WORKFLOW}/run"
                body = {"startVariables": inputs}
                poll = f"{start}/{{}}"
                return _Api(start, body, (("data", "id"),), poll, ("data", "status"))


def _at(answer: object, place: _Place) -> object:
    for step in place:
        answer = cast("dict[str | int, object]", answer)[step]
    return answer
