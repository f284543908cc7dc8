/** Long frames cut and short ones joined, against a reference that builds each frame anew. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameJoiner } from "../../src/frames/frame-joiner.js";
import { FrameSegmenter } from "../../src/frames/frame-segmenter.js";
import { emptyHeader, GsoType, type VirtioNetHeader } from "../../src/virtio-net.js";
import {
  buildFrame,
  buildMessage,
  embed,
  frameParts,
  gsoTypeOf,
  headerOf,
  placesOf,
  referenceSegments,
  type FrameParts,
} from "../support/offload-frames.js";
import { TcpFlag } from "../support/packet.js";

function cut(
  bytes: Uint8Array,
  offset: number,
  length: number,
  header: VirtioNetHeader,
): Uint8Array[] {
  const segmenter = new FrameSegmenter();
  const count = segmenter.begin(bytes, offset, length, header);
  const target = new Uint8Array(segmenter.maxPartBytes + 5);
  const frames: Uint8Array[] = [];
  for (let size = count && segmenter.next(target, 3); size > 0; size = segmenter.next(target, 3)) {
    frames.push(target.slice(3, 3 + size));
  }
  expect(frames).toHaveLength(count);
  return frames;
}

describe("a long frame", () => {
  const segmentBytes = fc.integer({ min: 40, max: 1500 });

  it("of TCP segments or UDP datagrams is cut as if each had been sent alone", () => {
    const property = fc.property(frameParts, segmentBytes, fc.nat(5), (parts, size, before) => {
      const frame = buildFrame(parts, "unfinished");
      const bytes = embed(frame, before, 3);
      const untouched = bytes.slice();
      const frames = cut(bytes, before, frame.length, headerOf(parts, gsoTypeOf(parts), size));
      expect(frames).toEqual(referenceSegments(parts, size));
      expect(bytes).toEqual(untouched);
    });
    fc.assert(property, { numRuns: 300 });
  });

  it("is cut without regard to what its IP header says of its length", () => {
    const property = fc.property(frameParts, segmentBytes, (parts, size) => {
      const frame = buildFrame(parts, "unfinished");
      const view = new DataView(frame.buffer);
      view.setUint16(placesOf(parts).network + (parts.family === 4 ? 2 : 4), 0);
      const frames = cut(frame, 0, frame.length, headerOf(parts, gsoTypeOf(parts), size));
      expect(frames).toEqual(referenceSegments(parts, size));
    });
    fc.assert(property);
  });

  it("of a datagram to be fragmented becomes fragments that make up the datagram", () => {
    const property = fc.property(frameParts, segmentBytes, (any, size) => {
      const parts: FrameParts = { ...any, protocol: "udp" };
      const frame = buildFrame(parts, "unfinished");
      const header = headerOf(parts, GsoType.udpFragments, size);
      const fragments = cut(frame, 0, frame.length, header);
      const message = reassemble(parts, fragments, size & ~7);
      // Behind IPv6's fragment header come the headers that only the destination looks at.
      expect(message.subarray(message.length - buildMessage(parts).length)).toEqual(
        buildMessage(parts),
      );
    });
    fc.assert(property);
  });

  it("that is not what its header says is refused", () => {
    const property = fc.property(frameParts, segmentBytes, (parts, size) => {
      const frame = buildFrame(parts, "unfinished");
      const segmenter = new FrameSegmenter();
      const isRight = (type: number): boolean =>
        type === gsoTypeOf(parts) || (parts.protocol === "udp" && type === GsoType.udpFragments);
      for (const type of [0, 1, 2, 3, 4, 5, 6, 127]) {
        const count = segmenter.begin(frame, 0, frame.length, headerOf(parts, type, size));
        expect(count > 0).toBe(isRight(type));
      }
      const header = headerOf(parts, gsoTypeOf(parts), 0);
      expect(segmenter.begin(frame, 0, frame.length, header)).toBe(0);
    });
    fc.assert(property);
  });

  it("is not written where it does not fit", () => {
    const parts = fc.sample(frameParts, 1)[0]!;
    const frame = buildFrame(parts);
    const segmenter = new FrameSegmenter();
    segmenter.begin(frame, 0, frame.length, headerOf(parts, gsoTypeOf(parts), 1000));
    expect(() => segmenter.next(new Uint8Array(segmenter.maxPartBytes), 1)).toThrow(RangeError);
  });
});

/** Puts fragments together, checking offsets, flags, ids and sizes. */
function reassemble(parts: FrameParts, fragments: Uint8Array[], size: number): Uint8Array {
  const { network, transport } = placesOf(parts);
  if (parts.family === 6 && fragments.length === 1) return fragments[0]!.subarray(network + 40);
  const hopByHop = parts.extensions.map(([type]) => type).lastIndexOf(0);
  const unfragmentable = parts.extensions
    .slice(0, hopByHop + 1)
    .reduce((sum, [, bytes]) => sum + bytes.length, network + 40);
  const pieces = fragments.map((frame, index) => {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const isLast = index === fragments.length - 1;
    const at = parts.family === 4 ? transport : unfragmentable + 8;
    if (parts.family === 4) {
      expect(view.getUint16(network + 2)).toBe(frame.length - network);
      expect(view.getUint16(network + 4)).toBe(parts.id);
      expect(view.getUint16(network + 6)).toBe((index * size) / 8 + (isLast ? 0 : 0x2000));
    } else {
      expect(view.getUint16(network + 4)).toBe(frame.length - network - 40);
      expect(view.getUint16(at - 6)).toBe(index * size + (isLast ? 0 : 1));
      expect(view.getUint32(at - 4)).toBe(new DataView(fragments[0]!.buffer).getUint32(at - 4));
    }
    if (!isLast) expect(frame.length - at).toBe(size);
    return frame.subarray(at);
  });
  return new Uint8Array(Buffer.concat(pieces));
}

/** Joins frames in order; what cannot be joined comes alone. */
function join(frames: readonly Uint8Array[]): { frame: Uint8Array; header: VirtioNetHeader }[] {
  const joiner = new FrameJoiner();
  const target = new Uint8Array(70_000);
  const joined: { frame: Uint8Array; header: VirtioNetHeader }[] = [];
  const finish = (): void => {
    if (joiner.count === 0) return;
    const header = emptyHeader();
    const length = joiner.finish(header);
    joined.push({ frame: target.slice(7, 7 + length), header });
  };
  for (const frame of frames) {
    const bytes = embed(frame, 5, 2);
    if (joiner.append(bytes, 5, frame.length)) continue;
    finish();
    if (joiner.start(target, 7, bytes, 5, frame.length)) continue;
    joined.push({ frame, header: emptyHeader() });
  }
  finish();
  return joined;
}

describe("frames that follow each other", () => {
  const size = fc.integer({ min: 40, max: 1500 });

  it("are joined into what they were cut from", () => {
    const property = fc.property(frameParts, size, (parts, segmentBytes) => {
      const frames = referenceSegments(parts, segmentBytes);
      fc.pre(frames.length > 1 && frames.length <= 64);
      const [joined, ...others] = join(frames);
      expect(others).toEqual([]);
      expect(joined!.frame).toEqual(buildFrame(parts, "unfinished"));
      const ecn = parts.protocol === "tcp" && (parts.flags & 0x80) !== 0 ? 0x80 : 0;
      expect(joined!.header).toEqual(headerOf(parts, gsoTypeOf(parts) | ecn, segmentBytes));
    });
    fc.assert(property);
  });

  it("are the very same again when they are cut, whatever was changed in them", () => {
    const change = fc.record({ frame: fc.nat(), at: fc.nat(), bit: fc.nat(7) });
    const property = fc.property(
      frameParts,
      size,
      fc.array(change, { maxLength: 3 }),
      (parts, segmentBytes, changes) => {
        const frames = referenceSegments(parts, segmentBytes);
        for (const { frame, at, bit } of changes) {
          const bytes = frames[frame % frames.length]!;
          bytes[at % bytes.length]! ^= 1 << bit;
        }
        const again = join(frames).flatMap(({ frame, header }) =>
          header.gsoType === 0 ? [frame] : cut(frame, 0, frame.length, header),
        );
        expect(again).toEqual(frames);
      },
    );
    fc.assert(property, { numRuns: 300 });
  });

  it("stay alone when they carry SYN, RST or URG, or nothing", () => {
    for (const flags of [TcpFlag.syn, TcpFlag.rst | TcpFlag.ack, TcpFlag.urg | TcpFlag.ack, 0]) {
      const parts = { ...fc.sample(frameParts, 1)[0]!, protocol: "tcp" as const, flags };
      expect(join(referenceSegments(parts, 40)).every(({ header }) => !header.gsoType)).toBe(true);
    }
    const empty = { ...fc.sample(frameParts, 1)[0]!, payload: new Uint8Array() };
    const frame = buildFrame(empty);
    expect(join([frame, frame]).map((entry) => entry.frame)).toEqual([frame, frame]);
  });
});
