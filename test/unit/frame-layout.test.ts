/** IPv6 extension headers that say more than options do: fragment, routing and authentication headers, each built by its RFC. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finishChecksum, locateChecksum } from "../../src/frames/frame-checksum.js";
import { FrameJoiner } from "../../src/frames/frame-joiner.js";
import { FrameLayout, IpProtocol } from "../../src/frames/frame-layout.js";
import { FrameSegmenter } from "../../src/frames/frame-segmenter.js";
import { emptyHeader, GsoType } from "../../src/virtio-net.js";
import {
  buildFrame,
  embed,
  frameParts,
  gsoTypeOf,
  headerOf,
  placesOf,
  type FrameParts,
} from "../support/offload-frames.js";

type Extension = FrameParts["extensions"][number];

/** RFC 8200 4.5: what follows, reserved, offset in units of 8 and "more", identification. */
function fragmentHeader(offset: number, more: boolean): Extension {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint16(2, (offset << 3) | Number(more));
  view.setUint32(4, 0x1234_5678);
  return [IpProtocol.fragment, bytes];
}

/** RFC 8200 4.4: length in units of 8 without the first, type, segments left; here with one address. */
function routingHeader(segmentsLeft: number): Extension {
  const bytes = new Uint8Array(24).fill(0xfd, 8);
  bytes.set([0, 2, 4, segmentsLeft]);
  return [IpProtocol.routing, bytes];
}

/** RFC 4302 2: length in units of 4 minus 2; check values of 12 bytes, as they often have. */
const authenticationHeader: Extension = [
  IpProtocol.authentication,
  Uint8Array.of(0, 4, 0, 0, ...new Array<number>(20).fill(0x5a)),
];

/** Options, all padding (RFC 8200 4.2). */
const destinationOptions: Extension = [
  IpProtocol.destination,
  Uint8Array.of(0, 0, 1, 4, 0, 0, 0, 0),
];

/** Frames with these headers, one behind the other, of everything that can be cut else. */
function framesWith(...extensions: readonly Extension[]): fc.Arbitrary<FrameParts> {
  return frameParts.map((parts) => ({ ...parts, family: 6, extensions }));
}

function layoutOf(parts: FrameParts, before = 3): FrameLayout {
  const frame = buildFrame(parts);
  const layout = new FrameLayout();
  expect(layout.read(embed(frame, before, 9), before, frame.length)).toBe(true);
  return layout;
}

/** Whether the checksum is finished as if no such header were there, found and told. */
function expectFinished(parts: FrameParts): void {
  const frame = buildFrame(parts, "unfinished");
  const found = emptyHeader();
  expect(locateChecksum(frame, 0, frame.length, found)).toBe(true);
  const { checksumStart, checksumOffset } = headerOf(parts, GsoType.none, 0);
  expect([found.checksumStart, found.checksumOffset]).toEqual([checksumStart, checksumOffset]);
  expect(finishChecksum(frame, 0, frame.length, found)).toBe(true);
  const expected = buildFrame(parts);
  const at = checksumStart + checksumOffset;
  // 0 and ffff are the same sum.
  if (expected[at] === 0 && expected[at + 1] === 0) expected.fill(0xff, at, at + 2);
  expect(frame).toEqual(expected);
}

describe("an IPv6 fragment header", () => {
  for (const [what, offset, more] of [
    ["first", 0, true],
    ["middle", 100, true],
    ["last", 100, false],
  ] as const) {
    it(`of a ${what} fragment leaves the checksum alone, and the frame is neither cut nor joined`, () => {
      const fragment = fragmentHeader(offset, more);
      const anywhere = fc.oneof(
        framesWith(fragment),
        framesWith(destinationOptions, fragment),
        framesWith(routingHeader(0), fragment, destinationOptions),
      );
      const property = fc.property(anywhere, (parts) => {
        expect(layoutOf(parts).isFragment).toBe(true);
        const frame = buildFrame(parts, "unfinished");
        const before = frame.slice();
        expect(locateChecksum(frame, 0, frame.length, emptyHeader())).toBe(false);
        const header = headerOf(parts, GsoType.none, 0);
        expect(finishChecksum(frame, 0, frame.length, header)).toBe(true);
        expect(header.flags).toBe(0);
        expect(frame).toEqual(before);
        const long = headerOf(parts, gsoTypeOf(parts), 100);
        expect(new FrameSegmenter().begin(frame, 0, frame.length, long)).toBe(0);
        const whole = buildFrame(parts);
        const target = new Uint8Array(whole.length);
        expect(new FrameJoiner().start(target, 0, whole, 0, whole.length)).toBe(false);
      });
      fc.assert(property);
    });
  }

  it("of a packet that is whole (RFC 6946) is looked through", () => {
    const property = fc.property(framesWith(fragmentHeader(0, false)), (parts) => {
      const layout = layoutOf(parts);
      expect(layout.isFragment).toBe(false);
      expect(layout.protocol).toBe(IpProtocol[parts.protocol]);
      expectFinished(parts);
    });
    fc.assert(property);
  });

  it("of a later fragment is the last header: what follows is payload, whatever it looks like", () => {
    const parts = fc.sample(framesWith(fragmentHeader(5, true), routingHeader(1)), 1)[0]!;
    const layout = layoutOf(parts, 0);
    const { network } = placesOf(parts);
    expect(layout.transportOffset).toBe(network + 40 + 8);
    expect(layout.isRouted).toBe(false);
  });
});

describe("an IPv6 routing header", () => {
  it("that has no more to visit is looked through", () => {
    const property = fc.property(framesWith(routingHeader(0)), (parts) => {
      const layout = layoutOf(parts, 0);
      expect([layout.isRouted, layout.transportOffset]).toEqual([false, placesOf(parts).transport]);
      expectFinished(parts);
    });
    fc.assert(property);
  });

  it("that has more to visit keeps a frame from being cut or joined: its pseudo header has another destination", () => {
    const property = fc.property(framesWith(routingHeader(1)), (parts) => {
      expect(layoutOf(parts).isRouted).toBe(true);
      const frame = buildFrame(parts, "unfinished");
      const header = headerOf(parts, gsoTypeOf(parts), 100);
      expect(new FrameSegmenter().begin(frame, 0, frame.length, header)).toBe(0);
      const whole = buildFrame(parts);
      const target = new Uint8Array(whole.length);
      expect(new FrameJoiner().start(target, 0, whole, 0, whole.length)).toBe(false);
      // Who left it unfinished has put the right pseudo header's sum there.
      expectFinished(parts);
    });
    fc.assert(property);
  });
});

describe("an authentication header", () => {
  it("is measured in units of its own, and looked through", () => {
    const anywhere = fc.oneof(
      framesWith(authenticationHeader),
      framesWith(routingHeader(0), authenticationHeader, destinationOptions),
    );
    const property = fc.property(anywhere, (parts) => {
      const layout = layoutOf(parts, 0);
      expect(layout.transportOffset).toBe(placesOf(parts).transport);
      expect(layout.protocol).toBe(IpProtocol[parts.protocol]);
      expectFinished(parts);
    });
    fc.assert(property);
  });
});

describe("an extension header that does not end within its packet", () => {
  it("makes the frame one whose headers nobody knows, wherever it is cut off", () => {
    const headers = [
      fragmentHeader(0, false),
      routingHeader(0),
      authenticationHeader,
      destinationOptions,
    ];
    for (const header of headers) {
      const parts = fc.sample(framesWith(header), 1)[0]!;
      const { network } = placesOf(parts);
      const frame = buildFrame(parts);
      const start = network + 40;
      for (let end = start; end < start + header[1].length; end++) {
        expect(new FrameLayout().read(frame.subarray(0, end), 0, end)).toBe(false);
        // The same where the IP header says that the packet ends there: the rest is padding.
        const padded = frame.slice();
        new DataView(padded.buffer).setUint16(network + 4, end - start);
        const isWhole = end === start; // 0: a length that is not known
        expect(new FrameLayout().read(padded, 0, padded.length)).toBe(isWhole);
      }
    }
  });
});
