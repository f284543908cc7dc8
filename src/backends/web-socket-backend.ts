/**
 * BACKEND `ws:` and `wss:`: a network behind a WebSocket, one Ethernet frame a binary message and nothing else. That is the format of
 * websockproxy and its many relatives, of v86's own relays, and of our relay's rooms (`/l2/ROOM`).
 *
 * The connection is kept up: when it ends, or never came about, it is tried again, later each time. Frames that a guest sends meanwhile
 * are kept, the latest 128 of them (as v86 does), for a guest that asks for a lease just before the connection stands would else wait
 * for its next try. What was under way in a connection that broke is lost, as on a cable that was pulled.
 *
 * A WebSocket has no event for "room again", only the number of bytes that wait in it. Above a bound the guest is told to wait; then the
 * number is looked at with a timer, and whenever a frame comes, since a page's timers are slow where it is hidden.
 */
import { SendStatus } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { FramePort } from "../frames/frame-port.js";
import type { FrameQueueLimits } from "../frames/frame-queue.js";
import { ETHERNET_HEADER_LENGTH } from "../virtio-net.js";
import {
  WEB_SOCKET_OPEN,
  webSocketClass,
  type WebSocketClass,
  type WebSocketLike,
} from "../web-socket.js";
import type { BackendKind } from "./registry.js";

/** Between two looks at how much waits, milliseconds. */
const DRAIN_LOOK_MS = 2;

/** A server that does not answer CLOSE is not waited for any longer, milliseconds. */
const MAX_CLOSE_MS = 2000;

/** How it is opened. */
export interface WebSocketBackendOptions {
  /** `ws:` or `wss:`. */
  readonly url: string;
  /** `Sec-WebSocket-Protocol`, where the server wants one. Default: none. */
  readonly protocols?: readonly string[];
  /** Default: the global WebSocket. Node 20 has none: give that of the package ws. */
  readonly webSocket?: WebSocketClass;
  /** Frames of the guest that are kept while there is no connection; the oldest are dropped beyond. Default 128. */
  readonly maxKeptFrames?: number;
  /** Bytes that may wait in the WebSocket before the guest is told to wait. Default 1 MiB. */
  readonly maxBufferedBytes?: number;
  /** What waits for the guest. */
  readonly limits?: FrameQueueLimits;
  /** Before the first new try, milliseconds; doubled with each up to `maxReconnectMs`, with up to a quarter more at random. Default 500. */
  readonly minReconnectMs?: number;
  /** Default 30,000. */
  readonly maxReconnectMs?: number;
  /** A connection came about, or ended; `reason` is for people. */
  readonly onConnection?: (connected: boolean, reason: string) => void;
}

/** A network behind a WebSocket, a frame a message: rooms of our relay, websockproxy and its relatives. */
export class WebSocketBackend extends FramePort {
  readonly #options: WebSocketBackendOptions;
  readonly #class: WebSocketClass;
  readonly #url: string;
  readonly #maxBufferedBytes: number;
  readonly #maxKeptFrames: number;
  readonly #kept: Uint8Array<ArrayBuffer>[] = [];
  #socket: WebSocketLike | undefined;
  #failures = 0;
  #reconnectTimer: ReturnType<typeof setTimeout> | undefined;
  #drainTimer: ReturnType<typeof setTimeout> | undefined;
  #afterClose: Promise<void> = Promise.resolve();

  /** @throws SlirpError `invalidConfiguration` for a URL that is none, `missingRequirement` where there is no WebSocket. */
  constructor(options: WebSocketBackendOptions) {
    const url = readUrl(options.url);
    // Paths have secrets in them, and names get into logs.
    super(`${url.protocol}//${url.host}`, options.limits);
    this.#options = options;
    this.#url = url.href;
    this.#class = webSocketClass(options.webSocket);
    this.#maxKeptFrames = options.maxKeptFrames ?? 128;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? 1024 * 1024;
    this.#connect();
  }

  /** Whether there is a connection now. */
  get isConnected(): boolean {
    return this.#socket?.readyState === WEB_SOCKET_OPEN;
  }

  /** Gives the connection back; fulfilled when it is closed. */
  override async close(): Promise<void> {
    await super.close();
    await this.#afterClose;
  }

  protected override forward(bytes: Uint8Array, offset: number, length: number): SendStatus {
    const socket = this.#socket;
    if (socket?.readyState !== WEB_SOCKET_OPEN) {
      this.#keep(bytes.slice(offset, offset + length));
      return SendStatus.taken;
    }
    if (socket.bufferedAmount >= this.#maxBufferedBytes) {
      this.#lookLater();
      return SendStatus.mustWait;
    }
    // A copy of exactly the frame: not every class copies before it returns.
    socket.send(bytes.slice(offset, offset + length));
    return SendStatus.taken;
  }

  protected override onClose(): void {
    clearTimeout(this.#reconnectTimer);
    clearTimeout(this.#drainTimer);
    this.#kept.length = 0;
    const socket = this.#socket;
    if (!socket) return;
    this.#afterClose = new Promise((resolve) => {
      socket.onmessage = null;
      socket.onopen = null;
      const timer = setTimeout(resolve, MAX_CLOSE_MS);
      socket.onclose = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    socket.close();
  }

  #connect(): void {
    let socket: WebSocketLike;
    try {
      const protocols = this.#options.protocols;
      socket = protocols ? new this.#class(this.#url, [...protocols]) : new this.#class(this.#url);
    } catch (error) {
      // Such as a page of https: that may not speak ws:. It may be otherwise later, or never.
      this.#lost(String(error));
      return;
    }
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#failures = 0;
      this.#options.onConnection?.(true, "connected");
      for (const frame of this.#kept.splice(0)) socket.send(frame);
    };
    socket.onmessage = ({ data }) => {
      if (data instanceof ArrayBuffer) this.#take(new Uint8Array(data));
      this.#tellWritable();
    };
    // A close always follows.
    socket.onerror = () => undefined;
    socket.onclose = ({ code, reason }) => {
      this.#lost(`closed with code ${String(code)}${reason === "" ? "" : `: ${reason}`}`);
    };
  }

  #lost(reason: string): void {
    this.#socket = undefined;
    if (this.isClosed) return;
    const { minReconnectMs = 500, maxReconnectMs = 30_000 } = this.#options;
    const delayMs = Math.min(maxReconnectMs, minReconnectMs * 2 ** this.#failures++);
    this.#reconnectTimer = setTimeout(
      () => {
        this.#connect();
      },
      delayMs * (1 + Math.random() / 4),
    );
    this.#options.onConnection?.(false, reason);
    // Frames are kept now, so nobody need wait.
    this.#tellWritable();
  }

  #take(frame: Uint8Array): void {
    const isFrame = frame.length >= ETHERNET_HEADER_LENGTH;
    if (!isFrame || !this.deliver(frame, 0, frame.length)) this.countDroppedToGuest();
  }

  #keep(frame: Uint8Array<ArrayBuffer>): void {
    this.#kept.push(frame);
    if (this.#kept.length <= this.#maxKeptFrames) return;
    this.#kept.shift();
    this.countDroppedFromGuest();
  }

  #lookLater(): void {
    if (this.#drainTimer !== undefined) return;
    this.#drainTimer = setTimeout(() => {
      this.#drainTimer = undefined;
      this.#tellWritable();
      if (this.isWritableOwed && !this.isClosed) this.#lookLater();
    }, DRAIN_LOOK_MS);
  }

  #tellWritable(): void {
    const waiting = this.isConnected ? (this.#socket?.bufferedAmount ?? 0) : 0;
    if (waiting <= this.#maxBufferedBytes / 2) this.notifyWritable();
  }
}

/** `ws:` and `wss:` for the registry: the name is the URL. */
export const WEB_SOCKET_KIND: BackendKind = {
  prefixes: ["ws:", "wss:"],
  usage: "wss://relay.example.org/l2/room",
  open: async (name, { webSocket }) =>
    new WebSocketBackend({ url: name, ...(webSocket && { webSocket }) }),
};

function readUrl(text: string): URL {
  let url: URL | undefined;
  try {
    url = new URL(text);
  } catch {
    // Told below.
  }
  const isWebSocket = url?.protocol === "ws:" || url?.protocol === "wss:";
  if (url && isWebSocket && url.hash === "") return url;
  throw new SlirpError(
    ErrorCode.invalidConfiguration,
    `the URL of an Ethernet network is ${JSON.stringify(text)}; write "wss://relay.example.org/l2/room"`,
  );
}
