"""Copy.ai's answers, as they really are.

The published schema, its own examples and real deliveries disagree about most fields, so all
but the id are optional, and numbers may come quoted.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec

from asyncclient._http import JSON, STRICT, Answer, StatusWord
from asyncclient._portable import Portable
from asyncclient.providers._reading import as_int, as_object, open_json

T = TypeVar("T")


class WorkflowRun(Answer, rename="camel"):
    """The state of a workflow run (page `get-workflow-run-2`): what waiting for one returns.

    Attributes:
        status: `NEW`, `WAITING`, `PROCESSING`, `RETRYING`, `COMPLETE`, `FAILED`; open.
        output: by the workflow's own names, as Copy.ai sent it; may be partial while it runs.
        metadata: what the start gave.
        created_at: ISO 8601.
        credits: what it cost; a number, or a number in text.
        error: why it failed; not documented.
    """

    id: str | None = None
    workflow_run_id: str | None = None
    workflow_id: str | None = None
    status: StatusWord = None
    input: dict[str, object] | None = None
    output: JSON = None
    metadata: dict[str, object] | None = None
    created_at: str | None = None
    credits: int | float | str | None = None
    error: object = None

    @property
    def outputs(self) -> dict[str, object]:
        """`output`, with JSON in texts decoded; empty when there is none.

        If it is not an object, it is under the name `output`, as in the older webhooks.
        """
        if self.output is None:
            return {}
        opened = open_json(self.output)
        return {"output": opened} if (named := as_object(opened)) is None else named

    @property
    def credits_used(self) -> float | None:
        """`credits` as a number, also if it was a text."""
        return self.credits if isinstance(self.credits, float) else as_int(self.credits)


class WorkflowRunPage(Answer):
    """One page of runs; its items may lack their output."""

    data: list[WorkflowRun]
    total: int | str | None = None


class Webhook(Answer, rename="camel"):
    """One registration; without a `workflow_id` it is for all workflows of the workspace."""

    id: str | None = None
    url: str | None = None
    event_type: str | None = None
    workflow_id: str | None = None


class WebhookPage(Answer):
    """One page of registrations."""

    data: list[Webhook]
    total: int | str | None = None


class WebhookEvent(Portable, msgspec.Struct, rename="camel"):
    """What a webhook delivered, in any of its three shapes.

    It is not signed, so anyone may have sent it: use it to poll at once, and let the poll decide.

    Attributes:
        type: as `workflowRun.completed`; open.
        run_id: the run that it speaks of.
        outputs: the outputs, whether they came under `result` or `output`.
        status: the run's status word, in the shape that has one.
    """

    type: str = ""
    id: str | None = None
    workflow_run_id: str | None = None
    workflow_id: str | None = None
    result: object = None
    output: object = None
    metadata: dict[str, object] | None = None
    status: str | None = None
    error: object = None
    created_at: str | None = None
    credits: int | float | str | None = None

    @property
    def run_id(self) -> str | None:
        """The id of the run."""
        return self.workflow_run_id or self.id

    @property
    def outputs(self) -> object:
        """The outputs of the run."""
        return self.output if self.result is None else self.result


class Started(msgspec.Struct):
    id: str | int | None = None


class Envelope(msgspec.Struct, Generic[T]):
    data: T
    status: str | None = None


class WorkflowRunPageEnvelope(msgspec.Struct):
    """A page of runs; None for an empty page."""

    # Absent or null is an empty page; what is neither is not passed over.
    in_data: Annotated[WorkflowRunPage | None, STRICT] = msgspec.field(name="data", default=None)
    status: str | None = None

    @property
    def data(self) -> WorkflowRunPage:
        """The page."""
        return self.in_data or WorkflowRunPage([])


class Refusal(msgspec.Struct, rename="camel"):
    status: object = None
    error_code: object = None
    message: object = None
    details: object = None
