// A guest without a machine: Ethernet, ARP, IPv4 and just enough TCP to load the stack from within its own process, so
// that what is measured is the stack and not an emulator. It trusts the wire, which is a function call: nothing is lost or
// reordered there, so nothing is retransmitted, and a gap in what arrives is an error of the benchmark.
//
// As a real guest it acknowledges every second full segment and whatever a batch leaves (RFC 1122, 4.2.3.2), keeps to the
// window it is told, and computes every checksum it sends; but its payload is always the same, so that the sum over it is a
// multiplication.

import { RawConnection } from "./raw-connection.mjs";
import {
  GATEWAY_ADDRESS,
  GATEWAY_MAC,
  GUEST_ADDRESS,
  GUEST_MAC,
  OFFLOAD_HEADER_BYTES,
} from "./raw-frame.mjs";

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV4 = 0x0800;
const PROTOCOL_TCP = 6;
const FIRST_PORT = 1024;

export class RawGuest {
  /** Whether its NIC takes and sends long frames, checksums left to do. */
  hasOffloads;

  #backend;
  #mtuBytes;
  #headerBytes;
  /** By the guest's port. */
  #connections = new Array(65536);
  #nextPort = FIRST_PORT;
  /** Those that the batch at hand concerns. */
  #touched = [];
  #waitingFrames = [];
  #onGateway;

  /** Attaches itself to a backend. `mtuBytes`: largest IP packet, both ways; `offloads`: the NIC has those of virtio-net. */
  constructor(backend, { mtuBytes = 1500, offloads = false } = {}) {
    this.#backend = backend;
    this.#mtuBytes = mtuBytes;
    this.hasOffloads = offloads;
    this.#headerBytes = offloads ? OFFLOAD_HEADER_BYTES : 0;
    if (offloads) {
      backend.setCapabilities(backend.capabilities(OFFLOAD_HEADER_BYTES), OFFLOAD_HEADER_BYTES);
    }
    backend.callbacks = {
      onFrames: (batch) => this.#receive(batch),
      onWritable: () => this.#sendWaiting(),
    };
    backend.enableReceive();
  }

  /** Asks for the gateway's address by ARP, by which the stack learns ours. */
  async findGateway() {
    const answered = new Promise((resolve) => (this.#onGateway = resolve));
    this.#sendPlain(arpFrame(1, GATEWAY_ADDRESS, new Uint8Array(6)));
    await answered;
  }

  /** Connects to a port of the host's loopback; fulfilled when it is established. */
  async connect(port) {
    const connection = new RawConnection(this, this.#takePort(), port, this.#mtuBytes - 40);
    this.#connections[connection.localPort] = connection;
    await connection.open();
    return connection;
  }

  #takePort() {
    while (this.#connections[this.#nextPort]) this.#advancePort();
    const port = this.#nextPort;
    this.#advancePort();
    return port;
  }

  #advancePort() {
    this.#nextPort = this.#nextPort === 65535 ? FIRST_PORT : this.#nextPort + 1;
  }

  /** The connection is through: its port is free again. */
  forget(connection) {
    this.#connections[connection.localPort] = undefined;
  }

  /** A frame that has no header yet. */
  #sendPlain(frame) {
    const framed = new Uint8Array(this.#headerBytes + frame.length);
    framed.set(frame, this.#headerBytes);
    this.send(framed);
  }

  /** Sends a frame, which may be changed as soon as this returns. */
  send(frame) {
    if (this.#waitingFrames.length > 0 || this.#backend.send(frame) === "mustWait") {
      this.#waitingFrames.push(frame.slice());
    }
  }

  /** Whether the backend has said that it is full: a sender stops then. */
  get mustWait() {
    return this.#waitingFrames.length > 0;
  }

  #sendWaiting() {
    while (this.#waitingFrames.length > 0) {
      if (this.#backend.send(this.#waitingFrames[0]) === "mustWait") return;
      this.#waitingFrames.shift();
    }
    for (const connection of this.#connections) connection?.pump();
  }

  #receive({ bytes, count, offsets, lengths }) {
    for (let i = 0; i < count; i++) {
      const at = offsets[i] + this.#headerBytes;
      const type = (bytes[at + 12] << 8) | bytes[at + 13];
      if (type === ETHERTYPE_IPV4 && bytes[at + 23] === PROTOCOL_TCP) this.#receiveTcp(bytes, at);
      else if (type === ETHERTYPE_ARP)
        this.#receiveArp(bytes.subarray(at, offsets[i] + lengths[i]));
    }
    // What follows may call the stack, which may write where the batch lies: everything has been read.
    for (const connection of this.#touched) connection.finishBatch();
    this.#touched.length = 0;
  }

  #receiveTcp(bytes, at) {
    const connection = this.#connections[(bytes[at + 36] << 8) | bytes[at + 37]];
    if (!connection) return;
    if (connection.receive(bytes, at)) this.#touched.push(connection);
  }

  #receiveArp(frame) {
    const operation = frame[21];
    const sender = frame.slice(28, 32);
    if (operation === 2) {
      this.#onGateway?.();
    } else if (GUEST_ADDRESS.every((byte, i) => frame[38 + i] === byte)) {
      this.#sendPlain(arpFrame(2, sender, frame.slice(22, 28)));
    }
  }
}

/** An ARP packet of ours (RFC 826), padded to the least length of a frame. */
function arpFrame(operation, targetAddress, targetMac) {
  const frame = new Uint8Array(60);
  frame.set(operation === 1 ? [255, 255, 255, 255, 255, 255] : GATEWAY_MAC, 0);
  frame.set(GUEST_MAC, 6);
  frame.set([0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, operation], 12);
  frame.set(GUEST_MAC, 22);
  frame.set(GUEST_ADDRESS, 28);
  frame.set(targetMac, 32);
  frame.set(targetAddress, 38);
  return frame;
}
