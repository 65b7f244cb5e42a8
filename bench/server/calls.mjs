/*
 * Times the server's synchronous calls, with the workers that are there. What is asked for is a different model each time
 * if the workers have several.
 */
const CATEGORY = "local";
const ROUNDS = 5;
/** A server's code has long been compiled when a fleet is busy; so has this before it is timed. */
const WARM_MS = 250;

/** Keeps results from being optimised away. */
const kept = { result: undefined };

/** Nanoseconds per call by the call's name; the median of some rounds of `ms` each. `calls`: only those. */
export function timeCalls(server, ids, { ms, calls, models }) {
  // Of more models than workers, nobody has the last ones.
  const all = measurements(server, ids, Number(ms), modelNames(Math.min(Number(models), ids.length)));
  const names = calls ? calls.split(",") : Object.keys(all);
  return Object.fromEntries(names.map((name) => [name, all[name]()]));
}

function measurements(server, ids, ms, names) {
  let asked = 0;
  const model = () => names[asked++ % names.length];
  return {
    select: () => time(ms, () => (kept.result = server.getAvailableWorker(model()))),
    selectCategory: () => time(ms, () => (kept.result = server.getAvailableWorker(model(), CATEGORY))),
    selectNone: () => time(ms, () => (kept.result = server.getAvailableWorker("no-such-model"))),
    slots: () => time(ms, () => (kept.result = server.getAvailableSlotCount(model()))),
    slotsCategory: () => time(ms, () => (kept.result = server.getAvailableSlotCount(model(), CATEGORY))),
    info: () => time(ms, () => (kept.result = server.getWorkerInfo())),
    trackRelease: () => timeTracking(server, ids, ms, undefined),
    trackReleaseCategory: () => timeTracking(server, ids, ms, CATEGORY),
    cycle: () => timeCycle(server, ms, model),
  };
}

/** As the generator names them. */
function modelNames(count) {
  return Array.from({ length: count }, (_, number) => `model-${String(number).padStart(2, "0")}`);
}

/** What an application does for a request: select, track, release. */
function timeCycle(server, ms, model) {
  let number = 0;
  return time(ms, () => {
    const requestId = `request-${number++ % 10_000}`;
    server.trackRequest(server.getAvailableWorker(model()).id, requestId);
    server.releaseRequest(requestId, { incrementCompleted: true });
  });
}

/** Requests in flight on random workers; for each that is released, another one is tracked. */
function timeTracking(server, ids, ms, category) {
  const random = randomNumbers();
  const inFlight = Math.min(ids.length * 2, 1_000);
  const requests = Array.from({ length: inFlight }, (_, i) => `request-${String(i).padStart(8, "0")}`);
  const someWorker = () => ids[random() % ids.length];
  for (const id of requests) server.trackRequest(someWorker(), id, category);
  const ns = time(ms, () => {
    const id = requests[random() % inFlight];
    server.releaseRequest(id, { incrementCompleted: true });
    server.trackRequest(someWorker(), id, category);
  });
  for (const id of requests) server.releaseRequest(id);
  return ns;
}

/** The median of the rounds, in nanoseconds per call. */
function time(ms, call) {
  const count = calibrate(ms, call);
  const rounds = Array.from({ length: ROUNDS }, () => (elapsed(count, call) * 1e6) / count);
  return rounds.toSorted((a, b) => a - b)[Math.floor(ROUNDS / 2)];
}

/** How many calls take so long, when the code is warm. */
function calibrate(ms, call) {
  for (const end = performance.now() + WARM_MS; performance.now() < end;) call();
  let count = 1;
  let took = elapsed(count, call);
  while (took < ms / 3) {
    count *= took < ms / 30 ? 4 : 2;
    took = elapsed(count, call);
  }
  return Math.max(1, Math.ceil((count * ms) / took));
}

function elapsed(count, call) {
  const began = performance.now();
  for (let i = 0; i < count; i++) call();
  return performance.now() - began;
}

/** The same ones each time. */
function randomNumbers() {
  let state = 12_345;
  return () => (state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0) >>> 8;
}
