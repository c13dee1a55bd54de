"""How often one account may be asked, and what a poll of it must be worth. No clock, no I/O."""

from __future__ import annotations

import math

__all__ = ["Budget", "Price"]

# A generic cell rate algorithm in three lines, since a kept library cannot be slowed by an answer:
# requests are spaced by 1/rate, and one that comes late may be caught up within this many seconds.
_SLACK = 0.02
# After a refusal, the rate falls to this share of what was accepted of late …
_FALL = 0.95
# … or this share, where a refusal costs a pause: probing the limit is dearer there …
_FALL_WITH_PAUSE = 0.85
# … but to no less than this share of what was sent …
_LEAST_SHARE = 0.5
# … at most once in so many seconds, since one crowd is refused together …
_REST = 1.0
# … and rises by this share for each second without another.
_RISE = 0.05
# However often it was refused, it still asks so many times a second: below that, the number of
# requests is not what the provider minds.
_LEAST_RATE = 2.0
# One answer's hint holds up the whole account for so many seconds at most; each task obeys its own.
_LONGEST_PAUSE = 60.0
# What was sent and refused of late are means over about so many seconds.
_MEMORY = 2.0
# A crowd that has only just begun is measured over the time since, but over this long at least.
_LEAST_SEEN = 0.1
# So much of a budget is meant to be used: a little is left for what nobody foresees.
_BUSY = 0.97
# What was asked for of late is a mean over so many seconds …
_DEMAND_MEMORY = 5.0
# … the price follows it with this time constant, slower than it is measured …
_PRICE_SECONDS = 10.0
# … at most once in so many seconds …
_PRICE_STEP = 0.5
# … and however odd a moment is, it is not taken for more than so many times too much or too little.
_ODDEST = 4.0
# What has been waiting in line is to be worked off within so many seconds.
_CLEARING_SECONDS = 5.0
_HIGHEST_PRICE = 1e4


class Price:
    """What one poll must be worth, in seconds of delay, for the polls to fit into the budget.

    One price for all tasks of an account sends the polls where they are worth most: intervals go
    with the square root of the price over hazard and weight, which is the optimum for a shared
    rate (Lagrange; the form is Cho and Garcia-Molina's for crawlers). So polls asked for fall with
    the square root of the price, and the price is moved by the square of how far they are off.

    Args:
        floor: the price where the budget is not scarce.
    """

    __slots__ = ("_asked", "_asked_at", "_moved_at", "floor", "now")

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
        """Follow what was asked for.

        Args:
            now: the caller's clock.
            rate: requests a second that are allowed; `math.inf` where no limit is known.
            waiting: polls that are due and wait for their turn.
        """
        if now - self._moved_at < _PRICE_STEP:
            return
        seconds = min(now - self._moved_at, _PRICE_SECONDS / 2)
        self._moved_at = now
        wanted = self._asking(now) + waiting / _CLEARING_SECONDS
        excess = min(max(wanted / (_BUSY * rate), 1 / _ODDEST), _ODDEST)
        moved = self.now * excess ** (2 * seconds / _PRICE_SECONDS)
        self.now = min(max(moved, self.floor), _HIGHEST_PRICE)

    def _asking(self, now: float) -> float:
        return self._asked * math.exp(-max(0.0, now - self._asked_at) / _DEMAND_MEMORY)


class Budget:
    """Spaces the requests to one account, and finds its limit where none is known.

    It backs off when the provider refuses (429), by its `Retry-After` too, and creeps up again.
    What counts is how many were refused: a stray refusal among many answers lowers it little, so
    that an account that is refused by chance is not slowed to nothing.

    Args:
        ceiling: requests a second at most; `math.inf` where no limit is known.
    """

    __slots__ = (
        "_began",
        "_fell_at",
        "_next_at",
        "_refused",
        "_seen_at",
        "_sent",
        "_share",
        "_whole",
        "ceiling",
        "rate",
    )

    def __init__(self, ceiling: float = math.inf) -> None:
        self._whole = ceiling
        self._share = 1.0
        self.ceiling = ceiling
        self.rate = ceiling
        self._next_at = -math.inf
        self._fell_at = -math.inf
        self._sent = 0.0
        self._refused = 0.0
        # Up to when both means are told; a pause is left out, or it would look like a low rate.
        self._seen_at = -math.inf
        self._began = -math.inf

    def wait(self, now: float) -> float:
        """Return the seconds until a request may be sent; 0 when one may be sent now."""
        return max(0.0, self._next_at - now)

    def spend(self, now: float) -> None:
        """Note that a request is sent."""
        if self.rate < self.ceiling:
            risen = self.rate * (1 + _RISE * min(1.0, max(0.0, now - self._seen_at)))
            self.rate = min(self.ceiling, risen)
        if now - self._seen_at > _MEMORY:
            self._began = now
            self._sent = self._refused = 0.0
        kept = self._kept(now)
        self._sent = self._sent * kept + 1 / _MEMORY
        self._refused *= kept
        self._seen_at = max(self._seen_at, now)
        self._next_at = max(self._next_at, now - _SLACK) + 1 / self.rate

    def take_share(self, share: float, now: float) -> None:
        """Keep to a part of the ceiling from now on, as one of several who share it does.

        A rate that was found by backing off changes in the same proportion: it is the account's,
        too. A pause that the provider asked for stays as it is.

        Args:
            share: more than 0, and at most 1, which is all of it.
            now: the caller's clock.
        """
        change = share / self._share
        self._share = share
        self.ceiling = self._whole * share
        self.rate = min(self.ceiling, max(_LEAST_RATE, self.rate * change))
        if self._seen_at <= now < self._next_at:
            self._next_at = now + (self._next_at - now) / change

    def sending(self, now: float) -> float:
        """Return how many requests a second were sent of late, pauses left out."""
        seen = 1 - math.exp(-max(now - self._began, _LEAST_SEEN) / _MEMORY)
        return self._sent * self._kept(now) / seen

    def idle(self, now: float) -> float:
        """Return the seconds since the last request; `inf` before the first."""
        return now - self._seen_at

    def refused(self, now: float, retry_after: float | None) -> None:
        """Note that the provider refused a request for their number.

        Args:
            now: the caller's clock.
            retry_after: the seconds that it asks to wait, if it does; nothing is sent before.
        """
        pause = retry_after is not None and 0 < retry_after < math.inf
        self._refused += 1 / _MEMORY
        if now - self._fell_at >= _REST:
            self._fell_at = now
            accepted = max(_LEAST_SHARE, 1 - self._refused / max(self._sent, 1 / _MEMORY))
            fall = _FALL_WITH_PAUSE if pause else _FALL
            sending = min(self.rate, self.sending(now))
            self.rate = min(self.ceiling, max(_LEAST_RATE, sending * accepted * fall))
        if retry_after is not None and pause:
            self._next_at = max(self._next_at, now + min(retry_after, _LONGEST_PAUSE))
            self._seen_at = max(self._seen_at, self._next_at)

    def _kept(self, now: float) -> float:
        return math.exp(-max(0.0, now - self._seen_at) / _MEMORY)
