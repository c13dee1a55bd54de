"""Any HTTP API over real sockets: where its credential goes, and what is sent twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec
import pytest

from asyncclient import Reading, SessionPool, TaskAPI, Vocabulary, wait_until_done
from asyncclient.errors import AuthenticationFailed, InvalidRequest, TransportError
from tests.sockets.conftest import Peer, Script, Server

if TYPE_CHECKING:
    from tests.sockets.conftest import Serve

WORDS = Vocabulary(running="busy", succeeded="done", failed="broken")
JOB = Reading("acme.job", WORDS, status="status", source="a test", checked="2026-11-29")


def api(pool: SessionPool, server: Server, *hosts: str) -> TaskAPI:
    """Make a client of the API that a server plays."""
    return TaskAPI(pool, server.origin, name="acme", token="s3cret-0123456789", hosts=hosts)


def saying(*statuses: str, headers: bytes = b"", body: bytes = b"{}") -> Script:
    """Answer requests of all connections in order, the last status for ever."""
    left = [*statuses]

    async def answer(peer: Peer) -> None:
        while True:
            await peer.asked()
            status = left.pop(0) if len(left) > 1 else left[0]
            await peer.answer(body, status=status, headers=headers)

    return answer


async def test_a_poll_url_at_another_origin_gets_nothing_unless_it_is_named(
    serve: Serve, pool: SessionPool
) -> None:
    """A start's answer names where to look: there the credential goes only by the caller's word."""
    jobs = await serve(saying("200 OK", body=b'{"status": "done"}'))
    where = msgspec.json.encode({"poll": f"{jobs.origin}/jobs/7?sig=a%2Fb&n=1"})
    start = await serve(saying("201 Created", body=where))
    started = await api(pool, start).post("/jobs", {"topic": "tea"})
    for stranger in (api(pool, start), api(pool, start, "127.0.0.2", "*.example.com")):
        with pytest.raises(ValueError, match=r"does not go to http://127\.0\.0\.1"):
            stranger.task(started["poll"], JOB)
    assert not jobs.asked
    named = api(pool, start, jobs.origin.removeprefix("http://"))
    assert await wait_until_done(named.task(started["poll"], JOB)) == {"status": "done"}
    (asked,) = jobs.asked
    assert asked.target == b"/jobs/7?sig=a%2Fb&n=1"
    assert asked.headers[b"authorization"] == b"Bearer s3cret-0123456789"


async def test_a_credential_does_not_go_over_plain_http(pool: SessionPool) -> None:
    """The same host without TLS is another origin."""
    acme = TaskAPI(pool, "https://api.example.com", name="acme", token="s3cret-0123456789")
    with pytest.raises(ValueError, match="in the clear"):
        await acme.get("http://api.example.com/jobs")
    with pytest.raises(ValueError, match="does not go to"):
        await acme.get("http://localhost/jobs")


async def test_a_redirect_is_not_followed_with_the_credential(
    serve: Serve, pool: SessionPool
) -> None:
    """Neither of a read, of a start nor of a look."""
    other = await serve(saying("200 OK"))
    headers = f"Location: {other.origin}/jobs\r\n".encode()
    server = await serve(saying("307 Temporary Redirect", headers=headers))
    acme = api(pool, server)
    task = acme.task("/jobs/7", JOB)
    for ask in (acme.get("/jobs"), acme.post("/jobs", {}), task.poll()):
        with pytest.raises(InvalidRequest, match="which is not followed"):
            await ask
    assert (len(server.asked), other.asked) == (3, [])


@pytest.mark.parametrize("way", ["get", "post", "poll"])
async def test_a_401_renews_the_headers_once(serve: Serve, pool: SessionPool, way: str) -> None:
    """Each request has those of its own time; the second refusal is the caller's."""
    given: list[str] = []

    async def headers() -> Mapping[str, str]:
        given.append(f"k{len(given)}")
        return {"X-Key": given[-1]}

    server = await serve(saying("401 Unauthorized", "200 OK", "401 Unauthorized"))
    acme = TaskAPI(pool, server.origin, name="acme", headers=headers)
    task = acme.task("/jobs/7", JOB)
    ways = {"get": lambda: acme.get("/"), "post": lambda: acme.post("/", {}), "poll": task.poll}
    assert await ways[way]() == {}
    with pytest.raises(AuthenticationFailed):
        await ways[way]()
    assert [asked.headers[b"x-key"] for asked in server.asked] == [b"k0", b"k1", b"k2", b"k3"]


async def test_a_start_whose_answer_is_lost_is_sent_once(serve: Serve, pool: SessionPool) -> None:
    """A read is sent until it is answered, a start says that it may have happened."""
    cut: list[bytes] = []

    async def break_off(peer: Peer) -> None:
        asked = await peer.asked()
        cut.append(asked.method)
        if len(cut) in {1, 2}:
            return
        await peer.answer()

    server = await serve(break_off)
    acme = api(pool, server)
    with pytest.raises(TransportError) as caught:
        await acme.post("/jobs", {"topic": "tea"})
    assert caught.value.may_have_started
    assert cut == [b"POST"]
    assert await acme.get("/jobs") == {}
    assert cut == [b"POST", b"GET", b"GET"]
    assert server.asked[0].headers[b"content-type"] == b"application/json"
    assert b"content-type" not in server.asked[1].headers
