/**
 * A UDP socket through a Wisp relay: a Wisp stream for each address that was sent to, a DATA message for each datagram.
 *
 * A relay's UDP stream is connected: only answers from the address that was asked come back, from the relay's own port. That is enough
 * for what guests do (DNS, NTP, QUIC). Nothing waits for long: datagrams sent before there is a connection to a relay are kept, a few
 * of them; what comes and is not taken is kept up to a bound and dropped then, as a socket's buffer does.
 */
import { formatEndpoint, type IpEndpoint, type IpFamily } from "../address.js";
import { Errno, Readiness, type DatagramSource, type HostDatagram } from "../host-network.js";
import { ReadinessSource } from "../readiness-source.js";
import { encodeClose, encodeConnect, encodeData, WispKind, WispReason } from "../wisp.js";
import type { OpenSocket } from "./page-host-network.js";
import type { WispConnection } from "./wisp-connection.js";
import type { WispStreamPeer } from "./wisp-peers.js";
import type { ConnectionWaiter, WispRelays } from "./wisp-relays.js";

/** Largest payload of UDP over IPv4 and over IPv6 (RFC 768 and the lengths of RFC 791 and RFC 8200). */
export const MAX_DATAGRAM_BYTES = { 4: 65_507, 6: 65_527 } as const;

/** Received and not taken, at most. */
const RECEIVE_BYTES = 256 * 1024;

/** Sent before there is a connection, at most: a resolver's questions fit many times. */
const WAITING_BYTES = 64 * 1024;

/** Addresses a socket talks to at the same time; then the one not used for longest is forgotten. */
const MAX_PEERS = 64;

/** What datagram sockets of a network have in common. */
export interface WispDatagramParts {
  readonly relays: WispRelays;
  /** Open sockets, for the network's end. */
  readonly open: Set<OpenSocket>;
}

interface Received {
  readonly endpoint: IpEndpoint;
  readonly bytes: Uint8Array;
}

/** See the top of the file. */
export class WispDatagram extends ReadinessSource implements HostDatagram, ConnectionWaiter {
  readonly #parts: WispDatagramParts;
  readonly #family: IpFamily;
  readonly #peers = new Map<string, UdpPeer>();
  #received: Received[] = [];
  #receivedBytes = 0;
  #waiting: Received[] = [];
  #waitingBytes = 0;
  #closed = false;

  constructor(parts: WispDatagramParts, family: IpFamily) {
    super();
    this.#parts = parts;
    this.#family = family;
    parts.open.add(this);
    this.raise(Readiness.writable);
  }

  /** The relay has it, and does not tell. */
  get localEndpoint(): IpEndpoint | undefined {
    return undefined;
  }

  sendTo(bytes: Uint8Array, remote: IpEndpoint): number {
    if (this.#closed) return -Errno.EBADF;
    if (remote.family !== this.#family) return -Errno.EAFNOSUPPORT;
    if (bytes.length > MAX_DATAGRAM_BYTES[this.#family]) return -Errno.EMSGSIZE;
    const { connection } = this.#parts.relays;
    if (!connection) {
      this.#keepWaiting(bytes, remote);
      return bytes.length;
    }
    if (!connection.features.udp) return -Errno.ENETUNREACH;
    if (connection.isCongested) {
      this.owe(Readiness.writable);
      return -Errno.EAGAIN;
    }
    this.#send(connection, bytes, remote);
    return bytes.length;
  }

  nextLength(): number {
    const next = this.#received[0];
    if (next) return next.bytes.length;
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }

  receiveFrom(target: Uint8Array, source: DatagramSource): number {
    const next = this.#received.shift();
    if (!next) {
      this.owe(Readiness.readable);
      return -Errno.EAGAIN;
    }
    this.#receivedBytes -= next.bytes.length;
    const count = Math.min(next.bytes.length, target.length);
    target.set(next.bytes.subarray(0, count));
    source.endpoint = next.endpoint;
    return count;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    this.#parts.relays.forget(this);
    this.#parts.open.delete(this);
    for (const peer of this.#peers.values()) peer.close();
    this.#peers.clear();
    this.#received = [];
    this.#waiting = [];
  }

  abandon(): void {
    this.close();
  }

  onConnection(connection: WispConnection): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    if (this.#closed || !connection.features.udp) return;
    for (const { endpoint, bytes } of waiting) this.#send(connection, bytes, endpoint);
  }

  onRefused(): void {
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  /** What a peer of ours has received. */
  take(endpoint: IpEndpoint, payload: Uint8Array): void {
    if (this.#closed || this.#receivedBytes + payload.length > RECEIVE_BYTES) return;
    this.#received.push({ endpoint, bytes: new Uint8Array(payload) });
    this.#receivedBytes += payload.length;
    this.raise(Readiness.readable);
  }

  /** There is room in the WebSocket again. */
  uncongested(): void {
    this.raise(Readiness.writable);
  }

  forget(key: string): void {
    this.#peers.delete(key);
  }

  #keepWaiting(bytes: Uint8Array, endpoint: IpEndpoint): void {
    if (this.#waitingBytes + bytes.length > WAITING_BYTES) return;
    this.#waiting.push({ endpoint, bytes: new Uint8Array(bytes) });
    this.#waitingBytes += bytes.length;
    this.#parts.relays.wait(this);
  }

  #send(connection: WispConnection, bytes: Uint8Array, remote: IpEndpoint): void {
    const key = formatEndpoint(remote);
    let peer = this.#peers.get(key);
    // The one used last stands last.
    if (peer) this.#peers.delete(key);
    else peer = new UdpPeer(this, key, connection, remote);
    this.#peers.set(key, peer);
    peer.send(bytes);
    if (this.#peers.size <= MAX_PEERS) return;
    const [oldest] = this.#peers.values();
    if (oldest) oldest.close();
  }
}

/** An address that a socket talks to. */
class UdpPeer implements WispStreamPeer {
  readonly #owner: WispDatagram;
  readonly #key: string;
  readonly #connection: WispConnection;
  readonly #remote: IpEndpoint;
  readonly #id: number;

  constructor(owner: WispDatagram, key: string, connection: WispConnection, remote: IpEndpoint) {
    this.#owner = owner;
    this.#key = key;
    this.#connection = connection;
    this.#remote = remote;
    this.#id = connection.peers.attach(this);
    connection.send(encodeConnect(this.#id, WispKind.udp, remote.address, remote.port));
  }

  send(bytes: Uint8Array): void {
    this.#connection.send(encodeData(this.#id, bytes));
  }

  close(): void {
    this.#connection.send(encodeClose(this.#id, WispReason.voluntary));
    this.#connection.peers.detach(this.#id);
    this.#owner.forget(this.#key);
  }

  onData(payload: Uint8Array): void {
    this.#owner.take(this.#remote, payload);
  }

  onContinue(): void {
    // UDP has no credits; an open confirmation changes nothing.
  }

  onClose(): void {
    this.#owner.forget(this.#key);
  }

  onLost(): void {
    this.#owner.forget(this.#key);
  }

  onUncongested(): void {
    this.#owner.uncongested();
  }
}
