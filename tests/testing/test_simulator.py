"""The simulator itself: its clock, its faults, its limits, going down, coming back, closing."""

from __future__ import annotations

import asyncio
import random
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import aiohttp
import msgspec
import pytest

from asyncclient.testing import Fault, Simulator
from asyncclient.testing.simulator.tasks import usual_duration

pytestmark = pytest.mark.anyio

_GOOD = {"Authorization": "Bearer pat_simulator", "x-copy-ai-api-key": "simulator-key"}


class _Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


async def _ask(
    method: str,
    url: str,
    json: object = None,
    headers: dict[str, str] = _GOOD,
    seconds: float = 100,
) -> _Answer:
    timeout = aiohttp.ClientTimeout(total=seconds)
    async with (
        aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
        session.request(method, url, json=json) as response,
    ):
        return _Answer(response.status, dict(response.headers), await response.read())


async def _start(sim: Simulator, **simulate: object) -> str:
    """Start a Coze run and return the URL of its history."""
    body = {"workflow_id": "7350", "is_async": True, "parameters": {"simulate": simulate}}
    answer = await _ask("POST", f"{sim.coze_url}/v1/workflow/run", body)
    return f"{sim.coze_url}/v1/workflows/7350/run_histories/{answer.json['execute_id']}"


async def _start_copyai(sim: Simulator, **simulate: object) -> str:
    """Start a Copy.ai run and return its URL."""
    url = f"{sim.copyai_url}workflow/WCFG-1/run"
    answer = await _ask("POST", url, {"startVariables": {"simulate": simulate}})
    return f"{url}/{answer.json['data']['id']}"


async def test_a_task_ends_when_its_seconds_have_passed() -> None:
    """A task is running just before its end and done at it, by the loop's clock alone."""
    async with Simulator() as sim:
        url = await _start(sim, seconds=3600)
        (task,) = sim.tasks.values()
        await asyncio.sleep(3599)
        assert (await _ask("GET", url)).json["data"][0]["execute_status"] == "Running"
        assert task.finished_at is None
        await asyncio.sleep(1)
        record = (await _ask("GET", url)).json["data"][0]
        assert record["execute_status"] == "Success"
        assert record["update_time"] - record["create_time"] == 3600
        assert task.finished_at == task.ends_at == task.started + 3600
        assert (task.polls, task.polled_done_at) == (2, task.started + 3600)


async def test_the_seed_decides_durations_and_outcomes() -> None:
    """Two simulators with the same seed draw the same fates, another seed draws others."""

    async def fates(seed: int) -> list[tuple[float, str]]:
        async with Simulator(seed=seed, fail_share=0.3, interrupt_share=0.3) as sim:
            for _ in range(20):
                await _start(sim)
            return [(task.seconds, task.outcome) for task in sim.tasks.values()]

    first = await fates(1)
    assert first == await fates(1)
    assert first != await fates(2)
    assert {outcome for _, outcome in first} == {"success", "fail", "interrupt"}


async def test_an_order_leaves_the_fates_of_other_tasks_as_they_were() -> None:
    """A task with an ordered fate does not change what the next task draws."""

    async def second(**simulate: object) -> float:
        async with Simulator() as sim:
            await _start(sim, **simulate)
            await _start(sim)
            return list(sim.tasks.values())[1].seconds

    assert await second() == await second(seconds=1, outcome="fail")


async def test_usual_durations_have_a_mean_of_two_seconds() -> None:
    """The default durations are log-normal with a mean of about 2 s, and a caller's are used."""
    rng = random.Random(0)
    drawn = [usual_duration(rng) for _ in range(20_000)]
    assert sum(drawn) / len(drawn) == pytest.approx(2.0, rel=0.02)
    async with Simulator(durations=lambda _: 7.0) as sim:
        await _start(sim)
        assert [task.seconds for task in sim.tasks.values()] == [7.0]


async def test_ordered_words_are_shown_first_one_a_poll() -> None:
    """Ordered words replace the status in turn, null leaves it out, then the real one shows."""
    async with Simulator() as sim:
        url = await _start(sim, seconds=0, words=["Queued", None])
        shown = [(await _ask("GET", url)).json["data"][0].get("execute_status") for _ in range(3)]
        assert shown == ["Queued", None, "Success"]


async def test_a_misspelt_order_is_refused() -> None:
    """An order that is not understood is an error of the request, not silently dropped."""
    async with Simulator() as sim:
        body = {"workflow_id": "1", "parameters": {"simulate": {"secnods": 1}}}
        answer = await _ask("POST", f"{sim.coze_url}/v1/workflow/run", body)
        assert answer.json["code"] == 4000
        assert "secnods" in answer.json["msg"]
        assert not sim.tasks


async def test_starts_are_counted_by_marker() -> None:
    """A marker given at two starts counts two, and the task keeps what the caller gave."""
    async with Simulator() as sim:
        await _start(sim, marker="abc")
        await _start(sim, marker="abc")
        await _start_copyai(sim, marker="xyz")
        assert sim.starts == {"abc": 2, "xyz": 1}
        assert next(iter(sim.tasks.values())).start_marker == {"simulate": {"marker": "abc"}}


async def test_a_fresh_task_is_not_to_be_found_yet() -> None:
    """Within the lag after its start a task answers as an unknown one does."""
    async with Simulator(not_found_seconds=5.0) as sim:
        coze, copyai = await _start(sim, seconds=60), await _start_copyai(sim, seconds=60)
        assert (await _ask("GET", coze)).json["code"] == 4314
        late = await _ask("GET", copyai)
        assert (late.status, late.json) == (404, {"status": "error", "errorCode": "NOT_FOUND"})
        await asyncio.sleep(5)
        assert (await _ask("GET", coze)).json["code"] == 0
        assert (await _ask("GET", copyai)).status == 200


@pytest.mark.parametrize("start", [_start, _start_copyai])
@pytest.mark.parametrize("fault", [Fault.RESET, Fault.RESET_MID_BODY, Fault.TRUNCATE])
async def test_a_broken_connection_is_broken_on_the_socket(fault: Fault, start: Any) -> None:
    """Faults of the connection reach the client as such, and only as often as ordered."""
    async with Simulator() as sim:
        url = await start(sim)
        # A GET that is reset before any answer is repeated by aiohttp itself, once.
        times, error = (
            (2, aiohttp.ClientOSError) if fault is Fault.RESET else (1, aiohttp.ClientPayloadError)
        )
        sim.order(fault, times=times)
        with pytest.raises(error):
            await _ask("GET", url)
        assert (await _ask("GET", url)).status == 200
        assert sim.faults_served == {fault.value: times}


@pytest.mark.parametrize(
    ("fault", "coze", "copyai"),
    [
        (Fault.HTML_502, (502, "text/html"), (502, "text/html")),
        (Fault.HTML_504, (504, "text/html"), (504, "text/html")),
        (Fault.RATE_LIMITED, (429, "application/json"), (429, "text/plain")),
        (Fault.UNAVAILABLE, (503, "text/plain"), (503, "text/plain")),
        (Fault.NOT_FOUND, (200, "application/json"), (404, "application/json")),
        (Fault.UNAUTHORIZED, (401, "application/json"), (401, "")),
        (Fault.BUSY, (200, "application/json"), (503, "text/plain")),
        (Fault.EMPTY_200, (200, "application/json"), (200, "application/json")),
        (Fault.UNDECODABLE, (200, "application/json"), (200, "application/json")),
    ],
)
async def test_a_fault_answers_as_the_provider_would(
    fault: Fault, coze: tuple[int, str], copyai: tuple[int, str]
) -> None:
    """Each fault that answers has the status and the kind of body of its provider."""
    async with Simulator() as sim:
        for url, expected in ((await _start(sim), coze), (await _start_copyai(sim), copyai)):
            sim.order(fault.value)
            answer = await _ask("GET", url)
            kind = answer.headers.get("Content-Type", "").partition(";")[0]
            assert (answer.status, kind) == expected
            assert ("X-Tt-Logid" in answer.headers) == (b'"logid"' in answer.body)


async def test_bodies_of_faults_say_what_is_wrong() -> None:
    """Coze's codes, an empty and a cut body, and a gateway's page are what they say they are."""
    async with Simulator() as sim:
        url = await _start(sim)
        for fault, code in (("not_found", 4314), ("unauthorized", 700012006), ("busy", 4009)):
            sim.order(fault)
            assert (await _ask("GET", url)).json["code"] == code
        sim.order("empty_200")
        assert (await _ask("GET", url)).body == b""
        sim.order("html_504")
        assert b"Powered by Tengine" in (await _ask("GET", url)).body
        sim.order("undecodable")
        with pytest.raises(msgspec.DecodeError):
            _ = (await _ask("GET", url)).json


async def test_a_limit_says_when_to_come_back() -> None:
    """A 429 says so in seconds or as a date shortly after the answer's own."""
    async with Simulator() as sim:
        url = await _start(sim)
        sim.order(Fault.RATE_LIMITED)
        assert (await _ask("GET", url)).headers["Retry-After"] == "1"
        sim.order(Fault.RATE_LIMITED_DATE)
        headers = (await _ask("GET", url)).headers
        until, sent = (parsedate_to_datetime(headers[name]) for name in ("Retry-After", "Date"))
        assert 1 <= (until - sent).total_seconds() <= 2


async def test_a_stall_lasts_until_the_client_leaves_and_holds_up_no_one() -> None:
    """A stalled request gets nothing, other requests are served, and closing does not wait."""
    loop = asyncio.get_running_loop()
    async with Simulator() as sim:
        url = await _start(sim)
        sim.order(Fault.STALL, times=2)
        with pytest.raises(TimeoutError):
            await _ask("GET", url, seconds=50)
        stalled = asyncio.create_task(_ask("GET", url))
        while sim.faults_served["stall"] < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert (await _ask("GET", url)).status == 200
        before = loop.time()
    assert loop.time() == before
    with pytest.raises(aiohttp.ClientError):
        await stalled


async def test_an_unknown_word_spoils_only_the_status() -> None:
    """The word is in no vocabulary, the rest is a good answer, and it does not count as shown."""
    async with Simulator() as sim:
        url = await _start(sim, seconds=0)
        sim.order(Fault.UNKNOWN_WORD)
        (record,) = (await _ask("GET", url)).json["data"]
        assert record["execute_status"] not in {"Running", "Success", "Fail", "Cancel"}
        assert record["output"] == '{"Output":"null"}'
        (task,) = sim.tasks.values()
        assert task.polled_done_at is None
        assert (await _ask("GET", url)).json["data"][0]["execute_status"] == "Success"
        assert task.polled_done_at is not None


async def test_the_last_word_counts_as_shown_only_if_it_left_whole() -> None:
    """An answer that was cut off has not shown anyone that the task is done."""
    async with Simulator() as sim:
        url = await _start(sim, seconds=0)
        sim.order(Fault.TRUNCATE)
        with pytest.raises(aiohttp.ClientPayloadError):
            await _ask("GET", url)
        sim.order(Fault.UNDECODABLE)
        await _ask("GET", url)
        (task,) = sim.tasks.values()
        assert (task.polls, task.polled_done_at) == (2, None)


@pytest.mark.parametrize(
    ("fault", "started"), [(Fault.RESET, 0), (Fault.RESET_AFTER_START, 1), (Fault.TRUNCATE, 1)]
)
async def test_a_start_is_lost_before_or_after_it_happened(fault: Fault, started: int) -> None:
    """The answer to a start is lost either way; whether it started is up to the fault."""
    async with Simulator() as sim:
        sim.order(fault)
        with pytest.raises(aiohttp.ClientError):
            await _start(sim, marker="abc")
        assert sim.starts["abc"] == started


async def test_a_reset_after_start_waits_for_a_start() -> None:
    """A fault that only makes sense for starts lets polls pass."""
    async with Simulator() as sim:
        url = await _start(sim)
        sim.order(Fault.RESET_AFTER_START)
        assert (await _ask("GET", url)).status == 200
        with pytest.raises(aiohttp.ClientOSError):
            await _start(sim)


async def test_an_order_for_a_path_meets_only_that_path() -> None:
    """Faults ordered for a path come in their order, and leave the others alone."""
    async with Simulator() as sim:
        coze, copyai = await _start(sim), await _start_copyai(sim)
        sim.order("html_502", path="/run_histories/")
        sim.order("unavailable", times=2)
        assert (await _ask("GET", copyai)).status == 503
        assert (await _ask("GET", coze)).status == 502
        assert (await _ask("GET", coze)).status == 503
        assert (await _ask("GET", coze)).status == 200


@pytest.mark.parametrize(("fault", "times"), [("no_such_fault", 1), ("reset", 0)])
def test_an_impossible_order_is_refused(fault: str, times: int) -> None:
    """An unknown fault and a number of times below one are errors at once."""
    with pytest.raises(ValueError, match=r"no_such_fault|at least 1"):
        Simulator().order(fault, times=times)


async def test_random_faults_meet_polls_and_never_starts() -> None:
    """About the given share of polls goes wrong in transient ways, every start goes well."""
    async with Simulator(fault_share=0.3, durations=lambda _: 1e6) as sim:
        urls = [await _start(sim) for _ in range(30)]
        assert not sim.faults_served
        results = await asyncio.gather(
            *(_ask("GET", url) for url in urls * 5), return_exceptions=True
        )
        assert 25 <= sim.faults_served.total() <= 70
        assert not sim.faults_served.keys() & {"stall", "not_found", "unauthorized"}
        assert sum(isinstance(result, BaseException) for result in results) >= 3


async def test_a_plan_limits_starts_and_polls_together() -> None:
    """Past 100 requests within a second the group gets 429s, and another group none."""
    async with Simulator(plan="personal") as sim:
        url = await _start(sim, seconds=60)
        statuses = [(await _ask("GET", url)).status for _ in range(102)]
        assert statuses == [200] * 99 + [429] * 3
        assert sim.requests["coze.429"] == 3
        chat = {"bot_id": "1", "user_id": "u"}
        assert (await _ask("POST", f"{sim.coze_url}/v3/chat", chat)).json["code"] == 0
        await asyncio.sleep(1)
        assert (await _ask("GET", url)).status == 200


async def test_the_server_goes_down_and_comes_back_with_its_state() -> None:
    """Down, connections are reset and refused; up again, the same URL knows the same task."""
    async with Simulator() as sim:
        url = await _start(sim, seconds=5)
        sim.order(Fault.STALL)
        pending = asyncio.create_task(_start(sim))
        while not sim.faults_served:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await sim.stop_listening()
        with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
            await pending
        with pytest.raises(aiohttp.ClientConnectorError):
            await _ask("GET", url)
        await sim.stop_listening()
        await asyncio.sleep(5)
        await sim.listen_again()
        await sim.listen_again()
        assert (await _ask("GET", url)).json["data"][0]["execute_status"] == "Success"


async def test_closing_leaves_nothing_behind() -> None:
    """After closing no task of the loop is pending, even with requests under way."""
    before = asyncio.all_tasks()
    async with Simulator() as sim:
        body = {"workflow_id": "1", "parameters": {"simulate": {"seconds": 80}}}
        runs = [
            asyncio.create_task(_ask("POST", f"{sim.coze_url}/v1/workflow/run", body))
            for _ in range(5)
        ]
        while len(sim.tasks) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    lost = await asyncio.gather(*runs, return_exceptions=True)
    assert all(isinstance(error, aiohttp.ClientError) for error in lost)
    assert asyncio.all_tasks() == before


async def test_requests_are_counted_by_operation() -> None:
    """Every request counts for its operation, and one to nowhere as such."""
    async with Simulator() as sim:
        await _ask("GET", await _start(sim))
        await _ask("GET", await _start_copyai(sim))
        lost = await _ask("GET", f"{sim.coze_url}/v1/nowhere")
        assert (lost.status, lost.json["code"]) == (404, 4000)
        assert (await _ask("GET", f"{sim.copyai_url}nowhere")).status == 404
        assert sim.requests == {
            "coze.run": 1,
            "coze.run_histories": 1,
            "copyai.run": 1,
            "copyai.get_run": 1,
            "unknown_path": 2,
        }


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
        with pytest.raises(OSError, match="in use"):
            await Simulator().start(coze_port=port)
        with pytest.raises(OSError, match="in use"):
            await Simulator().start(copyai_port=port)
