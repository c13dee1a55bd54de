"""The examples of APIs of the catalogue, each against a small server of that API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

import pytest
from any_api.assemblyai_transcript import transcribe
from any_api.azure_document import READ, read_document
from any_api.databricks_run import run_job
from any_api.fal_picture import draw as draw_by_fal
from any_api.replicate_picture import MODEL, draw as draw_by_replicate

from asyncclient import catalogue
from asyncclient.errors import TaskFailed
from asyncclient.testing import SimulatedAPI
from asyncclient.testing.simulator.any_api import Words


class Example(NamedTuple):
    """One of them, what plays its API, what it sends there, and the word of a failure."""

    run: Callable[[str], Awaitable[str]]
    play: Callable[[Words | None, float], SimulatedAPI]
    sent: dict[str, object]
    failure: str


def replicate(words: Words | None, faults: float) -> SimulatedAPI:
    """Play Replicate."""
    urls = {"get": "{poll}", "cancel": "{poll}/cancel"}
    return SimulatedAPI(
        catalogue.REPLICATE_PREDICTION,
        start=f"POST {MODEL}",
        poll="/v1/predictions/{id}",
        cancel="/v1/predictions/{id}/cancel",
        started={"id": "{id}", "status": "starting", "urls": urls},
        answer={"output": ["tea"]},
        credentials={"Authorization": "Bearer k-1"},
        words=words,
        fault_share=faults,
    )


def fal(words: Words | None, faults: float) -> SimulatedAPI:
    """Play fal."""
    request = "{url}/fal-ai/flux/requests/{id}"
    return SimulatedAPI(
        catalogue.FAL_REQUEST,
        start="POST /fal-ai/flux/schnell",
        poll="/fal-ai/flux/requests/{id}/status",
        result="/fal-ai/flux/requests/{id}",
        started={"request_id": "{id}", "status_url": "{poll}", "response_url": request},
        answer={"images": [{"url": "tea"}]},
        credentials={"Authorization": "Key k-1"},
        words=words,
        fault_share=faults,
    )


def assemblyai(words: Words | None, faults: float) -> SimulatedAPI:
    """Play AssemblyAI."""
    return SimulatedAPI(
        catalogue.ASSEMBLYAI_TRANSCRIPT,
        start="POST /v2/transcript",
        poll="/v2/transcript/{id}",
        answer={"text": "tea"},
        credentials={"Authorization": "k-1"},
        words=words,
        fault_share=faults,
    )


def databricks(words: Words | None, faults: float) -> SimulatedAPI:
    """Play Databricks, whose last look names the runs of a job's tasks."""
    end: dict[str, object] = {
        "state": {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS"}
    }
    half_an_hour: Words = [("RUNNING", 1800.0), (end | {"tasks": [{"run_id": "{id}"}]}, None)]
    return SimulatedAPI(
        catalogue.DATABRICKS_RUN,
        start="POST /api/2.1/jobs/run-now",
        poll="/api/2.1/jobs/runs/get?run_id={id}",
        result="/api/2.1/jobs/runs/get-output",
        started={"run_id": "{id}"},
        answer={"notebook_output": {"result": "tea"}},
        credentials={"Authorization": "Bearer k-1"},
        words=words or half_an_hour,
        fault_share=faults,
    )


def azure(words: Words | None, faults: float) -> SimulatedAPI:
    """Play Azure, which asks for a pause of 2 s between looks."""
    return SimulatedAPI(
        catalogue.AZURE_OPERATION,
        start=f"POST {READ}",
        poll="/documentintelligence/documentModels/prebuilt-read/analyzeResults/{id}",
        started={},
        headers={"Operation-Location": "{poll}?api-version=2024-11-30", "Retry-After": "2"},
        answer={"analyzeResult": {"content": "tea"}},
        credentials={"Ocp-Apim-Subscription-Key": "k-1"},
        words=words,
        fault_share=faults,
    )


async def run_replicate(url: str) -> str:
    """Run the example of Replicate."""
    return await draw_by_replicate("tea", token="k-1", base_url=url)


async def run_fal(url: str) -> str:
    """Run the example of fal."""
    return await draw_by_fal("tea", key="k-1", base_url=url)


async def run_assemblyai(url: str) -> str:
    """Run the example of AssemblyAI."""
    return await transcribe("https://tea", key="k-1", base_url=url)


async def run_databricks(url: str) -> str:
    """Run the example of Databricks."""
    return await run_job(7, host=url, token="k-1")


async def run_azure(url: str) -> str:
    """Run the example of Azure."""
    return await read_document("https://tea", endpoint=url, key="k-1")


EXAMPLES = {
    "replicate": Example(run_replicate, replicate, {"input": {"prompt": "tea"}}, "failed"),
    "fal": Example(run_fal, fal, {"prompt": "tea"}, "COMPLETED/error"),
    "assemblyai": Example(run_assemblyai, assemblyai, {"audio_url": "https://tea"}, "error"),
    "databricks": Example(run_databricks, databricks, {"job_id": 7}, "TERMINATED/FAILED"),
    "azure": Example(run_azure, azure, {"urlSource": "https://tea"}, "Failed"),
}

each = pytest.mark.parametrize("name", EXAMPLES)


@each
async def test_an_example_starts_waits_and_reads_the_result(name: str) -> None:
    """Through looks that fail; one start is sent."""
    example = EXAMPLES[name]
    async with example.play(None, 0.3) as sim:
        assert await example.run(sim.url) == "tea"
        (task,) = sim.tasks.values()
        assert task.start_marker == example.sent
        assert sim.requests["start"] == 1
        assert sim.requests["unknown_path"] == 0


@each
async def test_an_example_raises_what_the_api_says_of_a_failure(name: str) -> None:
    """By the word that the API has for it, in one field or in two."""
    example = EXAMPLES[name]
    async with example.play([(example.failure, None)], 0.0) as sim:
        with pytest.raises(TaskFailed) as caught:
            await example.run(sim.url)
    assert caught.value.snapshot.word == example.failure
