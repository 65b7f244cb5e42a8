/*
 * The pools that are measured. Each has two threads, runs `workers/<job>.*` and offers `run(payload)`.
 */
import { createRequire } from "node:module";
import { MessageChannel, Worker } from "node:worker_threads";
import { inProject } from "../../scripts/lib/project.mjs";

const require = createRequire(import.meta.url);
const THREADS = 2;

const worker = (name) => inProject(`bench/threads/workers/${name}`);

/** `job` is "echo" (returns its payload), "gzip" or "resize". */
export const contenders = {
  ours(job) {
    const { createWorkerManager } = require(inProject("threads.js"));
    const types = { gzip: "COMPRESSION", resize: "IMAGE_MANIPULATION" };
    const manager = createWorkerManager({
      minWorkers: job in types ? 0 : THREADS,
      maxWorkers: THREADS,
      maxTaskQueueSize: 1e6,
      // The others never replace their threads.
      maxTasksPerWorker: 0,
      workerRecycleThreshold: 0,
      ...(job in types ? {} : { handlers: { CUSTOM: worker(`${job}.cjs`) } }),
    });
    const type = types[job] ?? "CUSTOM";
    return {
      run: (payload) => manager.run(type, payload),
      submit: (payload) => manager.submitTask(type, payload),
      pause: () => manager.pause(),
      async finish() {
        manager.resume();
        await manager.onIdle();
      },
      close: () => manager.shutdown(),
    };
  },

  piscina(job) {
    const { Piscina } = require("piscina");
    const pool = new Piscina({
      filename: worker(`${job}.cjs`),
      minThreads: THREADS,
      maxThreads: THREADS,
      maxQueue: Infinity,
    });
    return { run: (payload) => pool.run(payload), close: () => pool.destroy() };
  },

  async tinypool(job) {
    const { Tinypool } = await import("tinypool");
    const pool = new Tinypool({
      filename: worker(`${job}.mjs`),
      runtime: "worker_threads",
      minThreads: THREADS,
      maxThreads: THREADS,
    });
    return { run: (payload) => pool.run(payload), close: () => pool.destroy() };
  },

  workerpool(job) {
    const pool = require("workerpool").pool(worker(`${job}.workerpool.cjs`), {
      workerType: "thread",
      minWorkers: THREADS,
      maxWorkers: THREADS,
    });
    return { run: (payload) => pool.exec("run", [payload]), close: () => pool.terminate() };
  },

  async poolifier(job) {
    const { FixedThreadPool } = await import("poolifier");
    const pool = new FixedThreadPool(THREADS, worker(`${job}.poolifier.mjs`), {
      errorEventHandler: (error) => {
        throw error;
      },
    });
    return { run: (payload) => pool.execute(payload), close: () => pool.destroy() };
  },

  /** Two threads that answer each message; no queue, no errors, no timeouts. */
  raw(job) {
    const threads = Array.from({ length: THREADS }, () => {
      const { port1, port2 } = new MessageChannel();
      const thread = new Worker(worker(`${job}.raw.cjs`), { workerData: port2, transferList: [port2] });
      const waiting = [];
      port1.on("message", (message) => waiting.shift()(message));
      return { thread, port1, waiting };
    });
    let next = 0;
    return {
      run(payload) {
        const { port1, waiting } = threads[next++ % THREADS];
        return new Promise((resolve) => {
          waiting.push(resolve);
          port1.postMessage(payload);
        });
      },
      close: () => Promise.all(threads.map(({ thread }) => thread.terminate())),
    };
  },
};
