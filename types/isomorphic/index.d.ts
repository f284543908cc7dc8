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
  readonly protocol: string;
  readonly host: string;
  readonly hostname: string;
  readonly port: string;
  readonly pathname: string;
  readonly hash: string;
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

declare var performance: { now(): number };
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

interface Response {
  readonly ok: boolean;
  readonly status: number;
  readonly statusText: string;
  arrayBuffer(): Promise<ArrayBuffer>;
}
declare function fetch(url: string | URL): Promise<Response>;

declare var BroadcastChannel: { new (name: string): unknown };
