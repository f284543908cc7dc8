/**
 * A cable between two backends: all frames come through both ways, in order, also when one side cannot take them for a while; and both
 * agree on what they can do.
 */
import { describe, expect, it, vi } from "vitest";
import type { HeaderLength, NetBackend } from "../../src/backend.js";
import { BackendCable } from "../../src/nics/backend-cable.js";
import { VirtioNetFeature } from "../../src/virtio-net.js";
import { createBackendPair, type PairEnd } from "../support/backend-pair.js";
import { collectIndices, numberedFrame } from "../support/frames.js";
import { waitUntil } from "../support/wait-until.js";

/** Sends frames of these numbers; waits where it must. */
async function sendAll(end: PairEnd, from: number, to: number): Promise<void> {
  for (let index = from; index < to; index++) {
    const frame = numberedFrame(index, { length: 60 + (index % 1400) });
    await waitUntil("there is room", () => end.send(frame) === "taken");
  }
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe("a cable", () => {
  it("carries frames both ways", async () => {
    const [left, right] = [createBackendPair(), createBackendPair()];
    const [atLeft, atRight] = [collectIndices(left.far), collectIndices(right.far)];
    new BackendCable(left.near, right.near);
    await Promise.all([sendAll(left.far, 0, 200), sendAll(right.far, 0, 200)]);
    await waitUntil("all came", () => atLeft.length === 200 && atRight.length === 200);
    expect([atLeft, atRight]).toEqual([numbers(200), numbers(200)]);
  });

  it("loses nothing, and changes no order, when a side must wait", async () => {
    const [left, right] = [createBackendPair(), createBackendPair({ maxFrames: 5 })];
    const atRight = collectIndices(right.far);
    right.far.disableReceive();
    new BackendCable(left.near, right.near);
    const sent = sendAll(left.far, 0, 300);
    // Ten are as many as find room behind the cable.
    await waitUntil("the far side is full", () => right.far.peek() > 0);
    right.far.enableReceive();
    await sent;
    await waitUntil("all came", () => atRight.length === 300);
    expect(atRight).toEqual(numbers(300));
  });

  it("tells of a backend that ended, and tells nothing once it is pulled out", () => {
    const [left, right] = [createBackendPair(), createBackendPair()];
    const onError = vi.fn();
    const cable = new BackendCable(left.near, right.near, { onError });
    const error = new Error("gone");
    right.near.notifyError(error);
    expect(onError).toHaveBeenCalledWith(error);
    cable.close();
    left.near.notifyError(error);
    expect(onError).toHaveBeenCalledTimes(1);
  });

  it("agrees on every kind of long frame that one side gives and the other takes", () => {
    const Feature = VirtioNetFeature;
    const kinds: [gives: bigint, takes: bigint][] = [
      [Feature.guestTso4, Feature.hostTso4],
      [Feature.guestTso6, Feature.hostTso6],
      [Feature.guestEcn, Feature.hostEcn],
      [Feature.guestUfo, Feature.hostUfo],
      [Feature.guestUso4 | Feature.guestUso6, Feature.hostUso],
    ];
    const all = kinds.flat().reduce((features, one) => features | one, 0n);
    for (const [gives, takes] of kinds) {
      const agreed: bigint[] = [];
      const withFeatures = (can: bigint): NetBackend => {
        const { near } = createBackendPair();
        near.capabilities = () => can;
        near.setCapabilities = (features) => void agreed.push(features);
        return near;
      };
      new BackendCable(withFeatures(gives), withFeatures(all));
      new BackendCable(withFeatures(all), withFeatures(gives));
      new BackendCable(withFeatures(gives), withFeatures(all & ~takes));
      expect(agreed).toEqual([gives, takes, takes, gives, 0n, 0n]);
    }
  });

  it("has each side do what the other can take, and no more", () => {
    const { checksum, guestChecksum, hostTso4, guestTso4, hostTso6, guestEcn } = VirtioNetFeature;
    const agreed: [bigint, HeaderLength][] = [];
    const withFeatures = (can: bigint): NetBackend => {
      const { near } = createBackendPair();
      near.capabilities = (length) => (length === 12 ? can : 0n);
      near.setCapabilities = (features, length) => void agreed.push([features, length]);
      return near;
    };
    const device = checksum | guestChecksum | hostTso4 | guestTso4 | guestEcn;
    const stack = checksum | guestChecksum | hostTso4 | hostTso6;
    new BackendCable(withFeatures(device), withFeatures(stack));
    expect(agreed).toEqual([
      [guestChecksum | guestTso4 | checksum, 12],
      [checksum | hostTso4 | guestChecksum, 12],
    ]);
    agreed.length = 0;
    new BackendCable(withFeatures(device), withFeatures(0n));
    expect(agreed).toEqual([
      [0n, 0],
      [0n, 0],
    ]);
  });
});
