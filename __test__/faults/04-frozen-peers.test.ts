import { once } from "node:events";
import { connect } from "node:net";
import type { WorkerServer } from "../../index.js";
import { Child } from "../support/child";
import { expectAtMost, sized } from "../support/figures";
import { frame, upgradeRequest } from "../support/raw-connection";
import { startServer, stopServers } from "../support/test-server";
import { registration } from "../support/test-worker";
import { until } from "../support/until";

afterEach(async () => {
  await Child.endAll();
  await stopServers();
});

const HEARTBEAT_TIMEOUT_MS = sized(300, 1_000);
const SWEEP_MS = sized(100, 500);
/** Dead after three timeouts, found by the next sweep, gone by the one after it; the rest is the machine's. */
const LATEST_MS = 3 * HEARTBEAT_TIMEOUT_MS + 2 * SWEEP_MS + 500;
const WORKERS = sized(20, 200);

const OPTIONS = { heartbeatTimeoutMs: HEARTBEAT_TIMEOUT_MS, healthCheckIntervalMs: SWEEP_MS };

interface Ends {
  /** Milliseconds since the Unix epoch, by worker. */
  readonly lastHeartbeat: Map<string, number>;
  readonly disconnected: Map<string, number>;
}

function watch(server: WorkerServer): Ends {
  const ends = { lastHeartbeat: new Map<string, number>(), disconnected: new Map<string, number>() };
  server.onWorkerDisconnected(({ id, lastHeartbeat }) => {
    if (ends.disconnected.has(id)) throw new Error(`${id} was reported twice`);
    ends.lastHeartbeat.set(id, lastHeartbeat.getTime());
    ends.disconnected.set(id, Date.now());
  });
  return ends;
}

/** How long after its last heartbeat the last one was reported. */
function latest({ lastHeartbeat, disconnected }: Ends): number {
  return Math.max(...[...disconnected].map(([id, at]) => at - lastHeartbeat.get(id)!));
}

/** Workers in a process of their own, which beat until that is stopped. */
async function startWorkers(port: number): Promise<Child> {
  const workers = new Child();
  await workers.run(
    async ({ register, inBatches, state }, { port, count, beatMs }) => {
      state.sockets = await inBatches(count, (index) => register(port, `worker-${index}`));
      setInterval(() => {
        for (const [index, socket] of state.sockets.entries()) {
          socket.send(JSON.stringify({ type: "heartbeat", workerId: `worker-${index}`, timestamp: "now" }));
        }
      }, beatMs);
    },
    { port, count: WORKERS, beatMs: HEARTBEAT_TIMEOUT_MS / 3 },
  );
  return workers;
}

test("workers whose process is frozen are reported at dead time and one sweep", async () => {
  const { server, port } = await startServer(OPTIONS);
  const ends = watch(server);
  const workers = await startWorkers(port);

  workers.signal("SIGSTOP");
  await until(() => ends.disconnected.size === WORKERS, "all are reported", 30_000);

  expectAtMost("the last was reported after", latest(ends), LATEST_MS);
  expect(server.getWorkerCount()).toBe(0);
});

test("and as soon when much is waiting to be sent to them", async () => {
  const { server, port } = await startServer(OPTIONS);
  const ends = watch(server);
  const workers = await startWorkers(port);
  const message = { type: "work", payload: "x".repeat(1_000_000) };

  workers.signal("SIGSTOP");
  // Until neither the sockets nor the outboxes of some of them take any more.
  for (let index = 0; index < 3; index++) {
    while (server.send(`worker-${index}`, message));
    await new Promise(setImmediate);
  }
  await until(() => ends.disconnected.size === WORKERS, "all are reported", 30_000);

  expectAtMost("the last was reported after", latest(ends), LATEST_MS);
  expect(server.stats()).toMatchObject({ connections: 0, outboxBytes: 0 });
});

test("a half-open connection, whose peer never says anything again, is reported as soon", async () => {
  const { server, port } = await startServer(OPTIONS);
  const ends = watch(server);
  const socket = connect(port, "127.0.0.1");
  socket.write(upgradeRequest());
  await once(socket, "data");
  socket.pause();

  socket.write(frame("text", JSON.stringify(registration({ workerId: "half-open" }))));
  await until(() => ends.disconnected.size === 1, "it is reported", 30_000);

  expectAtMost("it was reported after", latest(ends), LATEST_MS);
  socket.destroy();
});
