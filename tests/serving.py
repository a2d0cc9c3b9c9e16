"""A web server in the test's own event loop, and what its websocket hubs are told."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web


@asynccontextmanager
async def serving(app: web.Application, **options: Any) -> AsyncIterator[str]:
    """Its address on this machine, while it runs. `options` are those of aiohttp's runner."""
    runner = web.AppRunner(app, **({"access_log": None, "shutdown_timeout": 0.1} | options))
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def messages(socket: web.WebSocketResponse, handshake_reply: str = "{}\x1e") -> AsyncIterator[dict[str, Any]]:
    """All that a client of the hub says, until it leaves; its handshake is answered, and is no message."""
    shaken = False
    async for frame in socket:
        if frame.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
            continue
        data = frame.data.encode() if isinstance(frame.data, str) else frame.data
        for record in filter(None, data.split(b"\x1e")):
            if shaken:
                yield json.loads(record)
            else:
                shaken = True
                await socket.send_str(handshake_reply)
