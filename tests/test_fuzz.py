"""From any answer of a server only this library's errors come out, and what comes out can be read.

Every endpoint coroutine and every handle is fed any bytes, any JSON, and recorded answers in which
something was changed. `nox -s fuzz` does the same for many more examples.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import TypeAlias, cast

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from asyncclient import Handle, Schedule, TaskRef, TaskState, decode_ref
from asyncclient._http import Response
from asyncclient._waiting import Polling, Record, Report, gaps_of
from asyncclient.errors import AsyncClientError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport
from tests.providers.scripted import FIXTURES, READS, STARTS, Operation

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

CALLS: dict[str, Operation] = {
    **(STARTS | READS),
    "copyai.find_started": lambda over: CopyAI(over, api_key="k").find_started(
        "W", metadata={"order": "17"}
    ),
}
HANDLES: dict[str, Callable[[Coze, CopyAI], Handle[object]]] = {
    "coze.workflow_run": lambda coze, _: coze.workflow_run("1", "2"),
    "coze.copy_task": lambda coze, _: coze.copy_task("1"),
    "coze.document_progress": lambda coze, _: coze.document_progress("1", ["1", "2"]),
    "coze.chat": lambda coze, _: coze.chat("1", "2"),
    "copyai.workflow_run": lambda _, copyai: copyai.workflow_run("1", "2"),
}
ANSWERS: list[Json] = [json.loads(path.read_bytes()) for path in sorted(FIXTURES.rglob("*.json"))]

numbers = st.integers() | st.floats() | st.sampled_from([2**53, 2**64, 10**400, -1])
words = st.text(max_size=20) | st.sampled_from(["", "0", "Running", "COMPLETE", "{", "[1]", "null"])
anything: st.SearchStrategy[Json] = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["code", "data", "status", "output", "x"]), inner)
    ),
    max_leaves=12,
)


def places(value: Json) -> Iterator[tuple[str | int, ...]]:
    """Return the path of each part of a JSON value, itself included."""
    yield ()
    inner = enumerate(value) if isinstance(value, list) else ()
    for step, part in value.items() if isinstance(value, dict) else inner:
        for rest in places(part):
            yield (step, *rest)


def changed(value: Json, path: tuple[str | int, ...], new: Json, *, gone: bool) -> Json:
    """Return a copy in which one part is another one, or is gone."""
    if not path:
        return new
    copy = deepcopy(value)
    parent = copy
    for step in path[:-1]:
        parent = cast("dict[str | int, Json]", parent)[step]
    parts = cast("dict[str | int, Json]", parent)  # or a list, which is used alike
    if gone:
        del parts[path[-1]]
    else:
        parts[path[-1]] = new
    return copy


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """Draw a recorded answer with up to three parts changed, and perhaps cut off."""
    value = draw(st.sampled_from(ANSWERS))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(value))))
        value = changed(value, path, draw(anything), gone=draw(st.booleans()))
    body = json.dumps(value).encode()
    return body[: draw(st.integers(0, len(body)))] if draw(st.integers(0, 9)) == 0 else body


bodies = st.one_of(
    mutants(),
    anything.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=200),
    st.integers(1, 5000).map(lambda depth: b"[" * depth + b"]" * depth),
    st.integers(1, 5000).map(lambda depth: b'{"data":' * depth + b"1" + b"}" * depth),
)
headers = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "date", "content-type", "location"]),
    words | st.integers().map(str) | st.sampled_from(["-1", "1e9", "NaN", "inf", "Sun, 99 Foo"]),
    max_size=3,
)
answers = st.builds(
    Response,
    st.sampled_from([200, 200, 200, 200, 201, 204, 301, 400, 401, 403, 404, 429, 500, 502, 599]),
    headers,
    bodies,
)


def read_whole(answer: object) -> None:
    """Read every property of an answer, and its text."""
    for name, member in vars(type(answer)).items():
        if isinstance(member, property):
            getattr(answer, name)
    repr(answer)


def clients(answer: Response) -> tuple[Coze, CopyAI]:
    """Return clients of a server that gives one answer to every request."""
    transport = ScriptedTransport([answer], repeat=True)
    return (
        Coze(transport, token="pat_1", max_retries=0),
        CopyAI(transport, api_key="key_1", max_retries=0),
    )


def test_there_is_something_to_change_and_every_endpoint_is_called() -> None:
    """A new endpoint of a client has to be among the operations."""
    assert len(ANSWERS) > 50
    assert {
        f"{client.__name__.lower()}.{name}"
        for client in (Coze, CopyAI)
        for name, _ in inspect.getmembers(client, inspect.iscoroutinefunction)
    } == CALLS.keys()


@pytest.mark.parametrize("name", CALLS)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(answer=answers)
@example(answer=Response(200, {}, b'{"code":0,"data":null}'))
@example(answer=Response(200, {}, b'{"code":1e400}'))
async def test_a_call_raises_only_our_errors(name: str, answer: Response) -> None:
    """An endpoint coroutine returns what can be read, or raises an `AsyncClientError`."""
    with contextlib.suppress(AsyncClientError):
        read_whole(await CALLS[name](ScriptedTransport([answer], repeat=True)))


@pytest.mark.parametrize("name", HANDLES)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(answer=answers)
async def test_a_look_raises_only_our_errors(name: str, answer: Response) -> None:
    """A handle sees what the rules can use, or raises an `AsyncClientError`, and so does a wait."""
    task = HANDLES[name](*clients(answer))
    with contextlib.suppress(AsyncClientError):
        seen = await task.observe()
        assert seen.state is None or isinstance(seen.state, TaskState)
        assert seen.word is None or isinstance(seen.word, str | int)
        assert seen.raw == answer.body
        assert task.read(answer.body).word == seen.word
        read_whole(seen.result)
    record: Record[object] = Record(task, asyncio.get_running_loop().time())
    polling: Polling[Record[object]] = Polling(
        Report("tests"),
        gaps_of(Schedule(), None),
        lambda width: width,
        lambda _record, _snapshot: None,
    )
    with contextlib.suppress(AsyncClientError):
        sleep = await polling.look(record)
        assert sleep is None or 0 < sleep.seconds <= 3600


@given(body=bodies)
def test_a_webhook_raises_only_our_errors(body: bytes) -> None:
    """A body that is posted to a webhook's route is an event that can be read, or our error."""
    with contextlib.suppress(AsyncClientError):
        read_whole(CopyAI.parse_webhook(body))


@given(text=st.text() | st.binary() | bodies)
def test_a_reference_is_read_or_refused(text: str | bytes) -> None:
    """From any text a reference comes back, or `ValueError` is raised."""
    with contextlib.suppress(ValueError):
        assert isinstance(decode_ref(cast("str", text)), TaskRef)
