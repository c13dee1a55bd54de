"""`wait` and `watch` for the URL of any API, against a server in the command's own event loop."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import TYPE_CHECKING

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from asyncclient import SessionPool, decode_ref
from asyncclient.cli._any_api import How, known_reading
from tests.cli.shell import OTHER, REPLICATE, SIGNED, Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.usefixtures("environment")

OWN = ("--status", "data.state", "--succeeded", "done", "--failed", "error,rejected")


class _API:
    """Any API: it answers each path from a list, the last entry for ever."""

    def __init__(self) -> None:
        self.url = ""
        self.answers: list[tuple[int, object]] = []
        self.asked: list[web.Request] = []

    def will_say(self, *words: object, at: str = "status", **others: object) -> str:
        """Let the coming answers have these words, and return the URL."""
        outer, _, inner = at.rpartition(".")
        said = [{inner: word, **others} for word in words]
        self.answers = [(200, {outer: each} if outer else each) for each in said]
        return f"{self.url}/v1/jobs/7"

    def will_refuse(self, status: int, answer: object) -> str:
        """Let all coming answers be this one, and return the URL."""
        self.answers = [(status, answer)]
        return f"{self.url}/v1/jobs/7"

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        status, answer = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        at = {"Location": "https://elsewhere.example/jobs/7"} if status == 302 else {}
        if isinstance(answer, bytes):
            return web.Response(body=answer, content_type="application/json")
        return web.json_response(answer, status=status, headers=at)

    def sent(self, name: str) -> set[str | None]:
        """Return the values of a header in all requests so far."""
        return {request.headers.get(name) for request in self.asked}


@pytest.fixture
def api(loop: asyncio.Runner) -> Iterator[_API]:
    """Run an API in the command's own loop."""
    one = _API()
    app = web.Application()
    app.router.add_get("/{path:.*}", one.answer)
    server = TestServer(app)
    loop.run(server.start_server())
    one.url = str(server.make_url("")).rstrip("/")
    yield one
    loop.run(server.close())


def test_an_api_of_the_catalogue_needs_its_url_and_its_name(shell: Shell, api: _API) -> None:
    """The token is sent as a bearer's, and the whole answer is written as it came."""
    url = api.will_say("starting", "processing", "succeeded", output=["tea"])
    assert shell("wait", url, *REPLICATE) == 0
    assert shell.json == {"status": "succeeded", "output": ["tea"]}
    assert shell.err == ""
    assert len(api.asked) == 3
    assert api.sent("Authorization") == {f"Bearer {OTHER}"}


@pytest.mark.parametrize(
    ("words", "options", "code"),
    [
        (["new", "done"], OWN, 0),
        (["new", "rejected"], OWN, 1),
        ([3, 10], (*OWN[:2], "--succeeded", "10", "--failed", "20"), 0),
        ([False, True], (*OWN[:2], "--succeeded", "true", "--failed", "no"), 0),
        (["stopped"], (*OWN, "--cancelled", "halted", "--cancelled", "stopped"), 1),
        (["paused"], (*OWN, "--blocked", "paused", "--running", "new"), 1),
        (["lost"], (*OWN, "--expired", "lost", "--pending", "new, queued"), 1),
        (["finished"], OWN, 124),
    ],
    ids=["good", "bad", "numbers", "truth", "cancelled", "blocked", "expired", "unknown"],
)
def test_an_api_needs_its_words_alone(
    shell: Shell, api: _API, words: list[object], options: tuple[str, ...], code: int
) -> None:
    """A word is a text, a number or a truth value; several are joined by commas, or repeated."""
    url = api.will_say(*words, at="data.state", message="why it is so")
    assert shell("wait", url, *options, "--timeout", "50") == code
    if code == 0:
        assert shell.json["data"]["state"] == words[-1]
    else:
        assert "127.0.0.1 job /v1/jobs/7 " in shell.complaint
    if code == 1:
        assert ": why it is so" in shell.complaint
        assert shell.json["data"]["state"] == words[-1]
    if code == 124:
        assert "words in no vocabulary: 'finished'" in shell.complaint
        assert "is an end, name it, as --succeeded; if not, wait longer" in shell.complaint


@pytest.mark.parametrize(
    ("lines", "sent"),
    [
        (["x-api-key: {token}"], {"x-api-key": OTHER, "Authorization": None}),
        (["Authorization: Key {token}"], {"Authorization": f"Key {OTHER}"}),
        (
            ["X-Version:2026-11-29", "accept: application/json"],
            {"X-Version": "2026-11-29", "Authorization": f"Bearer {OTHER}"},
        ),
    ],
)
def test_headers_are_given_as_to_curl_with_a_place_for_the_token(
    shell: Shell, api: _API, lines: list[str], sent: dict[str, str | None]
) -> None:
    """Where `{token}` stands the token goes, and then nowhere else."""
    headers = [word for line in lines for word in ("-H", line)]
    assert shell("wait", api.will_say("succeeded"), *REPLICATE, *headers) == 0
    assert {name: api.sent(name) for name in sent} == {name: {sent[name]} for name in sent}


def test_without_a_token_it_is_asked_without_one(shell: Shell, api: _API) -> None:
    """A URL may be signed, or open."""
    shell.monkeypatch.delenv("ASYNCCLIENT_TOKEN")
    url = api.will_say("succeeded")
    assert shell("wait", f"{url}?{SIGNED}", *REPLICATE) == 0
    assert api.sent("Authorization") == {None}
    assert api.asked[0].query_string == SIGNED
    assert shell("wait", api.will_refuse(401, {}), *REPLICATE) == 3
    assert "set ASYNCCLIENT_TOKEN: it is sent as 'Authorization: Bearer'" in shell.complaint


def test_plain_http_goes_to_another_machine_where_that_is_meant() -> None:
    """With the token, which is why it has to be said."""
    how = How(known_reading("replicate.prediction"), {}, allow_http=True)
    task = how.at("http://acme.example/jobs/7").task(SessionPool())
    assert repr(task) == "<APITask replicate.prediction /jobs/7>"


@pytest.mark.parametrize(
    ("status", "answer", "code", "said"),
    [
        (401, {"error": "no"}, 3, "check ASYNCCLIENT_TOKEN, and its header: it is sent as 'Auth"),
        (403, {"error": "no"}, 3, "check ASYNCCLIENT_TOKEN, and its header: it is sent as 'Auth"),
        (404, {"error": "no"}, 1, "check the URL and ASYNCCLIENT_TOKEN"),
        (302, {}, 3, "redirects to https://elsewhere.example, which is not followed"),
        (200, {"id": 1, "data": {}}, 3, "path of --status: the last answer has data, id"),
        (200, [1], 3, "path of --status: the last answer was not a JSON object"),
    ],
)
def test_a_refusal_has_a_next_step_for_a_shell(
    shell: Shell, api: _API, status: int, answer: object, code: int, said: str
) -> None:
    """One line, without the query of the URL."""
    url = api.will_refuse(status, answer)
    assert shell("wait", f"{url}?{SIGNED}", *OWN) == code
    assert said in shell.complaint


def test_a_dead_network_is_a_timeout_that_says_so(shell: Shell) -> None:
    """A network may come back: the wait goes on to its deadline, and says what failed last."""
    with socket.socket() as bound:  # and listens to none
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/jobs/7"
        assert shell("wait", url, *REPLICATE, "--timeout", "20") == 124
        assert "last failed poll: ConnectFailed" in shell.complaint
        assert shell("wait", url, *REPLICATE) == 3
    assert "; check the URL and the network" in shell.complaint


def test_json_has_all_of_the_end(shell: Shell, api: _API) -> None:
    """One object, whichever way it ends; a reference with the whole URL, unless it has a query."""
    url = api.will_say("processing", "succeeded", output="tea")
    assert shell("wait", url, *REPLICATE, "--json") == 0
    found = shell.json
    ref = found.pop("ref")
    assert 0 < found.pop("elapsed") < 5
    assert decode_ref(json.dumps(ref)).ids == {"path": url}
    assert (ref["provider"], ref["kind"]) == ("replicate", "replicate.prediction")
    # Which does not say what may have the token: the URL itself is given again.
    assert shell("wait", json.dumps(ref)) == 2
    assert "found by its URL: asyncclient wait URL --api replicate.prediction" in shell.complaint
    assert found == {
        "state": "succeeded",
        "word": "succeeded",
        "reason": None,
        "progress": None,
        "polls": 2,
        "result": {"status": "succeeded", "output": "tea"},
        "error": None,
        "exit_code": 0,
    }
    api.will_say("failed", error="no tea")
    assert shell("wait", f"{url}?{SIGNED}", *REPLICATE, "--json") == 1
    assert shell.complaint
    failed = shell.json
    assert (failed["state"], failed["reason"], failed["ref"]) == ("failed", "no tea", None)
    assert failed["error"]["type"] == "TaskFailed"
    assert failed["result"]["error"] == "no tea"
    api.will_say("processing")
    assert shell("wait", url, *REPLICATE, "--json", "--timeout", "9") == 124
    late = shell.json
    assert (late["state"], late["result"], late["exit_code"]) == ("running", None, 124)
    api.will_refuse(401, {})
    assert shell("wait", url, *REPLICATE, "--json") == 3
    assert (shell.json["state"], shell.json["polls"]) == (None, 1)
    assert shell.json["error"]["type"] == "AuthenticationFailed"


@pytest.mark.parametrize("how", [(), ("--json",)])
@pytest.mark.parametrize(
    "raw",
    [
        b'\xef\xbb\xbf{"status": "succeeded", "to": "tea"}',
        b'{"status":"succeeded","to":"tea\\ud83d"}',
        b'{"status":"succeeded","to":"tea","deep":' + b"[" * 9000 + b"]" * 9000 + b"}",
    ],
    ids=["byte order mark", "half a letter", "thousands of levels"],
)
def test_what_is_read_leniently_is_written_as_json(
    shell: Shell, api: _API, raw: bytes, how: tuple[str, ...]
) -> None:
    """A finished task is not lost to a byte that no parser of JSON takes."""
    assert shell("wait", api.will_refuse(200, raw), *REPLICATE, *how) == 0
    answer = shell.json["result"] if how else shell.json
    assert answer["to"].startswith("tea")


def test_urls_may_come_from_standard_input(shell: Shell, api: _API) -> None:
    """So a signed one is in no list of processes; one token goes to one place only."""
    url = api.will_say("processing", "processing", "succeeded")
    lines = f"{url}?n=1&{SIGNED}\n\n{url}?n=2\n"
    assert shell("wait", "-", *REPLICATE, "--json", stdin=lines) == 0
    assert [end["state"] for end in shell.lines] == ["succeeded"] * 2
    elsewhere = "https://api.acme.example/v1/jobs/7"
    assert shell("wait", "-", *REPLICATE, stdin=f"{url}\n{elsewhere}?{SIGNED}\n") == 2
    assert f"line 2: '{elsewhere}' is at another host or port" in shell.complaint
    with_password = elsewhere.replace("//", f"//u:{SIGNED}@")
    assert shell("wait", "-", *REPLICATE, stdin=f"{url}\n{with_password}\n") == 2
    assert f"line 2: '{elsewhere}' is at another host or port" in shell.complaint
    assert shell("wait", "-", stdin=f"{url}?{SIGNED}\n") == 2
    assert "are unknown: give --api NAME" in shell.complaint
