"""Copy.ai's one kind of task: how its answers are read, and its handle."""

from __future__ import annotations

from asyncclient._arguments import id_text, shared_id
from asyncclient._http import Account, Handle, kept, look_endpoint, path_segment
from asyncclient._state import TaskState
from asyncclient._task import Observation
from asyncclient.providers._ids import slim_id, spelled_id
from asyncclient.providers._reading import as_text
from asyncclient.providers.copyai._answers import WorkflowRun
from asyncclient.providers.copyai._endpoints import GET_WORKFLOW_RUN, WORKFLOW_WORDS

_RUN = "WRUN-"  # before the UUID of a run


def observe_run(run: WorkflowRun) -> Observation[WorkflowRun]:
    """Return the observation of an answer about a run: its `status`, not that of the envelope."""
    state = WORKFLOW_WORDS.state_of(run.status)
    reason = None if state is TaskState.SUCCEEDED else as_text(run.error)
    return Observation(state, run.status, run, reason=reason)


class WorkflowRunHandle(Handle[WorkflowRun]):
    """One run of a workflow. Copy.ai's API cannot cancel it."""

    __slots__ = ("_run_id", "workflow_id")

    provider = "copyai"
    ref_kind = "workflow_run"
    group = "workflow"
    vocabulary = WORKFLOW_WORDS
    _look = look_endpoint(GET_WORKFLOW_RUN, observe_run)

    def __init__(
        self, account: Account, workflow_id: str, run_id: str, created: int | None
    ) -> None:
        super().__init__(account, created)
        self.workflow_id = shared_id("workflow_id", workflow_id)
        self._run_id = slim_id(id_text("run_id", run_id), _RUN)

    @property
    def run_id(self) -> str:
        """The id of the run."""
        return spelled_id(self._run_id, _RUN)

    @property
    def ids(self) -> dict[str, str]:
        """The ids of workflow and run."""
        return {"workflow_id": self.workflow_id, "run_id": self.run_id}

    @property
    def kind(self) -> str:
        """Runs of one workflow are alike."""
        return f"copyai.workflow_run:{self.workflow_id}"

    @property
    def _target(self) -> str:
        return run_target(self.workflow_id, self.run_id)


def runs_target(workflow_id: str) -> str:
    return f"/workflow/{path_segment('workflow_id', workflow_id)}/run"


@kept
def run_target(workflow_id: str, run_id: str) -> str:
    return f"{runs_target(workflow_id)}/{path_segment('run_id', run_id)}"
