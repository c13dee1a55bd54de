"""What a client asks with: a token, headers, or a function of either, checked and joined."""

from __future__ import annotations

from collections.abc import Mapping
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


@pytest.mark.parametrize(
    ("given_headers", "given_token", "found"),
    [
        (None, None, Credential({}, "headers", {})),
        (KEY, None, Credential(KEY, "headers", {})),
        (None, "t", Credential("t", "token", {})),
        (KEY, "t", Credential("t", "token", KEY)),
        (None, token, Credential(token, "token", {})),
        (KEY, token, Credential(token, "token", KEY)),
        (headers, None, Credential(headers, "headers", {})),
        (headers, "t", Credential(headers, "headers", BEARER)),
    ],
)
def test_what_is_given_is_joined(given_headers: object, given_token: object, found: object) -> None:
    """One of them may change, what stands beside it does not; all of it is secret."""
    joined = credential_of(cast("Mapping[str, str]", given_headers), cast("str", given_token))
    assert joined == found
    assert all(isinstance(value, Secret) for value in joined.beside.values())


@pytest.mark.parametrize(
    ("given_headers", "given_token", "words"),
    [
        (headers, token, "headers and token cannot both be functions"),
        ({"authorization": "x"}, "t", "pass it, or that header, not both"),
        (headers, "bearer t", "without 'Bearer '"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    given_headers: object, given_token: object, words: str
) -> None:
    """The error says what to pass."""
    with pytest.raises(ValueError, match=words):
        credential_of(cast("Mapping[str, str]", given_headers), cast("str", given_token))
