"""A client's credential: a token, headers, or a function that returns either."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from asyncclient._http.message import Secret
from asyncclient._http.quoting import header_value, header_values

TokenSource = Callable[[], Awaitable[str]]
HeaderSource = Callable[[], Awaitable[Mapping[str, str]]]
Source = Callable[[], Awaitable[object]]  # either of them


class Credential(NamedTuple):
    """An account's credential: a text, headers or a function, and the headers sent beside it."""

    given: str | Mapping[str, str] | Source
    argument: str
    beside: Mapping[str, str]


def credential_of(
    headers: Mapping[str, str] | HeaderSource | None, token: str | TokenSource | None
) -> Credential:
    """Check headers and a token, of which one may be a function, and join them."""
    if callable(headers):
        if callable(token):
            raise ValueError(  # noqa: TRY004  (each of them alone may be one)
                "headers and token cannot both be functions: return the token with the headers"
            )
        beside = None if token is None else bearer(header_value("token", token))
        return Credential(headers, "headers", beside or {})
    fixed = header_values("headers", {} if headers is None else headers)
    if token is None:
        return Credential(fixed, "headers", {})
    if any(name.lower() == "authorization" for name in fixed):
        msg = "token is sent as the header Authorization: pass it, or that header, not both"
        raise ValueError(msg)
    return Credential(token, "token", fixed)


def bearer(token: str) -> Mapping[str, str]:
    """Return the header that holds a token (RFC 6750, section 2.1)."""
    if token.lower().startswith("bearer "):
        msg = "token: pass the token alone, without 'Bearer '"
        raise ValueError(msg)
    return {"Authorization": Secret(f"Bearer {token}")}
