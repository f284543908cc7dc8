/** Makes the port that a TAP's frames go by, and waits until it has passed on what it took. */
import type { FramePort, PortMemory, TapAddon } from "./tap-addon.js";
import type { TapDescriptor } from "./tap-descriptor.js";
import { vhostError, type VhostQueue } from "./tap-vhost.js";

/** How long is waited for the kernel to take what vhost-net's ring holds. */
const DRAIN_TIMEOUT_MS = 1000;

/** Which way frames go. */
export interface TapWay {
  readonly vhost: VhostQueue | undefined;
  /** Whether frames have a header in the kernel. */
  readonly hasHeader: boolean;
}

/** The port owns the descriptors from then on. @throws the system's error; SlirpError `deviceFailed` for one of vhost-net */
export function openTapPort(
  addon: TapAddon,
  { fd, name }: TapDescriptor,
  { vhost, hasHeader }: TapWay,
  memory: PortMemory,
): FramePort {
  if (!vhost) return new addon.FramePort(fd, true, ...memory);
  try {
    return new addon.VhostPort(fd, vhost.fd, hasHeader, vhost.busyPollUs, ...memory);
  } catch (cause) {
    throw vhostError(`the TAP ${JSON.stringify(name)} cannot go by vhost-net`, cause);
  }
}

/** The wait for a port that is about to be closed. */
export class DrainWait {
  #end: (() => void) | undefined;

  /** Resolves when all has been passed on, or it takes too long. */
  async wait(port: FramePort): Promise<void> {
    port.setReading(false);
    if (port.drain() === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_TIMEOUT_MS);
      this.#end = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** The port has told. */
  end(): void {
    this.#end?.();
  }
}
