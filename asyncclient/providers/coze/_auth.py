"""Credentials of a Coze service app."""

from __future__ import annotations

import asyncio
import functools
import math
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import anyio
import anyio.to_thread
import msgspec

from asyncclient._arguments import id_text, mapping, text, whole_number
from asyncclient._extras import needs
from asyncclient._http import (
    Account,
    Secret,
    TokenSource,
    Transport,
    base_of,
    concealed,
    encode_argument,
    path_segment,
)
from asyncclient._text import even_half_made
from asyncclient.errors import DecodeError, RateLimited, ServerError, TransportError
from asyncclient.providers.coze._endpoints import GET_TOKEN, Token, headers_of

_LINE_BREAK = re.compile(r"(\\+r)?\\+n\s*")  # as text; no PEM has a backslash


class CozeJWT:
    """Credentials of a Coze service app (page `oauth_jwt`), which gets and renews short tokens.

    Pass it as `token=`. It fetches a token at the first request and renews it early, with one
    request at a time in each event loop. Each request for a token has a JWT of its own, since Coze
    accepts one only once. Signing needs the extra `coze-jwt`.

    Args:
        app_id: the app's id.
        key_id: the public key's fingerprint, as Coze shows it.
        private_key: the private key, as the text of a PEM file; its line breaks may be the two
            characters backslash and n.
        duration_seconds: seconds that a token is valid, 1 to 86399. Default 900.
        account_id: for a token of another account of the organisation.
        scope: Coze's `scope` object, to narrow the token's rights.
        clock: gives the Unix time in seconds; for tests. It dates the signed JWT, and a token's end
            is compared with it where the answer has no `Date`.

    Raises:
        TypeError, ValueError: an argument is not valid.
    """

    def __init__(
        self,
        app_id: str,
        key_id: str,
        private_key: str,
        *,
        duration_seconds: int = 900,
        account_id: str | None = None,
        scope: Mapping[str, object] | None = None,
        clock: Callable[[], float] = time.time,  # noqa: TID251  (a JWT is dated)
    ) -> None:
        private_key = concealed(private_key)  # a traceback with locals shows this frame
        # An environment variable or a JSON file may hold each line break as two characters.
        private_key = Secret(_LINE_BREAK.sub("\n", text("private_key", private_key)))
        self._app_id = id_text("app_id", app_id)
        self._key_id = id_text("key_id", key_id)
        if "-----BEGIN" not in private_key:
            msg = "private_key must be the text of a PEM file ('-----BEGIN PRIVATE KEY-----…')"
            raise ValueError(msg)
        whole_number("duration_seconds", duration_seconds, least=1)
        if not 1 <= duration_seconds <= 86399:  # noqa: PLR2004  (page `oauth_jwt`)
            msg = f"duration_seconds={duration_seconds!r} must be 1 to 86399 seconds"
            raise ValueError(msg)
        self._private_key = private_key
        self._duration = duration_seconds
        self._account_id = None if account_id is None else path_segment("account_id", account_id)
        if scope is not None:
            mapping("scope", scope)
        self._scope = None if scope is None else encode_argument("scope", scope)
        if not callable(clock):
            msg = f"clock must be a function that returns Unix seconds, not {type(clock).__name__}"
            raise TypeError(msg)
        self._clock = clock
        self._signer: Callable[[dict[str, object]], str] | None = None
        self._grants: dict[str, _Grant] = {}

    @property
    def credential(self) -> int:
        """Equal for two objects that get the same tokens; it reveals nothing secret."""
        scope = None if self._scope is None else bytes(self._scope)
        parts = (self._app_id, self._key_id, str(self._private_key), self._account_id, scope)
        return hash(("asyncclient", parts))

    def source(self, transport: Transport, base_url: str, *, allow_http: bool) -> TokenSource:
        """Return the token source for one base URL; clients of the same one share its tokens."""
        origin, path = base_of(base_url, allow_http=allow_http)
        grant = self._grants.setdefault(origin + path, _Grant())

        async def assertion() -> str:
            return await self._sign(urlsplit(origin).netloc)

        account = Account(
            transport,
            provider="coze",
            base_url=base_url,
            token=assertion,
            argument="the signed JWT",
            headers=headers_of,
            max_retries=3,
            allow_http=allow_http,
        )
        return _JWTSource(functools.partial(self._fetch, account), grant, self._clock)

    async def _sign(self, audience: str) -> str:
        if self._signer is None:
            # Reading a key takes some 50 ms of CPU: not on the event loop.
            self._signer = await anyio.to_thread.run_sync(
                _make_signer, self._private_key, self._key_id
            )
        now = int(self._clock())
        return self._signer(
            {
                "iss": self._app_id,
                "aud": audience,
                "iat": now - _CLOCKS_DIFFER,
                "exp": now + 600,
                "jti": f"{uuid.uuid4().hex}{uuid.uuid4().hex}",
            }
        )

    async def _fetch(self, account: Account) -> Token:
        path = "/api/permission/oauth2/token"
        if self._account_id is not None:
            path = f"/api/permission/oauth2/account/{self._account_id}/token"
        body: dict[str, object] = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "duration_seconds": self._duration,
        }
        if self._scope is not None:
            body["scope"] = self._scope
        return await account.call(GET_TOKEN, path, msgspec.json.encode(body))

    def __reduce__(self) -> NoReturn:
        msg = "a CozeJWT holds a private key, and so is not pickled: make one where it is used"
        raise TypeError(msg)

    @even_half_made
    def __repr__(self) -> str:
        return f"<CozeJWT app {self._app_id}, key {self._key_id}>"


# Seconds by which our clock may be ahead of Coze's: what is signed must not be of the future.
_CLOCKS_DIFFER = 30
# Seconds: more than thirty years are a moment, never how long a token lives.
_NO_DURATION = 1_000_000_000
_LONGEST_LIFE = 86_400  # seconds (page `oauth_jwt`)


def _life(token: Token, now: float) -> float:
    """Return how many seconds a token is valid after its answer; infinite when not known.

    `expires_in` is an absolute Unix time here (page `oauth_jwt`, sample 1721135859), against its
    name; a small number can only be a duration. It is not known where the two clocks disagree.
    """
    given = token.expires_in
    if not isinstance(given, int | float | str) or isinstance(given, bool):
        return math.inf
    try:
        life = float(given)
    except (ValueError, OverflowError):
        return math.inf
    if life > _NO_DURATION:
        life -= token.answered or now
    return life if 0 < life <= _LONGEST_LIFE else math.inf


class _Grant:
    """The token in use at one base URL; `expires` is on the loop's clock."""

    __slots__ = ("_locks", "expires", "margin", "token")

    def __init__(self) -> None:
        self.token: str | None = None
        self.expires = 0.0
        self.margin = 0.0
        self._locks = WeakKeyDictionary[asyncio.AbstractEventLoop, anyio.Lock]()

    @property
    def lock(self) -> anyio.Lock:
        """The lock of the running event loop: another one could not wake who waits for it."""
        return self._locks.setdefault(asyncio.get_running_loop(), anyio.Lock(fast_acquire=True))


class _JWTSource:
    """Returns the token in use, and renews it early, one request at a time."""

    def __init__(
        self, fetch: Callable[[], Awaitable[Token]], grant: _Grant, clock: Callable[[], float]
    ) -> None:
        self._fetch = fetch
        self._grant = grant
        self._clock = clock

    async def __call__(self) -> str:
        grant = self._grant
        left = grant.expires - anyio.current_time()
        if grant.token is not None and left > grant.margin:
            return grant.token
        if grant.token is not None and left > 0 and grant.lock.locked():
            return grant.token  # still good, and its successor is on its way
        async with grant.lock:
            if grant.token is not None and grant.expires - anyio.current_time() > grant.margin:
                return grant.token
            try:
                fetched = await self._fetch()
            except (TransportError, ServerError, RateLimited, DecodeError):
                left = grant.expires - anyio.current_time()
                if grant.token is None or left <= 0:
                    raise
                grant.margin = left / 2  # still good: the next try comes when half of that is gone
                return grant.token
            life = _life(fetched, self._clock())
            grant.expires = anyio.current_time() + life
            grant.margin = min(60.0, life / 10)
            grant.token = Secret(fetched.access_token)
            return grant.token

    def forget(self, token: str) -> None:
        """Never return this token again: it was refused."""
        if self._grant.token == token:
            self._grant.token = None

    def __repr__(self) -> str:
        return "<token source of a CozeJWT>"


def _make_signer(private_key: str, key_id: str) -> Callable[[dict[str, object]], str]:
    with needs("coze-jwt", "CozeJWT"):
        import jwt  # noqa: PLC0415  (an extra: only service apps need it)
        from jwt.algorithms import RSAAlgorithm  # noqa: PLC0415
    failure = ""
    key: Any = None
    try:
        key = RSAAlgorithm(RSAAlgorithm.SHA256).prepare_key(private_key)
        jwt.encode({}, key, algorithm="RS256")  # older versions look at the kind of key only here
    except Exception as error:  # noqa: BLE001  (any error of the key parser; its text shows no key)
        failure = type(error).__name__
    if failure:
        msg = f"private_key cannot be read as an RSA private key ({failure}): pass the PEM's text"
        raise ValueError(msg)

    def sign(claims: dict[str, object]) -> str:
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": key_id})

    return sign
