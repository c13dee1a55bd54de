"""For your own tests: a scripted transport, simulators of providers and APIs, and virtual time.

`ScriptedTransport` answers from a list, without sockets. `Simulator` is a real HTTP server on
loopback that speaks Coze and Copy.ai, `SimulatedAPI` one that speaks any other task API. Under a
virtual-time loop (`run_virtual`, or the pytest plugin `asyncclient.testing.pytest_plugin`) hours of
waiting pass in milliseconds.
"""

from __future__ import annotations

from asyncclient.testing._scripted import ScriptedTransport, reply
from asyncclient.testing._virtual_time import VirtualTimeLoop, run_virtual, virtual_time_loop
from asyncclient.testing.simulator import (
    Fault,
    SimulatedAPI,
    SimulatedTask,
    Simulator,
    answer_with,
)

__all__ = [
    "Fault",
    "ScriptedTransport",
    "SimulatedAPI",
    "SimulatedTask",
    "Simulator",
    "VirtualTimeLoop",
    "answer_with",
    "reply",
    "run_virtual",
    "virtual_time_loop",
]
