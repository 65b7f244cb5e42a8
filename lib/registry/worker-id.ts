import { randomInt } from "node:crypto";

const LENGTH = 9;
const CHARACTERS = "0123456789abcdefghijklmnopqrstuvwxyz";

/** `worker-<milliseconds>-<9 characters>`. */
export function newWorkerId(now: number): string {
  return `worker-${now}-${nonce()}`;
}

/** Nine characters that nobody can guess. */
export function nonce(): string {
  let text = "";
  while (text.length < LENGTH) text += CHARACTERS[randomInt(CHARACTERS.length)]!;
  return text;
}
