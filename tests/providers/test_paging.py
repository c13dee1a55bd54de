"""Lists in pages: each item comes once, and all come or an error says how many did not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import pytest
from hypothesis import given, strategies as st

from asyncclient._http import Response
from asyncclient.errors import AsyncClientError
from asyncclient.providers._paging import Page, every_item
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply
from tests.providers.scripted import copyai


async def _read(
    page: Callable[[int], Page[str]],
    asked: list[int],
    identify: Callable[[str], str | None] = str,
) -> list[str]:
    """Read a list whole, and note which pages were asked for."""

    async def read(number: int) -> Page[str]:
        asked.append(number)
        return page(number)

    return [item async for item in every_item("list", read, identify)]


def _pages(*texts: str, total: int | None = None) -> dict[int, Page[str]]:
    """Make pages of letters; the last one is followed by empty ones."""
    pages = {number: Page([*text], total) for number, text in enumerate(texts, 1)}
    return pages | {number: Page[str]([], total) for number in range(len(pages) + 1, 30)}


def _more(*items: str, total: int | None = None) -> Page[str]:
    """Make a page after which there are more."""
    return Page([*items], total, has_more=True)


@pytest.mark.parametrize(
    ("pages", "items", "asked"),
    [
        # At the total, which any page may say; at an empty page where none says it.
        (_pages("ab", "c", total=3), "abc", 2),
        (_pages("ab", "cd", total=4), "abcd", 2),
        (_pages("ab", "c"), "abc", 3),
        (_pages(total=0), "", 1),
        (_pages(), "", 1),
        # A total that is less than a page holds is none, as where a server does not count.
        (_pages("ab", "c", total=0), "abc", 3),
        # A server may give shorter pages than it was asked for, or uneven ones.
        (_pages("abc", "d", "ef", total=6), "abcdef", 3),
        # `has_more` goes before all else, and a page may be empty all the same.
        ({1: _more("a"), 2: _more(), 3: Page(["b"], has_more=False)}, "ab", 3),
    ],
)
async def test_a_list_ends_where_it_says(
    pages: dict[int, Page[str]], items: str, asked: int
) -> None:
    """Every item comes, in the list's order, and no page after the last is asked for."""
    numbers: list[int] = []
    assert await _read(pages.__getitem__, numbers) == [*items]
    assert numbers == [*range(1, asked + 1)]


async def test_items_without_an_id_are_told_apart_by_what_they_are() -> None:
    """Two that are equal in all are one."""
    pages = _pages("aba")
    assert await _read(pages.__getitem__, [], lambda _: None) == ["a", "b"]


_SHORT: dict[str, tuple[dict[int, Page[str]], str, int]] = {
    "an empty page": (_pages("ab", total=5), r"2 of 5 items .* after page 2;", 2),
    # It is read again from its first page, since a list that grows looks so as well.
    "a server that does not know the page": (
        {number: Page(["a", "b"], 5) for number in range(9)},
        r"2 of 5 items .* after page 3;",
        6,
    ),
    "the same, without a total": (
        {number: Page(["a", "b"]) for number in range(99)},
        r"2 items .* does not end: 11 pages had no other;",
        12,
    ),
    "more for ever": (
        {number: _more() for number in range(99)},
        r"0 items .* does not end: 11 pages had no other;",
        11,
    ),
    "more for ever, with a total": (
        {number: _more("a", total=3) for number in range(99)},
        r"1 of 3 items .* does not end: 14 pages had no other;",
        15,
    ),
    "the same, with a huge total": (
        {number: Page(["a", "b"], 10**30) for number in range(999)},
        r"2 of 10{30} items .* does not end: 111 pages had no other;",
        112,
    ),
    "no more, against the total": (
        {1: Page(["a"], 3, has_more=False)},
        r"1 of 3 items .* after page 1;",
        1,
    ),
    "nothing at all": (_pages(total=5), r"0 of 5 items .* after page 1;", 1),
}


@pytest.mark.parametrize(("pages", "words", "asked"), _SHORT.values(), ids=_SHORT)
async def test_a_list_that_ends_early_or_never_says_so(
    pages: dict[int, Page[str]], words: str, asked: int
) -> None:
    """What was read came before the error, which names how many of how many."""
    numbers: list[int] = []
    with pytest.raises(AsyncClientError, match=rf"^list: {words} read the list again"):
        await _read(pages.__getitem__, numbers)
    assert len(numbers) == asked


_ENDLESS: dict[str, Callable[[int], Page[str]]] = {
    "a total that swings": lambda asked: Page([], 10 if asked % 2 else 5),
    "a total that swings around items": lambda asked: Page(["a"], 10 if asked % 2 else 5),
    # Each page is the first one again, since as much came before it as a page holds.
    "growth at the rate of reading": lambda asked: Page(["a", "b"], 6 + 2 * asked),
}


@pytest.mark.parametrize("page", _ENDLESS.values(), ids=_ENDLESS)
async def test_a_list_that_is_never_read_to_its_end_says_so(
    page: Callable[[int], Page[str]],
) -> None:
    """The server is asked a bounded number of times."""
    asked: list[int] = []
    with pytest.raises(AsyncClientError, match=r"^list: \d of"):
        await _read(lambda _: page(len(asked)), asked)
    assert len(asked) < 40


class _Change(NamedTuple):
    """What happens to a list between two pages: items come, at one place, or some go."""

    come: int
    at: int
    go: list[int]


_CHANGES = st.lists(
    st.builds(_Change, st.integers(0, 12), st.integers(0, 40), st.just([]))
    | st.builds(_Change, st.just(0), st.just(0), st.lists(st.integers(0, 40), max_size=12)),
    max_size=12,
)


class _List:
    """A list that changes before each page but the first."""

    def __init__(self, length: int, size: int, changes: list[_Change], *, says: str) -> None:
        self.items = list(range(length))
        self.staying = set(self.items)
        self.size, self.says = size, says
        self._changes: Iterator[_Change] = iter(changes)
        self._last = length
        self.asked = 0

    async def read(self, number: int) -> Page[int]:
        change = next(self._changes, None) if self.asked else None
        if change is not None:
            place = min(change.at, len(self.items))
            self.items[place:place] = range(self._last, self._last + change.come)
            self._last += change.come
            gone = {place for place in change.go if place < len(self.items)}
            self.items = [one for place, one in enumerate(self.items) if place not in gone]
            self.staying &= set(self.items)
        self.asked += 1
        begin = (number - 1) * self.size
        page = self.items[begin : begin + self.size]
        has_more = begin + self.size < len(self.items)
        return Page(
            page,
            len(self.items) if "total" in self.says else None,
            has_more if "more" in self.says else None,
        )


@given(
    st.integers(0, 40),
    st.integers(1, 7),
    _CHANGES,
    st.sampled_from(["total", "total, more", "more", ""]),
)
async def test_all_that_stay_on_a_list_come_once(
    length: int, size: int, changes: list[_Change], says: str
) -> None:
    """A list may grow or shrink before each page, as its total says: none is passed over.

    Without a total it may grow. One that grows faster than it is read is an error.
    """
    if "total" not in says:
        changes = [change._replace(go=[]) for change in changes]
    source = _List(length, size, changes, says=says)
    found: list[int] = []
    ended = True
    try:
        async for item in every_item("list", source.read, lambda one: one):
            found.append(item)  # noqa: PERF401  (what came before an error counts)
    except AsyncClientError as error:
        ended = "does not end" not in str(error)
    assert len(found) == len(set(found))
    assert source.staying <= set(found) or not ended
    assert source.asked < 200


async def test_as_many_items_may_come_as_a_page_holds() -> None:
    """All that were there come, and those that came after the first page, without many requests."""
    source = _List(6, 2, [_Change(2, 0, [])], says="total")
    found = [item async for item in every_item("list", source.read, lambda one: one)]
    assert sorted(found) == [*range(8)]
    assert source.asked <= 7


_Items = list[dict[str, str]]
# How a list is read, where its pages are, what an item's id is, and how one page is written.
_Lister = tuple[
    Callable[[ScriptedTransport], AsyncIterator[object]],
    str,
    str,
    Callable[[_Items, object], object],
]
_LISTS: dict[str, _Lister] = {
    "coze.iter_bots": (
        lambda over: Coze(over, token="t").iter_bots(
            "5123", publish_status="all", connector_id="999", page_size=2
        ),
        "/v1/bots?workspace_id=5123&publish_status=all&connector_id=999&page_num={}&page_size=2",
        "id",
        lambda items, total: {"code": 0, "data": {"items": items, "total": total}},
    ),
    "coze.iter_workspaces": (
        lambda over: Coze(over, token="t").iter_workspaces(user_id="u"),
        "/v1/workspaces?user_id=u&page_num={}&page_size=50",
        "id",
        lambda items, total: {"data": {"workspaces": items, "total_count": total}},
    ),
    "coze.iter_workflows": (
        lambda over: Coze(over, token="t").iter_workflows("5123", workflow_mode="workflow"),
        "/v1/workflows?workspace_id=5123&workflow_mode=workflow&page_num={}&page_size=30",
        "workflow_id",
        lambda items, more: {"data": {"items": items, "has_more": more}},
    ),
    "copyai.iter_workflow_runs": (
        lambda over: CopyAI(over, api_key="k").iter_workflow_runs("WCFG-1", size=2),
        "/api/workflow/WCFG-1/run?page={}&size=2",
        "id",
        lambda items, total: {"status": "success", "data": {"total": total, "data": items}},
    ),
}


def _listed(name: str, *pages: tuple[str, object], repeat: bool = False) -> ScriptedTransport:
    """Make a script of a list's pages: the ids on each, and what it says of how it goes on."""
    _, _, identity, write = _LISTS[name]
    answers: list[Response] = []
    for number, (ids, end) in enumerate(pages):
        # Items change while they are read: their ids say which are the same.
        now = dict.fromkeys(("name", "description", "createdAt"), f"at {number}")
        answers.append(reply(write([{identity: each, **now} for each in ids], end)))
    return ScriptedTransport(answers, repeat=repeat)


@pytest.mark.parametrize(
    ("names", "pages"),
    [
        # At the total, as a number or a text; no page after it is asked for.
        ("bots workspaces workflow_runs", [("12", 3), ("3", 3)]),
        ("workflow_runs", [("12", "3"), ("3", "3")]),
        # Where there is no total to believe, at an empty page.
        ("bots workspaces workflows workflow_runs", [("12", None), ("3", None), ("", None)]),
        ("workspaces", [("12", 0), ("3", 0), ("", 0)]),
        # What comes while the pages are read shifts the others; none comes twice.
        ("bots workflow_runs", [("12", 4), ("23", 4), ("4", 4)]),
        # Where Coze says that there are no more; a page may be empty before that.
        ("workflows", [("1", True), ("", True), ("213", False)]),
    ],
    ids=repr,
)
async def test_all_of_a_list_come_once_and_end(names: str, pages: list[tuple[str, object]]) -> None:
    """Its pages are read in order and no further, each with all filters."""
    for name in (name for name in _LISTS if name.partition("iter_")[2] in names.split()):
        over, (read, url, identity, _) = _listed(name, *pages), _LISTS[name]
        items = [getattr(item, identity) async for item in read(over)]
        assert items == sorted({*"".join(ids for ids, _ in pages)})
        assert [request.target for request in over.requests] == [
            url.format(number + 1) for number in range(len(pages))
        ]


@pytest.mark.parametrize("name", _LISTS)
async def test_a_list_that_does_not_come_whole_is_an_error(name: str) -> None:
    """An empty or repeated page ends none in silence; what was read came before."""
    goes_on, words = (5, "2 of 5 items were read")
    if name == "coze.iter_workflows":
        goes_on, words = (True, "2 items .* not end")
    for second in ("", "12"):
        over = _listed(name, ("12", goes_on), (second, goes_on), repeat=True)
        items = _LISTS[name][0](over)
        await anext(items)
        await anext(items)
        with pytest.raises(AsyncClientError, match=rf"^{name}: {words}"):
            await anext(items)


async def test_runs_without_ids_all_come() -> None:
    """The list's own schema shows items without some fields; the rest identifies them."""
    runs = [{"createdAt": "2026-01-01T00:00:00Z"}, {"workflowRunId": "7"}, {"credits": 2}]
    client, _ = copyai(reply({"status": "success", "data": {"total": 3, "data": runs}}))
    assert len([run async for run in client.iter_workflow_runs("WCFG-1")]) == 3
