"""The simulator itself: its clock, its faults, its limits, going down, coming back, closing."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from typing import Any, cast

import aiohttp
import anyio
import msgspec
import pytest

from asyncclient.testing import Fault, Simulator
from asyncclient.testing.simulator.tasks import usual_duration
from tests.testing.conftest import CopyAIClient, CozeClient, asking

Both = tuple[CozeClient | CopyAIClient, ...]


async def until_served(sim: Simulator, times: int) -> None:
    """Wait until this many faults were served."""
    while sim.faults_served.total() < times:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


async def test_a_task_ends_when_its_seconds_have_passed(coze: CozeClient) -> None:
    """A task is running just before its end and done at it, by the loop's clock alone."""
    path = await coze.started(seconds=3600)
    (task,) = coze.sim.tasks.values()
    await asyncio.sleep(3599)
    assert (await coze.record(path))["execute_status"] == "Running"
    assert task.finished_at is None
    await asyncio.sleep(1)
    record = await coze.record(path)
    assert record["execute_status"] == "Success"
    assert record["update_time"] - record["create_time"] == 3600
    assert task.finished_at == task.ends_at == task.started + 3600
    assert (task.polls, task.polled_done_at) == (2, task.started + 3600)


async def test_chance_comes_from_the_seed_alone() -> None:
    """The seed decides durations, 2 s in the mean, and outcomes; an order changes one task's."""

    async def fates(sim: Simulator, *orders: dict[str, Any]) -> list[tuple[float, str]]:
        async with asking(sim) as (coze, _):
            for order in orders:
                await coze.start(**order)
            return [(task.seconds, task.outcome) for task in sim.tasks.values()]

    def of(seed: int) -> Simulator:
        return Simulator(seed=seed, fail_share=0.3, interrupt_share=0.3)

    free: dict[str, Any] = {}
    first = await fates(of(1), *[free] * 20)
    assert first == await fates(of(1), *[free] * 20)
    assert first != await fates(of(2), *[free] * 20)
    assert {outcome for _, outcome in first} == {"success", "fail", "interrupt"}
    assert first[1:] == (await fates(of(1), {"seconds": 1, "outcome": "fail"}, *[free] * 19))[1:]
    assert await fates(Simulator(durations=lambda _: 7.0), free) == [(7.0, "success")]
    rng = random.Random(0)
    drawn = [usual_duration(rng) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(2.0, rel=0.02)


async def test_ordered_words_are_shown_first_one_a_poll(
    coze: CozeClient, copyai: CopyAIClient
) -> None:
    """Ordered words replace the status in turn, null leaves it out, then the real one shows."""
    order: dict[str, object] = {"seconds": 0, "words": ["Queued", None]}
    run, job = await coze.started(**order), await copyai.started(**order)
    chat = await coze.chat(**order)
    for words in (("Queued",) * 3, (None,) * 3, ("Success", "COMPLETE", "completed")):
        assert (await coze.record(run)).get("execute_status") == words[0]
        assert (await copyai.record(job)).get("status") == words[1]
        assert (await coze.retrieve(chat)).get("status") == words[2]


async def test_starts_are_counted_by_marker(coze: CozeClient, copyai: CopyAIClient) -> None:
    """One given at two starts counts two, and the task keeps it; a misspelt order is refused."""
    answer = await coze.start(secnods=1)
    assert (answer["code"], "secnods" in answer["msg"], coze.sim.tasks) == (4000, True, {})
    await coze.start(marker="abc")
    # The page's table calls parameters a string: both ways start the same run.
    as_text = {"workflow_id": "1", "parameters": '{"simulate":{"marker":"abc"}}'}
    await coze.post("/v1/workflow/run", as_text)
    await copyai.started(marker="xyz")
    assert coze.sim.starts == {"abc": 2, "xyz": 1}
    (task, *_) = coze.sim.tasks.values()
    assert task.start_marker == {"topic": "tea", "simulate": {"marker": "abc"}}


async def test_a_fresh_task_is_not_to_be_found_yet() -> None:
    """Within the lag after its start a task answers as an unknown one does."""
    async with asking(Simulator(not_found_seconds=5.0)) as (coze, copyai):
        run, job = await coze.started(seconds=60), await copyai.started(seconds=60)
        assert (await coze.get(run))["code"] == 4314
        assert await copyai.get(job) == {"status": "error", "errorCode": "NOT_FOUND"}
        assert copyai.status == 404
        await asyncio.sleep(5)
        await coze.record(run)
        await copyai.record(job)


JSON, TEXT, HTML = "application/json", "text/plain", "text/html"


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Fault.HTML_502, ((502, HTML), (502, HTML))),
        (Fault.HTML_504, ((504, HTML), (504, HTML))),
        (Fault.RATE_LIMITED, ((429, JSON), (429, TEXT))),
        (Fault.RATE_LIMITED_DATE, ((429, JSON), (429, TEXT))),
        (Fault.UNAVAILABLE, ((503, TEXT), (503, TEXT))),
        (Fault.NOT_FOUND, ((200, JSON), (404, JSON))),
        (Fault.UNAUTHORIZED, ((401, JSON), (401, ""))),
        (Fault.BUSY, ((200, JSON), (503, TEXT))),
        (Fault.EMPTY_200, ((200, JSON), (200, JSON))),
    ],
)
async def test_a_fault_answers_as_the_provider_would(
    fault: Fault, expected: tuple[tuple[int, str], ...], clients: Both
) -> None:
    """Its status and kind of body; a limit says when to come back in seconds or as a date."""
    for client, answer in zip(clients, expected, strict=True):
        path = await client.started()
        client.sim.order(fault.value)
        await client.get(path)
        assert (client.status, client.kind) == answer
        assert ("X-Tt-Logid" in client.headers) == (b'"logid"' in client.body)
        hint = client.headers.get("Retry-After")
        if fault is Fault.RATE_LIMITED_DATE:
            until = parsedate_to_datetime(hint or "")
            seconds = (until - parsedate_to_datetime(client.headers["Date"])).total_seconds()
            assert 1 <= seconds <= 2
        else:
            assert hint == ("1" if fault is Fault.RATE_LIMITED else None)


async def test_a_stall_lasts_until_the_client_leaves_and_holds_up_no_one() -> None:
    """A stalled request gets nothing, other requests are served, and closing does not wait."""
    sim = Simulator()
    async with asking(sim) as (coze, _):
        path = await coze.started()
        sim.order(Fault.STALL, times=2)
        with pytest.raises(TimeoutError):
            await coze.ask("GET", path, seconds=50)
        stalled = asyncio.create_task(coze.get(path))
        await until_served(sim, 2)
        await coze.record(path)
        before = anyio.current_time()
        await sim.close()
        assert anyio.current_time() == before
        with pytest.raises(aiohttp.ClientError):
            await stalled


async def test_the_last_word_counts_as_shown_only_if_it_left_whole(coze: CozeClient) -> None:
    """Not by an answer that is cut off, nor by one whose status alone is in no vocabulary."""
    path = await coze.started(seconds=0)
    for fault in (Fault.TRUNCATE, Fault.UNDECODABLE):
        coze.sim.order(fault)
        with pytest.raises((aiohttp.ClientPayloadError, msgspec.DecodeError)):
            await coze.get(path)
    coze.sim.order(Fault.UNKNOWN_WORD)
    record = await coze.record(path)
    assert record["execute_status"] not in {"Running", "Success", "Fail", "Cancel"}
    assert record["output"] == '{"Output":"null"}'
    (task,) = coze.sim.tasks.values()
    assert (task.polls, task.polled_done_at) == (3, None)
    assert (await coze.record(path))["execute_status"] == "Success"
    assert task.polled_done_at is not None


@pytest.mark.parametrize(
    ("fault", "started"), [(Fault.RESET, 0), (Fault.RESET_AFTER_START, 1), (Fault.TRUNCATE, 1)]
)
async def test_a_start_is_lost_before_or_after_it_happened(
    fault: Fault, started: int, coze: CozeClient
) -> None:
    """The answer to a start is lost either way; whether it started is up to the fault."""
    path = await coze.started()
    coze.sim.order(fault)
    if fault is Fault.RESET_AFTER_START:
        await coze.record(path)  # it only makes sense for starts, and lets polls pass
    with pytest.raises(aiohttp.ClientError):
        await coze.start(marker="abc")
    assert coze.sim.starts["abc"] == started


async def test_an_order_for_a_path_meets_only_that_path(
    coze: CozeClient, copyai: CopyAIClient
) -> None:
    """In the order of the orders; one that is impossible is an error at once."""
    run, job = await coze.started(), await copyai.started()
    coze.sim.order("html_502", path="/run_histories/")
    coze.sim.order("unavailable", times=2)
    await copyai.get(job)
    assert copyai.status == 503
    for status in (502, 503, 200):
        await coze.get(run)
        assert coze.status == status
    for fault, times, words in (("no_such_fault", 1, "no_such_fault"), ("reset", 0, "times=0")):
        with pytest.raises(ValueError, match=words):
            coze.sim.order(fault, times=times)
    with pytest.raises(TypeError, match="times must be a whole number"):
        coze.sim.order("reset", times=cast("int", 1.5))


async def test_random_faults_meet_polls_and_never_starts() -> None:
    """About the given share of polls goes wrong in transient ways, every start goes well."""
    sim = Simulator(fault_share=0.3, durations=lambda _: 1e6)
    async with asking(sim) as (coze, _):
        paths = [await coze.started() for _ in range(30)]
        assert not sim.faults_served
        results = await asyncio.gather(
            *(coze.get(path) for path in paths * 5), return_exceptions=True
        )
        assert 25 <= sim.faults_served.total() <= 70
        assert not sim.faults_served.keys() & {"stall", "not_found", "unauthorized"}
        assert sum(isinstance(result, BaseException) for result in results) >= 3


@pytest.mark.parametrize("name", ["fault_share", "fail_share", "interrupt_share"])
def test_a_share_is_from_none_to_all(name: str) -> None:
    """Percent are refused: every poll would meet a fault, or every task fail."""
    simulator = cast("Callable[..., Simulator]", Simulator)
    for share in (0, 0.5, 1):
        simulator(**{name: share})
    for wrong in (5, -0.1, math.nan):
        with pytest.raises(ValueError, match=f"^{name}="):
            simulator(**{name: wrong})
    for name_of, text in ((name, "0.5"), ("not_found_seconds", "3")):
        with pytest.raises(TypeError, match=f"^{name_of} must be a number"):
            simulator(**{name_of: text})


async def test_a_plan_limits_starts_and_polls_together() -> None:
    """Past 100 requests within a second the group gets 429s, and another group none."""
    async with asking(Simulator(plan="personal")) as (coze, _):
        path = await coze.started(seconds=60)
        statuses: list[int] = []
        for _ in range(102):
            await coze.get(path)
            statuses.append(coze.status)
        assert statuses == [200] * 99 + [429] * 3
        assert coze.sim.requests["coze.429"] == 3
        await coze.chat()
        await asyncio.sleep(1)
        await coze.record(path)


async def test_the_server_goes_down_and_comes_back_with_its_state(coze: CozeClient) -> None:
    """Down, connections are reset and refused; up again, the same URL knows the same task."""
    sim = coze.sim
    path = await coze.started(seconds=5)
    sim.order(Fault.STALL)
    pending = asyncio.create_task(coze.start())
    await until_served(sim, 1)
    await sim.stop_listening()
    with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
        await pending
    with pytest.raises(aiohttp.ClientConnectorError):
        await coze.get(path)
    await sim.stop_listening()
    await asyncio.sleep(5)
    await sim.listen_again()
    await sim.listen_again()
    assert (await coze.record(path))["execute_status"] == "Success"


async def test_closing_leaves_nothing_behind() -> None:
    """After closing no task of the loop is pending, even with requests under way."""
    before = asyncio.all_tasks()
    sim = Simulator()
    async with asking(sim) as (coze, _):
        runs = [asyncio.create_task(coze.run(seconds=80)) for _ in range(5)]
        while len(sim.tasks) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await sim.close()
        lost = await asyncio.gather(*runs, return_exceptions=True)
    assert all(isinstance(error, aiohttp.ClientError) for error in lost)
    assert asyncio.all_tasks() == before


async def test_requests_are_counted_by_operation(coze: CozeClient, copyai: CopyAIClient) -> None:
    """Every request counts for its operation, and one to nowhere as such."""
    await coze.get(await coze.started())
    await copyai.get(await copyai.started())
    assert (await coze.get("/v1/nowhere"))["code"] == 4000
    await copyai.get("nowhere")
    assert (coze.status, copyai.status) == (404, 404)
    once = dict.fromkeys(("coze.run", "coze.run_histories", "copyai.run", "copyai.get_run"), 1)
    assert coze.sim.requests == {**once, "unknown_path": 2}


async def test_a_simulator_says_where_it_is() -> None:
    """Its URLs are loopback, its repr names them, and before the start there are none."""
    sim = Simulator()
    assert "not started" in repr(sim)
    with pytest.raises(RuntimeError, match="async with"):
        _ = sim.coze_url
    async with sim:
        assert sim.coze_url.startswith("http://127.0.0.1:")
        assert sim.copyai_url.endswith("/api/")
        assert sim.coze_url in repr(sim)
        with pytest.raises(RuntimeError, match="already"):
            await sim.start()
        port = int(sim.coze_url.rpartition(":")[2])
        for start in (Simulator().start(coze_port=port), Simulator().start(copyai_port=port)):
            with pytest.raises(OSError, match="in use"):
                await start
