/**
 * The globals that every host of ours has, page, worker and Node alike, as far as isomorphic code uses them.
 *
 * The folders that run everywhere compile against `lib: ["ES2022"]` and this file instead of the DOM or @types/node: what is
 * not declared here cannot be used there by mistake. Add a name only when all hosts have it, and only what is used.
 */
/// <reference types="../webassembly/index.d.ts" />

interface ImportMeta {
  /** Absolute URL of the module. */
  readonly url: string;
}

interface URL {
  readonly href: string;
  readonly origin: string;
  readonly protocol: string;
  readonly username: string;
  readonly password: string;
  readonly host: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly search: string;
  hash: string;
  toString(): string;
}
declare var URL: { prototype: URL; new (url: string | URL, base?: string | URL): URL };

interface TextEncoder {
  encode(text?: string): Uint8Array<ArrayBuffer>;
  encodeInto(text: string, destination: Uint8Array): { read: number; written: number };
}
declare var TextEncoder: { prototype: TextEncoder; new (): TextEncoder };

interface TextDecoder {
  decode(bytes?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
}
declare var TextDecoder: {
  prototype: TextDecoder;
  new (label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean }): TextDecoder;
};

interface AbortSignal {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: "abort", listener: () => void, options?: { once?: boolean }): void;
  removeEventListener(type: "abort", listener: () => void): void;
}

/** A timer's handle: an object in Node, a number in a browser. Give it back, and do nothing else with it. */
type TimerHandle = { readonly __timerHandle: never };
declare function setTimeout(callback: () => void, delayMs?: number): TimerHandle;
declare function clearTimeout(timer: TimerHandle | undefined): void;
declare function queueMicrotask(callback: () => void): void;

declare var performance: { now(): number; readonly timeOrigin: number };
declare var crypto: { getRandomValues<T extends ArrayBufferView>(array: T): T };

// Web Streams (https://streams.spec.whatwg.org/).

interface ReadableStreamReadResult<R> {
  readonly done: boolean;
  readonly value: R | undefined;
}
interface ReadableStreamDefaultReader<R> {
  readonly closed: Promise<undefined>;
  read(): Promise<ReadableStreamReadResult<R>>;
  cancel(reason?: unknown): Promise<void>;
  releaseLock(): void;
}
interface ReadableStreamDefaultController<R> {
  readonly desiredSize: number | null;
  enqueue(chunk: R): void;
  close(): void;
  error(reason?: unknown): void;
}
interface ReadableStream<R = any> {
  readonly locked: boolean;
  cancel(reason?: unknown): Promise<void>;
  getReader(): ReadableStreamDefaultReader<R>;
  pipeThrough<T>(pair: {
    readable: ReadableStream<T>;
    writable: WritableStream<any>;
  }): ReadableStream<T>;
}
declare var ReadableStream: {
  prototype: ReadableStream;
  new <R = any>(
    source?: {
      start?(controller: ReadableStreamDefaultController<R>): void;
      pull?(controller: ReadableStreamDefaultController<R>): void | Promise<void>;
      cancel?(reason: unknown): void | Promise<void>;
    },
    strategy?: { highWaterMark?: number; size?(chunk: R): number },
  ): ReadableStream<R>;
};
interface WritableStreamDefaultWriter<W> {
  readonly closed: Promise<undefined>;
  readonly ready: Promise<undefined>;
  write(chunk: W): Promise<void>;
  close(): Promise<void>;
  abort(reason?: unknown): Promise<void>;
  releaseLock(): void;
}
interface WritableStreamDefaultController {
  error(reason?: unknown): void;
}
interface WritableStream<W = any> {
  readonly locked: boolean;
  abort(reason?: unknown): Promise<void>;
  close(): Promise<void>;
  getWriter(): WritableStreamDefaultWriter<W>;
}
declare var WritableStream: {
  prototype: WritableStream;
  new <W = any>(
    sink?: {
      start?(controller: WritableStreamDefaultController): void;
      write?(chunk: W): void | Promise<void>;
      close?(): void | Promise<void>;
      abort?(reason: unknown): void | Promise<void>;
    },
    strategy?: { highWaterMark?: number; size?(chunk: W): number },
  ): WritableStream<W>;
};

// Fetch (https://fetch.spec.whatwg.org/), without the network.

interface Headers {
  get(name: string): string | null;
  has(name: string): boolean;
  set(name: string, value: string): void;
  append(name: string, value: string): void;
  delete(name: string): void;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}
type HeadersInit = Headers | [string, string][] | Record<string, string>;
declare var Headers: { prototype: Headers; new (init?: HeadersInit): Headers };

interface Blob {
  readonly size: number;
  readonly type: string;
  stream(): ReadableStream<Uint8Array<ArrayBuffer>>;
}
declare var Blob: {
  prototype: Blob;
  new (parts?: readonly Uint8Array<ArrayBuffer>[], options?: { type?: string }): Blob;
};

type BodyInit = string | ArrayBuffer | ArrayBufferView<ArrayBuffer> | Blob | ReadableStream;

interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit | null;
  redirect?: "follow" | "error" | "manual";
  signal?: AbortSignal | null;
}
interface Request {
  readonly url: string;
  readonly method: string;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  readonly redirect: "follow" | "error" | "manual";
  readonly signal: AbortSignal;
}

interface Response {
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  readonly headers: Headers;
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  arrayBuffer(): Promise<ArrayBuffer>;
}
declare var Response: {
  prototype: Response;
  new (
    body?: BodyInit | null,
    init?: { status?: number; statusText?: string; headers?: HeadersInit },
  ): Response;
};

interface DecompressionStream {
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;
  readonly writable: WritableStream<BufferSource>;
}
declare var DecompressionStream: {
  prototype: DecompressionStream;
  new (format: "gzip" | "deflate"): DecompressionStream;
};
type BufferSource = ArrayBuffer | ArrayBufferView;

declare function fetch(url: string | URL): Promise<Response>;

declare var BroadcastChannel: { new (name: string): unknown };
