// What is said of a series of measurements: its median and its range. Means are left out: on a shared machine a single
// disturbed round would move them.

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Median, smallest and largest. */
export function summarize(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values) };
}

/**
 * Ratio of two series that were measured in turn: of their medians, and the range of the ratios round by round, which shows
 * how far a disturbance of the machine could have moved it.
 */
export function summarizeRatio(values, baseValues) {
  const byRound = values.map((value, round) => value / baseValues[round]);
  return {
    median: median(values) / median(baseValues),
    min: Math.min(...byRound),
    max: Math.max(...byRound),
  };
}
