/**
 * `slirp-wasm relay`: a relay for pages, by Wisp and wsproxy. What is not given keeps it closed: it listens on loopback, and its clients
 * reach the public internet and nothing else.
 */
import { readFile } from "node:fs/promises";
import { ErrorCode, SlirpError } from "../errors.js";
import { parseRelayConfig, type RelayConfig } from "../relay/relay-config.js";
import { listenRelay, type ListenRelayOptions } from "../relay.js";
import { Ending } from "./ending.js";
import { EndedEarly, ExitStatus } from "./exit-status.js";
import { createLog, type LogOptions } from "./logging.js";
import { readListenAddress, readSeconds } from "./options.js";

/** The command's own options, as written. */
export interface RelayFlags {
  readonly listen?: string;
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
  readonly name?: readonly string[];
  readonly origin?: readonly string[];
  readonly token?: readonly string[];
  readonly user?: readonly string[];
  readonly motd?: string;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly config?: string;
  readonly drain: string;
}

/** Where it listens when nobody says so. */
const DEFAULT_PORT = 6001;

/** Runs the relay until it is told to end; answers the exit status. */
export async function serveRelay(flags: RelayFlags & LogOptions): Promise<number> {
  const drainMs = readSeconds("--drain", flags.drain);
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
  const { tls, ...rest } = config;
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
  return {
    ...rest,
    ...readAddress(flags.listen, config),
    allow: join(flags.allow, config.allow),
    deny: join(flags.deny, config.deny),
    users: { ...config.users, ...readUsers(flags.user) },
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

async function readPem(option: string, path: string): Promise<string> {
  return readFile(path, "utf8").catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException;
    const text = `${option} ${path}: the file cannot be read (${String(code)})`;
    throw new SlirpError(ErrorCode.invalidConfiguration, text, { cause });
  });
}

function readAddress(
  listen: string | undefined,
  { host = "127.0.0.1", port = DEFAULT_PORT }: RelayConfig,
): { host: string; port: number } {
  if (listen === undefined) return { host, port };
  const { address } = readListenAddress(
    listen.startsWith("tcp:") ? listen : `tcp:${listen}`,
    false,
  );
  if ("path" in address) throw new TypeError("a TCP address has no path");
  return { host: address.host, port: address.port };
}

function readUsers(users: readonly string[] = []): Record<string, string> {
  return Object.fromEntries(
    users.map((text) => {
      const colon = text.indexOf(":");
      if (colon > 0) return [text.slice(0, colon), text.slice(colon + 1)];
      const message = '--user: there is no password; write "NAME:PASSWORD"';
      throw new SlirpError(ErrorCode.invalidConfiguration, message);
    }),
  );
}

function howOpen({ tokens, users, allow = [] }: ListenRelayOptions): string {
  const who = tokens || Object.keys(users ?? {}).length > 0 ? "who has a secret" : "every client";
  const more = allow.length > 0 ? ` and ${allow.join(", ")}` : "";
  return `${who} reaches the public internet${more}`;
}
