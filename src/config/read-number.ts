/** Reading decimal numbers strictly: no sign, no space, no leading zero, no "80x". */
import type { SourceText } from "./source-text.js";

/** Which numbers will do, and how the error calls them. */
export interface NumberForm {
  /** "host port" */
  readonly what: string;
  readonly min: number;
  readonly max: number;
  /** Said behind the range in an error, such as " (0: any free port)". */
  readonly hint?: string;
}

/** The number that a piece says. Throws a SlirpError that points at it where it is not one of the form's. */
export function readNumber(piece: SourceText, { what, min, max, hint = "" }: NumberForm): number {
  const remedy = `write a decimal number from ${String(min)} to ${String(max)}${hint}`;
  if (piece.value === "") throw piece.error(`the ${what} is missing`, remedy);
  if (!/^(0|[1-9]\d*)$/.test(piece.value)) {
    throw piece.error(
      `the ${what} is ${piece.quoted}, which is not a plain decimal number`,
      remedy,
    );
  }
  const number = Number(piece.value);
  if (number < min || number > max) {
    throw piece.error(`the ${what} is ${piece.value}, which is out of range`, remedy);
  }
  return number;
}
