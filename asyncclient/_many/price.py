"""The price of a look, in seconds of delay, at which looks fit into a budget. No clock, no I/O."""

from __future__ import annotations

import math

# The share of a budget to use. A little is left for the unexpected.
_BUSY = 0.97
# Seconds over which the recent demand is a mean.
_DEMAND_MEMORY = 5.0
# Seconds. The time constant with which the price follows the demand: slower than it is measured.
_PRICE_SECONDS = 10.0
# Seconds between two moves of the price, at least.
_PRICE_STEP = 0.5
# A single moment counts as at most this many times too much or too little.
_MOST_OFF = 4.0
# Seconds within which the queue should become empty.
_CLEARING_SECONDS = 5.0
_HIGHEST_PRICE = 1e4


class Price:
    """The price of one poll, in seconds of delay, at which the polls fit into the budget.

    One price for all tasks of an account sends the polls where they are worth most: intervals go
    with the square root of the price over hazard and weight, which is the optimum for a shared
    rate (Lagrange; the form is Cho and Garcia-Molina's for crawlers). So polls asked for fall with
    the square root of the price, and the price is moved by the square of how far they are off.
    """

    def __init__(self, floor: float) -> None:
        self.floor = floor
        self.now = floor
        self._asked = 0.0
        self._asked_at = -math.inf
        self._moved_at = -math.inf

    def ask(self, now: float) -> None:
        """Note that a poll is due."""
        self._asked = self._asking(now) + 1 / _DEMAND_MEMORY
        self._asked_at = now

    def move(self, now: float, *, rate: float, waiting: int) -> None:
        """Follow what was asked for."""
        if now - self._moved_at < _PRICE_STEP:
            return
        seconds = min(now - self._moved_at, _PRICE_SECONDS / 2)
        self._moved_at = now
        wanted = self._asking(now) + waiting / _CLEARING_SECONDS
        excess = min(max(wanted / (_BUSY * rate), 1 / _MOST_OFF), _MOST_OFF)
        moved = self.now * excess ** (2 * seconds / _PRICE_SECONDS)
        self.now = min(max(moved, self.floor), _HIGHEST_PRICE)

    def _asking(self, now: float) -> float:
        return self._asked * math.exp(-max(0.0, now - self._asked_at) / _DEMAND_MEMORY)
