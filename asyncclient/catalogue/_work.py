"""Readings of APIs that run workflows, crawls, builds and jobs on data."""

from __future__ import annotations

from asyncclient._reading import Reading
from asyncclient._state import Vocabulary

N8N_EXECUTION = Reading(
    "n8n.execution",
    Vocabulary(
        pending="new",
        running=["running", "unknown"],
        blocked="waiting",
        succeeded="success",
        failed=["error", "crashed"],
        cancelled="canceled",
    ),
    status="status",
    reason="data.resultData.error.message",
    source="https://github.com/n8n-io/n8n/blob/09e439690b/packages/workflow/src/execution-status.ts",
    checked="2026-11-29",
)
"""An execution of n8n: `GET /api/v1/executions/{id}`, with the header `X-N8N-API-KEY`.

`waiting` waits for something outside, until `waitTill`. The reason of a failure is there with
`?includeData=true`.
"""

APIFY_RUN = Reading(
    "apify.run",
    Vocabulary(
        pending="READY",
        running=["RUNNING", "TIMING-OUT", "ABORTING"],
        succeeded="SUCCEEDED",
        failed=["FAILED", "TIMED-OUT"],
        cancelled="ABORTED",
    ),
    status="data.status",
    reason="data.statusMessage",
    source="https://github.com/apify/apify-docs/blob/4416da612/apify-api/openapi/components/schemas/common/ActorJobStatus.yaml",
    checked="2026-11-29",
)
"""A run of an Apify Actor: `GET /v2/actor-runs/{runId}`.

It can be "not found" for some seconds after its start. `?waitForFinish=60` holds the answer until
the end, for 60 seconds at most.
"""

FIRECRAWL_CRAWL = Reading(
    "firecrawl.crawl",
    Vocabulary(running="scraping", succeeded="completed", failed="failed", cancelled="cancelled"),
    status="status",
    reason="error",
    progress="completed",
    source="https://github.com/firecrawl/firecrawl/blob/61e38dc8/apps/python-sdk/firecrawl/v2/types.py",
    checked="2026-11-29",
)
"""A crawl of Firecrawl: `GET /v2/crawl/{id}`.

Each answer brings the pages that were read so far, and may be large. Where `next` is there, more of
them are at that URL. Progress counts pages.
"""

BROWSERBASE_RUN = Reading(
    "browserbase.run",
    Vocabulary(
        pending="PENDING",
        running="RUNNING",
        succeeded="COMPLETED",
        failed=["FAILED", "TIMED_OUT"],
        cancelled="STOPPED",
    ),
    status="status",
    reason=("cause.message", "cause.code"),
    source="https://github.com/browserbase/sdk-python/blob/79a068f8a8/src/browserbase/types/agents/run_retrieve_response.py",
    checked="2026-11-29",
)
"""A run of a Browserbase agent: `GET /v1/agents/runs/{runId}`."""

DATABRICKS_RUN = Reading(
    "databricks.run",
    Vocabulary(
        pending=["QUEUED", "PENDING", "BLOCKED"],
        running=["RUNNING", "TERMINATING", "WAITING_FOR_RETRY"],
        succeeded=["TERMINATED/SUCCESS", "TERMINATED/SUCCESS_WITH_FAILURES"],
        failed=[
            "TERMINATED",
            "TERMINATED/FAILED",
            "TERMINATED/TIMEDOUT",
            "TERMINATED/EXCLUDED",
            "TERMINATED/DISABLED",
            "TERMINATED/MAXIMUM_CONCURRENT_RUNS_REACHED",
            "TERMINATED/UPSTREAM_FAILED",
            "TERMINATED/UPSTREAM_CANCELED",
            "INTERNAL_ERROR",
            "SKIPPED",
        ],
        cancelled="TERMINATED/CANCELED",
    ),
    status="state.life_cycle_state/state.result_state",
    reason="state.state_message",
    source="https://github.com/databricks/databricks-sdk-py/blob/9ae22415/databricks/sdk/service/jobs.py",
    checked="2026-11-29",
)
"""A run of a Databricks job: `GET /api/2.1/jobs/runs/get?run_id={run_id}`.

`TERMINATED` alone says nothing: the `result_state` beside it is the outcome, and any that is not
known is a failure. `BLOCKED` waits in a queue for another run, and not for you.
"""

DBT_RUN = Reading(
    "dbt.run",
    Vocabulary(pending=[1, 2], running=3, succeeded=10, failed=20, cancelled=30),
    status="data.status",
    reason="data.status_message",
    source="https://github.com/dbt-labs/dbt-mcp/blob/c964666f/src/dbt_mcp/dbt_admin/constants.py",
    checked="2026-11-29",
)
"""A run of a dbt Cloud job: `GET /api/v2/accounts/{account_id}/runs/{run_id}/`.

The words are numbers: 1 queued, 2 starting, 3 running, 10 success, 20 error, 30 cancelled.
"""

AIRBYTE_JOB = Reading(
    "airbyte.job",
    Vocabulary(
        pending=["pending", "queued"],
        running=["running", "incomplete"],
        succeeded="succeeded",
        failed="failed",
        cancelled="cancelled",
    ),
    status="status",
    source="https://github.com/airbytehq/airbyte-api-python-sdk/blob/454bec839f/src/airbyte_api/models/jobstatusenum.py",
    checked="2026-11-29",
)
"""A job of Airbyte: `GET /v1/jobs/{jobId}`.

`incomplete` is no end: one attempt failed, and the next follows.
"""

VERCEL_DEPLOYMENT = Reading(
    "vercel.deployment",
    Vocabulary(
        pending=["QUEUED", "INITIALIZING"],
        running="BUILDING",
        succeeded="READY",
        failed="ERROR",
        cancelled="CANCELED",
    ),
    status="readyState",
    reason="errorMessage",
    source="https://github.com/vercel/sdk/blob/0dd99a082e/docs/models/getdeploymentresponsebodyreadystate.md",
    checked="2026-11-29",
)
"""A deployment of Vercel: `GET /v13/deployments/{idOrUrl}`."""

GITHUB_WORKFLOW_RUN = Reading(
    "github.workflow_run",
    Vocabulary(
        pending=["queued", "waiting", "requested", "pending"],
        running="in_progress",
        blocked="completed/action_required",
        succeeded=["completed/success", "completed/neutral", "completed/skipped"],
        failed=[
            "completed/failure",
            "completed/timed_out",
            "completed/startup_failure",
            "completed/stale",
        ],
        cancelled="completed/cancelled",
    ),
    status="status/conclusion",
    source="https://docs.github.com/en/rest/actions/workflow-runs, https://github.com/octokit/webhooks/blob/0a6f9bdfcf/payload-schemas/api.github.com/common/workflow-run.schema.json",
    checked="2026-11-29",
)
"""A run of a GitHub Actions workflow: `GET /repos/{owner}/{repo}/actions/runs/{run_id}`.

`completed` says only that it has ended; `conclusion` is the outcome. `completed` with
`action_required` waits for a person. A run that hangs may be `queued` for ever.
"""

AZURE_OPERATION = Reading(
    "azure.operation",
    Vocabulary(
        pending="NotStarted",
        running=["Running", "InProgress"],
        succeeded="Succeeded",
        failed="Failed",
        cancelled="Canceled",
        ignore_case=True,
    ),
    status="status/properties.provisioningState",
    reason="error.message",
    source="https://github.com/microsoft/api-guidelines/blob/011dd3c/azure/Guidelines.md",
    checked="2026-11-29",
)
"""A long-running operation of Azure: `GET` the URL in `Operation-Location`.

Of the resource manager, that in `Azure-AsyncOperation`, or the resource itself, whose word is
`properties.provisioningState`. Words are compared without case. A service sends `Retry-After`,
which is obeyed. Any other word is one of a state in between.
"""
