/**
 * The texts that DHCP tells the guest. libslirp cuts a host name that is too long, drops search names that it cannot encode,
 * and leaves out what does not fit its answer, each with no more than a line in its log; here they are errors.
 */
import type { SlirpOptions } from "../slirp-options.js";
import { checkText, refusal } from "./refuse.js";
import { utf8Length } from "./utf8-length.js";

/** `client_hostname` of libslirp, without its ending zero. */
const MAX_HOSTNAME_BYTES = 32;
/** `bp_file` of BOOTP (RFC 951), without its ending zero. */
const MAX_BOOT_FILE_BYTES = 127;
/** A DHCP option's length is one byte (RFC 2132). */
const MAX_OPTION_BYTES = 255;
/** Length of a name, RFC 1035: 255 bytes encoded, so two less in text. */
const MAX_NAME_LENGTH = 253;
/** `DHCP_OPT_LEN` of libslirp's bootp.h, less one byte for the end mark. */
const ANSWER_BYTES = 311;
/** Magic cookie, message type, server id, network mask, lease time. */
const FIXED_ANSWER_BYTES = 4 + 3 + 6 + 6 + 6;
/** Gateway and name server, which a restricted network does not tell. */
const ROUTING_ANSWER_BYTES = 6 + 6;
/** The vendor class "HTTPClient", told where the boot file is fetched by HTTP (UEFI). */
const HTTP_BOOT_BYTES = 2 + 10;

type DhcpTexts = Pick<
  SlirpOptions,
  "hostname" | "domainName" | "dnsSearch" | "tftpServerName" | "bootFile" | "restricted"
>;

/** Throws a SlirpError for the first text that the guest would not be told as it is. */
export function checkDhcpTexts(options: DhcpTexts): void {
  const { hostname, domainName, dnsSearch = [], tftpServerName, bootFile } = options;
  if (hostname !== undefined) {
    checkName("hostname", hostname);
    checkLength("hostname", hostname, MAX_HOSTNAME_BYTES);
  }
  if (domainName !== undefined) checkName("domainName", domainName);
  dnsSearch.forEach((name, index) => {
    checkName(`dnsSearch[${String(index)}]`, name);
  });
  if (tftpServerName !== undefined) {
    checkText("tftpServerName", tftpServerName);
    checkLength("tftpServerName", tftpServerName, MAX_OPTION_BYTES);
  }
  if (bootFile !== undefined) {
    checkText("bootFile", bootFile);
    checkLength("bootFile", bootFile, MAX_BOOT_FILE_BYTES);
  }
  checkAnswer(options);
}

function checkLength(place: string, text: string, max: number): void {
  const length = utf8Length(text);
  if (length <= max) return;
  const problem = `${JSON.stringify(text)} is ${String(length)} bytes long`;
  throw refusal(place, problem, `choose one of at most ${String(max)} bytes`);
}

/** A domain name, with or without its last dot (RFC 1123, 2.1, and the `_` that some networks have). */
function checkName(place: string, name: string): void {
  checkText(place, name);
  const labels = labelsOf(name);
  const bad = labels.find((label) => !/^[a-z0-9_-]{1,63}$/i.test(label));
  const remedy = 'write labels of 1 to 63 letters, digits, "-" or "_", and dots between them';
  if (bad !== undefined) {
    const problem = `${JSON.stringify(name)} has the label ${JSON.stringify(bad)}`;
    throw refusal(place, problem, remedy);
  }
  checkLength(place, name, MAX_NAME_LENGTH);
}

function labelsOf(name: string): string[] {
  return name.replace(/\.$/, "").split(".");
}

/** Whether all of it fits one answer. What does not is what libslirp would leave out. */
function checkAnswer(options: DhcpTexts): void {
  const { hostname, domainName, tftpServerName, dnsSearch = [], bootFile, restricted } = options;
  const texts = [hostname, domainName, tftpServerName].filter((text) => text !== undefined);
  const textBytes = texts.reduce((sum, text) => sum + 2 + utf8Length(text), 0);
  const routing = restricted === true ? 0 : ROUTING_ANSWER_BYTES;
  const httpBoot = bootFile?.startsWith("http://") === true ? HTTP_BOOT_BYTES : 0;
  const room = ANSWER_BYTES - FIXED_ANSWER_BYTES - routing;
  const needed = textBytes + httpBoot + searchBytes(dnsSearch);
  if (needed <= room) return;
  throw refusal(
    "dnsSearch, domainName, hostname, tftpServerName",
    `together they need ${String(needed)} bytes, and DHCP's answer has room for ${String(room)}`,
    "choose shorter or fewer ones",
  );
}

/**
 * Size of the search list (RFC 3397), with each name's end that stood before written as a reference: what the best of
 * encoders needs, so that nothing is refused that libslirp's would get in.
 */
function searchBytes(names: readonly string[]): number {
  const written = new Set<string>();
  let bytes = 0;
  for (const name of names) {
    const labels = labelsOf(name);
    let own = 0;
    while (own < labels.length && !written.has(labels.slice(own).join("."))) {
      written.add(labels.slice(own).join("."));
      bytes += 1 + (labels[own] ?? "").length;
      own++;
    }
    bytes += own < labels.length ? 2 : 1;
  }
  return bytes + 2 * Math.ceil(bytes / MAX_OPTION_BYTES);
}
