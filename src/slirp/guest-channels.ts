/**
 * Guest channels: an address and port of the guest's network whose bytes go to JavaScript, without a socket on the host
 * (slirp_add_guestfwd of libslirp.h; what QEMU's `guestfwd=…-chardev` stands on).
 *
 * It is a channel, not a server: libslirp tells neither that the guest has connected nor that it has gone, and has one
 * connection at a time in mind. Who needs that listens on a unix socket, or takes `GuestForward` with an endpoint.
 */
import type { IpAddress } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { GuestChannel, GuestChannelOptions } from "../slirp-backend.js";
import { ipv4Word } from "./configure.js";
import type { Stack } from "./stack.js";

interface Entry {
  readonly options: GuestChannelOptions;
  readonly word: number;
  waits: boolean;
}

/** The channels of a stack. */
export class GuestChannels {
  private readonly entries: Entry[] = [];

  /** `checkOpen` throws once the stack is closed. */
  constructor(
    private readonly stack: Stack,
    private readonly checkOpen: () => void,
  ) {}

  /** Whether the address and port have a channel. */
  has(address: IpAddress, port: number): boolean {
    return this.entries.some(
      ({ options }) => options.port === port && options.address.address === address.address,
    );
  }

  /** @throws SlirpError `forwardFailed` where libslirp refuses the address, or the port is not one. */
  open(options: GuestChannelOptions): GuestChannel {
    const { stack } = this;
    const { address, port } = options;
    const entry: Entry = {
      options,
      word: address.family === 4 ? ipv4Word(address) : 0,
      waits: false,
    };
    const id = this.entries.length;
    const isPort = Number.isInteger(port) && port >= 1 && port <= 65535;
    const result =
      isPort && address.family === 4 && !this.has(address, port)
        ? stack.call(() => stack.instance.exports.api_add_guestfwd(id, entry.word, port))
        : -1;
    if (result < 0) {
      const text = `guest channel ${address.address} port ${String(port)}: the address must be IPv4, lie in the guest's network, be neither gateway nor name server, have no forward or channel at this port yet, and the port be 1 to 65535`;
      throw new SlirpError(ErrorCode.forwardFailed, text);
    }
    this.entries.push(entry);
    stack.guestChannels.set(id, (bytes) => {
      // The module is in the middle of a frame: nothing of the user's may run now.
      const own = bytes.slice();
      queueMicrotask(() => {
        options.onData(own);
      });
    });
    return { address, port, send: (bytes) => this.send(entry, bytes) };
  }

  /** After a turn: tells who waits for room. */
  tellWritable(): void {
    for (const entry of this.entries) {
      if (entry.waits && this.room(entry) > 0) {
        entry.waits = false;
        entry.options.onWritable?.();
      }
    }
  }

  private room({ word, options }: Entry): number {
    return this.stack.call(() => this.stack.instance.exports.api_guestfwd_room(word, options.port));
  }

  private send(entry: Entry, bytes: Uint8Array): number {
    this.checkOpen();
    const { stack } = this;
    const taken = Math.min(this.room(entry), bytes.length);
    if (taken < bytes.length) entry.waits = true;
    if (taken === 0) return 0;
    stack.call(() => {
      stack.instance.withBytes(bytes.subarray(0, taken), (pointer) => {
        stack.instance.exports.api_guestfwd_send(entry.word, entry.options.port, pointer, taken);
      });
    });
    stack.loop.requestSoon();
    return taken;
  }
}
