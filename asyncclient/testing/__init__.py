"""For your own tests: a scripted transport, a simulator of the providers, and virtual time.

`ScriptedTransport` answers from a list, without sockets. `Simulator` is a real HTTP server on
loopback. Under a virtual-time loop (`run_virtual`, or the pytest plugin
`asyncclient.testing.pytest_plugin`) hours of waiting pass in milliseconds, with either of them.
"""

from __future__ import annotations

from asyncclient.testing._scripted import ScriptedTransport, reply
from asyncclient.testing._virtual_time import VirtualTimeLoop, run_virtual, virtual_time_loop
from asyncclient.testing.simulator import Fault, SimulatedTask, Simulator

__all__ = [
    "Fault",
    "ScriptedTransport",
    "SimulatedTask",
    "Simulator",
    "VirtualTimeLoop",
    "reply",
    "run_virtual",
    "virtual_time_loop",
]
