/**
 * Node's errors as numbers.
 *
 * Node names a failed system call by a string (`error.code`), the stack's C library wants WASI's numbers. Most names are
 * the same on both sides; the table holds those that are not: errors that Node makes itself, and errnos that WASI has but
 * that a guest can only be told as a related one.
 */
import { Errno, type ErrnoName } from "../host-network.js";

const RELATED: ReadonlyMap<string, ErrnoName> = new Map<string, ErrnoName>([
  // Made by Node's streams and sockets, without a system call.
  ["ERR_STREAM_WRITE_AFTER_END", "EPIPE"],
  ["ERR_STREAM_DESTROYED", "EPIPE"],
  ["ERR_STREAM_PREMATURE_CLOSE", "ECONNABORTED"],
  ["ERR_SOCKET_CLOSED", "ENOTCONN"],
  ["ERR_SOCKET_BAD_PORT", "EINVAL"],
  ["ERR_OUT_OF_RANGE", "EINVAL"],
  ["ERR_INVALID_ARG_TYPE", "EINVAL"],
  ["ERR_INVALID_ARG_VALUE", "EINVAL"],
  ["ERR_INVALID_IP_ADDRESS", "EINVAL"],
  ["ERR_MISSING_ARGS", "EINVAL"],
  ["ECANCELED", "ECONNABORTED"],
  // Of the system.
  ["EHOSTDOWN", "EHOSTUNREACH"],
  ["ENONET", "ENETUNREACH"],
  ["ENETRESET", "ECONNRESET"],
  ["ENOTDIR", "ENOENT"],
  ["ENAMETOOLONG", "EINVAL"],
  ["EPROTOTYPE", "EPIPE"], // macOS: written to while the other end is being torn down
  ["ESHUTDOWN", "EPIPE"],
  ["EPROTONOSUPPORT", "EAFNOSUPPORT"],
  ["EOPNOTSUPP", "ENOTSUP"],
]);

/** `error.code` where it is a string, or undefined. */
export function codeOf(error: unknown): string | undefined {
  if (typeof error !== "object" || error === null || !("code" in error)) return undefined;
  return typeof error.code === "string" ? error.code : undefined;
}

/**
 * The {@link Errno} (positive) that says what `error` says; `EIO` for what has no number. It is an error for good: EAGAIN
 * (a unix listener's queue or the table of processes is full), which would make the stack wait, becomes ENOBUFS.
 */
export function errnoOf(error: unknown): number {
  const code = codeOf(error);
  if (code === undefined) return Errno.EIO;
  if (code === "EAGAIN") return Errno.ENOBUFS;
  if (Object.hasOwn(Errno, code)) return Errno[code as ErrnoName];
  return Errno[RELATED.get(code) ?? "EIO"];
}
