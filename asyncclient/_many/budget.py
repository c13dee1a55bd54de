"""How often one account may be asked. No clock, no I/O."""

from __future__ import annotations

import math

# A generic cell rate algorithm; maintained libraries of it cannot be slowed down by an answer.
# Requests are spaced by 1/rate, and late ones may catch up within this many seconds.
_SLACK = 0.02
# A request that leaves later than this many seconds after it was counted makes the next ones wait:
# the event loop stood still. In one that is only busy, they leave as late.
_STANDSTILL = 0.25
# Refusals up to this share count as chance, like BBR's BBRLossThresh (draft-ietf-ccwg-bbr): a real
# limit refuses more. Then only the refused task waits.
_CHANCE = 0.02
# Requests over which that share is counted; it begins again when the rate falls.
_COUNTED = 1000
# After more refusals, the rate falls to this share of what was accepted lately …
_FALL = 0.95
# … or this share, where a refusal costs a pause: probing the limit costs more there …
_FALL_WITH_PAUSE = 0.85
# … but to no less than this share of what was sent …
_LEAST_SHARE = 0.5
# … at most once in this many seconds, since one crowd is refused together.
_REST = 1.0
# Then it rises like CUBIC's window (RFC 9438): back to what was accepted, level there, then faster
# and faster. Per second cubed: at 0.002 it is back after 3 s, and doubled after 10 s.
_RISE = 0.002
# Requests a second that are always allowed, also after many refusals: below that, the provider does
# not refuse because of their number.
_LEAST_RATE = 2.0
# Seconds. The longest pause of a whole account after one answer's hint; each task obeys its own
# hint.
_LONGEST_PAUSE = 60.0
# Seconds without a request after which a found rate is forgotten.
_RATE_COUNTS = 600.0
# Seconds over which the mean of sent requests is taken.
_MEMORY = 2.0
# Seconds. A crowd that has just begun is measured over the time since then, but at least over this.
_LEAST_SEEN = 0.1


class Budget:
    """Spaces the requests to one account, and finds its limit where none is known.

    It backs off when the provider refuses (429), by its `Retry-After` too, and rises again.
    The share of refusals counts: one refusal among many answers changes nothing, so an account that
    is refused by chance is not slowed down more and more.
    """

    def __init__(self, ceiling: float = math.inf) -> None:
        self._whole = ceiling
        self._share = 1.0
        self.ceiling = ceiling
        self.rate = ceiling
        self._next_at = -math.inf
        self._fell_at = -math.inf
        self._limit = ceiling  # requests a second that were accepted when the rate last fell
        self._answers = self._refusals = 0.0
        self._sent = 0.0
        # The time of that mean; pauses are left out, since they would look like a low rate.
        self._seen_at = -math.inf
        self._began = -math.inf

    def wait(self, now: float) -> float:
        """Return the seconds until a request may be sent; 0 when one may be sent now."""
        return max(0.0, self._next_at - now)

    def spend(self, now: float) -> float:
        """Note that a request is sent; return its place in the spacing, for `leave`."""
        idle = now - self._seen_at
        if self.rate < self.ceiling:
            # Seconds from where the rise is level; a silence of over a second is no success.
            risen = math.cbrt((self.rate / self._limit - 1) / _RISE)
            risen += min(1.0, max(0.0, idle))
            self.rate = min(self.ceiling, self._limit * (1 + _RISE * risen**3))
        if idle > _MEMORY:
            self._began = now
            self._sent = 0.0
        if idle > 0:
            self._sent *= math.exp(-idle / _MEMORY)
            self._seen_at = now
        self._sent += 1 / _MEMORY
        self._answers += 1 - self._answers / _COUNTED
        self._refusals -= self._refusals / _COUNTED
        place = max(self._next_at, now - _SLACK)
        self._next_at = place + 1 / self.rate
        return place

    def leave(self, place: float, now: float) -> None:
        """Note that a request leaves now: after a standstill, the next are spaced from here."""
        late = now - _SLACK - place
        if late > _STANDSTILL:
            self._next_at = max(self._next_at, now - _SLACK) + min(late, 1 / self.rate)

    def take_share(self, share: float, now: float) -> None:
        """Use only a part of the ceiling from now on, as one of several workers.

        A rate that was found by backing off changes in the same proportion, since it is also the
        account's. A pause that the provider asked for does not change.
        """
        change = share / self._share
        self._share = share
        self.ceiling = self._whole * share
        self.rate = min(self.ceiling, max(_LEAST_RATE, self.rate * change))
        self._limit = max(self.rate, self._limit * change)
        if self._seen_at <= now < self._next_at:
            self._next_at = now + (self._next_at - now) / change

    def sending(self, now: float) -> float:
        """Return how many requests a second were sent lately, pauses left out."""
        seen = 1 - math.exp(-max(now - self._began, _LEAST_SEEN) / _MEMORY)
        return self._sent * math.exp(-max(0.0, self.idle(now)) / _MEMORY) / seen

    def idle(self, now: float) -> float:
        """Return the seconds since the last request; `inf` before the first."""
        return now - self._seen_at

    def matters(self, now: float) -> bool:
        """Return whether there is something to remember: a pause, or a found rate."""
        found = self.rate < self.ceiling and self.idle(now) <= _RATE_COUNTS
        return self.wait(now) > 0 or found

    def refused(self, now: float, retry_after: float | None) -> None:
        """Note that the provider refused a request for their number."""
        self._refusals += 1
        if self._refusals <= _CHANCE * self._answers:
            return
        pause = retry_after is not None and 0 < retry_after < math.inf
        if now - self._fell_at >= _REST:
            self._fell_at = now
            # A crowd that was just sent counts, where the counting has only begun again.
            counted = max(self._answers, self._sent * _MEMORY, 1.0)
            accepted = max(_LEAST_SHARE, 1 - self._refusals / counted)
            self._limit = max(_LEAST_RATE, min(self.rate, self.sending(now)) * accepted)
            fallen = self._limit * (_FALL_WITH_PAUSE if pause else _FALL)
            self.rate = min(self.ceiling, max(_LEAST_RATE, fallen))
            # The next one may be chance, where a second has many requests.
            self._answers, self._refusals = min(1 / _CHANCE, self.rate), 0.0
        if retry_after is not None and pause:
            self.pause(now + min(retry_after, _LONGEST_PAUSE))

    def pause(self, until: float) -> None:
        """Allow no request before then."""
        self._next_at = max(self._next_at, until)
        self._seen_at = max(self._seen_at, self._next_at)
