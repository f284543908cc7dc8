// What the stack itself can move, without an emulator: a raw guest in the stack's process, a server on loopback in
// another. Processor time a gigabyte says more than MB/s, for the guest's part is in it either way, and a busy machine
// changes it less.

import { Child } from "../support/child.mjs";
import { measureInTurn } from "../support/rounds.mjs";

const SECONDS = 2;
const SETTINGS = {
  "MTU 1500": ["1500"],
  "MTU 1500, offloads": ["1500", "offloads"],
  "MTU 65520": ["65520"],
};
const MANY = 16;

export const description =
  "the stack alone: MB/s and processor time a GB, MTU 1500 with and without offloads, and 65520";
export const defaultRounds = 5;

async function transfer(stack, verb, port, count) {
  const { bytes, seconds, cpuSeconds } = await stack.ask(verb, port, SECONDS, count);
  return { rate: bytes / 1e6 / seconds, cpu: cpuSeconds / (bytes / 1e9) };
}

export async function run({ rounds, progress }) {
  const server = new Child("traffic-server");
  const stacks = Object.values(SETTINGS).map((args) => new Child("raw-stack", args));
  try {
    const ports = await server.ask("listen");
    const variants = Object.fromEntries(
      Object.keys(SETTINGS).map((name, i) => [name, () => measureStack(stacks[i], ports)]),
    );
    const series = await measureInTurn({ rounds, variants, progress });
    return { measures: toMeasures(series) };
  } finally {
    await Promise.all([server, ...stacks].map((child) => child.stop()));
  }
}

async function measureStack(stack, ports) {
  const down = await transfer(stack, "download", ports.source, 1);
  const up = await transfer(stack, "upload", ports.sink, 1);
  const downMany = await transfer(stack, "download", ports.source, MANY);
  const upMany = await transfer(stack, "upload", ports.sink, MANY);
  return {
    "download MB/s": down.rate,
    "download CPU s/GB": down.cpu,
    "upload MB/s": up.rate,
    "upload CPU s/GB": up.cpu,
    [`download by ${MANY} connections MB/s`]: downMany.rate,
    [`download by ${MANY} connections CPU s/GB`]: downMany.cpu,
    [`upload by ${MANY} connections MB/s`]: upMany.rate,
    [`upload by ${MANY} connections CPU s/GB`]: upMany.cpu,
  };
}

function toMeasures(series) {
  const [first] = Object.values(series);
  return Object.keys(first).map((key) => {
    const [, what, unit] = /^(.*) (MB\/s|CPU s\/GB)$/.exec(key);
    const values = Object.fromEntries(
      Object.entries(series).map(([variant, byName]) => [variant, byName[key]]),
    );
    return { what, unit, values };
  });
}
