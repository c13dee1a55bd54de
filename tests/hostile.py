"""Objects whose text cannot be made, or fills megabytes: a wait with them ends."""

from __future__ import annotations

import asyncio

from asyncclient.errors import AsyncClientError

MEGABYTE = 1 << 20
# Python makes no text of a number of more than 4,300 digits.
HUGE = 10**5000


class Unprintable(Exception):
    """An error whose text is itself an error."""

    def __str__(self) -> str:
        raise self

    __repr__ = __str__


class Raising:
    """An object whose text raises an error that has no text."""

    def __str__(self) -> str:
        raise Unprintable

    __repr__ = __str__


class Cancelling:
    """An object whose text is cancelled."""

    def __str__(self) -> str:
        raise asyncio.CancelledError

    __repr__ = __str__


class Endless:
    """An object whose text asks for itself."""

    def __str__(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return repr(self)


class Long:
    """An object whose text has a megabyte."""

    def __repr__(self) -> str:
        return "x" * MEGABYTE


class Letters(str):
    """A text with which nothing can be done."""

    __slots__ = ()

    def __len__(self) -> int:
        raise Unprintable

    def __getitem__(self, key: object) -> str:
        raise Unprintable

    def __eq__(self, other: object) -> bool:
        raise Unprintable

    def __hash__(self) -> int:
        return 7

    def __str__(self) -> str:
        return self

    __repr__ = __str__


class Number(int):
    """A number that can neither be compared nor shown."""

    def __str__(self) -> str:
        raise Unprintable

    def __eq__(self, other: object) -> bool:
        raise Unprintable

    def __hash__(self) -> int:
        return 7

    __repr__ = __str__
    __ge__ = __le__ = __gt__ = __lt__ = __eq__


class LongError(Exception):
    """An error whose text has a megabyte."""

    def __str__(self) -> str:
        return "x" * MEGABYTE


class Closed(Exception):
    """An error that takes no attribute and no note."""

    def __setattr__(self, name: str, value: object) -> None:
        raise Unprintable


class ClosedOurs(AsyncClientError):
    """One of the library's own family that takes no evidence."""

    def __setattr__(self, name: str, value: object) -> None:
        raise Unprintable


OBJECTS: dict[str, object] = {
    "raises": Raising(),
    "is cancelled": Cancelling(),
    "is endless": Endless(),
    "is long": Long(),
    "long text": "x" * MEGABYTE,
    "text of its own": Letters("x" * MEGABYTE),
    "long bytes": b"x" * MEGABYTE,
    "huge number": HUGE,
    "number of its own": Number(5),
    "many": (HUGE, Raising()),
}
ERRORS: dict[str, Exception] = {
    "no text": Unprintable(),
    "long": LongError(),
    "hostile": ValueError(Raising(), "x" * MEGABYTE, HUGE),
    "closed": Closed(),
    "closed of ours": ClosedOurs("no"),
}
