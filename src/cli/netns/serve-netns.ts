/**
 * The service itself: a TAP in the namespace is the guest of a stack, until the exit descriptor or a signal ends it.
 */
import type { NetBackend } from "../../backend.js";
import { ipAddress } from "../../address.js";
import { PacketSocket } from "../../backends/netns-packet-socket.js";
import { openTap } from "../../backends/tap.js";
import { BackendCable } from "../../nics/backend-cable.js";
import { createSlirp } from "../../node.js";
import type { SlirpOptions } from "../../slirp-options.js";
import type { Slirp } from "../../slirp/slirp.js";
import { errorText, oneLine } from "../logging.js";
import { ApiRequests } from "./api-requests.js";
import { ApiServer } from "./api-server.js";
import { CallerDescriptors } from "./caller-descriptors.js";
import { enterSandbox, filterSystemCalls } from "./confinement.js";
import { acceptBess, openNamespaceTap } from "./namespace-tap.js";
import { GUEST_ADDRESS6, PREFIX6 } from "./netns-network.js";
import type { NetnsOptions } from "./netns-options.js";
import { startText } from "./netns-texts.js";

function say(text: string): void {
  process.stdout.write(text);
}

function complain(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** What the command ends by. */
type Reason = { readonly status: number } | { readonly signal: NodeJS.Signals };

/** The first reason counts; signals are reasons. */
class EndOfService {
  readonly reason: Promise<Reason>;
  readonly #abort = new AbortController();
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

  /** For what must not be waited for when the end has come. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  come(reason: Reason): void {
    this.#come?.(reason);
    this.#abort.abort();
  }
}

/** Serves until it is told to end; answers the exit status. */
export async function serveNetns(options: NetnsOptions): Promise<number> {
  const descriptors = new CallerDescriptors(options);
  for (const warning of options.warnings) say(`${warning}\n`);
  const end = new EndOfService();
  descriptors.watchExit(() => {
    complain("exitfd event");
    end.come({ status: 0 });
  });
  const guest = await openGuest(descriptors.checked(options), end.signal).catch(
    (error: unknown) => {
      if (end.signal.aborted) return undefined;
      throw error;
    },
  );
  if (guest) await serveGuest(guest, options, descriptors, end);
  const ended = await end.reason;
  if ("status" in ended) {
    complain("do_slirp is exiting");
    return ended.status;
  }
  // As if we had not listened to it: the caller sees that we died of it.
  process.kill(process.pid, ended.signal);
  return 1;
}

async function serveGuest(
  guest: NetBackend,
  options: NetnsOptions,
  descriptors: CallerDescriptors,
  end: EndOfService,
): Promise<void> {
  await using slirp = await openStack(options);
  const cable = new BackendCable(guest, slirp, {
    onError: (error) => {
      complain(oneLine(errorText(error)));
      // A User Mode Linux that ends needs no network any more.
      end.come({ status: options.target.kind === "bess" ? 0 : 1 });
    },
  });
  say(startText(options));
  const api = await serveApi(options, slirp);
  if (options.enableSeccomp) {
    filterSystemCalls();
    say("seccomp: only the system calls that a running network needs are left\n");
  }
  descriptors.tellReady();
  await end.reason;
  await api?.close();
  cable.close();
  await guest.close();
}

async function openGuest(options: NetnsOptions, end: AbortSignal): Promise<NetBackend> {
  const { target, tapName } = options;
  if (target.kind === "tapfd") {
    if (options.enableSandbox) enterSandbox(options, target.fd);
    return openTap({ fd: target.fd });
  }
  if (target.kind === "bess") {
    if (options.enableSandbox) enterSandbox(options, undefined);
    complain(`Waiting for connection to ${target.path}`);
    return new PacketSocket(await acceptBess(target.path, end), `bess:${target.path}`);
  }
  const fd = await openNamespaceTap(target, options, end);
  complain(`received tapfd=${String(fd)} for ${tapName}`);
  if (options.enableSandbox) enterSandbox(options, fd);
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
  return createSlirp({ slirp, hostNetwork: { sockets: "auto", busyPollUs: options.busyPollUs } });
}

async function serveApi(options: NetnsOptions, slirp: Slirp): Promise<ApiServer | undefined> {
  if (options.apiSocketPath === undefined) return undefined;
  const ipv6 = options.enableIpv6 ? ipAddress(GUEST_ADDRESS6) : undefined;
  const requests = new ApiRequests(slirp, { ipv4: options.network.guest, ipv6 });
  return ApiServer.listen(options.apiSocketPath, requests);
}
