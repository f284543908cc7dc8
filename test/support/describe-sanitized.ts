/** Suites that run on a build with sanitizers; where there can be none they are skipped, with the reason. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SanitizedBuild, whyNoSanitizers, type Target } from "./sanitized-build.js";

const TIMEOUT_MS = 600_000;

/** What runs on the build. */
export interface SanitizedSuites {
  /** Why it cannot be used here, beside that there may be no sanitizers. */
  readonly missing: string | undefined;
  /** Test files, from the repository's root. */
  readonly suites: readonly string[];
  /** What has to be called in all, of those that were built; and whose files nobody can call here. */
  readonly called: readonly Target[];
  readonly exempt?: readonly string[];
}

/** Registers the suites as one test, tests that are given the build, and one that no function was left out. */
export function describeSanitized(
  targets: readonly Target[],
  { missing = whyNoSanitizers(), suites, called, exempt = [] }: SanitizedSuites,
  register: (test: (title: string, run: (build: SanitizedBuild) => Promise<void>) => void) => void,
): void {
  describe(`native code with sanitizers: ${targets.join(", ")}`, () => {
    let build: SanitizedBuild;

    beforeAll(async () => {
      if (missing === undefined) build = await SanitizedBuild.of(targets);
    }, TIMEOUT_MS);

    afterAll(() => {
      if (missing === undefined) build.remove();
    });

    const test = (title: string, run: (build: SanitizedBuild) => Promise<void>): void => {
      it(title, { timeout: TIMEOUT_MS }, async (ctx) => {
        if (missing !== undefined) ctx.skip(missing);
        await run(build);
      });
    };

    test("passes its suites without a word from the sanitizers", async () => {
      const { stdout, stderr } = await build.runSuites(suites);
      const count = String(suites.length);
      expect(build.reports).toBe("");
      expect(stdout, `${stdout}\n${stderr}`).toMatch(
        new RegExp(`Test Files {2}${count} passed \\(${count}\\)`),
      );
    });

    register(test);

    test("has been called in all its functions", () => {
      const isExempt = (name: string): boolean => exempt.some((file) => name.startsWith(file));
      const left = called.flatMap((target) => build.uncalled(target));
      expect(left.filter((name) => !isExempt(name))).toEqual([]);
      return Promise.resolve();
    });
  });
}
