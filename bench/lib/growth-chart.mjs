import { summary } from "./statistics.mjs";

const width = 860;
const height = 460;
/** The area of the plot, with room for the names of the lines to its right. */
const plot = { left: 74, right: 610, top: 58, bottom: 396 };
const lines = [
  { contender: "peer", key: "trackRelease", name: "peer: track + release", colour: "#b45309", dash: "6 4" },
  { contender: "peer", key: "select", name: "peer: getAvailableWorker", colour: "#b45309" },
  { contender: "ours", key: "trackRelease", name: "ours: track + release", colour: "#1d4ed8", dash: "6 4" },
  { contender: "ours", key: "select", name: "ours: getAvailableWorker", colour: "#1d4ed8" },
];

/**
 * An SVG with the cost of a call against the number of workers, both logarithmic. Nothing if the cases of one model
 * (cases/calls.mjs) were measured at fewer than two sizes.
 */
export function growthChart(cases) {
  const points = cases.filter(({ id }) => /^calls\/.*, 1 model$/.test(id));
  const series = lines.map((line) => ({ line, points: points.flatMap((one) => point(one, line)) }));
  const all = series.flatMap((one) => one.points);
  const xs = all.map(({ x }) => x);
  if (new Set(xs).size < 2) return undefined;
  const scale = {
    x: logScale(xs, plot.left, plot.right),
    y: logScale(
      all.map(({ y }) => y),
      plot.bottom,
      plot.top,
    ),
  };
  const body = [...grid(scale), ...series.map((one) => drawn(one, scale)), ...labels(series, scale)];
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, sans-serif" font-size="13" fill="#1f2937">
<title>Cost of selecting a worker and of tracking a request, by the number of workers</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="${plot.left}" y="26" font-size="16" font-weight="600">Cost per call by the number of workers</text>
<text x="${plot.left}" y="45" fill="#6b7280">nanoseconds on the JavaScript thread; both axes logarithmic</text>
${body.join("\n")}
<text x="${(plot.left + plot.right) / 2}" y="${height - 18}" text-anchor="middle">workers connected</text>
</svg>
`;
}

function point({ workers, samples }, { contender, key }) {
  const y = summary(samples[contender], key)?.median;
  return y === undefined ? [] : [{ x: workers, y }];
}

/** Whole decades around the values. */
function logScale(values, from, to) {
  const low = Math.floor(Math.log10(Math.min(...values)) + 1e-9);
  const high = Math.ceil(Math.log10(Math.max(...values)) - 1e-9);
  const at = (value) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  return { at, decades: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)) };
}

function grid({ x, y }) {
  const rule = (x1, y1, x2, y2) => `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#e5e7eb"/>`;
  return [
    ...x.decades.flatMap((value) => [
      rule(round(x.at(value)), plot.top, round(x.at(value)), plot.bottom),
      `<text x="${round(x.at(value))}" y="${plot.bottom + 20}" text-anchor="middle">${value.toLocaleString("en-US")}</text>`,
    ]),
    ...y.decades.flatMap((value) => [
      rule(plot.left, round(y.at(value)), plot.right, round(y.at(value))),
      `<text x="${plot.left - 8}" y="${round(y.at(value)) + 4}" text-anchor="end">${duration(value)}</text>`,
    ]),
  ];
}

function drawn({ line: { colour, dash }, points }, { x, y }) {
  const path = points.map((one) => `${round(x.at(one.x))},${round(y.at(one.y))}`);
  const dots = path.map((place) => {
    const [cx, cy] = place.split(",");
    return `<circle cx="${cx}" cy="${cy}" r="3.5" fill="${colour}"/>`;
  });
  const style = dash ? ` stroke-dasharray="${dash}"` : "";
  return `<polyline points="${path.join(" ")}" fill="none" stroke="${colour}" stroke-width="2"${style}/>${dots.join("")}`;
}

/** Each name at the end of its line, moved apart where they would touch. */
function labels(series, { x, y }) {
  const ends = series
    .filter(({ points }) => points.length > 0)
    .map(({ line: { name, colour }, points }) => ({
      name,
      colour,
      x: x.at(points.at(-1).x),
      y: y.at(points.at(-1).y),
    }))
    .toSorted((a, b) => a.y - b.y);
  for (let i = 1; i < ends.length; i++) ends[i].y = Math.max(ends[i].y, ends[i - 1].y + 17);
  return ends.map(
    (end) => `<text x="${round(end.x) + 10}" y="${round(end.y) + 4}" fill="${end.colour}">${end.name}</text>`,
  );
}

function duration(ns) {
  if (ns >= 1e6) return `${ns / 1e6} ms`;
  return ns >= 1e3 ? `${ns / 1e3} us` : `${ns} ns`;
}

function round(value) {
  return Math.round(value * 10) / 10;
}
