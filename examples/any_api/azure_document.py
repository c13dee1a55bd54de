"""Azure: where an operation is looked at stands in a header of the start's answer, and no body."""

import asyncio
import os
import sys

from asyncclient import SessionPool, TaskAPI, catalogue, wait_until_done

READ = "/documentintelligence/documentModels/prebuilt-read:analyze?api-version=2024-11-30"


async def read_document(url: str, *, endpoint: str, key: str) -> str:
    """Return the text of a document."""
    async with SessionPool() as pool:
        azure = TaskAPI(pool, endpoint, name="azure", headers={"Ocp-Apim-Subscription-Key": key})
        _, headers, _ = await azure.request("POST", READ, {"urlSource": url})
        task = azure.task(headers["Operation-Location"], catalogue.AZURE_OPERATION)
        operation = await wait_until_done(task, timeout=600)
        return str(operation["analyzeResult"]["content"])


if __name__ == "__main__":
    endpoint, key = os.environ["AZURE_ENDPOINT"], os.environ["AZURE_KEY"]
    print(asyncio.run(read_document(sys.argv[1], endpoint=endpoint, key=key)))
