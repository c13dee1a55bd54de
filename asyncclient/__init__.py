"""Start a remote job, wait until it is done, get its typed result: for one job or a million."""

from __future__ import annotations

import logging

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
