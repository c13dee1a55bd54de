"""What crosses the wire: requests, responses, and the operations that make and read them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import copy, deepcopy
from typing import Generic, Protocol, Self, SupportsIndex, TypeAlias, TypeVar, cast

import msgspec

from asyncclient._portable import Portable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# What a provider may send where its page names one type and its answers do not keep to it.
JSON: TypeAlias = str | int | float | bool | dict[str, object] | list[object] | None


_EXCERPT = 200  # bytes of an answer that an error shows
# Statuses that say that a request succeeded (RFC 9110, section 15.3).
GOOD = frozenset(range(200, 300))


def as_utf8(body: bytes) -> bytes:
    """Return in UTF-8 what may be JSON in UTF-16 or UTF-32; only that has zeros."""
    if b"\0" not in body:
        return body
    return body.decode(json.detect_encoding(body), "replace").encode("utf-8", "replace")


class Secret(str):
    """A text that is not shown by `repr`, and so in no log, traceback or debugger's view."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"

    def __getitem__(self, key: SupportsIndex | slice) -> Secret:
        # A viewer of locals cuts a long text before it asks for its repr, as rich does.
        return Secret(super().__getitem__(key))

    def __radd__(self, before: str) -> Self:
        return type(self)(f"{before}{str.__str__(self)}")


class Address(Secret):
    """A path or URL whose query may be a credential, as one that was signed: shown without it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str.__repr__(self.partition("?")[0])


def concealed(credential: T) -> T:
    """Return a credential as one that no viewer of locals shows: a text or bytes, a mapping."""
    given: object = credential
    if isinstance(given, str):
        return cast("T", Secret(given))
    if isinstance(given, Mapping):
        members = cast("Mapping[object, object]", given)
        return cast("T", {name: concealed(value) for name, value in members.items()})
    return cast("T", type(given)()) if isinstance(given, bytes | bytearray) else credential


class Request(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One HTTP request, ready to send; its repr shows no header, since one holds the credential."""

    name: str  # the endpoint, as `coze.get_workflow_run`, for messages and logs
    method: str
    origin: str  # scheme, host and port, as `https://api.coze.cn`
    target: str  # path and query, already quoted, with a leading slash
    headers: Mapping[str, str]
    body: bytes | None = None
    timeout: float | None = None  # seconds for the whole exchange; None: the transport's own
    idempotent: bool = True  # whether sending it twice does the same as sending it once

    @property
    def label(self) -> str:
        """Method and URL without the query, for messages."""
        return f"{self.method} {self.origin}{self.target.partition('?')[0]}"

    def __repr__(self) -> str:
        return f"<Request {self.name}: {self.label}>"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the headers.
        return [("name", self.name), ("label", self.label)]


class Response(msgspec.Struct, frozen=True, gc=False):
    """One HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]  # looked up in lower case
    body: bytes  # decompressed
    received: float = 0.0  # Unix time of arrival in seconds; 0 when the transport does not say

    @property
    def excerpt(self) -> str:
        """The beginning of the body, at most 200 characters, for messages."""
        return as_utf8(self.body[:_EXCERPT]).decode("utf-8", "replace")

    @property
    def is_good(self) -> bool:
        """Whether the status says that the request succeeded."""
        return self.status in GOOD

    def __repr__(self) -> str:
        return f"<Response {self.status}, {len(self.body)} bytes>"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # A provider may echo a credential in a header.
        return [("status", self.status), ("bytes", len(self.body))]


class Transport(Protocol):
    """What carries a request and brings the answer: a `SessionPool`, or a fake."""

    async def exchange(self, request: Request, /) -> Response:
        """Send the request once and read the whole answer, of any status."""
        ...  # pragma: no cover


class Answer(Portable, msgspec.Struct, dict=True):
    """A decoded answer that remembers the response it came from, until it is pickled."""

    @property
    def response(self) -> Response | None:
        """The unchanged HTTP answer; None for an object that was not received."""
        response = vars(self).get("_response")
        return response if isinstance(response, Response) else None

    def from_response(self, response: Response) -> Self:
        """Remember where this answer came from, and return it."""
        self._response = response
        return self

    def __copy__(self) -> Self:
        twin = msgspec.structs.replace(self)
        vars(twin).update(vars(self))
        return twin

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        twin = copy(self)  # with the same response, which never changes
        for name in self.__struct_fields__:
            setattr(twin, name, deepcopy(getattr(self, name), memo))
        return twin


class Endpoint(msgspec.Struct, Generic[T_co], frozen=True):
    """One operation of a provider, as a value: what to send, and how to read the answer."""

    name: str  # as `coze.get_workflow_run`
    method: str
    read: Callable[[Response], T_co]  # raises `APIError` or `DecodeError`
    idempotent: bool = True  # whether it may be repeated freely
