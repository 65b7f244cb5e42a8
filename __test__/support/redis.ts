import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, refusalOf } from "./ports";

const PAUSE_MS = 10;
const DEADLINE_MS = 10_000;

export interface RedisOptions {
  /** Further options of `redis-server`. */
  readonly args?: readonly string[];
  readonly port?: number;
  readonly isSentinel?: boolean;
}

/** A redis-server of its own on loopback, with its files in a temporary folder. */
export class TestRedis {
  static readonly #all = new Set<TestRedis>();
  readonly port: number;
  readonly #folder: string;
  readonly #options: RedisOptions;
  #process: ChildProcess | undefined;

  private constructor(port: number, folder: string, options: RedisOptions) {
    this.port = port;
    this.#folder = folder;
    this.#options = options;
  }

  static async start(options: RedisOptions = {}): Promise<TestRedis> {
    const folder = await mkdtemp(join(tmpdir(), "wsn-redis-"));
    const redis = new TestRedis(options.port ?? (await freePort()), folder, options);
    TestRedis.#all.add(redis);
    await redis.restart();
    return redis;
  }

  /** Ends all that were started. */
  static async stopAll(): Promise<void> {
    await Promise.all([...TestRedis.#all].map((redis) => redis.stop()));
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`;
  }

  /** Starts it without data, after it was killed. */
  async restart(): Promise<void> {
    const { args = [], isSentinel = false } = this.#options;
    const config = join(this.#folder, "redis.conf");
    const lines = [`port ${this.port}`, "bind 127.0.0.1", `dir ${this.#folder}`];
    if (!isSentinel) lines.push('save ""', "appendonly no");
    await writeFile(config, `${[...lines, ...args].join("\n")}\n`);
    const flags = isSentinel ? ["--sentinel"] : [];
    this.#process = spawn("redis-server", [config, ...flags], { stdio: "ignore" });
    const deadline = performance.now() + DEADLINE_MS;
    while (!(await this.#answers())) {
      if (performance.now() > deadline) throw new Error(`redis-server on port ${this.port} does not answer`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }

  /** Ends it at once, like a power failure. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined || process.exitCode !== null || process.signalCode !== null) return;
    process.kill("SIGKILL");
    await once(process, "exit");
  }

  /** Stops it without ending it: it accepts connections and answers nothing. */
  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    TestRedis.#all.delete(this);
    await this.kill();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Sends one command, in a connection of its own; returns the reply as it comes. */
  async command(...words: string[]): Promise<string> {
    const socket = connect(this.port, "127.0.0.1");
    socket.setEncoding("utf8");
    const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
    // The answer to the second command ends that to the first; without a login both are refused.
    socket.write(`*${words.length}\r\n${parts.join("")}*1\r\n$4\r\nPING\r\n`);
    let reply = "";
    for await (const chunk of socket) {
      reply += chunk;
      if (/(?:\+PONG|-NOAUTH[^\r]*|-LOADING[^\r]*)\r\n$/.test(reply)) break;
    }
    return reply.replace(/\+PONG\r\n$/, "");
  }

  async #answers(): Promise<boolean> {
    if ((await refusalOf(this.port)) !== undefined) return false;
    // With a password it refuses the command, but it answers.
    return !(await this.command("PING")).startsWith("-LOADING");
  }
}
