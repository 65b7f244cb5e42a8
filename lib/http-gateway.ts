import { createServer, type Server, type ServerResponse } from "node:http";
import { WebSocketServer } from "ws";
import { BridgeSocket } from "./bridge-socket.js";

/**
 * Serves the connections that are no worker's with Node's own HTTP server, which never listens: the native side hands
 * it the connections. So whatever is odd about a request is answered as Node and `ws` answer it.
 */
export class HttpGateway {
  readonly #sockets = new Map<number, BridgeSocket>();
  readonly #server: Server;
  readonly #upgrades = new WebSocketServer({ noServer: true });

  constructor() {
    this.#server = createServer((_request, response) => respondNotFound(response));
    this.#server.on("upgrade", (request, socket, head) => {
      // Only what the native side did not take for a worker comes here, so this refuses, in ws's words. What ws would
      // take all the same is not well-formed enough to be a worker's.
      this.#upgrades.handleUpgrade(request, socket, head, (accepted) => accepted.close(1002));
    });
  }

  /** Starts what Node's server does when it listens: keeping track of its connections and of their deadlines. */
  start(): void {
    this.#server.emit("listening");
  }

  /** Ends connections without a request in flight; the others end after their answer. */
  stop(): void {
    // The error says that the server never listened, which is how it is meant to be.
    this.#server.close(() => {});
  }

  /** Takes over a connection. `peer`: "address port". */
  open(server: number, bridge: number, peer: string | undefined, localPort: number | undefined): void {
    const [remoteAddress, remotePort] = peer?.split(" ") ?? [];
    const socket = new BridgeSocket(server, bridge, {
      remoteAddress,
      remotePort: remotePort === undefined ? undefined : Number(remotePort),
      localPort,
    });
    this.#sockets.set(bridge, socket);
    this.#server.emit("connection", socket);
  }

  readable(bridge: number): void {
    this.#sockets.get(bridge)?.readable_();
  }

  writable(bridge: number): void {
    this.#sockets.get(bridge)?.writable_();
  }

  closed(bridge: number): void {
    this.#sockets.get(bridge)?.closed_();
    this.#sockets.delete(bridge);
  }
}

function respondNotFound(response: ServerResponse): void {
  response.writeHead(404, { "Content-Type": "application/json" });
  response.end(JSON.stringify({ error: "Not found" }));
}
