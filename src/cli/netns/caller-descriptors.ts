/**
 * Descriptors that the caller hands over by number: one to be told when all is ready, one whose closing ends the program.
 *
 * Node has descriptors of its own in the same table, and a number that the caller got wrong must not hit one of them: what the caller
 * handed over is not closed when a program is started, Node's own are (close-on-exec).
 */
import { closeSync, fstatSync, readFileSync, writeSync } from "node:fs";
import { Socket } from "node:net";

/** O_CLOEXEC as /proc prints it, octal. */
const CLOSE_ON_EXEC = 0o2000000;

/** Whether a descriptor is open and was inherited. */
export function isInherited(fd: number): boolean {
  try {
    const text = readFileSync(`/proc/self/fdinfo/${String(fd)}`, "utf8");
    const flags = /^flags:\s+([0-7]+)/m.exec(text)?.[1] ?? "0";
    return (Number.parseInt(flags, 8) & CLOSE_ON_EXEC) === 0;
  } catch {
    return false;
  }
}

/** Writes "1" and closes it. A caller that is not there any more misses nothing. */
export function tellReady(fd: number): void {
  if (!isInherited(fd)) return;
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
  if (!isInherited(fd)) {
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
