/**
 * Contract of NetBackend: features and header lengths.
 */
import { describe, expect } from "vitest";
import { SendStatus, type HeaderLength, type NetBackend } from "../../src/backend.js";
import { ErrorCode, SlirpError } from "../../src/errors.js";
import { HEADER_LENGTHS, prependZeroedHeader } from "../../src/virtio-net.js";
import { batchOf } from "../support/frames.js";
import { eventually, PushedFrames, type ContractTest } from "./harness.js";

/** A feature bit that nothing has: virtio reserves it. */
const NO_SUCH_FEATURE = 1n << 49n;

/** The code of the SlirpError that a call throws; undefined where it throws none. */
function errorCode(call: () => unknown): ErrorCode | undefined {
  try {
    call();
  } catch (error) {
    expect(error).toBeInstanceOf(SlirpError);
    return (error as SlirpError).code;
  }
  return undefined;
}

/** Sets the length, or tells that the backend cannot, in which case its answers must say so consistently. */
function agreeOn(backend: NetBackend, headerLength: HeaderLength): boolean {
  const code = errorCode(() => {
    backend.setCapabilities(0n, headerLength);
  });
  if (code === undefined) return true;
  expect(code).toBe(ErrorCode.unsupportedCapability);
  expect(backend.capabilities(headerLength)).toBe(0n);
  return false;
}

/** Registers the tests. */
export function describeHeaders(test: ContractTest): void {
  describe("capabilities", () => {
    test("header length 0 without features can always be set", ({ backend }) => {
      expect(agreeOn(backend, 0)).toBe(true);
    });

    for (const headerLength of HEADER_LENGTHS) {
      test(`what is offered at header length ${String(headerLength)} can be set`, ({ backend }) => {
        if (!agreeOn(backend, headerLength)) return;
        backend.setCapabilities(backend.capabilities(headerLength), headerLength);
      });
    }

    test("what is not offered is refused and changes nothing", async (harness) => {
      const { backend } = harness;
      const code = errorCode(() => {
        backend.setCapabilities(NO_SUCH_FEATURE, 12);
      });
      expect(code).toBe(ErrorCode.unsupportedCapability);
      const [frame] = await harness.provokeFrames(1, 0);
      expect(backend.peek(), "the header length is still 0").toBe(frame?.length);
      expect(backend.send(harness.frameFromGuest(4))).toBe(SendStatus.taken);
      await eventually(() => {
        expect(harness.arrivedFromGuest()).toEqual([4]);
      });
    });

    test("a header length that does not exist is refused", ({ backend }) => {
      const code = errorCode(() => {
        backend.setCapabilities(0n, 11 as HeaderLength);
      });
      expect(code).toBe(ErrorCode.unsupportedCapability);
    });
  });

  for (const headerLength of [10, 12] as const) {
    describe(`header length ${String(headerLength)}`, () => {
      test("is cut off frames from the guest, however they are sent", async (harness) => {
        const { backend } = harness;
        if (!agreeOn(backend, headerLength)) return;
        const framed = [0, 1, 2].map((index) =>
          prependZeroedHeader(harness.frameFromGuest(index), headerLength),
        ) as [Uint8Array, Uint8Array, Uint8Array];
        expect(backend.send(framed[0])).toBe(SendStatus.taken);
        // Cut within the header, and just behind its end: nothing says that a piece ends where the header does.
        const cuts = [0, 4, headerLength - 1, headerLength + 1, framed[1].length];
        const pieces = cuts.slice(1).map((end, i) => framed[1].subarray(cuts[i], end));
        const before = [...pieces];
        expect(backend.sendGathered(pieces)).toBe(SendStatus.taken);
        expect(pieces, "the caller's own").toEqual(before);
        expect(backend.sendBatch(batchOf([framed[2]])).status).toBe(SendStatus.taken);
        await eventually(() => {
          expect(harness.arrivedFromGuest()).toEqual([0, 1, 2]);
        });
      });

      test("counts towards what makes a frame too short", (harness) => {
        const { backend } = harness;
        if (!agreeOn(backend, headerLength)) return;
        const frame = prependZeroedHeader(harness.frameFromGuest(0), headerLength);
        expect(backend.send(frame.subarray(0, headerLength + 13))).toBe(SendStatus.dropped);
        expect(backend.send(frame.subarray(0, headerLength))).toBe(SendStatus.dropped);
      });

      test("stands zeroed before pushed frames", async (harness) => {
        const { backend } = harness;
        if (!agreeOn(backend, headerLength)) return;
        const pushed = new PushedFrames();
        backend.callbacks = pushed.callbacks;
        backend.enableReceive();
        const frames = await harness.provokeFrames(3, headerLength);
        await eventually(() => {
          expect(pushed.frames).toHaveLength(3);
        });
        expect(pushed.frames).toEqual(
          frames.map((frame) => prependZeroedHeader(frame, headerLength)),
        );
      });

      test("stands before pulled frames and counts in their length", async (harness) => {
        const { backend } = harness;
        if (!agreeOn(backend, headerLength)) return;
        const [frame] = (await harness.provokeFrames(1, headerLength)) as [Uint8Array];
        const expected = prependZeroedHeader(frame, headerLength);
        expect(backend.peek()).toBe(expected.length);
        expect(() => backend.receive(new Uint8Array(frame.length))).toThrow(RangeError);
        const target = new Uint8Array(expected.length);
        expect(backend.receive(target)).toBe(expected.length);
        expect(target).toEqual(expected);
      });
    });
  }
}
