/**
 * Descriptors that the caller hands over by number: one to be told when all is ready, one whose closing ends the program.
 *
 * Node has descriptors of its own in the same table, and a number that the caller got wrong must not hit one of them. (It marks all as
 * close-on-exec when it starts, those of the caller too, so that this mark tells nothing.)
 */
import { closeSync, fstatSync, readdirSync, readFileSync, readlinkSync, writeSync } from "node:fs";
import { Socket } from "node:net";

/** O_NONBLOCK as /proc prints it. */
const NON_BLOCKING = 0o4000;

/** Whether a descriptor is open and may be the caller's. */
export function isCallers(fd: number): boolean {
  const what = targetOf(fd);
  // Node's event loop and what wakes it.
  if (what === undefined || what.startsWith("anon_inode:")) return false;
  return !(what.startsWith("pipe:") && isSignalPipe(fd, what));
}

/** Signals reach the event loop through a pipe, both ends of which are here and non-blocking. */
function isSignalPipe(fd: number, what: string): boolean {
  if (!isNonBlocking(fd)) return false;
  return readdirSync("/proc/self/fd")
    .map(Number)
    .some((other) => other !== fd && targetOf(other) === what && isNonBlocking(other));
}

function targetOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${String(fd)}`);
  } catch {
    return undefined;
  }
}

function isNonBlocking(fd: number): boolean {
  const text = readFileSync(`/proc/self/fdinfo/${String(fd)}`, "utf8");
  const flags = /^flags:\s+([0-7]+)/m.exec(text)?.[1] ?? "0";
  return (Number.parseInt(flags, 8) & NON_BLOCKING) !== 0;
}

/** Writes "1" and closes it. A caller that is not there any more misses nothing. */
export function tellReady(fd: number): void {
  if (!isCallers(fd)) return;
  try {
    writeSync(fd, "1");
  } catch {
    // Nobody reads it.
  }
  // Not what the program itself speaks through.
  if (fd > 2) closeSync(fd);
}

/**
 * Calls back when the other side of a pipe or socket is closed, once; what comes through it before is thrown away. A descriptor that is
 * not open counts as closed. One that has no other side, such as a file, never is.
 */
export function watchExit(fd: number, onExit: () => void): void {
  if (!isCallers(fd)) {
    queueMicrotask(onExit);
    return;
  }
  const stat = fstatSync(fd);
  if (!stat.isFIFO() && !stat.isSocket()) return;
  const socket = new Socket({ fd, readable: true, writable: false });
  socket.on("error", () => socket.destroy());
  socket.on("end", () => socket.destroy());
  socket.once("close", onExit);
  socket.resume();
}
