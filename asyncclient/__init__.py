"""Start a remote job, wait until it is done, get its typed result: for one job or a million."""

from __future__ import annotations

import importlib
import logging

TYPE_CHECKING = False  # of `typing`, whose import would take a third of this module's time
if TYPE_CHECKING:
    from asyncclient import catalogue, errors
    from asyncclient._durable import Handover, Ticket, TicketExpired, poll_slice
    from asyncclient._http import Handle, SessionPool
    from asyncclient._learning import LearnedSchedule
    from asyncclient._many import AsDone, BudgetStats, Done, KindStats, Poller, PollerStats
    from asyncclient._reading import Reading
    from asyncclient._ref import TaskRef, decode_ref, encode_ref
    from asyncclient._schedule import Schedule
    from asyncclient._state import Snapshot, TaskState, Vocabulary
    from asyncclient._task import Observation, Task, polling_task
    from asyncclient._version import __version__ as __version__
    from asyncclient._waiting import Watch, wait_until_done, watch
    from asyncclient.api import TaskAPI

__all__ = [
    "AsDone",
    "BudgetStats",
    "Done",
    "Handle",
    "Handover",
    "KindStats",
    "LearnedSchedule",
    "Observation",
    "Poller",
    "PollerStats",
    "Reading",
    "Schedule",
    "SessionPool",
    "Snapshot",
    "Task",
    "TaskAPI",
    "TaskRef",
    "TaskState",
    "Ticket",
    "TicketExpired",
    "Vocabulary",
    "Watch",
    "catalogue",
    "decode_ref",
    "encode_ref",
    "errors",
    "poll_slice",
    "polling_task",
    "wait_until_done",
    "watch",
]

# A library stays silent unless its user configures logging.
logging.getLogger("asyncclient").addHandler(logging.NullHandler())

# Each name is imported when it is first asked for (PEP 562): a program that needs one part does not
# load the others, and the command can be interrupted while it loads.
_NAMES = {
    "_durable": "Handover Ticket TicketExpired poll_slice",
    "_http": "Handle SessionPool",
    "_learning": "LearnedSchedule",
    "_many": "AsDone BudgetStats Done KindStats Poller PollerStats",
    "_reading": "Reading",
    "_ref": "TaskRef decode_ref encode_ref",
    "_schedule": "Schedule",
    "_state": "Snapshot TaskState Vocabulary",
    "_task": "Observation Task polling_task",
    "_version": "__version__",
    "_waiting": "Watch wait_until_done watch",
    "api": "TaskAPI",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    if name in {"catalogue", "errors"}:
        return importlib.import_module(f"{__name__}.{name}")
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = value  # so that it is asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, "catalogue", "errors"})
