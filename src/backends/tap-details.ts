/** What the kernel knows of TAP interfaces, whoever made them. */
import { ipAddressFromBytes } from "../address.js";
import { ErrorCode, SlirpError } from "../errors.js";
import { formatMac, readMac } from "../frames/mac-address.js";
import { loadTapAddon } from "./tap-addon.js";
import { deleteLink } from "./tap-configure.js";
import { codeOf, deviceError } from "./tap-errors.js";
import {
  findLink,
  getLink,
  LinkAttribute,
  LinkMessage,
  readLink,
  writeLinkInfo,
} from "./tap-link.js";
import {
  LITTLE_ENDIAN,
  MessageWriter,
  readAttributes,
  readText,
  RequestFlag,
  RouteSocket,
  viewOf,
} from "./tap-netlink.js";

/** A TAP interface. */
export interface TapDetails {
  /** At most 15 bytes. */
  readonly name: string;
  /** The kernel's number of it. */
  readonly index: number;
  /** `52:54:00:12:34:56`. */
  readonly mac: string;
  /** Largest IP packet. */
  readonly mtuBytes: number;
  /** Set up, whether or not somebody has it open. */
  readonly isUp: boolean;
  /** Name of the bridge that it is in. */
  readonly bridge: string | undefined;
  /** With prefix length: `10.0.5.1/24`. */
  readonly addresses: readonly string[];
  /** Stays when nobody has it open. */
  readonly isPersistent: boolean;
  /** Number of the user who may open it without privileges. */
  readonly owner: number | undefined;
  /** As `owner`, of a group. */
  readonly group: number | undefined;
  /** Whether frames have a virtio-net header in the kernel. */
  readonly hasHeader: boolean;
  /** Can be opened several times, a queue each. */
  readonly isMultiQueue: boolean;
  /** Descriptors that are attached to it now; 1 without several queues. */
  readonly queues: number;
  /** Those of `queues` that are out of use. */
  readonly disabledQueues: number;
}

/** Within IFLA_LINKINFO. */
const InfoAttribute = { kind: 1, data: 2 } as const;
/** Within the data of an interface of the kind "tun" (linux/if_link.h, IFLA_TUN_…). */
const TunAttribute = {
  owner: 1,
  group: 2,
  type: 3,
  packetInformation: 4,
  header: 5,
  persistent: 6,
  multiQueue: 7,
  queues: 8,
  disabledQueues: 9,
} as const;
const TYPE_TAP = 2;

const LINK_INFO_BYTES = 16;
const ADDRESS_INFO_BYTES = 8;
const AddressMessage = { added: 20, get: 22 } as const;
const AddressAttribute = { address: 1, local: 2 } as const;

/** The TAPs of a namespace (one's own where none is named), by name. @throws SlirpError `deviceFailed` */
export function listTaps(options: { readonly namespace?: string } = {}): TapDetails[] {
  return withSocket(options.namespace, (socket) => {
    const links = socket.request(LinkMessage.get, RequestFlag.dump, writeLinkInfo(0).bytes);
    const addresses = readAddresses(socket);
    return links
      .map(({ body }) => readDetails(socket, body, addresses))
      .filter((details) => details !== undefined)
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  });
}

/** Deletes a TAP, also one that is open: who has it is told. @throws SlirpError `deviceFailed` where it is none, or not there */
export function deleteTap(name: string, options: { readonly namespace?: string } = {}): void {
  withSocket(options.namespace, (socket) => {
    findTap(socket, name);
    try {
      deleteLink(socket, name);
    } catch (cause) {
      throw deviceError(`the TAP ${JSON.stringify(name)} cannot be deleted`, cause);
    }
  });
}

/** The TAP of that name. @throws SlirpError `deviceFailed` where there is none */
export function findTap(socket: RouteSocket, name: string): TapDetails {
  const quoted = JSON.stringify(name);
  let index: number;
  try {
    index = findLink(socket, name).index;
  } catch (cause) {
    if (codeOf(cause) !== "ENODEV") throw cause;
    throw new SlirpError(ErrorCode.deviceFailed, `there is no interface ${quoted}`, { cause });
  }
  const [answer] = socket.request(LinkMessage.get, 0, writeLinkInfo(index).bytes);
  const details = answer && readDetails(socket, answer.body, readAddresses(socket));
  if (details) return details;
  throw new SlirpError(ErrorCode.deviceFailed, `the interface ${quoted} is no TAP`);
}

/** Whether the kernel puts 4 bytes with the protocol before each frame. @throws Error with the system's `code` */
export function hasPacketInformation(socket: RouteSocket, name: string): boolean {
  const { index } = findLink(socket, name);
  const [answer] = socket.request(LinkMessage.get, 0, writeLinkInfo(index).bytes);
  return (
    answer !== undefined && readTun(answer.body)?.get(TunAttribute.packetInformation)?.[0] === 1
  );
}

function withSocket<T>(namespace: string | undefined, use: (socket: RouteSocket) => T): T {
  using socket = RouteSocket.open(loadTapAddon(), namespace);
  return use(socket);
}

/** Addresses by the interface's index. */
function readAddresses(socket: RouteSocket): Map<number, string[]> {
  const request = new MessageWriter().u32(0).u32(0).bytes;
  const found = new Map<number, string[]>();
  for (const { type, body } of socket.request(AddressMessage.get, RequestFlag.dump, request)) {
    if (type !== AddressMessage.added || body.length < ADDRESS_INFO_BYTES) continue;
    const attributes = readAttributes(body, ADDRESS_INFO_BYTES);
    const bytes =
      attributes.get(AddressAttribute.local) ?? attributes.get(AddressAttribute.address);
    if (bytes?.length !== 4 && bytes?.length !== 16) continue;
    const index = viewOf(body).getUint32(4, LITTLE_ENDIAN);
    const text = `${ipAddressFromBytes(bytes).address}/${String(body[1])}`;
    found.set(index, [...(found.get(index) ?? []), text]);
  }
  return found;
}

/** Undefined for what is no TAP. */
function readDetails(
  socket: RouteSocket,
  body: Uint8Array,
  addresses: ReadonlyMap<number, string[]>,
): TapDetails | undefined {
  const tun = readTun(body);
  if (tun?.get(TunAttribute.type)?.[0] !== TYPE_TAP) return undefined;
  const has = (type: number): boolean => tun.get(type)?.[0] === 1;
  const number = (type: number): number | undefined => {
    const bytes = tun.get(type);
    return bytes?.length === 4 ? viewOf(bytes).getUint32(0, LITTLE_ENDIAN) : undefined;
  };
  const link = readLink(body);
  return {
    name: link.name,
    index: link.index,
    mac: formatMac(readMac(link.mac, 0)),
    mtuBytes: link.mtuBytes,
    isUp: link.isUp,
    bridge: link.master === undefined ? undefined : getLink(socket, link.master).name,
    addresses: addresses.get(link.index) ?? [],
    isPersistent: has(TunAttribute.persistent),
    owner: number(TunAttribute.owner),
    group: number(TunAttribute.group),
    hasHeader: has(TunAttribute.header),
    isMultiQueue: has(TunAttribute.multiQueue),
    queues: number(TunAttribute.queues) ?? 1,
    disabledQueues: number(TunAttribute.disabledQueues) ?? 0,
  };
}

/** What is particular to TUN and TAP interfaces; undefined for others. */
function readTun(body: Uint8Array): Map<number, Uint8Array> | undefined {
  const info = nested(readAttributes(body, LINK_INFO_BYTES), LinkAttribute.linkInfo);
  const isTun = readText(info.get(InfoAttribute.kind) ?? new Uint8Array()) === "tun";
  return isTun ? nested(info, InfoAttribute.data) : undefined;
}

function nested(
  attributes: ReadonlyMap<number, Uint8Array>,
  type: number,
): Map<number, Uint8Array> {
  return readAttributes(attributes.get(type) ?? new Uint8Array(), 0);
}
