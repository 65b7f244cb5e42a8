import { driven } from "../lib/measure.mjs";

const sizes = [
  ["100 B", 100],
  ["1 KiB", 1024],
  ["16 KiB", 16 * 1024],
];
/** Many frames per write: what fits into so many bytes. */
const WRITE = 64 * 1024;

/** Messages to a handler, as fast as flow control lets them come. */
export function upstreamCases({ quick }) {
  const crowds = quick ? [1, 16, 1000] : [1, 16, 256, 1000];
  const timing = quick ? { warmup: 500, seconds: 0.8 } : { warmup: 700, seconds: 1.5 };
  const points = sizes.flatMap(([name, size]) =>
    crowds.flatMap((workers) => [
      { name, size, workers, batch: 1 },
      { name, size, workers, batch: Math.max(2, Math.floor(WRITE / size)) },
    ]),
  );
  const matrix = points
    .filter(({ size, workers, batch }) => !quick || size === 100 || (workers === 16 && batch > 1))
    .map((point) => upstream(point, timing));
  const beyondAscii = { name: "1 KiB of text", size: 1024, workers: 16, batch: 64, shape: "text" };
  return quick ? matrix : [...matrix, upstream(beyondAscii, timing)];
}

function upstream({ name, size, workers, batch, shape = "ascii" }, timing) {
  const writes = batch === 1 ? "one frame per write" : "many frames per write";
  return {
    id: `upstream/${name}, ${workers.toLocaleString("en-US")} ${workers === 1 ? "worker" : "workers"}, ${writes}`,
    contenders: ["ours", "peer", "helped"],
    figures: [{ key: "per_second", title: "messages/s" }],
    run: driven("upstream", { workers, size, batch, shape, ...timing }),
  };
}
