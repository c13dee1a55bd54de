"""Waits that outlive a process: a ticket, held in a worker for a slice at a time."""

from __future__ import annotations

from asyncclient._durable.slice import Client as Client, TaskOf as TaskOf, poll_slice as poll_slice
from asyncclient._durable.ticket import (
    LONGEST_WAIT as LONGEST_WAIT,
    Handover as Handover,
    Ticket as Ticket,
    TicketExpired as TicketExpired,
    deadline_of as deadline_of,
    unknown as unknown,
    unreadable as unreadable,
    wall_clock as wall_clock,
)
