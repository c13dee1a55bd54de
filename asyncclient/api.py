"""Any HTTP task API over the pool: requests, and tasks that are looked at by a `Reading`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Generic, TypeVar, cast, overload

import msgspec

from asyncclient._arguments import number, text, text_line
from asyncclient._http import (
    Account,
    Address,
    Endpoint,
    HeaderSource,
    Places,
    RemoteTask,
    Response,
    Secret,
    TokenSource,
    Transport,
    base_of,
    bearer,
    concealed,
    credential_of,
    encode_argument,
    look_endpoint,
    named_hosts,
    read_accepted,
    read_json,
    read_with_headers,
)
from asyncclient._reading import Json, Reading, readings_by_name
from asyncclient._ref import ADDRESS, TaskRef, checked_ref
from asyncclient._task import Observation
from asyncclient._text import even_half_made, shown, text_of
from asyncclient.catalogue import ALL

T = TypeVar("T")
Ref_co = TypeVar("Ref_co", bound=TaskRef | None, covariant=True)

# Sending one of these twice does the same as sending it once (RFC 9110, section 9.2.2).
_IDEMPOTENT = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT"})
_METHODS = _IDEMPOTENT | {"PATCH", "POST"}
# Bytes of a body that a reference holds.
_LONGEST_KEPT = 1000
_MAX_RETRIES = 3


class TaskAPI:
    """A client of any HTTP task API: cheap to make, no I/O, as many as you like over one pool.

    Its credential goes to the base URL's origin and to named hosts, and nowhere else. A path is
    appended to the base URL, and quoted where needed. A whole URL may be of these hosts alone.
    Reads (GET, HEAD, OPTIONS), PUT and DELETE are repeated after a fault that may pass; POST and
    PATCH, which may start something, only when they certainly did nothing.

    Args:
        pool: a `SessionPool`.
        base_url: where the API is, as `https://api.replicate.com`; its path is put before every
            path.
        name: the API's own, as `replicate`: for messages, budgets and references.
        headers: sent with each request: a mapping, or an async function that returns one within
            60 s, which is asked before each request, and once more after a 401.
        token: sent as `Authorization: Bearer`: a text, or an async function as for headers.
        account: a name for the account, not a secret. Clients with equal names at one base URL are
            one account, and references carry the name. By default the credential identifies the
            account: each function is an account of its own, and all unnamed functions share one
            budget.
        hosts: other hosts of the API that its answers name, to which the credential may go too:
            `queue.fal.run`, or `*.bfl.ai` for all below `bfl.ai`.
        readings: where `task(ref)` looks for the reading of a reference, before it looks in the
            catalogue.
        rate: the looks a second that the API documents as its limit. Default None: a `Poller`
            finds it.
        allow_http: let plain http go to another machine.

    Raises:
        TypeError, ValueError: an argument is not valid; nothing is sent.
    """

    def __init__(
        self,
        pool: Transport,
        base_url: str,
        *,
        name: str,
        headers: Mapping[str, str] | HeaderSource | None = None,
        token: str | TokenSource | None = None,
        account: str | None = None,
        hosts: Iterable[str] = (),
        readings: Iterable[Reading] = (),
        rate: float | None = None,
        allow_http: bool = False,
    ) -> None:
        headers, token = concealed(headers), concealed(token)
        self.name = text_line("name", name, "name")
        self._readings = readings_by_name(readings)
        self.rate = None if rate is None else number("rate", rate, unit="looks a second", above=0)
        origin, prefix = base_of(base_url, allow_http=allow_http)
        self._places = Places(origin, prefix, named_hosts(hosts), allow_http)
        asks = credential_of(headers, token)
        self._account = Account(
            pool,
            provider=self.name,
            base_url=base_url,
            token=asks.given,
            argument=asks.argument,
            headers=bearer if asks.argument == "token" else None,
            beside=asks.beside,
            max_retries=_MAX_RETRIES,
            allow_http=allow_http,
            name=account,
        )

    @even_half_made
    def __repr__(self) -> str:
        return f"<TaskAPI {self.name} {self._account.base_url}>"

    async def get(self, path: str) -> Json:
        """Read what is at a path or URL; None for an empty answer.

        Raises:
            AsyncClientError: it could not be read.
            ValueError: its origin is neither that of the base URL nor in `hosts`; nothing is sent.
        """
        path = concealed(path)  # it may be signed, and a traceback with locals shows this frame
        return await self._ask("GET", path, None, read_json)

    async def post(self, path: str, body: object = None) -> Json:
        """Start something, and return the API's answer. A start is never sent twice.

        Args:
            path: a path or URL.
            body: sent as JSON. Default None: no body.

        Raises:
            AsyncClientError: it was refused, or, with `may_have_started`, its outcome is not known.
            TypeError: the body has no form in JSON.
            ValueError: as `get`.
        """
        path = concealed(path)
        return await self._ask("POST", path, body, read_json)

    async def request(
        self, method: str, path: str, body: object = None
    ) -> tuple[int, Mapping[str, str], Json]:
        """Send any request, also to an API that answers in its headers.

        Args:
            method: GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS.
            path: a path or URL.
            body: as `post`.

        Returns:
            the HTTP status from 200 to 299, the headers in any case, and the JSON; None without it,
            and for any text with a 201 or 202, whose headers may say what was started.

        Raises:
            AsyncClientError, TypeError, ValueError: as `post`.
        """
        path = concealed(path)
        return await self._ask(_method("method", method), path, body, read_with_headers)

    async def _ask(
        self, verb: str, path: str, body: object, read: Callable[[str, Response], T]
    ) -> T:
        path, name = self._places.target("path", path), f"{self.name}.{verb.lower()}"
        endpoint = Endpoint(name, verb, partial(read, name), verb in _IDEMPOTENT)
        return await self._account.call(endpoint, path, _encoded(body))

    @overload
    def task(
        self,
        path_or_url: str,
        reading: Reading,
        *,
        kind: str | None = None,
        cancel: str | None = None,
        method: str = "GET",
        body: None = None,
    ) -> APITask[TaskRef]: ...

    @overload
    def task(
        self,
        path_or_url: str,
        reading: Reading,
        *,
        kind: str | None = None,
        cancel: str | None = None,
        method: str = "GET",
        body: object,
    ) -> APITask[TaskRef | None]: ...

    @overload
    def task(self, ref: TaskRef, /) -> APITask[TaskRef]: ...

    def task(
        self,
        path_or_url: str | TaskRef,
        reading: Reading | None = None,
        *,
        kind: str | None = None,
        cancel: str | None = None,
        method: str = "GET",
        body: object = None,
    ) -> APITask[TaskRef] | APITask[TaskRef | None]:
        """Return the task at a path or URL, or the task of a reference; no I/O.

        Args:
            path_or_url: where its state is read; the answer of a start often has it.
            reading: how its answers are read: one of `asyncclient.catalogue`, or your own.
            kind: which tasks are alike: they share what is learned of their durations. Default:
                the names of API and reading.
            cancel: the path or URL at which it is cancelled, by POST or as `DELETE /v1/jobs/7`
                says. Default None: it cannot be cancelled.
            method: of a look, GET or POST.
            body: what a look sends as JSON. With a body of over 1,000 bytes the task has no
                reference.

        Raises:
            TypeError: an argument is of another type.
            ValueError: an origin is neither that of the base URL nor in `hosts`, or an argument is
                not valid. Or the reference is of another API or account, or its reading is neither
                in `readings` nor in the catalogue.
        """
        if isinstance(path_or_url, TaskRef) and reading is None:
            return self._found(path_or_url)
        path_or_url, cancel = concealed(path_or_url), concealed(cancel)  # as in `get`
        if not isinstance(path_or_url, str) or not isinstance(reading, Reading):
            msg = "pass a path or URL and a Reading, or a TaskRef alone (decode_ref reads its text)"
            raise TypeError(msg)
        return self._task(self._account, path_or_url, reading, kind, cancel, method, body)

    def _found(self, ref: TaskRef) -> APITask[TaskRef]:
        if checked_ref(ref).provider != self.name or ADDRESS not in ref.ids:
            msg = f"{ref} is not a task of {self.name}: pass it to its own provider's client"
            raise ValueError(msg)
        account = self._account.of(ref)
        reading = self._readings.get(ref.kind, ALL.get(ref.kind))
        if reading is None:
            msg = f"{ref}: the reading {shown(ref.kind)} is unknown: pass TaskAPI(readings=[...])"
            raise ValueError(msg)
        ids = {name: concealed(value) for name, value in ref.ids.items()}
        path, body = ids[ADDRESS], ids.get("body")
        sent: object = None
        if body is not None:
            try:
                sent = msgspec.json.decode(body.encode())
            except msgspec.DecodeError as error:
                msg = f"{ref}: its body is not JSON: {text_of(error)}"
                raise ValueError(msg) from None
        method = ids.get("method", "GET")
        task = self._task(account, path, reading, ids.get("kind"), ids.get("cancel"), method, sent)
        task.created = ref.created
        return task

    def _task(
        self,
        account: Account,
        path: str,
        reading: Reading,
        kind: str | None,
        cancel: str | None,
        method: str,
        body: object,
    ) -> APITask[TaskRef]:
        verb = _method("method", method)
        if verb not in {"GET", "POST"}:
            msg = f"method={shown(verb)} must be GET or POST: a look changes nothing"
            raise ValueError(msg)
        cancel_at = None
        if cancel is not None:
            how, _, where = map(Secret, text("cancel", cancel).partition(" "))
            if not (where and how.isalpha()):  # a path, perhaps with a space in it
                how, where = Secret("POST"), Secret(cancel)
            cancel_at = (_method("cancel", how), self._places.target("cancel", where))
        return APITask(
            self,
            account,
            self._places.target("path_or_url", path),
            reading=reading,
            kind=None if kind is None else text_line("kind", kind, "kind"),
            cancel=cancel_at,
            method=verb,
            body=_encoded(body),
        )


class APITask(RemoteTask[Json], Generic[Ref_co]):
    """A task of a `TaskAPI`; its answer is the whole decoded JSON."""

    __slots__ = ("_api", "_body", "_cancel", "_kind", "_look", "_reading", "_where")

    group = "tasks"

    def __init__(
        self,
        api: TaskAPI,
        account: Account,
        where: str,
        *,
        reading: Reading,
        kind: str | None,
        cancel: tuple[str, str] | None,
        method: str,
        body: bytes | None,
    ) -> None:
        super().__init__(account, None)
        self._api = api
        self._where = where
        self._reading = reading
        self._kind = kind
        self._cancel = cancel
        self._body = body
        self._look = _look_of(_kind_of(api.name, reading.name), method, reading)

    @property
    def _target(self) -> str:
        return self._where

    @property
    def kind(self) -> str:
        """Which tasks are alike: by default all of one reading."""
        return self._kind or self._look.name

    @property
    def documented_rate(self) -> float | None:
        """The API's limit of looks a second, as given in `rate`."""
        return self._api.rate

    @property
    def key(self) -> Hashable:
        """Identity: the account, the reading, and the request."""
        body = None if self._body is None else Secret(self._body.decode())
        return (
            self._account.identity,
            self._reading.name,
            self._look.method,
            Address(self._where),
            body,
        )

    @property
    def ref(self) -> Ref_co:
        """Its portable reference; None where its body has over 1,000 bytes."""
        body = self._body
        if body is not None and len(body) > _LONGEST_KEPT:
            return cast("Ref_co", None)
        given = {
            ADDRESS: str(self._where),
            "method": None if self._look.method == "GET" else self._look.method,
            "body": None if body is None else body.decode(),
            "cancel": None if self._cancel is None else " ".join(self._cancel),
            "kind": self._kind,
        }
        ids = {name: value for name, value in given.items() if value is not None}
        ref = TaskRef(self._api.name, self._reading.name, ids, self.created, self._account.name)
        return cast("Ref_co", ref)  # there is one unless there is a body

    @property
    def cancel(self) -> Callable[[], Awaitable[Json]]:
        """Ask the API to stop the task, with one request; only where `cancel` was given."""
        if self._cancel is None:
            msg = f"{self!r} cannot be cancelled: pass task(..., cancel=path)"
            raise AttributeError(msg)
        return partial(self._send_cancel, *self._cancel)

    async def _send_cancel(self, method: str, target: str) -> Json:
        name = f"{self._look.name}.cancel"
        endpoint = Endpoint(name, method, partial(read_accepted, name))
        return await self._account.call(endpoint, target, max_retries=0)

    @even_half_made
    def __repr__(self) -> str:
        return f"<APITask {self._look.name} {text_of(self._where.partition('?')[0])}>"


@lru_cache(maxsize=1000)
def _look_of(name: str, method: str, reading: Reading) -> Endpoint[Observation[Json]]:
    return look_endpoint(Endpoint(name, method, partial(read_json, name)), reading.read)


def _kind_of(api: str, reading: str) -> str:
    """Name a reading of an API: `acme.job`, and no name twice."""
    return reading if f"{reading}.".startswith(f"{api}.") else f"{api}.{reading}"


def _method(name: str, method: object) -> str:
    verb = text(name, method).upper()
    if verb not in _METHODS:
        msg = f"{name}={shown(verb)} must be one of {', '.join(sorted(_METHODS))}"
        raise ValueError(msg)
    return verb


def _encoded(body: object) -> bytes | None:
    return None if body is None else bytes(encode_argument("body", body))
