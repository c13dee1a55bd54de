"""One wait: the rules (pure), one look and what follows from it, and the loop that waits."""

from __future__ import annotations

from asyncclient._waiting import evidence as evidence
from asyncclient._waiting.callbacks import (
    Callbacks as Callbacks,
    call as call,
    callbacks_of as callbacks_of,
    end_of_callbacks as end_of_callbacks,
)
from asyncclient._waiting.evidence import without_advice as without_advice
from asyncclient._waiting.gaps import Gaps as Gaps, gaps_of as gaps_of
from asyncclient._waiting.packed import Packed as Packed, Packing as Packing
from asyncclient._waiting.polling import Polling as Polling
from asyncclient._waiting.record import (
    Limits as Limits,
    Past as Past,
    Record as Record,
    limits_of as limits_of,
)
from asyncclient._waiting.report import Report as Report, listen as listen
from asyncclient._waiting.rules import (
    SAME_INSTANT as SAME_INSTANT,
    AskCaller as AskCaller,
    Sleep as Sleep,
    TimeLimit as TimeLimit,
    first_silence as first_silence,
    is_patient as is_patient,
    rare_after_handler as rare_after_handler,
    rare_while_asked as rare_while_asked,
)
from asyncclient._waiting.steps import Steps as Steps, Watch as Watch, result_of as result_of
from asyncclient._waiting.wait import (
    wait_until_done as wait_until_done,
    watch as watch,
)
