/** What is wrong with a command line of `slirp-wasm netns`. */

/** The command line says something that cannot be. */
export class NetnsUsageError extends Error {
  override readonly name = "NetnsUsageError";
  /** Whether the usage is to be shown too. */
  readonly showsUsage: boolean;

  constructor(message: string, showsUsage = true) {
    super(message);
    this.showsUsage = showsUsage;
  }
}
