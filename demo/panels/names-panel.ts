/** The names that the guest looked up, newest first. */
import type { DnsQueryReport } from "slirp-wasm/browser";
import { fillTable } from "../dom.js";

/** More than anybody reads. */
const MOST_NAMES = 100;

/** See the top of the file. */
export class NamesPanel {
  readonly #rows: string[][] = [];

  constructor() {
    this.#draw();
  }

  /** Adds a question and what came of it. */
  show({ name, type, answers, error, via, durationMs }: DnsQueryReport): void {
    const answer = error ?? (answers.join(", ") || "no such record");
    const source = via === "page" ? "the page" : `${via}, ${durationMs.toFixed(0)} ms`;
    this.#rows.unshift([name, type, answer, source]);
    this.#rows.length = Math.min(this.#rows.length, MOST_NAMES);
    this.#draw();
  }

  #draw(): void {
    fillTable("names", 4, this.#rows);
  }
}
