/** What a URL's path says of what its client wants. Pure. */
import type { IncomingMessage } from "node:http";
import { ErrorCode, SlirpError } from "../errors.js";

/** Where a tunnel leads. */
export interface Target {
  readonly host: string;
  readonly port: number;
}

/** What stands before the query. Not by `URL`, which throws at what clients may send. */
export function pathOf({ url = "/" }: IncomingMessage): string {
  return url.split("?", 1)[0] ?? "/";
}

/** `/anything/host:port`, an IPv6 address in brackets. */
export function readTarget(path: string): Target | undefined {
  const last = path
    .slice(path.lastIndexOf("/") + 1)
    .replaceAll("%5B", "[")
    .replaceAll("%5D", "]");
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]%]+):(\d{1,5})$/i.exec(last);
  if (!match) return undefined;
  const [, host = "", port = ""] = match;
  return { host: host.replace(/^\[|\]$/g, ""), port: Number(port) };
}

/** `/l2/ROOM`: letters, digits, and what else a path has unescaped. */
export function readRoom(path: string): string | undefined {
  return /^\/l2\/([\w.~-]{1,64})$/.exec(path)?.[1];
}

/** Paths that have a target of their own. @throws SlirpError `invalidConfiguration`. */
export function readWebsockify(
  targets: Readonly<Record<string, string>> = {},
): Map<string, Target> {
  return new Map(
    Object.entries(targets).map(([path, text]) => {
      const target = readTarget(`/${text}`);
      const isPort = target && target.port >= 1 && target.port <= 65_535;
      if (isPort && path.startsWith("/") && !/[?#\s]/.test(path)) return [path, target];
      const message = `websockify "${path}=${text}": write a path and a target: "/db=127.0.0.1:5432"`;
      throw new SlirpError(ErrorCode.invalidConfiguration, message);
    }),
  );
}
