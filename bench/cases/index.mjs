import { broadcastCases } from "./broadcast.mjs";
import { callCases } from "./calls.mjs";
import { heartbeatCases } from "./heartbeats.mjs";
import { httpCases } from "./http.mjs";
import { memoryCases } from "./memory.mjs";
import { neighbourCases } from "./neighbour.mjs";
import { registrationCases } from "./registrations.mjs";
import { requestCases } from "./requests.mjs";
import { sendCases } from "./send.mjs";
import { sizeCases } from "./size.mjs";
import { upstreamCases } from "./upstream.mjs";

/** Of a process's descriptors, what is not for connections. */
const reserved = 100;

/**
 * All cases. Each has an `id` to choose it by, the figures to show, and `run(name)`; some have `contenders`, who takes part
 * (default: ours and the peer), and `rounds`.
 * `limit` is how many descriptors a process may have.
 */
export function allCases({ quick, limit }) {
  const scale = { quick, most: limit - reserved };
  const makers = [
    upstreamCases,
    requestCases,
    sendCases,
    broadcastCases,
    registrationCases,
    memoryCases,
    heartbeatCases,
    neighbourCases,
    callCases,
    httpCases,
    sizeCases,
  ];
  return makers.flatMap((make) => make(scale));
}

/** The numbers of workers that fit; what does not fit becomes as many as do. */
export function fitting(counts, { most }) {
  return [...new Set(counts.map((count) => Math.min(count, most)))];
}
