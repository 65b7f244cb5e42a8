import { Child } from "../support/child";
import { expectAtMost, MIB, promised, sized } from "../support/figures";

afterEach(() => Child.endAll());

jest.setTimeout(120_000);

const WORKERS = sized(200, 1_000);

async function startServer(): Promise<{ server: Child; port: number }> {
  const server = new Child();
  const port = await server.run(async ({ WorkerServer, state }) => {
    state.server = new WorkerServer({ port: 0 });
    state.server.onWorkerMessage("step", ({ id }: { id: string }) => state.server.send(id, { type: "step" }));
    await state.server.start();
    return state.server.port;
  });
  return { server, port };
}

async function startWorkers(port: number): Promise<Child> {
  const workers = new Child();
  await workers.run(
    async ({ register, inBatches, state }, { port, count }) => {
      state.sockets = await inBatches(count, (index) => register(port, `worker-${index}`));
    },
    { port, count: WORKERS },
  );
  return workers;
}

describe(`a process with ${WORKERS} live workers ends within 200 ms`, () => {
  test.each([
    ["by process.exit", () => process.exit(7), { code: 7, signal: null }],
    [
      "by process.exit after the server was told to stop",
      ({ state }: any) => {
        void state.server.stop();
        process.exit(7);
      },
      { code: 7, signal: null },
    ],
    [
      "by the end of its work, once the server has stopped",
      ({ state }: any) => {
        process.disconnect();
        void state.server.stop({ timeoutMs: 0 });
      },
      { code: 0, signal: null },
    ],
  ])("%s, with its own code and no signal", async (_how, end, ending) => {
    const { server, port } = await startServer();
    await startWorkers(port);

    const began = performance.now();
    // It has no time to answer.
    server.run(end).catch(() => {});
    expect(await server.ended).toEqual(ending);

    expectAtMost("ended within", performance.now() - began, promised(200));
  });

  test("also amid a stream of messages from all of them", async () => {
    const { server, port } = await startServer();
    const workers = await startWorkers(port);
    void workers
      .run(({ state }) => {
        for (const socket of state.sockets) socket.on("message", () => socket.send('{"type":"step"}'));
        for (const socket of state.sockets) for (let n = 0; n < 10; n++) socket.send('{"type":"step"}');
      })
      .catch(() => {});
    await server.run(async ({ state }) => {
      await new Promise((resolve) => state.server.onWorkerMessage("step", resolve));
    });

    const began = performance.now();
    server.run(() => process.exit(7)).catch(() => {});
    expect(await server.ended).toEqual({ code: 7, signal: null });

    expectAtMost("ended within", performance.now() - began, promised(200));
  });
});

test("a thread with a server and its workers can be terminated 20 times, and nothing is left", async () => {
  const left = await new Child().run(async ({ register, once, descriptors, memory, pause, Thread }, path) => {
    const source = `
        const { parentPort } = require("node:worker_threads");
        const { WorkerServer } = require(${JSON.stringify(path)});
        const server = new WorkerServer({ port: 0 });
        server.onWorkerMessage("ask", ({ id }) => server.send(id, { type: "answer" }));
        server.start().then(() => parentPort.postMessage(server.port));
      `;
    const round = async (): Promise<void> => {
      const thread = new Thread(source, { eval: true });
      const [port] = await once(thread, "message");
      const sockets = await Promise.all(["a", "b", "c"].map((id) => register(port, id)));
      const closed = Promise.all(sockets.map((socket) => once(socket, "close")));
      for (let n = 0; n < 100; n++) sockets[0]!.send('{"type":"ask"}');
      await thread.terminate();
      await closed;
    };
    const look = async (): Promise<{ descriptors: number; memory: number }> => {
      await pause(100);
      (globalThis as any).gc();
      return { descriptors: descriptors(), memory: memory().now };
    };
    for (let n = 0; n < 20; n++) await round();
    const before = await look();
    for (let n = 0; n < 20; n++) await round();
    const after = await look();
    return {
      descriptors: after.descriptors - before.descriptors,
      memory: after.memory - before.memory,
    };
  }, require.resolve("../../index.js"));

  expectAtMost("descriptors left", left.descriptors, 0, "");
  // V8 does not give everything of a thread back to the system.
  expectAtMost("memory grew by", left.memory / MIB, 40, "MiB");
});

test("five servers in one process serve their own workers of the same ids, and stop one by one", async () => {
  const seen = await new Child().run(
    async ({ WorkerServer, register, inBatches, once }, count) => {
      const names = ["one", "two", "three", "four", "five"];
      const servers = names.map((name) => {
        const server = new WorkerServer({ port: 0 });
        server.onWorkerMessage("ask", ({ id }) => server.send(id, { from: name }));
        return server;
      });
      await Promise.all(servers.map((server) => server.start()));
      const fleets = [];
      for (const { port } of servers)
        fleets.push(await inBatches(count, (index) => register(port, `w${index}`)));
      const answers = [];
      for (const fleet of fleets) {
        const socket = fleet[0]!;
        socket.send('{"type":"ask"}');
        answers.push(JSON.parse(String((await once(socket, "message"))[0])).from);
      }
      const counts = [];
      for (const [index, server] of servers.entries()) {
        const closed = Promise.all(fleets[index]!.map((socket) => once(socket, "close")));
        await server.stop();
        await closed;
        counts.push(servers.map((one) => one.getWorkerCount()));
      }
      return { answers, counts };
    },
    sized(10, 200),
  );

  const all = sized(10, 200);
  expect(seen.answers).toEqual(["one", "two", "three", "four", "five"]);
  expect(seen.counts).toEqual(
    Array.from({ length: 5 }, (_, stopped) => Array.from({ length: 5 }, (_, n) => (n <= stopped ? 0 : all))),
  );
});
