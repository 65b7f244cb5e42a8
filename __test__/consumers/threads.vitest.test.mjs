/* A user's own tests of tasks on threads, run by their own vitest, in a worker thread. */
import { isMainThread } from "node:worker_threads";
import { WorkerError, createWorkerManager } from "@hardlydifficult/worker-server/threads";
import { afterEach, expect, test } from "vitest";

let manager;

afterEach(() => manager.shutdown());

test("tasks run on threads of a worker thread", async () => {
  expect(isMainThread).toBe(false);
  manager = createWorkerManager({ minWorkers: 1 });
  expect(await manager.run("COMPUTATION", { computation: "sum", data: [1, 2] })).toStrictEqual({
    computation: "sum",
    result: 3,
  });
  expect((await manager.run("COMPRESSION", { data: "text" })).originalSize).toBe(4);
});

test("errors are errors of this realm", async () => {
  manager = createWorkerManager({ minWorkers: 1 });
  await expect(manager.run("CUSTOM", null)).rejects.toBeInstanceOf(Error);
  await expect(manager.submitTask("CUSTOM", null, null, { dependencies: ["none"] })).rejects.toBeInstanceOf(
    WorkerError,
  );
});
