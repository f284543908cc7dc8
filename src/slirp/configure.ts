/** Writes the options of a stack into the module's configuration (struct SlirpConfig, version 5), every field of it. */
import type { IpAddress } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import type { ResolvedSlirpOptions } from "../slirp-options.js";
import {
  nullPointer,
  type ModuleInstance,
  type Pointer,
  type SlirpPointer,
} from "./module-instance.js";

/** An IPv4 address as the module takes it: its bytes in memory order, read as a little-endian word. */
export function ipv4Word(address: IpAddress): number {
  const [a = 0, b = 0, c = 0, d = 0] = address.bytes;
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}

function maskWord(prefixLength: number): number {
  const mask = prefixLength === 0 ? 0 : (0xffffffff << (32 - prefixLength)) >>> 0;
  return ((mask >>> 24) | ((mask >>> 8) & 0xff00) | ((mask << 8) & 0xff0000) | (mask << 24)) >>> 0;
}

/** A NULL-terminated array of texts. libslirp copies it; it stays allocated with the instance, as texts do. */
function allocateTexts(instance: ModuleInstance, texts: readonly string[]): Pointer {
  if (texts.length === 0) return nullPointer;
  const pointers = new Uint32Array([...texts.map((text) => instance.allocateText(text)), 0]);
  return instance.allocateBytes(new Uint8Array(pointers.buffer));
}

function configureNetworks(instance: ModuleInstance, options: ResolvedSlirpOptions): void {
  const { exports } = instance;
  const { ipv4, ipv6 } = options;
  if (ipv4) {
    exports.stack_configure_ipv4(
      ipv4Word(ipv4.network),
      maskWord(ipv4.prefixLength),
      ipv4Word(ipv4.gateway),
      ipv4Word(ipv4.dhcpStart),
      ipv4Word(ipv4.nameServer),
    );
  }
  if (ipv6) {
    const addresses = new Uint8Array([
      ...ipv6.prefix.bytes,
      ...ipv6.gateway.bytes,
      ...ipv6.nameServer.bytes,
    ]);
    instance.withBytes(addresses, (pointer) => {
      exports.stack_configure_ipv6(pointer, ipv6.prefixLength);
    });
  }
}

/**
 * Makes the stack inside a fresh instance.
 * @throws SlirpError `invalidConfiguration` where libslirp itself refuses; `resolveSlirpOptions` has refused it before, so
 * that this means options that did not come from there.
 */
export function createStack(
  instance: ModuleInstance,
  options: ResolvedSlirpOptions,
  nowMs: number,
): SlirpPointer {
  const { exports } = instance;
  const allocate = (bytes: Uint8Array | undefined) =>
    bytes ? instance.allocateBytes(bytes) : nullPointer;
  exports.stack_configure(
    Number(options.restricted),
    Number(options.disableHostLoopback),
    Number(options.disableDns),
    Number(options.disableDhcp),
    Number(options.enableEmu),
    options.mtuBytes,
    options.mruBytes,
    options.ncsiManufacturerId,
  );
  configureNetworks(instance, options);
  exports.stack_configure_names(
    instance.allocateText(options.hostname),
    instance.allocateText(options.domainName),
    allocateTexts(instance, options.dnsSearch),
    instance.allocateText(options.tftpRoot),
    instance.allocateText(options.tftpServerName),
    instance.allocateText(options.bootFile),
  );
  exports.stack_configure_outbound(
    allocate(options.outboundAddress?.bytes),
    allocate(options.outboundAddress6?.bytes),
    allocate(options.ncsiOutOfBandMac),
  );
  const [seedLow = 0, seedHigh = 0] = crypto.getRandomValues(new Uint32Array(2));
  const stack = exports.stack_create(nowMs, seedLow, seedHigh);
  if (stack === nullPointer) {
    throw new SlirpError(
      ErrorCode.invalidConfiguration,
      "libslirp refuses these options; make them with resolveSlirpOptions",
    );
  }
  return stack;
}
