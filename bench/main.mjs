// `npm run bench`: runs the benchmarks in bench/benches, all or those that are named. bench/README.md says what each does.

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { toObject, toText } from "./support/report.mjs";

const NAMES = [
  "sizes",
  "first-frame",
  "idle-connections",
  "throughput",
  "v86",
  "qemu",
  "relay",
  "netns",
  "page",
  "page-v86",
  "demo",
];
const NEEDED = ["dist/node.js", "wasm/out/slirp.wasm"];

function readRounds(text) {
  const rounds = Number(text);
  if (Number.isInteger(rounds) && rounds > 0) return rounds;
  throw new InvalidArgumentError("It must be a whole number above 0.");
}

async function load(name) {
  return import(`./benches/${name}.mjs`);
}

async function listBenches() {
  const lines = await Promise.all(
    NAMES.map(async (name) => {
      const { description, defaultRounds } = await load(name);
      return `  ${name.padEnd(18)}${description} (rounds: ${defaultRounds})`;
    }),
  );
  return `\nBenchmarks:\n${lines.join("\n")}`;
}

async function runBench(name, options) {
  const { run, defaultRounds, missing } = await load(name);
  const reason = await missing?.();
  if (reason !== undefined) {
    process.stderr.write(`${name}: skipped: ${reason}\n`);
    return;
  }
  const rounds = options.rounds ?? defaultRounds;
  const progress = (text) => process.stderr.write(`${name}: ${text}\n`);
  const result = toObject(name, {
    rounds,
    ...(await run({ rounds, progress, quick: options.quick })),
  });
  process.stdout.write(`${options.json ? JSON.stringify(result) : toText(result)}\n`);
}

const program = new Command("npm run bench --")
  .description("Measures the stack, alone and against others, in rounds that take turns.")
  .argument("[names...]", "benchmarks to run (default: all)")
  .option("--rounds <count>", "rounds that count, for every benchmark", readRounds)
  .option("--quick", "a fraction of the bytes, where a benchmark has that: to see whether it works")
  .option("--json", "print one line of JSON a benchmark")
  .addHelpText("after", await listBenches());

program.parse();
const unknown = program.args.find((name) => !NAMES.includes(name));
if (unknown !== undefined) {
  program.error(`there is no benchmark ${unknown}; there are ${NAMES.join(", ")}`);
}
const absent = NEEDED.find(
  (file) => !existsSync(fileURLToPath(new URL(`../${file}`, import.meta.url))),
);
if (absent !== undefined) program.error(`${absent} is not there: run \`npm run build\` first`);

for (const name of program.args.length > 0 ? program.args : NAMES) {
  await runBench(name, program.opts());
}
