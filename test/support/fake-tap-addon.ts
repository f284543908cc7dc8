/**
 * The addon behind TAPs as it answers on kernels that know less than the one at hand, or whose requests fail: these cannot be had here.
 * Behind it is a device that remembers what it was told. It moves no frames.
 */
import {
  TunFlag,
  TunOffload,
  TunRequest,
  type FramePortClass,
  type TapAddon,
  type VhostPortClass,
} from "../../src/backends/tap-addon.js";

const { checksum, tso4, tso6, ecn, uso4, uso6 } = TunOffload;

/** What a kernel knows. Default: everything. */
export interface FakeKernel {
  /** Of `TunOffload`. */
  readonly offloads?: number;
  /** Of `TunFlag`. */
  readonly features?: number;
  /** Lengths that it takes for its header. */
  readonly headerLengths?: readonly number[];
}

/** An error as the addon throws it. */
export function systemError(code: string, syscall: string): Error {
  return Object.assign(new Error(`${code}, ${syscall}`), { code, syscall });
}

/** As Linux judges them (drivers/net/tun.c, set_offload): each only with what it takes, and none that it does not know. */
function isTaken(offloads: number, known: number): boolean {
  const has = (mask: number): boolean => (offloads & mask) !== 0;
  if ((offloads & ~known) !== 0 || (offloads !== 0 && !has(checksum))) return false;
  if (has(ecn) && !has(tso4 | tso6)) return false;
  return has(uso4) === has(uso6);
}

function noSuchPart(): never {
  throw new Error("this kernel is asked of its TAPs alone");
}

/** See the top of the file. */
export class FakeTapAddon implements TapAddon {
  /** What the device has. */
  offloads = 0;
  headerLength = 10;
  /** Offloads that were asked for, in order. */
  readonly asked: number[] = [];
  /** Flags of the interfaces that were set up, and descriptors that were closed. */
  readonly interfaces: number[] = [];
  readonly closed: number[] = [];
  /** Says with which error a request fails, if it does. */
  fails: ((request: TunRequest, value: number) => string | undefined) | undefined;
  /** What the kernel knows may become less, as when a module is loaded anew. */
  known: number;

  private readonly kernel: Required<FakeKernel>;

  constructor(kernel: FakeKernel = {}) {
    const everything = Object.values(TunOffload).reduce((all, one) => all | one, 0);
    this.kernel = {
      offloads: everything,
      features: TunFlag.header | TunFlag.multiQueue,
      headerLengths: [10, 12, 20],
      ...kernel,
    };
    this.known = this.kernel.offloads;
  }

  control(_fd: number, request: TunRequest, value: number): number {
    const code = this.fails?.(request, value);
    if (code !== undefined) throw systemError(code, "ioctl");
    if (request === TunRequest.setOffload) this.setOffload(value);
    else if (request === TunRequest.setHeaderLength) this.setHeaderLength(value);
    else if (request === TunRequest.getFeatures) return this.kernel.features;
    return value;
  }

  openTun(): number {
    return 5;
  }

  setInterface(_fd: number, name: string, flags: number): string {
    this.interfaces.push(flags);
    return name.replace("%d", "0");
  }

  closeDescriptor(fd: number): void {
    this.closed.push(fd);
  }

  get FramePort(): FramePortClass {
    return noSuchPart();
  }

  get VhostPort(): VhostPortClass {
    return noSuchPart();
  }

  openNetlink = noSuchPart;
  getInterface = noSuchPart;
  getDeviceNamespace = noSuchPart;
  getHardwareAddress = noSuchPart;
  prepareDescriptor = noSuchPart;
  makeSocketPair = noSuchPart;
  receiveDescriptor = noSuchPart;

  private setOffload(offloads: number): void {
    this.asked.push(offloads);
    if (!isTaken(offloads, this.known)) throw systemError("EINVAL", "TUNSETOFFLOAD");
    this.offloads = offloads;
  }

  private setHeaderLength(length: number): void {
    if (!this.kernel.headerLengths.includes(length)) {
      throw systemError("EINVAL", "TUNSETVNETHDRSZ");
    }
    this.headerLength = length;
  }
}
