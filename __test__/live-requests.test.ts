import type { WorkerServer } from "../index.js";
import { recordEvents } from "./support/events";
import {
  EDITED,
  OWN_MODEL,
  categoriesOf,
  pendingOf,
  selected,
  serverWithEdited,
} from "./support/edited-worker";
import { infoOf } from "./support/infos";
import { stopServers } from "./support/test-server";
import { until } from "./support/until";

afterEach(stopServers);

function tracked(server: WorkerServer, id = EDITED): unknown[] {
  const { activeRequests, completedRequests, pendingRequestIds } = infoOf(server, id);
  return [activeRequests, completedRequests, [...pendingRequestIds]];
}

describe.each([1, 100])("hand edits of pendingRequestIds in a pool of %d", (count) => {
  test.each<[string, (pending: Set<string>) => unknown]>([["add", (pending) => pending.add("by-hand")]])(
    "an id put in with %s can be released",
    async (_how, edit) => {
      const { server } = await serverWithEdited(count);
      server.trackRequest(EDITED, "r1");

      edit(pendingOf(server));
      expect(tracked(server)).toEqual([1, 0, ["r1", "by-hand"]]);
      server.releaseRequest("by-hand", { incrementCompleted: true });

      expect(tracked(server)).toEqual([0, 1, ["r1"]]);
    },
  );

  test("the active count does not fall below 0 when more ids are released than were tracked", async () => {
    const { server } = await serverWithEdited(count);
    pendingOf(server).add("by-hand").add("by-hand-too");

    server.releaseRequest("by-hand");
    server.releaseRequest("by-hand-too");

    expect(tracked(server)).toEqual([0, 0, []]);
  });

  test.each<[string, (pending: Set<string>) => unknown]>([
    ["delete", (pending) => pending.delete("r1")],
    ["clear", (pending) => pending.clear()],
  ])("an id taken out with %s can no longer be released", async (_how, edit) => {
    const { server } = await serverWithEdited(count);
    server.trackRequest(EDITED, "r1", "video");

    edit(pendingOf(server));
    server.releaseRequest("r1", { incrementCompleted: true });

    expect(tracked(server)).toEqual([1, 0, []]);
    expect(categoriesOf(server).get("video")).toBe(1);
  });

  test("an id taken out and put back can be released", async () => {
    const { server } = await serverWithEdited(count);
    server.trackRequest(EDITED, "r1");
    pendingOf(server).delete("r1");
    pendingOf(server).add("r1");

    server.releaseRequest("r1", { incrementCompleted: true });

    expect(tracked(server)).toEqual([0, 1, []]);
  });

  test("an id taken out and tracked again can be released", async () => {
    const { server } = await serverWithEdited(count);
    server.trackRequest(EDITED, "r1");
    pendingOf(server).clear();

    server.trackRequest(EDITED, "r1");
    server.releaseRequest("r1");

    expect(tracked(server)).toEqual([1, 0, []]);
  });

  test("an id put in while it is tracked is still listed once", async () => {
    const { server } = await serverWithEdited(count);
    server.trackRequest(EDITED, "r1");

    pendingOf(server).add("r1");

    expect(tracked(server)).toEqual([1, 0, ["r1"]]);
  });

  test("the disconnected handlers are told of them", async () => {
    const { server, worker } = await serverWithEdited(count);
    const { disconnected } = recordEvents(server);
    for (const id of ["r1", "r2"]) server.trackRequest(EDITED, id);
    const pending = pendingOf(server);
    pending.delete("r1");
    pending.add("by-hand");

    await worker.close();
    await until(() => disconnected.length === 1, "the worker is disconnected");

    expect([...disconnected[0]!.pending]).toEqual(["r2", "by-hand"]);
    expect(disconnected[0]!.info.pendingRequestIds).toBe(pending);
    expect(disconnected[0]!.pending).not.toBe(pending);
  });
});

describe("one id in two workers", () => {
  test("is released at the first in the pool, though it was tracked at the second", async () => {
    const { server } = await serverWithEdited(100);
    const [first] = server.getWorkerInfo();
    server.trackRequest(EDITED, "r1");
    (first!.pendingRequestIds as Set<string>).add("r1");

    server.releaseRequest("r1");

    expect([tracked(server, first!.id), tracked(server)]).toEqual([
      [0, 0, []],
      [1, 0, ["r1"]],
    ]);
  });

  test("is released at the second once it was taken out of the first", async () => {
    const { server } = await serverWithEdited(100);
    const [first] = server.getWorkerInfo();
    server.trackRequest(first!.id, "r1");
    server.trackRequest(EDITED, "r1");
    (first!.pendingRequestIds as Set<string>).delete("r1");

    server.releaseRequest("r1");

    expect([tracked(server, first!.id), tracked(server)]).toEqual([
      [1, 0, []],
      [0, 0, []],
    ]);
  });
});

describe.each([1, 100])("hand edits of categoryActiveRequests in a pool of %d", (count) => {
  const LIMITED = { maxConcurrentRequests: 20, concurrencyLimits: { video: 5 } };

  test.each<[string, (categories: Map<string, number>) => unknown]>([
    ["set", (categories) => categories.set("video", 5)],
  ])("a count raised to the limit with %s ends the selection at once", async (_how, edit) => {
    const { server } = await serverWithEdited(count, LIMITED);
    expect(selected(server, "video")).toBe(EDITED);

    edit(categoriesOf(server));

    expect(selected(server, "video")).toBeUndefined();
    expect(server.getAvailableSlotCount(OWN_MODEL, "video")).toBe(0);
    expect(selected(server)).toBe(EDITED);
  });

  test.each<[string, (categories: Map<string, number>) => unknown]>([
    ["set", (categories) => categories.set("video", 4)],
    ["delete", (categories) => categories.delete("video")],
    ["clear", (categories) => categories.clear()],
  ])("a count lowered with %s brings the selection back at once", async (_how, edit) => {
    const { server } = await serverWithEdited(count, LIMITED);
    for (const id of ["r1", "r2", "r3", "r4", "r5"]) server.trackRequest(EDITED, id, "video");
    expect(selected(server, "video")).toBeUndefined();

    edit(categoriesOf(server));

    expect(selected(server, "video")).toBe(EDITED);
  });

  test("slots go by the edited count", async () => {
    const { server } = await serverWithEdited(count, LIMITED);

    categoriesOf(server).set("video", 3);
    expect(server.getAvailableSlotCount(OWN_MODEL, "video")).toBe(2);
    categoriesOf(server).set("video", 9);
    expect(server.getAvailableSlotCount(OWN_MODEL, "video")).toBe(-4);
  });

  test("track and release go on from the edited count", async () => {
    const { server } = await serverWithEdited(count, LIMITED);
    server.trackRequest(EDITED, "r1", "video");
    categoriesOf(server).set("video", 7);

    server.trackRequest(EDITED, "r2", "video");
    expect(categoriesOf(server).get("video")).toBe(8);
    server.releaseRequest("r1");
    expect(categoriesOf(server).get("video")).toBe(7);
  });

  test("track starts from 1 after clear", async () => {
    const { server } = await serverWithEdited(count, LIMITED);
    server.trackRequest(EDITED, "r1", "video");
    categoriesOf(server).clear();

    server.trackRequest(EDITED, "r2", "video");

    expect([...categoriesOf(server)]).toEqual([["video", 1]]);
  });

  test("an edit does not change the active count", async () => {
    const { server } = await serverWithEdited(count, LIMITED);

    categoriesOf(server).set("video", 50);

    expect(infoOf(server, EDITED)).toMatchObject({ activeRequests: 0, status: "available" });
  });
});
