/**
 * Netlink (RFC 3549; linux/netlink.h): requests to the kernel's network configuration, each answered before the call returns.
 *
 * A socket belongs to the network namespace that it was made in, whatever the process does later. The kernel works a request off within
 * `write`, so that its answer lies ready when that returns: no waiting, no thread. Integers are in the machine's byte order.
 */
import { readSync, writeSync } from "node:fs";
import { endianness } from "node:os";
import type { TapAddon } from "./tap-addon.js";
import { errnoError } from "./tap-errors.js";
import { withNamespace } from "./tap-namespace.js";

/** The machine's byte order, for DataView. */
export const LITTLE_ENDIAN = endianness() === "LE";

const HEADER_BYTES = 16;
/** More than the kernel puts into one message of a dump. */
const BUFFER_BYTES = 128 * 1024;

const MessageType = { error: 2, done: 3 } as const;
const MessageFlag = { request: 0x01, acknowledge: 0x04, capped: 0x100, words: 0x200 } as const;

/** Flags that a caller adds to a request. */
export const RequestFlag = {
  replace: 0x100,
  exclusive: 0x200,
  create: 0x400,
  dump: 0x300,
} as const;

/** An answer: its type, and what stands behind the header. */
export interface NetlinkMessage {
  readonly type: number;
  readonly body: Uint8Array;
}

const align = (length: number): number => (length + 3) & ~3;

/** A request's body that grows: a fixed part, then attributes. */
export class MessageWriter {
  #bytes = new Uint8Array(256);
  #length = 0;

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  u8(value: number): this {
    this.#grow(1).setUint8(0, value);
    return this;
  }

  u16(value: number): this {
    this.#grow(2).setUint16(0, value, LITTLE_ENDIAN);
    return this;
  }

  u32(value: number): this {
    this.#grow(4).setUint32(0, value, LITTLE_ENDIAN);
    return this;
  }

  raw(bytes: Uint8Array): this {
    const start = this.#length;
    this.#grow(bytes.length);
    this.#bytes.set(bytes, start);
    return this;
  }

  /** An attribute with these bytes. */
  attribute(type: number, value: Uint8Array): this {
    this.u16(4 + value.length)
      .u16(type)
      .raw(value);
    return this.raw(new Uint8Array(align(value.length) - value.length));
  }

  attributeU32(type: number, value: number): this {
    return this.attribute(type, new MessageWriter().u32(value).bytes);
  }

  /** A text with its ending NUL. */
  attributeText(type: number, text: string): this {
    return this.attribute(type, new TextEncoder().encode(`${text}\0`));
  }

  #grow(by: number): DataView {
    const start = this.#length;
    this.#length += by;
    if (this.#length > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return new DataView(this.#bytes.buffer, start, by);
  }
}

/** The attributes behind the fixed part of a body, by type; of several of a type the last. */
export function readAttributes(body: Uint8Array, start: number): Map<number, Uint8Array> {
  const attributes = new Map<number, Uint8Array>();
  const view = viewOf(body);
  for (let at = start; at + 4 <= body.length;) {
    const length = view.getUint16(at, LITTLE_ENDIAN);
    if (length < 4 || at + length > body.length) break;
    // The two highest bits are flags.
    attributes.set(
      view.getUint16(at + 2, LITTLE_ENDIAN) & 0x3fff,
      body.subarray(at + 4, at + length),
    );
    at += align(length);
  }
  return attributes;
}

/** A DataView on the same bytes. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The messages that one read gave. */
export function* splitMessages(bytes: Uint8Array): Generator<NetlinkMessage & { header: Header }> {
  const view = viewOf(bytes);
  for (let at = 0; at + HEADER_BYTES <= bytes.length;) {
    const length = view.getUint32(at, LITTLE_ENDIAN);
    if (length < HEADER_BYTES || at + length > bytes.length) return;
    const header = {
      flags: view.getUint16(at + 6, LITTLE_ENDIAN),
      sequence: view.getUint32(at + 8, LITTLE_ENDIAN),
    };
    const body = bytes.subarray(at + HEADER_BYTES, at + length);
    yield { type: view.getUint16(at + 4, LITTLE_ENDIAN), body, header };
    at += align(length);
  }
}

interface Header {
  readonly flags: number;
  readonly sequence: number;
}

/** A socket for requests; see the top of the file. */
export class RouteSocket {
  readonly #addon: TapAddon;
  readonly #fd: number;
  readonly #buffer = new Uint8Array(BUFFER_BYTES);
  #sequence = 0;
  #closed = false;

  private constructor(addon: TapAddon, fd: number) {
    this.#addon = addon;
    this.#fd = fd;
  }

  /** A socket in that namespace (see `namespacePath`); in one's own where none is given. */
  static open(addon: TapAddon, namespace?: string): RouteSocket {
    return withNamespace(namespace, (fd) => RouteSocket.openAt(addon, fd));
  }

  /** The same by the namespace's descriptor, which stays the caller's. */
  static openAt(addon: TapAddon, namespaceFd: number): RouteSocket {
    return new RouteSocket(addon, addon.openNetlink(namespaceFd, 0));
  }

  /**
   * Sends a request and answers what the kernel said.
   * @throws Error with the system's `code`, whose message has the kernel's own words where it has some
   */
  request(type: number, flags: number, body: Uint8Array): NetlinkMessage[] {
    const sequence = ++this.#sequence;
    const isDump = (flags & RequestFlag.dump) === RequestFlag.dump;
    const own = MessageFlag.request | (isDump ? 0 : MessageFlag.acknowledge);
    const message = new MessageWriter()
      .u32(HEADER_BYTES + body.length)
      .u16(type)
      .u16(flags | own)
      .u32(sequence)
      .u32(0)
      .raw(body);
    writeSync(this.#fd, message.bytes);
    const answers: NetlinkMessage[] = [];
    for (;;) {
      const length = readSync(this.#fd, this.#buffer);
      for (const { type, body, header } of splitMessages(this.#buffer.subarray(0, length))) {
        if (header.sequence !== sequence) continue;
        if (type === MessageType.done) return answers;
        if (type === MessageType.error) {
          throwRefusal(body, header.flags);
          return answers;
        }
        answers.push({ type, body: body.slice() });
      }
    }
  }

  /** Safe to call again. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#addon.closeDescriptor(this.#fd);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Throws unless it is an acknowledgement, which is an error with number 0. */
function throwRefusal(body: Uint8Array, flags: number): void {
  const view = viewOf(body);
  const errno = -view.getInt32(0, LITTLE_ENDIAN);
  if (errno === 0) return;
  const error = errnoError(errno, "netlink");
  if ((flags & MessageFlag.words) !== 0) {
    const echoed = view.getUint32(4, LITTLE_ENDIAN);
    const start = 4 + ((flags & MessageFlag.capped) !== 0 ? HEADER_BYTES : align(echoed));
    const words = readAttributes(body, start).get(1);
    if (words) error.message += `: ${readText(words)}`;
  }
  throw error;
}

/** The text of an attribute, without its ending NUL. */
export function readText(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\0.*$/s, "");
}
