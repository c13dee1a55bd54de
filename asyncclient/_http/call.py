"""One request, repeated where that is safe: all that a provider needs to send requests."""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections.abc import Callable, Hashable, Mapping
from inspect import isawaitable
from types import MappingProxyType
from typing import NoReturn, TypeVar, cast

import anyio
import msgspec
from multidict import CIMultiDict, CIMultiDictProxy  # aiohttp's own headers; it comes with aiohttp

from asyncclient._arguments import optional_line, whole_number
from asyncclient._event_loop import failure_of
from asyncclient._http.credential import Source
from asyncclient._http.hiding import Hiding
from asyncclient._http.message import Endpoint, Request, Response, Transport, concealed
from asyncclient._http.quoting import base_of, header_value, header_values
from asyncclient._http.repeat import seconds_to_repeat
from asyncclient._ref import TaskRef
from asyncclient._schedule import Backoff
from asyncclient._state import TaskState
from asyncclient._task import Observation
from asyncclient._text import LONGEST_TEXT, plain, shown, type_name
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    AuthenticationFailed,
    DecodeError,
    NotFound,
    RequestTimeout,
    ServerError,
    TransportError,
)

T = TypeVar("T")

_log = logging.getLogger("asyncclient.call")

_BACKOFF = Backoff(first=0.5, cap=8.0)
# Seconds for all repeats of one request: a caller of a single request does not expect a long wait.
_REPEAT_SECONDS = 30.0
# Seconds for one call of a caller's source of tokens: enough for a request and its repeat after a
# timeout.
_TOKEN_SECONDS = 60.0
# Bytes of JSON. A ticket has 400; the longest provider ids leave this many.
_LONGEST_NAME = 100
_NO_SECRETS: Mapping[str, str] = MappingProxyType({})
_CONTENT_TYPE, _JSON = "Content-Type", "application/json"
# "See other" means that the request was done, and its answer is elsewhere (RFC 9110, 15.4.4).
_SEE_OTHER = 303


class Account:
    """An account: one credential at one base URL.

    Making one does no I/O.

    A token is a text, or an async function that returns one: it is called before each request, and
    once more after a token was refused (after its `forget(token)`, if it has such a method). It has
    60 s for each call. Where `headers` is None, it returns all headers in place of a text. `beside`
    are headers that are always sent.

    Attributes:
        credential: what identifies the credential: its hash, or the source of tokens itself.
        identity: equal for two clients exactly when they are one account: by the name, else by the
            credential.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        provider: str,
        base_url: str,
        token: str | Mapping[str, str] | Source,
        argument: str,
        headers: Callable[[str], Mapping[str, str]] | None,
        max_retries: int,
        allow_http: bool,
        beside: Mapping[str, str] = MappingProxyType({}),
        name: str | None = None,
        credential: Hashable = None,
    ) -> None:
        if isinstance(transport, type) or not callable(getattr(transport, "exchange", None)):
            msg = (
                f"{provider}: the first argument must be a SessionPool, not {type_name(transport)}"
            )
            raise TypeError(msg)
        whole_number("max_retries", max_retries, least=0)
        self._transport = transport
        self._origin, self._prefix = base_of(base_url, allow_http=allow_http)
        self._argument = argument
        self._headers_from = headers
        self._beside = beside
        self._hides: tuple[object, object] = ({}, {})
        self._hiding = Hiding({})
        # A service app makes requests for its tokens, which have timeouts of their own.
        self._token_seconds = _TOKEN_SECONDS if credential is None else math.inf
        self._max_retries = max_retries
        self._source: Source | None = None
        self._fixed_headers: Mapping[str, str] = {}
        if callable(token):
            self._source = token
        else:
            # In the form that aiohttp sends, made once.
            self._fixed_headers = CIMultiDictProxy(CIMultiDict(self._headers_of(token)))
        self.name = account_name(name)
        place = self._origin + self._prefix
        # Two tokens are two accounts, even at one base URL; the hash reveals neither of them.
        fixed = frozenset(self._fixed_headers.items())
        asks_with = _Source(token, beside) if callable(token) else hash(("asyncclient", fixed))
        self.credential: Hashable = asks_with if credential is None else credential
        who = self.credential if self.name is None else self.name
        self.identity: Hashable = (provider, place, who)
        # An app may make a client for each request, with its own source of tokens: those of one
        # origin share a budget, since they may be one account.
        unnamed = self._source is not None and self.name is None and credential is None
        counted: Hashable = self._origin if unnamed else (place, who)
        self._budget: tuple[str, Hashable] = (provider, counted)

    def __reduce__(self) -> NoReturn:
        msg = (
            "a client and its handles hold a credential, and so are not pickled: keep the handle's "
            ".ref, and make the client where it is used"
        )
        raise TypeError(msg)

    def of(self, ref: TaskRef) -> Account:
        """Return the account for a reference's task; refuse the reference of another account.

        An account without a name takes the name in the reference, so that the handle's own
        reference has it too: a worker finds its client by it.
        """
        if ref.account is None or ref.account == self.name:
            return self
        if self.name is not None:
            msg = (
                f"{ref} is of the account {shown(ref.account)}, and this client asks as "
                f"{self.name!r}: pass it to that account's client"
            )
            raise ValueError(msg)
        named = object.__new__(Account)  # with the same credential
        vars(named).update(vars(self), name=ref.account)
        return named

    @property
    def base_url(self) -> str:
        """The base URL, without a final slash."""
        return self._origin + self._prefix

    def budget(self, group: str) -> tuple[str, Hashable, str]:
        """Return the budget of a group of endpoints."""
        return (*self._budget, group)

    async def call(
        self,
        endpoint: Endpoint[T],
        target: str,
        body: bytes | None = None,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
    ) -> T:
        """Send a request, repeat it where that is safe and may help, and return its answer.

        After a refused token, it is sent once more with a new token, if there is one. `max_retries`
        is the client's own by default.
        """
        outer = sys.exception()
        source, headers = self._source, self._fixed_headers
        token: object = None
        may_renew = source is not None
        repeats = 0
        began: float | None = None  # when it first failed: a slow first answer is not a repeat
        origin, path = self._origin, self._prefix + target
        if not target.startswith("/"):
            at = target.index("/", len("https://"))
            origin, path = target[:at], target[at:]
        while True:
            request: Request | None = None
            try:
                if source is not None:
                    token = await self._token(source)
                    headers = self._headers_of(token)
                request = Request(
                    name=endpoint.name,
                    method=endpoint.method,
                    origin=origin,
                    target=path,
                    headers=headers if body is None else {_CONTENT_TYPE: _JSON, **headers},
                    body=body,
                    timeout=timeout,
                    idempotent=endpoint.idempotent,
                )
                response = await self._transport.exchange(request)
                found = endpoint.read(response)
                look: object = found
                if type(look) is not Observation or look.state is TaskState.SUCCEEDED:
                    return found
                seen = cast("Observation[object]", look)
                return cast("T", self._concealed(seen, endpoint, response, headers, target))
            except AsyncClientError as error:
                if request is not None:
                    self._hiding_of(headers).beside(target).error(error, outer)
                    # A refused request did nothing, so even a start may be repeated.
                    if may_renew and isinstance(error, AuthenticationFailed):
                        may_renew = False
                        _forget(source, token)
                        continue
                    _note_whether_started(error, endpoint)
                most = self._max_retries if max_retries is None else max_retries
                began = anyio.current_time() if began is None else began
                seconds = _seconds_to_repeat(error, endpoint, repeats, most, began)
                if seconds is None:
                    raise
            repeats += 1
            may_renew = source is not None
            await anyio.sleep(seconds)

    def _concealed(
        self,
        look: Observation[object],
        endpoint: Endpoint[object],
        response: Response,
        headers: Mapping[str, str],
        target: str,
    ) -> Observation[object]:
        """Return a look's result without the credential: before a success, an error may show it."""
        hiding = self._hiding_of(headers)
        clean = hiding.answer(response)
        if clean is not response:
            again = cast("Observation[object]", endpoint.read(clean))
            look = msgspec.structs.replace(look, result=again.result, raw=again.raw)
        hiding = hiding.beside(target)
        if look.reason is not None:
            look = msgspec.structs.replace(look, reason=hiding.text(look.reason))
        if look.state is None and isinstance(look.word, str):
            look = msgspec.structs.replace(look, word=hiding.text(look.word))
        return look

    def _hiding_of(self, headers: Mapping[str, str]) -> Hiding:
        # A pool sends secrets of its own, and an answer may repeat these, too. They are no part of
        # what a transport has to have, and no one else should read them.
        secrets: Mapping[str, str] = getattr(self._transport, "_own_secrets", _NO_SECRETS)
        # Kept for the next request, which nearly always uses the same credential.
        if self._hides != (headers, secrets):
            self._hides = (headers, secrets)
            self._hiding = Hiding({**headers, **secrets})
        return self._hiding

    def _headers_of(self, token: object) -> Mapping[str, str]:
        if self._headers_from is None:
            return {**self._beside, **header_values(self._argument, token)}
        return {**self._beside, **self._headers_from(header_value(self._argument, token))}

    async def _token(self, source: Source) -> object:
        token = source()
        if not isawaitable(token):
            what = "a mapping" if self._headers_from is None else "a text"
            msg = f"{self._argument} must be {what} or an async function that returns one"
            raise TypeError(msg)
        try:
            with anyio.move_on_after(self._token_seconds):
                return concealed(await token)
        except asyncio.CancelledError as error:
            raise failure_of(error, f"{self._argument}()") from error
        except AsyncClientError as error:
            # It is about a request of the source's own, which starts no task and looks at none.
            error.may_have_started = False
            if not isinstance(error, NotFound):
                raise
            raise AuthenticationFailed(
                f"{self._argument}() gave no token: {error.text}",
                status=error.status,
                code=error.code,
                message=error.message,
                log_id=error.log_id,
                foreign=error.foreign,
                known=error.known,
                advice=error.advice,
            ) from error
        raise RequestTimeout(
            f"{self._argument}() gave no token within {plain(self._token_seconds)} s",
            sent=False,
            advice="check that its vault, or the server that it asks, can be reached",
        )


class _Source:
    """Represents a source of tokens in an identity: equal if the sources are one object.

    A bound method is a new object at each access, so its function and owner are compared.
    """

    def __init__(self, source: Source, beside: Mapping[str, str]) -> None:
        self._source: object = getattr(source, "__func__", source)
        self._self: object = getattr(source, "__self__", None)
        self._beside = hash(frozenset(beside.items()))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Source)
            and self._source is other._source
            and self._self is other._self
            and self._beside == other._beside
        )

    def __hash__(self) -> int:
        return hash((id(self._source), id(self._self)))

    def __repr__(self) -> str:
        return "<source of tokens>"


def account_name(value: object) -> str | None:
    """Return the name of an account, checked; None stays None."""
    name = optional_line("account", value, "name")
    size = len(msgspec.json.encode(name)) - 2
    if name is not None and size > _LONGEST_NAME:
        msg = f"account has {size} bytes as JSON: at most {_LONGEST_NAME} are allowed"
        raise ValueError(msg)
    return name


def _seconds_to_repeat(
    error: AsyncClientError, endpoint: Endpoint[object], repeats: int, most: int, began: float
) -> float | None:
    seconds = seconds_to_repeat(
        error,
        idempotent=endpoint.idempotent,
        repeats_left=most - repeats,
        backoff=_BACKOFF.delay(repeats),
        seconds_left=_REPEAT_SECONDS - (anyio.current_time() - began),
    )
    if seconds is not None:
        said = shown(error, LONGEST_TEXT)
        _log.info("%s failed, and is repeated in %.1f s: %s", endpoint.name, seconds, said)
    return seconds


def _forget(source: object, token: object) -> None:
    forget: object = getattr(source, "forget", None)
    if callable(forget):
        forget(token)


def _note_whether_started(error: AsyncClientError, endpoint: Endpoint[object]) -> None:
    """Mark the error of a start that the provider may have carried out."""
    if isinstance(error, TransportError):
        is_ambiguous = error.sent
    else:
        done = isinstance(error, APIError) and error.status == _SEE_OTHER
        is_ambiguous = done or isinstance(error, ServerError | DecodeError)
    if is_ambiguous and not endpoint.idempotent:
        error.may_have_started = True
        error.add_note(f"{endpoint.name} may have started something, and was not sent again")
