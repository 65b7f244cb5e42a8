import { Child } from "../support/child";
import { expectAtMost, promised, sized } from "../support/figures";

afterEach(() => Child.endAll());

const DESCRIPTORS = sized(200, 1_000);
const EXHAUSTED_MS = sized(2_000, 10_000);

async function startServer(): Promise<{ server: Child; port: number }> {
  const server = new Child({ descriptors: DESCRIPTORS });
  const port = await server.run(async ({ WorkerServer, state }) => {
    state.server = new WorkerServer({ port: 0, healthPath: "/healthz" });
    await state.server.start();
    return state.server.port;
  });
  return { server, port };
}

/** Workers until the server has no descriptor left, and as many more that have to wait. */
async function exhaust(server: Child, port: number): Promise<Child> {
  const clients = new Child();
  await clients.run(
    ({ net, state }, { port, count }) => {
      state.sockets = Array.from({ length: count }, () =>
        net.connect(port, "127.0.0.1").on("error", () => {}),
      );
    },
    { port, count: DESCRIPTORS + 50 },
  );
  await server.run(async ({ descriptors, pause }, most) => {
    // Reading the list takes a descriptor itself.
    const isExhausted = (): boolean => {
      try {
        return descriptors() >= most;
      } catch (error) {
        return (error as NodeJS.ErrnoException).code === "EMFILE";
      }
    };
    while (!isExhausted()) await pause(10);
  }, DESCRIPTORS);
  return clients;
}

test("a server without a free descriptor uses less than 5 % of a processor, and serves those it has", async () => {
  const { server, port } = await startServer();
  const first = new Child();
  await first.run(async ({ register, state }, port) => {
    state.socket = await register(port, "first");
  }, port);
  await exhaust(server, port);

  const used = await server.run(async ({ pause }, ms) => {
    const before = process.cpuUsage();
    await pause(ms);
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1_000 / ms;
  }, EXHAUSTED_MS);

  expectAtMost("of a processor were used", used * 100, 5, "%");
  const ack = await first.run(async ({ once, state }) => {
    state.socket.send('{"type":"heartbeat","workerId":"first","timestamp":"now"}');
    return JSON.parse(String((await once(state.socket, "message"))[0])).type;
  });
  expect(ack).toBe("heartbeat_ack");
}, 60_000);

test("a server accepts again within 1 s after descriptors were given back", async () => {
  const { server, port } = await startServer();
  const clients = await exhaust(server, port);

  const took = await clients.run(async ({ register, state }, port) => {
    for (const socket of state.sockets.splice(0)) socket.destroy();
    const began = performance.now();
    await register(port, "late");
    return performance.now() - began;
  }, port);

  expectAtMost("a worker was registered after", took, promised(1_000));
  expect(await server.run(({ state }) => state.server.getWorkerCount())).toBe(1);
}, 60_000);
