/**
 * Our standard input and output as the guest's console.
 *
 * With a terminal it is in raw mode: every key goes to the guest, Ctrl-C too, and `Ctrl-] x` leaves. Without one, standard
 * input is typed on the guest's console: control characters are quoted (Ctrl-V), the end is Ctrl-D. That is for text: a
 * terminal holds lines of up to 4095 bytes, and some 60 KiB that the guest's command has not read yet; so it is typed slowly.
 */
import type { ReadStream } from "node:tty";
import type { Guest } from "./guest.js";

const CTRL_D = 0x04;
const CTRL_V = 0x16;
const CTRL_RIGHT_BRACKET = 0x1d;
const LETTER_X = "x".charCodeAt(0);
const NEWLINE = 0x0a;
const DELETE = 0x7f;

/** Told to people before the terminal is theirs no more. */
export const HOW_TO_LEAVE = 'the guest\'s shell; "exit" or Ctrl-] x leaves it';

/** Whether a person sits there. */
export function isInteractive(): boolean {
  return process.stdin.isTTY && process.stdout.isTTY;
}

/** Size of the terminal in characters; the usual one where it does not tell. */
export function terminalSize(): { columns: number; rows: number } {
  return { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24 };
}

/** Finds the keys that leave in what is typed: `Ctrl-] x`. `Ctrl-] Ctrl-]` is one Ctrl-] for the guest. */
export class EscapeKeys {
  #isPending = false;

  /** What of it goes to the guest, and whether to leave. */
  filter(typed: Uint8Array): { forGuest: Uint8Array; leaves: boolean } {
    const forGuest: number[] = [];
    for (const key of typed) {
      if (!this.#isPending && key === CTRL_RIGHT_BRACKET) {
        this.#isPending = true;
        continue;
      }
      if (this.#isPending && key === LETTER_X) {
        return { forGuest: Uint8Array.from(forGuest), leaves: true };
      }
      if (this.#isPending && key !== CTRL_RIGHT_BRACKET) forGuest.push(CTRL_RIGHT_BRACKET);
      this.#isPending = false;
      forGuest.push(key);
    }
    return { forGuest: Uint8Array.from(forGuest), leaves: false };
  }
}

/** Gives the keyboard to the guest until disposed of. `leave` is called for the keys that leave. */
export function typeKeys(guest: Guest, leave: () => void): Disposable {
  const input: ReadStream = process.stdin;
  const keys = new EscapeKeys();
  const onData = (typed: Buffer): void => {
    const { forGuest, leaves } = keys.filter(typed);
    if (forGuest.length > 0) guest.consoleWrite(forGuest);
    if (leaves) leave();
  };
  const onResize = (): void => {
    const { columns, rows } = terminalSize();
    // Only cosmetic: a guest that is too busy to be told goes on with the old size.
    guest.resize(columns, rows).catch(() => undefined);
  };
  input.setRawMode(true);
  input.on("data", onData);
  process.stdout.on("resize", onResize);
  return {
    [Symbol.dispose]() {
      input.off("data", onData);
      process.stdout.off("resize", onResize);
      input.setRawMode(false);
      input.pause();
    },
  };
}

/** So many bytes, so often: what a guest reads in its sleep. */
const PIECE_BYTES = 1024;
const PIECE_INTERVAL_MS = 20;

/** Types what comes on standard input until its end, or until aborted. */
export async function typeInput(guest: Guest, signal: AbortSignal): Promise<void> {
  let last = NEWLINE;
  const abort = (): void => {
    process.stdin.destroy();
  };
  signal.addEventListener("abort", abort, { once: true });
  try {
    for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
      for (let start = 0; start < chunk.length && !signal.aborted; start += PIECE_BYTES) {
        guest.consoleWrite(quoteInput(chunk.subarray(start, start + PIECE_BYTES)));
        await new Promise((resolve) => setTimeout(resolve, PIECE_INTERVAL_MS));
      }
      last = chunk.at(-1) ?? last;
    }
    if (signal.aborted) return;
    // Behind an unfinished line, the first Ctrl-D only sends that.
    guest.consoleWrite(last === NEWLINE ? Uint8Array.of(CTRL_D) : Uint8Array.of(CTRL_D, CTRL_D));
  } catch (error) {
    // Destroyed while it was waited for.
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

/** Control characters as a terminal takes them for data. */
export function quoteInput(bytes: Uint8Array): Uint8Array {
  const typed: number[] = [];
  for (const byte of bytes) {
    if ((byte < 0x20 && byte !== NEWLINE && byte !== 0x09) || byte === DELETE) typed.push(CTRL_V);
    typed.push(byte);
  }
  return Uint8Array.from(typed);
}
