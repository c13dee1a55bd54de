"""Coze's service apps: how a JWT is signed, and when a token is fetched, renewed and forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import math
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from typing import Any, cast

import anyio
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from rich.pretty import pretty_repr

from asyncclient._http import Request, Response
from asyncclient.errors import (
    AsyncClientError,
    AuthenticationFailed,
    DecodeError,
    InvalidRequest,
    PermissionDenied,
    RateLimited,
    ServerError,
)
from asyncclient.providers.coze import Coze, CozeJWT
from asyncclient.providers.coze._endpoints import Token
from asyncclient.testing import ScriptedTransport, VirtualTimeLoop, reply

_NOW = 1_721_135_000.0
_TOKEN_PATH = "/api/permission/oauth2/token"


@dataclass
class _Server:
    """Answers token requests with tok-1, tok-2, … and any other with a bot."""

    lives: int = 900
    absolute: bool = True
    quoted: bool = False
    latency: float = 0.0
    ahead: float = 0.0  # seconds by which the client's clock is ahead of the server's
    dated: bool = False
    says: dict[str, object] = field(default_factory=dict[str, object])  # in the token's answer
    began: float = field(default_factory=anyio.current_time)
    tokens: list[Request] = field(default_factory=list[Request])
    calls: list[Request] = field(default_factory=list[Request])
    refused: set[str] = field(default_factory=set[str])
    faults: list[Response] = field(default_factory=list[Response])
    delays: list[float] = field(default_factory=list[float])

    @property
    def now(self) -> float:
        return _NOW + anyio.current_time() - self.began

    def clock(self) -> float:
        return self.now + self.ahead

    async def exchange(self, request: Request, /) -> Response:
        is_token = request.target.endswith("/token")
        (self.tokens if is_token else self.calls).append(request)
        number = len(self.tokens)
        if is_token:
            await anyio.sleep(self.latency)
        else:
            await anyio.sleep(self.delays.pop(0) if self.delays else 0)
            if request.headers["Authorization"] in self.refused:
                return reply({"code": 700012006, "msg": "access token invalid"}, status=401)
            return reply({"code": 0, "data": {"bot_id": "1"}})
        if self.faults:
            return self.faults.pop(0)
        expires = self.lives + (int(self.now) if self.absolute else 0)
        form = str if self.quoted else int
        headers = {"Date": formatdate(self.now, usegmt=True)} if self.dated else None
        said = {"access_token": f"tok-{number}", "expires_in": form(expires)}
        return reply(said | self.says, headers=headers)

    @property
    def bearers(self) -> list[str]:
        return [request.headers["Authorization"].removeprefix("Bearer ") for request in self.calls]


@pytest.fixture(scope="session")
def pem() -> str:
    """Return a private key, made once: making one takes a while."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.fixture
def app(pem: str) -> Callable[..., tuple[Coze, _Server]]:
    """Return a maker of a client of a service app, and the server that it talks to."""

    def make(server: _Server | None = None, **options: object) -> tuple[Coze, _Server]:
        server = server or _Server()
        given = cast("dict[str, Any]", options)
        credentials = CozeJWT("1117", "key-1", pem, clock=server.clock, **given)
        return Coze(server, token=credentials, base_url=Coze.CN), server

    return make


App = Callable[..., tuple[Coze, _Server]]


def _assertion(request: Request) -> str:
    return request.headers["Authorization"].removeprefix("Bearer ")


def _claims(request: Request, pem: str) -> dict[str, Any]:
    private = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    return jwt.decode(
        _assertion(request),
        private.public_key(),
        algorithms=["RS256"],
        options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
    )


# --- what is signed and sent --------------------------------------------------------------------


async def test_the_signed_claims_are_those_that_coze_asks_for(pem: str) -> None:
    """The id of the key is in the header, and the audience is the region without its scheme.

    One set of credentials fetches one token for a base URL, with a final slash or without.
    """
    server = _Server()
    credentials = CozeJWT("1117", "key-1", pem, clock=server.clock)
    for url in (Coze.CN, f"{Coze.CN}/", Coze.COM):
        await Coze(server, token=credentials, base_url=url).get_bot("1")
    assert server.bearers == ["tok-1", "tok-1", "tok-2"]
    for request, region in zip(server.tokens, (Coze.CN, Coze.COM), strict=True):
        assert request.origin == region
        header = jwt.get_unverified_header(_assertion(request))
        assert header == {"alg": "RS256", "typ": "JWT", "kid": "key-1"}
        claims = _claims(request, pem)
        assert claims.keys() == {"iss", "aud", "iat", "exp", "jti"}
        assert f"https://{claims['aud']}" == region
        # Our clock may be 30 s ahead of Coze's, which takes nothing from the future.
        assert (claims["iss"], claims["iat"]) == ("1117", int(_NOW) - 30)
        assert _NOW < claims["exp"] <= _NOW + 3600
        assert len(claims["jti"].encode()) > 32


_SCOPE = {"account_permission": {"permission_list": ["Connector.botChat"]}}


@pytest.mark.parametrize(
    ("options", "target", "body"),
    [
        ({}, _TOKEN_PATH, {"duration_seconds": 900}),
        ({"duration_seconds": 3600}, _TOKEN_PATH, {"duration_seconds": 3600}),
        ({"scope": _SCOPE}, _TOKEN_PATH, {"duration_seconds": 900, "scope": _SCOPE}),
        (
            {"account_id": "42/7"},
            "/api/permission/oauth2/account/42%2F7/token",
            {"duration_seconds": 900},
        ),
    ],
    ids=["plain", "duration", "scope", "account"],
)
async def test_a_token_is_asked_for_as_the_page_says(
    app: App, options: dict[str, object], target: str, body: dict[str, object]
) -> None:
    """Another account has its own path, quoted; a scope is sent as it is, and only if given."""
    coze, server = app(**options)
    await coze.get_bot("1")
    (request,) = server.tokens
    assert (request.method, request.origin, request.target) == ("POST", Coze.CN, target)
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer"}
    assert msgspec.json.decode(request.body or b"") == grant | body
    assert request.headers["Content-Type"] == "application/json"


# --- how long a token lives ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "good", "renewed"),
    [
        (_Server, 800, 880),
        (partial(_Server, absolute=False), 800, 880),
        (partial(_Server, quoted=True), 800, 880),
        # The margin is a tenth of the token's life, and at most a minute.
        (partial(_Server, lives=86_000), 86_000 - 61, 86_000 - 59),
        (partial(_Server, lives=10), 8, 9.5),
        # The whole life counts from the answer's arrival.
        (partial(_Server, latency=300.0), 300 + 800, 300 + 880),
        (partial(_Server, latency=300.0, absolute=False), 300 + 800, 300 + 880),
    ],
    ids=["absolute", "relative", "in text", "long", "short", "slow", "slow, relative"],
)
async def test_a_token_is_kept_until_shortly_before_its_end(
    app: App, make: Callable[[], _Server], good: int, renewed: int
) -> None:
    """`expires_in` is a moment, or a duration, and is not added up wrongly either way."""
    coze, server = app(make())
    for moment in (0, good, renewed):
        await anyio.sleep(max(0, server.began + moment - anyio.current_time()))
        await coze.get_bot("1")
    assert server.bearers == ["tok-1", "tok-1", "tok-2"]


_NO_LIVES: list[object] = [
    *(int(_NOW) + life for life in (-100, 0, -(10**9))),
    *(0, -1, "0", "-900", "soon", "", None, True, [900], {"a": 1}),
    *("nan", "inf", "-inf", "1e999", 86_401, 999_999_999, 1e300),
    *(4_102_444_800, 10**400, str(10**400)),  # of the year 2100, and of none
]


@pytest.mark.parametrize("given", _NO_LIVES, ids=lambda given: repr(given)[:20])
async def test_a_life_that_cannot_be_is_not_known(app: App, given: object) -> None:
    """A token that is over when it comes, or never, is used until it is refused."""
    coze, server = app()
    server.says = {"expires_in": given}
    for _ in range(3):
        await coze.get_bot("1")
        await anyio.sleep(86_400)
    server.refused.add("Bearer tok-1")
    await coze.get_bot("1")
    assert server.bearers == [*["tok-1"] * 4, "tok-2"]


@pytest.mark.parametrize("ahead", [0.0, 1200.0, -1200.0, 1e9, -1e9], ids=repr)
@pytest.mark.parametrize("dated", [True, False], ids=["dated", "undated"])
async def test_a_wrong_clock_costs_no_token_a_request(
    app: App, ahead: float, *, dated: bool
) -> None:
    """The answer's own `Date` says how long a token lives; without one a refusal ends it.

    From then on the loop's clock counts: the machine's may be set while a token is in use.
    """
    coze, server = app()
    server.ahead, server.dated = ahead, dated
    for moment, jump in ((0, 0.0), (100, 1e6), (700, -1e6)):
        await anyio.sleep(moment)
        server.ahead = ahead + jump
        await coze.get_bot("1")
    assert server.bearers == ["tok-1"] * 3
    await anyio.sleep(80)
    server.refused.add("Bearer tok-1")
    await coze.get_bot("1")
    assert server.bearers[3:] == (["tok-2"] if dated or not ahead else ["tok-1", "tok-2"])


# --- many requests at once ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moment", "is_refused", "old", "new"),
    [(None, False, 100, 0), (880, False, 99, 1), (901, False, 0, 100), (10, True, 100, 100)],
    ids=["first", "early renewal", "past its end", "refused"],
)
async def test_a_hundred_requests_fetch_one_token(
    app: App, moment: int | None, old: int, new: int, *, is_refused: bool
) -> None:
    """One fetches, and all others wait for it, or use the old one while it is good.

    Late refusals of the old one cost no new one.
    """
    coze, server = app(_Server(latency=0.5))
    if moment is not None:
        await coze.get_bot("1")
        await anyio.sleep(moment)
    before = len(server.calls)
    if is_refused:
        server.refused.add("Bearer tok-1")
    async with anyio.create_task_group() as group:
        for _ in range(100):
            group.start_soon(coze.get_bot, "1")
    assert len(server.tokens) == before + 1
    assert sorted(server.bearers[before:]) == ["tok-1"] * old + ["tok-2"] * new


async def test_a_cancelled_request_does_not_keep_the_others_from_their_token(app: App) -> None:
    """When the request that fetches is cancelled, the next one fetches."""
    coze, server = app(_Server(latency=0.5))
    async with anyio.create_task_group() as group:

        async def leave_early() -> None:
            with anyio.move_on_after(0.1):
                await coze.get_bot("1")

        group.start_soon(leave_early)
        await anyio.sleep(0.05)
        for _ in range(3):
            group.start_soon(coze.get_bot, "1")
    assert len(server.tokens) == 2
    assert server.bearers == ["tok-2"] * 3


def test_each_event_loop_fetches_for_itself(app: App) -> None:
    """A loop that stands or was stopped during a fetch, as in another thread, delays no other."""
    coze, server = app(_Server(latency=0.5, began=0))
    with contextlib.closing(VirtualTimeLoop()) as stopped:
        asking = stopped.create_task(coze.get_bot("1"))
        while not server.tokens:
            stopped.run_until_complete(asyncio.sleep(0.01))
        with contextlib.closing(VirtualTimeLoop()) as other:
            other.run_until_complete(asyncio.wait_for(coze.get_bot("1"), 5))
            assert len(server.tokens) == 2
            stopped.run_until_complete(asking)
    assert server.bearers == ["tok-2", "tok-1"]


# --- refusals and faults ------------------------------------------------------------------------


_INTERNAL = {"error_code": "internal_error", "error_message": "x"}


@pytest.mark.parametrize(
    "faults",
    [
        [reply("<html>", status=502), reply("", status=429)],
        [reply(_INTERNAL, status=200), reply(_INTERNAL, status=400)],
        [reply(_INTERNAL, status=500)],
    ],
    ids=["transient", "internal", "internal, 500"],
)
async def test_each_repeat_of_a_request_for_a_token_is_signed_again(
    app: App, pem: str, faults: list[Response]
) -> None:
    """Coze takes a JWT once; `internal_error` is its own fault, which may pass at any status."""
    coze, server = app()
    server.faults = [*faults]
    await coze.get_bot("1")
    count = len(faults) + 1
    assert len({_claims(request, pem)["jti"] for request in server.tokens}) == count
    assert server.bearers == [f"tok-{count}"]


async def test_a_refused_token_is_forgotten_and_renewed_once(app: App) -> None:
    """A token that Coze withdrew is not handed out again, and the request is sent with another."""
    coze, server = app()
    await coze.get_bot("1")
    server.refused.add("Bearer tok-1")
    await coze.get_bot("1")
    assert server.bearers == ["tok-1", "tok-1", "tok-2"]
    server.refused.add("Bearer tok-2")
    server.refused.add("Bearer tok-3")
    with pytest.raises(AuthenticationFailed):
        await coze.get_bot("1")
    assert server.bearers[3:] == ["tok-2", "tok-3"]


async def test_a_late_refusal_of_an_old_token_leaves_the_new_one_alone(app: App) -> None:
    """A refusal that arrives after the renewal is of the old token, and costs no second one."""
    coze, server = app(_Server(latency=0.5))
    await coze.get_bot("1")
    server.refused.add("Bearer tok-1")
    server.delays = [0, 2]
    async with anyio.create_task_group() as group:
        for _ in range(2):
            group.start_soon(coze.get_bot, "1")
    assert len(server.tokens) == 2
    assert server.bearers[1:] == ["tok-1", "tok-1", "tok-2", "tok-2"]


def _said(code: str, words: str) -> dict[str, object]:
    return {"error_code": code, "error_message": words}


_JWT_OF_ELSEWHERE = _said("invalid_request", "invalid jwt: kid not been registred")
_SECRET = {"access_token": "czs_s3cret", "expires_in": 900}
# Answers of another shape than declared, which may hold the token.
_ELSEWHERE: list[object] = [
    {"access_token": ["czs_s3cret"], "expires_in": 900},
    {"access_token": None, "token": "czs_s3cret", "expires_in": 900},
    {"data": _SECRET},
    {},
    # What no header can hold is no token either.
    *({"access_token": each} for each in ("", " ", "czs_s3cret\n", "czs_s3cret\u00fc")),
]


@pytest.mark.parametrize(
    ("status", "said", "kind", "code", "words"),
    [
        (401, _said("invalid_client", "bad app"), AuthenticationFailed, "invalid_client", "bad"),
        (400, _said("invalid_request", "no kid"), InvalidRequest, "invalid_request", "no kid"),
        (200, _said("invalid_request", "bad"), InvalidRequest, "invalid_request", "bad"),
        (
            400,
            {"error_code": "access_deny", "error": "access_deny"},
            PermissionDenied,
            "access_deny",
            "access_deny",
        ),
        (403, {"error": "forbidden", "error_description": "why"}, PermissionDenied, None, "why"),
        (200, {"code": 4100, "msg": "invalid"}, AuthenticationFailed, 4100, "invalid"),
        # A key of the other region: the caller gets Coze's words, with both regions.
        (
            400,
            _JWT_OF_ELSEWHERE,
            AuthenticationFailed,
            "invalid_request",
            r"kid not been registred.* key.*Coze\.CN.*Coze\.COM",
        ),
        (502, "<html>", ServerError, None, "HTTP 502"),
        (429, "", RateLimited, None, "HTTP 429"),
        (500, _SECRET, ServerError, None, "HTTP 500"),
        *((200, body, DecodeError, None, "HTTP 200") for body in _ELSEWHERE),
        *((500, body, ServerError, None, "HTTP 500") for body in _ELSEWHERE),
    ],
    ids=repr,
)
async def test_a_token_endpoint_that_gives_none_is_asked_a_few_times(
    app: App,
    status: int,
    said: object,
    kind: type[AsyncClientError],
    code: str | int | None,
    words: str,
) -> None:
    """Its `error_code` and `error_message`, other than everywhere else, are in the error.

    The request that wanted the token is not sent, and nothing of a token is shown.
    """
    coze, server = app()
    server.faults = [reply(said, status=status)] * 99
    with pytest.raises(kind, match=rf"^coze\.oauth_token: .*{words}") as caught:
        await coze.get_bot("1")
    error = caught.value
    assert type(error) is kind
    assert getattr(error, "code", None) == code
    assert (server.calls, len(server.tokens) <= 20) == ([], True)
    shown = f"{error} {error!r} {vars(error)} {error.__cause__} {error.__context__}"
    assert "s3cret" not in shown


@pytest.mark.parametrize("answer", [reply("", status=503), reply("<html>")], ids=["503", "a page"])
async def test_an_early_renewal_that_fails_costs_nothing(app: App, answer: Response) -> None:
    """Renewing early is for this: a token that is still good serves while its endpoint is down."""
    coze, server = app()
    await coze.get_bot("1")
    await anyio.sleep(850)
    server.faults = [answer] * 99
    await coze.get_bot("1")
    assert server.bearers == ["tok-1", "tok-1"]


# --- keys and arguments -------------------------------------------------------------------------


def _elliptic_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)
    return key.private_bytes(*form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0LTdmM2E5Yw==\n-----END PRIVATE KEY-----\n",
        "-----BEGIN CERTIFICATE-----\nsecret-7f3a9c\n-----END CERTIFICATE-----\n",
        "-----BEGIN RSA PRIVATE KEY-----\nsecret-7f3a9c",
        _elliptic_key(),
    ],
    ids=["garbage", "certificate", "cut off", "no RSA key"],
)
async def test_a_key_that_cannot_be_used_is_an_error_without_its_text(text: str) -> None:
    """The first request says so and sends nothing; nothing of the key is in a chain or frame."""
    transport = ScriptedTransport()
    coze = Coze(transport, token=CozeJWT("1117", "key-1", text))
    with pytest.raises(ValueError, match=r"^private_key .* RSA") as caught:
        await coze.get_bot("1")
    assert transport.requests == []
    secret = text.splitlines()[1]
    error: BaseException | None = caught.value
    while error is not None:
        assert secret not in str(error)
        error = error.__cause__ or error.__context__
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        name = frame.f_code.co_filename
        if "asyncclient" in name or "anyio" in name:
            assert secret not in repr(frame.f_locals)


@pytest.mark.parametrize(
    "line_break", [r"\n", r"\r\n", r"\\n", "\\n\n  "], ids=["n", "rn", "twice", "both"]
)
async def test_a_line_break_of_a_key_may_be_two_characters(pem: str, line_break: str) -> None:
    """So it comes from an environment variable or a JSON file; the credentials are the same."""
    server = _Server()
    one_line = CozeJWT("1117", "key-1", pem.replace("\n", line_break), clock=server.clock)
    await Coze(server, token=one_line).get_bot("1")
    assert _claims(server.tokens[0], pem)["iss"] == "1117"
    assert one_line.credential == CozeJWT("1117", "key-1", pem).credential


@pytest.mark.parametrize(
    "options",
    [
        {"app_id": " 1117"},
        {"key_id": "key-1\n"},
        {"private_key": b"-----BEGIN PRIVATE KEY-----"},
        {"private_key": ""},
        {"private_key": "key.pem"},
        {"private_key": "secret-7f3a9c"},
        {"duration_seconds": 0},
        {"duration_seconds": 86_400},
        {"account_id": ".."},
        {"scope": ["all"]},
        {"scope": {"a": object}},
        {"scope": {"a": math.nan}},
        {"clock": 1721135859},
    ],
    ids=repr,
)
def test_credentials_that_cannot_be_are_refused_by_name(options: dict[str, Any]) -> None:
    """Each argument is checked where it is given, and no text in the place of a key is shown."""
    key = "-----BEGIN PRIVATE KEY-----"
    given: dict[str, Any] = {"app_id": "1117", "key_id": "key-1", "private_key": key} | options
    (argument,) = options
    words = "private_key must be (the text of a PEM|a text, not bytes)"
    expected = words if argument == "private_key" else argument
    with pytest.raises((TypeError, ValueError), match=f"^{expected}") as caught:
        CozeJWT(**given)
    assert "secret" not in str(caught.value)


async def test_nothing_shows_the_key_the_jwt_or_the_token(app: App, pem: str) -> None:
    """Credentials, clients, handles, requests and errors are all silent about them."""
    coze, server = app()
    credentials = CozeJWT("1117", "key-1", pem, clock=server.clock)
    source = credentials.source(server, Coze.COM, allow_http=False)
    await coze.get_bot("1")
    held = await source()
    server.refused |= {"Bearer tok-1", "Bearer tok-3"}
    with pytest.raises(AuthenticationFailed) as caught:
        await coze.get_bot("1")
    shown = " ".join(
        f"{thing!r} {thing} {pretty_repr(thing)}"
        for thing in (
            credentials,
            source,
            Token("tok-9", 900),
            coze,
            coze.copy_task("1"),
            coze.copy_task("1").key,
            *server.tokens,
            *server.calls,
            caught.value,
            vars(caught.value),
        )
    )
    secrets = [pem.splitlines()[1], "tok-1", "tok-9", held, "tok-3"]
    secrets += map(_assertion, server.tokens)
    assert [secret for secret in secrets if secret in shown] == []
    assert pem not in shown
