import { driven } from "../lib/measure.mjs";
import { fitting } from "./index.mjs";

const figures = [
  { key: "rss_each", title: "RSS bytes per worker" },
  { key: "rss_each_before_gc", title: "before a collection" },
];

/** What an idle worker costs, also once it has sent something large. */
export function memoryCases(scale) {
  const { quick } = scale;
  const idle = fitting(quick ? [1000, 10_000] : [1000, 10_000, 50_000], scale);
  const after = quick ? [1000] : [1000, 10_000];
  return [
    ...idle.map((workers) => memory("idle", workers, {})),
    ...after.map((workers) => memory("after 60 KB", workers, { message: 60_000 })),
  ];
}

function memory(kind, workers, options) {
  return {
    id: `${kind}/${workers.toLocaleString("en-US")} workers`,
    // The same each time.
    rounds: 2,
    figures,
    run: driven("memory", { workers, ...options }),
  };
}
