import type { WorkerServer } from "../index.js";
import { handledSoFar } from "./support/barrier";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker } from "./support/test-worker";
import { until } from "./support/until";

afterEach(stopServers);

type Handler = () => void;
type Unsubscribe = () => void;

/** One way of subscribing, and what makes its handlers be called once. */
interface Kind {
  subscribe(server: WorkerServer, handler: Handler): Unsubscribe;
  trigger(server: WorkerServer, port: number): Promise<void>;
}

let workers = 0;

const KINDS: Record<string, Kind> = {
  onWorkerMessage: {
    subscribe: (server, handler) => server.onWorkerMessage("result", handler),
    async trigger(server, port) {
      const worker = await TestWorker.register(port, { workerId: `worker-${++workers}` });
      worker.send({ type: "result" });
      await handledSoFar(server, worker);
    },
  },
  onWorkerConnected: {
    subscribe: (server, handler) => server.onWorkerConnected(handler),
    async trigger(_server, port) {
      await TestWorker.register(port, { workerId: `worker-${++workers}` });
    },
  },
  onWorkerDisconnected: {
    subscribe: (server, handler) => server.onWorkerDisconnected(handler),
    async trigger(server, port) {
      const count = server.getWorkerCount();
      const worker = await TestWorker.register(port, { workerId: `worker-${++workers}` });
      await worker.close();
      // The handlers run in the same turn in which the worker leaves the pool.
      await until(() => server.getWorkerCount() === count, "the worker is removed");
      const other = await TestWorker.connect(port);
      await handledSoFar(server, other);
    },
  },
};

describe.each(Object.entries(KINDS))("the handlers of %s", (_name, { subscribe, trigger }) => {
  let server: WorkerServer;
  let port: number;
  let calls: string[];

  beforeEach(async () => {
    ({ server, port } = await startServer());
    calls = [];
  });

  function add(name: string, action: () => void = () => {}): Unsubscribe {
    return subscribe(server, () => {
      calls.push(name);
      action();
    });
  }

  test("are called in the order of subscription", async () => {
    for (const name of ["first", "second", "third"]) add(name);

    await trigger(server, port);

    expect(calls).toEqual(["first", "second", "third"]);
  });

  test("are called once when subscribed twice", async () => {
    const handler = jest.fn();
    subscribe(server, handler);
    subscribe(server, handler);

    await trigger(server, port);

    expect(handler).toHaveBeenCalledTimes(1);
  });

  test("keep their place when subscribed again", async () => {
    const first = () => calls.push("first");
    subscribe(server, first);
    add("second");
    subscribe(server, first);

    await trigger(server, port);

    expect(calls).toEqual(["first", "second"]);
  });

  test("are not called any more after unsubscribing", async () => {
    const unsubscribe = add("gone");
    add("kept");

    unsubscribe();
    await trigger(server, port);

    expect(calls).toEqual(["kept"]);
  });

  test("are gone with the first unsubscribe, however often they were subscribed", async () => {
    const handler = jest.fn();
    subscribe(server, handler);
    subscribe(server, handler)();

    await trigger(server, port);

    expect(handler).not.toHaveBeenCalled();
  });

  test("may be unsubscribed twice", async () => {
    const unsubscribe = add("gone");
    add("kept");

    unsubscribe();
    expect(unsubscribe).not.toThrow();
    await trigger(server, port);

    expect(calls).toEqual(["kept"]);
  });

  test("may be subscribed again after unsubscribing, at the end", async () => {
    const first = () => calls.push("first");
    const unsubscribe = subscribe(server, first);
    add("second");
    unsubscribe();
    subscribe(server, first);

    await trigger(server, port);

    expect(calls).toEqual(["second", "first"]);
  });

  test("are skipped when an earlier one removes them", async () => {
    add("first", () => removeSecond());
    const removeSecond = add("second");
    add("third");

    await trigger(server, port);

    expect(calls).toEqual(["first", "third"]);
  });

  test("may remove themselves without the next one being skipped", async () => {
    const remove = add("once", () => remove());
    add("always");

    await trigger(server, port);
    await trigger(server, port);

    expect(calls).toEqual(["once", "always", "always"]);
  });

  test("that one of them adds are reached in the same round", async () => {
    const remove = add("first", () => {
      remove();
      add("added");
    });
    add("second");

    await trigger(server, port);

    expect(calls).toEqual(["first", "second", "added"]);
  });

  test("belong to one server only", async () => {
    const other = await startServer();
    subscribe(other.server, () => calls.push("other"));
    add("own");

    await trigger(server, port);

    expect(calls).toEqual(["own"]);
  });

  test("are kept over stop() and start()", async () => {
    add("kept");

    await server.stop();
    await server.start();
    await trigger(server, server.port);

    expect(calls).toEqual(["kept"]);
  });

  test("may be added before start()", async () => {
    await server.stop();
    add("early");

    await server.start();
    await trigger(server, server.port);

    expect(calls).toEqual(["early"]);
  });
});
