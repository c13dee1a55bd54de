"""The simulated Coze, route by route: shapes of answers, codes, statuses."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from asyncclient.testing import Simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.anyio

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_NO_OUTPUTS: dict[str, Any] = {"tool_outputs": []}
_RUN = "/v1/workflow/run"
_CHAT = "/v3/chat"


class _Coze:
    """A plain client that remembers the last answer's status, headers and text."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession) -> None:
        self.sim = sim
        self.session = session
        self.status = 0
        self.headers: dict[str, str] = {}
        self.text = ""

    async def ask(
        self, method: str, path: str, json: object = None, token: str = "pat_simulator"
    ) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        url = self.sim.coze_url + path
        async with self.session.request(method, url, json=json, headers=headers) as response:
            self.status, self.headers = response.status, dict(response.headers)
            self.text = await response.text()
            return msgspec.json.decode(self.text) if "json" in response.content_type else None

    async def get(self, path: str) -> Any:
        return await self.ask("GET", path)

    async def post(self, path: str, json: object = None) -> Any:
        return await self.ask("POST", path, json)

    async def start(self, *, is_async: bool = True, **simulate: object) -> Any:
        parameters = {"topic": "tea", "simulate": simulate}
        body = {"workflow_id": "7350", "is_async": is_async, "parameters": parameters}
        return await self.post(_RUN, body)

    async def history(self, execute_id: str) -> Any:
        answer = await self.get(f"/v1/workflows/7350/run_histories/{execute_id}")
        assert answer["code"] == 0
        (record,) = answer["data"]
        return record

    async def resume(self, interrupt: Any, resume_data: str) -> Any:
        body = {
            "workflow_id": "7350",
            "event_id": interrupt["event_id"],
            "interrupt_type": interrupt["type"],
            "resume_data": resume_data,
        }
        return await self.post("/v1/workflows/resume", body)

    async def chat(self, query: str = "", **simulate: object) -> Any:
        variables = {"simulate": msgspec.json.encode(simulate).decode()}
        body = {"bot_id": "1", "user_id": "u", "custom_variables": variables}
        return (await self.post(_CHAT + query, body))["data"]

    async def retrieve(self, chat: Any, method: str = "GET") -> Any:
        return (await self.ask(method, "/v3/chat/retrieve" + _of(chat)))["data"]


def _of(chat: Any) -> str:
    return f"?conversation_id={chat['conversation_id']}&chat_id={chat['id']}"


@asynccontextmanager
async def _open(given: Simulator | None = None) -> AsyncGenerator[_Coze]:
    async with given or Simulator() as sim, aiohttp.ClientSession() as session:
        yield _Coze(sim, session)


async def test_every_answer_has_a_log_id_in_its_headers() -> None:
    """Good answers, refusals and unknown paths have a log id, usually in the body too."""
    async with _open() as coze:
        await coze.start()
        first = coze.headers["X-Tt-Logid"]
        answer = await coze.get("/v1/bots?workspace_id=1")
        assert answer["detail"]["logid"] == coze.headers["X-Tt-Logid"] != first
        await coze.get("/v1/nowhere")
        assert coze.headers["X-Tt-Logid"]


async def test_an_async_start_answers_in_two_shapes_in_turn() -> None:
    """The observed shape has a code, the page's has none; both are flat with the execute id."""
    async with _open() as coze:
        live, doc = await coze.start(), await coze.start()
        assert (live["code"], live["msg"]) == (0, "Success")
        assert ("code" in doc, doc["msg"]) == (False, "")
        for answer in (live, doc):
            assert answer["execute_id"] in coze.sim.tasks
            assert answer["execute_id"] in answer["debug_url"]
            assert "data" not in answer
        assert len(live["execute_id"]) == 19


async def test_a_sync_run_answers_its_output_as_text_when_it_ends() -> None:
    """The answer takes as long as the run and holds JSON text, or plain text if ordered."""
    loop = asyncio.get_running_loop()
    async with _open() as coze:
        before = loop.time()
        answer = await coze.start(is_async=False, seconds=20)
        assert loop.time() - before == 20
        assert msgspec.json.decode(answer["data"]) == {"output": {"topic": "tea"}}
        assert answer["usage"].keys() == {"input_count", "output_count", "token_count"}
        assert "execute_id" not in answer
        plain = await coze.start(is_async=False, outcome="plain_text")
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(plain["data"])


async def test_a_sync_run_that_goes_wrong_answers_a_code() -> None:
    """A failed run has its code in HTTP 200; one over 90 s meets the gateway's page at 90 s."""
    loop = asyncio.get_running_loop()
    async with _open() as coze:
        assert (await coze.start(is_async=False, outcome="fail"))["code"] == 720701002
        assert (await coze.start(is_async=False, outcome="cancel"))["code"] == 777777777
        assert coze.status == 200
        before = loop.time()
        await coze.start(is_async=False, seconds=100)
        assert (coze.status, loop.time() - before) == (504, 90)
        assert "Tengine" in coze.text
        assert "X-Tt-Logid" not in coze.headers


async def test_a_start_is_refused_with_the_code_for_its_reason() -> None:
    """Bad parameters, an unknown workflow, no credit, and is_async on the free plan."""
    async with _open(Simulator(plan="free")) as coze:
        for body, code in (
            ({}, 4000),
            ({"workflow_id": 7350}, 4000),
            ({"workflow_id": "1", "bot_id": "1", "app_id": "1"}, 4000),
            ({"workflow_id": "missing"}, 4200),
            ({"workflow_id": "1", "is_async": True}, 6003),
            ({"workflow_id": "1", "parameters": {"simulate": {"outcome": "out_of_credits"}}}, 4011),
        ):
            assert (await coze.post(_RUN, body))["code"] == code
            assert coze.status == 200
        assert not coze.sim.tasks


async def test_parameters_may_be_json_text() -> None:
    """The page's table calls parameters a string; both ways start the same run."""
    async with _open() as coze:
        body = {"workflow_id": "1", "parameters": '{"simulate":{"marker":"abc","seconds":0}}'}
        await coze.post(_RUN, body)
        assert coze.sim.starts == {"abc": 1}


async def test_a_finished_run_holds_json_in_json_in_json() -> None:
    """The output is text of an object whose Output is text of an object, with node_status aside."""
    async with _open() as coze:
        started = await coze.start(seconds=10)
        running = await coze.history(started["execute_id"])
        assert (running["execute_status"], running["output"]) == ("Running", '{"Output":"null"}')
        await asyncio.sleep(10)
        record = await coze.history(started["execute_id"])
        output = msgspec.json.decode(record["output"])
        assert msgspec.json.decode(output["Output"]) == {"output": {"topic": "tea"}}
        assert output["node_status"] == "{}"
        assert record["run_mode"] == 2
        assert "interrupt_data" not in record


async def test_loose_fields_of_a_history_differ_from_poll_to_poll() -> None:
    """The error code is "", "0" or 0, and node_execute_status is a map or is missing."""
    async with _open() as coze:
        started = await coze.start(seconds=60)
        records = [await coze.history(started["execute_id"]) for _ in range(3)]
        assert {repr(record["error_code"]) for record in records} == {"''", "'0'", "0"}
        assert {"node_execute_status" in record for record in records} == {True, False}


@pytest.mark.parametrize(("is_async", "shape"), [(False, ""), (True, "doc")])
async def test_a_history_in_the_pages_shape_lacks_fields(*, is_async: bool, shape: str) -> None:
    """A synchronous run, as in the page's sample, and one ordered so lack two fields."""
    async with _open() as coze:
        await coze.start(is_async=is_async, seconds=0, shape=shape)
        record = await coze.history(next(iter(coze.sim.tasks)))
        assert not {"is_output_trimmed", "node_execute_status"} & record.keys()


@pytest.mark.parametrize(
    ("outcome", "word", "code"),
    [
        ("fail", "Fail", "720701002"),
        ("cancel", "Cancel", "777777777"),
        ("plain_text", "Success", "0"),
    ],
)
async def test_a_run_ends_as_ordered(outcome: str, word: str, code: str) -> None:
    """A run that ends badly says so in its record, while the answer's own code stays 0."""
    async with _open() as coze:
        started = await coze.start(seconds=0, outcome=outcome)
        record = await coze.history(started["execute_id"])
        assert (record["execute_status"], record["error_code"]) == (word, code)
        assert ("cancelled" in record["error_message"]) is (outcome == "cancel")
        assert bool(record["error_message"]) is (word != "Success")
        if outcome == "plain_text":
            with pytest.raises(msgspec.DecodeError):
                msgspec.json.decode(record["output"])


async def test_a_trimmed_run_has_its_whole_text_at_the_node() -> None:
    """The output is cut and says so; the node it lists gives all of it, under a hexadecimal id."""
    async with _open() as coze:
        execute_id = (await coze.start(seconds=10, outcome="trimmed"))["execute_id"]
        assert (await coze.history(execute_id))["is_output_trimmed"] is False
        await asyncio.sleep(10)
        record = await coze.history(execute_id)
        assert record["is_output_trimmed"] is True
        with pytest.raises(msgspec.DecodeError):
            msgspec.json.decode(record["output"])
        (node,) = record["node_execute_status"].values()
        uuid = node["node_execute_uuid"]
        base = f"/v1/workflows/7350/run_histories/{execute_id}/execute_nodes"
        data = (await coze.get(f"{base}/{uuid}"))["data"]
        assert (data["is_finish"], int(uuid, 16) > 0) == (True, True)
        assert data["node_output"].startswith(f"Run {execute_id}")
        assert (await coze.get(f"{base}/0123"))["code"] == 4314


async def test_a_node_gives_part_of_its_text_while_the_run_goes_on() -> None:
    """A node's output is unfinished until the run ends."""
    async with _open() as coze:
        body = await coze.start(seconds=0)
        await coze.start(seconds=0)
        (node,) = (await coze.history(body["execute_id"]))["node_execute_status"].values()
        base = f"/v1/workflows/7350/run_histories/{body['execute_id']}/execute_nodes"
        path = f"{base}/{node['node_execute_uuid']}"
        whole = (await coze.get(path))["data"]
        task = coze.sim.tasks[body["execute_id"]]
        task.ends_at += 10
        part = (await coze.get(path))["data"]
        assert (part["is_finish"], whole["is_finish"]) == (False, True)
        assert len(part["node_output"]) < len(whole["node_output"])


async def test_an_empty_list_and_a_malformed_body_last_until_the_end() -> None:
    """Until such a run ends its answers hold no record, or are not quite JSON."""
    async with _open() as coze:
        empty = (await coze.start(seconds=10, outcome="empty_list"))["execute_id"]
        malformed = (await coze.start(seconds=10, outcome="malformed"))["execute_id"]
        assert (await coze.get(f"/v1/workflows/7350/run_histories/{empty}"))["data"] == []
        with pytest.raises(msgspec.DecodeError):
            await coze.history(malformed)
        assert '"execute_status":"Running"' in coze.text
        assert r'\"{\\"Output node' in coze.text
        await asyncio.sleep(10)
        for execute_id in (empty, malformed):
            assert (await coze.history(execute_id))["execute_status"] == "Success"


async def test_a_record_is_found_only_under_its_own_workflow() -> None:
    """A wrong workflow id and a wrong execute id both answer 4314 in HTTP 200."""
    async with _open() as coze:
        execute_id = (await coze.start())["execute_id"]
        for path in (f"7351/run_histories/{execute_id}", "7350/run_histories/1"):
            assert (await coze.get(f"/v1/workflows/{path}"))["code"] == 4314
            assert coze.status == 200


@pytest.mark.parametrize(("outcome", "word"), [("interrupt", "Running"), ("unset", "<UNSET>")])
async def test_an_async_run_waits_for_input_and_goes_on(outcome: str, word: str) -> None:
    """Half-way it reports an interrupt and waits for ever; resumed, it runs the other half."""
    async with _open() as coze:
        execute_id = (await coze.start(seconds=10, outcome=outcome))["execute_id"]
        assert "interrupt_data" not in await coze.history(execute_id)
        await asyncio.sleep(10_000)
        record = await coze.history(execute_id)
        interrupt = record["interrupt_data"]
        assert record["execute_status"] == word
        assert interrupt["event_id"].startswith(f"{execute_id}/")
        answer = await coze.resume(interrupt, '{"name":"Ada"}')
        assert (answer["code"], answer["execute_id"]) == (0, execute_id)
        assert "interrupt_data" not in await coze.history(execute_id)
        await asyncio.sleep(4)
        assert (await coze.history(execute_id))["execute_status"] == "Running"
        await asyncio.sleep(1)
        assert (await coze.history(execute_id))["execute_status"] == "Success"
        assert (await coze.resume(interrupt, '{"name":"Ada"}'))["code"] == 4315


async def test_input_that_lacks_something_interrupts_again() -> None:
    """Too little input gives a new event, after which the old one is no longer good."""
    async with _open() as coze:
        execute_id = (await coze.start(seconds=2, outcome="interrupt"))["execute_id"]
        await asyncio.sleep(1)
        first = (await coze.history(execute_id))["interrupt_data"]
        for resume_data in ("", "{}"):
            answer = await coze.resume(first, resume_data)
            again = answer["interrupt_data"]
            assert (answer["code"], "data" in answer) == (0, False)
            assert again["event_id"] != first["event_id"]
            assert (await coze.resume(first, "Ada"))["code"] == 4000
            first = again
        assert (await coze.resume(first | {"type": 5}, "Ada"))["code"] == 4000
        assert (await coze.resume(first | {"event_id": "1/2"}, "Ada"))["code"] == 4200
        assert (await coze.resume(first, "Ada"))["code"] == 0


async def test_a_sync_run_that_waits_for_input_stays_synchronous() -> None:
    """Its answer holds the interrupt and no data; resuming it answers the output at the end."""
    async with _open() as coze:
        answer = await coze.start(is_async=False, seconds=2, outcome="interrupt")
        assert (answer["code"], "data" in answer) == (0, False)
        resumed = await coze.resume(answer["interrupt_data"], "Ada")
        assert msgspec.json.decode(resumed["data"]) == {"output": {"topic": "tea"}}


async def test_bots_are_listed_by_page_num_alone() -> None:
    """Pages follow page_num and end empty; another name for it gives the first page again."""
    async with _open() as coze:
        pages = [
            (await coze.get(f"/v1/bots?workspace_id=1&page_num={number}"))["data"]
            for number in (1, 2, 3, 4)
        ]
        assert [len(page["items"]) for page in pages] == [20, 20, 5, 0]
        assert {page["total"] for page in pages} == {45}
        assert all("has_more" not in page for page in pages)
        ids = {bot["id"] for page in pages for bot in page["items"]}
        assert len(ids) == 45
        other = await coze.get("/v1/bots?workspace_id=1&page_index=2&page_size=20")
        assert other["data"]["items"] == pages[0]["items"]
        assert (await coze.get("/v1/bots"))["code"] == 4000
        assert (await coze.get("/v1/bots?workspace_id=1&page_num=0"))["code"] == 4000
        assert (await coze.get("/v1/space/published_bots_list?page_index=x"))["code"] == 4000


@pytest.mark.parametrize(
    ("status", "count"),
    [
        ("", 45),
        ("published_online", 45),
        ("published_draft", 9),
        ("unpublished_draft", 9),
        ("all", 54),
    ],
)
async def test_bots_are_listed_by_their_publish_status(status: str, count: int) -> None:
    """Drafts and bots that never were published are listed on request, and counted in the total."""
    async with _open() as coze:
        path = f"/v1/bots?workspace_id=1&page_size=100&publish_status={status}"
        page = (await coze.get(path))["data"]
        assert (len(page["items"]), page["total"]) == (count, count)
        if status == "unpublished_draft":
            assert not any(bot["is_published"] or "published_at" in bot for bot in page["items"])


async def test_the_publish_statuses_make_up_the_whole() -> None:
    """What was published and what never was are all there is; changed ones are among the former."""
    async with _open() as coze:
        ids: dict[str, set[str]] = {}
        for status in ("all", "published_online", "published_draft", "unpublished_draft"):
            path = f"/v1/bots?workspace_id=1&page_size=100&publish_status={status}"
            ids[status] = {bot["id"] for bot in (await coze.get(path))["data"]["items"]}
        assert ids["published_online"] | ids["unpublished_draft"] == ids["all"]
        assert not ids["published_online"] & ids["unpublished_draft"]
        assert ids["published_draft"] < ids["published_online"]
        for bot in ids["all"]:
            assert (await coze.get(f"/v1/bots/{bot}"))["code"] == 0
        unknown = await coze.get("/v1/bots?workspace_id=1&publish_status=online")
        assert unknown["code"] == 4000


async def test_a_bot_is_described_with_the_samples_spelling() -> None:
    """The onboarding fields are in PascalCase, and an unknown bot answers 4200."""
    async with _open() as coze:
        first = (await coze.get("/v1/bots?workspace_id=1"))["data"]["items"][0]
        bot = (await coze.get(f"/v1/bots/{first['id']}"))["data"]
        assert (bot["bot_id"], bot["name"]) == (first["id"], first["name"])
        assert bot["onboarding_info"]["Prologue"] == "Hello."
        assert (await coze.get("/v1/bots/1"))["code"] == 4200


async def test_a_copy_is_a_task_or_is_done_at_once() -> None:
    """A bot within its workspace is copied at once, anything else as a task that ends."""
    async with _open(Simulator(durations=lambda _: 4.0)) as coze:
        path, body = "/v1/entities/copy_tasks", {"entity_id": "75", "entity_type": "bot"}
        assert (await coze.post(path, body))["data"].keys() == {"copied_entity_id"}
        far = body | {"to_workspace_id": "7498"}
        ids = {
            name: (await coze.post(path, far | {"entity_id": name}))["data"]["task_id"]
            for name in ("75", "fail-75", "slow-75")
        }
        assert not ids["75"].isdecimal()

        async def words() -> list[str]:
            answers = [await coze.get(f"{path}/{task_id}") for task_id in ids.values()]
            return [answer["data"]["task_status"] for answer in answers]

        assert await words() == ["in_progress"] * 3
        await asyncio.sleep(4)
        assert await words() == ["successful", "failed", "in_progress"]
        failed = (await coze.get(f"{path}/{ids['fail-75']}"))["data"]
        assert failed["failed_reasons"][0]["entity_id"] == "fail-75"
        await asyncio.sleep(36)
        assert await words() == ["successful", "failed", "successful"]
        assert (await coze.get(f"{path}/1"))["code"] == 4200
        assert (await coze.post(path, far | {"entity_type": "plugin"}))["code"] == 4000
        assert coze.sim.starts["slow-75"] == 1


async def test_a_chat_runs_and_completes() -> None:
    """It begins in progress, is looked up by GET and by POST, and has messages once completed."""
    async with _open() as coze:
        chat = await coze.chat(seconds=4)
        assert chat["status"] == "in_progress"
        assert (await coze.retrieve(chat, "POST"))["status"] == "in_progress"
        messages = "/v3/chat/message/list" + _of(chat)
        assert (await coze.get(messages))["data"] == []
        await asyncio.sleep(4)
        done = await coze.retrieve(chat)
        assert (done["status"], done["completed_at"] - done["created_at"]) == ("completed", 4)
        kinds = [message["type"] for message in (await coze.post(messages))["data"]]
        assert kinds == ["answer", "verbose"]
        assert (await coze.get("/v3/chat/retrieve?conversation_id=1&chat_id=2"))["code"] == 4001


async def test_a_chat_that_fails_has_both_times_and_an_error() -> None:
    """A failed chat has both completed_at and failed_at, and an error of its own."""
    async with _open() as coze:
        failed = await coze.retrieve(await coze.chat(seconds=0, outcome="fail"))
        assert failed["status"] == "failed"
        assert {"completed_at", "failed_at"} <= failed.keys()
        assert failed["last_error"]["code"] == 5000


async def test_a_conversation_has_one_running_chat() -> None:
    """A second chat is refused with 4016 until the first has ended."""
    async with _open() as coze:
        body = {"bot_id": "1", "user_id": "u"}
        chat = await coze.chat(seconds=4)
        path = f"{_CHAT}?conversation_id={chat['conversation_id']}"
        assert (await coze.post(path, body))["code"] == 4016
        await asyncio.sleep(4)
        assert (await coze.post(path, body))["data"]["conversation_id"] == chat["conversation_id"]
        assert (await coze.post(_CHAT, body | {"auto_save_history": False}))["code"] == 4007
        assert (await coze.post(_CHAT, body | {"stream": True}))["code"] == 4000


async def test_a_chat_that_needs_tools_waits_for_their_outputs() -> None:
    """It requires action, cannot be cancelled meanwhile, and completes once answered."""
    async with _open() as coze:
        chat = await coze.chat(seconds=4, outcome="interrupt")
        submit = "/v3/chat/submit_tool_outputs" + _of(chat)
        assert (await coze.post(submit, _NO_OUTPUTS))["code"] == 4000
        await asyncio.sleep(2)
        waiting = await coze.retrieve(chat)
        (tool,) = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
        assert (waiting["status"], "completed_at" in waiting) == ("requires_action", True)
        assert (await coze.post("/v3/chat/cancel", _ids(chat)))["code"] == 4104
        assert (await coze.post(submit, _NO_OUTPUTS))["code"] == 4000
        outputs = {"tool_outputs": [{"tool_call_id": tool["id"], "output": "sunny"}]}
        assert (await coze.post(submit, outputs))["data"]["status"] == "in_progress"
        await asyncio.sleep(2)
        assert (await coze.retrieve(chat))["status"] == "completed"


def _ids(chat: Any) -> dict[str, str]:
    return {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}


async def test_a_running_chat_can_be_cancelled_once() -> None:
    """Cancelling ends it as canceled; what has ended answers 4104."""
    async with _open() as coze:
        chat = await coze.chat(seconds=4)
        assert (await coze.post("/v3/chat/cancel", _ids(chat)))["data"]["status"] == "canceled"
        assert (await coze.retrieve(chat))["status"] == "canceled"
        assert (await coze.post("/v3/chat/cancel", _ids(chat)))["code"] == 4104


async def test_an_unknown_chat_answers_4001_everywhere() -> None:
    """Looking up, cancelling, listing and answering tools need a chat of that conversation."""
    async with _open() as coze:
        chat = await coze.chat() | {"conversation_id": "1"}
        for method, path, body in (
            ("GET", "/v3/chat/retrieve" + _of(chat), None),
            ("GET", "/v3/chat/message/list" + _of(chat), None),
            ("POST", "/v3/chat/submit_tool_outputs" + _of(chat), _NO_OUTPUTS),
            ("POST", "/v3/chat/cancel", _ids(chat)),
        ):
            assert (await coze.ask(method, path, body))["code"] == 4001


async def test_a_chat_echoes_its_meta_data_and_may_lack_a_status() -> None:
    """What the caller gave comes back, a null word leaves the status out, streaming is refused."""
    async with _open() as coze:
        simulate = {"outcome": "interrupt", "seconds": 0, "words": [None]}
        body = {"bot_id": "1", "user_id": "u", "meta_data": {"a": "b"}}
        chat = (await coze.post(_CHAT, body | {"parameters": {"simulate": simulate}}))["data"]
        assert chat["meta_data"] == {"a": "b"}
        assert "status" not in await coze.retrieve(chat)
        assert (await coze.retrieve(chat))["status"] == "requires_action"
        streamed = _NO_OUTPUTS | {"stream": True}
        submit = "/v3/chat/submit_tool_outputs" + _of(chat)
        assert (await coze.post(submit, streamed))["code"] == 4000


async def test_a_chat_in_the_pages_shape_has_its_oddities() -> None:
    """It begins as created, and cancelling answers no code, a null code and hollow objects."""
    async with _open() as coze:
        chat = await coze.chat(seconds=4, shape="doc")
        assert chat["status"] == "created"
        answer = await coze.post("/v3/chat/cancel", _ids(chat))
        assert "code" not in answer
        assert answer["data"]["last_error"] == {"code": None, "msg": ""}
        assert answer["data"]["required_action"]["type"] == ""


async def test_an_outcome_that_a_chat_cannot_have_is_refused() -> None:
    """An order that only makes sense for runs is an error of the chat's start."""
    async with _open() as coze:
        variables = {"simulate": '{"outcome":"trimmed"}'}
        body = {"bot_id": "1", "user_id": "u", "custom_variables": variables}
        assert (await coze.post(_CHAT, body))["code"] == 4000


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", _CHAT, 200, 4101),
        ("POST", _RUN, 200, 4101),
        ("GET", "/v3/chat/retrieve", 401, 700012006),
        ("POST", "/v3/chat/cancel", 401, 700012006),
        ("GET", "/v3/chat/message/list", 401, 700012006),
        ("GET", "/v1/workflows/1/run_histories/1", 401, 700012006),
        ("GET", "/v1/bots", 401, 700012006),
        ("GET", "/v1/nowhere", 404, 4000),
    ],
)
async def test_a_wrong_token_is_refused_as_measured(
    method: str, path: str, status: int, code: int
) -> None:
    """Starts refuse it with code 4101 in HTTP 200, everything else with HTTP 401."""
    async with _open() as coze:
        for token in ("pat_wrong", ""):
            answer = await coze.ask(method, path, {}, token)
            assert (coze.status, answer["code"]) == (status, code)


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    """Make a private and a public key in PEM."""
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    return (
        private.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode(),
        private.public_key()
        .public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


def _assertion(coze: _Coze, private_key: str, **changes: object) -> str:
    now = int(time.time())
    claims = {
        "iss": "app",
        "aud": coze.sim.coze_url.removeprefix("http://"),
        "iat": now,
        "exp": now + 600,
        "jti": "a" * 32,
    }
    return jwt.encode(claims | changes, private_key, "RS256", {"kid": "key"})


async def test_an_assertion_buys_a_token_once(keys: tuple[str, str]) -> None:
    """The token is good on every route until its absolute time; the same jti buys no second."""
    begun = time.time()
    async with _open(Simulator(jwt_public_key=keys[1])) as coze:
        path, body = "/api/permission/oauth2/token", {"grant_type": _GRANT, "duration_seconds": 60}
        assertion = _assertion(coze, keys[0])
        bought = await coze.ask("POST", path, body, assertion)
        assert bought["access_token"].startswith("czs_")
        # The simulator's wall clock is the real one of its start, moved on by the loop's.
        assert begun + 60 - 1 <= bought["expires_in"] <= time.time() + 60 + 1
        bots = ("GET", "/v1/bots?workspace_id=1", None, bought["access_token"])
        assert (await coze.ask(*bots))["code"] == 0
        again = await coze.ask("POST", path, body, assertion)
        assert (coze.status, again["error_code"]) == (401, "invalid_client")
        await asyncio.sleep(60)
        assert (await coze.ask(*bots))["code"] == 700012006


async def test_without_a_public_key_signatures_are_not_checked(keys: tuple[str, str]) -> None:
    """A simulator that was given no key takes any signature, and still each jti only once."""
    async with _open() as coze:
        path, body = "/api/permission/oauth2/account/1/token", {"grant_type": _GRANT}
        assertion = _assertion(coze, keys[0]).rpartition(".")[0] + ".AAAA"
        assert (await coze.ask("POST", path, body, assertion))["token_type"] == "Bearer"
        assert "error" in await coze.ask("POST", path, body, assertion)


async def test_a_bad_assertion_buys_nothing(keys: tuple[str, str]) -> None:
    """A wrong audience, an expired, foreign or broken assertion, a wrong grant are refused."""
    async with _open(Simulator(jwt_public_key=keys[1])) as coze:
        path, body = "/api/permission/oauth2/token", {"grant_type": _GRANT}
        foreign = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = foreign.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()
        for number, assertion in enumerate(
            (
                _assertion(coze, keys[0], aud="api.coze.cn"),
                _assertion(coze, keys[0], exp=int(time.time()) - 1),
                _assertion(coze, pem),
                "not.a.jwt",
                "not a jwt",
            )
        ):
            answer = await coze.ask("POST", path, body, assertion)
            assert (number, coze.status, answer["error_code"]) == (number, 401, "invalid_client")
        good = _assertion(coze, keys[0])
        for change in ({"grant_type": "refresh_token"}, {"duration_seconds": 86_400}):
            answer = await coze.ask("POST", path, body | change, good)
            assert (coze.status, "error_code" in answer, "code" in answer) == (400, True, False)
        assert (await coze.ask("POST", path, body, good))["token_type"] == "Bearer"
