/**
 * A port that a relay opens for this side: what listeners and bound UDP sockets have in common (wisp-listen.ts tells what goes over the
 * wire).
 *
 * It outlives a connection to a relay: when that is lost, the port is asked for again, the same number, as soon as there is another. Where
 * the relay then refuses, for instance because it has not noticed yet that the old connection is gone, it is asked again later.
 */
import { formatEndpoint, ipEndpoint, parseIpAddress, type IpEndpoint } from "../address.js";
import type { HostTimer } from "../host-network.js";
import { BindResult, encodeListen } from "../wisp-listen.js";
import { encodeClose, WispReason, type WispKind } from "../wisp.js";
import type { WispConnection } from "./wisp-connection.js";
import type { WispListenPeer } from "./wisp-peers.js";
import type { ConnectionWaiter } from "./wisp-relays.js";
import type { WispStreamParts } from "./wisp-stream.js";

/** Between two tries to get a port back. */
const RETRY_MS = 2000;

/** Whom a port tells. */
export interface WispPortOwner {
  /** Somebody connected. */
  onIncoming(connection: WispConnection, id: number, peer: IpEndpoint): void;
  /** DATA with the port's own id: a datagram. */
  onData(payload: Uint8Array): void;
  /** There is room in the WebSocket again. */
  onUncongested(): void;
}

/** What is to be opened. */
export interface WispPortOptions {
  readonly kind: WispKind;
  readonly local: IpEndpoint;
  readonly ipv6Only: boolean;
}

/** See the top of the file. */
export class WispPort implements WispListenPeer, ConnectionWaiter {
  readonly #parts: WispStreamParts;
  readonly #owner: WispPortOwner;
  readonly #kind: WispKind;
  readonly #ipv6Only: boolean;
  #local: IpEndpoint;
  #connection: WispConnection | undefined;
  #id = 0;
  #isBound = false;
  #closed = false;
  #timer: HostTimer | undefined;
  /** Until the port is open for the first time. */
  #opening: { resolve(): void; reject(reason: Error): void } | undefined;

  constructor(parts: WispStreamParts, owner: WispPortOwner, options: WispPortOptions) {
    this.#parts = parts;
    this.#owner = owner;
    this.#kind = options.kind;
    this.#local = options.local;
    this.#ipv6Only = options.ipv6Only;
    parts.open.add(this);
  }

  /** Where it is bound: as the relay says, once `open` is fulfilled. */
  get local(): IpEndpoint {
    return this.#local;
  }

  /** The connection and id for datagrams; undefined while the port is not open. */
  get link(): { readonly connection: WispConnection; readonly id: number } | undefined {
    const connection = this.#connection;
    return connection && this.#isBound ? { connection, id: this.#id } : undefined;
  }

  /** Fulfilled when the relay has opened the port. @throws Error with the name of an errno as `code`. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#opening = { resolve, reject };
      this.#timer = this.#parts.loop.setTimer(() => {
        this.#fail("ETIMEDOUT", "no relay could be reached in time");
      }, this.#parts.connectTimeoutMs);
      this.#parts.relays.wait(this);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    this.#parts.relays.forget(this);
    this.#parts.open.delete(this);
    this.#connection?.send(encodeClose(this.#id, WispReason.voluntary));
    this.#connection?.peers.detach(this.#id);
    this.#connection = undefined;
    this.#reject("ENETDOWN", "the host network was closed");
  }

  abandon(): void {
    this.close();
  }

  onConnection(connection: WispConnection): void {
    if (this.#closed) return;
    const { listen } = connection.features;
    if (listen !== "yes") {
      this.#fail(listen === "no" ? "ENOTSUP" : "EACCES", WHY_NOT[listen]);
      return;
    }
    this.#connection = connection;
    this.#id = connection.peers.attachListener(this);
    const { address, port } = this.#local;
    const asked = { address, port, ipv6Only: this.#ipv6Only };
    connection.send(encodeListen(this.#id, this.#kind, asked));
  }

  onRefused(): void {
    this.#fail("EACCES", "no relay lets us in");
  }

  onBound(result: BindResult, port: number, text: string): void {
    if (this.#isBound) return;
    const address = result === BindResult.bound ? parseIpAddress(text) : undefined;
    if (!address || port < 1) {
      this.#connection?.peers.detach(this.#id);
      this.#connection = undefined;
      const [code, what] = REFUSALS.get(result) ?? ["EIO", "it cannot be opened"];
      this.#fail(code, `${what}; the relay says: ${text}`);
      return;
    }
    this.#timer?.cancel();
    this.#isBound = true;
    this.#local = ipEndpoint(address, port);
    this.#opening?.resolve();
    this.#opening = undefined;
  }

  onIncoming(id: number, address: string, port: number): void {
    const connection = this.#connection;
    const peer = parseIpAddress(address);
    if (connection && peer) this.#owner.onIncoming(connection, id, ipEndpoint(peer, port));
    else connection?.send(encodeClose(id, WispReason.networkError));
  }

  onData(payload: Uint8Array): void {
    if (!this.#closed) this.#owner.onData(payload);
  }

  onContinue(): void {
    // A port has no credits.
  }

  /** The relay has ended it. */
  onClose(): void {
    this.#lose();
    this.#retryLater();
  }

  onLost(): void {
    this.#lose();
    if (!this.#closed) this.#parts.relays.wait(this);
  }

  onUncongested(): void {
    this.#owner.onUncongested();
  }

  #lose(): void {
    this.#connection = undefined;
    this.#isBound = false;
  }

  /** A port that was open once is wanted until it is closed. */
  #fail(code: string, problem: string): void {
    if (!this.#opening) {
      this.#retryLater();
      return;
    }
    this.#reject(code, problem);
    this.close();
  }

  #retryLater(): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    this.#timer = this.#parts.loop.setTimer(() => {
      this.#parts.relays.wait(this);
    }, RETRY_MS);
  }

  #reject(code: string, problem: string): void {
    const message = `listen ${code} ${formatEndpoint(this.#local)}: ${problem}`;
    this.#opening?.reject(Object.assign(new Error(message), { code }));
    this.#opening = undefined;
  }
}

const WHY_NOT = {
  no: "the relay opens no ports for its clients; its option `forwards` turns that on (slirp-wasm relay --forward-ports 8000-8999)",
  needsToken:
    "the relay opens ports for those only who know its token; name it as `forwardToken` of the relay",
} as const;

const REFUSALS: ReadonlyMap<BindResult, readonly [code: string, what: string]> = new Map([
  [BindResult.addressInUse, ["EADDRINUSE", "the relay's port is taken"]],
  [BindResult.addressNotAvailable, ["EADDRNOTAVAIL", "the relay has no such address"]],
  [BindResult.forbidden, ["EACCES", "the relay's policy forbids it"]],
  [BindResult.tooMany, ["EMFILE", "the relay has opened as many ports as it does"]],
  [BindResult.badToken, ["EACCES", "the `forwardToken` is not the relay's"]],
]);
