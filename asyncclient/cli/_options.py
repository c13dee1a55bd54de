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

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number = super().convert(value, param, ctx)
        if math.isnan(number):  # neither within a range nor outside of it
            self.fail("nan is not a number", param, ctx)
        return number


class Integer(click.IntRange):
    name = "integer"


SECONDS = Number(min=0, min_open=True)
timeout_option = click.option(
    "--timeout",
    type=SECONDS,
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
