/**
 * Endpoints between our form and Node's: Node takes and gives addresses as text, a zone behind "%".
 */
import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { formatEndpoint, ipEndpoint, type HostEndpoint, type IpEndpoint } from "../address.js";
import { codeOf } from "./errno-of.js";

/**
 * Longest path of a unix socket, bytes: what `sun_path` holds besides its closing zero. libuv cuts a longer one off without a
 * word, which would be another socket.
 */
const MAX_UNIX_PATH_BYTES = process.platform === "linux" ? 107 : 103;

/** The address as Node's calls take it. */
export function hostText(endpoint: IpEndpoint): string {
  return endpoint.zone === undefined ? endpoint.address : `${endpoint.address}%${endpoint.zone}`;
}

/** Makes an endpoint of what Node tells; undefined where it tells nothing (the socket is not connected, or gone). */
export function endpointOf(
  address: string | undefined,
  port: number | undefined,
): IpEndpoint | undefined {
  if (address === undefined || address === "" || port === undefined) return undefined;
  return ipEndpoint(address, port);
}

/** Whether the system can have a unix socket of this name. */
export function isUsablePath(path: string): boolean {
  const length = Buffer.byteLength(path);
  return length > 0 && length <= MAX_UNIX_PATH_BYTES && !path.includes("\0");
}

/** An error with a system's `code`, for promises that reject. */
export function systemError(code: string, message: string, cause?: unknown): Error {
  return Object.assign(new Error(message, cause === undefined ? {} : { cause }), { code });
}

/**
 * The rejection for an address that could not be bound: what was wanted, what the system said, what would help. `protocol`:
 * "tcp" or "udp", where `wanted` is an IP endpoint.
 */
export function bindError(wanted: HostEndpoint, protocol: string, error: unknown): Error {
  const code = bindCode(wanted, error);
  const what = wanted.family === "unix" ? "" : `${protocol} `;
  const message = `cannot bind ${what}${formatEndpoint(wanted)}: ${explainBind(wanted, code)}`;
  return systemError(code, `${message} (${code})`, error);
}

/** libuv says EACCES where the folder of a unix socket does not exist, as Windows does; the system said ENOENT. */
function bindCode(wanted: HostEndpoint, error: unknown): string {
  const code = codeOf(error) ?? "EIO";
  const noFolder = wanted.family === "unix" && !existsSync(dirname(wanted.path));
  return code === "EACCES" && noFolder ? "ENOENT" : code;
}

function explainBind(wanted: HostEndpoint, code: string): string {
  const isPath = wanted.family === "unix";
  switch (code) {
    case "EADDRINUSE":
      return isPath
        ? "something listens there; choose another path"
        : "something else has the address; end it, or choose another port";
    case "EADDRNOTAVAIL":
      return "no interface of this machine has the address";
    case "EACCES":
      return isPath
        ? "the folder may not be written to"
        : "not allowed; ports below 1024 may need privileges";
    case "ENOENT":
      return "the folder does not exist";
    case "EMFILE":
      return "this process has no file descriptor left";
    default:
      return "the system refused";
  }
}
