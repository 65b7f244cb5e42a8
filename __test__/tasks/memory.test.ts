import { execFile } from "node:child_process";

/* In a process of its own, which can collect its garbage. */
test("100,000 tasks leave nothing behind", async () => {
  const source = `
    const { TaskManager, BrowserWorkerManager } = require(${JSON.stringify(require.resolve("../../tasks.js"))});
    const manager = new TaskManager();
    const create = () => {
      let listen, id;
      return {
        postMessage(message) {
          if (message.message === "init-worker") id = message.id;
          else queueMicrotask(() => listen({ data: { message: "worker-response", taskId: message.taskId, workerId: id, content: 1 } }));
        },
        terminate() {},
        addEventListener(type, listener) {
          if (type !== "message") return;
          listen = listener;
          queueMicrotask(() => listen({ data: { message: "worker-ready", workerId: id, content: {} } }));
        },
      };
    };
    new BrowserWorkerManager({ manager, configs: [{ tasks: ["a"], create, count: 2 }] });
    const { signal } = new AbortController();
    const run = async (count) => {
      for (let left = count; left > 0; left -= 1000)
        await Promise.allSettled(
          Array.from({ length: 1000 }, (_, params) => {
            if (params % 10 === 0) {
              const task = manager.addTask({ name: "nobody", params, signal });
              manager.deleteTask(task.id);
            }
            return manager.run({ name: "a", params: params % 7 === 0 ? () => {} : params, timeout: 60000, signal });
          }),
        );
      gc();
      return process.memoryUsage().heapUsed;
    };
    (async () => {
      const before = await run(20000);
      const after = await run(100000);
      console.log(Math.max(0, after - before));
      manager.close();
      process.exit(0);
    })();`;
  const output = await new Promise<string>((resolve) => {
    execFile(process.execPath, ["--expose-gc", "-e", source], (_, stdout, stderr) => {
      resolve(stdout + stderr);
    });
  });
  // Less than a byte and a half for each task.
  expect(Number(output)).toBeLessThan(150_000);
}, 60_000);
