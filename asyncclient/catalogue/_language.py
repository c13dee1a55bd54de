"""Readings of APIs of language models, of speech, and of agents."""

from __future__ import annotations

from asyncclient._reading import Json, Reading, value_at
from asyncclient._state import Vocabulary

OPENAI_RESPONSE = Reading(
    "openai.response",
    Vocabulary(
        pending="queued",
        running="in_progress",
        succeeded=["completed", "incomplete"],
        failed="failed",
        cancelled="cancelled",
    ),
    status="status",
    reason="error.message",
    source="https://github.com/openai/openai-python/blob/0444895282/src/openai/types/responses/response_status.py",
    checked="2026-11-29",
)
"""A response of OpenAI that was started with `background: true`: `GET /v1/responses/{id}`.

`incomplete` is an end with part of the output; `incomplete_details.reason` says why.
"""

OPENAI_BATCH = Reading(
    "openai.batch",
    Vocabulary(
        pending="validating",
        running=["in_progress", "finalizing", "cancelling"],
        succeeded="completed",
        failed="failed",
        cancelled="cancelled",
        expired="expired",
    ),
    status="status",
    reason="errors.data[0].message",
    progress="request_counts.completed",
    source="https://github.com/openai/openai-python/blob/74eae1ede6/src/openai/types/batch.py",
    checked="2026-11-29",
)
"""A batch of OpenAI: `GET /v1/batches/{id}`.

A batch that is `completed` may have failed lines; they stand in the file `error_file_id`. All
lines can be done while the batch is still `finalizing`: `output_file_id` is there at the end.
"""

OPENAI_FINE_TUNING_JOB = Reading(
    "openai.fine_tuning_job",
    Vocabulary(
        pending=["validating_files", "queued"],
        running="running",
        succeeded="succeeded",
        failed="failed",
        cancelled="cancelled",
    ),
    status="status",
    reason="error.message",
    progress="trained_tokens",
    source="https://github.com/openai/openai-python/blob/116db5953f/src/openai/types/fine_tuning/fine_tuning_job.py",
    checked="2026-11-29",
)
"""A fine-tuning job of OpenAI: `GET /v1/fine_tuning/jobs/{id}`.

A job can be paused, but no word for that is published: it would be an unknown word.
"""


def _message_batch_word(answer: Json) -> str | None:
    """Return an Anthropic batch's word; that of an ended one with what became of its requests."""
    word = value_at(answer, "processing_status")
    if word == "ended":
        for outcome in ("succeeded", "errored", "canceled", "expired"):
            count = value_at(answer, f"request_counts.{outcome}")
            if isinstance(count, int) and count > 0:
                return f"ended/{outcome}"
    return word if isinstance(word, str) else None


ANTHROPIC_MESSAGE_BATCH = Reading(
    "anthropic.message_batch",
    Vocabulary(
        running=["in_progress", "canceling"],
        succeeded=["ended/succeeded", "ended"],
        failed="ended/errored",
        cancelled="ended/canceled",
        expired="ended/expired",
    ),
    status=_message_batch_word,
    source="https://github.com/anthropics/anthropic-sdk-python/blob/d688e03650/src/anthropic/types/messages/message_batch.py",
    checked="2026-11-29",
)
"""A message batch of Anthropic: `GET /v1/messages/batches/{id}`.

`ended` is its only end, also after a cancel. What follows the `/` is read from `request_counts`:
it is a success where any request succeeded, or where there was none. Anthropic's samples poll
once a minute; a batch ends within 24 hours. The results are at `results_url`, in any order.
"""

GEMINI_BATCH = Reading(
    "gemini.batch",
    Vocabulary(
        pending=["JOB_STATE_QUEUED", "JOB_STATE_PENDING", "BATCH_STATE_PENDING"],
        running=[
            "JOB_STATE_RUNNING",
            "JOB_STATE_CANCELLING",
            "JOB_STATE_UPDATING",
            "BATCH_STATE_RUNNING",
        ],
        blocked="JOB_STATE_PAUSED",
        succeeded=[
            "JOB_STATE_SUCCEEDED",
            "JOB_STATE_PARTIALLY_SUCCEEDED",
            "BATCH_STATE_SUCCEEDED",
        ],
        failed=["JOB_STATE_FAILED", "BATCH_STATE_FAILED"],
        cancelled=["JOB_STATE_CANCELLED", "BATCH_STATE_CANCELLED"],
        expired=["JOB_STATE_EXPIRED", "BATCH_STATE_EXPIRED"],
    ),
    status="state/metadata.state",
    reason="error.message",
    source="https://github.com/googleapis/python-genai/blob/065c5865b8/google/genai/batches.py, https://ai.google.dev/api/batch-api",
    checked="2026-11-29",
)
"""A batch of Gemini: `GET /v1beta/batches/{id}`, or a batch prediction job of Vertex AI.

The Gemini API has its word in `metadata.state` (`BATCH_STATE_…`), Vertex AI in `state`
(`JOB_STATE_…`). Google's samples poll every 10 to 30 seconds; a batch may take 24 hours.
"""


def _operation_word(answer: Json) -> str | None:
    """Return what a Google operation says of itself, which has no words."""
    done, error = value_at(answer, "done"), value_at(answer, "error")
    if done is True and error is not None:
        return "done/cancelled" if value_at(answer, "error.code") == _CANCELLED else "done/error"
    if done is True:
        return "done" if value_at(answer, "response") is None else "done/response"
    is_one = isinstance(answer, dict) and answer != {} and error is None
    return "running" if done is False or (done is None and is_one) else None


_CANCELLED = 1  # `google.rpc.Code`

GOOGLE_OPERATION = Reading(
    "google.operation",
    Vocabulary(
        running="running",
        succeeded="done/response",
        failed="done/error",
        cancelled="done/cancelled",
    ),
    status=_operation_word,
    reason="error.message",
    source="https://github.com/googleapis/googleapis/blob/06ec6d5d05/google/longrunning/operations.proto",
    checked="2026-11-29",
)
"""A long-running operation of Google, as Veo's and many more: `GET /v1/{name}`.

It has no words: these are made of `done` (absent or false while it runs), `response` and `error`;
the error's code 1 is a cancellation. A done operation with neither is malformed: `done` is an
unknown word. Some services forget operations after about 30 days.
"""

DASHSCOPE_TASK = Reading(
    "dashscope.task",
    Vocabulary(
        pending="PENDING",
        running=["RUNNING", "SUSPENDED"],
        succeeded="SUCCEEDED",
        failed="FAILED",
        cancelled="CANCELED",
        expired="UNKNOWN",
    ),
    status="output.task_status",
    reason=("output.message", "message"),
    source="https://github.com/dashscope/dashscope-sdk-python/blob/499fc33cb6/dashscope/common/constants.py",
    checked="2026-11-29",
)
"""A task of Alibaba's DashScope (Model Studio): `GET /api/v1/tasks/{task_id}`.

A start needs the header `X-DashScope-Async: enable`. An account may ask 20 times a second for the
state of tasks. `SUCCEEDED` means that one part at least succeeded: look into
`output.task_metrics`. A task is kept for 24 hours; `UNKNOWN` is one that is not there, or no more.
"""

ZHIPU_RESULT = Reading(
    "zhipu.result",
    Vocabulary(running="PROCESSING", succeeded="SUCCESS", failed="FAIL"),
    status="task_status",
    reason="error.message",
    source="https://github.com/MetaGLM/zhipuai-sdk-python-v4/blob/41108100b3/zhipuai/types/video/video_object.py",
    checked="2026-11-29",
)
"""An asynchronous result of Zhipu (Z.ai, bigmodel.cn): `GET /api/paas/v4/async-result/{id}`."""

EXA_RESEARCH = Reading(
    "exa.research",
    Vocabulary(
        pending=["pending", "queued"],
        running="running",
        succeeded="completed",
        failed="failed",
        cancelled=["canceled", "cancelled"],
    ),
    status="status",
    reason=("error", "error.message"),
    source="https://github.com/exa-labs/exa-py/blob/0a5d1babac/exa_py/research/models.py",
    checked="2026-11-29",
)
"""A research task or an agent's run of Exa: `GET /research/v1/{researchId}`.

The two kinds spell "cancelled" and "pending" in two ways; both are known.
"""

PARALLEL_RUN = Reading(
    "parallel.run",
    Vocabulary(
        pending="queued",
        running=["running", "cancelling"],
        blocked="action_required",
        succeeded="completed",
        failed="failed",
        cancelled="cancelled",
    ),
    status="status",
    reason="error.message",
    source="https://github.com/parallel-web/parallel-sdk-python/blob/43266988c2/src/parallel/types/task_run.py",
    checked="2026-11-29",
)
"""A task run of Parallel: `GET /v1/tasks/runs/{run_id}`.

The result is a second request, `…/result`, which holds its answer until the run ends; its 408
means: ask again.
"""

ASSEMBLYAI_TRANSCRIPT = Reading(
    "assemblyai.transcript",
    Vocabulary(pending="queued", running="processing", succeeded="completed", failed="error"),
    status="status",
    reason="error",
    source="https://github.com/AssemblyAI/assemblyai-python-sdk/blob/c6d85784c8/assemblyai/types.py",
    checked="2026-11-29",
)
"""A transcript of AssemblyAI: `GET /v2/transcript/{id}`.

A failure is called `error`. AssemblyAI's own client polls every 3 seconds.
"""

DIFY_WORKFLOW_RUN = Reading(
    "dify.workflow_run",
    Vocabulary(
        running="running",
        blocked="paused",
        succeeded=["succeeded", "partial-succeeded"],
        failed="failed",
        cancelled="stopped",
    ),
    status="status",
    reason="error",
    source="https://github.com/langgenius/dify-docs/blob/9d8344e7/en/api-reference/openapi_service.json",
    checked="2026-11-29",
)
"""A run of a Dify workflow: `GET /v1/workflows/run/{workflow_run_id}`.

`paused` waits for a person. `inputs` is JSON in a text. A stop needs another id, the `task_id`.
"""
