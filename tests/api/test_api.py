"""`TaskAPI` over a script: what is sent where, what comes back, how its tasks are waited for."""

from __future__ import annotations

import asyncio
import pickle
import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, cast

import msgspec
import pytest
from rich.pretty import pretty_repr

from asyncclient import (
    Poller,
    Reading,
    Schedule,
    TaskAPI,
    TaskRef,
    TaskState,
    Ticket,
    Vocabulary,
    decode_ref,
    encode_ref,
    errors,
    wait_until_done,
)
from asyncclient._http import Request, Response
from asyncclient._task import trait
from asyncclient.catalogue import REPLICATE_PREDICTION
from asyncclient.testing import ScriptedTransport, reply
from tests.providers.scripted import sent

WORDS = Vocabulary(running="busy", succeeded="done", failed="broken")
JOB = Reading(
    "acme.job", WORDS, status="status", reason="why", source="a test", checked="2026-11-29"
)
V1 = "https://api.acme.example/v1"
SECRET = "s3cret-0123456789abcdef"
SIGNED = "https://poll.acme.example/v1/jobs/7?sig=s1gned%2F0123456789abcdef&exp=9"
BUSY, DONE = reply({"status": "busy", "id": 7}), reply({"status": "done", "out": ["tea"]})
EVERY_SECOND = Schedule(first=1, cap=1, jitter=0)
NOT_JSON = "<html>gateway</html>"

unchecked = cast("Callable[..., TaskAPI]", TaskAPI)


def api(
    *script: Response | Exception | Callable[[Request], Response], **options: object
) -> tuple[TaskAPI, ScriptedTransport]:
    """Make a client of an API, and the script that it talks to."""
    transport = ScriptedTransport(script, repeat=bool(options.pop("repeat", False)))
    base_url = options.pop("base_url", V1)
    options.setdefault("hosts", ["poll.acme.example"])
    options.setdefault("readings", [JOB])
    if "headers" not in options:
        options.setdefault("token", SECRET)
    return unchecked(transport, base_url, name="acme", **options), transport


# --- requests -----------------------------------------------------------------------------------


async def test_requests_go_behind_the_base_url_with_the_token_and_bring_back_json() -> None:
    """Each is one request; an empty answer is None, and a body is sent as JSON."""
    acme, over = api(reply({"a": [1]}), reply({"id": "7"}, status=201), reply(b"", status=204))
    assert await acme.get("/jobs?limit=2") == {"a": [1]}
    assert await acme.post("/jobs", {"topic": "tea"}) == {"id": "7"}
    assert await acme.post("jobs/7/stop") is None
    assert [sent(each) for each in over.requests] == [
        ("GET", "https://api.acme.example/v1/jobs?limit=2", None),
        ("POST", "https://api.acme.example/v1/jobs", {"topic": "tea"}),
        ("POST", "https://api.acme.example/v1/jobs/7/stop", None),
    ]
    for request in over.requests:
        assert request.headers["Authorization"] == f"Bearer {SECRET}"
        assert ("Content-Type" in request.headers) == (request.body is not None)


@pytest.mark.parametrize("text", ["", "Accepted", "<p>"])
async def test_a_start_may_answer_in_its_headers(text: str) -> None:
    """`request` gives the status, the headers in any case, and the JSON; a text is none."""
    acme, over = api(
        reply(text.encode(), status=202, headers={"Operation-Location": f"{V1}/ops/7"})
    )
    status, headers, body = await acme.request("put", "/ops", [1])
    assert (status, body) == (202, None)
    assert headers["operation-location"] == headers["Operation-Location"] == f"{V1}/ops/7"
    assert sent(over.requests[0]) == ("PUT", f"{V1}/ops", [1])


DOUBTFUL = [errors.TransportError("broken"), reply({}, status=503), reply("<p>")]
CERTAIN = [errors.ConnectFailed("no"), reply({}, status=429)]  # nothing was started


@pytest.mark.parametrize("entry", [*DOUBTFUL, *CERTAIN])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "PATCH"])
async def test_what_may_start_something_is_never_sent_twice(
    method: str, entry: Response | Exception
) -> None:
    """A read is sent again after what may pass; of a start it says that it may have happened."""
    acme, over = api(entry, reply({}))
    if method in {"GET", "PUT", "DELETE"} or entry in CERTAIN:
        assert (await acme.request(method, "/jobs"))[0] == 200
        return
    with pytest.raises(errors.AsyncClientError) as caught:
        await acme.request(method, "/jobs", {})
    assert caught.value.may_have_started
    assert len(over.requests) == 1


# --- where a credential goes --------------------------------------------------------------------

# What else is asked or refused is tested where that is decided (`tests/http/test_places.py`).
ASKED = {"/jobs/7": f"{V1}/jobs/7", SIGNED: SIGNED, "https://evil.example/v1/jobs/7": None}


@pytest.mark.parametrize("where", ASKED)
@pytest.mark.parametrize("way", ["get", "post", "request", "task", "cancel"])
async def test_nothing_is_sent_to_another_origin(where: str, way: str) -> None:
    """What may be asked is asked there; all else is a `ValueError` before anything is sent."""
    acme, over = api(reply({}))
    ways: dict[str, Callable[[], Awaitable[object]]] = {
        "get": lambda: acme.get(where),
        "post": lambda: acme.post(where),
        "request": lambda: acme.request("DELETE", where),
        "task": lambda: acme.task(where, JOB).poll(),
        "cancel": lambda: acme.task("/x", JOB, cancel=where).cancel(),
    }
    url = ASKED[where]
    if url is None:
        with pytest.raises(ValueError, match=r"^(path|path_or_url|cancel)\b"):
            await ways[way]()
        assert not over.requests
    else:
        await ways[way]()
        assert sent(over.requests[0])[1] == url


# --- credentials --------------------------------------------------------------------------------


async def test_headers_are_sent_as_they_are_given() -> None:
    """Alone or beside the token; a type of content goes before ours."""
    given = {"X-Key": "k", "content-type": "application/x+json"}
    acme, over = api(reply({}), headers=given, token=SECRET)
    await acme.post("/jobs", {})
    assert dict(over.requests[0].headers) == {
        "X-Key": "k",
        "Content-Type": "application/x+json",
        "Authorization": f"Bearer {SECRET}",
    }


@pytest.mark.parametrize("argument", ["headers", "token"])
@pytest.mark.parametrize("way", ["get", "post", "poll"])
async def test_a_function_is_asked_again_after_a_401_and_once_only(argument: str, way: str) -> None:
    """A refused request did nothing, so that even a start is sent with what is new."""
    asked: list[int] = []

    async def token() -> str:
        asked.append(1)
        return f"t{len(asked)}"

    async def headers() -> Mapping[str, str]:
        return {"Authorization": f"Bearer {await token()}"}

    source = {"headers": headers} if argument == "headers" else {"token": token}
    refused = reply({"message": "expired"}, status=401)
    acme, over = api(refused, BUSY, refused, refused, **source)
    task = acme.task("/jobs/7", JOB)
    ways = {"get": lambda: acme.get("/x"), "post": lambda: acme.post("/x"), "poll": task.poll}
    assert await ways[way]() == {"status": "busy", "id": 7}
    with pytest.raises(errors.AuthenticationFailed, match="expired"):
        await ways[way]()
    shown = [request.headers["Authorization"] for request in over.requests]
    assert shown == ["Bearer t1", "Bearer t2", "Bearer t3", "Bearer t4"]


async def _one_token() -> str:
    return SECRET


async def _one_header() -> Mapping[str, str]:
    return {"X-Key": SECRET}


SAME = [
    ({"token": "a"}, {"token": "a"}, True),
    ({"token": "a"}, {"token": "b"}, False),
    ({"headers": {"X": "a"}}, {"headers": {"X": "a"}}, True),
    ({"headers": {"X": "a"}}, {"headers": {"X": "b"}}, False),
    ({"headers": {"X": "a"}}, {"headers": {"Y": "a"}}, False),
    ({"token": "a"}, {"token": "a", "headers": {"X": "b"}}, False),
    ({"headers": None}, {"headers": None}, True),
    ({"headers": None}, {"token": "a"}, False),
    ({"token": _one_token}, {"token": _one_token}, True),
    ({"token": _one_token}, {"token": _one_token, "headers": {"X": "b"}}, False),
    ({"headers": _one_header}, {"headers": _one_header}, True),
    ({"headers": _one_header}, {"headers": _one_header, "token": "a"}, False),
    ({"token": "a", "account": "me"}, {"token": "b", "account": "me"}, True),
    ({"token": "a", "account": "me"}, {"token": "a", "account": "you"}, False),
]


@pytest.mark.parametrize(("one", "other", "same"), SAME)
def test_two_credentials_never_share_a_look(
    one: dict[str, object], other: dict[str, object], *, same: bool
) -> None:
    """A task is one for each account, and an account is its credential or its name."""
    keys = [api(**options)[0].task("/jobs/7", JOB).key for options in (one, other)]
    assert (keys[0] == keys[1]) == same


# What each checker refuses is tested with it: here, that each argument has one.
WRONG: list[tuple[dict[str, object], type[Exception], str]] = [
    ({"headers": {"X": "a\nb"}}, ValueError, r"headers\['X'\] has a line break"),
    ({"token": ""}, ValueError, "token is empty"),
    ({"token": "x", "headers": {"authorization": "y"}}, ValueError, "not both"),
    ({"rate": 0}, ValueError, "rate=0"),
    ({"readings": [7]}, TypeError, "readings must be"),
    ({"account": ""}, ValueError, "account is empty"),
    ({"base_url": "http://api.acme.example"}, ValueError, "in the clear"),
]


@pytest.mark.parametrize(("options", "kind", "words"), WRONG)
def test_a_client_is_not_made_of_wrong_parts(
    options: dict[str, object], kind: type[Exception], words: str
) -> None:
    """The error names the argument."""
    with pytest.raises(kind, match=words):
        api(**options)


async def _no_mapping() -> object:
    return "Bearer x"


async def _no_texts() -> object:
    return {"X": 7}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"headers": lambda: "x"}, "headers must be a mapping or an async function that returns"),
        ({"token": lambda: "x"}, "token must be a text or an async function that returns one"),
        ({"headers": _no_mapping}, "headers"),
        ({"headers": _no_texts}, r"headers\['X'\]"),
    ],
)
async def test_what_a_function_gives_is_checked(options: dict[str, object], words: str) -> None:
    """At the first request, which is not sent."""
    acme, over = api(**options)
    with pytest.raises(TypeError, match=f"^{words}"):
        await acme.get("/x")
    assert not over.requests


def test_a_client_and_its_tasks_are_not_pickled() -> None:
    """They hold a credential; a reference is what travels."""
    acme, _ = api()
    for held in (acme, acme.task("/x", JOB)):
        with pytest.raises(TypeError, match="and so are not pickled"):
            pickle.dumps(held)


# --- tasks --------------------------------------------------------------------------------------


async def test_a_task_is_waited_for_to_its_whole_answer() -> None:
    """Its looks keep to `Retry-After`, and what ends the wait is the decoded JSON."""
    later = reply({"status": "busy"}, headers={"Retry-After": "7"})
    acme, over = api(later, reply(NOT_JSON, status=502), DONE, rate=20)
    task = acme.task("https://api.acme.example/v1/jobs/7", JOB)
    assert await wait_until_done(task, schedule=EVERY_SECOND) == {"status": "done", "out": ["tea"]}
    assert 7 <= over.times[1] - over.times[0] < 8
    assert {sent(each) for each in over.requests} == {("GET", f"{V1}/jobs/7", None)}
    assert (task.kind, task.documented_rate) == ("acme.job", 20)
    assert task.budget[0] == "acme"
    assert task.key == acme.task("/jobs/7", JOB).key
    assert task.budget == acme.task("/jobs/8", JOB).budget
    assert repr(task) == "<APITask acme.job /jobs/7>"


async def test_a_look_may_be_a_post_with_a_body() -> None:
    """It is a look all the same: sent again after a fault."""
    acme, over = api(reply({}, status=503), DONE)
    task = acme.task("/query", JOB, method="post", body={"id": 7})
    await wait_until_done(task)
    assert [sent(each) for each in over.requests] == [("POST", f"{V1}/query", {"id": 7})] * 2
    assert task.key != acme.task("/query", JOB, method="POST", body={"id": 8}).key
    assert task.key != acme.task("/query", JOB).key
    other = Reading("acme.other", WORDS, status="status", source="a test", checked="2026-11-29")
    assert task.key != acme.task("/query", other, method="post", body={"id": 7}).key


@pytest.mark.parametrize(
    ("api_name", "reading", "kind"),
    [
        ("acme", "acme.job", "acme.job"),
        ("acme", "acme", "acme"),
        ("acme", "acmes.job", "acme.acmes.job"),
        ("proxy", "acme.job", "proxy.acme.job"),
    ],
)
def test_a_kind_is_named_by_api_and_reading(api_name: str, reading: str, kind: str) -> None:
    """Or as the caller says."""
    made = Reading(reading, WORDS, status="status", source="a test", checked="2026-11-29")
    client = TaskAPI(ScriptedTransport(), "https://x.example", name=api_name)
    assert client.task("/x", made).kind == kind
    assert client.task("/x", made, kind="films").kind == "films"


CANCELS = {
    "/jobs/7/cancel": ("POST", f"{V1}/jobs/7/cancel"),
    "DELETE /jobs/7": ("DELETE", f"{V1}/jobs/7"),
    "/jobs/a b/cancel": ("POST", f"{V1}/jobs/a%20b/cancel"),
    "stop": ("POST", f"{V1}/stop"),
    "DELETE /jobs/a b": ("DELETE", f"{V1}/jobs/a%20b"),
    "put https://poll.acme.example/7": ("PUT", "https://poll.acme.example/7"),
}


@pytest.mark.parametrize("cancel", CANCELS)
@pytest.mark.parametrize("answer", [reply(b"OK", status=202), reply({"ok": True})])
async def test_the_remote_job_is_cancelled_with_one_request(cancel: str, answer: Response) -> None:
    """When a wait is to do so, and by hand; its reference keeps how."""
    acme, over = api(BUSY, BUSY, answer, answer)
    task = acme.task("/jobs/7", JOB, cancel=cancel)
    with pytest.raises(TimeoutError):
        await wait_until_done(
            task, timeout=5, schedule=Schedule(first=50, cap=50), on_timeout="cancel"
        )
    await acme.task(task.ref).cancel()
    method, url = CANCELS[cancel]
    assert [sent(each) for each in over.requests if each.method != "GET"] == [
        (method, url, None)
    ] * 2


async def test_a_refused_cancel_is_not_sent_again() -> None:
    """It is one request; a task without a way to be cancelled has no `cancel` at all."""
    acme, over = api(reply({}, status=503))
    with pytest.raises(errors.ServerError):
        await acme.task("/jobs/7", JOB, cancel="/x").cancel()
    assert len(over.requests) == 1
    plain = acme.task("/jobs/7", JOB)
    assert trait(plain, "cancel") is None
    with pytest.raises(AttributeError, match=r"pass task\(..., cancel=path\)"):
        _ = plain.cancel


WRONG_TASKS: list[tuple[dict[str, object], type[Exception], str]] = [
    ({"method": "DELETE"}, ValueError, "method='DELETE' must be GET or POST"),
    ({"method": "FETCH"}, ValueError, "method='FETCH' must be one of"),
    ({"method": 7}, TypeError, "method must be a text"),
    ({"kind": ""}, ValueError, "kind is empty"),
    ({"cancel": 7}, TypeError, "cancel must be a text"),
    ({"cancel": "STOP /x"}, ValueError, "cancel='STOP' must be one of"),
    ({"cancel": ""}, ValueError, "^cancel="),
    ({"body": {1, object()}}, TypeError, "body cannot be written as JSON"),
    ({"body": b"{}"}, TypeError, "body is bytes, which would be sent in base64"),
    ({"body": {"x": float("nan")}}, ValueError, "body: NaN"),
    ({"reading": "acme.job"}, TypeError, "pass a path or URL and a Reading"),
    ({"reading": None}, TypeError, "pass a path or URL and a Reading"),
    ({"path_or_url": 7}, TypeError, "pass a path or URL and a Reading"),
    ({"path_or_url": TaskRef("acme", "acme.job", {})}, TypeError, "or a TaskRef alone"),
]


@pytest.mark.parametrize(("options", "kind", "words"), WRONG_TASKS)
def test_a_task_is_not_made_of_wrong_parts(
    options: dict[str, object], kind: type[Exception], words: str
) -> None:
    """The error names the argument."""
    make = cast("Callable[..., object]", api()[0].task)
    with pytest.raises(kind, match=words):
        make(**{"path_or_url": "/x", "reading": JOB, **options})


# --- references ---------------------------------------------------------------------------------

TASKS: list[tuple[str, dict[str, Any]]] = [
    ("/jobs/7", {}),
    (SIGNED, {}),
    ("/query?id=7", {"method": "POST", "body": {"id": [7, "\n\u00e9"]}, "kind": "films"}),
    ("/jobs/7", {"cancel": "DELETE https://poll.acme.example/x?y=z"}),
    ("/jobs/7", {"body": "x" * 998}),
]


@pytest.mark.parametrize(("where", "options"), TASKS, ids=["path", "URL", "POST", "cancel", "long"])
@pytest.mark.parametrize("account", [None, "mine"])
async def test_a_task_is_found_again_by_its_reference(
    where: str, options: dict[str, Any], account: str | None
) -> None:
    """In another process, by what travels as text: the same request, identity and kind."""
    acme, over = api(BUSY, account=account)
    task = acme.task(where, JOB, **options)
    assert task.ref is not None
    ref = decode_ref(encode_ref(task.ref))
    assert (ref.provider, ref.kind, ref.account) == ("acme", "acme.job", account)
    elsewhere, again = api(BUSY, account=account)
    found = elsewhere.task(ref)
    assert (found.key, found.kind, found.ref) == (task.key, task.kind, task.ref)
    assert await task.poll() == await found.poll()
    assert sent(over.requests[0]) == sent(again.requests[0])
    assert Ticket.decode(Ticket.begin(ref).encode()).ref == ref


async def test_a_long_body_has_no_reference() -> None:
    """The task is waited for all the same, alone and with others."""
    acme, over = api(BUSY, DONE, DONE)
    task = acme.task("/jobs/7", JOB, body="x" * 999)
    assert task.ref is None
    async with Poller(schedule=EVERY_SECOND) as poller:
        assert (await poller.wait(task))["out"] == ["tea"]
    assert (await wait_until_done(task))["out"] == ["tea"]
    assert over.left == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"provider": "zenith"}, "is not a task of acme"),
        ({"ids": {"id": "7"}}, "is not a task of acme"),
        ({"kind": "acme.film"}, "the reading 'acme.film' is unknown"),
        ({"account": "another"}, "is of the account 'another'"),
        ({"ids": {"path": "https://evil.example/x"}}, "does not go to https://evil.example"),
        ({"ids": {"path": "//evil.example/x"}}, "two slashes"),
        ({"ids": {"path": "/x", "cancel": "POST https://evil.example/x"}}, "does not go to"),
        ({"ids": {"path": "/x", "method": "DELETE"}}, "must be GET or POST"),
        ({"ids": {"path": "/x", "body": "{"}}, "its body is not JSON"),
    ],
)
def test_a_reference_of_something_else_is_refused(change: dict[str, Any], words: str) -> None:
    """Also one that was forged: nothing is sent where the credential may not go."""
    acme, _ = api(account="mine")
    ref = msgspec.structs.replace(TaskRef("acme", "acme.job", {"path": "/x"}), **change)
    with pytest.raises(ValueError, match=words):
        acme.task(ref)


async def test_a_reading_of_the_catalogue_is_found_by_its_name() -> None:
    """Without a word from the caller, unless one of the same name was given."""
    ref = TaskRef("acme", "replicate.prediction", {"path": "/predictions/7"}, account=None)
    acme, _ = api(reply({"status": "succeeded", "output": ["tea"]}))
    assert await wait_until_done(acme.task(ref)) == {"status": "succeeded", "output": ["tea"]}
    assert acme.task(ref).key == acme.task("/predictions/7", REPLICATE_PREDICTION).key
    own = Reading(ref.kind, WORDS, status="status", source="a test", checked="2026-11-29")
    other, _ = api(DONE, readings=[own])
    assert (await other.task(ref).observe()).state is TaskState.SUCCEEDED


# --- secrets ------------------------------------------------------------------------------------

QUERY = "s1gned"  # of SIGNED, and of what is given as a fragment of it below


def check(thing: object) -> None:
    """Fail if a secret is in any text of a thing."""
    for text in (str(thing), repr(thing), pretty_repr(thing), pretty_repr(thing, max_string=30)):
        assert SECRET[:12] not in text, text
        assert QUERY not in text, text


def check_error(error: BaseException) -> None:
    """Fail if a secret is in any text of an error, of what it holds, or in its frames."""
    check("".join(traceback.format_exception(error)))
    link: BaseException | None = error
    while link is not None:
        for value in (link, *vars(link).values()):
            check(value)
        for frame, _ in traceback.walk_tb(link.__traceback__):
            for value in frame.f_locals.values() if frame.f_code.co_filename != __file__ else ():
                for shown in (repr(value), pretty_repr(value, max_string=30)):
                    assert SECRET[:12] not in shown, frame.f_code
                    assert QUERY not in shown, frame.f_code
        link = link.__cause__ or link.__context__


def echo(request: Request) -> Response:
    """Refuse as a server that repeats what it was asked, and with which credential."""
    words = f"Cannot GET {request.target} ({request.headers['X-Key']})"
    return reply({"message": words}, status=400)


def echo_page(request: Request) -> Response:
    """Say no JSON, but all that was sent."""
    return reply(f"<p>{request.target} {request.headers['X-Key']}")


def echo_failure(request: Request) -> Response:
    """Let the task fail with what was asked."""
    return reply({"status": "broken", "why": f"{request.target} {request.headers['X-Key']}"})


@pytest.mark.parametrize(
    "entry", [echo, echo_page, echo_failure, BUSY, errors.TransportError("no")]
)
@pytest.mark.parametrize("body", [None, SECRET * 50])
async def test_no_secret_is_in_any_text(
    entry: Response | Exception | Callable[[Request], Response],
    body: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither the credential nor the query of a signed URL, in errors, logs, reprs and keys."""
    caplog.set_level(1)
    acme, _ = api(entry, repeat=True, headers={"X-Key": SECRET})
    task = acme.task(SIGNED, JOB, body=body, cancel=SIGNED)
    cancel = task.cancel
    for thing in (acme, task, task.key, task.ref, task.kind, task.budget, task.credential):
        check(thing)
    if task.ref is not None:
        check(Ticket.begin(task.ref))
    async with Poller(schedule=EVERY_SECOND) as poller:
        ways: list[Callable[[], Awaitable[object]]] = [
            lambda: acme.get(SIGNED),
            lambda: acme.post(SIGNED),
            lambda: wait_until_done(task, timeout=20, max_outage=5),
            lambda: poller.wait(task, timeout=20),
            cancel,
        ]
        for way in ways:
            try:
                await way()
            except errors.AsyncClientError as error:
                check_error(error)
    for record in caplog.records:
        check(caplog.handler.format(record))
        check(record.args)


@pytest.mark.parametrize("where", [SIGNED, "/jobs/7?sig=s1gned%2F0123456789abcdef"])
async def test_no_secret_is_in_the_frames_of_a_look_that_was_cancelled(where: str) -> None:
    """A caller's own timeout goes through them, and a traceback may show their locals."""
    transport = ScriptedTransport([BUSY], latency=9)
    acme = TaskAPI(transport, V1, name="acme", headers={"X-Key": SECRET}, hosts=["*.acme.example"])
    for look in (acme.task(where, JOB).poll, lambda: acme.get(where)):
        with pytest.raises(TimeoutError) as caught:
            await asyncio.wait_for(look(), 1)
        check_error(caught.value)


@pytest.mark.parametrize(
    "where",
    [
        f"https://evil.example/x?sig={QUERY}",
        f"//evil.example/x?{QUERY}",
        f"/../x?{QUERY}",
        f"/x?{QUERY}#f",
        f"/x?{QUERY}\n",
        f"https://api.acme.example:x/?{QUERY}",
        f"https://{QUERY}:{SECRET}@evil.example/",
        f"/x?{QUERY}{8000 * 'x'}",
    ],
)
async def test_no_secret_is_in_a_refused_address(where: str) -> None:
    """The error says what of it may be seen."""
    acme, _ = api()
    asks: list[Callable[[], object]] = [
        lambda: acme.task(where, JOB),
        lambda: acme.task("/x", JOB, cancel=where),
    ]
    if "@" not in where:  # which no reference has that was made here
        asks.append(lambda: acme.task(TaskRef("acme", "acme.job", {"path": where})))
    for ask in asks:
        with pytest.raises(ValueError, match=r"^(path_or_url|cancel)") as caught:
            ask()
        check_error(caught.value)
    with pytest.raises(ValueError, match=r"^path") as caught:
        await acme.get(where)
    check_error(caught.value)


async def test_what_is_no_secret_stays_in_answers() -> None:
    """A version or a type that an answer repeats, and an id that stands in a query."""
    plain = {"X-Api-Version": "2024-11-06", "Accept": "application/json", "X-Key": SECRET}
    said = {"status": "busy", "at": "2024-11-06T10", "type": "application/json", "id": "1768438627"}
    acme, _ = api(reply(said), headers=plain)
    assert await acme.task("/query?task_id=1768438627", JOB).poll() == said
