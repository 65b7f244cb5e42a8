/*
 * npm run bench:profile -- "http/handler, 1" [--peer]
 *
 * Runs one case of the full list once more and shows where the server's time goes: the functions of the JavaScript thread
 * (node --cpu-prof) and, where `perf` is installed, those of all threads and of the kernel. The names of the add-on's
 * functions come from the file beside it (scripts/lib/symbols.mjs).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Refusal, main } from "../scripts/lib/project.mjs";
import { capture } from "../scripts/lib/run.mjs";
import { allCases } from "./cases/index.mjs";
import { buildAll } from "./lib/build.mjs";
import { contenders } from "./lib/contenders.mjs";
import { descriptorLimit } from "./lib/machine.mjs";
import { functionsOf } from "./lib/cpu-profile.mjs";

/** How many functions are shown. */
const most = 25;

await main(async () => {
  const { one, who } = options();
  await buildAll();
  const folder = mkdtempSync(join(tmpdir(), "bench-profile-"));
  try {
    const profiled = { ...contenders[who], endsBy: "SIGTERM" };

    contenders.profiled = { ...profiled, flags: ["--cpu-prof", `--cpu-prof-dir=${folder}`] };
    await one.run("profiled");
    process.stdout.write(`${one.id}, ${who}: the JavaScript thread\n`);
    for (const { share, name } of functionsOf(folder).slice(0, most)) line(share, name);

    const data = join(folder, "perf.data");
    // The clock, since many virtual machines have no counters.
    const record = [
      "perf",
      "record",
      "--quiet",
      "--event=cpu-clock",
      "--freq=2000",
      `--output=${data}`,
      "--",
    ];
    if ((await capture("perf", ["--version"])).code !== 0) return;
    contenders.profiled = { ...profiled, under: record };
    await one.run("profiled");
    process.stdout.write("\nthreads, by program and kernel\n");
    process.stdout.write(await report(data, "comm,dso"));
    process.stdout.write("\ntheir functions\n");
    process.stdout.write(await report(data, "comm,dso,symbol"));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

function options() {
  const { values, positionals } = parseArgs({
    options: { peer: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const [filter] = positionals;
  const one = allCases({ quick: false, limit: descriptorLimit() }).find(({ id }) => id.includes(filter));
  if (filter === undefined || one === undefined) {
    throw new Refusal("Expected a part of a case's id, as `npm run bench` shows them.");
  }
  return { one, who: values.peer ? "peer" : "ours" };
}

async function report(data, sort) {
  const args = ["report", "--no-children", `--sort=${sort}`, `--input=${data}`, "--stdio", "--quiet"];
  const { stdout } = await capture("perf", args);
  const lines = stdout.split("\n").filter((text) => /^\s*\d/.test(text));
  return `${lines.slice(0, most).join("\n")}\n`;
}

function line(share, name) {
  process.stdout.write(`${(share * 100).toFixed(1).padStart(6)} %  ${name}\n`);
}
