/*
 * What must compile and what must not around HTTP, endpoints, and the options that version 1 did not have.
 * Nothing here is run: `tsc -p __test__` is the test.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { expectTypeOf } from "expect-type";
import express from "express";
import type { WebSocket } from "ws";
import {
  WorkerServer,
  type HttpRequestHandler,
  type ServerStats,
  type StopOptions,
  type WebSocketConnectionHandler,
  type WorkerServerLimits,
  type WorkerServerOptions,
} from "../../index.js";

declare const server: WorkerServer;

export function httpHandlers(): void {
  // Exactly as in version 1: a wider result would break who wraps handlers.
  expectTypeOf<HttpRequestHandler>().toEqualTypeOf<
    (req: IncomingMessage, res: ServerResponse) => Promise<boolean>
  >();
  expectTypeOf<WorkerServer["addHttpHandler"]>().toEqualTypeOf<(handler: HttpRequestHandler) => void>();

  server.addHttpHandler(async (request, response) => {
    expectTypeOf(request).toEqualTypeOf<IncomingMessage>();
    expectTypeOf(response).toExtend<ServerResponse>();
    expectTypeOf(request.socket.remoteAddress).toEqualTypeOf<string | undefined>();
    response.writeHead(200, { "Content-Type": "text/plain" }).end(request.url);
    return true;
  });
  // A handler may leave out what it does not need.
  server.addHttpHandler(() => Promise.resolve(false));
  server.addHttpHandler(async ({ method }) => method === "GET");

  // Frameworks take Node's request and response, and so can be called from a handler.
  const app = express();
  server.addHttpHandler(async (request, response) => {
    app(request, response);
    return true;
  });

  const withPrefix = (prefix: string, handler: HttpRequestHandler): HttpRequestHandler => {
    return async (req, res) => (req.url?.startsWith(prefix) ? handler(req, res) : false);
  };
  server.addHttpHandler(withPrefix("/api", async () => true));

  // @ts-expect-error a handler is asynchronous
  server.addHttpHandler(() => true);
  // @ts-expect-error it says whether it has answered
  server.addHttpHandler(async (_request, response) => void response.end());
  // @ts-expect-error a handler is a function
  server.addHttpHandler(app.router);
  // @ts-expect-error there is no path to it
  server.addHttpHandler("/path", async () => true);
}

export function endpoints(): void {
  // Assignable both ways to the handler's type of version 1.
  expectTypeOf<WebSocketConnectionHandler>().toExtend<(ws: WebSocket) => void>();
  expectTypeOf<(ws: WebSocket) => void>().toExtend<WebSocketConnectionHandler>();
  expectTypeOf<(ws: WebSocket, request: IncomingMessage) => void>().toExtend<WebSocketConnectionHandler>();
  expectTypeOf<WorkerServer["addWebSocketEndpoint"]>().toEqualTypeOf<
    (path: string, handler: WebSocketConnectionHandler) => void
  >();

  server.addWebSocketEndpoint("/events", (socket) => {
    expectTypeOf(socket).toEqualTypeOf<WebSocket>();
    socket.on("message", (data, isBinary) => {
      expectTypeOf(isBinary).toEqualTypeOf<boolean>();
      socket.send(data, { binary: isBinary });
    });
    socket.on("close", (code, reason) => void [code.toFixed(), reason.toString("utf8")]);
  });
  server.addWebSocketEndpoint("/events", () => {});

  // @ts-expect-error an endpoint has a path
  server.addWebSocketEndpoint(() => {});
  // @ts-expect-error which is a text
  server.addWebSocketEndpoint(/events/, () => {});
  server.addWebSocketEndpoint("/events", (_socket, request) => {
    expectTypeOf(request).toEqualTypeOf<IncomingMessage>();
  });
  server.addWebSocketEndpoint("/events", (_socket: WebSocket, _request: IncomingMessage) => {});
  // @ts-expect-error the second argument is the request
  server.addWebSocketEndpoint("/events", (_socket: WebSocket, _path: string) => {});
}

export async function stopping(): Promise<void> {
  expectTypeOf<StopOptions>().toEqualTypeOf<{ timeoutMs?: number }>();
  expectTypeOf<Parameters<WorkerServer["stop"]>>().toEqualTypeOf<[options?: StopOptions]>();
  await server.stop();
  await server.stop({});
  await server.stop({ timeoutMs: 1_000 });
  // @ts-expect-error a misspelt option is an error
  await server.stop({ timeout: 1_000 });
  // @ts-expect-error milliseconds are a number
  await server.stop({ timeoutMs: "1s" });
  // @ts-expect-error the timeout has a name
  await server.stop(1_000);
}

export function options(): void {
  expectTypeOf<WorkerServerOptions["healthPath"]>().toEqualTypeOf<string | undefined>();
  expectTypeOf<WorkerServerOptions["authTokens"]>().toEqualTypeOf<readonly string[] | undefined>();
  expectTypeOf<WorkerServerOptions["limits"]>().toEqualTypeOf<WorkerServerLimits | undefined>();

  new WorkerServer({ port: 0, healthPath: "/healthz", authTokens: ["old", "new"] });
  new WorkerServer({ port: 0, limits: { maxOutboxBytes: 1_024, registrationTimeoutMs: Infinity } });
  new WorkerServer({ port: 0, limits: {} });
  // @ts-expect-error a path is a text
  new WorkerServer({ port: 0, healthPath: true });
  // @ts-expect-error several tokens stand in an option of their own
  new WorkerServer({ port: 0, authToken: ["old", "new"] });
  // @ts-expect-error a misspelt limit is an error
  new WorkerServer({ port: 0, limits: { maxOutbox: 1_024 } });
  // @ts-expect-error a limit is a number
  new WorkerServer({ port: 0, limits: { maxOutboxBytes: "1k" } });

  // Every limit is a number that may be left out.
  expectTypeOf<WorkerServerLimits>().toEqualTypeOf<{ [Name in keyof WorkerServerLimits]?: number }>();
}

export function tokensAndStats(): void {
  expectTypeOf(server.setAuthTokens("new")).toEqualTypeOf<void>();
  server.setAuthTokens(["old", "new"]);
  const frozen: readonly string[] = Object.freeze(["a"]);
  server.setAuthTokens(frozen);
  // @ts-expect-error a token is a text
  server.setAuthTokens([1]);

  expectTypeOf(server.stats()).toEqualTypeOf<ServerStats>();
  expectTypeOf<ServerStats>().toEqualTypeOf<{ [Name in keyof ServerStats]: number }>();
  // @ts-expect-error there is no such count
  void server.stats().requests;
}

/** Who extends the class can extend these, too. */
export class Subclass extends WorkerServer {
  override addHttpHandler(handler: HttpRequestHandler): void {
    super.addHttpHandler(async (req, res) => handler(req, res));
  }
  override async stop(given?: StopOptions): Promise<void> {
    await super.stop({ timeoutMs: 1_000, ...given });
  }
}
