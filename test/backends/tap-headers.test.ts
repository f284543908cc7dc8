/**
 * Headers that the kernel refuses: a NIC may write what it likes, and it costs it that frame.
 */
import { expect } from "vitest";
import { SendStatus } from "../../src/backend.js";
import { describeTap, type TapWorld } from "../support/describe-tap.js";
import { numberedFrame } from "../support/frames.js";

interface HeaderFields {
  readonly flags?: number;
  readonly gsoType?: number;
  readonly headerLength?: number;
  readonly gsoSize?: number;
  readonly checksumStart?: number;
  readonly checksumOffset?: number;
}

const FRAME_BYTES = 200;

/** A frame behind a header of 12 bytes with these fields. */
function framed(index: number, fields: HeaderFields = {}): Uint8Array {
  const bytes = new Uint8Array(12 + FRAME_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint8(0, fields.flags ?? 0);
  view.setUint8(1, fields.gsoType ?? 0);
  view.setUint16(2, fields.headerLength ?? 0, true);
  view.setUint16(4, fields.gsoSize ?? 0, true);
  view.setUint16(6, fields.checksumStart ?? 0, true);
  view.setUint16(8, fields.checksumOffset ?? 0, true);
  bytes.set(numberedFrame(index, { length: FRAME_BYTES }), 12);
  return bytes;
}

const BAD: Readonly<Record<string, HeaderFields>> = {
  "a checksum that begins beyond the frame": { flags: 1, checksumStart: 60_000 },
  "a checksum that lies beyond the frame": { flags: 1, checksumStart: 34, checksumOffset: 60_000 },
  "a checksum whose places overflow": { flags: 1, checksumStart: 65_535, checksumOffset: 65_535 },
  "headers that are longer than the frame": { headerLength: 2 * FRAME_BYTES },
  "segments of a kind that is none": { gsoType: 9, gsoSize: 100 },
  "segments without length": { flags: 1, gsoType: 1, checksumStart: 34, checksumOffset: 16 },
};

/** Frames that the interface has had from its descriptor. */
async function countTaken(world: TapWorld): Promise<number> {
  const text = await world.namespace.run("ip", "-j", "-s", "link", "show", "tap0");
  return (JSON.parse(text) as [{ stats64: { rx: { packets: number } } }])[0].stats64.rx.packets;
}

describeTap("a header that cannot be", (test) => {
  test("has its frame dropped and counted, whatever is wrong, and the device goes on", async (world) => {
    const tap = await world.openUp("tap0");
    const errors: Error[] = [];
    tap.callbacks = { onFrames: () => undefined, onError: (error) => errors.push(error) };
    tap.setCapabilities(tap.capabilities(12), 12);
    let sent = 0;
    for (const [what, fields] of Object.entries(BAD)) {
      const bad = framed(1, fields);
      expect(tap.send(bad), what).toBe(SendStatus.dropped);
      expect(tap.sendGathered([bad.subarray(0, 5), bad.subarray(5)]), what).toBe(
        SendStatus.dropped,
      );
      expect(tap.send(framed(++sent)), `after ${what}`).toBe(SendStatus.taken);
    }
    const dropped = 2 * Object.keys(BAD).length;
    expect(tap.statistics()).toMatchObject({ framesFromGuest: sent, droppedFromGuest: dropped });
    expect(await countTaken(world)).toBe(sent);
    expect(errors).toEqual([]);
  });

  test("takes no other frame of its batch along", async (world) => {
    const tap = await world.openUp("tap0");
    tap.setCapabilities(tap.capabilities(12), 12);
    const all = Object.values(BAD).flatMap((fields, i) => [framed(i), framed(i, fields)]);
    const frames = [...all, framed(99)];
    const bytes = new Uint8Array(frames.length * framed(0).length);
    const offsets = Uint32Array.from(frames, (frame, i) => i * frame.length);
    const lengths = Uint32Array.from(frames, ({ length }) => length);
    for (const [i, frame] of frames.entries()) bytes.set(frame, offsets[i]);
    const bad = Object.keys(BAD).length;
    const result = tap.sendBatch({ bytes, offsets, lengths, count: frames.length });
    expect(result).toEqual({ status: SendStatus.dropped, consumed: frames.length, dropped: bad });
    expect(await countTaken(world)).toBe(bad + 1);
    const bytesFromGuest = (bad + 1) * FRAME_BYTES;
    expect(tap.statistics()).toMatchObject({ bytesFromGuest, droppedFromGuest: bad });
  });
});
