import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ClaudeFlowMemory, type FsyncPolicy, WorkerRegistry } from "../../registry.js";
import { node } from "./harness";

const ENTRY = join(__dirname, "../../registry.js");

let folder: string;
let persistPath: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "wsn-registry-"));
  persistPath = join(folder, "workers.log");
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test.each(["always", "everySecond", "never"] as FsyncPolicy[])(
  "with fsync %s everything is there after a restart",
  async (fsync) => {
    const memory = new ClaudeFlowMemory({ persistPath, fsync });
    const registry = new WorkerRegistry({ memory });
    const { id } = await registry.registerWorker(node('node "1"'));
    await registry.updateTaskCount(id, 2);
    await registry.recordTaskCompletion(id, true, 1_000 / 3);
    const held = await registry.acquire({}, { leaseMs: 600_000, owner: "me" });
    await memory.store("key", "value\n", 600_000);
    await memory.store("gone", "value");
    await memory.delete("gone");
    const worker = await registry.getWorker(id);
    await memory.close();

    const again = new ClaudeFlowMemory({ persistPath, fsync });
    const restored = new WorkerRegistry({ memory: again });
    expect(again.recovery).toEqual({ damagedLines: 0, truncatedBytes: 0 });
    expect(await restored.getWorker(id)).toEqual(worker);
    expect(await again.get("key")).toBe("value\n");
    expect(await again.get("gone")).toBeNull();
    expect(await restored.release(held!.token)).toBe(true);
    expect((await restored.getWorker(id))!.currentTasks).toBe(1);
    await again.close();
  },
);

test("a process that is killed at any moment loses nothing that it was told is done", async () => {
  const script = `
    const { ClaudeFlowMemory, WorkerRegistry } = require(${JSON.stringify(ENTRY)});
    const registry = new WorkerRegistry({ memory: new ClaudeFlowMemory({ persistPath: process.argv[1] }) });
    (async () => {
      const { id } = await registry.registerWorker({ nodeId: "node", capabilities: [], maxConcurrentTasks: 5 });
      for (let count = 1; ; count += 1) {
        await registry.updateTaskCount(id, 1);
        if (!process.stdout.write(count + "\\n")) await new Promise((resolve) => process.stdout.once("drain", resolve));
      }
    })();
  `;
  for (let round = 0; round < 3; round += 1) {
    const path = `${persistPath}-${round}`;
    const child = spawn(process.execPath, ["-e", script, path], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8");
    for await (const chunk of child.stdout) {
      output += chunk;
      if (output.split("\n").length > 300 * (round + 1)) child.kill("SIGKILL");
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, "close");
    const told = Number(output.slice(0, output.lastIndexOf("\n")).split("\n").at(-1));
    const memory = new ClaudeFlowMemory({ persistPath: path });
    const [worker] = await new WorkerRegistry({ memory }).discoverWorkers();
    expect(worker!.currentTasks).toBeGreaterThanOrEqual(told);
    expect(memory.recovery.damagedLines).toBe(0);
    await memory.close();
  }
});

test("a line that was cut off is dropped, a damaged one is skipped, and both are told", async () => {
  const memory = new ClaudeFlowMemory({ persistPath });
  for (const key of ["a", "b", "c"]) await memory.store(key, "value");
  await memory.close();
  const lines = readFileSync(persistPath, "utf8");
  writeFileSync(persistPath, lines.replace('"b"', '"x"'));
  appendFileSync(persistPath, "12345678 {half");
  const again = new ClaudeFlowMemory({ persistPath });
  expect(again.recovery).toEqual({ damagedLines: 1, truncatedBytes: 14 });
  expect(await again.list()).toEqual(["a", "c"]);
  await again.close();
});

test("a file has one user at a time; that of a dead process is free", async () => {
  const memory = new ClaudeFlowMemory({ persistPath });
  const open = (): unknown => new ClaudeFlowMemory({ persistPath });
  expect(open).toThrow(expect.objectContaining({ code: "STORE_IN_USE" }));
  await memory.close();
  const script = `
    const { ClaudeFlowMemory } = require(${JSON.stringify(ENTRY)});
    const memory = new ClaudeFlowMemory({ persistPath: process.argv[1] });
    process.stdout.write("open");
    setInterval(() => memory.size, 1000);
  `;
  const child = spawn(process.execPath, ["-e", script, persistPath], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  expect(open).toThrow(expect.objectContaining({ code: "STORE_IN_USE" }));
  child.kill("SIGKILL");
  await once(child, "close");
  const again = new ClaudeFlowMemory({ persistPath });
  await again.close();
});

test("a file that cannot be opened is told of", () => {
  const open = (): unknown => new ClaudeFlowMemory({ persistPath: folder });
  expect(open).toThrow(expect.objectContaining({ code: "STORE_WRITE_FAILED" }));
});

test("workers of a store that was away get time to show themselves", async () => {
  const clock = { now: 1_700_000_000_000 };
  const config = {
    now: () => clock.now,
    healthyThreshold: 1_000,
    degradedThreshold: 2_000,
    workerTTL: 2_000,
  };
  const memory = new ClaudeFlowMemory({ persistPath });
  const { id } = await new WorkerRegistry({ memory, ...config }).registerWorker(node("node-1"));
  await memory.close();
  clock.now += 60_000;
  const again = new ClaudeFlowMemory({ persistPath });
  const registry = new WorkerRegistry({ memory: again, ...config });
  registry.startCleanup();
  expect(await registry.cleanup()).toEqual([]);
  await registry.heartbeat(id);
  expect((await registry.getWorker(id))!.healthStatus).toBe("healthy");
  await registry.close();
  await again.close();
});
