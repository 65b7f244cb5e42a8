import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { freePort } from "./support/ports";
import { Program } from "./support/program";
import { TestWorker } from "./support/test-worker";

const PROJECT = join(__dirname, "..");
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

test("a panic in a native call is an error with the code ERR_NATIVE_PANIC", async () => {
  const { program, port } = await faultyProgram(`
    try {
      binding.injectPanic();
    } catch (error) {
      say(error instanceof Error, error.code, error.message);
    }
  `);
  expect(program.lines).toStrictEqual([
    "true ERR_NATIVE_PANIC the native core panicked; this is a bug in worker-server-native",
    "listening",
  ]);
  await isServed(await TestWorker.register(port, { workerId: "worker-1" }), "worker-1");
});
