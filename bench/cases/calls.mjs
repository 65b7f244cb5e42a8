import { driven } from "../lib/measure.mjs";
import { fitting } from "./index.mjs";

const calls = {
  select: "select, ns",
  selectNone: "select, nobody, ns",
  slots: "slot count, ns",
  info: "getWorkerInfo, ns",
  trackRelease: "track+release, ns",
  cycle: "select+track+release, ns",
};
const withCategories = {
  selectCategory: "select, category, ns",
  slotsCategory: "slot count, category, ns",
  trackReleaseCategory: "track+release, category, ns",
};

/** The server's own calls with so many workers, of which each has one of 1 or 50 models, and with categories. */
export function callCases(scale) {
  const { quick } = scale;
  const crowds = fitting(quick ? [10, 1000, 10_000] : [10, 100, 1000, 10_000, 100_000], scale);
  return crowds.flatMap((workers) => {
    const one = timed(workers, "1 model", { models: 1 }, calls, quick);
    if (quick && workers !== 1000) return one;
    const many = timed(workers, "50 models", { models: 50 }, calls, quick);
    return [one, many, timed(workers, "categories", { models: 1, limits: true }, withCategories, quick)];
  });
}

function timed(workers, kind, options, names, quick) {
  return {
    id: `calls/${workers.toLocaleString("en-US")} workers, ${kind}`,
    workers,
    figures: Object.entries(names).map(([key, title]) => ({ key, title, speed: true, costless: true })),
    run: driven("calls", { workers, calls: Object.keys(names).join(","), ms: quick ? 10 : 30, ...options }),
  };
}
