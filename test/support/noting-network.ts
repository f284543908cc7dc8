/**
 * A slirp backend's network under a test's control: numbered datagrams that show what has come out, and ARP requests whose answers come
 * towards the guest.
 */
import { ipAddress } from "../../src/address.js";
import type { HostDatagram, HostNetwork } from "../../src/host-network.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { GUEST_MAC, NETWORK_MAC } from "./frames.js";
import { makeArpFrame, makeIpFrame, makeUdpMessage } from "./make-frame.js";
import { Protocol } from "./packet.js";

const GATEWAY = ipAddress("10.0.2.2");
/** Datagrams of two ports each a frame of another index: no socket for each index. */
const PORTS = { source: 40_000, destination: 40_001 };

/** A frame with a datagram that carries `index`, 60 to 159 bytes long. */
export function frameFromGuest(index: number): Uint8Array {
  const payload = new Uint8Array(18 + (index % 100));
  new DataView(payload.buffer).setUint32(0, index);
  const source = ipAddress("10.0.2.15");
  const message = makeUdpMessage({ source, destination: GATEWAY }, PORTS, payload);
  const macs = { sourceMac: GUEST_MAC, destinationMac: NETWORK_MAC };
  return makeIpFrame({ ...macs, source, destination: GATEWAY }, Protocol.udp, message);
}

/** Node's host network, but for UDP sockets, which tell what is sent and send nothing. */
export function createNotingNetwork(onArrival: (index: number) => void): HostNetwork {
  const network = createNodeHostNetwork();
  network.openDatagram = (): HostDatagram => ({
    localEndpoint: undefined,
    onReady: undefined,
    sendTo: (bytes) => {
      onArrival(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0));
      return bytes.length;
    },
    nextLength: () => -6,
    receiveFrom: () => -6,
    takeError: () => 0,
    close: () => undefined,
  });
  return network;
}

/** Asks for the gateway's address on behalf of a station of that number, and says what the answer must be (RFC 826). */
export function askForGateway(station: number): { request: Uint8Array; answer: Uint8Array } {
  const low = [station >> 8, station & 0xff];
  const sourceMac = Uint8Array.of(0x52, 0x54, 0x01, station >> 16, ...low);
  const sender = Uint8Array.of(10, 9, ...low);
  const everybody = new Uint8Array(6).fill(0xff);
  const question = { operation: 1, sender, target: GATEWAY.bytes } as const;
  const request = makeArpFrame({ sourceMac, destinationMac: everybody }, question);
  const reply = {
    operation: 2,
    sender: GATEWAY.bytes,
    targetMac: sourceMac,
    target: sender,
  } as const;
  const answer = new Uint8Array(64); // libslirp fills its answers up to this
  answer.set(makeArpFrame({ sourceMac: NETWORK_MAC, destinationMac: sourceMac }, reply));
  return { request, answer };
}
