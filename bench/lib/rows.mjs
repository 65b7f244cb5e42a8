import { number, percent, range, times } from "./format.mjs";
import { ratio, summary } from "./statistics.mjs";

/** The table's columns: a title, a width in the terminal, and what stands there. */
const columns = [
  ["case", 50, ({ title, id }) => title ?? id],
  ["figure", 22, (_, figure) => figure.title],
  ["ours (min–max)", 28, ({ samples }, { key }) => range(summary(samples.ours, key))],
  ["peer (min–max)", 28, ({ samples }, { key }) => range(summary(samples.peer, key))],
  ["ratio", 9, ({ samples }, figure) => times(ratio(figure, samples.ours, samples.peer))],
  ["ratio, bufferutil", 18, ({ samples }, figure) => times(ratio(figure, samples.ours, samples.helped))],
  ["CPU us each", 15, cost("cpu_us", number)],
  ["JS us each", 15, cost("js_us", number)],
  ["event loop", 12, cost("elu", percent)],
  ["RSS MB", 12, cost("rss_mb", number)],
  ["generator", 11, cost("generator_share", percent)],
];

export const titles = columns.map(([title]) => title);

export const headerLine = line(titles);

/** The cells of a case: a row per figure. What it cost stands in the first, since it is the same run. */
export function rowCells(measured) {
  return measured.figures.map((figure, index) =>
    columns.map(([, , cell]) => cell(measured, figure, index === 0)),
  );
}

export function rowLines(measured) {
  const faults = measured.faults.map((fault) => `  !! ${fault}`);
  return [...rowCells(measured).map(line), ...faults];
}

/** Ours, then the peer's. */
function cost(key, format) {
  return ({ samples }, figure, isFirst) => {
    if (!isFirst || figure.costless) return "";
    const [ours, peer] = [summary(samples.ours, key)?.median, summary(samples.peer, key)?.median];
    return `${format(ours)} / ${format(peer)}`;
  };
}

function line(cells) {
  return cells
    .map((cell, index) => (index < 2 ? cell.padEnd(columns[index][1]) : cell.padStart(columns[index][1])))
    .join(" ")
    .trimEnd();
}
