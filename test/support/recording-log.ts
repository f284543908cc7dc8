/** A log that keeps what it is told. */
import type { LogSink } from "../../src/log-sink.js";

/** One thing that was said. */
export interface LogEntry {
  readonly level: "debug" | "info" | "warn";
  readonly details: Record<string, unknown>;
  readonly message: string;
}

/** See the top of the file. */
export class RecordingLog implements LogSink {
  readonly entries: LogEntry[] = [];

  debug(details: object, message: string): void {
    this.entries.push({ level: "debug", details: { ...details }, message });
  }

  info(details: object, message: string): void {
    this.entries.push({ level: "info", details: { ...details }, message });
  }

  warn(details: object, message: string): void {
    this.entries.push({ level: "warn", details: { ...details }, message });
  }

  /** Codes of the errors among the details. */
  get errorCodes(): unknown[] {
    return this.entries
      .map(({ details }) => details["err"])
      .filter((err) => err instanceof Error)
      .map((err) => (err as NodeJS.ErrnoException).code);
  }
}
