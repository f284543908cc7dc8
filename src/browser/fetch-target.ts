/**
 * From a request of the guest to the URL that the page fetches: which host is meant, whether by https, and by way of which proxy.
 */
import type { IpEndpoint } from "../address.js";
import { parseIpAddress } from "../address.js";
import { HttpProblem, headerOf, type RequestHead } from "./http-reader.js";

/** What the guest connected to. */
export interface FetchPeer {
  /** As the stack says it: the gateway is the host's loopback already. */
  readonly remote: IpEndpoint;
  /** The name that the address was given out for. */
  readonly name: string | undefined;
}

/** How URLs are made. */
export interface TargetOptions {
  readonly upgradeToHttps: boolean;
  /** A CORS proxy: a template with `{url}`, or what stands before the URL. */
  readonly proxy: string | undefined;
}

const HTTP_PORT = 80;

/** The URL that is meant. @throws HttpProblem where the request names none. */
export function targetUrl(head: RequestHead, peer: FetchPeer): URL {
  const { method, target } = head;
  if (method === "CONNECT") {
    throw new HttpProblem(501, "there are no tunnels here: only http: URLs can be fetched");
  }
  const text = target.startsWith("/")
    ? `http://${hostOf(head, peer)}${target}`
    : /^https?:\/\//i.test(target)
      ? target
      : undefined;
  try {
    const url = new URL(text ?? "");
    url.hash = "";
    // `fetch` takes none in a URL.
    if (url.username === "" && url.password === "") return url;
  } catch {
    // Said below.
  }
  throw new HttpProblem(400, `"${target.slice(0, 100)}" leads nowhere`);
}

/** The URL as the page fetches it. */
export function fetchedUrl(target: URL, { upgradeToHttps, proxy }: TargetOptions): URL {
  const url = new URL(target);
  if (upgradeToHttps && url.protocol === "http:" && !isLoopback(url)) url.protocol = "https:";
  if (proxy === undefined) return url;
  if (proxy.includes("{url}")) return new URL(proxy.replace("{url}", encodeURIComponent(url.href)));
  return new URL(proxy + url.href);
}

/** Browsers take what is on the same machine for safe, also without https. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127\./.test(hostname);
}

/**
 * Host and port. The name is what the guest says, or what its address was given out for; addresses are those of the connection, for the
 * guest knows the host by its gateway's.
 */
function hostOf(head: RequestHead, { remote, name }: FetchPeer): string {
  const said = headerOf(head, "host");
  if (said === undefined && !head.isHttp10) throw new HttpProblem(400, "the request names no host");
  const host = /^(\[[\da-f:.]+\]|[\w.-]+)(:\d{1,5})?$/i.exec(said ?? "")?.[1];
  if (host === undefined && said) throw new HttpProblem(400, `host "${said}" is no name`);
  const isName = host !== undefined && !parseIpAddress(host.replace(/^\[|\]$/g, ""));
  const address = remote.family === 6 ? `[${remote.address}]` : remote.address;
  const port = remote.port === HTTP_PORT ? "" : `:${remote.port}`;
  return (isName ? host : (name ?? address)) + port;
}
