/** Errors about options that are objects: there is no text to point into, so the option's name is the place. */
import { ErrorCode, SlirpError } from "../errors.js";

/**
 * An error about an option. The caller throws it.
 * @param place - the option, as it is reached from `SlirpOptions`: "ipv4.gateway"
 * @param problem - what is wrong, with what was found
 * @param remedy - what would be right, an imperative
 */
export function refusal(place: string, problem: string, remedy: string): SlirpError {
  return new SlirpError(ErrorCode.invalidConfiguration, `option ${place}: ${problem}; ${remedy}`);
}

/** Throws unless a value is a whole number of the range. */
export function checkInteger(place: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  const remedy = `choose a whole number from ${String(min)} to ${String(max)}`;
  throw refusal(place, `it is ${String(value)}`, remedy);
}

/** Throws unless a value is a text without control characters: it ends in C, where a NUL would cut it. */
export function checkText(place: string, value: string): void {
  if (value === "") throw refusal(place, "it is empty", "write one or leave the option out");
  if (/\p{Cc}/u.test(value)) {
    throw refusal(place, `it is ${JSON.stringify(value)}`, "leave the control characters out");
  }
}
