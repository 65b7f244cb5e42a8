"use strict";

/*
 * A process that does what its parent sends it as functions (child.ts). They find the package, what clients need, and a
 * `state` that stays from one to the next.
 */
const { once } = require("node:events");
const { readdirSync } = require("node:fs");
const http = require("node:http");
const net = require("node:net");
const { setTimeout: pause } = require("node:timers/promises");
const { Worker } = require("node:worker_threads");
const { WebSocket } = require("ws");

const scope = {
  // Loaded where it is needed: most children are clients.
  get WorkerServer() {
    return require("../../index.js").WorkerServer;
  },
  get WorkerPool() {
    return require("../../index.js").WorkerPool;
  },
  WebSocket,
  Thread: Worker,
  http,
  net,
  once,
  pause,
  /** Opens a WebSocket and registers; resolves to the socket when that is acknowledged. */
  async register(port, workerId, overrides = {}) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { perMessageDeflate: false });
    socket.on("error", () => {});
    const ended = once(socket, "close").then(([code]) => {
      throw new Error(`closed with ${code} before it was registered`);
    });
    // Afterwards it is nobody's.
    ended.catch(() => {});
    await Promise.race([once(socket, "open"), ended]);
    const capabilities = { models: [{ modelId: "sonnet" }], maxConcurrentRequests: 8 };
    const registration = { type: "worker_registration", workerId, workerName: workerId, capabilities };
    socket.send(JSON.stringify({ ...registration, ...overrides }));
    await Promise.race([once(socket, "message"), ended]);
    return socket;
  },
  /** Does it for 0, 1, 2, ..., some at a time, so that no listen queue overflows. */
  async inBatches(count, body, size = 50) {
    const results = [];
    for (let index = 0; index < count; index += size) {
      const batch = Array.from({ length: Math.min(size, count - index) }, (_, offset) =>
        body(index + offset),
      );
      results.push(...(await Promise.all(batch)));
    }
    return results;
  },
  /** The head of a client frame that announces so many bytes, masked with zeros. */
  frameHead(opcode, length, fin = true) {
    const first = (fin ? 0x80 : 0) | opcode;
    if (length < 126) return Buffer.from([first, 0x80 | length, 0, 0, 0, 0]);
    const head = Buffer.alloc(14);
    head.set([first, 0xff]);
    head.writeBigUInt64BE(BigInt(length), 2);
    return head;
  },
  /** Puts so many bytes on a socket's wire, in order, as fast as they are taken; false once it is closed. */
  async pour(socket, bytes, times) {
    const tcp = socket._socket ?? socket;
    tcp.setMaxListeners(0);
    for (let time = 0; time < times; time++) {
      if (tcp.destroyed) return false;
      if (!tcp.write(bytes))
        await new Promise((resolve) => tcp.once("drain", resolve).once("close", resolve));
    }
    return !tcp.destroyed;
  },
  /** The code with which a WebSocket is closed; 1006 without a close frame. */
  async closeOf(socket) {
    if (socket.readyState === WebSocket.CLOSED) return socket._closeCode;
    const [code] = await once(socket, "close");
    return code;
  },
  quantile(values, part) {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
  },
  descriptors: () => readdirSync(process.platform === "linux" ? "/proc/self/fd" : "/dev/fd").length,
  state: {},
};

let mostMemory = 0;

/** Resident bytes: now, and the most since this was last asked. */
scope.memory = () => {
  look();
  const memory = { now: process.memoryUsage.rss(), most: mostMemory };
  mostMemory = 0;
  return memory;
};

function look() {
  try {
    mostMemory = Math.max(mostMemory, process.memoryUsage.rss());
  } catch (error) {
    // It is read from a file, which a process without a free descriptor cannot open.
    if (error.code !== "EMFILE") throw error;
  }
}

setInterval(look, 10).unref();

process.on("disconnect", () => process.exit(0));
process.on("message", async ({ id, body, arg }) => {
  const answer = { id };
  try {
    // oxlint-disable-next-line no-new-func -- it is the test's own function, by way of its source
    const run = new Function(`return (${body});`)();
    answer.result = await run(scope, arg);
  } catch (thrown) {
    answer.error = String(thrown?.stack ?? thrown);
  }
  process.send(answer);
});
