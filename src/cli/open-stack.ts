/** A stack on Node's sockets for a command, which tells in the log what libslirp has to say. */
import { createSlirp } from "../node.js";
import type { SlirpOptions } from "../slirp-options.js";
import type { Slirp } from "../slirp/slirp.js";
import type { CliLog } from "./logging.js";

/** Makes it. @throws what `createSlirp` throws */
export function openStack(slirp: SlirpOptions, log: CliLog): Promise<Slirp> {
  return createSlirp({
    slirp,
    onLog: (level, text) => {
      log.debug({ level }, `libslirp: ${text}`);
    },
  });
}
