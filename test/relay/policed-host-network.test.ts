/**
 * A host network for strangers: what is allowed works as on the network beneath, and nothing else does.
 */
import { fileURLToPath } from "node:url";
import { afterEach, describe, expect, it } from "vitest";
import { ipEndpoint, type IpEndpoint } from "../../src/address.js";
import { Errno, type HostDatagram } from "../../src/host-network.js";
import { createNodeHostNetwork } from "../../src/node/node-host-network.js";
import { PolicedHostNetwork } from "../../src/relay/policed-host-network.js";
import { describeHostNetwork } from "../host-network-contract/describe-host-network.js";
import { ALL_CAPABILITIES } from "../host-network-contract/fixture.js";
import { PeerKit } from "../host-network-contract/peer-kit.js";
import makeOpenNetwork from "./make-policed-host-network.js";

/** Cases about processes listen too. */
const REFUSED = "guests of a policed network open nothing on the host";

describeHostNetwork("policed, with all allowed", {
  make: () => makeOpenNetwork(),
  peers: new PeerKit(),
  childModule: fileURLToPath(new URL("make-policed-host-network.ts", import.meta.url)),
  capabilities: {
    ...ALL_CAPABILITIES,
    unixStreams: REFUSED,
    listen: REFUSED,
    descriptors: REFUSED,
    holdsProcess: REFUSED,
  },
});

describe("a policed host network", () => {
  const peers = new PeerKit();
  let network: PolicedHostNetwork | undefined;
  const asked: string[] = [];

  afterEach(async () => {
    asked.length = 0;
    await network?.close();
    await peers.close();
  });

  function police(allowed: (port: number) => boolean): PolicedHostNetwork {
    const inner = createNodeHostNetwork({ dnsServers: ["127.0.0.1:5399"] });
    network = new PolicedHostNetwork(inner, (address, port) => {
      asked.push(`${address} ${String(port)}`);
      return allowed(port);
    });
    return network;
  }

  it("refuses a TCP connection as to a host that cannot be reached, and dials nothing", () => {
    const policed = police(() => false);
    expect(policed.connectStream(ipEndpoint("192.0.2.1", 80))).toBe(-Errno.EHOSTUNREACH);
    expect(asked).toEqual(["192.0.2.1 80"]);
  });

  it("judges each peer of a UDP socket, once", async () => {
    const { endpoint, socket } = await peers.udpSocket();
    const { port } = endpoint;
    const policed = police((each) => each === port);
    const datagram = policed.openDatagram(4) as HostDatagram;
    const heard = new Promise((resolve) => socket.once("message", resolve));
    const bytes = Buffer.from("x");
    expect(datagram.sendTo(bytes, ipEndpoint("127.0.0.1", 1))).toBe(-Errno.EHOSTUNREACH);
    expect(datagram.sendTo(bytes, ipEndpoint("127.0.0.1", 1))).toBe(-Errno.EHOSTUNREACH);
    expect(datagram.sendTo(bytes, endpoint)).toBe(1);
    await heard;
    expect(asked).toEqual(["127.0.0.1 1", `127.0.0.1 ${String(port)}`]);
    datagram.close();
  });

  it("lets guests ask the network's own resolvers, whatever the rules say", () => {
    const policed = police(() => false);
    const datagram = policed.openDatagram(4) as HostDatagram;
    const [resolver] = policed.dnsServers() as [IpEndpoint];
    expect(datagram.sendTo(Buffer.from("x"), resolver)).toBe(1);
    expect(datagram.sendTo(Buffer.from("x"), { ...resolver, port: 80 })).toBe(-Errno.EHOSTUNREACH);
    datagram.close();
  });

  it("opens nothing on the host: no ports, no files, no commands, no unix sockets", async () => {
    const policed = police(() => true);
    const eacces = expect.objectContaining({ code: "EACCES" }) as Error;
    await expect(policed.listenStream(ipEndpoint("127.0.0.1", 0))).rejects.toEqual(eacces);
    await expect(policed.bindDatagram(ipEndpoint("127.0.0.1", 0))).rejects.toEqual(eacces);
    expect(policed.connectStream({ family: "unix", path: "/run/x" })).toBe(-Errno.EACCES);
    expect("openFile" in policed).toBe(false);
    expect("openCommand" in policed).toBe(false);
  });
});
