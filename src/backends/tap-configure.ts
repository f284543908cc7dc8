/**
 * Gives an interface its addresses, routes, MTU and the like over netlink, in VPP's order: MAC, bridge, IPv4, IPv6, up, default routes, MTU.
 *
 * All or nothing: each step that succeeds leaves behind how it is undone, and when one fails the ones before are, the last first. At last
 * the interface is given back what the kernel took from it by the way: addresses, routes, neighbours. What stays lost: of an interface that
 * was up and is set down what the kernel had learned (neighbours, router advertisements), and routes over several interfaces; with an MTU
 * below 1280 the settings under `/proc/sys/net/ipv6/conf`, too.
 */
import type { IpAddress } from "../address.js";
import { SlirpError } from "../errors.js";
import { deviceError } from "./tap-errors.js";
import {
  findLink,
  getLink,
  LinkAttribute,
  LinkMessage,
  writeLinkInfo,
  type Link,
} from "./tap-link.js";
import { LinkMemory } from "./tap-link-memory.js";
import type { LinkSettings, NetworkAddress } from "./tap-link-options.js";
import { MessageWriter, RequestFlag, type RouteSocket } from "./tap-netlink.js";

const AF_INET = 2;
const AF_INET6 = 10;

/** Numbers of messages (linux/rtnetlink.h). */
const Message = { newAddress: 20, deleteAddress: 21, newRoute: 24, deleteRoute: 25 } as const;
const FLAG_UP = 1;
/** The address is used at once, without asking the network whether somebody has it. */
const NO_DUPLICATE_DETECTION = 0x02;
const MAIN_TABLE = 254;
const PROTOCOL_STATIC = 4;
const ROUTE_UNICAST = 1;

const CREATE = RequestFlag.create | RequestFlag.exclusive;

/** Undoes what was done; safe to call once. */
export type Undo = () => void;

/**
 * Sets an interface up as wanted.
 * @returns what undoes all of it
 * @throws SlirpError `deviceFailed` that names the step; everything is then as before, but for what is said at the top of the file
 */
export function configureLink(socket: RouteSocket, name: string, settings: LinkSettings): Undo {
  const done: Undo[] = [];
  let memory: LinkMemory | undefined;
  const undo = (): void => {
    for (const step of done.splice(0).reverse()) {
      try {
        step();
      } catch {
        // The interface may be gone, and all that it had with it.
      }
    }
    memory?.restore();
  };
  try {
    const before = findLink(socket, name);
    memory = new LinkMemory(socket, before);
    for (const [what, run] of stepsOf(socket, before, settings)) {
      try {
        done.push(run());
      } catch (cause) {
        throw cause instanceof SlirpError
          ? cause
          : deviceError(`${name}: ${what} cannot be set`, cause, REMEDIES[codeOfCause(cause)]);
      }
    }
  } catch (error) {
    undo();
    throw error instanceof SlirpError ? error : deviceError(`there is no interface ${name}`, error);
  }
  return undo;
}

const REMEDIES: Readonly<Record<string, string>> = {
  EPERM: "it takes CAP_NET_ADMIN in the interface's network namespace",
  EEXIST: "it is there already",
  ENETUNREACH: "the gateway must lie in a network of the interface",
  EACCES: "IPv6 is switched off for this interface (net.ipv6.conf.NAME.disable_ipv6)",
  EOPNOTSUPP: "IPv6 is switched off for this interface (net.ipv6.conf.NAME.disable_ipv6)",
  EBUSY: "the interface is in another bridge",
};

function codeOfCause(cause: unknown): string {
  return String((cause as { code?: unknown }).code);
}

type Step = readonly [what: string, run: () => Undo];

function stepsOf(socket: RouteSocket, before: Link, settings: LinkSettings): Step[] {
  const { index } = before;
  const { mac, bridge, mtuBytes, up } = settings;
  const steps: Step[] = [];
  const setAttribute = (type: number, value: Uint8Array): void => {
    socket.request(LinkMessage.added, 0, writeLinkInfo(index).attribute(type, value).bytes);
  };
  const setNumber = (type: number, value: number): void => {
    setAttribute(type, new MessageWriter().u32(value).bytes);
  };
  const change = <T>(what: string, set: (value: T) => void, value: T, old: T): void => {
    steps.push([
      what,
      () => {
        set(value);
        return () => {
          set(old);
        };
      },
    ]);
  };
  if (mac) {
    const set = (bytes: Uint8Array): void => {
      setAttribute(LinkAttribute.address, bytes);
    };
    change("its MAC address", set, mac, before.mac);
  }
  if (bridge !== undefined) steps.push(joinBridge(socket, before, bridge));
  for (const address of settings.addresses) steps.push(addAddress(socket, index, address));
  if (up !== undefined) {
    const set = (on: boolean): void => {
      const body = writeLinkInfo(index, on ? FLAG_UP : 0, FLAG_UP);
      socket.request(LinkMessage.added, 0, body.bytes);
    };
    change(up ? "it up" : "it down", set, up, before.isUp);
  }
  for (const gateway of settings.gateways) steps.push(addDefaultRoute(socket, index, gateway));
  if (mtuBytes !== undefined) {
    const set = (bytes: number): void => {
      setNumber(LinkAttribute.mtu, bytes);
    };
    change(`its MTU of ${mtuBytes}`, set, mtuBytes, before.mtuBytes);
  }
  return steps;
}

function joinBridge(socket: RouteSocket, { index, master }: Link, bridge: string): Step {
  const setMaster = (of: number): void => {
    const body = writeLinkInfo(index).attributeU32(LinkAttribute.master, of);
    socket.request(LinkMessage.added, 0, body.bytes);
  };
  return [
    `the bridge ${JSON.stringify(bridge)}`,
    () => {
      setMaster(findLink(socket, bridge).index);
      return () => {
        setMaster(master ?? 0);
      };
    },
  ];
}

/** Attributes of addresses (linux/if_addr.h). */
const AddressAttribute = { address: 1, local: 2, broadcast: 4 } as const;

function addAddress(socket: RouteSocket, index: number, network: NetworkAddress): Step {
  const { address, prefixLength } = network;
  const isV4 = address.family === 4;
  const write = (): MessageWriter => {
    const writer = new MessageWriter()
      .u8(isV4 ? AF_INET : AF_INET6)
      .u8(prefixLength)
      .u8(isV4 ? 0 : NO_DUPLICATE_DETECTION)
      .u8(0)
      .u32(index)
      .attribute(AddressAttribute.local, address.bytes)
      .attribute(AddressAttribute.address, address.bytes);
    const broadcast = isV4 ? broadcastOf(network) : undefined;
    return broadcast ? writer.attribute(AddressAttribute.broadcast, broadcast) : writer;
  };
  return [
    `the address ${address.address}/${prefixLength}`,
    () => {
      socket.request(Message.newAddress, CREATE, write().bytes);
      return () => {
        socket.request(Message.deleteAddress, 0, write().bytes);
      };
    },
  ];
}

/** Of a network with two addresses (RFC 3021) there is none. */
function broadcastOf({ address, prefixLength }: NetworkAddress): Uint8Array | undefined {
  if (prefixLength > 30) return undefined;
  return address.bytes.map((byte, i) => {
    const hostBits = Math.min(8, Math.max(0, 8 * (i + 1) - prefixLength));
    return byte | ((1 << hostBits) - 1);
  });
}

/** Attributes of routes (linux/rtnetlink.h). */
const RouteAttribute = { interface: 4, gateway: 5 } as const;

function addDefaultRoute(socket: RouteSocket, index: number, gateway: IpAddress): Step {
  const body = new MessageWriter()
    .u8(gateway.family === 4 ? AF_INET : AF_INET6)
    .raw(new Uint8Array(3))
    .u8(MAIN_TABLE)
    .u8(PROTOCOL_STATIC)
    .u8(0)
    .u8(ROUTE_UNICAST)
    .u32(0)
    .attribute(RouteAttribute.gateway, gateway.bytes)
    .attributeU32(RouteAttribute.interface, index).bytes;
  return [
    `the default route by ${gateway.address}`,
    () => {
      socket.request(Message.newRoute, CREATE, body);
      return () => {
        socket.request(Message.deleteRoute, 0, body);
      };
    },
  ];
}

/** Deletes an interface. @throws Error of the system */
export function deleteLink(socket: RouteSocket, name: string): void {
  const { index } = getLink(socket, findLink(socket, name).index);
  socket.request(LinkMessage.deleted, 0, writeLinkInfo(index).bytes);
}
