import { deepStrictEqual } from "node:assert";
import { inspect } from "node:util";
import type { WorkerInfo, WorkerMessageEvent, WorkerServer } from "../index.js";
import { handledSoFar } from "./support/barrier";
import { infoOf } from "./support/infos";
import { poolOf, work } from "./support/pool-of";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";

/*
 * Handlers of both APIs on one class: version 1 hands out an info, and a dispatch handler finds in that same object
 * what it needs, in properties that are not enumerable.
 */

afterEach(stopServers);

const EXTRAS = ["worker", "message", "requestId", "complete", "fail", "requests"];

type Doubled = WorkerInfo & WorkerMessageEvent & { requests: WorkerMessageEvent["worker"]["requests"] };

/** Subscribes a handler with one parameter, as dispatch handlers are; returns what it gets. */
function recordDoubled(server: WorkerServer, type: string): Doubled[] {
  const received: Doubled[] = [];
  server.onWorkerMessage(type, (event) => received.push(event as Doubled));
  return received;
}

async function serverWithRequest(...ids: string[]) {
  const { server, workers, logger } = await poolOf({ id: "a" });
  for (const id of ids) server.dispatch({ category: "video", message: work(id) });
  return { server, worker: workers[0]!, logger };
}

describe("the first argument of a message handler", () => {
  test("shows version 1 to whoever looks at it", async () => {
    const { server, worker } = await serverWithRequest("r1");
    const received = recordDoubled(server, "done");
    worker.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, worker);

    const plain = infoOf(server, "a");
    expect(received[0]).toStrictEqual(plain);
    expect(Object.keys(received[0]!)).toEqual(Object.keys(plain));
    expect({ ...received[0] }).not.toHaveProperty("complete");
    expect(JSON.stringify(received[0])).toBe(JSON.stringify(plain));
    expect(inspect(received[0])).toBe(inspect(plain));
    expect(Object.keys(structuredClone(received[0]!))).toEqual(Object.keys(plain));
    deepStrictEqual(received[0], plain);
  });

  test("has the event in own properties that are not enumerable", async () => {
    const { server, worker } = await serverWithRequest("r1");
    const received = recordDoubled(server, "done");
    worker.send({ type: "done", requestId: "r1", output: 5 });
    await handledSoFar(server, worker);
    const event = received[0]!;

    for (const name of EXTRAS) {
      expect(Object.getOwnPropertyDescriptor(event, name)).toMatchObject({ enumerable: false });
    }
    expect(event.message).toEqual({ type: "done", requestId: "r1", output: 5 });
    expect(event.requestId).toBe("r1");
    expect(event.worker).toStrictEqual(server.listWorkers()[0]);
    expect(event.requests).toBe(event.worker.requests);
    expect(event.requests.pendingIds).toEqual(["r1"]);
    expect(Object.isFrozen(event.worker)).toBe(true);
  });

  test("ends the request, also later and detached", async () => {
    const { server, worker } = await serverWithRequest("r1", "r2");
    const received = recordDoubled(server, "done");
    worker.send({ type: "done", requestId: "r1" });
    worker.send({ type: "done", requestId: "r2" });
    await handledSoFar(server, worker);

    const { complete } = received[0]!;
    complete();
    received[1]!.fail();

    expect(infoOf(server, "a")).toMatchObject({ activeRequests: 0, completedRequests: 1 });
  });

  test("is the same object for all handlers of a message, so that two end a request once", async () => {
    const { server, worker } = await serverWithRequest("r1");
    const received = recordDoubled(server, "done");
    const events: WorkerMessageEvent[] = [];
    server.onWorkerMessage("done", (event) => (event as Doubled).complete());
    server.onWorkerEvent("done", (event) => {
      server.trackRequest("a", "r1");
      events.push(event);
      event.complete();
    });
    const second = recordDoubled(server, "done");
    worker.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, worker);

    expect(received[0]).toBe(second[0]);
    expect(received[0]!.complete).toBe(events[0]!.complete);
    expect(received[0]!.worker).toBe(events[0]!.worker);
    expect(infoOf(server, "a")).toMatchObject({ activeRequests: 1, completedRequests: 1 });
  });

  test("tells consistent counts when the request was ended by hand before", async () => {
    const { server, worker } = await serverWithRequest("r1");
    const seen: unknown[] = [];
    server.onWorkerMessage("done", (event) => {
      server.releaseRequest("r1");
      seen.push((event as Doubled).requests);
    });
    worker.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, worker);

    expect(seen).toEqual([{ active: 0, completed: 0, pendingIds: [], activeByCategory: {} }]);
  });

  test("is the plain info where all handlers declare that they take the message, too", async () => {
    const { server, worker } = await serverWithRequest("r1");
    const received: object[] = [];
    server.onWorkerMessage("done", (info, _message) => received.push(info));
    worker.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, worker);

    expect(Object.getOwnPropertyNames(received[0])).toEqual(Object.keys(infoOf(server, "a")));

    server.onWorkerMessage("done", () => {});
    worker.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, worker);

    expect(Object.getOwnPropertyNames(received[1]).slice(-EXTRAS.length)).toEqual(EXTRAS);
  });

  test("of handlers with rest parameters or none is doubled as well", async () => {
    const { server, worker } = await serverWithRequest("r1");
    const handler = jest.fn();
    server.onWorkerMessage("done", handler);
    worker.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, worker);

    expect(handler.mock.calls).toEqual([[infoOf(server, "a"), { type: "done", requestId: "r1" }]]);
    handler.mock.calls[0][0].complete();
    expect(infoOf(server, "a").completedRequests).toBe(1);
  });

  test("an object that inherits from it has no event", async () => {
    const { server, worker } = await serverWithRequest("r1");
    const received = recordDoubled(server, "done");
    worker.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, worker);

    const heir = Object.create(received[0]!);
    for (const name of EXTRAS) expect(heir[name]).toBeUndefined();
  });
});

describe("onWorkerEvent", () => {
  /** What the handler gets for a message that a registered worker sends. */
  async function eventFor(message: Record<string, unknown>): Promise<WorkerMessageEvent> {
    const { server, worker } = await serverWithRequest("r1");
    const calls: unknown[][] = [];
    server.onWorkerEvent("done", (...args: unknown[]) => calls.push(args));
    worker.send({ type: "done", ...message });
    await handledSoFar(server, worker);
    expect(calls).toEqual([[expect.anything()]]);
    return calls[0]![0] as WorkerMessageEvent;
  }

  test("hands out exactly one frozen event", async () => {
    const event = await eventFor({ requestId: "r1", output: { text: "größer" } });

    expect(Object.isFrozen(event)).toBe(true);
    expect(Object.isFrozen(event.message)).toBe(false);
    expect(event).toStrictEqual({
      worker: expect.objectContaining({ id: "a" }),
      message: { type: "done", requestId: "r1", output: { text: "größer" } },
      requestId: "r1",
      complete: expect.any(Function),
      fail: expect.any(Function),
    });
    expect(event.worker.requests).toStrictEqual({
      active: 1,
      completed: 0,
      pendingIds: ["r1"],
      activeByCategory: { video: 1 },
    });
  });

  test.each([[undefined], [null], [5], [{}]])(
    "a request id that is no string is null: %j",
    async (requestId) => {
      const event = await eventFor({ requestId });

      expect(event.requestId).toBeNull();
      expect(event.complete()).toBeUndefined();
      expect(event.fail()).toBeUndefined();
    },
  );

  test("an event of another worker ends the request as well", async () => {
    const { server, port } = await startServer();
    await TestWorker.register(port, { workerId: "a" });
    const other = await TestWorker.register(port, { workerId: "b" });
    expect(server.dispatch({ message: work("r1") })!.worker.id).toBe("a");
    server.onWorkerEvent("done", (event) => event.complete());
    other.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, other);

    expect(server.listWorkers().map(({ requests }) => [requests.active, requests.completed])).toEqual([
      [0, 1],
      [0, 0],
    ]);
  });

  test("settles each event for itself", async () => {
    const { server, worker } = await serverWithRequest("r1");
    server.onWorkerEvent("done", (event) => event.complete());
    worker.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, worker);
    server.trackRequest("a", "r1");
    worker.send({ type: "done", requestId: "r1" });
    await handledSoFar(server, worker);

    expect(infoOf(server, "a")).toMatchObject({ activeRequests: 0, completedRequests: 2 });
  });

  test("keeps the order among all handlers, calls each once, and ends with its unsubscribe", async () => {
    const { server, worker } = await serverWithRequest("r1");
    const calls: string[] = [];
    const twice = () => calls.push("event");
    server.onWorkerMessage("done", () => calls.push("first"));
    const unsubscribe = server.onWorkerEvent("done", twice);
    server.onWorkerEvent("done", twice);
    server.onWorkerMessage("done", () => calls.push("last"));
    worker.send({ type: "done" });
    await handledSoFar(server, worker);
    expect(calls).toEqual(["first", "event", "last"]);

    unsubscribe();
    worker.send({ type: "done" });
    await handledSoFar(server, worker);

    expect(calls.slice(3)).toEqual(["first", "last"]);
  });

  test("logs what a handler throws and calls the next", async () => {
    const { server, worker, logger } = await serverWithRequest("r1");
    const next = jest.fn();
    server.onWorkerEvent("done", () => {
      throw new Error("broken");
    });
    server.onWorkerEvent("done", next);
    worker.send({ type: "done" });
    await handledSoFar(server, worker);

    expect(next).toHaveBeenCalledTimes(1);
    expect(logger.of("Error in message handler").map((line) => line.rest)).toEqual([
      [{ type: "done", error: "broken" }],
    ]);
  });

  test("a message from a socket without a worker comes from the unknown worker", async () => {
    const { server, port } = await startServer();
    const event = new Promise<WorkerMessageEvent>((resolve) => server.onWorkerEvent("hello", resolve));
    const stranger = await TestWorker.connect(port);
    stranger.send({ type: "hello", requestId: "r1" });

    expect((await event).worker).toMatchObject({ id: "unknown", status: "unhealthy", sessionId: "" });
    (await event).complete();
  });
});

describe("connected and disconnected handlers", () => {
  test("get the version 1 info with frozen requests that are not enumerable", async () => {
    const { server, port } = await startServer();
    const infos: (WorkerInfo & { requests?: any })[] = [];
    const pendings: ReadonlySet<string>[] = [];
    server.onWorkerConnected((info) => infos.push(info));
    const gone = new Promise<void>((resolve) =>
      server.onWorkerDisconnected((info, pending) => {
        infos.push(info);
        pendings.push(pending);
        resolve();
      }),
    );
    const worker = await TestWorker.register(port);
    expect(infos[0]).toStrictEqual(infoOf(server));
    server.dispatch({ category: "video", message: work("r1") });
    await worker.close();
    await gone;

    expect(infos.map(({ requests }) => requests)).toStrictEqual([
      { active: 0, completed: 0, pendingIds: [], activeByCategory: {} },
      { active: 1, completed: 0, pendingIds: ["r1"], activeByCategory: { video: 1 } },
    ]);
    for (const info of infos) {
      expect(Object.keys(info)).not.toContain("requests");
      expect(Object.isFrozen(info.requests)).toBe(true);
    }
    expect(pendings).toEqual([new Set(["r1"])]);
  });
});
