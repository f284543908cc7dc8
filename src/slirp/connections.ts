/** Reads the table that wasm/connections.c makes. */
import { formatEndpoint } from "../address.js";
import type { ConnectionDescription, TcpState } from "../slirp-backend.js";
import type { ModuleInstance } from "./module-instance.js";
import { readIpEndpoint } from "./socket-address.js";

/** By libslirp's numbers (TCPS_… of tcp.h). */
const TCP_STATES: readonly TcpState[] = [
  "CLOSED",
  "LISTEN",
  "SYN-SENT",
  "SYN-RECEIVED",
  "ESTABLISHED",
  "CLOSE-WAIT",
  "FIN-WAIT-1",
  "CLOSING",
  "LAST-ACK",
  "FIN-WAIT-2",
  "TIME-WAIT",
];

/** IANA's protocol numbers. */
const PROTOCOLS: ReadonlyMap<number, ConnectionDescription["protocol"]> = new Map([
  [1, "icmp"],
  [6, "tcp"],
  [17, "udp"],
]);

/** Bytes of struct connections before its records, and where the fields of struct connection lie. */
const HEAD_BYTES = 8;
const At = {
  bytesFromGuest: 0,
  bytesToGuest: 8,
  queuedFromGuest: 16,
  queuedToGuest: 20,
  protocol: 24,
  state: 25,
  isConnecting: 26,
  isIncoming: 27,
  guest: 32,
} as const;

/** What the stack has between guest and host at this moment. */
export function readConnections(instance: ModuleInstance): ConnectionDescription[] {
  const table = instance.exports.connections_list();
  const memory = instance.HEAPU8;
  const view = new DataView(memory.buffer);
  const count = view.getUint32(table, true);
  const recordBytes = view.getUint32(table + 4, true);
  const connections = Array.from({ length: count }, (_, index) =>
    readConnection(memory, view, table + HEAD_BYTES + index * recordBytes, recordBytes),
  );
  instance.exports.free(table);
  return connections;
}

function readConnection(
  memory: Uint8Array,
  view: DataView,
  at: number,
  recordBytes: number,
): ConnectionDescription {
  const protocol = PROTOCOLS.get(view.getUint8(at + At.protocol)) ?? "tcp";
  const state = TCP_STATES[view.getUint8(at + At.state)] ?? "CLOSED";
  const addressBytes = (recordBytes - At.guest) / 2;
  return {
    protocol,
    state:
      protocol !== "tcp"
        ? undefined
        : view.getUint8(at + At.isConnecting) === 0
          ? state
          : "connecting",
    openedBy: view.getUint8(at + At.isIncoming) === 0 ? "guest" : "host",
    guest: endpointText(memory, at + At.guest),
    remote: endpointText(memory, at + At.guest + addressBytes),
    bytesFromGuest: view.getFloat64(at + At.bytesFromGuest, true),
    bytesToGuest: view.getFloat64(at + At.bytesToGuest, true),
    queuedFromGuest: view.getUint32(at + At.queuedFromGuest, true),
    queuedToGuest: view.getUint32(at + At.queuedToGuest, true),
  };
}

function endpointText(memory: Uint8Array, pointer: number): string {
  const endpoint = readIpEndpoint(memory, pointer);
  return endpoint ? formatEndpoint(endpoint) : "";
}
