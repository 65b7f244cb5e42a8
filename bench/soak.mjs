/*
 * npm run bench:soak [-- --minutes 30] [--workers 10000] [--load 0.7] [--contender peer]
 *
 * Requests at 70 % of what the server can do, for 30 minutes, with 10,000 workers of whom some go and others come all the
 * time. Fails (exit code 1) if the memory or the file descriptors grow, or if a message is lost: everything is counted at
 * both ends. What was seen goes to bench/results/soak.json.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { Refusal, inProject, main } from "../scripts/lib/project.mjs";
import { buildAll } from "./lib/build.mjs";
import { contenders } from "./lib/contenders.mjs";
import { number } from "./lib/format.mjs";
import { generate } from "./lib/generator.mjs";
import { descriptorLimit, machine } from "./lib/machine.mjs";
import { growth, growthLine, watch } from "./lib/process-watch.mjs";
import { ServerProcess } from "./lib/server-process.mjs";

/** Workers replaced a second. */
const churn = 20;
/** Requests in flight at most. */
const most = 5_000;
/** How much more is still flat: a heap breathes, and connections that come and go are open a moment longer. */
const allowed = { rssMb: 0.05, descriptors: 0.005 };

await main(async () => {
  const { minutes, workers, load, contender } = options();
  await buildAll();
  const capacity = await once(contender, { workers, churn, most, rate: 10_000_000, seconds: 10 });
  const rate = Math.floor(capacity.figures.per_second * load);
  say(`${number(capacity.figures.per_second)} requests/s at most; ${minutes} minutes at ${number(rate)}`);

  const soaked = await once(contender, { workers, churn, most, rate, seconds: minutes * 60 });
  const { figures, costs, samples } = soaked;
  const grown = growth(samples, allowed);
  const faults = Object.entries(soaked.faults).filter(([, count]) => count !== 0);
  say(
    `${number(figures.requests)} requests (${number(figures.per_second)}/s, p99 ${number(figures.p99_us)} us), ` +
      `${number(figures.replaced)} workers replaced, ${number(figures.left_unanswered)} requests left unanswered by them`,
  );
  for (const one of grown) say(growthLine(one));
  say(
    faults.length === 0
      ? "no message lost"
      : `LOST: ${faults.map(([what, count]) => `${what} ${count}`).join(", ")}`,
  );
  const record = {
    machine: machine(),
    contender,
    workers,
    minutes,
    rate,
    churn,
    figures,
    costs,
    faults: soaked.faults,
    grown,
    samples,
  };
  writeFileSync(inProject("bench/results/soak.json"), `${JSON.stringify(record)}\n`);
  if (faults.length > 0 || grown.some(({ isFlat }) => !isFlat)) process.exitCode = 1;
});

function options() {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "30" },
      workers: { type: "string", default: "10000" },
      load: { type: "string", default: "0.7" },
      contender: { type: "string", default: "ours" },
    },
  });
  const [minutes, workers, load] = ["minutes", "workers", "load"].map((name) => Number(values[name]));
  if (!(minutes > 0 && load > 0 && workers > 0))
    throw new Refusal("--minutes, --workers and --load: numbers > 0.");
  if (workers > descriptorLimit() - 1000)
    throw new Refusal(`--workers: this system allows ${descriptorLimit()} descriptors.`);
  if (!(values.contender in contenders))
    throw new Refusal(`--contender: one of ${Object.keys(contenders).join(", ")}.`);
  return { minutes, workers, load, contender: values.contender };
}

/** One run against a new server, watched from outside. */
async function once(contender, soak) {
  const server = await ServerProcess.start(contender);
  const watching = watch(server.pid, soak.seconds / 200);
  try {
    const found = await generate(server, "soak", soak, { timeout: (soak.seconds + 120) * 1000 });
    return { ...found, samples: watching.samples };
  } finally {
    watching.stop();
    await server.stop();
  }
}

function say(line) {
  process.stdout.write(`${line}\n`);
}
