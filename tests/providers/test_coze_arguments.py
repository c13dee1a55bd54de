"""What Coze's client refuses before anything is sent, and what it never shows."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, cast

import pytest

from asyncclient import TaskRef
from asyncclient._http import Transport
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import ChatMessage, Coze, ToolOutput
from asyncclient.testing import ScriptedTransport, reply


class NoJSON:
    """A thing without a form in JSON, and with the same name in every run."""

    def __repr__(self) -> str:
        return "NO_JSON"


NO_JSON = NoJSON()

_TOKEN = "pat_secret-7f3a9c"
_BAD_LINES = [
    "",
    "   ",
    "7350\n",
    "73\r50",
    "73\x0050",
    " 7350",
    "7350 ",
    7350,
    None,
    b"7350",
    True,
]
_BAD_IDS = [".", "..", *_BAD_LINES]

# Each id that an operation takes, by the argument's name and what to call with it.
_ID_CALLS: dict[str, Callable[[Coze, Any], Awaitable[object]]] = {
    "start_workflow workflow_id": lambda coze, bad: coze.start_workflow(bad),
    "run_workflow workflow_id": lambda coze, bad: coze.run_workflow(bad),
    "resume_workflow workflow_id": lambda coze, bad: coze.resume_workflow(
        bad, event_id="1/2", interrupt_type=2, resume_data=""
    ),
    "resume_workflow event_id": lambda coze, bad: coze.resume_workflow(
        "7350", event_id=bad, interrupt_type=2, resume_data=""
    ),
    "get_workflow_run workflow_id": lambda coze, bad: coze.get_workflow_run(bad, "7431"),
    "get_workflow_run execute_id": lambda coze, bad: coze.get_workflow_run("7350", bad),
    "get_node_output node_execute_uuid": lambda coze, bad: coze.get_node_output("1", "2", bad),
    "list_bots workspace_id": lambda coze, bad: coze.list_bots(bad),
    "get_bot bot_id": lambda coze, bad: coze.get_bot(bad),
    "start_copy entity_id": lambda coze, bad: coze.start_copy(bad, entity_type="bot"),
    "get_copy_task task_id": lambda coze, bad: coze.get_copy_task(bad),
    "start_chat bot_id": lambda coze, bad: coze.start_chat(bad, user_id="ann"),
    "get_chat conversation_id": lambda coze, bad: coze.get_chat(bad, "7382"),
    "get_chat chat_id": lambda coze, bad: coze.get_chat("7381", bad),
    "cancel_chat chat_id": lambda coze, bad: coze.cancel_chat("7381", bad),
    "list_chat_messages chat_id": lambda coze, bad: coze.list_chat_messages("7381", bad),
    "submit_tool_outputs chat_id": lambda coze, bad: coze.submit_tool_outputs(
        "7381", bad, tool_outputs=[]
    ),
}
# Ids that an operation may be given besides: None is "not given".
_OPTIONAL_ID_CALLS: dict[str, Callable[[Coze, Any], Awaitable[object]]] = {
    "start_copy to_workspace_id": lambda coze, bad: coze.start_copy(
        "7530", entity_type="bot", to_workspace_id=bad
    ),
    "start_chat conversation_id": lambda coze, bad: coze.start_chat(
        "7379", user_id="ann", conversation_id=bad
    ),
    "start_workflow bot_id": lambda coze, bad: coze.start_workflow("7350", bot_id=bad),
    "run_workflow app_id": lambda coze, bad: coze.run_workflow("7350", app_id=bad),
    "start_workflow connector_id": lambda coze, bad: coze.start_workflow("7350", connector_id=bad),
    "list_bots connector_id": lambda coze, bad: coze.list_bots("7350", connector_id=bad),
}
# Words that are no ids: they are in no path, so that dots are as good as any others.
_LINE_CALLS: dict[str, Callable[[Coze, Any], Awaitable[object]]] = {
    "start_workflow workflow_version": lambda coze, bad: coze.start_workflow(
        "7350", workflow_version=bad
    ),
    "list_bots publish_status": lambda coze, bad: coze.list_bots("7350", publish_status=bad),
    "start_chat bot_version": lambda coze, bad: coze.start_chat(
        "7379", user_id="ann", bot_version=bad
    ),
    "start_chat publish_status": lambda coze, bad: coze.start_chat(
        "7379", user_id="ann", publish_status=bad
    ),
    "start_chat user_id": lambda coze, bad: coze.start_chat("7379", user_id=bad),
}
_HANDLES: dict[str, Callable[[Coze, Any], object]] = {
    "workflow_id": lambda coze, bad: coze.workflow_run(bad, "7431"),
    "execute_id": lambda coze, bad: coze.workflow_run("7350", bad),
    "task_id": lambda coze, bad: coze.copy_task(bad),
    "conversation_id": lambda coze, bad: coze.chat(bad, "7382"),
    "chat_id": lambda coze, bad: coze.chat("7381", bad),
}


def _client() -> tuple[Coze, ScriptedTransport]:
    transport = ScriptedTransport()
    return Coze(transport, token=_TOKEN), transport


# --- ids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", _BAD_IDS, ids=repr)
@pytest.mark.parametrize("call", _ID_CALLS)
async def test_an_id_that_cannot_be_is_refused_by_name(call: str, bad: object) -> None:
    """An empty id, a number, dots or a line break is an error naming the argument; none is sent."""
    coze, transport = _client()
    with pytest.raises((TypeError, ValueError), match=call.split()[1]):
        await _ID_CALLS[call](coze, bad)
    assert transport.requests == []


@pytest.mark.parametrize("bad", [bad for bad in _BAD_IDS if bad is not None], ids=repr)
@pytest.mark.parametrize("call", _OPTIONAL_ID_CALLS)
async def test_an_optional_id_that_cannot_be_is_refused_by_name(call: str, bad: object) -> None:
    """An id is checked wherever it is given, options included."""
    coze, transport = _client()
    with pytest.raises((TypeError, ValueError), match=call.split()[1]):
        await _OPTIONAL_ID_CALLS[call](coze, bad)
    assert transport.requests == []


@pytest.mark.parametrize("bad", [bad for bad in _BAD_LINES if bad is not None], ids=repr)
@pytest.mark.parametrize("call", _LINE_CALLS)
async def test_a_word_that_cannot_be_is_refused_by_name(call: str, bad: object) -> None:
    """A word that is no id is one line of text all the same, and is not called an id."""
    coze, transport = _client()
    with pytest.raises((TypeError, ValueError), match=f"^{call.split()[1]}") as caught:
        await _LINE_CALLS[call](coze, bad)
    assert "path" not in str(caught.value)
    assert transport.requests == []


async def test_a_users_name_is_called_a_user_id() -> None:
    """The words of the error are about the user's id, with all that is wrong in it shown."""
    coze, _ = _client()
    with pytest.raises(ValueError, match=r"^user_id='a\\nb' has a line break .* no user id$"):
        await coze.start_chat("7379", user_id="a\nb")


async def test_spaces_around_an_id_are_shown_and_taken_off() -> None:
    """What a table or a form has added is named, with what to pass instead."""
    coze, transport = _client()
    with pytest.raises(ValueError, match=r"^bot_id=' 7379' has spaces around it: pass '7379'$"):
        await coze.get_bot(" 7379")
    assert transport.requests == []


@pytest.mark.parametrize("bad", _BAD_IDS, ids=repr)
@pytest.mark.parametrize("argument", [one for one in _HANDLES if one != "task_id"])
def test_a_handle_of_an_id_that_cannot_be_is_refused_by_name(argument: str, bad: object) -> None:
    """The error comes where the handle is made, not at its first poll."""
    with pytest.raises((TypeError, ValueError), match=argument):
        _HANDLES[argument](_client()[0], bad)


@pytest.mark.parametrize("bad", [bad for bad in _BAD_IDS if bad is not None], ids=repr)
def test_a_copy_handle_of_an_id_that_cannot_be_is_refused(bad: object) -> None:
    """The id of a copy task is checked like any other."""
    with pytest.raises((TypeError, ValueError), match="task_id"):
        _HANDLES["task_id"](_client()[0], bad)


@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ("a/b", "a%2Fb"),
        ("../v1", "..%2Fv1"),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("a%2Fb", "a%252Fb"),
        ("a b", "a%20b"),
        ("中", "%E4%B8%AD"),
        ("73****", "73%2A%2A%2A%2A"),
    ],
)
async def test_an_id_stays_one_segment_of_the_path(given: str, quoted: str) -> None:
    """Slashes, question marks and percent signs are quoted: they cannot change the request."""
    good = reply({"data": [{"execute_status": "Running"}]})
    transport = ScriptedTransport([good])
    await Coze(transport, token=_TOKEN).get_workflow_run(given, given)
    assert transport.requests[0].target == f"/v1/workflows/{quoted}/run_histories/{quoted}"


async def test_an_id_stays_one_value_of_the_query() -> None:
    """An id with an ampersand in it cannot add a parameter."""
    transport = ScriptedTransport([reply({"data": {"status": "created"}})])
    await Coze(transport, token=_TOKEN).get_chat("1&chat_id=9", "2")
    query = "conversation_id=1%26chat_id%3D9&chat_id=2"
    assert transport.requests[0].target == f"/v3/chat/retrieve?{query}"


# --- inputs -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", [[], "topic=tea", 3, ("a", "b"), NO_JSON, {"x": NO_JSON}, {"x": 1j}], ids=repr
)
@pytest.mark.parametrize(
    "call",
    ["start_workflow", "run_workflow", "start_chat"],
)
async def test_inputs_that_are_no_json_object_are_refused(call: str, bad: object) -> None:
    """What is no mapping, or has no form in JSON, is a `TypeError`, and nothing is sent."""
    coze, transport = _client()
    inputs = cast("Mapping[str, object]", bad)
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "start_workflow": lambda: coze.start_workflow("7350", inputs),
        "run_workflow": lambda: coze.run_workflow("7350", inputs),
        "start_chat": lambda: coze.start_chat("7379", user_id="ann", parameters=inputs),
    }
    with pytest.raises(TypeError):
        await calls[call]()
    assert transport.requests == []


@pytest.mark.parametrize(
    "inputs",
    [{"x": float("nan")}, {"x": [1.0, float("inf")]}, {"x": {"y": (float("-inf"),)}}],
    ids=["nan", "infinity in a list", "infinity further down"],
)
async def test_numbers_that_json_would_lose_are_refused(inputs: Mapping[str, object]) -> None:
    """NaN and infinity, which would arrive as null, are an error and nothing is sent."""
    coze, transport = _client()
    with pytest.raises(ValueError, match="parameters: NaN and infinity"):
        await coze.start_workflow("7350", inputs)
    assert transport.requests == []


@pytest.mark.parametrize("bad", ["2", 2.0, None, -1], ids=repr)
async def test_an_interrupt_type_is_a_whole_number(bad: object) -> None:
    """The type of an interrupt is passed back as the number that it was."""
    coze, transport = _client()
    with pytest.raises((TypeError, ValueError), match="interrupt_type"):
        await coze.resume_workflow(
            "7350", event_id="1/2", interrupt_type=cast("int", bad), resume_data=""
        )
    assert transport.requests == []


# Each argument that is sent as the caller shapes it, and a call with it.
_FREE_CALLS: dict[str, Callable[[Coze, Any], Awaitable[object]]] = {
    "start_workflow parameters": lambda coze, bad: coze.start_workflow("7350", bad, ext={"a": "b"}),
    "run_workflow parameters": lambda coze, bad: coze.run_workflow("7350", bad),
    "start_workflow ext": lambda coze, bad: coze.start_workflow("7350", {"a": 1}, ext=bad),
    "run_workflow ext": lambda coze, bad: coze.run_workflow("7350", {"a": 1}, ext=bad),
    "resume_workflow resume_data": lambda coze, bad: coze.resume_workflow(
        "7350", event_id="1/2", interrupt_type=2, resume_data=bad
    ),
    "start_chat parameters": lambda coze, bad: coze.start_chat("7", user_id="ann", parameters=bad),
    "start_chat meta_data": lambda coze, bad: coze.start_chat("7", user_id="ann", meta_data=bad),
    "start_chat custom_variables": lambda coze, bad: coze.start_chat(
        "7", user_id="ann", custom_variables=bad
    ),
    "start_chat extra_params": lambda coze, bad: coze.start_chat(
        "7", user_id="ann", extra_params=bad
    ),
    "start_chat shortcut_command": lambda coze, bad: coze.start_chat(
        "7", user_id="ann", shortcut_command=bad
    ),
    "start_chat additional_messages": lambda coze, bad: coze.start_chat(
        "7", user_id="ann", additional_messages=[bad]
    ),
    "submit_tool_outputs tool_outputs": lambda coze, bad: coze.submit_tool_outputs(
        "1", "2", tool_outputs=[bad]
    ),
}


_TEXTS = ("start_chat meta_data", "start_chat custom_variables", "start_chat extra_params")


@pytest.mark.parametrize("bad", [NO_JSON, math.nan, {"deep": [NO_JSON]}], ids=repr)
@pytest.mark.parametrize("call", _FREE_CALLS)
async def test_what_has_no_form_in_json_is_refused_by_its_own_argument(
    call: str, bad: object
) -> None:
    """Among several arguments of one body, the error names the one that is at fault."""
    coze, transport = _client()
    with pytest.raises((TypeError, ValueError), match=f"^{call.split()[1]}"):
        await _FREE_CALLS[call](coze, {"content": bad})
    assert transport.requests == []


async def test_half_a_letter_is_refused_by_its_own_argument() -> None:
    """A text that no encoding has, as cut out of another, is named where it stands."""
    coze, transport = _client()
    with pytest.raises(TypeError, match=r"^resume_data cannot be written as JSON"):
        await coze.resume_workflow("7", event_id="1/2", interrupt_type=2, resume_data="\ud800")
    with pytest.raises(TypeError, match=r"^ext cannot be written as JSON"):
        await coze.start_workflow("7350", {"topic": "tea"}, ext={"user_id": "\ud800"})
    assert transport.requests == []


@pytest.mark.parametrize("call", ["start_workflow ext", "run_workflow ext", *_TEXTS])
async def test_texts_by_name_are_texts(call: str) -> None:
    """Where the page declares texts, a number is refused with the entry that it is in."""
    coze, transport = _client()
    with pytest.raises(TypeError, match=rf"^{call.split()[1]}\['latitude'\] must be a text"):
        await _FREE_CALLS[call](coze, {"user_id": "ann", "latitude": 30.5})
    assert transport.requests == []


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("hello", r"^additional_messages must be a list of .*, not str: put it into \[\.\.\.\]$"),
        (["hello"], r"^additional_messages\[0\] must be one of .*, not str$"),
        ({"role": "user"}, r"^additional_messages must be a list"),
        (ChatMessage(role="user", content="hello"), r"^additional_messages must be a list"),
        ([ChatMessage(), None], r"^additional_messages\[1\] must be one of .*, not NoneType$"),
    ],
    ids=["text", "list of texts", "mapping", "message", "list with a hole"],
)
async def test_messages_are_a_list_of_messages(bad: object, words: str) -> None:
    """A text, or a message alone, is refused with what it lacks: no letters are sent one by one."""
    coze, transport = _client()
    messages = cast("Sequence[ChatMessage]", bad)
    with pytest.raises(TypeError, match=words):
        await coze.start_chat("7379", user_id="ann", additional_messages=messages)
    assert transport.requests == []


@pytest.mark.parametrize(
    "bad", ["ab", ["ab"], {"tool_call_id": "c", "output": "o"}, None], ids=repr
)
async def test_tool_outputs_are_a_list_of_outputs(bad: object) -> None:
    """A text or a lone output is refused, and nothing is sent."""
    coze, transport = _client()
    outputs = cast("Sequence[ToolOutput]", bad)
    with pytest.raises(TypeError, match=r"^tool_outputs"):
        await coze.submit_tool_outputs("1", "2", tool_outputs=outputs)
    assert transport.requests == []


@pytest.mark.parametrize("bad", ["robot", "Bot", "plugin", "", None], ids=repr)
async def test_a_copy_is_of_a_bot_an_app_or_a_workflow(bad: object) -> None:
    """The page's list is whole: another word is refused with all that would do."""
    coze, transport = _client()
    with pytest.raises(ValueError, match=r"^entity_type=.* one of 'app', 'bot', 'workflow'$"):
        await coze.start_copy("7530", entity_type=cast("Literal['bot']", bad))
    assert transport.requests == []


@pytest.mark.parametrize("bad", [0, -1.0, math.inf, math.nan, "100", None, True], ids=repr)
async def test_the_timeout_of_a_run_is_a_number_of_seconds(bad: object) -> None:
    """A time that cannot be is refused before anything is sent."""
    coze, transport = _client()
    with pytest.raises((TypeError, ValueError), match=r"^timeout"):
        await coze.run_workflow("7350", timeout=cast("float", bad))
    assert transport.requests == []


async def test_the_error_of_bad_inputs_names_the_argument() -> None:
    """The message says which argument, and what is wrong with it."""
    coze, _ = _client()
    with pytest.raises(TypeError, match=r"parameters.*mapping.*list"):
        await coze.start_workflow("7350", cast("Mapping[str, object]", []))
    with pytest.raises(TypeError, match=r"parameters.*JSON"):
        await coze.start_workflow("7350", {"x": object()})


@pytest.mark.parametrize("bad", [5, None, [], NO_JSON], ids=repr)
async def test_resume_data_is_a_text_or_a_mapping(bad: object) -> None:
    """Anything else is refused before it is sent."""
    coze, transport = _client()
    with pytest.raises(TypeError, match="resume_data"):
        await coze.resume_workflow(
            "7350", event_id="1/2", interrupt_type=2, resume_data=cast("str", bad)
        )
    assert transport.requests == []


@pytest.mark.parametrize("call", ["start_workflow", "run_workflow"])
async def test_a_bot_and_an_app_cannot_be_given_together(call: str) -> None:
    """Coze refuses both with code 4000, so they are refused before they are sent."""
    coze, transport = _client()
    with pytest.raises(ValueError, match="bot_id or app_id"):
        await getattr(coze, call)("7350", bot_id="1", app_id="2")
    assert transport.requests == []


@pytest.mark.parametrize(
    ("argument", "bad"),
    [
        ("page_num", 0),
        ("page_num", -1),
        ("page_num", "1"),
        ("page_num", 1.5),
        ("page_num", True),
        ("page_size", 0),
        ("page_size", None),
    ],
)
async def test_page_numbers_count_from_one(argument: str, bad: object) -> None:
    """A page that cannot be is refused by its argument's name."""
    coze, transport = _client()
    with pytest.raises((TypeError, ValueError), match=argument):
        await coze.list_bots("5123", **cast("dict[str, Any]", {argument: bad}))
    assert transport.requests == []


# --- the client ---------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", ["", " ", "pat\n1", "pat_1\n", " pat_1", "pät", "pat\x001"])
def test_a_token_that_no_header_can_have_is_refused_without_showing_it(bad: str) -> None:
    """The error says what is wrong with the token, and never the token."""
    with pytest.raises(ValueError, match="token") as caught:
        Coze(ScriptedTransport(), token=bad)
    assert not bad.strip() or bad.strip() not in str(caught.value)


@pytest.mark.parametrize("bad", [None, 5, b"pat_secret-7f3a9c", ["pat_secret-7f3a9c"]])
def test_a_token_that_is_no_text_is_refused_without_showing_it(bad: object) -> None:
    """A variable that is not set is a clear error at once."""
    with pytest.raises(TypeError, match="token") as caught:
        Coze(ScriptedTransport(), token=cast("str", bad))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("bad", [None, "", "pat\nsecret", "secret ", 5])
async def test_a_bad_token_of_a_function_is_refused_without_showing_it(bad: object) -> None:
    """What a token function returns is checked like a text, before anything is sent."""

    async def token() -> str:
        return cast("str", bad)

    transport = ScriptedTransport()
    with pytest.raises((TypeError, ValueError), match="token") as caught:
        await Coze(transport, token=token).get_bot("1")
    assert "secret" not in str(caught.value)
    assert transport.requests == []


async def test_a_token_function_that_is_not_async_is_refused() -> None:
    """A plain function that returns the text is refused, and its text is not shown."""
    transport = ScriptedTransport()
    coze = Coze(transport, token=cast("Any", lambda: _TOKEN))
    with pytest.raises(TypeError, match="async function") as caught:
        await coze.get_bot("1")
    assert _TOKEN not in str(caught.value)
    assert transport.requests == []


@pytest.mark.parametrize("bad", ["cn", "CN", "coze.cn", "api.coze.com", "", "us"])
def test_an_unknown_region_is_refused_and_names_the_known(bad: str) -> None:
    """A region is a base URL; the error names both, and where they are."""
    with pytest.raises(ValueError, match=r"Coze\.CN .* or Coze\.COM ") as caught:
        Coze(ScriptedTransport(), token=_TOKEN, base_url=bad)
    assert "'https://api.coze.cn'" in str(caught.value)
    assert "'https://api.coze.com'" in str(caught.value)


@pytest.mark.parametrize("bad", [None, 5, b"https://api.coze.cn"], ids=repr)
def test_a_base_url_that_is_no_text_is_refused_by_name(bad: object) -> None:
    """A variable that is not set is a clear error at once."""
    with pytest.raises(TypeError, match="base_url"):
        Coze(ScriptedTransport(), token=_TOKEN, base_url=cast("str", bad))


@pytest.mark.parametrize(
    "bad",
    [
        "ftp://api.coze.cn",
        "http://api.coze.cn",
        "https://",
        "https://u:p@api.coze.cn",
        "https://x?y",
    ],
)
def test_a_base_url_that_would_leak_or_lead_nowhere_is_refused(bad: str) -> None:
    """Plain http to another machine, a password in the URL or a query is refused by name."""
    with pytest.raises(ValueError, match="base_url"):
        Coze(ScriptedTransport(), token=_TOKEN, base_url=bad)


async def test_plain_http_goes_to_loopback_or_where_it_is_allowed() -> None:
    """Loopback is fine as it is; a self-hosted server needs `allow_http`."""
    for url, allow in (("http://127.0.0.1:8888", False), ("http://coze.internal/sub/", True)):
        transport = ScriptedTransport([reply({"data": {}})])
        await Coze(transport, token=_TOKEN, base_url=url, allow_http=allow).get_bot("1")
        (request,) = transport.requests
        assert request.origin + request.target == f"{url.rstrip('/')}/v1/bots/1"


@pytest.mark.parametrize("url", [Coze.CN, Coze.COM])
async def test_the_two_regions_are_two_accounts(url: str) -> None:
    """Each region is asked at its own host, and tasks with equal ids differ between them."""
    transport = ScriptedTransport([reply({"data": {}})])
    coze = Coze(transport, token=_TOKEN, base_url=url)
    await coze.get_bot("1")
    assert transport.requests[0].origin == url
    keys = {
        Coze(transport, token=_TOKEN, base_url=one).copy_task("1").key
        for one in (Coze.CN, Coze.COM, url)
    }
    assert len(keys) == 2


def test_a_client_needs_a_transport_and_a_number_of_repeats() -> None:
    """Anything that cannot carry a request, and any count that is none, is refused."""
    with pytest.raises(TypeError, match="SessionPool"):
        Coze(cast("Transport", "pool"), token=_TOKEN)
    with pytest.raises(ValueError, match="max_retries"):
        Coze(ScriptedTransport(), token=_TOKEN, max_retries=-1)
    with pytest.raises(TypeError, match="max_retries"):
        Coze(ScriptedTransport(), token=_TOKEN, max_retries=cast("int", "3"))


def test_nothing_that_a_client_makes_shows_its_token() -> None:
    """Clients, handles, keys, references and requests show where they ask, not as whom."""
    coze, transport = _client()
    for thing in (
        coze,
        coze.workflow_run("7350", "7431"),
        coze.workflow_run("7350", "7431").key,
        coze.workflow_run("7350", "7431").ref,
        coze.copy_task("1"),
        coze.chat("1", "2"),
        transport,
    ):
        assert _TOKEN not in f"{thing!r} {thing}"
    assert repr(coze) == "<Coze https://api.coze.com>"


async def test_a_request_does_not_show_its_token() -> None:
    """The headers, which have the credential, are not in the repr of a request."""
    transport = ScriptedTransport([reply({"data": {}})])
    await Coze(transport, token=_TOKEN).get_bot("1")
    (request,) = transport.requests
    assert _TOKEN not in f"{request!r} {request} {request.label}"


@pytest.mark.parametrize("bad", ['{"provider":"coze"}', None, {"provider": "coze"}], ids=repr)
def test_a_reference_that_was_not_decoded_is_refused(bad: object) -> None:
    """`task` takes a reference, and says how to make one of a text."""
    coze, _ = _client()
    with pytest.raises(TypeError, match="decode_ref"):
        coze.task(cast("TaskRef", bad))
    with pytest.raises(TypeError, match="decode_ref"):
        CopyAI(ScriptedTransport(), api_key="k").task(cast("TaskRef", bad))


def test_a_token_with_its_scheme_is_refused_without_showing_it() -> None:
    """`Bearer …` is what goes out, not what is passed in."""
    with pytest.raises(ValueError, match="without 'Bearer '") as caught:
        Coze(ScriptedTransport(), token=f"Bearer {_TOKEN}")
    assert _TOKEN not in str(caught.value)
