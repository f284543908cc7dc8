/**
 * Host forward rules, as bhyve and QEMU write them:
 *
 *     [tcp|udp]:[host address]:host port-[guest address]:guest port
 *     unix:/path-[guest address]:guest port
 *
 * - No protocol: TCP, as in QEMU.
 * - No host address: any (0.0.0.0). No host port: 0, as in bhyve, which asks for any free one.
 * - No guest address: the first that DHCP gives out. The any address says the same, as it does to libslirp.
 * - IPv6 addresses stand in brackets; neither QEMU nor bhyve reads any. The host's may have a zone: `[fe80::1%eth0]`.
 *   Empty brackets are IPv6's way of saying none: any address (`::`) on the host, the first guest seen on the guest's side.
 * - The IP version towards the guest is the one of the guest's side alone, so `tcp:[::1]:8080-:80` goes to the guest by
 *   IPv4: host and guest each have a connection of their own, and a guest without IPv6 can be reached from a host with it.
 * - A unix path ends at the last `-`: no guest part has one, while paths do.
 *
 * Everything else is refused: QEMU takes hexadecimal ports, bhyve takes "80x" for 80 and any word for TCP.
 */
import {
  ipAddress,
  ipEndpoint,
  type IpAddress,
  type IpEndpoint,
  type IpFamily,
} from "../address.js";
import type { HostForward } from "../slirp-options.js";
import {
  readAddress,
  readOptionalAddress,
  readPort,
  readUnixPath,
  splitAddressAndPort,
} from "./read-address.js";
import { SourceText } from "./source-text.js";

const FORM = 'write "[tcp|udp]:[host address]:host port-[guest address]:guest port"';
const UNIX_FORM = 'write "unix:/path-[guest address]:guest port"';

/** Interface name or index behind the `%`: whatever a system may call one, but nothing that would end the address. */
const ZONE = /^[^\s%/[\]\p{Cc}]+$/u;

/**
 * Reads one rule. `formatHostForward` prints it.
 * @throws SlirpError `invalidConfiguration`, which names the column, what was found and what would be right
 */
export function parseHostForward(rule: string): HostForward {
  return readHostForward(SourceText.of("host forward", rule));
}

/**
 * Reads several rules, joined by `;` (bhyve's way) or given as a list, whose entries may themselves be joined. A path with a
 * `;` in it can only be read by {@link parseHostForward}.
 * @throws SlirpError `invalidConfiguration`, as above; an empty text and an empty entry are errors, an empty list is not
 */
export function parseHostForwards(rules: string | readonly string[]): HostForward[] {
  const texts = typeof rules === "string" ? [rules] : rules;
  return texts.flatMap((text) => readHostForwards(SourceText.of("host forward", text)));
}

/** Several rules joined by `;`, inside some larger text. */
export function readHostForwards(source: SourceText): HostForward[] {
  return source.split(";").map(readHostForward);
}

/** One rule inside some larger text. */
export function readHostForward(source: SourceText): HostForward {
  if (source.value === "") throw source.error("a host forward is missing", FORM);
  const colon = source.value.indexOf(":");
  const name = colon < 0 ? source : source.slice(0, colon);
  const rest = source.slice(name.value.length + 1);
  const protocol = name.value === "" ? "tcp" : name.value;
  if (protocol !== "tcp" && protocol !== "udp" && protocol !== "unix") {
    throw name.error(
      `the protocol is ${name.quoted}`,
      'write "tcp", "udp" or "unix", or nothing for TCP',
    );
  }
  if (colon < 0) throw rest.error(`after ${name.quoted} there is no ":"`, FORM);
  if (protocol === "unix") return readUnixForward(rest);
  const dash = dashBetweenSides(rest.value);
  if (dash < 0) throw rest.error(`there is no "-" between host and guest in ${rest.quoted}`, FORM);
  const host = readHost(rest.slice(0, dash));
  return { protocol, host, ...readGuest(rest.slice(dash + 1)) };
}

/**
 * Where the host's side ends. Neither the first dash nor the last will do: zones and (wrongly) host names have dashes of
 * their own, and errors must point at the right side. So: the first one behind a port, else the first.
 */
function dashBetweenSides(text: string): number {
  const afterAddress = text.startsWith("[") ? text.indexOf("]") + 1 : 0;
  const portAndDash = /:\d*-/.exec(text.slice(afterAddress));
  if (portAndDash) return afterAddress + portAndDash.index + portAndDash[0].length - 1;
  return text.indexOf("-", afterAddress);
}

function readUnixForward(rest: SourceText): HostForward {
  const dash = rest.value.lastIndexOf("-");
  if (dash < 0)
    throw rest.error(`there is no "-" between path and guest in ${rest.quoted}`, UNIX_FORM);
  const guest = readGuest(rest.slice(dash + 1));
  return { protocol: "tcp", host: readUnixPath(rest.slice(0, dash), "host path"), ...guest };
}

function readHost(side: SourceText): IpEndpoint {
  const { address, bracketed, port: portText } = splitAddressAndPort(side, "host");
  const hint = " (0 or nothing: any free port)";
  const port = portText.value === "" ? 0 : readPort(portText, { what: "host port", min: 0, hint });
  if (address.value === "") return ipEndpoint(anyAddress(bracketed ? 6 : 4), port);
  const percent = bracketed ? address.value.indexOf("%") : -1;
  if (percent < 0) return ipEndpoint(readAddress(address, bracketed ? 6 : 4, "host address"), port);
  const zone = address.slice(percent + 1);
  if (!ZONE.test(zone.value)) {
    throw zone.error(`the zone is ${zone.quoted}`, "write the name or index of an interface");
  }
  const ip = readAddress(address.slice(0, percent), 6, "host address");
  return { ...ipEndpoint(ip, port), zone: zone.value };
}

function readGuest(
  side: SourceText,
): Pick<HostForward, "guestAddress" | "guestFamily" | "guestPort"> {
  const parts = splitAddressAndPort(side, "guest");
  const guestFamily = parts.bracketed ? 6 : 4;
  const address = readOptionalAddress(parts, "guest address");
  const isAny = address?.address === anyAddress(guestFamily).address;
  const guestPort = readPort(parts.port, { what: "guest port", min: 1 });
  return { guestAddress: isAny ? undefined : address, guestFamily, guestPort };
}

function anyAddress(family: IpFamily): IpAddress {
  return ipAddress(family === 6 ? "::" : "0.0.0.0");
}
