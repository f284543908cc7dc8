/**
 * What the visitor has chosen: out of the link that brought him here, or kept from the last time, or what the host of the page says in
 * `demo.json`.
 */

/** `demo.json`, beside the page. Everything may be missing: the page then needs a relay to be named. */
export interface HostSettings {
  /** Where a relay is, relative to the page: `relay/`. */
  readonly relay?: string;
  /** Resolvers that the relay reaches. */
  readonly dnsServers?: readonly string[];
  /** Where the guest's files are, relative to the page. Default `guest/`. */
  readonly guest?: string;
  /** A page that the guest can fetch, as the guest names it. */
  readonly hello?: string;
}

const KEPT_KEY = "slirp-wasm.relay";

/** Reads `demo.json`; where there is none, nothing is set. */
export async function readHostSettings(): Promise<HostSettings> {
  const response = await fetch(new URL("demo.json", location.href)).catch(() => undefined);
  const isJson = response?.headers.get("Content-Type")?.includes("json") ?? false;
  return response?.ok && isJson ? ((await response.json()) as HostSettings) : {};
}

/** The relay to use; undefined where nobody has named one. */
export function chosenRelay({ relay }: HostSettings): string | undefined {
  const linked = new URLSearchParams(location.hash.slice(1)).get("relay");
  return linked ?? localStorage.getItem(KEPT_KEY) ?? ownRelay(relay);
}

/** Keeps a relay for the next time; "" goes back to the page's own. */
export function keepRelay(url: string): void {
  history.replaceState(null, "", location.pathname + location.search);
  if (url === "") localStorage.removeItem(KEPT_KEY);
  else localStorage.setItem(KEPT_KEY, url);
}

/** A link that brings others to the same settings. */
export function shareLink(relay: string): string {
  const link = new URL(location.href);
  link.hash = new URLSearchParams({ relay }).toString();
  return link.href;
}

function ownRelay(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  const url = new URL(path, location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}
