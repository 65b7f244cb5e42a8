import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { listenWith, serve, servePlain, stopAll, transcript } from "./support/http";
import { frame } from "./support/raw-connection";
import { type RawRequests, plainRequests, sizedRequests, upgradeRequests } from "./support/raw-requests";

/*
 * What the native side takes by itself (the health path, workers' upgrades), it must take only if node:http and ws
 * take it, too. So the same bytes go to both, and both must answer with the same status lines.
 */

afterEach(stopAll);

const healthPath = "/healthz";
/** Is answered if the connection goes on behind the request before. */
const LAST = "GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
/** Ends a WebSocket that was accepted. */
const CLOSE = frame("close", Buffer.from([3, 232])).toString("latin1");

interface Ports {
  readonly ours: number;
  readonly nodes: number;
}

/** Plain requests, which every handler answers with 200. */
async function serveRequests(): Promise<Ports> {
  const { port } = await serve((_req, res) => res.end("handled"), { healthPath });
  return { ours: port, nodes: await servePlain((_req, res) => res.end("handled")) };
}

/** Upgrades, which are all welcome. */
async function serveUpgrades(): Promise<Ports> {
  const { port } = await serve((_req, res) => res.end("handled"));
  const server = createServer((_req, res) => res.end("handled"));
  new WebSocketServer({ server }).on("connection", (socket) => socket.on("error", () => {}));
  return { ours: port, nodes: await listenWith(server) };
}

/** The status line of each answer until the connection ends. */
async function statusLines(port: number, packets: string[]): Promise<string[]> {
  const text = await transcript(port, packets, { halfClose: true });
  return [...text.matchAll(/^HTTP\/1\.1 \d{3} .*$/gm)].map(([line]) => line.trim());
}

async function expectSame(serveBoth: () => Promise<Ports>, packets: string[]): Promise<void> {
  const { ours, nodes } = await serveBoth();
  const [our, their] = await Promise.all([statusLines(ours, packets), statusLines(nodes, packets)]);

  expect(our).toEqual(their);
}

const ACCEPTED = "HTTP/1.1 101 Switching Protocols";
const REFUSED = "HTTP/1.1 400 Bad Request";

/** An upgrade that is odd, or not the first request of its connection, may be refused where `ws` accepts it; nothing else. */
async function expectAsStrict(packets: string[]): Promise<void> {
  const { ours, nodes } = await serveUpgrades();
  const [our, their] = await Promise.all([statusLines(ours, packets), statusLines(nodes, packets)]);

  const refused = their.map((line) => (line === ACCEPTED ? REFUSED : line));
  expect([their, refused]).toContainEqual(our);
}

/** So small that many packets make no difference to Node's own reading. */
const short = (requests: RawRequests): RawRequests => requests.filter(([, text]) => text.length < 600);

describe("a request for the health path", () => {
  const requests = plainRequests(healthPath);

  test.each(requests)("%s", (_name, text) => expectSame(serveRequests, [text + LAST]));

  test.each(short(requests))("in two packets: %s", (_name, text) =>
    expectSame(serveRequests, [text.slice(0, text.length / 2), text.slice(text.length / 2) + LAST]),
  );

  test.each(sizedRequests(healthPath))("%s", (_name, text) => expectSame(serveRequests, [text]));
});

describe("an upgrade of a worker", () => {
  const requests = upgradeRequests();

  test.each(requests)("%s", (_name, text) => expectAsStrict([text + CLOSE]));

  test.each(requests)("behind a request: %s", (_name, text) =>
    expectAsStrict([`GET /first HTTP/1.1\r\nHost: x\r\n\r\n${text}${CLOSE}`]),
  );

  test.each(plainRequests("/ws"))("that is none: %s", (_name, text) =>
    expectSame(serveUpgrades, [text + LAST]),
  );
});
