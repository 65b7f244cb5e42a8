/**
 * The whole programs of the original's two READMEs that concern the WorkerServer; only the name of the
 * package is ours, and the port is a free one.
 */
import { freePort } from "./support/ports";
import { Program } from "./support/program";
import { TestWorker, registration } from "./support/test-worker";

afterEach(async () => {
  TestWorker.dropAll();
  await Program.endAll();
});

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

    expect(program.lines).toStrictEqual([
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

    expect(program.lines.slice(1)).toStrictEqual(["Worker Worker One connected", completed]);
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

    expect(await program.ended).toStrictEqual({ code: 0, signal: null, stderr: "" });
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

    expect(await program.ended).toStrictEqual({ code: 0, signal: null, stderr: "" });
  });
});
