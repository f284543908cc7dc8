/**
 * Options of a TAP that exclude each other, and values that the kernel would misunderstand: refused before anything is opened. The
 * exclusions are QEMU's: what was opened elsewhere has been named, put into bridges and given its queues there.
 */
import { readFileSync } from "node:fs";
import { ErrorCode, SlirpError } from "../errors.js";
import type { TapOptions } from "../tap-options.js";
import { checkVhostOptions } from "./tap-vhost.js";

type OptionName = keyof TapOptions;

const OF_THE_LINK = ["mac", "addresses", "gateways", "mtuBytes", "up"] as const;
const OF_THE_DEVICE = ["name", "namespace", "devicePath", "vnetHeader", "exclusive"] as const;
const OF_WHO_OPENS = ["queues", "upScript", "downScript"] as const;

/** What may not stand beside the option that says where the device comes from. */
const EXCLUDED: readonly (readonly [OptionName, readonly OptionName[]])[] = [
  ["fd", ["fds", "helper", "bridge", ...OF_THE_DEVICE, ...OF_WHO_OPENS, ...OF_THE_LINK]],
  ["fds", ["helper", "bridge", ...OF_THE_DEVICE, ...OF_WHO_OPENS, ...OF_THE_LINK]],
  ["helper", [...OF_THE_DEVICE, ...OF_WHO_OPENS, ...OF_THE_LINK]],
];

/** QEMU's bound for descriptors, and the kernel's for queues. */
const MAX_FDS = 1024;
const MAX_QUEUES = 256;
const MAX_ID = 0xffff_fffe;

function refusal(place: string, problem: string, remedy: string): SlirpError {
  const text = `option ${place}: ${problem}; ${remedy}`;
  return new SlirpError(ErrorCode.invalidConfiguration, text);
}

/** @throws SlirpError `invalidConfiguration` */
export function checkTapOptions(options: TapOptions): void {
  for (const [source, excluded] of EXCLUDED) {
    if (options[source] === undefined) continue;
    const beside = excluded.find((name) => options[name] !== undefined);
    if (beside === undefined) continue;
    const problem = `it says again, or otherwise, what ${source} brings along`;
    throw refusal(beside, problem, `leave it or ${source} out`);
  }
  checkNumber("queues", options.queues, 1, MAX_QUEUES);
  checkNumber("sendBufferBytes", options.sendBufferBytes, 1, 0x7fff_ffff);
  checkNumber("vhostBusyPollUs", options.vhostBusyPollUs, 0, 0x7fff_ffff);
  checkVhostOptions(options, options.fds?.length ?? options.queues ?? 1);
  checkNumber("owner", options.owner, 0, MAX_ID);
  checkNumber("group", options.group, 0, MAX_ID);
  checkMapped("owner", options.owner, "/proc/self/uid_map");
  checkMapped("group", options.group, "/proc/self/gid_map");
  const { fds } = options;
  if (!fds) return;
  if (fds.length < 1 || fds.length > MAX_FDS) {
    throw refusal("fds", `there are ${fds.length}`, `give 1 to ${MAX_FDS}`);
  }
  const twice = fds.find((fd, i) => fds.indexOf(fd) !== i);
  if (twice !== undefined) throw refusal("fds", `${twice} is there twice`, "give each queue once");
}

/**
 * Nobody but who is in our user namespace can own a device. It is found out before, as the kernel cannot take an owner away again when the
 * group is refused. A line of the map (user_namespaces(7)) has the first number here, the first outside, and how many there are.
 */
function checkMapped(name: "owner" | "group", value: number | undefined, map: string): void {
  if (value === undefined) return;
  let lines: string[];
  try {
    lines = readFileSync(map, "latin1").trim().split("\n");
  } catch {
    // There are no user namespaces, or no /proc.
    return;
  }
  const isThere = lines.some((line) => {
    const [first = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
    return value >= first && value < first + count;
  });
  if (isThere) return;
  throw refusal(name, `there is no ${value} in this user namespace`, `choose one that ${map} has`);
}

function checkNumber(name: OptionName, value: number | undefined, min: number, max: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= min && value <= max)) return;
  throw refusal(name, `it is ${String(value)}`, `choose a whole number from ${min} to ${max}`);
}
