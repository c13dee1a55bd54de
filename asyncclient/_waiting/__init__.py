"""One wait: the rules (pure), one look and what follows from it, and the loop that waits."""

from __future__ import annotations

from asyncclient._waiting import evidence as evidence
from asyncclient._waiting.evidence import without_advice as without_advice
from asyncclient._waiting.gaps import Gaps as Gaps, gaps_of as gaps_of
from asyncclient._waiting.polling import Polling as Polling
from asyncclient._waiting.record import (
    Limits as Limits,
    Record as Record,
    change_between as change_between,
    limits_of as limits_of,
)
from asyncclient._waiting.report import Listener as Listener, Report as Report, listen as listen
from asyncclient._waiting.rules import (
    SAME_INSTANT as SAME_INSTANT,
    AskCaller as AskCaller,
    Sleep as Sleep,
    TimeLimit as TimeLimit,
    first_silence as first_silence,
    is_patient as is_patient,
)
from asyncclient._waiting.wait import (
    Watch as Watch,
    wait_until_done as wait_until_done,
    watch as watch,
)
