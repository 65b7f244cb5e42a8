import { once } from "node:events";
import { type Socket, connect } from "node:net";
import type { TestWorker } from "./test-worker";

const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

export interface Answer {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** The head of a correct upgrade request; a header can be replaced or, with `undefined`, left out. */
export function upgradeRequest(
  headers: Record<string, string | undefined> = {},
  requestLine = "GET /ws HTTP/1.1",
): string {
  return requestHead(requestLine, {
    Host: "127.0.0.1",
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    ...headers,
  });
}

export function requestHead(requestLine: string, headers: Record<string, string | undefined>): string {
  const lines = Object.entries(headers)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}: ${value}\r\n`);
  return `${requestLine}\r\n${lines.join("")}\r\n`;
}

/** A client frame; masked with zeros, so that the payload can be read on the wire. */
export function frame(
  opcode: keyof typeof OPCODE,
  payload: string | Buffer = "",
  { fin = true, masked = true, reservedBits = 0 } = {},
): Buffer {
  const data = Buffer.from(payload as string);
  const first = (fin ? 0x80 : 0) | (reservedBits << 4) | OPCODE[opcode];
  const mask = masked ? 0x80 : 0;
  const head =
    data.length < 126
      ? Buffer.from([first, mask | data.length])
      : Buffer.from([first, mask | 126, data.length >> 8, data.length & 0xff]);
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0), data]);
}

/** Puts bytes on the wire of an open WebSocket, past its own framing. */
export function writeRaw(worker: TestWorker, bytes: Buffer): void {
  (worker.socket as unknown as { _socket: Socket })._socket.write(bytes);
}

/** Opens a TCP connection, writes the request and returns all that came when the server closed it. */
export async function exchange(port: number, request: string | Buffer): Promise<Answer> {
  const socket = connect(port, "127.0.0.1");
  // A server may reset a connection it refused; what it said before counts.
  socket.on("error", () => {});
  socket.write(request);
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk) => (text += chunk));
  await once(socket, "close");
  return parseAnswer(text);
}

/** Opens a TCP connection, writes the request and reads until the text has come; fails if the server closes first. */
export async function readUntil(
  port: number,
  request: string | Buffer,
  expected: string,
): Promise<{ socket: Socket; text: string }> {
  const socket = connect(port, "127.0.0.1");
  socket.setEncoding("latin1");
  socket.write(request);
  let text = "";
  return new Promise((resolve, reject) => {
    socket.on("data", (chunk) => {
      text += chunk;
      if (text.includes(expected)) resolve({ socket, text });
    });
    socket.once("error", reject);
    socket.once("close", () => reject(new Error(`closed after ${JSON.stringify(text)}`)));
  });
}

export function parseAnswer(text: string): Answer {
  const headEnd = text.indexOf("\r\n\r\n");
  const [statusLine, ...lines] = text.slice(0, headEnd).split("\r\n");
  const headers = lines.map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return {
    status: Number(statusLine?.split(" ")[1]),
    headers: Object.fromEntries(headers),
    body: text.slice(headEnd + 4),
  };
}
