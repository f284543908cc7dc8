// Coverage by folder of src/: vitest's own table has a line a file, which is too much to read at a glance.

import { readFileSync } from "node:fs";
import { dirname, relative } from "node:path";

const METRICS = ["statements", "branches", "functions", "lines"];

function emptyTotals() {
  return Object.fromEntries(METRICS.map((metric) => [metric, { total: 0, covered: 0 }]));
}

/**
 * @param {Record<string, Record<string, { total: number, covered: number }>>} summary content of istanbul's
 *   coverage-summary.json: numbers by absolute path, and "total"
 * @param {string} root
 * @returns {string} the table
 */
export function formatCoverage(summary, root) {
  const folders = new Map();
  for (const [path, metrics] of Object.entries(summary)) {
    if (path === "total") continue;
    const folder = dirname(relative(root, path));
    const totals = folders.get(folder) ?? emptyTotals();
    for (const metric of METRICS) {
      totals[metric].total += metrics[metric].total;
      totals[metric].covered += metrics[metric].covered;
    }
    folders.set(folder, totals);
  }
  const percent = ({ total, covered }) =>
    total === 0 ? "-" : `${((100 * covered) / total).toFixed(1)} %`;
  const row = (cells) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(11))).join("");
  const rows = [...folders]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([folder, totals]) => row([folder, ...METRICS.map((metric) => percent(totals[metric]))]));
  return [row(["coverage", ...METRICS]), ...rows].join("\n");
}

/** The table of the last run; undefined when it left no summary. */
export function readCoverageTable(path, root) {
  try {
    return formatCoverage(JSON.parse(readFileSync(path, "utf8")), root);
  } catch (error) {
    if (error.code === "ENOENT") return undefined;
    throw error;
  }
}
