/** Network namespaces, as people name them: as `ip netns` does, by a path, or by a process that is in one. */
import { closeSync, openSync } from "node:fs";
import { isAbsolute } from "node:path";
import { ErrorCode, SlirpError } from "../errors.js";
import { deviceError } from "./tap-errors.js";

/** Where `ip netns add` puts them. */
const NAMED = "/run/netns";

/** The path of the file that stands for a namespace: `pid:4711`, `/run/netns/blue`, `blue`. */
function namespacePath(namespace: string): string {
  const pid = /^pid:(.*)$/.exec(namespace)?.[1];
  if (pid !== undefined) {
    if (/^[1-9]\d{0,9}$/.test(pid)) return `/proc/${pid}/ns/net`;
    throw refusal(namespace, 'write a process id, "pid:4711"');
  }
  if (isAbsolute(namespace)) return namespace;
  if (/^[^/\0]+$/.test(namespace) && namespace !== "." && namespace !== "..") {
    return `${NAMED}/${namespace}`;
  }
  throw refusal(namespace, 'write a name ("blue"), an absolute path, or "pid:4711"');
}

function refusal(namespace: string, remedy: string): SlirpError {
  const text = `${JSON.stringify(namespace)} names no network namespace; ${remedy}`;
  return new SlirpError(ErrorCode.invalidConfiguration, text);
}

/** Does something with a namespace's descriptor, or with -1, which stands for one's own, where none is named. */
export function withNamespace<T>(namespace: string | undefined, use: (fd: number) => T): T {
  if (namespace === undefined) return use(-1);
  const path = namespacePath(namespace);
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (cause) {
    const { message } = cause as Error;
    const text = `the network namespace ${JSON.stringify(namespace)} cannot be opened: ${message}`;
    throw new SlirpError(ErrorCode.deviceFailed, text, { cause });
  }
  try {
    return use(fd);
  } catch (cause) {
    // A file that is no namespace, or one that may not be entered.
    if ((cause as { syscall?: unknown }).syscall !== "setns") throw cause;
    const what = `the network namespace ${JSON.stringify(namespace)} cannot be entered`;
    throw deviceError(what, cause, "name one, and have CAP_SYS_ADMIN in it");
  } finally {
    closeSync(fd);
  }
}
