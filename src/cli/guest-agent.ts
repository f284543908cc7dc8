/**
 * Talks with the agent that every guest of ours runs on its second serial port (scripts/guest/agent has the verbs).
 *
 * A request is a line `ID VERB ARGUMENTS…`, its answer the lines `ID KEY VALUE` and at last `ID exit STATUS`. Requests may
 * overlap; the ID keeps their answers apart. Which wire carries the lines is not known here: bytes come in by
 * {@link GuestAgent.receive} and go out by the function that was given, so v86's serial port and QEMU's socket are alike.
 */

import { ErrorCode, SlirpError } from "../errors.js";

/** One line of an answer: what it is, and the rest of the line. */
export interface AgentFact {
  readonly key: string;
  readonly value: string;
}

/** A whole answer. */
export interface AgentAnswer {
  /** Exit status of what was asked for; 0 is success. */
  readonly status: number;
  /** In the order in which they came. */
  readonly facts: readonly AgentFact[];
}

/** How long to wait for an answer. */
export interface RequestOptions {
  /** Ends the command in the guest; once it has ended the request is rejected with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds after which the same happens with a SlirpError `guestFailed`. Default: none. */
  readonly timeoutMs?: number | undefined;
}

/** What the guest says without having been asked. */
export interface AgentEvents {
  /** The agent listens: once after each boot. */
  onReady?(): void;
  /** The guest powers itself off. */
  onPoweroff?(): void;
  /** A command ended; called before its request is answered, so that what it printed can be passed on first. */
  onBeforeAnswer?(): void;
}

interface PendingRequest {
  readonly facts: AgentFact[];
  settle(answer: AgentAnswer): void;
  fail(error: Error): void;
}

/** How long a guest that was told to end a command may take to say that it has: it may not answer at all any more. */
const STOP_TIMEOUT_MS = 5_000;

/** Lines with this ID come unasked. */
const UNASKED_ID = "0";

/**
 * The guest's terminal holds this much that has not been read yet; a longer request would lose its end.
 * (TTY buffer of the kernel, 64 KiB, with room for the verb.)
 */
const LONGEST_REQUEST_BYTES = 60_000;

/** The host's end of the control port. */
export class GuestAgent {
  readonly #write: (bytes: Uint8Array) => void;
  readonly #events: AgentEvents;
  readonly #pending = new Map<string, PendingRequest>();
  readonly #decoder = new TextDecoder();
  #nextId = 1;
  #line = "";
  #failure: Error | undefined;

  constructor(write: (bytes: Uint8Array) => void, events: AgentEvents = {}) {
    this.#write = write;
    this.#events = events;
  }

  /** Bytes from the guest, in pieces of any size. The guest's first boot messages, if any, are skipped. */
  receive(bytes: Uint8Array): void {
    this.#line += this.#decoder.decode(bytes, { stream: true });
    for (;;) {
      const end = this.#line.indexOf("\n");
      if (end === -1) return;
      const line = this.#line.slice(0, end);
      this.#line = this.#line.slice(end + 1);
      this.#receiveLine(line.replace(/\r$/, ""));
    }
  }

  #receiveLine(line: string): void {
    const match = /^(\d+) ([A-Za-z]\w*) ?(.*)$/.exec(line);
    if (match === null) return;
    const [, id = "", key = "", value = ""] = match;
    if (id === UNASKED_ID) {
      if (key === "ready") this.#events.onReady?.();
      if (key === "poweroff") this.#events.onPoweroff?.();
      return;
    }
    const request = this.#pending.get(id);
    if (request === undefined) return;
    if (key !== "exit") {
      request.facts.push({ key, value });
      return;
    }
    this.#pending.delete(id);
    this.#events.onBeforeAnswer?.();
    request.settle({ status: Number(value), facts: request.facts });
  }

  /**
   * Asks the guest for something.
   *
   * @param verb one of those in scripts/guest/agent
   * @param words its arguments, without blanks in them; commands go as {@link encodeCommand} gives them
   * @throws SlirpError `closed` after {@link fail}; `guestFailed` when the time is over; `invalidConfiguration` when the
   *   request is too long for the guest's terminal
   */
  async request(
    verb: string,
    words: readonly string[] = [],
    { signal, timeoutMs }: RequestOptions = {},
  ): Promise<AgentAnswer> {
    signal?.throwIfAborted();
    if (this.#failure !== undefined) throw this.#failure;
    const id = String(this.#nextId++);
    const line = new TextEncoder().encode(`${[id, verb, ...words].join(" ")}\n`);
    if (line.length > LONGEST_REQUEST_BYTES) {
      throw new SlirpError(
        ErrorCode.invalidConfiguration,
        `a command for the guest is ${line.length} bytes long in Base64; at most ${LONGEST_REQUEST_BYTES} are taken`,
      );
    }
    let timer: NodeJS.Timeout | undefined;
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise<AgentAnswer>((resolve, reject) => {
        this.#pending.set(id, { facts: [], settle: resolve, fail: reject });
        const giveUp = (reason: Error) => {
          clearTimeout(timer);
          timer = this.#abandon(id, () => reject(reason));
        };
        // Whatever it is: who aborts may give any reason.
        onAbort = () => giveUp(signal?.reason as Error);
        signal?.addEventListener("abort", onAbort, { once: true });
        if (timeoutMs !== undefined) {
          const error = timeoutError(verb, timeoutMs);
          timer = setTimeout(() => giveUp(error), timeoutMs);
        }
        this.#write(line);
      });
    } finally {
      clearTimeout(timer);
      if (onAbort !== undefined) signal?.removeEventListener("abort", onAbort);
    }
  }

  /**
   * Nobody waits for this request's answer any more, so what it runs in the guest is ended. `onEnded` is called when it has,
   * so that who asks next finds the console free, or when the guest does not say so.
   */
  #abandon(id: string, onEnded: () => void): NodeJS.Timeout | undefined {
    if (!this.#pending.has(id)) return undefined;
    this.#pending.set(id, { facts: [], settle: onEnded, fail: onEnded });
    this.#write(new TextEncoder().encode(`${this.#nextId++} stop ${id}\n`));
    return setTimeout(() => {
      this.#pending.delete(id);
      onEnded();
    }, STOP_TIMEOUT_MS);
  }

  /** The guest is gone: every request under way and every later one is rejected with `error`. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    for (const request of this.#pending.values()) request.fail(error);
    this.#pending.clear();
  }
}

function timeoutError(verb: string, timeoutMs: number): SlirpError {
  return new SlirpError(
    ErrorCode.guestFailed,
    `the guest did not answer "${verb}" within ${timeoutMs / 1000} s`,
  );
}

/** A shell command as one word of a request. */
export function encodeCommand(command: string): string {
  return Buffer.from(command, "utf8").toString("base64");
}

/** What the lines of `key`, each a piece in Base64, hold together. */
export function decodeFacts(facts: readonly AgentFact[], key: string): Uint8Array {
  const pieces = facts.filter((fact) => fact.key === key);
  return Buffer.concat(pieces.map((fact) => Buffer.from(fact.value, "base64")));
}
