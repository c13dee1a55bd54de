"""Reads all items of a list in pages, also while it grows or shrinks."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import msgspec

from asyncclient._arguments import whole_number
from asyncclient._http import WithoutFrames, query_of
from asyncclient.errors import AsyncClientError

T = TypeVar("T")

# Pages in a row without anything new, in a list without a total: then the list counts as endless.
_BARREN_PAGES = 10
# Pages that may move between two requests, of one that does say so: a server may also not know the
# number of the page, or its total be none.
_MOST_MOVED = 100


class Page(msgspec.Struct, Generic[T], frozen=True):
    """One page of a list: `total` items on all pages, and whether there are more after this one.

    A total that is less than the items of the page counts as no total: such a server does not
    count.
    """

    items: list[T]
    total: int | None = None
    has_more: bool | None = None

    def __post_init__(self) -> None:
        if self.total is not None and self.total < len(self.items):
            msgspec.structs.force_setattr(self, "total", None)


def page_query(page_num: int, page_size: int, **others: str | None) -> str:
    """Return the query for one page of a list, with its size."""
    whole_number("page_num", page_num, least=1)
    whole_number("page_size", page_size, least=1)
    return query_of(**others, page_num=page_num, page_size=page_size)


async def every_item(
    name: str,
    read: Callable[[int], Awaitable[Page[T]]],
    identify: Callable[[T], Hashable],
) -> AsyncIterator[T]:
    """Yield each item of a list once, from the first page to the last.

    Args:
        name: of the caller's method, for the error.
        read: reads the page of a number.
        identify: returns what identifies an item; None if nothing does.

    Raises:
        AsyncClientError: the list ended before its total was reached, or does not end.
    """
    walk = _Walk[T](name, identify)
    with WithoutFrames():
        while True:
            page = await read(walk.number)
            for item in walk.news(page):
                yield item
            if walk.is_over(page):
                return


class _Walk(Generic[T]):
    """The progress of reading a list."""

    def __init__(self, name: str, identify: Callable[[T], Hashable]) -> None:
        self._name = name
        self._identify = identify
        self.number = 1  # of the page to read
        self._seen: set[Hashable] = set()
        self._size = 1  # items of the longest page so far
        self._total: int | None = None  # of the last page
        self._barren = 0  # pages in a row without anything new …
        self._patience = _BARREN_PAGES  # … and how many there may be
        self._enough = math.inf  # items to stop at in a later pass, or one might never end
        self._found = False  # whether this pass over the pages brought anything new …
        self._changed = False  # … and whether something moved in it

    def news(self, page: Page[T]) -> list[T]:
        """Return the items of a page that were on none before."""
        new: list[T] = []
        for item in page.items:
            known = self._identify(item)
            key = msgspec.json.encode(item) if known is None else known
            if key in self._seen:
                self._changed = True
            else:
                self._seen.add(key)
                new.append(item)
        self._barren = 0 if new else self._barren + 1
        self._found = self._found or bool(new)
        return new

    def is_over(self, page: Page[T]) -> bool:
        """Return whether that page was the last one; else `number` is that of the next."""
        gone = self._gone(page)
        self._size = max(self._size, len(page.items))
        self._changed = self._changed or gone < 0
        if self._barren == 1:
            # As many pages may have moved at once; a page that moves each time is never read.
            self._patience = _BARREN_PAGES + min(self._pages(), _MOST_MOVED)
        if gone > 0:
            # As many items may have moved to pages that were read already.
            self.number = max(1, self.number - -(-gone // self._size))
        elif not self._is_last(page):
            self.number += 1
        elif self._is_complete():
            return True
        elif self._found and self._changed:
            # New items may be on a page that was read already.
            self.number, self._enough = 1, min(self._enough, self._total or 0)
            self._found = self._changed = False
        else:
            raise self._short(f"and there are no more after page {self.number}")
        if self._barren > self._patience:
            raise self._short(f"and the list does not end: {self._barren} pages had no other")
        return False

    def _gone(self, page: Page[T]) -> int:
        """Return by how many items the list is shorter than at the page before; below 0, longer."""
        if page.total is None:
            return 0
        before, self._total = self._total, page.total
        return 0 if before is None else before - page.total

    def _is_complete(self) -> bool:
        return self._total is None or len(self._seen) >= min(self._total, self._enough)

    def _is_last(self, page: Page[T]) -> bool:
        if self._enough < math.inf and self._is_complete():
            return True
        if page.has_more is not None or not page.items:
            return not page.has_more
        pages = self._pages()
        is_beyond = pages > 0 and self.number >= pages
        return is_beyond and (self._is_complete() or bool(self._barren))

    def _pages(self) -> int:
        """Return how many pages there are; 0 when that is not known."""
        return 0 if self._total is None else -(-self._total // self._size)

    def _short(self, reason: str) -> AsyncClientError:
        promised = "" if self._total is None else f" of {self._total}"
        return AsyncClientError(
            f"{self._name}: {len(self._seen)}{promised} items were read, {reason}",
            advice="read the list again: it may have changed while it was read",
        )
