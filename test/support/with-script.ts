/** A shell script in a folder of its own, both gone with the test. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Writes it, has it used, and removes it. */
export async function withScript(
  body: string,
  use: (path: string, folder: string) => Promise<void>,
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "script-"));
  const path = join(folder, "script");
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  try {
    await use(path, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
