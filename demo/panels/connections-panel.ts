/** The stack's connections, out of libslirp's own table. */
import type { SlirpBackend } from "slirp-wasm/browser";
import { fillTable, formatBytes } from "../dom.js";

/** `  TCP[ESTABLISHED]   24   10.0.2.15 41010   127.0.0.1 8000   0   0` */
const LINE = /^\s*(\w+)\[(\w+)\]\s+-?\d+\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\d+)\s+(\d+)/;

/** Draws the table anew. */
export async function showConnections(slirp: SlirpBackend): Promise<void> {
  const rows = (await slirp.connectionInfo()).split("\n").flatMap((line) => {
    const match = LINE.exec(line);
    if (!match) return [];
    const [, protocol, state, guest, guestPort, to, toPort, received, sent] = match;
    const queued = Number(received) + Number(sent);
    return [
      [
        `${String(protocol)} ${String(state)}`,
        `${String(guest)}:${String(guestPort)}`,
        `${String(to)}:${String(toPort)}`,
        formatBytes(queued),
      ],
    ];
  });
  fillTable("connections", 4, rows);
}
