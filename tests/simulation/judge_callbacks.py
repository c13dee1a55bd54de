"""What must be true of what waits call, and of what they do to a job on their way out."""

from __future__ import annotations

from itertools import pairwise

from asyncclient.errors import TaskBlocked
from tests.simulation.played import End, Played
from tests.simulation.reasons import TICK
from tests.simulation.service import TaskKey


def judge_callbacks(played: Played) -> None:
    """Note the invariants of callbacks that were broken."""
    for end in played.ends:
        _judge_shown(played, end)
        can_answer = end.wait.answers and end.wait.how != "as_done"
        if can_answer and isinstance(end.error, TaskBlocked):
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
