"""What a client asks with: a token, headers, or a function of either, checked and joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import pytest

from asyncclient._http import credential_of
from asyncclient._http.credential import Credential
from asyncclient._http.message import Secret


async def token() -> str:
    """Give a token."""
    return "t"


async def headers() -> Mapping[str, str]:
    """Give headers."""
    return {"X-Key": "k"}


BEARER = {"Authorization": "Bearer t"}
KEY = {"X-Key": "k"}
join = cast("Callable[[object, object], Credential]", credential_of)


def test_what_is_given_is_joined() -> None:
    """One of them may change, what stands beside it does not; all of it is secret."""
    assert join(None, None) == Credential({}, "headers", {})
    assert join(KEY, None) == Credential(KEY, "headers", {})
    assert join(None, "t") == Credential("t", "token", {})
    assert join(KEY, "t") == Credential("t", "token", KEY)
    assert join(None, token) == Credential(token, "token", {})
    assert join(KEY, token) == Credential(token, "token", KEY)
    assert join(headers, None) == Credential(headers, "headers", {})
    assert join(headers, "t") == Credential(headers, "headers", BEARER)
    for joined in (join(KEY, "t"), join(KEY, token), join(headers, "t")):
        assert all(isinstance(value, Secret) for value in joined.beside.values())


def test_what_cannot_be_joined_is_refused() -> None:
    """The error says what to pass."""
    for given_headers, given_token, words in (
        (headers, token, "headers and token cannot both be functions"),
        ({"authorization": "x"}, "t", "pass it, or that header, not both"),
        (headers, "bearer t", "without 'Bearer '"),
    ):
        with pytest.raises(ValueError, match=words):
            join(given_headers, given_token)
