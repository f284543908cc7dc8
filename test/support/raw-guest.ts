/**
 * A guest made of frames: for faults and numbers that no real guest gives.
 *
 * It plugs into a NetBackend as a NIC does, answers ARP and neighbour solicitations, and gives the test TCP connections
 * (raw-connection.ts), UDP ports and ICMP. Every frame of the stack is taken apart and checked (parse-frame.ts); what is
 * wrong is kept in `faults`, which a test looks at when it ends.
 */
import { ipAddress, ipEndpoint, type IpAddress, type IpFamily } from "../../src/address.js";
import type { NetBackend } from "../../src/backend.js";
import { NETWORK_MAC } from "./frames.js";
import { FragmentAssembler } from "./fragment-assembler.js";
import {
  makeArpFrame,
  makeIcmpFrame,
  makeIpFrame,
  makeTcpFrame,
  makeUdpMessage,
  type FrameAddresses,
  type SegmentOptions,
} from "./make-frame.js";
import {
  addressText,
  IcmpType,
  Protocol,
  TcpFlag,
  type ArpPacket,
  type IcmpMessage,
  type Packet,
  type TcpSegment,
  type UdpDatagram,
} from "./packet.js";
import { RawConnection, type RawConnectionOptions } from "./raw-connection.js";
import { RawLink, type RawLinkOptions } from "./raw-link.js";

export interface RawGuestOptions extends RawLinkOptions {
  /** Default 10.0.2.15. */
  readonly ipv4?: string;
  /** Default fec0::15. */
  readonly ipv6?: string;
}

/** A datagram that came, copied. */
export interface ReceivedDatagram {
  readonly from: string;
  readonly fromPort: number;
  readonly payload: Buffer;
}

/** Ports below are for tests that name one. */
const FIRST_FREE_PORT = 10_000;

/** See the top of the file. */
export class RawGuest extends RawLink {
  readonly addresses: Readonly<Record<IpFamily, IpAddress>>;
  /** ICMP messages that came, copied; neighbour discovery among them. */
  readonly icmp: IcmpMessage[] = [];
  readonly arpReplies: ArpPacket[] = [];
  /** TCP segments for no connection, copied. */
  readonly strays: TcpSegment[] = [];

  private readonly assembler = new FragmentAssembler();
  private readonly connections = new Map<number, RawConnection>();
  private readonly listeners = new Map<number, (connection: RawConnection) => void>();
  private readonly datagrams = new Map<number, ReceivedDatagram[]>();
  private readonly toAcknowledge = new Set<RawConnection>();
  private nextPort = FIRST_FREE_PORT;

  /** Takes the backend's callbacks and begins to receive. */
  constructor(backend: NetBackend, options: RawGuestOptions = {}) {
    super(backend, options);
    this.addresses = {
      4: ipAddress(options.ipv4 ?? "10.0.2.15"),
      6: ipAddress(options.ipv6 ?? "fec0::15"),
    };
  }

  /** Makes itself known by a request for the gateway's address. */
  arp(target = "10.0.2.2"): void {
    const macs = { sourceMac: this.mac, destinationMac: new Uint8Array(6).fill(0xff) };
    const sender = this.addresses[4].bytes;
    this.sendFrame(makeArpFrame(macs, { operation: 1, sender, target: ipAddress(target).bytes }));
  }

  /** Tells its IPv6 address to the neighbours, unasked (RFC 4861 7.2.6). */
  announceIpv6(): void {
    this.advertise(ipAddress("ff02::1"), 0x20);
  }

  ping(remote: string, payload: Uint8Array, sequence = 1, hopLimit = 64): void {
    const destination = ipAddress(remote);
    const type = IcmpType.echoRequest[destination.family];
    const body = new Uint8Array(4 + payload.length);
    body.set([0x12, 0x34, sequence >> 8, sequence & 0xff]);
    body.set(payload, 4);
    this.sendFrame(makeIcmpFrame(this.to(destination), { type, body }, { hopLimit }));
  }

  /** Sends a UDP datagram, in fragments where it is longer than the MTU (IPv4). */
  sendDatagram(localPort: number, remote: string, remotePort: number, payload: Uint8Array): void {
    const addresses = this.to(ipAddress(remote));
    const ports = { source: localPort, destination: remotePort };
    const message = makeUdpMessage(addresses, ports, payload);
    const pieceBytes = (this.mtuBytes - 20) & ~7;
    if (message.length <= this.mtuBytes - 20 || addresses.source.family === 6) {
      this.sendFrame(makeIpFrame(addresses, Protocol.udp, message));
      return;
    }
    const id = this.takePort();
    this.together(() => {
      for (let offset = 0; offset < message.length; offset += pieceBytes) {
        const piece = message.subarray(offset, offset + pieceBytes);
        const fragment = { id, offset, more: offset + pieceBytes < message.length };
        this.sendFrame(makeIpFrame(addresses, Protocol.udp, piece, { fragment }));
      }
    });
  }

  /** The addresses of a frame from this guest. */
  to(destination: IpAddress): FrameAddresses {
    return {
      sourceMac: this.mac,
      destinationMac: NETWORK_MAC,
      source: this.addresses[destination.family],
      destination,
    };
  }

  // TCP and UDP.

  /** Sends SYN. */
  connect(remote: string, port: number, options: RawConnectionOptions = {}): RawConnection {
    const connection = this.addConnection(
      remote,
      port,
      options.localPort ?? this.takePort(),
      options,
    );
    connection.syn();
    return connection;
  }

  /** From now on answers SYNs to a port; `onConnection` is told before the answer and may set the connection up. */
  listen(port: number, onConnection: (connection: RawConnection) => void): void {
    this.listeners.set(port, onConnection);
  }

  /** Forgets a connection: what still comes for it is a stray. */
  forget(connection: RawConnection): void {
    this.connections.delete(connectionKey(connection.local.port, connection.remote.port));
    this.toAcknowledge.delete(connection);
  }

  /** Datagrams that came for a port, oldest first; the test takes them out. */
  datagramsAt(port: number): ReceivedDatagram[] {
    let list = this.datagrams.get(port);
    if (!list) this.datagrams.set(port, (list = []));
    return list;
  }

  async nextDatagram(port: number): Promise<ReceivedDatagram> {
    return this.until(() => this.datagramsAt(port).shift(), `a datagram for port ${port}`);
  }

  /** A port that no connection of this guest has had for long. */
  takePort(): number {
    this.nextPort = this.nextPort >= 65_535 ? FIRST_FREE_PORT : this.nextPort + 1;
    return this.nextPort;
  }

  // For connections.

  sendSegment(connection: RawConnection, segment: SegmentOptions): void {
    this.sendFrame(makeTcpFrame(this.to(connection.remote), segment));
  }

  acknowledgeLater(connection: RawConnection): void {
    this.toAcknowledge.add(connection);
  }

  private addConnection(
    remote: string,
    port: number,
    localPort: number,
    options: RawConnectionOptions,
  ): RawConnection {
    const there = ipEndpoint(remote, port);
    const local = ipEndpoint(this.addresses[there.family], localPort);
    const mssBytes = this.mtuBytes - (there.family === 4 ? 40 : 60);
    const ends = { local, remote: there };
    const connection = new RawConnection(this, ends, { mssBytes, ...options });
    this.connections.set(connectionKey(localPort, port), connection);
    return connection;
  }

  protected override endBatch(): void {
    for (const connection of this.toAcknowledge) connection.acknowledgeNow();
    this.toAcknowledge.clear();
  }

  protected override receivePacket(packet: Packet): void {
    if (packet.kind === "tcp") this.receiveTcp(packet);
    else if (packet.kind === "udp") this.receiveUdp(packet);
    else if (packet.kind === "icmp") this.receiveIcmp(packet);
    else if (packet.kind === "arp") this.receiveArp(packet);
    else {
      const whole = this.assembler.add(packet);
      if (whole) this.receivePacket(whole);
    }
  }

  private receiveTcp(segment: TcpSegment): void {
    const key = connectionKey(segment.destinationPort, segment.sourcePort);
    const connection = this.connections.get(key);
    if (connection && addressText(segment.source) === connection.remote.address) {
      connection.receive(segment);
      return;
    }
    const onConnection = this.listeners.get(segment.destinationPort);
    if (onConnection && segment.flags === TcpFlag.syn) {
      const { sourcePort, destinationPort } = segment;
      const remote = addressText(segment.source);
      const incoming = this.addConnection(remote, sourcePort, destinationPort, {});
      onConnection(incoming);
      incoming.receive(segment);
      incoming.synAck();
      return;
    }
    this.strays.push(structuredClone(segment));
  }

  private receiveUdp({ source, sourcePort, destinationPort, payload }: UdpDatagram): void {
    const copy = Buffer.from(payload);
    const from = addressText(source);
    this.datagramsAt(destinationPort).push({ from, fromPort: sourcePort, payload: copy });
  }

  private receiveIcmp(message: IcmpMessage): void {
    const copy = { ...message, body: message.body.slice(), source: message.source.slice() };
    this.icmp.push(copy);
    if (message.family === 4 || message.type !== IcmpType.neighborSolicitation) return;
    const target = addressText(message.body.subarray(4, 20));
    if (target === this.addresses[6].address) {
      this.advertise(ipAddress(addressText(message.source)), 0x60);
    }
  }

  private receiveArp(packet: ArpPacket): void {
    if (packet.operation === 2) {
      this.arpReplies.push(structuredClone(packet));
      return;
    }
    if (addressText(packet.targetAddress) !== this.addresses[4].address) return;
    const macs = { sourceMac: this.mac, destinationMac: packet.senderMac };
    const sender = this.addresses[4].bytes;
    const reply = { operation: 2, sender, targetMac: packet.senderMac } as const;
    this.sendFrame(makeArpFrame(macs, { ...reply, target: packet.senderAddress }));
  }

  /** A neighbour advertisement (RFC 4861 4.4) with our link-layer address; flags: solicited 0x40, override 0x20. */
  private advertise(destination: IpAddress, flags: number): void {
    const body = new Uint8Array(28);
    body[0] = flags;
    body.set(this.addresses[6].bytes, 4);
    body.set([2, 1, ...this.mac], 20);
    const message = { type: IcmpType.neighborAdvertisement, body };
    this.sendFrame(makeIcmpFrame(this.to(destination), message, { hopLimit: 255 }));
  }
}

function connectionKey(localPort: number, remotePort: number): number {
  return localPort * 65_536 + remotePort;
}
