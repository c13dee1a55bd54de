"""Finding one's way in Coze: workspaces, and the workflows in them."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from asyncclient._http import Request, Response
from asyncclient.errors import AsyncClientError
from asyncclient.providers.coze import Creator, Workflow, Workspace
from asyncclient.testing import reply
from tests.providers.scripted import RECORDED, coze

_WORKSPACES = reply(RECORDED["coze/answers/list_workspaces.json"])
_WORKFLOWS = reply(RECORDED["coze/answers/list_workflows.json"])


def _asked(request: Request) -> tuple[str, str, dict[str, str]]:
    url = urlsplit(request.target)
    return request.method, url.path, dict(parse_qsl(url.query, strict_parsing=True))


def _spaces(*ids: str, total: int | None = None) -> Response:
    return reply({"data": {"workspaces": [{"id": one} for one in ids], "total_count": total}})


def _flows(*ids: str, more: bool | None = None) -> Response:
    return reply({"data": {"items": [{"workflow_id": one} for one in ids], "has_more": more}})


async def test_a_page_of_workspaces_is_typed() -> None:
    """All fields of the page's sample are there, and the query has the page's own names."""
    client, transport = coze(_WORKSPACES, repeat=True)
    page = await client.list_workspaces()
    assert page.total_count == 2
    assert page.response is not None
    icon = "https://***/obj/ocean-cloud-tos/FileBizType.BIZ_BOT_SPACE/team.png"
    assert page.workspaces[0] == Workspace(
        id="74876004423701****",
        name="test",
        icon_url=icon,
        role_type="member",
        workspace_type="team",
        enterprise_id="volcano_2105850****",
    )
    options = {"enterprise_id": "volcano_2", "user_id": "385", "coze_account_id": "748"}
    await client.list_workspaces(**options, page_num=3, page_size=50)
    assert [_asked(request) for request in transport.requests] == [
        ("GET", "/v1/workspaces", {"page_num": "1", "page_size": "20"}),
        ("GET", "/v1/workspaces", options | {"page_num": "3", "page_size": "50"}),
    ]


async def test_a_page_of_workflows_is_typed() -> None:
    """Times in quotes are numbers; the query has the page's own names."""
    client, transport = coze(_WORKFLOWS, repeat=True)
    page = await client.list_workflows("5123")
    assert page.has_more is True
    assert page.items == [
        Workflow(
            workflow_id="7524966****",
            workflow_name="workflow_Name",
            description="Description",
            icon_url="https://tosv.****/workflow.png",
            app_id="0",
            created_at=1752060786,
            updated_at=1752060827,
            creator=Creator(id="26150****", name="alan"),
        )
    ]
    options = {"workflow_mode": "chatflow", "app_id": "744", "publish_status": "all"}
    await client.list_workflows("5123", **options, page_num=3, page_size=30)
    where = {"workspace_id": "5123"}
    assert [_asked(request) for request in transport.requests] == [
        ("GET", "/v1/workflows", where | {"page_num": "1", "page_size": "10"}),
        ("GET", "/v1/workflows", where | options | {"page_num": "3", "page_size": "30"}),
    ]


@pytest.mark.parametrize(
    "pages",
    [
        [_spaces("1", "2", total=3), _spaces("3", total=3)],
        [_spaces("1", "2"), _spaces("3"), _spaces()],
        [_spaces("1", "2", total=0), _spaces("3", total=0), _spaces(total=0)],
    ],
    ids=["total", "no total", "a total of 0"],
)
async def test_all_workspaces_come_once_and_end(pages: list[Response]) -> None:
    """At the total, or where none can be believed at an empty page."""
    client, transport = coze(*pages)
    assert [one.id async for one in client.iter_workspaces(user_id="u")] == ["1", "2", "3"]
    assert [_asked(request)[2] for request in transport.requests] == [
        {"user_id": "u", "page_num": str(number), "page_size": "50"}
        for number in range(1, len(pages) + 1)
    ]


@pytest.mark.parametrize(
    "pages",
    [
        [_flows("1", "2", more=True), _flows("3", more=False)],
        [_flows("1", more=True), _flows(more=True), _flows("2", "1", "3", more=False)],
        [_flows("1", "2"), _flows("3"), _flows()],
    ],
    ids=["has_more", "an empty page between", "no has_more"],
)
async def test_all_workflows_come_once_and_end(pages: list[Response]) -> None:
    """Where Coze says that there are no more; a page may be empty before that."""
    client, transport = coze(*pages)
    flows = client.iter_workflows("5123", workflow_mode="workflow")
    assert [one.workflow_id async for one in flows] == ["1", "2", "3"]
    assert [_asked(request)[2] for request in transport.requests] == [
        {
            "workspace_id": "5123",
            "workflow_mode": "workflow",
            "page_num": str(number),
            "page_size": "30",
        }
        for number in range(1, len(pages) + 1)
    ]


async def test_a_list_that_does_not_come_whole_is_an_error() -> None:
    """What is promised and does not come, and a list without an end, are said so."""
    client, _ = coze(_spaces("1", "2", total=5), _spaces(total=5))
    with pytest.raises(AsyncClientError, match=r"^coze\.iter_workspaces: 2 of 5 items were read"):
        _ = [one async for one in client.iter_workspaces()]
    client, _ = coze(_flows("1", more=True), repeat=True)
    with pytest.raises(AsyncClientError, match=r"^coze\.iter_workflows: 1 items .* not end"):
        _ = [one async for one in client.iter_workflows("5123")]
