import { inspect } from "node:util";
import { type AllowedOrigins, normalizedOrigin } from "./origins.js";
import type { WorkerServerLimits, WorkerServerLogger, WorkerServerOptions } from "./types.js";

/** Options as the server uses them. */
export interface CheckedOptions {
  /** As given; checked when listening, since that is when Node refuses a bad one. */
  port: unknown;
  logger: WorkerServerLogger | undefined;
  maxWarningsPerMinute: number | undefined;
  allowedOrigins: AllowedOrigins | undefined;
  closeTimeoutMs: number;
  /** What the native side needs to know. */
  native: {
    authTokens: string[];
    allowedOrigins?: string[];
    heartbeatTimeoutMs: number;
    heartbeatIntervalMs: number;
    healthCheckIntervalMs: number;
    healthPath?: string;
    limits: Omit<WorkerServerLimits, "maxWarningsPerMinute">;
  };
}

const DEFAULTS = {
  heartbeatTimeoutMs: 60_000,
  healthCheckIntervalMs: 10_000,
  heartbeatIntervalMs: 15_000,
};

/** The default of the limit `closeTimeoutMs`, for the sockets of endpoints; the native side has the same. */
const CLOSE_TIMEOUT_MS = 2_000;

/** The names of all limits; their defaults are the native side's, except for the log's, which is `Logger`'s. */
const LIMITS: Record<keyof WorkerServerLimits, true> = {
  maxMessageBytes: true,
  maxUnregisteredMessageBytes: true,
  maxMessageFragments: true,
  maxUnregisteredMessages: true,
  maxTokenAttempts: true,
  maxOutboxBytes: true,
  maxTotalOutboxBytes: true,
  maxBacklogBytes: true,
  maxTotalBacklogBytes: true,
  maxTotalIncompleteBytes: true,
  maxConnections: true,
  maxRequestHeadBytes: true,
  maxRequestHeaders: true,
  maxModels: true,
  maxIdBytes: true,
  maxNameBytes: true,
  maxDepth: true,
  registrationTimeoutMs: true,
  requestHeadTimeoutMs: true,
  writeTimeoutMs: true,
  closeTimeoutMs: true,
  keepAliveMs: true,
  maxWarningsPerMinute: true,
  pingIntervalMs: true,
};

/** Applies the defaults; a value of a wrong type is a TypeError that names the option. */
export function checkOptions(options: WorkerServerOptions): CheckedOptions {
  if (typeof options !== "object" || options === null) throw expected("options", "an object", options);
  const port: unknown = options.port ?? 0;
  if (typeof port !== "number" && typeof port !== "string") throw expected("options.port", "a number", port);
  const { maxWarningsPerMinute, ...limits } = checkLimits(options.limits ?? {});
  const allowedOrigins = checkOrigins(options.allowedOrigins);
  return {
    port: options.port,
    logger: checkLogger(options.logger ?? undefined),
    maxWarningsPerMinute,
    allowedOrigins,
    closeTimeoutMs: limits.closeTimeoutMs ?? CLOSE_TIMEOUT_MS,
    native: {
      authTokens: tokensOf(options),
      // "*" becomes a list of one.
      ...(allowedOrigins === undefined ? {} : { allowedOrigins: [...allowedOrigins] }),
      heartbeatTimeoutMs: milliseconds(options, "heartbeatTimeoutMs"),
      heartbeatIntervalMs: milliseconds(options, "heartbeatIntervalMs"),
      healthCheckIntervalMs: milliseconds(options, "healthCheckIntervalMs"),
      limits,
      ...checkHealthPath(options.healthPath),
    },
  };
}

function tokensOf({ authToken, authTokens }: WorkerServerOptions): string[] {
  if (authTokens === undefined)
    return authToken === undefined ? [] : checkTokens("options.authToken", authToken);
  if (authToken === undefined) return checkTokens("options.authTokens", authTokens);
  throw new TypeError("options.authTokens: expected to stand instead of options.authToken, got both");
}

/** One token or several. What was given instead is not shown, since it may be a secret in the wrong form. */
export function checkTokens(name: string, given: unknown): string[] {
  if (typeof given === "string") return [given];
  if (Array.isArray(given) && given.length > 0 && given.every((token) => typeof token === "string")) {
    return [...given];
  }
  const got = given === null ? "null" : Array.isArray(given) ? "an array of something else" : typeof given;
  throw new TypeError(`${name}: expected a string or a non-empty array of strings, got ${got}`);
}

function checkLogger(logger: unknown): WorkerServerLogger | undefined {
  if (logger === undefined || typeof logger === "object" || typeof logger === "function") {
    return logger as WorkerServerLogger | undefined;
  }
  throw expected("options.logger", "an object with the methods debug, info, warn and error", logger);
}

function checkOrigins(origins: unknown): AllowedOrigins | undefined {
  if (origins === undefined || origins === "*") return origins;
  const what = '"*" or an array of origins such as "https://example.com"';
  if (!Array.isArray(origins)) throw expected("options.allowedOrigins", what, origins);
  return new Set(
    origins.map((origin: unknown, at) => {
      const normalized = typeof origin === "string" ? normalizedOrigin(origin) : undefined;
      if (normalized !== undefined) return normalized;
      throw expected(`options.allowedOrigins[${at}]`, 'an origin such as "https://example.com"', origin);
    }),
  );
}

function checkHealthPath(healthPath: unknown): { healthPath?: string } {
  if (healthPath === undefined) return {};
  if (typeof healthPath === "string" && healthPath.startsWith("/")) return { healthPath };
  throw expected("options.healthPath", 'a string that starts with "/"', healthPath);
}

function checkLimits(limits: WorkerServerLimits): WorkerServerLimits {
  if (typeof limits !== "object") throw expected("options.limits", "an object", limits);
  const checked: WorkerServerLimits = {};
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(LIMITS, name)) throw new TypeError(`options.limits.${name}: there is no such limit`);
    if (value === undefined) continue;
    checked[name as keyof WorkerServerLimits] = checkNumber(`options.limits.${name}`, value);
  }
  return checked;
}

function milliseconds(options: WorkerServerOptions, name: keyof typeof DEFAULTS): number {
  return checkNumber(`options.${name}`, options[name] ?? DEFAULTS[name]);
}

/** Infinity is a number, NaN is none. */
export function checkNumber(name: string, value: unknown): number {
  if (typeof value === "number" && value >= 0) return value;
  throw expected(name, "a number >= 0", value);
}

function expected(name: string, what: string, value: unknown): TypeError {
  const got = typeof value === "string" ? JSON.stringify(value) : inspect(value);
  return new TypeError(`${name}: expected ${what}, got ${got}`);
}
