/** Files for TFTP: opened read-only, read where asked. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { Errno, type HostFile } from "../host-network.js";
import { errnoOf } from "./errno-of.js";

/** Opens a regular file; a negative errno where that cannot be (`-EACCES` for what is no file). */
export function openNodeFile(path: string): HostFile | number {
  try {
    // Non-blocking: opening a named pipe must not wait for its writer.
    const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const status = fstatSync(fd);
    if (status.isFile()) return new NodeFile(fd, status.size);
    closeSync(fd);
    return -Errno.EACCES;
  } catch (error) {
    return -errnoOf(error);
  }
}

class NodeFile implements HostFile {
  #fd: number;
  readonly sizeBytes: number;

  constructor(fd: number, sizeBytes: number) {
    this.#fd = fd;
    this.sizeBytes = sizeBytes;
  }

  read(target: Uint8Array, position: number): number {
    if (this.#fd < 0) return -Errno.EBADF;
    try {
      return readSync(this.#fd, target, 0, target.length, position);
    } catch (error) {
      return -errnoOf(error);
    }
  }

  close(): void {
    if (this.#fd < 0) return;
    closeSync(this.#fd);
    this.#fd = -1;
  }
}
