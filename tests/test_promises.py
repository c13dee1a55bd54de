"""Promises of the pure parts that a broken line would break without a sound."""

from __future__ import annotations

import pytest

from asyncclient._http import Response, base_of, error_type, refusal
from asyncclient.errors import ServerError
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import ScriptedTransport, reply


@pytest.mark.parametrize(
    "location",
    ["/login?token=s3cret", "login?token=s3cret", "?token=s3cret", "/login#token=s3cret"],
)
def test_a_redirect_within_the_server_is_reported_without_its_query(location: str) -> None:
    """What stands behind the path of a redirect may be a credential, and is not shown."""
    error = refusal(error_type(302), Response(302, {"location": location}, b""), name="x.get")
    assert "redirects to" in str(error)
    assert "s3cret" not in f"{error} {error!r} {vars(error)!r}"


@pytest.mark.parametrize("path", ["/ä", "/a{b}", '/a"b', "/a<b>", "/a\\b", "/a|b", "/a^b", "/a`b"])
def test_a_base_url_needs_no_quoting(path: str) -> None:
    """A letter that no path may have is refused when the client is made, and not sent as it is."""
    with pytest.raises(ValueError, match="must be quoted"):
        base_of(f"https://api.example.com{path}")


@pytest.mark.parametrize("opening", [b"[", b'{"msg":', b'{"message":', b'{"details":[', b'{"x":'])
@pytest.mark.parametrize("depth", [100, 2_000, 100_000])
async def test_a_refusal_nested_too_deeply_is_the_refusal_of_its_status(
    opening: bytes, depth: int
) -> None:
    """What cannot be read of a refusal leaves the refusal, and is no error of the decoder."""
    transport = ScriptedTransport([reply(opening * depth, status=503)] * 2)
    with pytest.raises(ServerError, match="503"):
        await Coze(transport, token="t", max_retries=0).get_bot("1")
    with pytest.raises(ServerError, match="503"):
        await CopyAI(transport, api_key="k", max_retries=0).get_webhook("1")
