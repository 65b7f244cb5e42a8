import { inProject } from "./project.mjs";
import { capture } from "./run.mjs";

/*
 * The names of the add-on's functions and lines, which profilers and debuggers want and users need not download: on Linux
 * they are moved to a file beside the add-on, where those tools look for it by themselves. Elsewhere, and without
 * `objcopy`, they are left out.
 */

/** What cargo has to be told to leave the names in; nothing where they cannot be moved out. */
export async function symbolSettings() {
  if (process.platform !== "linux" || (await capture("objcopy", ["--version"])).code !== 0) return undefined;
  return { CARGO_PROFILE_RELEASE_STRIP: "none", CARGO_PROFILE_RELEASE_DEBUG: "line-tables-only" };
}

/** Moves the names of an add-on in native/ to `<add-on>.debug`; the exit code of what failed, or 0. */
export async function moveSymbolsOut(addOn) {
  const cwd = inProject("native");
  const symbols = `${addOn}.debug`;
  const steps = [
    ["--only-keep-debug", "--compress-debug-sections", addOn, symbols],
    ["--strip-all", `--add-gnu-debuglink=${symbols}`, addOn],
  ];
  for (const step of steps) {
    const { code, output } = await capture("objcopy", step, { cwd });
    if (code !== 0) {
      process.stderr.write(output);
      return code;
    }
  }
  return 0;
}
