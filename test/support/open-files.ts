/** What files this process has open, and how many it may. */
import { readdirSync, readlinkSync } from "node:fs";
import { readFile } from "node:fs/promises";

/** What is open now, each by what it is ("/dev/null", "socket:[123]"), sorted. */
export function listOpenFiles(): string[] {
  const names = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return [];
    }
  });
  return names.sort();
}

export async function openFileLimit(): Promise<{ readonly softLimit: number }> {
  const limits = await readFile("/proc/self/limits", "utf8");
  const softLimit = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return { softLimit: Number(softLimit ?? 1024) };
}
