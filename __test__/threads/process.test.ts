import { Program } from "../support/program";

afterEach(async () => Program.endAll());

/** Runs a program whose tasks do what they are told (`echo`, `spin`, `sleep`), to its end. */
async function runProgram(
  body: string,
  config = "{}",
): Promise<{ code: number | null; signal: string | null; lines: string[]; stderr: string; ms: number }> {
  const started = performance.now();
  const program = Program.startScript(`
    const { writeFileSync } = require("node:fs");
    const { createWorkerManager } = require("worker-server-native/threads");
    writeFileSync("handler.cjs", \`module.exports = (payload) => {
      if (payload === "spin") for (;;);
      if (typeof payload === "number") return new Promise((resolve) => setTimeout(resolve, payload, "slept"));
      return payload;
    };\`);
    const manager = createWorkerManager({ minWorkers: 2, handlers: { CUSTOM: "./handler.cjs" }, ...${config} });
    ${body}
  `);
  const { code, signal, stderr } = await program.ended;
  return { code, signal, lines: program.lines, stderr, ms: performance.now() - started };
}

describe("a process", () => {
  test("ends by itself when an idle manager is left behind", async () => {
    const { code, lines, ms } = await runProgram(`
      manager.on("metricsUpdated", () => {});
      manager.run("CUSTOM", "hello").then((result) => console.log(result));
    `);
    expect([code, lines]).toEqual([0, ["hello"]]);
    expect(ms).toBeLessThan(10_000);
  });

  test("ends at once when no task was ever submitted", async () => {
    expect((await runProgram("")).code).toBe(0);
  });

  test("lives as long as a task runs, or waits for its retry", async () => {
    const { code, lines } = await runProgram(
      `
      manager.run("CUSTOM", 150).then((result) => console.log(result));
      manager.run("CUSTOM", "spin", { timeout: 100, maxRetries: 1 }).catch((error) => console.log(error.code));
    `,
      "{ retryDelay: 150 }",
    );
    expect([code, lines.sort()]).toEqual([0, ["TASK_TIMEOUT", "slept"]]);
  });

  test("lives until ready(), a health check and shutdown() are through", async () => {
    const { code, lines } = await runProgram(`
      (async () => {
        await manager.ready();
        console.log("ready");
        await manager.performHealthChecks();
        console.log("healthy");
        await manager.shutdown();
        console.log("down");
      })();
    `);
    expect([code, lines]).toEqual([0, ["ready", "healthy", "down"]]);
  });

  test("ends with its exit code while a task spins", async () => {
    const { code, ms } = await runProgram(`
      manager.submitTask("CUSTOM", "spin");
      manager.on("taskAssigned", () => process.exit(7));
    `);
    expect(code).toBe(7);
    expect(ms).toBeLessThan(10_000);
  });

  test("ends with an uncaught error while a task spins", async () => {
    const { code, stderr } = await runProgram(`
      manager.submitTask("CUSTOM", "spin");
      manager.on("taskAssigned", () => setImmediate(() => { throw new Error("mine"); }));
    `);
    expect(code).toBe(1);
    expect(stderr).toContain("mine");
  });

  test("drains on the first signal with handleSignals", async () => {
    const { code, lines } = await runProgram(
      `
      manager.once("taskAssigned", () => process.kill(process.pid, "SIGTERM"));
      manager.on("shutdown", () => console.log("down"));
      manager.run("CUSTOM", 50).then((result) => console.log(result));
      manager.run("CUSTOM", 60).then((result) => console.log(result));
      setTimeout(() => {}, 300);
    `,
      "{ handleSignals: true, minWorkers: 1, maxWorkers: 1 }",
    );
    expect([code, lines]).toEqual([0, ["slept", "slept", "down"]]);
  });

  test("forces on the second signal, and ends by the third", async () => {
    const { code, signal, lines } = await runProgram(
      `
      manager.once("taskAssigned", () => {
        process.kill(process.pid, "SIGINT");
        setImmediate(() => process.kill(process.pid, "SIGINT"));
      });
      manager.on("shutdown", () => { console.log("down"); process.kill(process.pid, "SIGINT"); });
      manager.run("CUSTOM", "spin").catch((error) => console.log(error.code));
      setTimeout(() => {}, 5000);
    `,
      "{ handleSignals: true, minWorkers: 1, maxWorkers: 1 }",
    );
    expect(lines).toEqual(["MANAGER_SHUTDOWN", "down"]);
    expect([code, signal]).toEqual([null, "SIGINT"]);
  });

  test("can await a manager at the top level of a module", async () => {
    const program = Program.startModule(`
      import { createWorkerManager, WorkerTaskType } from "worker-server-native/threads";
      const owned = createWorkerManager({ minWorkers: 1 });
      console.log((await owned.run(WorkerTaskType.COMPUTATION, { computation: "sum", data: [1, 2] })).result);
      await owned.shutdown();
      console.log("down");
    `);
    expect((await program.ended).code).toBe(0);
    expect(program.lines).toEqual(["3", "down"]);
  });
});
