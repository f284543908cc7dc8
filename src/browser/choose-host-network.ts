/**
 * From options, as a page's author writes them, to a host network: which relay or none, and who answers names and time.
 *
 * Wisp is what most pages use, and is here; everything else is loaded when it is asked for. Options that contradict each other are
 * refused by name: none is ignored.
 */
import { ErrorCode, SlirpError } from "../errors.js";
import type { HostNetwork } from "../host-network.js";
import type { FetchHostNetworkOptions } from "./fetch-host-network.js";
import {
  createFetchHostNetwork,
  createWsproxyHostNetwork,
  withNames,
  withTime,
} from "./lazy-networks.js";
import type { NameOptions } from "./named-host-network.js";
import type { TimeOptions } from "./timed-host-network.js";
import { createWispHostNetwork, type WispHostNetworkOptions } from "./wisp-host-network.js";
import type { WispRelay } from "./wisp-relays.js";
import type { WsproxyHostNetworkOptions } from "./wsproxy-host-network.js";

/** How the stack reaches the world: one of `relay`, `http` and `hostNetwork`, and what stands before it. */
export interface PageNetworkOptions {
  /**
   * A Wisp relay, or several, best first: `wss://relay.example.org/`. Or one relay of another kind: `wsproxy+wss://relay.example.org/`
   * (a WebSocket a connection, its target in the path), `websockify+wss://relay.example.org/` (the same, the target being the relay's).
   */
  readonly relay?: string | WispRelay | readonly (string | WispRelay)[] | undefined;
  /** More of Wisp relays. */
  readonly wisp?: Omit<WispHostNetworkOptions, "relays"> | undefined;
  /** More of a wsproxy or websockify relay. */
  readonly wsproxy?: Omit<WsproxyHostNetworkOptions, "url" | "fixedTarget"> | undefined;
  /** No relay: the guest's HTTP to port 80 by the page's own `fetch`, and nothing else. `true`, or how. Default false. */
  readonly http?: boolean | FetchHostNetworkOptions | undefined;
  /** A host network of your own, such as one of `createRoutedHostNetwork`. */
  readonly hostNetwork?: HostNetwork | undefined;
  /**
   * Names: listed ones, DNS over HTTPS, a log. Default: the relay's way, which is UDP to the resolvers of `wisp.dnsServers`, or TCP to
   * 1.1.1.1 and 9.9.9.9 with wsproxy; without a relay every name has an address.
   */
  readonly dns?: NameOptions | undefined;
  /** The page answers NTP. Default false; without a relay it always does. */
  readonly ntp?: boolean | TimeOptions | undefined;
}

/** Asked by TCP where a relay knows no UDP. */
const TCP_RESOLVERS = ["1.1.1.1", "9.9.9.9"];

/** What makes a network, and what else of the options it uses. */
interface Kind {
  readonly more: "wisp" | "wsproxy" | undefined;
  make(options: PageNetworkOptions): Promise<HostNetwork>;
}

/**
 * Makes the host network that options ask for.
 * @throws SlirpError `invalidConfiguration` where they ask for none, or for several, or contradict each other.
 */
export async function chooseHostNetwork(options: PageNetworkOptions): Promise<HostNetwork> {
  const kind = chooseKind(options);
  for (const more of ["wisp", "wsproxy"] as const) {
    if (options[more] === undefined || kind.more === more) continue;
    throw refusal(`${more}: there is no relay of that kind`);
  }
  return kind.make(options);
}

function chooseKind(options: PageNetworkOptions): Kind {
  const { relay, http, hostNetwork } = options;
  const given = { relay, http: http === false ? undefined : http, hostNetwork };
  const [first, second] = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [name],
  );
  if (first === undefined) {
    const names = "a relay (wss://…), http: true for the page's own fetch, or a hostNetwork";
    throw refusal(`nothing says how to reach the world: give ${names}`);
  }
  if (second !== undefined) {
    const instead = "for several networks at once make one hostNetwork by createRoutedHostNetwork";
    throw refusal(`${first} and ${second}: only one of them can be; ${instead}`);
  }
  if (hostNetwork) return { more: undefined, make: (all) => putBefore(hostNetwork, all) };
  if (relay === undefined) return { more: undefined, make: makeFetching };
  return chooseRelay(relay);
}

function chooseRelay(relay: NonNullable<PageNetworkOptions["relay"]>): Kind {
  const relays = isList(relay) ? relay : [relay];
  const others = relays.flatMap((each) => {
    const url = typeof each === "string" ? each : each.url;
    const [, kind, bare = ""] = /^(wsproxy|websockify)\+(.*)$/i.exec(url) ?? [];
    return kind === undefined
      ? []
      : [{ url: bare, fixedTarget: kind.toLowerCase() === "websockify" }];
  });
  const [other] = others;
  if (!other) {
    const make = async (options: PageNetworkOptions): Promise<HostNetwork> =>
      putBefore(createWispHostNetwork({ ...options.wisp, relays }), options);
    return { more: "wisp", make };
  }
  if (relays.length > 1) {
    throw refusal(
      "relay: a list of relays is for Wisp; of wsproxy and websockify there can be one",
    );
  }
  return { more: "wsproxy", make: (options) => makeWsproxy(other, options) };
}

async function makeWsproxy(
  relay: { readonly url: string; readonly fixedTarget: boolean },
  options: PageNetworkOptions,
): Promise<HostNetwork> {
  const network = await createWsproxyHostNetwork({ ...options.wsproxy, ...relay });
  const { doh, tcp } = options.dns ?? {};
  if (relay.fixedTarget || doh !== undefined || tcp !== undefined)
    return putBefore(network, options);
  const dns = { interceptAll: true, ...options.dns, tcp: TCP_RESOLVERS };
  return putBefore(network, { ...options, dns });
}

async function makeFetching({ http, dns, ntp }: PageNetworkOptions): Promise<HostNetwork> {
  const given = http === true || http === false || http === undefined ? {} : http;
  if (dns && given.dns) throw refusal("dns and http.dns: only one of them can be");
  if (dns?.tcp !== undefined)
    throw refusal("dns.tcp: without a relay there is no TCP; use dns.doh");
  if (ntp !== undefined && ntp !== true)
    throw refusal("ntp: without a relay the page always answers");
  return createFetchHostNetwork({ ...given, ...(dns && { dns }) });
}

/** Names and time, where they are asked for. */
async function putBefore(
  network: HostNetwork,
  { dns, ntp, hostNetwork }: PageNetworkOptions,
): Promise<HostNetwork> {
  try {
    let before = network;
    if (dns) before = await withNames(before, dns);
    if (ntp !== undefined && ntp !== false)
      before = await withTime(before, ntp === true ? {} : ntp);
    return before;
  } catch (error) {
    if (network !== hostNetwork) await network.close();
    throw error;
  }
}

function refusal(text: string): SlirpError {
  return new SlirpError(ErrorCode.invalidConfiguration, text);
}

/** Array.isArray forgets what is in a readonly array. */
function isList(
  relay: NonNullable<PageNetworkOptions["relay"]>,
): relay is readonly (string | WispRelay)[] {
  return Array.isArray(relay);
}
