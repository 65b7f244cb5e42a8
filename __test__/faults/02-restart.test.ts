import { Child } from "../support/child";
import { expectAtMost, note, sized } from "../support/figures";
import { freePort } from "../support/ports";

afterEach(() => Child.endAll());

const WORKERS = sized(500, 5_000);

/** Starts a server in a process of its own, which counts who connects and leaves. */
async function startServer(port: number): Promise<Child> {
  const server = new Child();
  await server.run(async ({ WorkerServer, state }, port) => {
    state.server = new WorkerServer({ port });
    state.connected = state.disconnected = 0;
    state.server.onWorkerConnected(() => state.connected++);
    state.server.onWorkerDisconnected(() => state.disconnected++);
    await state.server.start();
  }, port);
  return server;
}

/** Workers that connect again, at once, whenever they lose their connection. */
async function startWorkers(port: number): Promise<Child> {
  const workers = new Child();
  await workers.run(
    async ({ register, inBatches, pause, state }, { port, count }) => {
      state.registered = 0;
      const stay = async (index: number): Promise<void> => {
        const socket = await register(port, `worker-${index}`).catch(() => undefined);
        if (socket === undefined) {
          await pause(20);
          return stay(index);
        }
        state.registered++;
        socket.once("close", () => {
          state.registered--;
          void stay(index);
        });
      };
      await inBatches(count, stay);
    },
    { port, count: WORKERS },
  );
  return workers;
}

/** What the server knows once that many are registered. */
function poolOf(server: Child): Promise<Record<string, number>> {
  return server.run(async ({ state, pause }, count) => {
    const { server } = state;
    while (server.getWorkerCount() !== count) await pause(5);
    return {
      ids: new Set(server.getWorkerInfo().map(({ id }: { id: string }) => id)).size,
      available: server.getAvailableWorkerCount(),
      slots: server.getAvailableSlotCount("sonnet"),
      connections: server.stats().connections,
      connected: state.connected,
      disconnected: state.disconnected,
    };
  }, WORKERS);
}

test(
  `${WORKERS} workers are all back after the server was killed and started again, and no ghosts with them`,
  async () => {
    const port = await freePort();
    const first = await startServer(port);
    const workers = await startWorkers(port);
    const all = {
      ids: WORKERS,
      available: WORKERS,
      slots: 8 * WORKERS,
      connections: WORKERS,
      connected: WORKERS,
      disconnected: 0,
    };
    expect(await poolOf(first)).toEqual(all);

    await first.kill("SIGKILL");
    const second = await startServer(port);
    const began = performance.now();

    expect(await poolOf(second)).toEqual(all);
    expectAtMost("all are back within", performance.now() - began, 30_000);

    await workers.kill("SIGKILL");
    const killed = performance.now();
    const left = await second.run(async ({ state, pause }, count) => {
      while (state.disconnected !== count) await pause(5);
      const { connections, inFlight } = state.server.stats();
      return { workers: state.server.getWorkerCount(), connections, inFlight };
    }, WORKERS);
    note("all are gone after their end within", performance.now() - killed, "", "ms");
    expect(left).toEqual({ workers: 0, connections: 0, inFlight: 0 });
  },
  sized(20_000, 120_000),
);
