/**
 * One TCP connection of the raw guest, with every number in the test's hands.
 *
 * Left alone it behaves like a guest: it acknowledges what comes once a batch, answers FIN with an acknowledgement, and
 * never retransmits (nothing that it sends is lost, for there is no wire). What the stack sends is checked against RFC 9293
 * as it comes: acknowledging what was never sent, data beyond the window, changed bytes in a retransmission are faults.
 */
import type { IpEndpoint } from "../../src/address.js";
import { maximumSegmentSizeOption, type SegmentOptions } from "./make-frame.js";
import { addSequence, flagNames, sequenceDistance, TcpFlag, type TcpSegment } from "./packet.js";
import { ReceivedBytes } from "./received-bytes.js";

/** What a connection needs of its guest. */
export interface ConnectionHost {
  /** Puts a segment on the wire. */
  sendSegment(connection: RawConnection, segment: SegmentOptions): void;
  /** Asks for `acknowledgeNow` when the batch that is being received is through. */
  acknowledgeLater(connection: RawConnection): void;
  fault(text: string): void;
  until<T>(
    check: () => T | undefined | false,
    what: string | (() => string),
    timeoutMs?: number,
  ): Promise<T>;
}

/** When the guest acknowledges what it received by itself. */
export type AcknowledgePolicy = "batch" | "segment" | "never";

export interface RawConnectionOptions {
  readonly localPort?: number;
  /** The window that is told at first, bytes. Default 65535. */
  readonly window?: number;
  /** Offers window scaling with this shift (RFC 7323); `window` may then be larger than 65,535. Default: no offer. */
  readonly windowShift?: number;
  /** Largest segment that the guest says it takes. Default: what fits into the MTU. */
  readonly mssBytes?: number;
  readonly acknowledge?: AcknowledgePolicy;
  /** Initial sequence number. Default: one of a kind that wraps around soon. */
  readonly initialSequence?: number;
}

/** What may be wrong or unusual about a segment sent by hand. */
export type SegmentChanges = Partial<Omit<SegmentOptions, "sourcePort" | "destinationPort">>;

/** Close to the wrap of sequence numbers, so that each transfer of some size goes over it. */
const DEFAULT_INITIAL_SEQUENCE = 0xffff_f000;

const BATCH_SEGMENTS = 40;

/** See the top of the file. */
export class RawConnection {
  readonly local: IpEndpoint;
  readonly remote: IpEndpoint;
  acknowledge: AcknowledgePolicy;
  window: number;

  established = false;
  /** The stack's FIN came, and everything before it. */
  finReceived = false;
  /** The stack's RST, which ends the connection. */
  reset: TcpSegment | undefined;

  /** Next sequence number of ours, and the oldest that is not acknowledged. */
  sndNxt: number;
  sndUna: number;
  /** What we expect next. */
  rcvNxt = 0;
  /** The stack's window, and largest segment. */
  peerWindow = 0;
  peerMssBytes = 536;
  /** The stack's window shift; undefined where its SYN has none. */
  peerWindowShift: number | undefined;

  /** Segments of the stack that told something new: nothing but an acknowledgement or a window. */
  readonly acknowledgements: { readonly ack: number; readonly window: number }[] = [];
  retransmissions = 0;
  outOfOrder = 0;
  /** Segments that came out of order, until those before them come. */
  private readonly early: TcpSegment[] = [];
  windowProbes = 0;
  /** Largest payload of one segment of the stack. */
  largestPayloadBytes = 0;

  private readonly host: ConnectionHost;
  private readonly initialSequence: number;
  /** The shift that our SYN offers; to be changed before it is sent. */
  windowShift: number | undefined;
  private readonly received = new ReceivedBytes();
  /** Behind the last byte that the stack may ever have thought we take. */
  private windowEdge = 0;
  readonly mssBytes: number;

  constructor(
    host: ConnectionHost,
    ends: { readonly local: IpEndpoint; readonly remote: IpEndpoint },
    options: RawConnectionOptions & { readonly mssBytes: number },
  ) {
    this.host = host;
    this.local = ends.local;
    this.remote = ends.remote;
    this.window = options.window ?? 65535;
    this.acknowledge = options.acknowledge ?? "batch";
    this.mssBytes = options.mssBytes;
    this.windowShift = options.windowShift;
    this.initialSequence = options.initialSequence ?? DEFAULT_INITIAL_SEQUENCE;
    this.sndNxt = this.sndUna = this.initialSequence;
  }

  get receivedBytes(): number {
    return this.received.count;
  }

  /** SHA-256 of everything received, in order. */
  receivedDigest(): string {
    return this.received.digestSoFar();
  }

  /** Takes what was received since the last call. */
  take(): Buffer {
    return this.received.take();
  }

  /** Everything sent has been acknowledged. */
  get isAcknowledged(): boolean {
    return this.sndUna === this.sndNxt;
  }

  // What the guest sends.

  /** Sends a segment: as it should be at this point, but for `changes`. Does not advance anything. */
  segment(changes: SegmentChanges = {}): void {
    this.host.sendSegment(this, {
      sourcePort: this.local.port,
      destinationPort: this.remote.port,
      seq: this.sndNxt,
      ack: this.rcvNxt,
      flags: TcpFlag.ack,
      window: this.toldWindow(changes.flags),
      ...changes,
    });
    const flags = changes.flags ?? TcpFlag.ack;
    if ((flags & TcpFlag.ack) !== 0) this.noteWindow();
  }

  /** Sends SYN. Again: the same one, as a retransmission. */
  syn(): void {
    this.sndNxt = addSequence(this.initialSequence, 1);
    this.segment({
      seq: this.initialSequence,
      flags: TcpFlag.syn,
      options: this.synOptions(),
    });
  }

  /** Answers the stack's SYN (an inbound connection). */
  synAck(): void {
    this.sndNxt = addSequence(this.initialSequence, 1);
    this.segment({
      seq: this.initialSequence,
      flags: TcpFlag.syn | TcpFlag.ack,
      options: this.synOptions(),
    });
  }

  private synOptions(): Uint8Array {
    const segmentSize = maximumSegmentSizeOption(this.mssBytes);
    // NOP, kind 3, 3 bytes, the shift.
    return this.windowShift === undefined
      ? segmentSize
      : Uint8Array.of(...segmentSize, 1, 3, 3, this.windowShift);
  }

  /** The shift of the guest's window; 0 where scaling is not in use. */
  private get shift(): number {
    return this.peerWindowShift === undefined ? 0 : (this.windowShift ?? 0);
  }

  /** The window as it stands in a segment: not scaled in a SYN (RFC 7323 2.2). */
  private toldWindow(flags: number = TcpFlag.ack): number {
    return Math.min((flags & TcpFlag.syn) !== 0 ? this.window : this.window >> this.shift, 65_535);
  }

  /** Acknowledges all that came, now; `window`: and tells this one from now on. */
  acknowledgeNow(window = this.window): void {
    this.window = window;
    this.segment();
  }

  /** Sends bytes in segments of at most `segmentBytes`, whatever the stack's window says. */
  sendNow(bytes: Uint8Array, segmentBytes = this.peerMssBytes): void {
    for (let at = 0; at < bytes.length; at += segmentBytes) {
      const payload = bytes.subarray(at, at + segmentBytes);
      const isLast = at + segmentBytes >= bytes.length;
      this.segment({ payload, flags: TcpFlag.ack | (isLast ? TcpFlag.psh : 0) });
      this.sndNxt = addSequence(this.sndNxt, payload.length);
    }
  }

  /** Sends bytes as the stack's window allows; resolves when all are acknowledged. */
  async send(bytes: Uint8Array, timeoutMs?: number): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const room = await this.host.until(
        () => this.roomToSend(),
        () =>
          `room in the window of ${this.peerWindow} (${this.sndNxt} sent, ${this.sndUna} acknowledged)`,
        timeoutMs,
      );
      const count = Math.min(room, bytes.length - at, BATCH_SEGMENTS * this.peerMssBytes);
      this.sendNow(bytes.subarray(at, at + count));
      at += count;
    }
    await this.host.until(() => this.isAcknowledged, "the acknowledgement of the last byte");
  }

  /** How much the window lets us send; silly little pieces of it do not count (RFC 9293 3.8.6.2.1). */
  private roomToSend(): number | undefined {
    if (this.reset) throw new Error(`${this.name}: reset while sending`);
    const inFlight = sequenceDistance(this.sndNxt, this.sndUna);
    const room = this.peerWindow - inFlight;
    return room >= this.peerMssBytes || (room > 0 && inFlight === 0) ? room : undefined;
  }

  /** Sends FIN. */
  fin(): void {
    this.segment({ flags: TcpFlag.fin | TcpFlag.ack });
    this.sndNxt = addSequence(this.sndNxt, 1);
  }

  /** Sends RST. */
  sendReset(): void {
    this.segment({ flags: TcpFlag.rst | TcpFlag.ack });
  }

  // What comes.

  /** Connected: the stack has answered the handshake. Throws where it refused. */
  async opened(timeoutMs?: number): Promise<this> {
    await this.host.until(
      () => this.established || this.reset !== undefined,
      `${this.name} to be connected`,
      timeoutMs,
    );
    if (this.reset) throw new Error(`${this.name} was refused`);
    return this;
  }

  async untilReceived(count: number, timeoutMs?: number): Promise<void> {
    await this.host.until(
      () => this.receivedBytes >= count,
      () => `${count} bytes (have ${this.receivedBytes})`,
      timeoutMs,
    );
  }

  get name(): string {
    return `${this.local.port}-${this.remote.address}:${this.remote.port}`;
  }

  /** A segment of the stack for this connection, whose checksums and lengths are right. */
  receive(segment: TcpSegment): void {
    if (this.reset) {
      this.fault(segment, "after RST");
      return;
    }
    if ((segment.flags & TcpFlag.rst) !== 0) {
      this.receiveReset(segment);
      return;
    }
    if ((segment.flags & TcpFlag.syn) !== 0) this.receiveSyn(segment);
    else this.receiveAcknowledgement(segment);
    if (!this.established) return;
    const occupied = segment.payload.length + (segment.flags & TcpFlag.fin ? 1 : 0);
    if (occupied > 0) this.receiveData(segment);
    else if ((segment.flags & TcpFlag.syn) === 0) {
      this.acknowledgements.push({ ack: segment.ack, window: segment.window });
    }
  }

  private receiveReset(segment: TcpSegment): void {
    const isAnswer = (segment.flags & TcpFlag.ack) !== 0;
    if (!this.established && this.rcvNxt === 0) {
      // Refused: RFC 9293 3.5.2 wants sequence number 0 and our SYN acknowledged.
      const acknowledged = addSequence(this.initialSequence, 1);
      if (!isAnswer || segment.seq !== 0 || segment.ack !== acknowledged) {
        this.fault(segment, "RST that does not refuse our SYN");
      }
    } else if (sequenceDistance(segment.seq, this.rcvNxt) < 0) {
      this.fault(segment, `RST out of the window: rcv.nxt ${this.rcvNxt}`);
    }
    this.reset = segment;
  }

  private receiveSyn(segment: TcpSegment): void {
    const after = addSequence(segment.seq, 1);
    if (this.established && after !== this.rcvNxt) {
      const behind = sequenceDistance(this.rcvNxt, after);
      if (behind !== this.receivedBytes) this.fault(segment, "another SYN");
    }
    this.readOptions(segment);
    if (this.established) {
      this.acknowledgeByPolicy();
      return;
    }
    this.rcvNxt = after;
    this.windowEdge = addSequence(after, Math.min(this.window, 65_535));
    if ((segment.flags & TcpFlag.ack) === 0) return;
    if (segment.ack !== this.sndNxt) this.fault(segment, "SYN that acknowledges something else");
    this.sndUna = segment.ack;
    this.peerWindow = segment.window;
    this.established = true;
    if (this.acknowledge !== "never") this.acknowledgeNow();
  }

  private readOptions({ options }: TcpSegment): void {
    for (let at = 0; at < options.length;) {
      const [kind = 0, length = 0] = options.subarray(at);
      if (kind === 0) return;
      if (kind === 3) this.peerWindowShift = options[at + 2];
      if (kind === 2) this.peerMssBytes = ((options[at + 2] ?? 0) << 8) | (options[at + 3] ?? 0);
      at += kind === 1 ? 1 : Math.max(length, 2);
    }
  }

  private receiveAcknowledgement(segment: TcpSegment): void {
    if ((segment.flags & TcpFlag.ack) === 0) {
      this.fault(segment, "without ACK");
      return;
    }
    if (sequenceDistance(segment.ack, this.sndNxt) > 0) {
      this.fault(segment, `acknowledges what was not sent: snd.nxt ${this.sndNxt}`);
      return;
    }
    if (this.rcvNxt !== 0 && !this.established) this.established = true; // inbound: our SYN-ACK's answer
    if (sequenceDistance(segment.ack, this.sndUna) > 0) this.sndUna = segment.ack;
    if (sequenceDistance(segment.ack, this.sndUna) === 0) {
      const peerShift = this.windowShift === undefined ? 0 : (this.peerWindowShift ?? 0);
      this.peerWindow = segment.window << peerShift;
    }
  }

  private receiveData(segment: TcpSegment): void {
    const { payload } = segment;
    this.largestPayloadBytes = Math.max(this.largestPayloadBytes, payload.length);
    const ahead = sequenceDistance(segment.seq, this.rcvNxt);
    const end = addSequence(segment.seq, payload.length);
    const beyond = sequenceDistance(end, this.windowEdge);
    if (beyond > 0) {
      const isProbe = payload.length === 1 && beyond === 1;
      if (!isProbe) this.fault(segment, `${beyond} bytes beyond the window`);
      this.windowProbes++;
    } else if (ahead > 0) {
      this.outOfOrder++;
      this.early.push({ ...segment, payload: segment.payload.slice() });
    } else {
      this.accept(segment, -ahead);
      this.acceptEarly();
    }
    this.acknowledgeByPolicy();
  }

  /** Takes what came before its time, as far as the gap before it is closed now. */
  private acceptEarly(): void {
    this.early.sort((a, b) => sequenceDistance(a.seq, b.seq));
    for (let next = this.early[0]; next; next = this.early[0]) {
      const ahead = sequenceDistance(next.seq, this.rcvNxt);
      if (ahead > 0) return;
      this.early.shift();
      this.accept(next, -ahead);
    }
  }

  /** Takes what is new in a segment whose first `known` bytes have been here before. */
  private accept(segment: TcpSegment, known: number): void {
    const { payload } = segment;
    if (known > 0 && payload.length > 0) {
      this.retransmissions++;
      const position = this.received.count + (this.finReceived ? 1 : 0) - known;
      if (!this.received.matches(position, payload)) {
        this.fault(segment, "a retransmission with other bytes");
      }
    }
    if (known < payload.length) {
      this.received.add(payload.subarray(known));
      this.rcvNxt = addSequence(this.rcvNxt, payload.length - known);
    }
    if ((segment.flags & TcpFlag.fin) === 0) return;
    if (addSequence(segment.seq, payload.length) === this.rcvNxt) {
      if (this.finReceived) this.fault(segment, "FIN behind FIN");
      this.rcvNxt = addSequence(this.rcvNxt, 1);
      this.finReceived = true;
    } else this.retransmissions++;
  }

  private acknowledgeByPolicy(): void {
    if (this.acknowledge === "segment") this.acknowledgeNow();
    else if (this.acknowledge === "batch") this.host.acknowledgeLater(this);
  }

  private noteWindow(): void {
    const edge = addSequence(this.rcvNxt, this.toldWindow() << this.shift);
    if (sequenceDistance(edge, this.windowEdge) > 0) this.windowEdge = edge;
  }

  private fault(segment: TcpSegment, what: string): void {
    const { seq, ack, flags, window, payload } = segment;
    const text = `seq ${seq} ack ${ack} ${flagNames(flags)} window ${window}, ${payload.length} bytes`;
    this.host.fault(`${this.name}: ${what} (${text})`);
  }
}
