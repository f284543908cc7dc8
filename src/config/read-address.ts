/**
 * Reading addresses and `address:port` strictly. What rules, option lists and both sides of a forward share.
 *
 * IPv6 addresses with a port behind them stand in brackets, since their colons could not be told from the port's.
 */
import { parseIpAddress, type IpAddress, type IpFamily, type UnixEndpoint } from "../address.js";
import { readNumber, type NumberForm } from "./read-number.js";
import type { SourceText } from "./source-text.js";
import { utf8Length } from "./utf8-length.js";

/** Longest path of a unix socket, bytes: `sun_path` of Linux is 108 with its ending zero. */
const MAX_UNIX_PATH_BYTES = 107;

/** Both halves of `address:port`, not yet read. */
export interface AddressAndPort {
  /** Without the brackets. May be empty. */
  readonly address: SourceText;
  /** Whether brackets were there: the address, even an empty one, is IPv6. */
  readonly bracketed: boolean;
  /** May be empty. */
  readonly port: SourceText;
}

/** Cuts `address:port` or `[address]:port`. `side` names it in errors: "host", "guest". */
export function splitAddressAndPort(piece: SourceText, side: string): AddressAndPort {
  const text = piece.value;
  const form = `write "address:port", an IPv6 address in brackets`;
  if (text.startsWith("[")) {
    const close = text.indexOf("]");
    if (close < 0) throw piece.error(`the ${side} address ${piece.quoted} lacks its "]"`, form);
    if (text.charAt(close + 1) !== ":") {
      const rest = piece.slice(close + 1);
      throw rest.error(`after the ${side} address stands ${rest.quoted}, not ":port"`, form);
    }
    return { address: piece.slice(1, close), bracketed: true, port: piece.slice(close + 2) };
  }
  const colon = text.indexOf(":");
  if (colon < 0) {
    throw piece.error(`the ${side} part ${piece.quoted} has no ":" before a port`, form);
  }
  if (text.includes(":", colon + 1)) {
    throw piece.error(`the ${side} part ${piece.quoted} has more than one ":"`, form);
  }
  return { address: piece.slice(0, colon), bracketed: false, port: piece.slice(colon + 1) };
}

/** The IP address of the family that a piece says, without brackets and zone. `what`: "host address". */
export function readAddress(piece: SourceText, family: IpFamily, what: string): IpAddress {
  const address = parseIpAddress(piece.value);
  if (address?.family === family) return address;
  const remedy =
    family === 4
      ? "write an IPv4 address: four decimal numbers from 0 to 255 without leading zeros"
      : 'write an IPv6 address such as "fe80::1"';
  if (piece.value === "") throw piece.error(`the ${what} is missing`, remedy);
  throw piece.error(`the ${what} is ${piece.quoted}, ${describeMistake(piece, address)}`, remedy);
}

function describeMistake({ value }: SourceText, address: IpAddress | undefined): string {
  if (address) return `which is an IPv${String(address.family)} address`;
  if (value.includes("%")) return "which has a zone, and none can stand here";
  const nameLike = /^[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?$/i.test(value) && /[a-z]/i.test(value);
  if (nameLike) return "which is not an address (names are not looked up)";
  return "which is not an address";
}

/** The address between brackets or before a colon; an empty one has no answer. */
export function readOptionalAddress(
  { address, bracketed }: AddressAndPort,
  what: string,
): IpAddress | undefined {
  if (address.value === "") return undefined;
  return readAddress(address, bracketed ? 6 : 4, what);
}

/** A port, `min` to 65535. */
export function readPort(piece: SourceText, form: Omit<NumberForm, "max">): number {
  return readNumber(piece, { ...form, max: 65535 });
}

/** The absolute path of a unix socket. `what`: "host path". */
export function readUnixPath(piece: SourceText, what: string): UnixEndpoint {
  const path = piece.value;
  const remedy = `write an absolute path of at most ${String(MAX_UNIX_PATH_BYTES)} bytes`;
  if (!path.startsWith("/")) {
    throw piece.error(`the ${what} ${piece.quoted} does not begin with "/"`, remedy);
  }
  if (path.includes("\0")) throw piece.error(`the ${what} has a NUL character`, remedy);
  const length = utf8Length(path);
  if (length > MAX_UNIX_PATH_BYTES) {
    throw piece.error(`the ${what} is ${String(length)} bytes long`, remedy);
  }
  return { family: "unix", path };
}
