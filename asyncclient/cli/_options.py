"""Numbers and options that several command lines take."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps

import click

from asyncclient.cli._exits import Action
from asyncclient.cli._waits import Waiting


class Number(click.FloatRange):
    name = "number"  # in messages


class Integer(click.IntRange):
    name = "integer"


def number(_context: click.Context, _parameter: click.Parameter, value: float) -> float:
    """Refuse what is neither within a range nor outside of it."""
    if math.isnan(value):
        msg = "nan is not a number"
        raise click.BadParameter(msg)
    return value


SECONDS = Number(min=0, min_open=True)
timeout_option = click.option(
    "--timeout",
    type=SECONDS,
    callback=number,
    metavar="SECONDS",
    default=600.0,
    show_default=True,
    help="How long to wait at most.",
)


def waiting_options(function: Callable[..., Action]) -> Callable[..., Action]:
    """Add the options of a wait; the function gets them as one argument, `waiting`."""

    @timeout_option
    @click.option(
        "--outputs", is_flag=True, help="Write only the task's output, not the whole answer."
    )
    @click.option(
        "--json", "as_json", is_flag=True, help="Write one JSON object: state, word, result, …"
    )
    @wraps(function)
    def with_waiting(*, timeout: float, outputs: bool, as_json: bool, **others: object) -> Action:
        return function(waiting=Waiting(timeout, outputs, as_json), **others)

    return with_waiting
