"""Any number of waits: one look a task, one queue an account, one loop for all."""

from __future__ import annotations

from asyncclient._many.as_done import AsDone as AsDone
from asyncclient._many.loop import PollLoop as PollLoop
from asyncclient._many.poller import (
    BudgetStats as BudgetStats,
    KindStats as KindStats,
    Poller as Poller,
    PollerStats as PollerStats,
)
from asyncclient._many.shared import (
    Done as Done,
    Receiver as Receiver,
    SharedRecord as SharedRecord,
)
