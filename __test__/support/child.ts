import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import type http from "node:http";
import type net from "node:net";
import { join } from "node:path";
import type { Worker } from "node:worker_threads";
import type { WebSocket } from "ws";
import type { WorkerPool, WorkerServer } from "../../index.js";

const SCRIPT = join(__dirname, "child-process.cjs");

/** What a function that runs in a child finds there (child-process.cjs). It sees nothing else of its test. */
export interface ChildScope {
  readonly WorkerServer: typeof WorkerServer;
  readonly WorkerPool: typeof WorkerPool;
  readonly WebSocket: typeof WebSocket;
  /** Of `node:worker_threads`. */
  readonly Thread: typeof Worker;
  readonly http: typeof http;
  readonly net: typeof net;
  readonly once: typeof once;
  readonly pause: (ms: number) => Promise<void>;
  readonly register: (port: number, workerId: string, overrides?: object) => Promise<WebSocket>;
  readonly inBatches: <T>(count: number, body: (index: number) => Promise<T>, size?: number) => Promise<T[]>;
  readonly frameHead: (opcode: number, length: number, fin?: boolean) => Buffer;
  readonly pour: (socket: WebSocket | net.Socket, bytes: Buffer, times: number) => Promise<boolean>;
  readonly closeOf: (socket: WebSocket) => Promise<number>;
  readonly quantile: (values: readonly number[], part: number) => number;
  readonly descriptors: () => number;
  readonly memory: () => { now: number; most: number };
  /** Stays from one function to the next. */
  readonly state: any;
}

export interface ChildOptions {
  /** Descriptors that it may have open at once. */
  readonly descriptors?: number;
  readonly env?: Record<string, string>;
}

/** A process of its own that runs functions of a test: a server with memory of its own, or its clients. */
export class Child {
  static readonly #all = new Set<Child>();
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve: (result: any) => void; reject: (error: Error) => void }>();
  #runs = 0;

  constructor({ descriptors, env }: ChildOptions = {}) {
    const command = [process.execPath, "--expose-gc", SCRIPT];
    const limited = ["-c", `ulimit -n ${descriptors}; exec "$@"`, "sh", ...command];
    const [program, args] = descriptors === undefined ? [command[0]!, command.slice(1)] : ["sh", limited];
    this.#process = spawn(program, args, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
      env: { ...process.env, ...env },
    });
    this.#process.on("message", ({ id, result, error }: { id: number; result: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(`in the child: ${error}`));
    });
    this.ended = once(this.#process, "exit").then(([code, signal]) => {
      for (const { reject } of this.#waiting.values())
        reject(new Error(`the child ended: ${code ?? signal}`));
      this.#waiting.clear();
      return { code, signal };
    });
    Child.#all.add(this);
  }

  /** Ends what a test left running. */
  static async endAll(): Promise<void> {
    const all = [...Child.#all];
    Child.#all.clear();
    await Promise.all(all.map((child) => child.kill("SIGKILL")));
  }

  /** Runs a function there, which has nothing but its arguments; both cross as JSON, so does the result. */
  run<Result, Arg = undefined>(
    body: (scope: ChildScope, arg: Arg) => Result | Promise<Result>,
    ...[arg]: Arg extends undefined ? [] : [Arg]
  ): Promise<Result> {
    const id = ++this.#runs;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#process.send({ id, body: body.toString(), arg }, (error) => error && reject(error));
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    this.#process.kill(signal);
    await this.ended;
  }
}
