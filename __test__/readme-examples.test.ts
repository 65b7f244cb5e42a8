/**
 * The examples of the original's two READMEs that concern the WorkerServer and are no whole programs: the
 * server and the variables that an example takes for granted are declared in front of it.
 */
import { WorkerServer, safeCompare } from "../index.js";
import { freePort } from "./support/ports";
import { Program } from "./support/program";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model } from "./support/test-worker";

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
      console.log("reported");
    });
    await server.start();
    console.log("ready");
  `;
}

/** A program with the example in it and a worker, which makes the program run the example. */
async function runExample(example: string): Promise<{ program: Program; port: number; worker: TestWorker }> {
  const port = await freePort();
  const program = Program.startModule(withServer(port, example));
  await program.printed("ready");
  const worker = await TestWorker.register(port, { capabilities: SONNET });
  worker.send({ type: "run" });
  await program.printed("done");
  return { program, port, worker };
}

describe("registration handlers", () => {
  /** What the program prints while a second worker connects and leaves with a pending request. */
  async function printedAround(example: string): Promise<string[]> {
    const { program, port } = await runExample(`
      ${example}
      server.onWorkerConnected((worker) => server.trackRequest(worker.id, "req-1", "inference"));
      server.onWorkerDisconnected(() => console.log("end"));
    `);
    const second = await TestWorker.register(port, { workerId: "worker-2", workerName: "Second" });
    await second.close();
    await program.printed("end");
    return program.lines.slice(2, -1);
  }

  test("print connects and disconnects (v1.0.7)", async () => {
    const printed = await printedAround(`
      // Called when a worker successfully registers
      const unsubscribeConnected = server.onWorkerConnected((worker) => {
        console.log(\`Worker connected: \${worker.name}\`);
      });

      // Called when a worker disconnects
      const unsubscribeDisconnected = server.onWorkerDisconnected((worker, pending) => {
        console.log(\`Worker disconnected with \${pending.size} pending requests\`);
      });
    `);

    expect(printed).toStrictEqual([
      "Worker connected: Second",
      "Worker disconnected with 1 pending requests",
    ]);
  });

  test("print connects and disconnects (v1.0.12)", async () => {
    const printed = await printedAround(`
      server.onWorkerConnected((worker) => {
        console.log(\`Connected: \${worker.id} (\${worker.name})\`);
      });

      server.onWorkerDisconnected((worker, pendingRequestIds) => {
        console.log(\`Disconnected: \${worker.id} with \${pendingRequestIds.size} pending requests\`);
      });
    `);

    expect(printed).toStrictEqual([
      "Connected: worker-2 (Second)",
      "Disconnected: worker-2 with 1 pending requests",
    ]);
  });

  test("are taken back by the functions that subscribing returned", async () => {
    const printed = await printedAround(`
      const unsubscribeConnected = server.onWorkerConnected(() => console.log("connected"));
      const unsubscribeDisconnected = server.onWorkerDisconnected(() => console.log("disconnected"));
      unsubscribeConnected();
      unsubscribeDisconnected();
    `);

    expect(printed).toStrictEqual([]);
  });
});

describe("message handling", () => {
  test("handlers by type (v1.0.7) get their messages and print nothing", async () => {
    const { program, worker } = await runExample(`
      // Register handlers for domain-specific messages by type
      server.onWorkerMessage("work_request", (worker, message) => {
        // Process work request from worker
      });

      server.onWorkerMessage("status_update", (worker, message) => {
        // Handle status updates from worker
      });
    `);

    worker.send({ type: "work_request" });
    worker.send({ type: "status_update" });
    worker.send({ type: "report" });
    await program.printed("reported");

    expect(program.lines).toStrictEqual(["ready", "done", "[0,0,[]]", "reported"]);
  });

  test("a handler takes the message apart (v1.0.12)", async () => {
    const { program, worker } = await runExample(`
      server.onWorkerMessage("work_complete", (worker, message) => {
        const { requestId, result } = message;
        console.log(\`Worker \${worker.id} completed \${requestId}\`);
      });
    `);

    worker.send({ type: "work_complete", requestId: "req-1", result: 5 });

    await program.printed("Worker worker-1 completed req-1");
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

    expect(program.lines).toStrictEqual(["ready", "true", "done"]);
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

    expect(program.lines).toStrictEqual(["ready", "true", "done"]);
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

    expect(program.lines).toStrictEqual(["ready", "worker-1 worker-1 1", "done"]);
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

    expect(program.lines).toStrictEqual([
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
    await program.printed("reported");
    return program.lines.at(-2);
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
