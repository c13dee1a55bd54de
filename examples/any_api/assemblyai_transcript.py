"""AssemblyAI: a start's answer has an id, and the path with it gives all, from start to end."""

import asyncio
import os
import sys

from asyncclient import SessionPool, TaskAPI, catalogue, wait_until_done


async def transcribe(
    audio_url: str, *, key: str, base_url: str = "https://api.assemblyai.com"
) -> str:
    """Return what is said in a recording."""
    async with SessionPool() as pool:
        api = TaskAPI(pool, base_url, name="assemblyai", headers={"Authorization": key})
        started = await api.post("/v2/transcript", {"audio_url": audio_url})
        task = api.task(f"/v2/transcript/{started['id']}", catalogue.ASSEMBLYAI_TRANSCRIPT)
        transcript = await wait_until_done(task, timeout=3600)
        return str(transcript["text"])


if __name__ == "__main__":
    print(asyncio.run(transcribe(sys.argv[1], key=os.environ["ASSEMBLYAI_API_KEY"])))
