// What a benchmark found out, for people and for programs.
//
// A benchmark gives measures. A measure has values by variant, in the order of the rounds, or a single value; a ratio
// compares two variants of one measure, or two measures.

import { cpus } from "node:os";
import { summarize, summarizeRatio } from "./statistics.mjs";

/**
 * @typedef {object} Measure
 * @property {string} what
 * @property {string} unit
 * @property {Record<string, number[]>} values by variant
 * @property {Ratio[]} [ratios]
 *
 * @typedef {object} Ratio one variant's values over another's
 * @property {string} of
 * @property {string} to
 * @property {Target} [target]
 *
 * @typedef {{ atLeast: number } | { atMost: number }} Target
 */

/** What the figures stand for only together with. */
function describeMachine() {
  return { cpu: `${cpus().length} x ${cpus()[0]?.model}`, node: process.version };
}

const round = (value) => (Number.isInteger(value) ? value : Number(value.toPrecision(4)));
const roundAll = (summary) =>
  Object.fromEntries(Object.entries(summary).map(([key, value]) => [key, round(value)]));

/** Everything of a benchmark as an object for JSON. */
export function toObject(name, { rounds, measures, facts = {} }) {
  return {
    bench: name,
    ...describeMachine(),
    rounds,
    ...facts,
    measures: measures.map(({ what, unit, values, ratios = [], target }) => ({
      what,
      unit,
      variants: Object.fromEntries(
        Object.entries(values).map(([variant, series]) => [
          variant,
          {
            ...roundAll(summarize(series)),
            values: series.map(round),
            ...(target && { target: { ...target, met: meets(summarize(series).median, target) } }),
          },
        ]),
      ),
      ratios: ratios.map(({ of, to, target: wanted }) => {
        const ratio = summarizeRatio(values[of], values[to]);
        return {
          of,
          to,
          ...roundAll(ratio),
          ...(wanted && { target: { ...wanted, met: meets(ratio.median, wanted) } }),
        };
      }),
    })),
  };
}

function meets(value, target) {
  return "atLeast" in target ? value >= target.atLeast : value <= target.atMost;
}

function targetText(target) {
  if (!target) return "";
  const text = "atLeast" in target ? `at least ${target.atLeast}` : `at most ${target.atMost}`;
  return `   target ${text}: ${target.met ? "met" : "MISSED"}`;
}

function summaryText({ median, min, max }) {
  const range = min === max ? "" : `  (${min} .. ${max})`;
  return `${String(median).padStart(9)}${range}`;
}

/** The same for people, from what `toObject` gave. */
export function toText({ bench, cpu, node, rounds, measures }) {
  const lines = [
    `${bench}: medians of ${rounds} rounds (smallest .. largest); ${cpu}, Node ${node}`,
  ];
  for (const { what, unit, variants, ratios } of measures) {
    lines.push(`  ${what}${unit === "" ? "" : `, ${unit}`}`);
    const labels = [...Object.keys(variants), ...ratios.map(({ of, to }) => `${of} / ${to}`)];
    const width = Math.max(...labels.map((label) => label.length));
    for (const [variant, summary] of Object.entries(variants)) {
      const text = `${summaryText(summary)}${targetText(summary.target)}`;
      lines.push(`    ${variant.padEnd(width)} ${text}`);
    }
    for (const ratio of ratios) {
      const label = `${ratio.of} / ${ratio.to}`.padEnd(width);
      lines.push(`    ${label} ${summaryText(ratio)}${targetText(ratio.target)}`);
    }
  }
  return lines.join("\n");
}
