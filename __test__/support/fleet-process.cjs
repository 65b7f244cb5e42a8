"use strict";

/**
 * Many beating workers in a process of their own, so that they beat and measure while the server's
 * process is blocked. Started by `Fleet` in `fleet.ts`; its orders come as IPC messages.
 */
const { WebSocket } = require("ws");

const [port, count, beatEveryMs] = process.argv.slice(2).map(Number);

/** One entry per worker: the socket and the moments at which its heartbeats were answered. */
const workers = [];
let closed = 0;

function connect(index) {
  return new Promise((resolve, reject) => {
    const workerId = `worker-${index}`;
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`);
    const worker = { workerId, socket, registered: false, answered: [], waits: [], pongs: [] };
    workers.push(worker);
    socket.on("open", () => {
      socket.send(
        JSON.stringify({
          type: "worker_registration",
          workerId,
          workerName: workerId,
          capabilities: { models: [{ modelId: "sonnet" }], maxConcurrentRequests: 4 },
        }),
      );
    });
    socket.on("message", (data) => {
      const { type, timestamp } = JSON.parse(data);
      if (type === "heartbeat_ack") {
        worker.answered.push(Date.now());
        worker.waits.push(Date.now() - timestamp);
      } else if (type === "worker_registration_ack") {
        worker.registered = true;
        resolve();
      }
    });
    socket.on("pong", () => worker.pongs.push(Date.now()));
    socket.on("close", () => closed++);
    socket.on("error", reject);
  });
}

/**
 * Lets every registered worker beat once a period, spread evenly over it so that the fleet does not
 * come in waves.
 */
function startBeating() {
  let last = Date.now();
  let due = 0;
  let next = 0;
  setInterval(() => {
    const now = Date.now();
    const registered = workers.filter((worker) => worker.registered);
    due = Math.min(due + (registered.length * (now - last)) / beatEveryMs, registered.length);
    last = now;
    for (; due >= 1; due--) {
      const { socket, workerId } = registered[next++ % registered.length];
      if (socket.readyState !== WebSocket.OPEN) continue;
      socket.send(JSON.stringify({ type: "heartbeat", workerId, timestamp: now }));
    }
  }, 10);
}

/** What the workers saw between the two moments. */
function report({ from, to }) {
  const within = (times) => times.filter((time) => time >= from && time <= to);
  const gaps = workers.map(({ answered }) => {
    const times = [from, ...within(answered), to];
    return Math.max(...times.slice(1).map((time, index) => time - times[index]));
  });
  const waits = workers
    .flatMap((worker) =>
      worker.waits.filter((_, at) => worker.answered[at] >= from && worker.answered[at] <= to),
    )
    .sort((a, b) => a - b);
  return {
    closed,
    answers: workers.reduce((sum, { answered }) => sum + within(answered).length, 0),
    pongs: workers.reduce((sum, { pongs }) => sum + within(pongs).length, 0),
    longestGap: gaps.reduce((longest, gap) => Math.max(longest, gap), 0),
    wait: waits[Math.floor(waits.length * 0.99)] ?? 0,
  };
}

const orders = {
  report,
  /** From now on every worker sends so many messages, at once. */
  talk({ messages }) {
    for (const { socket, workerId } of workers) {
      for (let step = 0; step < messages; step++)
        socket.send(JSON.stringify({ type: "step", workerId, step }));
    }
  },
  /** Does `talk` and a ping per worker a while from now: when nobody else can give the order. */
  later({ afterMs, messages }) {
    setTimeout(() => {
      orders.talk({ messages });
      for (const { socket } of workers) socket.ping();
    }, afterMs);
  },
};

process.on("message", ({ id, order, ...details }) => {
  process.send({ id, result: orders[order](details) });
});
process.on("disconnect", () => process.exit(0));

async function main() {
  startBeating();
  // Twenty at a time, so that the listen queue never overflows.
  for (let index = 0; index < count; index += 20) {
    const batch = Array.from({ length: Math.min(20, count - index) }, (_, offset) => connect(index + offset));
    await Promise.all(batch);
  }
  process.send({ ready: true });
}

main();
