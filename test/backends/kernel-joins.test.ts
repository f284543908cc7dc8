/**
 * What Linux joins (GRO), joined by us: two TAPs in a bridge, of which one is read by a kernel that joins, and the other takes long frames.
 * Linux joins what comes within one tick of its clock, so how many it joins is its own; what a given number becomes must be the same.
 * Datagrams it joins for others than its own sockets only where it is told to.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadTapAddon, TunFlag } from "../../src/backends/tap-addon.js";
import { withNamespace } from "../../src/backends/tap-namespace.js";
import { FrameJoiner } from "../../src/frames/frame-joiner.js";
import { openTap, type TapBackend } from "../../src/tap.js";
import {
  emptyHeader,
  HeaderFlag,
  readHeader,
  VirtioNetFeature,
  type VirtioNetHeader,
} from "../../src/virtio-net.js";
import { BridgedTaps } from "../support/bridged-taps.js";
import { whyNoTap, type NetworkNamespace } from "../support/network-namespace.js";
import {
  frameParts,
  placesOf,
  referenceSegments,
  type FrameParts,
} from "../support/offload-frames.js";

const RUNS = 300;
/** IFF_NAPI of linux/if_tun.h: what is written to the device passes through GRO. */
const NAPI = 0x0010;
/** How long Linux waits for more to join, nanoseconds. */
const FLUSH_NS = 10_000_000;

const missing = whyNoTap();

if (missing !== undefined) {
  it("frames that Linux joins are as ours", (ctx) => {
    ctx.skip(missing);
  });
}

/** What can be joined and, for all that it is, may not be. */
const segments = fc.tuple(frameParts, fc.integer({ min: 100, max: 1300 }));

describe.runIf(missing === undefined)("frames that Linux joins", () => {
  let taps: BridgedTaps;

  beforeAll(async () => {
    taps = await BridgedTaps.create({ mtuBytes: 9000, openNear: openJoiningTap });
    const { namespace, far } = taps;
    const file = "/sys/class/net/near0/gro_flush_timeout";
    const script = `mount -t sysfs none /sys && echo ${String(FLUSH_NS)} > ${file}`;
    await namespace.run("unshare", "--mount", "sh", "-c", script);
    await setFeature(namespace, "near0", "rx-udp-gro-forwarding");
    far.setCapabilities(far.capabilities(12), 12);
  });

  afterAll(() => taps.close());

  /** What comes out of the bridge, until all payload is there. */
  async function throughKernel(frames: readonly Uint8Array[], headerBytes: number) {
    const payload = (all: readonly Uint8Array[], before: number): number =>
      all.reduce((sum, { length }) => sum + length - before - headerBytes, 0);
    const whole = payload(frames, 0);
    return taps.through(frames, (arrived) => payload(arrived, 12) >= whole);
  }

  /** Has both join the same frames; answers the largest number that Linux made one of. */
  async function expectSame(parts: FrameParts, size: number): Promise<number> {
    const frames = referenceSegments(parts, size);
    const { payload: headerBytes } = placesOf(parts);
    let first = 0;
    let longest = 0;
    for (const theirs of await throughKernel(frames, headerBytes)) {
      const count = Math.max(Math.ceil((theirs.length - 12 - headerBytes) / size), 1);
      expect(readable(theirs)).toEqual(joinAll(frames.slice(first, first + count)));
      longest = Math.max(longest, count);
      first += count;
    }
    expect(first).toBe(frames.length);
    return longest;
  }

  for (const protocol of ["tcp", "udp"] as const) {
    it(`are as ours, frame and header: ${protocol}`, async (ctx) => {
      const { far } = taps;
      if (protocol === "udp" && (far.capabilities(12) & VirtioNetFeature.guestUso4) === 0n) {
        ctx.skip("the kernel does not know USO");
      }
      let longest = 0;
      const property = fc.asyncProperty(segments, async ([parts, size]) => {
        longest = Math.max(longest, await expectSame({ ...parts, protocol }, size));
      });
      await fc.assert(property, { numRuns: RUNS, endOnFailure: true });
      expect(longest, "Linux has joined something").toBeGreaterThan(2);
    });
  }
});

/** As `ethtool -K INTERFACE FEATURE on`. */
async function setFeature(
  namespace: NetworkNamespace,
  name: string,
  feature: string,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "set-feature-"));
  const program = join(folder, "set-feature");
  try {
    execFileSync("gcc", ["-o", program, "test/support/native/set-feature.c"]);
    await namespace.run(program, name, feature, "on");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function openJoiningTap(namespace: NetworkNamespace): Promise<TapBackend> {
  const addon = loadTapAddon();
  const fd = withNamespace(namespace.path, (at) => addon.openTun("/dev/net/tun", at));
  addon.setInterface(
    fd,
    "near0",
    TunFlag.tap | TunFlag.noPacketInformation | TunFlag.header | NAPI,
  );
  return openTap({ fd });
}

interface Described {
  readonly header: VirtioNetHeader;
  readonly frame: string;
}

/** Header and frame, without hints: that Linux has verified a checksum, and how long a piece of the frame lies together in its memory. */
function readable(framed: Uint8Array): Described {
  const header = emptyHeader();
  readHeader(framed, 0, 12, header);
  return describeFrame(header, framed.subarray(12));
}

function describeFrame(header: VirtioNetHeader, frame: Uint8Array): Described {
  const told = { ...header, headerBytes: 0, flags: header.flags & ~HeaderFlag.dataValid };
  return { header: told, frame: Buffer.from(frame).toString("hex") };
}

/** One frame of several, all of which must fit. */
function joinAll(frames: readonly Uint8Array[]): Described {
  const joiner = new FrameJoiner();
  const target = new Uint8Array(70_000);
  const header = emptyHeader();
  const [first = new Uint8Array(), ...others] = frames;
  if (!joiner.start(target, 0, first, 0, first.length)) return describeFrame(header, first);
  for (const frame of others) expect(joiner.append(frame, 0, frame.length)).toBe(true);
  return describeFrame(header, target.subarray(0, joiner.finish(header)));
}
