import { Child } from "../support/child";
import { expectAtMost, note, promised, sized } from "../support/figures";

afterEach(() => Child.endAll());

const PROBE_MS = sized(1_500, 10_000);
const WORKERS = 20;

/** Below this a time is the machine's scheduling and not the server's. */
const NOISE_MS = 10;
const PROMISED = sized(10, 2);

interface Waits {
  readonly workers: number;
  readonly http: number;
}

async function startServer(): Promise<number> {
  const server = new Child();
  return server.run(async ({ WorkerServer, state }) => {
    state.server = new WorkerServer({ port: 0, healthCheckIntervalMs: 1e9 });
    state.flooded = 0;
    state.server.onWorkerMessage("flood", () => state.flooded++);
    state.server.onWorkerMessage("ask", ({ id }: { id: string }, { n }: { n: number }) => {
      state.server.send(id, { type: "answer", n });
    });
    state.server.addHttpHandler((_req: unknown, res: { end(text: string): void }) => {
      res.end("answer");
      return true;
    });
    await state.server.start();
    return state.server.port;
  });
}

/** Some workers and HTTP clients that ask now and then, and know how long they wait. */
async function startAsking(port: number): Promise<Child> {
  const clients = new Child();
  await clients.run(
    async ({ register, inBatches, http, once, pause, state }, { port, count }) => {
      state.waits = { workers: [], http: [] };
      state.sockets = await inBatches(count, (index) => register(port, `worker-${index}`));
      const every = async (name: "workers" | "http", ask: () => Promise<unknown>): Promise<void> => {
        for (;;) {
          const began = performance.now();
          await ask();
          state.waits[name].push(performance.now() - began);
          await pause(20);
        }
      };
      for (const socket of state.sockets) {
        void every("workers", () => {
          socket.send('{"type":"ask","n":1}');
          return once(socket, "message");
        });
      }
      const agent = new http.Agent({ keepAlive: true });
      for (let index = 0; index < 5; index++) {
        void every("http", async () => {
          const [response] = await once(http.get({ port, host: "127.0.0.1", agent }), "response");
          response.resume();
          await once(response, "end");
        });
      }
    },
    { port, count: WORKERS },
  );
  return clients;
}

/** The 99th percentile of the waits of a while. */
function waitsOf(clients: Child): Promise<Waits> {
  return clients.run(async ({ pause, quantile, state }, ms) => {
    state.waits.workers.length = state.waits.http.length = 0;
    await pause(ms);
    return { workers: quantile(state.waits.workers, 0.99), http: quantile(state.waits.http, 0.99) };
  }, PROBE_MS);
}

async function startFlood(port: number): Promise<Child> {
  const flooder = new Child();
  await flooder.run(async ({ register, state }, port) => {
    const socket = await register(port, "flooder");
    const frame = Buffer.from([0x81, 0x80 | 16, 0, 0, 0, 0, ...Buffer.from('{"type":"flood"}')]);
    const frames = Buffer.concat(Array(2_000).fill(frame));
    const tcp = (socket as any)._socket;
    const flood = (): void => {
      while (tcp.write(frames));
      tcp.once("drain", flood);
    };
    state.socket = socket;
    flood();
  }, port);
  return flooder;
}

test("while one worker floods the server, the others and HTTP wait at most twice as long as before (99 %)", async () => {
  const port = await startServer();
  const clients = await startAsking(port);
  await waitsOf(clients);
  const before = await waitsOf(clients);

  await startFlood(port);
  const during = await waitsOf(clients);

  for (const who of ["workers", "http"] as const) {
    note(`${who} before`, before[who], "", "ms");
    expectAtMost(`${who} during the flood`, during[who], PROMISED * Math.max(before[who], NOISE_MS));
  }
}, 60_000);

test("while a worker sends more than the handlers can take, timers come at most 100 ms late", async () => {
  const server = new Child();
  const port = await server.run(async ({ WorkerServer, state }) => {
    state.server = new WorkerServer({ port: 0, healthCheckIntervalMs: 1e9 });
    state.server.onWorkerMessage("flood", () => {
      for (const end = performance.now() + 0.02; performance.now() < end;);
    });
    await state.server.start();
    return state.server.port;
  });
  await startFlood(port);

  const late = await server.run(async ({ pause }, ms) => {
    let latest = 0;
    for (const end = performance.now() + ms; performance.now() < end;) {
      const began = performance.now();
      await pause(10);
      latest = Math.max(latest, performance.now() - began - 10);
    }
    return latest;
  }, PROBE_MS);

  expectAtMost("a timer was late by", late, promised(100));
}, 60_000);
