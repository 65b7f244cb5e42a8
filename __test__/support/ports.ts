import { once } from "node:events";
import { type AddressInfo, type Server, connect, createServer } from "node:net";

/** A port that nobody listens on at the moment. */
export async function freePort(): Promise<number> {
  const server = await occupy();
  const port = portOf(server);
  await release(server);
  return port;
}

/** Listens with plain Node; without arguments on any port of all interfaces. */
export async function occupy(port = 0, host?: string): Promise<Server> {
  const server = createServer();
  server.listen({ port, host });
  await once(server, "listening");
  return server;
}

export function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

export async function release(server: Server): Promise<void> {
  server.close();
  await once(server, "close");
}

/** The error with which plain Node answers `listen(port)`. */
export async function listenErrorOfNode(port: number): Promise<NodeJS.ErrnoException> {
  const server = createServer();
  server.listen(port);
  const [error] = await once(server, "error");
  return error;
}

/** The error code with which a TCP connection to the port is refused; `undefined` if it is accepted. */
export async function refusalOf(port: number): Promise<string | undefined> {
  const socket = connect(port, "127.0.0.1");
  return new Promise((resolve) => {
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}
