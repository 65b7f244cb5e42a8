/*
 * The server under load. It uses the v1 API of the module that MODULE names and nothing else, so one script serves
 * the package and the peer alike:
 *
 *   MODULE=/path/index.js PORT=19100 CONTROL_PORT=19101 node --expose-gc server/main.mjs
 *
 * A second port answers what the process has counted and steers what it sends (control.mjs). Prints READY when it listens.
 */
import { pathToFileURL } from "node:url";
import { Broadcaster } from "./broadcaster.mjs";
import { listenForControl } from "./control.mjs";
import { Requests } from "./requests.mjs";
import { timeCalls } from "./calls.mjs";
import { collectGarbage, processStats } from "./process-stats.mjs";

const { MODULE, PORT, CONTROL_PORT, TOKEN, HEALTH_PATH } = process.env;
const { WorkerServer } = await import(pathToFileURL(MODULE).href);

const server = new WorkerServer({
  port: Number(PORT),
  authToken: TOKEN,
  heartbeatTimeoutMs: 3_600_000,
  healthPath: HEALTH_PATH,
});
/** `pending`: requests that workers left unanswered when they went. */
const counters = { connected: 0, disconnected: 0, messages: 0, completed: 0, pending: 0, bad: 0 };
/** Of those who are connected. */
const ids = new Set();
const requests = new Requests(server, ids, counters);
const broadcaster = new Broadcaster(server, ids);

server.onWorkerConnected((worker) => {
  counters.connected++;
  ids.add(worker.id);
});
server.onWorkerDisconnected((worker, pending) => {
  counters.disconnected++;
  counters.pending += pending.size;
  ids.delete(worker.id);
});
server.onWorkerMessage("work_progress", (worker, message) => {
  counters.messages++;
  if (message.requestId.length !== 12 || worker.id === "") counters.bad++;
});
server.onWorkerMessage("work_complete", (worker, message) => requests.complete(message));
server.addHttpHandler(async (req, res) => {
  if (req.url !== "/status") return false;
  res.writeHead(200, { "Content-Type": "application/json" });
  res.end(JSON.stringify({ status: "ok", workers: server.getWorkerCount() }));
  return true;
});

await server.start();
await listenForControl(Number(CONTROL_PORT), {
  "/stats": () => ({
    ...processStats(),
    workers: server.getWorkerCount(),
    counters,
    latency: requests.latency.figures(),
    outstanding: requests.outstanding,
    dispatched: requests.dispatched,
    send: broadcaster.sending,
  }),
  "/gc": collectGarbage,
  "/calls": (query) => timeCalls(server, [...ids], query),
  "/latency/reset": () => requests.latency.reset(),
  "/requests/start": (query) => requests.start(query),
  "/requests/stop": () => requests.stop(),
  "/send": (query) => broadcaster.send(query),
  "/broadcast": (query) => broadcaster.broadcast(query),
  "/block": ({ ms }) => setTimeout(block, 20, Number(ms)),
});
process.stdout.write("READY\n");

/** Keeps the JavaScript thread busy. */
function block(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
