/** Where a relay says what it does: pino fits, and so does the commands' own log. */
export interface RelayLog {
  debug(details: object, message: string): void;
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}

/** Says nothing. */
export const SILENT_LOG: RelayLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
};
