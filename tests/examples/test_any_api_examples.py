"""The examples of APIs of the catalogue, each against a small server of that API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from any_api.assemblyai_transcript import transcribe
from any_api.azure_document import READ, read_document
from any_api.databricks_run import run_job
from any_api.fal_picture import draw as draw_by_fal
from any_api.replicate_picture import MODEL, draw as draw_by_replicate

from asyncclient import Reading, catalogue
from asyncclient.errors import TaskFailed
from asyncclient.testing import SimulatedAPI
from asyncclient.testing.simulator.any_api import Words


@dataclass(frozen=True)
class _Example:
    """One of them: what it sends, the word of a failure, and how its API is played."""

    run: Callable[[str], Awaitable[str]]
    sent: dict[str, object]
    failure: str
    reading: Reading
    credential: tuple[str, str]
    api: dict[str, Any]
    words: Words | None = None

    def play(self, words: Words | None, fault_share: float) -> SimulatedAPI:
        return SimulatedAPI(
            self.reading,
            credentials=dict([self.credential]),
            words=words or self.words,
            fault_share=fault_share,
            **self.api,
        )


DATABRICKS_END = {
    "state": {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS"},
    "tasks": [{"run_id": "{id}"}],
}
EXAMPLES = {
    "replicate": _Example(
        lambda url: draw_by_replicate("tea", token="k-1", base_url=url),
        {"input": {"prompt": "tea"}},
        "failed",
        catalogue.REPLICATE_PREDICTION,
        ("Authorization", "Bearer k-1"),
        {
            "start": f"POST {MODEL}",
            "poll": "/v1/predictions/{id}",
            "cancel": "/v1/predictions/{id}/cancel",
            "started": {
                "id": "{id}",
                "status": "starting",
                "urls": {"get": "{poll}", "cancel": "{poll}/cancel"},
            },
            "answer": {"output": ["tea"]},
        },
    ),
    "fal": _Example(
        lambda url: draw_by_fal("tea", key="k-1", base_url=url),
        {"prompt": "tea"},
        "COMPLETED/error",
        catalogue.FAL_REQUEST,
        ("Authorization", "Key k-1"),
        {
            "start": "POST /fal-ai/flux/schnell",
            "poll": "/fal-ai/flux/requests/{id}/status",
            "result": "/fal-ai/flux/requests/{id}",
            "started": {
                "request_id": "{id}",
                "status_url": "{poll}",
                "response_url": "{url}/fal-ai/flux/requests/{id}",
            },
            "answer": {"images": [{"url": "tea"}]},
        },
    ),
    "assemblyai": _Example(
        lambda url: transcribe("https://tea", key="k-1", base_url=url),
        {"audio_url": "https://tea"},
        "error",
        catalogue.ASSEMBLYAI_TRANSCRIPT,
        ("Authorization", "k-1"),
        {"start": "POST /v2/transcript", "poll": "/v2/transcript/{id}", "answer": {"text": "tea"}},
    ),
    # Its last look names the runs of a job's tasks.
    "databricks": _Example(
        lambda url: run_job(7, host=url, token="k-1"),
        {"job_id": 7},
        "TERMINATED/FAILED",
        catalogue.DATABRICKS_RUN,
        ("Authorization", "Bearer k-1"),
        {
            "start": "POST /api/2.1/jobs/run-now",
            "poll": "/api/2.1/jobs/runs/get?run_id={id}",
            "result": "/api/2.1/jobs/runs/get-output",
            "started": {"run_id": "{id}"},
            "answer": {"notebook_output": {"result": "tea"}},
        },
        [("RUNNING", 1800.0), (DATABRICKS_END, None)],
    ),
    # It asks for a pause of 2 s between looks.
    "azure": _Example(
        lambda url: read_document("https://tea", endpoint=url, key="k-1"),
        {"urlSource": "https://tea"},
        "Failed",
        catalogue.AZURE_OPERATION,
        ("Ocp-Apim-Subscription-Key", "k-1"),
        {
            "start": f"POST {READ}",
            "poll": "/documentintelligence/documentModels/prebuilt-read/analyzeResults/{id}",
            "started": {},
            "headers": {"Operation-Location": "{poll}?api-version=2024-11-30", "Retry-After": "2"},
            "answer": {"analyzeResult": {"content": "tea"}},
        },
    ),
}
each = pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)


@each
async def test_an_example_starts_waits_and_reads_the_result(example: _Example) -> None:
    """Through looks that fail; one start is sent."""
    async with example.play(None, 0.3) as sim:
        assert await example.run(sim.url) == "tea"
        (task,) = sim.tasks.values()
        assert task.start_marker == example.sent
        assert sim.requests["start"] == 1
        assert sim.requests["unknown_path"] == 0


@each
async def test_an_example_raises_what_the_api_says_of_a_failure(example: _Example) -> None:
    """By the word that the API has for it, in one field or in two."""
    async with example.play([(example.failure, None)], 0.0) as sim:
        with pytest.raises(TaskFailed) as caught:
            await example.run(sim.url)
    assert caught.value.snapshot.word == example.failure
