import { Child } from "../support/child";
import { expectAtMost, promised, sized } from "../support/figures";
import { startServer, stopServers } from "../support/test-server";
import { until } from "../support/until";

afterEach(async () => {
  await Child.endAll();
  await stopServers();
});

const WORKERS = sized(200, 1_000);
const KILLED = WORKERS / 10;
const REQUESTS = 8;

/** That many registered workers in a process of their own. */
async function startWorkers(port: number, name: string, count: number): Promise<Child> {
  const child = new Child();
  await child.run(
    async ({ register, inBatches, state }, { port, name, count }) => {
      state.sockets = await inBatches(count, (index) => register(port, `${name}-${index}`));
    },
    { port, name, count },
  );
  return child;
}

test(`of ${KILLED} killed workers among ${WORKERS} each request in work is reported exactly once, within 1 s`, async () => {
  const { server, port } = await startServer();
  const reported: string[] = [];
  server.onWorkerConnected(({ id }) => {
    for (let n = 0; n < REQUESTS; n++) server.trackRequest(id, `${id}/${n}`);
  });
  server.onWorkerDisconnected((_worker, pending) => reported.push(...pending));
  await startWorkers(port, "staying", WORKERS - KILLED);
  const killed = await startWorkers(port, "killed", KILLED);
  expect(server.stats().inFlight).toBe(REQUESTS * WORKERS);

  const at = performance.now();
  killed.signal("SIGKILL");
  await until(() => reported.length >= REQUESTS * KILLED, "all requests are reported");
  const took = performance.now() - at;
  await killed.ended;

  expectAtMost("all are reported within", took, promised(1_000));
  expect(new Set(reported).size).toBe(REQUESTS * KILLED);
  expect(reported.every((id) => id.startsWith("killed-"))).toBe(true);
  expect(server.getWorkerCount()).toBe(WORKERS - KILLED);
  expect(server.stats().inFlight).toBe(REQUESTS * (WORKERS - KILLED));
  // Were one reported twice, it would come now at the latest.
  await stopServers();
  expect(reported).toHaveLength(REQUESTS * KILLED);
}, 60_000);
