"""The common part of all simulators: servers over one world of tasks, faults and counts."""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Self

from asyncclient.testing.simulator.faults import Fault, FaultPlan
from asyncclient.testing.simulator.journal import Journal
from asyncclient.testing.simulator.server import Provider, ProviderServer
from asyncclient.testing.simulator.tasks import Habits, SimulatedTask, World


class SimulatedServers:
    """Servers on loopback that share one clock, one seeded generator, their tasks and faults."""

    def __init__(
        self,
        seed: int,
        habits: Habits,
        fault_share: float,
        journal: str | os.PathLike[str] | None = None,
    ) -> None:
        rng = random.Random(seed)
        self.requests: Counter[str] = Counter()
        self.faults_served: Counter[str] = Counter()
        self._world = World(rng, habits, None if journal is None else Journal(journal))
        self._faults = FaultPlan(rng, fault_share)
        self.tasks: Mapping[str, SimulatedTask] = MappingProxyType(self._world.tasks)
        self._servers: list[ProviderServer] = []
        self._host: str | None = None

    def __repr__(self) -> str:
        where = " ".join(map(self._url, self._servers)) if self._host else "not started"
        return (
            f"<{type(self).__name__} {where}, {len(self.tasks)} tasks,"
            f" {self.requests.total()} requests>"
        )

    def _serve(self, provider: Provider) -> ProviderServer:
        """Add a provider, which gets a port of its own."""
        server = ProviderServer(
            provider, self._world, self._faults, self.requests, self.faults_served
        )
        self._servers.append(server)
        return server

    def _url(self, server: ProviderServer) -> str:
        if self._host is None:
            name = type(self).__name__
            message = f"The simulator has not been started: use `async with {name}(...)`."
            raise RuntimeError(message)
        return f"http://{self._host}:{server.port}"

    def order(self, fault: Fault | str, *, times: int = 1, path: str = "") -> None:
        """Let the next requests meet a fault; faults that were ordered first come first.

        Args:
            fault: a `Fault` or its name.
            times: how many requests meet it. Default 1.
            path: only those whose path contains it. Default: any.
        """
        self._faults.order(Fault(fault), times=times, path=path)

    async def _listen(self, host: str, *ports: int) -> None:
        if self._host is not None:
            message = "The simulator has been started already."
            raise RuntimeError(message)
        self._world.begin()
        try:
            for server, port in zip(self._servers, ports, strict=True):
                await server.start(host, port)
        except OSError:
            await self.close()
            raise
        self._host = host

    async def close(self) -> None:
        """Stop for good; requests in flight are reset, and what is not yet sent is dropped."""
        for server in self._servers:
            await server.close()
        self._world.end()

    async def stop_listening(self) -> None:
        """Go down hard: every connection is reset and new ones are refused; the state is kept."""
        for server in self._servers:
            await server.stop_listening()

    async def listen_again(self) -> None:
        """Come back on the same ports, with the same tasks."""
        for server in self._servers:
            await server.listen()

    async def __aenter__(self) -> Self:
        """Start on free ports of 127.0.0.1."""
        await self._listen("127.0.0.1", *(0 for _ in self._servers))
        return self

    async def __aexit__(self, *_raised: object) -> None:
        await self.close()
