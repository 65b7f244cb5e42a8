import { request } from "node:http";
import { inspect } from "node:util";
import type { WorkerInfo, WorkerServerLogger, WorkerServerOptions } from "../../index.js";
import { StageClient } from "./stage-client";
import type { ServerApi } from "./reference-server";
import { until } from "./until";

/** One step of a scenario: what it is called, and what it does. What it returns or throws is observed. */
export type Step = readonly [title: string, act: (stage: Stage) => unknown];

/** What was observed of a step, one line each, in an order that does not depend on the server. */
export interface Observation {
  readonly step: string;
  readonly observed: string[];
}

export type Reaction = (stage: Stage, info: WorkerInfo, message: any) => void;

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/g;
const CLOSINGS = new Set(["Worker disconnected", "Unregistered WebSocket connection closed"]);
const PROBE = "probe-";
/** Longer than anything takes that still works. */
const PATIENCE_MS = 5_000;

/**
 * A server with its clients, on which a scenario is played. After each step everything that follows from it is waited
 * for, so that what two servers made of a step can be compared.
 */
export class Stage {
  readonly server: ServerApi;
  readonly #heartbeatTimeoutMs: number;
  readonly #clients: StageClient[] = [];
  readonly #subscriptions = new Map<string, () => void>();
  readonly #sessions = new Map<string, string>();
  readonly #probesSeen = new Set<unknown>();
  #lines: string[] = [];
  #probes = 0;
  #isStuck = false;
  #closingsLogged = 0;
  /** Workers that gave up an id for another and kept their connection, which also logs a closing. */
  #releases = 0;

  constructor(create: (options: WorkerServerOptions) => ServerApi, options: Partial<WorkerServerOptions>) {
    const log =
      (level: keyof WorkerServerLogger) =>
      (...args: unknown[]): void =>
        this.#logged(level, args);
    const logger = { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") };
    this.#heartbeatTimeoutMs = options.heartbeatTimeoutMs ?? 60_000;
    // Every step is followed by a heartbeat of nobody, whose warning says that it was heard.
    const limits = { maxWarningsPerMinute: Infinity };
    this.server = create({ port: 0, logger, limits, ...options });
  }

  /** Plays all steps, and ends everything. */
  async play(steps: readonly Step[]): Promise<Observation[]> {
    const observations: Observation[] = [];
    try {
      for (const [index, [title, act]] of steps.entries()) {
        observations.push({ step: `${index + 1}. ${title}`, observed: await this.#observe(act) });
        // After that every step would time out, and say no more.
        if (this.#isStuck) break;
      }
    } finally {
      for (const client of this.#clients) client.socket.terminate();
      await this.server.stop({ timeoutMs: 0 });
    }
    return observations;
  }

  async #observe(act: Step[1]): Promise<string[]> {
    this.#lines = [];
    // Little enough that a hundred steps decide nothing about anybody's health.
    jest.setSystemTime(Date.now() + 10);
    try {
      const result = await act(this);
      if (result !== undefined) this.note(`returned ${this.show(result)}`);
    } catch (thrown) {
      const { name, code, message } = thrown as NodeJS.ErrnoException;
      // What V8 and we say of a wrong argument may differ, that it is a TypeError may not.
      this.note(`threw ${name} ${code ?? ""} ${thrown instanceof TypeError ? "" : message}`);
    }
    await this.#settle().catch((error: Error) => {
      this.#isStuck = true;
      this.note(error.message);
    });
    const frames = this.#clients.flatMap((client) => client.takeSeen().map((seen) => this.#frame(seen)));
    return [...this.#lines, ...frames].map((line) => this.#withoutAccidents(line));
  }

  note(line: string): void {
    this.#lines.push(line);
  }

  /** Opens a connection under that name; the name may have been used before. Whether it is a worker's is up to the path. */
  async connect(name: string, path = "/ws", isWorker = true): Promise<StageClient> {
    const client = await StageClient.open(name, `ws://127.0.0.1:${this.server.port}${path}`, isWorker);
    this.#clients.push(client);
    return client;
  }

  /** The newest client of that name. */
  client(name: string): StageClient {
    const client = [...this.#clients].reverse().find((one) => one.name === name);
    if (client === undefined) throw new Error(`the scenario has no client ${name}`);
    return client;
  }

  /** Sends a registration that has to succeed. */
  register(name: string, workerId: unknown, fields: Record<string, unknown> = {}): void {
    const client = this.client(name);
    if (client.workerId !== undefined && client.workerId !== workerId) this.#releases++;
    for (const other of this.#clients) if (other.workerId === workerId) other.workerId = undefined;
    client.workerId = workerId;
    client.send({
      type: "worker_registration",
      workerId,
      workerName: `Worker ${String(workerId)}`,
      capabilities: { models: [{ modelId: "sonnet" }], maxConcurrentRequests: 2 },
      ...fields,
    });
  }

  async join(name: string, fields: Record<string, unknown> = {}): Promise<void> {
    await this.connect(name);
    this.register(name, name, fields);
  }

  async close(name: string, code?: number, reason?: string): Promise<void> {
    const client = this.client(name);
    client.socket.close(code, reason);
    await client.closed;
  }

  async terminate(name: string): Promise<void> {
    const client = this.client(name);
    client.socket.terminate();
    await client.closed;
  }

  /** Stops the server; what it says of the end of workers' connections, namely nothing, is part of the observation. */
  async stop(timeoutMs?: number): Promise<void> {
    for (const client of this.#clients) {
      if (client.workerId !== undefined && client.isOpen) client.endsSilently = true;
    }
    await this.server.stop(timeoutMs === undefined ? undefined : { timeoutMs });
    await Promise.all(this.#clients.map(({ closed }) => closed));
  }

  /** Lets that many health checks take place. */
  advance(intervals: number, intervalMs: number): void {
    jest.advanceTimersByTime(intervals * intervalMs);
  }

  /** Subscribes a handler that is observed and then does what `react` says. The name unsubscribes it. */
  on(event: "connected" | "disconnected" | { type: string }, name: string, react?: Reaction): void {
    const observed = (info: WorkerInfo, ...rest: unknown[]): void => {
      this.note(`${name}(${[this.show(info), ...rest.map((one) => this.show(one))].join(", ")})`);
      react?.(this, info, rest[0]);
    };
    const { server } = this;
    if (event === "connected") this.#subscriptions.set(name, server.onWorkerConnected(observed));
    else if (event === "disconnected") this.#subscriptions.set(name, server.onWorkerDisconnected(observed));
    else this.#subscriptions.set(name, server.onWorkerMessage(event.type, observed));
  }

  off(name: string): void {
    this.#subscriptions.get(name)?.();
  }

  info(id: unknown): WorkerInfo {
    const info = this.server.getWorkerInfo().find((worker) => (worker.id as unknown) === id);
    if (info === undefined) throw new Error(`not listed: ${String(id)}`);
    return info;
  }

  /** Everything the server says of its pool. */
  look(): void {
    const { server } = this;
    this.note(`workers ${server.getWorkerCount()}, available ${server.getAvailableWorkerCount()}`);
    for (const info of server.getWorkerInfo()) this.note(this.show(info));
  }

  /** The answer to an HTTP request. */
  get(path: string, method = "GET"): Promise<string> {
    return new Promise((resolve, reject) => {
      const sent = request({ port: this.server.port, host: "127.0.0.1", path, method, agent: false });
      sent.on("error", reject).on("response", (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk));
        response.on("end", () => {
          resolve(`${response.statusCode} ${response.headers["content-type"]} ${body}`);
        });
      });
      sent.end();
    });
  }

  /** A value on one line, with infos as {@link plainInfo}. */
  show(value: unknown): string {
    return inspect(plain(value), { depth: null, breakLength: Infinity, compact: true });
  }

  /** Returns when the server has handled all that was sent to it, and the clients all that it answered. */
  async #settle(): Promise<void> {
    await this.#eachOpen(async (client) => {
      if (!client.isWorker) return;
      const workerId = PROBE + ++this.#probes;
      client.send({ type: "heartbeat", workerId });
      await until(
        () => this.#probesSeen.has(workerId) || !client.isOpen,
        `${client.name} is heard`,
        PATIENCE_MS,
      );
    });
    await this.#eachOpen((client) => client.ping());
    const expected = (): number =>
      this.#clients.filter((client) => client.endIsLogged).length + this.#releases;
    await until(
      () => this.#closingsLogged === expected(),
      "the end of every connection is logged, once",
      PATIENCE_MS,
    );
    // Handlers that were told of an end may have sent something.
    await this.#eachOpen((client) => client.ping());
  }

  async #eachOpen(act: (client: StageClient) => Promise<void>): Promise<void> {
    const open = this.#clients.filter((client) => client.isOpen);
    await Promise.all(open.map((client) => Promise.race([act(client), client.closed])));
  }

  #logged(level: string, args: unknown[]): void {
    const [message, context] = args as [string, { workerId?: unknown }?];
    const workerId = context?.workerId;
    if (typeof workerId === "string" && workerId.startsWith(PROBE)) {
      this.#probesSeen.add(workerId);
      return;
    }
    if (CLOSINGS.has(message)) this.#closingsLogged++;
    // One line shows how many arguments there were, too.
    this.note([level, ...args.map((one) => this.show(one))].join(" "));
  }

  #frame(seen: string): string {
    return seen.replace(/(?<="nextHeartbeatDeadline":")[^"]+/, (text) => {
      const offMs = Date.parse(text) - Date.now() - this.#heartbeatTimeoutMs;
      return Math.abs(offMs) < 15_000 && new Date(text).toISOString() === text ? "<deadline>" : text;
    });
  }

  /** Ports, session ids and the milliseconds that a machine took differ from run to run. */
  #withoutAccidents(line: string): string {
    const port = String(this.server.port || "<port>");
    return line
      .replaceAll(UUID, (uuid) => {
        if (!this.#sessions.has(uuid)) this.#sessions.set(uuid, `<session ${this.#sessions.size + 1}>`);
        return this.#sessions.get(uuid)!;
      })
      .replaceAll(port, "<port>")
      .replace(/(?<=timeSinceHeartbeat: )\d+/, (ms) => `<${Math.round(Number(ms) / 30_000)} half minutes>`);
  }
}

function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) {
    return value;
  }
  if ("sessionId" in value && "pendingRequestIds" in value) return plainInfo(value as WorkerInfo);
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

/** What an info says, without its moments: those of the native side go on while the clock of the tests stands still. */
function plainInfo({ connectedAt, lastHeartbeat, ...info }: WorkerInfo): object {
  const silentMs = Date.now() - lastHeartbeat.getTime();
  // Adding 0 turns -0 into 0.
  return { ...info, beat: lastHeartbeat === connectedAt ? "never" : Math.round(silentMs / 30_000) + 0 };
}
