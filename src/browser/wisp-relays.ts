/**
 * The connection to a relay, and to the next one when that fails: who wants a stream asks here.
 *
 * A connection is opened when the first stream wants one. When it is lost, streams that were on it are reset towards the guest, and
 * the next stream, or one that waits, opens another: at once at the next relay of the list, and when all of them have failed in a
 * row after a pause that doubles from half a second to 15. Streams wait for a connection as long as their own time lasts.
 *
 * Passwords are written as draft 6 of Wisp v2 has them. A relay that refuses one, or hangs up on it, is asked once more in draft 5's form
 * (wisp-js, older servers): it may not have been able to read it. What a relay has taken is used with it again.
 */
import type { PasswordDraft } from "../wisp-extensions.js";
import {
  WispConnection,
  type WispConnectionEnd,
  type WispConnectionOptions,
} from "./wisp-connection.js";
import type { WispCredentials } from "./wisp-handshake.js";
import type { WebSocketClass } from "./web-socket.js";

/** A relay to connect to. */
export interface WispRelay extends WispCredentials {
  /** `wss://host/path/`; the path ends in a slash. */
  readonly url: string;
}

/** What is going on with the relays, for whoever shows it. */
export interface RelayStatus {
  /** `idle`: nobody needs a relay; `waiting`: all were tried, and will be again. */
  readonly state: "idle" | "connecting" | "open" | "waiting" | "closed";
  /** The relay in use or being tried. */
  readonly url: string;
  /** Wisp 2 features, or what went wrong. */
  readonly message: string;
}

/** Who waits for a connection. Told once: one of both. */
export interface ConnectionWaiter {
  onConnection(connection: WispConnection): void;
  /** Every relay refuses us (credentials, policy): there is nothing to wait for. */
  onRefused(): void;
}

/** How relays are made. */
export interface WispRelaysOptions {
  readonly relays: readonly WispRelay[];
  readonly webSocket: WebSocketClass;
  readonly onStatus?: ((status: RelayStatus) => void) | undefined;
}

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** From the WebSocket's beginning to the end of the handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** See the top of the file. */
export class WispRelays {
  readonly #options: WispRelaysOptions;
  readonly #waiters = new Set<ConnectionWaiter>();
  #connection: WispConnection | undefined;
  #index = 0;
  #version: 1 | 2 = 2;
  #passwordDraft: PasswordDraft = 6;
  /** What the relay said of the password in the form that was tried first, while the other one is tried. */
  #firstRefusal: WispConnectionEnd | undefined;
  /** Failures in a row, and how many of them were refusals. */
  #failures = 0;
  #refusals = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(options: WispRelaysOptions) {
    this.#options = options;
  }

  /** The connection, where there is one that is open. */
  get connection(): WispConnection | undefined {
    return this.#connection?.isOpen ? this.#connection : undefined;
  }

  /** Asks for a connection. Answered later, never from within this call. */
  wait(waiter: ConnectionWaiter): void {
    this.#waiters.add(waiter);
    if (!this.#connection && this.#timer === undefined) this.#connect();
    else if (this.connection) queueMicrotask(this.#serve);
  }

  /** The waiter is not interested any more. */
  forget(waiter: ConnectionWaiter): void {
    this.#waiters.delete(waiter);
  }

  /** Ends the connection; nobody is told. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#waiters.clear();
    this.#connection?.close();
    this.#tell("closed", "");
  }

  get #relay(): WispRelay {
    const { relays } = this.#options;
    return relays[this.#index % relays.length] as WispRelay;
  }

  #connect(): void {
    if (this.#closed) return;
    this.#tell("connecting", "");
    const { webSocket } = this.#options;
    const { url, ...credentials } = this.#relay;
    const options: WispConnectionOptions = {
      webSocket,
      url,
      credentials,
      version: this.#version,
      passwordDraft: this.#passwordDraft,
    };
    let connection: WispConnection;
    try {
      connection = new WispConnection(options, {
        onOpen: () => {
          this.#onOpen(connection);
        },
        onEnd: (end) => {
          this.#onEnd(connection, end);
        },
      });
    } catch (error) {
      // A page may not open ws: from https:, and says so by an exception.
      queueMicrotask(() => {
        this.#fail({ refused: true, message: String(error) });
      });
      return;
    }
    this.#connection = connection;
    this.#timer = setTimeout(() => {
      connection.close();
      this.#onEnd(connection, { refused: false, message: "no answer within 10 s" });
    }, HANDSHAKE_TIMEOUT_MS);
  }

  #onOpen(connection: WispConnection): void {
    this.#clearTimer();
    this.#failures = 0;
    this.#refusals = 0;
    this.#firstRefusal = undefined;
    const { motd } = connection.features;
    this.#tell("open", motd ?? "");
    this.#serve();
  }

  readonly #serve = (): void => {
    const { connection } = this;
    if (!connection) return;
    for (const waiter of this.#waiters) {
      this.#waiters.delete(waiter);
      waiter.onConnection(connection);
    }
  };

  #onEnd(connection: WispConnection, ended: WispConnectionEnd): void {
    if (this.#connection !== connection) return;
    this.#connection = undefined;
    this.#clearTimer();
    if (this.#closed) return;
    const wasOpen = this.#failures === 0 && connection.initialCredits > 0;
    if (!wasOpen && ended.passwordRefused && !this.#firstRefusal) {
      this.#firstRefusal = ended;
      this.#passwordDraft = this.#passwordDraft === 6 ? 5 : 6;
      this.#connect();
      return;
    }
    // A relay that says no to the one form may only hang up on the other.
    const end = !wasOpen && this.#firstRefusal?.refused ? this.#firstRefusal : ended;
    if (!wasOpen && this.#version === 2 && !end.refused) {
      // A server of version 1 may refuse the subprotocol.
      this.#version = 1;
      this.#connect();
      return;
    }
    this.#version = 2;
    if (wasOpen) this.#afterLoss(end.message);
    else this.#fail(end);
  }

  /** It worked until now: who waits, or comes next, tries again at once. */
  #afterLoss(message: string): void {
    this.#tell("idle", message);
    if (this.#waiters.size > 0) this.#connect();
  }

  #fail({ refused, message }: { refused: boolean; message: string }): void {
    this.#failures++;
    this.#firstRefusal = undefined;
    this.#passwordDraft = 6;
    if (refused) this.#refusals++;
    const { relays } = this.#options;
    const round = Math.floor(this.#failures / relays.length);
    this.#tell("waiting", message);
    this.#index = (this.#index + 1) % relays.length;
    if (this.#failures % relays.length !== 0) {
      this.#connect();
      return;
    }
    if (this.#refusals >= relays.length) this.#refuseAll();
    this.#refusals = 0;
    const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** (round - 1), LONGEST_PAUSE_MS);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.#waiters.size > 0) this.#connect();
      else this.#tell("idle", message);
    }, pauseMs);
  }

  #refuseAll(): void {
    const waiters = [...this.#waiters];
    this.#waiters.clear();
    for (const waiter of waiters) waiter.onRefused();
  }

  #clearTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #tell(state: RelayStatus["state"], message: string): void {
    this.#options.onStatus?.({ state, url: this.#relay.url, message });
  }
}
