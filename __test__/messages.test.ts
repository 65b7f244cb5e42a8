import type { WorkerInfo } from "../index.js";
import { handledSoFar } from "./support/barrier";
import { infoOf } from "./support/infos";
import { recordMessages } from "./support/messages";
import { serverWithWorker } from "./support/server-with-worker";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

/** Sends the text as one frame and returns the messages of that type it led to. */
async function messagesFrom(text: string | Buffer, type: string, binary = false): Promise<unknown[]> {
  const { server, worker } = await serverWithWorker();
  const calls = recordMessages(server, type);
  worker.socket.send(text, { binary });
  await handledSoFar(server, worker);
  return calls.map(([, message]) => message);
}

/** Sends the text as one frame and returns the warnings it led to; proves that the socket stays. */
async function warningsAfter(text: string | Buffer, binary = false): Promise<unknown[]> {
  const { server, worker, logger } = await serverWithWorker();
  worker.socket.send(text, { binary });
  await handledSoFar(server, worker);
  expect(server.getWorkerCount()).toBe(1);
  return logger.lines.filter(({ level }) => level === "warn" || level === "error");
}

function warning(message: string, ...rest: unknown[]): unknown[] {
  return [{ level: "warn", message, rest }];
}

/** The same text as a worker would escape it: every character of the word as \uXXXX. */
function escaped(word: string): string {
  return [...word].map((char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
}

describe("frames", () => {
  test("a text frame reaches the handler of its type as a parsed message", async () => {
    const message = { type: "result", requestId: "r1", list: [1, "two", null, { three: true }], empty: {} };

    expect(await messagesFrom(JSON.stringify(message), "result")).toStrictEqual([message]);
  });

  test("a binary frame reaches the handler like a text frame", async () => {
    const frame = Buffer.from('{"type":"result","text":"größer 😀"}');

    expect(await messagesFrom(frame, "result", true)).toStrictEqual([{ type: "result", text: "größer 😀" }]);
  });

  test("invalid UTF-8 in a binary frame becomes replacement characters", async () => {
    const frame = Buffer.concat([
      Buffer.from('{"type":"result","text":"a'),
      Buffer.from([0xff, 0xc3]),
      Buffer.from('b"}'),
    ]);

    expect(await messagesFrom(frame, "result", true)).toStrictEqual([{ type: "result", text: "a��b" }]);
  });

  test("invalid UTF-8 in a text frame closes that connection with 1007 and no other", async () => {
    const { server, port, worker } = await serverWithWorker();
    const other = await TestWorker.register(port, { workerId: "other" });
    const calls = recordMessages(server, "result");

    worker.socket.send(Buffer.from([0x22, 0xff, 0x22]), { binary: false });

    expect(await worker.closed).toEqual({ code: 1007, reason: "" });
    await until(() => server.getWorkerCount() === 1, "the worker is removed");
    other.send({ type: "result" });
    await until(() => calls.length === 1, "the other worker is heard");
    expect(calls[0]![0].id).toBe("other");
  });

  test("a message in fragments, cut inside a character, arrives whole", async () => {
    const { server, worker } = await serverWithWorker();
    const calls = recordMessages(server, "result");
    const bytes = Buffer.from('{"type":"result","text":"😀"}');
    const middle = bytes.indexOf(0xf0) + 2;

    worker.socket.send(bytes.subarray(0, middle), { binary: false, fin: false });
    worker.socket.send(bytes.subarray(middle), { binary: false, fin: true });

    await until(() => calls.length === 1, "the message arrives");
    expect(calls[0]![1]).toStrictEqual({ type: "result", text: "😀" });
  });

  test("a message of 5 MiB arrives whole", async () => {
    const text = "0123456789abcdeß".repeat((5 * 2 ** 20) / 16);

    const [message] = (await messagesFrom(JSON.stringify({ type: "result", text }), "result")) as any[];

    expect(message.text === text).toBe(true);
  });
});

describe("what is no message", () => {
  test.each(["", "{", "nonsense", "{'type':'result'}", '{"type":"result"', '{"type":"result"}}', "\u0000"])(
    "invalid JSON %j is warned about without a context, and the socket stays",
    async (text) => {
      expect(await warningsAfter(text)).toStrictEqual(warning("Invalid JSON message from worker"));
    },
  );

  test.each([
    ["text", false],
    ["binary", true],
  ])("a byte order mark makes a %s frame invalid JSON", async (_kind, binary) => {
    const frame = Buffer.from('\ufeff{"type":"result"}');

    expect(await warningsAfter(frame, binary)).toStrictEqual(warning("Invalid JSON message from worker"));
  });

  test.each([
    "[]",
    '["type"]',
    "{}",
    "5",
    "true",
    '"type"',
    "null",
    '{"type":5}',
    '{"type":null}',
    '{"type":["a"]}',
  ])("%s has no string type: warned about without a context, and the socket stays", async (text) => {
    expect(await warningsAfter(text)).toStrictEqual(warning("Message missing type field"));
  });

  test("of two type fields the last one counts, also when it is no string", async () => {
    expect(await warningsAfter('{"type":"result","type":5}')).toStrictEqual(
      warning("Message missing type field"),
    );
  });
});

describe("what JSON.parse accepts", () => {
  test.each([
    ["whitespace around", ' \t\r\n{ "type" : "result" } \n'],
    ["an escaped type", `{"type":"${escaped("result")}"}`],
    ["an escaped key", `{"${escaped("type")}":"result"}`],
    ["the last of two types", '{"type":"other","type":"result"}'],
    ["a type after an inner type", '{"inner":{"type":"other"},"list":[{"type":"x"}],"type":"result"}'],
    ["braces and quotes inside strings", '{"a":"}{\\"type\\":\\"no\\",","type":"result"}'],
    ["numbers out of range", '{"type":"result","huge":1e999,"long":12345678901234567890,"zero":-0}'],
    ["lone surrogates", '{"type":"result","text":"\\ud800","\\udc00":1}'],
    ["a __proto__ key", '{"type":"result","__proto__":{"a":1}}'],
    ["duplicate and integer keys", '{"b":1,"2":1,"1":1,"b":2,"type":"result"}'],
    ["nesting of 1000", `{"type":"result","deep":${"[".repeat(1000)}${"]".repeat(1000)}}`],
  ])("%s", async (_what, text) => {
    const [message, ...more] = await messagesFrom(text, "result");

    expect(more).toEqual([]);
    expect(message).toStrictEqual(JSON.parse(text));
    expect(Object.keys(message as object)).toEqual(Object.keys(JSON.parse(text)));
  });

  test.each([
    "",
    "__proto__",
    "constructor",
    "toString",
    "größer",
    "😀",
    "\ud800",
    'a"b\\c\n',
    "x".repeat(5000),
  ])("%j can be a type", async (type) => {
    expect(await messagesFrom(JSON.stringify({ type }), type)).toStrictEqual([{ type }]);
  });

  test("types that differ in case or white space are different types", async () => {
    const { server, worker } = await serverWithWorker();
    const calls = ["Result", " result", "result "].map((type) => recordMessages(server, type));

    worker.send({ type: "result " });
    await handledSoFar(server, worker);

    expect(calls.map(({ length }) => length)).toEqual([0, 0, 1]);
  });
});

describe("handlers", () => {
  test("get two arguments and no `this`", async () => {
    const { server, worker } = await serverWithWorker();
    const calls: unknown[] = [];
    server.onWorkerMessage("result", function (this: unknown, ...args: unknown[]) {
      calls.push([this, args.length]);
    });

    worker.send({ type: "result" });
    await handledSoFar(server, worker);

    expect(calls).toEqual([[undefined, 2]]);
  });

  test("of one type run in the order of subscription with the same two objects", async () => {
    const { server, worker } = await serverWithWorker();
    const calls: unknown[][] = [];
    for (const name of ["first", "second", "third"]) {
      server.onWorkerMessage("result", (info, message) => calls.push([name, info, message]));
    }

    worker.send({ type: "result" });
    await handledSoFar(server, worker);

    expect(calls.map(([name]) => name)).toEqual(["first", "second", "third"]);
    expect(new Set(calls.map(([, info]) => info)).size).toBe(1);
    expect(new Set(calls.map(([, , message]) => message)).size).toBe(1);
  });

  test("get the info of the worker that sent the message", async () => {
    const { server, port } = await startServer();
    const seen: [string, string][] = [];
    server.onWorkerMessage<{ from: string }>("result", (info, { from }) => seen.push([info.id, from]));
    const workers = await Promise.all(
      ["a", "b", "c"].map((workerId) => TestWorker.register(port, { workerId })),
    );

    workers.forEach((worker, index) => worker.send({ type: "result", from: "abc"[index] }));
    await Promise.all(workers.map((worker) => handledSoFar(server, worker)));

    expect(seen.sort()).toEqual([
      ["a", "a"],
      ["b", "b"],
      ["c", "c"],
    ]);
  });

  test("get a fresh info for every message, as of that moment", async () => {
    const { server, worker } = await serverWithWorker();
    const listed: WorkerInfo[] = [];
    const calls = recordMessages(server, "result");
    server.onWorkerMessage("result", () => {
      listed.push(infoOf(server));
      server.trackRequest("worker-1", "r1");
    });

    worker.send({ type: "result" });
    worker.send({ type: "result" });
    await handledSoFar(server, worker);

    const infos = calls.map(([info]) => info);
    expect(infos.map(({ activeRequests }) => activeRequests)).toEqual([0, 1]);
    expect(infos).toStrictEqual(listed);
    expect(infos[0]).not.toBe(infos[1]);
  });

  test("of other types are not called", async () => {
    const { server, worker } = await serverWithWorker();
    const others = recordMessages(server, "other");

    worker.send({ type: "result" });
    await handledSoFar(server, worker);

    expect(others).toEqual([]);
  });

  test("for worker_registration and heartbeat are never called", async () => {
    const { server, port } = await startServer();
    const calls = [recordMessages(server, "worker_registration"), recordMessages(server, "heartbeat")];
    const worker = await TestWorker.register(port);

    worker.send({ type: "heartbeat", workerId: "worker-1" });
    worker.send({ type: "heartbeat", workerId: "nobody" });
    await handledSoFar(server, worker);

    expect(calls).toEqual([[], []]);
  });

  test("a message whose last type is heartbeat is a heartbeat", async () => {
    const { server, worker } = await serverWithWorker();
    const calls = recordMessages(server, "result");

    worker.sendText('{"type":"result","type":"heartbeat","workerId":"worker-1","timestamp":1}');

    expect(await worker.next()).toMatchObject({ type: "heartbeat_ack", timestamp: 1 });
    await handledSoFar(server, worker);
    expect(calls).toEqual([]);
  });

  test("a message whose last type is not heartbeat is none", async () => {
    const { server, worker } = await serverWithWorker();
    const calls = recordMessages(server, "result");

    worker.sendText('{"type":"heartbeat","workerId":"worker-1","type":"result"}');
    await handledSoFar(server, worker);

    expect(calls).toHaveLength(1);
    expect(worker.unread).toBe(0);
  });
});

describe("a type nobody handles", () => {
  const unhandled = (type: string) => warning("Unhandled message type from worker", { type });

  test("is warned about with the type", async () => {
    expect(await warningsAfter('{"type":"nobody","x":1}')).toStrictEqual(unhandled("nobody"));
  });

  test.each(["", "__proto__", "toString", "\ud800"])("%j is warned about with the type", async (type) => {
    expect(await warningsAfter(JSON.stringify({ type }))).toStrictEqual(unhandled(type));
  });

  test("is warned about once all its handlers are unsubscribed", async () => {
    const { server, worker, logger } = await serverWithWorker();
    const handler = jest.fn();
    const unsubscribe = server.onWorkerMessage("result", handler);
    worker.send({ type: "result" });
    await handledSoFar(server, worker);
    expect(logger.of("Unhandled message type from worker")).toEqual([]);

    unsubscribe();
    worker.send({ type: "result" });
    await handledSoFar(server, worker);

    expect(handler).toHaveBeenCalledTimes(1);
    expect(logger.of("Unhandled message type from worker")).toStrictEqual(unhandled("result"));
  });
});
