import { statSync } from "node:fs";
import { builtAddOn } from "../../scripts/lib/builds.mjs";
import { Refusal, inProject } from "../../scripts/lib/project.mjs";
import { capture } from "../../scripts/lib/run.mjs";

/** The add-on's file, and what `npm pack` makes of the package without it. */
export function sizeCases() {
  const kilobytes = (key, title) => ({ key, title, costless: true });
  return [
    {
      id: "size/add-on and package",
      contenders: ["ours"],
      rounds: 1,
      figures: [
        kilobytes("addon_kb", "add-on, kB"),
        kilobytes("packed_kb", "npm pack, kB"),
        kilobytes("unpacked_kb", "unpacked, kB"),
      ],
      run: sizes,
    },
  ];
}

async function sizes() {
  const { code, stdout, output } = await capture("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"]);
  if (code !== 0) throw new Refusal(`npm pack failed: ${output}`);
  const [{ size, unpackedSize }] = JSON.parse(stdout);
  const figures = {
    addon_kb: statSync(inProject("native", builtAddOn())).size / 1000,
    packed_kb: size / 1000,
    unpacked_kb: unpackedSize / 1000,
  };
  return { figures, costs: {}, faults: {} };
}
