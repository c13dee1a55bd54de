"""A simulated server of any task API: what it says when, where, and how it fails."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from typing import cast

import aiohttp
import anyio
import pytest

from asyncclient import (
    Reading,
    SessionPool,
    TaskAPI,
    TaskRef,
    Vocabulary,
    catalogue,
    errors,
    wait_until_done,
)
from asyncclient.api import APITask
from asyncclient.testing import Fault, SimulatedAPI, answer_with

WORDS = Vocabulary(
    pending="queued",
    running=["rendering", "checking"],
    blocked="asking",
    succeeded="finished",
    failed="crashed",
    cancelled="stopped",
)
FILM = Reading("studio.film", WORDS, status="data.status", source="us", checked="2026-11-29")
PATHS = {name: each for name, each in catalogue.ALL.items() if isinstance(each.status, str)}


@asynccontextmanager
async def studio_of(sim: SimulatedAPI) -> AsyncGenerator[TaskAPI]:
    """Start a simulator, and make a client of it."""
    async with sim, SessionPool() as pool:
        yield TaskAPI(pool, sim.url, name="studio", token="k")


@pytest.mark.parametrize("name", sorted(PATHS))
async def test_each_api_of_the_catalogue_is_simulated_from_its_reading_alone(name: str) -> None:
    """Of those whose word stands at a path: its tasks wait, run, and end well 5 s after a start."""
    async with studio_of(SimulatedAPI(PATHS[name], answer={"gives": "tea"})) as api:
        started = await api.post("/jobs", {})
        began = anyio.current_time()
        done = await wait_until_done(api.task(f"/jobs/{started['id']}", PATHS[name]), timeout=60)
    assert done["gives"] == "tea"
    assert anyio.current_time() - began < 15


@pytest.mark.parametrize("name", sorted(catalogue.ALL.keys() - PATHS))
def test_a_word_that_a_function_finds_cannot_be_written(name: str) -> None:
    """The error says what to do instead."""
    with pytest.raises(ValueError, match=r"write the answers of .* out, as dicts"):
        SimulatedAPI(catalogue.ALL[name])


async def test_each_word_stays_for_its_seconds() -> None:
    """By the loop's clock: an hour is over before the real one has moved."""
    sim = SimulatedAPI(
        FILM,
        start="POST /v1/films",
        poll="/v1/films/{id}",
        words=[("queued", 2.0), ("rendering", 3600.0), ("finished", None)],
        answer={"url": "{url}/films/{id}.mp4"},
    )
    async with studio_of(sim) as studio:
        started = await studio.post("/v1/films", {"topic": "tea"})
        assert started == {"id": "job-1", "data": {"status": "queued"}}
        (task,) = sim.tasks.values()
        moments = {1.5: "queued", 2: "rendering", 3601.5: "rendering", 3602: "finished"}
        for at, word in moments.items():
            await anyio.sleep(task.started + at - anyio.current_time())
            assert (await studio.get("/v1/films/job-1"))["data"]["status"] == word
        assert (await studio.get("/v1/films/job-1"))["url"] == f"{sim.url}/films/job-1.mp4"
        assert (task.polls, task.polled_done_at) == (5, task.ends_at)
        assert (task.start_marker, task.outcome) == ({"topic": "tea"}, "success")
    assert sim.requests == {"start": 1, "poll": 5}


@pytest.mark.parametrize(
    ("word", "error"),
    [
        *(
            ("crashed", errors.TaskFailed),
            ("stopped", errors.TaskCancelled),
            ("asking", errors.TaskBlocked),
        ),
        *(("rendering", errors.WaitTimeout), ("dreaming", errors.WaitTimeout)),
    ],
)
async def test_any_word_may_be_the_last(word: str, error: type[Exception]) -> None:
    """One that is no end stays for ever, known or not, and a task is done only where one is."""
    sim = SimulatedAPI(FILM, words=[("queued", 1), (word, None)])
    async with studio_of(sim) as studio:
        await studio.post("/jobs")
        with pytest.raises(error):
            await wait_until_done(studio.task("/jobs/job-1", FILM), timeout=100)
        assert sim.tasks["job-1"].is_done == (error in {errors.TaskFailed, errors.TaskCancelled})


async def test_a_function_says_how_each_task_goes() -> None:
    """From what its start sent: words, and whole answers."""

    def words(given: dict[str, int]) -> list[tuple[str | dict[str, object], float | None]]:
        if given["number"] == 2:
            return [("crashed", None)]
        return [("queued", 1), ({"data": {"status": "finished"}, "n": given["number"]}, None)]

    async with studio_of(SimulatedAPI(FILM, words=words)) as studio:
        started = [await studio.post("/jobs", {"number": number}) for number in (1, 2, 3)]
        first, second, third = (studio.task(f"/jobs/{each['id']}", FILM) for each in started)
        assert (await wait_until_done(first))["n"] == 1
        with pytest.raises(errors.TaskFailed):
            await wait_until_done(second)
        assert (await wait_until_done(third))["n"] == 3


@pytest.mark.parametrize(
    ("poll", "path", "method", "body"),
    [
        ("/jobs/{id}/state", "/jobs/job-2/state", "GET", None),
        ("get /jobs?list=1&run_id={id}", "/jobs?list=1&run_id=job-2", "GET", None),
        ("POST /query", "/query", "POST", {"id": "job-2"}),
        ("POST /query/{id}", "/query/job-2", "POST", None),
    ],
    ids=["path", "query", "body", "path of a POST"],
)
async def test_a_task_is_named_in_path_query_or_body(
    poll: str, path: str, method: str, body: object
) -> None:
    """Where it is looked at, a start's answer and its headers say."""
    answer = {"links": [{"look": "{poll}"}]}
    headers = {"Operation-Location": "{poll}"}
    sim = SimulatedAPI(FILM, poll=poll, started=answer, headers=headers, fault_share=0.2)
    async with studio_of(sim) as studio:
        await studio.post("/jobs")
        _, given, started = await studio.request("POST", "/jobs")
        where = cast("str", started["links"][0]["look"])
        assert where == given["operation-location"] == f"{sim.url}{path}"
        task = studio.task(where, FILM, method=method, body=body)
        assert (await wait_until_done(task))["id"] == "job-2"
        with pytest.raises(errors.NotFound):
            await studio.request(method, path.replace("2", "3"), body and {"id": "job-3"})


async def test_a_result_is_a_second_request() -> None:
    """It is not found before the end, and the last look has no answer."""
    sim = SimulatedAPI(FILM, result="/jobs/{id}/result", answer={"url": "a film"})
    async with studio_of(sim) as studio:
        await studio.post("/jobs")
        for path in ("/jobs/job-1/result", "/jobs/job-7/result"):
            with pytest.raises(errors.NotFound):
                await studio.get(path)
        assert "url" not in await wait_until_done(studio.task("/jobs/job-1", FILM))
        assert await studio.get("/jobs/job-1/result") == {"url": "a film"}


@pytest.mark.parametrize("cancel", ["/jobs/{id}/stop", "DELETE /jobs/{id}"])
async def test_a_cancel_ends_a_task_that_goes_on(cancel: str) -> None:
    """At once, with the vocabulary's word; one that has ended stays as it was."""
    async with studio_of(SimulatedAPI(FILM, cancel=cancel, answer={"url": "a film"})) as studio:
        tasks: list[APITask[TaskRef]] = []
        for number in (1, 2):
            await studio.post("/jobs")
            at = cancel.replace("{id}", f"job-{number}")
            tasks.append(studio.task(f"/jobs/job-{number}", FILM, cancel=at))
        assert await tasks[0].cancel() == {"id": "job-1", "data": {"status": "stopped"}}
        with pytest.raises(errors.TaskCancelled):
            await wait_until_done(tasks[0])
        assert (await wait_until_done(tasks[1])) == await tasks[1].cancel()
        nowhere = studio.task("/jobs/job-3", FILM, cancel=cancel.replace("{id}", "job-3"))
        with pytest.raises(errors.NotFound):
            await nowhere.cancel()


async def test_a_credential_may_be_asked_for() -> None:
    """Each request must have it."""
    sim = SimulatedAPI(FILM, credentials={"X-Api-Key": "k-1"})
    async with sim, SessionPool() as pool:
        make = partial(TaskAPI, pool, sim.url, name="studio")
        wrong, right = (make(headers={"X-Api-Key": key}) for key in ("k-2", "k-1"))
        with pytest.raises(errors.AuthenticationFailed):
            await wrong.post("/jobs")
        assert (await right.post("/jobs"))["id"] == "job-1"


@pytest.mark.parametrize(
    "fault", [fault for fault in Fault if fault not in {Fault.UNAUTHORIZED, Fault.NOT_FOUND}]
)
async def test_a_wait_survives_each_fault(fault: Fault) -> None:
    """Ordered for two looks; one of a start meets none of them."""
    sim = SimulatedAPI(FILM)
    is_of_starts = fault is Fault.RESET_AFTER_START
    async with studio_of(sim) as studio:
        sim.order(fault, times=2, path="" if is_of_starts else "/jobs/")
        for _ in range(2 * is_of_starts):
            with pytest.raises(errors.TransportError) as caught:
                await studio.post("/jobs")
            assert caught.value.may_have_started
        await studio.post("/jobs")
        task = studio.task(f"/jobs/job-{len(sim.tasks)}", FILM)
        await wait_until_done(task, timeout=600, poll_timeout=5)
    assert sim.faults_served == {fault.value: 2}


@pytest.mark.parametrize("name", sorted(catalogue.ALL.keys() - PATHS))
async def test_an_unknown_word_of_a_function_is_an_answer_without_one(name: str) -> None:
    """There is no other answer that a function certainly does not know."""
    end: dict[str, object] = {"processing_status": "ended", "done": True, "response": {}}
    sim = SimulatedAPI(catalogue.ALL[name], words=[(end, None)])
    async with studio_of(sim) as api:
        await api.post("/jobs")
        sim.order("unknown_word")
        seen = await api.task("/jobs/job-1", catalogue.ALL[name]).observe()
        assert (seen.word, seen.state) == (None, None)
        assert (await wait_until_done(api.task("/jobs/job-1", catalogue.ALL[name])))["done"]


async def test_what_is_not_there_is_refused() -> None:
    """A task just after its start, a path, a body that is no JSON, its own URL before it starts."""
    sim = SimulatedAPI(FILM, not_found_seconds=1)
    assert "not started" in repr(sim)
    with pytest.raises(RuntimeError, match=r"async with SimulatedAPI\(\.\.\.\)"):
        str(sim.url)
    await sim.start()
    async with SessionPool() as pool, aiohttp.ClientSession() as session:
        studio = TaskAPI(pool, sim.url, name="studio")
        await studio.post("/jobs")
        with pytest.raises(errors.NotFound, match="no such task"):
            await studio.get("/jobs/job-1")
        with pytest.raises(errors.NotFound, match="no such path"):
            await studio.get("/v7")
        async with session.post(f"{sim.url}/jobs", data=b"{") as answer:
            assert (answer.status, "error" in await answer.json()) == (400, True)
        await anyio.sleep(1)
        assert (await studio.get("/jobs/job-1"))["id"] == "job-1"
    await sim.close()
    assert f"{sim.url}, 1 tasks" in repr(sim)


def test_what_cannot_be_is_said_before_anything_listens() -> None:
    """With the argument's name."""
    film = partial(SimulatedAPI, FILM)
    for make, words in (
        (partial(film, words=[]), "words is empty"),
        (partial(film, words=[("queued", None), ("x", None)]), "see 'queued'"),
        (partial(film, words=[("x", 1)]), "see 'x'"),
        (partial(film, words=[("x", cast("float", "1")), ("y", None)]), "a number of seconds"),
        (partial(film, words=[("x", 0), ("y", None)]), "more than 0 seconds"),
        (partial(SimulatedAPI, cast("Reading", "film")), "reading must be a Reading, not str"),
        (partial(film, poll="https://films/7"), "GET /v1/jobs"),
        (partial(film, start="v1/jobs"), "POST /v1/jobs"),
        (partial(SimulatedAPI, catalogue.LUMA_GENERATION, cancel="/stop"), "no word for cancelled"),
    ):
        with pytest.raises((TypeError, ValueError), match=words):
            make()


def test_a_word_of_one_place_may_have_a_slash() -> None:
    """Only where several places are read is it a joined word."""
    for word in ("in/work", "finished", 7, True):
        assert answer_with(FILM, word) == {"data": {"status": word}}
