import type { WorkerServer } from "../index.js";
import { poolOf, work } from "./support/pool-of";
import { stopServers } from "./support/test-server";
import type { TestWorker } from "./support/test-worker";

afterEach(stopServers);

const WARNING = "Failed to send dispatched message to worker";

/** Cuts the connection and returns when sends to it fail, still in the same turn: the worker is in the pool. */
function cut(server: WorkerServer, worker: TestWorker, id: string): void {
  worker.socket.terminate();
  const deadline = performance.now() + 10_000;
  while (server.send(id, { type: "probe" })) {
    if (performance.now() > deadline) throw new Error("sends never fail");
  }
}

test("the next candidate gets what the first does not take, and a warning names the first", async () => {
  const { server, workers, logger } = await poolOf({ id: "a" }, { id: "b" });
  cut(server, workers[0]!, "a");

  const handle = server.dispatch({ message: work("r1") });

  expect(handle!.worker.id).toBe("b");
  expect(server.listWorkers().map(({ id, requests }) => [id, requests.active])).toEqual([
    ["a", 0],
    ["b", 1],
  ]);
  expect(logger.of(WARNING)).toEqual([
    { level: "warn", message: WARNING, rest: [{ workerId: "a", requestId: "r1", type: "work_request" }] },
  ]);
});

test("all candidates are tried in order, and null says that none took it", async () => {
  const ids = Array.from({ length: 20 }, (_, index) => `worker-${String(index).padStart(2, "0")}`);
  const { server, workers, logger } = await poolOf(...ids.map((id) => ({ id })));
  server.trackRequest("worker-03", "by hand");
  for (const [index, worker] of workers.entries()) cut(server, worker, ids[index]!);

  expect(server.dispatch({ message: work("r1") })).toBeNull();

  const tried = logger.of(WARNING).map((line) => (line.rest[0] as { workerId: string }).workerId);
  expect(tried).toEqual([...ids.filter((id) => id !== "worker-03"), "worker-03"]);
  expect(server.listWorkers().every(({ requests }) => !requests.pendingIds.includes("r1"))).toBe(true);
});

test("a message that cannot be serialised fails with every candidate and reaches nobody", async () => {
  const { server, workers, logger } = await poolOf(
    { id: "b" },
    { id: "a" },
    { id: "opus", models: ["opus"] },
  );

  expect(server.dispatch({ model: "sonnet", message: { ...work("r1"), n: 1n } })).toBeNull();

  expect(logger.of(WARNING).map((line) => line.rest)).toEqual([
    [{ workerId: "a", requestId: "r1", type: "work_request" }],
    [{ workerId: "b", requestId: "r1", type: "work_request" }],
  ]);
  await workers[0]!.roundTrip("b");
  expect(workers[0]!.unread).toBe(0);
});

test("a logger that stops the server in between ends the search", async () => {
  const { server, workers, logger } = await poolOf({ id: "a" }, { id: "b" });
  cut(server, workers[0]!, "a");
  let stopped: Promise<void> | undefined;
  logger.warn = () => void (stopped ??= server.stop());

  expect(server.dispatch({ message: work("r1") })).toBeNull();

  await stopped;
});
