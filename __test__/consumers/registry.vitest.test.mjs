/* A user's own tests of a worker registry, run by their own vitest, in a worker thread. */
import { isMainThread } from "node:worker_threads";
import { ClaudeFlowMemory, WorkerRegistry } from "@hardlydifficult/worker-server/registry";
import { expect, test, vi } from "vitest";

const registration = { nodeId: "node-1", capabilities: ["coder"], maxConcurrentTasks: 2 };

test("a registry works in a worker thread", async () => {
  expect(isMainThread).toBe(false);
  const registry = new WorkerRegistry({ memory: new ClaudeFlowMemory() });
  const { id } = await registry.registerWorker(registration);
  expect((await registry.tryAcquire({ capabilities: ["coder"] })).id).toBe(id);
  await expect(registry.heartbeat("none")).rejects.toThrow("Worker none not found");
  await expect(registry.registerWorker({})).rejects.toBeInstanceOf(TypeError);
});

test("a registry goes by the clock of the test", async () => {
  vi.useFakeTimers();
  const registry = new WorkerRegistry({ healthyThreshold: 100, degradedThreshold: 200 });
  const { id } = await registry.registerWorker(registration);
  vi.advanceTimersByTime(150);
  expect((await registry.getWorker(id)).healthStatus).toBe("degraded");
  vi.useRealTimers();
});
