/**
 * The one error class that users of the package see, with a fixed `code` to switch on.
 *
 * Errors of the data path (a host socket that fails) are numbers, not exceptions: see `Errno` in `host-network.ts`. A
 * `SlirpError` is for what a person did (a rule that cannot be parsed, a port that is taken) and for a stack that broke.
 */

/** Every `code` a `SlirpError` can have. Codes are never reused for another meaning. */
export const ErrorCode = {
  /** An option or a rule says something that cannot be; the message points at the place. */
  invalidConfiguration: "ERR_SLIRP_INVALID_CONFIGURATION",
  /** An option was understood, but its working part is not in this build. */
  unsupportedOption: "ERR_SLIRP_UNSUPPORTED_OPTION",
  /** A forward could not be set up: the host address is taken or may not be used. `cause` has the system's error. */
  forwardFailed: "ERR_SLIRP_FORWARD_FAILED",
  /** The rule to be removed is not there. */
  noSuchForward: "ERR_SLIRP_NO_SUCH_FORWARD",
  /** The stack ended itself: an assertion in C or memory exhausted. The stack must be disposed of; others go on. */
  stackFailed: "ERR_SLIRP_STACK_FAILED",
  /** A call on a backend, stack or NIC that is closed. */
  closed: "ERR_SLIRP_CLOSED",
  /** The WebAssembly module could not be loaded or is not the one this JavaScript belongs to. */
  moduleUnusable: "ERR_SLIRP_MODULE_UNUSABLE",
  /** No backend answers to the name's prefix. */
  unknownBackend: "ERR_SLIRP_UNKNOWN_BACKEND",
  /** Features or a header length that a backend or NIC cannot do. */
  unsupportedCapability: "ERR_SLIRP_UNSUPPORTED_CAPABILITY",
  /** The peer of a NIC's connection broke the framing. */
  protocolViolation: "ERR_SLIRP_PROTOCOL_VIOLATION",
  /** Something the machine should have (a guest image, a program) is not there; the message says what makes it. */
  missingRequirement: "ERR_SLIRP_MISSING_REQUIREMENT",
  /** The native addon for a device could not be loaded; the message lists what was tried. */
  addonUnavailable: "ERR_SLIRP_ADDON_UNAVAILABLE",
  /** A device of the system could not be opened or set up, or is gone. `cause` has the system's error. */
  deviceFailed: "ERR_SLIRP_DEVICE_FAILED",
  /** The guest did not do what it was asked to in time, or ended. */
  guestFailed: "ERR_SLIRP_GUEST_FAILED",
  /** The guest refused a connection: nothing listens at the port. */
  connectionRefused: "ERR_SLIRP_CONNECTION_REFUSED",
  /** The guest did not answer, or its address is not known yet. */
  guestUnreachable: "ERR_SLIRP_GUEST_UNREACHABLE",
  /** A connection to the guest was cut off: by its RST, or because it no longer acknowledged. */
  connectionReset: "ERR_SLIRP_CONNECTION_RESET",
  /** A server did not answer in HTTP/1.1; the message says where it went wrong. */
  badHttpResponse: "ERR_SLIRP_BAD_HTTP_RESPONSE",
  /** The worker that has the stack could not be started, or is gone. The backend must be closed; others go on. */
  workerFailed: "ERR_SLIRP_WORKER_FAILED",
} as const;

/** One of the values of {@link ErrorCode}. */
export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode];

/** An error with a fixed {@link ErrorCode}; `cause` is the error underneath where there is one. */
export class SlirpError extends Error {
  override readonly name = "SlirpError";
  /** What went wrong, to switch on. */
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
