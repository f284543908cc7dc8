/**
 * What the contract suite of NetBackend needs to know about an implementation, and what its parts share.
 */
import { vi } from "vitest";
import type { FrameBatch, HeaderLength, NetBackend } from "../../src/backend.js";
import { framesOf } from "../support/frames.js";

/** A backend that was just opened, with its network under the test's control. One for each test. */
export interface BackendHarness {
  readonly backend: NetBackend;
  /** A frame without header that the guest may send; different for each index from 0 to 9999. 60 to 1514 bytes. */
  frameFromGuest(index: number): Uint8Array;
  /** Indices of the guest's frames that have come out on the network's side so far, in order. */
  arrivedFromGuest(): readonly number[];
  /**
   * Makes `count` (1 to 100) frames come towards the guest, and answers what they must be there: without header, in order,
   * all different (different from earlier ones too). Resolves when the backend has them, whether it pushes them or not.
   * May itself send frames as the guest, with a header of the given length.
   */
  provokeFrames(count: number, headerLength: HeaderLength): Promise<readonly Uint8Array[]>;
  /** True where `send` never answers mustWait, because the system behind it drops instead. */
  readonly neverWaits?: true;
  /** True where provoking frames sends frames as the guest: they are among the counters then. */
  readonly provokingSends?: true;
  /** Frees what the harness itself made. The backend may be closed already. */
  close(): Promise<void>;
}

/** Makes a harness with a fresh backend. */
export type BackendHarnessFactory = () => BackendHarness | Promise<BackendHarness>;

/** Registers a test that is given a fresh harness, which is closed after it. */
export type ContractTest = (
  name: string,
  run: (harness: BackendHarness) => void | Promise<void>,
) => void;

/** Frames that a backend pushed, copied as they came, and how often. */
export class PushedFrames {
  readonly frames: Uint8Array[] = [];
  batches = 0;
  /** Done with each batch, before it is copied. */
  onBatch: ((batch: FrameBatch) => void) | undefined;

  readonly callbacks = {
    onFrames: (batch: FrameBatch): void => {
      this.batches++;
      this.onBatch?.(batch);
      this.frames.push(...framesOf(batch));
    },
  };
}

/** Waits until the check passes. Generous, because machines are slow at times. */
export async function eventually(check: () => void): Promise<void> {
  await vi.waitFor(check, { timeout: 15_000, interval: 2 });
}

/** Long enough for everything that is queued (microtasks, turns, deliveries) to have happened. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 40));
}

/** Frames `from` to `to` (excluded) of the guest. */
export function guestFrames(harness: BackendHarness, from: number, to: number): Uint8Array[] {
  return Array.from({ length: to - from }, (_, i) => harness.frameFromGuest(from + i));
}

/** `from`, `from + 1`, … up to `to` (excluded). */
export function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i);
}
