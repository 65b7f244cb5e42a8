/*
 * The server under load. It uses the v1 API of the module that MODULE names and nothing else, so one script serves
 * the package and the peer alike:
 *
 *   MODULE=/path/index.js PORT=19100 SECOND_PORT=19102 CONTROL_PORT=19101 node --expose-gc server/main.mjs
 *
 * A second port answers what the process has counted and steers what it sends (control.mjs). Prints READY when it listens.
 */
import { pathToFileURL } from "node:url";
import { Broadcaster } from "./broadcaster.mjs";
import { timeCalls } from "./calls.mjs";
import { listenForControl } from "./control.mjs";
import { collectGarbage, processStats } from "./process-stats.mjs";
import { Requests } from "./requests.mjs";
import { Roster } from "./roster.mjs";

const { MODULE, PORT, SECOND_PORT, CONTROL_PORT, TOKEN, HEALTH_PATH } = process.env;
const { WorkerServer } = await import(pathToFileURL(MODULE).href);

const options = { authToken: TOKEN, heartbeatTimeoutMs: 3_600_000, healthPath: HEALTH_PATH };
const server = new WorkerServer({ ...options, port: Number(PORT) });
/** Beside it, for what the two do to each other. */
const second = new WorkerServer({ ...options, port: Number(SECOND_PORT) });
/** `pending`: requests that workers left unanswered when they went; `refused`: sends that returned false. */
const counters = { messages: 0, completed: 0, pending: 0, refused: 0, bad: 0 };
const roster = new Roster();
const requests = new Requests(server, roster, counters);
const broadcaster = new Broadcaster(server, roster);

server.onWorkerConnected((worker) => roster.add(worker.id));
server.onWorkerDisconnected((worker, pending) => {
  counters.pending += pending.size;
  requests.forget(pending);
  roster.remove(worker.id);
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
await second.start();
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
  "/calls": (query) => timeCalls(server, roster.all, query),
  "/latency/reset": () => requests.latency.reset(),
  "/requests/loop": (query) => requests.loop(query),
  "/requests/pace": (query) => requests.pace(query),
  "/requests/stop": () => requests.stop(),
  "/send": (query) => broadcaster.send(query),
  "/broadcast": (query) => broadcaster.broadcast(query),
  "/block": ({ ms }) => setTimeout(block, 20, Number(ms)),
});
// An orderly end, at which Node writes its profile.
process.once("SIGTERM", () => process.exit());
process.stdout.write("READY\n");

/** Keeps the JavaScript thread busy. */
function block(ms) {
  const end = performance.now() + ms;
  while (performance.now() < end);
}
