"""What the answers to looks may end a wait with: one poll's trouble is no reason."""

from __future__ import annotations

import math
from itertools import takewhile

from asyncclient.errors import TaskBlocked, TaskExpired, UnknownStatus
from tests.simulation.played import Played
from tests.simulation.service import Look

TICK = 0.02  # seconds within which two instants are one: a callback may come a little later
ANSWERS = ("good", "word")  # what shows that the job is known
# Seconds and looks of a row of failures that a wait tolerates.
_OUTAGE_SECONDS = 120.0
_OUTAGE_LOOKS = 10
_UNCLEAR_LOOKS = 3
_WORDLESS_LOOKS = 5
_MISSING_SECONDS = 10.0
_PAUSE = 61.0  # seconds for which an account may be asked to pause


def is_reason(
    error: BaseException | None, looks: list[Look], *, at: float, began: float, picky: bool = False
) -> bool:
    """Return whether what the looks were answered may end a wait with an error.

    Args:
        error: it.
        looks: those that were over by then, in their order.
        at: when it ended.
        began: when the first of all who waited began to.
        picky: whether an unknown word is a reason.
    """
    if not looks or not isinstance(error, Exception):
        return False
    last = looks[-1]
    # What was cut off, by a time limit or a standstill, showed nothing.
    row = list(takewhile(lambda look: look.is_cut or look.verdict not in ANSWERS, reversed(looks)))
    if isinstance(error, TaskBlocked):
        return last.state == "blocked" and last.verdict == "good"
    if isinstance(error, UnknownStatus):
        answers = [look for look in looks if look.verdict in ANSWERS]
        strange = list(takewhile(lambda look: look.verdict == "word", reversed(answers)))
        return bool(strange) and (picky or len(strange) > _WORDLESS_LOOKS)
    if last.verdict == "final":
        return not isinstance(error, TaskExpired)
    if last.verdict == "missing":
        was_there = len(row) < len(looks)
        return was_there or at - began >= _MISSING_SECONDS - TICK
    if sum(look.verdict in {"unclear", "missing", "final"} for look in row) >= _UNCLEAR_LOOKS:
        return True
    lasted = at - row[-1].sent if row else 0.0
    return len(row) > _OUTAGE_LOOKS and lasted >= _OUTAGE_SECONDS - TICK


def is_paused(looks: list[Look], at: float, until: float) -> bool:
    """Return whether an account may have been asked to pause, and so hold up its looks."""
    kinds = {"busy", "queue", "library"}
    return any(
        look.fault is not None and look.fault.kind in kinds and at - _PAUSE <= look.over <= until
        for look in looks
    )


def shows_end_at(played: Played, job: int, tenant: int) -> float:
    """Return from when on a look at a job, as a tenant, shows its end."""
    is_wrong = played.world.tenants[tenant].token == "wrong"
    if is_wrong or tenant not in played.world.jobs[job].readers:
        return math.inf
    return played.service.ends_at(job)


def shown(error: BaseException | None) -> str:
    """Return what an error says, for a sentence about it."""
    try:
        return f"{type(error).__name__}: {error}"[:200]
    except ZeroDivisionError:  # of an error that cannot be shown
        return type(error).__name__


def row_of(looks: list[Look]) -> list[str]:
    """Return the last looks, for a sentence about them: when sent, what came of it, when over."""
    return [f"{look.sent:.2f} {look.verdict} {look.over:.2f}" for look in looks[-4:]]
