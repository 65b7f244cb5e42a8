import { inProject } from "../../scripts/lib/project.mjs";

/** Makes `ws` leave `bufferutil` alone. */
const withoutHelper = { WS_NO_BUFFER_UTIL: "1" };

/**
 * Who is measured; all run the same server script. Who is profiled also has `flags` for Node, a command to run `under`, and
 * a signal that it `endsBy`.
 */
export const contenders = {
  ours: { module: inProject("index.js"), env: withoutHelper },
  peer: { module: inProject("bench/peer/index.js"), env: withoutHelper },
  /** The peer with the native helper of `ws` for masks. */
  helped: { module: inProject("bench/peer/index.js"), env: {} },
};
