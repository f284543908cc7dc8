/**
 * An instance of the WebAssembly module with views on its memory, and reading and writing of what crosses: texts, addresses,
 * the shared block of wasm/shared.h.
 *
 * A view dies when the memory grows. So views are held in one place, here, made anew in the moment of growth
 * (`emscripten_notify_memory_growth`), and read from here at each use.
 */
import type { SlirpExports, Pointer } from "../../wasm/out/slirp-exports.js";
import { ErrorCode, SlirpError } from "../errors.js";

export type { Pointer, SlirpPointer } from "../../wasm/out/slirp-exports.js";

/** Where no structure is. */
export const nullPointer = 0 as Pointer;

/** Indexes, in 32-bit words, of the fields of struct shared_block (wasm/shared.h), in its order. */
export const SharedField = {
  ready: 0,
  readyQueue: 1,
  readyCount: 2,
  input: 3,
  inputBytes: 4,
  inputUsed: 5,
  output: 6,
  outputOffsets: 7,
  outputLengths: 8,
  outputFirst: 9,
  outputCount: 10,
  outputDropped: 11,
  inputDropped: 12,
  headerLength: 13,
  offloads: 14,
  receiveEnabled: 15,
} as const;

/** The functions that the module imports from us (wasm/host.h), by name. */
export type HostCalls = Readonly<
  Record<`host_${string}`, (...parameters: number[]) => number | undefined>
>;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** See the top of the file. The views are named as emscripten names them. */
export class ModuleInstance {
  readonly exports: SlirpExports;
  HEAPU8: Uint8Array<ArrayBuffer>;
  HEAPU32: Uint32Array<ArrayBuffer>;
  private readonly memory: WebAssembly.Memory;
  /** Index of the shared block in HEAPU32. */
  private readonly shared: number;

  /** @throws SlirpError `moduleUnusable` where the module does not fit this JavaScript. */
  constructor(module: WebAssembly.Module, hostCalls: (instance: ModuleInstance) => HostCalls) {
    let exports: WebAssembly.Exports;
    try {
      exports = new WebAssembly.Instance(module, {
        host: hostCalls(this),
        env: {
          emscripten_notify_memory_growth: () => {
            this.refreshViews();
          },
        },
        wasi_snapshot_preview1: {
          proc_exit: () => {
            throw new Error("the module called exit");
          },
          environ_sizes_get: (count: number, bytes: number) => {
            this.HEAPU32[count >>> 2] = 0;
            this.HEAPU32[bytes >>> 2] = 0;
            return 0;
          },
          environ_get: () => 0,
        },
      }).exports;
    } catch (cause) {
      const message =
        "slirp.wasm does not belong to this version of slirp-wasm; take the one in the same package";
      throw new SlirpError(ErrorCode.moduleUnusable, message, { cause });
    }
    this.exports = exports as unknown as SlirpExports;
    this.memory = exports["memory"] as WebAssembly.Memory;
    this.HEAPU8 = new Uint8Array(this.memory.buffer);
    this.HEAPU32 = new Uint32Array(this.memory.buffer);
    (exports["_initialize"] as () => void)();
    this.shared = this.exports.stack_shared_block() >>> 2;
  }

  private refreshViews(): void {
    // Not `implements`, for which whoever compiles against the package would need emscripten's types.
    const views = {
      HEAPU8: new Uint8Array(this.memory.buffer),
      HEAPU32: new Uint32Array(this.memory.buffer),
    } satisfies Pick<EmscriptenModule, "HEAPU8" | "HEAPU32">;
    this.HEAPU8 = views.HEAPU8;
    this.HEAPU32 = views.HEAPU32;
  }

  /** Reads a field of the shared block. */
  get(field: number): number {
    return this.HEAPU32[this.shared + field] ?? 0;
  }

  /** Writes a field of the shared block. */
  set(field: number, value: number): void {
    this.HEAPU32[this.shared + field] = value;
  }

  /** Size of linear memory, bytes. It never shrinks. */
  get memoryBytes(): number {
    return this.HEAPU8.length;
  }

  /** A view; valid until the next call into the module. */
  bytesAt(pointer: number, length: number): Uint8Array {
    return this.HEAPU8.subarray(pointer, pointer + length);
  }

  /** Reads text of a known length. */
  textAt(pointer: number, length: number): string {
    return decoder.decode(this.bytesAt(pointer, length));
  }

  /** Reads text up to its NUL. */
  cTextAt(pointer: number): string {
    const end = this.HEAPU8.indexOf(0, pointer);
    return this.textAt(pointer, end - pointer);
  }

  /** Copies bytes into memory of their own, to be freed by who asked. */
  allocateBytes(bytes: Uint8Array): Pointer {
    const pointer = this.exports.malloc(Math.max(bytes.length, 1));
    if (pointer === nullPointer) throw new Error("memory exhausted");
    this.HEAPU8.set(bytes, pointer);
    return pointer;
  }

  /** Copies a text with a NUL behind it; undefined becomes NULL. */
  allocateText(text: string | undefined): Pointer {
    return text === undefined ? nullPointer : this.allocateBytes(encoder.encode(`${text}\0`));
  }

  /** Runs with bytes in linear memory that are freed afterwards. */
  withBytes<Result>(bytes: Uint8Array, use: (pointer: Pointer) => Result): Result {
    const pointer = this.allocateBytes(bytes);
    try {
      return use(pointer);
    } finally {
      this.exports.free(pointer);
    }
  }

  /** Takes a text that the module allocated, and frees it. */
  takeText(pointer: Pointer): string {
    const text = this.cTextAt(pointer);
    this.exports.free(pointer);
    return text;
  }
}
