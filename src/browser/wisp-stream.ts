/**
 * A TCP stream through a Wisp relay. What it has in common with streams through other relays is in `relayed-stream.ts`.
 *
 * Connecting. CONNECT goes out when there is a connection to a relay. Where the relay confirms (Wisp v2's open confirmation), the stream
 * is connected then; else no news for a while is taken for good news.
 *
 * Sending is in `wisp-sender.ts`.
 *
 * Receiving. With our stream control extension the relay stops when {@link STREAM_WINDOW_BYTES} have not been taken. Without, Wisp knows no
 * flow control in this direction.
 *
 * Ends. With stream control as TCP has them. Without, CLOSE is all there is: the relay's is the end of the stream both ways, and it is what
 * becomes of the guest's FIN.
 */
import type { IpEndpoint } from "../address.js";
import { Errno, Readiness } from "../host-network.js";
import {
  encodeClose,
  encodeConnect,
  encodeContinue,
  encodeData,
  WispKind,
  WispReason,
} from "../wisp.js";
import { RelayedStream, type RelayedStreamParts } from "./relayed-stream.js";
import { STREAM_WINDOW_BYTES, type WispConnection } from "./wisp-connection.js";
import type { WispStreamPeer } from "./wisp-peers.js";
import type { ConnectionWaiter, WispRelays } from "./wisp-relays.js";
import { WispSender } from "./wisp-sender.js";

/** What streams of a network have in common. */
export interface WispStreamParts extends RelayedStreamParts {
  readonly relays: WispRelays;
}

/** See the top of the file. */
export class WispStream
  extends RelayedStream<WispStreamParts>
  implements WispStreamPeer, ConnectionWaiter
{
  readonly localEndpoint: IpEndpoint | undefined;
  protected readonly sender: WispSender;
  #connection: WispConnection | undefined;
  #id = 0;
  /** Taken by the stack and not granted again. */
  #ungranted = 0;

  constructor(parts: WispStreamParts, remote: IpEndpoint, local?: IpEndpoint) {
    super(parts, remote);
    this.localEndpoint = local;
    this.sender = new WispSender(this, parts.loop.pool);
    parts.open.add(this);
  }

  /** Instead of connecting: takes over a stream that the relay has begun, because somebody connected to a port of ours. */
  takeOver(connection: WispConnection, id: number): void {
    this.#connection = connection;
    this.#id = id;
    this.isConnected = true;
    this.sender.start(connection, id);
    connection.peers.adopt(id, this);
    this.raise(Readiness.writable);
  }

  /** Begins to connect. */
  connect(): void {
    this.armConnect();
    this.parts.relays.wait(this);
  }

  onConnection(connection: WispConnection): void {
    if (this.isClosed || this.failure !== 0) return;
    this.#connection = connection;
    this.#id = connection.peers.attach(this);
    this.sender.start(connection, this.#id);
    const { address, port } = this.remote;
    connection.send(encodeConnect(this.#id, WispKind.tcp, address, port));
    if (!connection.features.openConfirmation) this.awaitRefusal();
  }

  onRefused(): void {
    this.fail(Errno.EACCES);
  }

  onContinue(credits: number): void {
    this.becomeConnected();
    this.sender.grant(credits);
    // Behind a close: the relay has written some of it.
    if (this.isClosed && this.sender.length === 0 && this.#connection) this.armClose();
  }

  onUncongested(): void {
    this.sender.goOn();
  }

  onClose(reason: number): void {
    this.timer?.cancel();
    const refused = this.isConnected ? undefined : connectErrno(reason);
    this.#connection = undefined;
    if (refused !== undefined) {
      this.fail(refused);
    } else if (reason === WispReason.voluntary) {
      this.sender.stop();
      this.becomeConnected();
      this.hostEnds();
      this.finish();
    } else {
      this.fail(Errno.ECONNRESET);
    }
  }

  onLost(): void {
    this.#connection = undefined;
    // Nothing was sent on a stream that is not connected: it waits for another relay.
    if (this.isConnected) this.fail(Errno.ECONNRESET);
    else if (!this.isClosed) this.connect();
  }

  protected override get isAttached(): boolean {
    return this.#connection !== undefined;
  }

  protected override get halfCloses(): boolean {
    return this.#connection?.features.streamControl ?? false;
  }

  protected override onTaken(count: number): void {
    if (!this.halfCloses) return;
    this.#ungranted += count;
    if (this.#ungranted < STREAM_WINDOW_BYTES / 2) return;
    this.#connection?.send(encodeContinue(this.#id, this.#ungranted));
    this.#ungranted = 0;
  }

  protected override sendFin(): void {
    this.#connection?.send(encodeData(this.#id, new Uint8Array()));
  }

  protected override endInOrder(): void {
    this.#sendClose(WispReason.voluntary);
  }

  protected override cutOff(): void {
    this.#sendClose(WispReason.networkError);
  }

  protected override finish(): void {
    super.finish();
    this.parts.relays.forget(this);
  }

  #sendClose(reason: number): void {
    const connection = this.#connection;
    this.#connection = undefined;
    if (connection) {
      connection.send(encodeClose(this.#id, reason));
      connection.peers.detach(this.#id);
    }
    this.finish();
  }
}

/** Why a stream did not come about. Servers report a refused port as 03, 42 or 44. */
function connectErrno(reason: number): number | undefined {
  switch (reason) {
    case WispReason.voluntary:
      return undefined;
    case WispReason.refused:
    case WispReason.networkError:
    case WispReason.unknown:
      return Errno.ECONNREFUSED;
    case WispReason.connectTimeout:
      return Errno.ETIMEDOUT;
    case WispReason.blocked:
      return Errno.EACCES;
    default:
      return Errno.EHOSTUNREACH;
  }
}
