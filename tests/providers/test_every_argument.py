"""Every argument of every endpoint with values that cannot be: refused at once, by its name.

The endpoints and their arguments are found by looking, so that a new one is held to the same. A new
required argument needs a good value in `_GOOD`, and the test that lacks it says so.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType, NoneType
from typing import Any, NamedTuple, get_args, get_type_hints

import pytest

from asyncclient.errors import AsyncClientError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply

# A value that will do for each argument that must be given.
_GOOD: dict[str, object] = {
    "bot_id": "7379",
    "chat_id": "7382",
    "conversation_id": "7381",
    "entity_id": "7530",
    "entity_type": "bot",
    "event_id": "7431/2769",
    "event_type": "workflowRun.completed",
    "execute_id": "7431",
    "interrupt_type": 2,
    "metadata": {"order": "17"},
    "node_execute_uuid": "63c7f6d2",
    "resume_data": "tea",
    "run_id": "WRUN-1",
    "task_id": "123e456700",
    "tool_outputs": [{"tool_call_id": "BUJJF0dA", "output": "sunny"}],
    "url": "https://example.com/hooks/5d6f",
    "user_id": "ann",
    "webhook_id": "WHK-1",
    "workflow_id": "7350",
    "workspace_id": "5123",
}
_BAD: Mapping[str, object] = MappingProxyType(
    {
        "None": None,
        "bytes": b"7350",
        "int": 7350,
        "bool": True,
        "list": ["7350"],
        "empty": "",
        "spaces": "   ",
        "newline": "73\n50",
        "spaces around": " 7350 ",
        "10 MB": "7" * 10_000_000,
    }
)
# Arguments that take any text, in whatever form the provider's node asks for it.
_ANY_TEXT = {"resume_data"}
# Arguments that are numbers with a documented bound under the number above.
_BOUNDED = {"size"}


class _Case(NamedTuple):
    """One argument of one endpoint, with one value."""

    client: type[Coze | CopyAI]
    endpoint: str
    argument: str
    value: str

    def __str__(self) -> str:
        return f"{self.client.__name__}.{self.endpoint}-{self.argument}-{self.value}"


def _endpoints(client: type[Coze | CopyAI]) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, function in inspect.getmembers(client, inspect.isfunction):
        asks = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        if asks and not name.startswith("_"):
            yield name, function


def _is_fine(function: Callable[..., Any], argument: str, value: object) -> bool:
    """Return whether an argument may be that, by its declared type and the tables above."""
    hint: object = get_type_hints(function)[argument]
    kinds = {*get_args(hint), hint}
    if value is None:
        return NoneType in kinds
    if isinstance(value, bool):
        return bool in kinds
    if isinstance(value, int):
        return bool(kinds & {int, float}) and argument not in _BOUNDED
    return isinstance(value, str) and argument in _ANY_TEXT


def _cases(*, fine: bool) -> list[Any]:
    return [
        pytest.param(case, id=str(case))
        for client in (Coze, CopyAI)
        for name, function in _endpoints(client)
        for argument in inspect.signature(function).parameters
        for value in _BAD
        if argument != "self" and _is_fine(function, argument, _BAD[value]) is fine
        for case in [_Case(client, name, argument, value)]
    ]


async def _call(case: _Case, transport: ScriptedTransport) -> None:
    client: Coze | CopyAI
    if case.client is Coze:
        client = Coze(transport, token="pat_1", max_retries=0)
    else:
        client = CopyAI(transport, api_key="key-1", max_retries=0)
    function: Callable[..., Any] = getattr(client, case.endpoint)
    parameters = inspect.signature(function).parameters.values()
    given = {one.name: _GOOD[one.name] for one in parameters if one.default is one.empty}
    called: Awaitable[object] | AsyncIterator[object]
    called = function(**(given | {case.argument: _BAD[case.value]}))
    await (anext(called) if isinstance(called, AsyncIterator) else called)


def test_the_endpoints_are_found_by_looking() -> None:
    """Coroutines and iterators of both clients are among what these tests go through."""
    found = {
        f"{client.__name__}.{name}" for client in (Coze, CopyAI) for name, _ in _endpoints(client)
    }
    assert found >= {
        "Coze.start_workflow",
        "Coze.iter_bots",
        "Coze.submit_tool_outputs",
        "CopyAI.find_started",
        "CopyAI.iter_workflow_runs",
        "CopyAI.register_webhook",
    }


@pytest.mark.parametrize("case", _cases(fine=False))
async def test_a_value_that_cannot_be_is_refused_at_once_and_by_name(case: _Case) -> None:
    """It is a `TypeError` or a `ValueError` that begins with the argument; nothing is sent."""
    transport = ScriptedTransport()
    with pytest.raises((TypeError, ValueError)) as caught:
        await _call(case, transport)
    assert type(caught.value) in {TypeError, ValueError}
    assert str(caught.value).startswith(case.argument)
    assert len(str(caught.value)) < 300
    assert transport.requests == []


@pytest.mark.parametrize("case", _cases(fine=True))
async def test_a_value_that_can_be_is_sent(case: _Case) -> None:
    """What is left out of the test above is left out because the provider takes it."""
    transport = ScriptedTransport([reply("", status=400)])
    with pytest.raises(AsyncClientError):
        await _call(case, transport)
    assert len(transport.requests) == 1


def test_every_argument_that_must_be_given_has_a_good_value() -> None:
    """A new required argument is complained of by its name."""
    lacking = {
        f"{name}({argument.name})"
        for client in (Coze, CopyAI)
        for name, function in _endpoints(client)
        for argument in inspect.signature(function).parameters.values()
        if argument.name != "self"
        and argument.default is argument.empty
        and argument.name not in _GOOD
    }
    assert lacking == set()
