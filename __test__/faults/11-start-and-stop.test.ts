import { Child } from "../support/child";
import { expectAtMost, MIB, sized } from "../support/figures";
import { freePort, occupy, portOf, release } from "../support/ports";
import { createServer, startServer, stopServers } from "../support/test-server";
import { TestWorker } from "../support/test-worker";

afterEach(async () => {
  await Child.endAll();
  await stopServers();
});

jest.setTimeout(120_000);

const ROUNDS = sized(30, 100);
const UPGRADES = sized(50, 500);
/** What a heap and an allocator keep of many rounds, and no more of more rounds. */
const MOST_MIB = 16;

/** The descriptors and the memory that the rounds have added, after some to warm up. */
async function leftBy(
  round: (scope: import("../support/child").ChildScope) => Promise<void>,
): Promise<{ descriptors: number; memory: number }> {
  return new Child().run(
    async (scope, { round, rounds }) => {
      const run = new Function(`return (${round});`)();
      const look = async (): Promise<{ descriptors: number; memory: number }> => {
        // What was closed is let go of in a turn of its own.
        await scope.pause(50);
        for (let time = 0; time < 3; time++) (globalThis as any).gc();
        return { descriptors: scope.descriptors(), memory: scope.memory().now };
      };
      for (let n = 0; n < rounds; n++) await run(scope);
      const before = await look();
      for (let n = 0; n < rounds; n++) await run(scope);
      const after = await look();
      return {
        descriptors: after.descriptors - before.descriptors,
        memory: after.memory - before.memory,
      };
    },
    { round: round.toString(), rounds: ROUNDS },
  );
}

function expectNothingLeft({ descriptors, memory }: { descriptors: number; memory: number }): void {
  expectAtMost("descriptors left", descriptors, 0, "");
  expectAtMost("memory grew by", memory / MIB, MOST_MIB, "MiB");
}

test(`${ROUNDS} rounds of start, workers, HTTP and stop leave no descriptor and no memory behind`, async () => {
  const left = await leftBy(async ({ WorkerServer, register, http, once }) => {
    const server = new WorkerServer({ port: 0 });
    server.addHttpHandler(async (_req, res) => {
      res.end("x".repeat(10_000));
      return true;
    });
    server.addWebSocketEndpoint("/live", () => {});
    await server.start();
    const { port } = server;
    const workers = await Promise.all(["a", "b", "c"].map((id) => register(port, id)));
    server.trackRequest("a", "request");
    server.broadcast({ type: "news" });
    const [response] = await once(http.get({ port, host: "127.0.0.1", agent: false }), "response");
    response.resume();
    await once(response, "end");
    const closed = workers.map((worker) => once(worker, "close"));
    await server.stop();
    await Promise.all(closed);
  });

  expectNothingLeft(left);
});

test(`${ROUNDS} starts and stops of one server leave nothing behind`, async () => {
  const left = await leftBy(async ({ WorkerServer, register, once, state }) => {
    const server = (state.server ??= new WorkerServer({ port: 0 }));
    await server.start();
    const worker = await register(server.port, "a");
    const closed = once(worker, "close");
    await server.stop();
    await closed;
  });

  expectNothingLeft(left);
});

test(`${ROUNDS} starts and stops in one tick, of new servers and of the same, leave nothing behind`, async () => {
  const left = await leftBy(async ({ WorkerServer, state }) => {
    const same = (state.same ??= new WorkerServer({ port: 0 }));
    for (const server of [same, new WorkerServer({ port: 0 })]) {
      const started = server.start().then(
        () => "started",
        () => "rejected",
      );
      await server.stop();
      if ((await started) !== "rejected") throw new Error("it was stopped before it had started");
    }
  });

  expectNothingLeft(left);
});

test(`${ROUNDS} starts on a port in use are rejected and leave nothing behind`, async () => {
  const left = await leftBy(async ({ WorkerServer, net, once }) => {
    const occupying = net.createServer().listen(0);
    await once(occupying, "listening");
    const { port } = occupying.address() as import("node:net").AddressInfo;
    const server = new WorkerServer({ port });
    const code = await server.start().then(
      () => "started",
      (error) => error.code,
    );
    if (code !== "EADDRINUSE") throw new Error(code);
    await server.stop();
    occupying.close();
    await once(occupying, "close");
    await server.start();
    await server.stop();
  });

  expectNothingLeft(left);
});

test("a port in use is a clear rejection, and a second start works once it is free", async () => {
  const occupying = await occupy();
  const port = portOf(occupying);
  const { server } = createServer({ port });
  await expect(server.start()).rejects.toMatchObject({
    code: "EADDRINUSE",
    syscall: "listen",
    port,
    message: `listen EADDRINUSE: address already in use :::${port}`,
  });
  await server.stop();
  await release(occupying);

  await server.start();

  expect((await TestWorker.register(port)).ack.success).toBe(true);
});

test.each([-1, 65_536, 1.5, NaN])("port %p is a clear rejection, and the program goes on", async (port) => {
  const { server } = createServer({ port });

  await expect(server.start()).rejects.toMatchObject({ name: "RangeError", code: "ERR_SOCKET_BAD_PORT" });

  await server.stop();
  await startServer();
});

test(`a stop amid ${UPGRADES} upgrades ends all of them, and a start after it serves`, async () => {
  const port = await freePort();
  const { server } = createServer({ port });
  await server.start();
  const clients = new Child();
  await clients.run(
    ({ net, state }, { port, count }) => {
      const head =
        "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
      // Cut at any place: some are accepted already, some never will be.
      state.closed = Array.from({ length: count }, (_, index) => {
        const socket = net.connect(port, "127.0.0.1");
        socket.on("error", () => {}).resume();
        socket.write(head.slice(0, index % 2 === 0 ? head.length : index % head.length));
        return new Promise((resolve) => socket.once("close", resolve));
      });
    },
    { port, count: UPGRADES },
  );

  const began = performance.now();
  await server.stop({ timeoutMs: 100 });

  expectAtMost("the stop took", performance.now() - began, 100 + sized(2_000, 500));
  await clients.run(async ({ state }) => {
    await Promise.all(state.closed);
  });
  expect(server.stats().connections).toBe(0);
  await server.start();
  expect((await TestWorker.register(port)).ack.success).toBe(true);
});
