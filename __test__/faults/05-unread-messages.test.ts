import { Child } from "../support/child";
import { expectAtMost, MIB, note, sized } from "../support/figures";

afterEach(() => Child.endAll());

const CEILING = sized(32, 512) * MIB;
/** What a server and its connections need beside what waits to be sent. */
const REST = sized(64, 128) * MIB;
const READERS = sized(50, 1_000);
const BYSTANDERS = 10;
const MEASURING_MS = sized(1_000, 10_000);
const PROMISED = sized(10, 2);
const NOISE_MS = 10;

// What the system takes for a thousand readers are gigabytes.
jest.setTimeout(sized(60_000, 180_000));

async function startServer(): Promise<{ server: Child; port: number }> {
  const server = new Child();
  const port = await server.run(async ({ WorkerServer, state }, maxTotalOutboxBytes) => {
    // Readers that are dropped for not reading would make it too easy.
    const limits = { maxTotalOutboxBytes, writeTimeoutMs: Infinity };
    state.server = new WorkerServer({ port: 0, limits });
    state.server.onWorkerMessage("ask", ({ id }: { id: string }) =>
      state.server.send(id, { type: "answer" }),
    );
    await state.server.start();
    return state.server.port;
  }, CEILING);
  return { server, port };
}

/** Workers that register and never read again. */
async function startReaders(port: number, count: number): Promise<Child> {
  const readers = new Child();
  await readers.run(
    async ({ register, inBatches, state }, { port, count }) => {
      state.sockets = await inBatches(count, async (index) => {
        const socket = await register(port, `reader-${index}`);
        socket.pause();
        return socket;
      });
    },
    { port, count },
  );
  return readers;
}

/** Sends to each of the readers until the system takes no more for it, so that the next one waits in the server. */
function fillSockets(server: Child, count: number): Promise<void> {
  return server.run(async ({ state, pause }, count) => {
    const message = { type: "work", payload: "x".repeat(1024 * 1024) };
    const fill = async (id: string): Promise<void> => {
      for (let before = -1; before !== state.server.stats().bytesDropped;) {
        before = state.server.stats().bytesDropped;
        const queued = state.server.stats().outboxBytes;
        if (!state.server.send(id, message)) return;
        await pause(2);
        if (state.server.stats().outboxBytes > queued + 900_000) return;
      }
    };
    for (let index = 0; index < count; index++) await fill(`reader-${index}`);
  }, count);
}

/** Sends to the readers in turn, some at a time, until it is refused so often in a row; then for a while longer. */
function send(
  server: Child,
  count: number,
  payloadBytes: number,
  ms: number,
): Promise<{ taken: number; refused: number; queued: number }> {
  return server.run(
    async ({ state, pause }, { count, payloadBytes, ms }) => {
      const message = { type: "work", payload: "x".repeat(payloadBytes) };
      let [taken, refused, inARow, queued, next] = [0, 0, 0, 0, 0];
      let end = Infinity;
      while (performance.now() < end) {
        // What is a program's share of the thread, then everybody else's turn.
        for (const until = performance.now() + 1; performance.now() < until; next = (next + 1) % count) {
          const isTaken = state.server.send(`reader-${next}`, message);
          inARow = isTaken ? 0 : inARow + 1;
          if (isTaken) taken++;
          else refused++;
        }
        queued = Math.max(queued, state.server.stats().outboxBytes);
        if (inARow >= 2 * count && end === Infinity) end = performance.now() + ms;
        await (end === Infinity ? new Promise(setImmediate) : pause(1));
      }
      return { taken, refused, queued };
    },
    { count, payloadBytes, ms },
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

function expectLittleWait(before: number, during: number): void {
  note("the others waited before", before, "", "ms");
  expectAtMost("the others waited", during, PROMISED * Math.max(before, NOISE_MS));
}

test(`while ${READERS} workers read nothing of what they are sent, the server stays below ${CEILING / MIB} MiB and the others wait at most twice as long (99 %)`, async () => {
  const { server, port } = await startServer();
  const bystanders = await startBystanders(port);
  await startReaders(port, READERS);
  const base = (await server.run(({ memory }) => memory())).now;
  await waitOf(bystanders);
  await server.run(({ pause }, ms) => pause(ms), MEASURING_MS);
  const before = await waitOf(bystanders);

  const filling = await send(server, READERS, 250_000, 0);
  await waitOf(bystanders);
  const refusing = await send(server, READERS, 1_000, MEASURING_MS);
  const during = await waitOf(bystanders);
  const { most } = await server.run(({ memory }) => memory());

  note("sent until the ceiling", (filling.taken * 250_000) / MIB, "", "MiB");
  expect(refusing.refused).toBeGreaterThan(0);
  expectAtMost("waiting to be sent", Math.max(filling.queued, refusing.queued) / MIB, CEILING / MIB, "MiB");
  expectAtMost("memory grew by", (most - base) / MIB, (CEILING + REST) / MIB, "MiB");
  expectLittleWait(before, during);
});

test(`messages of 40 bytes that are not read cost no more than large ones: below ${CEILING / MIB} MiB`, async () => {
  const { server, port } = await startServer();
  const count = CEILING / MIB / 4;
  await startReaders(port, count);
  const base = (await server.run(({ memory }) => memory())).now;
  await fillSockets(server, count);

  const { taken, refused, queued } = await send(server, count, 10, 0);
  const { most } = await server.run(({ memory }) => memory());

  expect(refused).toBeGreaterThan(0);
  note("small messages that wait", taken / 1e6, "", "million");
  expectAtMost("waiting to be sent", queued / MIB, CEILING / MIB, "MiB");
  expectAtMost("memory grew by", (most - base) / MIB, (CEILING + REST) / MIB, "MiB");
});

test("send returns false for a worker that does not read, and true again once it reads", async () => {
  const { server, port } = await startServer();
  const readers = await startReaders(port, 2);
  const refused = (): Promise<boolean[]> =>
    server.run(({ state }) => {
      const message = { type: "work", payload: "x".repeat(1_000_000) };
      return [0, 1].map((index) => {
        for (let sent = 0; sent < 100; sent++)
          if (!state.server.send(`reader-${index}`, message)) return true;
        return false;
      });
    });
  expect(await refused()).toEqual([true, true]);

  await readers.run(({ state }) => state.sockets[1].resume());

  const accepted = await server.run(async ({ state, pause }) => {
    const message = { type: "work", payload: "x".repeat(1_000_000) };
    while (!state.server.send("reader-1", message)) await pause(1);
    return [0, 1].map((index) => state.server.send(`reader-${index}`, message));
  });
  expect(accepted).toEqual([false, true]);
});
