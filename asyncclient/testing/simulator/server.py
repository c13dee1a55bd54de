"""One provider's server on a loopback port: counting, faults and admission around its routes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from typing import Protocol, TypeVar

import msgspec
from aiohttp import web

from asyncclient.testing.simulator.faults import (
    Fault,
    FaultPlan,
    Kind,
    gateway_page,
    reset,
    reset_transport,
    spoil,
    stall,
)
from asyncclient.testing.simulator.tasks import NoSuchTask, SimulatedTask, Word, World

Body = TypeVar("Body")

# A word that is in no provider's vocabulary.
_STRANGE_WORD = "Hibernating"
# Steps of the event loop in which the handlers of lost connections end.
_STEPS_TO_UNWIND = 100
# Thousands of waits may all connect at once.
_BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of a provider, as the simulator sees it."""

    name: str
    """What `Simulator.requests` counts it as."""
    method: str
    path: str
    kind: Kind = "other"
    group: str = ""
    """The rate group that it spends, if any."""
    refusal: int = HTTPStatus.UNAUTHORIZED
    """The HTTP status of the answer to a wrong token."""
    missing: int = 0
    """The provider's own code for a task that is not there, where it has codes."""


@dataclass(slots=True)
class Call:
    """One request on its way through a route."""

    request: web.Request
    endpoint: Endpoint
    fault: Fault | None
    body: bytes = b""
    shown_done: list[SimulatedTask] = field(default_factory=list[SimulatedTask])

    def path(self, name: str) -> str:
        """Return a decoded part of the path."""
        return self.request.match_info[name]

    def query(self, name: str, default: str = "") -> str:
        """Return a query parameter as text."""
        return self.request.query.get(name, default)

    def decode(self, shape: type[Body]) -> Body:
        """Decode the JSON body; what does not fit becomes the provider's validation error."""
        return msgspec.json.decode(self.body or b"{}", type=shape)

    def show(self, task: SimulatedTask, word: Word, *, is_done: bool) -> tuple[Word, bool]:
        """Return the status word for this poll, and whether it shows that the task is done."""
        task.polls += 1
        if self.fault is Fault.UNKNOWN_WORD:
            return _STRANGE_WORD, False
        if task.words:
            return task.words.popleft(), False
        if is_done:
            self.shown_done.append(task)
        return word, is_done


Handler = Callable[[Call], Awaitable[web.Response]]
Route = tuple[Endpoint, Handler]


class Provider(Protocol):
    """What a provider brings to its server: its routes and its ways to refuse."""

    prefix: str = ""  # of all paths

    def routes(self) -> Iterable[Route]:
        """Return every operation with its handler."""
        ...

    def admit(self, call: Call) -> web.Response | None:
        """Return the refusal of a request that is over a limit or has a wrong token, or None."""
        ...

    def invalid(self, message: str) -> web.Response:
        """Answer a request whose body does not fit."""
        ...

    def unknown_path(self) -> web.Response:
        """Answer a request for a path that does not exist."""
        ...

    def rate_limited(self, retry_after: str) -> web.Response:
        """Answer 429."""
        ...

    def unavailable(self) -> web.Response:
        """Answer 503."""
        ...

    def busy(self) -> web.Response:
        """Answer that too many others ask: 503 where the provider has no word for it."""
        return self.unavailable()

    def unauthorized(self) -> web.Response:
        """Answer 401."""
        ...

    def missing(self, endpoint: Endpoint) -> web.Response:
        """Answer that there is no such task."""
        ...


class ProviderServer:
    """A listening socket for one provider, which can go down and come back."""

    def __init__(
        self,
        provider: Provider,
        world: World,
        faults: FaultPlan,
        requests: Counter[str],
        faults_served: Counter[str],
    ) -> None:
        self._provider = provider
        self._world = world
        self._faults = faults
        self._requests = requests
        self._faults_served = faults_served
        self._runner: web.AppRunner | None = None
        self._site: web.TCPSite | None = None
        self._host, self.port = "127.0.0.1", 0

    async def start(self, host: str, port: int) -> None:
        """Listen on a host and a port (0: a free one)."""
        app = web.Application(client_max_size=20 * 2**20)
        for endpoint, handler in self._provider.routes():
            path = self._provider.prefix + endpoint.path
            app.router.add_route(endpoint.method, path, self._wrap(endpoint, handler))
        app.router.add_route("*", "/{tail:.*}", self._unknown_path)
        app.on_response_prepare.append(self._set_date)
        # Cancelling a handler whose client has left is what ends a stall.
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        self._host, self.port = host, port
        await self._runner.setup()
        try:
            await self.listen()
        except OSError:
            await self.close()
            raise

    async def listen(self) -> None:
        """Listen (again) on the same port."""
        if self._runner is None or self._site is not None:
            return
        site = web.TCPSite(self._runner, self._host, self.port, backlog=_BACKLOG)
        await site.start()
        self._site, self.port = site, site.port

    async def stop_listening(self) -> None:
        """Stop listening and reset every connection."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        if self._runner is None or self._runner.server is None:
            return
        server = self._runner.server
        for connection in server.connections:
            reset_transport(connection.transport)
        # Each lost connection cancels its handler; wait for those to unwind.
        for _ in range(_STEPS_TO_UNWIND):
            if not server.connections:
                break
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Stop for good; requests in flight are reset."""
        await self.stop_listening()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _wrap(
        self, endpoint: Endpoint, handler: Handler
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            self._requests[endpoint.name] += 1
            fault = self._faults.draw(request, endpoint.kind)
            if fault is not None:
                self._faults_served[fault.value] += 1
            call = Call(request, endpoint, fault, await request.read())
            if fault is not None and not fault.is_after:
                return await self._meet(fault, call)
            response = self._provider.admit(call) or await self._answer(handler, call)
            if fault is not None:
                response = await spoil(fault, request, response)
            for task in call.shown_done if fault is None else ():
                if task.polled_done_at is None:
                    task.polled_done_at = self._world.now()
            return response

        return handle

    async def _answer(self, handler: Handler, call: Call) -> web.Response:
        try:
            answer = await handler(call)
        except NoSuchTask:
            return self._provider.missing(call.endpoint)
        except msgspec.DecodeError as error:
            return self._provider.invalid(str(error))
        self._world.write_down()
        return answer

    async def _set_date(self, _request: web.Request, response: web.StreamResponse) -> None:
        # The server's own clock, which may be virtual, so that dates agree with one another.
        response.headers["Date"] = formatdate(self._world.wall(), usegmt=True)

    async def _unknown_path(self, _request: web.Request) -> web.Response:
        self._requests["unknown_path"] += 1
        return self._provider.unknown_path()

    async def _meet(self, fault: Fault, call: Call) -> web.Response:
        if fault is Fault.RESET:
            await reset(call.request)
        if fault is Fault.STALL:
            await stall()
        provider = self._provider
        match fault:
            case Fault.HTML_502:
                return gateway_page(502, "Bad Gateway")
            case Fault.HTML_504:
                return gateway_page(504, "Gateway Time-out")
            case Fault.RATE_LIMITED | Fault.RATE_LIMITED_DATE:
                return provider.rate_limited("1" if fault is Fault.RATE_LIMITED else self._soon())
            case Fault.EMPTY_200:
                return web.Response(content_type="application/json")
            case Fault.NOT_FOUND:
                return provider.missing(call.endpoint)
            case Fault.UNAUTHORIZED:
                return provider.unauthorized()
            case Fault.BUSY:
                return provider.busy()
            case _:
                return provider.unavailable()

    def _soon(self) -> str:
        # A date has whole seconds: two ahead is between one and two from now.
        return formatdate(self._world.wall() + 2, usegmt=True)
