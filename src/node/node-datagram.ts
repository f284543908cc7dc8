/**
 * UDP sockets on `dgram.Socket`.
 *
 * Addresses are numeric, so the look-up that dgram insists on answers at once, and with it binding: `open` knows whether
 * it worked. dgram cannot be paused; received datagrams wait in a bounded queue, and what comes when it is full is dropped
 * and counted, as a kernel's receive buffer would.
 *
 * A datagram to be sent is copied into one buffer common to all sockets. The system nearly always takes it during the
 * call; when it kept it instead, that buffer is its own from then on and the next datagram gets a new one. What fails is
 * known after the call only and so becomes the pending error, which the next call for reading answers (contract: "an
 * error that was reported for the socket").
 *
 * Other than a connected socket, one that is not connected is not told of ICMP errors by the system: a closed port at the
 * other end stays unknown.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import type { IpEndpoint, IpFamily } from "../address.js";
import { Errno, Readiness, type DatagramSource, type HostDatagram } from "../host-network.js";
import { errnoOf } from "./errno-of.js";
import { endpointOf, hostText } from "./node-endpoints.js";
import type { NodeLoop, Resource } from "./node-loop.js";
import { ReadinessSource } from "../readiness-source.js";

/** Largest UDP payload: 65,535 less the UDP header and, for IPv4, the IP header, which counts there (RFC 768, 791, 8200). */
const MAX_PAYLOAD_BYTES = { 4: 65_507, 6: 65_527 } as const;

/** What waits to be read, at most; each bounds what the other does not (empty datagrams, large ones). */
const MAX_RECEIVED_DATAGRAMS = 256;
const MAX_RECEIVED_BYTES = 512 * 1024;

/**
 * What the system keeps of a socket before we have read it, as far as it lets us (`net.core.rmem_max`): its own 208 KiB are full of
 * small datagrams in 5 ms at 20,000 a second, and a turn of the event loop may last longer.
 */
const SYSTEM_RECEIVE_BYTES = 1024 * 1024;

/** What the system may hold back for sending before the stack is told to wait. */
const MAX_SEND_BYTES = 256 * 1024;

/** How a socket is to be bound. */
export interface DatagramBinding {
  readonly address: string;
  readonly port: number;
  readonly ipv6Only: boolean;
}

interface ReceivedDatagram {
  readonly bytes: Uint8Array;
  readonly from: IpEndpoint;
}

export class NodeDatagram extends ReadinessSource implements HostDatagram, Resource {
  readonly #loop: NodeLoop;
  readonly #family: IpFamily;
  readonly #socket: Socket;
  readonly #received: ReceivedDatagram[] = [];
  #receivedBytes = 0;
  #droppedDatagrams = 0;
  #lastSender: { text: string; endpoint: IpEndpoint } | undefined;
  #local: IpEndpoint | undefined;
  /** The stack is done with it; the socket may still be sending what it took. */
  #closed = false;
  #socketClosed = false;

  /** Binds a socket; without `binding` to any address and free port. Answers the system's error where that fails. */
  static open(
    loop: NodeLoop,
    family: IpFamily,
    binding: Partial<DatagramBinding>,
  ): NodeDatagram | Error {
    const socket = createSocket({
      type: family === 4 ? "udp4" : "udp6",
      // The system refuses the flag on an IPv4 socket (EINVAL).
      ipv6Only: family === 6 && (binding.ipv6Only ?? false),
      lookup: answerNumericAddress,
      recvBufferSize: SYSTEM_RECEIVE_BYTES,
    });
    let failure: Error | undefined;
    const fail = (error: Error): void => void (failure = error);
    socket.on("error", fail);
    const { address, port = 0 } = binding;
    socket.bind({ port, exclusive: true, ...(address !== undefined && { address }) });
    if (failure) {
      socket.close();
      return failure;
    }
    const datagram = new NodeDatagram(loop, family, socket);
    socket.off("error", fail);
    datagram.raise(Readiness.writable);
    return datagram;
  }

  private constructor(loop: NodeLoop, family: IpFamily, socket: Socket) {
    super();
    this.#loop = loop;
    this.#family = family;
    this.#socket = socket;
    loop.add(this);
    socket.on("message", (bytes, from) => this.#onMessage(bytes, from));
    socket.on("error", (error) => this.#onError(error));
    socket.on("close", () => loop.remove(this));
  }

  get localEndpoint(): IpEndpoint | undefined {
    if (this.#local || this.#closed) return this.#local;
    const { address, port } = this.#socket.address();
    this.#local = endpointOf(address, port);
    return this.#local;
  }

  /** Datagrams that came while the queue was full, since the socket was opened. */
  get droppedDatagrams(): number {
    return this.#droppedDatagrams;
  }

  sendTo(bytes: Uint8Array, remote: IpEndpoint): number {
    if (this.#closed) return -Errno.EBADF;
    if (remote.family !== this.#family) return -Errno.EAFNOSUPPORT;
    if (remote.port === 0) return -Errno.EINVAL;
    if (bytes.length > MAX_PAYLOAD_BYTES[this.#family]) return -Errno.EMSGSIZE;
    const socket = this.#socket;
    if (socket.getSendQueueSize() + bytes.length > MAX_SEND_BYTES) {
      this.owe(Readiness.writable);
      return -Errno.EAGAIN;
    }
    const buffer = (this.#loop.datagramBuffer ??= Buffer.allocUnsafeSlow(MAX_PAYLOAD_BYTES[6]));
    buffer.set(bytes);
    socket.send(buffer, 0, bytes.length, remote.port, hostText(remote), this.#onSent);
    if (socket.getSendQueueCount() > 0) this.#loop.datagramBuffer = undefined;
    return bytes.length;
  }

  nextLength(): number {
    if (this.pendingError !== 0) return -this.takeError();
    const [next] = this.#received;
    return next ? next.bytes.length : this.#nothing();
  }

  receiveFrom(target: Uint8Array, source: DatagramSource): number {
    if (this.pendingError !== 0) return -this.takeError();
    const next = this.#received.shift();
    if (!next) return this.#nothing();
    this.#receivedBytes -= next.bytes.length;
    source.endpoint = next.from;
    const count = Math.min(next.bytes.length, target.length);
    target.set(count === next.bytes.length ? next.bytes : next.bytes.subarray(0, count));
    return count;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.silence();
    this.#received.length = 0;
    this.#receivedBytes = 0;
    if (this.#socket.getSendQueueCount() === 0) this.#closeSocket();
  }

  abort(): void {
    this.close();
    this.#closeSocket();
  }

  setRef(hold: boolean): void {
    if (this.#socketClosed) return;
    if (hold) this.#socket.ref();
    else this.#socket.unref();
  }

  #onMessage(bytes: Uint8Array, from: RemoteInfo): void {
    if (this.#closed) return;
    if (
      this.#received.length >= MAX_RECEIVED_DATAGRAMS ||
      this.#receivedBytes + bytes.length > MAX_RECEIVED_BYTES
    ) {
      this.#droppedDatagrams += 1;
      return;
    }
    const sender = this.#senderOf(from);
    if (!sender) return;
    this.#received.push({ bytes, from: sender });
    this.#receivedBytes += bytes.length;
    this.raise(Readiness.readable);
  }

  /** Most sockets hear from one address only: it is parsed once. */
  #senderOf({ address, port }: RemoteInfo): IpEndpoint | undefined {
    const last = this.#lastSender;
    if (last?.text === address && last.endpoint.port === port) return last.endpoint;
    const endpoint = endpointOf(address, port);
    if (endpoint) this.#lastSender = { text: address, endpoint };
    return endpoint;
  }

  readonly #onSent = (error: Error | null): void => {
    if (this.#closed) {
      if (!this.#socketClosed && this.#socket.getSendQueueCount() === 0) this.#closeSocket();
      return;
    }
    if (error) this.#onError(error);
    if (this.#socket.getSendQueueSize() <= MAX_SEND_BYTES / 2) this.raise(Readiness.writable);
  };

  #onError(error: Error): void {
    this.keepError(errnoOf(error));
    this.raise(Readiness.error | Readiness.readable);
  }

  #closeSocket(): void {
    if (this.#socketClosed) return;
    this.#socketClosed = true;
    this.#socket.close();
  }

  #nothing(): number {
    if (this.#closed) return -Errno.EBADF;
    this.owe(Readiness.readable);
    return -Errno.EAGAIN;
  }
}

/** dgram's look-up, for addresses that need none: it answers during the call, and so binding is done by then. */
function answerNumericAddress(
  address: string,
  _options: unknown,
  callback: (error: null, address: string, family: number) => void,
): void {
  callback(null, address, address.includes(":") ? 6 : 4);
}
