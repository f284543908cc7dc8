/** An interface as the kernel describes it over netlink (linux/if_link.h): what a backend must know of its device. */
import type { RouteSocket } from "./tap-netlink.js";
import { LITTLE_ENDIAN, MessageWriter, readAttributes, readText, viewOf } from "./tap-netlink.js";

/** Numbers of messages about interfaces (linux/rtnetlink.h). */
export const LinkMessage = { added: 16, deleted: 17, get: 18 } as const;

/** Numbers of attributes (linux/if_link.h). */
export const LinkAttribute = {
  address: 1,
  name: 3,
  mtu: 4,
  master: 10,
  linkInfo: 18,
  statistics: 23,
} as const;

const INFO_BYTES = 16;
const FLAG_UP = 1;
/** Place of tx_dropped among the 64-bit counters of rtnl_link_stats64. */
const SEND_DROPS = 7;

/** An interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly isUp: boolean;
  /** Six bytes for Ethernet. */
  readonly mac: Uint8Array;
  readonly mtuBytes: number;
  /** Index of the bridge that it is in. */
  readonly master: number | undefined;
  /** Frames that the kernel had for it and that found no room: for a TAP, in its queue towards us. */
  readonly droppedOnSend: number;
}

/** The fixed part of messages about interfaces (`ifinfomsg`). */
export function writeLinkInfo(index: number, flags = 0, change = 0): MessageWriter {
  return new MessageWriter().u8(0).u8(0).u16(0).u32(index).u32(flags).u32(change);
}

/** The body of a message about an interface. */
export function readLink(body: Uint8Array): Link {
  const view = viewOf(body);
  const attributes = readAttributes(body, INFO_BYTES);
  const number = (type: number): number | undefined => {
    const bytes = attributes.get(type);
    return bytes && bytes.length >= 4 ? viewOf(bytes).getUint32(0, LITTLE_ENDIAN) : undefined;
  };
  const counters = attributes.get(LinkAttribute.statistics);
  const hasDrops = counters !== undefined && counters.length >= 8 * (SEND_DROPS + 1);
  return {
    index: view.getInt32(4, LITTLE_ENDIAN),
    name: readText(attributes.get(LinkAttribute.name) ?? new Uint8Array()),
    isUp: (view.getUint32(8, LITTLE_ENDIAN) & FLAG_UP) !== 0,
    mac: attributes.get(LinkAttribute.address)?.slice() ?? new Uint8Array(6),
    mtuBytes: number(LinkAttribute.mtu) ?? 0,
    master: number(LinkAttribute.master),
    droppedOnSend: hasDrops
      ? Number(viewOf(counters).getBigUint64(8 * SEND_DROPS, LITTLE_ENDIAN))
      : 0,
  };
}

/** The interface of that index. @throws Error with code `ENODEV` where there is none */
export function getLink(socket: RouteSocket, index: number): Link {
  return onlyLink(socket.request(LinkMessage.get, 0, writeLinkInfo(index).bytes));
}

/** The interface of that name. @throws Error with code `ENODEV` where there is none */
export function findLink(socket: RouteSocket, name: string): Link {
  const body = writeLinkInfo(0).attributeText(LinkAttribute.name, name).bytes;
  return onlyLink(socket.request(LinkMessage.get, 0, body));
}

function onlyLink(answers: readonly { readonly body: Uint8Array }[]): Link {
  const [answer] = answers;
  if (!answer) throw Object.assign(new Error("ENODEV, netlink"), { code: "ENODEV" });
  return readLink(answer.body);
}
