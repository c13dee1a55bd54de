"""Readings of APIs that generate pictures, films and models, or run models of one's own."""

from __future__ import annotations

from asyncclient._reading import Reading
from asyncclient._state import Vocabulary

REPLICATE_PREDICTION = Reading(
    "replicate.prediction",
    Vocabulary(
        pending="starting",
        running="processing",
        succeeded="succeeded",
        failed="failed",
        cancelled=["canceled", "aborted"],
    ),
    status="status",
    reason="error",
    source="https://replicate.com/docs/topics/predictions/lifecycle",
    checked="2026-11-29",
)
"""A prediction of Replicate: `GET` the `urls.get` of the start's answer, or `/v1/predictions/{id}`.

`aborted` missed its deadline before it began. A start with the header `Prefer: wait` holds its
answer back. A run ends after 30 minutes at the latest.
"""

FAL_REQUEST = Reading(
    "fal.request",
    Vocabulary(
        pending="IN_QUEUE", running="IN_PROGRESS", succeeded="COMPLETED", failed="COMPLETED/error"
    ),
    status="status/error?",
    reason="error",
    source="https://github.com/fal-ai/fal/blob/c6f0afaa/projects/fal_client/src/fal_client/client.py",
    checked="2026-11-29",
)
"""A request in the queue of fal: `GET` the `status_url` of the start's answer.

`COMPLETED` says only that it has ended: it has failed where there is an `error`. The result is a
second request, of the `response_url`.
"""

RUNWAY_TASK = Reading(
    "runway.task",
    Vocabulary(
        pending=["PENDING", "THROTTLED"],
        running="RUNNING",
        succeeded="SUCCEEDED",
        failed="FAILED",
        cancelled="CANCELLED",
    ),
    status="status",
    reason=("failure", "failureCode"),
    progress="progress",
    source="https://github.com/runwayml/sdk-python/blob/12c6cfe884/src/runwayml/types/task_retrieve_response.py",
    checked="2026-11-29",
)
"""A task of Runway: `GET /v1/tasks/{id}`, with the header `X-Runway-Version`.

Progress, from 0 to 1, is there only while it is `RUNNING`. Runway's own client polls every 6
seconds. The URLs of an output live for 24 to 48 hours.
"""

LUMA_GENERATION = Reading(
    "luma.generation",
    Vocabulary(pending="queued", running="dreaming", succeeded="completed", failed="failed"),
    status="state",
    reason="failure_reason",
    source="https://github.com/lumalabs/lumaai-python/blob/06187c4e31/src/lumaai/types/generation.py",
    checked="2026-11-29",
)
"""A generation of Luma's Dream Machine: `GET /dream-machine/v1/generations/{id}`."""

BFL_GENERATION = Reading(
    "bfl.generation",
    Vocabulary(
        pending="Pending",
        succeeded="Ready",
        failed=["Error", "Failed", "Request Moderated", "Content Moderated"],
        expired="Task not found",
    ),
    status="status",
    source="https://github.com/black-forest-labs/skills/blob/2575d89112/skills/flux3-video/references/api-quick-reference.md",
    checked="2026-11-29",
)
"""A generation of FLUX by Black Forest Labs: `GET` the `polling_url` of the start's answer.

The host of that URL is another than the start's: name it, `hosts=("*.bfl.ai",)`. The URL of a
result lives for 10 minutes, that of a film for two hours. There is no text of what failed.
"""

MINIMAX_VIDEO = Reading(
    "minimax.video",
    Vocabulary(
        pending=["Preparing", "Queueing"], running="Processing", succeeded="Success", failed="Fail"
    ),
    status="status",
    reason="base_resp.status_msg",
    source="https://platform.minimaxi.com/docs/api-reference/video-generation-query",
    checked="2026-11-29",
)
"""A video of MiniMax (Hailuo): `GET /v1/query/video_generation?task_id={task_id}`.

A refusal stands in `base_resp` of an answer with HTTP 200, which has no word then. The end has a
`file_id`; `GET /v1/files/retrieve` turns it into a URL.
"""

ARK_GENERATION = Reading(
    "ark.generation",
    Vocabulary(
        pending="queued",
        running="running",
        succeeded="succeeded",
        failed="failed",
        cancelled="cancelled",
        expired="expired",
    ),
    status="status",
    reason=("error.message", "failure_reason"),
    source="https://github.com/volcengine/volcengine-python-sdk/blob/b5be43b5/volcenginesdkarkruntime/types/content_generation/content_generation_task.py",
    checked="2026-11-29",
)
"""A generation of Volcengine's Ark (Doubao): `GET /api/v3/contents/generations/tasks/{id}`.

A task can be asked for over 7 days; the URL of its video lives for 24 hours. Only a queued task can
be cancelled.
"""

HEYGEN_VIDEO = Reading(
    "heygen.video",
    Vocabulary(
        pending=["pending", "waiting"],
        running="processing",
        succeeded="completed",
        failed="failed",
    ),
    status="data.status",
    reason=("data.failure_message", "data.error.message", "data.error.detail"),
    source="https://github.com/heygen-com/heygen-cli/blob/7699a8e/gen/video.go, https://docs.heygen.com/reference/get-video-detail",
    checked="2026-11-29",
)
"""A video of HeyGen: `GET /v3/videos/{video_id}`.

The older `/v1/video_status.get?video_id={video_id}` is read as well; its `code: 100` means that all
is well. The URLs live for 7 days, and are new in each answer.
"""

MESHY_TASK = Reading(
    "meshy.task",
    Vocabulary(
        pending="PENDING",
        running="IN_PROGRESS",
        succeeded="SUCCEEDED",
        failed="FAILED",
        cancelled="CANCELED",
    ),
    status="status",
    reason="task_error.message",
    progress="progress",
    source="https://docs.meshy.ai/en/api/task-lifecycle",
    checked="2026-11-29",
)
"""A task of Meshy: `GET /openapi/v2/text-to-3d/{id}`, and its siblings.

Progress is in percent. An answer of a task that goes on has `Retry-After`, which is obeyed.
"""

TRIPO_TASK = Reading(
    "tripo.task",
    Vocabulary(
        pending="queued",
        running="running",
        succeeded="success",
        failed=["failed", "banned"],
        cancelled="cancelled",
        expired="expired",
    ),
    status="data.status",
    reason="data.error_msg",
    progress="data.progress",
    hint="data.running_left_time",
    source="https://github.com/VAST-AI-Research/tripo-python-sdk/blob/4a09f7bf73/tripo3d/models.py",
    checked="2026-11-29",
)
"""A task of Tripo: `GET /v2/openapi/task/{task_id}`.

Progress is in percent, and `running_left_time` the seconds that Tripo expects it to take. Tripo's
own word `unknown` is in no state here: it says nothing of the task.
"""

RUNPOD_JOB = Reading(
    "runpod.job",
    Vocabulary(
        pending="IN_QUEUE",
        running=["IN_PROGRESS", "RUNNING"],
        succeeded="COMPLETED",
        failed=["FAILED", "TIMED_OUT"],
        cancelled="CANCELLED",
    ),
    status="status",
    reason="error",
    source="https://github.com/runpod/docs/blob/27074910d2/serverless/endpoints/job-states.mdx",
    checked="2026-11-29",
)
"""A job of a RunPod serverless endpoint: `GET /v2/{endpoint_id}/status/{job_id}`.

The result is kept for 30 minutes after the end, and is "not found" (404) then.
"""
