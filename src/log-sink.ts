/** Where a server tells what happens to its guests or clients: the relay, the servers for QEMU. A pino logger is one. */

/** Details first, then the message: pino's order. `err` among the details is an Error. */
export interface LogSink {
  /** What only somebody who looks for a fault wants to know. */
  debug(details: object, message: string): void;
  /** Who came and went, what was refused. */
  info(details: object, message: string): void;
  /** What went wrong. */
  warn(details: object, message: string): void;
}

/** Says nothing. The default of everything that takes a sink. */
export const SILENT_LOG: LogSink = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
};
