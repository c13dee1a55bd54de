"""A server that answers every request with one recorded run history, as cheaply as it can.

It runs in a process of its own, so that a client's CPU time is the client's alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Generator

BODY = (
    rb'{"msg":"","data":[{"connector_uid":"1519962369294395","logid":"20250806104715BA070BFC77",'
    rb'"bot_id":"0","update_time":1754448466,"execute_status":"Success","error_code":"0",'
    rb'"connector_id":"1024","is_output_trimmed":false,"token":"0","run_mode":2,"debug_url":'
    rb'"https://www.coze.cn/work_flow?execute_id=7535298640308535332","node_execute_status":{},'
    rb'"error_message":"","execute_id":"7535298640308535332","create_time":1754448435,"output":'
    rb'"{\"node_status\":\"{}\",\"Output\":\"{\\\"content\\\":\\\"tea\\\"}\"}",'
    rb'"usage":{"token_count":0,"output_count":0,"input_count":0}}],'
    rb'"detail":{"logid":"202508061050119BE34DBA477B4261BA8F"},"code":0}'
)
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b"X-Tt-Logid: 202508061050119BE34DBA477B4261BA8F\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
)


class _Answering(asyncio.Protocol):
    """Counts the ends of heads: every request here is a GET without a body."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *heads, self._rest = (self._rest + data).split(b"\r\n\r\n")
        self._transport.write(_ANSWER * len(heads))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Answering, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextlib.contextmanager
def serving() -> Generator[str]:
    """Run the server in a process of its own; gives its base URL."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
