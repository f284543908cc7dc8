/** What the system said of a device, in words: a SlirpError `deviceFailed` with the system's error as its cause. */
import { getSystemErrorName } from "node:util";
import { ErrorCode, SlirpError } from "../errors.js";

/** What can be done about it. */
const REMEDIES: Readonly<Record<string, string>> = {
  EPERM:
    "it takes CAP_NET_ADMIN in the device's network namespace, or a persistent device whose owner one is",
  EACCES: "the device file is for others; run as root, or have the file's mode changed",
  ENOENT: "the device file is not there; load the kernel's module by `modprobe tun`",
  ENODEV: "the kernel has no TUN driver; load it by `modprobe tun`",
  EBUSY: "another program has it; for several queues, all must ask for them",
  EINVAL:
    "there is a device of that name that is another one: TUN, without or with several queues, or not virtual",
  ENOTTY: "the descriptor is no TUN device",
  EBADF: "the descriptor is not open",
  EBADFD: "the device was deleted, or the descriptor was never attached to one",
};

/** The system's code of an error (`EBUSY`). */
export function codeOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  return typeof code === "string" ? code : "";
}

/** Says what could not be done (`the TAP "tap0" cannot be opened`), why, and what helps: by the system's code where nobody knows better. */
export function deviceError(
  what: string,
  cause: unknown,
  remedy = REMEDIES[codeOf(cause)],
): SlirpError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const text = `${what}: ${reason}${remedy === undefined ? "" : `; ${remedy}`}`;
  return new SlirpError(ErrorCode.deviceFailed, text, { cause });
}

/** Numbers of Linux that Node has no name for. */
const NAMELESS: Readonly<Record<number, string>> = { 77: "EBADFD" };

/** An Error as the system's calls give them, of a number that a callback was given. */
export function errnoError(errno: number, syscall: string): Error {
  const code = errno > 0 ? (NAMELESS[errno] ?? getSystemErrorName(-errno)) : "EIO";
  return Object.assign(new Error(`${code}, ${syscall}`), { code, errno, syscall });
}
