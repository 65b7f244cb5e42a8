import { Child } from "../support/child";
import { expectAtMost, MIB, note, sized } from "../support/figures";

afterEach(() => Child.endAll());

const READERS = sized(100, 1_000);
const BYSTANDERS = 10;
const CEILING = sized(64, 512) * MIB;
/** What a server and its connections need beside what waits to be sent. */
const REST = sized(64, 128) * MIB;
const SENDING_MS = sized(2_000, 15_000);
const PROMISED = sized(10, 2);
const NOISE_MS = 5;

async function startServer(): Promise<{ server: Child; port: number }> {
  const server = new Child();
  const port = await server.run(async ({ WorkerServer, state }, ceiling) => {
    state.server = new WorkerServer({ port: 0, limits: { maxTotalOutboxBytes: ceiling } });
    state.server.onWorkerMessage("ask", ({ id }: { id: string }) =>
      state.server.send(id, { type: "answer" }),
    );
    await state.server.start();
    return state.server.port;
  }, CEILING);
  return { server, port };
}

/** Workers that register and never read again. */
async function startReaders(port: number): Promise<void> {
  await new Child().run(
    async ({ register, inBatches, state }, { port, count }) => {
      state.sockets = await inBatches(count, async (index) => {
        const socket = await register(port, `reader-${index}`);
        socket.pause();
        return socket;
      });
    },
    { port, count: READERS },
  );
}

/** Workers that ask now and then and know how long they wait. */
async function startBystanders(port: number): Promise<Child> {
  const bystanders = new Child();
  await bystanders.run(
    async ({ register, inBatches, once, pause, state }, { port, count }) => {
      state.waits = [];
      state.sockets = await inBatches(count, (index) => register(port, `bystander-${index}`));
      for (const socket of state.sockets) {
        void (async () => {
          for (;;) {
            const began = performance.now();
            socket.send('{"type":"ask"}');
            await once(socket, "message");
            state.waits.push(performance.now() - began);
            await pause(10);
          }
        })();
      }
    },
    { port, count: BYSTANDERS },
  );
  return bystanders;
}

/** The 99th percentile of their waits since they were last asked. */
function waitOf(bystanders: Child): Promise<number> {
  return bystanders.run(({ quantile, state }) => quantile(state.waits.splice(0), 0.99));
}

/** Sends to the readers, some at a time, for a while; counts what was not taken. */
function send(
  server: Child,
  payloadBytes: number,
): Promise<{ taken: number; refused: number; queued: number }> {
  return server.run(
    async ({ state, pause }, { count, payloadBytes, ms }) => {
      const message = { type: "work", payload: "x".repeat(payloadBytes) };
      const end = performance.now() + ms;
      let [taken, refused, queued, next] = [0, 0, 0, 0];
      while (performance.now() < end) {
        // What is a program's share of the thread: a millisecond, then everybody else's turn.
        for (const until = performance.now() + 1; performance.now() < until; next = (next + 1) % count) {
          if (state.server.send(`reader-${next}`, message)) taken++;
          else refused++;
        }
        queued = Math.max(queued, state.server.stats().outboxBytes);
        await pause(1);
      }
      return { taken, refused, queued };
    },
    { count: READERS, payloadBytes, ms: SENDING_MS },
  );
}

describe.each([
  ["64 KiB", 64 * 1024],
  ["1 KiB", 1_024],
  ["40 bytes", 10],
])(
  `while ${READERS} workers read nothing of the messages of %s that they are sent`,
  (_size, payloadBytes) => {
    test(`the server stays below ${CEILING / MIB} MiB and the others wait at most twice as long (99 %)`, async () => {
      const { server, port } = await startServer();
      const bystanders = await startBystanders(port);
      await startReaders(port);
      const base = (await server.run(({ memory }) => memory())).now;
      await waitOf(bystanders);
      await server.run(({ pause }, ms) => pause(ms), SENDING_MS);
      const before = await waitOf(bystanders);

      const { taken, refused, queued } = await send(server, payloadBytes);
      const during = await waitOf(bystanders);
      const { most } = await server.run(({ memory }) => memory());

      note("sent", taken, "", "messages");
      note("refused", refused, "", "messages");
      expectAtMost("waiting to be sent", queued / MIB, CEILING / MIB, "MiB");
      expectAtMost("memory grew by", (most - base) / MIB, (CEILING + REST) / MIB, "MiB");
      note("the others waited before", before, "", "ms");
      expectAtMost("the others waited", during, PROMISED * Math.max(before, NOISE_MS / 2));
    }, 120_000);
  },
);

test("send returns false for a reader that does not read, and true again for one that does", async () => {
  const { server, port } = await startServer();
  await startReaders(port);
  const refused = await server.run(({ state }, count) => {
    const message = { type: "work", payload: "x".repeat(1_000_000) };
    let refused = 0;
    for (let index = 0; index < count; index++) {
      for (let sent = 0; sent < 100; sent++) {
        if (!state.server.send(`reader-${index}`, message)) {
          refused++;
          break;
        }
      }
    }
    return refused;
  }, READERS);
  expect(refused).toBe(READERS);
});
