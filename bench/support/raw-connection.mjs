// One TCP connection of the raw guest (raw-guest.mjs says what it leaves out).

import { get32, SegmentWriter, TcpFlag } from "./raw-frame.mjs";

/** All that a window without scaling can say; libslirp does not scale. */
const WINDOW_BYTES = 65535;
const UNBOUNDED = Infinity;
/** How long a closed window may stay so before it is asked for: Linux' shortest (RFC 9293, 3.8.6.1). */
const PROBE_AFTER_MS = 200;

export class RawConnection {
  /** Called with the number of bytes that a batch brought. */
  onBytes = undefined;
  bytesReceived = 0;
  bytesSent = 0;
  /** How often a closed window had to be asked for. */
  windowProbes = 0;
  localPort;

  #guest;
  #writer;
  #segmentBytes;
  #peerSegmentBytes = 536;
  #sendNext = 0;
  #acknowledged = 0;
  #peerWindow = 0;
  #receiveNext = 0;
  #toSend = 0;
  #finWanted = false;
  #finSent = false;
  #endReceived = false;
  #newBytes = 0;
  #unacknowledgedSegments = 0;
  #mustAcknowledge = false;
  #touched = false;
  #probeTimer;
  #onOpen;
  #onEnd;
  #ended;

  constructor(guest, localPort, remotePort, segmentBytes) {
    this.#guest = guest;
    this.localPort = localPort;
    this.#segmentBytes = segmentBytes;
    this.#writer = new SegmentWriter(localPort, remotePort, segmentBytes, guest.hasOffloads);
    this.#ended = new Promise((resolve, reject) => (this.#onEnd = { resolve, reject }));
    this.#ended.catch(() => {});
  }

  /** Fulfilled once FIN has come, and everything before it. */
  get ended() {
    return this.#ended;
  }

  open() {
    const sequence = (Math.random() * 2 ** 32) >>> 0;
    this.#sendNext = (sequence + 1) >>> 0;
    this.#acknowledged = this.#sendNext;
    this.#guest.send(this.#writer.writeSyn(sequence, WINDOW_BYTES, this.#segmentBytes));
    return new Promise((resolve, reject) => (this.#onOpen = { resolve, reject }));
  }

  /** Sends so many bytes, as the peer's window allows. */
  sendBytes(count) {
    this.#toSend += count;
    this.pump();
  }

  /** Sends for ever: until `finish`. */
  sendWithoutEnd() {
    this.sendBytes(UNBOUNDED);
  }

  /** FIN behind what is to be sent; behind what has been sent, where there is no end to that. */
  finish() {
    if (this.#toSend === UNBOUNDED) this.#toSend = 0;
    this.#finWanted = true;
    this.pump();
  }

  /** Sends a text now; it must be shorter than a segment. */
  sendText(text) {
    const bytes = new TextEncoder().encode(text);
    const flags = TcpFlag.ack | TcpFlag.psh;
    const [sequence, acknowledgement] = [this.#sendNext, this.#receiveNext];
    this.#sendNext = (sequence + bytes.length) >>> 0;
    this.#guest.send(
      this.#writer.writeBytes(flags, sequence, acknowledgement, WINDOW_BYTES, bytes),
    );
  }

  /** Ends it at once: RST. */
  abort() {
    clearTimeout(this.#probeTimer);
    this.#toSend = 0;
    this.#send(TcpFlag.ack | TcpFlag.rst, 0, this.#receiveNext);
    this.#guest.forget(this);
    this.#onEnd.reject(new Error("the connection was given up"));
  }

  /** Takes a segment of ours out of a batch. True for the first one in it: `finishBatch` is due then. */
  receive(bytes, at) {
    const flags = bytes[at + 47];
    if (flags & TcpFlag.rst) {
      this.#fail(new Error("the connection was reset"));
      return false;
    }
    const headerBytes = (bytes[at + 46] >> 4) * 4;
    const length = ((bytes[at + 16] << 8) | bytes[at + 17]) - 20 - headerBytes;
    const sequence = get32(bytes, at + 38);
    this.#acknowledged = get32(bytes, at + 42);
    this.#peerWindow = (bytes[at + 48] << 8) | bytes[at + 49];
    if (flags & TcpFlag.syn) this.#establish(bytes, at, sequence, headerBytes);
    else this.#take(sequence, length, flags);
    const first = !this.#touched;
    this.#touched = true;
    return first;
  }

  #establish(bytes, at, sequence, headerBytes) {
    this.#receiveNext = (sequence + 1) >>> 0;
    // libslirp sends one option, the largest segment it takes.
    if (headerBytes > 20) this.#peerSegmentBytes = (bytes[at + 56] << 8) | bytes[at + 57];
    this.#mustAcknowledge = true;
    this.#onOpen?.resolve();
    this.#onOpen = undefined;
  }

  #take(sequence, length, flags) {
    if (length > 0) {
      if (sequence !== this.#receiveNext) {
        this.#fail(
          new Error(
            `expected ${this.#receiveNext}, got ${sequence}: a segment was lost or came twice`,
          ),
        );
        return;
      }
      this.#receiveNext = (sequence + length) >>> 0;
      this.#newBytes += length;
      this.#unacknowledgedSegments++;
    }
    if ((flags & TcpFlag.fin) === 0 || this.#endReceived) return;
    this.#endReceived = true;
    this.#receiveNext = (this.#receiveNext + 1) >>> 0;
    this.#mustAcknowledge = true;
  }

  /** Acknowledges what the batch brought, sends on, tells the owner. */
  finishBatch() {
    this.#touched = false;
    const newBytes = this.#newBytes;
    this.#newBytes = 0;
    const acknowledgements = Math.max(
      Math.ceil(this.#unacknowledgedSegments / 2),
      Number(this.#mustAcknowledge),
    );
    this.#unacknowledgedSegments = 0;
    this.#mustAcknowledge = false;
    this.#acknowledge(acknowledgements, newBytes);
    this.bytesReceived += newBytes;
    if (newBytes > 0) this.onBytes?.(newBytes);
    this.pump();
    if (this.#endReceived) this.#onEnd.resolve();
    this.#forgetWhenThrough();
  }

  /** As many as a guest would have sent that takes one segment after the other. */
  #acknowledge(count, newBytes) {
    for (let i = count - 1; i >= 0; i--) {
      const before = Math.min(newBytes, 2 * i * this.#segmentBytes);
      this.#send(TcpFlag.ack, 0, (this.#receiveNext - before) >>> 0);
    }
  }

  /** Sends what window and backend allow. */
  pump() {
    const segmentBytes = Math.min(this.#segmentBytes, this.#peerSegmentBytes);
    while (this.#toSend > 0 && !this.#guest.mustWait) {
      const inFlight = (this.#sendNext - this.#acknowledged) >>> 0;
      const most = this.#guest.hasOffloads ? this.#writer.maxPayloadBytes : segmentBytes;
      const length = Math.min(most, this.#toSend, this.#peerWindow - inFlight);
      // Not less than a segment because the window has little room (RFC 9293, 3.8.6.2.1), unless it is the rest.
      if (length <= 0 || (length < segmentBytes && length < this.#toSend && inFlight > 0)) break;
      this.#send(TcpFlag.ack | TcpFlag.psh, length, this.#receiveNext);
      this.#sendNext = (this.#sendNext + length) >>> 0;
      this.#toSend -= length;
      this.bytesSent += length;
    }
    this.#watchWindow();
    if (this.#finWanted && !this.#finSent && this.#toSend === 0) {
      this.#finSent = true;
      this.#send(TcpFlag.ack | TcpFlag.fin, 0, this.#receiveNext);
      this.#sendNext = (this.#sendNext + 1) >>> 0;
    }
  }

  /** A window that closed and is not opened again is asked for by a segment that has nothing in it and is a byte too old. */
  #watchWindow() {
    const closed =
      this.#toSend > 0 && this.#acknowledged === this.#sendNext && !this.#guest.mustWait;
    if (!closed) {
      clearTimeout(this.#probeTimer);
      this.#probeTimer = undefined;
    } else {
      this.#probeTimer ??= setTimeout(() => {
        this.#probeTimer = undefined;
        this.windowProbes++;
        const old = (this.#sendNext - 1) >>> 0;
        this.#guest.send(this.#writer.write(TcpFlag.ack, old, this.#receiveNext, WINDOW_BYTES, 0));
        this.#watchWindow();
      }, PROBE_AFTER_MS);
    }
  }

  #send(flags, length, acknowledgement) {
    this.#guest.send(
      this.#writer.write(flags, this.#sendNext, acknowledgement, WINDOW_BYTES, length),
    );
  }

  #fail(error) {
    clearTimeout(this.#probeTimer);
    this.#onOpen?.reject(error);
    this.#onEnd.reject(error);
    this.#guest.forget(this);
  }

  #forgetWhenThrough() {
    if (this.#endReceived && this.#finSent && this.#acknowledged === this.#sendNext) {
      this.#guest.forget(this);
    }
  }
}
