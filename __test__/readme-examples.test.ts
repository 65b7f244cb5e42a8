/**
 * The examples of the original's two READMEs that concern the WorkerServer, as programs of their own:
 * only the name of the package is ours, the port is a free one, and the variables that an example takes for
 * granted are declared in front of it.
 */
import { WorkerServer, safeCompare } from "../index.js";
import { freePort } from "./support/ports";
import { Program } from "./support/program";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model, registration } from "./support/test-worker";
import { until } from "./support/until";

afterEach(async () => {
  TestWorker.dropAll();
  await Program.endAll();
  await stopServers();
});

const SONNET = capabilities({
  models: [model("sonnet-3.5")],
  concurrencyLimits: { inference: 5, local: 1 },
});

/** Puts what an example relies on around its text; the server it speaks of is running. */
function withServer(port: number, example: string): string {
  return `
    import { WorkerServer, WorkerStatus } from "worker-server-native";
    const server = new WorkerServer({ port: ${port} });
    const workerId = "worker-1";
    const requestId = "req-9";
    server.onWorkerMessage("run", () => {
      ${example}
      console.log("done");
    });
    server.onWorkerMessage("report", () => {
      const [info] = server.getWorkerInfo();
      console.log(JSON.stringify([info.activeRequests, info.completedRequests, [...info.pendingRequestIds]]));
    });
    await server.start();
    console.log("ready");
  `;
}

/** A program with the example in it and a worker, which makes the program run the example. */
async function runExample(example: string): Promise<{ program: Program; worker: TestWorker }> {
  const port = await freePort();
  const program = Program.startModule(withServer(port, example));
  await program.printed("ready");
  const worker = await TestWorker.register(port, { capabilities: SONNET });
  worker.send({ type: "run" });
  await program.printed("done");
  return { program, worker };
}

describe("quick start (v1.0.7)", () => {
  const quickStart = (port: number) => `
import { WorkerServer } from "worker-server-native";

const server = new WorkerServer({ port: ${port} });

server.onWorkerConnected((worker) => {
  console.log(\`Worker \${worker.name} connected (\${worker.id})\`);
});

server.onWorkerDisconnected((worker, pending) => {
  console.log(\`Worker \${worker.name} disconnected with \${pending.size} pending requests\`);
});

server.onWorkerMessage("work_complete", (worker, message) => {
  console.log(\`Worker \${worker.id} completed request \${message.requestId}\`);
});

await server.start();
console.log("Server listening on port ${port}");
`;

  test("prints the life of a worker", async () => {
    const port = await freePort();
    const program = Program.startModule(quickStart(port));
    await program.printed(`Server listening on port ${port}`);

    const worker = await TestWorker.register(port);
    worker.send({ type: "work_complete", requestId: "req-1" });
    await worker.close();
    await program.printed("Worker Worker One disconnected with 0 pending requests");

    expect(program.lines).toEqual([
      `Server listening on port ${port}`,
      "Worker Worker One connected (worker-1)",
      "Worker worker-1 completed request req-1",
      "Worker Worker One disconnected with 0 pending requests",
    ]);
  });
});

describe("quick start (v1.0.12)", () => {
  const quickStart = (port: number) => `
import { WorkerServer } from "worker-server-native";

const server = new WorkerServer({
  port: ${port},
  authToken: "secret-token", // optional
});

server.onWorkerConnected((worker) => {
  console.log(\`Worker \${worker.name} connected\`);
});

server.onWorkerMessage("work_complete", (worker, message) => {
  console.log(\`Worker \${worker.id} completed:\`, message);
});

await server.start();
console.log("Server listening on port", server.port);

// Send a message to a worker
const worker = server.getAvailableWorker("sonnet");
if (worker) {
  server.send(worker.id, { type: "work_request", requestId: "req-123" });
}
`;

  async function start(): Promise<{ program: Program; port: number }> {
    const port = await freePort();
    const program = Program.startModule(quickStart(port));
    await program.printed(`Server listening on port ${port}`);
    return { program, port };
  }

  test("prints its port, the worker and its message", async () => {
    const { program, port } = await start();

    const worker = await TestWorker.register(port, { authToken: "secret-token" });
    worker.send({ type: "work_complete", requestId: "req-1", result: [1, "two"] });
    const completed =
      "Worker worker-1 completed: { type: 'work_complete', requestId: 'req-1', result: [ 1, 'two' ] }";
    await program.printed(completed);

    expect(program.lines.slice(1)).toEqual(["Worker Worker One connected", completed]);
  });

  test("refuses a worker with another token", async () => {
    const { program, port } = await start();
    const intruder = await TestWorker.connect(port);

    intruder.send(registration({ authToken: "guess" }));

    expect((await intruder.closed).code).toBe(4001);
    expect(program.lines).toHaveLength(1);
  });
});

describe("lifecycle", () => {
  test("the program of v1.0.7 starts, stops and ends by itself", async () => {
    const program = Program.startModule(`
import { WorkerServer } from "worker-server-native";
const server = new WorkerServer({ port: ${await freePort()}, authToken: "secret" });

// Start the server
await server.start();

// Stop the server gracefully
await server.stop();
`);

    expect(await program.ended).toEqual({ code: 0, signal: null, stderr: "" });
  });

  test("the program of v1.0.12 starts, stops and ends by itself", async () => {
    const program = Program.startModule(`
import { WorkerServer, WorkerStatus } from "worker-server-native";

const server = new WorkerServer({
  port: ${await freePort()},
  heartbeatTimeoutMs: 60_000,
  healthCheckIntervalMs: 10_000,
  heartbeatIntervalMs: 15_000,
});

await server.start();
await server.stop();
`);

    expect(await program.ended).toEqual({ code: 0, signal: null, stderr: "" });
  });
});

describe("registration handlers", () => {
  test("print connects and disconnects, and can be taken back", async () => {
    const { server, port } = await startServer();
    const log = jest.spyOn(console, "log").mockImplementation(() => {});

    const unsubscribeConnected = server.onWorkerConnected((worker) => {
      console.log(`Worker connected: ${worker.name}`);
    });
    const unsubscribeDisconnected = server.onWorkerDisconnected((worker, pending) => {
      console.log(`Worker disconnected with ${pending.size} pending requests`);
    });
    server.onWorkerDisconnected((worker, pendingRequestIds) => {
      console.log(`Disconnected: ${worker.id} with ${pendingRequestIds.size} pending requests`);
    });

    const worker = await TestWorker.register(port);
    server.trackRequest("worker-1", "req-1", "inference");
    unsubscribeConnected();
    await worker.close();
    await until(() => server.getWorkerCount() === 0, "the worker leaves");
    unsubscribeDisconnected();
    await (await TestWorker.register(port)).close();
    await until(() => server.getWorkerCount() === 0, "the second worker leaves");

    const printed = log.mock.calls.map(([line]) => line);
    log.mockRestore();
    expect(printed).toEqual([
      "Worker connected: Worker One",
      "Worker disconnected with 1 pending requests",
      "Disconnected: worker-1 with 1 pending requests",
      "Disconnected: worker-1 with 0 pending requests",
    ]);
  });
});

describe("sending messages", () => {
  test("to one worker and to all (v1.0.7)", async () => {
    const { program, worker } = await runExample(`
      // Send to a specific worker
      const success = server.send("worker-1", { type: "stop", reason: "shutdown" });

      // Broadcast to all connected workers
      server.broadcast({ type: "maintenance_start" });
      console.log(success);
    `);

    expect(program.lines).toEqual(["ready", "true", "done"]);
    expect(await worker.nextText()).toBe('{"type":"stop","reason":"shutdown"}');
    expect(await worker.nextText()).toBe('{"type":"maintenance_start"}');
  });

  test("to one worker and to all (v1.0.12)", async () => {
    const { program, worker } = await runExample(`
      // Send messages to workers
      const success = server.send(workerId, { type: "work_request", requestId: "req-1" });
      server.broadcast({ type: "shutdown" });
      console.log(success);
    `);

    expect(program.lines).toEqual(["ready", "true", "done"]);
    expect(await worker.nextText()).toBe('{"type":"work_request","requestId":"req-1"}');
    expect(await worker.nextText()).toBe('{"type":"shutdown"}');
  });
});

describe("pool queries", () => {
  test("find the worker (v1.0.7)", async () => {
    const { program } = await runExample(`
      // Get least-loaded worker supporting a specific model
      const worker = server.getAvailableWorker("sonnet-3.5");

      // Get any available worker (model-agnostic)
      const anyWorker = server.getAnyAvailableWorker();

      // Get all worker info
      const workers = server.getWorkerInfo(); // Returns WorkerInfo[]
      console.log(worker.id, anyWorker.id, workers.length);
    `);

    expect(program.lines).toEqual(["ready", "worker-1 worker-1 1", "done"]);
  });

  test("track, count slots and list (v1.0.12)", async () => {
    const { program } = await runExample(`
      // Get least-loaded worker supporting a model
      const worker = server.getAvailableWorker("sonnet");
      if (worker) {
        server.trackRequest(worker.id, "req-123", "local");
      }

      // Slot counts with category-aware limits
      console.log("Available slots:", server.getAvailableSlotCount("sonnet", "local"));

      // View all workers
      for (const info of server.getWorkerInfo()) {
        console.log(\`\${info.name}: \${info.status} (\${info.activeRequests}/\${info.capabilities.maxConcurrentRequests})\`);
      }
    `);

    expect(program.lines).toEqual([
      "ready",
      "Available slots: 0",
      "Worker One: available (1/4)",
      "done",
    ]);
  });
});

describe("request tracking", () => {
  async function reportAfter(example: string): Promise<string | undefined> {
    const { program, worker } = await runExample(example);
    worker.send({ type: "report" });
    worker.send({ type: "run" });
    await until(() => program.lines.length === 4, "the report is printed");
    return program.lines[2];
  }

  test("with a category and a completion (v1.0.7)", async () => {
    const report = await reportAfter(`
      // Track a request assigned to a worker
      server.trackRequest("worker-1", "req-123", "inference");

      // Release a completed request
      server.releaseRequest("req-123", { incrementCompleted: true });
    `);

    expect(report).toBe("[0,1,[]]");
  });

  test("with variables (v1.0.12)", async () => {
    const report = await reportAfter(`
      // When assigning a request to a worker
      server.trackRequest(workerId, requestId, "local");

      // When the request completes
      server.releaseRequest(requestId, { incrementCompleted: true });
    `);

    expect(report).toBe("[0,1,[]]");
  });

  test("with a category that the release looks up (v1.0.7)", async () => {
    const report = await reportAfter(`
      server.trackRequest("worker-1", "req-1", "inference");
      server.releaseRequest("req-1"); // category looked up automatically
    `);

    expect(report).toBe("[0,0,[]]");
  });
});

describe("category limits", () => {
  test("bound the slots and the selection of their category only", async () => {
    const { server, port } = await startServer();
    await TestWorker.register(port, {
      capabilities: {
        models: [model("sonnet")],
        maxConcurrentRequests: 10,
        concurrencyLimits: {
          inference: 5, // max 5 concurrent inference requests
          embeddings: 2, // max 2 concurrent embedding requests
        },
      },
    });

    server.trackRequest("worker-1", "req-1", "embeddings");
    server.trackRequest("worker-1", "req-2", "embeddings");

    expect(server.getAvailableWorker("sonnet", "embeddings")).toBeNull();
    expect(server.getAvailableWorker("sonnet", "inference")?.id).toBe("worker-1");
    expect(server.getAvailableSlotCount("sonnet", "inference")).toBe(5);
    expect(server.getAvailableSlotCount("sonnet")).toBe(8);
  });
});

describe("authentication", () => {
  test("the documented registration is accepted", async () => {
    const server = new WorkerServer({ port: 0, authToken: "secret-token" });
    await server.start();
    const worker = await TestWorker.connect(server.port);

    worker.send({
      type: "worker_registration",
      workerId: "worker-1",
      workerName: "My Worker",
      capabilities: capabilities(),
      authToken: "secret-token",
    });

    expect(await worker.next()).toMatchObject({ success: true, heartbeatIntervalMs: 15_000 });
    TestWorker.dropAll();
    await server.stop();
  });

  test("safeCompare of two different strings is false", () => {
    const valid = safeCompare("a", "b"); // false

    expect(valid).toBe(false);
  });
});

describe("heartbeat protocol", () => {
  test("the documented heartbeat is answered with its timestamp and the next deadline", async () => {
    const { port } = await startServer();
    const worker = await TestWorker.register(port);

    worker.send({ type: "heartbeat", workerId: "worker-1", timestamp: "2024-01-01T00:00:00.000Z" });

    expect(await worker.nextText()).toMatch(
      /^\{"type":"heartbeat_ack","timestamp":"2024-01-01T00:00:00\.000Z","nextHeartbeatDeadline":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"\}$/,
    );
  });
});
