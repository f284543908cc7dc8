/** How many files this process may have open. */
import { readFile } from "node:fs/promises";

export async function openFileLimit(): Promise<{ readonly softLimit: number }> {
  const limits = await readFile("/proc/self/limits", "utf8");
  const softLimit = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return { softLimit: Number(softLimit ?? 1024) };
}
