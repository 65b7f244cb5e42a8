import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
// Not the globals, which a test may fake: real sockets are waited for.
import { clearTimeout, setTimeout } from "node:timers";
import { type WebSocket, WebSocketServer } from "ws";
import { type Addresses, BridgeSocket } from "./bridge-socket.js";
import { SHUTTING_DOWN } from "./close-reasons.js";
import { errorMessage } from "./logger.js";
import { binding } from "./native.js";
import { type AllowedOrigins, isOriginAllowed, ORIGIN_REFUSED } from "./origins.js";
import { PeerLog } from "./peer-log.js";
import type { Home } from "./session.js";
import type { HttpRequestHandler, WebSocketConnectionHandler } from "./types.js";

/** Timers of Node run at once when they are given more. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Longest origin that is logged, in characters. */
const LOGGED_ORIGIN_LENGTH = 256;

/** What of the server's options concerns HTTP. */
export interface HttpOptions {
  readonly allowedOrigins: AllowedOrigins | undefined;
  /** Milliseconds that the peer of an endpoint's socket has for its half of the closing handshake when the server stops. */
  readonly closeTimeoutMs: number;
}

/**
 * Serves the connections that are no worker's with Node's own HTTP server, which never listens: the native side hands
 * it the connections. So `req` and `res` are Node's, endpoint sockets are those of `ws`, and whatever is odd about a
 * request is answered as these two answer it.
 */
export class HttpGateway {
  readonly #home: Home;
  readonly #options: HttpOptions;
  /** Kept for good, also when the server is stopped. */
  readonly #handlers: HttpRequestHandler[] = [];
  readonly #endpoints = new Map<string, WebSocketConnectionHandler>();
  readonly #sockets = new Map<number, BridgeSocket>();
  readonly #upgrades = new WebSocketServer({
    noServer: true,
    verifyClient: ({ req }, answer) => this.#verify(req, answer),
  });
  #server: Server | undefined;
  readonly #log: PeerLog;
  /** Upgrades to endpoints by web pages whose origin is not accepted. */
  originsRefused = 0;

  constructor(home: Home, options: HttpOptions) {
    this.#home = home;
    this.#options = options;
    this.#log = new PeerLog(home.logger);
  }

  addHandler(handler: HttpRequestHandler): void {
    this.#handlers.push(handler);
  }

  addEndpoint(path: string, handler: WebSocketConnectionHandler): void {
    this.#endpoints.set(path, handler);
    binding.setEndpoint(this.#home.number, path, true);
  }

  start(): void {
    const server = createServer((request, response) => void this.#serve(request, response));
    server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket as BridgeSocket, head));
    // Makes Node keep track of its connections and of their deadlines, as it does when it listens.
    server.emit("listening");
    // Node takes an answer for given when it has been written, even if the peer has not got it yet.
    server.closeIdleConnections = () => this.#endIdle();
    this.#server = server;
  }

  /** Closes endpoint sockets and idle connections, forgets the endpoints; requests in flight are finished. */
  stop(): void {
    for (const path of this.#endpoints.keys()) binding.setEndpoint(this.#home.number, path, false);
    this.#endpoints.clear();
    for (const socket of this.#upgrades.clients) this.#close(socket);
    // Its error says that the server never listened, which is how it is meant to be.
    this.#server?.close(() => {});
    this.#server = undefined;
  }

  #close(socket: WebSocket): void {
    socket.close(SHUTTING_DOWN.code, SHUTTING_DOWN.reason);
    const ms = Math.min(this.#options.closeTimeoutMs, LONGEST_TIMER_MS);
    const deadline = setTimeout(() => socket.terminate(), ms);
    socket.once("close", () => clearTimeout(deadline));
  }

  /** Takes over a connection. */
  open(bridge: number, addresses: string | undefined): void {
    const socket = new BridgeSocket(this.#home.number, bridge, addressesOf(addresses));
    this.#sockets.set(bridge, socket);
    if (this.#server === undefined) socket.destroy();
    else this.#server.emit("connection", socket);
  }

  readable(bridge: number): void {
    this.#sockets.get(bridge)?.onNativeReadable();
  }

  writable(bridge: number): void {
    this.#sockets.get(bridge)?.onNativeWritable();
  }

  closed(bridge: number): void {
    this.#sockets.get(bridge)?.onNativeClosed();
    this.#sockets.delete(bridge);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const socket = request.socket as unknown as BridgeSocket;
    socket.unanswered++;
    response.once("close", () => {
      socket.unanswered--;
      // While stopping nobody is to wait for the keep-alive timeout of a connection.
      if (this.#server === undefined) this.#endIdle();
    });
    for (const handler of this.#handlers) {
      try {
        if (await handler(request, response)) return;
      } catch (thrown) {
        this.#home.logger.error("HTTP handler error", { error: errorMessage(thrown), url: request.url });
      }
    }
    if (!response.headersSent) respondNotFound(response);
    // A head without the rest would leave the client waiting; one that was ended is an answer.
    else if (!response.writableEnded) response.destroy();
  }

  #endIdle(): void {
    for (const socket of this.#sockets.values()) {
      if (socket.unanswered === 0) socket.destroySoon();
    }
  }

  /** Asked when `ws` finds nothing wrong with an upgrade. */
  #verify(
    request: IncomingMessage,
    answer: (accepts: boolean, code?: number, message?: string) => void,
  ): void {
    // The native side, which takes workers, did not take it for one, so it is not well-formed all the same.
    if (this.#endpointOf(request) === undefined) return answer(false, 400);
    const { origin } = request.headers;
    if (isOriginAllowed(this.#options.allowedOrigins, origin)) return answer(true);
    this.originsRefused++;
    this.#log.warn(ORIGIN_REFUSED, { origin: origin?.slice(0, LOGGED_ORIGIN_LENGTH) });
    answer(false, 403, STATUS_CODES[403]);
  }

  /** The endpoint at exactly the request's target, else the one at its path. */
  #endpointOf({ url = "" }: IncomingMessage): WebSocketConnectionHandler | undefined {
    return this.#endpoints.get(url) ?? this.#endpoints.get(url.split("?", 1)[0]!);
  }

  #upgrade(request: IncomingMessage, socket: BridgeSocket, head: Buffer): void {
    // It is never idle again.
    socket.unanswered++;
    const handler = this.#endpointOf(request);
    const path = (request.url ?? "").split("?", 1)[0]!;
    this.#upgrades.handleUpgrade(request, socket, head, (accepted) => {
      // Keeps a bad frame from ending the process when nobody listens to errors.
      accepted.on("error", (error) => this.#reportEndpoint(path, error));
      if (handler !== undefined) this.#openEndpoint(path, () => handler(accepted, request), accepted);
    });
  }

  #openEndpoint(path: string, open: () => unknown, socket: WebSocket): void {
    const fail = (thrown: unknown): void => {
      this.#reportEndpoint(path, thrown);
      socket.close(1011);
    };
    try {
      const result = open();
      if (result instanceof Promise) result.catch(fail);
    } catch (thrown) {
      fail(thrown);
    }
  }

  #reportEndpoint(path: string, thrown: unknown): void {
    this.#home.logger.error("WebSocket endpoint error", { path, error: errorMessage(thrown) });
  }
}

function respondNotFound(response: ServerResponse): void {
  try {
    response.writeHead(404, { "Content-Type": "application/json" });
    response.end(JSON.stringify({ error: "Not found" }));
  } catch {
    // A handler left the response in a state from which there is no answer.
    response.destroy();
  }
}

/** "remote address, remote port, local address, local port", separated by spaces; none for a path. */
function addressesOf(text: string | undefined): Addresses {
  const [remoteAddress, remotePort, localAddress, localPort] = text?.split(" ") ?? [];
  return { remoteAddress, remotePort: portOf(remotePort), localAddress, localPort: portOf(localPort) };
}

function portOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}
