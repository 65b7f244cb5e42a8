import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { RawClient, stopAll } from "../support/http";
import { freePort } from "../support/ports";
import { Program } from "../support/program";
import { exchange, readUntil } from "../support/raw-connection";
import { TestWorker } from "../support/test-worker";

const PROJECT = join(__dirname, "..", "..");
const FAULTY_ADDON = join(PROJECT, "target", "fault-injection", "worker-server-native.node");

/** The add-on is compiled if it is not there or not up to date. */
const BUILD_MS = 15 * 60_000;

beforeAll(() => {
  const build = spawnSync(process.execPath, ["scripts/build.mjs", "faults"], {
    cwd: PROJECT,
    encoding: "utf8",
    timeout: BUILD_MS,
  });
  if (build.status !== 0) throw new Error(`could not build the faulty add-on\n${build.stderr}`);
}, BUILD_MS);

afterEach(async () => {
  TestWorker.dropAll();
  await stopAll();
  await Program.endAll();
});

/** A program with a server on the faulty add-on; every worker has a request in work. */
async function faultyProgram(then = ""): Promise<{ program: Program; port: number }> {
  const port = await freePort();
  const program = Program.startScript(`
    process.env.NAPI_RS_NATIVE_LIBRARY_PATH = ${JSON.stringify(FAULTY_ADDON)};
    const { WorkerServer } = require("worker-server-native");
    const binding = require(${JSON.stringify(join(PROJECT, "native", "binding.js"))});
    const say = (...parts) => console.log(parts.join(" "));
    const logger = {
      debug: (message, context) => {
        if (message === "Worker disconnected") say("log", context.workerId, context.code);
      },
      info() {},
      warn: (message) => say("warn", message),
      error: (message) => say("error", message),
    };
    const server = new WorkerServer({ port: ${port}, logger });
    server.onWorkerConnected(({ id }) => server.trackRequest(id, "request-of-" + id));
    server.onWorkerDisconnected(({ id }, pending) => say("disconnected", id, ...pending));
    server.onWorkerMessage("ask", ({ id }, { n }) => server.send(id, { type: "answer", n }));
    server.start().then(async () => {
      ${then}
      say("listening");
    });
  `);
  await program.printed("listening");
  return { program, port };
}

async function isServed(worker: TestWorker, workerId: string): Promise<void> {
  await worker.roundTrip(workerId);
  worker.send({ type: "ask", n: 7 });
  expect(await worker.next()).toStrictEqual({ type: "answer", n: 7 });
}

test("a panic in a connection costs that connection only", async () => {
  const { program, port } = await faultyProgram();
  const others = await Promise.all(["a", "b"].map((workerId) => TestWorker.register(port, { workerId })));
  const broken = await TestWorker.register(port, { workerId: "broken" });

  broken.sendText("inject-session-panic");

  expect(await broken.closed).toStrictEqual({ code: 1006, reason: "" });
  await program.printed("disconnected broken request-of-broken");
  await isServed(others[0]!, "a");
  await isServed(others[1]!, "b");
  await isServed(await TestWorker.register(port, { workerId: "broken" }), "broken");
  expect(program.lines).toStrictEqual([
    "listening",
    "warn Worker disconnected with pending requests",
    "log broken 1006",
    "disconnected broken request-of-broken",
  ]);
});

test("one panic after another does not wear the server out", async () => {
  const { program, port } = await faultyProgram();
  const other = await TestWorker.register(port, { workerId: "other" });
  for (let n = 0; n < 20; n++) {
    const broken = await TestWorker.register(port, { workerId: `broken-${n}` });
    broken.sendText("inject-session-panic");
    await broken.closed;
    await program.printed(`disconnected broken-${n} request-of-broken-${n}`);
  }
  await isServed(other, "other");
});

test("a panic while a request head is read costs that connection only", async () => {
  const { port } = await faultyProgram();
  const other = await TestWorker.register(port, { workerId: "other" });

  for (let n = 0; n < 20; n++) {
    const answer = await exchange(port, "GET / HTTP/1.1\r\nX: inject-head-panic\r\n");
    expect(answer.body).toBe("");
  }

  await isServed(other, "other");
  await isServed(await TestWorker.register(port, { workerId: "new" }), "new");
});

test("a panic in a connection of HTTP costs that connection only", async () => {
  const { program, port } = await faultyProgram(`
    server.addHttpHandler((req, res) => {
      req.on("error", (error) => say("request", error.code)).on("end", () => res.end("all"));
      req.resume();
      return new Promise(() => {});
    });
  `);
  const other = await TestWorker.register(port, { workerId: "other" });
  const kept = await RawClient.open(port);
  kept.get("/");
  await kept.received("all");

  for (let n = 0; n < 20; n++) {
    const { socket } = await readUntil(
      port,
      "POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n",
      "100 Continue",
    );
    const closed = once(
      socket.removeAllListeners("close").on("error", () => {}),
      "close",
    );
    socket.write("inject-bridge-panic");
    await closed;
  }
  await program.printed("request ECONNRESET");

  kept.get("/");
  await kept.received("all", 2);
  await isServed(other, "other");
});

test("a panic in any native function is an error with the code ERR_NATIVE_PANIC, and the server goes on", async () => {
  const { program, port } = await faultyProgram(`
    const raw = Object.keys(binding).filter((name) => {
      return typeof binding[name] === "function" && !/^class|^function [A-Z]/.test(String(binding[name]))
        && !/^[A-Z]/.test(name) && name !== "injectPanic";
    });
    server.onWorkerMessage("panic", ({ id }) => {
      for (const name of raw) {
        binding.injectPanic();
        try {
          binding[name](0, 0, "", "");
          say(name, "did not panic");
        } catch (error) {
          if (error.code !== "ERR_NATIVE_PANIC" || !(error instanceof Error)) say(name, error);
        }
      }
      say(raw.includes("next") && raw.includes("send") && raw.length > 20, binding.injectPanic() ?? "armed");
      try {
        server.getWorkerInfo().length && server.send(id, {});
      } catch (error) {
        say(error.code, error.message);
      }
    });
  `);
  const worker = await TestWorker.register(port, { workerId: "worker-1" });

  worker.send({ type: "panic" });

  await program.printed("ERR_NATIVE_PANIC the native core panicked; this is a bug in worker-server-native");
  expect(program.lines).toStrictEqual([
    "listening",
    "true armed",
    "ERR_NATIVE_PANIC the native core panicked; this is a bug in worker-server-native",
  ]);
  await isServed(worker, "worker-1");
});

test("a panic in a method of the native server is an error, and the server goes on", async () => {
  const { program, port } = await faultyProgram(`
    const native = new binding.NativeServer(
      { authTokens: [], heartbeatTimeoutMs: 1, heartbeatIntervalMs: 1, healthCheckIntervalMs: 1, limits: {} },
      new Float64Array(1000));
    const calls = {
      listen: () => native.listen(0, () => {}),
      shutdown: () => native.shutdown(0),
      setAuthTokens: () => native.setAuthTokens(["token"]),
      release: () => native.release(),
    };
    for (const [name, call] of Object.entries(calls)) {
      binding.injectPanic();
      try {
        call();
        say(name, "did not panic");
      } catch (error) {
        say(name, error instanceof Error, error.message);
      }
    }
    say(native.listen(0, () => {}).port > 0, native.shutdown(0));
    native.release();
  `);

  const message = "true injected into a native call";
  expect(program.lines).toStrictEqual([
    `listen ${message}`,
    `shutdown ${message}`,
    `setAuthTokens ${message}`,
    `release ${message}`,
    "true true",
    "listening",
  ]);
  await isServed(await TestWorker.register(port, { workerId: "worker-1" }), "worker-1");
});
