/**
 * `slirp-wasm relay`: a relay for pages, by Wisp, wsproxy, websockify, Ethernet rooms and DNS over HTTPS. What is not given keeps it closed:
 * it listens on loopback, and its clients reach the public internet and nothing else.
 */
import { readFile } from "node:fs/promises";
import { ErrorCode, SlirpError } from "../errors.js";
import { parseRelayConfig, type RelayConfig } from "../relay/relay-config.js";
import { parseNetdev } from "../config/index.js";
import { createSlirpGateway, listenRelay, type ListenRelayOptions } from "../relay.js";
import { Ending } from "./ending.js";
import { EndedEarly, ExitStatus } from "./exit-status.js";
import { createLog, type LogOptions } from "./logging.js";
import { readSeconds, readTcpListenAddress } from "./options.js";

/** The command's own options, as written. */
export interface RelayFlags {
  readonly listen?: string;
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly name?: readonly string[];
  readonly origin?: readonly string[];
  readonly token?: readonly string[];
  readonly user?: readonly string[];
  readonly key?: readonly string[];
  readonly motd?: string;
  readonly forwardPorts?: readonly string[];
  readonly forwardToken?: readonly string[];
  readonly forwardAddress?: readonly string[];
  readonly websockify?: readonly string[];
  /** True without a netdev string. */
  readonly rooms?: boolean | string;
  readonly doh?: boolean | readonly string[];
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly config?: string;
  readonly drain?: string;
}

/** Where it listens when nobody says so. */
const DEFAULT_PORT = 6001;

const DEFAULT_DRAIN_SECONDS = "10";

/** Runs the relay until it is told to end; answers the exit status. */
export async function serveRelay(flags: RelayFlags & LogOptions): Promise<number> {
  const drainMs = readSeconds("--drain", flags.drain ?? DEFAULT_DRAIN_SECONDS);
  const config = flags.config === undefined ? {} : await readConfig(flags.config);
  const options = await readOptions(flags, config);
  const log = await createLog(flags);
  using ending = new Ending();
  const listening = await listenRelay({ ...options, log }).catch((error: unknown) => {
    if (error instanceof SlirpError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    const where = `${options.host ?? ""}:${String(options.port)}`;
    const text = `the relay cannot listen on ${where} (${String(code)})`;
    throw new SlirpError(ErrorCode.forwardFailed, text, { cause: error });
  });
  log.info({ url: listening.url }, `relaying; ${howOpen(options)}; the URL for pages follows`);
  process.stdout.write(`${listening.url}\n`);
  await new Promise((resolve) => {
    ending.signal.addEventListener("abort", resolve, { once: true });
  });
  log.info({}, `ending: waiting for ${String(listening.relay.connections)} clients`);
  await listening.close(drainMs);
  const { reason } = ending.signal as { reason: unknown };
  if (reason instanceof EndedEarly) return ExitStatus.success;
  throw reason;
}

async function readConfig(path: string): Promise<RelayConfig> {
  try {
    return parseRelayConfig(await readFile(path, "utf8"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SlirpError(ErrorCode.invalidConfiguration, `--config ${path}: ${reason}`, { cause });
  }
}

/** The command line adds to the lists of the file, and wins over its values. */
async function readOptions(flags: RelayFlags, config: RelayConfig): Promise<ListenRelayOptions> {
  const { tls, rooms: roomsOfFile, ...rest } = config;
  const certificate = flags.tlsCert ?? tls?.cert;
  const key = flags.tlsKey ?? tls?.key;
  if ((certificate === undefined) !== (key === undefined)) {
    const text = "TLS needs both a certificate and a key: --tls-cert FILE --tls-key FILE";
    throw new SlirpError(ErrorCode.invalidConfiguration, text);
  }
  const join = (more: readonly string[] = [], list: readonly string[] = []) => [...list, ...more];
  const origins = flags.origin?.includes("*") ? "*" : (flags.origin ?? config.origins);
  const names = join(flags.name, config.names);
  const tokens = join(flags.token, config.tokens);
  const keys = await Promise.all((flags.key ?? []).map(readKey));
  const rooms = flags.rooms ?? roomsOfFile ?? false;
  const forwards = readForwards(flags, config);
  const dnsOverHttps = flags.doh ?? config.dnsOverHttps;
  return {
    ...rest,
    ...readAddress(flags.listen, config),
    allow: join(flags.allow, config.allow),
    deny: join(flags.deny, config.deny),
    users: { ...config.users, ...readPairs("--user", flags.user, ":", "NAME:PASSWORD") },
    keys: join(keys, config.keys),
    websockify: {
      ...config.websockify,
      ...readPairs("--websockify", flags.websockify, "=", "/PATH=HOST:PORT"),
    },
    ...(forwards && { forwards }),
    ...(dnsOverHttps !== undefined && { dnsOverHttps }),
    ...(rooms !== false && {
      createGateway: createSlirpGateway(rooms === true ? {} : { slirp: parseNetdev(rooms) }),
    }),
    ...(names.length > 0 && { names }),
    ...(tokens.length > 0 && { tokens }),
    ...(origins && { origins }),
    ...(flags.motd !== undefined && { motd: flags.motd }),
    ...(certificate !== undefined &&
      key !== undefined && {
        tls: {
          cert: await readPem("--tls-cert", certificate),
          key: await readPem("--tls-key", key),
        },
      }),
  };
}

/** None without ports; what is said of ports that are not opened is a mistake. */
function readForwards(flags: RelayFlags, config: RelayConfig): ListenRelayOptions["forwards"] {
  const { ports, tokens, addresses } = config.forwards ?? {};
  const allPorts = [...(ports ?? []), ...(flags.forwardPorts ?? [])];
  const allTokens = [...(tokens ?? []), ...(flags.forwardToken ?? [])];
  const allAddresses = flags.forwardAddress ?? addresses;
  if (allPorts.length > 0) {
    return {
      ports: allPorts,
      tokens: allTokens,
      ...(allAddresses && { addresses: allAddresses }),
    };
  }
  if (allTokens.length === 0 && !allAddresses) return undefined;
  const text = "--forward-token and --forward-address need --forward-ports PORTS: which are opened";
  throw new SlirpError(ErrorCode.invalidConfiguration, text);
}

async function readPem(option: string, path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: unknown) => {
    const text = `${option} ${path}: the file cannot be read`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text, { cause });
  });
}

function readAddress(
  listen: string | undefined,
  { host = "127.0.0.1", port = DEFAULT_PORT }: RelayConfig,
): { host: string; port: number } {
  return listen === undefined ? { host, port } : readTcpListenAddress(listen);
}

/** A key itself, or a file that has it. */
async function readKey(text: string): Promise<string> {
  return /^[A-Za-z0-9+/]{43}=$/.test(text) ? text : readPem("--key", text);
}

/** What stands before and behind the first separator of each. */
function readPairs(
  option: string,
  texts: readonly string[] = [],
  separator: string,
  form: string,
): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const at = text.indexOf(separator);
      if (at > 0 && at < text.length - 1) return [text.slice(0, at), text.slice(at + 1)];
      const message = `${option}: one of two parts is missing; write "${form}"`;
      throw new SlirpError(ErrorCode.invalidConfiguration, message);
    }),
  );
}

function howOpen({ tokens, users, keys, allow = [] }: ListenRelayOptions): string {
  const isAsked = tokens ?? [...Object.keys(users ?? {}), ...(keys ?? [])].at(0);
  const who = isAsked ? "who has a secret" : "every client";
  const more = allow.length > 0 ? ` and ${allow.join(", ")}` : "";
  return `${who} reaches the public internet${more}`;
}
