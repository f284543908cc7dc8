/** Who may use a relay at all, as an HTTP request tells it: the page that it comes from, and the token in its path. */
import type { IncomingMessage } from "node:http";
import { ErrorCode, SlirpError } from "../errors.js";
import { isEqual } from "./credentials.js";
import { pathOf } from "./relay-paths.js";

/** Who may. */
export interface AccessOptions {
  /**
   * Pages that may use it: origins such as `https://example.org`. Default: pages on loopback, and clients that are no pages. `"*"`: all.
   */
  readonly origins?: readonly string[] | "*";
  /** Secrets, one of which must be the first part of the path: `wss://host/SECRET/`. Default: none is asked for. */
  readonly tokens?: readonly string[];
}

/** See the top of the file. */
export class RelayAccess {
  readonly #options: AccessOptions;

  /** @throws SlirpError `invalidConfiguration` naming an origin that no page can have. */
  constructor(options: AccessOptions) {
    this.#options = options;
    if (options.origins !== "*") options.origins?.forEach(checkOrigin);
  }

  /** Programs send no Origin. Pages on loopback are the user's own. */
  knowsOrigin({ headers: { origin } }: IncomingMessage): boolean {
    const { origins } = this.#options;
    if (origin === undefined || origins === "*") return true;
    if (origins) return origins.includes(origin);
    return /^https?:\/\/(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/.test(origin);
  }

  /** The path, without the token that it must begin with; undefined where it does not. */
  pathBehindToken(request: IncomingMessage): string | undefined {
    const { tokens } = this.#options;
    const pathname = pathOf(request);
    if (!tokens) return pathname;
    const [, first = ""] = pathname.split("/");
    // Every token is compared, so that time does not tell which is near.
    const known = tokens.map((token) => isEqual(first, token)).includes(true);
    return known ? pathname.slice(first.length + 1) : undefined;
  }
}

/** As browsers send it: scheme, host, port; "null" for pages that have none. */
function checkOrigin(origin: string): void {
  if (origin === "null" || /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/.test(origin)) return;
  const text = `origin ${JSON.stringify(origin)}: write scheme and host, "https://example.org", without a slash at the end`;
  throw new SlirpError(ErrorCode.invalidConfiguration, text);
}
