"""Coze workflows: what is sent to start, run, resume and read one, and how answers are read."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest

from asyncclient import Observation, TaskState, wait_until_done
from asyncclient._http import Request, Response
from asyncclient.errors import (
    AuthenticationFailed,
    DecodeError,
    RequestTimeout,
    TaskBlocked,
    TaskFailed,
)
from asyncclient.providers.coze import (
    Coze,
    Interrupt,
    NodeExecuteStatus,
    Parameter,
    Usage,
    WorkflowRun,
    WorkflowRunHandle,
)
from asyncclient.testing import ScriptedTransport, reply

_FOLDER = Path(__file__).parents[1] / "fixtures" / "coze" / "answers"
_RECORDED = {path.name: path.read_bytes() for path in _FOLDER.iterdir()}
_RUN_PATH = "/v1/workflows/7350/run_histories/7431"
_EVENT_ID = "7404830425073352713/2769808280134765896"


def _client(*script: Response | Exception, repeat: bool = False) -> tuple[Coze, ScriptedTransport]:
    transport = ScriptedTransport(script, repeat=repeat)
    return Coze(transport, token="pat_1", base_url=Coze.CN), transport


def _sent(request: Request) -> tuple[str, str, Any]:
    body = None if request.body is None else msgspec.json.decode(request.body)
    return request.method, request.origin + request.target, body


def _history(**fields: object) -> Response:
    record = {"execute_id": "7431", "execute_status": "Running"} | fields
    return reply({"code": 0, "msg": "", "data": [record], "detail": {"logid": "2024"}})


async def _seen(response: Response) -> Observation[WorkflowRun]:
    coze, _ = _client(response)
    return await coze.workflow_run("7350", "7431").observe()


# --- starting -----------------------------------------------------------------------------------


async def test_a_start_sends_the_inputs_as_an_object_and_asks_for_an_asynchronous_run() -> None:
    """The body has the provider's own names, `is_async`, and nothing that was not given."""
    coze, transport = _client(reply(_RECORDED["start_workflow.live.json"]))
    run = await coze.start_workflow("7350", {"topic": "tea", "n": 3})
    assert [_sent(request) for request in transport.requests] == [
        (
            "POST",
            "https://api.coze.cn/v1/workflow/run",
            {"workflow_id": "7350", "parameters": {"topic": "tea", "n": 3}, "is_async": True},
        )
    ]
    assert isinstance(run, WorkflowRunHandle)
    assert (run.workflow_id, run.execute_id) == ("7350", "753529864030853****")
    assert run.ref is not None
    assert run.ref.created is not None


async def test_a_start_has_the_token_and_the_content_type() -> None:
    """Both headers that the pages ask for are on every request, GETs included."""
    coze, transport = _client(reply({"execute_id": "1", "msg": ""}), _history())
    run = await coze.start_workflow("7350")
    await run.poll()
    for request in transport.requests:
        assert request.headers == {
            "Authorization": "Bearer pat_1",
            "Content-Type": "application/json",
        }


async def test_a_start_without_inputs_sends_none() -> None:
    """No parameters given is no `parameters` sent, not a null."""
    coze, transport = _client(reply({"execute_id": "1"}))
    await coze.start_workflow("7350")
    assert _sent(transport.requests[0])[2] == {"workflow_id": "7350", "is_async": True}


async def test_every_option_of_a_start_reaches_the_body_under_its_own_name() -> None:
    """Options travel as they are named and are not mixed up."""
    coze, transport = _client(reply({"execute_id": "1"}))
    await coze.start_workflow(
        "7350",
        {},
        bot_id="11",
        ext={"user_id": "u"},
        workflow_version="v0.0.5",
        connector_id="999",
    )
    assert _sent(transport.requests[0])[2] == {
        "workflow_id": "7350",
        "parameters": {},
        "bot_id": "11",
        "ext": {"user_id": "u"},
        "workflow_version": "v0.0.5",
        "connector_id": "999",
        "is_async": True,
    }


async def test_an_app_id_reaches_the_body() -> None:
    """A workflow of an app is started with its `app_id`."""
    coze, transport = _client(reply({"execute_id": "1"}))
    await coze.start_workflow("7350", app_id="22")
    assert _sent(transport.requests[0])[2]["app_id"] == "22"


@pytest.mark.parametrize("recorded", ["start_workflow.doc.json", "start_workflow.live.json"])
async def test_a_start_answers_flat_with_and_without_a_code(recorded: str) -> None:
    """The execute id is on the top level of the answer, whose `code` the page's sample lacks."""
    coze, _ = _client(reply(_RECORDED[recorded]))
    run = await coze.start_workflow("7350")
    assert run.execute_id == msgspec.json.decode(_RECORDED[recorded])["execute_id"]


async def test_an_execute_id_that_comes_as_a_number_is_kept_whole() -> None:
    """Nineteen digits survive, and the handle's id is a text."""
    coze, transport = _client(reply(b'{"code":0,"execute_id":7535298640308535332}'), _history())
    run = await coze.start_workflow("7350")
    assert run.execute_id == "7535298640308535332"
    await run.poll()
    assert transport.requests[1].target.endswith("/run_histories/7535298640308535332")


async def test_a_start_without_an_execute_id_may_have_started_something() -> None:
    """A good answer that names no run is a `DecodeError` that warns of a second start."""
    coze, transport = _client(reply({"code": 0, "msg": "Success"}))
    with pytest.raises(DecodeError, match="execute_id") as caught:
        await coze.start_workflow("7350")
    assert caught.value.may_have_started
    assert len(transport.requests) == 1


async def test_the_callers_inputs_are_not_changed() -> None:
    """What the caller gives is encoded and left as it was."""
    coze, _ = _client(reply({"execute_id": "1"}))
    parameters = {"nested": {"list": [1, 2]}}
    ext = {"user_id": "u"}
    await coze.start_workflow("7350", parameters, ext=ext)
    assert (parameters, ext) == ({"nested": {"list": [1, 2]}}, {"user_id": "u"})


async def test_inputs_may_be_any_mapping() -> None:
    """A read-only view of a mapping is a mapping of names to values, as the signature says."""
    coze, transport = _client(reply({"execute_id": "1"}))
    await coze.start_workflow("7350", MappingProxyType({"topic": "tea"}))
    assert _sent(transport.requests[0])[2]["parameters"] == {"topic": "tea"}


# --- running synchronously ----------------------------------------------------------------------


async def test_a_synchronous_run_sends_no_is_async_and_opens_its_data() -> None:
    """The answer's `data` is JSON in text, which `.outputs` opens; usage is typed."""
    coze, transport = _client(reply(_RECORDED["run_workflow.json"]))
    answer = await coze.run_workflow("7350", {"city": "北京"})
    assert _sent(transport.requests[0]) == (
        "POST",
        "https://api.coze.cn/v1/workflow/run",
        {"workflow_id": "7350", "parameters": {"city": "北京"}},
    )
    assert answer.outputs == {"output": "北京的经度为116.4074°E，纬度为39.9042°N。"}  # noqa: RUF001  (as recorded)
    assert answer.usage == Usage(input_count=50, output_count=100, token_count=150)
    assert answer.interrupt is None
    assert answer.response is not None
    assert answer.response.body == _RECORDED["run_workflow.json"]


async def test_a_synchronous_run_may_answer_plain_text() -> None:
    """`data` that is no JSON is the output as it is."""
    coze, _ = _client(reply({"code": 0, "data": "It rains."}))
    assert (await coze.run_workflow("7350")).outputs == "It rains."


async def test_a_synchronous_runs_timeout_is_that_of_its_request() -> None:
    """The request may take a little more than the 90 s of Coze itself, or what the caller says."""
    coze, transport = _client(reply({"code": 0, "data": ""}), repeat=True)
    await coze.run_workflow("7350")
    await coze.run_workflow("7350", timeout=95.5)
    assert [request.timeout for request in transport.requests] == [100.0, 95.5]


async def test_other_requests_leave_the_timeout_to_the_transport() -> None:
    """Only the synchronous run stays on the line longer than the pool's setting."""
    coze, transport = _client(reply({"execute_id": "1"}), _history())
    await (await coze.start_workflow("7350")).poll()
    assert [request.timeout for request in transport.requests] == [None, None]


async def test_a_synchronous_run_that_times_out_is_not_run_again() -> None:
    """It may be at work, so there is one request and the error says that it may have started."""
    coze, transport = _client(RequestTimeout("late"), repeat=True)
    with pytest.raises(RequestTimeout) as caught:
        await coze.run_workflow("7350")
    assert caught.value.may_have_started
    assert len(transport.requests) == 1


# --- interrupts ---------------------------------------------------------------------------------


async def test_an_interrupt_is_a_good_answer_without_data() -> None:
    """Code 0 and no `data` is a run that waits: its event and required inputs are typed."""
    coze, _ = _client(reply(_RECORDED["resume_workflow.interrupted.json"]))
    answer = await coze.run_workflow("7350")
    assert answer.data is None
    assert answer.outputs is None
    assert answer.execute_id == "7569498703774****"
    interrupt = answer.interrupt
    assert interrupt is not None
    assert (interrupt.event_id, interrupt.type) == ("75694987037****/2691977632****", 5)
    assert interrupt.required_parameters == {"img": Parameter(type="image", required=True)}


async def test_resuming_passes_the_event_id_verbatim() -> None:
    """An event id with a slash travels in the body as it is, to the page's plural path."""
    coze, transport = _client(reply({"code": 0, "msg": "", "execute_id": "7431"}))
    answer = await coze.resume_workflow(
        "7350", event_id=_EVENT_ID, interrupt_type=2, resume_data="Ann"
    )
    assert [_sent(request) for request in transport.requests] == [
        (
            "POST",
            "https://api.coze.cn/v1/workflows/resume",
            {
                "workflow_id": "7350",
                "event_id": _EVENT_ID,
                "interrupt_type": 2,
                "resume_data": "Ann",
            },
        )
    ]
    assert answer.execute_id == "7431"
    assert answer.interrupt is None


async def test_resuming_with_a_mapping_sends_json_in_text() -> None:
    """`resume_data` is always a text on the wire."""
    coze, transport = _client(reply({"code": 0}))
    await coze.resume_workflow(
        "7350", event_id=_EVENT_ID, interrupt_type=5, resume_data={"file_id": "1456"}
    )
    assert _sent(transport.requests[0])[2]["resume_data"] == '{"file_id":"1456"}'


async def test_a_resumed_run_may_be_interrupted_again() -> None:
    """The answer to a resume has the next interrupt like that of a start."""
    coze, _ = _client(reply(_RECORDED["resume_workflow.interrupted.json"]))
    answer = await coze.resume_workflow(
        "7350", event_id=_EVENT_ID, interrupt_type=2, resume_data=""
    )
    assert answer.interrupt is not None
    assert answer.interrupt.event_id == "75694987037****/2691977632****"


async def test_a_running_word_with_an_interrupt_is_blocked() -> None:
    """No word is documented for a waiting run: its `interrupt_data` shows it."""
    seen = await _seen(_history(interrupt_data={"event_id": _EVENT_ID, "type": 2, "data": "Who?"}))
    assert seen.result.interrupt == Interrupt(event_id=_EVENT_ID, type=2, data="Who?")
    assert seen.word == "Running"
    assert seen.state is TaskState.BLOCKED
    assert seen.demand == _EVENT_ID
    assert seen.reason == "interrupt type 2: Who?"


@pytest.mark.parametrize("hollow", [None, {}, {"event_id": "", "type": 0, "data": ""}])
async def test_a_hollow_interrupt_is_none(hollow: object) -> None:
    """Interrupt data without an event id does not block a run."""
    seen = await _seen(_history(interrupt_data=hollow))
    assert seen.result.interrupt is None
    assert seen.state is TaskState.RUNNING
    assert seen.demand is None


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Success", TaskState.SUCCEEDED),
        ("Fail", TaskState.FAILED),
        ("Failed", TaskState.FAILED),
        ("Cancel", TaskState.CANCELLED),
    ],
)
async def test_an_interrupt_left_on_a_finished_run_does_not_block_it(
    word: str, state: TaskState
) -> None:
    """The word of an end is believed before interrupt data that was left behind."""
    left = {"event_id": _EVENT_ID, "type": 2, "data": "Who?"}
    seen = await _seen(_history(execute_status=word, interrupt_data=left))
    assert seen.state is state
    assert seen.demand is None
    assert "interrupt" not in (seen.reason or "")


async def test_a_failed_run_gives_its_error_and_not_the_interrupt_left_on_it() -> None:
    """Interrupt data left behind does not hide why the run failed."""
    failed = _history(
        execute_status="Fail",
        error_code="720701002",
        error_message="A node failed",
        interrupt_data={"event_id": _EVENT_ID, "type": 2, "data": "Who?"},
    )
    coze, _ = _client(failed)
    with pytest.raises(TaskFailed, match="720701002 A node failed"):
        await wait_until_done(coze.workflow_run("7350", "7431"))


async def test_an_unset_status_is_blocked() -> None:
    """The open server prints a waiting run's status as `<UNSET>`."""
    coze, _ = _client(_history(execute_status="<UNSET>"), repeat=True)
    with pytest.raises(TaskBlocked) as caught:
        await wait_until_done(coze.workflow_run("7350", "7431"))
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.word == "<UNSET>"


# --- reading a run ------------------------------------------------------------------------------


async def test_reading_a_run_asks_the_runs_history() -> None:
    """Both ids are in the path, and the one record of the list is the answer."""
    coze, transport = _client(_history(execute_status="Success", output='{"Output":"tea"}'))
    run = await coze.get_workflow_run("7350", "7431")
    assert _sent(transport.requests[0]) == ("GET", f"https://api.coze.cn{_RUN_PATH}", None)
    assert (run.execute_status, run.outputs) == ("Success", {"Output": "tea"})
    assert run.response is not None


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("Running", TaskState.RUNNING),
        ("Success", TaskState.SUCCEEDED),
        ("Fail", TaskState.FAILED),
        ("Failed", TaskState.FAILED),
        ("Cancel", TaskState.CANCELLED),
        ("<UNSET>", TaskState.BLOCKED),
        ("running", None),
        ("Queued", None),
        ("Interrupted", None),
        ("", None),
        (None, None),
    ],
)
async def test_each_word_of_a_run_has_its_state(word: str | None, state: TaskState | None) -> None:
    """Words are taken as they are spelled; those that no page has are unknown, not ends."""
    seen = await _seen(_history(execute_status=word))
    assert (seen.word, seen.state) == (word, state)


async def test_an_empty_list_is_a_soft_failure() -> None:
    """No record yet is an answer to ask again for, not an end and not a crash."""
    coze, transport = _client(
        reply({"code": 0, "data": []}), _history(execute_status="Success", output='{"Output":"1"}')
    )
    run = await wait_until_done(coze.workflow_run("7350", "7431"))
    assert run.execute_status == "Success"
    assert len(transport.requests) == 2


async def test_an_empty_list_names_its_place_in_the_answer() -> None:
    """The error of one poll says where the record is missing."""
    coze, _ = _client(reply({"code": 0, "data": []}))
    with pytest.raises(DecodeError, match="empty list") as caught:
        await coze.workflow_run("7350", "7431").poll()
    assert caught.value.path == "$.data"


@pytest.mark.parametrize("code", ["", "0", 0, None], ids=repr)
async def test_no_error_code_comes_in_many_spellings(code: object) -> None:
    """An empty text, a quoted zero, a zero and a null all mean that nothing went wrong."""
    assert not (await _seen(_history(error_code=code))).reason


@pytest.mark.parametrize("code", ["720701002", 720701002], ids=repr)
async def test_an_error_code_may_be_a_text_or_a_number(code: object) -> None:
    """A failed run's error shows its code and message, whichever way the code came."""
    coze, _ = _client(
        _history(execute_status="Fail", error_code=code, error_message="A node failed")
    )
    with pytest.raises(TaskFailed, match="720701002 A node failed") as caught:
        await wait_until_done(coze.workflow_run("7350", "7431"))
    assert caught.value.snapshot is not None
    assert caught.value.snapshot.word == "Fail"


async def test_a_failed_runs_older_field_names_are_read() -> None:
    """`error_msg` and `log_id`, the old names, are not lost."""
    seen = await _seen(_history(execute_status="Fail", error_code="1", error_msg="old", log_id="L"))
    assert seen.reason == "1 old"
    assert seen.result.log_id == "L"


@pytest.mark.parametrize(
    ("fields", "trimmed"),
    [({}, False), ({"is_output_trimmed": False}, False), ({"is_output_trimmed": True}, True)],
)
async def test_whether_the_output_is_cut_may_be_left_unsaid(
    fields: dict[str, object],
    trimmed: bool,  # noqa: FBT001  (a table's column)
) -> None:
    """The page's own sample lacks `is_output_trimmed`, which then means no."""
    seen = await _seen(_history(**fields))
    assert seen.result.trimmed is trimmed


@pytest.mark.parametrize(
    ("output", "outputs", "node_status"),
    [
        (None, None, None),
        ("", "", None),
        ("null", None, None),
        ("output", "output", None),
        ('{"Output":"null"}', {"Output": None}, None),
        ('{"Output":""}', {"Output": ""}, None),
        ('{"Output":"7535298640308535332"}', {"Output": "7535298640308535332"}, None),
        ('{"Output":"{\\"a\\":\\"[1]\\"}"}', {"Output": {"a": [1]}}, None),
        ('{"node_status":"{}","Output":"plain"}', {"Output": "plain"}, {}),
        (
            '{"node_status":"{\\"N\\":{\\"is_finish\\":true}}","N":"text"}',
            {"N": "text"},
            {"N": {"is_finish": True}},
        ),
        ('{"Output":"cut of', '{"Output":"cut of', None),
        ("[1,2]", [1, 2], None),
    ],
)
async def test_output_is_opened_as_far_as_it_goes(
    output: str | None, outputs: object, node_status: object
) -> None:
    """JSON in JSON in text is opened, Coze's own entry set apart, and anything else left as is."""
    run = (await _seen(_history(execute_status="Success", output=output))).result
    assert run.output == output
    assert run.outputs == outputs
    assert run.node_status == node_status


async def test_the_status_of_nodes_is_typed() -> None:
    """The map of nodes gives what reading a single node's output takes."""
    seen = await _seen(
        _history(
            node_execute_status={
                "输出": {
                    "node_id": "1000",
                    "is_finish": True,
                    "loop_index": 2,
                    "node_execute_uuid": "63c7f6d2",
                }
            }
        )
    )
    assert seen.result.node_execute_status == {
        "输出": NodeExecuteStatus(
            node_id="1000", is_finish=True, loop_index=2, node_execute_uuid="63c7f6d2"
        )
    }


async def test_ids_and_small_numbers_may_come_quoted_or_not() -> None:
    """A self-hosted server sends ids as numbers; the same fields are texts in the cloud."""
    seen = await _seen(
        reply(b'{"data":[{"execute_id":7431,"bot_id":0,"token":0,"cost":"0.0","log_id":"L"}]}')
    )
    run = seen.result
    assert (run.execute_id, run.bot_id, run.token, run.cost) == (7431, 0, 0, "0.0")


# --- bodies that are no JSON --------------------------------------------------------------------


async def test_a_malformed_body_of_a_running_run_is_running() -> None:
    """Wrong escaping of nested quotes is seen while runs are at work, and costs no wait."""
    seen = await _seen(reply(_RECORDED["get_workflow_run.malformed.txt"]))
    assert seen.word == "Running"
    assert seen.state is TaskState.RUNNING
    assert seen.raw == _RECORDED["get_workflow_run.malformed.txt"]
    assert seen.result.response is not None
    assert seen.result.response.body == seen.raw


@pytest.mark.parametrize("word", [b"Success", b"Fail", b"Cancel"])
async def test_a_malformed_body_is_never_believed_to_be_an_end(word: bytes) -> None:
    """An end is read from an answer that decodes: the next poll brings it."""
    body = _RECORDED["get_workflow_run.malformed.txt"].replace(b"Running", word)
    good = _history(execute_status="Success", output='{"Output":"tea"}')
    coze, _ = _client(reply(body), good)
    handle = coze.workflow_run("7350", "7431")
    with pytest.raises(DecodeError):
        await handle.poll()
    assert (await wait_until_done(handle)).outputs == {"Output": "tea"}


async def test_a_well_formed_answer_of_the_wrong_shape_is_not_taken_for_running() -> None:
    """A status inside a body of another shape is no status."""
    coze, _ = _client(reply({"code": 0, "data": {"execute_status": "Running"}}))
    with pytest.raises(DecodeError) as caught:
        await coze.workflow_run("7350", "7431").poll()
    assert caught.value.path == "$.data"


async def test_a_status_of_the_wrong_type_is_a_soft_failure() -> None:
    """A number where a word belongs does not decode, and says where."""
    coze, _ = _client(_history(execute_status=3))
    with pytest.raises(DecodeError, match="execute_status"):
        await coze.workflow_run("7350", "7431").poll()


async def test_a_quoted_code_of_zero_is_success() -> None:
    """`"code": "0"` is read as 0."""
    coze, _ = _client(reply({"code": "0", "data": [{"execute_status": "Running"}]}))
    assert (await coze.workflow_run("7350", "7431").poll()).execute_status == "Running"


async def test_a_quoted_code_of_zero_with_an_unfit_answer_is_a_soft_failure() -> None:
    """An answer that says no error but does not fit is undecodable, which a wait tolerates."""
    coze, _ = _client(reply({"code": "0", "data": None}))
    with pytest.raises(DecodeError):
        await coze.workflow_run("7350", "7431").poll()


# --- nodes --------------------------------------------------------------------------------------


async def test_reading_a_node_asks_below_the_run() -> None:
    """The node's id is the third in the path, and its plain text comes back as it is."""
    coze, transport = _client(reply(_RECORDED["get_node_output.json"]))
    node = await coze.get_node_output("7350", "7431", "63c7f6d2")
    assert _sent(transport.requests[0]) == (
        "GET",
        f"https://api.coze.cn{_RUN_PATH}/execute_nodes/63c7f6d2",
        None,
    )
    assert node.is_finish is False
    assert node.output == node.node_output
    assert str(node.output).startswith("0《零的奇妙冒险》")


async def test_a_nodes_output_may_be_json_in_text() -> None:
    """JSON in a node's text is opened, like that of a whole run."""
    coze, _ = _client(reply({"data": {"node_output": '{"a":"[1]"}'}}))
    assert (await coze.get_node_output("7350", "7431", "63c7f6d2")).output == {"a": [1]}


async def test_a_refused_start_is_an_error_of_its_code() -> None:
    """HTTP 200 with a code is a refusal also where the answer is flat."""
    coze, transport = _client(
        reply({"code": 4101, "msg": "The token you entered is incorrect."}), repeat=True
    )
    with pytest.raises(AuthenticationFailed) as caught:
        await coze.start_workflow("7350")
    assert (caught.value.code, caught.value.may_have_started) == (4101, False)
    assert len(transport.requests) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"usage": {"token_count": None, "input_count": "12"}},
        {"create_time": "1754448435", "run_mode": "2"},
        {"interrupt_data": ""},
        {"interrupt_data": {"event_id": None, "type": None}},
        {"node_execute_status": {"End": {"loop_index": "1", "is_finish": None}}},
        {"is_output_trimmed": None, "cost": 0, "token": 0},
    ],
    ids=["usage", "quoted numbers", "text", "hollow interrupt", "node", "nulls"],
)
async def test_an_odd_field_beside_costs_no_result(odd: dict[str, object]) -> None:
    """A finished run is read although a field beside its output is of another type than usual."""
    run = {"execute_status": "Success", "output": '{"Output":"null"}', **odd}
    coze = Coze(ScriptedTransport([reply({"code": 0, "data": [run]})]), token="t")
    history = await wait_until_done(coze.workflow_run("7350", "7431"))
    assert history.output == '{"Output":"null"}'
    assert history.outputs == {"Output": None}
    assert history.interrupt is None


@pytest.mark.parametrize(
    ("output", "outputs"),
    [
        ({"Output": '{"a":1}', "node_status": "{}"}, {"Output": {"a": 1}}),
        (["a", '{"b":1}'], ["a", {"b": 1}]),
        (5, 5),
        (1.5, 1.5),
        (True, True),
        (None, None),
    ],
    ids=repr,
)
async def test_an_output_that_is_no_text_costs_no_result(output: object, outputs: object) -> None:
    """A finished run is read though its output is of another type: as it came, and opened."""
    run = {"execute_status": "Success", "output": output}
    transport = ScriptedTransport([reply({"code": 0, "data": [run]})])
    history = await wait_until_done(Coze(transport, token="t").workflow_run("7350", "7431"))
    assert (history.output, history.outputs) == (output, outputs)
    assert type(history.output) is type(output)
    assert len(transport.requests) == 1


@pytest.mark.parametrize("data", [{"output": "[1]"}, ["[1]"], 5, False], ids=repr)
async def test_the_data_of_a_run_and_a_node_may_be_of_any_type(data: object) -> None:
    """A synchronous run and one node's output are read the same way."""
    transport = ScriptedTransport(
        [reply({"code": 0, "data": data}), reply({"code": 0, "data": {"node_output": data}})]
    )
    coze = Coze(transport, token="t", max_retries=0)
    opened = {"output": [1]} if isinstance(data, dict) else [[1]] if data == ["[1]"] else data
    run = await coze.run_workflow("7350")
    assert (run.data, run.outputs) == (data, opened)
    node = await coze.get_node_output("7350", "7431", "63c7f6d2")
    assert (node.node_output, node.output) == (data, opened)
