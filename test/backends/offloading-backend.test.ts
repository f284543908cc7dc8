/** Offloads in software: what a NIC with all of them and a network without any see of each other. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SendStatus, type NetBackend } from "../../src/backend.js";
import { CaptureMemory } from "../../src/backends/capture-memory.js";
import { withCapture } from "../../src/backends/capture.js";
import { withOffloads } from "../../src/backends/offloading-backend.js";
import { ErrorCode } from "../../src/errors.js";
import { FrameTranslator, guestOffloads } from "../../src/frames/frame-translator.js";
import { BackendCable } from "../../src/nics/backend-cable.js";
import {
  emptyHeader,
  readHeader,
  VirtioNetFeature as Feature,
  writeHeader,
  type VirtioNetHeader,
} from "../../src/virtio-net.js";
import { createBackendPair, type PairEnd } from "../support/backend-pair.js";
import { batchOf, framesOf } from "../support/frames.js";
import {
  anyHeader,
  buildFrame,
  frameParts,
  gsoTypeOf,
  headerOf,
  referenceSegments,
} from "../support/offload-frames.js";

function withHeader(frame: Uint8Array, header: VirtioNetHeader): Uint8Array {
  const framed = new Uint8Array(12 + frame.length);
  framed.set(frame, writeHeader(framed, 0, 12, header));
  return framed;
}

/** What a backend hands on from now on. */
function collect(backend: NetBackend): Uint8Array[] {
  const frames: Uint8Array[] = [];
  backend.callbacks = {
    onFrames: (batch) => frames.push(...framesOf(batch).map((f) => f.slice())),
  };
  backend.enableReceive();
  return frames;
}

async function flush(): Promise<void> {
  for (let i = 0; i < 5; i++) await Promise.resolve();
}

/** A NIC's end with all offloads, and the plain end of the network. */
function connect(limits?: { maxFrames: number; maxBytes: number }): {
  nic: NetBackend;
  far: PairEnd;
} {
  const { near, far } = createBackendPair(limits);
  const nic = withOffloads(near);
  nic.setCapabilities(nic.capabilities(12), 12);
  return { nic, far };
}

/** What someone without offloads is given of a frame with a header of 12 bytes. */
function cutAgain(framed: Uint8Array): Uint8Array[] {
  const translator = new FrameTranslator(guestOffloads(0n), 0);
  const count = translator.begin(framed, 0, framed.length, 12);
  return Array.from({ length: count }, () => {
    const part = new Uint8Array(translator.maxFrameBytes);
    return part.subarray(0, translator.next(part, 0));
  });
}

const size = fc.integer({ min: 40, max: 1400 });

describe("frames of a NIC whose backend has no offloads", () => {
  it("come cut, their checksums finished", async () => {
    const property = fc.asyncProperty(frameParts, size, async (parts, segmentBytes) => {
      const { nic, far } = connect();
      const arrived = collect(far);
      const header = headerOf(parts, gsoTypeOf(parts), segmentBytes);
      const framed = withHeader(buildFrame(parts, "unfinished"), header);
      expect(nic.send(framed)).toBe(SendStatus.taken);
      expect(nic.sendGathered([framed.subarray(0, 5), framed.subarray(5)])).toBe(SendStatus.taken);
      expect(nic.sendBatch(batchOf([framed])).status).toBe(SendStatus.taken);
      await flush();
      const plain = referenceSegments(parts, segmentBytes);
      expect(arrived).toEqual([...plain, ...plain, ...plain]);
    });
    await fc.assert(property, { numRuns: 50 });
  });

  it("wait in the middle of one, lose no part, and the NIC is told once when the next may come", async () => {
    const { nic, far } = connect({ maxFrames: 4, maxBytes: 100_000 });
    let told = 0;
    nic.callbacks = { onFrames: () => undefined, onWritable: () => told++ };
    const given = fc.sample(frameParts, 1)[0]!;
    const parts = { ...given, protocol: "tcp" as const, payload: new Uint8Array(1000).fill(7) };
    const framed = withHeader(
      buildFrame(parts, "unfinished"),
      headerOf(parts, gsoTypeOf(parts), 100),
    );
    expect(nic.send(framed), "four of ten parts have gone").toBe(SendStatus.taken);
    expect(nic.send(framed)).toBe(SendStatus.mustWait);
    const arrived: Uint8Array[] = [];
    for (let i = 0; i < 20 && told === 0; i++) {
      for (let length = far.peek(); length > 0; length = far.peek()) {
        const frame = new Uint8Array(length);
        far.receive(frame);
        arrived.push(frame);
      }
      await flush();
    }
    expect(told).toBe(1);
    expect(nic.send(framed)).toBe(SendStatus.taken);
    expect(arrived.slice(0, 8)).toEqual(referenceSegments(parts, 100).slice(0, 8));
  });

  it("that lie about themselves are dropped and counted, whatever they say", async () => {
    const { nic, far } = connect({ maxFrames: 100_000, maxBytes: 2 ** 27 });
    const arrived = collect(far);
    let sent = 0;
    const property = fc.property(frameParts, anyHeader, fc.nat(200), (parts, header, removed) => {
      const framed = withHeader(buildFrame(parts), header);
      const status = nic.send(framed.subarray(0, Math.max(framed.length - removed, 0)));
      sent += Number(status === SendStatus.dropped);
    });
    fc.assert(property, { numRuns: 500 });
    expect(nic.statistics().droppedFromGuest).toBe(sent);
    expect(sent).toBeGreaterThan(0);
    await flush();
    for (const frame of arrived) expect(frame.length).toBeGreaterThanOrEqual(14);
  });

  it("that would become a gigabyte are dropped", () => {
    const given = fc.sample(frameParts, 1)[0]!;
    const options = new Uint8Array(2048);
    options.set([0, 255]);
    const extensions = Array.from({ length: 14 }, () => [60, options] as const);
    const payload = new Uint8Array(30_000);
    const parts = { ...given, family: 6 as const, protocol: "tcp" as const, extensions, payload };
    const { nic } = connect();
    const framed = withHeader(buildFrame(parts, "unfinished"), headerOf(parts, 4, 1));
    expect(nic.send(framed)).toBe(SendStatus.dropped);
    expect(nic.statistics().droppedFromGuest).toBe(1);
  });
});

describe("frames towards a NIC that takes long ones", () => {
  it("come joined as far as they came together, with a header that says so", async () => {
    const property = fc.asyncProperty(frameParts, size, async (given, segmentBytes) => {
      const parts = { ...given, flags: given.flags & ~0x80 };
      const plain = referenceSegments(parts, segmentBytes);
      fc.pre(plain.length > 1 && plain.length <= 64);
      const { nic, far } = connect();
      const arrived = collect(nic);
      far.sendBatch(batchOf(plain));
      await flush();
      const [framed = new Uint8Array(12), ...others] = arrived;
      expect(others).toEqual([]);
      expect(framed.subarray(12)).toEqual(buildFrame(parts, "unfinished"));
      const header = emptyHeader();
      readHeader(framed, 0, 12, header);
      expect(header).toEqual(headerOf(parts, gsoTypeOf(parts), segmentBytes));
    });
    await fc.assert(property, { numRuns: 50 });
  });

  it("are what they were when they are cut again, whatever was changed in them and taken off", async () => {
    const change = fc.record({ frame: fc.nat(), at: fc.nat(), bit: fc.nat(7) });
    const property = fc.asyncProperty(
      frameParts,
      size,
      fc.array(change, { maxLength: 3 }),
      fc.nat(30),
      async (parts, segmentBytes, changes, removed) => {
        const frames = referenceSegments(parts, segmentBytes);
        for (const { frame, at, bit } of changes) {
          const bytes = frames[frame % frames.length]!;
          bytes[at % bytes.length]! ^= 1 << bit;
        }
        const last = frames.pop()!;
        frames.push(last.subarray(0, Math.max(last.length - removed, 14)));
        const { nic, far } = connect();
        const arrived = collect(nic);
        far.sendBatch(batchOf(frames));
        await flush();
        expect(arrived.flatMap(cutAgain)).toEqual(frames);
      },
    );
    await fc.assert(property, { numRuns: 200 });
  });

  it("come alone where the NIC takes only some, is told not to join, or pulls", async () => {
    const parts = { ...fc.sample(frameParts, 1)[0]!, protocol: "udp" as const, family: 4 as const };
    const plain = referenceSegments({ ...parts, payload: new Uint8Array(500) }, 100);
    const alone = plain.map((frame) => withHeader(frame, emptyHeader()));
    const tcpOnly = Feature.guestChecksum | Feature.guestTso4 | Feature.guestTso6;
    for (const [features, joins] of [
      [tcpOnly, true],
      [undefined, false],
    ] as const) {
      const { near, far } = createBackendPair();
      const nic = withOffloads(near, { joins });
      nic.setCapabilities(features ?? nic.capabilities(12), 12);
      const arrived = collect(nic);
      far.sendBatch(batchOf(plain));
      await flush();
      expect(arrived).toEqual(alone);
      nic.disableReceive();
      far.sendBatch(batchOf(plain));
      for (const expected of alone) {
        const target = new Uint8Array(nic.peek());
        expect(nic.receive(target)).toBe(expected.length);
        expect(target).toEqual(expected);
      }
    }
  });
});

describe("a backend with offloads of its own", () => {
  it("is left what it can do, and done what it cannot", () => {
    const { near } = createBackendPair();
    const classic = Feature.checksum | Feature.hostTso4 | Feature.guestChecksum;
    const asked: [bigint, number][] = [];
    near.capabilities = (length) => (length === 0 ? 0n : classic);
    near.setCapabilities = (features, length) => void asked.push([features, length]);
    const nic = withOffloads(near);
    expect(nic.capabilities(0)).toBe(0n);
    nic.setCapabilities(classic | Feature.hostTso6, 12);
    nic.setCapabilities(classic, 10);
    withOffloads(near, { usesBackend: false }).setCapabilities(classic, 12);
    expect(asked).toEqual([
      [classic, 12],
      [classic, 10],
      [0n, 0],
    ]);
    expect(() => {
      nic.setCapabilities(Feature.hostTso4, 12);
    }).toThrow(expect.objectContaining({ code: ErrorCode.unsupportedCapability }));
    expect(asked).toHaveLength(3);
  });

  it("is captured in frames as on a wire where it is given plain ones", async () => {
    const { near, far } = createBackendPair();
    const arrived = collect(far);
    const memory = new CaptureMemory();
    const nic = withOffloads(withCapture(near, memory), { usesBackend: false });
    nic.setCapabilities(nic.capabilities(12), 12);
    const parts = { ...fc.sample(frameParts, 1)[0]!, payload: new Uint8Array(1000).fill(5) };
    nic.send(withHeader(buildFrame(parts, "unfinished"), headerOf(parts, gsoTypeOf(parts), 300)));
    await flush();
    expect(arrived).toEqual(referenceSegments(parts, 300));
    const bytes = Buffer.from(memory.download());
    for (const frame of arrived) expect(bytes.includes(Buffer.from(frame))).toBe(true);
  });

  it("meets another that has none by a cable", async () => {
    const [left, right] = [createBackendPair(), createBackendPair()];
    const [one, other] = [withOffloads(left.near), withOffloads(right.near)];
    const cable = new BackendCable(one, other);
    const arrived = collect(right.far);
    const parts = fc.sample(frameParts, 1)[0]!;
    const plain = referenceSegments(parts, 500);
    left.far.sendBatch(batchOf(plain));
    await flush();
    expect(arrived).toEqual(plain);
    cable.close();
  });
});
