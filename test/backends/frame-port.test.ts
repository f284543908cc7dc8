/**
 * FramePort (native/frame-port.h) between memory and a descriptor, of which the test has the other end: headers, lengths, batches.
 */
import { readSync, writeSync } from "node:fs";
import { constants } from "node:os";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  loadTapAddon,
  PORT_ANSWERS,
  PortAnswer,
  PortEvent,
  PortStatus,
  TunOffload,
  type FramePort,
  type TapAddon,
} from "../../src/backends/tap-addon.js";
import { ReceiveArea } from "../../src/backends/tap-receive.js";
import { waitUntil } from "../support/wait-until.js";
import { openPacketPairs, type PacketPair } from "../support/packet-pair.js";

/** 65,535 bytes behind an Ethernet header with a VLAN tag. */
const LONGEST = 65_553;
const EVERY_OFFLOAD = Object.values(TunOffload).reduce((all, one) => all | one, 0);
const { EFAULT, EMSGSIZE, EPIPE } = constants.errno;

/** More than there are here: each has a pair of its own. */
const TESTS = 30;

const missing = process.platform === "linux" ? undefined : "the addon is Linux's";

function numbered(length: number, first = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => first + i);
}

/** The fields that the kernel writes; no checksum is left to do, and no segment to cut. */
const PLAIN_HEADER = Uint8Array.of(0, 0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88);
const UNFINISHED_HEADER = Uint8Array.of(1, 0, ...PLAIN_HEADER.subarray(2));
const SEGMENTS_HEADER = Uint8Array.of(0, 1, ...PLAIN_HEADER.subarray(2));

describe.skipIf(missing !== undefined)("a port", () => {
  let addon: TapAddon;
  let port: FramePort;
  let far: number;
  let area: ReceiveArea;
  const answers = new Uint32Array(PORT_ANSWERS);
  const events: [event: number, value: number][] = [];

  let pairs: PacketPair[] = [];

  beforeAll(() => {
    addon = loadTapAddon();
    pairs = openPacketPairs(addon, TESTS);
  });

  afterAll(() => {
    for (const fd of pairs.flat()) addon.closeDescriptor(fd);
  });

  beforeEach(() => {
    area = ReceiveArea.forBatches();
    answers.fill(0);
    events.length = 0;
    const [device, other] = pairs.pop()!;
    far = other;
    const { bytes, offsets, lengths } = area;
    port = new addon.FramePort(device, true, bytes, offsets, lengths, answers, (...event) => {
      events.push(event);
    });
  });

  afterEach(() => {
    port.close(false);
    if (far >= 0) addon.closeDescriptor(far);
  });

  /** What waits, each message with its header. */
  function read(): number[][] {
    const { bytes, offsets, lengths } = area;
    const count = port.readNow(bytes, offsets, lengths);
    return Array.from({ length: count }, (_, i) => [...area.frame(i)]);
  }

  /** The next message at the other end. */
  function readFar(): number[] {
    const buffer = new Uint8Array(LONGEST + 100);
    return [...buffer.subarray(0, readSync(far, buffer))];
  }

  const frame = numbered(60);

  describe("gives a message from a device", () => {
    for (const [order, isBig, buffers] of [
      ["little", false, [1, 0]],
      ["big", true, [0, 1]],
    ] as const) {
      it(`the header's fields as they are, and one buffer in ${order}-endian order`, () => {
        for (const kernelLength of [10, 12, 20]) {
          port.setHeaders(kernelLength, 12, isBig, EVERY_OFFLOAD);
          const rest = new Uint8Array(kernelLength - 10).fill(0xee);
          writeSync(far, Uint8Array.of(...SEGMENTS_HEADER, ...rest, ...frame));
          expect(read(), `${String(kernelLength)} bytes in the kernel`).toEqual([
            [...SEGMENTS_HEADER, ...buffers, ...frame],
          ]);
        }
      });

      it(`without header one of zeros, and one buffer in ${order}-endian order`, () => {
        port.setHeaders(0, 12, isBig, EVERY_OFFLOAD);
        writeSync(far, frame);
        expect(read()).toEqual([[...new Uint8Array(10), ...buffers, ...frame]]);
      });
    }

    it("a header without number of buffers, whatever the order", () => {
      for (const isBig of [false, true]) {
        port.setHeaders(12, 10, isBig, EVERY_OFFLOAD);
        writeSync(far, Uint8Array.of(...UNFINISHED_HEADER, 0xee, 0xee, ...frame));
        expect(read()).toEqual([[...UNFINISHED_HEADER, ...frame]]);
      }
    });

    it("no header only where it says nothing: the others are counted", () => {
      port.setHeaders(10, 0, false, 0);
      for (const header of [UNFINISHED_HEADER, PLAIN_HEADER, SEGMENTS_HEADER]) {
        writeSync(far, Uint8Array.of(...header, ...frame));
      }
      expect(read()).toEqual([[...frame]]);
      expect(answers[PortAnswer.unreadable]).toBe(2);
    });
  });

  it("gives a device the header's fields as they are, and zeros behind them", () => {
    for (const isBig of [false, true]) {
      port.setHeaders(12, 12, isBig, EVERY_OFFLOAD);
      const framed = Uint8Array.of(...SEGMENTS_HEADER, 7, 7, ...frame);
      expect(port.send(framed)).toBe(PortStatus.taken);
      expect(readFar()).toEqual([...SEGMENTS_HEADER, 0, 0, ...frame]);
    }
    port.setHeaders(12, 0, true, 0);
    expect(port.send(frame)).toBe(PortStatus.taken);
    expect(readFar()).toEqual([...new Uint8Array(12), ...frame]);
  });

  it("puts a header together that lies in several pieces", () => {
    port.setHeaders(10, 12, false, EVERY_OFFLOAD);
    const framed = Uint8Array.of(...SEGMENTS_HEADER, 1, 0, ...frame);
    const cuts = [0, 3, 3, 11, 13, 40, framed.length];
    const pieces = cuts.slice(1).map((end, i) => framed.subarray(cuts[i], end));
    expect(port.sendGathered(pieces)).toBe(PortStatus.taken);
    expect(readFar()).toEqual([...SEGMENTS_HEADER, ...frame]);
  });

  it.each([0, 10, 12])("counts messages that are too long, with a header of %s", (header) => {
    port.setHeaders(header, header, false, EVERY_OFFLOAD);
    const longest = numbered(LONGEST + header, 0);
    longest.fill(0, 0, header);
    const longer = Uint8Array.of(...longest, 0xff);
    const longestOfAll = new Uint8Array(100_000);
    for (const message of [longer, longest, longestOfAll]) writeSync(far, message);
    const got = read();
    expect(got.map(({ length }) => length)).toEqual([LONGEST + header]);
    expect(got[0]?.slice(header)).toEqual([...longest.subarray(header)]);
    expect(answers[PortAnswer.unreadable]).toBe(2);
    writeSync(far, longest);
    expect(read()).toHaveLength(1);
  });

  it.each([0, 12])("counts messages that are too short, with a header of %s", (header) => {
    port.setHeaders(header, header, false, EVERY_OFFLOAD);
    for (const length of [1, header + 13, header + 14]) writeSync(far, new Uint8Array(length));
    expect(read().map(({ length }) => length)).toEqual([header + 14]);
    expect(answers[PortAnswer.unreadable]).toBe(2);
  });

  it("drops what is too long to be a frame, and says so", () => {
    port.setHeaders(0, 12, false, EVERY_OFFLOAD);
    expect(port.send(new Uint8Array(LONGEST + 13))).toBe(PortStatus.dropped);
    expect(answers[PortAnswer.errno]).toBe(EMSGSIZE);
    expect(port.send(new Uint8Array(LONGEST + 12))).toBe(PortStatus.taken);
    expect(readFar()).toHaveLength(LONGEST);
  });

  it("drops those of a batch that lie beyond its memory, or are no frames, and sends the others", () => {
    const bytes = numbered(300);
    const offsets = Uint32Array.of(0, 290, 300, 301, 0xffff_ffff, 100);
    const lengths = Uint32Array.of(60, 60, 0, 1, 0xffff_ffff, 60);
    expect(port.sendBatch(bytes, offsets, lengths, 6)).toBe(PortStatus.taken);
    const { consumed, dropped, errno, bytes: taken } = PortAnswer;
    expect([consumed, dropped, taken].map((at) => answers[at])).toEqual([6, 4, 120]);
    expect(answers[errno]).toBe(EFAULT);
    expect([readFar(), readFar()]).toEqual([
      [...bytes.subarray(0, 60)],
      [...bytes.subarray(100, 160)],
    ]);
    for (const count of [7, 2 ** 31, 2 ** 32 - 1]) {
      expect(() => port.sendBatch(bytes, offsets, lengths, count)).toThrow(/their count/);
    }
    const detached = new Uint8Array(60);
    structuredClone(detached, { transfer: [detached.buffer] });
    port.sendBatch(detached, offsets, lengths, 1);
    expect(answers[dropped]).toBe(1);
  });

  it("says where in a batch there was no room, and when there is some", async () => {
    const bytes = new Uint8Array(60_000);
    const count = 50;
    const all = new Uint32Array(count);
    const status = port.sendBatch(bytes, all, all.slice().fill(bytes.length), count);
    expect(status).toBe(PortStatus.mustWait);
    const taken = answers[PortAnswer.consumed]!;
    expect(taken).toBeGreaterThan(0);
    expect(taken).toBeLessThan(count);
    expect(answers[PortAnswer.dropped]).toBe(0);
    expect(events).toEqual([]);
    for (let i = 0; i < taken; i++) expect(readFar()).toHaveLength(bytes.length);
    await waitUntil("there is room", () => events.length > 0);
    expect(events).toEqual([[PortEvent.writable, 0]]);
  });

  it("keeps nothing of its own: nothing is waited for, and nothing is discarded", () => {
    writeSync(far, frame);
    expect(port.send(frame)).toBe(PortStatus.taken);
    expect(port.drain()).toBe(0);
    port.discard();
    expect(read()).toEqual([[...frame]]);
  });

  it("fails where the other end is closed, once", async () => {
    port.setReading(true);
    writeSync(far, frame);
    addon.closeDescriptor(far);
    far = -1;
    await waitUntil("the port has failed", () => events.length >= 2);
    expect(events).toEqual([
      [PortEvent.frames, 1],
      [PortEvent.failed, EPIPE],
    ]);
    expect(port.send(frame)).toBe(PortStatus.dropped);
    expect(answers[PortAnswer.errno]).toBe(EPIPE);
  });

  it.each([
    [9, 0],
    [0, 9],
    [21, 0],
    [0, 21],
    [2 ** 32 - 1, 12],
  ])("refuses headers of %s and %s bytes", (kernel, nic) => {
    expect(() => {
      port.setHeaders(kernel, nic, false, EVERY_OFFLOAD);
    }).toThrow(/0 bytes, or 10 to 20/);
    expect(port.send(frame)).toBe(PortStatus.taken);
    expect(readFar()).toEqual([...frame]);
  });
});
