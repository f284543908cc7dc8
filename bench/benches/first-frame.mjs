// How long until a guest can speak: from `import` to the answer to an ARP request, in a new process each round.

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { measureInTurn } from "../support/rounds.mjs";

export const description = "time from import to the first frame answered, in new processes";
export const defaultRounds = 15;

const script = fileURLToPath(new URL("../processes/first-frame.mjs", import.meta.url));
const execute = promisify(execFile);

async function runOnce() {
  const { stdout } = await execute(process.execPath, [script]);
  return JSON.parse(stdout);
}

const LABELS = {
  total: "from import to the first frame answered",
  import: "of that: import slirp-wasm/node",
  create: "of that: createSlirp, which reads and compiles the module",
  answer: "of that: first turns and the answer",
  process: "the same from the start of the process",
};

export async function run({ rounds, progress }) {
  const series = await measureInTurn({ rounds, variants: { node: runOnce }, progress });
  return {
    measures: Object.entries(LABELS).map(([key, what]) => ({
      what,
      unit: "ms",
      values: { node: series.node[key] },
    })),
  };
}
