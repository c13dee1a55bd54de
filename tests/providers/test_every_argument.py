"""Every argument of every endpoint and handle is checked: refused at once, and by its name.

What a check refuses is tested where the check is (`tests/ground/test_arguments.py`). Here each
argument is given one value that its own check alone refuses. The endpoints and their arguments are
found by looking, so that a new one is held to the same: it needs a value in `_BAD`, and one in
`_GOOD` where it must be given, and the tests that lack them say so.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from types import NoneType
from typing import Any, NamedTuple, get_args, get_type_hints
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest

from asyncclient._http import Request
from asyncclient.errors import AsyncClientError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply
from tests.providers.scripted import client_of

# Dots are no id and change a path; they are as good a text as any other.
_DOTS = ".."
_TEXTS = {"custom_variables", "ext", "extra_params", "meta_data"}
_LINES = {"bot_version", "publish_status", "user_id", "workflow_mode", "workflow_version"}
# A value that will do for each argument that must be given.
_GOOD: dict[str, object] = {
    "body": b"{}",
    "document_ids": ["7442"],
    "entity_type": "bot",
    "event_type": "workflowRun.completed",
    "interrupt_type": 2,
    "metadata": {"order": "17"},
    "resume_data": "tea",
    "tool_outputs": [{"tool_call_id": "BUJJF0dA", "output": "sunny"}],
    "url": "https://example.com/hooks/5d6f",
    "user_id": "ann",
}
# A value for each argument that only its own check refuses: the nearest to those that will do.
_BAD: dict[str, object] = {
    "additional_messages": ["hello"],
    "body": {},
    "document_ids": ["7442", "7442"],
    "enable_card": 1,
    "entity_type": "plugin",
    "event_type": "workflowRun.cancelled",
    "interrupt_type": -1,
    "is_published": 0,
    "max_pages": 0,
    "metadata": [("order", "17")],
    "page": 0,
    "page_num": 0,
    "page_size": 0,
    "parameters": [("topic", "tea")],
    "resume_data": ["tea"],
    "shortcut_command": [("command_id", "1")],
    "since": 0,
    "size": 101,
    "start_variables": [("topic", "tea")],
    "timeout": 0,
    "tool_outputs": ["sunny"],
    "url": "example.com/hook",
    **dict.fromkeys(_LINES, "73\n50"),
    **{name: {"latitude": 30.5} for name in _TEXTS},
}
# Where an argument of that name has another bound.
_BAD_HERE: dict[str, object] = {"CopyAI.list_webhooks(page)": -1}
# A value without a form in JSON, for each argument that goes out as the caller shapes it. Texts
# have no other than half a letter, which is in no encoding.
_NO_JSON: dict[str, object] = {
    "additional_messages": [{"content": object()}],
    "metadata": {"deep": [object()]},
    "parameters": {"deep": [object()]},
    "resume_data": {"deep": [object()]},
    "shortcut_command": {"deep": [object()]},
    "start_variables": {"deep": [object()]},
    "tool_outputs": [{"output": object()}],
    **{name: {"name": "\ud800"} for name in _TEXTS},
}
# They take a reference, which `test_references.py` is about.
_BY_REFERENCE = {"task"}


class _Case(NamedTuple):
    """One argument of one method of a client."""

    client: type[Coze | CopyAI]
    method: str
    argument: str

    def __str__(self) -> str:
        return f"{self.client.__name__}.{self.method}({self.argument})"


def _methods() -> Iterator[tuple[type[Coze | CopyAI], str, Callable[..., Any]]]:
    for client in (Coze, CopyAI):
        for name, function in inspect.getmembers(client, inspect.isfunction):
            if not name.startswith("_") and name not in _BY_REFERENCE:
                yield client, name, function


def _asks(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def _arguments(function: Callable[..., Any]) -> list[inspect.Parameter]:
    parameters = inspect.signature(function).parameters.values()
    return [one for one in parameters if one.name != "self"]


def _optional(function: Callable[..., Any]) -> list[str]:
    hints = get_type_hints(function)
    return [one.name for one in _arguments(function) if NoneType in get_args(hints[one.name])]


_CASES = [
    _Case(client, name, argument.name)
    for client, name, function in _methods()
    for argument in _arguments(function)
]
_NAMES = {case.argument for case in _CASES}
_IDS = {name for name in _NAMES if name.endswith(("_id", "_uuid"))} - _LINES
_GOOD.update(dict.fromkeys(_IDS, "7350"))
_BAD.update(dict.fromkeys(_IDS, _DOTS))


async def _call(
    client: type[Coze | CopyAI],
    method: str,
    given: Mapping[str, object],
    transport: ScriptedTransport,
) -> None:
    """Call a method with what it must be given, and with some arguments besides or instead."""
    made = client_of("coze" if client is Coze else "copyai", transport, max_retries=0)
    function: Callable[..., Any] = getattr(made, method)
    needed = {
        one.name: _GOOD[one.name]
        for one in _arguments(function)
        # A handle takes all of its ids, or one reference in their place.
        if one.default is one.empty or not _asks(function)
    }
    called: Awaitable[object] | AsyncIterator[object] = function(**{**needed, **given})
    if _asks(function):
        await (anext(called) if isinstance(called, AsyncIterator) else called)


async def _check_refused(case: _Case, bad: object) -> None:
    transport = ScriptedTransport()
    with pytest.raises((TypeError, ValueError)) as caught:
        await _call(case.client, case.method, {case.argument: bad}, transport)
    assert type(caught.value) in {TypeError, ValueError}
    assert str(caught.value).startswith(case.argument)
    assert transport.requests == []


async def _request_with(case: _Case, identity: str) -> Request:
    transport = ScriptedTransport([reply("", status=400)])
    with pytest.raises(AsyncClientError):
        await _call(case.client, case.method, {case.argument: identity}, transport)
    (request,) = transport.requests
    return request


def _texts(request: Request) -> list[str]:
    """Take a request apart: segments of its path, names and values of its query, its body."""
    url = urlsplit(request.target)
    body: dict[str, object] = msgspec.json.decode(request.body or b"{}")
    return [
        *map(unquote, url.path.split("/")),
        *(text for pair in parse_qsl(url.query) for text in pair),
        *(value for value in body.values() if isinstance(value, str)),
    ]


@pytest.mark.parametrize("case", _CASES, ids=str)
async def test_a_value_that_cannot_be_is_refused_at_once_and_by_name(case: _Case) -> None:
    """It is a `TypeError` or a `ValueError` that begins with the argument; nothing is sent."""
    await _check_refused(case, _BAD_HERE.get(str(case), _BAD[case.argument]))


@pytest.mark.parametrize("case", [case for case in _CASES if case.argument in _NO_JSON], ids=str)
async def test_what_has_no_form_in_json_is_refused_by_its_own_argument(case: _Case) -> None:
    """Among several arguments of one body, the error names the one that is at fault."""
    await _check_refused(case, _NO_JSON[case.argument])


@pytest.mark.parametrize("case", [case for case in _CASES if case.argument in _LINES], ids=str)
async def test_a_word_that_is_in_no_path_may_be_dots(case: _Case) -> None:
    """What is no id is not checked as one, nor called one."""
    assert _DOTS in _texts(await _request_with(case, _DOTS))


# All that would change a request if it were not quoted.
_HOSTILE = "../a/b?c=d&e#f%2e 中"


@pytest.mark.parametrize(
    "case",
    [one for one in _CASES if one.argument in _IDS and _asks(getattr(one.client, one.method))],
    ids=str,
)
async def test_an_id_stays_one_part_of_its_request(case: _Case) -> None:
    """With any text in it, an id is one segment of the path, or one value of query or body."""
    plain = _texts(await _request_with(case, "PLAIN"))
    assert plain.count("PLAIN") == 1
    expected = [_HOSTILE if text == "PLAIN" else text for text in plain]
    assert _texts(await _request_with(case, _HOSTILE)) == expected


@pytest.mark.parametrize(
    ("client", "method", "optional"),
    [
        pytest.param(client, name, _optional(function), id=f"{client.__name__}.{name}")
        for client, name, function in _methods()
        if _asks(function) and _optional(function)
    ],
)
async def test_what_may_be_left_out_may_be_none(
    client: type[Coze | CopyAI], method: str, optional: list[str]
) -> None:
    """None stands for what is not given: it is sent to no provider as a value."""
    transport = ScriptedTransport([reply("", status=400)])
    with pytest.raises(AsyncClientError):
        await _call(client, method, dict.fromkeys(optional), transport)
    (request,) = transport.requests
    sent = f"{request.target} {request.body or b''!r}"
    assert [word for word in ("null", "None") if word in sent] == []


def test_the_methods_are_found() -> None:
    """A new argument fails by its name in the tests above, where it has no value here."""
    found = {f"{client.__name__}.{name}" for client, name, _ in _methods()}
    assert found >= {"Coze.start_workflow", "Coze.iter_bots", "Coze.copy_task"}
    assert found >= {"CopyAI.find_started", "CopyAI.parse_webhook", "CopyAI.workflow_run"}
