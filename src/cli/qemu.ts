/**
 * `slirp-wasm qemu`: stacks for QEMU guests, over QEMU's socket NICs.
 */
import { randomBytes } from "node:crypto";
import { resolve } from "node:path";
import type { NetBackend } from "../backend.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { OwnBackends, SharedBackend } from "../nics/guest-backends.js";
import { openQemuDatagram, type DatagramAddress } from "../nics/qemu-dgram.js";
import { listenQemu } from "../nics/qemu-listen.js";
import { formatQemuAddress, type QemuAddress } from "../nics/qemu-address.js";
import { formatHostForward } from "../slirp-options.js";
import type { Slirp } from "../slirp/slirp.js";
import { openCapture } from "./capture-file.js";
import { Ending } from "./ending.js";
import { EndedEarly, ExitStatus } from "./exit-status.js";
import { createLog, type CliLog, type LogOptions } from "./logging.js";
import { openStack } from "./open-stack.js";
import { readListenAddress, readNetworkFlags, type NetworkFlags } from "./options.js";

/** The command's own options, as written. */
export interface QemuFlags {
  readonly listen: string;
  readonly dgram?: boolean;
  readonly shared?: boolean;
}

/** What serving needs. */
interface Service {
  readonly ending: Ending;
  readonly log: CliLog;
  readonly openStack: () => Promise<Slirp>;
  /** Puts the capture around a stack, where there is one. */
  readonly capture: (stack: Slirp) => NetBackend;
}

/** Runs the command until it is told to end; answers the exit status. */
export async function serveQemu(flags: QemuFlags & NetworkFlags & LogOptions): Promise<number> {
  const { kind, address } = readListenAddress(flags.listen, flags.dgram ?? false);
  if (kind === "datagram" && flags.shared) {
    throw new SlirpError(
      ErrorCode.invalidConfiguration,
      "--shared: a datagram socket has one guest; leave --shared out, or listen on tcp: or unix:",
    );
  }
  const options = readNetworkFlags(flags);
  const log = await createLog(flags);
  using ending = new Ending();
  using capture = openCapture(flags.capture, log);
  const service: Service = {
    ending,
    log,
    openStack: () => openStack(options, log),
    capture: (stack) => capture?.around(stack) ?? stack,
  };
  if (kind === "datagram") await serveDatagrams(address, service);
  else if (flags.shared) await serveShared(address, service);
  else await serveOwn(address, service);
  // To be interrupted is how a server ends; anything else is a failure.
  const { reason } = ending.signal as { reason: unknown };
  if (reason instanceof EndedEarly) return ExitStatus.success;
  throw reason;
}

async function serveOwn(address: QemuAddress, service: Service): Promise<void> {
  const { ending, log } = service;
  const stacks: Slirp[] = [];
  const backends = new OwnBackends(async () => {
    const stack = await service.openStack();
    stacks.push(stack);
    return service.capture(stack);
  });
  try {
    // The first guest's: so forwards that cannot be are known now.
    await backends.prepare();
    await serveStream(address, backends, stacks[0], { ending, log });
  } finally {
    await backends.close();
  }
}

async function serveShared(address: QemuAddress, service: Service): Promise<void> {
  const { ending, log } = service;
  await using stack = await service.openStack();
  const backends = new SharedBackend(service.capture(stack), {
    onUplinkError: (error) => {
      ending.end(error);
    },
  });
  await serveStream(address, backends, stack, { ending, log });
  await backends.close();
}

async function serveStream(
  address: QemuAddress,
  backends: OwnBackends | SharedBackend,
  stack: Slirp | undefined,
  { ending, log }: Pick<Service, "ending" | "log">,
): Promise<void> {
  await using server = await listenQemu({ ...address, backends, log });
  announce(log, formatQemuAddress(server.address), stack);
  process.stdout.write(`${qemuStreamOptions(server.address)}\n`);
  await ending.wait();
}

async function serveDatagrams(local: DatagramAddress, service: Service): Promise<void> {
  const { ending, log } = service;
  await using stack = await service.openStack();
  await using nic = await openQemuDatagram({ local, backend: service.capture(stack), log });
  void nic.ended.then((error) => {
    if (error) ending.end(error);
  });
  const bound = formatQemuAddress(nic.local).replace(/^tcp/, "udp");
  announce(log, bound, stack);
  process.stdout.write(`${qemuDatagramOptions(nic.local)}\n`);
  await ending.wait();
}

function announce(log: CliLog, address: string, stack: Slirp | undefined): void {
  const forwards =
    stack?.forwards().map((forward) => `forward ${formatHostForward(forward)}`) ?? [];
  log.info({}, [`listening on ${address}`, ...forwards, "QEMU's options follow"].join("; "));
}

/** `-netdev stream` for a server here. */
export function qemuStreamOptions(address: QemuAddress): string {
  const where =
    "path" in address
      ? `addr.type=unix,addr.path=${escapeOption(resolve(address.path))}`
      : `addr.type=inet,addr.host=${reachableHost(address.host)},addr.port=${String(address.port)}`;
  return withDevice(`stream,id=net0,server=off,${where}`);
}

/** `-netdev dgram` for a socket here: QEMU takes any port, and is known by its first datagram. */
export function qemuDatagramOptions({ host, port }: DatagramAddress): string {
  const remote = `remote.type=inet,remote.host=${reachableHost(host)},remote.port=${String(port)}`;
  const anyPort = `local.type=inet,local.host=${host},local.port=0`;
  return withDevice(`dgram,id=net0,${remote},${anyPort}`);
}

function withDevice(netdev: string): string {
  // QEMU's own default is the same for every guest.
  const tail = [...randomBytes(3)].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
  return `-netdev ${quoteForShell(netdev)} -device virtio-net-pci,netdev=net0,mac=52:54:00:${tail}`;
}

/** An address that is listened on as one that can be connected to. */
function reachableHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/** QEMU doubles commas within options. */
function escapeOption(value: string): string {
  return value.replaceAll(",", ",,");
}

function quoteForShell(word: string): string {
  return /^[\w.,:=/@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
