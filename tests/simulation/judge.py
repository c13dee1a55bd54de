"""What must be true of every world that was played, computed from what really happened in it.

Of each wait: it ends once, at most 5 s after its deadline, and in the state that its job was in.
A timeout needs an excuse (`_excused`): a correct waiter sends a last look on the deadline, and
gives it 5 s. An error needs a reason (`reasons.py`): one poll's trouble ends no wait.
"""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from itertools import pairwise

from asyncclient.errors import TaskBlocked, TaskCancelled, TaskFailed, WaitTimeout
from tests.simulation.judge_tickets import judge_tickets
from tests.simulation.play import play
from tests.simulation.played import Breach, End, MisdeedError, Played
from tests.simulation.reasons import (
    ANSWERS,
    TICK,
    is_paused,
    is_reason,
    row_of,
    shown,
    shows_end_at,
)
from tests.simulation.service import Look, TaskKey
from tests.simulation.world import World

_SAME_INSTANT = 1e-3  # seconds within which a look that is sent counts as one on the deadline
GRACE = 5.0  # seconds after its deadline in which a wait ends
POLL_SECONDS = 60.0  # that a look may take
_REST = 0.05  # seconds between a look that outlasted the deadline and the last one
_FIRST_LOOK = 0.25  # seconds that the first look may take in any case
_WAKE_SECONDS = 0.11  # after a signal, in which a look is sent
_REFUSED_SECONDS = 0.5  # between two looks at most, where an account was refused before
# Seconds before the first look at most, and those at the end of a wait that no silence reaches.
_SILENCE = 60.0
_CROWD = 10  # more waits than this at once have their first looks spread
_SPACE = 0.02  # seconds between two looks at Coze, by its documented rate


def breaches_of(world: World) -> list[Breach]:
    """Play a world, and return the invariants that it broke."""
    return judged(play(world))


def judged(played: Played) -> list[Breach]:
    """Return the invariants that were broken."""
    for end in played.ends:
        end.at = _before_its_cancel(played, end)
    for end in played.ends:
        _judge(played, end)
    for number, times in played.service.performed.items():
        if times > 1:
            played.breach("start twice", f"start {number} was performed {times} times")
    for task, looks in played.service.looks.items():
        # One that is given up in the same instant is under way no longer.
        if any(before.over > after.sent for before, after in pairwise(looks)):
            played.breach("at once", f"two looks at once at the task {task}")
        for look in looks:
            hung = POLL_SECONDS + TICK < look.over - look.sent < math.inf
            if hung and not _stalled(played, look.sent, look.over):
                played.breach("hang", f"the look at {task} from {look.sent:.2f} was not given up")
    _judge_callbacks(played)
    _judge_rate(played)
    _judge_wakes(played)
    judge_tickets(played)
    return played.breaches


def _before_its_cancel(played: Played, end: End) -> float:
    """Return when a wait ended, without the request that cancels its job when it has timed out."""
    if not (end.wait.stops and isinstance(end.error, WaitTimeout)):
        return end.at
    since = end.deadline - TICK
    own = [at for at, key in played.service.cancels if key == end.key and since <= at <= end.at]
    return max(own, default=end.at)


def _judge(played: Played, end: End) -> None:
    wait, error = end.wait, end.error
    name = f"wait {end.number} ({wait.how}, {wait.timeout:g} s from {end.began:g})"
    if end.began == math.inf:
        return  # it was cancelled before its first step
    if end.times != 1:
        played.breach("ends", f"{name} ended {end.times} times")
        return
    looks = _looks_of(played, end, since=end.began)
    latest = _latest(played, end)
    if end.at > latest + TICK:
        played.breach("late", f"{name} ended at {end.at:.3f}, and {latest:.3f} is the latest")
    if isinstance(error, WaitTimeout):
        _judge_timeout(played, end, name, looks)
    elif _was_asked_for(played, end):
        pass
    elif error is None or isinstance(error, TaskFailed | TaskCancelled):
        _judge_state(played, end, name, looks)
    elif not _has_reason(played, end, _looks_of(played, end, since=0.0)):
        played.breach("no reason", f"{name} ended with {shown(error)} after {row_of(looks)}")
    # A wait that joins others comes to a task that was looked at already.
    before = [other for other in played.ends if other is not end and other.key == end.key]
    joined = any(other.began <= end.began <= other.at for other in before)
    if looks and not joined:
        _judge_first_look(played, end, name, looks)


def _looks_of(played: Played, end: End, *, since: float) -> list[Look]:
    """Return the looks that a wait could see: its own, and those through the same Poller."""
    of_task = played.service.looks.get(end.key, [])
    return [look for look in of_task if look.over >= since and look.sent <= end.at]


def _latest(played: Played, end: End) -> float:
    """Return when a wait must have ended: 5 s after its deadline, or after what stood still."""
    deadline = end.deadline
    for began, ended in played.clock.stalls:
        # An `as_done` takes its tasks in a turn after it began.
        if end.wait.how == "as_done" and began - TICK <= end.began <= ended:
            deadline += ended - end.began
    if end.cancels:
        deadline = min(deadline, *end.cancels)
    grace = 2 * GRACE if end.wait.misdeed else GRACE  # a callback that hangs is cut off
    latest = deadline + grace
    for began, ended in played.clock.stalls:
        if began <= latest and ended > deadline:
            latest = max(latest, ended + grace + _REST)
    return latest


# --- a timeout ---


def _judge_timeout(played: Played, end: End, name: str, looks: list[Look]) -> None:
    deadline = end.deadline
    if end.at < deadline - _SAME_INSTANT:
        at = f"{end.at:.3f}, before its deadline {deadline:.3f}"
        played.breach("early", f"{name} timed out at {at}")
    ended = shows_end_at(played, end.wait.job, end.wait.tenant)
    if ended <= deadline - TICK and not _excused(played, end, looks, deadline):
        at = f"{end.at:.3f}, and its job ended at {ended:.3f}"
        played.breach("false timeout", f"{name} timed out at {at}; looks: {row_of(looks)}")


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
        look.verdict in ANSWERS
        and end.began + TICK < look.over < end.at - TICK
        and look.over - look.sent < POLL_SECONDS
        and not _came_with_a_standstill(played, look)
        for look in looks
    )
    if not had_answer:
        return end.at >= min(looks[0].sent + _FIRST_LOOK, looks[0].over) - TICK
    unanswered = last.over >= end.at - TICK and end.at >= deadline + GRACE - _REST - TICK
    failed = last.verdict != "good" and last.sent >= deadline - TICK
    # What is sent in the instant of its end, or while its callback holds that up, may be sent for
    # others.
    is_held = end.wait.misdeed in {"hangs", "slow"} and last.sent >= deadline
    may_be_others = last.sent >= end.at - 1e-6 or is_held
    is_others = may_be_others and _excused(played, end, looks[:-1], deadline)
    return unanswered or failed or is_others


def _came_with_a_standstill(played: Played, look: Look) -> bool:
    """Return whether an answer waited for the loop to go on, and so may have been broken off."""
    ends = (ended for began, ended in played.clock.stalls if began >= look.sent)
    return any(abs(ended - look.over) <= TICK for ended in ends)


def _stalled(played: Played, since: float, until: float) -> bool:
    return any(began <= until and ended >= since for began, ended in played.clock.stalls)


def _was_held_up(played: Played, end: End, at: float) -> bool:
    """Return whether the budget of its account may have held up a look."""
    if end.through != "poller":
        return False
    if played.world.rate < math.inf:
        return True
    others = played.service.looks_through("poller")
    at_work = sum(look.sent <= at < look.over for look in others)
    return at_work >= played.world.concurrency or is_paused(others, at, end.at)


# --- an end ---


def _judge_state(played: Played, end: End, name: str, looks: list[Look]) -> None:
    """Check that the end was shown by a look of this wait's own tenant."""
    state = "succeeded" if end.error is None else "failed"
    if isinstance(end.error, TaskCancelled):
        state = "cancelled"
    seen = [look for look in looks if look.verdict == "good" and look.over <= end.at + TICK]
    if end.wait.how in {"watch", "poller_watch"} and end.error is None:
        # Its last snapshot shows any end.
        state = seen[-1].state if seen else "none"
        if state in {"running", "blocked"}:
            played.breach("state", f"{name} ended at a snapshot of a job that goes on")
    if not any(look.state == state for look in seen):
        word = played.world.jobs[end.wait.job].word
        played.breach("state", f"{name} ended as {state}, and no look showed that ({word})")


def _was_asked_for(played: Played, end: End) -> bool:
    """Return whether a wait was cancelled, or its callback raised, or its way was closed."""
    if isinstance(end.error, MisdeedError):
        return end.wait.misdeed == "raises"
    if isinstance(end.error, asyncio.CancelledError):
        return bool(end.cancels)
    if not isinstance(end.error, RuntimeError):
        return False
    closed = played.closed_at <= end.at and end.through == "poller"
    return closed or end.wait.pool in played.service.closed_pools


def _has_reason(played: Played, end: End, looks: list[Look]) -> bool:
    """Return whether what the looks were answered may end a wait with an error."""
    began = min(other.began for other in played.ends if other.through == end.through)
    looks = [look for look in looks if look.over <= end.at]
    while looks:
        if is_reason(end.error, looks, at=end.at, began=began, picky=end.wait.picky):
            return True
        if looks.pop().over < end.at - 1e-6 and not end.wait.misdeed:
            return False  # else another waiter's look came and went in the same instant
    return False


# --- looks ---


def _judge_first_look(played: Played, end: End, name: str, looks: list[Look]) -> None:
    """Check that no silence before the first look is too long."""
    timeout = end.wait.timeout
    allowed = min(_SILENCE, max(0.0, timeout - GRACE)) if timeout >= 10 else 0.0
    together = [other for other in played.ends if 0 <= end.began - other.began <= 1]
    if end.through == "poller":
        allowed += len(together) * _SPACE + (len(together) > _CROWD) * timeout / 2
    late = looks[0].sent - end.began - allowed
    excused = _stalled(played, end.began, looks[0].sent) or _was_held_up(played, end, looks[0].sent)
    if late > TICK and not excused:
        played.breach("silence", f"{name} is first looked at {late:.3f} s too late")


def _judge_rate(played: Played) -> None:
    """Check that no five seconds hold more looks of an account than allowed."""
    rate = played.world.rate
    if rate == math.inf:
        return
    sent: dict[tuple[int, str], list[float]] = {}
    for look in played.service.looks_through("poller"):
        _, tenant, job = look.task
        # A token that is refused is renewed, and the request repeated at once.
        if played.world.tenants[tenant].token != "rotating":
            sent.setdefault((tenant, played.world.jobs[job].kind), []).append(look.sent)
    for account, times in sent.items():
        most = max(bisect_left(times, at + 5 - 1e-6) - number for number, at in enumerate(times))
        if most > rate * 5.02 + 1:
            allowed = f"{rate:g} a second are allowed"
            played.breach("rate", f"{most} looks in 5 s of {account}, and {allowed}")


def _judge_wakes(played: Played) -> None:
    """Check that a signal brings a look at once."""
    for number, at in () if played.service.closed_pools else played.wakes:
        wait = played.ends[number].wait
        key = ("poller", wait.tenant, wait.job)
        looks = played.service.looks.get(key, [])
        since = max([at, *(look.over for look in looks if look.sent <= at <= look.over)])
        kinds = [job.kind for job in played.world.jobs]
        # Tenants without a name share one budget.
        others = played.service.looks_through("poller")
        alike = [look for look in others if kinds[look.task[2]] == kinds[wait.job]]
        was_refused = is_paused(alike, 0.0, at)
        soon = since + _WAKE_SECONDS + (_REFUSED_SECONDS if was_refused else 0.0)
        same = [end for end in played.ends if end.key == key and end.began <= at]
        end = max(same, key=lambda one: one.at)
        # On the deadline the last look is sent: a signal after it brings none.
        is_late = end.at <= soon or at > end.deadline
        excused = is_late or played.closed_at <= soon or _stalled(played, at, soon)
        woken = any(at - TICK <= look.sent <= soon for look in looks)
        # A demand that none of them answers ends them all.
        is_demand = not any(one.wait.can_answer for one in same)
        is_over = any(
            look.over <= soon and (look.shows_end or (is_demand and look.state == "blocked"))
            for look in looks
        )
        if not (woken or is_over or excused or _was_held_up(played, end, since)):
            played.breach("wake", f"a signal at {at:.3f} for wait {number} brought no look")


# --- callbacks, and what waits do to a job on their way out ---


def _judge_callbacks(played: Played) -> None:
    """Note the invariants of callbacks that were broken."""
    for end in played.ends:
        _judge_shown(played, end)
        if end.wait.can_answer and isinstance(end.error, TaskBlocked):
            played.breach("blocked", f"wait {end.number} can answer, and ended as blocked")
    for key in dict.fromkeys(end.key for end in played.ends):
        _judge_asks(played, key)
    for at, key in played.service.cancels:
        _judge_cancel(played, at, key)


def _judge_shown(played: Played, end: End) -> None:
    """Check that snapshots come in the order of their looks, each a change, to the very end."""
    for before, after in pairwise(end.shown):
        same = (before.state, before.word, before.progress) == (
            after.state,
            after.word,
            after.progress,
        )
        if after.polls <= before.polls or same:
            played.breach("order", f"wait {end.number} was shown {after!r} after {before!r}")
    state = end.shown[-1].state if end.shown else None
    ended_well = end.error is None and end.times == 1 and not end.wait.misdeed
    if end.shown and ended_well and (state is None or not state.is_terminal):
        played.breach("order", f"wait {end.number} ended well, and was shown {end.shown[-1]!r}")


def _judge_asks(played: Played, key: TaskKey) -> None:
    """Check that one caller at a time is asked, and none when that was answered.

    A job of a world makes one demand, which is forgotten when no one waits for the job any more.
    """
    ends = [end for end in played.ends if end.key == key]
    asks = [ask for end in ends for ask in end.asks]
    asks.sort(key=lambda ask: (ask.began, ask.over, ask.is_answered))
    for before, after in pairwise(asks):
        is_known = before.is_answered and _is_waited_for(ends, before.over, after.began)
        if is_known or after.began < before.over - 1e-6:
            played.breach("asked", f"{key} was asked at {before.began:.3f} and {after.began:.3f}")


def _is_waited_for(ends: list[End], since: float, until: float) -> bool:
    """Return whether there was a wait at each instant between two."""
    for end in sorted(ends, key=lambda end: end.began):
        if end.began < since:
            since = max(since, end.at)
    return since >= until


def _judge_cancel(played: Played, at: float, key: TaskKey) -> None:
    """Check that a job is cancelled only when no other wait for the task is left."""
    for end in played.ends:
        waits = end.began < at - TICK and at + TICK < min(end.at, end.deadline, played.closed_at)
        asked_to_stop = any(moment <= at + TICK for moment in end.cancels)
        if end.key == key and waits and not asked_to_stop and not end.wait.misdeed:
            played.breach("cancel", f"{key} was cancelled at {at:.3f}, and {end.number} waits")
