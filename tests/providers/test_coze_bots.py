"""Coze's bots: one page, all pages, one bot."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from asyncclient._http import Request, Response
from asyncclient.errors import ServerError
from asyncclient.providers.coze import Bot
from asyncclient.testing import reply
from tests.providers.scripted import RECORDED, coze, sent

_LIST = reply(RECORDED["coze/answers/list_bots.json"])
_BOT = reply(RECORDED["coze/answers/get_bot.json"])
_BOTS_URL = "https://api.coze.cn/v1/bots"


def _page(*ids: str, total: int | None = None) -> Response:
    return reply({"code": 0, "data": {"items": [{"id": one} for one in ids], "total": total}})


def _query(request: Request) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.target).query, strict_parsing=True))


async def test_a_page_of_bots_is_asked_for_by_page_num() -> None:
    """The query has the page's own names: `page_num`, not the SDK's `page_index`."""
    client, transport = coze(_LIST, repeat=True)
    page = await client.list_bots("5123")
    assert sent(transport.requests[0]) == (
        "GET",
        f"{_BOTS_URL}?workspace_id=5123&page_num=1&page_size=20",
        None,
    )
    assert page.total == 1
    assert page.response is not None
    options = {"publish_status": "all", "connector_id": "999"}
    await client.list_bots("5123", **options, page_num=3, page_size=50)
    expected = options | {"workspace_id": "5123", "page_num": "3", "page_size": "50"}
    assert _query(transport.requests[1]) == expected


async def test_a_bot_of_the_list_is_typed() -> None:
    """All fields of the page's sample are there, a time of publication without one included."""
    client, _ = coze(_LIST)
    (bot,) = (await client.list_bots("5123")).items
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
    client, _ = coze(reply({"code": 0, "data": data}))
    assert (await client.list_bots("5123")).items == []


@pytest.mark.parametrize(
    ("pages", "ids"),
    [
        # At the total; no page after it is asked for.
        ([_page("1", "2", total=3), _page("3", total=3)], "123"),
        # At an empty page, where the total is missing.
        ([_page("1"), _page()], "1"),
        # A bot made while the pages are read shifts the others; none comes twice.
        ([_page("1", "2", total=4), _page("2", "3", total=4), _page("4", total=4)], "1234"),
    ],
    ids=["total", "no total", "shifted page"],
)
async def test_all_bots_come_once_and_end(pages: list[Response], ids: str) -> None:
    """The pages are read in order up to the last bot and no further, each with all filters."""
    client, transport = coze(*pages)
    bots = client.iter_bots("5123", publish_status="all", connector_id="999", page_size=2)
    assert [bot.id async for bot in bots] == [*ids]
    assert [sent(request)[1] for request in transport.requests] == [
        f"{_BOTS_URL}?workspace_id=5123&publish_status=all&connector_id=999"
        f"&page_num={number + 1}&page_size=2"
        for number in range(len(pages))
    ]


async def test_a_page_that_fails_is_asked_for_again_and_the_bots_go_on() -> None:
    """A fault costs a repeat of that page; where it stays, it is the error, and not the end."""
    broken = reply("<html>", status=502)
    client, transport = coze(_page("1", total=2), broken, _page("2", total=2))
    assert [bot.id async for bot in client.iter_bots("5123")] == ["1", "2"]
    assert [_query(request)["page_num"] for request in transport.requests] == ["1", "2", "2"]
    client, _ = coze(_page("1", total=2), broken, repeat=True)
    bots = client.iter_bots("5123")
    assert (await anext(bots)).id == "1"
    with pytest.raises(ServerError):
        await anext(bots)


async def test_one_bot_is_read_by_its_id() -> None:
    """Without the option Coze chooses the version; truth values are spelled as in JSON."""
    client, transport = coze(_BOT, repeat=True)
    bot = await client.get_bot("7379")
    await client.get_bot("7379", is_published=True)
    await client.get_bot("7379", is_published=False)
    assert [sent(request) for request in transport.requests] == [
        ("GET", f"{_BOTS_URL}/7379{query}", None)
        for query in ("", "?is_published=true", "?is_published=false")
    ]
    assert (bot.bot_id, bot.name, bot.bot_mode) == ("737946218936519****", "Travel companion", 0)
    assert bot.response is not None
    assert b"SuggestedQuestions" in bot.response.body
