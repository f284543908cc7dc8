/**
 * The contract of NetBackend as tests: every sentence of src/backend.ts that an implementation can break.
 *
 * An implementation passes it by `describeNetBackend(name, factory)`, where the factory makes a {@link BackendHarness}.
 */
import { afterEach, describe, it } from "vitest";
import { describeHeaders } from "./headers.js";
import { describeLife } from "./life.js";
import { describeReceiving } from "./receiving.js";
import { describeSending } from "./sending.js";
import type { BackendHarness, BackendHarnessFactory, ContractTest } from "./harness.js";

/** A test may take this long, on a slow machine. */
const TEST_TIMEOUT_MS = 60_000;

/** Registers the contract's tests for one implementation. */
export function describeNetBackend(name: string, createHarness: BackendHarnessFactory): void {
  describe(`NetBackend contract: ${name}`, () => {
    let open: BackendHarness | undefined;

    afterEach(async () => {
      await open?.backend.close();
      await open?.close();
      open = undefined;
    });

    const test: ContractTest = (title, run) => {
      it(title, { timeout: TEST_TIMEOUT_MS }, async () => {
        open = await createHarness();
        await run(open);
      });
    };

    describeLife(test);
    describeSending(test);
    describeReceiving(test);
    describeHeaders(test);
  });
}
