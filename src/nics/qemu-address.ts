/**
 * Addresses of QEMU's sockets: what is listened on or connected to, and how people and QEMU write it.
 */
import type { Server, Socket } from "node:net";

/** A unix stream socket, or a TCP port. */
export type QemuAddress =
  | { readonly path: string }
  | {
      /** IP address or host name. */
      readonly host: string;
      /** 0 asks for a free one where it is listened on. */
      readonly port: number;
    };

/** `unix:/path`, `tcp:127.0.0.1:1234`, `tcp:[::1]:1234`. */
export function formatQemuAddress(address: QemuAddress): string {
  if ("path" in address) return `unix:${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `tcp:${host}:${String(address.port)}`;
}

/** Where a server listens in truth: the port that it got. */
export function boundAddress(server: Server, asked: QemuAddress): QemuAddress {
  if ("path" in asked) return { path: asked.path };
  const address = server.address();
  if (address === null || typeof address === "string")
    return { host: asked.host, port: asked.port };
  return { host: address.address, port: address.port };
}

/** A dead peer on TCP is noticed after about this long and three probes. */
const KEEP_ALIVE_MS = 10_000;

/** What every socket to a QEMU is set to: frames leave at once, and a peer that vanished is noticed. */
export function tuneSocket(socket: Socket): void {
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
}
