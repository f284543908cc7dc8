/**
 * What NIC and stack have agreed on, by a number that both ends of the port count alike. Frames that were made under another number are not
 * what the NIC takes now: their header has another length, or may say more.
 */
import type { HeaderLength } from "../backend.js";

/** See the top of the file. */
export class Agreement {
  number = 0;
  #features = 0n;
  #headerLength: HeaderLength = 0;

  /** They have agreed on something else. */
  change(features: bigint, headerLength: HeaderLength): void {
    const isLess = (this.#features & ~features) !== 0n;
    if (isLess || headerLength !== this.#headerLength) this.number++;
    this.#features = features;
    this.#headerLength = headerLength;
  }
}
