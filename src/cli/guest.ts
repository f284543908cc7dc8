/**
 * A Linux guest with our agent in it, whatever emulates the machine: commands, their output, the network.
 *
 * Two wires lead into a guest. The console (first serial port) carries what commands run by {@link Guest.run} print and
 * what is typed; the control port (second serial port) carries requests and answers. Who emulates the machine moves their
 * bytes: {@link Guest.receiveConsole}, {@link Guest.receiveControl} and the two abstract write methods.
 */

import { ErrorCode, SlirpError } from "../errors.js";
import { decodeFacts, encodeCommand, GuestAgent, type RequestOptions } from "./guest-agent.js";
import { type GuestNetwork, readGuestNetwork } from "./guest-network.js";

/** What {@link Guest.capture} gives. */
export interface CapturedCommand {
  /** Exit status; 128 + N when signal N ended it. */
  readonly status: number;
  /** Standard output. */
  readonly output: Uint8Array;
  /** Standard error. */
  readonly errorOutput: Uint8Array;
  /** {@link output} as UTF-8. */
  readonly text: string;
}

/** Options of {@link Guest.run}. */
export interface RunOptions extends RequestOptions {
  /** What the command prints, both streams, unchanged. The bytes are the receiver's to keep. */
  readonly onOutput?: ((bytes: Uint8Array) => void) | undefined;
}

/** Options of {@link Guest.shell}. */
export interface ShellOptions extends RunOptions {
  /** Run by a shell instead of an interactive one. */
  readonly command?: string | undefined;
  /** Size of the terminal in characters. Default: 80 by 24. */
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** Options of {@link Guest.configureNetwork}. */
export interface NetworkOptions extends RequestOptions {
  /** Ask for an IPv4 lease, and fail without one. Default: true. */
  readonly ipv4?: boolean | undefined;
  /** Milliseconds to wait for an IPv6 address when there is none yet. Default: 0. */
  readonly ipv6TimeoutMs?: number | undefined;
}

/** Longest time for an answer that needs no network: the guest is slow, not that slow. */
const PLAIN_TIMEOUT_MS = 60_000;
/** A lease is asked for ten times, a second apart, in the guest's seconds. */
const LEASE_TIMEOUT_MS = 120_000;
const ADDRESS_POLL_MS = 200;

const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

/** See the top of the file. Subclasses make the machine and call the receive methods. */
export abstract class Guest {
  /** Whoever emulates the guest passes its control port's bytes to it. */
  protected readonly agent: GuestAgent;
  /** Resolved when the agent has said that it listens; rejected when the guest ended before. */
  protected readonly agentReady: Promise<void>;
  /** Resolved when the guest powered itself off, or was stopped. */
  readonly ended: Promise<void>;
  #resolveEnded: () => void = () => {};
  #onOutput: ((bytes: Uint8Array) => void) | undefined;
  #isConsoleBusy = false;
  #rejectReady: (error: unknown) => void = () => {};
  readonly #onConsole: ((bytes: Uint8Array) => void) | undefined;

  protected constructor(onConsole: ((bytes: Uint8Array) => void) | undefined) {
    this.#onConsole = onConsole;
    let resolveReady: () => void = () => {};
    this.agentReady = new Promise((resolve, reject) => {
      resolveReady = resolve;
      this.#rejectReady = reject;
    });
    // Not everybody waits for it: a guest restored from a state is ready.
    this.agentReady.catch(() => {});
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve;
    });
    this.agent = new GuestAgent((bytes) => this.writeControl(bytes), {
      onReady: resolveReady,
      onPoweroff: () => this.markEnded("the guest has powered itself off"),
      onBeforeAnswer: () => this.flushConsole(),
    });
  }

  /** Types on the console. */
  abstract consoleWrite(bytes: Uint8Array): void;
  /** Ends the machine and frees what it holds; a second call does nothing. */
  abstract stop(): Promise<void>;
  protected abstract writeControl(bytes: Uint8Array): void;
  /** Passes on console output that is held back, if the machine does that. */
  protected flushConsole(): void {}

  protected receiveConsole(bytes: Uint8Array): void {
    this.#onConsole?.(bytes);
    this.#onOutput?.(bytes);
  }

  /** Rejects what is under way and whatever is asked from now on. */
  protected markEnded(reason: string): void {
    const error = new SlirpError(ErrorCode.closed, reason);
    this.agent.fail(error);
    this.#rejectReady(error);
    this.#resolveEnded();
  }

  /** What a guest restored from a state must be told, since it is as it was when the state was saved. */
  protected async refresh(macAddress: string | undefined): Promise<void> {
    const seed = Buffer.from(crypto.getRandomValues(new Uint8Array(64))).toString("hex");
    await Promise.all([
      this.#ask("time", [String(Math.floor(Date.now() / 1000))]),
      this.#ask("seed", [seed]),
      macAddress === undefined ? undefined : this.#ask("mac", [macAddress]),
    ]);
  }

  /** For verbs that can fail only by a fault of ours. */
  async #ask(verb: string, words: readonly string[], options: RequestOptions = {}) {
    const answer = await this.agent.request(verb, words, {
      timeoutMs: PLAIN_TIMEOUT_MS,
      ...options,
    });
    if (answer.status !== 0) {
      const reason = answer.facts.find((fact) => fact.key === "failure")?.value;
      const why = reason ?? `${verb} ended with status ${answer.status}`;
      throw new SlirpError(ErrorCode.guestFailed, `the guest could not do as asked: ${why}`);
    }
    return answer;
  }

  /**
   * Brings the NIC up and gets addresses. May be called again: everything is then asked for anew.
   *
   * @throws SlirpError `guestFailed` when there is no lease
   */
  async configureNetwork(options: NetworkOptions = {}): Promise<GuestNetwork> {
    const { ipv4 = true, ipv6TimeoutMs = 0, signal, timeoutMs = LEASE_TIMEOUT_MS } = options;
    const lease = await this.#ask("net", ipv4 ? [] : ["ipv6"], { signal, timeoutMs });
    const deadline = performance.now() + ipv6TimeoutMs;
    for (;;) {
      const addresses = await this.#ask("addresses", [], { signal });
      const network = readGuestNetwork([...lease.facts, ...addresses.facts]);
      if (network.ipv6Addresses.length > 0 || performance.now() >= deadline) return network;
      await new Promise((resolve) => setTimeout(resolve, ADDRESS_POLL_MS));
    }
  }

  /**
   * Runs a shell command away from the console, and gives what it printed when it has ended. Several may run at once. For
   * output of some KiB: it travels over a serial port. What the command leaves running in the background goes on.
   */
  async capture(command: string, options: RequestOptions = {}): Promise<CapturedCommand> {
    const answer = await this.agent.request("capture", [encodeCommand(command)], options);
    const output = decodeFacts(answer.facts, "output");
    return {
      status: answer.status,
      output,
      errorOutput: decodeFacts(answer.facts, "error"),
      text: new TextDecoder().decode(output),
    };
  }

  /**
   * Runs a shell command on the console: what {@link consoleWrite} types is its input (nothing is echoed, Ctrl-D ends it),
   * what it prints goes to `onOutput` as it comes. One at a time.
   *
   * @returns exit status; 128 + N when signal N ended it
   */
  async run(command: string, options: RunOptions = {}): Promise<number> {
    return this.#onConsoleAlone("run", [encodeCommand(command)], options);
  }

  /** Runs an interactive shell, or a command that wants a terminal, on the console. One at a time. */
  async shell(options: ShellOptions = {}): Promise<number> {
    const { columns = DEFAULT_COLUMNS, rows = DEFAULT_ROWS, command } = options;
    const words = [
      `${columns}x${rows}`,
      ...(command === undefined ? [] : [encodeCommand(command)]),
    ];
    return this.#onConsoleAlone("terminal", words, options);
  }

  /** Tells programs on the console that the terminal's size has changed. */
  async resize(columns: number, rows: number): Promise<void> {
    await this.#ask("resize", [`${columns}x${rows}`]);
  }

  async #onConsoleAlone(
    verb: string,
    words: readonly string[],
    { onOutput, signal, timeoutMs }: RunOptions,
  ): Promise<number> {
    if (this.#isConsoleBusy) {
      throw new SlirpError(
        ErrorCode.guestFailed,
        "the guest's console is in use: one command at a time can have it",
      );
    }
    this.#isConsoleBusy = true;
    this.#onOutput = onOutput;
    try {
      return (await this.agent.request(verb, words, { signal, timeoutMs })).status;
    } finally {
      this.#onOutput = undefined;
      this.#isConsoleBusy = false;
    }
  }
}
