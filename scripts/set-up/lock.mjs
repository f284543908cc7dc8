// Keeps two set-ups of one checkout (an `npm test` beside an `npm start`) from trampling each other: the
// second waits for the first, and then finds nothing to do. The lock is a file with the holder's process
// id; one whose holder has ended (killed, power failure) is taken over.

import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const RETRY_MS = 200;

/** Taking over lasts microseconds: whoever has been at it for this long is no more. */
const TAKE_OVER_MS = 10_000;

/** When the process began, in the kernel's ticks: tells it from a later one with the same id. */
function readStartTime(pid) {
  try {
    // Field 22 of /proc/PID/stat; the name in field 2 may hold spaces and parentheses.
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

function isAlive({ pid, startTime }) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    // EPERM: it lives, and belongs to someone else.
    if (error.code !== "EPERM") return false;
  }
  const now = readStartTime(pid);
  return startTime === undefined || now === undefined || now === startTime;
}

function readHolder(path) {
  try {
    const holder = JSON.parse(readFileSync(path, "utf8"));
    return Number.isInteger(holder.pid) ? holder : undefined;
  } catch {
    return undefined;
  }
}

/** Makes the lock with its content in one go; false when another has it. */
function tryCreate(path) {
  const draft = `${path}.${process.pid}`;
  const holder = { pid: process.pid, startTime: readStartTime(process.pid) };
  writeFileSync(draft, JSON.stringify(holder) + "\n");
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Removes a lock whose holder is dead. Only one process at a time may look and remove, hence the folder. */
function removeStale(path) {
  const guard = `${path}.take-over`;
  try {
    mkdirSync(guard);
  } catch (error) {
    if (error.code !== "EEXIST") throw error;
    const since = statSync(guard, { throwIfNoEntry: false })?.mtimeMs ?? Infinity;
    if (Date.now() - since > TAKE_OVER_MS) rmSync(guard, { recursive: true, force: true });
    return;
  }
  try {
    const holder = readHolder(path);
    if (holder === undefined || !isAlive(holder)) {
      // Renamed first: a name that is gone cannot be confused with a new lock.
      renameSync(path, `${path}.stale`);
      rmSync(`${path}.stale`, { force: true });
    }
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
  } finally {
    rmSync(guard, { recursive: true, force: true });
  }
}

/**
 * Takes the lock, waiting for whoever has it.
 *
 * @param {string} path the lock file
 * @param {(pid: number) => void} onWait called once when another holds it
 * @returns {Promise<() => void>} gives the lock back; may be called more than once
 */
export async function acquireLock(path, onWait) {
  mkdirSync(dirname(path), { recursive: true });
  let hasWaited = false;
  while (!tryCreate(path)) {
    const holder = readHolder(path);
    if (holder === undefined || !isAlive(holder)) {
      removeStale(path);
    } else if (!hasWaited) {
      hasWaited = true;
      onWait(holder.pid);
    }
    await sleep(RETRY_MS);
  }
  return () => {
    if (readHolder(path)?.pid === process.pid) rmSync(path, { force: true });
  };
}
