"""The simulator: a real HTTP server on loopback that speaks Coze and Copy.ai."""

from __future__ import annotations

import os

from asyncclient.testing.simulator.copyai import SimulatedCopyAI
from asyncclient.testing.simulator.coze import SimulatedCoze
from asyncclient.testing.simulator.coze_answers import Plan
from asyncclient.testing.simulator.servers import SimulatedServers
from asyncclient.testing.simulator.tasks import Durations, Habits, usual_duration


class Simulator(SimulatedServers):
    """A real HTTP server on loopback that speaks two task providers, Coze and Copy.ai.

    Each provider has its own port. One seeded generator draws everything random, and a task's state
    depends on the event loop's time alone, so it also runs under a virtual clock. It never sends
    anything to another machine. It listens once it is entered or started.

    You decide what happens to a task by a key `simulate` in the inputs of its start: Coze
    `parameters` of a run, `parameters` or `custom_variables` (as JSON text) of a chat, Copy.ai
    `startVariables`. It is an object; every part of it is optional:

    * `seconds`: how long the task takes.
    * `outcome`: see below; `success` unless drawn otherwise.
    * `words`: status words shown first, one for each poll; null leaves the status out.
    * `marker`: counted in `starts` (so is a Copy.ai `metadata.marker`).
    * `shape`: `live` or `doc`, answers as observed or as the provider's pages show them. A `doc`
      run history lacks `is_output_trimmed` (a synchronous run's always does), a `doc` chat begins
      as `created` and its cancelling answers hollow objects; Coze's own SDK stumbles over these.
      Left out, answers take turns where that SDK reads both shapes, and are `live` elsewhere.

    Outcomes, of Coze's runs (R), Coze's chats (C) and Copy.ai's runs (A):

    * `success` (R, C, A): it ends well.
    * `fail` (R, C, A): it ends badly.
    * `cancel` (R, C): it ends cancelled (`Cancel`, `canceled`).
    * `interrupt` (R, C): half-way it waits for input, then ends well.
    * `unset` (R): the same, with `<UNSET>` for a status.
    * `trimmed` (R): its output is cut off; nodes have the whole.
    * `plain_text` (R, A): its output is not JSON.
    * `empty_list` (R): until it ends, `data` is an empty list.
    * `malformed` (R): until it ends, answers are not valid JSON.
    * `out_of_credits` (R, A): its start is refused: code 4011, or HTTP 400.

    A copy task is ordered by its `entity_id`, which is its marker too: `fail-…` fails, `slow-…`
    takes ten times as long. So is a document by its id, whose processing begins when it is first
    asked for. A `workflow_id` that begins with `missing` is unknown.

    Args:
        seed: seed of the random generator. Default 0.
        durations: draws how many seconds a task takes. Default: log-normal, mean 2, sigma 0.5.
        fail_share: the share (0 to 1) of tasks that fail. Default 0.
        interrupt_share: the share (0 to 1) of Coze workflow runs that stop once for input. Default
            0.
        fault_share: the share (0 to 1) of requests for states and lists that meet a random
            transient fault. Default 0.
        plan: the Coze plan whose rate limits apply. Default None: no limits.
        coze_token: the only token that is accepted. Default None: any token without `wrong`, `bad`
            or `invalid` in it.
        copyai_key: the only API key that is accepted. Default None: as for `coze_token`.
        not_found_seconds: how long a fresh task cannot be found. Default 0.
        jwt_public_key: PEM text to check the signature of Coze's JWT assertions with (needs
            PyJWT). Default None: signatures are not checked, everything else is.
        journal: a file to which every task is written before its start is answered. After a close
            or a kill, a simulator with the same file knows the tasks, and their time has gone on.
            Webhooks, tokens and counts of requests are not kept. Default None.

    Attributes:
        coze_token: a token that the simulated Coze accepts.
        copyai_key: an API key that the simulated Copy.ai accepts.
        requests: numbers of requests by operation, such as `coze.run` or `copyai.get_run`;
            `coze.429` counts those over the plan's limit, `unknown_path` those to an unknown path.
        faults_served: numbers of faults by name, such as `html_502`.
        starts: numbers of starts by the caller's marker: 2 means that a task was started twice.
        tasks: every task, by its execute id, chat id, copy task id or run id.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        durations: Durations | None = None,
        fail_share: float = 0.0,
        interrupt_share: float = 0.0,
        fault_share: float = 0.0,
        plan: Plan | None = None,
        coze_token: str | None = None,
        copyai_key: str | None = None,
        not_found_seconds: float = 0.0,
        jwt_public_key: str | None = None,
        journal: str | os.PathLike[str] | None = None,
    ) -> None:
        self.coze_token = coze_token or "pat_simulator"
        self.copyai_key = copyai_key or "simulator-key"
        habits = Habits(
            durations=durations or usual_duration,
            fail_share=fail_share,
            interrupt_share=interrupt_share,
            not_found_seconds=not_found_seconds,
        )
        super().__init__(seed, habits, fault_share, journal)
        self.starts = self._world.starts
        coze = SimulatedCoze(self._world, coze_token, plan, self.requests)
        coze.public_key = jwt_public_key
        copyai = SimulatedCopyAI(self._world, copyai_key)
        self._webhooks = copyai.webhooks
        self._coze, self._copyai = self._serve(coze), self._serve(copyai)

    @property
    def coze_url(self) -> str:
        """The base URL of Coze."""
        return self._url(self._coze)

    @property
    def copyai_url(self) -> str:
        """The base URL of Copy.ai; like the real one it has a path."""
        return f"{self._url(self._copyai)}/api/"

    async def start(
        self, *, host: str = "127.0.0.1", coze_port: int = 0, copyai_port: int = 0
    ) -> None:
        """Listen on a host and two ports; a port of 0, the default, is a free one."""
        await self._listen(host, coze_port, copyai_port)

    async def close(self) -> None:
        """Stop for good; requests in flight are reset, webhooks not yet delivered are dropped."""
        await super().close()
        await self._webhooks.close()
