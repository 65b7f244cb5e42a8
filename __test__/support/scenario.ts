import { frame } from "./raw-connection";
import type { Stage, Step } from "./stage";

export const CHECK_EVERY_MS = 30_000;

/** Beyond two checks a worker is unhealthy, beyond six presumed dead. */
export const TIMINGS = {
  heartbeatTimeoutMs: 65_000,
  healthCheckIntervalMs: CHECK_EVERY_MS,
  heartbeatIntervalMs: 15_000,
};

const models = (...ids: string[]): object[] => ids.map((modelId) => ({ modelId }));
const look = (stage: Stage): void => stage.look();
const circular: Record<string, unknown> = {};
circular["self"] = circular;

/** A day in the life of a server that needs no token. */
export const scenario: readonly Step[] = [
  ["ask before the start", (on) => [on.server.getWorkerInfo(), on.server.getAvailableWorker("sonnet")]],
  ["send before the start", ({ server }) => [server.send("a", {}), server.getAvailableSlotCount("sonnet")]],
  ["stop before the start", ({ server }) => server.stop()],
  ["subscribe to connections", (on) => on.on("connected", "onConnected")],
  ["subscribe to disconnections", (on) => on.on("disconnected", "onDisconnected")],
  ["start", ({ server }) => server.start()],
  ["start again", ({ server }) => server.start()],
  ["connect a", async (on) => void (await on.connect("a"))],
  ["a talks before it registers", (on) => on.client("a").send({ type: "hello" })],
  ["subscribe to hello", (on) => on.on({ type: "hello" }, "onHello")],
  ["a talks to a handler before it registers", (on) => on.client("a").send({ type: "hello", from: "a" })],
  ["a beats before it registers", (on) => on.client("a").beat("a")],
  ["register a", (on) => on.register("a", "a")],
  ["look at the pool with a", look],
  ["the info of a has the documented keys", (on) => Object.keys(on.info("a"))],
  ["a talks", (on) => on.client("a").send({ type: "hello", nested: { deep: [1, null, "x"] } })],
  ["a beats", (on) => on.client("a").beat("a")],
  ["a beats with an odd timestamp", (on) => on.client("a").beat("a", { timestamp: { at: [1.0, "é"] } })],
  ["a beats without timestamp", (on) => on.client("a").beat("a", {})],
  ["register b with two models", (on) => on.join("b", { capabilities: capable(4, ["opus-4", "sonnet-3"]) })],
  ["register c with limits", (on) => on.join("c", { capabilities: capable(3, ["haiku"], { chat: 1 }) })],
  ["b beats for a", (on) => on.client("b").beat("a")],
  ["look at three workers", look],
  ["ask for sonnet", ({ server }) => server.getAvailableWorker("sonnet")],
  ["ask for a longer name", ({ server }) => server.getAvailableWorker("opus-4-turbo")],
  ["ask for nothing in particular", ({ server }) => server.getAvailableWorker("")],
  ["ask for what nobody has", ({ server }) => server.getAvailableWorker("gpt")],
  ["ask for what is no name", ({ server }) => server.getAvailableWorker(7 as never)],
  [
    "slots by model",
    ({ server }) => ["sonnet", "haiku", "gpt", ""].map((m) => server.getAvailableSlotCount(m)),
  ],
  ["slots by category", ({ server }) => server.getAvailableSlotCount("haiku", "chat")],
  ["track r1 on a", ({ server }) => server.trackRequest("a", "r1")],
  ["now b is less loaded", ({ server }) => server.getAvailableWorker("sonnet")],
  ["track r2 on a, which is then busy", ({ server }) => server.trackRequest("a", "r2", "chat")],
  ["look at a busy worker", look],
  ["any worker will do", ({ server }) => server.getAnyAvailableWorker()],
  ["track over the capacity", ({ server }) => server.trackRequest("a", "r3", "chat")],
  ["track on nobody", ({ server }) => server.trackRequest("nobody", "r4")],
  ["release r1", ({ server }) => server.releaseRequest("r1", { incrementCompleted: true })],
  ["release r3, so a is available", ({ server }) => server.releaseRequest("r3")],
  [
    "release what is not in flight",
    ({ server }) => server.releaseRequest("r3", { incrementCompleted: true }),
  ],
  ["look at a's categories", look],
  ["fill the category of c", ({ server }) => server.trackRequest("c", "r5", "chat")],
  ["c has no place in the category", ({ server }) => server.getAvailableWorker("haiku", "chat")],
  ["c has a place without category", ({ server }) => server.getAvailableWorker("haiku")],
  ["c has a place in a category without limit", ({ server }) => server.getAvailableWorker("haiku", "other")],
  ["an inherited name is no limit", ({ server }) => server.getAvailableWorker("haiku", "toString")?.id],
  ["slots of the full category", ({ server }) => server.getAvailableSlotCount("haiku", "chat")],
  ["track r5 twice", ({ server }) => server.trackRequest("c", "r5")],
  ["release r5", ({ server }) => server.releaseRequest("r5")],
  ["release r5 twice", ({ server }) => server.releaseRequest("r5")],
  ["look at the leak", look],
  ["raise the limit by hand", (on) => void (on.info("c").capabilities.concurrencyLimits!["chat"] = 9)],
  ["c has a place in the category again", ({ server }) => server.getAvailableWorker("haiku", "chat")],
  ["add a model by hand", (on) => void on.info("c").capabilities.models.push(...(models("gpt") as never[]))],
  ["ask for the new model", ({ server }) => server.getAvailableWorker("gpt")],
  ["drain b by capacity", (on) => void (on.info("b").capabilities.maxConcurrentRequests = 0)],
  ["b is not chosen", ({ server }) => server.getAvailableWorker("opus")],
  ["slots of a drained worker", ({ server }) => server.getAvailableSlotCount("opus")],
  ["track on the drained worker", ({ server }) => server.trackRequest("b", "r6", "chat")],
  ["look at the drained worker", look],
  [
    "lower the capacity of a below its load",
    (on) => void (on.info("a").capabilities.maxConcurrentRequests = 0),
  ],
  ["slots are negative", ({ server }) => ["sonnet", ""].map((m) => server.getAvailableSlotCount(m))],
  ["a has its capacity back", (on) => void (on.info("a").capabilities.maxConcurrentRequests = 2)],
  ["end the drain", (on) => void (on.info("b").capabilities.maxConcurrentRequests = 4)],
  ["release r6", ({ server }) => server.releaseRequest("r6", { incrementCompleted: true })],
  ["take r2 out by hand", (on) => (on.info("a").pendingRequestIds as Set<string>).delete("r2")],
  ["release r2 in vain", ({ server }) => server.releaseRequest("r2")],
  ["put r7 in by hand", (on) => void (on.info("b").pendingRequestIds as Set<string>).add("r7")],
  ["release r7", ({ server }) => server.releaseRequest("r7")],
  [
    "count a category by hand",
    (on) => void (on.info("c").categoryActiveRequests as Map<string, number>).set("chat", 9),
  ],
  ["the category is full by hand", ({ server }) => server.getAvailableWorker("haiku", "chat")],
  ["look at the edits", look],
  ["send to a", ({ server }) => server.send("a", { type: "work", text: "é\u2028\ud800", list: [undefined] })],
  ["send nothing", ({ server }) => server.send("a", undefined)],
  ["send to nobody", ({ server }) => server.send("nobody", {})],
  ["send what is no JSON", ({ server }) => [server.send("a", circular), server.send("a", { n: 1n })]],
  ["broadcast", ({ server }) => server.broadcast({ type: "all" })],
  ["broadcast what is no JSON", ({ server }) => server.broadcast(circular)],
  ["a handler that throws", (on) => on.on({ type: "hello" }, "onHelloThrow", () => fail("boom"))],
  [
    "a handler after it",
    (on) => on.on({ type: "hello" }, "onHelloLast", (at, { id }) => void at.server.send(id, { re: 1 })),
  ],
  ["three handlers hear b", (on) => on.client("b").send({ type: "hello" })],
  ["a handler less", (on) => on.off("onHelloThrow")],
  ["two handlers hear b", (on) => on.client("b").send({ type: "hello" })],
  ["not JSON", (on) => on.client("a").sendText("{nope")],
  ["not JSON, in bytes", (on) => on.client("a").sendText(Buffer.from([0xff, 0x00]))],
  ["JSON in bytes", (on) => on.client("a").sendText(Buffer.from('{"type":"hello","in":"bytes"}'))],
  [
    "no type",
    (on) => ["null", "[]", "5", '"x"', "{}", '{"type":5}'].forEach((text) => on.client("a").sendText(text)),
  ],
  ["the last type counts", (on) => on.client("a").sendText('{"type":"nope","type":"hello"}')],
  ["a name of our own", (on) => on.client("a").send({ type: "__proto__" })],
  [
    "an invalid registration",
    async (on) => (await on.connect("x")).send({ type: "worker_registration", workerId: "x" }),
  ],
  [
    "a model without id",
    async (on) => (await on.connect("x"), sendRegistration(on, "x", capable(1, [5 as never]))),
  ],
  [
    "a negative maximum",
    async (on) => (await on.connect("x"), sendRegistration(on, "x", capable(-1, ["m"]))),
  ],
  ["a bad frame", async (on) => (await on.connect("x")).sendRaw(frame("text", "x", { masked: false }))],
  [
    "text that is no UTF-8",
    async (on) => (await on.connect("x")).sendRaw(frame("text", Buffer.from([0xff]))),
  ],
  ["a number as id", async (on) => (await on.connect("n"), on.register("n", 5))],
  [
    "the number is not the string",
    ({ server }) => [server.send("5", {}), server.send(5 as never, { type: "five" })],
  ],
  ["n beats", (on) => on.client("n").beat(5)],
  ["n takes another id", (on) => on.register("n", "n2")],
  ["n registers as itself", (on) => on.register("n", "n2")],
  ["replace a, idle", async (on) => (await on.connect("a2"), on.register("a2", "a"))],
  ["look at the new order", look],
  ["track r8 on a", ({ server }) => server.trackRequest("a", "r8", "chat")],
  ["replace a at work", async (on) => (await on.connect("a3"), on.register("a3", "a"))],
  ["r8 is gone", ({ server }) => server.releaseRequest("r8", { incrementCompleted: true })],
  ["look after the replacement", look],
  ["who replaces takes over", (on) => on.on("disconnected", "onMove", moveRequests)],
  ["track r9 on c", ({ server }) => server.trackRequest("c", "r9")],
  ["c leaves with a code and a reason", (on) => on.close("c", 4000, "done")],
  ["its request has moved", look],
  ["b drops its connection", (on) => on.terminate("b")],
  ["a closes without code", (on) => on.close("a3")],
  ["nobody is left", look],
  [
    "welcome",
    (on) => on.on("connected", "onWelcome", (at, { id }) => void at.server.send(id, { type: "welcome" })),
  ],
  ["d and e join", async (on) => (await on.join("d"), await on.join("e"))],
  ["a check passes", (on) => on.advance(1, CHECK_EVERY_MS)],
  ["e beats", (on) => on.client("e").beat("e")],
  ["d misses its beats", (on) => on.advance(2, CHECK_EVERY_MS)],
  ["look at the unhealthy", look],
  [
    "ask around the unhealthy",
    ({ server }) => [server.getAvailableWorker("sonnet")?.id, server.getAvailableSlotCount("sonnet")],
  ],
  [
    "the unhealthy are sent to",
    ({ server }) => [server.send("d", { to: "d" }), server.broadcast({ to: "all" })],
  ],
  ["d beats again", (on) => on.client("d").beat("d")],
  ["look at the recovered", look],
  ["d has two requests and misses its beats", (on) => work(on, "d", 3)],
  ["d beats and is busy", (on) => on.client("d").beat("d")],
  ["look at the busy", look],
  ["e beats too", (on) => on.client("e").beat("e")],
  ["time is set back by hand", (on) => void on.info("e").lastHeartbeat.setTime(Date.now() - 100_000)],
  ["the check sees it", (on) => on.advance(1, CHECK_EVERY_MS)],
  ["d beats once more", (on) => on.client("d").beat("d")],
  ["e is presumed dead", (on) => on.advance(3, CHECK_EVERY_MS)],
  ["look at the survivors", look],
  ["no HTTP handler", (on) => on.get("/nothing")],
  ["add HTTP handlers", (on) => addHttpHandlers(on)],
  ["the second handler answers", (on) => on.get("/page?q=1")],
  ["none answers", (on) => on.get("/nothing")],
  ["POST", (on) => on.get("/page", "POST")],
  ["HEAD", (on) => on.get("/nothing", "HEAD")],
  [
    "add an endpoint",
    ({ server }) => server.addWebSocketEndpoint("/echo", (ws) => ws.send("hello from the endpoint")),
  ],
  ["use the endpoint", async (on) => void (await on.connect("viewer", "/echo", false))],
  ["another path is a worker", async (on) => void (await on.connect("x", "/echo/"))],
  ["x goes", (on) => on.close("x", 1001)],
  ["an unregistered connection stays", async (on) => void (await on.connect("lurker"))],
  ["stop", (on) => on.stop(20)],
  ["nobody is there", look],
  ["send after the stop", ({ server }) => server.send("d", {})],
  ["stop again", ({ server }) => server.stop()],
  ["start once more", ({ server }) => server.start()],
  ["handlers are kept: d joins", (on) => on.join("d")],
  ["HTTP handlers are kept", (on) => on.get("/page")],
  ["endpoints are not", async (on) => void (await on.connect("x", "/echo"))],
  ["the pool is new", look],
  ["the clock goes on", (on) => on.advance(3, CHECK_EVERY_MS)],
  ["look at the end", look],
];

/** What changes when the server has a token. */
export const scenarioWithToken: readonly Step[] = [
  ["start", ({ server }) => server.start()],
  ["subscribe", (on) => on.on({ type: "hello" }, "onHello")],
  ["connect a", async (on) => void (await on.connect("a"))],
  [
    "a talks without token, thrice",
    (on) => [1, 2, 3].forEach((n) => on.client("a").send({ type: "hello", n })),
  ],
  ["a beats without token", (on) => on.client("a").beat("a")],
  ["register a", (on) => on.register("a", "a", { authToken: "sécret" })],
  ["a talks", (on) => on.client("a").send({ type: "hello" })],
  ["a wrong token", (on) => withToken(on, "secret")],
  ["no token", (on) => withToken(on, undefined)],
  ["a token that is null", (on) => withToken(on, null)],
  ["a token that is a number", (on) => withToken(on, 5)],
  ["the right token with a space", (on) => withToken(on, "sécret ")],
  ["what follows a wrong token is not looked at", (on) => registerAfterRefusal(on)],
  ["a worker does not lose its id to a wrong token", look],
  [
    "the token is checked before the rest",
    async (on) => (await on.connect("x")).send({ type: "worker_registration" }),
  ],
  ["a worker that shows a wrong token later is closed", (on) => sendRegistration(on, "a", capable(1, ["m"]))],
  ["nobody is left", look],
];

function capable(maxConcurrentRequests: number, ids: string[], concurrencyLimits?: object): object {
  return { models: models(...ids), maxConcurrentRequests, concurrencyLimits };
}

function sendRegistration(on: Stage, name: string, capabilities: object, fields: object = {}): void {
  on.client(name).send({
    type: "worker_registration",
    workerId: name,
    workerName: name,
    capabilities,
    ...fields,
  });
}

async function withToken(on: Stage, authToken: unknown): Promise<void> {
  await on.connect("x");
  sendRegistration(on, "x", capable(1, ["m"]), { authToken });
}

async function registerAfterRefusal(on: Stage): Promise<void> {
  await withToken(on, "wrong");
  sendRegistration(on, "x", capable(1, ["m"]), { authToken: "sécret" });
  on.client("x").send({ type: "hello" });
}

function fail(message: string): never {
  throw new Error(message);
}

const moveRequests = (on: Stage, _info: unknown, pending: ReadonlySet<string>): void => {
  for (const requestId of pending) {
    const worker = on.server.getAvailableWorker("sonnet");
    if (worker) on.server.trackRequest(worker.id, requestId, "moved");
  }
};

function work(on: Stage, id: string, intervals: number): void {
  on.server.trackRequest(id, "w1");
  on.server.trackRequest(id, "w2");
  on.advance(intervals, CHECK_EVERY_MS);
}

function addHttpHandlers({ server }: Stage): void {
  server.addHttpHandler((request) => {
    if (request.url === "/nothing") throw new Error("no page");
    return Promise.resolve(false);
  });
  server.addHttpHandler(async (request, response) => {
    if (!request.url?.startsWith("/page")) return false;
    response.setHeader("Content-Type", "text/plain");
    response.end(`${request.method} ${request.url}`);
    return true;
  });
}
