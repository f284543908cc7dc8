// What an event costs beside 10 and beside 10,000 connections that do nothing: round trips of one byte, one after the
// other. Once as the stack does it (a list of the ready sockets), once by libslirp's own walk over all sockets. And spread
// over 2 and over 100 active connections, for which the stack must look up the connection each time.

import { Child } from "../support/child.mjs";
import { measureInTurn } from "../support/rounds.mjs";

const FEW = 10;
const MANY = 10_000;
/** What a process has open besides. */
const SPARE_FILES = 300;
const TRIPS = 20_000;
/** The walk is slow beside many; fewer trips say as much. */
const WALK_TRIPS = 500;
const ACTIVE = [1, 2, 100];

export const description = "cost of an event beside 10 and beside 10,000 idle connections";
export const defaultRounds = 9;

const fewName = `${FEW} idle`;
const manyName = `${MANY} idle`;
const walkSuffix = ", walk";

function variantsOf(stack, port) {
  const trips = async (count, walk) => {
    await stack.ask("useWalk", walk);
    const values = {};
    for (const active of walk ? [1] : ACTIVE) {
      const { seconds, cpuSeconds } = await stack.ask("echo", port, count, active);
      values[`${active} µs`] = (seconds * 1e6) / count;
      values[`${active} CPU µs`] = (cpuSeconds * 1e6) / count;
    }
    return values;
  };
  return { list: () => trips(TRIPS, false), walk: () => trips(WALK_TRIPS, true) };
}

/** Open files that a process may have; Node raises the limit to the highest allowed by itself. */
function openFileLimit() {
  const { userLimits } = process.report.getReport();
  return Number(userLimits.open_files.hard);
}

export function missing() {
  const limit = openFileLimit();
  // "unlimited" is not a number, and no limit.
  if (!(limit < MANY + SPARE_FILES)) return undefined;
  return `a process may open ${limit} files, and this needs ${MANY + SPARE_FILES} (ulimit -Hn)`;
}

export async function run({ rounds, progress }) {
  const server = new Child("traffic-server");
  const few = new Child("raw-stack");
  const many = new Child("raw-stack");
  try {
    const ports = await server.ask("listen");
    progress(`connecting ${FEW} and ${MANY} idle connections`);
    await few.ask("connectIdle", ports.idle, FEW);
    const memoryBytes = await many.ask("connectIdle", ports.idle, MANY);
    progress(`memory of the stack with ${MANY} idle connections: ${memoryBytes / 1024 ** 2} MiB`);
    const [fewVariants, manyVariants] = [few, many].map((stack) => variantsOf(stack, ports.echo));
    const variants = {
      [fewName]: fewVariants.list,
      [manyName]: manyVariants.list,
      [`${fewName}${walkSuffix}`]: fewVariants.walk,
      [`${manyName}${walkSuffix}`]: manyVariants.walk,
    };
    const series = await measureInTurn({ rounds, variants, progress });
    const memory = { what: "linear memory", unit: "MiB", values: {} };
    memory.values[manyName] = [memoryBytes / 1024 ** 2];
    return { measures: [...toMeasures(series), memory] };
  } finally {
    await Promise.all([server, few, many].map((child) => child.stop()));
  }
}

function toMeasures(series) {
  const kinds = [
    ["µs", "time of a round trip"],
    ["CPU µs", "processor time of a round trip in the stack's process"],
  ];
  return kinds.flatMap(([unit, what]) => [
    ...ACTIVE.map((active) => ({
      what: `${what}, ${active} active`,
      unit: "µs",
      values: pick(series, "", `${active} ${unit}`),
      ratios: [{ of: manyName, to: fewName, target: { atMost: 1.5 } }],
    })),
    {
      what: `${what}, 1 active, by libslirp's walk`,
      unit: "µs",
      values: pick(series, walkSuffix, `1 ${unit}`),
      ratios: [{ of: manyName, to: fewName }],
    },
  ]);
}

function pick(series, suffix, key) {
  return Object.fromEntries(
    [fewName, manyName].map((name) => [name, series[`${name}${suffix}`][key]]),
  );
}
