/**
 * What the commands say on standard error: lines for people, or JSON lines by pino. Standard output is never written to here:
 * it belongs to the guest, or to what a command prints as its result.
 */
import type { LogSink } from "../log-sink.js";

/** Options that every command has. */
export interface LogOptions {
  /** JSON lines instead of text. */
  readonly json?: boolean | undefined;
  /** Details too, those of libslirp among them. */
  readonly verbose?: boolean | undefined;
}

/** A sink with a level for what ends the command. */
export interface CliLog extends LogSink {
  error(details: object, message: string): void;
}

/** The name that lines begin with. */
export const PROGRAM_NAME = "slirp-wasm";

/** Makes the log that was asked for. pino is loaded only where it is used. */
export async function createLog({ json, verbose }: LogOptions): Promise<CliLog> {
  if (!json) return new TextLog(verbose ?? false);
  const { pino } = await import("pino");
  // Written at once: a line that is buffered is lost when the process ends.
  const destination = pino.destination({ dest: 2, sync: true });
  const logger: CliLog = pino(
    { name: PROGRAM_NAME, level: verbose ? "debug" : "info" },
    destination,
  );
  return logger;
}

/** Lines for people. Of the details, all but the guest and an error are shown with `--verbose` only. */
class TextLog implements CliLog {
  readonly #verbose: boolean;

  constructor(verbose: boolean) {
    this.#verbose = verbose;
  }

  debug(details: object, message: string): void {
    if (this.#verbose) this.#write(details, message);
  }

  info(details: object, message: string): void {
    this.#write(details, message);
  }

  warn(details: object, message: string): void {
    this.#write(details, message);
  }

  error(details: object, message: string): void {
    this.#write(details, message);
  }

  #write(details: object, message: string): void {
    const { err, guest, ...rest } = details as { err?: unknown; guest?: unknown };
    let line = typeof guest === "string" ? `${guest}: ${message}` : message;
    if (err !== undefined) line += `: ${errorText(err)}`;
    if (this.#verbose && Object.keys(rest).length > 0) line += ` ${JSON.stringify(rest)}`;
    process.stderr.write(`${PROGRAM_NAME}: ${oneLine(line)}\n`);
  }
}

/** What an error says, and what is underneath. */
export function errorText(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  if (!(cause instanceof Error) || error.message.includes(cause.message)) return error.message;
  return `${error.message} (${cause.message})`;
}

/** Messages of others may have several lines; ours never do. */
export function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ").trim();
}
