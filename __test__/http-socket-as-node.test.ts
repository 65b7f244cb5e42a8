import { once } from "node:events";
import { type IncomingMessage, type Server, type ServerResponse, createServer } from "node:http";
import { type AddressInfo, type Socket, connect } from "node:net";
import { startServer, stopServers } from "./support/test-server";

/*
 * `req.socket` beside Node's own: every property of `net.Socket` and `stream.Duplex` that Node's documentation names is read
 * on both, at each stage of a request. Those that differ (`connect`, `readableDidRead`) are in docs/migrating.md and not
 * here.
 */

const PROPERTIES = [
  "autoSelectFamilyAttemptedAddresses",
  "bufferSize",
  "bytesRead",
  "bytesWritten",
  "connecting",
  "destroyed",
  "localFamily",
  "pending",
  "readyState",
  "remoteFamily",
  "timeout",
  "encrypted",
  "allowHalfOpen",
  "closed",
  "errored",
  "readable",
  "readableAborted",
  "readableEncoding",
  "readableEnded",
  "readableFlowing",
  "readableHighWaterMark",
  "readableLength",
  "readableObjectMode",
  "writable",
  "writableAborted",
  "writableCorked",
  "writableEnded",
  "writableFinished",
  "writableHighWaterMark",
  "writableLength",
  "writableNeedDrain",
  "writableObjectMode",
] as const;

/** Different in every connection; that they are of the same kind is what counts. */
const KINDS = ["localAddress", "localPort", "remoteAddress", "remotePort"] as const;

const METHODS = [
  "address",
  "cork",
  "destroy",
  "destroySoon",
  "end",
  "isPaused",
  "pause",
  "pipe",
  "read",
  "ref",
  "resetAndDestroy",
  "resume",
  "setDefaultEncoding",
  "setEncoding",
  "setKeepAlive",
  "setNoDelay",
  "setTimeout",
  "uncork",
  "unpipe",
  "unref",
  "unshift",
  "wrap",
  "write",
] as const;

type Reading = Record<string, unknown>;

const servers: Server[] = [];

afterEach(async () => {
  await stopServers();
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
});

function readingOf(socket: Socket): Reading {
  const reading: Reading = {};
  for (const name of PROPERTIES) reading[name] = (socket as unknown as Reading)[name];
  for (const name of KINDS) reading[name] = typeof socket[name];
  for (const name of METHODS) reading[name] = typeof (socket as unknown as Reading)[name];
  return reading;
}

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function ours(handler: Handler): Promise<number> {
  const { server, port } = await startServer();
  server.addHttpHandler(async (request, response) => {
    handler(request, response);
    return true;
  });
  return port;
}

async function nodes(handler: Handler): Promise<number> {
  const server = createServer(handler).listen(0);
  servers.push(server);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** Sends one request with a body in two parts, and reads the socket at each stage of it. */
async function readings(serve: (handler: Handler) => Promise<number>): Promise<Record<string, Reading>> {
  const stages: Record<string, Reading> = {};
  let finished!: () => void;
  const done = new Promise<void>((resolve) => (finished = resolve));
  const port = await serve((request, response) => {
    const { socket } = request;
    stages["in the handler"] = readingOf(socket);
    request.once("end", () => {
      stages["at the end of the request"] = readingOf(socket);
      response.end("done", () => {
        stages["when the response is written"] = readingOf(socket);
        socket.once("close", () => {
          stages["when it is closed"] = readingOf(socket);
          finished();
        });
        client.end();
      });
    });
    request.resume();
    client.write("body");
  });
  const client = connect(port, "127.0.0.1");
  client.resume();
  client.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n");
  await done;
  return stages;
}

test("has the properties of a net.Socket, at each stage of a request", async () => {
  const [found, expected] = await Promise.all([readings(ours), readings(nodes)]);

  expect(found).toEqual(expected);
});

test("is open in a handler, neither connecting nor pending, and closed afterwards", async () => {
  const stages = await readings(ours);

  expect(stages["in the handler"]).toMatchObject({ readyState: "open", connecting: false, pending: false });
  expect(stages["when it is closed"]).toMatchObject({
    readyState: "closed",
    connecting: false,
    pending: true,
  });
});

test("resetAndDestroy ends the connection at once", async () => {
  const port = await ours((request) => void request.socket.resetAndDestroy());
  const client = connect(port, "127.0.0.1");
  client.on("error", () => {});
  client.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

  await once(client, "close");

  expect(client.bytesRead).toBe(0);
});
