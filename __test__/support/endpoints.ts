import { once } from "node:events";
import { WebSocket } from "ws";
import type { WebSocketConnectionHandler, WorkerServer, WorkerServerLimits } from "../../index.js";
import { type RecordingLogger, startServer } from "./test-server";

const clients = new Set<WebSocket>();

/** Opens a socket at the path. */
export async function connectTo(port: number, path = "/live", protocols: string[] = []): Promise<WebSocket> {
  const client = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols);
  clients.add(client);
  // A connection that breaks shows in its close.
  client.on("error", () => {});
  await once(client, "open");
  return client;
}

export interface OpenEndpoint {
  readonly server: WorkerServer;
  readonly port: number;
  readonly logger: RecordingLogger;
  /** The server's side of the connection. */
  readonly socket: WebSocket;
  readonly client: WebSocket;
  /** The arguments of every call of the handler. */
  readonly calls: unknown[][];
}

/** A server with an endpoint and one client that is connected to it. */
export async function openEndpoint({
  path = "/live",
  protocols = [] as string[],
  onOpen = (() => {}) as WebSocketConnectionHandler,
  limits = {} as WorkerServerLimits,
} = {}): Promise<OpenEndpoint> {
  const started = await startServer({ limits });
  const calls: unknown[][] = [];
  const opened = new Promise<WebSocket>((resolve) => {
    started.server.addWebSocketEndpoint(path, (...args) => {
      calls.push(args);
      resolve(args[0] as WebSocket);
      onOpen(...args);
    });
  });
  const client = await connectTo(started.port, path, protocols);
  return { ...started, socket: await opened, client, calls };
}

/** How a socket was or will be closed. */
export async function closeOf(socket: WebSocket): Promise<{ code: number; reason: string }> {
  const [code, reason] = await new Promise<[number, Buffer]>((resolve) => {
    socket.once("close", (...args) => resolve(args));
  });
  return { code, reason: reason.toString() };
}

/** Cuts every client that a test left open. */
export function dropClients(): void {
  for (const client of clients) client.terminate();
  clients.clear();
}
