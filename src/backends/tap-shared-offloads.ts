/**
 * The offloads of a TAP device, which its queues have in common.
 *
 * The kernel keeps them for the device, and it is the kernel that chooses the queue a frame goes to. So it is told what all queues that are
 * in the device have agreed on: none is handed what its NIC does not take, and while one has agreed on less, the others have less to do.
 * What the kernel can is asked once.
 */
import type { TapAddon } from "./tap-addon.js";
import { commonOffloads, probeOffloads, setOffloads } from "./tap-offloads.js";

/** See the top of the file. Queues are known by their descriptors. */
export class SharedOffloads {
  readonly #addon: TapAddon;
  /** What each queue that is in the device wants set. */
  readonly #wanted = new Map<number, number>();
  #supported: number | undefined;

  constructor(addon: TapAddon) {
    this.#addon = addon;
  }

  /** What the kernel can, asked through this queue or another one. What is set stays. @throws the system's error */
  supported(fd: number): number {
    this.#supported ??= probeOffloads(this.#addon, this.#anyQueue(fd), this.#common());
    return this.#supported;
  }

  /** A queue is in the device and wants these, or others than before. @throws as `setOffloads`; nothing has changed then */
  want(fd: number, offloads: number): void {
    const before = this.#wanted.get(fd);
    this.#wanted.set(fd, offloads);
    try {
      setOffloads(this.#addon, fd, this.#common());
    } catch (error) {
      if (before === undefined) this.#wanted.delete(fd);
      else this.#wanted.set(fd, before);
      throw error;
    }
  }

  /** A queue is no longer in the device: what it did not want, the others may have. */
  leave(fd: number): void {
    if (!this.#wanted.delete(fd) || this.#wanted.size === 0) return;
    try {
      setOffloads(this.#addon, this.#anyQueue(fd), this.#common());
    } catch {
      // The device is gone, which the others find out, too; or they go on with less than they could have.
    }
  }

  #common(): number {
    return commonOffloads([...this.#wanted.values()]);
  }

  /** A descriptor that is in the device: through others nothing can be asked. */
  #anyQueue(fd: number): number {
    if (this.#wanted.has(fd)) return fd;
    const [other = fd] = this.#wanted.keys();
    return other;
  }
}
