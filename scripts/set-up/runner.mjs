// Runs the steps of set-up in order: skips those that have nothing to do, checks that what a step needs is
// there before it begins, and ends with an error that names the step, the reason and the way out.

import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { createContext, installCommand } from "./context.mjs";
import { computeStamp, missingOutputs, StampStore } from "./stamp.mjs";

/**
 * @typedef {object} Need a program that a step runs
 * @property {string} command its name on PATH
 * @property {string} package the Debian package that has it
 *
 * @typedef {object} Step one step of set-up: the default export of scripts/steps/NAME.mjs
 * @property {string} name
 * @property {string} describe what it does, for the line that is printed
 * @property {string[]} [after] steps that it stands on: they run before it, and it does not run when one
 *   of them failed
 * @property {Need[]} [needs] programs without which it cannot run
 * @property {boolean} [optional] set-up goes on, and succeeds, without it
 * @property {(ctx: StepContext) => string[]} [inputs] files, folders and strings that decide whether it has
 *   to run again; its own module always counts
 * @property {(ctx: StepContext) => string[]} [outputs] paths that it makes
 * @property {(ctx: StepContext) => boolean} [upToDate] instead of inputs and outputs, where a stamp cannot
 *   tell: whether there is nothing to do
 * @property {(ctx: StepContext) => Promise<void>} run
 *
 * @typedef {import("./context.mjs").StepContext} StepContext
 */

/** A required step did not succeed. The message is complete; a stack would add nothing for its reader. */
export class StepError extends Error {
  name = "StepError";
}

/** Which of a step's programs are not on PATH. */
function missingNeeds(step, ctx) {
  return (step.needs ?? []).filter((need) => !ctx.has(need.command));
}

/** The named steps and all that they stand on, in their order; all steps when none is named. */
export function selectSteps(steps, names) {
  if (names.length === 0) return steps;
  const wanted = new Set();
  const want = (name) => {
    const step = steps.find((candidate) => candidate.name === name);
    if (step === undefined) {
      const known = steps.map((candidate) => candidate.name).join(", ");
      throw new StepError(`there is no step "${name}"; the steps are: ${known}`);
    }
    wanted.add(step);
    for (const before of step.after ?? []) want(before);
  };
  for (const name of names) want(name);
  return steps.filter((step) => wanted.has(step));
}

/** What is known about whether a step has to run: its stamp as it would be, and why it must run. */
function assess(step, ctx, { store, stepPath }) {
  if (step.upToDate !== undefined) {
    return { stamp: undefined, reason: step.upToDate(ctx) ? undefined : "not up to date" };
  }
  const own = stepPath === undefined ? [] : [relative(ctx.root, stepPath)];
  const stamp = computeStamp(ctx.root, [...own, ...(step.inputs?.(ctx) ?? [])]);
  const missing = missingOutputs(ctx.root, step.outputs?.(ctx) ?? []);
  if (missing.length > 0) return { stamp, reason: `${missing[0]} is not there` };
  return { stamp, reason: store.read(step.name) === stamp ? undefined : "its inputs have changed" };
}

async function runStep(step, ctx, { store, display, assessment }) {
  display.begin(step.name, step.describe);
  let outcome = "failed";
  try {
    const missing = missingNeeds(step, ctx);
    if (missing.length > 0) {
      const commands = missing.map((need) => need.command).join(", ");
      const packages = [...new Set(missing.map((need) => need.package))];
      throw new Error(`${commands} not on PATH; install it by: ${installCommand(packages)}`);
    }
    store.forget(step.name);
    await step.run(ctx);
    const unmade = missingOutputs(ctx.root, step.outputs?.(ctx) ?? []);
    if (unmade.length > 0) throw new Error(`it ended without making ${unmade.join(", ")}`);
    if (assessment.stamp !== undefined) store.keep(step.name, assessment.stamp);
    outcome = "done";
  } finally {
    display.end(outcome);
  }
}

/**
 * Runs what has to run.
 *
 * @param {Step[]} steps all steps, each after those that it stands on
 * @param {object} options
 * @param {string} options.root the checkout
 * @param {import("./display.mjs").Display} options.display
 * @param {string[]} [options.only] names of steps: run only these and what they stand on
 * @param {boolean} [options.force] run the named steps (all, when none is named) even if up to date
 * @param {Map<string, string>} [options.stepPaths] path of each step's module
 * @param {Record<string, string | undefined>} [options.env] default: this process's
 * @returns {Promise<{ ran: string[], failed: string[] }>} names; `failed` holds optional steps only
 * @throws {StepError} when a required step fails
 */
export async function runSteps(steps, options) {
  const { root, display, only = [], force = false, stepPaths = new Map(), env } = options;
  const store = new StampStore(join(root, "build/stamps"));
  const ran = [];
  const failed = [];
  for (const step of selectSteps(steps, only)) {
    const ctx = createContext({ root, step: step.name, display, env });
    const broken = (step.after ?? []).find((name) => failed.includes(name));
    if (broken !== undefined) {
      refuse(step, `it stands on ${broken}, which failed`, { root, display, failed });
      continue;
    }
    const isForced = force && (only.length === 0 || only.includes(step.name));
    try {
      const stepPath = stepPaths.get(step.name);
      const assessment = assess(step, ctx, { store, stepPath });
      if (assessment.reason === undefined && !isForced) {
        if (display.verbose) display.say(`set-up: ${step.name}: nothing to do`);
        continue;
      }
      ran.push(step.name);
      await runStep(step, ctx, { store, display, assessment });
    } catch (error) {
      refuse(step, error.message, { root, display, failed });
    }
  }
  return { ran, failed };
}

function refuse(step, reason, { root, display, failed }) {
  const message = `set-up: ${step.name} (${step.describe}) failed: ${reason}`;
  if (step.optional !== true) {
    const log = `build/logs/${step.name}.log`;
    throw new StepError(
      existsSync(join(root, log)) ? `${message}\n    its whole output: ${log}` : message,
    );
  }
  failed.push(step.name);
  display.say(`${message}\n    set-up goes on without it`);
}
