/** The network that `slirp-wasm netns` makes: the addresses that slirp4netns gives in it, from `--cidr`, and those of IPv6. */
import { ipAddressFromBytes, parseIpAddress, type IpAddress } from "../../address.js";
import { NetnsUsageError } from "./netns-usage-error.js";

/** The addresses of the guest's network, from `--cidr`. */
export interface NetnsNetwork {
  readonly network: IpAddress;
  readonly prefixLength: number;
  readonly gateway: IpAddress;
  readonly nameServer: IpAddress;
  readonly dhcpStart: IpAddress;
  readonly dhcpEnd: IpAddress;
  /** The address that `--configure` gives, and that forwards go to. */
  readonly guest: IpAddress;
}

/** Of IPv6: the prefix that is advertised, what is at its second address, and what `--configure` gives the guest. */
export const PREFIX6 = "fd00::";
export const GATEWAY6 = "fd00::2";
export const GUEST_ADDRESS6 = "fd00::100";

/** Addresses of the network are its first address plus these. */
const Offset = { gateway: 2, nameServer: 3, dhcpStart: 15, dhcpEnd: 30, guest: 100 } as const;

/**
 * The addresses that follow from `--cidr`.
 * @throws NetnsUsageError
 */
export function readNetwork(text: string): NetnsNetwork {
  const [, addressText = "", prefixText = ""] = /^([^/]*)\/(\d{1,3})$/.exec(text) ?? [];
  const network = parseIpAddress(addressText);
  if (network?.family !== 4) throw new NetnsUsageError(`invalid CIDR: ${text}`, false);
  const prefixLength = Number(prefixText);
  if (prefixLength < 1 || prefixLength > 25) {
    throw new NetnsUsageError("prefix length needs to be 1-25", false);
  }
  const view = new DataView(network.bytes.slice().buffer);
  const number = view.getUint32(0);
  if (number % 2 ** (32 - prefixLength) !== 0) {
    const example = "CIDR needs to be a network address like 10.0.2.0/24, not like 10.0.2.100/24";
    throw new NetnsUsageError(example, false);
  }
  const at = (offset: number): IpAddress => {
    view.setUint32(0, number + offset);
    return ipAddressFromBytes(new Uint8Array(view.buffer));
  };
  return {
    network,
    prefixLength,
    gateway: at(Offset.gateway),
    nameServer: at(Offset.nameServer),
    dhcpStart: at(Offset.dhcpStart),
    dhcpEnd: at(Offset.dhcpEnd),
    guest: at(Offset.guest),
  };
}
