import { once } from "node:events";
import {
  type IncomingHttpHeaders,
  type RequestListener,
  type RequestOptions,
  type Server,
  createServer,
  request as httpRequest,
} from "node:http";
import { type Socket, connect } from "node:net";
import type { WorkerServer, WorkerServerOptions } from "../../index.js";
import { portOf } from "./ports";
import { type RecordingLogger, startServer, stopServers } from "./test-server";

const plainServers = new Set<Server>();
/** What tests opened, to be dropped behind them. */
const rawSockets = new Set<Socket>();

/** Gives every request to a listener as node:http takes it. */
export function mount(server: WorkerServer, listener: RequestListener): void {
  server.addHttpHandler(async (req, res) => {
    listener(req, res);
    return true;
  });
}

/** A server of ours that gives every request to the listener. */
export async function serve(
  listener: RequestListener,
  options: Partial<WorkerServerOptions> = {},
): Promise<{ server: WorkerServer; port: number; logger: RecordingLogger; url: string }> {
  const started = await startServer(options);
  mount(started.server, listener);
  return { ...started, url: `http://127.0.0.1:${started.port}` };
}

/** The same with node:http itself, to compare with; returns its port. */
export function servePlain(listener: RequestListener): Promise<number> {
  return listenWith(createServer(listener));
}

/** Lets a server of Node's listen until the end of the test; returns its port. */
export async function listenWith(server: Server): Promise<number> {
  plainServers.add(server);
  server.listen(0);
  await once(server, "listening");
  return portOf(server);
}

/** For `afterEach`, instead of `stopServers`. */
export async function stopAll(): Promise<void> {
  for (const server of plainServers) {
    server.close();
    server.closeAllConnections();
  }
  plainServers.clear();
  for (const socket of rawSockets) socket.destroy();
  rawSockets.clear();
  await stopServers();
}

/** Answers with all that arrived, as JSON; to a request without a body in the turn in which it comes. */
export const echo: RequestListener = (req, res) => {
  const { method, url, httpVersion, headers, rawHeaders } = req;
  let body = "";
  const answer = (): void => {
    const { trailers } = req;
    res.setHeader("Content-Type", "application/json");
    res.end(JSON.stringify({ method, url, httpVersion, headers, rawHeaders, trailers, body }));
  };
  if (!("content-length" in headers) && !("transfer-encoding" in headers)) return answer();
  req.setEncoding("latin1").on("data", (chunk) => (body += chunk));
  req.on("end", answer);
  // Broken off; nobody is there for an answer.
  req.on("error", () => {});
};

/** All that the server sends until it closes the connection, with dates left out. */
export async function transcript(
  port: number,
  packets: (string | Buffer)[],
  { halfClose = false } = {},
): Promise<string> {
  const socket = connect(port, "127.0.0.1").setNoDelay().setEncoding("latin1");
  rawSockets.add(socket);
  // A server may reset a connection it refused; what it said before counts.
  socket.on("error", () => {});
  let text = "";
  socket.on("data", (chunk) => (text += chunk));
  const closed = new Promise((resolve) => socket.once("close", resolve));
  for (const packet of packets) {
    if (!socket.writable) break;
    await new Promise((written) => socket.write(packet, "latin1", written));
  }
  if (halfClose) socket.end();
  await closed;
  return text.replaceAll(/^Date: .*\r\n/gm, "");
}

export interface Reply {
  readonly status: number;
  readonly reason: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: string[];
  readonly trailers: NodeJS.Dict<string>;
  readonly body: string;
}

/** One request on a connection of its own. */
export async function request(
  port: number,
  options: RequestOptions = {},
  body: string | Buffer = "",
): Promise<Reply> {
  const outgoing = httpRequest({ host: "127.0.0.1", port, agent: false, ...options });
  outgoing.end(body);
  const [response] = await once(outgoing, "response");
  let text = "";
  for await (const chunk of response.setEncoding("utf8")) text += chunk;
  return {
    status: response.statusCode,
    reason: response.statusMessage,
    headers: response.headers,
    rawHeaders: response.rawHeaders,
    trailers: response.trailers,
    body: text,
  };
}

/** A raw connection that keeps what it received. */
export class RawClient {
  readonly closed: Promise<void>;
  readonly socket: Socket;
  text = "";

  private constructor(port: number) {
    this.socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true }).setEncoding("latin1");
    rawSockets.add(this.socket);
    this.socket.on("data", (chunk) => (this.text += chunk));
    this.socket.on("end", () => this.socket.end());
    this.socket.on("error", () => {});
    // Also by a reset, which `once` of node:events would take for a failure of the test.
    this.closed = new Promise((resolve) => this.socket.once("close", () => resolve()));
  }

  static async open(port: number): Promise<RawClient> {
    const client = new RawClient(port);
    await once(client.socket, "connect");
    return client;
  }

  write(bytes: string | Buffer): void {
    this.socket.write(bytes);
  }

  /** Sends a plain GET that keeps the connection. */
  get(path = "/"): void {
    this.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
  }

  /** Returns once the text has come as often as that; fails if the server closes first. */
  async received(expected: string, times = 1): Promise<void> {
    while (this.text.split(expected).length <= times) {
      const more = once(this.socket, "data");
      const open = await Promise.race([more.then(() => true), this.closed.then(() => false)]);
      if (!open && this.text.split(expected).length <= times) {
        throw new Error(`closed after ${JSON.stringify(this.text)}`);
      }
    }
  }
}
