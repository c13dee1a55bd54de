"""Replicate: a start's answer has the URLs at which its prediction is looked at and cancelled."""

import asyncio
import os

from asyncclient import SessionPool, TaskAPI, catalogue, wait_until_done

MODEL = "/v1/models/black-forest-labs/flux-schnell/predictions"


async def draw(prompt: str, *, token: str, base_url: str = "https://api.replicate.com") -> str:
    """Return the URL of a picture."""
    async with SessionPool() as pool:
        replicate = TaskAPI(pool, base_url, name="replicate", token=token)
        urls = (await replicate.post(MODEL, {"input": {"prompt": prompt}}))["urls"]
        task = replicate.task(urls["get"], catalogue.REPLICATE_PREDICTION, cancel=urls["cancel"])
        prediction = await wait_until_done(task, timeout=600, on_timeout="cancel")
        return str(prediction["output"][0])


if __name__ == "__main__":
    print(asyncio.run(draw("a cup of tea", token=os.environ["REPLICATE_API_TOKEN"])))
