/**
 * What the two halves of the bridge to the guest's web servers have in common: the page that runs the stack (`browser/serve-guest.ts`) and
 * the service worker that shows the guest's pages under a path of the site (`service-worker/`).
 *
 * Under `/guest/`, the path `/guest/80/a/b?c` is the guest's `http://guest:80/a/b?c`. The worker keeps nothing that matters: browsers end it
 * whenever it idles. For each request it hands a MessagePort to the page that runs the guest, and finds that page by asking all.
 */

/** Where the guest's servers appear, where nothing else is said: this folder beside the worker's script. */
export const DEFAULT_BRIDGE_FOLDER = "guest/";

/** The kinds of messages, to worker and page. Each comes with a MessagePort for the answer. */
export const BridgeMessage = {
  /** Page to worker: I run a guest. Answer: {@link BridgeWelcome}. */
  announce: "slirp-wasm:announce",
  /** Worker to page: do you run a guest? Answer: anything, from who does. */
  find: "slirp-wasm:find",
  /** Worker to page: {@link BridgeRequest}. Answer: {@link BridgeAnswer}. */
  request: "slirp-wasm:request",
} as const;

/** The worker's answer to who announces himself. */
export interface BridgeWelcome {
  /** The path under which the guest appears, with a slash at both ends. */
  readonly path: string;
}

/** What a browser asks of the guest. */
export interface BridgeRequest {
  readonly type: typeof BridgeMessage.request;
  readonly url: string;
  readonly method: string;
  readonly headers: [name: string, value: string][];
  readonly body: ArrayBuffer | undefined;
}

/** What came of it. A stream is transferred; where a browser cannot do that, the body is gathered. */
export type BridgeAnswer =
  | {
      readonly kind: "response";
      readonly status: number;
      readonly statusText: string;
      readonly headers: [name: string, value: string][];
      readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | ArrayBuffer | null;
    }
  | { readonly kind: "error"; readonly message: string };

/** A place in the guest. */
export interface GuestPlace {
  readonly port: number;
  /** Path and query, from the slash on; undefined where the slash behind the port is missing. */
  readonly target: string | undefined;
}

/** Reads a URL's path and query: which place of the guest it is; undefined for none. */
export function readGuestPlace(
  { pathname, search }: { readonly pathname: string; readonly search: string },
  path: string,
): GuestPlace | undefined {
  if (!pathname.startsWith(path)) return undefined;
  const [, digits = "", rest] = /^(\d{1,5})(\/.*)?$/s.exec(pathname.slice(path.length)) ?? [];
  const port = Number(digits);
  if (digits === "" || port < 1 || port > 65_535) return undefined;
  return { port, target: rest === undefined ? undefined : rest + search };
}

/** The site's path for a place in the guest. */
export function formatGuestPlace(path: string, port: number, target: string): string {
  return `${path}${String(port)}${target}`;
}

/** The guest's URL for it. */
export function guestUrl({ port, target = "/" }: GuestPlace): string {
  return `http://guest:${String(port)}${target}`;
}

/**
 * A Location of the guest as the browser is to follow it: the path here where the guest means itself, by the name that it was asked by or by
 * its loopback; else as it is.
 */
export function rewriteLocation(location: string, place: GuestPlace, path: string): string {
  let url: URL;
  try {
    url = new URL(location, guestUrl(place));
  } catch {
    return location;
  }
  const isGuest = /^(guest|localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  if (url.protocol !== "http:" || !isGuest) return location;
  const port = url.port === "" ? 80 : Number(url.port);
  return formatGuestPlace(path, port, url.pathname + url.search + url.hash);
}

/** Fields that describe how the answer came, not what it is. */
const HOP_FIELDS = new Set([
  "connection",
  "content-encoding",
  "keep-alive",
  "location",
  "proxy-authenticate",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The fields that go on to the browser. */
export function fieldsForBrowser(
  fields: readonly [name: string, value: string][],
  place: GuestPlace,
  path: string,
): [name: string, value: string][] {
  const wasPacked = fields.some(([name]) => name.toLowerCase() === "content-encoding");
  const kept = fields.filter(([name]) => {
    const key = name.toLowerCase();
    return !HOP_FIELDS.has(key) && !(wasPacked && key === "content-length");
  });
  const location = fields.find(([name]) => name.toLowerCase() === "location");
  if (location) kept.push(["location", rewriteLocation(location[1], place, path)]);
  return kept;
}
