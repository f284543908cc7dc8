/** Who is told what comes on a connection to a Wisp relay, by the id of the stream or listener that it concerns. */
import type { BindResult } from "../wisp-listen.js";
import type { WispReason } from "../wisp.js";

/** Ids are 32 bits; beyond 31 some servers take them for negative. */
const MAX_ID = 0x7fff_ffff;

/** What a connection tells of a stream. */
export interface WispStreamPeer {
  /** DATA; the view is valid until the call returns. */
  onData(payload: Uint8Array): void;
  /** CONTINUE: this many packets may be sent from now on. */
  onContinue(credits: number): void;
  /** CLOSE; the id is free again. */
  onClose(reason: WispReason): void;
  /** The connection is gone, with everything that was under way. */
  onLost(): void;
  /** There is room in the WebSocket again. */
  onUncongested(): void;
}

/** What a connection tells of a listener, beside what it tells of a stream. */
export interface WispListenPeer extends WispStreamPeer {
  /** What became of LISTEN; the id of one that was refused is free again. */
  onBound(result: BindResult, port: number, text: string): void;
  /** Somebody connected: stream `id`, to be adopted at once or closed. */
  onIncoming(id: number, address: string, port: number): void;
}

/** See the top of the file. */
export class WispPeers {
  readonly #streams = new Map<number, WispStreamPeer>();
  readonly #listeners = new Map<number, WispListenPeer>();
  #nextId = 1;

  /** An id for a stream or listener of ours, which `peer` is told of. */
  attach(peer: WispStreamPeer): number {
    while (this.#streams.has(this.#nextId)) this.#advanceId();
    const id = this.#nextId;
    this.#advanceId();
    this.#streams.set(id, peer);
    return id;
  }

  /** The same for a listener. */
  attachListener(peer: WispListenPeer): number {
    const id = this.attach(peer);
    this.#listeners.set(id, peer);
    return id;
  }

  /** A stream that the relay has begun. */
  adopt(id: number, peer: WispStreamPeer): void {
    this.#streams.set(id, peer);
  }

  /** The stream is over: what still comes for it means nothing. */
  detach(id: number): void {
    this.#streams.delete(id);
    this.#listeners.delete(id);
  }

  /** Streams and listeners. */
  get(id: number): WispStreamPeer | undefined {
    return this.#streams.get(id);
  }

  getListener(id: number): WispListenPeer | undefined {
    return this.#listeners.get(id);
  }

  /** Tells everybody that there is room in the WebSocket again. */
  tellUncongested(): void {
    for (const stream of this.#streams.values()) stream.onUncongested();
  }

  /** Forgets everybody, and tells them that the connection is gone. */
  lose(): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#listeners.clear();
    for (const stream of streams) stream.onLost();
  }

  #advanceId(): void {
    this.#nextId = this.#nextId >= MAX_ID ? 1 : this.#nextId + 1;
  }
}
