import { once } from "node:events";
import { type RequestOptions, type ServerResponse, request as httpRequest } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { RawClient, request, serve, stopAll } from "./support/http";
import { HttpChild } from "./support/http-child";
import { until } from "./support/until";

afterEach(async () => {
  await HttpChild.endAll();
  await stopAll();
});

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const MOST_GROWTH = 32 * MIB;
const PIECE = Buffer.alloc(64 * 1024);

function* pieces(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= PIECE.length) yield PIECE;
}

/** Sends so many bytes and returns what the server says to it. */
async function upload(port: number, length: number, options: RequestOptions = {}): Promise<string> {
  const outgoing = httpRequest({ host: "127.0.0.1", port, method: "POST", agent: false, ...options });
  const [[response]] = await Promise.all([
    once(outgoing, "response"),
    pipeline(Readable.from(pieces(length)), outgoing),
  ]);
  let text = "";
  for await (const chunk of response) text += chunk;
  return text;
}

/** Asks for so many bytes and returns how many came. */
async function download(port: number, length: number): Promise<number> {
  const outgoing = httpRequest({ host: "127.0.0.1", port, path: `/download/${length}`, agent: false }).end();
  const [response] = await once(outgoing, "response");
  let received = 0;
  for await (const chunk of response) received += chunk.length;
  return received;
}

describe("the memory of a server grows by less than 32 MiB", () => {
  async function growthDuring(child: HttpChild, transfer: () => Promise<unknown>): Promise<number> {
    const { now } = await child.memory();
    await transfer();
    return (await child.memory()).most - now;
  }

  test("during an upload of 1 GiB", async () => {
    const child = await HttpChild.start();

    const growth = await growthDuring(child, async () => {
      expect(await upload(child.port, GIB, { headers: { "Content-Length": GIB } })).toBe(String(GIB));
    });

    expect(growth).toBeLessThan(MOST_GROWTH);
  }, 60_000);

  test("during a download of 1 GiB", async () => {
    const child = await HttpChild.start();

    const growth = await growthDuring(child, async () => {
      expect(await download(child.port, GIB)).toBe(GIB);
    });

    expect(growth).toBeLessThan(MOST_GROWTH);
  }, 60_000);

  test("while a client sends what the handler does not read", async () => {
    let length = 0;
    const unread: ServerResponse[] = [];
    const { port } = await serve((req, res) => {
      if (req.url === "/") res.end();
      else unread.push(res);
    });
    const client = await RawClient.open(port);
    client.write(`POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: ${GIB}\r\n\r\n`);
    const goOn = (): void => {
      while (length < GIB && client.socket.write(PIECE)) length += PIECE.length;
    };
    client.socket.on("drain", goOn);
    goOn();

    await stalled(port, () => length);
    for (const res of unread) res.destroy();

    expect(length).toBeLessThan(MOST_GROWTH);
  });
});

/** Returns when a number has not changed over many round trips of another connection. */
async function stalled(port: number, number: () => number): Promise<void> {
  for (let before = -1; before !== number();) {
    before = number();
    for (let turn = 0; turn < 50; turn++) await request(port);
  }
}

describe("a client that does not read", () => {
  /** The response to a client that has stopped reading. */
  async function unread(): Promise<{ client: RawClient; res: ServerResponse; port: number }> {
    const responses: ServerResponse[] = [];
    const { port } = await serve((req, res) => {
      if (req.url === "/unread") responses.push(res);
      else res.end();
    });
    const client = await RawClient.open(port);
    client.socket.pause();
    client.get("/unread");
    await until(() => responses.length > 0, "the request arrives");
    return { client, res: responses[0]!, port };
  }

  /** Writes for as long as nothing has to be waited for; counts what it wrote. */
  function write(res: ServerResponse, length: number): { written: number } {
    const count = { written: 0 };
    const goOn = (): void => {
      while (count.written < length) {
        count.written += PIECE.length;
        if (!res.write(PIECE)) return;
      }
      res.end();
    };
    res.on("drain", goOn);
    goOn();
    return count;
  }

  test("stops the handler: write returns false and no 'drain' follows", async () => {
    const { res, port } = await unread();

    const count = write(res, 64 * MIB);
    await stalled(port, () => count.written);

    expect(count.written).toBeLessThan(MOST_GROWTH);
    expect(res.writableNeedDrain).toBe(true);
  });

  test("sets the handler going again when it reads: 'drain' comes, and nothing is lost", async () => {
    const { client, res, port } = await unread();
    const count = write(res, 64 * MIB);
    await stalled(port, () => count.written);
    let received = 0;
    client.socket.removeAllListeners("data").on("data", (chunk) => (received += chunk.length));

    client.socket.resume();
    await once(res, "finish");

    expect(count.written).toBe(64 * MIB);
    await until(() => received > 64 * MIB, "all of it is received");
  });

  test("and leaves ends the handler's waiting", async () => {
    const { client, res, port } = await unread();
    const count = write(res, 64 * MIB);
    await stalled(port, () => count.written);

    client.socket.destroy();

    await once(res, "close");
    expect(res.writableFinished).toBe(false);
  });
});

test("a body that the handler lets wait is read on when the handler asks for it", async () => {
  const { port } = await serve((req, res) => {
    let length = 0;
    req.pause().on("data", (chunk) => (length += chunk.length));
    req.on("end", () => res.end(String(length)));
    setImmediate(() => req.resume());
  });

  expect(await upload(port, 16 * MIB)).toBe(String(16 * MIB));
});
