"""What Coze's client refuses before anything is sent, and what it never shows.

That each argument is checked is in `test_every_argument.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal, cast

import msgspec
import pytest

from asyncclient import TaskRef
from asyncclient._http import Transport
from asyncclient.errors import NotFound
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply

_TOKEN = "pat_secret-7f3a9c"


def _client() -> tuple[Coze, ScriptedTransport]:
    transport = ScriptedTransport()
    return Coze(transport, token=_TOKEN), transport


# --- ids ----------------------------------------------------------------------------------------


# Each id that an operation has in its path, and a call with it.
_PATH_CALLS: dict[str, Callable[[Coze, str], Awaitable[object]]] = {
    "get_workflow_run workflow_id": lambda coze, one: coze.get_workflow_run(one, "7431"),
    "get_workflow_run execute_id": lambda coze, one: coze.get_workflow_run("7350", one),
    "get_node_output workflow_id": lambda coze, one: coze.get_node_output(one, "2", "3"),
    "get_node_output execute_id": lambda coze, one: coze.get_node_output("1", one, "3"),
    "get_node_output node_execute_uuid": lambda coze, one: coze.get_node_output("1", "2", one),
    "get_bot bot_id": lambda coze, one: coze.get_bot(one),
    "get_copy_task task_id": lambda coze, one: coze.get_copy_task(one),
}


async def _target(call: str, identity: str) -> str:
    """Return the target of the one request that a call makes."""
    transport = ScriptedTransport([reply("", status=404)])
    with pytest.raises(NotFound):
        await _PATH_CALLS[call](Coze(transport, token=_TOKEN), identity)
    (request,) = transport.requests
    return request.target


@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ("a/b", "a%2Fb"),
        ("../v1", "..%2Fv1"),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a#b", "a%23b"),
        ("%2e%2e", "%252e%252e"),
        ("a b", "a%20b"),
        ("中", "%E4%B8%AD"),
        ("73****", "73%2A%2A%2A%2A"),
    ],
)
@pytest.mark.parametrize("call", _PATH_CALLS)
async def test_an_id_stays_one_segment_of_the_path(call: str, given: str, quoted: str) -> None:
    """With any text in an id, the request's path has as many segments as with a plain one."""
    plain = await _target(call, "PLAIN")
    assert plain.count("PLAIN") == 1
    assert await _target(call, given) == plain.replace("PLAIN", quoted)


async def test_a_users_name_is_called_a_user_id() -> None:
    """The words of the error are about the user's id, with all that is wrong in it shown."""
    coze, _ = _client()
    with pytest.raises(ValueError, match=r"^user_id='a\\nb' has a line break .* no user id$"):
        await coze.start_chat("7379", user_id="a\nb")


async def test_an_id_stays_one_value_of_the_query() -> None:
    """An id with an ampersand in it cannot add a parameter."""
    transport = ScriptedTransport([reply({"data": {"status": "created"}})])
    await Coze(transport, token=_TOKEN).get_chat("1&chat_id=9", "2")
    query = "conversation_id=1%26chat_id%3D9&chat_id=2"
    assert transport.requests[0].target == f"/v3/chat/retrieve?{query}"


# --- inputs -------------------------------------------------------------------------------------


async def test_a_copy_is_of_a_bot_an_app_or_a_workflow() -> None:
    """The page's list is whole: another word is refused with all that would do."""
    coze, transport = _client()
    with pytest.raises(ValueError, match=r"^entity_type=.* one of 'app', 'bot', 'workflow'$"):
        await coze.start_copy("7530", entity_type=cast("Literal['bot']", "plugin"))
    assert transport.requests == []


@pytest.mark.parametrize("text", ["", " \n", " tea "], ids=repr)
async def test_resume_data_is_any_text(text: str) -> None:
    """The provider's node decides its form: it goes out as it is."""
    transport = ScriptedTransport([reply({"code": 0})])
    await Coze(transport, token=_TOKEN).resume_workflow(
        "7350", event_id="1/2", interrupt_type=2, resume_data=text
    )
    assert msgspec.json.decode(transport.requests[0].body or b"")["resume_data"] == text


async def test_half_a_letter_of_resume_data_is_refused_by_name() -> None:
    """A text that is in no encoding, as cut out of another, is not any text."""
    coze, transport = _client()
    with pytest.raises(TypeError, match=r"^resume_data cannot be written as JSON"):
        await coze.resume_workflow("7", event_id="1/2", interrupt_type=2, resume_data="\ud800")
    assert transport.requests == []


@pytest.mark.parametrize("call", ["start_workflow", "run_workflow"])
async def test_a_bot_and_an_app_cannot_be_given_together(call: str) -> None:
    """Coze refuses both with code 4000, so they are refused before they are sent."""
    coze, transport = _client()
    with pytest.raises(ValueError, match="bot_id or app_id"):
        await getattr(coze, call)("7350", bot_id="1", app_id="2")
    assert transport.requests == []


# --- the client ---------------------------------------------------------------------------------


def test_a_token_that_no_header_can_have_is_refused_without_showing_it() -> None:
    """The error says what is wrong with the token, and never the token."""
    with pytest.raises(ValueError, match=r"^token ") as caught:
        Coze(ScriptedTransport(), token=f"{_TOKEN}\n")
    assert "secret" not in str(caught.value)


async def test_a_bad_token_of_a_function_is_refused_without_showing_it() -> None:
    """What a token function returns is checked like a text, before anything is sent."""

    async def token() -> str:
        return f"{_TOKEN}\n"

    transport = ScriptedTransport()
    with pytest.raises(ValueError, match="token") as caught:
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


def test_an_unknown_region_is_refused_and_names_the_known() -> None:
    """A region is a base URL; the error names both, and where they are."""
    with pytest.raises(ValueError, match=r"^base_url='cn' .*Coze\.CN .* or Coze\.COM ") as caught:
        Coze(ScriptedTransport(), token=_TOKEN, base_url="cn")
    assert "'https://api.coze.cn'" in str(caught.value)
    assert "'https://api.coze.com'" in str(caught.value)


def test_plain_http_to_another_machine_is_refused() -> None:
    """It would show the token to everyone on the way."""
    with pytest.raises(ValueError, match="base_url"):
        Coze(ScriptedTransport(), token=_TOKEN, base_url="http://api.coze.cn")


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


def test_a_reference_that_was_not_decoded_is_refused() -> None:
    """`task` takes a reference, and says how to make one of a text."""
    text = cast("TaskRef", '{"provider":"coze"}')
    with pytest.raises(TypeError, match="decode_ref"):
        _client()[0].task(text)
    with pytest.raises(TypeError, match="decode_ref"):
        CopyAI(ScriptedTransport(), api_key="k").task(text)


def test_a_token_with_its_scheme_is_refused_without_showing_it() -> None:
    """`Bearer …` is what goes out, not what is passed in."""
    with pytest.raises(ValueError, match="without 'Bearer '") as caught:
        Coze(ScriptedTransport(), token=f"Bearer {_TOKEN}")
    assert _TOKEN not in str(caught.value)
