/**
 * `slirp-wasm tap`: TAP interfaces that stay, for backends, QEMU or whoever opens them later.
 */
import { SourceText } from "../config/source-text.js";
import { readNumber } from "../config/read-number.js";
import { SlirpError } from "../errors.js";
import type { openTap } from "../tap.js";
import { deleteTap, listTaps, openTapQueues, type TapDetails } from "../tap.js";
import { ExitStatus } from "./exit-status.js";
import type { LogOptions } from "./logging.js";

/** Which namespace is meant. */
export interface NamespaceFlag {
  readonly netns?: string;
}

/** The options of `create`, as written. */
export interface CreateTapFlags extends NamespaceFlag {
  readonly mac?: string;
  readonly bridge?: string;
  readonly ip?: readonly string[];
  readonly gateway?: readonly string[];
  readonly mtu?: string;
  readonly owner?: string;
  readonly group?: string;
  readonly multiQueue?: boolean;
  readonly vnetHeader: boolean;
  readonly up?: boolean;
}

const MAX_ID = 0xffff_fffe;

function number(option: string, text: string | undefined, max: number): number | undefined {
  if (text === undefined) return undefined;
  return readNumber(SourceText.of(option, text), { what: "number", min: 0, max });
}

/** What was given, under the names of `TapOptions`. */
function readFlags(name: string, flags: CreateTapFlags): Parameters<typeof openTap>[0] {
  const { netns, mac, bridge, ip, gateway, up, vnetHeader } = flags;
  const mtuBytes = number("--mtu", flags.mtu, 0xffff);
  const owner = number("--owner", flags.owner, MAX_ID);
  const group = number("--group", flags.group, MAX_ID);
  return {
    name,
    exclusive: true,
    persistent: true,
    ...(!vnetHeader && { vnetHeader }),
    ...(netns !== undefined && { namespace: netns }),
    ...(mac !== undefined && { mac }),
    ...(bridge !== undefined && { bridge }),
    ...(ip && { addresses: ip }),
    ...(gateway && { gateways: gateway }),
    ...(up !== undefined && { up }),
    ...(mtuBytes !== undefined && { mtuBytes }),
    ...(owner !== undefined && { owner }),
    ...(group !== undefined && { group }),
  };
}

/** Makes an interface and prints its name; answers the exit status. */
export async function createTap(name: string, flags: CreateTapFlags): Promise<number> {
  const options = { ...readFlags(name, flags), ...(flags.multiQueue && { queues: 2 }) };
  // A device is of the kind that its first opening makes it; the second queue goes with its closing.
  const queues = await openTapQueues(options).catch(inWordsOfFlags);
  process.stdout.write(`${queues[0]?.interfaceName ?? ""}\n`);
  await Promise.all(queues.map((queue) => queue.close()));
  return ExitStatus.success;
}

/** What `TapOptions` calls differently. */
const FLAG_NAMES: ReadonlyMap<string, string> = new Map([
  ["addresses", "--ip"],
  ["gateways", "--gateway"],
  ["mtuBytes", "--mtu"],
]);

/** An error that names an option of `TapOptions` names that of the command line instead. */
function inWordsOfFlags(error: unknown): never {
  if (!(error instanceof SlirpError)) throw error;
  const text = error.message.replace(
    /\boption (\w+)\b/g,
    (_, name: string) => FLAG_NAMES.get(name) ?? `--${name}`,
  );
  throw new SlirpError(error.code, text, { cause: error.cause });
}

/** Prints the TAPs of a namespace; answers the exit status. */
export function printTaps({ netns, json }: NamespaceFlag & LogOptions): number {
  const taps = listTaps(netns === undefined ? {} : { namespace: netns });
  const lines = taps.map((tap) => (json ? JSON.stringify(tap) : describeInWords(tap)));
  process.stdout.write(lines.map((line) => `${line}\n`).join(""));
  return ExitStatus.success;
}

function describeInWords(tap: TapDetails): string {
  const words = [tap.name, tap.isUp ? "up" : "down", tap.mac, `mtu ${tap.mtuBytes}`];
  if (tap.bridge !== undefined) words.push(`bridge ${tap.bridge}`);
  words.push(...tap.addresses);
  if (tap.owner !== undefined) words.push(`owner ${tap.owner}`);
  if (tap.group !== undefined) words.push(`group ${tap.group}`);
  words.push(tap.hasHeader ? "vnet-header" : "no-vnet-header");
  if (tap.isMultiQueue) words.push(`queues ${tap.queues} (${tap.disabledQueues} disabled)`);
  if (tap.isPersistent) words.push("persistent");
  return words.join(" ");
}

/** Deletes an interface; answers the exit status. */
export function removeTap(name: string, { netns }: NamespaceFlag): number {
  deleteTap(name, netns === undefined ? {} : { namespace: netns });
  return ExitStatus.success;
}
