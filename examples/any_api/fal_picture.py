"""fal: the queue says only that a request has ended; its result is at another URL."""

import asyncio
import os

from asyncclient import SessionPool, TaskAPI, catalogue, wait_until_done


async def draw(prompt: str, *, key: str, base_url: str = "https://queue.fal.run") -> str:
    """Return the URL of a picture."""
    async with SessionPool() as pool:
        fal = TaskAPI(pool, base_url, name="fal", headers={"Authorization": f"Key {key}"})
        started = await fal.post("/fal-ai/flux/schnell", {"prompt": prompt})
        # COMPLETED with an `error` is a failure, which this raises.
        await wait_until_done(fal.task(started["status_url"], catalogue.FAL_REQUEST), timeout=600)
        result = await fal.get(started["response_url"])
        return str(result["images"][0]["url"])


if __name__ == "__main__":
    print(asyncio.run(draw("a cup of tea", key=os.environ["FAL_KEY"])))
