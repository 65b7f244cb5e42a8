import { CHECK_EVERY_MS } from "./scenario";
import type { Reaction, Step } from "./stage";

/** Checks that a worker survives without a heartbeat; at the next it is presumed dead. */
const CHECKS_SURVIVED = 6;
const IDS = ["a", "b", "c", 7, "é"] as const;
const MODELS = ["sonnet", "sonnet-3.5", "opus-4", "haiku", "SONNET"];
const WANTED = [...MODELS, "s", "", "opus-4-turbo", "gpt"];
const CATEGORIES = [undefined, undefined, "chat", "batch", "", "toString"];
const TYPES = ["hello", "done", "more", "__proto__"];
const REACTIONS: Record<string, Reaction> = {
  replies: ({ server }, { id }, message) => void server.send(id, { re: message }),
  releases: ({ server }, _info, { requestId }) =>
    server.releaseRequest(requestId, { incrementCompleted: true }),
  tracks: ({ server }, { id }, { requestId }) => server.trackRequest(id, requestId, "chat"),
  throws: () => {
    throw new Error("on purpose");
  },
};

interface Client {
  readonly name: string;
  id: unknown;
  /** Health checks since it registered or beat. */
  silentFor: number;
}

/** A scenario of that many steps (a few more, if one needs others before it), the same for the same seed. */
export function randomScenario(seed: number, length: number, authToken?: string): Step[] {
  const scenario = new RandomScenario(seed, authToken);
  while (scenario.steps.length < length) scenario.addStep();
  return scenario.steps;
}

/**
 * Knows of its clients what it needs to stay sensible: who is connected, and who is about to be presumed dead, which has
 * to be one at a time, since the order in which two connections end is nobody's promise.
 */
class RandomScenario {
  readonly steps: Step[] = [];
  readonly #random: () => number;
  readonly #authToken: string | undefined;
  #clients: Client[] = [];
  #names = 0;

  constructor(seed: number, authToken: string | undefined) {
    this.#random = generator(seed);
    this.#authToken = authToken;
    const move = this.#below(2) === 0;
    this.#add("start", ({ server }) => server.start());
    this.#add("subscribe to connections", (on) => on.on("connected", "onConnected"));
    this.#add(`subscribe to disconnections${move ? ", and move requests" : ""}`, (on) =>
      on.on("disconnected", "onDisconnected", ({ server }, _info, pending: ReadonlySet<string>) => {
        const worker = server.getAvailableWorker("");
        if (move && worker)
          for (const requestId of pending) server.trackRequest(worker.id, requestId, "moved");
      }),
    );
  }

  addStep(): void {
    const roll = this.#below(100);
    if (roll < 12 || this.#clients.length === 0) this.#join();
    else if (roll < 16) this.#changeId();
    else if (roll < 20) this.#misregister();
    else if (roll < 28) this.#beat();
    else if (roll < 38) this.#talk();
    else if (roll < 42) this.#leave();
    else if (roll < 56) this.#track();
    else if (roll < 64) this.#ask();
    else if (roll < 72) this.#edit();
    else if (roll < 77) this.#send();
    else if (roll < 84) this.#letTimePass();
    else if (roll < 89) this.#subscribe();
    else if (roll < 91) this.#restart();
    else this.#add("look", (on) => on.look());
  }

  #join(): void {
    const name = `w${++this.#names}`;
    const isWorker = this.#below(8) > 0;
    const client: Client = { name, id: undefined, silentFor: 0 };
    this.#add(`${name} connects`, async (on) => void (await on.connect(name)));
    if (isWorker) this.#register(client, this.#one(IDS));
    this.#clients.push(client);
  }

  #changeId(): void {
    const client = this.#one(this.#clients);
    // Its last heartbeat is that of the old id or of the new one, unless there was one before.
    if (client.id !== undefined) this.#beatOf(client);
    this.#register(client, this.#one(IDS));
    // Who replaces itself has closed its own connection.
    if (client.id === undefined) this.#forget(client);
  }

  #register(client: Client, id: unknown): void {
    const { name } = client;
    const fields = { capabilities: this.#capabilities(), authToken: this.#authToken };
    this.#add(`${name} registers as ${String(id)} ${JSON.stringify(fields)}`, (on) =>
      on.register(name, id, fields),
    );
    const replaced = this.#clients.find((other) => other.id === id);
    client.id = replaced === client ? undefined : id;
    client.silentFor = 0;
    if (replaced !== undefined && replaced !== client) this.#forget(replaced);
  }

  #misregister(): void {
    const client = this.#one(this.#clients);
    const good = { models: [], maxConcurrentRequests: 1 };
    const workerId = this.#one(IDS);
    const bad = this.#one([
      { workerId, capabilities: null, authToken: this.#authToken },
      { workerId: null, capabilities: good, authToken: this.#authToken },
      { workerId, capabilities: { ...good, maxConcurrentRequests: "4" }, authToken: this.#authToken },
      { workerId, capabilities: { ...good, models: [null] }, authToken: this.#authToken },
      { workerId, capabilities: null, authToken: ["wrong"] },
    ]);
    const message = { type: "worker_registration", workerName: "", ...bad };
    this.#add(`${client.name} sends ${JSON.stringify(message)}`, (on) =>
      on.client(client.name).send(message),
    );
    this.#forget(client);
  }

  #beat(): void {
    const client = this.#one(this.#clients);
    if (this.#below(4) > 0) return this.#beatOf(client);
    const id = this.#one([...IDS, null, "7", {}]);
    if (id === client.id) return;
    const beat = { timestamp: this.#one([null, 1.5, "now", { at: [] }]) };
    this.#add(`${client.name} beats for ${JSON.stringify(id)}`, (on) =>
      on.client(client.name).beat(id, beat),
    );
  }

  #beatOf(client: Client): void {
    const { name, id } = client;
    if (id === undefined) return;
    this.#add(`${name} beats`, (on) => on.client(name).beat(id));
    client.silentFor = 0;
  }

  #talk(): void {
    const { name } = this.#one(this.#clients);
    const requestId = this.#requestId();
    const text = this.#one([
      ...TYPES.map((type) => `{"type":"${type}","requestId":"${requestId}"}`),
      '{"type":"hello","requestId":1,"deep":[[[{}]]],"big":1e400}',
      "{broken",
      '{"type":7}',
    ]);
    this.#add(`${name} says ${text}`, (on) => on.client(name).sendText(text));
  }

  #leave(): void {
    const client = this.#one(this.#clients);
    const { name } = client;
    const code = this.#one([undefined, 1000, 1001, 3000, 4999]);
    if (this.#below(3) === 0) this.#add(`${name} drops its connection`, (on) => on.terminate(name));
    else
      this.#add(`${name} closes with ${code}`, (on) =>
        on.close(name, code, code === undefined ? undefined : "bye"),
      );
    this.#forget(client);
  }

  #track(): void {
    const requestId = this.#requestId();
    const id = this.#one(IDS) as string;
    const category = this.#one(CATEGORIES);
    if (this.#below(5) < 3) {
      this.#add(`track ${requestId} on ${id} as ${category}`, ({ server }) =>
        server.trackRequest(id, requestId, category),
      );
      return;
    }
    const options = this.#one([undefined, { incrementCompleted: true }, { incrementCompleted: false }]);
    this.#add(`release ${requestId} ${JSON.stringify(options)}`, ({ server }) =>
      server.releaseRequest(requestId, options),
    );
  }

  #ask(): void {
    const model = this.#one(WANTED);
    const category = this.#one(CATEGORIES);
    this.#add(`ask for ${JSON.stringify(model)} as ${category}`, ({ server }) => ({
      worker: server.getAvailableWorker(model, category),
      slots: server.getAvailableSlotCount(model, category),
      any: server.getAnyAvailableWorker()?.id,
      counts: [server.getWorkerCount(), server.getAvailableWorkerCount()],
    }));
  }

  /** Edits of the live parts of an info, whose effect shows in what comes later. */
  #edit(): void {
    const { id } = this.#one(this.#clients);
    if (id === undefined) return;
    const number = this.#below(5);
    const requestId = this.#requestId();
    const model = { modelId: this.#one(MODELS) } as never;
    const edits: [string, Step[1]][] = [
      [`capacity ${number}`, (on) => void (on.info(id).capabilities.maxConcurrentRequests = number)],
      ["another model", (on) => on.info(id).capabilities.models.push(model)],
      ["a model less", (on) => on.info(id).capabilities.models.pop()],
      ["limits", (on) => void (on.info(id).capabilities.concurrencyLimits = { chat: number })],
      [`${requestId} in flight`, (on) => void (on.info(id).pendingRequestIds as Set<string>).add(requestId)],
      [
        `${requestId} not in flight`,
        (on) => (on.info(id).pendingRequestIds as Set<string>).delete(requestId),
      ],
      [
        "a count",
        (on) => void (on.info(id).categoryActiveRequests as Map<string, number>).set("chat", number),
      ],
      ["no counts", (on) => (on.info(id).categoryActiveRequests as Map<string, number>).clear()],
    ];
    const [what, act] = this.#one(edits);
    this.#add(`edit ${String(id)}: ${what}`, act);
  }

  #send(): void {
    const id = this.#one(IDS) as string;
    const message = this.#one([{ type: "work" }, "text", 5, null, undefined, { at: "\u2028é\ud83d" }, 5n]);
    if (this.#below(3) > 0)
      this.#add(`send ${id} ${String(message)}`, ({ server }) => server.send(id, message));
    else this.#add(`broadcast ${String(message)}`, ({ server }) => server.broadcast(message));
  }

  #letTimePass(): void {
    const wanted = 1 + this.#below(3);
    const [doomed, ...others] = this.#clients.filter(
      ({ id, silentFor }) => id !== undefined && silentFor + wanted > CHECKS_SURVIVED,
    );
    for (const client of others) this.#beatOf(client);
    // Not beyond the end of its connection, which takes turns of the event loop and no time of the fake clock.
    const checks = doomed === undefined ? wanted : CHECKS_SURVIVED + 1 - doomed.silentFor;
    this.#add(`${checks} checks`, (on) => on.advance(checks, CHECK_EVERY_MS));
    for (const client of this.#clients) client.silentFor += checks;
    if (doomed !== undefined) this.#forget(doomed);
  }

  #subscribe(): void {
    const name = `handler${this.#below(5)}`;
    const type = this.#one(TYPES);
    const [does, react] = this.#one(Object.entries(REACTIONS));
    if (this.#below(3) === 0) this.#add(`unsubscribe ${name}`, (on) => on.off(name));
    else this.#add(`subscribe ${name} to ${type}: ${does}`, (on) => on.on({ type }, name, react));
  }

  #restart(): void {
    for (const { name, id } of this.#clients) {
      if (id === undefined) this.#add(`${name} goes before the stop`, (on) => on.close(name));
    }
    this.#clients = [];
    this.#add("stop", (on) => on.stop());
    this.#add("start again", ({ server }) => server.start());
  }

  #capabilities(): object {
    const models = MODELS.filter(() => this.#below(3) === 0).map((modelId) => ({ modelId }));
    const limits = { chat: this.#one([0, 1, 2, null, 1.5]), batch: this.#below(3) };
    const maxConcurrentRequests = this.#one([0, 1, 2, 2, 3, 5, 0.5, undefined]);
    return { models, maxConcurrentRequests, concurrencyLimits: this.#one([undefined, limits, {}]) };
  }

  #requestId(): string {
    return `r${this.#below(6)}`;
  }

  #forget(client: Client): void {
    this.#clients = this.#clients.filter((other) => other !== client);
  }

  #add(title: string, act: Step[1]): void {
    this.steps.push([title, act]);
  }

  #one<T>(choices: readonly T[]): T {
    return choices[this.#below(choices.length)]!;
  }

  /** A whole number below `limit`. */
  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

/** Numbers from 0 up to 1: a Weyl sequence, its bits mixed. */
function generator(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let bits = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
  };
}
