/**
 * Guest forward rules, as QEMU writes them:
 *
 *     [tcp]:server:port-tcp:address:port        connect to a TCP port of the host's network
 *     [tcp]:server:port-unix:/path              connect to a unix stream socket
 *     [tcp]:server:port-cmd:command line        run a command, its standard input and output being the connection
 *
 * `server` is an IPv4 address inside the guest's network: libslirp has no guest forwards of IPv6. What stands behind the
 * `-` is one of QEMU's character devices; of those, these are the ones that reach something that can serve many
 * connections. QEMU opens its device once for all connections, we connect anew for each. Commas begin a device's options
 * there, so those of a path are doubled; none of the options is supported.
 */
import { ipEndpoint } from "../address.js";
import { ErrorCode } from "../errors.js";
import type { GuestForward } from "../slirp-options.js";
import { readAddress, readPort, readUnixPath, splitAddressAndPort } from "./read-address.js";
import { SourceText } from "./source-text.js";

const FORM = 'write "[tcp]:server:port-tcp:address:port", "…-unix:/path" or "…-cmd:command"';
const TARGETS = 'write "tcp:address:port", "unix:/path" or "cmd:command"';

/** QEMU's other character devices, by what they begin with: refused by name rather than as a slip of the pen. */
const OTHER_DEVICES = new Set(
  "null vc pty none con file pipe stdio msmouse wctablet testdev braille mon telnet websocket tn3270 udp spicevmc".split(
    " ",
  ),
);

/**
 * Reads one rule. `formatGuestForward` prints it.
 * @throws SlirpError `invalidConfiguration`, which names the column, what was found and what would be right;
 *   `unsupportedOption` for a character device of QEMU's that we do not have
 */
export function parseGuestForward(rule: string): GuestForward {
  return readGuestForward(SourceText.of("guest forward", rule));
}

/** One rule inside some larger text. */
export function readGuestForward(source: SourceText): GuestForward {
  if (source.value === "") throw source.error("a guest forward is missing", FORM);
  const colon = source.value.indexOf(":");
  const name = colon < 0 ? source : source.slice(0, colon);
  if (name.value !== "" && name.value !== "tcp") {
    throw name.error(`the protocol is ${name.quoted}`, 'write "tcp" or nothing: there is no other');
  }
  const rest = source.slice(name.value.length + 1);
  if (colon < 0) throw rest.error(`after ${name.quoted} there is no ":"`, FORM);
  const dash = rest.value.indexOf("-");
  if (dash < 0)
    throw rest.error(`there is no "-" between server and target in ${rest.quoted}`, FORM);
  const { address, port } = splitAddressAndPort(rest.slice(0, dash), "server");
  return {
    serverAddress: readAddress(address, 4, "server address"),
    serverPort: readPort(port, { what: "server port", min: 1 }),
    target: readTarget(rest.slice(dash + 1)),
  };
}

function readTarget(target: SourceText): GuestForward["target"] {
  const colon = target.value.indexOf(":");
  const device = colon < 0 ? target.value : target.value.slice(0, colon);
  const rest = target.slice(device.length + 1);
  if (colon >= 0 && device === "tcp") return { kind: "connect", endpoint: readTcpTarget(rest) };
  if (colon >= 0 && device === "unix") {
    const path = withoutDeviceOptions(rest).undouble(",");
    return { kind: "connect", endpoint: readUnixPath(path, "target path") };
  }
  if (colon >= 0 && device === "cmd") return { kind: "command", commandLine: readCommand(rest) };
  if (OTHER_DEVICES.has(device) || device.startsWith("chardev") || device.startsWith("/dev/")) {
    const problem = `the character device ${JSON.stringify(device)} cannot be a target here`;
    throw target.error(problem, TARGETS, ErrorCode.unsupportedOption);
  }
  throw target.error(`the target is ${target.quoted}`, TARGETS);
}

function readTcpTarget(rest: SourceText) {
  const parts = splitAddressAndPort(withoutDeviceOptions(rest), "target");
  const address = readAddress(parts.address, parts.bracketed ? 6 : 4, "target address");
  return ipEndpoint(address, readPort(parts.port, { what: "target port", min: 1 }));
}

/** Refuses a single comma, which begins an option; doubled ones are text. */
function withoutDeviceOptions(device: SourceText): SourceText {
  const single = /^(?:[^,]|,,)*?,(?!,)/.exec(device.value);
  if (!single) return device;
  const options = device.slice(single[0].length);
  throw options.error(
    `the target has the option ${options.quoted}, and targets take none here`,
    "leave it out, or double the comma where it belongs to a path",
    ErrorCode.unsupportedOption,
  );
}

function readCommand(command: SourceText): string {
  if (command.value.trim() === "" || command.value.includes("\0")) {
    throw command.error(`the command is ${command.quoted}`, "write a command line without NUL");
  }
  return command.value;
}
