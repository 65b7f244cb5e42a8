import type { Settlement } from "./types.js";

/** Ends a request in flight, on whichever worker it is. */
export type Release = (requestId: string, completed: boolean) => void;

/** Makes the functions that end the request which a message is about; null: it names none. */
export type SettlementFactory = (requestId: string | null) => Settlement;

/** Lets a request be ended once. Without an id there is nothing to end. */
export function settlementOf(requestId: string | null, release: Release): Settlement {
  let isSettled = requestId === null;
  const settle = (completed: boolean) => {
    if (isSettled) return;
    isSettled = true;
    release(requestId!, completed);
  };
  return { complete: () => settle(true), fail: () => settle(false) };
}
