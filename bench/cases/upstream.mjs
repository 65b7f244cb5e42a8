import { driven } from "../lib/measure.mjs";

const sizes = [
  ["100 B", 100],
  ["1 KiB", 1024],
  ["16 KiB", 16 * 1024],
];
/** What models write beside plain ASCII. */
const beyondAscii = [
  ["1 KiB of text", "text"],
  ["1 KiB of Chinese", "chinese"],
  ["1 KiB with emoji", "emoji"],
  ["1 KiB with typographic quotes", "quotes"],
].map(([name, shape]) => ({ name, size: 1024, workers: 16, batch: 64, shape }));
/** Many frames per write: what fits into so many bytes. */
const WRITE = 64 * 1024;

/** Messages to a handler, as fast as flow control lets them come. */
export function upstreamCases({ quick }) {
  const timing = quick ? { warmup: 400, seconds: 0.7 } : { warmup: 700, seconds: 1.5 };
  const points = sizes.flatMap(([name, size]) =>
    [1, 16, 256, 1000].flatMap((workers) => [
      { name, size, workers, batch: 1 },
      { name, size, workers, batch: Math.max(2, Math.floor(WRITE / size)) },
    ]),
  );
  const contenders = quick ? ["ours", "peer"] : ["ours", "peer", "helped"];
  const some = quick ? points.filter(isTelling) : points;
  return [...some, ...beyondAscii].map((point) => upstream(point, timing, contenders));
}

/** Those that a quick look needs. */
function isTelling({ size, workers, batch }) {
  if (workers === 16) return size === 100 || batch > 1;
  return size === 100 && (workers === 1 ? batch > 1 : workers === 1000 && batch === 1);
}

function upstream({ name, size, workers, batch, shape = "ascii" }, timing, contenders) {
  const writes = batch === 1 ? "one frame per write" : "many frames per write";
  return {
    id: `upstream/${name}, ${workers.toLocaleString("en-US")} ${workers === 1 ? "worker" : "workers"}, ${writes}`,
    contenders,
    figures: [{ key: "per_second", title: "messages/s" }],
    run: driven("upstream", { workers, size, batch, shape, ...timing }),
  };
}
