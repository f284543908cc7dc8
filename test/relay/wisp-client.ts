/** A Wisp client in the test's hands: packets as they are, and what comes back. */
import { once } from "node:events";
import { WebSocket } from "ws";
import { decodePacket, encodeInfo, type WispExtension, type WispPacket } from "../../src/wisp.js";
import { decodeListenPacket, type ListenPacket } from "../../src/wisp-listen.js";
import { waitUntil } from "../support/wait-until.js";

export interface WispClientOptions {
  /** Default 1. */
  readonly version?: 1 | 2;
  /** Extensions of our INFO; without, none is sent. */
  readonly extensions?: readonly WispExtension[];
  readonly headers?: Readonly<Record<string, string>>;
}

/** See the top of the file. */
export class WispClient implements AsyncDisposable {
  readonly socket: WebSocket;
  readonly packets: WispPacket[] = [];
  /** Packets of the extension for listening, which are taken out when they are asked for. */
  readonly listenPackets: ListenPacket[] = [];
  /** Bytes of DATA that came, by stream. */
  readonly received = new Map<number, Buffer>();
  closeCode: number | undefined;

  constructor(url: string, { version = 1, extensions, headers }: WispClientOptions = {}) {
    this.socket = new WebSocket(url, version === 2 ? ["wisp-v2"] : [], { headers: { ...headers } });
    this.socket.on("error", () => undefined);
    this.socket.on("close", (code) => (this.closeCode = code));
    this.socket.on("message", (data: Buffer) => {
      const listen = decodeListenPacket(data);
      if (listen) {
        this.listenPackets.push(listen);
        return;
      }
      const packet = decodePacket(data);
      if (packet.type === "data") {
        const before = this.received.get(packet.streamId) ?? Buffer.alloc(0);
        this.received.set(packet.streamId, Buffer.concat([before, packet.payload]));
      } else {
        this.packets.push(packet);
      }
      if (packet.type === "info" && extensions) this.send(encodeInfo(extensions));
    });
  }

  /** Fulfilled when the handshake is done. */
  async ready(): Promise<this> {
    await this.packet((packet) => packet.type === "continue" && packet.streamId === 0);
    return this;
  }

  send(packet: Uint8Array): void {
    this.socket.send(packet);
  }

  /** The first packet that is so. */
  async packet(isSo: (packet: WispPacket) => boolean): Promise<WispPacket> {
    let found: WispPacket | undefined;
    await waitUntil("a packet", () => (found = this.packets.find(isSo)) !== undefined);
    return found as WispPacket;
  }

  /** The next packet of the extension for listening that is so. */
  async listenPacket<Type extends "bound" | "incoming">(
    type: Type,
    isSo: (packet: ListenPacket & { type: Type }) => boolean,
  ): Promise<ListenPacket & { type: Type }> {
    let at = -1;
    await waitUntil(`${type} comes`, () => {
      at = this.listenPackets.findIndex(
        (packet) => packet.type === type && isSo(packet as ListenPacket & { type: Type }),
      );
      return at >= 0;
    });
    const [packet] = this.listenPackets.splice(at, 1);
    return packet as ListenPacket & { type: Type };
  }

  /** The reason that a stream, or with 0 the connection, was closed for. */
  async closeReason(streamId: number): Promise<number> {
    const packet = await this.packet((each) => each.type === "close" && each.streamId === streamId);
    return packet.type === "close" ? packet.reason : NaN;
  }

  /** What has come for a stream, once it is so long. */
  async data(streamId: number, length: number): Promise<Buffer> {
    const of = (): Buffer => this.received.get(streamId) ?? Buffer.alloc(0);
    await waitUntil(`${String(length)} bytes`, () => of().length >= length);
    return of();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.socket.readyState === WebSocket.CLOSED) return;
    this.socket.terminate();
    await once(this.socket, "close");
  }
}
