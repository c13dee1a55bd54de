"""One request, repeated as far as it is safe: all that a provider needs to send requests."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Mapping
from inspect import isawaitable
from typing import NoReturn, TypeVar

import anyio
import msgspec

from asyncclient._arguments import optional_line, whole_number
from asyncclient._event_loop import failure_of
from asyncclient._http.message import Endpoint, Request, Secret, Transport
from asyncclient._http.quoting import base_of, header_value
from asyncclient._http.repeat import seconds_to_repeat
from asyncclient._ref import TaskRef
from asyncclient._schedule import Backoff
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    AuthenticationFailed,
    DecodeError,
    ServerError,
    TransportError,
)

T = TypeVar("T")

TokenSource = Callable[[], Awaitable[str]]

_log = logging.getLogger("asyncclient.call")

_BACKOFF = Backoff(first=0.5, cap=8.0)
# Seconds for all repeats of one request: a caller who awaits a single answer has not asked to wait.
_REPEAT_SECONDS = 30.0
# Characters. Shorter texts are not hidden: they may be parts of words.
_LEAST_SECRET = 8
# Bytes of JSON. A ticket has 400; the longest provider ids leave this many.
_LONGEST_NAME = 100
# "See other" is said after a request was done: its answer stands elsewhere (RFC 9110, 15.4.4).
_SEE_OTHER = 303


class Account:
    """Where to ask, and as which account: one set of credentials at one base URL.

    Making one does no I/O.

    A token is a text, or an async function that returns one: it is called before each request, and
    once more after a token was refused (after its `forget(token)`, if it has such a method).

    Attributes:
        identity: equal for two clients exactly when they ask as the same account: the name, else
            what stands for the credential (its hash), else the source of tokens itself.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        provider: str,
        base_url: str,
        token: str | TokenSource,
        argument: str,
        headers: Callable[[str], Mapping[str, str]],
        max_retries: int,
        allow_http: bool,
        name: str | None = None,
        credential: Hashable = None,
    ) -> None:
        if not callable(getattr(transport, "exchange", None)):
            msg = (
                f"{provider}: the first argument must be a SessionPool, "
                f"not {type(transport).__name__}"
            )
            raise TypeError(msg)
        whole_number("max_retries", max_retries, least=0)
        self._transport = transport
        self._origin, self._prefix = base_of(base_url, allow_http=allow_http)
        self._argument = argument
        self._headers_of = headers
        self._max_retries = max_retries
        self._source: TokenSource | None = None
        self._fixed_headers: Mapping[str, str] = {}
        if callable(token):
            self._source = token
        else:
            self._fixed_headers = headers(header_value(argument, token))
        self.name = account_name(name)
        place = self._origin + self._prefix
        who = credential if self.name is None else self.name
        if who is None:
            # Two tokens are two accounts, even at one place; the hash gives neither of them away.
            who = _Source(token) if callable(token) else hash(("asyncclient", token))
        self.identity: Hashable = (provider, place, who)
        # A client may be made for each request, with a source of tokens of its own: these share
        # one budget, since they may well be one account.
        unnamed = self._source is not None and self.name is None and credential is None
        self._budget: tuple[str, Hashable] = (provider, place if unnamed else (place, who))

    def __reduce__(self) -> NoReturn:
        msg = (
            "a client and its handles hold a credential, and so are not pickled: keep the handle's "
            ".ref, and make the client where it is used"
        )
        raise TypeError(msg)

    def check(self, ref: TaskRef) -> None:
        """Refuse the reference of another account."""
        if ref.account is not None and self.name is not None and ref.account != self.name:
            msg = (
                f"{ref} is of the account {ref.account!r}, and this client asks as {self.name!r}: "
                "give it to that account's client"
            )
            raise ValueError(msg)

    @property
    def base_url(self) -> str:
        """The base URL, without a final slash."""
        return self._origin + self._prefix

    def budget(self, group: str) -> tuple[str, Hashable, str]:
        """Return what the requests of a group of endpoints are counted against."""
        return (*self._budget, group)

    async def call(
        self,
        endpoint: Endpoint[T],
        target: str,
        body: bytes | None = None,
        *,
        timeout: float | None = None,
    ) -> T:
        """Send a request, repeat it where that is safe and may help, and return its answer."""
        repeats = 0
        began = 0.0
        while True:
            try:
                return await self.once(endpoint, target, body, timeout=timeout)
            except AsyncClientError as error:
                if not repeats:
                    # The clock starts at the first failure: a slow first answer is no repeat.
                    began = anyio.current_time()
                seconds = seconds_to_repeat(
                    error,
                    idempotent=endpoint.idempotent,
                    repeats_left=self._max_retries - repeats,
                    backoff=_BACKOFF.delay(repeats),
                    seconds_left=_REPEAT_SECONDS - (anyio.current_time() - began),
                )
                if seconds is None:
                    raise
                _log.info("%s failed, again in %.1f s: %r", endpoint.name, seconds, error)
            repeats += 1
            await anyio.sleep(seconds)

    async def once(
        self,
        endpoint: Endpoint[T],
        target: str,
        body: bytes | None = None,
        *,
        timeout: float | None = None,
    ) -> T:
        """Send a request once, or twice if a token was refused and renewed; else as `call`."""
        source = self._source
        headers = self._fixed_headers
        fresh = source is None
        while True:
            token = Secret()
            if source is not None:
                token = await self._token(source)
                headers = self._headers_of(token)
            request = Request(
                name=endpoint.name,
                method=endpoint.method,
                origin=self._origin,
                target=self._prefix + target,
                headers=headers,
                body=body,
                timeout=timeout,
                idempotent=endpoint.idempotent,
            )
            try:
                return endpoint.read(await self._transport.exchange(request))
            except AuthenticationFailed as error:
                _hide(headers, error)
                # A refused request did nothing, so even a start may be repeated.
                if fresh:
                    raise
                fresh = True
                forget: object = getattr(source, "forget", None)
                if callable(forget):
                    forget(token)
            except (TransportError, APIError, DecodeError) as error:
                _hide(headers, error)
                if not endpoint.idempotent and _is_ambiguous(error):
                    error.may_have_started = True
                    error.add_note(
                        f"{endpoint.name} may have started something all the same, and was not "
                        "sent again"
                    )
                raise

    async def _token(self, source: TokenSource) -> Secret:
        token = source()
        if not isawaitable(token):
            msg = f"{self._argument} must be a text or an async function that returns one"
            raise TypeError(msg)
        try:
            return header_value(self._argument, await token)
        except asyncio.CancelledError as error:
            raise failure_of(error, f"{self._argument}()") from error


class _Source:
    """Stands for a source of tokens in an identity: equal where the sources are one object.

    A bound method is a new object each time it is named, so its function and owner are compared.
    """

    def __init__(self, source: TokenSource) -> None:
        self._source: object = getattr(source, "__func__", source)
        self._self: object = getattr(source, "__self__", None)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Source)
            and self._source is other._source
            and self._self is other._self
        )

    def __hash__(self) -> int:
        return hash((id(self._source), id(self._self)))

    def __repr__(self) -> str:
        return "<source of tokens>"


def account_name(value: object) -> str | None:
    """Return what a caller calls an account, checked; None stays None."""
    name = optional_line("account", value, "name")
    size = len(msgspec.json.encode(name)) - 2
    if name is not None and size > _LONGEST_NAME:
        msg = f"account has {size} bytes as JSON, and a name has at most {_LONGEST_NAME}"
        raise ValueError(msg)
    return name


def _hide(headers: Mapping[str, str], error: BaseException) -> None:
    """Take a credential out of an error: a provider, or a page before it, may have repeated it."""
    credentials = [
        value.rpartition(" ")[2] for value in headers.values() if isinstance(value, Secret)
    ]
    secrets = [secret for secret in credentials if len(secret) >= _LEAST_SECRET]

    def hidden(value: object) -> object:
        for secret in secrets:
            value = value.replace(secret, "***") if isinstance(value, str) else value
        return value

    link: BaseException | None = error
    while link is not None:
        link.args = tuple(hidden(value) for value in link.args)
        for name, value in vars(link).items():
            if isinstance(value, str):
                setattr(link, name, hidden(value))
        if hasattr(link, "__notes__"):
            link.__notes__ = [str(hidden(note)) for note in link.__notes__]
        link = link.__cause__ or link.__context__


def _is_ambiguous(error: TransportError | APIError | DecodeError) -> bool:
    """Return whether the provider may have acted on a request that failed so."""
    if isinstance(error, TransportError):
        return error.sent
    done = isinstance(error, APIError) and error.status == _SEE_OTHER
    return done or isinstance(error, ServerError | DecodeError)
