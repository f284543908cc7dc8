/**
 * What page and worker say to each other.
 *
 * The page makes a MessageChannel for each stack and posts one end to the worker (`Greeting`); everything else goes over it, so that a
 * worker may have several stacks and business of its own. Frames are parcels (parcel.ts), ArrayBuffers and nothing around them; the
 * rest are the objects below. Messages of one port keep their order, frames and calls together.
 */
import type { HeaderLength } from "../backend.js";
import type {
  GuestConnectOptions,
  GuestSocketInfo,
  SlirpBackend,
  SocketBytes,
} from "../slirp-backend.js";
import type { ResolvedSlirpOptions } from "../slirp-options.js";

/** Both ends must be of the same: a script in a cache may be older than the page. */
export const PROTOCOL_VERSION = 1;

/** Posted to the worker itself, with the port. */
export interface Greeting {
  readonly slirpWasm: typeof PROTOCOL_VERSION;
  readonly port: MessagePort;
  /** Name of the Web Lock that the worker holds as long as it lives, where there are such locks. */
  readonly lock: string;
}

/** Calls of a stack that go over as they are. */
export type PlainMethod =
  | "addForward"
  | "removeForward"
  | "forwards"
  | "addGuestForward"
  | "guestForwards"
  | "saveState"
  | "loadState"
  | "connectionInfo"
  | "neighborInfo"
  | "connections"
  | "sockets";

/** Parameters and answer of every call, by name. */
export type Calls = {
  [Method in PlainMethod]: {
    readonly parameters: Parameters<SlirpBackend[Method]>;
    readonly answer: Awaited<ReturnType<SlirpBackend[Method]>>;
  };
} & {
  /** `options` as they were given. */
  readonly create: { readonly parameters: [options: unknown]; readonly answer: CreatedStack };
  readonly connect: {
    readonly parameters: [socket: number, options: Omit<GuestConnectOptions, "signal">];
    readonly answer: OpenedSocket;
  };
  /** Fulfilled when the socket's `closed` is. */
  readonly socketClosed: { readonly parameters: [socket: number]; readonly answer: undefined };
  readonly openChannel: {
    readonly parameters: [channel: number, address: unknown, port: number];
    readonly answer: undefined;
  };
  readonly close: { readonly parameters: []; readonly answer: undefined };
};

export type Method = keyof Calls;

/** What a page must know of a stack before it can use it. */
export interface CreatedStack {
  readonly options: ResolvedSlirpOptions;
  readonly libslirpVersion: string;
  /** virtio-net features by header length. */
  readonly capabilities: Readonly<Record<HeaderLength, bigint>>;
}

/** The streams are transferred. */
export interface OpenedSocket {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<SocketBytes>;
  readonly info: GuestSocketInfo;
}

/** From the page. */
export type PageMessage =
  | {
      readonly kind: "call";
      readonly id: number;
      readonly method: Method;
      readonly parameters: readonly unknown[];
    }
  | { readonly kind: "capabilities"; readonly features: bigint; readonly header: HeaderLength }
  /** The connection, or the making of it, is given up. */
  | { readonly kind: "abortSocket"; readonly socket: number }
  /** All has been written, and nothing is read any more. */
  | { readonly kind: "closeSocket"; readonly socket: number }
  | { readonly kind: "channelData"; readonly channel: number; readonly bytes: Uint8Array };

/** From the worker. */
export type WorkerMessage =
  /** The script runs and has the port. */
  | { readonly kind: "hello"; readonly version: number }
  | {
      readonly kind: "answer";
      readonly id: number;
      readonly value?: unknown;
      /** Packed. Instead of a value. */
      readonly error?: unknown;
      readonly counters: Uint32Array<ArrayBuffer>;
    }
  | { readonly kind: "callback"; readonly id: number; readonly args: readonly unknown[] }
  /** The stack ended itself. */
  | { readonly kind: "failed"; readonly error: unknown }
  | { readonly kind: "channelData"; readonly channel: number; readonly bytes: Uint8Array }
  /** So many bytes of what the page sent have gone to the guest. */
  | { readonly kind: "channelTaken"; readonly channel: number; readonly bytes: number };
