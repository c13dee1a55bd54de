"""The demo's tasks: their kinds, how long they take and how they end, drawn from a seed."""

from __future__ import annotations

from random import Random

import msgspec

WORKFLOW = "7350000000000000001"
BOT = "7493066380997000000"
WORKSPACE = "7498204883280400000"
COPYAI_WORKFLOW = "WCFG-demo"

_FAIL_SHARE = 0.05
_BLOCK_SHARE = 0.03
# Log-normal with sigma 0.4 and mean 2.5 s, capped so that one task does not keep the demo waiting.
_LONGEST = 6.0
_SPREAD = 0.4
_LOG_MEAN = 0.836


class Job(msgspec.Struct, frozen=True):
    """One task of the demo, with the fate that the simulator gives it on order.

    Attributes:
        number: from 0.
        kind: `workflow`, `chat` or `copy` at Coze, `copyai` at Copy.ai.
        seconds: how long it takes.
        outcome: `success`, `fail`, or `interrupt`: it stops for its caller, then ends well.
    """

    number: int
    kind: str
    seconds: float
    outcome: str

    @property
    def marker(self) -> str:
        """Its name at the simulator, which counts starts by it; a copy's name is its fate."""
        prefix = "fail-" if (self.kind, self.outcome) == ("copy", "fail") else ""
        return f"{prefix}demo-{self.number}"

    @property
    def fate(self) -> dict[str, object]:
        """The order for the simulator."""
        return {"seconds": self.seconds, "outcome": self.outcome, "marker": self.marker}


def jobs_of(tasks: int, seed: int) -> list[Job]:
    """Draw the demo's tasks: half Copy.ai, half Coze; the same seed draws the same.

    Args:
        tasks: how many.
        seed: of the generator.
    """
    rng = Random(seed)
    kinds = [_kind(number) for number in range(tasks)]
    failing = set(rng.sample(range(tasks), max(1, round(tasks * _FAIL_SHARE))))
    may_block = [n for n in range(tasks) if kinds[n] in {"workflow", "chat"} and n not in failing]
    blocks = min(len(may_block), max(1, round(tasks * _BLOCK_SHARE)))
    blocking = set(rng.sample(may_block, blocks))
    jobs: list[Job] = []
    for number, kind in enumerate(kinds):
        outcome = "fail" if number in failing else "success"
        outcome = "interrupt" if number in blocking else outcome
        seconds = min(rng.lognormvariate(_LOG_MEAN, _SPREAD), _LONGEST)
        jobs.append(Job(number, kind, round(seconds, 3), outcome))
    return jobs


def _kind(number: int) -> str:
    if number % 2:
        return "copyai"
    # Of Coze's half a few are chats and copies.
    return {6: "chat", 14: "copy"}.get(number % 30, "workflow")
