/** Options of {@link RedisStore}: exactly one of `url`, `cluster` and `sentinel`. */
export interface RedisStoreOptions {
  /** One server: `redis://`, `rediss://` (TLS) or `redis+unix://`. */
  url?: string;
  /** Addresses of some servers of a cluster. */
  cluster?: string[];
  /** A master that sentinels know; the login is that of the sentinels. */
  sentinel?: { urls: string[]; master: string; username?: string; password?: string };
  /** Replaces the one in the address. */
  username?: string;
  /** Replaces the one in the address. */
  password?: string;
  /** For `rediss://`: certificates in PEM. Default: what the system trusts. */
  tls?: { ca?: string; cert?: string; key?: string; rejectUnauthorized?: boolean };
  /** Start of all keys: 1 to 32 of `A-Z a-z 0-9 . _ -`. One registry, one prefix. Default: `wsn`. */
  prefix?: string;
  /** How long a call may take, in milliseconds: 50 to 60,000. Default: 2,000. */
  commandTimeoutMs?: number;
}

const PREFIX = /^[A-Za-z0-9._-]{1,32}$/;
const SCHEME = /^(?:rediss?|redis\+unix|unix):\/\//;
const TLS_TEXTS = ["ca", "cert", "key"] as const;

/** @throws TypeError that names the option. No text shows an address, which may have a password in it. */
export function redisOptionsOf(options: RedisStoreOptions): RedisStoreOptions {
  if (typeof options !== "object" || options === null) throw new TypeError("options must be an object");
  const { url, cluster, sentinel, prefix = "wsn", commandTimeoutMs = 2_000, tls } = options;
  const given = [url, cluster, sentinel].filter((value) => value !== undefined);
  if (given.length !== 1) throw new TypeError("exactly one of url, cluster and sentinel must be given");
  if (url !== undefined) address("url", url);
  if (cluster !== undefined) addresses("cluster", cluster);
  if (sentinel !== undefined) sentinelOptions(sentinel);
  text("username", options.username);
  text("password", options.password);
  if (tls !== undefined) tlsOptions(tls);
  if (typeof prefix !== "string" || !PREFIX.test(prefix)) {
    throw new TypeError("prefix must be 1 to 32 of A-Z, a-z, 0-9, '.', '_' and '-'");
  }
  if (!Number.isInteger(commandTimeoutMs) || commandTimeoutMs < 50 || commandTimeoutMs > 60_000) {
    throw new TypeError("commandTimeoutMs must be an integer from 50 to 60000");
  }
  return { ...options, prefix, commandTimeoutMs };
}

function sentinelOptions(sentinel: NonNullable<RedisStoreOptions["sentinel"]>): void {
  if (typeof sentinel !== "object" || sentinel === null) throw new TypeError("sentinel must be an object");
  addresses("sentinel.urls", sentinel.urls);
  if (typeof sentinel.master !== "string" || sentinel.master === "") {
    throw new TypeError("sentinel.master must be the name of a master");
  }
  text("sentinel.username", sentinel.username);
  text("sentinel.password", sentinel.password);
}

function tlsOptions(tls: NonNullable<RedisStoreOptions["tls"]>): void {
  if (typeof tls !== "object" || tls === null) throw new TypeError("tls must be an object");
  for (const name of TLS_TEXTS) text(`tls.${name}`, tls[name]);
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw new TypeError("tls.cert and tls.key must be given together");
  }
  const { rejectUnauthorized } = tls;
  if (rejectUnauthorized !== undefined && typeof rejectUnauthorized !== "boolean") {
    throw new TypeError("tls.rejectUnauthorized must be a boolean");
  }
}

function addresses(name: string, values: string[]): void {
  if (!Array.isArray(values) || values.length === 0) {
    throw new TypeError(`${name} must be an array of addresses`);
  }
  values.forEach((value, index) => address(`${name}[${index}]`, value));
}

function address(name: string, value: string): void {
  if (typeof value !== "string" || !SCHEME.test(value)) {
    throw new TypeError(`${name} must be an address that starts with redis://, rediss:// or redis+unix://`);
  }
}

function text(name: string, value: string | undefined): void {
  if (value !== undefined && typeof value !== "string") throw new TypeError(`${name} must be a string`);
}
