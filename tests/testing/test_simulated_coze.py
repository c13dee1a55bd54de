"""The simulated Coze, route by route: shapes of answers, codes, statuses."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import anyio
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from asyncclient.testing import Simulator
from tests.testing.conftest import CozeClient, asking, of

_GRANT = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
_TOKEN = "/api/permission/oauth2/token"
_NO_CREDITS = {"simulate": {"outcome": "out_of_credits"}}
_NO_OUTPUTS: dict[str, Any] = {"tool_outputs": []}
_RUN = "/v1/workflow/run"
_CHAT = "/v3/chat"
_CHAT_BODY = {"bot_id": "1", "user_id": "u"}
_COPIES = "/v1/entities/copy_tasks"
_COPY_BODY = {"entity_id": "75", "entity_type": "bot"}
_WRONG_PAGES = [
    *("/v1/bots", "/v1/workflows", "/v1/workspaces?page_size=0"),
    *("/v1/bots?workspace_id=1&page_num=0", "/v1/bots?workspace_id=1&publish_status=online"),
    *("/v1/workflows?workspace_id=1&page_num=x", "/v1/space/published_bots_list?page_index=x"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "code"),
    [
        ("POST", _RUN, {}, 4000),
        ("POST", _RUN, {"workflow_id": 7350}, 4000),
        ("POST", _RUN, {"workflow_id": "1", "bot_id": "1", "app_id": "1"}, 4000),
        ("POST", _RUN, {"workflow_id": "missing"}, 4200),
        ("POST", _RUN, {"workflow_id": "1", "is_async": True}, 6003),  # on the free plan
        ("POST", _RUN, {"workflow_id": "1", "parameters": _NO_CREDITS}, 4011),
        ("GET", "/v1/workflows/7350/run_histories/1", None, 4314),
        ("POST", _CHAT, _CHAT_BODY | {"auto_save_history": False}, 4007),
        ("POST", _CHAT, _CHAT_BODY | {"stream": True}, 4000),
        ("POST", _CHAT, _CHAT_BODY | {"parameters": {"simulate": {"outcome": "trimmed"}}}, 4000),
        ("GET", "/v3/chat/retrieve?conversation_id=1&chat_id=2", None, 4001),
        *(("GET", path, None, 4000) for path in _WRONG_PAGES),
        ("GET", "/v1/bots/1", None, 4200),
        ("POST", "/v1/datasets/1/process", {"document_ids": []}, 4000),
        ("GET", f"{_COPIES}/1", None, 4200),
        ("POST", _COPIES, _COPY_BODY | {"entity_type": "plugin"}, 4000),
    ],
)
async def test_a_request_is_refused_with_the_code_for_its_reason(
    method: str, path: str, body: object, code: int
) -> None:
    """What does not fit, is unknown, unpaid or not in the plan has a code of its own in a 200."""
    async with asking(Simulator(plan="free")) as (coze, _):
        assert (await coze.ask(method, path, body))["code"] == code
        assert coze.status == 200
        assert not coze.sim.tasks


async def test_an_async_start_answers_in_two_shapes_in_turn(coze: CozeClient) -> None:
    """The observed shape has a code, the page's has none; both are flat with the execute id.

    Good answers, refusals and unknown paths have a log id, usually in the body too.
    """
    live, doc = await coze.start(), await coze.start()
    first = coze.headers["X-Tt-Logid"]
    answer = await coze.get("/v1/bots?workspace_id=1")
    assert answer["detail"]["logid"] == coze.headers["X-Tt-Logid"] != first
    await coze.get("/v1/nowhere")
    assert coze.headers["X-Tt-Logid"]
    assert (live["code"], live["msg"]) == (0, "Success")
    assert ("code" in doc, doc["msg"]) == (False, "")
    for answer in (live, doc):
        assert answer["execute_id"] in coze.sim.tasks
        assert answer["execute_id"] in answer["debug_url"]
        assert "data" not in answer
    assert len(live["execute_id"]) == 19


async def test_a_sync_run_answers_as_text_when_it_ends(coze: CozeClient) -> None:
    """Its output is JSON, or plain text if ordered; a failed run has its code in HTTP 200.

    One over 90 s meets the gateway's page at 90 s.
    """
    before = anyio.current_time()
    answer = await coze.run(seconds=20)
    assert anyio.current_time() - before == 20
    assert msgspec.json.decode(answer["data"]) == {"output": {"topic": "tea"}}
    assert answer["usage"].keys() == {"input_count", "output_count", "token_count"}
    assert "execute_id" not in answer
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode((await coze.run(outcome="plain_text"))["data"])
    assert (await coze.run(outcome="fail"))["code"] == 720701002
    assert (await coze.run(outcome="cancel"))["code"] == 777777777
    assert coze.status == 200
    before = anyio.current_time()
    await coze.run(seconds=100)
    assert (coze.status, anyio.current_time() - before) == (504, 90)
    assert b"Tengine" in coze.body
    assert "X-Tt-Logid" not in coze.headers


async def test_loose_fields_of_a_history_differ_from_poll_to_poll(coze: CozeClient) -> None:
    """The error code is "", "0" or 0, and node_execute_status is a map or is missing.

    A synchronous run, as in the page's sample, and one ordered so lack two fields.
    """
    path = await coze.started(seconds=60)
    records = [await coze.record(path) for _ in range(3)]
    assert {repr(record["error_code"]) for record in records} == {"''", "'0'", "0"}
    assert {"node_execute_status" in record for record in records} == {True, False}
    seen = set(coze.sim.tasks)
    await coze.run(seconds=0)
    await coze.start(seconds=0, shape="doc")
    for execute_id in coze.sim.tasks.keys() - seen:
        record = await coze.record(f"/v1/workflows/7350/run_histories/{execute_id}")
        assert not {"is_output_trimmed", "node_execute_status"} & record.keys()


async def test_a_trimmed_run_has_its_whole_text_at_the_node(coze: CozeClient) -> None:
    """The output is cut and says so; the node it lists gives all of it, under a hexadecimal id.

    Each second run lists its node, also where its text is short.
    """
    path = await coze.started(seconds=10, outcome="trimmed")
    running = await coze.record(path)
    assert (running["execute_status"], running["output"]) == ("Running", '{"Output":"null"}')
    assert (running["is_output_trimmed"], running["run_mode"]) == (False, 2)
    without, short = [await coze.started(seconds=0) for _ in range(2)]
    assert not (await coze.record(without))["node_execute_status"]
    await asyncio.sleep(10)
    record = await coze.record(path)
    assert record["is_output_trimmed"] is True
    with pytest.raises(msgspec.DecodeError):
        msgspec.json.decode(record["output"])
    (node,) = record["node_execute_status"].values()
    uuid = node["node_execute_uuid"]
    assert int(uuid, 16) > 0
    whole = (await coze.get(f"{path}/execute_nodes/{uuid}"))["data"]
    assert whole["is_finish"] is True
    assert whole["node_output"].startswith(f"Run {record['execute_id']}")
    assert (await coze.get(f"{path}/execute_nodes/0123"))["code"] == 4314
    (node,) = (await coze.record(short))["node_execute_status"].values()
    text = (await coze.get(f"{short}/execute_nodes/{node['node_execute_uuid']}"))["data"]
    assert text["node_output"] == f"Run {short.rpartition('/')[2]} wrote a text."
    coze.sim.tasks[record["execute_id"]].ends_at += 10
    part = (await coze.get(f"{path}/execute_nodes/{uuid}"))["data"]
    assert part["is_finish"] is False
    assert len(part["node_output"]) < len(whole["node_output"])


async def test_an_empty_list_and_a_malformed_body_last_until_the_end(coze: CozeClient) -> None:
    """Until such a run ends its answers hold no record, or are not quite JSON."""
    empty = await coze.started(seconds=10, outcome="empty_list")
    malformed = await coze.started(seconds=10, outcome="malformed")
    assert (await coze.get(empty))["data"] == []
    with pytest.raises(msgspec.DecodeError):
        await coze.get(malformed)
    assert b'"execute_status":"Running"' in coze.body
    assert rb'\"{\\"Output node' in coze.body
    await asyncio.sleep(10)
    for path in (empty, malformed):
        assert (await coze.record(path))["execute_status"] == "Success"


@pytest.mark.parametrize(("outcome", "word"), [("interrupt", "Running"), ("unset", "<UNSET>")])
async def test_an_async_run_waits_for_input_and_goes_on(
    outcome: str, word: str, coze: CozeClient
) -> None:
    """Half-way it reports an interrupt and waits for ever; resumed, it runs the other half."""
    path = await coze.started(seconds=10, outcome=outcome)
    assert "interrupt_data" not in await coze.record(path)
    await asyncio.sleep(10_000)
    record = await coze.record(path)
    interrupt = record["interrupt_data"]
    assert record["execute_status"] == word
    assert interrupt["event_id"].startswith(f"{record['execute_id']}/")
    answer = await _resume(coze, interrupt, '{"name":"Ada"}')
    assert (answer["code"], answer["execute_id"]) == (0, record["execute_id"])
    assert "interrupt_data" not in await coze.record(path)
    for seconds, status in ((4, "Running"), (1, "Success")):
        await asyncio.sleep(seconds)
        assert (await coze.record(path))["execute_status"] == status
    assert (await _resume(coze, interrupt, '{"name":"Ada"}'))["code"] == 4315


async def _resume(coze: CozeClient, interrupt: Any, resume_data: str) -> Any:
    """Give a run what it waits for."""
    asked = {"event_id": interrupt["event_id"], "interrupt_type": interrupt["type"]}
    body = {"workflow_id": "7350", **asked, "resume_data": resume_data}
    return await coze.post("/v1/workflows/resume", body)


async def test_input_that_lacks_something_interrupts_again(coze: CozeClient) -> None:
    """Too little input gives a new event, after which the old one is no longer good.

    A synchronous run stays synchronous: resuming it answers the output at the end.
    """
    path = await coze.started(seconds=2, outcome="interrupt")
    await asyncio.sleep(1)
    first = (await coze.record(path))["interrupt_data"]
    for resume_data in ("", "{}"):
        answer = await _resume(coze, first, resume_data)
        again = answer["interrupt_data"]
        assert (answer["code"], "data" in answer) == (0, False)
        assert again["event_id"] != first["event_id"]
        assert (await _resume(coze, first, "Ada"))["code"] == 4000
        first = again
    assert (await _resume(coze, first | {"type": 5}, "Ada"))["code"] == 4000
    assert (await _resume(coze, first | {"event_id": "1/2"}, "Ada"))["code"] == 4200
    assert (await _resume(coze, first, "Ada"))["code"] == 0
    answer = await coze.run(seconds=2, outcome="interrupt")
    assert (answer["code"], "data" in answer) == (0, False)
    resumed = await _resume(coze, answer["interrupt_data"], "Ada")
    assert msgspec.json.decode(resumed["data"]) == {"output": {"topic": "tea"}}


async def test_lists_come_page_by_page(coze: CozeClient) -> None:
    """Bots follow page_num alone and have a total, as workspaces have; workflows have more or not.

    A bot is described in the sample's spelling: its onboarding is in PascalCase.
    """
    path = "/v1/bots?workspace_id=1"
    pages = [(await coze.get(f"{path}&page_num={number}"))["data"] for number in (1, 2, 3, 4)]
    assert [len(page["items"]) for page in pages] == [20, 20, 5, 0]
    assert {page["total"] for page in pages} == {45}
    assert all("has_more" not in page for page in pages)
    other = await coze.get(f"{path}&page_index=2&page_size=20")
    assert other["data"]["items"] == pages[0]["items"]
    first = pages[0]["items"][0]
    bot = (await coze.get(f"/v1/bots/{first['id']}"))["data"]
    assert (bot["bot_id"], bot["name"]) == (first["id"], first["name"])
    assert bot["onboarding_info"]["Prologue"] == "Hello."
    spaces = (await coze.get("/v1/workspaces?page_size=2&page_num=2"))["data"]
    assert [one["name"] for one in spaces["workspaces"]] == ["Workspace 3"]
    assert spaces["total_count"] == 3
    path = "/v1/workflows?workspace_id=1"
    for query, count, has_more in (
        *(("", 10, True), ("&page_size=100", 30, True)),
        *(("&page_size=100&page_num=3", 5, False), ("&page_size=100&page_num=4", 0, False)),
    ):
        page = (await coze.get(path + query))["data"]
        assert (len(page["items"]), page["has_more"]) == (count, has_more)


async def test_bots_are_listed_by_their_publish_status(coze: CozeClient) -> None:
    """Published bots and those that never were make up all; changed ones are among the former."""
    ids: dict[str, set[str]] = {}
    counts = {"": 45, "published_online": 45, "published_draft": 9, "unpublished_draft": 9}
    for status, count in (counts | {"all": 54}).items():
        path = f"/v1/bots?workspace_id=1&page_size=100&publish_status={status}"
        page = (await coze.get(path))["data"]
        ids[status] = {bot["id"] for bot in page["items"]}
        assert len(ids[status]) == page["total"] == count
        if status == "unpublished_draft":
            assert not any(bot["is_published"] or "published_at" in bot for bot in page["items"])
    assert ids["published_online"] | ids["unpublished_draft"] == ids["all"]
    assert ids["published_draft"] < ids["published_online"] == ids[""]


async def test_a_copy_is_a_task_or_is_done_at_once() -> None:
    """A bot within its workspace is copied at once, anything else as a task that ends."""
    async with asking(Simulator(durations=lambda _: 4.0)) as (coze, _):
        assert (await coze.post(_COPIES, _COPY_BODY))["data"].keys() == {"copied_entity_id"}
        ids: list[str] = []
        for name in ("75", "fail-75", "slow-75"):
            far = _COPY_BODY | {"to_workspace_id": "7498", "entity_id": name}
            ids.append((await coze.post(_COPIES, far))["data"]["task_id"])
        assert not ids[0].isdecimal()
        assert coze.sim.starts["slow-75"] == 1
        done = ["successful", "failed", "in_progress"]
        for seconds, words in ((0, ["in_progress"] * 3), (4, done), (36, [*done[:2], done[0]])):
            await asyncio.sleep(seconds)
            copies = [(await coze.get(f"{_COPIES}/{task_id}"))["data"] for task_id in ids]
            assert [copy["task_status"] for copy in copies] == words
        failed = (await coze.get(f"{_COPIES}/{ids[1]}"))["data"]
        assert failed["failed_reasons"][0]["entity_id"] == "fail-75"


async def test_a_chat_runs_and_completes(coze: CozeClient) -> None:
    """It begins in progress, is looked up by GET and by POST, and has messages once completed.

    A second chat of its conversation is refused with 4016 until it has ended. One that fails has
    both times, and an error of its own.
    """
    chat = await coze.chat(seconds=4)
    assert chat["status"] == "in_progress"
    path = f"{_CHAT}?conversation_id={chat['conversation_id']}"
    assert (await coze.post(path, _CHAT_BODY))["code"] == 4016
    assert (await coze.retrieve(chat, "POST"))["status"] == "in_progress"
    messages = "/v3/chat/message/list" + of(chat)
    assert (await coze.get(messages))["data"] == []
    await asyncio.sleep(4)
    done = await coze.retrieve(chat)
    assert (done["status"], done["completed_at"] - done["created_at"]) == ("completed", 4)
    kinds = [message["type"] for message in (await coze.post(messages))["data"]]
    assert kinds == ["answer", "verbose"]
    again = await coze.post(path, _CHAT_BODY)
    assert again["data"]["conversation_id"] == chat["conversation_id"]
    failed = await coze.retrieve(await coze.chat(seconds=0, outcome="fail"))
    assert (failed["status"], failed["last_error"]["code"]) == ("failed", 5000)
    assert {"completed_at", "failed_at"} <= failed.keys()


async def test_a_chat_that_needs_tools_waits_for_their_outputs(coze: CozeClient) -> None:
    """It requires action, cannot be cancelled meanwhile, and completes once answered."""
    chat = await coze.chat(seconds=4, outcome="interrupt")
    submit = "/v3/chat/submit_tool_outputs" + of(chat)
    assert (await coze.post(submit, _NO_OUTPUTS))["code"] == 4000
    await asyncio.sleep(2)
    waiting = await coze.retrieve(chat)
    (tool,) = waiting["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert (waiting["status"], "completed_at" in waiting) == ("requires_action", True)
    assert (await coze.post("/v3/chat/cancel", _ids(chat)))["code"] == 4104
    outputs = {"tool_outputs": [{"tool_call_id": tool["id"], "output": "sunny"}]}
    for refused in (_NO_OUTPUTS, outputs | {"stream": True}):
        assert (await coze.post(submit, refused))["code"] == 4000
    assert (await coze.post(submit, outputs))["data"]["status"] == "in_progress"
    await asyncio.sleep(2)
    assert (await coze.retrieve(chat))["status"] == "completed"


def _ids(chat: Any) -> dict[str, str]:
    return {"conversation_id": chat["conversation_id"], "chat_id": chat["id"]}


async def test_a_task_is_found_only_where_it_belongs(coze: CozeClient) -> None:
    """A run of another workflow and a chat of another conversation are unknown everywhere."""
    path = await coze.started()
    assert (await coze.get(path.replace("7350", "7351")))["code"] == 4314
    chat = await coze.chat() | {"conversation_id": "1"}
    for path in ("retrieve", "message/list"):
        assert (await coze.get(f"/v3/chat/{path}{of(chat)}"))["code"] == 4001
    submit = "/v3/chat/submit_tool_outputs" + of(chat)
    for path, body in ((submit, _NO_OUTPUTS), ("/v3/chat/cancel", _ids(chat))):
        assert (await coze.post(path, body))["code"] == 4001


async def test_a_chat_in_the_pages_shape_looks_as_there(coze: CozeClient) -> None:
    """It begins as created, and cancelling answers no code, a null code and hollow objects.

    What the caller gave comes back from any; the order may stand in the parameters.
    """
    more = {"meta_data": {"a": "b"}, "parameters": {"simulate": {"seconds": 0}}}
    echoed = (await coze.post(_CHAT, _CHAT_BODY | more))["data"]
    assert echoed["meta_data"] == {"a": "b"}
    assert (await coze.retrieve(echoed))["status"] == "completed"
    chat = await coze.chat(seconds=4, shape="doc")
    assert chat["status"] == "created"
    answer = await coze.post("/v3/chat/cancel", _ids(chat))
    assert "code" not in answer
    assert answer["data"]["last_error"] == {"code": None, "msg": ""}
    assert answer["data"]["required_action"]["type"] == ""


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
    method: str, path: str, status: int, code: int, coze: CozeClient
) -> None:
    """Starts refuse it with code 4101 in HTTP 200, everything else with HTTP 401."""
    for token in ("pat_wrong", ""):
        answer = await coze.ask(method, path, {}, _bearing(token))
        assert (coze.status, answer["code"]) == (status, code)


def _bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _new_key() -> tuple[str, str]:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, bare = serialization.Encoding.PEM, serialization.NoEncryption()
    public = serialization.PublicFormat.SubjectPublicKeyInfo
    written = private.private_bytes(pem, serialization.PrivateFormat.PKCS8, bare)
    return written.decode(), private.public_key().public_bytes(pem, public).decode()


@pytest.fixture(scope="module")
def keys() -> tuple[str, str]:
    """Make a private and a public key in PEM."""
    return _new_key()


def _assertion(coze: CozeClient, private_key: str, **changes: object) -> str:
    now, audience = int(time.time()), coze.sim.coze_url.removeprefix("http://")
    claims = {"iss": "app", "aud": audience, "iat": now, "exp": now + 600, "jti": "a" * 32}
    return jwt.encode(claims | changes, private_key, "RS256", {"kid": "key"})


async def test_an_assertion_buys_a_token_once(keys: tuple[str, str]) -> None:
    """The token is good on every route until its absolute time; the same jti buys no second."""
    begun = time.time()
    async with asking(Simulator(jwt_public_key=keys[1])) as (coze, _):
        body, assertion = _GRANT | {"duration_seconds": 60}, _bearing(_assertion(coze, keys[0]))
        bought = await coze.ask("POST", _TOKEN, body, assertion)
        assert bought["access_token"].startswith("czs_")
        # The simulator's wall clock is the real one of its start, moved on by the loop's.
        assert begun + 60 - 1 <= bought["expires_in"] <= time.time() + 60 + 1
        bots = ("GET", "/v1/bots?workspace_id=1", None, _bearing(bought["access_token"]))
        assert (await coze.ask(*bots))["code"] == 0
        again = await coze.ask("POST", _TOKEN, body, assertion)
        assert (coze.status, again["error_code"]) == (401, "invalid_client")
        await asyncio.sleep(60)
        assert (await coze.ask(*bots))["code"] == 700012006


async def test_without_a_public_key_signatures_are_not_checked(
    keys: tuple[str, str], coze: CozeClient
) -> None:
    """A simulator that was given no key takes any signature, and still each jti only once."""
    path = "/api/permission/oauth2/account/1/token"
    assertion = _bearing(_assertion(coze, keys[0]).rpartition(".")[0] + ".AAAA")
    assert (await coze.ask("POST", path, _GRANT, assertion))["token_type"] == "Bearer"
    assert "error" in await coze.ask("POST", path, _GRANT, assertion)


async def test_a_bad_assertion_buys_nothing(keys: tuple[str, str]) -> None:
    """A wrong audience, an expired, foreign or broken assertion, a wrong grant are refused."""
    foreign, _ = _new_key()
    async with asking(Simulator(jwt_public_key=keys[1])) as (coze, _):
        elsewhere = _assertion(coze, keys[0], aud="api.coze.cn")
        late = _assertion(coze, keys[0], exp=int(time.time()) - 1)
        other = _assertion(coze, foreign)
        for assertion in (elsewhere, late, other, "not.a.jwt", "not a jwt"):
            answer = await coze.ask("POST", _TOKEN, _GRANT, _bearing(assertion))
            assert (coze.status, answer["error_code"]) == (401, "invalid_client"), assertion
        good = _bearing(_assertion(coze, keys[0]))
        for change in ({"grant_type": "refresh_token"}, {"duration_seconds": 86_400}):
            answer = await coze.ask("POST", _TOKEN, _GRANT | change, good)
            assert (coze.status, "error_code" in answer, "code" in answer) == (400, True, False)
        assert (await coze.ask("POST", _TOKEN, _GRANT, good))["token_type"] == "Bearer"


async def test_documents_are_processed_from_when_they_are_first_asked_for(coze: CozeClient) -> None:
    """Each has its own pace and end, in percent and with the seconds that remain."""

    async def ask(*ids: str) -> list[tuple[int, int, int]]:
        body = {"document_ids": ids}
        data = (await coze.ask("POST", "/v1/datasets/1/process", body))["data"]["data"]
        return [(one["status"], one["progress"], one["remaining_time"]) for one in data]

    (one, slow) = await ask("74", "slow-1")
    assert (one[:2], slow[:2]) == ((0, 0), (0, 0))
    assert slow[2] > one[2] > 0
    await asyncio.sleep(one[2] / 2)
    (half,) = await ask("74")
    assert half[0] == 0
    assert 0 < half[1] < 100
    await asyncio.sleep(600)
    assert (await ask("74", "slow-1", "fail-1"))[:2] == [(1, 100, 0), (1, 100, 0)]
    await asyncio.sleep(600)
    assert await ask("fail-1") == [(9, 100, 0)]
    assert coze.sim.starts["fail-1"] == 1
