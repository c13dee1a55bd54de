"""The simulator: a real HTTP server on loopback that speaks Coze and Copy.ai."""

from __future__ import annotations

from asyncclient.testing.simulator.faults import Fault
from asyncclient.testing.simulator.simulator import Simulator
from asyncclient.testing.simulator.tasks import SimulatedTask

__all__ = ["Fault", "SimulatedTask", "Simulator"]
