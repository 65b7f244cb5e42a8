/*
 * A worker: connects, registers, beats, works.
 *
 *   node examples/worker.mjs ws://127.0.0.1:19100 '{"id":"worker-a","name":"Ada","models":["haiku"],"capacity":2}'
 *
 * Any language with a WebSocket client can do the same; the messages are all there is to it.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { WebSocket } from "ws";

const [url, description] = process.argv.slice(2);
const { id, name, models, capacity, limits, millisPerRequest = [30, 150] } = JSON.parse(description);

const socket = new WebSocket(url);
const send = (message) => socket.send(JSON.stringify(message));
let heartbeats;

socket.on("open", () => {
  send({
    type: "worker_registration",
    workerId: id,
    workerName: name,
    capabilities: {
      models: models.map(describe),
      maxConcurrentRequests: capacity,
      concurrencyLimits: limits,
    },
    authToken: process.env.WORKER_TOKEN,
  });
});

const reactions = {
  worker_registration_ack({ success, error, heartbeatIntervalMs }) {
    if (!success) throw new Error(`${name} was refused: ${error}`);
    heartbeats = setInterval(() => {
      send({ type: "heartbeat", workerId: id, timestamp: new Date().toISOString() });
    }, heartbeatIntervalMs);
  },
  heartbeat_ack() {},
  async work_request({ requestId, input }) {
    const [least, most] = millisPerRequest;
    await sleep(least + Math.random() * (most - least));
    // The server may have gone in the meantime.
    if (socket.readyState === WebSocket.OPEN)
      send({ type: "work_complete", requestId, result: `${input} done` });
  },
  shutdown() {
    socket.close(1000, "told to shut down");
  },
};

socket.on("message", (data) => {
  const message = JSON.parse(data.toString());
  reactions[message.type]?.(message);
});
socket.on("error", (error) => console.error(`${name}: ${error.message}`));
socket.on("close", () => {
  clearInterval(heartbeats);
  process.exit();
});

// Ctrl-C in a terminal reaches every process: whether to stop is the server's decision, and its end is ours.
process.on("SIGINT", () => {});
process.on("disconnect", () => process.exit());

function describe(modelId) {
  return {
    modelId,
    displayName: modelId,
    maxContextTokens: 200_000,
    maxOutputTokens: 8_192,
    supportsStreaming: false,
  };
}
