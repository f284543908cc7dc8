/**
 * Descriptors that the caller hands over by number: one to be told when all is ready, one whose closing ends the program.
 *
 * Node has descriptors of its own in the same table, and a number that the caller got wrong must not hit one of them. (Node marks all as
 * close-on-exec when it starts, those of the caller too, so that this mark tells nothing.) What Node has are things of its event loop, and
 * pipes with both ends here, which the parent does not have; a pipe that leads to the caller is open there too.
 */
import { closeSync, fstatSync, readdirSync, readlinkSync, writeSync } from "node:fs";
import { Socket } from "node:net";
import type { NetnsOptions } from "./netns-options.js";

/** A number that no descriptor has. */
const NOT_OPEN = 999_999_999;

/** Whether a descriptor is open and may be the caller's. */
function isCallers(fd: number): boolean {
  const own = `/proc/self/fd`;
  const target = targetOf(own, fd);
  if (target === undefined || target.startsWith("anon_inode:")) return false;
  if (!target.startsWith("pipe:")) return true;
  return countOpen(own, target) === 1 || countOpen(`/proc/${String(process.ppid)}/fd`, target) > 0;
}

function targetOf(folder: string, fd: number | string): string | undefined {
  try {
    return readlinkSync(`${folder}/${String(fd)}`);
  } catch {
    return undefined;
  }
}

/** How many descriptors of a process lead to that target. Of a process that may not be looked at: one. */
function countOpen(folder: string, target: string): number {
  try {
    return readdirSync(folder).filter((fd) => targetOf(folder, fd) === target).length;
  } catch {
    return 1;
  }
}

/** The two descriptors, where they were named. */
export class CallerDescriptors {
  readonly #ready: number | undefined;
  readonly #exit: number | undefined;

  /** Before anything else is opened, which would get the numbers that are free. What is not open then is not the caller's. */
  constructor({ readyFd, exitFd }: Pick<NetnsOptions, "readyFd" | "exitFd">) {
    this.#ready = readyFd !== undefined && isCallers(readyFd) ? readyFd : undefined;
    this.#exit = exitFd !== undefined && !isCallers(exitFd) ? NOT_OPEN : exitFd;
  }

  /** The same options, for a program that this one becomes: numbers that are not the caller's do not become that by then. */
  checked(options: NetnsOptions): NetnsOptions {
    return { ...options, readyFd: this.#ready, exitFd: this.#exit };
  }

  /** Writes "1" to the one and closes it. A caller that is not there any more misses nothing. */
  tellReady(): void {
    if (this.#ready === undefined) return;
    try {
      writeSync(this.#ready, "1");
    } catch {
      // Nobody reads it.
    }
    // Not what the program itself speaks through.
    if (this.#ready > 2) closeSync(this.#ready);
  }

  /**
   * Calls back when the other side of the pipe or socket is closed, once; what comes through it before is thrown away. A descriptor that
   * is not open counts as closed. One that has no other side, such as a file, never is.
   */
  watchExit(onExit: () => void): void {
    const fd = this.#exit;
    if (fd === undefined) return;
    if (fd === NOT_OPEN) {
      queueMicrotask(onExit);
      return;
    }
    const stat = fstatSync(fd);
    if (!stat.isFIFO() && !stat.isSocket()) return;
    const socket = new Socket({ fd, readable: true, writable: false });
    let hasEnded = false;
    // At once, before anything else can get the number.
    const finish = (): void => {
      socket.destroy();
      if (hasEnded) return;
      hasEnded = true;
      onExit();
    };
    socket.on("error", finish);
    socket.on("end", finish);
    socket.resume();
  }
}
