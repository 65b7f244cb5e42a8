import type { WorkerServer } from "../index.js";
import { poolOf, registerAs, work } from "./support/pool-of";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";

afterEach(stopServers);

/** Dispatches until nobody takes any more; returns who got them, in order. */
function allTakers(server: WorkerServer): unknown[] {
  const takers: unknown[] = [];
  for (;;) {
    const handle = server.dispatch({ model: "sonnet", message: work(`r${takers.length}`) });
    if (handle === null) return takers;
    takers.push(handle.worker.id);
  }
}

async function registerAll(port: number, ids: readonly unknown[]): Promise<void> {
  for (const id of ids) await registerAs(port, { id, max: 1 });
}

const byCollation = (a: string, b: string): number => a.localeCompare(b);

/** Small steps of a fixed sequence, so that a failure can be repeated. */
function* scattered(count: number): Generator<string> {
  const alphabet = ["a", "B", "b", "A", "-", "_", "1", "10", "9", "é", "e", "Z", "ß", "ss", "中", "."];
  let state = 7;
  for (let left = count; left > 0; left--) {
    let id = "";
    for (let letters = 3; letters > 0; letters--) {
      state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
      id += alphabet[(state >>> 8) % alphabet.length];
    }
    yield `${id}${left}`;
  }
}

test("the lowest load comes first", async () => {
  const { server } = await poolOf({ id: "a", max: 2 }, { id: "b", max: 4 });
  server.trackRequest("a", "by hand");

  expect(allTakers(server)).toEqual(["b", "b", "a", "b", "b"]);
});

test("equally loaded workers come in the order of localeCompare, not of registration or of code units", async () => {
  const { server, port } = await startServer();
  const ids = ["b", "a", "B", "Z", "é", "e", "f", "_", "10", "9", "ä"];
  await registerAll(port, ids);

  const expected = [...ids].sort(byCollation);
  expect(expected).not.toEqual([...ids].sort());
  expect(allTakers(server)).toEqual(expected);
  expect(server.getAvailableWorker("sonnet")).toBeNull();
});

test("getAvailableWorker goes on by registration", async () => {
  const { server } = await poolOf({ id: "b" }, { id: "a" });
  server.dispatch({ message: work("r1") })!.complete();

  expect(server.getAvailableWorker("sonnet")!.id).toBe("b");
});

test("the order is kept as workers register between dispatches, at every place", async () => {
  const { server, port } = await startServer();
  const ids = [...scattered(150)];
  for (const [index, id] of ids.entries()) {
    await registerAs(port, { id, max: 1 });
    if (index % 3 === 0) server.dispatch({ message: work(`early-${index}`) })!.fail();
  }

  expect(allTakers(server)).toEqual(ids.sort(byCollation));
});

test("the order is kept when each worker comes right before the same one", async () => {
  const { server, port } = await startServer();
  const ids = Array.from({ length: 120 }, (_, index) => `a-${String(index).padStart(3, "0")}`);
  await registerAll(port, ["b", "0"]);
  for (const id of ids) {
    await registerAs(port, { id, max: 1 });
    server.dispatch({ message: work("early") })!.fail();
  }

  expect(allTakers(server)).toEqual(["0", ...ids, "b"]);
});

test("workers that leave and come back keep to the order", async () => {
  const { server, port } = await startServer();
  const ids = [...scattered(90)];
  const workers: TestWorker[] = [];
  for (const id of ids) workers.push(await registerAs(port, { id, max: 1 }));
  server.dispatch({ message: work("early") })!.fail();

  for (const [index, worker] of workers.entries()) if (index % 3 > 0) await worker.close();
  await registerAs(port, { id: ids[1], max: 1 });
  await registerAs(port, { id: ids[0], max: 1 });
  const there = [ids[1]!, ...ids.filter((_, index) => index % 3 === 0)];

  expect(server.getWorkerCount()).toBe(there.length);
  expect(allTakers(server)).toEqual(there.sort(byCollation));
});

test("ids that compare equal come in the order of registration", async () => {
  const { server, port } = await startServer();
  const composed = "\u00e9";
  const decomposed = "e\u0301";
  expect(composed.localeCompare(decomposed)).toBe(0);
  await registerAll(port, [decomposed, composed]);
  expect(server.dispatch({ message: work("early") })!.worker.id).toBe(decomposed);
  server.releaseRequest("early");

  await registerAll(port, [decomposed]);

  expect(allTakers(server)).toEqual([composed, decomposed]);
});

test("an id that is no string does no harm", async () => {
  const { server, port } = await startServer();
  await registerAll(port, ["b", 5, "a"]);

  expect(allTakers(server)).toEqual([5, "a", "b"]);
});

test("the order outlives stop() and start()", async () => {
  const { server } = await poolOf({ id: "b" }, { id: "a" });
  server.dispatch({ message: work("r1") });
  TestWorker.dropAll();
  await server.stop();
  await server.start();

  await registerAll(server.port, ["d", "c"]);

  expect(allTakers(server)).toEqual(["c", "d"]);
});
