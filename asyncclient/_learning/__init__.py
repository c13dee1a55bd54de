"""How long tasks take, learned from the looks themselves, and when to look by it."""

from __future__ import annotations

from asyncclient._learning.learned import LearnedSchedule as LearnedSchedule
from asyncclient._learning.plan import LEAST_ENDS as LEAST_ENDS, Efficiency as Efficiency
