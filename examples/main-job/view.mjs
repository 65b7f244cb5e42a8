const lastResults = 8;
const refreshMillis = 100;

/** What a person wants to see: on a terminal a table that is drawn again and again, else one line per result. */
export function createView(server, dispatcher) {
  return process.stdout.isTTY ? new LiveView(server, dispatcher) : new LineView();
}

class LineView {
  result(result) {
    process.stdout.write(`${resultLine(result)}\n`);
  }
  stop() {}
}

class LiveView {
  #server;
  #dispatcher;
  #results = [];
  #height = 0;
  #timer;

  constructor(server, dispatcher) {
    this.#server = server;
    this.#dispatcher = dispatcher;
    this.#timer = setInterval(() => this.#draw(), refreshMillis);
  }

  result(result) {
    this.#results.push(resultLine(result));
    if (this.#results.length > lastResults) this.#results.shift();
  }

  stop() {
    clearInterval(this.#timer);
    this.#draw();
  }

  #draw() {
    const lines = [
      ...workerTable(this.#server.getWorkerInfo()),
      "",
      `${this.#dispatcher.inFlight} requests in flight, ${this.#dispatcher.queued} queued (Ctrl-C stops)`,
      "",
      ...this.#results,
    ].map((line) => line.slice(0, (process.stdout.columns || 80) - 1));
    // Back to where the last drawing began, and clear what is below.
    const back = this.#height > 0 ? `\x1b[${this.#height}A\x1b[0J` : "";
    process.stdout.write(`${back}${lines.join("\n")}\n`);
    this.#height = lines.length;
  }
}

function workerTable(workers) {
  const rows = workers.map(({ name, status, capabilities, activeRequests, completedRequests }) => [
    name,
    status,
    `${activeRequests}/${capabilities.maxConcurrentRequests}`,
    String(completedRequests),
    capabilities.models.map(({ modelId }) => modelId).join(", "),
  ]);
  return table([["WORKER", "STATUS", "ACTIVE", "COMPLETED", "MODELS"], ...rows]);
}

function resultLine({ requestId, model, category, worker, result, millis }) {
  return table(
    [[requestId, worker, model, category, `${millis.toFixed(0)} ms`, result]],
    [8, 5, 12, 10, 7],
  )[0];
}

/** The summary of a finished run. */
export function summary(results, seconds) {
  const millis = results.map((result) => result.millis).toSorted((a, b) => a - b);
  const byWorker = new Map();
  for (const { worker } of results) byWorker.set(worker, (byWorker.get(worker) ?? 0) + 1);
  return [
    `${results.length} requests in ${seconds.toFixed(1)} s`,
    ...[...byWorker].toSorted().map(([worker, count]) => `  ${worker}: ${count}`),
    `latency p50 ${quantile(millis, 0.5)} ms, p99 ${quantile(millis, 0.99)} ms`,
  ].join("\n");
}

function quantile(sorted, share) {
  if (sorted.length === 0) return "-";
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(0);
}

function table(rows, leastWidths = []) {
  const widths = rows[0].map((_, column) =>
    Math.max(leastWidths[column] ?? 0, ...rows.map((row) => row[column].length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]))
      .join("  ")
      .trimEnd(),
  );
}
