"""A worker of the library named first, at the URL named second, with the token named third (if any).

It does what the server's messages ask for, and ends by printing how its connection was closed.
"""

import asyncio
import json
import sys


async def with_websockets(url, serve):
    import websockets

    async with websockets.connect(url, max_size=None) as socket:

        async def ping():
            await (await socket.ping("from Python"))

        try:
            await serve(socket.recv, socket.send, ping, socket.close)
        except websockets.ConnectionClosed:
            pass
        return socket.close_code, socket.close_reason


async def with_aiohttp(url, serve):
    import aiohttp

    async with aiohttp.ClientSession() as session:
        # With autoping off, pongs come as messages.
        async with session.ws_connect(url, max_msg_size=0, autoping=False) as socket:
            reason = ""

            async def receive():
                nonlocal reason
                message = await socket.receive()
                if message.type is aiohttp.WSMsgType.TEXT:
                    return message.data
                if message.type is aiohttp.WSMsgType.CLOSE:
                    reason = message.extra
                raise EOFError

            async def ping():
                await socket.ping(b"from Python")
                message = await socket.receive()
                assert (message.type, bytes(message.data)) == (aiohttp.WSMsgType.PONG, b"from Python")

            async def close(code, text):
                await socket.close(code=code, message=text.encode())

            try:
                await serve(receive, socket.send_str, ping, close)
            except EOFError:
                pass
            return socket.close_code, reason


def registration(token):
    message = {
        "type": "worker_registration",
        "workerId": "python",
        "workerName": "Python",
        "capabilities": {"models": [{"modelId": "sonnet"}], "maxConcurrentRequests": 2},
    }
    return message if token is None else {**message, "authToken": token}


async def main(library, url, token=None):
    async def serve(receive, send, ping, close):
        await send(json.dumps(registration(token)))
        while True:
            message = json.loads(await receive())
            if message["type"] == "work":
                await send(json.dumps({"type": "done", "payload": message["payload"]}))
            elif message["type"] == "please_beat":
                beat = {"type": "heartbeat", "workerId": "python", "timestamp": "2026-01-01T00:00:00Z"}
                await send(json.dumps(beat))
            elif message["type"] == "please_ping":
                await ping()
                await send(json.dumps({"type": "pinged"}))
            elif message["type"] == "please_close":
                await close(4000, "as asked")
                raise_closed(library)
            else:
                await send(json.dumps({"type": "got", "message": message}))

    code, reason = await {"websockets": with_websockets, "aiohttp": with_aiohttp}[library](url, serve)
    print(json.dumps({"code": code, "reason": reason}))


def raise_closed(library):
    raise EOFError if library == "aiohttp" else asyncio.CancelledError


asyncio.run(main(*sys.argv[1:]))
