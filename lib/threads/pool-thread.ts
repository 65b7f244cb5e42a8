import { join } from "node:path";
import { MessageChannel, Worker, receiveMessageOnPort, type MessagePort } from "node:worker_threads";
import type { ResolvedConfig } from "./config.js";
import { WorkerState, WorkerTaskType } from "./enums.js";
import type { FromThread, ThreadSetup, ToThread } from "./runtime/messages.js";
import type { ThreadModules } from "./script-url.js";
import { ThreadHandle } from "./thread-handle.js";
import { WorkerRecord } from "./worker-record.js";

const MIB = 1024 * 1024;

const bootstrap = join(__dirname, "runtime", "bootstrap.js");

/** What a thread tells its owner. */
export interface ThreadEvents {
  /** The thread has loaded its script. */
  onReady(thread: PoolThread): void;
  /** The thread has answered a ping, or sent a heartbeat. */
  onHeartbeat(thread: PoolThread): void;
  /** The thread has ended. `error` is what ended it, if anything did. */
  onExit(thread: PoolThread, exitCode: number, error: Error | undefined): void;
}

/** One thread of a pool. */
export class PoolThread {
  readonly info: WorkerRecord;
  readonly slot: number;
  /** Its place among the threads, from 0. */
  readonly index: number;
  /** What ended the thread, from its exit on. */
  exit: { readonly code: number; readonly error: Error | undefined } | undefined;
  /** Why it takes no further tasks. */
  recycling: "tasks" | "memory" | undefined;
  /** It is recycled after its task. */
  isOverMemory = false;
  readonly #worker: Worker;
  readonly #handle: ThreadHandle;
  readonly #control: MessagePort;
  readonly #events: ThreadEvents;
  readonly #posted = new Map<number, unknown>();
  #lastPing = 0;
  /** What waits for the answers to pings. */
  readonly #pings = new Map<number, () => void>();
  #lastUtilization: ReturnType<Worker["performance"]["eventLoopUtilization"]> | undefined;

  /** @throws if the thread cannot be made */
  constructor(
    place: { id: string; slot: number; index: number; pool: number },
    config: ResolvedConfig,
    modules: ThreadModules,
    events: ThreadEvents,
  ) {
    this.info = new WorkerRecord(place.id);
    this.slot = place.slot;
    this.index = place.index;
    this.#events = events;
    const { port1, port2 } = new MessageChannel();
    this.#control = port1;
    const setup: ThreadSetup = {
      isWorkerServerNativeThread: true,
      pool: place.pool,
      slot: place.slot,
      control: port2,
      taskTypes: Object.keys(WorkerTaskType),
      ...modules,
      workerData: config.workerData ?? null,
    };
    try {
      this.#worker = new Worker(bootstrap, {
        workerData: setup,
        transferList: [port2],
        resourceLimits: {
          maxOldGenerationSizeMb: Math.max(1, Math.floor(config.maxWorkerMemory / MIB)),
          ...config.resourceLimits,
        },
        ...(config.env !== undefined && { env: config.env }),
        ...(config.execArgv !== undefined && { execArgv: config.execArgv }),
      });
    } catch (error) {
      port1.close();
      throw error;
    }
    // A message beside the protocol, sent before the port was taken over, is nobody's.
    this.#handle = new ThreadHandle(this.#worker, (code, error) => {
      this.#takePosted();
      this.#control.close();
      this.exit = { code, error };
      this.#events.onExit(this, code, error);
    });
    this.#listen();
  }

  /** Whether the thread can run tasks, now or soon. */
  get isLive(): boolean {
    const { state } = this.info;
    return (state === WorkerState.IDLE || state === WorkerState.BUSY) && this.recycling === undefined;
  }

  #listen(): void {
    const worker = this.#worker;
    this.info.threadId = worker.threadId;
    this.#control.on("message", (message: FromThread) => {
      this.#receive(message);
    });
    // The pool keeps the process alive while there are tasks.
    this.#control.unref();
    worker.unref();
  }

  send(message: ToThread): void {
    const port = message.kind === "payload" ? message.port : undefined;
    this.#control.postMessage(message, port === undefined ? [] : [port]);
  }

  /** The result of a task that was sent as a message. The message has come before this is asked. */
  postedResult(task: number): unknown {
    this.#takePosted();
    const value = this.#posted.get(task);
    this.#posted.delete(task);
    return value;
  }

  /** Pings the thread; false if it does not answer in time. */
  async ping(timeoutMs: number): Promise<boolean> {
    const sequence = ++this.#lastPing;
    this.send({ kind: "ping", sequence });
    return new Promise((resolve) => {
      const finish = (isAnswered: boolean): void => {
        clearTimeout(timer);
        this.#pings.delete(sequence);
        resolve(isAnswered);
      };
      const timer = setTimeout(finish, timeoutMs, false);
      this.#pings.set(sequence, () => {
        finish(true);
      });
    });
  }

  /** Share of time that the event loop was busy since the last call. */
  sampleUtilization(): number {
    const { performance } = this.#worker;
    const current = performance.eventLoopUtilization();
    const { utilization } =
      this.#lastUtilization === undefined
        ? current
        : performance.eventLoopUtilization(current, this.#lastUtilization);
    this.#lastUtilization = current;
    this.info.cpuUtilization = Number.isFinite(utilization) ? Math.min(1, Math.max(0, utilization)) : 0;
    return this.info.cpuUtilization;
  }

  /** Ends the thread, whatever it does. Resolves when it has ended. */
  async terminate(): Promise<void> {
    await this.#handle.terminate();
  }

  #receive(message: FromThread): void {
    switch (message.kind) {
      case "ready":
        this.info.online = true;
        this.info.memoryUsed = message.memory;
        this.info.lastHeartbeat = Date.now();
        this.#events.onReady(this);
        break;
      case "pong":
        this.#recordHeartbeat(message.memory);
        this.#pings.get(message.sequence)?.();
        break;
      case "heartbeat":
        this.#recordHeartbeat(message.memory);
        break;
      case "posted":
        this.#posted.set(message.task, message.value);
    }
  }

  #recordHeartbeat(memory: number): void {
    this.info.memoryUsed = memory;
    this.info.lastHeartbeat = Date.now();
    this.#events.onHeartbeat(this);
  }

  /** Results come before the actions that tell of them, and may still lie in the port. */
  #takePosted(): void {
    for (;;) {
      const received = receiveMessageOnPort(this.#control) as { message: FromThread } | undefined;
      if (received === undefined) return;
      this.#receive(received.message);
    }
  }
}
