import type { WorkerCapabilities } from "../index.js";
import {
  EDITED,
  OWN_MODEL,
  capabilitiesOf,
  modelInfo,
  selected,
  serverWithEdited,
} from "./support/edited-worker";
import { checkAtAge, useFakeClock } from "./support/fake-clock";
import { infoOf } from "./support/infos";
import { stopServers } from "./support/test-server";
import { model } from "./support/test-worker";

afterEach(async () => {
  await stopServers();
  jest.useRealTimers();
});

type Edit = (capabilities: WorkerCapabilities & Record<string, any>) => unknown;

/** Edits after which the worker no longer serves its own model. */
const REMOVING: [string, Edit][] = [
  ["maxConcurrentRequests = 0", (edited) => (edited.maxConcurrentRequests = 0)],
  ["delete maxConcurrentRequests", (edited) => Reflect.deleteProperty(edited, "maxConcurrentRequests")],
  [
    "defineProperty of maxConcurrentRequests",
    (edited) => Object.defineProperty(edited, "maxConcurrentRequests", { value: 0 }),
  ],
  ["models = []", (edited) => (edited.models = [])],
  ["models.length = 0", (edited) => (edited.models.length = 0)],
  ["models.splice(0, 1)", (edited) => edited.models.splice(0, 1)],
  ["models.pop()", (edited) => edited.models.pop()],
  ["Array.prototype.shift on models", (edited) => Array.prototype.shift.call(edited.models)],
  ["models.fill(another)", (edited) => edited.models.fill(modelInfo("another"))],
  ["models[0] = another", (edited) => (edited.models[0] = modelInfo("another"))],
  ["models[0].modelId = another", (edited) => (edited.models[0]!.modelId = "another")],
  ["Object.assign of models", (edited) => Object.assign(edited, { models: [modelInfo("another")] })],
];

/** Edits after which the worker also serves the model "wanted", which nobody registered. */
const ADDING: [string, Edit][] = [
  ["models.push", (edited) => edited.models.push(modelInfo("wanted"))],
  ["models.unshift", (edited) => edited.models.unshift(modelInfo("wanted"))],
  ["models.splice", (edited) => edited.models.splice(1, 0, modelInfo("wanted"))],
  ["models[1] = wanted", (edited) => (edited.models[1] = modelInfo("wanted"))],
  [
    "Array.prototype.push on models",
    (edited) => Array.prototype.push.call(edited.models, modelInfo("wanted")),
  ],
  ["models = [wanted]", (edited) => (edited.models = [modelInfo("wanted")])],
  ["models[0] = wanted", (edited) => (edited.models[0] = modelInfo("wanted"))],
  ["models[0].modelId = wanted", (edited) => (edited.models[0]!.modelId = "wanted")],
  ["Object.assign of a model", (edited) => Object.assign(edited.models[0]!, { modelId: "wanted" })],
];

/** Edits after which the worker takes no more "video" requests, given a limit of 2 for it. */
const LIMITING: [string, Edit][] = [
  ["concurrencyLimits.video = 0", (edited) => (edited.concurrencyLimits!["video"] = 0)],
  ["concurrencyLimits = { video: 0 }", (edited) => (edited.concurrencyLimits = { video: 0 })],
  ["Object.assign of a limit", (edited) => Object.assign(edited.concurrencyLimits!, { video: 0 })],
  [
    "defineProperty of a limit",
    (edited) => Object.defineProperty(edited.concurrencyLimits, "video", { value: 0 }),
  ],
];

/** Edits after which the worker takes "video" requests again, given a limit of 0 for it. */
const UNLIMITING: [string, Edit][] = [
  ["concurrencyLimits.video = 1", (edited) => (edited.concurrencyLimits!["video"] = 1)],
  [
    "concurrencyLimits.video = undefined",
    (edited) => (edited.concurrencyLimits!["video"] = undefined as never),
  ],
  ["delete concurrencyLimits.video", (edited) => delete edited.concurrencyLimits!["video"]],
  ["delete concurrencyLimits", (edited) => delete edited.concurrencyLimits],
  ["concurrencyLimits = {}", (edited) => (edited.concurrencyLimits = {})],
];

describe.each([1, 2, 100])("in a pool of %d, at once:", (count) => {
  test.each(REMOVING)("%s takes the worker out of the selection", async (_how, edit) => {
    const { server } = await serverWithEdited(count);
    expect(selected(server)).toBe(EDITED);

    edit(capabilitiesOf(server));

    expect(selected(server)).toBeUndefined();
  });

  test.each(ADDING)("%s makes the worker eligible for a model nobody else has", async (_how, edit) => {
    const { server } = await serverWithEdited(count);
    expect(selected(server, undefined, "wanted")).toBeUndefined();

    edit(capabilitiesOf(server));

    expect(selected(server, undefined, "wanted")).toBe(EDITED);
  });

  test.each(LIMITING)("%s ends the selection for the category", async (_how, edit) => {
    const { server } = await serverWithEdited(count, { concurrencyLimits: { video: 2 } });
    expect(selected(server, "video")).toBe(EDITED);

    edit(capabilitiesOf(server));

    expect(selected(server, "video")).toBeUndefined();
    expect(selected(server)).toBe(EDITED);
  });

  test.each(UNLIMITING)("%s brings the selection for the category back", async (_how, edit) => {
    const { server } = await serverWithEdited(count, { concurrencyLimits: { video: 0 } });
    expect(selected(server, "video")).toBeUndefined();

    edit(capabilitiesOf(server));

    expect(selected(server, "video")).toBe(EDITED);
  });

  test("limits count for a worker that registered none", async () => {
    const { server } = await serverWithEdited(count);

    capabilitiesOf(server).concurrencyLimits = { video: 0 };

    expect(selected(server, "video")).toBeUndefined();
  });

  test("maxConcurrentRequests = 4 makes a worker eligible that registered 0", async () => {
    const { server } = await serverWithEdited(count, { maxConcurrentRequests: 0 });
    expect(selected(server)).toBeUndefined();

    capabilitiesOf(server).maxConcurrentRequests = 4;

    expect(selected(server)).toBe(EDITED);
  });

  test.each([
    ["a model", OWN_MODEL, EDITED],
    ["a model nobody has", "wanted", undefined],
  ])(
    "a getter that answers differently each time ends a question for %s too",
    async (_what, asked, found) => {
      const { server } = await serverWithEdited(count);
      let reads = 0;
      Object.defineProperty(capabilitiesOf(server), "maxConcurrentRequests", {
        enumerable: true,
        get() {
          if (++reads > 10_000) throw new Error("read without end");
          return reads;
        },
      });

      expect(selected(server, undefined, asked)).toBe(found);
      const dispatched = server.dispatch({ model: asked, message: { type: "work", requestId: "req-1" } });
      expect(dispatched?.worker.id).toBe(found);
      expect(server.availableSlots(asked)).toBeGreaterThanOrEqual(0);
    },
  );

  test("edits through an object held for long count, with selections in between", async () => {
    const { server } = await serverWithEdited(count);
    const { models } = capabilitiesOf(server);
    const first = models[0]!;

    for (const modelId of ["one", "two", "three"]) {
      first.modelId = modelId;
      expect(selected(server, undefined, modelId)).toBe(EDITED);
    }
    models.push(modelInfo("four"));
    expect(selected(server, undefined, "four")).toBe(EDITED);
    expect(selected(server)).toBeUndefined();
  });

  test("what was put in by hand is live as well", async () => {
    const { server } = await serverWithEdited(count);
    const own = modelInfo("one");
    const models = [own];
    const concurrencyLimits = { video: 1 };
    Object.assign(capabilitiesOf(server), { models, concurrencyLimits });
    expect(selected(server, "video", "one")).toBe(EDITED);

    own.modelId = "two";
    expect([selected(server, undefined, "one"), selected(server, undefined, "two")]).toEqual([
      undefined,
      EDITED,
    ]);
    concurrencyLimits.video = 0;
    expect(selected(server, "video", "two")).toBeUndefined();
    models.length = 0;
    expect(selected(server, undefined, "two")).toBeUndefined();
  });

  test("what was replaced by hand no longer counts", async () => {
    const { server } = await serverWithEdited(count);
    const { models } = capabilitiesOf(server);

    capabilitiesOf(server).models = [modelInfo("new")];
    models.push(modelInfo("late"));

    expect(selected(server, undefined, "late")).toBeUndefined();
    expect(selected(server, undefined, "new")).toBe(EDITED);
  });

  test("trackRequest goes by the edited capacity", async () => {
    const { server } = await serverWithEdited(count);
    capabilitiesOf(server).maxConcurrentRequests = 2;

    server.trackRequest(EDITED, "r1");
    expect(infoOf(server, EDITED).status).toBe("available");
    server.trackRequest(EDITED, "r2");
    expect(infoOf(server, EDITED).status).toBe("busy");
  });

  test("releaseRequest goes by the edited capacity", async () => {
    const { server } = await serverWithEdited(count, { maxConcurrentRequests: 2 });
    for (const id of ["r1", "r2", "r3", "r4"]) server.trackRequest(EDITED, id);
    const edited = capabilitiesOf(server);

    edited.maxConcurrentRequests = 3;
    server.releaseRequest("r1");
    expect(infoOf(server, EDITED).status).toBe("busy");
    edited.maxConcurrentRequests = 4;
    server.releaseRequest("r2");
    expect(infoOf(server, EDITED).status).toBe("available");
  });

  test("an edit alone changes neither the status nor the counts", async () => {
    const { server } = await serverWithEdited(count);

    capabilitiesOf(server).maxConcurrentRequests = 0;
    capabilitiesOf(server).models.length = 0;

    expect(infoOf(server, EDITED).status).toBe("available");
    expect([server.getWorkerCount(), server.getAvailableWorkerCount()]).toEqual([count, count]);
  });
});

describe("slot counts in a small pool", () => {
  test("follow the edited capacity, models and limits at once", async () => {
    const { server } = await serverWithEdited(2, { concurrencyLimits: { video: 2 } });
    const edited = capabilitiesOf(server);
    const slots = () => [
      server.getAvailableSlotCount(OWN_MODEL),
      server.getAvailableSlotCount(OWN_MODEL, "video"),
    ];
    expect(slots()).toEqual([4, 2]);

    edited.maxConcurrentRequests = 10;
    edited.concurrencyLimits!["video"] = 7;
    expect(slots()).toEqual([10, 7]);
    delete edited.concurrencyLimits;
    expect(slots()).toEqual([10, 10]);
    edited.models.push(...edited.models.splice(0), modelInfo("more"));
    expect([...slots(), server.getAvailableSlotCount("more")]).toEqual([10, 10, 10]);
    edited.models.length = 0;
    expect(slots()).toEqual([0, 0]);
  });

  test("are reduced by an available worker that an edit put over its capacity", async () => {
    const { server } = await serverWithEdited(2, {
      maxConcurrentRequests: 10,
      models: [model("sonnet-3.5")],
    });
    for (const id of ["r1", "r2", "r3"]) server.trackRequest(EDITED, id);

    capabilitiesOf(server).maxConcurrentRequests = 1;

    expect(server.getAvailableSlotCount("sonnet-3.5")).toBe(4 - 2);
    expect(selected(server, undefined, "sonnet-3.5")).toBe("worker-0");
  });

  test("count a deleted capacity as 0", async () => {
    const { server } = await serverWithEdited(1);

    Reflect.deleteProperty(capabilitiesOf(server), "maxConcurrentRequests");

    expect(server.getAvailableSlotCount(OWN_MODEL)).toBe(0);
  });
});

describe("the choice between several eligible workers", () => {
  /** The others have one of four slots in use, the edited worker none, so it is the better choice. */
  async function serverWithLoadedOthers(count: number) {
    const made = await serverWithEdited(count);
    for (const { id } of made.server.getWorkerInfo()) {
      if (id !== EDITED) made.server.trackRequest(id, `request-of-${id}`);
    }
    return made;
  }

  test.each([2, 16])("follows an edit at once in a pool of %d", async (count) => {
    const { server } = await serverWithLoadedOthers(count);
    expect(selected(server, undefined, "sonnet-3.5")).toBe("worker-0");

    capabilitiesOf(server).models.push(modelInfo("sonnet-3.5"));

    expect(selected(server, undefined, "sonnet-3.5")).toBe(EDITED);
  });

  test("follows an edit within as many selections as there are workers in a pool of 100", async () => {
    const { server } = await serverWithLoadedOthers(100);
    expect(selected(server, undefined, "sonnet-3.5")).toBe("worker-0");

    capabilitiesOf(server).models.push(modelInfo("sonnet-3.5"));
    const chosen = Array.from({ length: 100 }, () => selected(server, undefined, "sonnet-3.5"));

    expect(chosen.at(-1)).toBe(EDITED);
    expect(selected(server, undefined, "sonnet-3.5")).toBe(EDITED);
  });

  test.each([2, 16, 100])(
    "leaves a worker that an edit made unfit at once in a pool of %d",
    async (count) => {
      const { server } = await serverWithEdited(count, { models: [model("sonnet-3.5")] });
      for (const { id } of server.getWorkerInfo()) {
        if (id !== EDITED) server.trackRequest(id, `request-of-${id}`);
      }
      expect(selected(server, undefined, "sonnet-3.5")).toBe(EDITED);

      capabilitiesOf(server).models[0]!.modelId = "another";

      expect(selected(server, undefined, "sonnet-3.5")).toBe("worker-0");
    },
  );

  test.each([2, 16])("goes by the edited capacity in a pool of %d", async (count) => {
    const { server } = await serverWithEdited(count, { models: [model("sonnet-3.5")] });
    for (const { id } of server.getWorkerInfo()) server.trackRequest(id, `request-of-${id}`);
    expect(selected(server, undefined, "sonnet-3.5")).toBe("worker-0");

    capabilitiesOf(server).maxConcurrentRequests = 10;

    expect(selected(server, undefined, "sonnet-3.5")).toBe(EDITED);
  });
});

test("a heartbeat of an unhealthy worker goes by the edited capacity", async () => {
  useFakeClock();
  const { server, worker } = await serverWithEdited(
    1,
    {},
    { heartbeatTimeoutMs: 10_000, healthCheckIntervalMs: 1_000 },
  );
  server.trackRequest(EDITED, "r1");
  capabilitiesOf(server).maxConcurrentRequests = 1;
  checkAtAge(server, 10_001, 1_000, EDITED);

  await worker.roundTrip(EDITED);

  expect(infoOf(server, EDITED).status).toBe("busy");
});
