import { spawn } from "node:child_process";
import { root } from "./project.mjs";

const onWindows = process.platform === "win32";

/** What a command printed, and how it ended; a program that cannot be started ends with code 127. */
export function capture(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = launch(command, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text;
      output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => (output += text));
    child.once("error", (error) => resolve({ code: 127, stdout, output: `${output}${error.message}\n` }));
    child.once("close", (code, signal) =>
      resolve({ code: code ?? 1, stdout, output: output + ended(signal) }),
    );
  });
}

/** Runs a command whose output the user should see as it comes (on stderr, so that stdout stays ours). */
export function show(command, args, options = {}) {
  return new Promise((resolve) => {
    const child = launch(command, args, { ...options, stdio: ["ignore", 2, 2] });
    child.once("error", (error) => {
      process.stderr.write(`${error.message}\n`);
      resolve(127);
    });
    child.once("close", (code) => resolve(code ?? 1));
  });
}

function launch(command, args, { env, ...options }) {
  // On Windows npm and its tools are .cmd files, which only a shell starts.
  return spawn(command, args, { cwd: root, shell: onWindows, env: { ...process.env, ...env }, ...options });
}

function ended(signal) {
  return signal ? `ended by ${signal}\n` : "";
}
