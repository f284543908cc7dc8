/**
 * The slirp backend is a NetBackend like any other. Its network is the host network: a guest's frame has come out when its
 * datagram was handed to a socket there.
 */
import type { HeaderLength, NetBackend } from "../../src/backend.js";
import { createSlirp } from "../../src/node.js";
import { prependZeroedHeader } from "../../src/virtio-net.js";
import { describeNetBackend } from "../net-backend-contract/suite.js";
import { batchOf } from "../support/frames.js";
import { askForGateway, createNotingNetwork, frameFromGuest } from "../support/noting-network.js";

describeNetBackend("slirp", async () => {
  const arrived: number[] = [];
  const network = createNotingNetwork((index) => arrived.push(index));
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
