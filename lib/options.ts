import { inspect } from "node:util";
import type { WorkerServerLogger, WorkerServerOptions } from "./types.js";

/** Options as the server uses them. */
export interface CheckedOptions {
  /** As given; checked when listening, since that is when Node refuses a bad one. */
  port: unknown;
  authTokens: string[];
  heartbeatTimeoutMs: number;
  healthCheckIntervalMs: number;
  heartbeatIntervalMs: number;
  logger: WorkerServerLogger | undefined;
}

const DEFAULTS = {
  heartbeatTimeoutMs: 60_000,
  healthCheckIntervalMs: 10_000,
  heartbeatIntervalMs: 15_000,
};

/** Applies the defaults; a value of a wrong type is a TypeError that names the option. */
export function checkOptions(options: WorkerServerOptions): CheckedOptions {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`options: expected an object, got ${inspect(options)}`);
  }
  const { authToken, logger } = options;
  if (authToken !== undefined && typeof authToken !== "string") {
    throw new TypeError(`options.authToken: expected a string, got ${authToken === null ? "null" : typeof authToken}`);
  }
  return {
    port: options.port,
    authTokens: authToken === undefined ? [] : [authToken],
    heartbeatTimeoutMs: milliseconds(options, "heartbeatTimeoutMs"),
    healthCheckIntervalMs: milliseconds(options, "healthCheckIntervalMs"),
    heartbeatIntervalMs: milliseconds(options, "heartbeatIntervalMs"),
    logger: logger ?? undefined,
  };
}

function milliseconds(options: WorkerServerOptions, name: keyof typeof DEFAULTS): number {
  const value: unknown = options[name] ?? DEFAULTS[name];
  if (typeof value === "number" && value >= 0) return value;
  throw new TypeError(`options.${name}: expected a number >= 0, got ${inspect(value)}`);
}
