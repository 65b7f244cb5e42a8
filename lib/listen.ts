import { getSystemErrorMap, inspect } from "node:util";

/** What `net.Server.listen(port)` makes of a port: a number, or the path of a pipe. Throws its RangeError for a bad one. */
export function listenAddress(port: unknown): number | string {
  if (port === undefined || port === null) return 0;
  if (typeof port === "string" && !(Number(port) >= 0)) return port;
  const number = typeof port === "string" && port.trim() === "" ? NaN : Number(port);
  const isNumeric = typeof port === "number" || typeof port === "string";
  if (isNumeric && Number.isInteger(number) && number >= 0 && number < 65_536) return number;
  const received = `type ${typeof port} (${inspect(port)})`;
  const error = new RangeError(`options.port should be >= 0 and < 65536. Received ${received}.`);
  throw Object.assign(error, { code: "ERR_SOCKET_BAD_PORT" });
}

/** An error like Node's own for an address that cannot be listened on. */
export function listenError(
  errno: number,
  address: string,
  requested: number | string,
): NodeJS.ErrnoException {
  const [code, text] = getSystemErrorMap().get(-errno) ?? ["UNKNOWN", "unknown error"];
  const where = typeof requested === "number" ? `${address}:${requested}` : address;
  const error = new Error(`listen ${code}: ${text} ${where}`);
  const port = typeof requested === "number" ? { port: requested } : {};
  return Object.assign(error, { code, errno: -errno, syscall: "listen", address, ...port });
}
