import { ConnectionHandler, WorkerPool, WorkerStatus } from "../index.js";
import { connect, linesSince, register, scene, type Scene } from "./support/handler-scene";
import { MockSocket, plainWorker } from "./support/plain-worker";
import { RecordingLogger } from "./support/test-server";
import { capabilities, model, registration } from "./support/test-worker";

const NOW = Date.parse("2024-01-01T00:00:00.000Z");

beforeEach(() => jest.useFakeTimers({ now: NOW }));
afterEach(() => jest.useRealTimers());

const ids = ({ pool }: Scene) => [...pool.values()].map(({ id }) => id);

describe("a connection handler", () => {
  test("is a class with its methods on the prototype", () => {
    const call = ConnectionHandler as unknown as () => unknown;

    expect(() => call()).toThrow(TypeError);
    expect(Object.getOwnPropertyNames(ConnectionHandler.prototype)).toEqual(
      expect.arrayContaining([
        "handleConnection",
        "onMessage",
        "onWorkerConnected",
        "onWorkerDisconnected",
        "handleMessage",
        "handleDisconnect",
      ]),
    );
  });

  test("works without a logger and with an empty config", () => {
    const pool = new WorkerPool();
    const handler = new ConnectionHandler(pool, {});
    const socket = new MockSocket();

    handler.handleConnection(socket);
    socket.receive(registration());

    expect(pool.getCount()).toBe(1);
  });

  test("takes what is told it by name as from the socket", () => {
    const stage = scene();
    const socket = new MockSocket();
    const direct = stage.handler as unknown as {
      handleMessage(socket: MockSocket, data: unknown): void;
      handleDisconnect(socket: MockSocket, code: number, reason: unknown): void;
    };

    direct.handleMessage(socket, JSON.stringify(registration()));
    expect(stage.pool.get("worker-1")?.websocket).toBe(socket);

    direct.handleDisconnect(socket, 1000, "bye");
    expect(stage.pool.getCount()).toBe(0);
    expect(stage.disconnected).toHaveLength(1);
  });
});

describe("a registration", () => {
  test("puts the worker into the pool", () => {
    const stage = scene();
    const socket = connect(stage);

    socket.receive(registration({ capabilities: { ...capabilities(), extra: [1] } }));

    const worker = stage.pool.get("worker-1")!;
    expect(worker).toStrictEqual({
      id: "worker-1",
      name: "Worker One",
      websocket: socket,
      capabilities: { ...capabilities(), extra: [1] },
      status: "available",
      sessionId: expect.stringMatching(
        /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
      ),
      connectedAt: new Date(NOW),
      lastHeartbeat: new Date(NOW),
      activeRequests: 0,
      pendingRequests: new Set(),
      completedRequests: 0,
      requestCategories: new Map(),
      categoryActiveRequests: new Map(),
    });
    expect(worker.lastHeartbeat).toBe(worker.connectedAt);
  });

  test("is acknowledged, byte for byte, and then logged, and then told", () => {
    const stage = scene({ heartbeatIntervalMs: 250 });
    const socket = connect(stage);
    let order: unknown[] = [];
    stage.handler.onWorkerConnected((info) => {
      order = [socket.sent.length, stage.logger.lines.length, stage.pool.getCount(), info.id];
      stage.pool.send(info.id, { type: "welcome" });
    });

    socket.receive(registration());

    const { sessionId } = stage.pool.get("worker-1")!;
    expect(socket.sent).toEqual([
      `{"type":"worker_registration_ack","success":true,"sessionId":"${sessionId}","heartbeatIntervalMs":250}`,
      '{"type":"welcome"}',
    ]);
    expect(linesSince(stage, 0)).toEqual([
      ["debug", "New WebSocket connection from potential worker"],
      [
        "debug",
        "Worker registered",
        { workerId: "worker-1", workerName: "Worker One", models: ["sonnet-3.5"], maxConcurrentRequests: 4 },
      ],
    ]);
    expect(order).toEqual([1, 2, 1, "worker-1"]);
    expect(stage.connected).toHaveLength(1);
    expect(stage.connected[0]!.capabilities).toBe(stage.pool.get("worker-1")!.capabilities);
  });

  test("tells a heartbeat interval of 15 s by default", () => {
    const socket = connect(scene({ heartbeatIntervalMs: undefined } as never));

    socket.receive(registration());

    expect(JSON.parse(socket.sent[0]!).heartbeatIntervalMs).toBe(15_000);
  });

  test("keeps the type of its id", () => {
    const stage = scene();

    register(stage, { workerId: 5 });

    expect(ids(stage)).toEqual([5]);
    expect(stage.pool.send("5", {})).toBe(false);
  });

  test("may leave the name and the maximum out", () => {
    const stage = scene();

    register(stage, { workerName: undefined, capabilities: { models: [] } });

    expect(stage.pool.getCount()).toBe(1);
    expect(stage.pool.getAvailableWorker("")).toBeNull();
  });

  test("with a throwing handler is logged, and the next handler is called", () => {
    const stage = scene();
    stage.handler.onWorkerConnected(() => {
      throw new Error("no");
    });
    const next = jest.fn();
    stage.handler.onWorkerConnected(next);

    register(stage);

    expect(next).toHaveBeenCalledTimes(1);
    expect(stage.logger.of("Error in connected handler")[0]!.rest).toEqual([{ error: "no" }]);
  });

  test("calls nobody who has unsubscribed", () => {
    const stage = scene();
    const handler = jest.fn();
    const unsubscribe = stage.handler.onWorkerConnected(handler);

    unsubscribe();
    unsubscribe();
    register(stage);

    expect(handler).not.toHaveBeenCalled();
  });
});

describe("a registration with a token", () => {
  test.each([["secret"], ["sécret-😀"], [""]])("is accepted if it is %j", (authToken) => {
    const stage = scene({ authToken });

    register(stage, { authToken });

    expect(stage.pool.getCount()).toBe(1);
  });

  test("is accepted without one where the token is empty", () => {
    const stage = scene({ authToken: "" });

    register(stage, { authToken: null });

    expect(stage.pool.getCount()).toBe(1);
  });

  test.each([["wrong"], ["secret "], ["SECRET"], [""], [undefined], [null], [5], [{}], [["secret"]], [true]])(
    "is refused if it is %j",
    (authToken) => {
      const stage = scene({ authToken: "secret" });
      const socket = connect(stage);
      const before = stage.logger.lines.length;

      socket.receive(registration({ authToken }));

      expect(socket.sent).toEqual([
        '{"type":"worker_registration_ack","success":false,"error":"Invalid authentication token"}',
      ]);
      expect(socket.closes).toEqual([[4001, "Authentication failed"]]);
      expect(linesSince(stage, before)).toEqual([
        ["warn", "Worker registration rejected: invalid auth token", { workerId: "worker-1" }],
      ]);
      expect(stage.pool.getCount()).toBe(0);
      expect(stage.connected).toEqual([]);
    },
  );

  test("is refused before its content is looked at", () => {
    const socket = connect(scene({ authToken: "secret" }));

    socket.receive({ type: "worker_registration" });

    expect(socket.closes).toEqual([[4001, "Authentication failed"]]);
  });

  test("that is refused is the last thing that is looked at", () => {
    const stage = scene({ authToken: "secret" });
    register(stage, { workerId: "other", authToken: "secret" });
    const socket = connect(stage);
    socket.receive(registration({ authToken: "wrong" }));
    const before = stage.logger.lines.length;

    socket.receive(registration({ authToken: "secret" }));
    socket.receive({ type: "heartbeat", workerId: "other" });
    socket.receiveText("{");

    expect(ids(stage)).toEqual(["other"]);
    expect(socket.sent).toHaveLength(1);
    expect(linesSince(stage, before)).toEqual([]);
  });
});

describe("an invalid registration", () => {
  let deep: unknown = 1;
  for (let level = 0; level < 128; level++) deep = [deep];

  const cases: [string, Record<string, unknown>][] = [
    ["no capabilities", { capabilities: undefined }],
    ["null as capabilities", { capabilities: null }],
    ["a string as capabilities", { capabilities: "all" }],
    ["an array as capabilities", { capabilities: [] }],
    ["no models", { capabilities: capabilities({ models: undefined }) }],
    ["an object as models", { capabilities: capabilities({ models: { length: 1 } }) }],
    ["a null model", { capabilities: capabilities({ models: [model("a"), null] }) }],
    ["a model that is a string", { capabilities: capabilities({ models: ["sonnet"] }) }],
    ["a model that is an array", { capabilities: capabilities({ models: [[]] }) }],
    ["a model without modelId", { capabilities: capabilities({ models: [{}] }) }],
    ["a modelId that is a number", { capabilities: capabilities({ models: [{ modelId: 5 }] }) }],
    ["a negative maximum", { capabilities: capabilities({ maxConcurrentRequests: -1 }) }],
    ["a maximum that is a string", { capabilities: capabilities({ maxConcurrentRequests: "4" }) }],
    ["a maximum that is null", { capabilities: capabilities({ maxConcurrentRequests: null }) }],
    ["no id", { workerId: undefined }],
    ["null as id", { workerId: null }],
    ["an object as id", { workerId: {} }],
    ["an id over 1 KiB", { workerId: "é".repeat(513) }],
    ["a name over 1 KiB", { workerName: "n".repeat(1_025) }],
    [
      "more than 10,000 models",
      { capabilities: capabilities({ models: Array(10_001).fill({ modelId: "m" }) }) },
    ],
    ["capabilities of 129 levels", { capabilities: capabilities({ metadata: deep }) }],
  ];

  test.each(cases)("is refused and the socket closed with 4002: %s", (_what, overrides) => {
    const stage = scene();
    const socket = connect(stage);
    const before = stage.logger.lines.length;

    socket.receive(registration(overrides));

    const { error, ...answer } = JSON.parse(socket.sent[0]!);
    expect(answer).toEqual({ type: "worker_registration_ack", success: false });
    expect(error).toMatch(/^(workerId|workerName|capabilities)\S*: expected .+, got .+$/);
    expect(socket.closes).toEqual([[4002, "Invalid registration"]]);
    expect(linesSince(stage, before)).toEqual([
      [
        "warn",
        "Invalid registration message from worker",
        { workerId: "workerId" in overrides ? overrides.workerId : "worker-1", error },
      ],
    ]);
    expect(stage.pool.getCount()).toBe(0);
  });

  test("is refused with a maximum of 1e999", () => {
    const stage = scene();

    connect(stage).receiveText(
      '{"type":"worker_registration","workerId":"w","capabilities":{"models":[],"maxConcurrentRequests":1e999}}',
    );

    expect(stage.pool.getCount()).toBe(0);
  });

  test("is the last thing that is looked at, and does not replace the worker it names", () => {
    const stage = scene();
    const first = register(stage);
    const socket = connect(stage);

    socket.receive(registration({ capabilities: null }));
    socket.receive(registration());

    expect(stage.pool.get("worker-1")!.websocket).toBe(first);
    expect(first.closes).toEqual([]);
  });

  test("just within the bounds is a valid one", () => {
    const stage = scene();
    const levels = (deep as unknown[])[0];

    register(stage, {
      workerId: "i".repeat(1_024),
      workerName: "é".repeat(512),
      capabilities: capabilities({ models: Array(10_000).fill({ modelId: "m" }), metadata: levels }),
    });

    expect(stage.pool.getCount()).toBe(1);
  });
});

describe("a message", () => {
  test("reaches the handlers of its type, in order, with the same two objects", () => {
    const stage = scene();
    const socket = register(stage);
    const calls: unknown[][] = [];
    stage.handler.onMessage("report", function (this: unknown, ...args) {
      calls.push(["first", this, ...args]);
    });
    stage.handler.onMessage("report", (...args) => calls.push(["second", undefined, ...args]));
    stage.handler.onMessage("other", () => calls.push(["other"]));

    socket.receive({ type: "report", value: [1] });

    expect(calls.map(([name]) => name)).toEqual(["first", "second"]);
    const [, self, info, message] = calls[0]!;
    expect(self).toBeUndefined();
    expect(calls[0]).toHaveLength(4);
    expect(message).toStrictEqual({ type: "report", value: [1] });
    expect(info).toMatchObject({ id: "worker-1", status: "available" });
    expect(calls[1]![2]).toBe(info);
    expect(calls[1]![3]).toBe(message);
  });

  test.each([
    ["a string", (text: string) => text],
    ["a Buffer", (text: string) => Buffer.from(text)],
    ["an ArrayBuffer", (text: string) => new Uint8Array(Buffer.from(text)).buffer],
    ["a typed array", (text: string) => new Uint8Array(Buffer.from(text))],
    ["fragments", (text: string) => [Buffer.from(text.slice(0, 5)), Buffer.from(text.slice(5))]],
  ])("may come as %s", (_what, encode) => {
    const stage = scene();
    const socket = register(stage);
    const received: unknown[] = [];
    stage.handler.onMessage("report", (_worker, message) => received.push(message));

    socket.emit("message", encode('{"type":"report","text":"é"}'), false);

    expect(received).toEqual([{ type: "report", text: "é" }]);
  });

  test("without a handler is logged, also after all have unsubscribed", () => {
    const stage = scene();
    const socket = register(stage);
    stage.handler.onMessage("report", () => {})();
    const before = stage.logger.lines.length;

    socket.receive({ type: "report" });
    socket.receive({ type: "toString" });

    expect(linesSince(stage, before)).toEqual([
      ["warn", "Unhandled message type from worker", { type: "report" }],
      ["warn", "Unhandled message type from worker", { type: "toString" }],
    ]);
  });

  test.each(["{", "", "\ufeff{}", "undefined"])("that is no JSON is logged: %j", (text) => {
    const stage = scene();
    const socket = register(stage);
    const before = stage.logger.lines.length;

    socket.receiveText(text);

    expect(linesSince(stage, before)).toEqual([["warn", "Invalid JSON message from worker"]]);
    expect(socket.closes).toEqual([]);
  });

  test.each(["null", "5", '"report"', "[]", "{}", '{"type":5}'])("without a type is logged: %s", (text) => {
    const stage = scene();
    const socket = register(stage);
    const before = stage.logger.lines.length;

    socket.receiveText(text);

    expect(linesSince(stage, before)).toEqual([["warn", "Message missing type field"]]);
  });

  test("whose handler throws is logged, and the next handler is called", () => {
    const stage = scene();
    const socket = register(stage);
    stage.handler.onMessage("report", () => {
      throw new Error("first");
    });
    stage.handler.onMessage("report", () => {
      throw "second";
    });
    const last = jest.fn();
    stage.handler.onMessage("report", last);

    socket.receive({ type: "report" });

    expect(stage.logger.of("Error in message handler").map(({ rest }) => rest)).toEqual([
      [{ type: "report", error: "first" }],
      [{ type: "report", error: "second" }],
    ]);
    expect(last).toHaveBeenCalledTimes(1);
  });

  test("subscribes a handler once, and reaches added and skips removed ones during a call", () => {
    const stage = scene();
    const socket = register(stage);
    const calls: string[] = [];
    const second = () => calls.push("second");
    let unsubscribe = () => {};
    stage.handler.onMessage("report", () => {
      calls.push("first");
      unsubscribe();
      stage.handler.onMessage("report", () => calls.push("added"));
    });
    unsubscribe = stage.handler.onMessage("report", second);
    stage.handler.onMessage("report", second);

    socket.receive({ type: "report" });

    expect(calls).toEqual(["first", "added"]);
  });

  test("of a registration or a heartbeat reaches no handler", () => {
    const stage = scene();
    const handler = jest.fn();
    stage.handler.onMessage("worker_registration", handler);
    stage.handler.onMessage("heartbeat", handler);

    register(stage).receive({ type: "heartbeat", workerId: "worker-1" });

    expect(handler).not.toHaveBeenCalled();
  });

  test("of an unregistered socket comes from unknown", () => {
    const stage = scene();
    const senders: unknown[] = [];
    stage.handler.onMessage("report", (worker) => senders.push(worker));
    const socket = connect(stage);

    socket.receive({ type: "report" });
    socket.receive({ type: "report" });

    expect(senders[0]).toStrictEqual({
      id: "unknown",
      name: "unknown",
      status: "unhealthy",
      capabilities: { models: [], maxConcurrentRequests: 0 },
      sessionId: "",
      connectedAt: new Date(0),
      lastHeartbeat: new Date(0),
      activeRequests: 0,
      completedRequests: 0,
      pendingRequestIds: new Set(),
      categoryActiveRequests: new Map(),
    });
    expect(senders[1]).not.toBe(senders[0]);
  });

  test("of a socket whose worker has left the pool comes from unknown with its id", () => {
    const stage = scene();
    const socket = register(stage);
    const senders: unknown[] = [];
    stage.handler.onMessage("report", ({ id, name, status }) => senders.push({ id, name, status }));

    stage.pool.closeAll();
    socket.receive({ type: "report" });

    expect(senders).toEqual([{ id: "worker-1", name: "unknown", status: "unhealthy" }]);
  });

  test("of an unregistered socket is dropped where a token is asked for, and logged once", () => {
    const stage = scene({ authToken: "secret" });
    const handler = jest.fn();
    stage.handler.onMessage("report", handler);
    const socket = connect(stage);
    const before = stage.logger.lines.length;

    socket.receive({ type: "report" });
    socket.receiveText("{");
    socket.receive({ type: "report" });
    expect(handler).not.toHaveBeenCalled();
    expect(linesSince(stage, before)).toEqual([["warn", "Message from unregistered worker dropped"]]);

    socket.receive(registration({ authToken: "secret" }));
    socket.receive({ type: "report" });
    expect(handler).toHaveBeenCalledTimes(1);
  });
});

describe("a heartbeat", () => {
  const beat = (workerId: unknown = "worker-1", timestamp: unknown = "now") => ({
    type: "heartbeat",
    workerId,
    timestamp,
  });

  test("is answered byte for byte, logs nothing and renews the date", () => {
    const stage = scene({ heartbeatTimeoutMs: 90_000 });
    const socket = register(stage);
    const before = stage.logger.lines.length;
    const { lastHeartbeat } = stage.pool.get("worker-1")!;
    jest.setSystemTime(NOW + 5_000);

    socket.receive(beat());

    expect(socket.sent).toEqual([
      '{"type":"heartbeat_ack","timestamp":"now","nextHeartbeatDeadline":"2024-01-01T00:01:35.000Z"}',
    ]);
    expect(linesSince(stage, before)).toEqual([]);
    expect(lastHeartbeat).toEqual(new Date(NOW));
    expect(stage.pool.get("worker-1")!.lastHeartbeat).toEqual(new Date(NOW + 5_000));
  });

  test.each([
    ["null", '"timestamp":null,'],
    ["5", '"timestamp":5,'],
    ['{"a":[1]}', '"timestamp":{"a":[1]},'],
    [undefined, ""],
  ])("echoes whatever timestamp there is: %s", (timestamp, echo) => {
    const socket = register(scene());

    const member = timestamp === undefined ? "" : `,"timestamp":${timestamp}`;
    socket.receiveText(`{"type":"heartbeat","workerId":"worker-1"${member}}`);

    expect(socket.sent).toEqual([
      `{"type":"heartbeat_ack",${echo}"nextHeartbeatDeadline":"2024-01-01T00:01:00.000Z"}`,
    ]);
  });

  test("has a deadline also where the timeout is infinite", () => {
    const socket = register(scene({ heartbeatTimeoutMs: Infinity }));

    socket.receive(beat());

    expect(JSON.parse(socket.sent[0]!).nextHeartbeatDeadline).toBe("9999-12-31T23:59:59.999Z");
  });

  test.each([
    ["unhealthy", 0, "available"],
    ["unhealthy", 4, "busy"],
    ["draining", 0, "draining"],
    ["busy", 0, "busy"],
    ["available", 4, "available"],
  ])("of a worker that is %s with %i requests leaves it %s", (status, active, after) => {
    const stage = scene();
    const socket = register(stage);
    const worker = stage.pool.get("worker-1")!;
    worker.status = status as WorkerStatus;
    worker.activeRequests = active;

    socket.receive(beat());

    expect(worker.status).toBe(after);
  });

  test("of an unknown worker is logged and not answered", () => {
    const stage = scene();
    const socket = register(stage);
    const before = stage.logger.lines.length;

    socket.receive(beat("worker-2"));
    socket.receive({ type: "heartbeat" });

    expect(socket.sent).toEqual([]);
    expect(linesSince(stage, before)).toEqual([
      ["warn", "Heartbeat from unknown worker", { workerId: "worker-2" }],
      ["warn", "Heartbeat from unknown worker", { workerId: undefined }],
    ]);
  });

  test("for another socket's worker is unknown", () => {
    const stage = scene();
    register(stage);
    const other = register(stage, { workerId: "worker-2" });
    const stranger = connect(stage);
    jest.setSystemTime(NOW + 5_000);

    other.receive(beat());
    stranger.receive(beat());

    expect([...other.sent, ...stranger.sent]).toEqual([]);
    expect(stage.logger.of("Heartbeat from unknown worker")).toHaveLength(2);
    expect(stage.pool.get("worker-1")!.lastHeartbeat).toEqual(new Date(NOW));
  });

  test("for a worker that was added by hand comes from any socket, unless a token is asked for", () => {
    const open = scene();
    open.pool.add(plainWorker());
    const socket = connect(open);
    socket.receive(beat());
    expect(socket.sent).toHaveLength(1);

    const closed = scene({ authToken: "secret" });
    closed.pool.add(plainWorker());
    const stranger = connect(closed);
    stranger.receive(beat());
    expect(stranger.sent).toEqual([]);
  });

  test("counts while the socket is closing, without an answer", () => {
    const stage = scene();
    const socket = register(stage);
    socket.readyState = 2;
    jest.setSystemTime(NOW + 5_000);

    socket.receive(beat());

    expect(socket.sent).toEqual([]);
    expect(stage.pool.get("worker-1")!.lastHeartbeat).toEqual(new Date(NOW + 5_000));
  });
});

describe("a disconnect", () => {
  test("takes the worker out and tells the handlers", () => {
    const stage = scene();
    const socket = register(stage);
    const before = stage.logger.lines.length;
    let inPool: boolean | undefined;
    stage.handler.onWorkerDisconnected(({ id }) => (inPool = stage.pool.has(id)));

    socket.end(4000, "bye");

    expect(linesSince(stage, before)).toEqual([
      ["debug", "Worker disconnected", { workerId: "worker-1", code: 4000, reason: "bye" }],
    ]);
    expect(stage.disconnected).toHaveLength(1);
    expect(stage.disconnected[0]!.info.id).toBe("worker-1");
    expect(inPool).toBe(false);
  });

  test("hands out a copy of the requests in flight, shared by all handlers", () => {
    const stage = scene();
    const socket = register(stage);
    stage.pool.trackRequest("worker-1", "r1");
    const before = stage.logger.lines.length;
    const sets: unknown[] = [];
    stage.handler.onWorkerDisconnected((_info, pending) => sets.push(pending));
    const live = stage.pool.get("worker-1")!.pendingRequests;

    socket.end();

    const [{ info, pending }] = stage.disconnected as [Scene["disconnected"][number]];
    expect(pending).toEqual(new Set(["r1"]));
    expect(sets[0]).toBe(pending);
    expect(pending).not.toBe(live);
    expect(info.pendingRequestIds).toBe(live);
    expect(info.activeRequests).toBe(1);
    expect(linesSince(stage, before)).toEqual([
      ["warn", "Worker disconnected with pending requests", { workerId: "worker-1", count: 1 }],
      ["debug", "Worker disconnected", { workerId: "worker-1", code: 1000, reason: "" }],
    ]);
  });

  test("with a throwing handler is logged, and the next handler is called", () => {
    const stage = scene();
    stage.handler.onWorkerDisconnected(() => {
      throw new Error("no");
    });
    const next = jest.fn();
    stage.handler.onWorkerDisconnected(next);

    register(stage).end();

    expect(next).toHaveBeenCalledTimes(1);
    expect(stage.logger.of("Error in disconnected handler")[0]!.rest).toEqual([{ error: "no" }]);
  });

  test("of an unregistered socket is logged", () => {
    const stage = scene();
    const socket = connect(stage);
    const before = stage.logger.lines.length;

    socket.end(1006);

    expect(linesSince(stage, before)).toEqual([
      ["debug", "Unregistered WebSocket connection closed", { code: 1006, reason: "" }],
    ]);
    expect(stage.disconnected).toEqual([]);
  });

  test("of a worker that has left the pool already is no news", () => {
    const stage = scene();
    const socket = register(stage);
    stage.pool.closeAll();
    const before = stage.logger.lines.length;

    socket.end(1001, "Server shutting down");

    expect(linesSince(stage, before)).toEqual([]);
    expect(stage.disconnected).toEqual([]);
  });

  test("comes once", () => {
    const stage = scene();
    const socket = register(stage);

    socket.end();
    socket.end();

    expect(stage.disconnected).toHaveLength(1);
  });

  test("may be preceded by an error, which is logged", () => {
    const stage = scene();
    const socket = register(stage);
    const before = stage.logger.lines.length;

    socket.emit("error", new Error("reset"));

    expect(linesSince(stage, before)).toEqual([["error", "Worker WebSocket error", { error: "reset" }]]);
    expect(stage.pool.getCount()).toBe(1);
  });
});

describe("a replacement", () => {
  test("closes the old socket, unbinds it, and moves the id to the end of the order", () => {
    const stage = scene();
    const old = register(stage);
    register(stage, { workerId: "worker-2" });
    const before = stage.logger.lines.length;

    const fresh = register(stage);

    expect(old.closes).toEqual([[4003, "Replaced by new connection"]]);
    expect(stage.pool.get("worker-1")!.websocket).toBe(fresh);
    expect(ids(stage)).toEqual(["worker-2", "worker-1"]);
    expect(linesSince(stage, before).map(([, message]) => message)).toEqual([
      "New WebSocket connection from potential worker",
      "Replacing existing worker connection",
      "Worker registered",
    ]);
    expect(stage.disconnected).toEqual([]);
    expect(stage.connected).toHaveLength(3);
  });

  test("is told while the old worker is still there, if it had requests in flight", () => {
    const stage = scene();
    register(stage);
    stage.pool.trackRequest("worker-1", "r1");
    stage.pool.trackRequest("worker-1", "r2");
    const old = stage.pool.get("worker-1")!;
    const seen: unknown[] = [];
    stage.handler.onWorkerDisconnected((info, pending) => {
      seen.push(stage.pool.get("worker-1") === old, pending === info.pendingRequestIds, pending.size);
      seen.push(stage.pool.send("worker-1", {}));
      stage.pool.releaseRequest("r1");
      seen.push(pending.size);
    });
    const before = stage.logger.lines.length;

    register(stage);

    expect(seen).toEqual([true, true, 2, false, 1]);
    expect(linesSince(stage, before).slice(1, 3)).toEqual([
      ["debug", "Replacing existing worker connection", { workerId: "worker-1" }],
      ["warn", "Replaced worker had pending requests", { workerId: "worker-1", count: 2 }],
    ]);
    expect(stage.pool.get("worker-1")!.activeRequests).toBe(0);
  });

  test("leaves the old socket unregistered: its messages come from unknown, its end is logged as such", () => {
    const stage = scene();
    const old = register(stage);
    register(stage);
    const senders: string[] = [];
    stage.handler.onMessage("report", ({ id }) => senders.push(id));
    const before = stage.logger.lines.length;

    old.receive({ type: "report" });
    old.end(4003, "Replaced by new connection");

    expect(senders).toEqual(["unknown"]);
    expect(linesSince(stage, before)).toEqual([
      [
        "debug",
        "Unregistered WebSocket connection closed",
        { code: 4003, reason: "Replaced by new connection" },
      ],
    ]);
    expect(stage.pool.getCount()).toBe(1);
  });

  test("of a worker that was added by hand closes its socket", () => {
    const stage = scene();
    const worker = plainWorker();
    stage.pool.add(worker);

    register(stage);

    expect(worker.websocket.closes).toEqual([[4003, "Replaced by new connection"]]);
    expect(stage.pool.getCount()).toBe(1);
  });

  test("of itself closes its own socket, and the close removes it", () => {
    const stage = scene();
    const socket = register(stage);

    socket.receive(registration());
    expect(socket.closes).toEqual([[4003, "Replaced by new connection"]]);
    expect(socket.sent).toEqual([]);
    expect(stage.pool.getCount()).toBe(1);

    socket.end(4003, "Replaced by new connection");
    expect(stage.pool.getCount()).toBe(0);
    expect(stage.disconnected).toHaveLength(1);
  });

  test("is not hindered by an old socket that throws", () => {
    const stage = scene();
    const old = register(stage);
    old.close = () => {
      throw new Error("broken");
    };

    const fresh = register(stage);

    expect(stage.pool.get("worker-1")!.websocket).toBe(fresh);
  });
});

test("a second id over one socket releases the first", () => {
  const stage = scene();
  const socket = register(stage);
  stage.pool.trackRequest("worker-1", "r1");

  socket.receive(registration({ workerId: "worker-2" }));

  expect(ids(stage)).toEqual(["worker-2"]);
  expect(socket.closes).toEqual([]);
  expect(stage.disconnected.map(({ info, pending }) => [info.id, [...pending]])).toEqual([
    ["worker-1", ["r1"]],
  ]);
  socket.receive({ type: "heartbeat", workerId: "worker-1" });
  expect(stage.logger.of("Heartbeat from unknown worker")).toHaveLength(1);

  socket.end();
  expect(stage.pool.getCount()).toBe(0);
  expect(stage.disconnected.map(({ info }) => info.id)).toEqual(["worker-1", "worker-2"]);
});

describe("the form with a settlement factory", () => {
  test("is told by the type of the third argument, and logs to the fourth", () => {
    const pool = new WorkerPool();
    const logger = new RecordingLogger();
    const settlements: unknown[] = [];
    const handler = new ConnectionHandler(
      pool,
      {},
      (requestId) => {
        settlements.push(requestId);
        return { complete: () => pool.releaseRequest(requestId!), fail: () => {} };
      },
      logger,
    );
    const socket = new MockSocket();
    const events: any[] = [];
    handler.onMessage("done", (event) => events.push(event));

    handler.handleConnection(socket);
    socket.receive(registration());
    pool.trackRequest("worker-1", "r1");
    socket.receive({ type: "done", requestId: "r1" });
    socket.receive({ type: "done", requestId: 5 });

    expect(logger.of("Worker registered")).toHaveLength(1);
    expect(events[0].message).toEqual({ type: "done", requestId: "r1" });
    expect(events[0].worker.id).toBe("worker-1");
    expect([events[0].requestId, events[1].requestId]).toEqual(["r1", null]);
    // Made for the one who looks at it.
    expect(settlements).toEqual(["r1", null]);
    expect(Object.keys(events[0])).not.toContain("message");
    events[0].complete();
    expect(pool.get("worker-1")!.activeRequests).toBe(0);
  });

  test("needs no logger", () => {
    const pool = new WorkerPool();
    const handler = new ConnectionHandler(pool, {}, () => ({ complete() {}, fail() {} }));
    const socket = new MockSocket();

    handler.handleConnection(socket);
    socket.receive(registration());

    expect(pool.getCount()).toBe(1);
  });
});
