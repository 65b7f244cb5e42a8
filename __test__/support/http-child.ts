import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/** A server with handlers and a health path in a process of its own (http-process.cjs). */
export class HttpChild {
  static readonly #all = new Set<HttpChild>();
  readonly #child: ChildProcess;

  private constructor(
    child: ChildProcess,
    readonly port: number,
  ) {
    this.#child = child;
    HttpChild.#all.add(this);
  }

  static async start(): Promise<HttpChild> {
    const child = fork(join(__dirname, "http-process.cjs"), { execArgv: [] });
    const [{ port }] = await once(child, "message");
    return new HttpChild(child, port);
  }

  static async endAll(): Promise<void> {
    const all = [...HttpChild.#all];
    HttpChild.#all.clear();
    await Promise.all(all.map((process) => process.#end()));
  }

  /** Its resident memory in bytes: now, and the most since this was last asked. */
  async memory(): Promise<{ now: number; most: number }> {
    this.#child.send({ order: "memory" });
    const [memory] = await once(this.#child, "message");
    return memory;
  }

  /** Blocks its event loop; returns when the block begins. */
  async block(ms: number): Promise<void> {
    this.#child.send({ order: "block", ms });
    await once(this.#child, "message");
  }

  async #end(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}
