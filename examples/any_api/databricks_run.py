"""Databricks: `TERMINATED` says only that a run has ended; how, says a second field beside it."""

import asyncio
import os
import sys

from asyncclient import SessionPool, TaskAPI, catalogue, wait_until_done


async def run_job(job_id: int, *, host: str, token: str) -> str:
    """Run a job of one notebook, and return what that returns."""
    async with SessionPool() as pool:
        databricks = TaskAPI(pool, f"{host}/api/2.1/jobs", name="databricks", token=token)
        started = await databricks.post("/run-now", {"job_id": job_id})
        task = databricks.task(f"/runs/get?run_id={started['run_id']}", catalogue.DATABRICKS_RUN)
        # TERMINATED with a `result_state` of FAILED is a failure, which this raises.
        run = await wait_until_done(task, timeout=6 * 3600)
        output = await databricks.get(f"/runs/get-output?run_id={run['tasks'][0]['run_id']}")
        return str(output["notebook_output"]["result"])


if __name__ == "__main__":
    host, token = os.environ["DATABRICKS_HOST"], os.environ["DATABRICKS_TOKEN"]
    print(asyncio.run(run_job(int(sys.argv[1]), host=host, token=token)))
