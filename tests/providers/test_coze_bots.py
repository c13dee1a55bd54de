"""Coze bots: one page, all pages, one bot."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from asyncclient._http import Request, Response
from asyncclient.errors import ServerError
from asyncclient.providers.coze import Bot, Coze
from asyncclient.testing import ScriptedTransport, reply

_FOLDER = Path(__file__).parents[1] / "fixtures" / "coze" / "answers"
_RECORDED = {path.name: path.read_bytes() for path in _FOLDER.iterdir()}


def _client(
    *script: Response | Exception, repeat: bool = False, max_retries: int = 3
) -> tuple[Coze, ScriptedTransport]:
    transport = ScriptedTransport(script, repeat=repeat)
    return (
        Coze(transport, token="pat_1", max_retries=max_retries),
        transport,
    )


def _page(*ids: str, total: int | None = None) -> Response:
    return reply({"code": 0, "data": {"items": [{"id": one} for one in ids], "total": total}})


def _query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.target).query, strict_parsing=True))


async def _ids(coze: Coze, page_size: int = 20) -> list[str | None]:
    return [bot.id async for bot in coze.iter_bots("5123", page_size=page_size)]


async def test_a_page_of_bots_is_asked_for_by_page_num() -> None:
    """The query has the page's own names: `page_num`, not the SDK's `page_index`."""
    coze, transport = _client(reply(_RECORDED["list_bots.json"]))
    page = await coze.list_bots("5123")
    (request,) = transport.requests
    assert (request.method, request.origin, request.body) == ("GET", Coze.COM, None)
    assert urlsplit(request.target).path == "/v1/bots"
    assert _query(request) == {"workspace_id": "5123", "page_num": "1", "page_size": "20"}
    assert page.total == 1
    assert page.response is not None


async def test_every_filter_of_the_bots_reaches_the_query() -> None:
    """All options travel under their own names."""
    coze, transport = _client(_page())
    await coze.list_bots("5123", publish_status="all", connector_id="999", page_num=3, page_size=50)
    assert _query(transport.requests[0]) == {
        "workspace_id": "5123",
        "publish_status": "all",
        "connector_id": "999",
        "page_num": "3",
        "page_size": "50",
    }


async def test_a_bot_of_the_list_is_typed() -> None:
    """All fields of the page's sample are there, a time of publication without one included."""
    coze, _ = _client(reply(_RECORDED["list_bots.json"]))
    (bot,) = (await coze.list_bots("5123")).items
    assert bot == Bot(
        id="7493066380997****",
        name="语音伴侣",
        icon_url="https://example.com/agent1***.png",
        folder_id="75231612553354***",
        updated_at=1718289297,
        description="语音伴侣",
        is_published=False,
        published_at=1718289297,
        owner_user_id="23423423****",
    )


@pytest.mark.parametrize("data", [{}, {"total": 0}, {"items": []}])
async def test_a_page_may_be_empty(data: object) -> None:
    """No items, or no list of them at all, is an empty page."""
    coze, _ = _client(reply({"code": 0, "data": data}))
    assert (await coze.list_bots("5123")).items == []


async def test_all_bots_end_at_the_total() -> None:
    """The pages are read in order, and none after the last bot."""
    coze, transport = _client(
        _page("1", "2", total=5), _page("3", "4", total=5), _page("5", total=5)
    )
    assert await _ids(coze, page_size=2) == ["1", "2", "3", "4", "5"]
    assert [_query(request)["page_num"] for request in transport.requests] == ["1", "2", "3"]
    assert {_query(request)["page_size"] for request in transport.requests} == {"2"}


async def test_all_bots_end_at_an_empty_page() -> None:
    """A total that is too high, or missing, does not make it ask for ever."""
    coze, transport = _client(_page("1", "2", total=99), _page("3", total=99), _page(total=99))
    assert await _ids(coze, page_size=2) == ["1", "2", "3"]
    coze, transport = _client(_page("1"), _page())
    assert await _ids(coze) == ["1"]
    assert transport.left == 0


async def test_all_bots_end_when_the_server_repeats_its_first_page() -> None:
    """A server that does not know the page's number gives each bot once, then the end."""
    coze, transport = _client(_page("1", "2", total=99), repeat=True)
    assert await _ids(coze, page_size=2) == ["1", "2"]
    assert len(transport.requests) == 2


async def test_a_bot_that_moves_to_the_next_page_comes_once() -> None:
    """A bot made while the pages are read shifts the others; none comes twice."""
    coze, _ = _client(_page("1", "2", total=4), _page("2", "3", total=4), _page("4", total=4))
    assert await _ids(coze, page_size=2) == ["1", "2", "3", "4"]


async def test_all_bots_pass_their_filters_on_to_each_page() -> None:
    """Filters are those of every page, not of the first alone."""
    coze, transport = _client(_page("1", total=2), _page("2", total=2))
    bots = coze.iter_bots("5123", publish_status="all", connector_id="999", page_size=1)
    assert [bot.id async for bot in bots] == ["1", "2"]
    for request in transport.requests:
        assert _query(request)["publish_status"] == "all"
        assert _query(request)["connector_id"] == "999"


async def test_a_page_that_fails_is_asked_for_again_and_the_bots_go_on() -> None:
    """A fault in the middle costs a repeat of that page, no bot and no duplicate."""
    coze, transport = _client(_page("1", total=2), reply("<html>", status=502), _page("2", total=2))
    assert await _ids(coze) == ["1", "2"]
    assert [_query(request)["page_num"] for request in transport.requests] == ["1", "2", "2"]


async def test_a_page_that_stays_broken_ends_the_bots_with_its_error() -> None:
    """The bots that came are not taken for all of them."""
    coze, _ = _client(_page("1", total=2), reply("", status=503), repeat=True, max_retries=0)
    bots = coze.iter_bots("5123")
    assert (await anext(bots)).id == "1"
    with pytest.raises(ServerError):
        await anext(bots)


async def test_one_bot_is_read_by_its_id() -> None:
    """Without the option, the version that Coze chooses is asked for."""
    coze, transport = _client(reply(_RECORDED["get_bot.json"]))
    bot = await coze.get_bot("7379")
    (request,) = transport.requests
    assert (request.method, request.target) == ("GET", "/v1/bots/7379")
    assert (bot.bot_id, bot.name, bot.bot_mode) == ("737946218936519****", "Travel companion", 0)
    assert bot.response is not None
    assert b"SuggestedQuestions" in bot.response.body


@pytest.mark.parametrize(("given", "sent"), [(True, "true"), (False, "false")])
async def test_a_truth_value_is_sent_as_json_spells_it(given: bool, sent: str) -> None:  # noqa: FBT001  (a table's column)
    """`is_published` is `true` or `false`, not Python's `True`."""
    coze, transport = _client(reply(_RECORDED["get_bot.json"]))
    await coze.get_bot("7379", is_published=given)
    assert transport.requests[0].target == f"/v1/bots/7379?is_published={sent}"
