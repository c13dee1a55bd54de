"""Objects whose text cannot be made, or fills megabytes: a wait with them ends."""

from __future__ import annotations

import asyncio
from typing import NoReturn

from asyncclient.errors import AsyncClientError

MEGABYTE = 1 << 20
# Python makes no text of a number of more than 4,300 digits.
HUGE = 10**5000


class Unprintable(Exception):
    """An error whose text is itself an error."""

    def __str__(self) -> str:
        raise self

    __repr__ = __str__


def _refuse(self: object, *_: object) -> NoReturn:
    raise Unprintable(type(self).__name__)


class Raising:
    """An object whose text raises an error that has no text."""

    __str__ = __repr__ = _refuse


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
    __len__ = __getitem__ = __eq__ = _refuse
    __hash__ = object.__hash__

    def __str__(self) -> str:
        return self

    __repr__ = __str__


class Number(int):
    """A number that can neither be compared nor shown."""

    __str__ = __repr__ = __eq__ = __ge__ = __le__ = __gt__ = __lt__ = _refuse
    __hash__ = object.__hash__


class LongError(Exception):
    """An error whose text has a megabyte."""

    def __str__(self) -> str:
        return "x" * MEGABYTE


class Uncopied(Exception):
    """An error whose copy is cancelled."""

    def __reduce__(self) -> NoReturn:
        raise asyncio.CancelledError


class Closed(Exception):
    """An error that takes no attribute and no note."""

    __setattr__ = _refuse


class ClosedOurs(AsyncClientError):
    """One of the library's own family that takes no evidence."""

    __setattr__ = _refuse


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
    "uncopied": Uncopied(),
    "closed": Closed(),
    "closed of ours": ClosedOurs("no"),
}
