"""A worker that uses the library named first, at the URL named second, with the token named third (if any).

It does what the server's messages ask for, and ends by printing how its connection was closed.
"""

import asyncio
import contextlib
import json
import sys


class Closed(Exception):
    """The connection is over."""


class WithWebsockets:
    def __init__(self, url):
        import websockets

        self.over = websockets.ConnectionClosed
        self.connecting = websockets.connect(url, max_size=None)

    async def __aenter__(self):
        self.socket = await self.connecting.__aenter__()
        return self

    async def __aexit__(self, *error):
        await self.connecting.__aexit__(*error)

    async def receive(self):
        try:
            return await self.socket.recv()
        except self.over:
            raise Closed from None

    async def send(self, text):
        # To a connection that is over: what is received next says so.
        with contextlib.suppress(self.over):
            await self.socket.send(text)

    async def ping(self):
        await (await self.socket.ping("from Python"))

    async def close(self, code, reason):
        await self.socket.close(code, reason)

    def ending(self):
        return {"code": self.socket.close_code, "reason": self.socket.close_reason}


class WithAiohttp:
    def __init__(self, url):
        import aiohttp

        self.kinds = aiohttp.WSMsgType
        self.session = aiohttp.ClientSession()
        self.url = url
        self.reason = ""

    async def __aenter__(self):
        # Pings and pongs come as messages; there is nothing else that waits for a pong.
        self.socket = await self.session.ws_connect(self.url, max_msg_size=0, autoping=False)
        return self

    async def __aexit__(self, *error):
        await self.session.close()

    async def receive(self):
        message = await self.socket.receive()
        if message.type is self.kinds.TEXT:
            return message.data
        if message.type is self.kinds.CLOSE:
            self.reason = message.extra
        raise Closed

    async def send(self, text):
        # To a connection that is over: what is received next says so.
        with contextlib.suppress(ConnectionResetError):
            await self.socket.send_str(text)

    async def ping(self):
        await self.socket.ping(b"from Python")
        pong = await self.socket.receive()
        assert pong.type is self.kinds.PONG and bytes(pong.data) == b"from Python"

    async def close(self, code, reason):
        self.reason = reason
        await self.socket.close(code=code, message=reason.encode())

    def ending(self):
        return {"code": self.socket.close_code, "reason": self.reason}


def registration(token):
    message = {
        "type": "worker_registration",
        "workerId": "python",
        "workerName": "Python",
        "capabilities": {"models": [{"modelId": "sonnet"}], "maxConcurrentRequests": 2},
    }
    return message if token is None else {**message, "authToken": token}


async def obey(socket, message):
    kind = message["type"]
    if kind == "please_beat":
        await socket.send(json.dumps({"type": "heartbeat", "workerId": "python", "timestamp": "now"}))
    elif kind == "please_ping":
        await socket.ping()
        await socket.send(json.dumps({"type": "pinged"}))
    elif kind == "please_close":
        await socket.close(4000, "as asked")
        raise Closed
    else:
        await socket.send(json.dumps({"type": "got", "message": message}))


async def main(library, url, token=None):
    async with {"websockets": WithWebsockets, "aiohttp": WithAiohttp}[library](url) as socket:
        try:
            await socket.send(json.dumps(registration(token)))
            while True:
                await obey(socket, json.loads(await socket.receive()))
        except Closed:
            print(json.dumps(socket.ending()))


asyncio.run(main(*sys.argv[1:]))
