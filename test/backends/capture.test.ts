/**
 * Captures, read back by Wireshark's own programs.
 */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, type TestContext } from "vitest";
import { CaptureMemory } from "../../src/backends/capture-memory.js";
import { withCapture, type CapturingBackend } from "../../src/backends/capture.js";
import { CaptureDirection, PcapngWriter } from "../../src/backends/pcapng-writer.js";
import { prependZeroedHeader } from "../../src/virtio-net.js";
import { createBackendPair, type PairEnd } from "../support/backend-pair.js";
import { batchOf, frameIndex, GUEST_MAC, NETWORK_MAC, numberedFrame } from "../support/frames.js";

const run = promisify(execFile);

/** A frame as tshark tells it. */
interface ReadFrame {
  readonly index: number | undefined;
  readonly time: string;
  readonly direction: number;
  readonly interfaceName: string;
  readonly length: number;
  readonly bytes: Uint8Array;
}

let folder: string;
let near: PairEnd;
let far: PairEnd;
let memory: CaptureMemory;
let backend: CapturingBackend;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "slirp-wasm-capture-"));
  ({ near, far } = createBackendPair());
  far.callbacks = { onFrames: () => undefined };
  far.enableReceive();
  memory = new CaptureMemory();
  backend = withCapture(near);
});

afterEach(async () => {
  await backend.close();
  await far.close();
  await rm(folder, { recursive: true });
});

function needsTshark(ctx: TestContext): void {
  if (!existsSync("/usr/bin/tshark")) ctx.skip("tshark is not there (Debian package tshark)");
}

async function save(file: Uint8Array): Promise<string> {
  const path = join(folder, "capture.pcapng");
  await writeFile(path, file);
  return path;
}

interface Packet {
  readonly _source: { readonly layers: Readonly<Record<string, unknown>> };
}

async function readBack(file: Uint8Array): Promise<ReadFrame[]> {
  const path = await save(file);
  const { stdout, stderr } = await run("tshark", ["-n", "-r", path, "-T", "json", "-x"], {
    maxBuffer: 64 * 1024 * 1024,
  });
  expect(stderr.replace(/^Running as user "root".*\n/, "")).toBe("");
  return (JSON.parse(stdout) as Packet[]).map(({ _source: { layers } }) => {
    const frame = layers["frame"] as Record<string, string> & {
      "frame.interface_id_tree": Record<string, string>;
      "frame.packet_flags_tree": Record<string, string>;
    };
    const [hex] = layers["frame_raw"] as [string];
    const bytes = Uint8Array.from(Buffer.from(hex, "hex"));
    return {
      index: frameIndex(bytes),
      time: frame["frame.time_epoch"] ?? "",
      direction: Number(frame["frame.packet_flags_tree"]["frame.packet_flags_direction"]),
      interfaceName: frame["frame.interface_id_tree"]["frame.interface_name"] ?? "",
      length: Number(frame["frame.len"]),
      bytes,
    };
  });
}

/** Everything queued has happened: pairs deliver in microtasks. */
async function delivered(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}

describe("a capture", () => {
  it("has frames of both directions with time, direction, length and bytes", async (ctx) => {
    needsTshark(ctx);
    let nowMs = 1_763_712_000_123.456;
    backend.startCapture(memory, { interfaceName: "guest 1", nowMs: () => nowMs });
    backend.callbacks = { onFrames: () => undefined };
    backend.enableReceive();
    backend.send(numberedFrame(1, { length: 61 }));
    nowMs += 1000;
    far.send(numberedFrame(2, { source: NETWORK_MAC, destination: GUEST_MAC, length: 1514 }));
    await delivered();
    const frames = await readBack(memory.download());
    expect(frames).toEqual([
      {
        index: 1,
        time: expect.stringMatching(/^1763712000\.12345\d/) as string,
        direction: 2,
        interfaceName: "guest 1",
        length: 61,
        bytes: numberedFrame(1, { length: 61 }),
      },
      {
        index: 2,
        time: expect.stringMatching(/^1763712001\.12345\d/) as string,
        direction: 1,
        interfaceName: "guest 1",
        length: 1514,
        bytes: numberedFrame(2, { source: NETWORK_MAC, destination: GUEST_MAC, length: 1514 }),
      },
    ]);
  });

  it("has what was sent in pieces, in batches and pulled, without virtio-net headers", async (ctx) => {
    needsTshark(ctx);
    backend.startCapture(memory);
    backend.setCapabilities(0n, 12);
    const framed = (index: number): Uint8Array => prependZeroedHeader(numberedFrame(index), 12);
    backend.sendGathered([
      framed(1).subarray(0, 5),
      framed(1).subarray(5, 40),
      framed(1).subarray(40),
    ]);
    backend.sendBatch(batchOf([framed(2), new Uint8Array(13), framed(3)]));
    backend.send(new Uint8Array(5));
    far.send(numberedFrame(4));
    backend.receive(new Uint8Array(2000));
    const frames = await readBack(memory.download());
    expect(frames.map(({ index, direction }) => [index, direction])).toEqual([
      [1, 2],
      [2, 2],
      [3, 2],
      [4, 1],
    ]);
  });

  it("tells its form to capinfos: nanoseconds, snap length, interfaces", async (ctx) => {
    needsTshark(ctx);
    const writer = new PcapngWriter(memory, {
      timeDigits: 9,
      snapLengthBytes: 100,
      nowMs: () => 1_763_712_000_123.456,
    });
    backend.startCapture(writer, { interfaceName: "one" });
    const other = createBackendPair();
    const second = withCapture(other.near, writer, { interfaceName: "two" });
    backend.send(numberedFrame(1, { length: 500 }));
    second.send(numberedFrame(2, { length: 99 }));
    const file = memory.download();
    const { stdout } = await run("capinfos", ["-M", await save(file)]);
    expect(stdout).toMatch(/File type:\s+.*pcapng/);
    expect(stdout).toMatch(/Number of packets:\s+2\n/);
    expect(stdout).toMatch(/Capture application:\s+slirp-wasm/);
    expect(stdout).toMatch(/Name = one[^]*Name = two/);
    expect(stdout.match(/Capture length = 100\n/g)).toHaveLength(2);
    expect(stdout.match(/Time precision = nanoseconds \(9\)/g)).toHaveLength(2);
    const [first, last] = await readBack(file);
    expect(first).toMatchObject({ length: 500, interfaceName: "one" });
    expect(first?.bytes).toEqual(numberedFrame(1, { length: 500 }).subarray(0, 100));
    expect(first?.time).toMatch(/^1763712000\.12345\d{4}$/);
    expect(last).toMatchObject({ index: 2, length: 99, interfaceName: "two" });
    await other.far.close();
    await second.close();
  });

  it("is nothing before it is started, and nothing more once it is stopped", () => {
    backend.send(numberedFrame(1));
    expect(backend.isCapturing).toBe(false);
    backend.startCapture(memory);
    backend.send(numberedFrame(2));
    expect(backend.isCapturing).toBe(true);
    backend.stopCapture();
    backend.send(numberedFrame(3));
    expect(memory.frames).toBe(1);
    backend.startCapture(memory);
    expect(memory.frames, "a new capture begins").toBe(0);
  });

  it("is a file for a page to offer", () => {
    backend.startCapture(memory);
    backend.send(numberedFrame(1));
    const blob = memory.toBlob();
    expect(blob.type).toBe("application/x-pcapng");
    expect(blob.size).toBe(memory.download().length);
  });
});

describe("a capture in memory", () => {
  /** Lengths of frames to index and length, out of a file that only has one interface. */
  function readFrames(file: Uint8Array): { index: number | undefined; length: number }[] {
    const view = new DataView(file.buffer);
    const found: { index: number | undefined; length: number }[] = [];
    for (let at = 0; at < file.length;) {
      const total = view.getUint32(at + 4, true);
      expect(view.getUint32(at + total - 4, true), "a block says its length twice").toBe(total);
      if (view.getUint32(at, true) === 6) {
        const length = view.getUint32(at + 20, true);
        found.push({ index: frameIndex(file.subarray(at + 28, at + 28 + length)), length });
      }
      at += total;
    }
    return found;
  }

  it("keeps the latest frames that fit, whatever their lengths, and counts the others", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 200, max: 200_000 }),
        fc.array(fc.integer({ min: 18, max: 3000 }), { maxLength: 300 }),
        (maxBytes, lengths) => {
          const ring = new CaptureMemory({ maxBytes });
          const writer = new PcapngWriter(ring);
          writer.addInterface("x");
          for (const [index, length] of lengths.entries()) {
            const frame = numberedFrame(index, { length });
            writer.writeFrame(0, CaptureDirection.fromGuest, frame, 0, length);
          }
          const kept = readFrames(ring.download());
          expect(kept).toHaveLength(ring.frames);
          expect(ring.frames + ring.droppedFrames).toBe(lengths.length);
          expect(ring.bytes).toBeLessThanOrEqual(maxBytes);
          // Those that can be kept at all, from some one on.
          const block = (length: number): number => 44 + ((length + 3) & ~3);
          const possible = [...lengths.entries()]
            .filter(([, length]) => block(length) <= maxBytes)
            .map(([index, length]) => ({ index, length }));
          expect(kept).toEqual(kept.length === 0 ? [] : possible.slice(-kept.length));
          // A ring wastes less than the longest block at its wrap, and what the last one displaced.
          const longest = Math.max(0, ...possible.map(({ length }) => block(length)));
          if (kept.length < possible.length) {
            expect(ring.bytes).toBeGreaterThan(maxBytes - 3 * longest);
          }
        },
      ),
    );
  });
});
