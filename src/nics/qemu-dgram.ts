/**
 * QEMU's datagram sockets as a NIC: `-netdev dgram` over UDP, one frame a datagram, nothing else in it.
 *
 * A datagram socket joins two ends, so one guest. It has no connection: who sent last is the guest, where no remote address
 * is given, so that a QEMU that starts anew on another port is found again; before the first datagram there is nobody to
 * send to and frames are dropped. Datagrams that the system or the backend has no room for are lost, as on any such link.
 *
 * Unix datagram sockets, which QEMU can use too (`local.type=unix`), are not to be had: Node has none. `listenQemu` on a unix
 * path is the stream that does the same.
 */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { parseIpAddress, type IpAddress } from "../address.js";
import { SendStatus, type FrameBatch, type NetBackend } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { unlessClosed } from "./unless-closed.js";
import { SILENT_LOG, type LogSink } from "../log-sink.js";

/** An IP address and a UDP port. */
export interface DatagramAddress {
  /** IPv4 or IPv6 address, not a name. */
  readonly host: string;
  /** 0 to 65535. */
  readonly port: number;
}

/** How a datagram NIC is set up. */
export interface QemuDatagramOptions {
  /** Where it is bound: QEMU's `remote`. Port 0 asks for a free one. */
  readonly local: DatagramAddress;
  /** QEMU's `local`: datagrams of others are not heard. Default: whoever sent last. */
  readonly remote?: DatagramAddress;
  /** Stays the caller's. */
  readonly backend: NetBackend;
  /** What may lie unsent in the socket before frames are dropped, bytes. Default 1 MiB. */
  readonly maxUnsentBytes?: number;
  /** Told of its guest, and of what ends it. Default: nobody. */
  readonly log?: LogSink;
  /** Closes the NIC. */
  readonly signal?: AbortSignal;
}

/** Frames that a datagram NIC dropped itself. */
export interface QemuDatagramStatistics {
  /** Of the guest: the backend had no room. */
  readonly droppedFromGuest: number;
  /** Towards the guest: nobody had sent yet, or the socket had too much to send. */
  readonly droppedToGuest: number;
  /** Datagrams of somebody else than `remote`. */
  readonly ignored: number;
}

/** A NIC on a UDP socket. */
export interface QemuDatagramNic {
  /** Where it is bound, with the port that it got. */
  readonly local: DatagramAddress;
  /** The guest's end; undefined as long as it is not known. */
  readonly remote: DatagramAddress | undefined;
  /** Fulfilled when it is closed: with the error where the backend ended by itself. Never rejected. */
  readonly ended: Promise<Error | undefined>;
  /** Counters since it was opened. */
  statistics(): QemuDatagramStatistics;
  /** Lets go of the backend and closes the socket. Safe to call twice. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Binds a UDP socket and puts the guest at its other end on the backend.
 * @throws the system's error (`EADDRINUSE`, …); SlirpError `invalidConfiguration` for what is not an IP address
 */
export async function openQemuDatagram(options: QemuDatagramOptions): Promise<QemuDatagramNic> {
  const { local, remote, signal } = options;
  signal?.throwIfAborted();
  const family = readIp(local.host).family;
  if (remote && readIp(remote.host).family !== family) {
    throw new SlirpError(
      ErrorCode.invalidConfiguration,
      `"${local.host}" and "${remote.host}" cannot be the ends of one UDP socket; addresses of one IP version would be right`,
    );
  }
  const socket = createSocket({
    type: family === 4 ? "udp4" : "udp6",
    // Addresses are no names: without this, every datagram would make a detour over the resolver.
    lookup: (host, _options, done) => {
      done(null, host, family);
    },
  });
  await new Promise<void>((resolve, reject) => {
    socket.once("error", reject);
    socket.bind({ address: local.host, port: local.port, exclusive: true }, () => {
      socket.off("error", reject);
      resolve();
    });
  });
  const nic = new DatagramNic(socket, options);
  if (signal?.aborted) await nic.close();
  return nic;
}

function readIp(host: string): IpAddress {
  const address = parseIpAddress(host);
  if (address) return address;
  throw new SlirpError(
    ErrorCode.invalidConfiguration,
    `"${host}" cannot be an end of a UDP socket for QEMU; an IP address would be right`,
  );
}

/** A burst of a TCP window must fit; the system may give less. */
const SOCKET_BUFFER_BYTES = 4 * 1024 * 1024;

class DatagramNic implements QemuDatagramNic {
  readonly local: DatagramAddress;
  readonly ended: Promise<Error | undefined>;
  readonly #socket: Socket;
  readonly #options: QemuDatagramOptions;
  readonly #log: LogSink;
  readonly #maxUnsentBytes: number;
  readonly #onAbort = (): void => {
    void this.close();
  };
  #remote: DatagramAddress | undefined;
  #counters = { droppedFromGuest: 0, droppedToGuest: 0, ignored: 0 };
  #error: Error | undefined;
  #closing: Promise<void> | undefined;

  constructor(socket: Socket, options: QemuDatagramOptions) {
    this.#socket = socket;
    this.ended = new Promise((resolve) => {
      socket.once("close", () => {
        resolve(this.#error);
      });
    });
    this.#options = options;
    this.#log = options.log ?? SILENT_LOG;
    this.#maxUnsentBytes = options.maxUnsentBytes ?? 1024 * 1024;
    // In canonical form, as the system tells where a datagram comes from.
    this.#remote = options.remote && {
      host: readIp(options.remote.host).address,
      port: options.remote.port,
    };
    const { address, port } = socket.address();
    this.local = { host: address, port };
    socket.setRecvBufferSize(SOCKET_BUFFER_BYTES);
    socket.setSendBufferSize(SOCKET_BUFFER_BYTES);
    socket.on("error", (err) => {
      this.#log.warn({ err }, "the datagram socket reported an error");
    });
    socket.on("message", (frame, from) => {
      // Not Node's Buffer, whose `slice` is a view where everybody else's is a copy.
      this.#fromGuest(new Uint8Array(frame.buffer, frame.byteOffset, frame.length), from);
    });
    this.#attach(options.backend);
    options.signal?.addEventListener("abort", this.#onAbort, { once: true });
  }

  get remote(): DatagramAddress | undefined {
    return this.#remote;
  }

  statistics(): QemuDatagramStatistics {
    return { ...this.#counters };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #close(): Promise<void> {
    const { backend, signal } = this.#options;
    signal?.removeEventListener("abort", this.#onAbort);
    backend.callbacks = undefined;
    this.#ifOpen(() => {
      backend.disableReceive();
    });
    return new Promise((resolve) => {
      this.#socket.close(() => {
        resolve();
      });
    });
  }

  #attach(backend: NetBackend): void {
    backend.setCapabilities(0n, 0);
    backend.callbacks = {
      onFrames: (batch) => {
        this.#toGuest(batch);
      },
      onError: (err) => {
        this.#error = err;
        this.#log.warn({ err }, "the guest's backend has ended");
        void this.close();
      },
    };
    backend.enableReceive();
  }

  #ifOpen(act: () => void): void {
    unlessClosed(act, () => {
      void this.close();
    });
  }

  #fromGuest(frame: Uint8Array, from: RemoteInfo): void {
    if (this.#closing) return;
    const known = this.#remote;
    if (known?.port !== from.port || known.host !== from.address) {
      if (this.#options.remote) {
        this.#counters.ignored++;
        return;
      }
      this.#remote = { host: from.address, port: from.port };
      this.#log.info({ remote: this.#remote }, "a guest has sent its first frame");
    }
    this.#ifOpen(() => {
      if (this.#options.backend.send(frame) === SendStatus.mustWait) {
        this.#counters.droppedFromGuest++;
      }
    });
  }

  #toGuest(batch: FrameBatch): void {
    const remote = this.#remote;
    if (!remote || this.#socket.getSendQueueSize() > this.#maxUnsentBytes) {
      this.#counters.droppedToGuest += batch.count;
      return;
    }
    // One copy of all: a datagram is sent after the call at times.
    const copy = copyFrames(batch);
    let start = 0;
    for (let i = 0; i < batch.count; i++) {
      const length = batch.lengths[i] ?? 0;
      this.#socket.send(copy, start, length, remote.port, remote.host, this.#onSent);
      start += length;
    }
  }

  /** A datagram that could not be sent is one that was lost. */
  readonly #onSent = (error: Error | null): void => {
    if (error) this.#counters.droppedToGuest++;
  };
}

/** The frames of a batch, one behind the other. */
function copyFrames(batch: FrameBatch): Buffer {
  let total = 0;
  for (let i = 0; i < batch.count; i++) total += batch.lengths[i] ?? 0;
  const copy = Buffer.allocUnsafe(total);
  let end = 0;
  for (let i = 0; i < batch.count; i++) {
    const offset = batch.offsets[i] ?? 0;
    const length = batch.lengths[i] ?? 0;
    copy.set(batch.bytes.subarray(offset, offset + length), end);
    end += length;
  }
  return copy;
}
