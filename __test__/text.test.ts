import { once } from "node:events";
import type { WorkerPool } from "../index.js";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";
import { until } from "./support/until";

/*
 * Text of every kind, both ways: it crosses the border as Latin-1 or UTF-16, one by one or in batches, and must be what Node
 * makes of the same bytes.
 */

afterEach(stopServers);

const kinds: [string, string][] = [
  ["nothing", ""],
  ["ASCII", 'plain text, "quoted"\n'],
  ["the last of ASCII", "\u007f"],
  ["the first beyond ASCII", "\u0080"],
  ["Latin-1", "grüße, naïve café ÿ"],
  ["the first beyond Latin-1", "\u0100"],
  ["typographic quotes", "it said \u201cyes\u201d, didn\u2019t it"],
  ["Chinese", "敏捷的棕色狐狸跳过了懒狗"],
  ["emoji", "done 🎉 👩‍💻👍🏽"],
  ["the last of the first plane", "\uffff\ufffe\ufeff"],
  ["the last of all", "\u{10ffff}"],
  ["a half of a character", "a\ud800b"],
  ["the other half", "\udc00"],
];

/** Around every length at which it goes another way: the stack's buffer, a conversion's piece, a short message. */
const lengths = [1, 60, 500, 505, 515, 1_020, 1_030, 4_090, 4_100, 70_000];

/** A text of about that many units, cut where it may. */
function filled(text: string, length: number): string {
  return text === "" ? "" : text.repeat(Math.ceil(length / text.length));
}

describe.each(kinds)("%s", (_kind, text) => {
  test("reaches a handler as it was sent", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    const received: string[] = [];
    server.onWorkerMessage("text", (_worker, message) => received.push(message.text));
    const sent = lengths.map((length) => filled(text, length));

    // As its bytes, so that it is not escaped where JSON would allow it to be plain.
    for (const one of sent) worker.sendText(JSON.stringify({ type: "text", text: one }));

    await until(() => received.length === sent.length, "all of it has come");
    expect(received).toEqual(sent);
  });

  test("reaches a worker as it was sent, by send, broadcast and a socket", async () => {
    const { server, port } = await startServer();
    const worker = await TestWorker.register(port);
    const { websocket } = (server as unknown as { pool: WorkerPool }).pool.get("worker-1")!;
    for (const length of lengths) {
      const one = filled(text, length);
      expect(server.send("worker-1", { text: one })).toBe(true);
      server.broadcast({ text: one });
      const raw = once(worker.socket, "message");
      expect(await worker.next()).toEqual({ text: one });
      expect(await worker.next()).toEqual({ text: one });
      await raw;

      const plain = once(worker.socket, "message");
      websocket.send(one);
      const [data] = await plain;
      await worker.nextText();
      // As Node writes it: what is no character becomes the replacement character.
      expect(Buffer.compare(data, Buffer.from(one))).toBe(0);
    }
  });
});

test("texts of all kinds keep their order, whichever batch they are in", async () => {
  const { server, port } = await startServer();
  const [one, two] = [
    await TestWorker.register(port, { workerId: "one" }),
    await TestWorker.register(port, { workerId: "two" }),
  ];
  const received: [string, number, string][] = [];
  server.onWorkerMessage("text", (worker, message) => received.push([worker.id, message.n, message.text]));
  const texts = kinds.map(([, text]) => text);

  for (let n = 0; n < 500; n++) {
    for (const worker of [one, two]) {
      worker.sendText(JSON.stringify({ type: "text", n, text: texts[(n * 7) % texts.length] }));
    }
  }

  await until(() => received.length === 1_000, "all of them have come");
  for (const id of ["one", "two"]) {
    const own = received.filter(([sender]) => sender === id);
    expect(own).toEqual(Array.from({ length: 500 }, (_, n) => [id, n, texts[(n * 7) % texts.length]]));
  }
});

test("names and capabilities in any language are as they were sent", async () => {
  const { server, port } = await startServer();
  for (const [index, [, text]] of kinds.entries()) {
    await TestWorker.register(port, { workerId: `worker-${index}`, workerName: text });
  }

  expect(server.getWorkerInfo().map(({ name }) => name)).toEqual(kinds.map(([, text]) => text));
});
