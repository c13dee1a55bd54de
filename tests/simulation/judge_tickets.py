"""What must be true of durable waits: none lost, each reported, in its right state, in time."""

from __future__ import annotations

from asyncclient import TicketExpired
from asyncclient.errors import TaskCancelled, TaskFailed
from asyncclient.integrations._outcome import Outcome
from tests.simulation.played import Call, Played
from tests.simulation.reasons import TICK, is_paused, is_reason, row_of, shown, shows_end_at
from tests.simulation.service import Look
from tests.simulation.world import Ticket

# What makes a wait be reported more than once: what its worker did after the sink is not known.
_LOSSES = {"kill", "stop", "store", "stall", "wall_clock"}


def judge_tickets(played: Played) -> None:
    """Note which promises of durable waits were broken."""
    for number, ticket in enumerate(played.world.tickets):
        _judge(played, str(number), ticket)
    for row in played.shelf.rows.values():
        played.check_text(row.text, "a ticket")
    for text in played.shelf.ends.values():
        played.check_text(text, "an outcome")


def _judge(played: Played, key: str, ticket: Ticket) -> None:
    shelf = played.shelf
    calls = [call for call in shelf.calls if call.key == key]
    taken = [call for call in calls if call.is_taken]
    if key not in shelf.submitted:
        played.breach("lost", f"ticket {key} could not be submitted")
        return
    text = shelf.ends[key]
    outcome = Outcome.decode(text) if text.startswith("{") else None
    if key in shelf.called_off or (outcome is not None and outcome.how == "cancelled"):
        off = shelf.called_off.get(key, played.clock.now)
        if taken or any(call.began > off for call in calls) or outcome is None:
            played.breach("called off", f"ticket {key} was called off, and the sink was called")
        return
    if outcome is None:
        played.breach("lost", f"ticket {key} has no outcome, but {text!r}")
        return
    if not taken:
        played.breach("unreported", f"ticket {key} ended, and no sink took it")
        return
    if len(taken) > 1 and not _LOSSES & {event.kind for event in played.world.events}:
        played.breach("reported twice", f"the sink took ticket {key} {len(taken)} times")
    _judge_end(played, key, ticket, taken[-1])


def _judge_end(played: Played, key: str, ticket: Ticket, call: Call) -> None:
    workers = played.service.looks_through("worker")
    looks = [look for look in workers if look.job == ticket.job and look.sent <= call.began]
    error = call.end.error
    began = min(other.begins for other in played.world.tickets if other.job == ticket.job)
    over = [look for look in looks if look.over <= call.began]
    by_worker = {look.task: [each for each in over if each.task == look.task] for look in over}
    if isinstance(call.end, TicketExpired):
        if not any(event.kind == "wall_clock" for event in played.world.events):
            _judge_expiry(played, key, ticket, call.end, call.began, looks)
    elif error is None or isinstance(error, TaskFailed | TaskCancelled):
        state = "succeeded" if error is None else "failed"
        state = "cancelled" if isinstance(error, TaskCancelled) else state
        if not any(look.state == state and look.verdict == "good" for look in looks):
            played.breach("state", f"ticket {key} ended as {state}, and no look showed that")
    elif not any(
        is_reason(error, row[:number], at=call.began, began=began)
        for row in (over, *by_worker.values())  # what failed in a row did so for one of them
        for number in range(len(row), 0, -1)  # its end may have been with the sink before
    ):
        said = f"{shown(error)} after {row_of(looks)}"
        played.breach("no reason", f"ticket {key} ended with {said}")


def _judge_expiry(
    played: Played, key: str, ticket: Ticket, end: TicketExpired, at: float, looks: list[Look]
) -> None:
    deadline = played.shelf.submitted[key] + ticket.timeout
    if at < deadline - 1.0:
        played.breach("early", f"ticket {key} expired at {at:.2f}, before {deadline:.2f}")
    ended = shows_end_at(played, ticket.job, ticket.tenant)
    looks = [look for look in looks if look.over >= played.shelf.submitted[key]]
    # The answers of other tickets of the job are none of this one's.
    had_answer = end.ticket.polls > 1 and any(
        look.verdict == "good" and look.over < deadline - 1.0 for look in looks
    )
    last = [look for look in looks if look.over >= deadline - 1.0]
    failed = any(
        look.verdict != "good" or look.is_cut or look.over >= deadline + 4.0 for look in last
    )
    paused = is_paused(played.service.looks_through("worker"), deadline, at)
    excused = failed or paused or (looks and not had_answer)
    if ended <= deadline - 1.0 - TICK and not excused:
        said = f"{deadline:.2f}, and its job ended at {ended:.2f}: {row_of(looks)}"
        played.breach("false timeout", f"ticket {key} expired at {said}")
