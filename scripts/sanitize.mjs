/*
 * npm run sanitize [-- <jest patterns>]
 *
 * Runs tests of the add-on under AddressSanitizer: unless told, those of its border, its lifecycle and its connections.
 * Linux on x86-64 or arm64 with glibc, gcc's libasan (Debian: it comes with gcc) and the stable toolchain. The compiler
 * flag is an unstable one, so RUSTC_BOOTSTRAP=1 is set for this build, which goes to target/asan and nowhere else.
 */
import { copyFileSync, existsSync } from "node:fs";
import { ensureBuilt } from "./lib/builds.mjs";
import { Refusal, inProject, main, tool } from "./lib/project.mjs";
import { capture, show } from "./lib/run.mjs";

const usual = [
  "native-border",
  "lifecycle",
  "process",
  "worker-threads",
  "replacement",
  "__test__/messages",
  "endpoints-handshake",
  "endpoints-lifecycle",
  "http-faults",
  "frames-as-ws",
];

await main(async () => {
  const runtime = await asanRuntime();
  const host = await hostTriple();
  await ensureBuilt("native", "facade");
  const build = ["build", "--lib", `--target=${host}`, `--target-dir=${inProject("target", "asan")}`];
  const flags = { RUSTC_BOOTSTRAP: "1", RUSTFLAGS: "-Zsanitizer=address", CARGO_PROFILE_DEV_OPT_LEVEL: "1" };
  if ((await show("cargo", build, { env: flags })) !== 0) {
    throw new Refusal("Could not build the add-on with AddressSanitizer (the compiler's output is above).");
  }
  const addon = inProject("target", "asan", "worker-server-native.node");
  copyFileSync(inProject("target", "asan", host, "debug", "libworker_server_native.so"), addon);
  const patterns = process.argv.length > 2 ? process.argv.slice(2) : usual;
  // One process, so that what is found ends it; and slow, so tests get more time.
  const setup = inProject("scripts", "lib", "sanitized-addon.cjs");
  const jest = [...patterns, "--ci", "--runInBand", "--testTimeout=120000", `--setupFiles=${setup}`];
  const code = await show(tool("jest"), jest, {
    env: {
      LD_PRELOAD: runtime,
      SANITIZED_ADDON: addon,
      // Node gives much of its memory back only by ending.
      ASAN_OPTIONS: "detect_leaks=0:halt_on_error=1:detect_stack_use_after_return=1:handle_segv=1",
    },
  });
  if (code !== 0) throw new Refusal("A test failed, or AddressSanitizer has found something (see above).");
});

/** The library that has to be there before Node, since Node itself is not instrumented. */
async function asanRuntime() {
  if (process.platform !== "linux") throw new Refusal("AddressSanitizer is run on Linux only.");
  const { code, stdout } = await capture("gcc", ["-print-file-name=libasan.so"]);
  const path = stdout.trim();
  // It prints the bare name of a file that it does not find.
  if (code === 0 && path.startsWith("/") && existsSync(path)) return path;
  throw new Refusal(
    "gcc's libasan.so is needed: install gcc with its sanitizers (Debian: libgcc-12-dev or newer).",
  );
}

async function hostTriple() {
  const { stdout } = await capture("rustc", ["--version", "--verbose"]);
  return /^host: (.*)$/m.exec(stdout)[1];
}
