/* A user's own tests of tasks, run by their own vitest, in a worker thread. */
import { Subject } from "rxjs";
import { BrowserWorkerManager } from "@hardlydifficult/worker-server/tasks/browser";
import { ServerWorkerManager, TaskError, TaskManager } from "@hardlydifficult/worker-server/tasks";
import { expect, test } from "vitest";

test("tasks run on threads of a worker thread", async () => {
  const manager = new TaskManager();
  const script = new URL("./tasks-worker.mjs", import.meta.url);
  const workers = new ServerWorkerManager({ manager, configs: [{ tasks: ["double"], script }] });
  expect(await manager.run({ name: "double", params: { n: 21 } })).toBe(42);
  await expect(manager.run({ name: "double", params: () => {} })).rejects.toBeInstanceOf(TaskError);
  workers.close();
  manager.close();
});

test("events$ is a Subject of the user's own rxjs", () => {
  expect(new TaskManager().events$).toBeInstanceOf(Subject);
  expect(typeof BrowserWorkerManager).toBe("function");
});
