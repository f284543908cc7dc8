/**
 * What the kernel forgets of an interface that is set down, or whose MTU becomes too small for IPv6: its IPv6 addresses, and the
 * neighbours and routes that somebody gave it. They are kept as the kernel describes them, and given back as they are, which is how
 * `ip address restore` and `ip route restore` do it, too.
 */
import type { Link } from "./tap-link.js";
import {
  LITTLE_ENDIAN,
  MessageWriter,
  readAttributes,
  RequestFlag,
  viewOf,
  type RouteSocket,
} from "./tap-netlink.js";

const AF_INET = 2;
const AF_INET6 = 10;
const FAMILIES = [AF_INET, AF_INET6] as const;

/** Numbers of messages (linux/rtnetlink.h). */
const Message = {
  ...{ newAddress: 20, getAddress: 22, newRoute: 24, getRoute: 26 },
  ...{ newNeighbour: 28, getNeighbour: 30 },
} as const;
const ADDRESS_INFO_BYTES = 8;
const NEIGHBOUR_INFO_BYTES = 12;
const NEIGHBOUR_STATE = 8;
/** Of the neighbour's states: that it was given by somebody (NUD_PERMANENT). */
const PERMANENT = 0x80;
const ROUTE_INFO_BYTES = 12;
const ROUTE_PROTOCOL = 5;
const ROUTE_FLAGS = 8;
/** Routes that the kernel makes by itself (RTPROT_…): of redirects, of addresses, of router advertisements. */
const MADE_BY_KERNEL: ReadonlySet<number> = new Set([1, 2, 9]);
/** Of a route's flags the one that is not its state (RTNH_F_ONLINK). */
const ON_LINK = 4;
const RouteAttribute = { interface: 4, gateway: 5 } as const;

const CREATE = RequestFlag.create | RequestFlag.exclusive;

/** See the top of the file. */
export class LinkMemory {
  readonly #socket: RouteSocket;
  readonly #addresses: readonly Uint8Array[];
  readonly #neighbours: readonly Uint8Array[];
  readonly #routes: readonly Uint8Array[];

  /** Remembers what the interface has now. */
  constructor(socket: RouteSocket, { index, isUp }: Link) {
    this.#socket = socket;
    this.#addresses = FAMILIES.flatMap((family) => readAddresses(socket, family, index));
    // An interface that is down has neither, and those of others may be many.
    const families = isUp ? FAMILIES : [];
    this.#neighbours = families.flatMap((family) => readNeighbours(socket, family, index));
    this.#routes = families.flatMap((family) => readRoutes(socket, family, index));
  }

  /** Gives the interface what is missing. What cannot be given is left out. */
  restore(): void {
    for (const body of this.#addresses) this.#tryRequest(Message.newAddress, body);
    for (const body of this.#neighbours) this.#tryRequest(Message.newNeighbour, body);
    for (const body of this.#routes) this.#tryRequest(Message.newRoute, body);
  }

  #tryRequest(type: number, body: Uint8Array): void {
    try {
      this.#socket.request(type, CREATE, body);
    } catch {
      // It is there (the usual case), or the interface is gone.
    }
  }
}

function dump(socket: RouteSocket, get: number, family: number, infoBytes: number): Uint8Array[] {
  const request = new MessageWriter().u8(family).raw(new Uint8Array(infoBytes - 1)).bytes;
  // Where a family is not there, the kernel may tell of all.
  const answers = socket.request(get, RequestFlag.dump, request);
  return answers.map(({ body }) => body).filter((body) => body[0] === family);
}

function readAddresses(socket: RouteSocket, family: number, index: number): Uint8Array[] {
  const bodies = dump(socket, Message.getAddress, family, ADDRESS_INFO_BYTES);
  const own = bodies.filter((body) => viewOf(body).getUint32(4, LITTLE_ENDIAN) === index);
  // The kernel puts a new IPv6 address before those that are there, and an IPv4 one behind them.
  return family === AF_INET6 ? own.reverse() : own;
}

/** Those that were not found out by asking. */
function readNeighbours(socket: RouteSocket, family: number, index: number): Uint8Array[] {
  const bodies = dump(socket, Message.getNeighbour, family, NEIGHBOUR_INFO_BYTES);
  return bodies.filter((body) => {
    const view = viewOf(body);
    const isPermanent = (view.getUint16(NEIGHBOUR_STATE, LITTLE_ENDIAN) & PERMANENT) !== 0;
    return isPermanent && view.getUint32(4, LITTLE_ENDIAN) === index;
  });
}

/** Those through the interface that somebody made, each after the one that its gateway is reached by. */
function readRoutes(socket: RouteSocket, family: number, index: number): Uint8Array[] {
  const [direct, indirect]: [Uint8Array[], Uint8Array[]] = [[], []];
  for (const body of dump(socket, Message.getRoute, family, ROUTE_INFO_BYTES)) {
    const attributes = readAttributes(body, ROUTE_INFO_BYTES);
    const interfaceIndex = attributes.get(RouteAttribute.interface);
    if (!interfaceIndex || viewOf(interfaceIndex).getUint32(0, LITTLE_ENDIAN) !== index) continue;
    if (MADE_BY_KERNEL.has(body[ROUTE_PROTOCOL] ?? 0)) continue;
    const view = viewOf(body);
    const flags = view.getUint32(ROUTE_FLAGS, LITTLE_ENDIAN) & ON_LINK;
    view.setUint32(ROUTE_FLAGS, flags, LITTLE_ENDIAN);
    (attributes.has(RouteAttribute.gateway) ? indirect : direct).push(body);
  }
  return [...direct, ...indirect];
}
