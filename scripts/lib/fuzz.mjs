/*
 * The short run of the fuzz targets in `npm test`: every seed and some seconds of mutations, then the message scanner
 * against JSON.parse. For a long run see scripts/fuzz.mjs.
 */
import { readdirSync } from "node:fs";
import { inProject } from "./project.mjs";
import { capture } from "./run.mjs";

/** Messages of which JSON.parse and the scanner must say the same. */
const messageCount = 100_000;

export function fuzzTargets() {
  return readdirSync(inProject("fuzz", "seeds")).toSorted();
}

/** How many seeds and targets held and failed, and what was printed. */
export async function fuzzCheck(limits) {
  const replayed = await replay([], limits);
  const printed = await replay(["--messages", String(messageCount)], { ...limits, maxBuffer: Infinity });
  const wrong = printed.code === 0 ? wrongVerdicts(printed.stdout) : [printed.output];
  const counts = /^replay: (\d+) passed; (\d+) failed$/m.exec(replayed.output);
  return {
    passed: Number(counts?.[1] ?? 0) + (wrong.length === 0 ? 1 : 0),
    failed: Number(counts?.[2] ?? 1) + (wrong.length === 0 ? 0 : 1),
    output: `${replayed.output}${wrong.slice(0, 10).join("\n")}\n`,
  };
}

function replay(args, limits) {
  const features = ["--no-default-features", "--bin=replay"];
  // The dependencies are those of the product's own tests, so they are built already.
  const where = ["--manifest-path=fuzz/Cargo.toml", `--target-dir=${inProject("target")}`];
  return capture("cargo", ["run", "--quiet", ...where, ...features, "--", ...args], limits);
}

/** What the scanner says is not what JSON.parse says. */
export function wrongVerdicts(lines) {
  return lines.split("\n").filter((line) => line !== "" && !isRight(JSON.parse(line)));
}

function isRight({ text, isJson, verdict }) {
  const message = parsed(text);
  // What is taken for JSON is joined with other messages, so it has to be, and nothing else may be lost.
  if (isJson !== (message !== undefined)) return false;
  const isObject = typeof message === "object" && message !== null && !Array.isArray(message);
  const type = isObject && Object.hasOwn(message, "type") ? message.type : undefined;
  switch (verdict.kind) {
    case "heartbeat":
      return type === "heartbeat" && ["workerId", "timestamp"].every((name) => sameMember(name));
    case "registration":
      return (
        type === "worker_registration" &&
        ["workerId", "workerName", "capabilities"].every((name) => sameMember(name)) &&
        verdict.token === tokenOf(message.authToken)
      );
    case "invalid":
      return message === undefined;
    case "untyped":
      return message !== undefined && typeof type !== "string";
    default:
      return type !== "heartbeat" && type !== "worker_registration";
  }

  /** The raw text of a member that the scanner found, or null, means what JSON.parse found. */
  function sameMember(name) {
    const raw = verdict[name];
    if (raw === null) return !Object.hasOwn(message, name);
    return JSON.stringify(JSON.parse(raw)) === JSON.stringify(message[name]);
  }
}

/** `undefined`: it is no JSON. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A token that is absent is the empty one, and one that is no string is none. */
function tokenOf(value) {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value.toWellFormed() : null;
}
