/**
 * QEMU's `-netdev user,…` string: every option of it, under QEMU's names, so that a command line can be carried over.
 *
 * As in QEMU: a comma in a value is written twice; booleans are on/yes/true/y and off/no/false/n; `ipv4=on` alone switches
 * IPv6 off, and the other way round. Not as in QEMU: an option that is there twice is an error (there the last wins), so is a
 * boolean without a value (there deprecated), and numbers and addresses are strict. `id` names the netdev in QEMU's own
 * command line, which a stack has no use for, so it is only checked. `smb` and `smbserver` are refused: there is no SMB
 * server here.
 *
 * Ours, beyond QEMU's: `mtu` and `mru` (bytes), `outbound-addr` and `outbound-addr6` (addresses), `disable-host-loopback`,
 * `disable-dns` and `disable-dhcp` (booleans). They are named as in slirp4netns.
 *
 * Defaults and contradictions are `resolveSlirpOptions`' matter, but for those that only this string can have.
 */
import type { SlirpOptions } from "../slirp-options.js";
import { readOptionList, requireValue, type ListedOption } from "./option-list.js";
import { SourceText } from "./source-text.js";
import { IPV4_OPTION_NAMES, IPV6_OPTION_NAMES, USER_OPTIONS, UserDraft } from "./user-options.js";

const LIST_FORM = {
  doubledCommas: true,
  known: [...USER_OPTIONS.keys()],
  repeating: new Set([...USER_OPTIONS].flatMap(([name, { repeats }]) => (repeats ? [name] : []))),
};

/**
 * Reads `user` or `user,name=value,…`.
 * @throws SlirpError `invalidConfiguration`, which names the column, what was found and what would be right;
 *   `unsupportedOption` for an option that is known but has no working part
 */
export function parseNetdevUser(netdev: string): SlirpOptions {
  const source = SourceText.of("netdev", netdev);
  if (netdev !== "user" && !netdev.startsWith("user,")) {
    throw source.error("it does not begin with user", 'write "user" or "user,name=value,…"');
  }
  if (netdev === "user") return {};
  const listed = readOptionList(source.slice("user,".length), LIST_FORM);
  const draft = new UserDraft();
  for (const option of listed) {
    const row = USER_OPTIONS.get(option.name.value);
    row?.read(requireValue(option, row.example), draft, option.name);
  }
  refuseTwoPrefixes(listed);
  return assemble(listed, draft);
}

function refuseTwoPrefixes(listed: readonly ListedOption[]): void {
  const network = listed.find(({ name }) => name.value === "ipv6-net");
  const part = listed.find(({ name }) => /^ipv6-prefix(len)?$/.test(name.value));
  if (!network || !part) return;
  const problem = `the option ${part.name.quoted} says again what "ipv6-net" says`;
  throw part.name.error(problem, "leave one of them out");
}

function assemble(listed: readonly ListedOption[], draft: UserDraft): SlirpOptions {
  const { options, ipv4On, ipv6On, dnsSearch, hostForwards, guestForwards } = draft;
  // QEMU's rule: a version that is not spoken of is on, unless the other one is asked for.
  const ipv4Off = !(ipv4On ?? ipv6On !== true);
  const ipv6Off = !(ipv6On ?? ipv4On !== true);
  if (ipv4Off) refuseOptionsOf("IPv4", IPV4_OPTION_NAMES, listed);
  if (ipv6Off) refuseOptionsOf("IPv6", IPV6_OPTION_NAMES, listed);
  return {
    ...options,
    ...(ipv4Off ? { ipv4: false } : isEmpty(draft.ipv4) ? {} : { ipv4: draft.ipv4 }),
    ...(ipv6Off ? { ipv6: false } : isEmpty(draft.ipv6) ? {} : { ipv6: draft.ipv6 }),
    ...(isEmpty(dnsSearch) ? {} : { dnsSearch }),
    ...(isEmpty(hostForwards) ? {} : { hostForwards }),
    ...(isEmpty(guestForwards) ? {} : { guestForwards }),
  };
}

function refuseOptionsOf(
  version: "IPv4" | "IPv6",
  names: ReadonlySet<string>,
  listed: readonly ListedOption[],
): void {
  const option = listed.find(({ name }) => names.has(name.value));
  if (!option) return;
  const remedy = `leave it out or add "${version.toLowerCase()}=on"`;
  throw option.name.error(
    `the option ${option.name.quoted} is there while ${version} is off`,
    remedy,
  );
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}
