/**
 * What the process's exit status says, as shells and timeout(1) have it.
 */
import { constants } from "node:os";
import { ErrorCode, SlirpError } from "../errors.js";

/** Statuses of our own; a guest's command may of course end with any. */
export const ExitStatus = {
  success: 0,
  /** Something went wrong. */
  failure: 1,
  /** The command line, or a rule on it, cannot be used. */
  usage: 2,
  /** `--timeout` ran out. */
  timeout: 124,
} as const;

/** 128 + N for a signal. */
export function statusOfSignal(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** Why a command is ended before it is done: thrown through everything that takes an AbortSignal. */
export class EndedEarly extends Error {
  override readonly name = "EndedEarly";
  readonly status: number;
  /** Nothing that people must be told. */
  readonly isQuiet: boolean;

  constructor(message: string, status: number, options: { isQuiet?: boolean } = {}) {
    super(message);
    this.status = status;
    this.isQuiet = options.isQuiet ?? false;
  }
}

/** Errors that are the fault of what was written on the command line. */
const USAGE_CODES: ReadonlySet<ErrorCode> = new Set([
  ErrorCode.invalidConfiguration,
  ErrorCode.unsupportedOption,
]);

/** The status that an error ends the process with. */
export function statusOfError(error: unknown): number {
  if (error instanceof EndedEarly) return error.status;
  if (error instanceof SlirpError && USAGE_CODES.has(error.code)) return ExitStatus.usage;
  return ExitStatus.failure;
}
