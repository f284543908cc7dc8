/**
 * Two TAPs in a bridge of the kernel: what is sent on the near one comes out of the far one as the kernel makes it for whoever reads there,
 * joined, cut, or with its checksum finished.
 */
import { setImmediate } from "node:timers/promises";
import { expect } from "vitest";
import { SendStatus } from "../../src/backend.js";
import { openTap, type TapBackend } from "../../src/tap.js";
import { writeHeader, type VirtioNetHeader } from "../../src/virtio-net.js";
import { framesOf } from "./frames.js";
import { NetworkNamespace } from "./network-namespace.js";

/** For frames that do not come, which fails the test. */
const TIMEOUT_MS = 5000;
const HEADER_BYTES = 12;

/** How they are opened. */
export interface BridgedTapsOptions {
  /** Of both interfaces. Default 1500. */
  readonly mtuBytes?: number;
  /** Opens the near one, which must be called near0. Default: as `openTap` does. */
  readonly openNear?: (namespace: NetworkNamespace) => Promise<TapBackend>;
}

/** See the top of the file. */
export class BridgedTaps {
  private arrived: Uint8Array[] = [];

  private constructor(
    readonly namespace: NetworkNamespace,
    readonly near: TapBackend,
    readonly far: TapBackend,
  ) {
    far.callbacks = {
      onFrames: (batch) => {
        this.arrived.push(...framesOf(batch));
      },
    };
    far.enableReceive();
  }

  /** Both take plain frames until the test says otherwise. */
  static async create(options: BridgedTapsOptions = {}): Promise<BridgedTaps> {
    const { mtuBytes = 1500, openNear = openPlainly } = options;
    const namespace = await NetworkNamespace.create();
    const near = await openNear(namespace);
    const far = await openTap({ name: "far0", namespace: namespace.path });
    const mtu = `mtu ${String(mtuBytes)}`;
    await namespace.ip(`
      link add bridge0 type bridge mcast_snooping 0 forward_delay 0
      link set near0 master bridge0 up ${mtu}
      link set far0 master bridge0 up ${mtu} txqueuelen 20000
      link set bridge0 up`);
    return new BridgedTaps(namespace, near, far);
  }

  /** Sends frames, as they are, and answers what comes out of the far side, with its header, once the test has seen enough of it. */
  async through(
    frames: readonly Uint8Array[],
    isAll: (arrived: readonly Uint8Array[]) => boolean,
  ): Promise<readonly Uint8Array[]> {
    this.arrived = [];
    for (const frame of frames) expect(this.near.send(frame)).toBe(SendStatus.taken);
    const deadline = performance.now() + TIMEOUT_MS;
    while (!isAll(this.arrived) && performance.now() < deadline) await setImmediate();
    return this.arrived;
  }

  async close(): Promise<void> {
    await this.near.close();
    await this.far.close();
    await this.namespace.close();
  }
}

/** A frame behind a header of 12 bytes. */
export function withHeader(frame: Uint8Array, header: Readonly<VirtioNetHeader>): Uint8Array {
  const framed = new Uint8Array(HEADER_BYTES + frame.length);
  writeHeader(framed, 0, HEADER_BYTES, header);
  framed.set(frame, HEADER_BYTES);
  return framed;
}

function openPlainly(namespace: NetworkNamespace): Promise<TapBackend> {
  return openTap({ name: "near0", namespace: namespace.path });
}
