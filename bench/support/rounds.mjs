// Rounds: every variant once, in turn, so that whatever else the machine does meets all of them alike. The order is turned
// around every other round, for the one that comes second would otherwise always find the machine as the first left it.

/**
 * @param {object} options
 * @param {number} options.rounds that count
 * @param {number} [options.warmUps] rounds before, which do not. Default 1.
 * @param {Record<string, () => Promise<Record<string, number>>>} options.variants each gives the values of one round by name
 * @param {(text: string) => void} options.progress
 * @returns {Promise<Record<string, Record<string, number[]>>>} values by variant and name, in the order of the rounds
 */
export async function measureInTurn({ rounds, warmUps = 1, variants, progress }) {
  const names = Object.keys(variants);
  const series = Object.fromEntries(names.map((name) => [name, {}]));
  for (let round = -warmUps; round < rounds; round++) {
    const order = round % 2 === 0 ? names : [...names].reverse();
    for (const name of order) {
      const label = round < 0 ? "warm-up" : `round ${round + 1} of ${rounds}`;
      progress(`${label}: ${name}`);
      const values = await variants[name]();
      progress(`${label}: ${name}: ${describeValues(values)}`);
      if (round < 0) continue;
      for (const [what, value] of Object.entries(values)) (series[name][what] ??= []).push(value);
    }
  }
  return series;
}

function describeValues(values) {
  return Object.entries(values)
    .map(([what, value]) => `${what} ${Number(value.toPrecision(4))}`)
    .join(", ");
}
