"""Waits that outlive a process: a ticket, held in a worker for a slice at a time."""

from __future__ import annotations

from asyncclient._durable.slice import Client as Client, TaskOf as TaskOf, poll_slice as poll_slice
from asyncclient._durable.ticket import (
    Handover as Handover,
    Outcome as Outcome,
    Ticket as Ticket,
    TicketExpired as TicketExpired,
    outcome_of as outcome_of,
    wall_clock as wall_clock,
)
