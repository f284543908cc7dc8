/** The stack's connections: what there is now, those with most to tell first. */
import type { ConnectionDescription, SlirpBackend } from "slirp-wasm/browser";
import { fillTable, formatBytes } from "../dom.js";

/** Connections in TIME-WAIT are over: they stand below the others. */
function isOver({ state }: ConnectionDescription): boolean {
  return state === "TIME-WAIT" || state === "CLOSED";
}

/** Draws the table anew. */
export async function showConnections(slirp: SlirpBackend): Promise<void> {
  const connections = await slirp.connections();
  connections.sort((a, b) => Number(isOver(a)) - Number(isOver(b)));
  const rows = connections.map((each) => [
    `${each.protocol.toUpperCase()} ${each.state ?? ""}`,
    each.guest,
    `${each.openedBy === "guest" ? "→" : "←"} ${each.remote}`,
    formatBytes(each.bytesToGuest),
    formatBytes(each.bytesFromGuest),
  ]);
  fillTable("connections", 5, rows);
}
