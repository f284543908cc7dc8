/**
 * The module's calls about files (wasm/host.h): what TFTP serves.
 */
import { Errno } from "../host-network.js";
import type { HostCallContext } from "./host-call-context.js";
import type { HostCalls } from "./module-instance.js";

/** TFTP's tsize option and C's int are no wider. */
const MAX_FILE_SIZE_ANSWER = 0x7fffffff;

/** See the top of the file. */
export function fileCalls({ instance, table }: HostCallContext): HostCalls {
  return {
    host_open_file: (descriptor: number, path: number, length: number) => {
      const file = table.network.openFile?.(instance.textAt(path, length)) ?? -Errno.ENOENT;
      if (typeof file === "number") return file;
      table.put(descriptor, { kind: "file", socket: file });
      return Math.min(file.sizeBytes, MAX_FILE_SIZE_ANSWER);
    },
    host_read_file: (descriptor: number, target: number, length: number, position: number) => {
      const entry = table.get(descriptor);
      return entry?.kind === "file"
        ? entry.socket.read(instance.bytesAt(target, length), position)
        : -Errno.EBADF;
    },
  };
}
