"""The simulators: real HTTP servers on loopback that speak Coze and Copy.ai, or any task API."""

from __future__ import annotations

from asyncclient.testing.simulator.any_api import SimulatedAPI
from asyncclient.testing.simulator.faults import Fault
from asyncclient.testing.simulator.simulator import Simulator
from asyncclient.testing.simulator.tasks import SimulatedTask
from asyncclient.testing.simulator.writing import answer_with

__all__ = ["Fault", "SimulatedAPI", "SimulatedTask", "Simulator", "answer_with"]
