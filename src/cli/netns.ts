/**
 * `slirp-wasm netns`, and `slirp4netns` where a link of that name leads to this program: a network for a network namespace, with the
 * command line, descriptors, API, messages and exit statuses of slirp4netns, so that what calls that can be given this.
 *
 * A TAP in the namespace is the guest of a stack; everything else is the stack's, as with any guest.
 */
import { createRequire } from "node:module";
import { openTap } from "../backends/tap.js";
import type { NetBackend } from "../backend.js";
import { ipAddress } from "../address.js";
import { BackendCable } from "../nics/backend-cable.js";
import { createSlirp } from "../node.js";
import type { SlirpOptions } from "../slirp-options.js";
import type { Slirp } from "../slirp/slirp.js";
import { errorText, oneLine } from "./logging.js";
import { ApiRequests } from "./netns/api-requests.js";
import { ApiServer } from "./netns/api-server.js";
import { tellReady, watchExit } from "./netns/caller-descriptors.js";
import { CommandLineError } from "./netns/getopt-long.js";
import { openNamespaceTap } from "./netns/namespace-tap.js";
import {
  GUEST_ADDRESS6,
  NetnsUsageError,
  PREFIX6,
  readNetnsOptions,
  type NetnsOptions,
} from "./netns/netns-options.js";
import { startText, usageText, versionText } from "./netns/netns-texts.js";

/** Runs the command; answers the exit status. `program` is the name that it was called by. */
export async function runNetns(words: readonly string[], program: string): Promise<number> {
  let options: NetnsOptions;
  try {
    const request = readNetnsOptions(words);
    if (request === "help") return say(usageText(program));
    if (request === "version")
      return say(versionText(versionIn("package.json"), versionIn("vendor/libslirp/source.json")));
    options = request;
  } catch (error) {
    return refuse(error, program);
  }
  try {
    return await serve(options);
  } catch (error) {
    complain(oneLine(errorText(error)));
    return 1;
  }
}

/** What a file of the package says under "version". */
function versionIn(path: string): string {
  return (createRequire(import.meta.url)(`../../${path}`) as { version: string }).version;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}

function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

function refuse(error: unknown, program: string): number {
  if (error instanceof CommandLineError) {
    complain(`${program}: ${error.message}`);
  } else if (error instanceof NetnsUsageError) {
    if (error.message !== "") complain(error.message);
    if (!error.showsUsage) return 1;
  } else throw error;
  say(usageText(program));
  return 1;
}

/** What the command ends by. */
type Reason = { readonly status: number } | { readonly signal: NodeJS.Signals };

/** The first reason counts; signals are reasons. */
class EndOfService {
  readonly reason: Promise<Reason>;
  #come: ((reason: Reason) => void) | undefined;

  constructor() {
    this.reason = new Promise((resolve) => {
      this.#come = resolve;
    });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.once(signal, () => {
        this.come({ signal });
      });
    }
  }

  come(reason: Reason): void {
    this.#come?.(reason);
  }
}

async function serve(options: NetnsOptions): Promise<number> {
  for (const warning of options.warnings) say(`${warning}\n`);
  const end = new EndOfService();
  const guest = await openGuest(options);
  await using slirp = await openStack(options);
  const cable = new BackendCable(guest, slirp, {
    onError: (error) => {
      complain(oneLine(errorText(error)));
      end.come({ status: 1 });
    },
  });
  say(startText(options));
  const api = await serveApi(options, slirp);
  if (options.exitFd !== undefined) {
    watchExit(options.exitFd, () => {
      complain("exitfd event");
      end.come({ status: 0 });
    });
  }
  if (options.readyFd !== undefined) tellReady(options.readyFd);
  const ended = await end.reason;
  await api?.close();
  cable.close();
  await guest.close();
  if ("status" in ended) {
    complain("do_slirp is exiting");
    return ended.status;
  }
  // As if we had not listened to it: the caller sees that we died of it.
  process.kill(process.pid, ended.signal);
  return 1;
}

async function openGuest(options: NetnsOptions): Promise<NetBackend> {
  const { target, tapName } = options;
  if (target.kind === "tapfd") return openTap({ fd: target.fd });
  if (target.kind === "bess") throw new NetnsUsageError("bess");
  const fd = await openNamespaceTap(target, options);
  complain(`received tapfd=${String(fd)} for ${tapName}`);
  return openTap({ fd });
}

async function openStack(options: NetnsOptions): Promise<Slirp> {
  const { network, outboundAddress, outboundAddress6 } = options;
  const slirp: SlirpOptions = {
    ipv4: {
      network: network.network,
      prefixLength: network.prefixLength,
      gateway: network.gateway,
      nameServer: network.nameServer,
      dhcpStart: network.dhcpStart,
    },
    ipv6: options.enableIpv6 && { prefix: ipAddress(PREFIX6) },
    mtuBytes: options.mtuBytes,
    disableHostLoopback: options.disableHostLoopback,
    disableDns: options.disableDns,
    ...(outboundAddress && { outboundAddress }),
    ...(outboundAddress6 && { outboundAddress6 }),
  };
  return createSlirp({ slirp });
}

async function serveApi(options: NetnsOptions, slirp: Slirp): Promise<ApiServer | undefined> {
  if (options.apiSocketPath === undefined) return undefined;
  const ipv6 = options.enableIpv6 ? ipAddress(GUEST_ADDRESS6) : undefined;
  const requests = new ApiRequests(slirp, { ipv4: options.network.guest, ipv6 });
  return ApiServer.listen(options.apiSocketPath, requests);
}
