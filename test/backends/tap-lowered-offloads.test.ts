/**
 * A NIC gives offloads up while long frames wait for it, in the kernel and in the backend: those that it still takes come, the others are
 * dropped and counted.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SendStatus } from "../../src/backend.js";
import {
  emptyHeader,
  GSO_ECN,
  GsoType,
  HeaderFlag,
  readHeader,
  VirtioNetFeature as Feature,
  type VirtioNetHeader,
} from "../../src/virtio-net.js";
import { BridgedTaps, withHeader } from "../support/bridged-taps.js";
import { numberedFrame } from "../support/frames.js";
import { whyNoTap } from "../support/network-namespace.js";
import { buildFrame, frameParts, headerOf, type FrameParts } from "../support/offload-frames.js";
import { waitUntil } from "../support/wait-until.js";

const SEGMENT_BYTES = 1000;

const anyParts = fc.sample(frameParts, { numRuns: 1, seed: 1 })[0]!;
const PARTS: FrameParts = {
  ...anyParts,
  tags: [],
  extensions: [],
  payload: new Uint8Array(3 * SEGMENT_BYTES).fill(7),
};

interface Kind {
  readonly parts: FrameParts;
  readonly gsoType: number;
  /** What they take. */
  readonly needs: bigint;
}

const tcp = { ...PARTS, protocol: "tcp" as const, flags: 0x10 };
const KINDS: Readonly<Record<string, Kind>> = {
  "unfinished checksums": {
    parts: { ...tcp, family: 4, payload: new Uint8Array(100) },
    gsoType: GsoType.none,
    needs: Feature.guestChecksum,
  },
  "TCP over IPv4": {
    parts: { ...tcp, family: 4 },
    gsoType: GsoType.tcp4,
    needs: Feature.guestTso4,
  },
  "TCP over IPv6": {
    parts: { ...tcp, family: 6 },
    gsoType: GsoType.tcp6,
    needs: Feature.guestTso6,
  },
  "TCP with CWR": {
    parts: { ...tcp, family: 4, flags: 0x90 },
    gsoType: GsoType.tcp4 | GSO_ECN,
    needs: Feature.guestEcn,
  },
  datagrams: {
    parts: { ...PARTS, protocol: "udp", family: 6 },
    gsoType: GsoType.udpDatagrams,
    needs: Feature.guestUso4 | Feature.guestUso6,
  },
};

const ALL = Object.values(KINDS).reduce((all, { needs }) => all | needs, 0n);

/** What is left when this is given up: nothing goes without checksums, and ECN is said of TCP. */
function without(needs: bigint): bigint {
  return (needs & Feature.guestChecksum) !== 0n ? 0n : ALL & ~needs;
}

const missing = whyNoTap();

if (missing !== undefined) {
  it("long frames that wait while a NIC gives offloads up", (ctx) => {
    ctx.skip(missing);
  });
}

describe.runIf(missing === undefined)("long frames that wait while a NIC gives offloads up", () => {
  let taps: BridgedTaps;

  beforeAll(async () => {
    taps = await BridgedTaps.create();
    taps.near.setCapabilities(taps.near.capabilities(12), 12);
  });

  afterAll(() => taps.close());

  /** Has two frames wait, one of them in the backend; answers what comes of them and how many were dropped. */
  async function lower({ parts, gsoType }: Kind, features: bigint) {
    const { near, far } = taps;
    far.disableReceive();
    far.setCapabilities(far.capabilities(12), 12);
    const { droppedToGuest } = far.statistics();
    const frame = withHeader(
      buildFrame(parts, "unfinished"),
      headerOf(parts, gsoType, gsoType === GsoType.none ? 0 : SEGMENT_BYTES),
    );
    for (let i = 0; i < 2; i++) expect(near.send(frame)).toBe(SendStatus.taken);
    await waitUntil("one was looked at", () => far.peek() > 0);
    far.setCapabilities(features, 12);
    far.enableReceive();
    const last = numberedFrame(1);
    const arrived = await taps.through([withHeader(last, emptyHeader())], (frames) =>
      frames.some((one) => one.length === 12 + last.length),
    );
    const headers = arrived.slice(0, -1).map((one): VirtioNetHeader => {
      const header = emptyHeader();
      readHeader(one, 0, 12, header);
      return header;
    });
    return { headers, dropped: far.statistics().droppedToGuest - droppedToGuest };
  }

  for (const [what, kind] of Object.entries(KINDS)) {
    it(`do not come to a NIC that takes no ${what} any more, and are counted`, async () => {
      expect(await lower(kind, without(kind.needs))).toEqual({ headers: [], dropped: 2 });
    });

    it(`come as they are to one that still takes ${what}`, async () => {
      const others = Object.values(KINDS).filter(
        ({ needs }) => needs !== kind.needs && needs !== Feature.guestChecksum,
      );
      // ECN is TCP's, too.
      const isTcp = (kind.gsoType & GSO_ECN) !== 0;
      for (const { needs } of others.filter((one) => !isTcp || one.parts.family === 6)) {
        const { headers, dropped } = await lower(kind, without(needs));
        expect(dropped).toBe(0);
        expect(headers.map(({ gsoType }) => gsoType)).toEqual([kind.gsoType, kind.gsoType]);
        expect(headers.every(({ flags }) => (flags & HeaderFlag.needsChecksum) !== 0)).toBe(true);
      }
    });
  }
});
