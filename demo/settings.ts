/**
 * What the visitor has chosen: out of the link that brought him here, or kept from the last time, or what the host of the page says in
 * `demo.json`.
 */

import type { WispRelay } from "slirp-wasm/browser";

/** `demo.json`, beside the page. Everything may be missing: the page then does without a relay until one is named. */
export interface HostSettings {
  /** Where a relay is, relative to the page: `relay/`. */
  readonly relay?: string;
  /** What the page's own relay wants to know before it opens ports on its machine. */
  readonly forwardToken?: string;
  /** Resolvers that the relay reaches. */
  readonly dnsServers?: readonly string[];
  /** Names that the page knows, and their addresses: of this machine, for the guest to find it. */
  readonly names?: Readonly<Record<string, string>>;
  /** Where the guest's files are, relative to the page. Default `image/`. */
  readonly guest?: string;
  /** A page that the guest can fetch through the relay, as the guest names it. */
  readonly hello?: string;
}

/** How the guest's connections leave the page. */
export const Way = { page: "page", wisp: "wisp", fetch: "fetch" } as const;

/** One of {@link Way}. */
export type Way = (typeof Way)[keyof typeof Way];

/** What can be chosen, kept and shared. */
export interface Choice {
  readonly way: Way;
  /** A Wisp URL; for `wisp` alone. */
  readonly relay: string;
  /** The stack runs in a worker, so that what the page does does not hold it up. */
  readonly worker: boolean;
}

const KEPT_KEY = "slirp-wasm.choice";

/** Reads `demo.json`; where there is none, nothing is set. */
export async function readHostSettings(): Promise<HostSettings> {
  const response = await fetch(new URL("demo.json", location.href)).catch(() => undefined);
  const isJson = response?.headers.get("Content-Type")?.includes("json") ?? false;
  return response?.ok && isJson ? ((await response.json()) as HostSettings) : {};
}

/** The choice in force. Where nothing was chosen: the page's own relay, or none. */
export function readChoice({ relay }: HostSettings): Choice {
  const usual: Choice = {
    way: relay === undefined ? Way.fetch : Way.page,
    relay: "",
    worker: false,
  };
  const text = location.hash.length > 1 ? location.hash.slice(1) : localStorage.getItem(KEPT_KEY);
  if (text === null) return usual;
  const chosen = new URLSearchParams(text);
  const way = Object.values(Way).find((value) => value === chosen.get("way"));
  const url = chosen.get("relay") ?? "";
  if (way === undefined || (way === Way.page && relay === undefined)) return usual;
  if (way === Way.wisp && url === "") return usual;
  return { way, relay: url, worker: chosen.has("worker") };
}

/** Keeps a choice for the next time, in place of what a link has brought. */
export function keepChoice(choice: Choice): void {
  history.replaceState(null, "", location.pathname + location.search);
  localStorage.setItem(KEPT_KEY, asText(choice));
}

/** A link that brings others to the same settings. */
export function shareLink(choice: Choice): string {
  const link = new URL(location.href);
  link.hash = asText(choice);
  return link.href;
}

/** The relay of a choice; undefined where it does without. */
export function relayOf({ way, relay }: Choice, host: HostSettings): WispRelay | undefined {
  if (way === Way.fetch) return undefined;
  if (way === Way.wisp) return { url: relay };
  const url = new URL(host.relay ?? "", location.href);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  const { forwardToken } = host;
  return { url: url.href, ...(forwardToken !== undefined && { forwardToken }) };
}

function asText({ way, relay, worker }: Choice): string {
  const parameters = new URLSearchParams({ way });
  if (way === Way.wisp) parameters.set("relay", relay);
  if (worker) parameters.set("worker", "");
  return parameters.toString();
}
