"""A fault's scene: a provider, the proxy before it, a pool, and four operations through both."""

from __future__ import annotations

import asyncio
import math
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import anyio

from asyncclient import SessionPool, wait_until_done
from asyncclient._http import Handle
from asyncclient.errors import AsyncClientError, WaitTimeout
from asyncclient.providers.copyai import CopyAI
from asyncclient.providers.coze import Coze
from asyncclient.testing import Simulator, VirtualTimeLoop
from tests.adversity.faults import (
    CONNECT_TIMEOUT,
    MAX_BODY,
    REQUEST_TIMEOUT,
    Fault,
    Operation,
    Place,
)
from tests.adversity.proxy import FaultProxy
from tests.wire import certificate, full_queue, trusting

Provider: TypeAlias = Literal["coze", "copyai"]
PROVIDERS: tuple[Provider, ...] = ("coze", "copyai")

WAIT_TIMEOUT = 20.0
NAME = "provider.invalid"
SECRET = "not-to-be-shown"
MARKER = "the start"
WORKFLOW = "7350583675492311040"
# How many connections, or requests, of one operation meet the fault.
TIMES: dict[Operation, int] = {"start": 1, "poll": 1, "wait": 2, "list": 1}
EVERY = 1_000_000


# The faults need real sockets, but no real time to pass. A busy machine may take a while to
# deliver over loopback: the clock waits five times longer for that than it usually does.
GRACE = 0.01
REAL_TIME = os.environ.get("ADVERSITY_CLOCK") == "real"


class Names(asyncio.SelectorEventLoop):
    """A loop in which one name is looked up here: no server is asked for it."""

    # How many lookups of it fail before it is found on loopback.
    misses = math.inf

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002  (the name that asyncio gave it)
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Look a name up."""
        if host == NAME:
            self.misses -= 1
            if self.misses >= 0:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            host = "127.0.0.1"
        return await super().getaddrinfo(
            host, port, family=family, type=type, proto=proto, flags=flags
        )


class VirtualTimeNames(Names, VirtualTimeLoop):
    """The same on virtual time."""


def virtual_loop() -> Names:
    """Make an event loop on virtual time."""
    return VirtualTimeNames(grace=GRACE)


def scene_loop() -> Names:
    """Make the event loop of a scene: virtual time, or the real one if the environment asks so."""
    return Names() if REAL_TIME else virtual_loop()


CERTIFICATES: dict[Place | None, Callable[[], ssl.SSLContext]] = {
    "good certificate": certificate,
    "certificate for another name": lambda: certificate("example.com"),
    "certificate that has expired": lambda: certificate(expired=True),
    "certificate of an unknown authority": lambda: certificate(by="stranger"),
}


Operations: TypeAlias = dict[Operation, Callable[[], Awaitable[object]]]


@dataclass(frozen=True)
class Scene:
    """What stands around one fault."""

    fault: Fault
    provider: Provider  # the one that it is met with
    sim: Simulator  # which plays it
    proxy: FaultProxy  # what stands before it
    pool: SessionPool  # the client's, of one connection to each origin

    @property
    def direct(self) -> str:
        """The provider's own origin."""
        url = self.sim.coze_url if self.provider == "coze" else self.sim.copyai_url
        return url.removesuffix("/api/")

    async def operations(self, origin: str) -> Operations:
        """Return the operations at an origin, about a task that is done already."""
        fate = {"seconds": 0.0, "outcome": "success"}
        async with SessionPool() as other:
            beside = client_of(self.provider, other, self.direct)
            ref = (await beside.start_workflow(WORKFLOW, {"simulate": fate})).ref
        client = client_of(self.provider, self.pool, origin)
        run: Handle[object] = client.task(ref)
        listing = client.list_bots if isinstance(client, Coze) else client.list_workflow_runs
        fresh = {"simulate": fate | {"marker": MARKER}}
        return {
            "start": lambda: client.start_workflow(WORKFLOW, fresh),
            "poll": run.poll,
            "wait": lambda: wait_until_done(run, timeout=WAIT_TIMEOUT),
            "list": lambda: listing(WORKFLOW),
        }

    def spoil(self, times: int) -> None:
        """Let as many of the next connections and requests meet the fault, and then none."""
        fault, proxy = self.fault, self.proxy
        proxy.connection_faults = chain(repeat(fault.on_connect, times), repeat(None))
        proxy.request_faults = chain(repeat(fault.on_request, times), repeat(None))


def client_of(provider: Provider, pool: SessionPool, origin: str) -> Coze | CopyAI:
    """Make a client of a provider that is at an origin."""
    if provider == "coze":
        return Coze(pool, token=SECRET, base_url=origin, allow_http=True)
    return CopyAI(pool, api_key=SECRET, base_url=f"{origin}/api", allow_http=True)


def port_of(url: str) -> int:
    """Return the port in a URL."""
    return urlsplit(url).port or 0


async def _set_scene(fault: Fault, provider: Provider, stack: AsyncExitStack) -> tuple[Scene, str]:
    """Build a scene, and return it with the origin that its client is sent to."""
    sim = await stack.enter_async_context(Simulator())
    port = port_of(sim.coze_url if provider == "coze" else sim.copyai_url)
    proxy = FaultProxy(port, CERTIFICATES.get(fault.place, lambda: None)())
    stack.push_async_callback(proxy.close)
    if fault.place not in {"connection refused", "connection refused at first"}:
        await proxy.listen()
    origin = proxy.origin
    if fault.place in {"unknown name", "unknown name at first"}:
        origin = f"http://{NAME}:{proxy.port}"
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Names)
        loop.misses = 1 if fault.place == "unknown name at first" else math.inf
    elif fault.place == "connection not taken":
        origin = stack.enter_context(full_queue())
    elif fault.place == "no TLS":
        origin = origin.replace("http:", "https:")
    pool = SessionPool(
        limit=1,
        request_timeout=REQUEST_TIMEOUT,
        connect_timeout=CONNECT_TIMEOUT,
        max_body=MAX_BODY,
        ssl_context=trusting(),
    )
    await stack.enter_async_context(pool)
    return Scene(fault, provider, sim, proxy, pool), origin


@dataclass(frozen=True)
class Observed:
    """What was seen of one operation under one fault."""

    error: Exception | None  # what it raised; None for a good answer
    elapsed: float  # seconds that it took, on the loop's clock
    requests: int  # requests that the proxy read whole
    passed_on: int  # those of them that the provider got
    started: int  # tasks that the provider started for them
    offered: int  # the most bytes that a connection got before the client closed it

    @property
    def outcome(self) -> str:
        """What the table says of it."""
        said = "ok" if self.error is None else f"`{type(self.error).__name__}`"
        if isinstance(self.error, WaitTimeout):
            said += f" after `{type(self.error.last_error).__name__}`"
        if isinstance(self.error, AsyncClientError) and self.error.may_have_started:
            said += ", may have started"
        return f"{said}; {self.requests}"


async def observe(fault: Fault, operation: Operation, provider: Provider) -> Observed:
    """Do one operation under one fault, then a good one, and close the pool: nothing is left."""
    before = asyncio.all_tasks()
    async with AsyncExitStack() as stack:
        scene, origin = await _set_scene(fault, provider, stack)
        proxy = scene.proxy
        through = await scene.operations(origin)
        if fault.kept is not None:
            proxy.request_faults = chain([fault.kept], repeat(None))
            await through["poll"]()
            await anyio.sleep(0.02)
            proxy.requests.clear()
            proxy.passed_on.clear()
        scene.spoil(EVERY if fault.place == "no TLS" else TIMES[operation])
        began = anyio.current_time()
        error = await _end_of(through[operation](), fault, proxy)
        elapsed = anyio.current_time() - began
        assert ", 0 requests active," in repr(scene.pool)
        requests, passed_on = len(proxy.requests), len(proxy.passed_on)
        scene.spoil(0)
        # At a place that is bad for good, the pool must still serve another one.
        if fault.place not in {None, "good certificate"}:
            through = await scene.operations(scene.direct)
        assert await through["poll"]() is not None
        await scene.pool.aclose()
        assert await settled(lambda: proxy.connected) == 0, "connections are left open"
        started = scene.sim.starts[MARKER]
    assert await settled(lambda: len(asyncio.all_tasks() - before)) == 0, "tasks are left behind"
    return Observed(error, elapsed, requests, passed_on, started, proxy.offered)


async def _end_of(doing: Awaitable[object], fault: Fault, proxy: FaultProxy) -> Exception | None:
    """Return how an operation ends: its error, or None for a good answer."""

    async def listen_soon() -> None:
        await anyio.sleep(0.02)  # after the first try and before the second
        await proxy.listen()

    async with asyncio.TaskGroup() as group:
        if fault.place == "connection refused at first":
            group.create_task(listen_soon())
        try:
            await doing
        except Exception as error:  # noqa: BLE001  (the test looks at it)
            return error
    return None


async def settled(count: Callable[[], int]) -> int:
    """Return a count once it is 0, or what it is after some seconds."""
    with anyio.move_on_after(5):
        while count():  # noqa: ASYNC110  (what ends sets no event)
            await anyio.sleep(0.001)
    return count()
