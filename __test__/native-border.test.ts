import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { requestHead } from "./support/raw-connection";
import { RawClient, stopAll } from "./support/http";
import { startServer } from "./support/test-server";
import { TestWorker, registration } from "./support/test-worker";
import { until } from "./support/until";

/*
 * The functions of the add-on called directly, as its facade never would: nothing that JavaScript can pass may touch
 * memory that is not theirs, end the process or confuse a server. (Under AddressSanitizer: scripts/sanitize.mjs.)
 */

type Native = typeof import("../native/binding.js");
type NativeServer = InstanceType<Native["NativeServer"]>;
type Raw = Record<string, (...args: unknown[]) => unknown>;

const binding: Native = require("../native/binding.js");
const raw = binding as unknown as Raw;
const rawNames = Object.keys(raw).filter(
  (name) => !name.startsWith("Native") && typeof raw[name] === "function",
);

/** Functions that have an answer without a server. */
const SERVERLESS = new Set(["safeCompare", "steadyNow"]);

const { VIEW_LENGTH } = require("../dist/native.js") as typeof import("../dist/native.js");
/** Of the kinds of events in lib/native.ts. */
const REGISTERED = 5;
const MESSAGES = 6;
const MESSAGE = 7;
const BRIDGE_OPENED = 15;

const OPTIONS = {
  authTokens: [],
  heartbeatTimeoutMs: 60_000,
  heartbeatIntervalMs: 15_000,
  healthCheckIntervalMs: 10_000,
  limits: {},
};

class Scene {
  readonly view = new Float64Array(VIEW_LENGTH);
  readonly server: NativeServer = new binding.NativeServer(OPTIONS, this.view);
  readonly number = this.server.number;
  port = 0;

  listen(): this {
    this.port = this.server.listen(0, () => {}).port!;
    return this;
  }

  /** The text of the next event of one of these kinds. */
  async event(...kinds: number[]): Promise<string | undefined> {
    let text: string | undefined;
    await until(
      () => {
        text = binding.next(this.number);
        return kinds.includes(this.view[0]!);
      },
      `one of the events ${kinds.join(", ")}`,
    );
    return text;
  }

  /** A worker that is in the pool. */
  async worker(id = "w"): Promise<{ worker: TestWorker; slot: number }> {
    const worker = await TestWorker.connect(this.port);
    worker.send(registration({ workerId: id }));
    await this.event(REGISTERED);
    const slot = binding.admit(this.number);
    binding.acknowledge(this.number, slot);
    await worker.next();
    return { worker, slot };
  }

  /** Everything works that worked before. */
  async expectSound(): Promise<void> {
    expect(JSON.parse(binding.stats(this.number))).toMatchObject({ protocolErrors: 0 });
    const { worker, slot } = await this.worker(`sound-${Math.random()}`);
    expect(binding.isOpen(this.number, slot)).toBe(true);
    worker.sendText('{"type":"sound"}');
    expect(await this.event(MESSAGE, MESSAGES)).toBe('{"type":"sound"}');
    binding.send(this.number, slot, "sound");
    expect(await worker.nextText()).toBe("sound");
    await worker.terminate();
  }

  end(): void {
    this.server.shutdown(0);
    this.server.release();
  }
}

const scenes: Scene[] = [];

function scene(): Scene {
  const made = new Scene().listen();
  scenes.push(made);
  return made;
}

afterEach(async () => {
  for (const made of scenes.splice(0)) made.end();
  await stopAll();
});

function detached<T extends ArrayBufferView & { buffer: ArrayBufferLike }>(view: T): T {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] });
  return view;
}

/** A view that was cut shorter than it was made. */
function shrunk(): Uint8Array {
  const buffer = new (ArrayBuffer as any)(64, { maxByteLength: 64 });
  const view = new Uint8Array(buffer, 32, 32);
  buffer.resize(16);
  return view;
}

const hostile = {
  toString(): never {
    throw new Error("an argument was converted");
  },
  valueOf(): never {
    throw new Error("an argument was converted");
  },
  [Symbol.toPrimitive](): never {
    throw new Error("an argument was converted");
  },
};

const odd: [string, unknown][] = [
  ["undefined", undefined],
  ["null", null],
  ["true", true],
  ["an empty string", ""],
  ["a string", "x"],
  ["a string with a NUL", "a\0b"],
  ["a lone surrogate", "\ud800"],
  ["a long string", "é".repeat(100_000)],
  ["0", 0],
  ["-0", -0],
  ["-1", -1],
  ["0.5", 0.5],
  ["NaN", Number.NaN],
  ["Infinity", Number.POSITIVE_INFINITY],
  ["-Infinity", Number.NEGATIVE_INFINITY],
  ["2 ** 31", 2 ** 31],
  ["2 ** 32", 2 ** 32],
  ["2 ** 53", 2 ** 53],
  ["1e308", 1e308],
  ["a bigint", 10n],
  ["a symbol", Symbol("x")],
  ["an object", {}],
  ["an object that must not be asked", hostile],
  ["an array", [1, "x"]],
  ["a function", (): void => {}],
  ["a number object", Object(1)],
  ["a string object", Object("x")],
  ["a Proxy", new Proxy({}, {})],
  ["bytes", new Uint8Array(16)],
  ["no bytes", new Uint8Array(0)],
  ["detached bytes", detached(new Uint8Array(16))],
  ["bytes that are out of bounds", shrunk()],
  ["shared bytes", new Uint8Array(new SharedArrayBuffer(16))],
  ["doubles", new Float64Array(4)],
  ["signed bytes", new Int8Array(16)],
  ["a DataView", new DataView(new ArrayBuffer(16))],
  ["an ArrayBuffer", new ArrayBuffer(16)],
];

/** What a raw function may return. */
const isPlain = (value: unknown): boolean =>
  value === undefined ||
  ["boolean", "number", "string"].includes(typeof value) ||
  value instanceof ArrayBuffer;

test("every function of src/raw.d.ts is here", () => {
  expect(rawNames.length).toBeGreaterThan(30);
  expect(rawNames).toContain("applyChanges");
});

describe.each(rawNames)("%s", (name) => {
  const call = raw[name]!;

  test("without arguments does nothing", () => {
    if (name === "steadyNow") expect(call()).toBeGreaterThan(0);
    else expect(call()).toBeUndefined();
  });

  test("takes any value in any place without harm", async () => {
    const made = scene();
    const { number } = made;
    const { slot } = await made.worker();
    for (const [, value] of odd) {
      for (const args of [
        [value],
        [value, value, value, value, value],
        [number, value],
        [number, value, value, value, value],
        [number, slot, value],
        [number, slot, value, value],
        [number, slot, "x", value],
        [number, slot, 1, value],
        [number, "x", value, value],
      ]) {
        expect(isPlain(call(...args))).toBe(true);
      }
    }
    await made.expectSound();
  });

  test("of a server that is not there does nothing", () => {
    for (const number of [10_000, 2 ** 32 - 1, -1]) {
      const result = call(number, 0, "x", 0);

      if (!SERVERLESS.has(name)) expect(result).toBeUndefined();
    }
  });

  test("works on a server that was shut down and released", async () => {
    const made = scene();
    const { slot } = await made.worker();
    made.end();
    made.end();

    for (const args of [[], [slot], [slot, "x"], [slot, 1, "x"], ["x"], ["x", true], [1, 2]]) {
      expect(isPlain(call(made.number, ...args))).toBe(true);
    }
  });
});

describe("slots", () => {
  const numbers = [1, 2, 1_023, 1_024, 2 ** 20, 2 ** 31, 2 ** 32 - 1, -1, 0.5, Number.NaN];

  test("that nobody has are nobody's", async () => {
    const made = scene();
    const { worker } = await made.worker();

    for (const slot of numbers.filter((n) => n >= 1)) {
      expect(binding.isOpen(made.number, slot)).toBe(false);
      expect(binding.send(made.number, slot, "lost")).toBe(false);
      expect(binding.lastHeartbeat(made.number, slot)).toBeUndefined();
      binding.remove(made.number, slot);
      binding.close(made.number, slot, 4000, "lost");
      binding.acknowledge(made.number, slot);
      binding.markUnhealthy(made.number, slot);
    }
    await made.expectSound();

    expect(worker.unread).toBe(0);
  });

  test("are free once they were given up, and then another's", async () => {
    const made = scene();
    const first = await made.worker("first");
    binding.remove(made.number, first.slot);
    binding.remove(made.number, first.slot);
    expect(binding.send(made.number, first.slot, "late")).toBe(false);

    const second = await made.worker("second");
    binding.send(made.number, second.slot, "hers");

    expect(await second.worker.nextText()).toBe("hers");
    expect(first.worker.unread).toBe(0);
  });

  test("nobody is admitted twice, or without a registration", async () => {
    const made = scene();
    await made.worker();

    expect(binding.admit(made.number)).toBeUndefined();
    expect(binding.select(made.number, "")).toBe(0);
  });
});

describe("the view", () => {
  const wrong: [string, unknown][] = [
    ["nothing", undefined],
    ["too short", new Float64Array(VIEW_LENGTH - 1)],
    ["empty", new Float64Array(0)],
    ["detached", detached(new Float64Array(VIEW_LENGTH))],
    ["of other numbers", new Float32Array(VIEW_LENGTH)],
    ["of bytes", new Uint8Array(VIEW_LENGTH * 8)],
    ["an array", Array.from({ length: VIEW_LENGTH }, () => 0)],
    ["a buffer", new ArrayBuffer(VIEW_LENGTH * 8)],
    ["a number", VIEW_LENGTH],
  ];

  test.each(wrong)("that is %s is refused", (_what, view) => {
    expect(() => new binding.NativeServer(OPTIONS, view as Float64Array)).toThrow();
  });

  const numbers = [Number.NaN, Number.POSITIVE_INFINITY, -1, 0.5, 31, 32, 33, 1e9, 2 ** 32, 2 ** 53, 1e308];

  test("may hold any count of changes", async () => {
    const made = scene();
    await made.worker();

    for (const count of numbers) {
      made.view[4] = count;
      binding.applyChanges(made.number);
      expect(made.view[4]).toBe(0);
    }
    await made.expectSound();
  });

  test("may hold any changes", async () => {
    const made = scene();
    const { slot } = await made.worker();

    for (const at of [slot, ...numbers]) {
      for (const value of numbers) {
        made.view.set([1, at, value, value], 4);
        binding.applyChanges(made.number);
        expect(isPlain(binding.select(made.number, ""))).toBe(true);
        expect(isPlain(binding.freeSlots(made.number, ""))).toBe(true);
        expect(isPlain(binding.room(made.number, ""))).toBe(true);
      }
    }
    made.view.set([1, slot, 0, 0], 4);
    expect(binding.select(made.number, "")).toBe(slot);
  });
});

describe("bytes of a bridge", () => {
  async function bridged(): Promise<{ made: Scene; id: number; client: RawClient }> {
    const made = scene();
    const client = await RawClient.open(made.port);
    client.write(`${requestHead("POST / HTTP/1.1", { Host: "x", "Content-Length": "5" })}hello`);
    await made.event(BRIDGE_OPENED);
    return { made, id: made.view[1]!, client };
  }

  test("are read into a part of a buffer and not beside it", async () => {
    const { made, id } = await bridged();
    const buffer = new Uint8Array(16).fill(7);

    expect(binding.bridgeRead(made.number, id, buffer.subarray(4, 8))).toBe(4);

    expect(Buffer.from(buffer).toString("latin1")).toBe(
      "\x07\x07\x07\x07POST\x07\x07\x07\x07\x07\x07\x07\x07",
    );
  });

  test("are read behind those that a buffer has, and not behind its end", async () => {
    const { made, id } = await bridged();
    const buffer = new Uint8Array(8).fill(7);

    expect(binding.bridgeRead(made.number, id, buffer, 8)).toBe(0);
    expect(binding.bridgeRead(made.number, id, buffer, 2 ** 32 - 1)).toBe(0);
    expect(binding.bridgeRead(made.number, id, buffer, 4)).toBe(4);

    expect(Buffer.from(buffer).toString("latin1")).toBe("\x07\x07\x07\x07POST");
  });

  test("that are the peer's last are told as such", async () => {
    const { made, id, client } = await bridged();
    const buffer = new Uint8Array(1_000);
    binding.bridgeRead(made.number, id, buffer);
    client.socket.end("bye");

    let sum = 0;
    await until(() => {
      const read = binding.bridgeRead(made.number, id, buffer);
      if (read > 0) sum += read;
      return read === -1;
    }, "the end");

    // Half a byte more, unless the end came after the last read that found something.
    expect([3, 3.5]).toContain(sum);
  });

  test.each(["", "x", "x".repeat(1_000), `HTTP/1.1 204 No Content\r\nA: ${"\x00~\x7f"}\r\n\r\n`])(
    "are written as text that is plain ASCII: %j",
    async (text) => {
      const { made, id, client } = await bridged();

      expect(binding.bridgeWriteAscii(made.number, id, text)).toBe(true);
      binding.bridgeWrite(made.number, id, Buffer.from("end"));

      await client.received("end");
      expect(client.text).toBe(`${text}end`);
    },
  );

  test.each(["é", "xé", "éx", `${"x".repeat(1_000)}€`, "\u0141", "\ud83d\ude00", "\ud83d", "x\u0180"])(
    "are not written as text that is not: %j",
    async (text) => {
      const { made, id, client } = await bridged();

      expect(binding.bridgeWriteAscii(made.number, id, text)).toBeUndefined();
      binding.bridgeWrite(made.number, id, Buffer.from("end"));

      await client.received("end");
      expect(client.text).toBe("end");
    },
  );

  test.each([
    ["detached", detached(new Uint8Array(16))],
    ["empty", new Uint8Array(0)],
    ["out of bounds", shrunk()],
  ])("are not read into a view that is %s", async (_what, view) => {
    const { made, id } = await bridged();

    expect(binding.bridgeRead(made.number, id, view)).toBe(0);
    expect(binding.bridgeWrite(made.number, id, view)).toBe(true);
    expect(binding.bridgeRead(made.number, id, new Uint8Array(4))).toBe(4);
  });

  test.each<[string, unknown]>([
    ["signed bytes", new Int8Array(16)],
    ["clamped bytes", new Uint8ClampedArray(16)],
    ["doubles", new Float64Array(16)],
    ["a DataView", new DataView(new ArrayBuffer(16))],
    ["an ArrayBuffer", new ArrayBuffer(16)],
    ["an array", [1, 2, 3]],
  ])("are not read into %s", async (_what, view) => {
    const { made, id } = await bridged();

    expect(binding.bridgeRead(made.number, id, view as Uint8Array)).toBeUndefined();
    expect(binding.bridgeWrite(made.number, id, view as Uint8Array)).toBeUndefined();
  });

  test("are copied when they are written: what becomes of them later does not matter", async () => {
    const { made, id, client } = await bridged();
    const bytes = new Uint8Array(Buffer.from("HTTP/1.1 204 No Content\r\n\r\n"));

    binding.bridgeWrite(made.number, id, bytes);
    detached(bytes);

    await client.received("204 No Content\r\n\r\n");
  });

  test("of a bridge that is gone, or never was", async () => {
    const { made, id, client } = await bridged();
    binding.bridgeTerminate(made.number, id);
    binding.bridgeTerminate(made.number, id);
    binding.bridgeFinish(made.number, id);
    await client.closed;

    await until(() => {
      binding.next(made.number);
      return binding.bridgeRead(made.number, id, new Uint8Array(1_000)) === -2;
    }, "the bridge is gone");
    for (const other of [id + 1, 2 ** 32 - 1, -1]) {
      expect(binding.bridgeRead(made.number, other, new Uint8Array(1))).toBe(-2);
      expect(binding.bridgeWrite(made.number, other, new Uint8Array(1))).toBe(true);
    }
  });
});

describe("the class", () => {
  const wrongOptions: [string, unknown][] = [
    ["nothing", undefined],
    ["null", null],
    ["empty", {}],
    ["tokens that are no list", { ...OPTIONS, authTokens: "x" }],
    ["tokens that are no text", { ...OPTIONS, authTokens: [1] }],
    ["a time that is none", { ...OPTIONS, heartbeatTimeoutMs: "x" }],
    ["a limit that is none", { ...OPTIONS, limits: { maxModels: "x" } }],
    ["a path that is none", { ...OPTIONS, healthPath: 1 }],
  ];

  test.each(wrongOptions)("refuses options with %s", (_what, options) => {
    const view = new Float64Array(VIEW_LENGTH);

    expect(() => new binding.NativeServer(options as typeof OPTIONS, view)).toThrow();
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, -1, 0, 0.5, 2 ** 53, 1e308])(
    "takes limits of %p",
    (value) => {
      const names = ["maxMessageBytes", "maxConnections", "maxDepth", "closeTimeoutMs", "keepAliveMs"];
      const limits = Object.fromEntries(names.map((name) => [name, value]));

      expect(
        new binding.NativeServer({ ...OPTIONS, limits }, new Float64Array(VIEW_LENGTH)).number,
      ).toBeDefined();
    },
  );

  test("cannot be called without new, or on something else", () => {
    const { prototype } = binding.NativeServer;
    const number = Object.getOwnPropertyDescriptor(prototype, "number")!.get!;

    expect(() => (binding.NativeServer as unknown as () => void)()).toThrow();
    for (const other of [{}, null, 1, Object.create(prototype), new Float64Array(4)]) {
      expect(() => number.call(other)).toThrow();
      expect(() => prototype.listen.call(other as NativeServer, 0, () => {})).toThrow();
      expect(() => prototype.shutdown.call(other as NativeServer, 0)).toThrow();
      expect(() => prototype.release.call(other as NativeServer)).toThrow();
    }
  });

  test("refuses to listen at what is no address, and to wake what is no function", () => {
    const { server } = new Scene();

    for (const address of [undefined, null, {}, true, 10n]) {
      expect(() => server.listen(address as unknown as number, () => {})).toThrow();
    }
    for (const wake of [undefined, null, {}, 1, "x"]) {
      expect(() => server.listen(0, wake as unknown as () => void)).toThrow();
    }
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, -1, 1e308])(
    "is shut down with a grace of %p",
    async (grace) => {
      const made = scene();
      await made.worker();

      expect(made.server.shutdown(grace)).toBe(true);
      expect(made.server.shutdown(0)).toBe(false);
    },
  );

  test("can be entered again while its options are read", async () => {
    const made = scene();
    const seen: unknown[] = [];
    const options = {
      ...OPTIONS,
      get healthPath(): string {
        seen.push(binding.stats(made.number), new Scene().number, binding.select(made.number, ""));
        return "/healthz";
      },
    };

    const second = new binding.NativeServer(options, new Float64Array(VIEW_LENGTH));

    expect(seen).toHaveLength(3);
    expect(second.number).not.toBe(made.number);
    await made.expectSound();
  });
});

describe("from within a call", () => {
  test("every function can be called from a handler", async () => {
    const { server, port } = await startServer();
    const results: boolean[] = [];
    const callAll = (): void => {
      for (const name of rawNames) {
        // These take from the facade what it has not seen yet.
        if (["next", "admit", "remove", "nextRecovered"].includes(name)) continue;
        for (let number = 0; number < 4; number++) results.push(isPlain(raw[name]!(number, 9, "x", 1)));
      }
    };
    server.onWorkerConnected(callAll);
    server.onWorkerMessage("x", callAll);
    const worker = await TestWorker.register(port);

    worker.send({ type: "x" });
    await worker.roundTrip();

    expect(results.length).toBeGreaterThan(100);
    expect(results).not.toContain(false);
  });

  test("a server can be stopped from a handler", async () => {
    const { server, port } = await startServer();
    const stopped = new Promise<void>((resolve) => {
      server.onWorkerMessage("stop", () => void server.stop().then(resolve));
    });
    const worker = await TestWorker.register(port);

    worker.send({ type: "stop" });

    await Promise.all([stopped, worker.closed]);
    expect(server.getWorkerCount()).toBe(0);
  });
});

describe("behind the garbage collector", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;

  test("a server that nobody holds is gone, its number names nobody, its heartbeats stay readable", async () => {
    const { number, chunk } = await abandoned();

    await until(() => {
      collect();
      return binding.stats(number) === undefined;
    }, "the server is collected");

    for (const name of rawNames.filter((each) => !SERVERLESS.has(each))) {
      expect(raw[name]!(number, 0, "x", 0)).toBeUndefined();
    }
    collect();
    expect(chunk.every((ms) => Number.isFinite(ms) || Number.isNaN(ms))).toBe(true);
  });

  test("a view lives as long as its server, though nobody else holds it", async () => {
    const { server, view } = temporaryView();

    for (let turn = 0; turn < 5; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      collect();
    }

    expect(view.deref()).toHaveLength(VIEW_LENGTH);
    binding.applyChanges(server.number);
  });

  function temporaryView(): { server: NativeServer; view: WeakRef<Float64Array> } {
    const view = new Float64Array(VIEW_LENGTH);
    return { server: new binding.NativeServer(OPTIONS, view), view: new WeakRef(view) };
  }

  async function abandoned(): Promise<{ number: number; chunk: Float64Array }> {
    const made = new Scene().listen();
    const { worker, slot } = await made.worker();
    const chunk = new Float64Array(binding.heartbeatChunk(made.number, slot >>> 10)!);
    made.end();
    await worker.closed;
    return { number: made.number, chunk };
  }
});
