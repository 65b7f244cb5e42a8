import { parseArgs } from "node:util";

export const usage = "npm start -- [--once] [--port <number>]";

/** The options of the command line; throws an Error whose message is for the user. */
export function readOptions(args) {
  const { values } = parseArgs({
    args,
    options: {
      once: { type: "boolean", default: false },
      port: { type: "string", default: "19100" },
    },
  });
  const port = Number(values.port);
  if (values.port === "" || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new Error(`--port: expected a number from 0 to 65535, got "${values.port}"`);
  }
  return { once: values.once, port };
}
