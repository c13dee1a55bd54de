"""Coze's workflows: what is sent to start, run, resume and read one, and how answers are read."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from asyncclient import Observation, TaskState, wait_until_done
from asyncclient._http import Response
from asyncclient.errors import DecodeError, TaskBlocked, TaskFailed
from asyncclient.providers.coze import (
    Interrupt,
    NodeExecuteStatus,
    Parameter,
    Usage,
    WorkflowRun,
    WorkflowRunHandle,
)
from asyncclient.providers.coze._tasks import observe_run
from asyncclient.testing import reply
from tests.providers.scripted import RECORDED, RUNS, STARTED, coze, sent

_RUN_URL = "https://api.coze.cn/v1/workflows/7350/run_histories/7431"
_START_URL = "https://api.coze.cn/v1/workflow/run"
_EVENT_ID = "7404830425073352713/2769808280134765896"
_INTERRUPT = {"event_id": _EVENT_ID, "type": 2, "data": "Who?"}
_MALFORMED = RECORDED["coze/answers/get_workflow_run.malformed.txt"]
_INTERRUPTED = reply(RECORDED["coze/answers/resume_workflow.interrupted.json"])


def _history(**fields: object) -> Response:
    record = {"execute_id": "7431", "execute_status": "Running"} | fields
    return reply({"code": 0, "msg": "", "data": [record], "detail": {"logid": "2024"}})


def _handle(*script: Response) -> WorkflowRunHandle:
    client, _ = coze(*script)
    return client.workflow_run("7350", "7431")


def _seen(response: Response) -> Observation[WorkflowRun]:
    return _handle().read(response.body)


# --- starting -----------------------------------------------------------------------------------


async def test_a_start_sends_the_inputs_as_an_object_and_asks_for_an_asynchronous_run() -> None:
    """The body has the provider's own names, `is_async`, and nothing that was not given.

    Any mapping will do, and none is changed.
    """
    client, transport = coze(reply(RECORDED["coze/answers/start_workflow.live.json"]), repeat=True)
    parameters = MappingProxyType({"topic": {"list": [1, 2]}, "n": 3})
    run = await client.start_workflow("7350", parameters)
    await client.start_workflow("7350")
    body = {"workflow_id": "7350", "is_async": True}
    assert [sent(request) for request in transport.requests] == [
        ("POST", _START_URL, body | {"parameters": {"topic": {"list": [1, 2]}, "n": 3}}),
        ("POST", _START_URL, body),
    ]
    assert dict(parameters) == {"topic": {"list": [1, 2]}, "n": 3}
    assert isinstance(run, WorkflowRunHandle)
    assert (run.workflow_id, run.execute_id) == ("7350", "753529864030853****")
    assert run.created is not None


async def test_every_option_of_a_start_reaches_the_body_under_its_own_name() -> None:
    """Options travel as they are named; of an app or a bot, only one."""
    client, transport = coze(STARTED, repeat=True)
    options: dict[str, Any] = {
        "bot_id": "11",
        "ext": {"user_id": "u"},
        "workflow_version": "v0.0.5",
        "connector_id": "999",
    }
    await client.start_workflow("7350", {}, **options)
    await client.start_workflow("7350", app_id="22")
    fixed = {"workflow_id": "7350", "is_async": True}
    assert [sent(request)[2] for request in transport.requests] == [
        {**fixed, "parameters": {}, **options},
        {**fixed, "app_id": "22"},
    ]
    for start in (client.start_workflow, client.run_workflow):
        with pytest.raises(ValueError, match="bot_id or app_id"):
            await start("7350", bot_id="1", app_id="2")
    assert len(transport.requests) == 2


@pytest.mark.parametrize(
    ("answer", "execute_id"),
    [
        (RECORDED["coze/answers/start_workflow.doc.json"], "74248231312884****"),
        (RECORDED["coze/answers/start_workflow.live.json"], "753529864030853****"),
        (b'{"code":0,"execute_id":7535298640308535332}', "7535298640308535332"),
    ],
    ids=["without a code", "with a code", "number"],
)
async def test_a_start_answers_flat(answer: bytes, execute_id: str) -> None:
    """The id is on the top level; one that comes as a number is a text with all its digits."""
    client, transport = coze(reply(answer), _history())
    run = await client.start_workflow("7350")
    assert run.execute_id == execute_id
    await run.poll()
    assert transport.requests[1].target.endswith(f"/{execute_id.replace('*', '%2A')}")


# --- running synchronously ----------------------------------------------------------------------


async def test_a_synchronous_run_sends_no_is_async_and_opens_its_data() -> None:
    """The answer's `data` is JSON in text, which `.outputs` opens; usage is typed."""
    client, transport = coze(reply(RECORDED["coze/answers/run_workflow.json"]))
    answer = await client.run_workflow("7350", {"city": "北京"})
    body = {"workflow_id": "7350", "parameters": {"city": "北京"}}
    assert sent(transport.requests[0]) == ("POST", _START_URL, body)
    assert answer.outputs == {"output": "北京的经度为116.4074°E，纬度为39.9042°N。"}  # noqa: RUF001  (as recorded)
    assert answer.usage == Usage(input_count=50, output_count=100, token_count=150)
    assert answer.interrupt is None
    assert answer.response is not None
    assert answer.response.body == RECORDED["coze/answers/run_workflow.json"]


async def test_only_a_synchronous_run_has_a_timeout_of_its_own() -> None:
    """It is a little more than the 90 s of Coze itself, or the caller's; others have the pool's."""
    client, transport = coze(reply({"code": 0, "data": "", "execute_id": "7431"}), repeat=True)
    await client.run_workflow("7350")
    await client.run_workflow("7350", timeout=95.5)
    await client.start_workflow("7350")
    assert [request.timeout for request in transport.requests] == [100.0, 95.5, None]


# --- interrupts ---------------------------------------------------------------------------------


async def test_an_interrupt_is_a_good_answer_without_data() -> None:
    """Code 0 and no `data` is a run that waits: its event and required inputs are typed.

    A resumed run may be interrupted again.
    """
    client, _ = coze(_INTERRUPTED, repeat=True)
    for answer in (
        await client.run_workflow("7350"),
        await client.resume_workflow("7350", event_id="1/2", interrupt_type=2, resume_data=""),
    ):
        assert (answer.data, answer.outputs) == (None, None)
        assert answer.execute_id == "7569498703774****"
        interrupt = answer.interrupt
        assert interrupt is not None
        assert (interrupt.event_id, interrupt.type) == ("75694987037****/2691977632****", 5)
        assert interrupt.required_parameters == {"img": Parameter(type="image", required=True)}


@pytest.mark.parametrize(
    ("given", "resume_data"),
    [
        ("Ann", "Ann"),
        ("", ""),
        (" \n", " \n"),
        (" tea ", " tea "),
        ({"file_id": "1456"}, '{"file_id":"1456"}'),
    ],
    ids=repr,
)
async def test_resuming_passes_event_and_text_verbatim(
    given: str | dict[str, object], resume_data: str
) -> None:
    """`resume_data` is always a text, whose form the node decides; the path has a plural."""
    client, transport = coze(reply({"code": 0, "msg": "", "execute_id": "7431"}))
    answer = await client.resume_workflow(
        "7350", event_id=_EVENT_ID, interrupt_type=0, resume_data=given
    )
    body = {
        "workflow_id": "7350",
        "event_id": _EVENT_ID,
        "interrupt_type": 0,
        "resume_data": resume_data,
    }
    assert [sent(request) for request in transport.requests] == [
        ("POST", "https://api.coze.cn/v1/workflows/resume", body)
    ]
    assert (answer.execute_id, answer.interrupt) == ("7431", None)


async def test_half_a_letter_of_resume_data_is_refused_by_name() -> None:
    """A text that is in no encoding, as cut out of another, is not any text."""
    client, transport = coze()
    with pytest.raises(TypeError, match=r"^resume_data cannot be written as JSON"):
        await client.resume_workflow("7", event_id="1", interrupt_type=2, resume_data="\ud800")
    assert transport.requests == []


_EMPTY = {"event_id": "", "type": 0, "data": ""}
_HOLLOW: list[object] = [
    *(None, {}, "", [], [{}], [None, 5], 5, False, "null", "no JSON", "[]", "{}", "5"),
    *(_EMPTY, {"event_id": None, "type": None}, {"data": {}, "required_parameters": None}),
    *({"new": "field"}, json.dumps(_EMPTY)),
]
_FAILED = "720701002 A node failed"


@pytest.mark.parametrize(
    ("word", "interrupt", "state", "reason"),
    [
        # No word is documented for a waiting run: its `interrupt_data` shows it.
        ("Running", _INTERRUPT, TaskState.BLOCKED, "interrupt type 2: Who?"),
        # Interrupt data that says nothing does not block a run.
        *(("Running", hollow, TaskState.RUNNING, _FAILED) for hollow in _HOLLOW),
        # The word of an end is believed, and its error shown, before what was left behind.
        ("Success", _INTERRUPT, TaskState.SUCCEEDED, None),
        ("Fail", _INTERRUPT, TaskState.FAILED, _FAILED),
        ("Failed", _INTERRUPT, TaskState.FAILED, _FAILED),
        ("Cancel", _INTERRUPT, TaskState.CANCELLED, _FAILED),
    ],
    ids=repr,
)
def test_an_interrupt_blocks_a_run_at_work(
    word: str, interrupt: object, state: TaskState, reason: str | None
) -> None:
    """Its event is the demand, and its question the reason."""
    failed = {"error_code": "720701002", "error_message": "A node failed"}
    seen = _seen(_history(execute_status=word, interrupt_data=interrupt, **failed))
    assert (seen.word, seen.state, seen.reason) == (word, state, reason)
    assert seen.demand == (_EVENT_ID if state is TaskState.BLOCKED else None)
    event = Interrupt(event_id=_EVENT_ID, type=2, data="Who?")
    assert seen.result.interrupt == (event if interrupt is _INTERRUPT else None)


_DIGITS = 75690000000000000012  # more than 64 bits


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"event_id": "1/2", "data": {"a": [1]}}, Interrupt("1/2", 0, '{"a":[1]}')),
        ({"event_id": _DIGITS, "type": "2"}, Interrupt(str(_DIGITS), 2)),
        ({"event_id": ["1/2"], "type": 5.5}, Interrupt('["1/2"]')),
        ({"type": 2, "data": "Who?"}, Interrupt("", 2, "Who?")),
        ({"event_id": None, "data": "Who?"}, Interrupt("", 0, "Who?")),
        ({"type": 7}, Interrupt("", 7)),
        ({"event_id": "1/2", "required_parameters": [1]}, Interrupt("1/2")),
        ([_INTERRUPT, {"event_id": "3/4"}], Interrupt(_EVENT_ID, 2, "Who?")),
        ([{}, None, _INTERRUPT], Interrupt(_EVENT_ID, 2, "Who?")),
        (json.dumps(_INTERRUPT), Interrupt(_EVENT_ID, 2, "Who?")),
        (json.dumps([_INTERRUPT]), Interrupt(_EVENT_ID, 2, "Who?")),
    ],
    ids=repr,
)
@pytest.mark.parametrize("word", ["Running", "<UNSET>", "Interrupted", None])
async def test_an_interrupt_of_any_form_blocks(
    data: object, expected: Interrupt, word: str | None
) -> None:
    """With any part missing or of another type, only the caller can move the run on."""
    answer = _history(execute_status=word, interrupt_data=data)
    seen = _seen(answer)
    assert (seen.state, seen.result.interrupt) == (TaskState.BLOCKED, expected)
    assert seen.demand == (expected.event_id or expected.data)
    with pytest.raises(TaskBlocked):
        await wait_until_done(_handle(answer))


# --- reading a run ------------------------------------------------------------------------------


async def test_reading_a_run_asks_the_runs_history() -> None:
    """Both ids are in the path, and the one record of the list is the answer."""
    client, transport = coze(_history(execute_status="Success", output='{"Output":"tea"}'))
    run = await client.get_workflow_run("7350", "7431")
    assert sent(transport.requests[0]) == ("GET", _RUN_URL, None)
    assert (run.execute_status, run.outputs) == ("Success", {"Output": "tea"})
    assert run.response is not None


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        # No error code comes in many spellings.
        ({"error_code": ""}, None),
        ({"error_code": "0"}, None),
        ({"error_code": 0}, None),
        ({"error_code": None}, None),
        ({"error_code": "720701002", "error_message": "A node failed"}, "720701002 A node failed"),
        ({"error_code": 720701002, "error_message": "A node failed"}, "720701002 A node failed"),
        # The older name of the message.
        ({"error_code": "1", "error_msg": "old"}, "1 old"),
    ],
    ids=repr,
)
async def test_a_failed_run_says_why(fields: dict[str, object], reason: str | None) -> None:
    """Its code, a text or a number, and its message are in the error of the wait."""
    failed = _history(execute_status="Fail", **fields)
    assert _seen(failed).reason == reason
    with pytest.raises(TaskFailed, match=reason or "Fail") as caught:
        await wait_until_done(_handle(failed))
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.word == "Fail"


@pytest.mark.parametrize(
    ("output", "outputs", "node_status"),
    [
        (None, None, None),
        ('{"Output":"{\\"a\\":\\"[1]\\"}"}', {"Output": {"a": [1]}}, None),
        ('{"node_status":"{}","Output":"plain"}', {"Output": "plain"}, {}),
        (
            '{"node_status":"{\\"N\\":{\\"is_finish\\":true}}","N":"text"}',
            {"N": "text"},
            {"N": {"is_finish": True}},
        ),
        # An output that is no text costs no result.
        ({"Output": '{"a":1}', "node_status": "{}"}, {"Output": {"a": 1}}, {}),
        (["a", '{"b":1}'], ["a", {"b": 1}], None),
        (5, 5, None),
        (True, True, None),
    ],
    ids=repr,
)
def test_output_is_opened_as_far_as_it_goes(
    output: object, outputs: object, node_status: object
) -> None:
    """JSON in JSON in text is opened, Coze's own entry set apart, and anything else left as is."""
    run = _seen(_history(execute_status="Success", output=output)).result
    assert run.output == output
    assert type(run.output) is type(output)
    assert run.outputs == outputs
    assert run.node_status == node_status


def test_the_status_of_nodes_is_typed() -> None:
    """The map of nodes gives what reading a single node's output takes."""
    node = {"node_id": "1000", "is_finish": True, "loop_index": 2, "node_execute_uuid": "63c7f6d2"}
    seen = _seen(_history(node_execute_status={"输出": node}))
    assert seen.result.node_execute_status == {
        "输出": NodeExecuteStatus(
            node_id="1000", is_finish=True, loop_index=2, node_execute_uuid="63c7f6d2"
        )
    }


def test_ids_and_small_numbers_may_come_quoted_or_not() -> None:
    """A self-hosted server sends ids as numbers; the same fields are texts in the cloud."""
    run = _seen(
        reply(b'{"data":[{"execute_id":7431,"bot_id":0,"token":0,"cost":"0.0","log_id":"L"}]}')
    ).result
    assert (run.execute_id, run.bot_id, run.token, run.cost, run.log_id) == (7431, 0, 0, "0.0", "L")


@pytest.mark.parametrize(
    "beside",
    [
        {"usage": {"token_count": None, "input_count": "12"}},
        {"create_time": "1754448435", "run_mode": "2"},
        {"node_execute_status": {"End": {"loop_index": "1", "is_finish": None}}},
        {"is_output_trimmed": None, "cost": 0, "token": 0},
        {"is_output_trimmed": True},
    ],
    ids=["usage", "quoted numbers", "node", "nulls", "trimmed"],
)
def test_a_field_of_another_type_costs_no_result(beside: dict[str, object]) -> None:
    """A finished run is read although a field beside its output is of another type than usual."""
    seen = _seen(_history(execute_status="Success", output='{"Output":"null"}', **beside))
    assert seen.state is TaskState.SUCCEEDED
    assert seen.result.outputs == {"Output": None}
    assert seen.result.trimmed is bool(beside.get("is_output_trimmed"))


@pytest.mark.parametrize(
    ("word", "began", "ended", "seconds"),
    [
        ("Success", 100, 142, 42.0),
        ("Success", 100, 100, 0.0),
        ("Success", 100, None, None),
        ("Success", None, 142, None),
        ("Success", 142, 100, None),
        # `update_time` is the last change of a run at work too, and no duration.
        ("Running", 100, 142, None),
        ("<UNSET>", 100, 142, None),
        ("new", 100, 142, None),
        (None, 100, 142, None),
    ],
)
def test_a_run_took_from_its_creation_to_its_last_change(
    word: str | None, began: int | None, ended: int | None, seconds: float | None
) -> None:
    """A run's two times give its seconds; without either, or turned round, nothing is known."""
    run = WorkflowRun(execute_status=word, create_time=began, update_time=ended)
    assert observe_run(run).took == seconds


# --- bodies that are no JSON --------------------------------------------------------------------


def test_a_malformed_body_of_a_running_run_is_running() -> None:
    """Wrong escaping of nested quotes is seen while runs are at work, and costs no wait."""
    seen = _seen(reply(_MALFORMED))
    assert (seen.word, seen.state, seen.raw) == ("Running", TaskState.RUNNING, _MALFORMED)
    assert seen.result.response is not None
    assert seen.result.response.body == seen.raw


@pytest.mark.parametrize("word", [b"Success", b"Fail", b"Cancel"])
async def test_a_malformed_body_is_never_believed_to_be_an_end(word: bytes) -> None:
    """An end is read from an answer that decodes: the next poll brings it."""
    good = _history(execute_status="Success", output='{"Output":"tea"}')
    handle = _handle(reply(_MALFORMED.replace(b"Running", word)), good)
    with pytest.raises(DecodeError):
        await handle.poll()
    assert (await wait_until_done(handle)).outputs == {"Output": "tea"}


@pytest.mark.parametrize(
    ("answer", "path"),
    [
        ({"code": 0, "data": {"execute_status": "Running"}}, "$.data"),
        ({"code": 0, "data": [{"execute_status": 3}]}, "$.data[0].execute_status"),
        ({"code": "0", "data": None}, "$.data"),
        ({"code": 0, "data": []}, "$.data"),
    ],
    ids=["another shape", "a number for a word", "no data", "no record yet"],
)
async def test_a_well_formed_answer_of_the_wrong_shape_is_undecodable(
    answer: object, path: str
) -> None:
    """A status inside a body of another shape is no status; a wait tolerates the error."""
    with pytest.raises(DecodeError) as caught:
        await _handle(reply(answer)).poll()
    assert caught.value.path == path


def test_a_quoted_code_of_zero_is_success() -> None:
    """`"code": "0"` is read as 0."""
    data = msgspec.json.decode(RUNS["coze"].body)
    assert _seen(reply(data | {"code": "0"})).word == "Running"


# --- nodes --------------------------------------------------------------------------------------


async def test_reading_a_node_asks_below_the_run() -> None:
    """The node's id is the third in the path, and its plain text comes back as it is."""
    client, transport = coze(reply(RECORDED["coze/answers/get_node_output.json"]))
    node = await client.get_node_output("7350", "7431", "63c7f6d2")
    assert sent(transport.requests[0]) == ("GET", f"{_RUN_URL}/execute_nodes/63c7f6d2", None)
    assert node.is_finish is False
    assert node.output == node.node_output
    assert str(node.output).startswith("0《零的奇妙冒险》")


@pytest.mark.parametrize(
    ("data", "opened"),
    [
        ('{"a":"[1]"}', {"a": [1]}),
        ("It rains.", "It rains."),
        ({"output": "[1]"}, {"output": [1]}),
        (["[1]"], [[1]]),
        (5, 5),
        (False, False),
    ],
    ids=repr,
)
async def test_the_data_of_a_run_and_a_node_may_be_of_any_type(
    data: object, opened: object
) -> None:
    """A synchronous run and one node's output are read the same way, and opened."""
    client, _ = coze(
        reply({"code": 0, "data": data}), reply({"code": 0, "data": {"node_output": data}})
    )
    run = await client.run_workflow("7350")
    assert (run.data, run.outputs) == (data, opened)
    node = await client.get_node_output("7350", "7431", "63c7f6d2")
    assert (node.node_output, node.output) == (data, opened)
