import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { cpus, release, totalmem } from "node:os";
import { execFileSync } from "node:child_process";
import { inProject } from "../../scripts/lib/project.mjs";

/** What was measured, and on what. */
export function machine() {
  const require = createRequire(inProject("bench/peer/index.js"));
  return {
    date: new Date().toISOString(),
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    ws: require("ws/package.json").version,
    bufferutil: require("bufferutil/package.json").version,
    rustc: output("rustc", "--version").split(" ")[1],
    commit: output("git", "rev-parse", "--short", "HEAD") || "unknown",
    loadBefore: Number(readFileSync("/proc/loadavg", "utf8").split(" ")[0]),
    descriptorLimit: descriptorLimit(),
  };
}

/** Most file descriptors of a process, and so most connections of a server. */
export function descriptorLimit() {
  const limits = readFileSync("/proc/self/limits", "utf8");
  const hard = /^Max open files\s+\S+\s+(\S+)/m.exec(limits)[1];
  return hard === "unlimited" ? Infinity : Number(hard);
}

function output(command, ...args) {
  try {
    return execFileSync(command, args, { cwd: inProject("."), encoding: "utf8", stdio: "pipe" }).trim();
  } catch {
    return "";
  }
}
