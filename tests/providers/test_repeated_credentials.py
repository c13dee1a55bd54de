"""Tests of answers that repeat the credential: no error shows 12 letters of it in a row."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Awaitable, Callable, Iterator
from io import StringIO
from typing import Any, cast

import pytest
from hypothesis import given, strategies as st
from rich.console import Console

from asyncclient import (
    LearnedSchedule,
    Poller,
    Reading,
    SessionPool,
    TaskAPI,
    Vocabulary,
    wait_until_done,
    watch,
)
from asyncclient._http import Response
from asyncclient.catalogue import REPLICATE_PREDICTION
from asyncclient.errors import AsyncClientError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.testing import ScriptedTransport, reply, run_virtual
from tests.http.test_hiding import SPELLINGS, parts_of
from tests.providers.scripted import RECORDED

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~+/="
# No letters of a word are left in a row: a key must not be a part of a traceback by chance.
KEYS = st.text(LETTERS, min_size=5).map("Z9".join)
ANSWERS = sorted(name for name in RECORDED if name.endswith(".json"))


async def _coze_polled(client: Coze) -> object:
    async with Poller() as poller:
        return await poller.wait(client.chat("1", "2"), timeout=3)


def any_api(
    *script: Response,
    base_url: str = "https://x.example",
    token: str | None = None,
    headers: dict[str, str] | None = None,
) -> TaskAPI:
    """Make a client of an API without one of its own."""
    transport = ScriptedTransport(script, repeat=True)
    return TaskAPI(transport, base_url, name="acme", token=token, headers=headers)


COZE: list[Callable[[Coze], Awaitable[object]]] = [
    lambda client: client.start_workflow("7350"),
    lambda client: client.run_workflow("7350"),
    lambda client: client.start_copy("7530", entity_type="bot"),
    lambda client: client.start_chat("7379", user_id="ann"),
    lambda client: client.get_workflow_run("7350", "7431"),
    lambda client: client.list_bots("5123"),
    lambda client: wait_until_done(client.workflow_run("1", "2"), timeout=3),
    lambda client: wait_until_done(client.copy_task("1"), timeout=3),
    _coze_polled,
]
COPYAI: list[Callable[[CopyAI], Awaitable[object]]] = [
    lambda client: client.start_workflow("WCFG-1"),
    lambda client: client.find_started("WCFG-1", metadata={"a": 1}, max_pages=1),
    lambda client: client.get_workflow_run("W", "R"),
    lambda client: client.list_webhooks(),
    lambda client: wait_until_done(client.workflow_run("W", "R"), timeout=3),
]
ANY: list[Callable[[TaskAPI], Awaitable[object]]] = [
    lambda client: client.get("/x"),
    lambda client: client.post("/x"),
    lambda client: wait_until_done(client.task("/jobs/7", REPLICATE_PREDICTION), timeout=30),
]


class _Memory(logging.Handler):
    """Keeps what is logged, with all that a handler could write of it."""

    def __init__(self) -> None:
        super().__init__(0)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(f"{record.getMessage()} {vars(record)!r}")


@st.composite
def answers(draw: st.DrawFn, key: str) -> Response:
    """Draw a recorded answer with a key at some place, or cut off at some other."""
    spelled = SPELLINGS[draw(st.sampled_from(sorted(SPELLINGS)))](key).encode()
    body = RECORDED[draw(st.sampled_from(ANSWERS))]
    texts = [place for place, letter in enumerate(body) if letter == ord('"')]
    places = st.sampled_from(texts) if texts else st.just(0)
    for at in draw(st.lists(st.one_of(places, st.integers(0, len(body))), min_size=1, max_size=3)):
        body = body[: at + 1] + spelled + body[at + 1 :]
    if draw(st.booleans()) and draw(st.booleans()):
        body = body[: draw(st.integers(0, len(body)))]
    status = draw(st.sampled_from([200, 200, 200, 302, 400, 401, 404, 429, 500]))
    headers = {"location": f"https://{key}.example/{key}", "x-tt-logid": key, "retry-after": key}
    return Response(status, headers if draw(st.booleans()) else {}, body)


def texts_of(error: BaseException) -> Iterator[str]:
    """Yield all that can be shown of an error and those it was made of, with the locals of ours."""
    page = StringIO()
    seen: set[int] = set()
    left: list[object] = [error]
    while left:
        link = left.pop()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        left += [link.__cause__, link.__context__, *vars(link).values()]
        yield f"{link} {link!r} {vars(link)!r}"
        yield pickle.dumps(link).decode("latin-1")
        frames = [
            (frame, line)
            for frame, line in traceback.walk_tb(link.__traceback__)
            if "/asyncclient/" in frame.f_code.co_filename
        ]
        yield from traceback.StackSummary.extract(iter(frames), capture_locals=True).format()
        for frame, _ in frames:
            Console(file=page, width=10_000).print(frame.f_locals)
    yield page.getvalue()


def check(key: str, ask: Callable[[], Awaitable[object]]) -> None:
    """Check that no text of a failure has a long part of a key."""
    memory = _Memory()

    async def run() -> None:
        await ask()

    logger = logging.getLogger("asyncclient")
    logger.addHandler(memory)
    logger.setLevel(logging.DEBUG)
    try:
        run_virtual(run)
    except AsyncClientError as error:
        memory.texts += texts_of(error)
    finally:
        logger.removeHandler(memory)
        logger.setLevel(logging.NOTSET)
    for text in memory.texts:
        assert parts_of(key, text) == [], text


@pytest.mark.parametrize("api", ["coze", "copyai", "any"])
@given(KEYS, st.data())
def test_no_error_shows_it(api: str, key: str, data: st.DataObject) -> None:
    """Wherever an answer repeats the credential, a token or a header, however it is spelled."""
    answer = data.draw(answers(key))
    over = ScriptedTransport([answer], repeat=True)
    if api == "coze":
        coze, ask = Coze(over, token=key, max_retries=1), data.draw(st.sampled_from(COZE))
        check(key, lambda: ask(coze))
    elif api == "copyai":
        copyai, call = CopyAI(over, api_key=key, max_retries=1), data.draw(st.sampled_from(COPYAI))
        check(key, lambda: call(copyai))
    else:
        given: dict[str, Any] = data.draw(
            st.sampled_from([{"token": key}, {"headers": {"X": key}}])
        )
        client, way = any_api(answer, **given), data.draw(st.sampled_from(ANY))
        check(key, lambda: way(client))


WRONG: dict[str, Callable[[str], object]] = {
    "a region": lambda key: Coze(ScriptedTransport(), token=key, base_url="cn"),
    "a scheme": lambda key: Coze(ScriptedTransport(), token=f"Bearer {key}"),
    "retries": lambda key: Coze(ScriptedTransport(), token=key, max_retries=-1),
    "a space": lambda key: Coze(ScriptedTransport(), token=f"{key} "),
    "bytes": lambda key: Coze(ScriptedTransport(), token=cast("str", key.encode())),
    "other bytes": lambda key: CopyAI(ScriptedTransport(), api_key=cast("str", key.encode())),
    "bytes of a key": lambda key: CozeJWT("1", "2", cast("str", bytearray(key.encode()))),
    "an account": lambda key: CopyAI(ScriptedTransport(), api_key=key, account=" "),
    "a line break": lambda key: CopyAI(ScriptedTransport(), api_key=f"{key}\n"),
    "plain http": lambda key: any_api(base_url="http://x.example", token=key),
    "both": lambda key: any_api(token="t", headers={"Authorization": key}),
    "a header's line break": lambda key: any_api(headers={"X-Key": f"{key}\n"}),
    "a header's bytes": lambda key: any_api(headers={"X-Key": cast("str", key.encode())}),
    "no PEM": lambda key: CozeJWT("1", "2", key),
    "an id": lambda key: CozeJWT("", "2", f"-----BEGIN PRIVATE KEY-----{key}"),
    "a scope": lambda key: CozeJWT(
        "1", "2", f"-----BEGIN PRIVATE KEY-----{key}", scope={"a": object()}
    ),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_a_constructor_that_raises_shows_none(make: Callable[[str], object]) -> None:
    """A traceback with locals has the arguments of each frame, and the object that is half made."""
    key = LETTERS * 2
    with pytest.raises((TypeError, ValueError)) as caught:
        make(key)
    for text in texts_of(caught.value):
        assert parts_of(key, text) == []


VOCABULARY = Vocabulary(succeeded="a", failed="b")
HALF_MADE: dict[str, Callable[[], object]] = {
    "Coze": lambda: Coze(ScriptedTransport(), token=""),
    "CopyAI": lambda: CopyAI(ScriptedTransport(), api_key=""),
    "CozeJWT": lambda: CozeJWT("", "", ""),
    "TaskAPI": lambda: TaskAPI(ScriptedTransport(), "https://x.example", name="x", token=""),
    "ChatHandle": lambda: Coze(ScriptedTransport(), token="t").chat("1", ""),
    "SessionPool": lambda: SessionPool(limit=0),
    "Poller": lambda: Poller(concurrency=0),
    "LearnedSchedule": lambda: LearnedSchedule(poll_cost=0),
    "Vocabulary": lambda: Vocabulary(succeeded="a", failed="a"),
    "Reading": lambda: Reading("a", VOCABULARY, status="", source="a", checked="2026-11-29"),
}


@pytest.mark.parametrize("name", HALF_MADE)
def test_a_half_made_object_can_be_shown(name: str) -> None:
    """Its repr is asked for by a traceback with locals, while its constructor raises."""
    with pytest.raises((TypeError, ValueError)) as caught:
        HALF_MADE[name]()
    selves = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(caught.tb)]
    assert f"<{name}, half made>" in [repr(each) for each in selves]


async def test_only_a_good_end_is_given_as_it_came() -> None:
    """What may become an error is without it: the answer, its bytes, the word and the reason."""
    key = LETTERS[:40]

    def says(word: str, reason: str = "") -> Response:
        run = {"execute_status": word, "output": key, "error_message": reason}
        return reply({"code": 0, "data": [run]})

    script = [says("Running"), says(f"new {key}"), says("Running", f"wrong {key}")]
    for end in ("Success", "Fail"):
        client = Coze(ScriptedTransport([*script, says(end, f"bad {key}")]), token=key)
        *seen, last = [each async for each in watch(client.workflow_run("1", "2"))]
        assert [each.word for each in seen] == ["Running", "new ***", "Running"]
        assert [each.reason for each in seen] == [None, None, "wrong ***"]
        assert all(each.result.output == "***" for each in seen)
        assert not any(key in str(each.raw) for each in seen)
        assert (last.result.output == key) is (key in str(last.raw)) is (end == "Success")
        assert last.reason == (None if end == "Success" else "bad ***")
