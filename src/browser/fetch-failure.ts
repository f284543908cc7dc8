/**
 * Why a `fetch` came to nothing, in words. Browsers keep the reason from pages, for it would tell them of other networks; what can be
 * known from outside is said, and else what it may be. Node gives the system's error.
 */
import { fetchedUrl, isLoopback, type TargetOptions } from "./fetch-target.js";

/** The reason for a status line, and the whole of it. */
export interface FailureText {
  readonly reason: string;
  readonly text: string;
}

/** What a page or worker knows of itself; Node has nothing of it. */
interface PageGlobals {
  readonly location?: { readonly origin: string };
  readonly navigator?: { readonly onLine?: boolean };
}

/** True on a page that was loaded by https, which may fetch nothing else. A worker of one may have a `blob:` URL, and its origin. */
export function isSecurePage(): boolean {
  return (globalThis as PageGlobals).location?.origin.startsWith("https:") ?? false;
}

/** See the top of the file. */
export function explainFailure(error: unknown, target: URL, options: TargetOptions): FailureText {
  const { location, navigator } = globalThis as PageGlobals;
  const url = fetchedUrl(target, options);
  if (isSecurePage() && url.protocol === "http:" && !isLoopback(url)) {
    return {
      reason: "Mixed content",
      text: "A page that was loaded by https may not fetch http URLs. Let it ask by https instead (upgradeToHttps), or name a proxy.",
    };
  }
  if (navigator?.onLine === false) {
    return { reason: "Offline", text: "The browser has no connection to the network." };
  }
  const system = systemError(error);
  if (system !== undefined) {
    return { reason: `Unreachable: ${system}`, text: `${url.host} cannot be reached: ${system}.` };
  }
  const origin = location ? `, ${location.origin},` : "";
  const proxied = options.proxy === undefined ? "" : ` by way of the proxy ${url.host}`;
  return {
    reason: "No connection, or no permission by CORS",
    text:
      `The page could not fetch this${proxied}. Either the server cannot be reached, or it does not allow pages of other origins${origin} ` +
      "to read it (CORS); browsers do not tell which. A server that sends Access-Control-Allow-Origin can be fetched, others by way of a " +
      "CORS proxy or a relay.",
  };
}

/** Node's: the cause is the system's error, or one of its HTTP parser. */
function systemError(error: unknown): string | undefined {
  const { cause } = error as { cause?: unknown };
  if (!(cause instanceof Error)) return undefined;
  const { code } = cause as { code?: unknown };
  return typeof code === "string" ? code : cause.message;
}
