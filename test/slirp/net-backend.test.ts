/**
 * The slirp backend is a NetBackend like any other. Its network is the host network: a guest's frame has come out when its
 * datagram was handed to a socket there.
 */
import { ipAddress } from "../../src/address.js";
import type { HeaderLength, NetBackend } from "../../src/backend.js";
import type { HostDatagram, HostNetwork } from "../../src/host-network.js";
import { createSlirp } from "../../src/node.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { prependZeroedHeader } from "../../src/virtio-net.js";
import { describeNetBackend } from "../net-backend-contract/suite.js";
import { batchOf, GUEST_MAC, NETWORK_MAC } from "../support/frames.js";
import { makeArpFrame, makeIpFrame, makeUdpMessage } from "../support/make-frame.js";
import { Protocol } from "../support/packet.js";

const GATEWAY = ipAddress("10.0.2.2");
/** Datagrams of two ports each a frame of another index: no socket for each index. */
const PORTS = { source: 40_000, destination: 40_001 };

/** A frame with a datagram that carries `index`, 60 to 159 bytes long. */
function frameFromGuest(index: number): Uint8Array {
  const payload = new Uint8Array(18 + (index % 100));
  new DataView(payload.buffer).setUint32(0, index);
  const source = ipAddress("10.0.2.15");
  const message = makeUdpMessage({ source, destination: GATEWAY }, PORTS, payload);
  const macs = { sourceMac: GUEST_MAC, destinationMac: NETWORK_MAC };
  return makeIpFrame({ ...macs, source, destination: GATEWAY }, Protocol.udp, message);
}

/** Node's host network, but for UDP sockets, which note what is sent and send nothing. */
function createNotingNetwork(arrived: number[]): HostNetwork {
  const network = createNodeHostNetwork();
  network.openDatagram = (): HostDatagram => ({
    localEndpoint: undefined,
    onReady: undefined,
    sendTo: (bytes) => {
      arrived.push(new DataView(bytes.buffer, bytes.byteOffset).getUint32(0));
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
function askForGateway(station: number): { request: Uint8Array; answer: Uint8Array } {
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

describeNetBackend("slirp", async () => {
  const arrived: number[] = [];
  const network = createNotingNetwork(arrived);
  // Without IPv6 there are no router advertisements: only what the suite provokes comes.
  const backend: NetBackend = await createSlirp({ hostNetwork: network, slirp: { ipv6: false } });
  let stations = 0;
  return {
    backend,
    frameFromGuest,
    arrivedFromGuest: () => arrived,
    provokeFrames: async (count: number, headerLength: HeaderLength) => {
      const asked = Array.from({ length: count }, () => askForGateway(++stations));
      const requests = asked.map(({ request }) => prependZeroedHeader(request, headerLength));
      backend.sendBatch(batchOf(requests));
      // Frames run a turn in a microtask.
      await Promise.resolve();
      await Promise.resolve();
      return asked.map(({ answer }) => answer);
    },
    // From outside of its callbacks it makes room by running a turn.
    neverWaits: true,
    provokingSends: true,
    close: () => network.close(),
  };
});
