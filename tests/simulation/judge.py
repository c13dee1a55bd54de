"""What must be true of every world that was played, computed from what really happened in it.

Of each wait: it ends once, at most 5 s after its deadline, and in the state that its job was in.
A timeout needs an excuse (`_excused`): a correct waiter sends a last look on the deadline, and
gives it 5 s. An error needs a reason (`_reasons`): one poll's trouble ends no wait.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import takewhile

from asyncclient.errors import (
    TaskBlocked,
    TaskCancelled,
    TaskExpired,
    TaskFailed,
    UnknownStatus,
    WaitTimeout,
)
from tests.simulation.play import play
from tests.simulation.played import Breach, End, Played
from tests.simulation.service import Look, is_provider
from tests.simulation.world import Job, World

# Seconds after its deadline in which a wait ends.
GRACE = 5.0
# Seconds that a remote cancel may take on the way out.
_CANCEL_SECONDS = 5.0
_TICK = 0.02
_ANSWERS = ("good", "word")
# Seconds for which an account may be asked to pause.
_PAUSE = 61.0
# Seconds and looks of a row of failures that a wait tolerates.
_OUTAGE_SECONDS = 120.0
_OUTAGE_LOOKS = 10
_UNCLEAR_LOOKS = 3
_WORDLESS_LOOKS = 5
_MISSING_SECONDS = 10.0
# Seconds after a signal in which a look is sent.
_WAKE_SECONDS = 0.11
# Seconds before the first look at most, and those at the end of a wait that no silence reaches.
_SILENCE = 60.0
# More waits than this at once are a crowd, whose first looks are spread.
_CROWD = 10
# Seconds between two looks at Coze, by its documented rate.
_SPACE = 0.02


def breaches_of(world: World) -> list[Breach]:
    """Play a world, and return the invariants that it broke."""
    return judged(play(world))


def judged(played: Played) -> list[Breach]:
    """Return the invariants that were broken."""
    for end in played.ends:
        _judge(played, end)
    for number, times in played.service.performed.items():
        if times > 1:
            played.breach("start twice", f"start {number} was performed {times} times")
    for look in played.service.doubled:
        played.breach("at once", f"two looks at job {look.job} through {look.through} at once")
    _judge_rate(played)
    _judge_wakes(played)
    return played.breaches


def _judge(played: Played, end: End) -> None:
    wait, error = end.wait, end.error
    name = f"wait {end.number} ({wait.how}, {wait.timeout:g} s from {end.began:g})"
    if end.began == math.inf:
        return  # it was cancelled before its first step
    if end.times != 1:
        played.breach("ends", f"{name} ended {end.times} times")
        return
    looks = _looks_of(played, end)
    job = played.world.jobs[wait.job]
    latest = _latest(played, end)
    if end.at > latest + _TICK:
        played.breach("late", f"{name} ended at {end.at:.3f}, and {latest:.3f} is the latest")
    if isinstance(error, WaitTimeout):
        _judge_timeout(played, end, name, looks)
    elif isinstance(error, asyncio.CancelledError | RuntimeError) and _was_asked_for(played, end):
        pass
    elif error is None or isinstance(error, TaskFailed | TaskCancelled):
        _judge_state(played, end, name, job, looks)
    elif not _has_reason(played, end, _looks_of(played, end, since=0.0)):
        row = [f"{look.sent:.2f} {look.verdict}" for look in looks[-4:]]
        played.breach("no reason", f"{name} ended with {_shown(error)} after {row}")
    if looks and not _joined(played, end):
        _judge_first_look(played, end, name, looks)


def _looks_of(played: Played, end: End, *, since: float | None = None) -> list[Look]:
    """Return the looks that a wait could see: its own, and those through the same Poller."""
    began = end.began if since is None else since
    return [
        look
        for look in played.service.looks
        if (look.through, look.tenant, look.job) == (end.through, end.wait.tenant, end.wait.job)
        and look.over >= began
        and look.sent <= end.at
    ]


def _latest(played: Played, end: End) -> float:
    """Return when a wait must have ended: 5 s after its deadline, or after what stood still."""
    deadline = latest = end.deadline
    if end.cancels:
        latest = deadline = min(deadline, *end.cancels)
    latest += GRACE
    for began, ended in played.clock.stalls:
        if began <= latest and ended > deadline:
            latest = max(latest, ended + GRACE)
    return latest


# --- a timeout ---


def _judge_timeout(played: Played, end: End, name: str, looks: list[Look]) -> None:
    deadline = end.deadline
    if end.at < deadline - 1e-6:
        played.breach(
            "early", f"{name} timed out at {end.at:.3f}, before its deadline {deadline:.3f}"
        )
    ended = _shows(played, end)
    if ended <= deadline - _TICK and not _excused(played, end, looks, deadline):
        row = [f"{look.sent:.2f} {look.verdict} {look.over:.2f}" for look in looks[-4:]]
        played.breach(
            "false timeout",
            f"{name} timed out at {end.at:.3f}, and its job ended at {ended:.3f}; looks: {row}",
        )


def _shows(played: Played, end: End) -> float:
    """Return from when on a look at the job of a wait shows an end."""
    job = played.world.jobs[end.wait.job]
    tenant = played.world.tenants[end.wait.tenant]
    if tenant.token == "wrong" or end.wait.tenant not in job.readers:
        return math.inf
    return played.service.ends_at(end.wait.job)


def _excused(played: Played, end: End, looks: list[Look], deadline: float) -> bool:
    """Return whether no correct waiter could have seen the end.

    It must have sent a look on the deadline or after, which failed, or took longer than the grace;
    unless its budget held it up. Only a wait that had no answer at all has no grace.
    """
    if _was_held_up(played, end, deadline):
        return True
    if not looks:
        return False
    last = looks[-1]
    if _stalled(played, last.sent, end.at):
        return True
    had_answer = any(
        look.verdict in _ANSWERS and look.over <= end.at and not look.is_cut for look in looks
    )
    if last.over >= end.at - _TICK and (last.is_cut or last.over > end.at):
        # It was still unanswered.
        return end.at >= deadline + (GRACE if had_answer else 0.0) - _TICK
    return last.verdict != "good" and last.sent >= deadline - _TICK


def _stalled(played: Played, since: float, until: float) -> bool:
    return any(began <= until and ended >= since for began, ended in played.clock.stalls)


def _was_held_up(played: Played, end: End, deadline: float) -> bool:
    """Return whether the budget of its account may have held up the last look."""
    if end.through != "poller":
        return False
    if played.world.rate < math.inf:
        return True
    others = [look for look in played.service.looks if look.through == end.through]
    paused = any(
        look.fault is not None
        and look.fault.kind in {"busy", "queue", "library"}
        and end.at - _PAUSE <= look.over <= end.at
        for look in others
    )
    at_work = sum(look.sent <= deadline < look.over for look in others)
    return paused or at_work >= played.world.concurrency


# --- an end ---


def _judge_state(played: Played, end: End, name: str, job: Job, looks: list[Look]) -> None:
    """Check that the end was shown by a look of this wait's own tenant."""
    state = "succeeded" if end.error is None else "failed"
    if isinstance(end.error, TaskCancelled):
        state = "cancelled"
    shown = [look for look in looks if look.verdict == "good" and look.over <= end.at + _TICK]
    if end.wait.how == "watch" and end.error is None:
        # Its last snapshot shows any end.
        state = shown[-1].state if shown else "none"
        if state in {"running", "blocked"}:
            played.breach("state", f"{name} ended at a snapshot of a job that goes on")
    if not any(look.state == state for look in shown):
        played.breach("state", f"{name} ended as {state}, and no look showed that ({job.word})")


def _was_asked_for(played: Played, end: End) -> bool:
    """Return whether a wait was cancelled, or what it goes through was closed."""
    if isinstance(end.error, asyncio.CancelledError):
        return bool(end.cancels)
    closed = played.closed_at <= end.at and end.through == "poller"
    return closed or end.wait.pool in played.service.closed_pools


def _has_reason(played: Played, end: End, looks: list[Look]) -> bool:
    """Return whether what the looks were answered may end a wait with an error."""
    looks = [look for look in looks if look.over <= end.at]
    # Another waiter's look may have come and gone in the same instant.
    while looks and looks[-1].over >= end.at - 1e-6:
        if _is_reason(played, end, looks):
            return True
        looks.pop()
    return bool(looks) and _is_reason(played, end, looks)


def _is_reason(played: Played, end: End, looks: list[Look]) -> bool:
    """Return whether the last of some looks may end a wait with its error."""
    error, last = end.error, looks[-1]
    row = list(takewhile(lambda look: look.verdict not in _ANSWERS, reversed(looks)))
    if isinstance(error, TaskBlocked):
        return last.state == "blocked" and last.verdict == "good"
    if isinstance(error, UnknownStatus):
        strange = list(takewhile(lambda look: look.verdict == "word", reversed(looks)))
        return bool(strange) and (end.wait.picky or len(strange) > _WORDLESS_LOOKS)
    if not isinstance(error, Exception):
        return False
    unclear = sum(look.verdict in {"unclear", "missing"} for look in row)
    if last.verdict == "final":
        return not isinstance(error, TaskExpired)
    if last.verdict == "missing":
        was_there = any(look.verdict in _ANSWERS for look in looks)
        since = min(other.began for other in played.ends if other.through == end.through)
        return was_there or end.at - since >= _MISSING_SECONDS - _TICK
    if unclear >= _UNCLEAR_LOOKS:
        return True
    lasted = end.at - row[-1].sent if row else 0.0
    return len(row) > _OUTAGE_LOOKS and lasted >= _OUTAGE_SECONDS - _TICK


def _shown(error: BaseException | None) -> str:
    try:
        return f"{type(error).__name__}: {error}"[:200]
    except Exception:  # noqa: BLE001  (some errors of these worlds cannot be shown)
        return type(error).__name__


# --- looks ---


def _joined(played: Played, end: End) -> bool:
    """Return whether a wait came to a task that was looked at already."""
    return any(
        other is not end
        and (other.through, other.wait.tenant, other.wait.job)
        == (end.through, end.wait.tenant, end.wait.job)
        and other.began <= end.began <= other.at
        for other in played.ends
    )


def _judge_first_look(played: Played, end: End, name: str, looks: list[Look]) -> None:
    """Check that no silence before the first look is too long."""
    wait = end.wait
    allowed = min(_SILENCE, max(0.0, wait.timeout - GRACE)) if wait.timeout >= 10 else 0.0
    together = [other for other in played.ends if 0 <= end.began - other.began <= 1]
    if end.through == "poller":
        allowed += len(together) * _SPACE + (len(together) > _CROWD) * wait.timeout / 2
    late = looks[0].sent - end.began - allowed
    excused = _stalled(played, end.began, looks[0].sent) or _was_held_up(played, end, looks[0].sent)
    if late > _TICK and not excused:
        played.breach("silence", f"{name} is first looked at {late:.3f} s too late")


def _judge_rate(played: Played) -> None:
    """Check that no five seconds hold more looks of an account than allowed."""
    rate = played.world.rate
    if rate == math.inf:
        return
    sent: dict[tuple[int, str], list[float]] = {}
    for look in played.service.looks:
        kind = played.world.jobs[look.job].kind
        if look.through == "poller" and not _is_repeat(played, look):
            sent.setdefault((look.tenant, kind), []).append(look.sent)
    for account, times in sent.items():
        most = max(bisect_left(times, at + 5 - 1e-6) - number for number, at in enumerate(times))
        if most > rate * 5.02 + 1:
            played.breach(
                "rate", f"{most} looks in 5 s of {account}, and {rate:g} a second are allowed"
            )


def _is_repeat(played: Played, look: Look) -> bool:
    """Return whether a request is the second of one look, after a token was refused."""
    rotating = played.world.tenants[look.tenant].token == "rotating"
    return rotating and is_provider(played.world.jobs[look.job])


def _judge_wakes(played: Played) -> None:
    """Check that a signal brings a look at once."""
    for number, at in played.wakes:
        end = played.ends[number]
        looks: Sequence[Look] = [
            look
            for look in played.service.looks
            if (look.through, look.tenant, look.job) == ("poller", end.wait.tenant, end.wait.job)
        ]
        under_way = [look.over for look in looks if look.sent <= at <= look.over]
        since = max([at, *under_way])
        ends = [
            other.at
            for other in played.ends
            if (other.through, other.wait.tenant, other.wait.job)
            == ("poller", end.wait.tenant, end.wait.job)
            and other.began <= at
        ]
        waited = max(ends, default=0.0)
        if waited <= since + _WAKE_SECONDS or _was_held_up(played, end, since):
            continue
        if _stalled(played, at, since + _WAKE_SECONDS) or played.closed_at <= since + 1:
            continue
        if not any(at - _TICK <= look.sent <= since + _WAKE_SECONDS for look in looks):
            played.breach("wake", f"a signal at {at:.3f} for wait {number} brought no look")
