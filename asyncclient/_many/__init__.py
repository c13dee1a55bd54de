"""Any number of waits: one look a task, one queue an account, one loop for all."""

from __future__ import annotations

from asyncclient._many.as_done import AsDone as AsDone
from asyncclient._many.loop import PollLoop as PollLoop
from asyncclient._many.poller import Poller as Poller
from asyncclient._many.shared import (
    Done as Done,
    Receiver as Receiver,
    SharedRecord as SharedRecord,
)
from asyncclient._many.stats import (
    BudgetStats as BudgetStats,
    KindStats as KindStats,
    PollerStats as PollerStats,
)
