"""What version 0.1 wrote into queues, tables and files is read."""

from __future__ import annotations

import pytest

from asyncclient import TaskRef, Ticket, decode_ref, encode_ref

# As 0.1.0 wrote them: `encode_ref` of each kind of handle, and tickets that began at 1764000000.25.
REFERENCES = {
    '{"provider":"coze","kind":"workflow_run","ids":{"workflow_id":"7350583675492311040",'
    '"execute_id":"7400000000000000001"},"created":1764000000,"v":1}': TaskRef(
        "coze",
        "workflow_run",
        {"workflow_id": "7350583675492311040", "execute_id": "7400000000000000001"},
        1764000000,
    ),
    '{"provider":"coze","kind":"chat","ids":{"conversation_id":"7400000000000000003",'
    '"chat_id":"7400000000000000004"},"created":null,"v":1}': TaskRef(
        "coze",
        "chat",
        {"conversation_id": "7400000000000000003", "chat_id": "7400000000000000004"},
    ),
    '{"provider":"coze","kind":"copy_task","ids":{"task_id":"7400000000000000005"},'
    '"created":null,"v":1}': TaskRef("coze", "copy_task", {"task_id": "7400000000000000005"}),
    '{"provider":"copyai","kind":"workflow_run","ids":{"workflow_id":"WCFG-1","run_id":"WRUN-1"},'
    '"created":null,"v":1}': TaskRef(
        "copyai", "workflow_run", {"workflow_id": "WCFG-1", "run_id": "WRUN-1"}
    ),
}


@pytest.mark.parametrize(("written", "means"), REFERENCES.items())
def test_a_reference_of_0_1_is_read(written: str, means: TaskRef) -> None:
    """It names no account, since 0.1 knew none, and is written as a newer one."""
    assert decode_ref(written) == means
    assert decode_ref(encode_ref(decode_ref(written))) == means


@pytest.mark.parametrize(("written", "means"), REFERENCES.items())
@pytest.mark.parametrize(("seen", "polls"), [(None, 0), (1764000120, 7)])
def test_a_ticket_of_0_1_is_read(
    written: str, means: TaskRef, seen: int | None, polls: int
) -> None:
    """Its wait goes on where it was: the deadline, the polls and the last answer are kept."""
    last = "null" if seen is None else str(seen)
    ticket = Ticket.decode(
        f'{{"ref":{written},"deadline":1764000600.25,"started":1764000000,'
        f'"polls":{polls},"seen":{last},"v":1}}'
    )
    assert ticket == Ticket(means, 1764000600.25, 1764000000, polls, seen)
    assert Ticket.decode(ticket.encode()) == ticket
