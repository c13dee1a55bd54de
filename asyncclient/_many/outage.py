"""Whether the looks of one account fail: an outage, its end, and the tasks it delays. No clock."""

from __future__ import annotations

from typing import Generic, TypeVar

from asyncclient._waiting import Record

R = TypeVar("R", bound=Record[object])

# Failed looks of an account in a row that delay its tasks together, so that the next answer is news
# for all of them.
_IN_A_ROW = 5
# Each look moves the share of failed looks by this part of the difference. An outage begins at the
# first bound (16 failures in a row, from none) and ends at the second (7 answers in a row, from
# all).
_NEWEST = 0.1
_DOWN = 0.8
_UP = 0.5


class Outage(Generic[R]):
    """Which tasks of one account back off after failed looks, and whether nearly all looks fail."""

    def __init__(self) -> None:
        # In the order in which they failed: a set's order would be another in each run.
        self._failing: dict[R, None] = {}
        self._put_off: dict[R, None] = {}
        self._in_row = 0
        self._share = 0.0
        self._is_down = False

    def failed(self, record: R) -> None:
        """Note a failed look, after which its task backs off."""
        self._failing[record] = self._put_off[record] = None
        self._in_row += 1
        self._share += _NEWEST * (1 - self._share)
        self._is_down = self._is_down or self._share > _DOWN

    def left(self, record: R) -> None:
        """Note that a task is waited for no longer."""
        self._failing.pop(record, None)
        self._put_off.pop(record, None)

    def answered(self, record: R) -> list[R]:
        """Record an answer; return the tasks for which it is news, each once after a failed look.

        When that ends an outage, the doubling of the gaps of all that back off begins again.
        """
        if not self._share:
            return []
        self.left(record)
        in_row, self._in_row = self._in_row, 0
        self._share *= 1 - _NEWEST
        if self._share < _NEWEST / 100 and not self._failing:
            self._share = 0.0
        if self._is_down and self._share < _UP:
            self._is_down = False
            for failing in self._failing:
                failing.backoffs = 0
        elif in_row < _IN_A_ROW:
            return []
        put_off, self._put_off = self._put_off, {}
        return list(put_off)
