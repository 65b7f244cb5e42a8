import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

export interface FleetReport {
  /** Sockets closed since the start. */
  readonly closed: number;
  /** Heartbeats answered within the period. */
  readonly answers: number;
  /** Pings answered within the period. */
  readonly pongs: number;
  /** The longest time within the period that any worker went without an answer. */
  readonly longestGap: number;
  /** Milliseconds within which 99 % of the heartbeats were answered. */
  readonly wait: number;
}

/** Beating workers in a process of their own: they go on while this process is blocked. */
export class Fleet {
  static readonly #all = new Set<Fleet>();
  readonly #process: ChildProcess;
  #orders = 0;

  private constructor(port: number, count: number, beatEveryMs: number) {
    const script = join(__dirname, "fleet-process.cjs");
    this.#process = fork(script, [port, count, beatEveryMs].map(String), { execArgv: [] });
  }

  /** Returns when all workers are registered and beating. */
  static async start(port: number, count: number, beatEveryMs: number): Promise<Fleet> {
    const fleet = new Fleet(port, count, beatEveryMs);
    Fleet.#all.add(fleet);
    await once(fleet.#process, "message");
    return fleet;
  }

  static async endAll(): Promise<void> {
    const all = [...Fleet.#all];
    Fleet.#all.clear();
    await Promise.all(all.map((fleet) => fleet.#end()));
  }

  report(from: number, to: number): Promise<FleetReport> {
    return this.#order<FleetReport>("report", { from, to });
  }

  /** Has every worker send so many "step" messages and a ping, that long after the call. */
  async later(afterMs: number, messages: number): Promise<void> {
    await this.#order("later", { afterMs, messages });
  }

  #order<Result>(order: string, details: object): Promise<Result> {
    const id = ++this.#orders;
    return new Promise((resolve) => {
      const listen = (message: { id?: number; result: Result }) => {
        if (message.id !== id) return;
        this.#process.off("message", listen);
        resolve(message.result);
      };
      this.#process.on("message", listen);
      this.#process.send({ id, order, ...details });
    });
  }

  async #end(): Promise<void> {
    if (this.#process.exitCode !== null) return;
    this.#process.kill();
    await once(this.#process, "exit");
  }
}
