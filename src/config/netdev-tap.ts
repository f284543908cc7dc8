/**
 * QEMU's `-netdev tap,…` string, and the names of TAP backends: `tap0`, `tap:blue0`, `tap:ifname=blue0,netns=blue`, and the same with `vmnet`
 * (FreeBSD's second kind, which here is a TAP of that name).
 *
 * As in QEMU: what stands beside `fd`, `fds` and `helper` must not say how to open what they bring along. Not as in QEMU: without `script` none
 * is run (there `/etc/qemu-ifup` is); `br` without `helper` puts the interface into that bridge; each option once, numbers strict.
 *
 * `vhost=on` is meant: where there is no vhost-net opening fails, as with `vhostforce=on`; who can do without writes `vhost=auto`.
 *
 * Ours, beyond QEMU's: `netns`, `exclusive`, `persistent`, `owner`, `group`, `mac`, `mtu`, `ip` and `gateway` (both repeat), `up`.
 */
import type { TapOptions } from "../tap-options.js";
import { readOptionList, requireValue, type ListedOption } from "./option-list.js";
import { SourceText } from "./source-text.js";
import { TAP_ROWS, type TapDraft } from "./tap-rows.js";

const LIST_FORM = {
  doubledCommas: true,
  known: [...TAP_ROWS.keys()],
  repeating: new Set([...TAP_ROWS].flatMap(([name, { repeats }]) => (repeats ? [name] : []))),
};

const OF_WHO_OPENS = [
  ...["ifname", "script", "downscript", "vnet_hdr", "queues"],
  ...["netns", "exclusive", "mac", "mtu", "up", "ip", "gateway"],
];

/** What may not stand beside the option that says where the device comes from. */
const EXCLUDED: readonly (readonly [string, readonly string[]])[] = [
  ["fd", ["fds", "helper", "br", ...OF_WHO_OPENS]],
  ["fds", ["helper", "br", ...OF_WHO_OPENS]],
  ["helper", OF_WHO_OPENS],
];

/**
 * Reads `tap` or `tap,name=value,…`.
 * @throws SlirpError `invalidConfiguration`, which names the column, what was found and what would be right
 */
export function parseNetdevTap(netdev: string): TapOptions {
  const source = SourceText.of("netdev", netdev);
  if (netdev === "tap") return {};
  if (netdev.startsWith("tap,")) return readTapOptions(source.slice("tap,".length));
  throw source.error("it does not begin with tap", 'write "tap" or "tap,name=value,…"');
}

/**
 * Reads the name of a backend: `tap`, `tap0`, `tap:NAME`, `tap:name=value,…`, `tap,name=value,…`; `vmnet` in place of `tap` likewise.
 * @throws as {@link parseNetdevTap}
 */
export function parseTapName(name: string): TapOptions {
  const source = SourceText.of("backend", name);
  const kind = /^(tap|vmnet)/.exec(name)?.[0];
  const remedy = 'write "tap0", "tap:NAME", "tap:ifname=NAME,…" or "tap,ifname=NAME,…"';
  if (kind === undefined) throw source.error("it begins with neither tap nor vmnet", remedy);
  const rest = source.slice(kind.length);
  const first = rest.value.charAt(0);
  if (first === "") return { name: `${kind}%d` };
  if (/^\d+$/.test(rest.value)) return { name };
  const behind = rest.slice(1);
  if (first === "," || (first === ":" && behind.value.includes("="))) {
    const options = readTapOptions(behind);
    const isNamed = options.name ?? options.fd ?? options.fds ?? options.helper;
    return isNamed === undefined && kind !== "tap" ? { ...options, name: `${kind}%d` } : options;
  }
  if (first === ":" && behind.value !== "") return { name: behind.value };
  throw rest.error(`behind ${kind} stands ${rest.quoted}`, remedy);
}

function readTapOptions(list: SourceText): TapOptions {
  const listed = readOptionList(list, LIST_FORM);
  refuseConflicts(listed);
  refuseUnfitVhost(listed);
  const draft: TapDraft = {};
  for (const option of listed) {
    const row = TAP_ROWS.get(option.name.value);
    row?.read(requireValue(option, row.example), draft, option.name);
  }
  return draft;
}

function findOption(listed: readonly ListedOption[], name: string): ListedOption | undefined {
  return listed.find((option) => option.name.value === name);
}

/** As QEMU: a list of vhost-net's descriptors goes with a list of queues, a single one with what is no list. */
function refuseUnfitVhost(listed: readonly ListedOption[]): void {
  const [fds, single, list] = ["fds", "vhostfd", "vhostfds"].map((name) =>
    findOption(listed, name),
  );
  if (list && !fds) {
    const problem = 'the option "vhostfds" is there without "fds"';
    throw list.name.error(problem, 'add "fds", or write "vhostfd" for a single queue');
  }
  if (!single || !fds) return;
  const problem = 'the option "vhostfd" is for a single queue, and there is "fds"';
  throw single.name.error(problem, 'write "vhostfds"');
}

function refuseConflicts(listed: readonly ListedOption[]): void {
  const find = (name: string): ListedOption | undefined => findOption(listed, name);
  for (const [source, excluded] of EXCLUDED) {
    if (!find(source)) continue;
    const beside = excluded.map(find).find((option) => option !== undefined);
    if (!beside) continue;
    const problem = `the option ${beside.name.quoted} says how to open what "${source}" brings along`;
    throw beside.name.error(problem, `leave it or "${source}" out`);
  }
}
