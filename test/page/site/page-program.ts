/**
 * What the page offers to the test that drives it, as the global `testPage`: types only, for both sides.
 */
import type { CreateSlirpOptions, SlirpBackend } from "slirp-wasm/browser";
import type { V86Attachment } from "slirp-wasm/v86";
import type { V86 } from "v86";

/** How the guest and its stack are made. Everything travels to the page as JSON. */
export interface PageStartOptions {
  /** Passed to `createSlirp` of `slirp-wasm/browser`. */
  readonly slirp: Omit<CreateSlirpOptions, "hostNetwork" | "signal" | "onLog" | "wasm">;
  /** Default "virtio". */
  readonly nic?: "virtio" | "ne2k";
  /**
   * "image" (the default): the state that set-up saved of the guest, or the guest booted where there is none. "kept": what
   * `keep` put into the browser's storage, the stack's state included.
   */
  readonly from?: "image" | "kept";
  /**
   * Guests of several tabs on one stack. "serve": the stack is this tab's, behind a switch. "join": it is another tab's, and here is
   * none. Default: this guest has a stack for itself.
   */
  readonly tabs?: "serve" | "join";
}

/** The guest's serial ports: console and agent. */
export type Wire = 0 | 1;

/** What has been started: for tests that use the package's interfaces within the page. */
export interface PageRun {
  readonly slirp: SlirpBackend;
  readonly emulator: V86;
  readonly attachment: V86Attachment;
}

/** The global `testPage`. */
export interface PageProgram {
  /** Undefined before `start` and after `stop`, and where the stack is another tab's. */
  readonly run: PageRun | undefined;
  /** The guest's machine, on whatever network. */
  readonly emulator: V86 | undefined;
  /** What the relays said, oldest first: `state URL message`. */
  readonly relayStatuses: readonly string[];
  /** Fulfilled when the guest runs. Answers whether it was restored; one that boots says itself when it is ready. */
  start(options: PageStartOptions): Promise<{ readonly wasRestored: boolean }>;
  /** Without a stack of ours: on v86's own network at this URL (its `net_device.relay_url`), for comparison. */
  startOnV86(relayUrl: string): Promise<{ readonly wasRestored: boolean }>;
  /** Sends bytes, one a character, to a serial port. */
  write(wire: Wire, text: string): void;
  /** Puts the guest's and the stack's state into the browser's storage, where it outlives the page. */
  keep(): Promise<void>;
  /** Ends guest and stack. */
  stop(): Promise<void>;
}
