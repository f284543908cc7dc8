/**
 * Endpoints between our form and Node's: Node takes and gives addresses as text, a zone behind "%".
 */
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

/** The rejection for an address that could not be bound: what was wanted, what the system said, what would help. */
export function bindError(wanted: HostEndpoint, protocol: string, error: unknown): Error {
  const code = codeOf(error) ?? "EIO";
  const what = `cannot bind ${protocol} ${formatEndpoint(wanted)}: `;
  return systemError(code, what + explainBind(wanted, code), error);
}

function explainBind(wanted: HostEndpoint, code: string): string {
  if (code === "EADDRINUSE") {
    return wanted.family === "unix"
      ? "the path is in use (EADDRINUSE): choose another"
      : "the address is in use (EADDRINUSE): end what listens there, or choose another port";
  }
  if (code === "EADDRNOTAVAIL") return "no interface has this address (EADDRNOTAVAIL)";
  if (code === "EACCES" && wanted.family !== "unix") {
    return "not allowed (EACCES): ports below 1024 may need privileges";
  }
  if (code === "EACCES") return "the folder may not be written to (EACCES)";
  if (code === "ENOENT") return "the folder does not exist (ENOENT)";
  if (code === "EMFILE") return "this process has no file descriptor left (EMFILE)";
  return code;
}
