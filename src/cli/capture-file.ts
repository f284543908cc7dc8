/**
 * `--capture FILE`: all that guests send and get, as pcapng, each backend an interface of its own.
 *
 * What a turn brings is gathered and written at once, and not waited for: a disk that is full ends the capture, with a word in the log,
 * and never the guest's network.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import type { NetBackend } from "../backend.js";
import { withCapture, type CapturingBackend } from "../backends/capture.js";
import { PcapngWriter, type CaptureSink } from "../backends/pcapng-writer.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { CliLog } from "./logging.js";

const GATHER_BYTES = 256 * 1024;

/** See the top of the file. */
export class CaptureFile implements CaptureSink, Disposable {
  readonly #path: string;
  readonly #log: CliLog;
  readonly #gathered = new Uint8Array(GATHER_BYTES);
  readonly #writer: PcapngWriter;
  #length = 0;
  /** Undefined once nothing is written any more. */
  #file: number | undefined;
  #backends = 0;

  /** Makes the file anew. @throws SlirpError `invalidConfiguration` where it cannot be written. */
  constructor(path: string, log: CliLog) {
    this.#path = path;
    this.#log = log;
    try {
      this.#file = openSync(path, "w");
    } catch (cause) {
      const text = `--capture ${path}: the file cannot be written`;
      throw new SlirpError(ErrorCode.invalidConfiguration, text, { cause });
    }
    this.#writer = new PcapngWriter(this);
  }

  /** The backend with the capture around it: to be used, and closed, in its place. */
  around<Inner extends NetBackend>(backend: Inner): CapturingBackend<Inner> {
    this.#backends++;
    const interfaceName = `guest ${String(this.#backends)}`;
    return withCapture(backend, this.#writer, { interfaceName });
  }

  writeHeader(block: Uint8Array): void {
    this.#gather(block);
  }

  writeFrame(block: Uint8Array): void {
    this.#gather(block);
  }

  [Symbol.dispose](): void {
    this.#flush();
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #gather(block: Uint8Array): void {
    if (this.#length + block.length > GATHER_BYTES) this.#flush();
    if (this.#length === 0) {
      setImmediate(() => {
        this.#flush();
      });
    }
    // No block is longer: a frame has at most 64 KiB.
    this.#gathered.set(block, this.#length);
    this.#length += block.length;
  }

  #flush(): void {
    const { length } = this.#gathered.subarray(0, this.#length);
    this.#length = 0;
    try {
      for (let at = 0; at < length && this.#file !== undefined;) {
        at += writeSync(this.#file, this.#gathered, at, length - at);
      }
    } catch (error) {
      this.#log.warn({ err: error }, `the capture ${this.#path} ends here: it cannot be written`);
      if (this.#file !== undefined) closeSync(this.#file);
      this.#file = undefined;
    }
  }
}

/** The file that was asked for, if one was. */
export function openCapture(path: string | undefined, log: CliLog): CaptureFile | undefined {
  return path === undefined ? undefined : new CaptureFile(path, log);
}
