import { isAnyArrayBuffer } from "node:util/types";
import type { CloseReason } from "./close-reasons.js";
import type { WorkerSocket } from "./types.js";

/** `readyState` of a socket that takes messages. */
export const OPEN = 1;
/** From here on nothing arrives. */
export const CLOSING = 2;

/** A byte order mark is no JSON, so it stays. */
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** What `ws` hands out: a Buffer, or by `binaryType` an ArrayBuffer or the fragments. */
export function textOf(data: unknown): string {
  if (Array.isArray(data)) return Buffer.concat(data).toString();
  const isBinary = isAnyArrayBuffer(data) || ArrayBuffer.isView(data);
  return isBinary ? decoder.decode(data as ArrayBuffer) : String(data);
}

/** Whether the socket took the text. */
export function sendText(socket: WorkerSocket, text: string): boolean {
  try {
    socket.send(text);
    return true;
  } catch {
    // Its end will be told by itself.
    return false;
  }
}

export function closeSocket(socket: WorkerSocket, { code, reason }: CloseReason): void {
  try {
    socket.close(code, reason);
  } catch {
    // Closed already, or not open yet.
  }
}
