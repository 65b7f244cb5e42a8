/* node bench/chart.mjs: draws docs/benchmark-growth.svg anew from bench/results/documented.json. */
import { readFileSync, writeFileSync } from "node:fs";
import { Refusal, inProject, main } from "../scripts/lib/project.mjs";
import { growthChart } from "./lib/growth-chart.mjs";

await main(async () => {
  const chart = growthChart(
    JSON.parse(readFileSync(inProject("bench/results/documented.json"), "utf8")).cases,
  );
  if (chart === undefined) throw new Refusal("The results have too few numbers of workers for a chart.");
  writeFileSync(inProject("docs/benchmark-growth.svg"), chart);
});
