"""Coze's documents: how their processing stands (page `get_dataset_progress`)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from aiohttp import web

from asyncclient.testing.simulator.coze_answers import CozeAnswers
from asyncclient.testing.simulator.server import Call, Endpoint, Route
from asyncclient.testing.simulator.tasks import SimulatedTask, World

DOCUMENT = "coze.document"

_PROCESSING, _DONE, _FAILED = 0, 1, 9


class _Body(msgspec.Struct):
    document_ids: Annotated[list[str], msgspec.Meta(min_length=1)]


class CozeDocuments:
    """The routes of documents. The processing of one begins when it is first asked for."""

    def __init__(self, world: World, coze: CozeAnswers) -> None:
        self._world = world
        self._coze = coze

    def routes(self) -> Iterator[Route]:
        """Return the one operation."""
        path = "/v1/datasets/{dataset_id}/process"
        yield Endpoint("coze.documents", "POST", path, "poll"), self._progress

    async def _progress(self, call: Call) -> web.Response:
        body = call.decode(_Body)
        dataset = call.path("dataset_id")
        found = [self._document(each, dataset) for each in body.document_ids]
        return self._coze.data({"data": [_shown(call, each) for each in found]})

    def _document(self, document_id: str, dataset: str) -> SimulatedTask:
        known = self._world.tasks.get(document_id)
        if known is not None and (known.kind, known.place) == (DOCUMENT, dataset):
            return known
        return self._coze.start_named(
            DOCUMENT, document_id, task_id=document_id, place=dataset, start_marker={}
        )


def _shown(call: Call, task: SimulatedTask) -> dict[str, Any]:
    failed, is_done = task.outcome == "fail", task.is_done
    word, is_done = call.show(
        task, (_FAILED if failed else _DONE) if is_done else _PROCESSING, is_done=is_done
    )
    document: dict[str, Any] = {
        "document_id": task.id,
        "document_name": f"{task.id}.txt",
        "status": word,
        "progress": 100 if is_done else int(99 * task.share),
        "remaining_time": 0 if is_done else math.ceil(task.seconds * (1 - task.share)),
        "type": "txt",
        "size": 171_340,
        "update_type": 0,
        "update_interval": 0,
        "url": f"https://example.com/{task.id}.txt",
    }
    return document | ({"status_descript": "The file has no text."} if is_done and failed else {})
