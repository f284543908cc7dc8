import { expect } from "vitest";

import { ErrorCode, SlirpError } from "../../src/errors.js";

/** The SlirpError that a call throws. Anything else, and no error, fails the test. */
export function refusalOf(call: () => unknown): SlirpError {
  try {
    call();
  } catch (error) {
    if (error instanceof SlirpError) return error;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** Expects a SlirpError whose message has all the pieces: the place, what was found, the remedy. */
export function expectRefusal(
  call: () => unknown,
  pieces: readonly string[],
  code: ErrorCode = ErrorCode.invalidConfiguration,
): void {
  const error = refusalOf(call);
  expect(error.code).toBe(code);
  for (const piece of pieces) expect(error.message).toContain(piece);
  // Errors go into one line of a terminal or a log.
  expect(error.message).not.toContain("\n");
}

/** For parsers and arbitrary text: an answer or a SlirpError, and nothing else. */
export function expectAnswerOrRefusal(call: () => unknown): void {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(SlirpError);
    expect((error as SlirpError).message).not.toContain("\n");
  }
}
