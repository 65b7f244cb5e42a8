import { once } from "node:events";
import { type AddressInfo, connect } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import { frameSequences } from "./support/frame-sequences";
import { frame, upgradeRequest } from "./support/raw-connection";
import type { WorkerServerLogger } from "../index.js";
import { startServer, stopServers } from "./support/test-server";
import { registration } from "./support/test-worker";

/*
 * Frames, good and bad, to a worker's socket and to a plain server of `ws`: both must deliver the same messages,
 * report the same errors and answer with the same control frames, the close code among them.
 */

interface Outcome {
  /** The types of the messages delivered. */
  readonly messages: string[];
  /** Control frames that came back: opcode and payload. */
  readonly frames: [number, string][];
  /** The texts of the errors that the server reported. */
  readonly errors: string[];
}

/** What a server reports of one connection. */
type Report = Pick<Outcome, "messages" | "errors">;

interface Recorder {
  readonly port: number;
  /** Resolves when the server has reported the end of the connection. */
  readonly ended: Promise<void>;
}

/** Of all messages in the sequences. */
const types = ["a", "b", "c", "late", "é", "\ufffd"];

const plainServers = new Set<WebSocketServer>();

afterEach(async () => {
  for (const server of plainServers) {
    for (const client of server.clients) client.terminate();
    server.close();
  }
  plainServers.clear();
  await stopServers();
});

async function servePlain({ messages, errors }: Report): Promise<Recorder> {
  const server = new WebSocketServer({ port: 0 });
  plainServers.add(server);
  const ended = new Promise<void>((resolve) => {
    server.on("connection", (socket: WebSocket) => {
      socket.on("error", (error) => errors.push(error.message));
      socket.on("close", () => resolve());
      socket.on("message", (data: Buffer) => {
        const { type } = JSON.parse(data.toString()) as { type: string };
        if (type === "worker_registration") socket.send("ack");
        else messages.push(type);
      });
    });
  });
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, ended };
}

async function serveWorkers({ messages, errors }: Report): Promise<Recorder> {
  const logger: WorkerServerLogger = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (message, context) => {
      expect(message).toBe("Worker WebSocket error");
      errors.push(context!["error"] as string);
    },
  };
  const { server, port } = await startServer({ logger });
  for (const type of types) server.onWorkerMessage(type, () => void messages.push(type));
  const ended = new Promise<void>((resolve) => server.onWorkerDisconnected(() => resolve()));
  return { port, ended };
}

/** Registers, sends everything in one packet or byte by byte, then closes with 4999, and returns the control frames. */
async function play(port: number, sequence: Buffer[], slowly: boolean): Promise<[number, string][]> {
  const socket = connect(port, "127.0.0.1").setNoDelay();
  // A reset behind the close frame is as good as an end.
  socket.on("error", () => {});
  let received = Buffer.alloc(0);
  let wake = (): void => {};
  socket.on("data", (chunk) => {
    received = Buffer.concat([received, chunk]);
    wake();
  });
  const closed = once(socket, "close");
  const take = async (length: number): Promise<Buffer> => {
    while (received.length < length) {
      const more = new Promise<void>((resolve) => (wake = resolve));
      const open = await Promise.race([more.then(() => true), closed.then(() => false)]);
      if (!open && received.length < length) throw new Error("closed without a close frame");
    }
    const taken = received.subarray(0, length);
    received = received.subarray(length);
    return taken;
  };
  const next = async (): Promise<[number, string]> => {
    const [first, short] = await take(2);
    const length = short === 126 ? (await take(2)).readUInt16BE() : short!;
    return [first! & 0x0f, (await take(length)).toString("latin1")];
  };

  socket.write(upgradeRequest());
  let head = "";
  while (!head.endsWith("\r\n\r\n")) head += (await take(1)).toString("latin1");
  expect(head).toMatch(/^HTTP\/1\.1 101 /);
  socket.write(frame("text", JSON.stringify(registration())));
  await next();

  const bytes = Buffer.concat([...sequence, frame("close", Buffer.from([4999 >> 8, 4999 & 0xff]))]);
  const packets = slowly ? [...bytes].map((byte) => Buffer.from([byte])) : [bytes];
  for (const packet of packets) {
    if (socket.writable) await new Promise((written) => socket.write(packet, written));
  }
  const frames: [number, string][] = [];
  do frames.push(await next());
  while (frames.at(-1)![0] !== 8);
  socket.end();
  await closed;
  return frames;
}

async function outcome(
  serve: (report: Report) => Promise<Recorder>,
  sequence: Buffer[],
  slowly: boolean,
): Promise<Outcome> {
  const report: Report = { messages: [], errors: [] };
  const { port, ended } = await serve(report);
  const frames = await play(port, sequence, slowly);
  await ended;
  return { ...report, frames };
}

describe.each([
  ["in one packet", false],
  ["byte by byte", true],
])("%s", (_how, slowly) => {
  test.each(frameSequences)("%s", async (_name, sequence) => {
    const [ours, theirs] = await Promise.all([
      outcome(serveWorkers, sequence, slowly),
      outcome(servePlain, sequence, slowly),
    ]);

    expect(ours).toEqual(theirs);
  });
});
