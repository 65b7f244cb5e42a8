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
  healthPath?: string;
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
    throw expected("options", "an object", options);
  }
  const { authToken } = options;
  // Without what was given, which may be a secret in the wrong form.
  if (authToken !== undefined && typeof authToken !== "string") {
    throw new TypeError(
      `options.authToken: expected a string, got ${authToken === null ? "null" : typeof authToken}`,
    );
  }
  const port: unknown = options.port ?? 0;
  if (typeof port !== "number" && typeof port !== "string") throw expected("options.port", "a number", port);
  const logger: unknown = options.logger ?? undefined;
  if (logger !== undefined && typeof logger !== "object" && typeof logger !== "function") {
    throw expected("options.logger", "an object with the methods debug, info, warn and error", logger);
  }
  return {
    port: options.port,
    authTokens: authToken === undefined ? [] : [authToken],
    ...healthPathOf(options),
    heartbeatTimeoutMs: milliseconds(options, "heartbeatTimeoutMs"),
    healthCheckIntervalMs: milliseconds(options, "healthCheckIntervalMs"),
    heartbeatIntervalMs: milliseconds(options, "heartbeatIntervalMs"),
    logger: logger as WorkerServerLogger | undefined,
  };
}

function milliseconds(options: WorkerServerOptions, name: keyof typeof DEFAULTS): number {
  const value: unknown = options[name] ?? DEFAULTS[name];
  if (typeof value === "number" && value >= 0) return value;
  throw expected(`options.${name}`, "a number >= 0", value);
}

function healthPathOf({ healthPath }: WorkerServerOptions): { healthPath?: string } {
  if (healthPath === undefined) return {};
  if (typeof healthPath === "string" && healthPath.startsWith("/")) return { healthPath };
  throw expected("options.healthPath", 'a string that starts with "/"', healthPath);
}

function expected(name: string, what: string, value: unknown): TypeError {
  return new TypeError(
    `${name}: expected ${what}, got ${typeof value === "string" ? JSON.stringify(value) : inspect(value)}`,
  );
}
