import { type Answer, exchange, readUntil, upgradeRequest } from "./support/raw-connection";
import { type RecordingLogger, createServer, startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";

const FOREIGN = "https://foreign.example";
const REFUSED = "WebSocket upgrade rejected: origin not allowed";

afterEach(stopServers);

function upgradeFrom(origin: string | undefined, { path = "/ws", host = "127.0.0.1" } = {}): string {
  return upgradeRequest({ Origin: origin, Host: host }, `GET ${path} HTTP/1.1`);
}

async function expectAccepted(port: number, request: string): Promise<void> {
  const { socket } = await readUntil(port, request, "HTTP/1.1 101 ");
  socket.destroy();
}

async function expectRefused(port: number, request: string): Promise<Answer> {
  const answer = await exchange(port, request);
  expect(answer).toMatchObject({ status: 403, body: "Forbidden", headers: { connection: "close" } });
  return answer;
}

function refusalsOf(logger: RecordingLogger): unknown[] {
  return logger.of(REFUSED).map(({ level, rest }) => [level, ...rest]);
}

describe("without a token", () => {
  test.each([
    ["that names no origin", undefined, "127.0.0.1"],
    ["of this machine", "http://localhost:5173", "server.example"],
    ["of this machine's address", "http://127.0.0.1:3000", "server.example"],
    ["of this machine's IPv6 address", "http://[::1]:3000", "server.example"],
    ["of the host that it asks", "https://server.example", "server.example:19100"],
    ["of another port of the host that it asks", "http://10.0.0.7:3000", "10.0.0.7:19100"],
  ])("a page %s may connect as a worker", async (_which, origin, host) => {
    const { port, logger } = await startServer();

    await expectAccepted(port, upgradeFrom(origin, { host }));

    expect(refusalsOf(logger)).toEqual([]);
  });

  test.each([
    FOREIGN,
    "null",
    "http://127.0.0.1.foreign.example",
    "http://localhost.foreign.example",
    "chrome-extension://abcdefghijklmnop",
    "nonsense",
    "",
  ])("a page of %p is refused with 403 and one log line", async (origin) => {
    const { server, port, logger } = await startServer();

    await expectRefused(port, upgradeFrom(origin));
    await TestWorker.register(port);

    expect(refusalsOf(logger)).toEqual([["warn", { origin }]]);
    expect(logger.of("New WebSocket connection from potential worker")).toHaveLength(1);
    expect(server.stats()).toMatchObject({ originsRefused: 1, connections: 1 });
  });

  test("pages may use endpoints, whatever their origin", async () => {
    const { server, port } = await startServer();
    server.addWebSocketEndpoint("/live", (socket) => socket.close());

    await expectAccepted(port, upgradeFrom(FOREIGN, { path: "/live?token=1" }));
  });

  test("a token that is set later lets pages in", async () => {
    const { server, port } = await startServer();

    server.setAuthTokens("secret");

    await expectAccepted(port, upgradeFrom(FOREIGN));
  });
});

test("with a token pages of any origin may connect, since the token decides", async () => {
  const { port } = await startServer({ authToken: "secret" });

  await expectAccepted(port, upgradeFrom(FOREIGN));
});

describe("allowedOrigins", () => {
  const allowedOrigins = ["https://App.example", "https://secure.example:443/", "vscode-webview://panel"];

  test.each([{}, { authToken: "secret" }])("lets in the pages of its list only, with %p", async (options) => {
    const { port } = await startServer({ allowedOrigins, ...options });

    await expectAccepted(port, upgradeFrom("https://app.example"));
    await expectAccepted(port, upgradeFrom("https://secure.example"));
    await expectAccepted(port, upgradeFrom("vscode-webview://panel"));
    await expectAccepted(port, upgradeFrom(undefined));
    await expectRefused(port, upgradeFrom("https://app.example:8443"));
    await expectRefused(port, upgradeFrom("http://localhost:3000"));
    await expectRefused(port, upgradeFrom("http://127.0.0.1"));
  });

  test("rules endpoints as well", async () => {
    const { server, port, logger } = await startServer({ allowedOrigins });
    server.addWebSocketEndpoint("/live", (socket) => socket.close());

    await expectAccepted(port, upgradeFrom("https://app.example", { path: "/live" }));
    await expectAccepted(port, upgradeFrom(undefined, { path: "/live" }));
    await expectRefused(port, upgradeFrom(FOREIGN, { path: "/live" }));

    expect(refusalsOf(logger)).toEqual([["warn", { origin: FOREIGN }]]);
    expect(server.stats().originsRefused).toBe(1);
  });

  test('as "*" lets in every page', async () => {
    const { server, port } = await startServer({ allowedOrigins: "*" });
    server.addWebSocketEndpoint("/live", (socket) => socket.close());

    await expectAccepted(port, upgradeFrom(FOREIGN));
    await expectAccepted(port, upgradeFrom("null"));
    await expectAccepted(port, upgradeFrom(FOREIGN, { path: "/live" }));
  });

  test("as an empty list lets in no page", async () => {
    const { port } = await startServer({ allowedOrigins: [] });

    await expectRefused(port, upgradeFrom("http://localhost"));
    await TestWorker.register(port);
  });

  test.each([
    ["https://a.example", /^options\.allowedOrigins: expected "\*" or an array of origins/],
    [null, /^options\.allowedOrigins: expected .*, got null$/],
    [[1], /^options\.allowedOrigins\[0\]: expected an origin such as "https:\/\/example\.com", got 1$/],
    [["https://a.example", "a.example"], /^options\.allowedOrigins\[1\]: .*, got "a\.example"$/],
    [["https://a.example/path"], /allowedOrigins\[0\]/],
    [["https://user@a.example"], /allowedOrigins\[0\]/],
    [["*"], /allowedOrigins\[0\]/],
  ])("%p is a TypeError", (value, message) => {
    expect(() => createServer({ allowedOrigins: value as never })).toThrow(TypeError);
    expect(() => createServer({ allowedOrigins: value as never })).toThrow(message);
  });
});
