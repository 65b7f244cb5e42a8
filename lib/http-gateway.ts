import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type WebSocket, WebSocketServer } from "ws";
import { type Addresses, BridgeSocket } from "./bridge-socket.js";
import { errorMessage } from "./logger.js";
import { binding } from "./native.js";
import type { Home } from "./session.js";
import type { HttpRequestHandler, WebSocketConnectionHandler } from "./types.js";

/**
 * Serves the connections that are no worker's with Node's own HTTP server, which never listens: the native side hands
 * it the connections. So `req` and `res` are Node's, endpoint sockets are those of `ws`, and whatever is odd about a
 * request is answered as these two answer it.
 */
export class HttpGateway {
  readonly #home: Home;
  /** Kept for good, also when the server is stopped. */
  readonly #handlers: HttpRequestHandler[] = [];
  readonly #endpoints = new Map<string, WebSocketConnectionHandler>();
  readonly #sockets = new Map<number, BridgeSocket>();
  readonly #upgrades = new WebSocketServer({
    noServer: true,
    // Asked when `ws` finds nothing wrong: what the native side did not take for a worker is not well-formed all the same.
    verifyClient: ({ req }, answer) => answer(this.#endpoints.has(req.url ?? ""), 400),
  });
  #server: Server | undefined;

  constructor(home: Home) {
    this.#home = home;
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
    for (const socket of this.#upgrades.clients) socket.close(1001, "Server shutting down");
    // Its error says that the server never listened, which is how it is meant to be.
    this.#server?.close(() => {});
    this.#server = undefined;
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

  #upgrade(request: IncomingMessage, socket: BridgeSocket, head: Buffer): void {
    // It is never idle again.
    socket.unanswered++;
    const path = request.url ?? "";
    const handler = this.#endpoints.get(path);
    this.#upgrades.handleUpgrade(request, socket, head, (accepted) => {
      // Keeps a bad frame from ending the process when nobody listens to errors.
      accepted.on("error", (error) => this.#reportEndpoint(path, error));
      if (handler !== undefined) this.#openEndpoint(path, handler, accepted);
    });
  }

  #openEndpoint(path: string, handler: WebSocketConnectionHandler, socket: WebSocket): void {
    const fail = (thrown: unknown): void => {
      this.#reportEndpoint(path, thrown);
      socket.close(1011);
    };
    try {
      const result: unknown = handler(socket);
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
