// A vitest reporter that counts, for scripts/test.mjs: into the file that SLIRP_WASM_TALLY names it writes
// how many tests passed, failed and were skipped, and by name what failed and what was skipped and why. A
// test file that cannot be loaded, a hook that fails and an error outside of any test count as failed: a
// suite that did not run must not look like one that has nothing to say.

import { writeFileSync } from "node:fs";
import { relative } from "node:path";

const NO_REASON = "no reason given";

function nameOf(task) {
  return `${relative(process.cwd(), task.module.moduleId)} > ${task.fullName}`;
}

function whySkipped(test) {
  const note = test.result().note;
  if (note !== undefined) return note;
  for (let parent = test.parent; parent.type === "suite"; parent = parent.parent) {
    if (parent.errors().length > 0) return "a hook of its suite failed";
  }
  return NO_REASON;
}

/** What failed, with the first line of the error: the whole of it stands far above the tally. */
function failure(name, errors) {
  const message = errors?.[0]?.message?.split("\n", 1)[0];
  return message ? `${name}: ${message}` : name;
}

/** Errors of a suite itself (its hooks) and of those in it; the tests tell of their own. */
function countSuiteErrors(parent, failures) {
  for (const suite of parent.children.suites()) {
    const errors = suite.errors();
    if (errors.length > 0) failures.push(failure(`${nameOf(suite)} (a hook)`, errors));
    countSuiteErrors(suite, failures);
  }
}

/**
 * @param {readonly import("vitest/node").TestModule[]} modules
 * @param {readonly unknown[]} unhandledErrors
 */
export function countResults(modules, unhandledErrors) {
  const tally = { passed: 0, failures: [], skipped: [] };
  for (const module of modules) {
    const errors = module.errors();
    if (errors.length > 0) {
      const name = `${relative(process.cwd(), module.moduleId)} (the file itself)`;
      tally.failures.push(failure(name, errors));
    }
    countSuiteErrors(module, tally.failures);
    for (const test of module.children.allTests()) {
      const result = test.result();
      if (result.state === "passed") tally.passed += 1;
      else if (result.state === "failed") {
        tally.failures.push(failure(nameOf(test), result.errors));
      } else tally.skipped.push({ name: nameOf(test), reason: whySkipped(test) });
    }
  }
  for (const error of unhandledErrors) {
    tally.failures.push(failure("an error outside of any test", [error]));
  }
  return tally;
}

export default class TallyReporter {
  onTestRunEnd(modules, unhandledErrors) {
    const path = process.env.SLIRP_WASM_TALLY;
    if (path !== undefined) {
      writeFileSync(path, JSON.stringify(countResults(modules, unhandledErrors)));
    }
  }
}
