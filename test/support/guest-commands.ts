/** What scenarios let guests do: commands of busybox, and of OpenBSD's netcat where busybox's falls short. */
import type { CapturedCommand, Guest } from "../../src/cli/guest.js";

/** Longest time for one command; only what hangs takes that long. */
export const COMMAND_TIMEOUT_MS = 150_000;

/** Runs a shell command that may fail. */
export function attempt(guest: Guest, command: string): Promise<CapturedCommand> {
  return guest.capture(command, { timeoutMs: COMMAND_TIMEOUT_MS });
}

/** Runs a shell command that must succeed, and gives what it prints, without blanks at the ends. */
export async function succeed(guest: Guest, command: string): Promise<string> {
  const captured = await attempt(guest, command);
  if (captured.status === 0) return captured.text.trim();
  const status = String(captured.status);
  throw new Error(
    `in the guest, \`${command}\` ended with status ${status}: ${captured.text}${errorText(captured)}`,
  );
}

/** What the command printed as errors. */
export function errorText(captured: CapturedCommand): string {
  return Buffer.from(captured.errorOutput).toString();
}

/** The hash in what sha256sum prints. */
export function hashIn(text: string): string {
  return /\b[0-9a-f]{64}\b/.exec(text)?.[0] ?? `no hash in: ${text}`;
}

/** Writes random bytes into a file of the guest and gives their SHA-256. */
export async function makeRandomFile(guest: Guest, path: string, bytes: number): Promise<string> {
  const command = `head -c ${String(bytes)} /dev/urandom >${path} && sha256sum ${path}`;
  return hashIn(await succeed(guest, command));
}

/** Fetches a URL and gives the SHA-256 of what came. */
export async function fetchedHash(guest: Guest, url: string): Promise<string> {
  return hashIn(await succeed(guest, `set -o pipefail; wget -q -O - '${url}' | sha256sum`));
}
