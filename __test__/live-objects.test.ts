import assert from "node:assert";
import { inspect, types } from "node:util";
import type { WorkerInfo } from "../index.js";
import {
  EDITED,
  capabilitiesOf,
  categoriesOf,
  modelInfo,
  pendingOf,
  selected,
  serverWithEdited,
} from "./support/edited-worker";
import { recordEvents } from "./support/events";
import { checkAtAge, useFakeClock } from "./support/fake-clock";
import { infoOf } from "./support/infos";
import { recordMessages } from "./support/messages";
import { startServer, stopServers } from "./support/test-server";
import { TestWorker, capabilities, model } from "./support/test-worker";
import { until } from "./support/until";

afterEach(async () => {
  await stopServers();
  jest.useRealTimers();
});

const TIMEOUT = 10_000;
const INTERVAL = 1_000;
const OPTIONS = { heartbeatTimeoutMs: TIMEOUT, healthCheckIntervalMs: INTERVAL };

describe("identity", () => {
  test.each([
    "capabilities",
    "pendingRequestIds",
    "categoryActiveRequests",
    "connectedAt",
    "lastHeartbeat",
  ] as const)("%s is one object in every info, wherever the info comes from", async (part) => {
    const { server, port } = await startServer();
    const events = recordEvents(server);
    const messages = recordMessages(server, "hello");
    const worker = await TestWorker.register(port);
    worker.send({ type: "hello" });
    await until(() => messages.length === 1, "the message is handled");
    const infos: WorkerInfo[] = [
      infoOf(server),
      infoOf(server),
      server.getAvailableWorker("sonnet")!,
      server.getAnyAvailableWorker()!,
      events.connected[0]!,
      messages[0]![0],
    ];
    await worker.close();
    await until(() => events.disconnected.length === 1, "the worker is disconnected");
    infos.push(events.disconnected[0]!.info);

    expect(infos.map((info) => info[part] === infos[0]![part])).toEqual(infos.map(() => true));
  });

  test("the parts of 100 workers are their own and stay the same", async () => {
    const { server } = await serverWithEdited(100);
    const first = server.getWorkerInfo();
    const second = server.getWorkerInfo();

    for (const part of [
      "capabilities",
      "pendingRequestIds",
      "categoryActiveRequests",
      "connectedAt",
    ] as const) {
      expect(new Set(first.map((info) => info[part])).size).toBe(100);
      expect(second.every((info, index) => info[part] === first[index]![part])).toBe(true);
    }
  });

  test("connectedAt and lastHeartbeat are one Date until the first heartbeat", async () => {
    const { server, worker } = await serverWithEdited(1);
    const { connectedAt, lastHeartbeat } = infoOf(server, EDITED);
    expect(lastHeartbeat).toBe(connectedAt);

    await worker.roundTrip(EDITED);

    const after = infoOf(server, EDITED);
    expect(after.connectedAt).toBe(connectedAt);
    expect(after.lastHeartbeat).not.toBe(connectedAt);
    expect(infoOf(server, EDITED).lastHeartbeat).toBe(after.lastHeartbeat);
  });

  test("a second session of an id starts with parts of its own", async () => {
    const { server, port } = await serverWithEdited(1);
    const old = infoOf(server, EDITED);
    server.trackRequest(EDITED, "r1", "video");
    old.capabilities.maxConcurrentRequests = 0;

    await TestWorker.register(port, { workerId: EDITED });

    const now = infoOf(server, EDITED);
    expect(now.capabilities).toStrictEqual(capabilities());
    expect([now.activeRequests, now.pendingRequestIds.size, now.categoryActiveRequests.size]).toEqual([
      0, 0, 0,
    ]);
    expect([...old.pendingRequestIds]).toEqual(["r1"]);
    expect(selected(server, undefined, "sonnet")).toBe(EDITED);
  });

  test("edits of a worker that is gone do not touch its successor", async () => {
    const { server, port } = await serverWithEdited(1);
    const old = infoOf(server, EDITED);
    await TestWorker.register(port, { workerId: EDITED });

    old.capabilities.models.length = 0;
    old.capabilities.maxConcurrentRequests = 0;
    (old.pendingRequestIds as Set<string>).add("r1");
    (old.categoryActiveRequests as Map<string, number>).set("video", 9);
    server.releaseRequest("r1", { incrementCompleted: true });

    expect(selected(server, "video", "sonnet")).toBe(EDITED);
    expect(infoOf(server, EDITED)).toMatchObject({ activeRequests: 0, completedRequests: 0 });
  });

  test("an info held by the user sees requests come and go", async () => {
    const { server } = await serverWithEdited(1);
    const { pendingRequestIds, categoryActiveRequests } = infoOf(server, EDITED);

    server.trackRequest(EDITED, "r1", "video");
    expect([[...pendingRequestIds], [...categoryActiveRequests]]).toEqual([["r1"], [["video", 1]]]);
    server.releaseRequest("r1");
    expect([[...pendingRequestIds], [...categoryActiveRequests]]).toEqual([[], [["video", 0]]]);
  });

  test("a property the user adds to a live part stays there", async () => {
    const { server } = await serverWithEdited(1);
    const note = { since: 1 };

    for (const part of [capabilitiesOf(server), pendingOf(server), categoriesOf(server)]) {
      Object.assign(part, { note });
    }

    expect([capabilitiesOf(server), pendingOf(server), categoriesOf(server)]).toMatchObject([
      { note },
      { note },
      { note },
    ]);
  });

  test("a method that the user replaces on a live part is the user's", async () => {
    const { server } = await serverWithEdited(2);
    const [pending, categories] = [pendingOf(server), categoriesOf(server)];
    const [add, set] = [jest.spyOn(pending, "add"), jest.fn(() => categories)];
    categories.set = set;

    pendingOf(server).add("by-hand");
    categoriesOf(server).set("by-hand", 1);

    expect([add.mock.calls, set.mock.calls]).toEqual([[["by-hand"]], [["by-hand", 1]]]);
    // The spy went on to the set's own method, which notices the edit.
    expect([[...pending], [...categories]]).toEqual([["by-hand"], []]);
    server.releaseRequest("by-hand");
    expect(pending.size).toBe(0);
    expect([Object.keys(pending), Object.keys(categories)]).toEqual([[], []]);
  });

  test("the server works on over live parts that the user froze", async () => {
    const { server } = await serverWithEdited(1);
    for (const part of [capabilitiesOf(server), pendingOf(server), categoriesOf(server)]) Object.freeze(part);

    server.trackRequest(EDITED, "r1", "video");
    expect([selected(server), pendingOf(server).size, categoriesOf(server).get("video")]).toEqual([
      EDITED,
      1,
      1,
    ]);
    server.releaseRequest("r1");
    expect([pendingOf(server).size, categoriesOf(server).get("video")]).toEqual([0, 0]);
  });
});

describe.each([1, 100])("the live parts look like plain objects in a pool of %d", (count) => {
  /** The edited worker after some use and some edits, and the same built by hand. */
  async function usedAndEdited(): Promise<{ live: WorkerInfo; plain: unknown }> {
    const { server, worker } = await serverWithEdited(count, { concurrencyLimits: { video: 2 } });
    server.trackRequest(EDITED, "r1", "video");
    server.trackRequest(EDITED, "r2");
    server.releaseRequest("r2");
    selected(server, "video");
    await worker.roundTrip(EDITED);
    capabilitiesOf(server).models.push(modelInfo("more"));
    capabilitiesOf(server).concurrencyLimits!["audio"] = 1;
    pendingOf(server).add("by-hand");
    categoriesOf(server).set("by-hand", 1);
    selected(server, "audio");
    const live = infoOf(server, EDITED);
    const plain = {
      id: EDITED,
      name: "Worker One",
      status: "available",
      capabilities: {
        models: [model("own-model"), model("more")],
        maxConcurrentRequests: 4,
        concurrencyLimits: { video: 2, audio: 1 },
      },
      sessionId: live.sessionId,
      connectedAt: new Date(live.connectedAt.getTime()),
      lastHeartbeat: new Date(live.lastHeartbeat.getTime()),
      activeRequests: 1,
      completedRequests: 0,
      pendingRequestIds: new Set(["r1", "by-hand"]),
      categoryActiveRequests: new Map([
        ["video", 1],
        ["by-hand", 1],
      ]),
    };
    return { live, plain };
  }

  test("to toStrictEqual and assert.deepStrictEqual", async () => {
    const { live, plain } = await usedAndEdited();

    expect(live).toStrictEqual(plain);
    assert.deepStrictEqual(live, plain);
  });

  test("to util.inspect", async () => {
    const { live, plain } = await usedAndEdited();

    expect(inspect(live, { depth: 9 })).toBe(inspect(plain, { depth: 9 }));
  });

  test("to JSON.stringify, object spread and Object.entries", async () => {
    const { live, plain } = await usedAndEdited();

    expect(JSON.stringify(live)).toBe(JSON.stringify(plain));
    expect(JSON.stringify({ ...live.capabilities })).toBe(JSON.stringify(live.capabilities));
    expect(Object.entries(live.capabilities)).toStrictEqual(
      Object.entries((plain as WorkerInfo).capabilities),
    );
  });

  test("to structuredClone", async () => {
    const { live, plain } = await usedAndEdited();

    const clone = structuredClone(live);

    expect(inspect(clone, { depth: 9 })).toBe(inspect(structuredClone(plain), { depth: 9 }));
  });

  test("to util.types.isProxy and Array.isArray", async () => {
    const { live } = await usedAndEdited();
    const { models } = live.capabilities;

    const parts = [live, ...Object.values(live), models, ...models, live.capabilities.concurrencyLimits];
    expect(parts.map((part) => types.isProxy(part))).toEqual(parts.map(() => false));
    expect(Array.isArray(models)).toBe(true);
  });
});

describe.each([1, 100])("hand edits of lastHeartbeat in a pool of %d", (count) => {
  beforeEach(useFakeClock);

  test("a time set into the past makes the next check find the worker silent", async () => {
    const { server } = await serverWithEdited(count, {}, OPTIONS);
    const { lastHeartbeat } = infoOf(server, EDITED);

    lastHeartbeat.setTime(Date.now() + INTERVAL - TIMEOUT - 1);
    jest.advanceTimersByTime(INTERVAL);

    expect(infoOf(server, EDITED).status).toBe("unhealthy");
    expect(server.getAvailableWorkerCount()).toBe(count - 1);
  });

  test("a time set into the far past makes the next check close the worker", async () => {
    const { server, worker } = await serverWithEdited(count, {}, OPTIONS);

    infoOf(server, EDITED).lastHeartbeat.setTime(0);
    jest.advanceTimersByTime(INTERVAL);

    expect(await worker.closed).toEqual({ code: 4003, reason: "Heartbeat timeout" });
  });

  test("a time set to now keeps a silent worker from becoming unhealthy", async () => {
    const { server } = await serverWithEdited(count, {}, OPTIONS);
    const { lastHeartbeat } = infoOf(server, EDITED);

    jest.setSystemTime(lastHeartbeat.getTime() + 2 * TIMEOUT);
    lastHeartbeat.setTime(Date.now());
    jest.advanceTimersByTime(INTERVAL);

    expect(infoOf(server, EDITED).status).toBe("available");
    expect(server.getAvailableWorkerCount()).toBe(1);
  });

  test("the edited time is what the warning is about", async () => {
    const { server, logger } = await serverWithEdited(count, {}, OPTIONS);

    infoOf(server, EDITED).lastHeartbeat.setTime(Date.now() + INTERVAL - 12_345);
    jest.advanceTimersByTime(INTERVAL);

    expect(logger.of("Worker heartbeat timeout")).toMatchObject([
      { rest: [{ workerId: EDITED, timeSinceHeartbeat: 12_345, threshold: TIMEOUT }] },
    ]);
  });

  test("the edited time stays until the next heartbeat, which brings a new Date", async () => {
    const { server, worker } = await serverWithEdited(count, {}, OPTIONS);
    const { lastHeartbeat } = infoOf(server, EDITED);
    lastHeartbeat.setTime(0);
    expect(infoOf(server, EDITED).lastHeartbeat.getTime()).toBe(0);

    await worker.roundTrip(EDITED);
    checkAtAge(server, 2 * INTERVAL, INTERVAL, EDITED);

    expect(lastHeartbeat.getTime()).toBe(0);
    expect(infoOf(server, EDITED).lastHeartbeat).not.toBe(lastHeartbeat);
    expect(infoOf(server, EDITED).status).toBe("available");
  });

  test("a Date from before the last heartbeat has no say any more", async () => {
    const { server, worker } = await serverWithEdited(count, {}, OPTIONS);
    const { lastHeartbeat } = infoOf(server, EDITED);
    await worker.roundTrip(EDITED);

    lastHeartbeat.setTime(0);
    jest.advanceTimersByTime(INTERVAL);

    expect(infoOf(server, EDITED).status).toBe("available");
  });
});
