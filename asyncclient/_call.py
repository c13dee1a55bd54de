"""Loop one: one request, repeated as far as it is safe. All that a provider needs to speak."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Awaitable, Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import isawaitable
from typing import NoReturn, TypeVar, cast

import anyio
import msgspec

from asyncclient._arguments import id_text, whole_number
from asyncclient._decide import Raise, after_request
from asyncclient._schedule import Backoff
from asyncclient._wire import (
    Endpoint,
    Request,
    Secret,
    Transport,
    base_of,
    header_value,
)
from asyncclient.errors import (
    APIError,
    AsyncClientError,
    AuthenticationFailed,
    DecodeError,
    ServerError,
    TransportError,
)

__all__ = [
    "Account",
    "TokenSource",
    "answered_id",
    "encode_argument",
    "telling",
    "unix_time",
]

T = TypeVar("T")

TokenSource = Callable[[], Awaitable[str]]

_log = logging.getLogger("asyncclient.call")

_BACKOFF = Backoff(first=0.5, cap=8.0)
# All repeats of one request together: a caller who awaits a single answer has not asked to wait.
_REPEAT_SECONDS = 30.0
# What is shorter is no credential, but may well be a part of a word.
_LEAST_SECRET = 8
# "See other" is said after a request was done: its answer stands elsewhere (RFC 9110, 15.4.4).
_SEE_OTHER = 303


class Account:
    """Where to ask, and as whom: one set of credentials at one base URL. Making one does no I/O.

    Args:
        transport: what carries the requests.
        provider: the provider's name, for names and messages.
        base_url: as `https://api.coze.cn`; https unless loopback or `allow_http`.
        token: the token's text, or an async function that returns one; it is called before each
            request, and once more after a token was refused (after its `forget(token)`, if it has
            such a method).
        argument: what the caller calls the token, for messages.
        headers: from a token to the headers of a request.
        max_retries: how often a failed request is repeated, where that is safe.
        allow_http: let plain http go to another machine.

    Raises:
        TypeError, ValueError: an argument cannot be; nothing was sent.
    """

    __slots__ = (
        "_argument",
        "_budget",
        "_fixed_headers",
        "_headers_of",
        "_max_retries",
        "_origin",
        "_prefix",
        "_source",
        "_transport",
        "key",
    )

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
        self.key: Hashable = (provider, self._origin + self._prefix)
        # Two tokens are two accounts, even at one place; the hash gives neither of them away.
        self._budget = (provider, self.key, hash(("asyncclient", token)))

    def __reduce__(self) -> NoReturn:
        msg = (
            "a client and its handles hold a credential, and so are not pickled: keep the handle's "
            ".ref, and make the client where it is used"
        )
        raise TypeError(msg)

    @property
    def base_url(self) -> str:
        """The base URL, without a final slash."""
        return self._origin + self._prefix

    def budget(self, group: str) -> tuple[str, Hashable, Hashable, str]:
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
        """Send a request, repeat it where that is safe and may help, and return its answer.

        Args:
            endpoint: the operation.
            target: path and query below the base URL, with a leading slash, quoted.
            body: the encoded body.
            timeout: seconds for each try; None is the transport's own setting.

        Raises:
            AsyncClientError: the last try's error. Its `may_have_started` is true when the
                request starts something and it is not known whether it did.
        """
        repeats = 0
        began = 0.0
        delays: Iterator[float] | None = None
        while True:
            try:
                return await self.once(endpoint, target, body, timeout=timeout)
            except AsyncClientError as error:
                if delays is None:
                    # The clock starts at the first failure: a slow first answer is no repeat.
                    began = anyio.current_time()
                    delays = _BACKOFF.delays()
                step = after_request(
                    error,
                    idempotent=endpoint.idempotent,
                    repeats_left=self._max_retries - repeats,
                    delay=next(delays),
                    seconds_left=_REPEAT_SECONDS - (anyio.current_time() - began),
                )
                if isinstance(step, Raise):
                    raise
                _log.info("%s failed, again in %.1f s: %r", endpoint.name, step.seconds, error)
            repeats += 1
            await anyio.sleep(step.seconds)

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
        return header_value(self._argument, await token)


def _hide(headers: Mapping[str, str], error: BaseException) -> None:
    """Take a credential out of an error: a provider, or a page before it, may have repeated it.

    Args:
        headers: those of the request; the hidden ones among them bear the credential.
        error: what its answer was made into, with the errors that led to it.
    """
    borne = [value.rpartition(" ")[2] for value in headers.values() if isinstance(value, Secret)]
    secrets = [secret for secret in borne if len(secret) >= _LEAST_SECRET]

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


def unknown_start(name: str, path: str, missing: str) -> DecodeError:
    """Make the error for a start whose good answer does not say what was started."""
    error = DecodeError(
        f"{name}: the answer has no {missing}, so that what it started is not known",
        path=path,
    )
    error.may_have_started = True
    return error


@contextmanager
def telling(how: str) -> Generator[None]:
    """Add to the error of a start whose outcome is not known how the caller can find out.

    Args:
        how: one sentence, which names the call or the place and what to look for.
    """
    try:
        yield
    except AsyncClientError as error:
        if error.may_have_started:
            error.add_note(how)
        raise


def answered_id(name: str, path: str, value: str | int | None) -> str:
    """Return the id that a start's good answer gives, as a text.

    Args:
        name: the endpoint's name.
        path: where in the answer the id stands, as `$.data.id`.
        value: what stands there.

    Raises:
        DecodeError: there is none, or none that a request could bear; its `may_have_started` is
            true.
    """
    field = path.rpartition(".")[2]
    try:
        return id_text(field, str(value or ""))
    except ValueError:
        raise unknown_start(name, path, field) from None


def encode_argument(name: str, value: object) -> msgspec.Raw:
    """Encode one argument as JSON, to stand in a request's body as it is.

    Args:
        name: the argument's name, for the message.
        value: what the caller gave.

    Raises:
        TypeError: something in it has no form in JSON.
        ValueError: there is a NaN or an infinity in it, which JSON would turn into null.
    """
    try:
        encoded = msgspec.json.encode(value, enc_hook=_as_dict)
        finite = _is_finite(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        reason = str(error) or type(error).__name__
        msg = f"{name} cannot be written as JSON: {reason}; pass texts, numbers, lists and mappings"
        raise TypeError(msg) from None
    if not finite:
        msg = f"{name}: NaN and infinity have no form in JSON: leave them out, or send a text"
        raise ValueError(msg)
    return msgspec.Raw(encoded)


def _is_finite(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, msgspec.Struct):
        return all(_is_finite(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, Mapping):
        return all(_is_finite(inner) for inner in cast("Mapping[object, object]", value).values())
    if isinstance(value, list | tuple):
        return all(_is_finite(inner) for inner in cast("Sequence[object]", value))
    return True


def _as_dict(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[object, object]", value))
    msg = f"{type(value).__name__} has no form in JSON"
    raise TypeError(msg)


def unix_time() -> int:
    """Return the wall clock in whole seconds, for references that outlive the process."""
    return int(time.time())  # noqa: TID251  (a reference is read in other processes)
